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
	if p.shape, err = shapeOf(&p.cfg.Config); err != nil {
		return err
	}
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
	listeners, err := p.listen(ctx)
	if err != nil {
		return err
	}
	if p.shape.gateway() {
		return errors.Join(p.serveGateway(ctx, &front{program: p, log: log, traces: traces, guard: safe, tls: secure}, listeners), flushWithin(flush, 5*time.Second))
	}
	store, err := p.open(ctx)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	defer func() { err = errors.Join(err, store.Close()) }()

	services, err := p.platform(ctx, store, p.address(listeners[0].Addr().String(), secure != nil), log)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	store.platform = services
	s := &server{program: p, store: store, platform: services, log: log, traces: traces, guard: safe, tls: secure}
	handler, err := s.handler()
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	made, err := p.demo(ctx, store, services, s.fhir)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	store.detect.Start(services.audits)
	debug.FreeOSMemory() // what starting took is not needed to serve
	go s.idle.run(ctx, trimAfter)
	stopControl, err := s.startControl(ctx)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	defer stopControl()
	tending, endTending := context.WithCancel(ctx)
	wait := services.tend(tending, p.shape.runs, log)
	defer func() { endTending(); wait() }()
	s.ready.Store(true)
	if err := p.welcome(ctx, services, made, listeners, time.Since(started)); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	return errors.Join(p.serveOn(ctx, listeners, handler, secure, log, func() { s.ready.Store(false) }), flushWithin(flush, 5*time.Second))
}

// listen takes the addresses that the process serves on: all of them, or none.
func (p *Program) listen(ctx context.Context) ([]net.Listener, error) {
	addresses, err := p.shape.listens(&p.cfg.Config)
	if err != nil {
		return nil, err
	}
	var out []net.Listener
	for _, a := range addresses {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen: %w", err), closeAll(out))
		}
		out = append(out, l)
	}
	return out, nil
}

func closeAll(listeners []net.Listener) error {
	var err error
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
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

// serveOn serves on all listeners until ctx ends, then finishes what was accepted; stopping is told first.
func (p *Program) serveOn(ctx context.Context, listeners []net.Listener, handler http.Handler, secure *tls.Config, log *slog.Logger, stopping func()) error {
	failed := make(chan error, len(listeners))
	servers := make([]*http.Server, len(listeners))
	for i, l := range listeners {
		servers[i] = web.NewServer(l.Addr().String(), handler, p.cfg.RequestTimeout, log)
		go func() { failed <- web.Serve(servers[i], l, secure) }()
	}
	left := len(listeners)
	var err error
	select {
	case e := <-failed:
		err = fmt.Errorf("serve: %w", e)
		left--
	case <-ctx.Done():
	}
	stopping()
	log.Info("stopping: finishing what was accepted", "at most", p.cfg.StopTimeout)
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.StopTimeout)
	defer cancel()
	ends := make(chan error, len(servers))
	for _, srv := range servers {
		go func() { ends <- shutdown(finish, srv, log) }()
	}
	for range servers {
		err = errors.Join(err, <-ends)
	}
	for range left {
		if e := <-failed; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	log.Info("stopped")
	return err
}

func shutdown(ctx context.Context, srv *http.Server, log *slog.Logger) error {
	err := srv.Shutdown(ctx)
	if err == nil {
		return nil
	}
	log.Warn("requests were cut off: they took longer than stop-timeout")
	return errors.Join(fmt.Errorf("stop: %w", err), srv.Close())
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
