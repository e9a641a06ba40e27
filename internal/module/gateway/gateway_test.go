package gateway_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/module/gateway"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// peers are services that answer what the test says.
type peers struct {
	t       testing.TB
	mu      sync.Mutex
	answers map[string]string // by path; an answer that begins with a status fails
	asked   []*http.Request
	meet    *sync.WaitGroup // not nil: each request waits here for the others
	down    bool
}

// RoundTrip implements http.RoundTripper.
func (p *peers) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r)
	answer, there := p.answers[r.URL.Path]
	p.mu.Unlock()
	if p.meet != nil {
		p.meet.Done()
		p.meet.Wait()
	}
	if p.down {
		return nil, errors.New("no route to host")
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	status := 0
	switch n, _ := fmt.Sscanf(answer, "%d", &status); {
	case !there:
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.WriteString(`{"success":false,"error":{"code":"NOT_FOUND","message":"nothing stands at this path"}}`)
	case n == 1:
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"success":false,"error":{"code":"X","message":%q}}`, strings.TrimSpace(answer[3:]))
	case strings.HasPrefix(answer, "raw"):
		_, _ = w.WriteString(answer[3:])
	default:
		fmt.Fprintf(w, `{"success":true,"data":%s,"pagination":{"page":1,"total":7}}`, answer)
	}
	return w.Result(), nil
}

func (p *peers) paths() []string {
	var out []string
	for _, r := range p.asked {
		out = append(out, r.URL.RequestURI())
	}
	slices.Sort(out)
	return out
}

var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func serve(t testing.TB, p *peers, services map[string]func(context.Context) error) string {
	t.Helper()
	p.t = t
	s, err := gateway.New(context.Background(), gateway.Options{Peers: p, Services: services, Clock: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(s.Routes())
	if err != nil {
		t.Fatal(err)
	}
	policies, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		t.Fatal(err)
	}
	// Who calls is the role that the token names, with the practitioner behind a slash.
	edge, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		role, self, _ := strings.Cut(web.Bearer(r), "/")
		if role == "" {
			return access.Anonymous(), nil
		}
		pr := access.Principal{Tenant: 1, User: 7, Roles: []string{role}}
		for _, known := range access.DefaultRoles() {
			if known.Name == access.CanonicalRole(role) {
				pr.Permissions = known.Permissions
			}
		}
		g, err := policies.Grant(pr)
		c := access.Caller{Tenant: 1, Who: "User/7", User: 7, Roles: pr.Roles, Purpose: "TREAT", Grant: g}
		if self != "" {
			c.Self = []string{"Practitioner/" + self}
		}
		return c, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(edge.Wrap(h))
	t.Cleanup(srv.Close)
	return srv.URL
}

type answer struct {
	status int
	body   map[string]any
}

func (a *answer) at(path string) any {
	var v any = a.body
	for name := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func get(t testing.TB, url, role string, headers ...string) *answer {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+role)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := &answer{status: res.StatusCode}
	if err := json.NewDecoder(res.Body).Decode(&a.body); err != nil {
		t.Fatal(err)
	}
	return a
}

// hospital is what the services of a working day say.
func hospital() *peers {
	return &peers{answers: map[string]string{
		"/api/v1/stats/patients":     `{"totalPatients":1200,"newThisMonth":40,"activePatients":90}`,
		"/api/v1/stats/appointments": `{"todayAppointments":12,"upcoming":30,"byStatus":{"completed":900},"today":{"scheduled":3,"checkedIn":2,"completed":4,"cancelled":1,"waiting":2}}`,
		"/api/v1/stats/labs":         `{"pendingTests":5,"inProgress":2,"completedToday":9,"criticalResults":1,"averageTurnaround":null,"unavailable":{"averageTurnaround":"no report"}}`,
		"/api/v1/stats/medications":  `{"activePrescriptions":300,"pendingPrescriptions":20,"expiringPrescriptions":6,"dispensedToday":8,"administeredToday":11,"dueDoses":null,"unavailable":{"dueDoses":"no record says when"}}`,
		"/api/v1/stats/invoices":     `{"outstandingInvoices":3,"outstanding":1500.25,"paymentsToday":null,"revenueToday":null,"pendingClaims":2,"approvedClaims":1,"unavailable":{"paymentsToday":"no payments","revenueToday":"no payments"}}`,
		"/api/v1/stats/facilities":   `{"totalFacilities":2,"totalBeds":40}`,
		"/api/v1/stats":              `{"totalUsers":25,"activeUsers":20}`,
	}}
}

// The fields are those that the front end reads; one that nobody knows is null, with a reason.
func TestEachRoleHasItsDashboard(t *testing.T) {
	url := serve(t, hospital(), map[string]func(context.Context) error{"nilecare": func(context.Context) error { return nil }})
	for name, want := range map[string]map[string]any{
		"doctor/a": {"today_appointments": 12.0, "upcoming_appointments": 30.0, "completed_today": 4.0, "total_patients": 1200.0, "active_patients": 90.0, "pending_labs": 5.0, "critical_labs": 1.0,
			"active_prescriptions": 300.0, "expiring_prescriptions": 6.0, "scope": "own"},
		"nurse":        {"assigned_patients": nil, "medications_due": nil, "medications_administered": 11.0, "pending_vitals": nil, "critical_vitals": nil},
		"receptionist": {"today_appointments": 12.0, "checked_in": 2.0, "waiting": 2.0, "completed": 4.0, "cancelled": 1.0},
		"admin":        {"total_users": 25.0, "active_users": 20.0, "total_facilities": 2.0, "system_health": "healthy"},
		"billing":      {"outstanding_invoices": 3.0, "total_outstanding": 1500.25, "payments_today": nil, "revenue_today": nil, "pending_claims": 2.0, "approved_claims": 1.0},
		"lab":          {"pending_tests": 5.0, "in_progress": 2.0, "completed_today": 9.0, "critical_results": 1.0, "average_turnaround": nil},
		"pharmacist":   {"pending_prescriptions": 20.0, "dispensed_today": 8.0, "low_stock_items": nil, "out_of_stock": nil, "expiring_soon": nil},
	} {
		role, _, _ := strings.Cut(name, "/")
		a := get(t, url+"/api/v1/dashboard/"+role+"-stats", name, "X-Request-Id", "abc")
		if a.status != 200 || a.at("status") != 200.0 || a.at("success") != true || a.at("request_id") != "abc" || a.at("timestamp") != "2026-03-10T12:00:00.000Z" || a.at("message") == "" {
			t.Errorf("%s: %d %v", name, a.status, a.body)
		}
		data, _ := a.at("data").(map[string]any)
		for field, v := range want {
			got, there := data[field]
			why, _ := a.at("data.unavailable." + field).(string)
			if !there || got != v || (v == nil) != (why != "") {
				t.Errorf("%s: %s is %v (%q), want %v", name, field, got, why, v)
			}
		}
	}
	if a := get(t, url+"/api/v1/dashboard/admin-stats", "admin"); a.at("data.services_status.up") != 1.0 || a.at("data.services_status.down") != 0.0 {
		t.Errorf("services: %v", a.at("data"))
	}
}

func TestADoctorsFiguresAreHisOwn(t *testing.T) {
	p := hospital()
	get(t, serve(t, p, nil)+"/api/v1/dashboard/doctor-stats", "doctor/a1")
	want := []string{"/api/v1/stats/appointments?providerId=a1", "/api/v1/stats/labs?providerId=a1", "/api/v1/stats/medications?providerId=a1", "/api/v1/stats/patients"}
	if got := p.paths(); !slices.Equal(got, want) {
		t.Errorf("asked %v", got)
	}
}

func TestADashboardIsForItsRole(t *testing.T) {
	url := serve(t, hospital(), nil)
	for _, c := range []struct {
		role, path string
		status     int
	}{
		{"", "doctor-stats", 401}, {"nurse", "doctor-stats", 403}, {"physician", "doctor-stats", 200}, {"admin", "doctor-stats", 200}, {"lab_tech", "lab-stats", 200}, {"lab_technician", "lab-stats", 200},
		{"billing", "billing-stats", 200}, {"accountant", "billing-stats", 200}, {"super_admin", "admin-stats", 200}, {"system_admin", "admin-stats", 200}, {"doctor", "admin-stats", 403},
		{"doctor", "stats?role=nurse", 403}, {"doctor", "stats?role=doctor", 200}, {"lab_tech", "stats?role=lab-tech", 200}, {"doctor", "stats?role=cook", 400}, {"doctor", "stats?rolle=doctor", 400},
		{"patient", "receptionist-stats", 403}, {"doctor", "doctor-stats?x=1", 400},
	} {
		if a := get(t, url+"/api/v1/dashboard/"+c.path, c.role); a.status != c.status {
			t.Errorf("%s %s: %d, want %d: %v", c.role, c.path, a.status, c.status, a.body)
		}
	}
}

func TestARolesStatsByParameter(t *testing.T) {
	a := get(t, serve(t, hospital(), nil)+"/api/v1/dashboard/stats?role=doctor", "doctor")
	for field, want := range map[string]any{"todayAppointments": 12.0, "activePatients": 90.0, "pendingTasks": nil, "criticalAlerts": 1.0, "scope": "all"} {
		if got := a.at("data." + field); got != want {
			t.Errorf("%s is %v", field, got)
		}
	}
	if a.at("data.unavailable.pendingTasks") == nil {
		t.Error("no reason is told for tasks")
	}
}

func TestWithoutARoleAllServicesAreTold(t *testing.T) {
	p := hospital()
	p.answers["/api/v1/stats/invoices"] = "403 this needs the permission billing:read"
	delete(p.answers, "/api/v1/stats/facilities")
	a := get(t, serve(t, p, nil)+"/api/v1/dashboard/stats", "doctor")
	if a.at("data.patients.newThisMonth") != 40.0 || a.at("data.labs.pendingTests") != 5.0 || a.at("data.totalPatients") != 1200.0 || a.at("data.activeMedications") != 300.0 {
		t.Errorf("%v", a.body)
	}
	if a.at("data.invoices") != nil || a.at("data.unavailable.invoices") != "the caller may not see it" || a.at("data.unavailable.facilities") != "no service tells it yet" {
		t.Errorf("%v", a.at("data.unavailable"))
	}
}

// Every part is asked as the caller, in the same connection of requests, and with the request's own deadline.
func TestThePartsAreAskedAsTheCaller(t *testing.T) {
	p := hospital()
	url := serve(t, p, nil)
	get(t, url+"/api/v1/dashboard/stats", "doctor", "Cookie", "session=x", "X-API-Key", "k", "X-Request-Id", "r-1", "X-Tenant-ID", "1", "X-Purpose-Of-Use", "TREAT",
		"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-For", "9.9.9.9")
	if len(p.asked) != 6 {
		t.Fatalf("%d parts", len(p.asked))
	}
	for _, r := range p.asked {
		if c := access.From(r.Context()); c.User != 7 || c.RequestID != "r-1" {
			t.Errorf("%s is asked as %+v", r.URL.Path, c)
		}
		if _, ok := r.Context().Deadline(); !ok {
			t.Errorf("%s has no deadline", r.URL.Path)
		}
		for name, want := range map[string]string{"Authorization": "Bearer doctor", "Cookie": "session=x", "X-Api-Key": "k", "X-Request-Id": "r-1", "X-Tenant-Id": "1", "X-Purpose-Of-Use": "TREAT",
			"Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Forwarded-For": ""} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", r.URL.Path, name, got)
			}
		}
	}
}

// Each request waits for all others: were they asked one after the other, this would not end.
func TestThePartsAreAskedAtOnce(t *testing.T) {
	p := hospital()
	p.meet = &sync.WaitGroup{}
	p.meet.Add(6)
	if a := get(t, serve(t, p, nil)+"/api/v1/dashboard/stats", "doctor"); a.status != 200 {
		t.Errorf("%d", a.status)
	}
}

func TestAPatientInOneAnswer(t *testing.T) {
	p := &peers{answers: map[string]string{
		"/api/v1/patients/12": `{"id":"12","patient":{"id":"12","firstName":"Amina"}}`, "/api/v1/appointments": `{"appointments":[{"id":"1"},{"id":"2"}]}`,
		"/api/v1/labs": "503 try again", "/api/v1/patients/12/vital-signs": `[{"id":"9"}]`, "/api/v1/medications": "raw<html>",
	}}
	url := serve(t, p, nil)
	a := get(t, url+"/api/v1/patients/12/complete", "doctor")
	appointments, _ := a.at("data.appointments").([]any)
	vitals, _ := a.at("data.vitalSigns").([]any)
	labs, isList := a.at("data.labOrders").([]any)
	if a.status != 200 || a.at("success") != true || a.at("data.patient.firstName") != "Amina" || len(appointments) != 2 || len(vitals) != 1 || !isList || len(labs) != 0 {
		t.Fatalf("%d %v", a.status, a.body)
	}
	if a.at("errors.patient") != nil || a.at("errors.appointments") != nil || a.at("errors.labOrders") != "try again" || a.at("errors.medications") == nil {
		t.Errorf("errors: %v", a.at("errors"))
	}
	if errs, _ := a.at("errors").(map[string]any); len(errs) != 5 {
		t.Errorf("errors: %v", errs)
	}
	for _, r := range p.asked {
		if strings.HasPrefix(r.URL.Path, "/api/v1/appointments") && r.URL.Query().Get("patientId") != "12" {
			t.Errorf("asked %s", r.URL)
		}
	}
	for path, want := range map[string]int{"/api/v1/patients/13/complete": 404, "/api/v1/patients/12%2Fx/complete": 404, "/api/v1/patients/12/complete?x=1": 400} {
		if got := get(t, url+path, "doctor"); got.status != want {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if got := get(t, url+"/api/v1/patients/12/complete", "super_admin"); got.status != 403 {
		t.Errorf("who sees no patients: %d", got.status)
	}
}

func TestPatientsAreSearchedFor(t *testing.T) {
	p := &peers{answers: map[string]string{"/api/v1/patients": `{"patients":[{"id":"1"}]}`}}
	url := serve(t, p, nil)
	a := get(t, url+"/api/v1/search/patients?q=am&limit=5", "doctor")
	if found, _ := a.at("data.patients").([]any); len(found) != 1 || a.at("pagination.total") != 7.0 || p.asked[0].URL.RawQuery != "limit=5&search=am" {
		t.Errorf("%v; asked %v", a.body, p.paths())
	}
	for query, want := range map[string]int{"": 400, "?q=a&search=b": 400, "?q=a&x=1": 400, "?search=a": 200, "?q=a&limit=1000": 400} {
		if got := get(t, url+"/api/v1/search/patients"+query, "doctor"); got.status != want {
			t.Errorf("%q: %d", query, got.status)
		}
	}
	p.answers["/api/v1/patients"] = "503 later"
	if got := get(t, url+"/api/v1/search/patients?q=a", "doctor"); got.status != 503 {
		t.Errorf("a search that failed: %d", got.status)
	}
}

func TestActivitiesAreThoseOfLast(t *testing.T) {
	p := &peers{answers: map[string]string{
		"/api/v1/patients":     `{"patients":[{"id":"1","createdAt":"2026-03-01T00:00:00.000Z","updatedAt":"2026-03-09T00:00:00.000Z"}]}`,
		"/api/v1/appointments": `{"appointments":[{"id":"5","patientId":"1","status":"scheduled","createdAt":"2026-03-10T00:00:00.000Z","updatedAt":"2026-03-10T00:00:00.000Z"}]}`,
	}}
	a := get(t, serve(t, p, nil)+"/api/v1/dashboard/activities?limit=5", "doctor")
	all, _ := a.at("data.activities").([]any)
	want := []any{
		map[string]any{"id": "5", "type": "appointment", "action": "created", "status": "scheduled", "patientId": "1", "timestamp": "2026-03-10T00:00:00.000Z"},
		map[string]any{"id": "1", "type": "patient", "action": "updated", "patientId": "1", "timestamp": "2026-03-09T00:00:00.000Z"},
	}
	if fmt.Sprint(all) != fmt.Sprint(want) || a.at("data.unavailable.encounters") == nil {
		t.Errorf("%v", a.body)
	}
}

// A figure that could not be asked for is not 0.
func TestServicesThatAreDownAreSaidToBe(t *testing.T) {
	p := hospital()
	p.down = true
	url := serve(t, p, map[string]func(context.Context) error{
		"one": func(context.Context) error { return nil },
		"two": func(context.Context) error { return errors.New("no database") },
		"three": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
	})
	a := get(t, url+"/api/v1/dashboard/admin-stats", "admin")
	if a.at("data.total_users") != nil || a.at("data.unavailable.total_users") == nil || a.at("data.system_health") != "degraded" || a.at("data.services_status.up") != 1.0 || a.at("data.services_status.down") != 2.0 {
		t.Errorf("%v", a.body)
	}
	if a = get(t, url+"/api/v1/services/status", "admin"); a.at("data.services.two.status") != "down" || a.at("data.services.one.status") != "up" {
		t.Errorf("%v", a.body)
	}
	if a = get(t, url+"/api/v1/patients/12/complete", "doctor"); a.status != 200 || a.at("data.patient") != nil || a.at("errors.patient") == nil {
		t.Errorf("%v", a.body)
	}
}

func TestOlderDashboardsHaveTheirTotals(t *testing.T) {
	a := get(t, serve(t, hospital(), nil)+"/api/v1/data/dashboard/stats", "admin")
	for field, want := range map[string]any{"totalPatients": 1200.0, "totalUsers": 25.0, "todayAppointments": 12.0, "pendingLabs": 5.0, "activeMedications": 300.0, "lowStockItems": nil} {
		if got := a.at("data." + field); got != want {
			t.Errorf("%s is %v", field, got)
		}
	}
}

func BenchmarkRoleDashboardWithoutServices(b *testing.B) {
	url := serve(b, hospital(), nil)
	for b.Loop() {
		get(b, url+"/api/v1/dashboard/doctor-stats", "doctor/a")
	}
}
