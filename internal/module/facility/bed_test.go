package facility_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

func TestAPatientIsAssignedTransferredAndReleased(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 3)
		w.patients(2)
		a := w.want(200, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": 1, "expectedDischargeDate": "2030-01-02", "notes": "near the window"})
		if a.text("data.bed.bedStatus") != "occupied" || a.text("data.bedStatus") != "occupied" || a.text("data.patientId") != "1" || a.text("data.patientName") != "Number 1 Patient" ||
			a.text("data.expectedDischargeDate") != "2030-01-02" || a.text("data.encounterId") == "" || a.text("data.wardName") != "w" || a.text("data.facilityId") != "1" || a.text("data.departmentId") != "2" {
			t.Errorf("assigned: %s", a.raw)
		}
		w.holds("w-1", "occupied", "Patient/1")
		if w.operational("w-1") != "O" {
			t.Error("the Location does not say that the bed is occupied")
		}
		for _, other := range []string{"w-1", "w-2"} {
			code := map[string]string{"w-1": "BED_OCCUPIED", "w-2": "PATIENT_HAS_BED"}[other]
			patient := map[string]string{"w-1": "2", "w-2": "1"}[other]
			if a := w.want(409, "nurse", "POST", "/api/v1/beds/"+other+"/assign", m{"patientId": patient}); a.text("error.code") != code {
				t.Errorf("%s: %s", other, a.raw)
			} else if code == "BED_OCCUPIED" && !strings.Contains(string(a.raw), "free in its ward: w-2, w-3") {
				t.Errorf("no free beds: %s", a.raw)
			}
		}
		moved := w.want(200, "nurse", "POST", "/api/v1/beds/w-1/transfer", m{"toBedId": "w-3"})
		if moved.text("data.bedStatus") != "occupied" || moved.text("data.from.bedStatus") != "cleaning" || moved.text("data.encounterId") != a.text("data.encounterId") {
			t.Errorf("transferred: %s", moved.raw)
		}
		w.holds("w-1", "cleaning", "")
		w.holds("w-3", "occupied", "Patient/1")
		if w.operational("w-1") != "H" || w.operational("w-3") != "O" {
			t.Error("the Locations do not tell of the transfer")
		}
		w.want(200, "nurse", "POST", "/api/v1/beds/w-3/release", m{"releaseReason": "went home"})
		if a := w.want(409, "nurse", "POST", "/api/v1/beds/w-3/release", nil); a.text("error.code") != "BED_NOT_OCCUPIED" {
			t.Errorf("released twice: %s", a.raw)
		}
		h := w.want(200, "nurse", "GET", "/api/v1/beds/w-3/history", nil)
		one, _ := h.list("data.history")[0].(map[string]any)
		if len(h.list("data.history")) != 1 || one["patientId"] != "1" || one["releaseReason"] != "went home" || one["releasedAt"] == nil {
			t.Errorf("history: %s", h.raw)
		}
		v, err := w.store.Read(w.ctx, "Encounter", a.text("data.encounterId"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := v.Resource()
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Get("location").Len(); n != 2 || r.Str("status") != "in-progress" || strings.Contains(string(r.AppendJSON(nil)), `"active"`) {
			t.Errorf("the encounter: %s", r.AppendJSON(nil))
		}
	})
}

// A bed that was left is cleaned, and then available by itself; or by hand at once.
func TestABedIsCleanedAndThenAvailable(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(2)
		w.want(200, "admin", "PUT", "/api/v1/settings/facility/1", m{"bedCleaningDuration": 45})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": "1"})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-1/release", m{})
		if a := w.want(409, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": "2"}); a.text("error.code") != "BED_UNAVAILABLE" {
			t.Errorf("assigned while it is cleaned: %s", a.raw)
		}
		w.clock.add(44 * time.Minute)
		w.want(200, "nurse", "POST", "/api/v1/beds/w-2/assign", m{"patientId": "2"})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-2/release", nil)
		w.want(200, "nurse", "PUT", "/api/v1/beds/w-2/status", m{"status": "available"})
		w.holds("w-1", "cleaning", "")
		w.holds("w-2", "available", "")
		w.clock.add(2 * time.Minute)
		w.run(func() bool { return w.beds()["w-1"][0] == "available" })
		if w.operational("w-1") != "U" {
			t.Error("the Location does not say that the bed is free")
		}
	})
}

// Where a facility says so, a cleaned bed waits for somebody to say that it is clean.
func TestAFacilityMayHaveBedsMadeAvailableByHand(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(1)
		w.want(200, "admin", "PUT", "/api/v1/settings/facility/1", m{"automaticBedRelease": false})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": "1"})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-1/release", nil)
		w.want(200, "admin", "PUT", "/api/v1/settings/facility/1", m{"automaticBedRelease": true})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-2/assign", m{"patientId": "1"})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-2/release", nil)
		w.clock.add(time.Hour)
		w.run(func() bool { return w.beds()["w-2"][0] == "available" })
		w.holds("w-1", "cleaning", "")
	})
}

// What is written through the FHIR API alone reaches the ledger at once, and the Location soon.
func TestTheLocationFollowsWhatTheFHIRAPIDoes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(1)
		w.write(put(lying(t, "e", "1", "in-progress", "w-1")))
		w.holds("w-1", "occupied", "Patient/1")
		if w.operational("w-1") != "U" {
			t.Error("the Location changed by itself")
		}
		w.run(func() bool { return w.operational("w-1") == "O" })
		// The bed's other members may be changed while the Location lags.
		w.write(put(lying(t, "e", "1", "finished", "w-1")))
		w.holds("w-1", "cleaning", "")
		w.run(func() bool { return w.operational("w-1") == "H" })
	})
}

func TestABedIsReservedUntilATime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(2)
		until := w.clock.now().Add(time.Hour).Format(time.RFC3339)
		a := w.want(200, "receptionist", "POST", "/api/v1/beds/w-1/reserve", m{"patientId": "1", "until": until})
		if a.text("data.bedStatus") != "reserved" || a.text("data.reservedFor") != "1" || a.text("data.reservedUntil") == "" {
			t.Errorf("reserved: %s", a.raw)
		}
		if strings.Contains(locationJSON(w, "w-1"), "Patient/") {
			t.Error("the Location tells for whom")
		}
		if a := w.want(409, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": "2"}); a.text("error.code") != "BED_RESERVED" {
			t.Errorf("assigned to another: %s", a.raw)
		}
		w.want(200, "nurse", "PUT", "/api/v1/beds/w-2/status", m{"status": "reserved", "patientId": "2"})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-2/assign", m{"patientId": "2"})
		w.clock.add(2 * time.Hour)
		w.run(func() bool { return w.beds()["w-1"][0] == "available" })
		w.holds("w-2", "occupied", "Patient/2")
		if strings.Contains(locationJSON(w, "w-1"), "reserved") {
			t.Error("the Location still says that the bed is reserved")
		}
		for _, until := range []string{"2001-01-01", "tomorrow", w.clock.now().AddDate(1, 0, 0).Format(time.DateOnly)} {
			if a := w.do("nurse", "POST", "/api/v1/beds/w-1/reserve", m{"patientId": "1", "until": until}); a.status != 400 && a.status != 422 {
				t.Errorf("until %s: %d", until, a.status)
			}
		}
	})
}

func locationJSON(w *world, id string) string {
	w.t.Helper()
	v, err := w.store.Read(w.ctx, "Location", id)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := v.Resource()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(r.AppendJSON(nil))
}

// What a bed's Location says by hand may not contradict who lies there, and nothing ends in which somebody lies.
func TestABedsRecordCannotContradictWhoLiesThere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 3)
		w.patients(1)
		w.want(200, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": "1"})
		inactive := func(id, kind, part, org string) *fhir.Resource {
			r := place(t, id, kind, part, org)
			if err := flat.Set(r.Node, "status", "inactive"); err != nil {
				t.Fatal(err)
			}
			return r
		}
		for _, c := range []struct {
			name   string
			change record.Change
			code   string // "": allowed
		}{
			{"an occupied bed said to be free", put(bed(t, "w-1", "w", "U")), "BED_OCCUPIED"},
			{"an occupied bed being cleaned", put(bed(t, "w-1", "w", "H")), "BED_OCCUPIED"},
			{"an occupied bed that is isolated", put(bed(t, "w-1", "w", "I")), ""},
			{"a free bed said to be occupied", put(bed(t, "w-2", "w", "O")), "BED_NOT_OCCUPIED"},
			{"a free bed closed", put(bed(t, "w-2", "w", "C")), ""},
			{"a new bed said to be occupied", put(bed(t, "w-9", "w", "O")), "BED_NOT_OCCUPIED"},
			{"an occupied bed deleted", record.Change{Op: record.Delete, Type: "Location", ID: "w-1"}, "BED_OCCUPIED"},
			{"an occupied bed made inactive", put(inactive("w-1", "bd", "w", "2")), "BED_OCCUPIED"},
			{"an occupied bed made a room", put(place(t, "w-1", "ro", "w", "2")), "BED_OCCUPIED"},
			{"a ward deleted in which somebody lies", record.Change{Op: record.Delete, Type: "Location", ID: "w"}, "BED_OCCUPIED"},
			{"such a ward made inactive", put(inactive("w", "wa", "g", "2")), "BED_OCCUPIED"},
			{"such a department deleted", record.Change{Op: record.Delete, Type: "Organization", ID: "2"}, "BED_OCCUPIED"},
			{"a free bed deleted", record.Change{Op: record.Delete, Type: "Location", ID: "w-3"}, ""},
		} {
			_, err := w.store.Write(w.ctx, []record.Change{c.change})
			if got := codeOf(err); got != c.code || err != nil && !fault.Is(err, fault.Conflict) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		w.holds("w-1", "occupied", "Patient/1")
		w.holds("w-2", "out_of_service", "")
		for _, path := range []string{"/api/v1/facilities/1", "/api/v1/departments/2", "/api/v1/wards/w", "/api/v1/beds/w-1"} {
			if a := w.want(409, "admin", "DELETE", path, nil); a.text("error.code") != "BED_OCCUPIED" {
				t.Errorf("%s: %s", path, a.raw)
			}
		}
		for _, status := range []string{"available", "cleaning", "maintenance", "out_of_service", "reserved"} {
			w.want(409, "nurse", "PUT", "/api/v1/beds/w-1/status", m{"status": status})
		}
		w.want(409, "nurse", "PUT", "/api/v1/beds/w-2/status", m{"status": "occupied"})
		w.want(400, "nurse", "PUT", "/api/v1/beds/w-2/status", m{"status": "broken"})
	})
}

func codeOf(err error) string {
	f, ok := flat.Plain(err).(*fault.Error) //nolint:errorlint // as a handler gets it
	if !ok {
		return ""
	}
	return f.Issues[0].Code
}

// A set is judged by its end: two patients change beds, in either order.
func TestTwoPatientsChangeBedsInOneTransaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(2)
		w.write(put(lying(t, "a", "1", "in-progress", "w-1")), put(lying(t, "b", "2", "in-progress", "w-2")))
		for range 2 {
			w.write(put(lying(t, "a", "1", "in-progress", "w-2")), put(lying(t, "b", "2", "in-progress", "w-1")))
			w.holds("w-1", "occupied", "Patient/2")
			w.holds("w-2", "occupied", "Patient/1")
			w.write(put(lying(t, "b", "2", "in-progress", "w-2")), put(lying(t, "a", "1", "in-progress", "w-1")))
			w.holds("w-1", "occupied", "Patient/1")
			w.holds("w-2", "occupied", "Patient/2")
		}
		// Half of it is refused.
		if _, err := w.store.Write(w.ctx, []record.Change{put(lying(t, "a", "1", "in-progress", "w-2"))}); codeOf(err) != "BED_OCCUPIED" {
			t.Errorf("half a change of beds: %v", err)
		}
		// The document may come before the Encounter in its set, or behind it.
		w.write(put(bed(t, "w-1", "w", "H")), put(lying(t, "a", "1", "finished")))
		w.holds("w-1", "cleaning", "")
		w.write(put(bed(t, "w-1", "w", "U")))
		w.write(put(bed(t, "w-1", "w", "O")), put(lying(t, "a", "1", "in-progress", "w-1")))
		w.holds("w-1", "occupied", "Patient/1")
	})
}

// Whatever ends a stay frees its bed.
func TestABedIsFreeWhenItsEncounterEnds(t *testing.T) {
	ends := map[string]func(w *world){
		"finished":         func(w *world) { w.write(put(lying(w.t, "e", "1", "finished", "w-1"))) },
		"cancelled":        func(w *world) { w.write(put(lying(w.t, "e", "1", "cancelled", "w-1"))) },
		"entered-in-error": func(w *world) { w.write(put(lying(w.t, "e", "1", "entered-in-error", "w-1"))) },
		"deleted":          func(w *world) { w.write(record.Change{Op: record.Delete, Type: "Encounter", ID: "e"}) },
		"elsewhere":        func(w *world) { w.write(put(lying(w.t, "e", "1", "in-progress", "w-2"))) },
		"nowhere":          func(w *world) { w.write(put(lying(w.t, "e", "1", "in-progress"))) },
		"erased": func(w *world) {
			if _, err := w.store.Erase(w.ctx, "1"); err != nil {
				w.t.Fatal(err)
			}
		},
		"patched": func(w *world) {
			w.write(record.Change{Op: record.Patch, Type: "Encounter", ID: "e", Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
				return r, flat.Set(r.Get("location").First(), "status", "completed")
			}})
		},
	}
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(2)
		for name, end := range ends {
			if name == "erased" {
				continue
			}
			w.write(put(lying(t, "e", "1", "in-progress", "w-1")))
			end(w)
			if got := w.beds()["w-1"]; got != [2]string{"cleaning", ""} {
				t.Errorf("%s: %v", name, got)
			}
			w.write(put(lying(t, "e", "1", "finished")))
			for id, state := range w.beds() {
				if state[0] == "cleaning" {
					w.want(200, "nurse", "PUT", "/api/v1/beds/"+id+"/status", m{"status": "available"})
				}
			}
		}
		w.write(put(lying(t, "e", "1", "in-progress", "w-1")))
		ends["erased"](w)
		w.holds("w-1", "cleaning", "")
		if h := w.want(200, "admin", "GET", "/api/v1/beds/w-1/history", nil); strings.Contains(string(h.raw), `"Patient/1"`) {
			t.Errorf("history: %s", h.raw)
		}
	})
}

// A merge points a patient's Encounters to another patient: the bed goes with them, and two beds cannot become one patient's.
func TestAMergeTakesTheBedAlong(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(3)
		w.write(put(lying(t, "a", "1", "in-progress", "w-1")), put(lying(t, "b", "2", "in-progress", "w-2")))
		w.write(put(lying(t, "a", "3", "in-progress", "w-1")))
		w.holds("w-1", "occupied", "Patient/3")
		if _, err := w.store.Write(w.ctx, []record.Change{put(lying(t, "a", "2", "in-progress", "w-1"))}); codeOf(err) != "PATIENT_HAS_BED" {
			t.Errorf("two beds of one patient: %v", err)
		}
		w.holds("w-1", "occupied", "Patient/3")
	})
}

func TestNoBedIsGivenThatIsNotInUse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(1)
		w.want(200, "admin", "PUT", "/api/v1/beds/w-1", m{"isActive": false})
		if a := w.want(409, "nurse", "POST", "/api/v1/beds/w-1/assign", m{"patientId": "1"}); a.text("error.code") != "BED_UNAVAILABLE" {
			t.Errorf("a bed that is not in use: %s", a.raw)
		}
		w.want(200, "admin", "PUT", "/api/v1/wards/w", m{"status": "maintenance"})
		if a := w.want(409, "nurse", "POST", "/api/v1/beds/w-2/assign", m{"patientId": "1"}); a.text("error.code") != "WARD_CLOSED" {
			t.Errorf("a ward that is not open: %s", a.raw)
		}
		if a := w.want(200, "nurse", "GET", "/api/v1/beds/available?facilityId=1", nil); a.number("data.count") != 0 {
			t.Errorf("available: %s", a.raw)
		}
		w.want(200, "admin", "PUT", "/api/v1/wards/w", m{"status": "active"})
		w.want(200, "nurse", "POST", "/api/v1/beds/w-2/assign", m{"patientId": "1"})
	})
}

func TestAssigningSaysWhatIsWrong(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(2)
		w.write(put(lying(t, "other", "2", "in-progress")), put(lying(t, "over", "1", "finished")), put(lying(t, "planned", "1", "planned")))
		for _, c := range []struct {
			bed    string
			body   m
			status int
			field  string
		}{
			{"nowhere", m{"patientId": "1"}, 404, ""}, {"w", m{"patientId": "1"}, 404, ""},
			{"w-1", m{}, 400, "patientId"}, {"w-1", m{"patientId": "77"}, 422, "patientId"}, {"w-1", m{"patientId": []int{1}}, 400, "patientId"},
			{"w-1", m{"patientId": "1", "encounterId": "other"}, 422, "encounterId"}, {"w-1", m{"patientId": "1", "encounterId": "over"}, 422, "encounterId"},
			{"w-1", m{"patientId": "1", "encounterId": "none"}, 422, "encounterId"}, {"w-1", m{"patientId": "1", "expectedDischargeDate": "soon"}, 400, "expectedDischargeDate"},
			{"w-1", m{"patientId": "1", "assignmentDate": "2090-01-01"}, 422, "assignmentDate"},
			{"w-1", m{"patientId": "1", "encounterId": "planned"}, 200, ""},
		} {
			a := w.do("nurse", "POST", "/api/v1/beds/"+c.bed+"/assign", c.body)
			field := ""
			if d := a.list("error.details"); len(d) > 0 {
				field, _ = d[0].(map[string]any)["field"].(string)
			}
			if a.status != c.status || c.field != "" && field != c.field && !strings.Contains(string(a.raw), c.field) {
				t.Errorf("%s %v: %d %s", c.bed, c.body, a.status, a.raw)
			}
		}
		v, err := w.store.Read(w.ctx, "Encounter", "planned")
		if err != nil {
			t.Fatal(err)
		}
		if r, err := v.Resource(); err != nil || r.Str("status") != "in-progress" {
			t.Errorf("a planned encounter whose patient lies in bed: %v", err)
		}
	})
}

// Who may do what with beds.
func TestRolesAndBeds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.house("w", 2)
		w.patients(1)
		for role, allowed := range map[string][3]bool{ // read, assign, set up
			"admin": {true, true, true}, "nurse": {true, true, false}, "receptionist": {true, true, false}, "doctor": {true, true, false}, "medical_director": {true, false, false},
			"patient": {false, false, false}, "pharmacist": {false, false, false}, "billing_clerk": {false, false, false},
		} {
			for k, call := range []struct{ method, path string }{{"GET", "/api/v1/beds"}, {"POST", "/api/v1/beds/w-1/assign"}, {"POST", "/api/v1/beds"}} {
				a := w.do(role, call.method, call.path, m{})
				if call.method == "GET" {
					a = w.do(role, call.method, call.path, nil)
				}
				if (a.status != 403) != allowed[k] {
					t.Errorf("%s %s %s: %d", role, call.method, call.path, a.status)
				}
			}
		}
		if a := w.do("", "GET", "/api/v1/beds", nil); a.status != 401 {
			t.Errorf("nobody: %d", a.status)
		}
	})
}
