package clinical_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

func TestAnAllergyStandsOnce(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1, p2 := w.key("Patient", "p1"), w.key("Patient", "p2")
		a := w.must(http.StatusCreated, "n1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "Penicillin", "category": "drug", "severity": "life-threatening", "reaction": "Anaphylaxis", "type": "allergy"})
		a.want(t, o{"data.allergen": "Penicillin", "data.category": "medication", "data.severity": "life-threatening", "data.criticality": "high", "data.reactions.0": "Anaphylaxis", "data.status": "active",
			"data.allergy.id": a.text("data.id"), "data.recorderName": "Amna Bakri"})
		w.must(http.StatusConflict, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": " PENICILLIN "}).want(t, o{"error.code": "DUPLICATE_ENTRY"})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p2, "allergen": "Penicillin"})
		coded := w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "code": "256349002", "allergen": "Peanut", "category": "food", "severity": "mild"})
		coded.want(t, o{"data.severity": "mild", "data.reaction": nil, "data.codeSystem": "http://snomed.info/sct"})
		w.must(http.StatusConflict, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "code": "256349002"})
		// The FHIR door is held by the same ledger.
		err := w.putAs("d1", "AllergyIntolerance", "dup", fhirAllergy("p1", "active", "Peanut"))
		if !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		// What is over may come again.
		at := "/api/v1/allergies/" + a.text("data.id")
		w.must(http.StatusOK, "d1", "PUT", at, o{"status": "resolved"}).want(t, o{"data.status": "resolved"})
		again := w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "Penicillin"})
		w.must(http.StatusConflict, "d1", "PUT", at, o{"status": "active"})
		w.must(http.StatusOK, "d1", "DELETE", "/api/v1/allergies/"+again.text("data.id"), nil).want(t, o{"data.status": "entered_in_error"})
		w.must(http.StatusOK, "d1", "PUT", at, o{"status": "active", "severity": "severe"}).want(t, o{"data.severity": "severe", "data.reactions.0": "Anaphylaxis"})
		w.must(http.StatusConflict, "d1", "PUT", "/api/v1/allergies/"+again.text("data.id"), o{"status": "active"})
		if l := w.must(http.StatusOK, "p1", "GET", "/api/v1/patients/"+p1+"/allergies", nil); l.len("data.allergies") != 2 {
			t.Error(l.raw)
		}
		w.must(http.StatusNotFound, "p1", "GET", "/api/v1/patients/"+p2+"/allergies", nil)
		w.must(http.StatusOK, "rx", "GET", "/api/v1/patients/"+p1+"/allergies", nil).want(t, o{"pagination.total": 2})
		w.must(http.StatusForbidden, "rx", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "Dust"})
		w.must(http.StatusForbidden, "rx", "GET", "/api/v1/conditions", nil)
		for field, body := range map[string]o{"allergen": {}, "category": {"allergen": "x", "category": "love"}, "severity": {"allergen": "x", "severity": "bad"}, "type": {"allergen": "x", "type": "z"},
			"criticality": {"allergen": "x", "criticality": "z"}, "onsetDate": {"allergen": "x", "onsetDate": "z"}} {
			body["patientId"] = p1
			w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/allergies", body).want(t, o{"error.details.0.field": field})
		}
	})
}

func fhirAllergy(patient, status, text string) o {
	return o{"patient": o{"reference": "Patient/" + patient}, "code": o{"text": text},
		"clinicalStatus": o{"coding": []o{{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": status}}}}
}

func TestNoKnownAllergiesStandsAlone(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		none := w.must(http.StatusCreated, "n1", "POST", "/api/v1/allergies", o{"patientId": p1, "noKnownAllergies": true})
		none.want(t, o{"data.noKnownAllergies": true, "data.code": "716186003"})
		w.must(http.StatusConflict, "n1", "POST", "/api/v1/allergies", o{"patientId": p1, "noKnownAllergies": true})
		if err := w.putAs("d1", "AllergyIntolerance", "al", fhirAllergy("p1", "active", "Latex")); !fault.Is(err, fault.Conflict) {
			t.Error("an allergy beside none known:", err)
		}
		a := w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "Latex"})
		a.want(t, o{"data.superseded.0": none.text("data.id")})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/allergies/"+none.text("data.id"), nil).want(t, o{"data.status": "inactive"})
		w.must(http.StatusConflict, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "noKnownAllergies": true}).want(t, o{"error.code": "NO_KNOWN_ALLERGIES"})
		// None of a category contradicts what is of that category alone.
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "code": "409137002"})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "Nuts", "category": "food"})
		m := w.must(http.StatusCreated, "d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": "Aspirin", "category": "medication"})
		if m.len("data.superseded") != 1 {
			t.Error(m.raw)
		}
	})
}

// TestOfManyWhoNoteOneAllergyOneDoes races writers of both doors.
func TestOfManyWhoNoteOneAllergyOneDoes(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		for round := range 5 {
			text := fmt.Sprint("Food ", round)
			var wg sync.WaitGroup
			var mu sync.Mutex
			done := 0
			for i := range 8 {
				wg.Go(func() {
					ok := false
					if i%2 == 0 {
						ok = w.do("d1", "POST", "/api/v1/allergies", o{"patientId": p1, "allergen": text}).status == http.StatusCreated
					} else {
						_, err := w.store.Write(w.as("n1"), []record.Change{{Op: record.Create, Type: "AllergyIntolerance", Resource: resource(t, "AllergyIntolerance", fhirAllergy("p1", "active", text))}})
						ok = err == nil
						if err != nil && !fault.Is(err, fault.Conflict) {
							t.Error(err)
						}
					}
					if ok {
						mu.Lock()
						done++
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if done != 1 {
				t.Errorf("%d of 8 noted the same allergy", done)
			}
		}
	})
}

// TestTheLedgerOfAllergiesFollowsTheRecord holds that deletes and the coming of records of before are told to it.
func TestTheLedgerOfAllergiesFollowsTheRecord(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		w.put("AllergyIntolerance", "a1", fhirAllergy("p1", "active", "Dust"))
		if err := w.putAs("d1", "AllergyIntolerance", "a2", fhirAllergy("p1", "active", "dust")); !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		if _, err := w.store.Write(w.as("d1"), []record.Change{{Op: record.Delete, Type: "AllergyIntolerance", ID: "a1"}}); err != nil {
			t.Fatal(err)
		}
		w.put("AllergyIntolerance", "a2", fhirAllergy("p1", "active", "dust"))
		// One set takes the place of an allergy by another record of it.
		_, err := w.store.Write(w.as("d1"), []record.Change{{Op: record.Patch, Type: "AllergyIntolerance", ID: "a2", Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
			r.Get("clinicalStatus").Get("coding").First().Set("code", fhir.NewString("inactive"))
			return r, nil
		}}, {Op: record.Create, Type: "AllergyIntolerance", Resource: resource(t, "AllergyIntolerance", fhirAllergy("p1", "active", "Dust"))}})
		if err != nil {
			t.Error(err)
		}
		if err := w.putAs("d1", "AllergyIntolerance", "a4", o{"patient": o{"reference": "Patient/p1"}, "code": o{"text": "x"}}); !fault.Is(err, fault.Unprocessable) {
			t.Error("an allergy without clinical status:", err)
		}
	})
}
