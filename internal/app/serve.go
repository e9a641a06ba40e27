package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/nilecare/nilecare/internal/web"
)

// serve runs the server until ctx ends. Then it says that it is not ready, stops accepting, finishes what it accepted, and
// closes the database.
func (p *Program) serve(ctx context.Context, _ []string) (err error) {
	started := time.Now()
	safe := loopback(ctx, p.cfg.Listen)
	if err := p.mayListen(safe); err != nil {
		return err
	}
	log := p.logger()
	secure, reload, err := p.tls(log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reload.Close()) }()
	traces, flush, err := p.traces(ctx, log)
	if err != nil {
		return err
	}
	// The address is taken first, so that a port in use is said before anything is made.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	store, err := p.open(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	services, err := p.platform(ctx, store, p.address(listener.Addr().String(), secure != nil), log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	store.platform = services
	s := &server{program: p, store: store, platform: services, log: log, traces: traces, guard: safe, tls: secure}
	handler, err := s.handler()
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	made, err := p.demo(ctx, store, services, s.fhir)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	store.detect.Start(services.audits)
	debug.FreeOSMemory() // what starting took is not needed to serve
	go s.idle.run(ctx, trimAfter)
	stopControl, err := s.startControl(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer stopControl()
	tending, endTending := context.WithCancel(ctx)
	wait := services.tend(tending, log)
	defer func() { endTending(); wait() }()
	s.ready.Store(true)
	if err := p.welcome(ctx, services, made, time.Since(started)); err != nil {
		return errors.Join(err, listener.Close())
	}
	return errors.Join(s.run(ctx, listener, handler), flushWithin(flush, 5*time.Second))
}

// server is a running `serve`.
type server struct {
	program *Program
	store   *opened
	fhir    http.Handler
	product http.Handler // the product API
	pages   http.Handler // the authorization server
	tls     *tls.Config  // nil: plain
	log     *slog.Logger

	platform *platform
	traces   traceProvider
	guard    bool // only the names of this machine are answered to
	ready    atomic.Bool
	idle     *idleTrimmer
}

// run serves until ctx ends, then stops gracefully.
func (s *server) run(ctx context.Context, listener net.Listener, handler http.Handler) error {
	srv := web.NewServer(listener.Addr().String(), handler, s.program.cfg.RequestTimeout, s.log)
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(srv, listener, s.tls) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	s.ready.Store(false)
	s.log.Info("stopping: finishing what was accepted", "at most", s.program.cfg.StopTimeout)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.program.cfg.StopTimeout)
	defer cancel()
	err := srv.Shutdown(finish)
	if err != nil {
		s.log.Warn("requests were cut off: they took longer than stop-timeout")
		err = errors.Join(fmt.Errorf("stop: %w", err), srv.Close())
	}
	if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	s.log.Info("stopped")
	return err
}

// startControl lets commands of this machine reach the embedded database through the server. The function that it returns ends
// that, and waits for an operation that runs.
func (s *server) startControl(ctx context.Context) (stop func(), err error) {
	if s.program.cfg.Database != "" {
		return func() {}, nil // every process reaches the database itself
	}
	l, err := listenControl(ctx, s.program.cfg.Data)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: s.control(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("control socket", "error", err.Error())
		}
	}()
	return func() {
		// An operation ends with ctx; its answer still says so.
		if err := srv.Shutdown(context.WithoutCancel(ctx)); err != nil {
			s.log.Error("control socket", "error", err.Error())
		}
		<-done
	}, nil
}

func flushWithin(flush func(context.Context) error, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	// Traces that a collector does not take any more are lost; that is no failure of the server.
	_ = flush(ctx)
	return nil
}
