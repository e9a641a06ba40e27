package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/module/events"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

type data struct {
	PatientID string `json:"patientId"`
	Family    string `json:"family"`
}

func source() event.Source {
	return event.Source{
		Kinds: []event.Kind{{Name: "patient.created", Topic: event.PatientEvents, Version: 1, Summary: "A patient was registered", Data: data{}}},
		Types: []string{"Patient"},
		Tell: func(c event.Change) []event.Fact {
			return []event.Fact{{Kind: "patient.created", Patient: "Patient/" + c.ID, Data: data{c.Self(), c.New.Get("name").First().Str("family")}}}
		},
	}
}

// notes is the audit of these tests.
type notes struct{ c chan audit.Entry }

func (n notes) Note(e audit.Entry) { n.c <- e }

type site struct {
	*testing.T
	store  *record.Store
	hub    *event.Hub
	url    string
	noted  notes
	healed atomic.Bool
}

// grant is permissions alone.
type grant []string

func (grant) Extent(access.Action, string) access.Extent { return access.None() }
func (grant) Masked(string) []string                     { return nil }
func (g grant) Permits(p string) bool {
	for _, one := range g {
		if one == p {
			return true
		}
	}
	return false
}

// each serves the module behind a real edge, with a reader that fails on patients of the family Poison until it is healed.
func each(t *testing.T, f func(s *site)) {
	t.Helper()
	n := notes{make(chan audit.Entry, 1000)}
	storetest.Each(t, record.Options{Tables: event.Tables(), Audit: n}, func(t *testing.T, store *record.Store) {
		ctx := context.Background()
		for len(n.c) > 0 {
			<-n.c
		}
		if err := store.Ledger().Migrate(ctx, event.Module, event.Migrations()); err != nil {
			t.Fatal(err)
		}
		hub, err := event.New(ctx, event.Options{Store: store, Sources: []event.Source{source()}, Retry: []time.Duration{time.Millisecond}, Instance: "https://care.example"})
		if err != nil {
			t.Fatal(err)
		}
		s := &site{T: t, store: store, hub: hub, noted: n}
		hub.Read("mailer", event.FromBeginning, func(_ context.Context, e event.Event) error {
			if strings.Contains(string(e.Data), "Poison") && !s.healed.Load() {
				return errors.New("it cannot be")
			}
			return nil
		})
		running, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); hub.Run(running) }()
		t.Cleanup(func() { stop(); <-done })
		h, err := api.New(events.New(hub, store).Routes())
		if err != nil {
			t.Fatal(err)
		}
		e, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
			c := access.Caller{Tenant: 1, Who: "User/7", Grant: grant(strings.Fields(r.Header.Get("Test-Permissions")))}
			if r.Header.Get("Test-Tenant") != "" {
				c.Tenant = 2
			}
			return c, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(e.Wrap(h))
		t.Cleanup(srv.Close)
		s.url = srv.URL
		f(s)
	})
}

func (s *site) patient(tenant int32, family string) {
	s.Helper()
	r, err := fhir.ParseResource(fmt.Appendf(nil, `{"resourceType":"Patient","name":[{"family":%q}]}`, family))
	if err == nil {
		_, err = s.store.Write(access.With(context.Background(), access.System(tenant)), []record.Change{{Op: record.Create, Type: "Patient", Resource: r}})
	}
	if err != nil {
		s.Fatal(err)
	}
	for { // a transaction that began before may still be under way: what it may come between is told when it has ended
		settled, last, err := s.store.Settled(context.Background())
		if err != nil {
			s.Fatal(err)
		}
		if settled == last {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// do asks with permissions and returns the status and the answer's data, or its error.
func (s *site) do(method, path, permissions, body string, headers ...string) (int, map[string]any) {
	s.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Test-Permissions", permissions)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	var a map[string]any
	if err := json.Unmarshal(text, &a); err != nil {
		s.Fatalf("%s %s: %s", method, path, text)
	}
	for _, part := range []string{"data", "error"} {
		if inner, ok := a[part].(map[string]any); ok {
			return res.StatusCode, inner
		}
	}
	return res.StatusCode, a
}

func (s *site) get(path, permissions string) map[string]any {
	s.Helper()
	status, data := s.do("GET", path, permissions, "")
	if status != 200 {
		s.Fatalf("GET %s: %d %v", path, status, data)
	}
	return data
}

func list(data map[string]any, name string) (out []map[string]any) {
	all, _ := data[name].([]any)
	for _, one := range all {
		m, _ := one.(map[string]any)
		out = append(out, m)
	}
	return out
}

// letters waits for n dead letters.
func (s *site) letters(n int) []map[string]any {
	s.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if all := list(s.get("/api/v1/events/dead-letters", events.Manage), "deadLetters"); len(all) == n {
			return all
		}
	}
	s.Fatalf("in a minute it did not come to %d dead letters", n)
	return nil
}

// audited waits for an entry of an action.
func (s *site) audited(action string) audit.Entry {
	s.Helper()
	for end := time.After(time.Minute); ; {
		select {
		case e := <-s.noted.c:
			if e.Action == action {
				return e
			}
		case <-end:
			s.Fatalf("nothing tells the audit of %s", action)
		}
	}
}

func TestTheLogIsServedFromAnyPointAsCloudEvents(t *testing.T) {
	each(t, func(s *site) {
		for _, family := range []string{"One", "Two", "Three"} {
			s.patient(1, family)
		}
		s.patient(2, "Other")
		first := s.get("/api/v1/events?limit=2", events.Read)
		got := list(first, "events")
		if len(got) != 2 || got[0]["specversion"] != "1.0" || got[0]["type"] != "nilecare.patient.created.v1" || got[0]["source"] != "https://care.example" || first["more"] != true {
			s.Fatalf("%v", first)
		}
		if e := s.audited("events-read"); e.Count != 2 || len(e.Patients) != 2 || e.Who != "User/7" {
			s.Errorf("the audit is told %+v", e)
		}
		rest := s.get("/api/v1/events?after="+first["next"].(string), events.Read)
		if got := list(rest, "events"); len(got) != 1 || rest["more"] != false {
			s.Errorf("%v", rest)
		}
		at := got[0]["time"].(string)
		if got := list(s.get("/api/v1/events?after="+at, events.Read), "events"); len(got) != 3 {
			s.Errorf("from %s on: %v", at, got)
		}
		for query, want := range map[string]int{"topic=patient-events": 3, "type=patient.created": 3, "type=nilecare.patient.created.v1": 3, "after=2090-01-01T00:00:00Z": 0} {
			if got := list(s.get("/api/v1/events?"+query, events.Read), "events"); len(got) != want {
				s.Errorf("%s: %v", query, got)
			}
		}
		for query, name := range map[string]string{"topic=nothing": "topic", "type=nothing": "type", "after=yesterday": "after", "limit=1000": "limit", "speed=1": "speed"} {
			status, e := s.do("GET", "/api/v1/events?"+query, events.Read, "")
			if status != 400 || !strings.Contains(fmt.Sprint(e), name) {
				s.Errorf("%s: %d %v", query, status, e)
			}
		}
		if status, e := s.do("GET", "/api/v1/events", events.Manage, ""); status != 403 {
			s.Errorf("with events:manage alone: %d %v", status, e)
		}
	})
}

func TestKindsAndSchemasAreServed(t *testing.T) {
	each(t, func(s *site) {
		kinds := list(s.get("/api/v1/events/kinds", ""), "kinds")
		if len(kinds) != 1 || kinds[0]["topic"] != "patient-events" {
			s.Fatalf("%v", kinds)
		}
		schema := s.get(kinds[0]["schema"].(string), "")
		if schema["title"] != "patient.created" || schema["type"] != "object" {
			s.Errorf("%v", schema)
		}
		for _, path := range []string{"patient.created/2", "patient.created/x", "patient.created/0", "nothing/1"} {
			if status, _ := s.do("GET", "/api/v1/events/schemas/"+path, "", ""); status != 404 {
				s.Errorf("%s: %d", path, status)
			}
		}
	})
}

func TestReadersAreShownAndSentBack(t *testing.T) {
	each(t, func(s *site) {
		s.patient(1, "One")
		s.patient(1, "Poison")
		s.letters(1)
		var r map[string]any
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
			if all := list(s.get("/api/v1/events/readers", events.Manage), "readers"); len(all) == 1 {
				if r = all[0]; r["behind"] == 0.0 {
					break
				}
			}
		}
		if r["name"] != "mailer" || r["behind"] != 0.0 || r["deadLetters"] != 1.0 || r["read"] != true || r["here"] != true {
			s.Errorf("%v", r)
		}
		for _, body := range []string{`{"from":0}`, `{"from":"0"}`, `{"from":"2026-01-01T00:00:00Z"}`} {
			if status, d := s.do("POST", "/api/v1/events/readers/mailer/replay", events.Manage, body); status != 202 || d["from"] != "0" {
				s.Errorf("%s: %d %v", body, status, d)
			}
			if e := s.audited("events-replay"); e.Kind != audit.Admin || !strings.Contains(e.Detail, "mailer") {
				s.Errorf("the audit is told %+v", e)
			}
		}
		s.letters(1) // the same failure is the same letter
		for body, want := range map[string]int{`{}`: 400, `{"from":null}`: 400, `{"from":"soon"}`: 400, `{"from":-1}`: 400, `{"from":99999999}`: 422} {
			if status, d := s.do("POST", "/api/v1/events/readers/mailer/replay", events.Manage, body); status != want || !strings.Contains(fmt.Sprint(d), "from") {
				s.Errorf("%s: %d %v", body, status, d)
			}
		}
		if status, _ := s.do("POST", "/api/v1/events/readers/nobody/replay", events.Manage, `{"from":0}`); status != 404 {
			s.Error(status)
		}
		if status, _ := s.do("POST", "/api/v1/events/readers/mailer/replay", events.Read, `{"from":0}`); status != 403 {
			s.Error(status)
		}
	})
}

func TestDeadLettersAreListedInspectedReplayedAndDiscarded(t *testing.T) {
	each(t, func(s *site) {
		for range 3 {
			s.patient(1, "Poison")
		}
		all := s.letters(3)
		page := s.get("/api/v1/events/dead-letters?limit=2", events.Manage)
		if got := list(page, "deadLetters"); len(got) != 2 || page["next"] != got[1]["id"] {
			s.Errorf("%v", page)
		}
		page = s.get("/api/v1/events/dead-letters?limit=2&after="+page["next"].(string), events.Manage)
		if got := list(page, "deadLetters"); len(got) != 1 || page["next"] != "" || got[0]["id"] != all[2]["id"] {
			s.Errorf("%v", page)
		}
		path := "/api/v1/events/dead-letters/" + all[0]["id"].(string)
		plain := s.get(path, events.Manage)
		if plain["problem"] != "it cannot be" || plain["kind"] != "patient.created" || plain["events"] != nil || strings.Contains(fmt.Sprint(plain), "Poison") {
			s.Errorf("who may not read events is shown %v", plain)
		}
		whole := s.get(path, events.Manage+" "+events.Read)
		if got := list(whole, "events"); len(got) != 1 || !strings.Contains(fmt.Sprint(got), "Poison") {
			s.Errorf("%v", whole)
		}
		if e := s.audited("dead-letter-read"); len(e.Patients) != 1 {
			s.Errorf("the audit is told %+v", e)
		}
		for _, c := range []struct {
			method, path, permissions string
			headers                   []string
			want                      int
		}{
			{"GET", path, events.Manage, []string{"Test-Tenant", "2"}, 404}, {"POST", path + "/replay", events.Manage, []string{"Test-Tenant", "2"}, 404},
			{"POST", path + "/discard", events.Read, nil, 403}, {"GET", "/api/v1/events/dead-letters/x", events.Manage, nil, 404},
			{"GET", "/api/v1/events/dead-letters?state=alive", events.Manage, nil, 400}, {"GET", "/api/v1/events/dead-letters?after=x", events.Manage, nil, 400},
		} {
			if status, d := s.do(c.method, c.path, c.permissions, "", c.headers...); status != c.want {
				s.Errorf("%s %s: %d %v", c.method, c.path, status, d)
			}
		}
		if status, d := s.do("POST", path+"/discard", events.Manage, ""); status != 202 || d["count"] != 1.0 {
			s.Errorf("%d %v", status, d)
		}
		if status, d := s.do("POST", path+"/replay", events.Manage, ""); status != 409 || !strings.Contains(fmt.Sprint(d), "discarded") {
			s.Errorf("what is discarded: %d %v", status, d)
		}
		s.healed.Store(true)
		if status, d := s.do("POST", "/api/v1/events/dead-letters/replay", events.Manage, `{"reader":"mailer"}`); status != 202 || d["count"] != 2.0 {
			s.Errorf("%d %v", status, d)
		}
		s.letters(0)
		if got := list(s.get("/api/v1/events/dead-letters?state=handled", events.Manage), "deadLetters"); len(got) != 2 {
			s.Errorf("%v", got)
		}
		if got := list(s.get("/api/v1/events/dead-letters?state=discarded", events.Manage), "deadLetters"); len(got) != 1 || got[0]["updatedBy"] != "User/7" {
			s.Errorf("%v", got)
		}
		if status, d := s.do("POST", "/api/v1/events/dead-letters/discard", events.Manage, ""); status != 202 || d["count"] != 0.0 {
			s.Errorf("%d %v", status, d)
		}
	})
}

func TestMetricsTellOfReadersAndOfNobody(t *testing.T) {
	each(t, func(s *site) {
		s.patient(1, "Poison")
		s.patient(2, "Poison")
		s.letters(1)
		registry := prometheus.NewRegistry()
		if err := registry.Register(events.New(s.hub, s.store).Metrics()); err != nil {
			s.Fatal(err)
		}
		text := ""
		for end := time.Now().Add(time.Minute); time.Now().Before(end) && !strings.Contains(text, `nilecare_event_dead_letters{reader="mailer"} 2`); time.Sleep(5 * time.Millisecond) {
			w := httptest.NewRecorder()
			promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			text = w.Body.String()
		}
		for _, want := range []string{`nilecare_event_dead_letters{reader="mailer"} 2`, `nilecare_event_reader_behind{reader="mailer"}`, `nilecare_event_reader_failing_seconds{reader="mailer"}`} {
			if !strings.Contains(text, want) {
				s.Errorf("%s is not told in\n%s", want, text)
			}
		}
		if strings.Contains(text, "Poison") || strings.Contains(text, "Patient/") {
			s.Error("a metric tells of a patient")
		}
	})
}
