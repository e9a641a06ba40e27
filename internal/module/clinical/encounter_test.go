package clinical_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// follows is the table of the encounter's state machine, written once more by hand.
var follows = map[string]string{
	"planned":          "arrived triaged in-progress cancelled entered-in-error",
	"arrived":          "triaged in-progress cancelled entered-in-error",
	"triaged":          "in-progress cancelled entered-in-error",
	"in-progress":      "onleave finished cancelled entered-in-error",
	"onleave":          "in-progress finished cancelled entered-in-error",
	"finished":         "entered-in-error",
	"cancelled":        "entered-in-error",
	"entered-in-error": "",
	"unknown":          "planned arrived triaged in-progress onleave finished cancelled entered-in-error",
}

func encounterOf(status string) o {
	return o{"status": status, "class": o{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}, "subject": o{"reference": "Patient/p1"}}
}

// TestEncountersMoveByTheTableThroughEitherDoor tries every status after every other: by a PUT of the FHIR API, in a set, and by the product API.
func TestEncountersMoveByTheTableThroughEitherDoor(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		for from, list := range follows {
			for to := range follows {
				if from == to {
					continue
				}
				may := has(strings.Fields(list), to)
				id := "e-" + from + "-" + to
				w.put("Encounter", id, encounterOf(from))
				var err error
				if len(from)%2 == 0 {
					err = w.putAs("d1", "Encounter", id, encounterOf(to))
				} else {
					_, err = w.store.Write(w.as("d1"), []record.Change{
						{Op: record.Create, Type: "Basic", Resource: resource(t, "Basic", o{"code": o{"text": "x"}, "subject": o{"reference": "Patient/p1"}})},
						{Op: record.Update, Type: "Encounter", ID: id, Resource: resource(t, "Encounter", encounterOf(to))}})
				}
				if may != (err == nil) || !may && !fault.Is(err, fault.Conflict) {
					t.Errorf("PUT %s → %s: %v", from, to, err)
				}
				api := "a-" + from + "-" + to
				w.put("Encounter", api, encounterOf(from))
				a := w.do("d1", "PATCH", "/api/v1/encounters/"+w.key("Encounter", api)+"/status", o{"status": told(to)})
				if may && a.status != http.StatusOK || !may && a.status != http.StatusConflict {
					t.Errorf("API %s → %s: %d %s", from, to, a.status, a.raw)
				}
				if may && a.text("data.status") != told(to) {
					t.Errorf("API %s → %s says %s", from, to, a.text("data.status"))
				}
			}
		}
	})
}

func told(status string) string {
	return map[string]string{"in-progress": "in_progress", "entered-in-error": "entered_in_error"}[status] + map[bool]string{true: status}[status != "in-progress" && status != "entered-in-error"]
}

func TestAnEncounterFromItsPlanToItsEnd(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		patient := w.key("Patient", "p1")
		a := w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", o{"patientId": patient, "providerId": w.key("Practitioner", "d2"), "type": "inpatient", "reason": "chest pain",
			"facilityId": w.key("Organization", "f1"), "departmentId": w.key("Organization", "dep1"), "priority": "urgent"})
		a.want(t, o{"data.status": "planned", "data.type": "inpatient", "data.class": "IMP", "data.patientName": "P1 Ali", "data.providerName": "Amna Idris", "data.facilityName": "Khartoum Teaching",
			"data.departmentName": "Cardiology", "data.reason": "chest pain", "data.chiefComplaint": "chest pain", "data.encounter.status": "planned", "data.priority": "urgent", "data.startDate": nil})
		id := a.text("data.id")
		at := "/api/v1/encounters/" + id
		w.must(http.StatusOK, "n1", "POST", at+"/arrive", nil).want(t, o{"data.status": "arrived", "data.statusHistory.0.status": "planned"})
		w.must(http.StatusOK, "n1", "POST", at+"/triage", nil)
		a = w.must(http.StatusOK, "d2", "POST", at+"/start", o{})
		a.want(t, o{"data.status": "in_progress", "data.endDate": nil})
		if a.text("data.startDate") == "" || a.len("data.statusHistory") != 3 {
			t.Error(a.raw)
		}
		w.must(http.StatusOK, "d2", "POST", at+"/leave", o{"reason": "weekend at home"}).want(t, o{"data.status": "onleave", "data.statusReason": "weekend at home"})
		w.must(http.StatusOK, "d2", "POST", at+"/start", nil).want(t, o{"data.statusReason": nil})
		if err := w.patchAs("d2", "Encounter", id, func(e *fhir.Resource) {
			_ = flat.Set(e.Node, "location", []o{{"location": o{"reference": "Location/bed1"}, "status": "active"}})
		}); err != nil {
			t.Fatal(err)
		}
		w.must(http.StatusBadRequest, "d2", "POST", at+"/discharge", o{"disposition": "moon"})
		a = w.must(http.StatusOK, "d2", "POST", at+"/discharge", o{"disposition": "home", "reason": "well again"})
		a.want(t, o{"data.status": "finished", "data.dischargeDisposition": "home", "data.locations.0.status": "completed", "data.locations.0.name": "Bed 1"})
		if a.text("data.endDate") == "" || a.text("data.locations.0.to") == "" {
			t.Error("the encounter ended, and not the stay in the bed:", a.raw)
		}
		w.must(http.StatusConflict, "d2", "POST", at+"/start", nil).want(t, o{"error.code": "INVALID_TRANSITION"})
		w.must(http.StatusConflict, "d2", "POST", at+"/complete", nil)
	})
}

func TestWhatIsSentWithAnEncounterIsWrittenWithIt(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		patient := w.key("Patient", "p1")
		body := o{"patientId": patient, "providerId": w.key("Practitioner", "d1"), "encounterType": "outpatient", "startDate": "2026-01-10", "chiefComplaint": "fever",
			"diagnosis": []string{"Malaria", "Anaemia"}, "treatmentPlan": "Artesunate, then review",
			"vitalSigns": o{"bloodPressure": o{"systolic": 118, "diastolic": 76}, "heartRate": "96", "temperature": 101.3, "weight": "", "oxygenSaturation": 97}}
		a := w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", body)
		a.want(t, o{"data.status": "in_progress", "data.startDate": "2026-01-10", "data.diagnosis.0": "Malaria", "data.diagnoses.1.description": "Anaemia", "data.treatmentPlan": "Artesunate, then review"})
		v := w.must(http.StatusOK, "d1", "GET", "/api/v1/patients/"+patient+"/vital-signs", nil)
		v.want(t, o{"data.vitalSigns.0.bloodPressure": "118/76", "data.vitalSigns.0.heartRate": 96, "data.vitalSigns.0.temperature": 101.3, "data.vitalSigns.0.units.temperature": "[degF]",
			"data.vitalSigns.0.weight": nil, "data.vitalSigns.0.encounterId": a.text("data.id")})
		if v.len("data.vitalSigns") != 1 {
			t.Error(v.raw)
		}
		c := w.must(http.StatusOK, "d1", "GET", "/api/v1/conditions?patientId="+patient, nil)
		if c.len("data.conditions") != 2 {
			t.Error(c.raw)
		}
		again := w.must(http.StatusOK, "d1", "PUT", "/api/v1/encounters/"+a.text("data.id"), o{"treatmentPlan": "Nothing more", "reason": "fever, again"})
		again.want(t, o{"data.treatmentPlan": "Nothing more", "data.reason": "fever, again", "data.diagnosis.0": "Malaria"})
		more := w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters/"+a.text("data.id")+"/diagnoses", o{"code": "D64.9", "description": "Anaemia, unspecified", "use": "DD", "rank": 3})
		more.want(t, o{"data.diagnoses.2.code": "D64.9", "data.diagnoses.2.use": "DD", "data.diagnoses.2.rank": 3})
		known := o{"conditionId": more.text("data.diagnoses.2.conditionId")}
		w.must(http.StatusConflict, "d1", "POST", "/api/v1/encounters/"+a.text("data.id")+"/diagnoses", known)
		for name, wrong := range map[string]o{
			"vitalSigns.heartRate":     {"vitalSigns": o{"heartRate": 300}},
			"vitalSigns.temperature":   {"vitalSigns": o{"temperature": 70}},
			"vitalSigns.bloodPressure": {"vitalSigns": o{"bloodPressure": "80/120"}},
			"type":                     {"encounterType": "dance"},
			"startDate":                {"startDate": "yesterday"},
			"endDate":                  {"endDate": "2026-01-09"},
			"status":                   {"status": "asleep"},
		} {
			bad := o{}
			for k, v := range body {
				bad[k] = v
			}
			for k, v := range wrong {
				bad[k] = v
			}
			if r := w.must(http.StatusBadRequest, "d1", "POST", "/api/v1/encounters", bad); !strings.Contains(r.raw, name) {
				t.Errorf("%s is not named: %s", name, r.raw)
			}
		}
		n, err := w.records.Count(w.as("system"), "Encounter")
		if err != nil || n != 1 {
			t.Error("what was refused left something:", n, err)
		}
	})
}

func TestEncountersAreFoundByWhatIsAskedFor(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		dep, f1, f2 := w.key("Organization", "dep1"), w.key("Organization", "f1"), w.key("Organization", "f2")
		w.encounter("p1", o{"departmentId": dep, "startDate": "2026-03-01"})
		w.encounter("p1", o{"facilityId": f2, "type": "emergency", "startDate": "2026-03-05"})
		w.encounter("p2", o{"facilityId": f1, "providerId": w.key("Practitioner", "d2")})
		p1 := w.key("Patient", "p1")
		for query, want := range map[string]int{"": 3, "?patientId=" + p1: 2, "?facilityId=" + f1: 2, "?departmentId=" + dep: 1, "?facilityId=" + f2: 1, "?type=emergency": 1, "?type=emergency,outpatient": 3,
			"?status=planned": 1, "?status=in_progress": 2, "?status=planned&status=in_progress": 3, "?providerId=" + w.key("Practitioner", "d2"): 1, "?dateFrom=2026-03-02&dateTo=2026-03-06": 1,
			"?patientId=999": 0} {
			a := w.must(http.StatusOK, "d1", "GET", "/api/v1/encounters"+query, nil)
			// an open end reaches into every later span
			if query == "?dateFrom=2026-03-02&dateTo=2026-03-06" {
				want = 2
			}
			if a.len("data.encounters") != want || fmt.Sprint(a.at("pagination.total")) != fmt.Sprint(want) {
				t.Errorf("%s finds %d of %v, want %d", query, a.len("data.encounters"), a.at("pagination.total"), want)
			}
		}
		w.must(http.StatusBadRequest, "d1", "GET", "/api/v1/encounters?state=planned", nil)
		w.must(http.StatusBadRequest, "d1", "GET", "/api/v1/encounters?status=asleep", nil)
		a := w.must(http.StatusOK, "p1", "GET", "/api/v1/patients/"+p1+"/vital-signs", nil)
		a.want(t, o{"success": true})
		w.must(http.StatusForbidden, "p1", "GET", "/api/v1/encounters", nil)
		w.must(http.StatusNotFound, "d1", "GET", "/api/v1/patients/999/encounters", nil)
	})
}

func TestWhoMayDoWhatWithEncounters(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		body := o{"patientId": w.key("Patient", "p1"), "type": "outpatient", "providerId": w.key("Practitioner", "d1")}
		for who, status := range map[string]int{"d1": 201, "n1": 201, "admin": 201, "desk": 403, "p1": 403, "nobody": 401} {
			w.must(status, who, "POST", "/api/v1/encounters", body)
		}
		w.must(http.StatusUnprocessableEntity, "d1", "POST", "/api/v1/encounters", o{"patientId": "999", "type": "outpatient"})
		w.must(http.StatusBadRequest, "admin", "POST", "/api/v1/encounters", o{"patientId": w.key("Patient", "p1"), "type": "outpatient"})
		id := w.encounter("p1", o{"status": "in_progress"})
		w.must(http.StatusOK, "desk", "GET", "/api/v1/encounters/"+id, nil)
		w.must(http.StatusForbidden, "desk", "PUT", "/api/v1/encounters/"+id, o{"reason": "x"})
		w.must(http.StatusUnprocessableEntity, "d1", "PUT", "/api/v1/encounters/"+id, o{"patientId": w.key("Patient", "p2")})
		w.must(http.StatusUnprocessableEntity, "d1", "PUT", "/api/v1/encounters/"+id, o{"facilityId": w.key("Organization", "f2"), "departmentId": w.key("Organization", "dep1")})
		other := w.encounter("p2", o{"status": "in_progress"})
		w.must(http.StatusOK, "n1", "PATCH", "/api/v1/encounters/"+other+"/complete", nil).want(t, o{"data.status": "finished"})
		a := w.must(http.StatusOK, "d1", "GET", "/api/v1/encounters/"+id, nil)
		w.must(http.StatusOK, "d1", "PUT", "/api/v1/encounters/"+id, o{"reason": "first"}, "If-Match", a.header.Get("ETag"))
		w.must(http.StatusPreconditionFailed, "d1", "PUT", "/api/v1/encounters/"+id, o{"reason": "second"}, "If-Match", a.header.Get("ETag"))
		w.must(http.StatusPreconditionFailed, "d1", "PUT", "/api/v1/encounters/"+id, o{"reason": "third", "version": 1})
	})
}

func TestASecondInpatientEncounterIsWarnedOf(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		first := w.encounter("p1", o{"type": "inpatient", "status": "in_progress"})
		a := w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", o{"patientId": w.key("Patient", "p1"), "type": "inpatient", "status": "in_progress"})
		if a.len("data.warnings") != 1 || !strings.Contains(a.text("data.warnings.0"), first) {
			t.Error(a.raw)
		}
	})
}

// TestAnAppointmentOfAnotherPatientIsNoEncounters holds that what an encounter names is its patient's.
func TestAnAppointmentOfAnotherPatientIsNoEncounters(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		w.put("Appointment", "ap", o{"status": "booked", "start": "2026-03-01T08:00:00Z", "end": "2026-03-01T08:30:00Z",
			"participant": []o{{"actor": o{"reference": "Patient/p2"}, "status": "accepted"}}})
		ap := w.key("Appointment", "ap")
		w.must(http.StatusUnprocessableEntity, "d1", "POST", "/api/v1/encounters", o{"patientId": w.key("Patient", "p1"), "type": "outpatient", "appointmentId": ap})
		w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", o{"patientId": w.key("Patient", "p2"), "type": "outpatient", "appointmentId": ap}).want(t, o{"data.appointmentId": ap})
	})
}

func TestManyEncountersAtOnceAndAsAFile(t *testing.T) {
	eachWard(t, func(t *testing.T, w *ward) {
		item := o{"patientId": w.key("Patient", "p1"), "type": "outpatient", "reason": "=cmd()", "startDate": "2026-02-01"}
		a := w.must(http.StatusMultiStatus, "d1", "POST", "/api/v1/bulk/encounters", o{"items": []o{item, {"patientId": "999", "type": "outpatient"}, item}})
		a.want(t, o{"data.succeeded": 2, "data.failed": 1, "data.results.0.data.patientName": "P1 Ali", "data.results.1.status": 422})
		w.must(http.StatusForbidden, "desk", "POST", "/api/v1/bulk/encounters", o{"items": []o{item}})
		file := w.must(http.StatusOK, "d1", "GET", "/api/v1/encounters?format=csv&fields=id,reason,startDate", nil)
		if lines := strings.Split(strings.TrimSpace(file.raw), "\n"); len(lines) != 3 || !strings.Contains(lines[1], "'=cmd()") || !strings.Contains(lines[1], "2026-02-01") {
			t.Error(file.raw)
		}
		rows := w.must(http.StatusOK, "d1", "GET", "/api/v1/encounters?format=ndjson", nil)
		if strings.Count(rows.raw, "\n") != 2 {
			t.Error(rows.raw)
		}
	})
}
