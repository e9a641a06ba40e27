package clinical_test

import (
	"net/http"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

func TestACarePlanFromDraftToDone(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		p1 := w.key("Patient", "p1")
		c := w.must(http.StatusCreated, "d1", "POST", "/api/v1/problem-list", o{"patientId": p1, "name": "Hypertension"}).text("data.id")
		a := w.must(http.StatusCreated, "d1", "POST", "/api/v1/care-plans", o{"patientId": p1, "title": "Blood pressure", "status": "draft", "startDate": "2026-01-01", "endDate": "2026-06-30", "conditionIds": []string{c},
			"goals":      []o{{"description": "below 140/90", "targetDate": "2026-06-30", "priority": "high"}},
			"activities": []o{{"description": "walk", "assigneeId": w.key("Practitioner", "n1")}, {"description": "measure", "status": "scheduled", "scheduledDate": "2026-02-01"}}})
		a.want(t, o{"data.status": "draft", "data.goals.0.description": "below 140/90", "data.goals.0.status": "active", "data.goals.0.priority": "high", "data.goals.0.targetDate": "2026-06-30",
			"data.activities.0.assigneeName": "Amna Bakri", "data.activities.0.status": "not_started", "data.activities.1.scheduledDate": "2026-02-01", "data.conditionIds.0": c})
		at := "/api/v1/care-plans/" + a.text("data.id")
		w.must(http.StatusOK, "n1", "POST", at+"/activate", nil).want(t, o{"data.status": "active"})
		w.must(http.StatusOK, "n1", "PATCH", at+"/activities/0", o{"status": "completed"}).want(t, o{"data.activities.0.status": "completed", "data.activities.0.description": "walk"})
		w.must(http.StatusNotFound, "n1", "PATCH", at+"/activities/9", o{"status": "completed"})
		goal := a.text("data.goals.0.id")
		w.must(http.StatusOK, "d1", "PUT", at, o{"goals": []o{{"id": goal, "achievement": "achieved", "status": "completed"}, {"description": "no salt"}}}).want(t, o{
			"data.goals.0.achievement": "achieved", "data.goals.0.status": "completed", "data.goals.1.description": "no salt", "data.activities.0.status": "completed"})
		w.must(http.StatusUnprocessableEntity, "d1", "PUT", at, o{"goals": []o{{"id": "77", "status": "completed"}}})
		w.must(http.StatusBadRequest, "d1", "PUT", at, o{"goals": []o{{"id": goal, "achievement": "great"}}})
		w.must(http.StatusOK, "d1", "POST", at+"/complete", nil).want(t, o{"data.status": "completed"})
		w.must(http.StatusConflict, "d1", "POST", at+"/activate", nil)
		err := w.patchAs("d1", "CarePlan", a.text("data.id"), func(p *fhir.Resource) { p.Set("status", fhir.NewString("active")) })
		if !fault.Is(err, fault.Conflict) {
			t.Error("a care plan that was done came back by the FHIR API:", err)
		}
		w.must(http.StatusOK, "p1", "GET", "/api/v1/patients/"+p1+"/care-plans?status=completed", nil).want(t, o{"pagination.total": 1})
		w.must(http.StatusForbidden, "p1", "POST", at+"/cancel", nil)
		w.must(http.StatusOK, "d1", "DELETE", at, nil).want(t, o{"data.status": "entered_in_error"})
	})
}
