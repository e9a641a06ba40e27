package clinical_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// eachDesk runs f on a clinic whose desk registers patients, on both engines.
func eachDesk(t *testing.T, f func(t *testing.T, w *ward)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: clinical.Tables()}, func(t *testing.T, s *record.Store) {
		w := newWard(t, s)
		s.Guard(clinical.GuardMerged(s.Ledger()))
		w.put("Organization", "f1", o{"name": "Khartoum Teaching", "identifier": []o{{"system": "urn:x-nilecare:facility-code", "value": "KTH"}},
			"type": []o{{"coding": []o{{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": "prov"}}}}})
		f(t, w)
	})
}

// someone is a body that registers somebody.
func someone(first, last string, more ...o) o {
	body := o{"firstName": first, "lastName": last, "dateOfBirth": "1980-05-17", "gender": "male"}
	for _, m := range more {
		maps.Copy(body, m)
	}
	return body
}

// enrol registers somebody as the administrator and returns the id.
func (w *ward) enrol(first, last string, more ...o) string {
	w.t.Helper()
	return w.must(http.StatusCreated, "admin", "POST", "/api/v1/patients", someone(first, last, more...)).text("data.id")
}

// ids are the ids of a listing.
func (a *reply) ids() []string {
	var out []string
	for i := range a.len("data.patients") {
		out = append(out, a.text(fmt.Sprintf("data.patients.%d.id", i)))
	}
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// appendIdentifier adds an identifier of a type.
func appendIdentifier(r *fhir.Resource, typ, system, value string) error {
	one := o{"type": o{"coding": []any{o{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": typ}}}, "value": value}
	if system != "" {
		one["system"] = system
	}
	return flat.Set(r.Node, "identifier", []any{one})
}

func adoptOf(l *record.Ledger) func(context.Context, record.Tx, *fhir.Resource) error {
	return clinical.Adopt(l)
}

// factsAbout are the kinds of what the changes of patients tell of one, and all of it as text.
func (w *ward) factsAbout(t testing.TB, id string) (kinds []string, text string) {
	t.Helper()
	storetest.Settle(t, w.store)
	changes, _, err := w.store.Changes(w.as("system"), 0, []string{"Patient"}, 500)
	must(t, err)
	for _, c := range changes {
		if c.Version.ID != id {
			continue
		}
		e := event.Change{Tenant: 1, Type: "Patient", ID: id, Op: c.Op, Who: c.Who, At: c.Version.Updated, Key: func(ref string) string { return ref[len("Patient/"):] }}
		if !c.Version.Deleted {
			e.New, err = c.Version.Resource()
			must(t, err)
		}
		if c.Before != nil {
			e.Old, err = c.Before.Resource()
			must(t, err)
		}
		for _, f := range clinical.Source().Tell(e) {
			kinds = append(kinds, f.Kind)
			data, err := json.Marshal(f.Data)
			must(t, err)
			text += string(data)
		}
	}
	return kinds, text
}
