package event_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/event/eventtest"
)

type address struct {
	City string `json:"city"`
}

type firstData struct {
	ID      string   `json:"id"`
	Beds    int      `json:"beds"`
	Note    string   `json:"note,omitempty"`
	Address *address `json:"address"`
	Lines   []line   `json:"lines"`
}

type line struct {
	Code string    `json:"code"`
	At   time.Time `json:"at"`
}

func kind(data any, version int) []event.Kind {
	return []event.Kind{{Name: "bed.assigned", Topic: event.FacilityEvents, Version: version, Summary: "A bed was given", Data: data}}
}

func TestSchemasMayGrowAndMustNotBreak(t *testing.T) {
	type grown struct {
		ID      string   `json:"id"`
		Beds    int      `json:"beds"`
		Note    string   `json:"note,omitempty"`
		More    string   `json:"more,omitempty"`
		Address *address `json:"address"`
		Lines   []line   `json:"lines"`
	}
	type renamed struct {
		BedID   string   `json:"bedId"`
		Beds    int      `json:"beds"`
		Note    string   `json:"note,omitempty"`
		Address *address `json:"address"`
		Lines   []line   `json:"lines"`
	}
	type retyped struct {
		ID      string   `json:"id"`
		Beds    string   `json:"beds"`
		Note    string   `json:"note"`
		Address *address `json:"address,omitempty"`
		Lines   []struct {
			Code string `json:"code"`
			At   string `json:"at"`
		} `json:"lines"`
	}
	for _, c := range []struct {
		name    string
		kinds   []event.Kind
		broken  []string // none: compatible
		updated bool
	}{
		{"the same", kind(firstData{}, 1), nil, false},
		{"a member that may be absent", kind(grown{}, 1), nil, true},
		{"a member renamed", kind(renamed{}, 1), []string{"id is gone", "bedId is new and must be there"}, false},
		{"types changed", kind(retyped{}, 1), []string{"beds is string, and was integer", "note must be there now", "address is not always there", "lines[].at has another format"}, false},
		{"another topic", []event.Kind{{Name: "bed.assigned", Topic: event.PatientEvents, Version: 1, Summary: "x", Data: firstData{}}}, []string{"topic"}, false},
		{"a kind that is gone", nil, []string{"nobody tells of bed.assigned"}, false},
		{"a new version", kind(renamed{}, 2), nil, true},
		{"a version left out", kind(renamed{}, 3), []string{"version 2 has no file"}, true},
		{"no struct", kind("text", 1), []string{"must be a struct"}, false},
		{"what says nothing", kind(struct{ X any }{}, 1), []string{"no type of an event's data"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			check := func(kinds []event.Kind, update bool) string {
				t.Helper()
				problems, err := eventtest.Check(dir, kinds, update)
				if err != nil {
					t.Fatal(err)
				}
				return strings.Join(problems, "\n")
			}
			if got := check(kind(firstData{}, 1), false); !strings.Contains(got, "-args -update") {
				t.Errorf("a new kind: %s", got)
			}
			if got := check(kind(firstData{}, 1), true); got != "" {
				t.Fatal(got)
			}
			first, err := os.ReadFile(filepath.Join(dir, "bed.assigned.v1.json"))
			if err != nil || !json.Valid(first) {
				t.Fatal(err)
			}
			before := check(c.kinds, false)
			if (before == "") != (len(c.broken) == 0 && !c.updated) {
				t.Errorf("without update: %s", before)
			}
			after := check(c.kinds, true)
			if (after == "") != (len(c.broken) == 0) {
				t.Errorf("with update: %s", after)
			}
			for _, want := range c.broken {
				if !strings.Contains(after, want) {
					t.Errorf("%q is not said in:\n%s", want, after)
				}
			}
			if now, err := os.ReadFile(filepath.Join(dir, "bed.assigned.v1.json")); err != nil || string(now) != string(first) && (len(c.broken) > 0 || !c.updated) {
				t.Errorf("the file changed: %v", err)
			}
			if c.name == "a new version" {
				if got := check(kind(firstData{}, 1), true); !strings.Contains(got, "versions do not go back") {
					t.Errorf("back to version 1: %s", got)
				}
			}
		})
	}
}

// TestACloudEventIsOne holds the envelope against the specification: required attributes, names of extensions, and types.
func TestACloudEventIsOne(t *testing.T) {
	e := event.Event{ID: 4711, Part: 1, Tenant: 2, Kind: event.Kind{Name: "bed.assigned", Topic: event.FacilityEvents, Version: 3}, Time: time.Date(2026, 5, 1, 10, 0, 0, 5e6, time.FixedZone("", 7200)),
		Subject: "Encounter/12", Patient: "Patient/9", Who: "User/3", Data: json.RawMessage(`{"id":"12"}`)}
	text, err := json.Marshal(e.CloudEvent())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"specversion": "1.0", "id": "2-4711-1", "source": "urn:x-nilecare:server", "type": "nilecare.bed.assigned.v3", "subject": "Encounter/12",
		"time": "2026-05-01T08:00:00.005Z", "datacontenttype": "application/json", "dataschema": "urn:x-nilecare:event-schema:bed.assigned:3",
		"tenant": 2.0, "topic": "facility-events", "patient": "Patient/9", "actor": "User/3"} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if data, _ := got["data"].(map[string]any); data["id"] != "12" {
		t.Errorf("data: %v", got["data"])
	}
	for name := range got {
		if strings.ToLower(name) != name || len(name) > 20 || strings.ContainsAny(name, "-_.") {
			t.Errorf("%q is no name of an attribute", name)
		}
	}
}
