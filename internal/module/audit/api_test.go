package audit_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
	"github.com/nilecare/nilecare/internal/module/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web/api"
)

// permits is a grant of permissions alone.
type permits map[string]bool

func (p permits) Extent(_ access.Action, typ string) access.Extent {
	if typ == "AuditEvent" && p["no-events"] {
		return access.None()
	}
	return access.All()
}
func (p permits) Permits(name string) bool { return p[name] }
func (permits) Masked(string) []string     { return nil }

// site is a served module.
type site struct {
	*world
	service *audit.Service
	url     string
}

func serve(t *testing.T, s *record.Store) *site {
	w := begin(t, s, ledger.Options{AnchorBlocks: 1})
	service, err := audit.New(ctx, audit.Options{Ledger: w.ledger, Log: w.log, Poll: 20 * time.Millisecond, Beat: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	routes, err := api.New(service.Routes())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := access.Anonymous()
		if who := r.Header.Get("Test-Who"); who != "" {
			grant := permits{}
			for _, p := range strings.Fields(r.Header.Get("Test-Permissions")) {
				grant[p] = true
			}
			c = access.Caller{Tenant: 1, Who: who, Grant: grant, Self: strings.Fields(r.Header.Get("Test-Self")), Purpose: "HOPERAT"}
			if v := r.Header.Get("Test-Tenant"); v == "2" {
				c.Tenant = 2
			}
		}
		routes.ServeHTTP(rw, r.WithContext(access.With(r.Context(), c)))
	}))
	t.Cleanup(server.Close)
	return &site{w, service, server.URL}
}

var auditor = []string{"Test-Who", "User/1", "Test-Permissions", "audit:read audit:export"}

func (s *site) do(method, path, body string, headers ...string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

type answer struct {
	Success bool `json:"success"`
	Data    struct {
		Logs        []map[string]any `json:"logs"`
		Log         map[string]any   `json:"log"`
		Events      []map[string]any `json:"events"`
		Disclosures []map[string]any `json:"disclosures"`
		Intact      bool             `json:"intact"`
		Entries     int              `json:"entries"`
		ByKind      map[string]int   `json:"byKind"`
	} `json:"data"`
	Pagination struct {
		Total, Pages int
		Next         string
	} `json:"pagination"`
}

func (s *site) get(path string, headers ...string) answer {
	s.t.Helper()
	if headers == nil {
		headers = auditor
	}
	status, text := s.do("GET", path, "", headers...)
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil || status != 200 {
		s.t.Fatalf("GET %s: %d %s", path, status, text)
	}
	return a
}

// note notes entries and has them written.
func (s *site) notes(entries ...ledger.Entry) {
	s.t.Helper()
	for _, e := range entries {
		if e.Tenant == 0 {
			e.Tenant = 1
		}
		s.log.Note(e)
	}
	s.flush()
}

// Queries hold names and numbers of patients: they are told to those who may read AuditEvents, their parameters to all who may read the audit.
func TestWhatWasSearchedForIsNotForEverybodyWhoReadsTheAudit(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		s := serve(t, store)
		s.notes(ledger.Entry{Kind: ledger.Rest, Action: "search", Who: "User/6", Type: "Patient", Query: "phone=%2B249912000777&name:exact=osman&%2B249912000777&_count=2&0912000777=x"},
			ledger.Entry{Kind: ledger.Export, Action: "export", Who: "User/6", Type: "Patient", Query: "Patient?_since=osman"}, ledger.Entry{Kind: ledger.Rest, Action: "search", Who: "User/6", Query: "summary"})
		outside := []string{"Test-Who", "User/1", "Test-Permissions", "audit:read audit:export no-events"}
		list := s.get("/api/v1/audit-logs?user=6", outside...)
		var got []string
		for _, l := range list.Data.Logs {
			got = append(got, l["query"].(string))
		}
		if want := []string{"summary", "Patient?_since=…", "phone=…&name:exact=…&…&_count=…&…=…"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		paths := []string{"/api/v1/audit-logs?user=6", "/api/v1/audit/logs/user/6"}
		for _, l := range list.Data.Logs {
			paths = append(paths, "/api/v1/audit-logs/"+l["id"].(string))
		}
		for _, format := range []string{"json", "ndjson", "csv", "cef"} {
			paths = append(paths, "/api/v1/audit-logs/export?user=6&format="+format)
		}
		for _, path := range paths {
			if status, text := s.do("GET", path, "", outside...); status != 200 || strings.Contains(text, "osman") || strings.Contains(text, "912000777") {
				t.Errorf("%s: %d %s", path, status, text)
			}
		}
		if _, text := s.do("GET", "/api/v1/audit-logs/export?user=6", "", auditor...); !strings.Contains(text, "name:exact=osman") {
			t.Errorf("who may read it all: %s", text)
		}
	})
}

func TestAPI(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, store *record.Store) {
		s := serve(t, store)
		res, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","id":"osman","name":[{"family":"Osman"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		out, err := store.Write(ctx, []record.Change{{Op: record.Update, Type: "Patient", ID: "osman", Resource: res}})
		if err != nil {
			t.Fatal(err)
		}
		num := out[0].Version.Num
		s.notes(
			ledger.Entry{Kind: ledger.Rest, Action: "read", Who: "User/5", Name: "Amna Idris", Type: "Patient", Num: num, VID: 1, Patients: []int64{num}, Purpose: "TREAT", Address: "192.0.2.1", Request: "rq-1", Count: 1},
			ledger.Entry{Kind: ledger.Rest, Action: "search", Who: "User/6", Type: "Observation", Patients: []int64{num, 99}, Query: "code=1234-5&patient=osman", Purpose: "PUBHLTH", Count: 2},
			ledger.Entry{Kind: ledger.Export, Action: "export", Who: "User/6", Client: "registry", Patients: []int64{num}, Purpose: "HRESCH", Count: 40},
			ledger.Entry{Kind: ledger.Session, Action: "login", Outcome: ledger.Minor, Who: "anonymous", Address: "192.0.2.9", Detail: "wrong password"},
			ledger.Entry{Kind: ledger.Admin, Action: "create", Who: "User/1", Type: "User", Num: 77},
			ledger.Entry{Tenant: 2, Kind: ledger.Admin, Action: "create", Who: "User/900", Type: "User", Num: 900},
		)
		t.Run("filters", func(t *testing.T) {
			for query, want := range map[string]int{
				"user=5": 1, "user=User/6": 2, "patient=osman": 4, "patient=" + strconv.FormatInt(num, 10): 4, "patient=99": 1, "type=Observation": 1, "type=Patient&id=osman": 2,
				"action=read,login": 2, "outcome=failure": 1, "outcome=success&user=6": 2, "kind=export": 1, "kind=session,admin": 2, "from=2999-01-01": 0, "to=2001-01-01": 0,
				"from=2001-01-01&patient=osman&action=update": 0, "patient=osman&action=create": 1, "type=User": 1,
			} {
				if a := s.get("/api/v1/audit-logs?" + query); len(a.Data.Logs) != want || a.Pagination.Total != want {
					t.Errorf("%s: %d logs, total %d, want %d", query, len(a.Data.Logs), a.Pagination.Total, want)
				}
			}
			for path, want := range map[string]int{"/api/v1/audit/logs/user/6": 2, "/api/v1/audit-logs/user/User%2F5?action=read": 1, "/api/v1/audit-logs/resource/Patient/osman": 2, "/api/v1/audit-logs/resource/User/77": 1} {
				if a := s.get(path); len(a.Data.Logs) != want {
					t.Errorf("%s: %d logs, want %d", path, len(a.Data.Logs), want)
				}
			}
			a := s.get("/api/v1/audit-logs?user=5")
			l := a.Data.Logs[0]
			for k, want := range map[string]any{"kind": "rest", "action": "read", "outcome": "success", "userId": "User/5", "userName": "Amna Idris", "ipAddress": "192.0.2.1", "requestId": "rq-1",
				"purpose": "TREAT", "resourceType": "Patient", "resourceId": "osman", "intact": true} {
				if l[k] != want {
					t.Errorf("%s is %v, want %v", k, l[k], want)
				}
			}
			if one := s.get("/api/v1/audit/logs/" + l["id"].(string)); one.Data.Log["requestId"] != "rq-1" {
				t.Errorf("%v", one.Data.Log)
			}
		})
		t.Run("refused", func(t *testing.T) {
			reader := []string{"Test-Who", "User/2", "Test-Permissions", "audit:read"}
			for _, c := range []struct {
				method, path string
				headers      []string
				want         int
			}{
				{"GET", "/api/v1/audit-logs", nil, 401},
				{"GET", "/api/v1/audit-logs", []string{"Test-Who", "User/2"}, 403},
				{"GET", "/api/v1/audit-logs/export", reader, 403},
				{"GET", "/api/v1/audit-logs?colour=red", reader, 400},
				{"GET", "/api/v1/audit-logs?from=tomorrow", reader, 400},
				{"GET", "/api/v1/audit-logs?outcome=odd", reader, 400},
				{"GET", "/api/v1/audit-logs?limit=0", reader, 400},
				{"GET", "/api/v1/audit-logs/12", reader, 404},
				{"GET", "/api/v1/audit-logs/x", reader, 404},
				{"GET", "/api/v1/audit-logs/export?format=xml", auditor, 400},
				{"GET", "/api/v1/security-events?severity=worst", reader, 400},
				{"POST", "/api/v1/security-events/12/acknowledge", reader, 404},
				{"GET", "/api/v1/patients/osman/access-log", nil, 401},
				{"GET", "/api/v1/patients/osman/access-log", []string{"Test-Who", "User/3", "Test-Self", "Patient/other"}, 403},
				{"GET", "/api/v1/patients/nobody/access-log", reader, 404},
				{"GET", "/api/v1/patients/osman/disclosures", []string{"Test-Who", "User/3"}, 403},
			} {
				if status, text := s.do(c.method, c.path, "", c.headers...); status != c.want {
					t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, text, c.want)
				}
			}
		})
		t.Run("tenants", func(t *testing.T) {
			a := s.get("/api/v1/audit-logs", "Test-Who", "User/900", "Test-Permissions", "audit:read", "Test-Tenant", "2")
			if len(a.Data.Logs) != 1 || a.Data.Logs[0]["userId"] != "User/900" {
				t.Errorf("%v", a.Data.Logs)
			}
		})
		t.Run("a patient's own", func(t *testing.T) {
			own := []string{"Test-Who", "User/50", "Test-Self", "Patient/osman"}
			a := s.get("/api/v1/patients/osman/access-log", own...)
			if len(a.Data.Logs) < 4 {
				t.Fatalf("%v", a.Data.Logs)
			}
			for _, l := range a.Data.Logs {
				if p := l["patientIds"].([]any); len(p) != 1 || p[0] != "osman" || l["ipAddress"] != nil || l["query"] != nil {
					t.Errorf("it tells too much: %v", l)
				}
			}
			for _, headers := range [][]string{own, auditor} {
				d := s.get("/api/v1/patients/osman/disclosures", headers...).Data.Disclosures
				if len(d) != 2 || d[0]["purpose"] != "PUBHLTH" || d[1]["recipient"] != "registry" {
					t.Errorf("disclosures: %v", d)
				}
			}
		})
		t.Run("pages", func(t *testing.T) {
			for i := range 25 {
				s.log.Note(ledger.Entry{Tenant: 1, Kind: ledger.Rest, Action: "vread", Who: "User/8", Type: "Basic", Num: int64(1000 + i), VID: 1})
			}
			s.flush()
			seen := map[any]bool{}
			cursor := ""
			for range 3 {
				a := s.get("/api/v1/audit-logs?user=8&action=vread&limit=10&cursor=" + cursor)
				for _, l := range a.Data.Logs {
					seen[l["id"]] = true
				}
				if a.Pagination.Total != 25 || a.Pagination.Pages != 3 {
					t.Errorf("%+v", a.Pagination)
				}
				cursor = a.Pagination.Next
			}
			if len(seen) != 25 || cursor != "" {
				t.Errorf("%d entries, and a cursor %q", len(seen), cursor)
			}
			if a := s.get("/api/v1/audit-logs?user=8&limit=10&page=3"); len(a.Data.Logs) != 5 {
				t.Errorf("page 3 has %d", len(a.Data.Logs))
			}
		})
		t.Run("export", func(t *testing.T) {
			_, text := s.do("GET", "/api/v1/audit-logs/export?user=6&format=json", "", auditor...)
			var list []map[string]any
			if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 2 || list[0]["action"] != "search" {
				t.Errorf("%v %s", err, text)
			}
			_, text = s.do("GET", "/api/v1/audit-logs/export?user=8&format=ndjson", "", auditor...)
			if n := strings.Count(text, "\n"); n != 25 {
				t.Errorf("%d lines", n)
			}
			_, text = s.do("GET", "/api/v1/audit-logs/export?user=5,6&format=csv", "", auditor...)
			rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
			if err != nil || len(rows) != 4 || rows[0][0] != "id" {
				t.Errorf("%v %v", err, rows)
			}
			_, text = s.do("GET", "/api/v1/audit-logs/export?user=6&format=cef", "", auditor...)
			if !strings.HasPrefix(text, "CEF:0|nilecare|nilecare|1|rest.search|rest search|1|rt=") || !strings.Contains(text, `request=code\=1234-5&patient\=osman`) {
				t.Error(text)
			}
			s.flush()
			if a := s.get("/api/v1/audit-logs?kind=export&type=AuditEvent"); len(a.Data.Logs) != 4 {
				t.Errorf("%d exports are audited", len(a.Data.Logs))
			}
		})
		t.Run("verify", func(t *testing.T) {
			s.flush()
			if a := s.get("/api/v1/audit-logs/verify"); !a.Data.Intact || a.Data.Entries < 30 {
				t.Errorf("%+v", a.Data)
			}
			if a := s.get("/api/v1/audit-logs/summary"); a.Data.ByKind["session"] != 1 || a.Data.ByKind["rest"] < 27 {
				t.Errorf("%v", a.Data.ByKind)
			}
		})
		t.Run("events", s.events)
		t.Run("fhir", func(t *testing.T) { s.fhir(t, num) })
	})
}

// events are listed, filtered, acknowledged once, and streamed.
func (s *site) events(t *testing.T) {
	first := ledger.Entry{Kind: ledger.Security, Action: "failed-logins", Outcome: ledger.Minor, Who: "User/5", Severity: "high", Detail: "five"}
	s.notes(first, ledger.Entry{Kind: ledger.Security, Action: "privileges-changed", Who: "User/1", Severity: "medium", Type: "Role", Num: 3})
	if a := s.get("/api/v1/security-events"); len(a.Data.Events) != 2 {
		t.Fatalf("%v", a.Data.Events)
	}
	a := s.get("/api/v1/security-events?severity=high,critical&acknowledged=false")
	if len(a.Data.Events) != 1 || a.Data.Events[0]["type"] != "failed-logins" || a.Data.Events[0]["acknowledged"] != false {
		t.Fatalf("%v", a.Data.Events)
	}
	id := a.Data.Events[0]["id"].(string)
	if status, text := s.do("POST", "/api/v1/security-events/"+id+"/acknowledge", `{"note":"it was me"}`, auditor...); status != 200 || !strings.Contains(text, `"note":"it was me"`) {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := s.do("POST", "/api/v1/security-events/"+id+"/acknowledge", ``, auditor...); status != 409 {
		t.Errorf("a second time: %d", status)
	}
	if a := s.get("/api/v1/security-events?acknowledged=true"); len(a.Data.Events) != 1 || a.Data.Events[0]["acknowledgedBy"] != "User/1" || a.Data.Events[0]["note"] != "it was me" {
		t.Errorf("%v", a.Data.Events)
	}
	if a := s.get("/api/v1/security-events?type=privileges-changed"); len(a.Data.Events) != 1 {
		t.Errorf("%v", a.Data.Events)
	}
	// Behind the first: the second at once, then the one that comes.
	c, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(c, "GET", s.url+"/api/v1/security-events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Test-Who", "User/1")
	req.Header.Set("Test-Permissions", "audit:read")
	req.Header.Set("Last-Event-ID", id)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get("Content-Type") != "text/event-stream" {
		t.Error(res.Header)
	}
	lines := bufio.NewScanner(res.Body)
	var data []string
	alive := false
	for lines.Scan() && (len(data) < 2 || !alive) {
		line := lines.Text()
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			if data = append(data, text); len(data) == 1 {
				s.notes(ledger.Entry{Kind: ledger.Security, Action: "break-glass", Who: "User/9", Severity: "high"})
			}
		}
		alive = alive || line == ": alive"
	}
	if len(data) != 2 || !strings.Contains(data[0], "privileges-changed") || !strings.Contains(data[1], "break-glass") {
		t.Errorf("%q", data)
	}
}

// fhir searches and reads AuditEvents as an auditor, and as the patient.
func (s *site) fhir(t *testing.T, num int64) {
	search := func(c context.Context, want int, params ...string) []*fhir.Resource {
		t.Helper()
		var ps []audit.Param
		for i := 0; i < len(params); i += 2 {
			ps = append(ps, audit.Param{Name: params[i], Value: params[i+1]})
		}
		found, err := s.service.Search(c, ps)
		if err != nil {
			t.Fatal(params, err)
		}
		if want >= 0 && len(found.Resources) != want {
			t.Errorf("%v: %d AuditEvents, want %d", params, len(found.Resources), want)
		}
		for _, r := range found.Resources {
			for _, i := range validate.Resource(r) {
				t.Errorf("%v: %s %s", params, i.Expression, i.Diagnostics)
			}
		}
		return found.Resources
	}
	reader := access.With(ctx, access.Caller{Tenant: 1, Who: "User/1", Grant: permits{"audit:read": true}})
	search(reader, 1, "agent", "User/5", "action", "R")
	search(reader, 1, "patient", "Patient/osman", "action", "R")
	search(reader, 1, "entity", "Basic/1000", "_count", "5")
	search(reader, 25, "agent", "User/8", "date", "ge2001", "_sort", "-date")
	search(reader, 0, "date", "lt2001-01-01")
	search(reader, 0, "patient", "nobody")
	search(reader, 1, "outcome", "4", "type", "110114")
	search(reader, 0, "action", "D")
	all := search(reader, -1, "_count", "500")
	if len(all) < 30 {
		t.Errorf("%d AuditEvents", len(all))
	}
	one, err := s.service.Read(reader, all[0].ID())
	if err != nil || one.ID() != all[0].ID() {
		t.Errorf("%v", err)
	}
	for _, p := range []audit.Param{{Name: "colour", Value: "red"}, {Name: "action", Value: "X"}, {Name: "_sort", Value: "date"}, {Name: "date", Value: "soon"}} {
		if _, err := s.service.Search(reader, []audit.Param{p}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", p, err)
		}
	}
	own := access.With(ctx, access.Caller{Tenant: 1, Who: "User/50", Self: []string{"Patient/osman"}, Grant: permits{}})
	for _, r := range search(own, -1, "patient", "Patient/osman") {
		if strings.Contains(string(r.AppendJSON(nil)), "Patient/99") {
			t.Error("another patient is told")
		}
	}
	for _, params := range [][]audit.Param{nil, {{Name: "patient", Value: "99"}}} {
		if _, err := s.service.Search(own, params); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%v: %v", params, err)
		}
	}
	if _, err := s.service.Read(own, all[0].ID()); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}

// TestRender demands that entries of every kind are valid AuditEvents.
func TestRender(t *testing.T) {
	for _, e := range []ledger.Entry{
		{ID: 1 << 50, Kind: ledger.Rest, Action: "read", Who: "User/1", Name: "Amna", Client: "app", Session: 4, Purpose: "TREAT", Address: "2001:db8::1", Request: "r", Type: "Patient", Num: 5, VID: 2, Patients: []int64{5}, Count: 1},
		{ID: 1 << 50, Kind: ledger.Rest, Action: "search", Who: "anonymous", Outcome: ledger.Minor, Type: "Observation", Query: "code=1&subject:Patient.name=osmän", Detail: "refused"},
		{ID: 1 << 50, Kind: ledger.Rest, Action: "delete", Who: "User/1", Type: "Basic", Num: 7, VID: 3},
		{ID: 1 << 50, Kind: ledger.Rest, Action: "transaction", Who: "Client/x", Count: 40, Patients: []int64{1, 2, 3}},
		{ID: 1 << 50, Kind: ledger.Session, Action: "login", Outcome: ledger.Serious},
		{ID: 1 << 50, Kind: ledger.Admin, Action: "role-assign", Who: "User/1", Type: "Role", Num: 3, Detail: "doctor"},
		{ID: 1 << 50, Kind: ledger.Security, Action: "break-glass", Outcome: ledger.Minor, Who: "User/1", Severity: "high", Detail: "unconscious"},
		{ID: 1 << 50, Kind: ledger.Export, Action: "export", Who: "User/1", Count: 1000, Query: "Patient?_type=Observation"},
		{ID: 1},
	} {
		r := audit.Render(e)
		for _, i := range validate.Resource(r) {
			t.Errorf("%s: %s: %s", e.Action, i.Expression, i.Diagnostics)
		}
		if e.Query != "" {
			found := false
			for x := range each(r.Get("entity")) {
				text, err := base64.StdEncoding.DecodeString(x.Str("query"))
				found = found || err == nil && strings.HasSuffix(string(text), e.Query)
			}
			if !found {
				t.Errorf("the query is lost: %s", r.AppendJSON(nil))
			}
		}
	}
}

func each(n *fhir.Node) func(func(*fhir.Node) bool) {
	return func(yield func(*fhir.Node) bool) {
		for x := n.First(); x != nil && yield(x); x = x.Next() {
		}
	}
}
