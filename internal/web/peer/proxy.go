package peer

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// patience is how much longer than its own limit a service is waited for, so that it can say itself that the time is over.
const patience = 2 * time.Second

// Door says how a [Proxy] works.
type Door struct {
	Client  *Client
	Owner   func(r *http.Request) string // which service has the path
	Proxies []netip.Prefix               // of whom X-Forwarded-For and -Proto are believed
	Allow   []netip.Prefix               // whose addresses are served at all; none: everybody's
	Timeout time.Duration                // of a request that does not stream; 0: the edge's default
	Log     *slog.Logger                 // nil: none
	Traces  trace.TracerProvider         // nil: no spans
}

// Proxy hands requests of clients on to the services that own their paths, and answers, streams and upgraded connections back. Credentials and
// Host go along unchanged, and the client's address as X-Forwarded-For. It reads neither.
type Proxy struct {
	Door
	tracer  trace.Tracer
	reverse *httputil.ReverseProxy
}

// NewProxy returns a proxy.
func NewProxy(d Door) *Proxy {
	p := &Proxy{Door: d}
	if p.Timeout <= 0 {
		p.Timeout = web.DefaultTimeout
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	if d.Traces != nil {
		p.tracer = d.Traces.Tracer("github.com/nilecare/nilecare/internal/web/peer")
	}
	p.reverse = &httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: owned{p.Client}, FlushInterval: -1, ErrorHandler: p.failed,
		ErrorLog: slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
		ModifyResponse: func(res *http.Response) error {
			res.Header.Del("X-Request-Id") // it stands there
			return nil
		},
	}
	return p
}

type handedKey struct{}

// handed is what a request is handed on as.
type handed struct{ service, id string }

// owned sends a request to the service that was found to own it.
type owned struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (o owned) RoundTrip(r *http.Request) (*http.Response, error) {
	h, _ := r.Context().Value(handedKey{}).(handed)
	return o.c.Ask(h.service, r)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start, id := time.Now(), web.RequestID(r.Header)
	w.Header()["X-Request-Id"] = []string{id}
	seen := &watching{ResponseWriter: w}
	name := p.Owner(r)
	ctx, end := p.within(r, name, id)
	defer func() {
		end(seen.status)
		p.Log.InfoContext(ctx, "handed on", "request_id", id, "method", r.Method, "service", name, "status", seen.status, "took", time.Since(start), "bytes", seen.bytes)
	}()
	from, _ := web.ClientOf(p.Proxies, r)
	switch {
	case len(p.Allow) > 0 && !web.Within(p.Allow, from):
		web.LeaveBody(seen, r)
		web.FailFor(seen, r, fault.New(fault.Forbidden, "requests from this address are not served"))
	case name == "":
		web.LeaveBody(seen, r)
		web.FailFor(seen, r, fault.New(fault.NotFound, "nothing stands at this path"))
	default:
		p.reverse.ServeHTTP(seen, r.WithContext(ctx))
	}
}

// within puts the service's name, the span and the deadline into the request's context.
func (p *Proxy) within(r *http.Request, name, id string) (ctx context.Context, end func(status int)) {
	ctx = context.WithValue(r.Context(), handedKey{}, handed{name, id})
	end = func(int) {}
	if p.tracer != nil {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		var span trace.Span
		ctx, span = p.tracer.Start(ctx, r.Method+" to "+name, trace.WithSpanKind(trace.SpanKindServer))
		end = func(status int) {
			span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("nilecare.request_id", id))
			span.End()
		}
	}
	if strings.HasPrefix(r.URL.Path, "/socket.io/") {
		// A connection that is made of several requests belongs to the process that began it.
		from, _ := web.ClientOf(p.Proxies, r)
		ctx = Sticky(ctx, from.String()+r.UserAgent())
	}
	if streams(r) {
		return ctx, end
	}
	ctx, cancel := context.WithTimeout(ctx, web.TimeoutOf(r.Header, p.Timeout+patience))
	ended := end
	return ctx, func(status int) { cancel(); ended(status) }
}

// streams reports a request whose answer may last: an upgraded connection, or events.
func streams(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || strings.Contains(r.Header.Get("Accept"), "text/event-stream") || strings.HasPrefix(r.URL.Path, "/socket.io/")
}

// rewrite makes the request that a service gets.
func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	in, out := pr.In, pr.Out
	out.Host = in.Host
	as, _ := in.Context().Value(handedKey{}).(handed)
	h := out.Header
	h["X-Request-Id"] = []string{as.id}
	h.Del("Forwarded")
	Forward(h, in, p.Proxies)
}

// Forward tells a service where a client's request came from, in the headers h of the request that the service gets: what the client itself says of that
// is believed only where it is one of the proxies.
func Forward(h http.Header, in *http.Request, proxies []netip.Prefix) {
	from := in.RemoteAddr
	if at, err := netip.ParseAddrPort(in.RemoteAddr); err == nil {
		from = at.Addr().Unmap().WithZone("").String()
	}
	_, trusted := web.ClientOf(proxies, in)
	if said := strings.Join(in.Header["X-Forwarded-For"], ", "); trusted && said != "" {
		from = said + ", " + from
	}
	proto := "http"
	if in.TLS != nil {
		proto = "https"
	} else if v := in.Header["X-Forwarded-Proto"]; trusted && len(v) == 1 {
		proto = v[0]
	}
	h["X-Forwarded-For"], h["X-Forwarded-Proto"] = []string{from}, []string{proto}
}

// failed answers for a service that does not.
func (p *Proxy) failed(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		w.WriteHeader(499) // nobody reads it; the log does
		return
	}
	web.FailFor(w, r, err)
}

// watching remembers what the log tells.
type watching struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *watching) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watching) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap serves http.ResponseController.
func (w *watching) Unwrap() http.ResponseWriter { return w.ResponseWriter }
