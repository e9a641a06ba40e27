package clinical_test

import (
	"net/http"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
)

func TestAProblemFromItsBeginToItsReturn(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		a := w.must(http.StatusCreated, "d1", "POST", "/api/v1/problem-list", o{"patientId": p1, "problemName": "Type 2 diabetes", "icdCode": "e11.9", "severity": "moderate", "onsetDate": "2020-05-01", "notes": "metformin"})
		a.want(t, o{"data.description": "Type 2 diabetes", "data.code": "E11.9", "data.category": "problem-list-item", "data.status": "active", "data.severity": "moderate", "data.notes": "metformin",
			"data.problem.id": a.text("data.id"), "data.recorderName": "Amna Osman", "data.verificationStatus": "confirmed"})
		at := "/api/v1/problem-list/" + a.text("data.id")
		w.must(http.StatusForbidden, "n1", "PUT", at, o{"severity": "mild"})
		w.must(http.StatusForbidden, "n1", "PUT", "/api/v1/conditions/"+a.text("data.id"), o{"severity": "mild"}) // the other face of the same list
		w.must(http.StatusOK, "d1", "PUT", at, o{"severity": "severe", "patientId": p1}).want(t, o{"data.severity": "severe", "data.code": "E11.9", "data.description": "Type 2 diabetes"})
		w.must(http.StatusUnprocessableEntity, "d1", "PUT", at, o{"patientId": w.key("Patient", "p2")})
		w.must(http.StatusConflict, "d1", "PATCH", at+"/reactivate", nil)
		w.must(http.StatusOK, "d1", "PATCH", at+"/resolve", o{"date": "2026-01-01", "notes": "weight loss"}).want(t, o{"data.status": "resolved", "data.abatementDate": "2026-01-01", "data.notes": "metformin\nweight loss"})
		w.must(http.StatusConflict, "d1", "PATCH", at+"/resolve", nil)
		w.must(http.StatusOK, "d1", "PATCH", at+"/reactivate", nil).want(t, o{"data.status": "active", "data.abatementDate": nil})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/problem-list", o{"patientId": p1, "name": "Asthma"})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/problem-list/patient/"+p1, nil).want(t, o{"pagination.total": 2})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/problem-list?search=diab", nil).want(t, o{"pagination.total": 1})
		w.must(http.StatusOK, "d1", "POST", "/api/v1/problem-list/search", o{"patientId": p1, "code": "E11.9"}).want(t, o{"pagination.total": 1})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/problem-list/statistics", nil).want(t, o{"data.total": 2, "data.active": 2, "data.byStatus.active": 2})
		w.must(http.StatusOK, "d1", "DELETE", at, nil).want(t, o{"data.status": "entered_in_error"})
		w.must(http.StatusConflict, "d1", "PUT", at, o{"severity": "mild"})
		w.must(http.StatusOK, "d1", "GET", "/api/v1/problem-list?patientId="+p1, nil).want(t, o{"pagination.total": 1})
		for field, body := range map[string]o{"description": {}, "code": {"code": "diabetes"}, "severity": {"name": "x", "severity": "bad"}, "onsetDate": {"name": "x", "onsetDate": "soon"},
			"clinicalStatus": {"name": "x", "clinicalStatus": "gone"}, "category": {"name": "x", "category": "encounter-diagnosis"}} {
			body["patientId"] = p1
			w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/problem-list", body).want(t, o{"error.details.0.field": field})
		}
	})
}

// TestStatusesOfAConditionGoTogether holds the rule through both doors.
func TestStatusesOfAConditionGoTogether(t *testing.T) {
	coded := func(system, code string) o {
		return o{"coding": []o{{"system": "http://terminology.hl7.org/CodeSystem/" + system, "code": code}}}
	}
	eachWard(t, func(t *testing.T, w *ward) {
		for _, c := range []struct {
			clinical, verified string
			abated, ok         bool
		}{
			{"active", "confirmed", false, true}, {"active", "", false, true}, {"", "", false, true}, {"resolved", "confirmed", true, true}, {"inactive", "refuted", false, true}, {"", "refuted", false, true},
			{"", "entered-in-error", false, true}, {"active", "entered-in-error", false, false}, {"resolved", "entered-in-error", false, false}, {"active", "refuted", false, false},
			{"recurrence", "refuted", false, false}, {"active", "confirmed", true, false}, {"relapse", "confirmed", true, false}, {"remission", "confirmed", true, true},
		} {
			body := o{"subject": o{"reference": "Patient/p1"}, "code": o{"text": "x"}}
			if c.clinical != "" {
				body["clinicalStatus"] = coded("condition-clinical", c.clinical)
			}
			if c.verified != "" {
				body["verificationStatus"] = coded("condition-ver-status", c.verified)
			}
			if c.abated {
				body["abatementDateTime"] = "2026-01-01"
			}
			err := w.putAs("d1", "Condition", "c", body)
			if c.ok != (err == nil) || !c.ok && !fault.Is(err, fault.Unprocessable) {
				t.Errorf("%+v: %v", c, err)
			}
		}
		w.put("Condition", "wrong", o{"subject": o{"reference": "Patient/p1"}, "verificationStatus": coded("condition-ver-status", "entered-in-error")})
		if err := w.putAs("d1", "Condition", "wrong", o{"subject": o{"reference": "Patient/p1"}, "verificationStatus": coded("condition-ver-status", "confirmed")}); !fault.Is(err, fault.Conflict) {
			t.Error("it came back from entered-in-error:", err)
		}
		w.must(http.StatusUnprocessableEntity, "d1", "POST", "/api/v1/conditions", o{"patientId": w.key("Patient", "p1"), "name": "x", "clinicalStatus": "active", "verificationStatus": "refuted"})
	})
}
