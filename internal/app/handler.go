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

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/web"
)

type traceProvider = trace.TracerProvider

// fhirHandler is the FHIR API on the store.
func (p *Program) fhirHandler(store *opened, maxEntries int) http.Handler {
	c := fhirrest.Config{Records: store, Path: fhirPath, Version: p.Version, MaxEntries: maxEntries}
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
			Help: "Bytes that the database takes on disk."}, s.databaseBytes)))
	if err != nil {
		return nil, err
	}
	edge, err := web.NewEdge(web.Options{Log: s.log, Metrics: registry, Traces: s.traces, MaxBody: cfg.MaxBody, Timeout: cfg.RequestTimeout})
	if err != nil {
		return nil, err
	}
	s.fhir = s.program.fhirHandler(s.store, cfg.MaxEntries)
	s.idle = newIdleTrimmer()
	api := s.idle.wrap(edge.Wrap(http.HandlerFunc(s.route)))
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
		default:
			api.ServeHTTP(w, r)
		}
	})
	if s.guard {
		return sameMachine(all, cfg.BaseURL), nil
	}
	return all, nil
}

// route goes by the path alone. A ServeMux would answer an odd path by a redirection; a FHIR client must get an OperationOutcome.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == fhirPath || strings.HasPrefix(path, fhirPath+"/"):
		s.fhir.ServeHTTP(w, r)
	case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		web.SetRoute(w, "/")
		s.index(w)
	default:
		web.SetRoute(w, "none")
		web.Fail(w, fault.New(fault.NotFound, "nothing stands here: the FHIR API is below %s", fhirPath))
	}
}

func (s *server) index(w http.ResponseWriter) {
	text, err := json.MarshalIndent(map[string]string{"name": "nilecare", "version": s.program.Version, "fhir": fhirPath,
		"capabilities": fhirPath + "/metadata", "health": "/healthz", "ready": "/readyz", "metrics": "/metrics"}, "", "  ")
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
