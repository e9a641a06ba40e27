package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// inProcess carries the gateway's requests to the product API of the same process, as the caller who is known already. They pass an edge of their own, so that a
// panic in one of them ends that one alone, and the cause of a failure stands in the log under the request's id.
type inProcess struct{ handler http.Handler }

// serve has the product API answer.
func (p *inProcess) serve(product http.Handler, log *slog.Logger) error {
	edge, err := web.NewEdge(web.Options{Log: slog.New(failures{log.Handler()}), Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		return access.From(r.Context()), nil
	}})
	if err == nil {
		p.handler = edge.Wrap(product)
	}
	return err
}

// RoundTrip implements http.RoundTripper.
func (p *inProcess) RoundTrip(r *http.Request) (res *http.Response, err error) {
	if p.handler == nil {
		return nil, fault.New(fault.Unavailable, "the product API is not up yet")
	}
	defer func() {
		if v := recover(); v != nil { // an answer that was cut off
			res, err = nil, fmt.Errorf("the answer broke off: %v", v)
		}
	}()
	r = r.Clone(r.Context())
	if from := access.From(r.Context()); from.Address != "" {
		r.RemoteAddr = net.JoinHostPort(from.Address, "0")
	}
	w := &kept{header: http.Header{}}
	p.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: max(w.status, http.StatusOK), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Body: io.NopCloser(&w.body),
		ContentLength: int64(w.body.Len()), Request: r}, nil
}

// kept is an answer that is kept in memory.
type kept struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (k *kept) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *kept) WriteHeader(status int) {
	if k.status == 0 && status >= http.StatusOK {
		k.status = status
	}
}

// Write implements http.ResponseWriter.
func (k *kept) Write(b []byte) (int, error) {
	k.WriteHeader(http.StatusOK)
	return k.body.Write(b)
}

// failures is a log that takes what went wrong, and not each request.
type failures struct{ slog.Handler }

// Enabled implements slog.Handler.
func (f failures) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && f.Handler.Enabled(ctx, level)
}
