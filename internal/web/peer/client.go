package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

const (
	mostAttempts  = 3
	mostBody      = 1 << 20 // of a body that is kept for repeating
	firstPause    = 25 * time.Millisecond
	defaultProbe  = 2 * time.Second
	probeTimeout  = 2 * time.Second
	dialTimeout   = 2 * time.Second
	drained       = 64 << 10 // bytes of an answer that are read for the sake of its connection
	idleAtAddress = 64
)

// Options says where the services are, and how they are asked.
type Options struct {
	// Services are the base URLs of each service, such as http://10.0.0.7:7001, without a path.
	Services map[string][]string
	// Owner names the service that owns a request's path; "": none.
	Owner func(r *http.Request) string

	TLS     *tls.Config           // of connections to https addresses; nil: the system's authorities
	Metrics prometheus.Registerer // nil: none
	Log     *slog.Logger          // nil: none
	Probe   time.Duration         // how often addresses are asked whether they are ready; 0: 2 s
	Clock   clock.Clock           // nil: the system's
}

// Client carries requests to services. Its methods may be called at the same time.
type Client struct {
	owner    func(*http.Request) string
	services map[string]*service
	next     *http.Transport
	log      *slog.Logger
	probe    time.Duration
	clock    clock.Clock
	metrics  *metrics
}

type service struct {
	name   string
	all    []*address
	budget budget
}

// address is one place where a service stands.
type address struct {
	breaker
	at     *url.URL
	busy   atomic.Int64
	health atomic.Int32
}

const (
	unknown int32 = iota
	ready
	unready
)

// New returns a client. It refuses a service without an address, and an address that is no URL of a server.
func New(o Options) (*Client, error) {
	c := &Client{owner: o.Owner, services: map[string]*service{}, log: o.Log, probe: o.Probe, clock: o.Clock}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.probe <= 0 {
		c.probe = defaultProbe
	}
	if c.clock == nil {
		c.clock = clock.System
	}
	for name, list := range o.Services {
		s := &service{name: name}
		for _, text := range list {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
				return nil, fmt.Errorf("an address of %s is no http:// or https:// URL of a server", name)
			}
			s.all = append(s.all, &address{at: &url.URL{Scheme: u.Scheme, Host: u.Host}})
		}
		if len(s.all) == 0 {
			return nil, fmt.Errorf("%s has no address", name)
		}
		c.services[name] = s
	}
	c.next = &http.Transport{
		DialContext:     (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig: o.TLS, TLSHandshakeTimeout: 5 * time.Second, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: idleAtAddress, IdleConnTimeout: 90 * time.Second,
		DisableCompression: true, // who asked decides, and gets what was sent
	}
	var err error
	if o.Metrics != nil {
		c.metrics, err = newMetrics(o.Metrics, c)
	}
	return c, err
}

// Close ends idle connections.
func (c *Client) Close() { c.next.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper: it sends a request to the service that owns its path, whatever scheme and host its URL has. The error is
// a [fault.Error]: NotFound where no service owns the path, Unavailable where its service does not answer; or the context's.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	name := c.owner(r)
	s := c.services[name]
	if s == nil {
		closeBody(r)
		return nil, fault.New(fault.NotFound, "no service serves this path")
	}
	return c.Ask(s.name, r)
}

// Ask is RoundTrip to a service by its name.
func (c *Client) Ask(name string, r *http.Request) (*http.Response, error) {
	s := c.services[name]
	if s == nil {
		closeBody(r)
		return nil, fmt.Errorf("peer: there is no service %s", name)
	}
	start := c.clock()
	res, err := c.attempts(s, r)
	c.metrics.asked(s.name, res, err, c.clock().Sub(start))
	return res, err
}

func (c *Client) attempts(s *service, r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	body, again, err := keepBody(r)
	if err != nil {
		return nil, err
	}
	s.budget.earn(c.clock())
	harmless := repeatable(r)
	var tried []*address
	for n := 1; ; n++ {
		a := s.pick(c.clock(), tried, sticky(ctx))
		if a == nil && len(tried) > 0 {
			a = s.pick(c.clock(), nil, nil)
		}
		if a == nil {
			closeBody(r)
			c.log.WarnContext(ctx, "peer: no address takes requests", "service", s.name)
			return nil, unavailable(s, nil)
		}
		res, err := c.send(a, outgoing(ctx, r, a, body, again))
		if ctx.Err() != nil {
			if res != nil {
				return res, nil
			}
			return nil, ctx.Err()
		}
		ok := err == nil && !failing(res.StatusCode)
		repeat := !ok && again && n < mostAttempts && (harmless || unseen(err)) && s.budget.spend()
		if !repeat {
			if err != nil {
				c.log.WarnContext(ctx, "peer: a service does not answer", "service", s.name, "error", cause(err))
				return nil, unavailable(s, err)
			}
			return res, nil
		}
		discard(res)
		c.metrics.repeated(s.name)
		if tried = append(tried, a); len(tried) >= len(s.all) {
			if !pause(ctx, n) {
				return nil, ctx.Err()
			}
		}
	}
}

// send makes one attempt at an address and tells its breaker.
func (c *Client) send(a *address, out *http.Request) (*http.Response, error) {
	a.busy.Add(1)
	res, err := c.next.RoundTrip(out)
	now := c.clock()
	switch {
	case err != nil && errors.Is(out.Context().Err(), context.Canceled):
		a.undecided()
	case err != nil:
		a.done(false, now)
		if unseen(err) {
			a.health.Store(unready)
		}
	default:
		a.done(!failing(res.StatusCode), now)
	}
	if err != nil || res.StatusCode == http.StatusSwitchingProtocols {
		a.busy.Add(-1)
		return res, err
	}
	res.Body = &counting{res.Body, sync.OnceFunc(func() { a.busy.Add(-1) })}
	return res, nil
}

// counting is an answer's body that says when it is done with.
type counting struct {
	io.ReadCloser
	end func()
}

func (b *counting) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

// pick chooses an address that takes requests: of those that are ready, or, where none is, of all. key is what the same address is wanted for, nil: any.
func (s *service) pick(now time.Time, but []*address, key []byte) *address {
	for _, want := range []func(*address) bool{
		func(a *address) bool { return a.health.Load() == ready }, func(a *address) bool { return a.health.Load() == unknown }, func(*address) bool { return true }} {
		var left []*address
		for _, a := range s.all {
			if want(a) && !slices.Contains(but, a) {
				left = append(left, a)
			}
		}
		order(left, key)
		for _, a := range left {
			if a.allow(now) {
				return a
			}
		}
	}
	return nil
}

// order puts first who should be asked first: the less busy of two at random, or, for a key, always in the same order.
func order(list []*address, key []byte) {
	if key != nil {
		slices.SortFunc(list, func(a, b *address) int { return bytes.Compare(weight(key, a.at.Host), weight(key, b.at.Host)) })
		return
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) // #nosec G404 -- it spreads, it does not protect
	if len(list) > 1 && list[1].busy.Load() < list[0].busy.Load() {
		list[0], list[1] = list[1], list[0]
	}
}

// failing are the statuses of a service that is not there at the moment.
func failing(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// repeatable reports a request that may arrive twice.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return r.Header.Get("Upgrade") == ""
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// unseen reports a failure before anything was sent: the connection could not be made.
func unseen(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// keepBody reads a body that is small enough to be sent again.
func keepBody(r *http.Request) (body []byte, again bool, err error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, true, nil
	}
	if r.ContentLength < 0 || r.ContentLength > mostBody {
		return nil, false, nil
	}
	body, err = io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
	closeBody(r)
	if err == nil && int64(len(body)) < r.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, false, fault.New(fault.Invalid, "the body broke off before its end").WithCode("incomplete").Because(err)
	}
	return body, true, nil
}

// outgoing is the request as an address gets it.
func outgoing(ctx context.Context, r *http.Request, a *address, body []byte, kept bool) *http.Request {
	out := r.Clone(ctx)
	u := *r.URL
	u.Scheme, u.Host = a.at.Scheme, a.at.Host
	out.URL, out.RequestURI = &u, ""
	if kept {
		out.Body, out.ContentLength = http.NoBody, 0
		if body != nil {
			out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
	}
	if out.Header == nil {
		out.Header = http.Header{}
	}
	carry(ctx, out)
	if id := access.From(ctx).RequestID; id != "" && out.Header.Get("X-Request-Id") == "" {
		out.Header.Set("X-Request-Id", id)
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(out.Header))
	if until, ok := ctx.Deadline(); ok {
		out.Header.Set(web.TimeoutHeader, strconv.FormatInt(max(1, time.Until(until).Milliseconds()), 10))
	}
	return out
}

// pause waits before another attempt: a random time that doubles.
func pause(ctx context.Context, n int) bool {
	t := time.NewTimer(rand.N(firstPause << n)) // #nosec G404 -- it spreads, it does not protect
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func unavailable(s *service, err error) error {
	return web.Later(fault.New(fault.Unavailable, "the %s service does not answer at the moment: try again", s.name).Because(err), time.Second)
}

// cause is an error for the log: without the URL, whose query may tell of persons.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}

func discard(res *http.Response) {
	if res != nil {
		_, _ = io.CopyN(io.Discard, res.Body, drained)
		_ = res.Body.Close()
	}
}
