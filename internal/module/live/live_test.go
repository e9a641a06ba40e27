package live_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nilecare/nilecare/internal/module/live"
)

func TestEventsReachThoseWhomTheyConcern(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		doctor, doctor2, reception, lab, super := w.connect("doctor"), w.connect("doctor2"), w.connect("receptionist"), w.connect("lab"), w.connect("super")
		amina, bakri := w.connect("amina"), w.connect("bakri")
		w.put(appointment("a1", "booked", "Patient/amina", "Practitioner/d1"))
		w.put(appointment("a1", "arrived", "Patient/amina", "Practitioner/d1"))
		w.put(appointment("a1", "cancelled", "Patient/amina", "Practitioner/d1"))
		w.put(appointment("a2", "booked", "Patient/bakri"))

		// A change is told by "appointment:updated" once, though the calendar tells of it twice.
		const all = "appointment:created appointment:new appointment:checked-in appointment:updated appointment:cancelled appointment:updated"
		for name, s := range map[string]*socket{"the doctor whom it concerns": doctor, "another doctor": doctor2, "the reception": reception} {
			if got := s.names(8); got != all+" appointment:created appointment:new" {
				t.Errorf("%s: %s", name, got)
			}
		}
		if got := amina.names(6); got != all {
			t.Errorf("the patient: %s", got)
		}
		// What comes next is the mark at the end: nothing came before it to those whom nothing concerns, or concerns any more.
		w.live.Notify(1, 9, "notification:new", map[string]any{"ids": []string{"1"}})
		w.live.Notify(1, 10, "notification:read", map[string]any{"ids": []string{"1"}})
		w.live.Notify(1, 5, "notification:new", map[string]any{})
		w.live.Notify(1, 8, "notification:new", map[string]any{})
		if got := bakri.names(3); got != "appointment:created appointment:new notification:read" {
			t.Errorf("another patient: %s", got)
		}
		for name, s := range map[string]*socket{"the patient": amina, "the laboratory": lab, "who operates the system": super} {
			if got := s.event(); got.name != "notification:new" {
				t.Errorf("%s: %v", name, got)
			}
		}
	})
}

// Those whom an event concerns are told the whole of it, the others ids, states and times.
func TestRolesAreToldNoNames(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		doctor, nurse := w.connect("doctor"), w.connect("nurse")
		watching := w.connect("doctor2")
		if a := watching.ask("subscribe:patient", "amina"); a["ok"] != true {
			t.Fatal(a)
		}
		w.put(appointment("a1", "booked", "Patient/amina", "Practitioner/d1"))
		for name, s := range map[string]*socket{"whom it concerns": doctor, "who watches the patient": watching} {
			e := s.event()
			if e.name != "appointment:created" || e.data["patientName"] != "Amina" || e.data["status"] != "booked" || e.data["eventId"] == nil || e.data["kind"] != "appointment.created" || e.data["timestamp"] == nil {
				t.Errorf("%s: %v", name, e)
			}
		}
		e := nurse.event()
		if _, there := e.data["patientName"]; there || e.data["appointmentId"] == nil || e.data["patientId"] == nil || e.data["status"] != "booked" {
			t.Errorf("the nurse: %v", e)
		}
	})
}

func TestRoomsAreAuthorised(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		clients := map[string]*socket{}
		for _, c := range []struct {
			token, event string
			arg          any
			code         string // "": admitted
		}{
			{"doctor", "subscribe:patient", "amina", ""}, {"doctor", "subscribe:patient", map[string]any{"patientId": "bakri"}, ""}, {"doctor", "subscribe:patient", "nobody", "PERMISSION_DENIED"},
			{"doctor", "subscribe:patient", 12, "PERMISSION_DENIED"}, {"doctor", "subscribe:patient", nil, "VALIDATION_ERROR"}, {"doctor", "subscribe:patient", "", "VALIDATION_ERROR"},
			{"amina", "subscribe:patient", "amina", ""}, {"amina", "subscribe:patient", "bakri", "PERMISSION_DENIED"}, {"super", "subscribe:patient", "amina", "PERMISSION_DENIED"},
			{"inspector", "subscribe:patient", "amina", ""},
			{"doctor", "join-room", "patient-amina", ""}, {"doctor", "join-room", "patient:amina", ""}, {"doctor", "subscribe:room", "patient-ehr-amina", ""}, {"doctor", "subscribe:room", map[string]any{"room": "patient-amina"}, ""},
			{"doctor", "subscribe:room", "user:1", ""}, {"doctor", "subscribe:room", "user-1", ""}, {"doctor", "subscribe:room", "user:2", "PERMISSION_DENIED"},
			{"doctor", "subscribe:room", "role:physician", ""}, {"doctor", "subscribe:room", "role:admin", "PERMISSION_DENIED"}, {"lab", "subscribe:room", "role:lab_tech", ""},
			{"doctor", "subscribe:room", "self:Patient/amina", "NOT_FOUND"}, {"doctor", "subscribe:room", "kitchen", "NOT_FOUND"}, {"doctor", "subscribe:room", "patient:", "NOT_FOUND"},
			{"doctor", "subscribe:room", "clinical-team", ""}, {"nurse", "subscribe:room", "clinical-team-all", ""}, {"receptionist", "subscribe:room", "clinical-team", "PERMISSION_DENIED"}, {"amina", "subscribe:room", "clinical-team", "PERMISSION_DENIED"},
			{"doctor", "subscribe:room", "facility-77", ""}, {"doctor", "subscribe:room", "facility-78", "PERMISSION_DENIED"}, {"super", "subscribe:room", "facility-77", "PERMISSION_DENIED"},
			{"doctor", "join", map[string]any{"userId": 1, "role": "doctor"}, ""}, {"doctor", "join", map[string]any{"userId": "2", "role": "doctor"}, "PERMISSION_DENIED"}, {"doctor", "join", map[string]any{"userId": "1", "role": "admin"}, "PERMISSION_DENIED"},
			{"doctor", "leave-room", "patient-amina", ""}, {"doctor", "unsubscribe:patient", "amina", ""}, {"doctor", "dance", "x", "NOT_FOUND"},
		} {
			if c.token == "inspector" {
				w.set("inspector", &person{[]string{"sudan_health_inspector"}, nil, 20})
			}
			if clients[c.token] == nil {
				clients[c.token] = w.connect(c.token)
			}
			a := clients[c.token].ask(c.event, c.arg)
			if a["ok"] != (c.code == "") || c.code != "" && (a["code"] != c.code || a["error"] == "") {
				t.Errorf("%s %s %v: %v", c.token, c.event, c.arg, a)
			}
		}
	})
}

func TestARoomThatWasLeftIsSilent(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.set("billing", &person{[]string{"billing_clerk"}, nil, 6}) // who may see appointments, though they are no work of theirs
		s := w.connect("billing")
		s.ask("join-room", "patient-amina")
		w.put(appointment("a1", "booked", "Patient/amina"))
		if got := s.names(2); got != "appointment:created appointment:new" {
			t.Fatal(got)
		}
		s.ask("unsubscribe:patient", "amina") // by another name than it was joined by
		s.ask("leave-room", "user:6")         // one's own is not left
		w.put(appointment("a2", "booked", "Patient/amina"))
		other := w.connect("doctor")
		w.put(appointment("a3", "booked", "Patient/amina"))
		other.names(2) // by now the second was told
		w.live.Notify(1, 6, "notification:new", map[string]any{})
		if got := s.event(); got.name != "notification:new" {
			t.Errorf("%v", got)
		}
	})
}

// Whoever may see a patient may watch: what they are told is what they may see of the patient's record, as it happens and again.
func TestWhoWatchesAPatientIsToldWhatTheyMaySee(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		begin := w.stream("doctor", "", "")
		w.put(appointment("a0", "booked", "Patient/bakri", "Practitioner/d1"))
		begin.next()
		doctor, reception, lab := w.connect("doctor2"), w.connect("receptionist"), w.connect("lab")
		for _, s := range []*socket{doctor, reception, lab} {
			if a := s.ask("subscribe:patient", "amina"); a["ok"] != true {
				t.Fatal(a)
			}
		}
		if a := doctor.ask("join-room", "clinical-team"); a["ok"] != true {
			t.Fatal(a)
		}
		restricted := `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`
		w.put(strings.Replace(vital("v0", "8867-4", 71, "/min", "2026-03-10T09:00:00+02:00"), `"status"`, restricted+`"status"`, 1))
		w.put(`{"resourceType":"Flag","id":"f0",` + restricted + `"status":"active","code":{"coding":[{"system":"urn:x","code":"secret"}]},"subject":{"reference":"Patient/amina"},
			"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/flag-priority","valueCodeableConcept":{"coding":[{"code":"PH"}]}}]}`)
		w.put(vital("v1", "8867-4", 72, "/min", "2026-03-10T10:00:00+02:00"))
		w.put(appointment("a1", "booked", "Patient/amina"))
		if got := doctor.names(5); got != "vital:signs:update vitals:update patient:"+w.key("amina")+":vitals appointment:created appointment:new" {
			t.Errorf("a doctor: %s", got)
		}
		if got := reception.names(2); got != "appointment:created appointment:new" {
			t.Errorf("the reception: %s", got)
		}
		w.live.Notify(1, 5, "notification:new", map[string]any{})
		if got := lab.event(); got.name != "notification:new" {
			t.Errorf("the laboratory: %v", got)
		}
		// Whoever comes back is told no more.
		again := w.stream("receptionist", "?rooms=patient:amina", begin.last)
		for {
			name, data := again.next()
			if name == "" || strings.Contains(name, "vital") || strings.Contains(name, "alert") {
				t.Fatalf("the reception, again: %q %v", name, data)
			}
			if data["patientId"] == w.key("amina") {
				if data["patientName"] != "Amina" {
					t.Errorf("the reception, again: %v", data)
				}
				break
			}
		}
	})
}

func TestNobodyConnectsWithoutAToken(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		for name, c := range map[string]struct {
			token   string
			headers []string
			code    string
		}{
			"nothing":           {"", nil, "AUTHENTICATION_REQUIRED"},
			"a wrong token":     {"nobody", nil, "INVALID_TOKEN"},
			"a wrong header":    {"", []string{"Authorization", "Bearer nobody"}, "INVALID_TOKEN"},
			"a cookie alone":    {"", []string{"Cookie", "session=doctor"}, "PERMISSION_DENIED"},
			"a right header":    {"", []string{"Authorization", "Bearer doctor"}, ""},
			"Bearer in auth":    {"Bearer doctor", nil, ""},
			"a cookie from us":  {"", []string{"Cookie", "session=doctor", "Origin", origin}, ""},
			"a token from us":   {"doctor", []string{"Origin", origin}, ""},
			"the auth's counts": {"nobody", []string{"Authorization", "Bearer doctor"}, "INVALID_TOKEN"},
		} {
			got := w.dial(c.token, c.headers...).next()
			if c.code == "" && !strings.HasPrefix(got, `0{"sid":`) || c.code != "" && (!strings.HasPrefix(got, `4{`) || !strings.Contains(got, `"code":"`+c.code+`"`)) {
				t.Errorf("%s: %s", name, got)
			}
		}
		for _, from := range []string{"https://evil.example", "null", origin + ".evil.example", "http://app.example.org"} {
			_, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(w.base, "http")+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {from}}})
			if err == nil || res.StatusCode != http.StatusForbidden {
				t.Errorf("a page of %s may connect", from)
			}
			if res != nil && res.Body != nil {
				_ = res.Body.Close()
			}
		}
	})
}

// A token that was revoked, or has expired, ends the connection; what the user may do is looked at again.
func TestAConnectionEndsWithItsToken(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		s, other := w.connect("doctor"), w.connect("nurse")
		e := w.stream("doctor", "", "")
		w.set("doctor", nil)
		if got := s.event(); got.name != "session:ended" || got.data["code"] != "INVALID_TOKEN" {
			t.Errorf("%v", got)
		}
		if got := s.next(); got != "1" {
			t.Errorf("the disconnection is said by %q", got)
		}
		if got := s.next(); got != "" {
			t.Errorf("behind the end comes %q", got)
		}
		if name, data := e.next(); name != "session:ended" || data["code"] != "INVALID_TOKEN" {
			t.Errorf("the stream: %s %v", name, data)
		}
		if name, _ := e.next(); name != "" {
			t.Errorf("the stream goes on with %s", name)
		}
		if a := other.ask("subscribe:patient", "amina"); a["ok"] != true {
			t.Errorf("the others: %v", a)
		}
	})
}

func TestRolesThatWereTakenCountNoMore(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		s := w.connect("nurse")
		if a := s.ask("subscribe:patient", "amina"); a["ok"] != true {
			t.Fatal(a)
		}
		w.set("nurse", &person{[]string{"inventory_manager"}, nil, 3})
		if got := s.event(); got.name != "room:left" || got.data["room"] != "patient:amina" {
			t.Fatalf("%v", got)
		}
		other := w.connect("doctor")
		w.put(appointment("a1", "booked", "Patient/amina"))
		other.names(2)
		w.live.Notify(1, 3, "notification:new", map[string]any{})
		if got := s.event(); got.name != "notification:new" {
			t.Errorf("%v", got)
		}
		if a := s.ask("subscribe:room", "role:nurse"); a["ok"] != false {
			t.Errorf("%v", a)
		}
		if a := s.ask("subscribe:room", "role:inventory_manager"); a["ok"] != true {
			t.Errorf("%v", a)
		}
	})
}

// Where it cannot be found out who somebody is, connections go on for a minute, and no longer.
func TestAConnectionOutlivesAShortSilenceOfTheDatabase(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		s := w.connect("doctor")
		w.mu.Lock()
		w.dead = true
		w.mu.Unlock()
		for from := w.looked.Load(); w.looked.Load() < from+3; {
			time.Sleep(time.Millisecond)
		}
		w.live.Notify(1, 1, "notification:new", map[string]any{})
		if got := s.event(); got.name != "notification:new" {
			t.Fatalf("%v", got)
		}
		w.skipped.Store(int64(2 * time.Minute))
		if got := s.event(); got.name != "session:ended" || got.data["code"] != "SERVICE_UNAVAILABLE" {
			t.Errorf("%v", got)
		}
	})
}

func vital(id, code string, value float64, unit, at string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],
		"code":{"coding":[{"system":"http://loinc.org","code":%q}]},"subject":{"reference":"Patient/amina"},"effectiveDateTime":%q,"valueQuantity":{"value":%v,"unit":%q,"system":"http://unitsofmeasure.org","code":%q}}`,
		id, code, at, value, unit, unit)
}

// What a nurse writes down at once reaches the monitor at once, in the units that it has its limits in.
func TestVitalSignsReachTheMonitor(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		s, other := w.connect("doctor"), w.connect("doctor2")
		s.ask("subscribe:patient", "amina")
		const at = "2026-03-10T10:00:00+02:00"
		pressure := `{"resourceType":"Observation","id":"v0","status":"final","category":[{"coding":[{"code":"vital-signs"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},
			"subject":{"reference":"Patient/amina"},"effectiveDateTime":"` + at + `","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120.4,"code":"mm[Hg]"}},
			{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":80,"code":"mm[Hg]"}}]}`
		w.put(pressure, vital("v1", "8867-4", 72, "/min", at), vital("v2", "2708-6", 98, "%", at), vital("v3", "8310-5", 37, "Cel", at), vital("v4", "9279-1", 15, "/min", at))
		for _, name := range []string{"vital:signs:update", "vitals:update", "patient:" + w.key("amina") + ":vitals"} {
			e := s.event()
			ids, _ := e.data["observationIds"].([]any)
			if e.name != name || e.data["heartRate"] != 72.0 || e.data["bloodPressure"] != "120/80" || e.data["spo2"] != 98.0 || e.data["temperature"] != 98.6 || e.data["temperatureCelsius"] != 37.0 ||
				e.data["respiratoryRate"] != 15.0 || e.data["timestamp"] != at || e.data["patientId"] != w.key("amina") || len(ids) != 5 {
				t.Errorf("%s: %v", name, e)
			}
		}
		// Another time is another reading; other units are brought into ours; what is neither vital sign nor valid is not told.
		w.put(vital("v5", "8310-5", 100.4, "[degF]", "2026-03-10T11:00:00+02:00"), strings.Replace(vital("v6", "8867-4", 1, "/min", at), `"final"`, `"entered-in-error"`, 1),
			strings.Replace(vital("v7", "8867-4", 1, "/min", at), `"vital-signs"`, `"laboratory"`, 1))
		if e := s.event(); e.data["temperature"] != 100.4 || e.data["heartRate"] != nil {
			t.Errorf("%v", e)
		}
		s.names(2)
		w.put(appointment("a1", "booked", "Patient/amina"))
		for name, c := range map[string]*socket{"who watches": s, "who does not": other} {
			if e := c.event(); e.name != "appointment:created" {
				t.Errorf("%s: %v", name, e)
			}
		}
	})
}

func (w *world) key(patient string) string {
	w.t.Helper()
	key, err := w.records.IDOf(system(), "Patient", patient)
	if err != nil {
		w.t.Fatal(err)
	}
	return key
}

// Graver issues and flags are alerts: for the patient's room, and for the clinical team. Free text is not in them.
func TestAlertsReachTheClinicalTeam(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		team, other := w.connect("nurse"), w.connect("doctor2")
		team.ask("subscribe:room", "clinical-team")
		issue := func(id, severity string) string {
			return fmt.Sprintf(`{"resourceType":"DetectedIssue","id":%q,"status":"final","severity":%q,"patient":{"reference":"Patient/amina"},"detail":"a secret",
				"code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"DRG","display":"Drug Interaction Alert"}],"text":"a secret"}}`, id, severity)
		}
		w.put(issue("i1", "moderate"))
		w.put(issue("i1", "high"))
		w.put(strings.Replace(issue("i1", "high"), "a secret", "another", 1)) // it was one before
		w.put(`{"resourceType":"Flag","id":"f1","status":"active","subject":{"reference":"Patient/amina"},"code":{"coding":[{"system":"x","code":"fall","display":"At risk of falling"}]},
			"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/flag-priority","valueCodeableConcept":{"coding":[{"code":"PH"}]}}]}`)
		w.put(`{"resourceType":"Flag","id":"f2","status":"active","subject":{"reference":"Patient/amina"},"code":{"text":"x"}}`)
		for _, want := range []string{"Drug Interaction Alert", "At risk of falling"} {
			for _, name := range []string{"clinical:alert", "clinical-alert", "alert:critical"} {
				e := team.event()
				if e.name != name || e.data["title"] != want || e.data["severity"] != "high" || e.data["patientId"] != w.key("amina") || strings.Contains(fmt.Sprint(e.data), "secret") {
					t.Errorf("%v", e)
				}
			}
		}
		w.put(appointment("a1", "booked", "Patient/amina"))
		for name, c := range map[string]*socket{"the team": team, "who is not in it": other} {
			if e := c.event(); e.name != "appointment:created" {
				t.Errorf("%s: %v", name, e)
			}
		}
	})
}

func TestAStreamTellsAndGoesOnWhereItWas(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.set("compliance", &person{[]string{"compliance_officer"}, nil, 16}) // who may see all of it, though none is work of theirs
		e := w.stream("compliance", "?rooms=patient:amina,role:compliance_officer", "")
		if e.res.StatusCode != 200 || e.res.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%d %v", e.res.StatusCode, e.res.Header)
		}
		w.put(appointment("a1", "booked", "Patient/amina"))
		w.put(appointment("b1", "booked", "Patient/bakri"))
		for _, want := range []string{"appointment:created", "appointment:new"} {
			if name, data := e.next(); name != want || data["patientName"] != "Amina" || e.last == "" {
				t.Errorf("%s %v %s", name, data, e.last)
			}
		}
		e.cancel()
		w.put(appointment("a2", "booked", "Patient/amina"))
		w.put(vital("v1", "8867-4", 72, "/min", "2026-03-10T10:00:00+02:00"))
		w.put(appointment("a2", "cancelled", "Patient/amina"))
		back := w.stream("compliance", "?rooms=patient:amina", e.last)
		var got []string
		for range 7 {
			name, _ := back.next()
			got = append(got, name)
		}
		if want := "appointment:created appointment:new vital:signs:update vitals:update patient:" + w.key("amina") + ":vitals appointment:cancelled appointment:updated"; strings.Join(got, " ") != want {
			t.Errorf("%v", got)
		}
		w.put(appointment("a3", "booked", "Patient/amina"))
		if name, data := back.next(); name != "appointment:created" {
			t.Errorf("%s %v", name, data)
		}
	})
}

// A stream in which nothing has happened yet has a place to come back to all the same.
func TestAStreamMissesNothingFromItsBeginning(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		e := w.stream("amina", "", "")
		for e.last == "" {
			line, err := e.in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				e.last = strings.TrimSpace(id)
			}
		}
		e.cancel()
		w.put(appointment("a1", "booked", "Patient/amina"))
		if name, _ := w.stream("amina", "", e.last).next(); name != "appointment:created" {
			t.Errorf("%s", name)
		}
	})
}

func TestAStreamOfOthersRoomsIsRefused(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		for _, c := range []struct {
			token, query, last string
			status             int
		}{
			{"amina", "?rooms=patient:bakri", "", 403}, {"amina", "?rooms=patient:amina&rooms=clinical-team", "", 403}, {"amina", "?rooms=kitchen", "", 404}, {"", "", "", 401}, {"amina", "?room=patient:amina", "", 400},
			{"amina", "", "x", 400}, {"amina", "", "1", 400}, {"amina", "?rooms=patient:amina", "", 200}, {"amina", "?lastEventId=1-0", "", 200},
		} {
			if e := w.stream(c.token, c.query, c.last); e.res.StatusCode != c.status {
				t.Errorf("%s %s %s: %d", c.token, c.query, c.last, e.res.StatusCode)
			}
		}
		for w.live.Connections() != 2 { // those that were let in; of the refused ones nothing is kept
			time.Sleep(time.Millisecond)
		}
	})
}

// A client that does not read is not waited for, and does not fill the memory.
func TestAClientThatDoesNotReadIsGivenUp(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/socket.io/?EIO=4&transport=polling", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		sid := handshake(t, r)
		poll := w.base + "/socket.io/?EIO=4&transport=polling&sid=" + sid
		if got := post(t, poll, `40{"token":"doctor"}`); got != "ok" {
			t.Fatal(got)
		}
		other := w.connect("nurse")
		long := strings.Repeat("x", 100_000)
		for range 30 {
			w.live.Notify(1, 1, "notification:new", map[string]any{"text": long})
		}
		for w.live.Connections() != 1 {
			time.Sleep(time.Millisecond)
		}
		w.live.Notify(1, 3, "notification:new", map[string]any{})
		if e := other.event(); e.name != "notification:new" {
			t.Errorf("%v", e)
		}
	})
}

func TestTheEndOfTheServiceIsSaid(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		s, e := w.connect("doctor"), w.stream("doctor", "", "")
		w.live.Close()
		if got := s.event(); got.name != "session:ended" || got.data["code"] != "SERVICE_UNAVAILABLE" {
			t.Errorf("%v", got)
		}
		if name, _ := e.next(); name != "session:ended" {
			t.Errorf("%s", name)
		}
	})
}

// A client may ask much, and not without end.
func TestAClientAsksSoMuch(t *testing.T) {
	each(t, func(o *live.Options) {
		o.Clock = func() time.Time { return time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC) }
	}, func(t *testing.T, w *world) {
		s := w.connect("doctor")
		ok := 0
		var last map[string]any
		for range 250 {
			if last = s.ask("subscribe:patient", "amina"); last["ok"] == true {
				ok++
			}
		}
		if ok != 200 || last["code"] != "RATE_LIMIT_EXCEEDED" {
			t.Errorf("%d were answered, then %v", ok, last)
		}
	})
}
