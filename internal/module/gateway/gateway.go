package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Options says what the service works with.
type Options struct {
	// Peers carries a request to the service that serves its path: in the same process, or on another server. Only path and query of the URL count.
	Peers http.RoundTripper
	// Services says of each service by its name how to ask whether it is ready. In one process that is the one process.
	Services map[string]func(ctx context.Context) error
	Clock    clock.Clock // nil: the system's
	Log      *slog.Logger
}

// Service is the module's verbs.
type Service struct {
	Options
}

// New returns the service. It refuses options without Peers.
func New(_ context.Context, o Options) (*Service, error) {
	if o.Peers == nil {
		return nil, errors.New("gateway: nothing carries its requests")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{o}, nil
}

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	get := func(path string, need api.Need, summary string, serve func(http.ResponseWriter, *http.Request) error, params ...api.Param) api.Route {
		return api.Route{Method: http.MethodGet, Path: path, Need: need, Summary: summary, Params: params, Serve: serve}
	}
	bare := func(r api.Route, out any) api.Route {
		r.Bare, r.Out = true, out
		return r
	}
	with := func(r api.Route, out any) api.Route {
		r.Out = out
		return r
	}
	routes := []api.Route{
		with(get("/api/v1/dashboard/stats", api.Known(), "The figures of a role's dashboard, or those of all services", s.stats,
			api.Param{Name: "role", Help: "whose dashboard: doctor, nurse, receptionist, admin, billing_clerk, lab_technician or pharmacist, by any of their names"}), statsData()),
		with(get("/api/v1/dashboard/activities", api.Known(), "What was registered or changed last, among what the caller may see", s.activities,
			api.Param{Name: "limit", Type: api.Whole, Least: 1, Most: maxActivities, Help: "how many; 20 where it is not said"}), activitiesJSON{}),
		bare(get("/api/v1/search/patients", api.Permission("patients:read"), "Search for patients", s.searchPatients, api.Paged(
			api.Param{Name: "q", Help: "a part of a name, a number or a phone number"}, api.Param{Name: "search", Help: "the same as q"})...), foundPatientsJSON{}),
		bare(get("/api/v1/patients/{id}/complete", api.Permission("patients:read"), "A patient with appointments, medications, laboratory orders and vital signs", s.complete), completeJSON{}),
		with(get("/api/v1/services/status", api.Permission("system:admin"), "Which services are ready", s.servicesStatus), servicesJSON{}),
		with(get("/api/v1/data/dashboard/stats", api.Known(), "The totals that older dashboards show", s.totals), totalsData()),
	}
	for i := range dashboards {
		d := &dashboards[i]
		routes = append(routes, bare(get("/api/v1/dashboard/"+d.name+"-stats", d.need(), d.summary, s.roleStats(d)), d.answerOf()))
	}
	return routes
}
