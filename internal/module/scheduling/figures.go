package scheduling

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// figureRoutes are the lines of the product API that count.
func (s *Service) figureRoutes() []api.Route {
	read := api.Permission("appointments:read")
	provider := api.Param{Name: "providerId"}
	return []api.Route{
		{Method: "GET", Path: "/api/v1/appointments/stats", Need: read, Summary: "How many appointments there are, by status", Out: map[string]any{}, Serve: s.serveStats,
			Params: []api.Param{{Name: "dateFrom", Type: api.Date}, {Name: "dateTo", Type: api.Date}, provider, {Name: "facilityId"}}},
		{Method: "GET", Path: "/api/v1/stats/appointments", Need: read, Summary: "The figures of appointments: all, today's, this week's, to come", Out: map[string]any{}, Serve: s.serveFigures,
			Params: []api.Param{provider, {Name: "facilityId"}}},
	}
}

// countedStatuses are those that the figures tell by status.
var countedStatuses = statuses[:7]

// query begins a query of appointments of those that the request names.
func (s *Service) query(ctx context.Context, v url.Values) (flat.Query, error) {
	q := flat.Query{Type: "Appointment"}
	err := s.filterParties(ctx, &q, v)
	return q, err
}

// counting is what counts q's appointments of the statuses, which are the product API's; none: all that were made.
func (s *Service) counting(ctx context.Context, q flat.Query, asked ...string) func() (any, error) {
	q.Params = q.Params[:len(q.Params):len(q.Params)]
	return func() (any, error) {
		if err := filterStatus(&q, asked); err != nil {
			return nil, err
		}
		pairs := make([]string, 0, 2*len(q.Params))
		for _, p := range q.Params {
			pairs = append(pairs, p.Name, p.Value)
		}
		return s.Records.Count(ctx, "Appointment", pairs...)
	}
}

// byStatus begins to count q's appointments by status, under the prefix.
func (s *Service) byStatus(ctx context.Context, f *flat.Figures, prefix string, q flat.Query) {
	for _, status := range countedStatuses {
		f.Go(prefix+status, s.counting(ctx, q, status))
	}
}

// gathered takes the figures of a prefix out of the others.
func gathered(all map[string]any, prefix string) map[string]any {
	out := map[string]any{}
	for _, status := range countedStatuses {
		out[status] = all[prefix+status]
		delete(all, prefix+status)
	}
	return out
}

func (s *Service) serveStats(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	zone, err := s.zone(ctx)
	if err != nil {
		return err
	}
	q, err := s.query(ctx, r.URL.Query())
	if err != nil {
		return err
	}
	if err := filterDays(&q, r.URL.Query(), zone); err != nil {
		return err
	}
	f := s.Records.Figures()
	f.Go("total", s.counting(ctx, q))
	s.byStatus(ctx, f, "", q)
	all, err := f.All()
	if err != nil {
		return err
	}
	by := map[string]any{}
	for _, status := range countedStatuses {
		by[status] = all[status]
	}
	all["byStatus"], all["stats"] = by, by
	return api.Answer(w, r, http.StatusOK, all)
}

// week is the week of t in the zone, which begins on Sunday, as the working week does in Sudan.
func week(t time.Time, zone *time.Location) (from, to time.Time) {
	from, _ = flat.Day(t, zone)
	y, m, d := from.Date()
	d -= int(from.Weekday())
	return time.Date(y, m, d, 0, 0, 0, 0, zone), time.Date(y, m, d+7, 0, 0, 0, 0, zone)
}

// between is q narrowed to a time.
func between(q flat.Query, from, to time.Time) flat.Query {
	q.Params = q.Params[:len(q.Params):len(q.Params)]
	q.With("date", flat.At("ge", from))
	if !to.IsZero() {
		q.With("date", flat.At("lt", to))
	}
	return q
}

func (s *Service) serveFigures(w http.ResponseWriter, r *http.Request) error {
	ctx, now := r.Context(), s.Clock()
	zone, err := s.zone(ctx)
	if err != nil {
		return err
	}
	q, err := s.query(ctx, r.URL.Query())
	if err != nil {
		return err
	}
	from, to := flat.Day(now, zone)
	sunday, saturday := week(now, zone)
	today := between(q, from, to)
	f := s.Records.Figures()
	f.Go("totalAppointments", s.counting(ctx, q))
	f.Go("todayAppointments", s.counting(ctx, today))
	f.Go("scheduledThisWeek", s.counting(ctx, between(q, sunday, saturday), scheduled, confirmed))
	f.Go("upcoming", s.counting(ctx, between(q, now, time.Time{}), scheduled, confirmed))
	s.byStatus(ctx, f, "all/", q)
	s.byStatus(ctx, f, "today/", today)
	all, err := f.All()
	if err != nil {
		return err
	}
	all["byStatus"] = gathered(all, "all/")
	day := gathered(all, "today/")
	all["today"] = map[string]any{
		"scheduled": day[scheduled], "confirmed": day[confirmed], "checkedIn": day[checkedIn], "inProgress": day[inProgress], "completed": day[completed],
		"cancelled": day[cancelled], "noShow": day[noShow], "waiting": day[checkedIn], // who has arrived and is not with anybody yet
	}
	return api.Answer(w, r, http.StatusOK, all)
}
