package clinical_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// told is what the source says of all changes so far, oldest first: kinds, and data with their topics.
func (w *ward) told(kinds ...string) (names []string, facts []event.Fact) {
	w.t.Helper()
	storetest.Settle(w.t, w.store)
	s := clinical.Source()
	ctx := w.as("system")
	for after := int64(0); ; {
		changes, next, err := w.store.Changes(ctx, after, s.Types, 100)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, c := range changes {
			for _, f := range s.Tell(w.changeOf(ctx, c)) {
				if len(kinds) == 0 && !strings.HasPrefix(f.Kind, "patient.c") || slices.Contains(kinds, f.Kind) {
					names, facts = append(names, f.Kind), append(facts, f)
				}
			}
		}
		if next == after {
			return names, facts
		}
		after = next
	}
}

// changeOf is a change as the hub hands it to a source.
func (w *ward) changeOf(ctx context.Context, c record.Changed) event.Change {
	out := event.Change{Tenant: 1, Type: c.Version.Type, ID: c.Version.ID, Op: c.Op, Key: func(ref string) string {
		key, err := w.records.IDOfRef(ctx, ref)
		if err != nil {
			w.t.Error(err)
		}
		return key
	}}
	var err error
	if !c.Version.Deleted {
		if out.New, err = c.Version.Resource(); err != nil {
			w.t.Fatal(err)
		}
	}
	if c.Before != nil {
		if out.Old, err = c.Before.Resource(); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// TestWhatIsWrittenIsToldInTheContractsWords walks through a stay and holds which facts it means, and that they tell no text.
func TestWhatIsWrittenIsToldInTheContractsWords(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		id := w.encounter("p1", o{"type": "inpatient"})
		at := "/api/v1/encounters/" + id
		w.must(http.StatusOK, "d1", "POST", at+"/arrive", nil)
		w.must(http.StatusOK, "d1", "POST", at+"/start", nil)
		w.must(http.StatusOK, "d1", "POST", at+"/leave", nil)
		w.must(http.StatusOK, "d1", "POST", at+"/start", nil)
		w.must(http.StatusOK, "d1", "PUT", at, o{"reason": "secret words"})
		w.must(http.StatusOK, "d1", "POST", at+"/discharge", o{"disposition": "home"})
		planned := w.encounter("p1", nil)
		w.must(http.StatusOK, "d1", "POST", "/api/v1/encounters/"+planned+"/cancel", o{"reason": "secret words"})
		w.encounter("p2", o{"type": "emergency", "status": "in_progress"})
		got, facts := w.told()
		want := "encounter.created encounter.updated patient.admitted encounter.started encounter.updated encounter.updated encounter.updated encounter.completed patient.discharged " +
			"encounter.created encounter.cancelled encounter.created encounter.started"
		if strings.Join(got, " ") != want {
			t.Errorf("told was\n%s, want\n%s", strings.Join(got, " "), want)
		}
		data, ok := facts[0].Data.(clinical.EncounterData)
		if !ok || data.EncounterID != id || data.PatientID != p1 || data.ProviderID != w.key("Practitioner", "d1") || data.Type != "inpatient" || data.Status != "planned" ||
			facts[0].Patient != "Patient/p1" || !slices.Equal(facts[0].Staff, []string{"Practitioner/d1"}) {
			t.Errorf("%+v", facts[0])
		}

		w.must(http.StatusCreated, "d1", "POST", "/api/v1/problem-list", o{"patientId": p1, "name": "secret words", "code": "E11.9"})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "noKnownAllergies": true}) // tells nothing
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "secret words", "category": "food"})
		note := w.soap()
		w.must(http.StatusOK, "d1", "PUT", "/api/v1/soap-notes/"+note, o{"plan": "secret words"})
		w.must(http.StatusOK, "d1", "POST", "/api/v1/soap-notes/"+note+"/sign", nil)
		w.must(http.StatusOK, "d2", "POST", "/api/v1/soap-notes/"+note+"/amend", o{"plan": "other", "reason": "secret words"})
		ref := w.refer("d2", o{"reason": "secret words"}).text("data.id")
		w.must(http.StatusOK, "d1", "PUT", "/api/v1/referrals/"+ref, o{"urgency": "routine"})
		w.must(http.StatusOK, "d2", "POST", "/api/v1/referrals/"+ref+"/accept", o{"note": "secret words"})
		got, facts = w.told("diagnosis.added", "allergy.added", "note.signed", "note.amended", "referral.created", "referral.updated")
		want = "diagnosis.added allergy.added note.signed note.amended referral.created referral.updated referral.updated"
		if strings.Join(got, " ") != want {
			t.Errorf("told was\n%s, want\n%s", strings.Join(got, " "), want)
		}
		text, err := json.Marshal(facts)
		if err != nil || strings.Contains(string(text), "secret") || strings.Contains(string(text), "Osman") {
			t.Errorf("an event tells what somebody wrote: %s", text)
		}
		if n, ok := facts[3].Data.(clinical.NoteData); !ok || n.SignerID != w.key("Practitioner", "d2") || n.AuthorID != w.key("Practitioner", "d1") || n.Type != "soap" {
			t.Errorf("%+v", facts[3])
		}
		if r, ok := facts[6].Data.(clinical.ReferralData); !ok || r.Status != "accepted" || r.ReferralID != ref {
			t.Errorf("%+v", facts[6])
		}
		// A patient who was erased is told of no more: deletes mean nothing.
		if err := w.records.Delete(w.as("system"), "Encounter", id); err != nil {
			t.Fatal(err)
		}
	})
}
