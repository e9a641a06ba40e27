package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/gateway"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
	"github.com/nilecare/nilecare/internal/web/peer"
)

// routesPath is where every process with a database tells which service serves which route.
const routesPath = "/peer/routes"

// front is the gateway as a process of its own. It has no database: it hands requests on, and composes what it serves itself of what the services answer.
type front struct {
	program *Program
	log     *slog.Logger
	traces  traceProvider
	guard   bool // only the names of this machine are answered to
	tls     *tls.Config

	client *peer.Client
	table  atomic.Pointer[http.ServeMux] // which service a route is of; nil: not known yet
	needs  []string                      // the permissions that the own routes ask for
	stops  atomic.Bool
}

// ownerName is a service's name as an entry of the table.
type ownerName string

// ServeHTTP implements http.Handler, so that a ServeMux holds names; it is not called.
func (ownerName) ServeHTTP(http.ResponseWriter, *http.Request) {}

func (p *Program) serveGateway(ctx context.Context, f *front, listeners []net.Listener) error {
	started := time.Now()
	handler, err := f.handler()
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	tending, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { f.client.Run(tending) })
	wg.Go(func() { f.learn(tending) })
	defer func() { end(); wg.Wait() }()
	p.sayShape(listeners, time.Since(started))
	return p.serveOn(ctx, listeners, handler, f.tls, f.log, func() { f.stops.Store(true) })
}

// handler puts the parts together, as server.handler does for a process with a database.
func (f *front) handler() (http.Handler, error) {
	cfg := f.program.cfg
	registry := prometheus.NewRegistry()
	if err := errors.Join(registry.Register(collectors.NewGoCollector()), registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))); err != nil {
		return nil, err
	}
	urls, err := peerURLs(&cfg.Config)
	if err != nil {
		return nil, err
	}
	trust, err := f.trust()
	if err != nil {
		return nil, err
	}
	if f.client, err = peer.New(peer.Options{Services: urls, Owner: f.owner, TLS: trust, Metrics: registry, Log: f.log}); err != nil {
		return nil, fmt.Errorf("peers: %w", err)
	}
	proxies, err := networks("proxies", cfg.Proxies)
	if err != nil {
		return nil, err
	}
	allow, err := networks("allow", cfg.Allow)
	if err != nil {
		return nil, err
	}
	own, err := f.own(web.Options{Log: f.log, Metrics: registry, Traces: f.traces, MaxBody: cfg.MaxBody, Timeout: cfg.RequestTimeout, Authenticate: f.authenticate,
		Proxies: proxies, Allow: allow, CORS: web.CORS{Origins: cfg.CORSOrigins}})
	if err != nil {
		return nil, err
	}
	proxy := peer.NewProxy(peer.Door{Client: f.client, Owner: f.owner, Proxies: proxies, Allow: allow, Timeout: cfg.RequestTimeout, Log: f.log, Traces: f.traces})
	health, ready := web.Alive(), web.Ready(f.isReady)
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			health.ServeHTTP(w, r)
		case "/readyz":
			ready.ServeHTTP(w, r)
		case "/metrics":
			figures.ServeHTTP(w, r)
		default:
			f.serve(own, proxy).ServeHTTP(w, r)
		}
	})
	if f.guard {
		return sameMachine(all, cfg.BaseURL), nil
	}
	return all, nil
}

// serve is what the gateway serves itself, and the rest, which it hands on.
func (f *front) serve(own, proxy http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch owner := f.owner(r); {
		case owner == "" && f.table.Load() == nil:
			web.LeaveBody(w, r)
			web.FailFor(w, r, web.Later(fault.New(fault.Unavailable, "no service has been reached yet: try again"), time.Second))
		case owner == "" || owner == gatewayService: // what nobody serves is refused here, in the form of the path
			own.ServeHTTP(w, r)
		default:
			proxy.ServeHTTP(w, r)
		}
	})
}

// trust is the authorities of the services' certificates; nil: the system's.
func (f *front) trust() (*tls.Config, error) {
	file := f.program.cfg.PeersCA
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("peers-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("peers-ca: %s holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// asks are how to ask of each service whether it is ready.
func (f *front) asks() map[string]func(context.Context) error {
	out := map[string]func(context.Context) error{}
	for _, s := range services() {
		if s.name == gatewayService {
			continue
		}
		out[s.name] = func(context.Context) error {
			if f.client.Ready()[s.name] == 0 {
				return fault.New(fault.Unavailable, "no address of it is ready")
			}
			return nil
		}
	}
	return out
}

// own is what the gateway serves itself, behind an edge of its own.
func (f *front) own(o web.Options) (http.Handler, error) {
	s, err := gateway.New(context.Background(), gateway.Options{Peers: f.client, Log: f.log, Services: f.asks()})
	if err != nil {
		return nil, err
	}
	routes := s.Routes()
	for _, r := range routes {
		if n := r.Need.String(); n != "public" && n != "known" && !slices.Contains(f.needs, n) {
			f.needs = append(f.needs, n)
		}
	}
	product, err := api.New(routes)
	if err != nil {
		return nil, err
	}
	if f.program.cfg.InsecureNoAuth {
		o.Authenticate = everybody
	} else if f.program.cfg.RateLimits {
		if o.Limits, err = web.NewLimiter(web.LimiterOptions{}); err != nil {
			return nil, err
		}
	}
	edge, err := web.NewEdge(o)
	if err != nil {
		return nil, err
	}
	served := edge.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			web.SetRoute(w, "/")
			index(w, f.program.Version)
		case strings.HasPrefix(path, "/api/"):
			product.ServeHTTP(w, r)
		default:
			nothingHere(w)
		}
	}))
	return byTenant(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in := peer.Inbound{Header: r.Header.Clone(), Host: r.Host}
		if t, ok := r.Context().Value(pathTenant{}).(int32); ok {
			in.Prefix = tenantPrefix(t)
		}
		peer.Forward(in.Header, r, o.Proxies)
		served.ServeHTTP(w, r.WithContext(peer.With(r.Context(), in)))
	})), nil
}

// authenticate asks the service that knows who people are: the caller's credentials go along as they are.
func (f *front) authenticate(ctx context.Context, r *http.Request) (access.Caller, error) {
	from := access.From(ctx)
	if len(r.Header["Authorization"]) == 0 && web.APIKey(r) == "" && web.Session(r) == "" {
		return access.Anonymous(), nil
	}
	u := url.URL{Path: "/api/v1/auth/permits", RawQuery: url.Values{"permission": {strings.Join(f.needs, ",")}}.Encode()}
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return from, err
	}
	res, err := f.client.Ask("auth", ask)
	if err != nil {
		return from, err
	}
	if err := peer.Fault(res); err != nil {
		return from, err
	}
	defer func() { _ = res.Body.Close() }()
	var said struct {
		Data struct {
			Who, Client string
			User        int64 `json:",string"`
			Tenant      int32
			Roles, Self []string
			Permits     map[string]bool
		}
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&said); err != nil {
		return from, fmt.Errorf("auth: %w", err)
	}
	d := said.Data
	return access.Caller{Tenant: d.Tenant, Who: d.Who, Client: d.Client, User: d.User, Roles: d.Roles, Self: d.Self, Grant: permits(d.Permits)}, nil
}

// permits is a grant of permissions alone: the gateway has no records.
type permits map[string]bool

// Extent implements access.Grant.
func (permits) Extent(access.Action, string) access.Extent { return access.None() }

// Permits implements access.Grant.
func (p permits) Permits(name string) bool { return p[name] }

// Masked implements access.Grant.
func (permits) Masked(string) []string { return nil }

// owner is the service that a request's path belongs to; "": none.
func (f *front) owner(r *http.Request) string {
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/t/"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		path = "/" + rest
	}
	if path == "/openapi.json" || path == "/api/v1/openapi.json" || path == "/docs" || strings.HasPrefix(path, "/docs/") {
		return "auth" // every process with a database can describe the whole API
	}
	if name := pathOwner(path); name != "" {
		return name
	}
	table := f.table.Load()
	if table == nil {
		return ""
	}
	for _, method := range []string{r.Method, r.Header.Get("Access-Control-Request-Method"), http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		h, _ := table.Handler(&http.Request{Method: method, URL: &url.URL{Path: path}, Host: r.Host})
		if name, ok := h.(ownerName); ok {
			return string(name)
		}
	}
	return ""
}

const (
	learnFirst = 200 * time.Millisecond
	learnAgain = 30 * time.Second
)

// learn keeps the table of routes: any process with a database tells all of it.
func (f *front) learn(ctx context.Context) {
	for {
		wait := learnAgain
		if err := f.learnOnce(ctx); err != nil && f.table.Load() == nil {
			wait = learnFirst
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (f *front) learnOnce(ctx context.Context) error {
	ready := f.client.Ready()
	names := slices.SortedFunc(maps.Keys(ready), func(a, b string) int { return ready[b] - ready[a] })
	err := errors.New("there are no services")
	for _, name := range names {
		var routes []ownedRoute
		if routes, err = f.routesOf(ctx, name); err != nil {
			continue
		}
		table := http.NewServeMux()
		if err = enter(table, routes); err == nil {
			f.table.Store(table)
			return nil
		}
	}
	return err
}

func (f *front) routesOf(ctx context.Context, service string) ([]ownedRoute, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, routesPath, http.NoBody)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Ask(service, r)
	if err != nil {
		return nil, err
	}
	if err := peer.Fault(res); err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	var out []ownedRoute
	err = json.NewDecoder(io.LimitReader(res.Body, 8<<20)).Decode(&out)
	return out, err
}

// enter puts the routes into a table. A pattern that cannot be is said by a panic of the mux.
func enter(table *http.ServeMux, routes []ownedRoute) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("routes: %v", v)
		}
	}()
	for _, r := range routes {
		table.Handle(r.Method+" "+r.Path, ownerName(r.Service))
	}
	return nil
}

// isReady says whether the gateway knows where to hand requests on to.
func (f *front) isReady(context.Context) error {
	if f.stops.Load() || f.table.Load() == nil {
		return errNotReady
	}
	return nil
}
