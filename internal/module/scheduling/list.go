package scheduling

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// zone is the tenant's time zone.
func (s *Service) zone(ctx context.Context) (*time.Location, error) {
	p, err := s.tenantPlan(ctx)
	if err != nil {
		return nil, err
	}
	return p.zone, nil
}

// tenantPlan is the tenant's plan, made whole.
func (s *Service) tenantPlan(ctx context.Context) (p *kept, err error) {
	tenant := access.From(ctx).Tenant
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		all, err := s.books.entries(ctx, q, tenant)
		if err == nil {
			p, _, err = planOf(all, nobody)
		}
		return err
	})
	return p, err
}

// filterStatus narrows a query to statuses of the product API. Whether a booked appointment is scheduled or confirmed is told by its participants' answers, so one of
// these cannot be asked for together with others that are not booked.
func filterStatus(q *flat.Query, asked []string) error {
	var codes []string
	var booked []string
	for _, one := range asked {
		status := spell(one)
		code := toFHIR[status]
		if code == "" {
			return fault.At(fault.Invalid, "status", "must be one of %s", strings.Join(statuses, ", ")).WithCode("value")
		}
		if code == "booked" && !slices.Contains(booked, status) {
			booked = append(booked, status)
		}
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	if len(codes) == 0 {
		q.With("status", usualStatuses)
		return nil
	}
	q.With("status", strings.Join(codes, ","))
	if len(booked) != 1 {
		return nil
	}
	if len(codes) > 1 {
		return fault.At(fault.Invalid, "status", "scheduled and confirmed can be asked for with other statuses together only").WithCode("not-supported")
	}
	if booked[0] == scheduled {
		q.With("part-status", "needs-action,tentative")
	} else {
		q.With("part-status:not", "needs-action")
		q.With("part-status:not", "tentative")
	}
	return nil
}

// splitList reads a parameter that may come several times, and with commas.
func splitList(q url.Values, name string) []string {
	var out []string
	for _, v := range q[name] {
		for one := range strings.SplitSeq(v, ",") {
			if one = strings.TrimSpace(one); one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

// filterParties narrows a query to those that the parameters name.
func (s *Service) filterParties(ctx context.Context, q *flat.Query, v url.Values) error {
	for _, f := range []struct{ name, param, typ string }{{"patientId", "patient", "Patient"}, {"facilityId", "supporting-info", "Organization"}} {
		if id := v.Get(f.name); id != "" {
			name, err := s.Records.FHIRID(ctx, f.typ, id)
			if err != nil {
				return err
			}
			q.With(f.param, f.typ+"/"+name)
		}
	}
	if id := v.Get("providerId"); id != "" {
		refs, err := s.refsOfProvider(ctx, id)
		if err != nil {
			return err
		}
		q.With("actor", strings.Join(refs, ","))
	}
	return nil
}

// refsOfProvider are the references by which appointments name a provider: the Practitioner's, and the roles'.
func (s *Service) refsOfProvider(ctx context.Context, id string) ([]string, error) {
	name, err := s.Records.FHIRID(ctx, "Practitioner", id)
	if err != nil {
		return nil, err
	}
	refs := []string{"Practitioner/" + name}
	tenant := access.From(ctx).Tenant
	var roles []role
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		_, num, ok, err := s.Ledger.Meant(ctx, q, tenant, refs[0])
		if err != nil || !ok {
			return err
		}
		roles, err = s.books.scanRoles(ctx, q, "tenant = $1 AND practitioner = $2", tenant, num)
		return err
	})
	for _, r := range roles {
		if err != nil {
			break
		}
		var of string
		if of, err = s.Records.Store.Named(ctx, "PractitionerRole", r.num); of != "" {
			refs = append(refs, "PractitionerRole/"+of)
		}
	}
	return refs, err
}

// filterDays narrows a query to days of the zone: date, or dateFrom and dateTo, both included.
func filterDays(q *flat.Query, v url.Values, zone *time.Location) error {
	from, to := v.Get("dateFrom"), v.Get("dateTo")
	if day := v.Get("date"); day != "" {
		if from != "" || to != "" {
			return fault.At(fault.Invalid, "date", "stands alone: dateFrom and dateTo name a range").WithCode("value")
		}
		from, to = day, day
	}
	if from != "" && to != "" && to < from {
		return fault.At(fault.Invalid, "dateTo", "is before dateFrom").WithCode("value")
	}
	for _, f := range []struct {
		name, value, prefix string
		end                 bool
	}{{"dateFrom", from, "ge", false}, {"dateTo", to, "lt", true}} {
		if f.value == "" {
			continue
		}
		d, ok := interval.ParseDate(f.value)
		if !ok {
			return fault.At(fault.Invalid, f.name, "must be a date such as 2026-01-31").WithCode("value")
		}
		begin, end := dayOf(d, zone)
		if f.end {
			begin = end
		}
		q.With("date", flat.At(f.prefix, begin))
	}
	return nil
}

// dayOf is a day of the zone, from its beginning up to the beginning of the next.
func dayOf(d interval.Date, zone *time.Location) (from, to time.Time) {
	return flat.Day(time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, zone), zone)
}

// listed answers with a page of what the query finds.
func (s *Service) listed(w http.ResponseWriter, r *http.Request, q flat.Query) error {
	found, err := s.Records.Find(r.Context(), q)
	if err != nil {
		return err
	}
	shown, err := s.show(r.Context(), found.Records, false)
	if err != nil {
		return err
	}
	return api.List(w, r, appointmentList{shown}, found.PageOf(q))
}

func (s *Service) serveList(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	q, err := flat.QueryOf(r, "Appointment")
	if err != nil {
		return err
	}
	zone, err := s.zone(r.Context())
	if err != nil {
		return err
	}
	if err := filterStatus(&q, splitList(v, "status")); err != nil {
		return err
	}
	if err := s.filterParties(r.Context(), &q, v); err != nil {
		return err
	}
	if err := filterDays(&q, v, zone); err != nil {
		return err
	}
	switch q.Sort = v.Get("sort"); q.Sort {
	case "":
		q.Sort = "-date"
	case "-updatedAt":
		q.Sort = "-_lastUpdated"
	}
	return s.listed(w, r, q)
}

func (s *Service) serveToday(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	q, err := flat.QueryOf(r, "Appointment")
	if err != nil {
		return err
	}
	if v.Get("limit") == "" {
		q.Limit = api.MaxLimit
	}
	zone, err := s.zone(r.Context())
	if err != nil {
		return err
	}
	if err := filterStatus(&q, splitList(v, "status")); err != nil {
		return err
	}
	if err := s.filterParties(r.Context(), &q, v); err != nil {
		return err
	}
	from, to := flat.Day(s.Clock(), zone)
	q.With("date", flat.At("ge", from))
	q.With("date", flat.At("lt", to))
	q.Sort = "date"
	return s.listed(w, r, q)
}

func (s *Service) serveUpcoming(w http.ResponseWriter, r *http.Request) error {
	q, err := flat.QueryOf(r, "Appointment")
	if err != nil {
		return err
	}
	if err := s.filterParties(r.Context(), &q, r.URL.Query()); err != nil {
		return err
	}
	q.With("status", "booked,arrived")
	q.With("date", flat.At("ge", s.Clock()))
	q.Sort = "date"
	return s.listed(w, r, q)
}
