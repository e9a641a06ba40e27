package app

import (
	"net/http"
	"strings"
)

// charts are an encounter and what is written in it.
func (c *clinic) charts(admin caller, patient string) map[string]string {
	c.t.Helper()
	post := func(path, body, id string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, path, strings.ReplaceAll(body, "PATIENT", patient)), id)
	}
	doctor := post(fhirPath+"/Practitioner", `{"resourceType":"Practitioner","name":[{"family":"Nile"}]}`, "id")
	note := func(kind string) string {
		c.t.Helper()
		return post(fhirPath+"/Composition", `{"resourceType":"Composition","status":"final","type":{"text":"Note"},"category":[{"coding":[{"system":"urn:x-nilecare:note-type","code":"`+kind+`"}]}],`+
			`"subject":{"reference":"Patient/PATIENT"},"date":"2026-01-01","author":[{"reference":"Practitioner/`+doctor+`"}],"title":"Note"}`, "id")
	}
	problem := post("/api/v1/problem-list", `{"patientId":"PATIENT","description":"Asthma"}`, "data.id")
	soap, progress := note("soap"), note("progress")
	return map[string]string{
		"/api/v1/encounters/":           post("/api/v1/encounters", `{"patientId":"PATIENT","providerId":"`+doctor+`","type":"outpatient"}`, "data.id"),
		"/api/v1/conditions/":           problem,
		"/api/v1/problem-list/":         problem,
		"/api/v1/problem-list/patient/": patient,
		"/api/v1/allergies/":            post("/api/v1/allergies", `{"patientId":"PATIENT","allergen":"Latex"}`, "data.id"),
		"/api/v1/notes/":                soap,
		"/api/v1/soap-notes/":           soap,
		"/api/v1/progress-notes/":       progress,
		"/api/v1/care-plans/":           post("/api/v1/care-plans", `{"patientId":"PATIENT","title":"Breathe","activities":[{"description":"walk"}]}`, "data.id"),
		"/api/v1/referrals/":            post("/api/v1/referrals", `{"patientId":"PATIENT","requesterId":"`+doctor+`","specialty":"Chest","reason":"cough"}`, "data.id"),
		"/api/v1/export/soap-note/":     soap, "/api/v1/export/progress-note/": progress, "/api/v1/export/problem-list/": patient,
	}
}
