package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// The bounds that hold where Options does not say otherwise.
const (
	DefaultMaxBody     = 64 << 20         // bytes of a body, opened
	DefaultTimeout     = 60 * time.Second // of a request
	DefaultMinCompress = 1 << 10          // bytes of an answer that is worth compressing
)

// Options says how an Edge works. The zero value works, with the defaults above and without log, metrics and traces.
type Options struct {
	Log         *slog.Logger          // nil: no log
	Metrics     prometheus.Registerer // nil: no metrics
	Traces      trace.TracerProvider  // nil: no spans
	MaxBody     int64                 // largest body in bytes, counted both as sent and as opened
	Timeout     time.Duration         // a request's deadline
	MinCompress int                   // smaller answers are sent as they are

	// Authenticate says who calls, before anything else is done with a request: its body has not been read, and must not be. ctx has the
	// request's deadline and, as the caller, nobody with the request's id and address. A request without credentials is
	// [access.Anonymous]'s, without an error; an error refuses the request. nil: every caller is anonymous.
	Authenticate func(ctx context.Context, r *http.Request) (access.Caller, error)
	// Refused is told of each request that the edge refused for its caller's sake, with the caller as far as he is known. It must not block.
	Refused func(ctx context.Context, r *http.Request, err error)

	Proxies    []netip.Prefix                        // of whom X-Forwarded-For and -Proto are believed
	Allow      []netip.Prefix                        // whose addresses are served at all; none: everybody's
	AllowFor   func(c *access.Caller) []netip.Prefix // from where this caller may come (his key's list, his tenant's); none: from everywhere
	CORS       CORS
	Limits     *Limiter // nil: no limits
	PagePolicy string   // Content-Security-Policy of pages; "": DefaultPagePolicy
}

// Edge is what every request passes. Make one with [NewEdge] and wrap the program's handler once.
type Edge struct {
	log         *slog.Logger
	metrics     *metrics
	tracer      trace.Tracer
	maxBody     int64
	timeout     time.Duration
	minCompress int
	responses   sync.Pool
	codecs      *codecs
	large       chan struct{} // holds one for each large body at work

	authenticate func(context.Context, *http.Request) (access.Caller, error)
	refused      func(context.Context, *http.Request, error)
	proxies      []netip.Prefix
	allow        []netip.Prefix
	allowFor     func(*access.Caller) []netip.Prefix
	cors         *cors
	limits       *Limiter
	protection   protection
}

// NewEdge returns an edge. It fails where the metrics cannot be registered, or an origin of CORS is none.
func NewEdge(o Options) (*Edge, error) {
	e := &Edge{log: o.Log, maxBody: o.MaxBody, timeout: o.Timeout, minCompress: o.MinCompress, codecs: newCodecs(), large: make(chan struct{}, largeAtATime),
		authenticate: o.Authenticate, refused: o.Refused, proxies: o.Proxies, allow: o.Allow, allowFor: o.AllowFor, limits: o.Limits,
		protection: newProtection(o.PagePolicy)}
	e.responses.New = func() any { return new(response) }
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.maxBody <= 0 {
		e.maxBody = DefaultMaxBody
	}
	if e.timeout <= 0 {
		e.timeout = DefaultTimeout
	}
	if e.minCompress <= 0 {
		e.minCompress = DefaultMinCompress
	}
	var err error
	if e.cors, err = newCORS(o.CORS); err != nil {
		return nil, err
	}
	if o.Traces != nil {
		e.tracer = o.Traces.Tracer("github.com/nilecare/nilecare/internal/web")
	}
	if o.Metrics != nil {
		m, err := newMetrics(o.Metrics)
		if err != nil {
			return nil, err
		}
		e.metrics = m
	}
	return e, nil
}

// Wrap returns next behind the edge.
func (e *Edge) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { e.serve(next, w, r) })
}

// passage is one request on its way through the edge.
type passage struct {
	e      *Edge
	w      *response
	r      *http.Request
	id     string
	from   netip.Addr
	start  time.Time
	span   trace.Span // nil without traces
	cancel context.CancelFunc
	opened *openedBody // nil where the body is not compressed
	large  bool        // it holds a place of Edge.large
}

func (e *Edge) serve(next http.Handler, w http.ResponseWriter, r *http.Request) {
	p := passage{e: e, start: time.Now(), id: requestID(r.Header)}
	var forwarded bool
	if p.from, forwarded = e.clientOf(r); forwarded {
		r = markSecure(r)
	}
	h := w.Header()
	h["X-Request-Id"] = []string{p.id}
	e.protection.set(h, r)
	p.w = e.responses.Get().(*response)
	p.w.reset(e, w, r)
	if r.Body != nil && r.Body != http.NoBody {
		p.w.body = &wanted{ReadCloser: r.Body, left: r.ContentLength}
		r.Body = p.w.body
	}
	p.r = r
	p.cancel = func() {}
	if e.metrics != nil {
		e.metrics.inFlight.Inc()
	}
	defer p.leave()
	if e.cors != nil && e.cors.allow(p.w, r) {
		return
	}
	if err := p.enter(r); err != nil {
		p.refuse(err)
		return
	}
	if err := p.admit(w); err != nil {
		FailFor(p.w, p.r, err)
		return
	}
	next.ServeHTTP(p.w, p.r)
}

// enter puts caller, deadline and span into the request's context, and says why the caller is not served.
func (p *passage) enter(r *http.Request) error {
	e, ctx := p.e, r.Context()
	if e.tracer != nil {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header))
		ctx, p.span = e.tracer.Start(ctx, methodLabel(r.Method), trace.WithSpanKind(trace.SpanKindServer))
	}
	ctx, p.cancel = context.WithTimeout(ctx, timeoutOf(r.Header, e.timeout))
	caller := access.Anonymous()
	caller.RequestID, caller.Address = p.id, p.address(r)
	nobody := access.With(ctx, caller)
	if len(e.allow) > 0 && !within(e.allow, p.from) {
		p.r = r.WithContext(nobody)
		return errAddress()
	}
	if e.authenticate == nil {
		p.r = r.WithContext(nobody)
		return p.limit(&caller)
	}
	known, err := e.authenticate(nobody, r)
	if err != nil {
		p.r = r.WithContext(nobody)
		if fault.Is(err, fault.Unauthenticated) {
			// Guessing at credentials costs the address.
			if spent := p.limit(&caller); spent != nil {
				return spent
			}
		}
		return err
	}
	known.RequestID, known.Address = caller.RequestID, caller.Address
	p.r = r.WithContext(access.With(ctx, known))
	if e.allowFor != nil && !p.mayComeFromHere(known) {
		return errAddress()
	}
	return p.limit(&known)
}

// mayComeFromHere asks the caller's own list of networks.
func (p *passage) mayComeFromHere(c access.Caller) bool {
	list := p.e.allowFor(&c)
	return len(list) == 0 || within(list, p.from)
}

// errAddress refuses an address, and does not say which list it is not on.
func errAddress() error {
	return fault.New(fault.Forbidden, "requests from this address are not served")
}

// address is the client's address in text, without port.
func (p *passage) address(r *http.Request) string {
	if len(p.e.proxies) > 0 && p.from.IsValid() {
		return p.from.String()
	}
	return host(r.RemoteAddr)
}

// limit counts the request for its caller, and says so in the answer's headers.
func (p *passage) limit(c *access.Caller) error {
	if p.e.limits == nil {
		return nil
	}
	return p.e.limits.Take(p.w.Header(), c, p.from, p.r.Method, p.r.URL.Path)
}

// refuse answers a request whose caller is not served.
func (p *passage) refuse(err error) {
	if p.e.refused != nil {
		p.e.refused(p.r.Context(), p.r, err)
	}
	if fault.Is(err, fault.Unauthenticated) && len(p.r.Header["Authorization"]) > 0 && len(p.w.Header()["Www-Authenticate"]) == 0 {
		// RFC 6750 section 3.1: what was presented is no good, which is not the same as nothing presented.
		p.w.Header()["Www-Authenticate"] = []string{`Bearer error="invalid_token"`}
	}
	FailFor(p.w, p.r, err)
}

// A parsed body takes several times its bytes: so few large ones are at work at a time, and the others wait their turn.
const (
	largeBody    = 4 << 20
	largeAtATime = 3
)

// waitForPlace holds a request back whose body is large, or may turn out to be.
func (p *passage) waitForPlace() error {
	if n := p.r.ContentLength; n >= 0 && n <= largeBody && p.r.Header.Get("Content-Encoding") == "" {
		return nil
	}
	select {
	case p.e.large <- struct{}{}:
		p.large = true
		return nil
	case <-p.r.Context().Done():
		return fault.New(fault.Unavailable, "too many large bodies at a time: try again")
	}
}

// admit bounds the body and opens a compressed one. w is the server's own writer, which closes the connection behind a
// body that is too large.
func (p *passage) admit(w http.ResponseWriter) error {
	if p.r.Body == nil || p.r.Body == http.NoBody {
		return nil
	}
	if p.r.ContentLength > p.e.maxBody {
		refuseBody(w, p.r)
		return Fault(&http.MaxBytesError{Limit: p.e.maxBody})
	}
	if err := p.waitForPlace(); err != nil {
		refuseBody(w, p.r)
		return err
	}
	p.r.Body = http.MaxBytesReader(w, p.r.Body, p.e.maxBody)
	coding := p.r.Header.Get("Content-Encoding")
	if coding == "" || strings.EqualFold(coding, "identity") {
		return nil
	}
	opened, err := p.e.codecs.open(coding, p.r.Body, p.e.maxBody)
	if err != nil {
		w.Header().Set("Accept-Encoding", "zstd, gzip, deflate")
		return err
	}
	p.opened = opened
	p.r.Body, p.r.ContentLength = opened, -1
	return nil
}

// refuseBody has the server close the connection behind the answer. A client that is sending already must get to read
// the answer first: a reader that hits its limit is how net/http learns to wait for that.
func refuseBody(w http.ResponseWriter, r *http.Request) {
	LeaveBody(w, r)
	if r.Header.Get("Expect") == "" {
		var one [1]byte
		// That this fails is its purpose.
		_, _ = http.MaxBytesReader(w, r.Body, 0).Read(one[:])
	}
}

// leave ends the answer, whatever became of the handler, and accounts for it.
func (p *passage) leave() {
	if p.large {
		<-p.e.large
	}
	abort := false
	if v := recover(); v != nil {
		abort = p.panicked(v)
	}
	p.w.finish()
	if p.opened != nil {
		p.opened.release()
	}
	p.cancel()
	p.account()
	p.w.release()
	p.e.responses.Put(p.w)
	if abort {
		panic(http.ErrAbortHandler)
	}
}

// panicked answers a panic with a 500 where the answer has not begun; else the connection must be cut, so that nobody
// takes half an answer for a whole one.
func (p *passage) panicked(v any) (abort bool) {
	if v == http.ErrAbortHandler {
		return true
	}
	p.e.log.LogAttrs(p.r.Context(), slog.LevelError, "panic", slog.String("request_id", p.id),
		slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
	if p.w.begun() {
		p.w.status = http.StatusInternalServerError
		return true
	}
	FailFor(p.w, p.r, fault.New(fault.Internal, ""))
	return false
}

// account leaves the log line, the measurement and the span of a request.
func (p *passage) account() {
	took := time.Since(p.start)
	route, method, status := p.w.routeOf(p.r), methodLabel(p.r.Method), p.w.status
	if p.e.metrics != nil {
		p.e.metrics.observe(route, method, status, took)
	}
	if p.span != nil {
		p.span.SetName(method + " " + route)
		p.span.SetAttributes(attribute.String("http.request.method", method), attribute.String("http.route", route),
			attribute.Int("http.response.status_code", status), attribute.String("nilecare.request_id", p.id))
		if status >= 500 {
			p.span.SetStatus(codes.Error, http.StatusText(status))
		}
		p.span.End()
	}
	level, failure := slog.LevelInfo, p.w.err
	if failure == nil || status < 500 {
		failure = p.w.noted
	}
	if status >= 500 || failure != nil {
		level = slog.LevelError
	}
	ctx := p.r.Context()
	if !p.e.log.Enabled(ctx, level) {
		return
	}
	attrs := [7]slog.Attr{slog.String("request_id", p.id), slog.String("method", method), slog.String("route", route),
		slog.Int("status", status), slog.Duration("took", took), slog.Int64("bytes", p.w.bytes)}
	n := 6
	if failure != nil {
		attrs[n] = slog.String("error", causes(failure))
		n++
	}
	p.e.log.LogAttrs(ctx, level, "request", attrs[:n]...)
}

// host cuts the port off a peer's address.
func host(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		addr = addr[:i]
	}
	return strings.Trim(addr, "[]")
}
