package event_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

type patientData struct {
	PatientID string `json:"patientId"`
	Family    string `json:"family"`
}

type visitData struct {
	VisitID   string `json:"visitId"`
	PatientID string `json:"patientId"`
}

// source tells of patients and encounters: a change of a patient whose family is "Twice" means two things, one of "Broken" breaks the source.
func source() event.Source {
	return event.Source{
		Kinds: []event.Kind{
			{Name: "patient.created", Topic: event.PatientEvents, Version: 1, Summary: "A patient was registered", Data: patientData{}},
			{Name: "patient.updated", Topic: event.PatientEvents, Version: 2, Summary: "A patient's data changed", Data: patientData{}},
			{Name: "patient.deleted", Topic: event.PatientEvents, Version: 1, Summary: "A patient was deleted", Data: patientData{}},
			{Name: "visit.started", Topic: event.ClinicalEvents, Version: 1, Summary: "A visit began", Data: visitData{}},
		},
		Types: []string{"Patient", "Encounter"},
		Tell: func(c event.Change) []event.Fact {
			if c.Type == "Encounter" {
				ref := c.New.Get("subject").Str("reference")
				return []event.Fact{{Kind: "visit.started", Patient: ref, Data: visitData{c.Self(), c.Key(ref)}}}
			}
			name := "patient.updated"
			family := ""
			switch {
			case c.New == nil:
				name = "patient.deleted"
			case c.Old == nil:
				name = "patient.created"
			}
			if c.New != nil {
				family = c.New.Get("name").First().Str("family")
			}
			switch family {
			case "Broken":
				panic("a source with a defect")
			case "Wrong":
				return []event.Fact{{Kind: "visit.started", Data: patientData{}}}
			case "Silent":
				return nil
			}
			f := event.Fact{Kind: name, Patient: "Patient/" + c.ID, Data: patientData{c.Self(), family}}
			if family == "Twice" {
				return []event.Fact{f, f}
			}
			return []event.Fact{f}
		},
	}
}

// ladder is pauses that tests can wait for.
var ladder = []time.Duration{time.Millisecond, 2 * time.Millisecond}

type world struct {
	testing.TB
	store *record.Store
	ctx   context.Context // the program's own, in the first tenant
}

func each(t *testing.T, f func(w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: event.Tables()}, func(t *testing.T, s *record.Store) { f(worldOn(t, s)) })
}

func worldOn(t testing.TB, s *record.Store) *world {
	t.Helper()
	if err := s.Ledger().Migrate(context.Background(), event.Module, event.Migrations()); err != nil {
		t.Fatal(err)
	}
	return &world{t, s, in(1)}
}

// in is the program's own context in a tenant.
func in(tenant int32) context.Context {
	return access.With(context.Background(), access.System(tenant))
}

// hub makes a hub on the store.
func (w *world) hub(change ...func(*event.Options)) *event.Hub {
	w.Helper()
	o := event.Options{Store: w.store, Sources: []event.Source{source()}, Retry: ladder}
	for _, f := range change {
		f(&o)
	}
	h, err := event.New(w.ctx, o)
	if err != nil {
		w.Fatal(err)
	}
	return h
}

// run has the hub run until stop is called, or the test ends.
func (w *world) run(h *event.Hub) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	w.Cleanup(stop)
	return stop
}

// patient registers a patient and returns the FHIR id.
func (w *world) patient(tenant int32, family string) string {
	w.Helper()
	return w.write(tenant, record.Change{Op: record.Create, Type: "Patient", Resource: resource(w, `{"resourceType":"Patient","name":[{"family":%q}]}`, family)})
}

func (w *world) rename(id, family string) {
	w.Helper()
	w.write(1, record.Change{Op: record.Update, Type: "Patient", ID: id, Resource: resource(w, `{"resourceType":"Patient","id":%q,"name":[{"family":%q}]}`, id, family)})
}

func (w *world) write(tenant int32, c record.Change) string {
	w.Helper()
	out, err := w.store.Write(in(tenant), []record.Change{c})
	if err != nil {
		w.Fatal(err)
	}
	return out[0].Version.ID
}

func resource(t testing.TB, format string, args ...any) *fhir.Resource {
	r, err := fhir.ParseResource(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// heard collects events.
type heard struct {
	mu   sync.Mutex
	all  []event.Event
	fail func(e event.Event, n int) error // n: how often this event came, from 1
	came map[string]int
}

func (h *heard) handle(_ context.Context, e event.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.came == nil {
		h.came = map[string]int{}
	}
	h.came[e.Key()]++
	if h.fail != nil {
		if err := h.fail(e, h.came[e.Key()]); err != nil {
			return err
		}
	}
	h.all = append(h.all, e)
	return nil
}

func (h *heard) take(e event.Event) { _ = h.handle(context.Background(), e) }

// names are the families and kinds of what came, in order: "created Khalid".
func (h *heard) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]string, len(h.all))
	for i, e := range h.all {
		out[i] = nameOf(e)
	}
	return out
}

func nameOf(e event.Event) string {
	_, what, _ := strings.Cut(e.Kind.Name, ".")
	_, family, _ := strings.Cut(string(e.Data), `"family":"`)
	family, _, _ = strings.Cut(family, `"`)
	return strings.TrimSpace(what + " " + family)
}

func (h *heard) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// until waits for a condition.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("in a minute it did not come to this: %s", what)
}

// hears waits until exactly these have come.
func (h *heard) hears(t testing.TB, want ...string) {
	t.Helper()
	until(t, fmt.Sprintf("%d events", len(want)), func() bool { return h.count() >= len(want) })
	if got := strings.Join(h.names(), ", "); got != strings.Join(want, ", ") {
		t.Fatalf("%s came, want %s", got, strings.Join(want, ", "))
	}
}

func skipShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts processes and kills them, which takes seconds: -short leaves it out")
	}
}

// safeBuffer takes a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
