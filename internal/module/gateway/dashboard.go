package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

// The services' statistics, by the names that an answer has them under.
var statistics = map[string]string{
	"patients": "/api/v1/stats/patients", "appointments": "/api/v1/stats/appointments", "labs": "/api/v1/stats/labs", "medications": "/api/v1/stats/medications",
	"invoices": "/api/v1/stats/invoices", "facilities": "/api/v1/stats/facilities", "users": "/api/v1/stats",
}

// What no service knows yet, and why.
const (
	noStock = "no service keeps the stock of medicines yet"
	noTasks = "no service keeps tasks yet"
)

// figure is one figure of a dashboard: its name, and where it comes from: the statistics and the field, "labs" and "today.waiting"; or why nobody knows it.
type figure struct{ name, from, field, why string }

// dashboard is what a role sees first.
type dashboard struct {
	name    string // in the path
	role    string
	summary string
	own     bool // only what the caller does, where the caller is a practitioner
	health  bool // how the services do is told too
	figures []figure
}

// adminPermission is who may see every role's dashboard.
const adminPermission = "system:admin"

var dashboards = []dashboard{
	{name: "doctor", role: "doctor", summary: "A doctor's day", own: true, figures: []figure{
		{"today_appointments", "appointments", "todayAppointments", ""}, {"upcoming_appointments", "appointments", "upcoming", ""}, {"completed_today", "appointments", "today.completed", ""},
		{"total_patients", "patients", "totalPatients", ""}, {"active_patients", "patients", "activePatients", ""},
		{"pending_labs", "labs", "pendingTests", ""}, {"critical_labs", "labs", "criticalResults", ""},
		{"active_prescriptions", "medications", "activePrescriptions", ""}, {"expiring_prescriptions", "medications", "expiringPrescriptions", ""},
	}},
	{name: "nurse", role: "nurse", summary: "A nurse's day", figures: []figure{
		{"assigned_patients", "patients", "assignedPatients", ""}, {"medications_due", "medications", "dueDoses", ""}, {"medications_administered", "medications", "administeredToday", ""},
		{"pending_vitals", "patients", "pendingVitals", ""}, {"critical_vitals", "patients", "criticalVitals", ""},
	}},
	{name: "receptionist", role: "receptionist", summary: "The day at the reception", figures: []figure{
		{"today_appointments", "appointments", "todayAppointments", ""}, {"checked_in", "appointments", "today.checkedIn", ""}, {"waiting", "appointments", "today.waiting", ""},
		{"completed", "appointments", "today.completed", ""}, {"cancelled", "appointments", "today.cancelled", ""},
	}},
	{name: "admin", role: "admin", summary: "Users, facilities, and how the services do", health: true, figures: []figure{
		{"total_users", "users", "totalUsers", ""}, {"active_users", "users", "activeUsers", ""}, {"total_facilities", "facilities", "totalFacilities", ""},
	}},
	{name: "billing", role: "billing_clerk", summary: "Invoices, payments and claims", figures: []figure{
		{"outstanding_invoices", "invoices", "outstandingInvoices", ""}, {"total_outstanding", "invoices", "outstanding", ""}, {"payments_today", "invoices", "paymentsToday", ""},
		{"revenue_today", "invoices", "revenueToday", ""}, {"pending_claims", "invoices", "pendingClaims", ""}, {"approved_claims", "invoices", "approvedClaims", ""},
	}},
	{name: "lab", role: "lab_technician", summary: "The laboratory's day", figures: []figure{
		{"pending_tests", "labs", "pendingTests", ""}, {"in_progress", "labs", "inProgress", ""}, {"completed_today", "labs", "completedToday", ""},
		{"critical_results", "labs", "criticalResults", ""}, {"average_turnaround", "labs", "averageTurnaround", ""},
	}},
	{name: "pharmacist", role: "pharmacist", summary: "The pharmacy's day", figures: []figure{
		{"pending_prescriptions", "medications", "pendingPrescriptions", ""}, {"dispensed_today", "medications", "dispensedToday", ""},
		{"low_stock_items", "", "", noStock}, {"out_of_stock", "", "", noStock}, {"expiring_soon", "", "", noStock},
	}},
}

// doctorsExtra are the figures that ?role=doctor has beside those of the dashboard.
var doctorsExtra = []figure{{"pending_tasks", "", "", noTasks}, {"critical_alerts", "labs", "criticalResults", ""}}

// need is who may call the dashboard's route. A role cannot be said by a permission: that is asked by may.
func (d *dashboard) need() api.Need {
	if d.role == "admin" {
		return api.Permission(adminPermission)
	}
	return api.Known()
}

// may admits the dashboard's role, and administrators.
func (d *dashboard) may(c *access.Caller) error {
	if c.Permits(adminPermission) || slices.ContainsFunc(c.Roles, func(r string) bool { return access.CanonicalRole(r) == d.role }) {
		return nil
	}
	return fault.New(fault.Forbidden, "this dashboard is for the role %s", d.role)
}

// practitioner is the FHIR id of the practitioner that the caller is; "" where he is none.
func practitioner(c *access.Caller) string {
	for _, ref := range c.Self {
		if id, ok := strings.CutPrefix(ref, "Practitioner/"); ok {
			return id
		}
	}
	return ""
}

// found is a dashboard's figures. Those that are not known are nil, and unavailable says why.
type found struct {
	values      map[string]any
	unavailable map[string]string
}

// gather finds the figures: each statistics that they come from is asked once, all at the same time.
func (s *Service) gather(r *http.Request, figures []figure, provider string) *found {
	questions := map[string]question{}
	for _, f := range figures {
		if f.from == "" {
			continue
		}
		q := question{path: statistics[f.from]}
		if provider != "" && f.from != "patients" {
			q.query = url.Values{"providerId": {provider}}
		}
		questions[f.from] = q
	}
	parts := s.askAll(r, questions)
	out := &found{map[string]any{}, map[string]string{}}
	for _, f := range figures {
		v, why := f.of(parts[f.from])
		out.values[f.name] = v
		if v == nil {
			out.unavailable[f.name] = why
		}
	}
	return out
}

// of reads the figure from the statistics; where it is nil, why says the reason.
func (f *figure) of(p *part) (v any, why string) {
	switch {
	case f.why != "":
		return nil, f.why
	case p == nil:
		return nil, errNotAsked.Error()
	case p.err != nil:
		return nil, reason(p.err)
	}
	v = any(p.data)
	for name := range strings.SplitSeq(f.field, ".") {
		in, _ := v.(map[string]any)
		v = in[name]
	}
	if v != nil {
		return v, ""
	}
	reasons, _ := p.data["unavailable"].(map[string]any)
	if text, ok := reasons[f.field].(string); ok {
		return nil, text
	}
	return nil, "the service of " + f.from + " does not tell it"
}

// reason is what a caller is told of a part that failed.
func reason(err error) string {
	switch fault.KindOf(err) {
	case fault.NotFound:
		return "no service tells it yet"
	case fault.Forbidden, fault.Unauthenticated:
		return "the caller may not see it"
	case fault.Internal:
		return "the service failed"
	default:
		return err.Error()
	}
}

// data is the figures as one object.
func (f *found) data() map[string]any {
	f.values["unavailable"] = f.unavailable
	return f.values
}

// roleStats serves a role's dashboard, in the envelope that its front end reads.
func (s *Service) roleStats(d *dashboard) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := api.Only(r); err != nil {
			return err
		}
		data, err := s.dashboard(r, d, d.figures)
		if err != nil {
			return err
		}
		return api.Bare(w, http.StatusOK, map[string]any{"status": http.StatusOK, "success": true, "message": d.summary, "data": data,
			"timestamp": s.Clock().UTC().Format("2006-01-02T15:04:05.000Z"), "request_id": w.Header().Get("X-Request-Id")})
	}
}

// dashboard is the figures of a role, for a caller who may see them.
func (s *Service) dashboard(r *http.Request, d *dashboard, figures []figure) (map[string]any, error) {
	caller := access.From(r.Context())
	if err := d.may(&caller); err != nil {
		return nil, err
	}
	provider, scope := "", "all"
	if d.own {
		if provider = practitioner(&caller); provider != "" {
			scope = "own"
		}
	}
	out := s.gather(r, figures, provider)
	if d.own {
		out.values["scope"] = scope
	}
	if d.health {
		up, down := s.ready(r.Context())
		out.values["system_health"] = "healthy"
		if len(down) > 0 {
			out.values["system_health"] = "degraded"
		}
		out.values["services_status"] = map[string]int{"up": len(up), "down": len(down)}
	}
	return out.data(), nil
}

// readyTime bounds how long a service has to say that it is ready.
const readyTime = 2 * time.Second

// ready asks all services at once which of them are ready.
func (s *Service) ready(ctx context.Context) (up, down []string) {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	type said struct {
		name string
		err  error
	}
	answers := make(chan said, len(s.Services))
	for name, check := range s.Services {
		go func() { answers <- said{name, check(ctx)} }()
	}
	for range s.Services {
		if a := <-answers; a.err == nil {
			up = append(up, a.name)
		} else {
			s.Log.WarnContext(ctx, "a service is not ready", "service", a.name, "error", a.err.Error())
			down = append(down, a.name)
		}
	}
	slices.Sort(up)
	slices.Sort(down)
	return up, down
}

// servicesStatus answers GET /api/v1/services/status.
func (s *Service) servicesStatus(w http.ResponseWriter, r *http.Request) error {
	if err := api.Only(r); err != nil {
		return err
	}
	up, down := s.ready(r.Context())
	services := map[string]any{}
	for _, name := range up {
		services[name] = map[string]string{"status": "up"}
	}
	for _, name := range down {
		services[name] = map[string]string{"status": "down"}
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"services": services, "up": len(up), "down": len(down)})
}

// stats answers GET /api/v1/dashboard/stats.
func (s *Service) stats(w http.ResponseWriter, r *http.Request) error {
	role := r.URL.Query().Get("role")
	if role == "" {
		return s.everything(w, r)
	}
	want := access.CanonicalRole(role)
	if want == "super_admin" || want == "system_admin" || want == "hospital_admin" {
		want = "admin"
	}
	i := slices.IndexFunc(dashboards, func(d dashboard) bool { return d.role == want })
	if i < 0 {
		var names []string
		for _, d := range dashboards {
			names = append(names, d.role)
		}
		return fault.At(fault.Invalid, "role", "has no dashboard; those that have one are %s", strings.Join(names, ", ")).WithCode("value")
	}
	d := &dashboards[i]
	figures := d.figures
	if d.role == "doctor" {
		figures = append(slices.Clone(figures), doctorsExtra...)
	}
	data, err := s.dashboard(r, d, figures)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, camelled(data))
}

// everything is the statistics of all services, side by side, and the totals of the contract.
func (s *Service) everything(w http.ResponseWriter, r *http.Request) error {
	questions := map[string]question{}
	for _, name := range []string{"patients", "appointments", "labs", "medications", "invoices", "facilities"} {
		questions[name] = question{path: statistics[name]}
	}
	out := map[string]any{}
	unavailable := map[string]string{}
	parts := s.askAll(r, questions)
	for name, p := range parts {
		out[name] = nil
		if p.err != nil {
			unavailable[name] = reason(p.err)
			continue
		}
		out[name] = p.raw
	}
	for name, f := range totals {
		if p := parts[f.from]; p != nil {
			v, why := f.of(p)
			if out[name] = v; v == nil {
				unavailable[name] = why
			}
		}
	}
	out["unavailable"] = unavailable
	return api.Answer(w, r, http.StatusOK, out)
}

// totals are the figures that older dashboards read.
var totals = map[string]figure{
	"totalPatients": {"totalPatients", "patients", "totalPatients", ""}, "todayAppointments": {"todayAppointments", "appointments", "todayAppointments", ""},
	"pendingLabs": {"pendingLabs", "labs", "pendingTests", ""}, "activeMedications": {"activeMedications", "medications", "activePrescriptions", ""},
	"totalUsers": {"totalUsers", "users", "totalUsers", ""}, "lowStockItems": {"lowStockItems", "", "", noStock},
}

// totals answers GET /api/v1/data/dashboard/stats.
func (s *Service) totals(w http.ResponseWriter, r *http.Request) error {
	if err := api.Only(r); err != nil {
		return err
	}
	var figures []figure
	for _, f := range totals {
		figures = append(figures, f)
	}
	return api.Answer(w, r, http.StatusOK, s.gather(r, figures, "").data())
}

// camelled renames today_appointments to todayAppointments, in the data and in its reasons.
func camelled(data map[string]any) map[string]any {
	out := make(map[string]any, len(data))
	for name, v := range data {
		if why, ok := v.(map[string]string); ok {
			renamed := map[string]string{}
			for n, text := range why {
				renamed[camel(n)] = text
			}
			v = renamed
		}
		out[camel(name)] = v
	}
	return out
}

func camel(name string) string {
	parts := strings.Split(name, "_")
	for i, p := range parts[1:] {
		parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
	}
	return strings.Join(parts, "")
}

// numbered reads JSON without changing how numbers are written.
func numbered(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return fault.New(fault.Unavailable, "the service's answer cannot be read").Because(err)
	}
	return nil
}
