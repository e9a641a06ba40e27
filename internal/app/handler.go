package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

type traceProvider = trace.TracerProvider

// fhirHandler is the FHIR API on the store.
func (p *Program) fhirHandler(store *opened, x *platform, maxEntries int) http.Handler {
	c := fhirrest.Config{Records: store, Path: fhirPath, Version: p.Version, MaxEntries: maxEntries, Log: p.logger()}
	if x != nil {
		c.Audit, c.OAuth, c.Prefix = x, x.oauth, tenantPrefix
		for _, o := range x.care.scheduling.Operations() {
			c.Operations = append(c.Operations, fhirrest.Operation{Type: "Appointment", Name: o.Name, Definition: o.Definition, Get: o.Get, Run: o.Run})
		}
	}
	if p.cfg.BaseURL != "" {
		c.Base = p.cfg.BaseURL + fhirPath
	}
	return fhirrest.New(c)
}

// handler puts the parts together: health and figures stand outside of the edge, so that a probe is neither logged nor counted.
func (s *server) handler() (http.Handler, error) {
	cfg := s.program.cfg
	registry := prometheus.NewRegistry()
	err := errors.Join(registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "nilecare_database_bytes",
			Help: "Bytes that the database takes on disk."}, s.databaseBytes)), registry.Register(s.platform.care.events.Metrics()))
	if err != nil {
		return nil, err
	}
	x := s.platform
	o := web.Options{Log: s.log, Metrics: registry, Traces: s.traces, MaxBody: cfg.MaxBody, Timeout: cfg.RequestTimeout, Limits: x.limits,
		Authenticate: x.authenticate, Refused: x.refused, CORS: web.CORS{Origins: cfg.CORSOrigins}}
	if cfg.InsecureNoAuth {
		o.Authenticate, o.Limits = everybody, nil
	}
	if o.Proxies, err = networks("proxies", cfg.Proxies); err != nil {
		return nil, err
	}
	if o.Allow, err = networks("allow", cfg.Allow); err != nil {
		return nil, err
	}
	edge, err := web.NewEdge(o)
	if err != nil {
		return nil, err
	}
	s.fhir = s.program.fhirHandler(s.store, x, cfg.MaxEntries)
	described, err := api.Documents(api.Info{Title: "nilecare", Version: s.program.Version, Description: aboutAPI}, x.routes())
	if err != nil {
		return nil, err
	}
	if s.product, err = api.New(append(x.servedRoutes(s.program.shape.runs), described...), api.Remember(x.uses)); err != nil {
		return nil, err
	}
	table, err := json.Marshal(x.ownedRoutes())
	if err != nil {
		return nil, err
	}
	if err := x.care.peers.serve(s.product, s.log); err != nil {
		return nil, err
	}
	s.pages = x.apps.Handler()
	s.idle = newIdleTrimmer()
	api := s.idle.wrap(byTenant(edge.Wrap(http.HandlerFunc(s.route))))
	health, ready := web.Alive(), web.Ready(s.isReady)
	figures := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz":
			health.ServeHTTP(w, r)
		case "/readyz":
			ready.ServeHTTP(w, r)
		case "/metrics":
			figures.ServeHTTP(w, r)
		case routesPath:
			w.Header().Set("Content-Type", "application/json")
			// A gateway that has gone away cannot be told so.
			_, _ = w.Write(table)
		default:
			api.ServeHTTP(w, r)
		}
	})
	if s.guard {
		return sameMachine(all, cfg.BaseURL), nil
	}
	return all, nil
}

// everybody takes every caller for the operator of this machine.
func everybody(context.Context, *http.Request) (access.Caller, error) { return access.System(1), nil }

// aboutAPI is what the description of the product API says before its routes.
const aboutAPI = `The product API: flat JSON, beside the FHIR API at /fhir/R4. Both are doors to the same records.

Answers stand in an envelope: {"success": true, "data": …, "metadata": {"timestamp", "requestId", "version"}}, listings with "pagination" beside data and inside it. A failure is {"success": false, "error": {"code", "message", "statusCode", "details": [{"field", "message"}]}, "message", "metadata"}.
Listings take page and limit, or the opaque cursor that pagination.next tells. fields=id,address.city keeps those members alone. Where format is offered, csv or ndjson is the whole listing as a file. A parameter that a route does not know is refused by name.
A POST may come with an Idempotency-Key: however often it is sent within a day, it is done once.
x-permission says who may call a route: public, known (whoever is signed in), or a permission.`

// route goes by the path alone. A ServeMux would answer an odd path by a redirection; a FHIR client must get an OperationOutcome.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	owner := pathOwner(r.URL.Path)
	if owner != "" && !s.program.shape.runs(owner) {
		web.SetRoute(w, "none")
		web.FailFor(w, r, fault.New(fault.NotFound, "this process does not serve the path: it is %s", s.program.shape))
		return
	}
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/.well-known/"), strings.HasPrefix(path, "/oauth2/"), strings.HasPrefix(path, fhirPath+"/.well-known/"):
		s.pages.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/api/"), strings.HasPrefix(path, "/auth/"), path == "/openapi.json", path == "/docs", strings.HasPrefix(path, "/docs/"):
		s.product.ServeHTTP(w, r)
	case strings.HasPrefix(path, "/socket.io/"):
		s.platform.care.live.Handler().ServeHTTP(w, r)
	case strings.HasPrefix(path, "/scim/"):
		s.platform.users.Handler().ServeHTTP(w, r)
	case path == fhirPath || strings.HasPrefix(path, fhirPath+"/"):
		s.fhir.ServeHTTP(w, r)
	case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		web.SetRoute(w, "/")
		index(w, s.program.Version)
	default:
		nothingHere(w)
	}
}

// nothingHere refuses a path outside of all APIs.
func nothingHere(w http.ResponseWriter) {
	web.SetRoute(w, "none")
	web.Fail(w, fault.New(fault.NotFound, "nothing stands here: the FHIR API is below %s", fhirPath))
}

func index(w http.ResponseWriter, version string) {
	text, err := json.MarshalIndent(map[string]string{"name": "nilecare", "version": version, "fhir": fhirPath,
		"capabilities": fhirPath + "/metadata", "api": "/openapi.json", "docs": "/docs", "smart": fhirPath + "/.well-known/smart-configuration", "health": "/healthz", "ready": "/readyz", "metrics": "/metrics"}, "", "  ")
	if err != nil {
		web.Fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone away cannot be told so.
	_, _ = w.Write(append(text, '\n'))
}

var errNotReady = errors.New("starting or stopping")

func (s *server) isReady(ctx context.Context) error {
	if !s.ready.Load() {
		return errNotReady
	}
	err := s.store.Ready(ctx)
	if err != nil {
		s.log.Warn("not ready", "error", err.Error())
	}
	return err
}

func (s *server) databaseBytes() float64 {
	n, err := s.store.Size(context.Background())
	if err != nil {
		return -1
	}
	return float64(n)
}
