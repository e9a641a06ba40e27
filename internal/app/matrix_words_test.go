package app

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/web/api"
)

// The words of a record, each of which stands in one thing of it alone: an answer with the word in it told of the thing.
const (
	wordName, wordPhone, wordID                        = "Zarifword", "912000777", "NATWORD77"
	wordVisit, wordWait, wordEncounter                 = "visitword", "waitword", "encounterword"
	wordDiagnosis, wordAllergy, wordNote, wordPlan     = "diagnosisword", "allergyword", "noteword", "planword"
	wordReferral, wordMessage, wordTimeOff, wordBedTag = "referralword", "messageword", "timeoffword", "bedword"
)

var (
	wordsOfIdentity = []string{wordName, wordPhone, wordID}
	wordsOfCalendar = []string{wordVisit, wordWait}
	wordsOfCare     = []string{wordEncounter, wordDiagnosis, wordAllergy, wordNote, wordPlan, wordReferral}
	allWords        = slices.Concat(wordsOfIdentity, wordsOfCalendar, wordsOfCare, []string{wordMessage, wordTimeOff, wordBedTag})
)

// seenWords are the words that each role may find by the product API, whatever it asks: no other, and each of these.
var seenWords = map[string][]string{
	"admin":          allWords,
	"hospital_admin": allWords,
	// Who oversees reads the record; messages are read by those to whom they were sent and those who keep them.
	"medical_director":   slices.Concat(wordsOfIdentity, wordsOfCalendar, wordsOfCare, []string{wordBedTag}),
	"compliance_officer": slices.Concat(wordsOfIdentity, wordsOfCalendar, []string{wordEncounter, wordDiagnosis, wordAllergy, wordNote, wordPlan}),
	// Who inspects reads what happened, and of nobody who it was.
	"sudan_health_inspector": {wordEncounter, wordDiagnosis, wordAllergy, wordNote, wordPlan},
	"doctor":                 slices.Concat(wordsOfIdentity, wordsOfCalendar, wordsOfCare, []string{wordTimeOff, wordBedTag}),
	"nurse":                  slices.Concat(wordsOfIdentity, wordsOfCalendar, []string{wordEncounter, wordDiagnosis, wordAllergy, wordNote, wordPlan, wordBedTag}),
	// Who receives patients knows who comes when and why, and who lies where, and nothing that was found.
	"receptionist":      slices.Concat(wordsOfIdentity, wordsOfCalendar, []string{wordEncounter, wordTimeOff, wordBedTag}),
	"pharmacist":        slices.Concat(wordsOfIdentity, []string{wordAllergy}),
	"lab_technician":    wordsOfIdentity,
	"billing_clerk":     slices.Concat(wordsOfIdentity, wordsOfCalendar, []string{wordEncounter}),
	"inventory_manager": nil,
	"super_admin":       nil,
	"system_admin":      nil,
	"patient":           nil, // another one
	"the patient":       slices.Concat([]string{wordName, wordVisit, wordWait, wordDiagnosis, wordAllergy, wordNote, wordPlan, wordMessage, wordPhone}),
	"API key":           nil,
	"app":               nil,
	"nobody":            nil,
}

// worded makes a record with the words in it, by the doors through which such things come.
func (c *clinic) worded(admin caller) map[string]string {
	c.t.Helper()
	post := func(path, body, id string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, path, body), id)
	}
	day := workday(8)
	patient := post("/api/v1/patients", `{"firstName":"Mona","lastName":"`+wordName+`","dateOfBirth":"1980-05-17","gender":"female","phone":"+249`+wordPhone+`","nationalId":"`+wordID+`"}`, "data.id")
	places := c.places(admin)
	doctor := post(fhirPath+"/Practitioner", `{"resourceType":"Practitioner","name":[{"family":"Nile"}]}`, "id")
	with := strings.NewReplacer("PATIENT", patient, "DOCTOR", doctor, "DAY", day.Format(time.DateOnly))
	fill := func(path, body, id string) string { c.t.Helper(); return post(path, with.Replace(body), id) }
	visit := fill("/api/v1/appointments", `{"patientId":"PATIENT","providerId":"DOCTOR","appointmentDate":"DAY","appointmentTime":"09:00","duration":30,"reason":"`+wordVisit+`"}`, "data.id")
	series := fill("/api/v1/appointment-series", `{"patientId":"PATIENT","providerId":"DOCTOR","appointmentDate":"DAY","appointmentTime":"11:00","duration":30,"reason":"`+wordVisit+`","rrule":"FREQ=WEEKLY;COUNT=2"}`, "data.id")
	waits := fill("/api/v1/waitlist", `{"patientId":"PATIENT","providerId":"DOCTOR","reason":"`+wordWait+`"}`, "data.id")
	ticket := fill("/api/v1/queue", `{"patientId":"PATIENT","providerId":"DOCTOR"}`, "data.id")
	fill("/api/v1/schedules/provider/"+doctor+"/time-off", `{"from":"2031-01-01","reason":"`+wordTimeOff+`"}`, "data.id")
	fill("/api/v1/beds/"+places["/api/v1/beds/"]+"/assign", `{"patientId":"PATIENT","notes":"`+wordBedTag+`"}`, "data.id")
	problem := fill("/api/v1/problem-list", `{"patientId":"PATIENT","description":"`+wordDiagnosis+`"}`, "data.id")
	note := func(kind string) string {
		c.t.Helper()
		return fill(fhirPath+"/Composition", `{"resourceType":"Composition","status":"final","type":{"text":"Note"},"category":[{"coding":[{"system":"urn:x-nilecare:note-type","code":"`+kind+`"}]}],`+
			`"subject":{"reference":"Patient/PATIENT"},"date":"2026-01-01","author":[{"reference":"Practitioner/DOCTOR"}],"title":"`+wordNote+`"}`, "id")
	}
	soap, progress := note("soap"), note("progress")
	// The message goes to the patient's own list, once there is one: see theWords.
	return map[string]string{
		"/api/v1/patients/": patient, "/api/v1/problem-list/patient/": patient, "/api/v1/export/problem-list/": patient, "/api/v1/schedules/patient/": patient,
		"/api/v1/appointments/": visit, "/api/v1/reminders/appointment/": visit, "/api/v1/appointment-series/": series, "/api/v1/waitlist/": waits, "/api/v1/queue/": ticket,
		"/api/v1/schedules/provider/": doctor,
		"/api/v1/encounters/":         fill("/api/v1/encounters", `{"patientId":"PATIENT","providerId":"DOCTOR","type":"outpatient","reason":"`+wordEncounter+`"}`, "data.id"),
		"/api/v1/conditions/":         problem, "/api/v1/problem-list/": problem,
		"/api/v1/allergies/": fill("/api/v1/allergies", `{"patientId":"PATIENT","allergen":"`+wordAllergy+`"}`, "data.id"),
		"/api/v1/notes/":     soap, "/api/v1/soap-notes/": soap, "/api/v1/progress-notes/": progress, "/api/v1/export/soap-note/": soap, "/api/v1/export/progress-note/": progress,
		"/api/v1/care-plans/": fill("/api/v1/care-plans", `{"patientId":"PATIENT","title":"`+wordPlan+`","activities":[{"description":"walk"}]}`, "data.id"),
		"/api/v1/referrals/":  fill("/api/v1/referrals", `{"patientId":"PATIENT","requesterId":"DOCTOR","specialty":"Chest","reason":"`+wordReferral+`"}`, "data.id"),
		"/api/v1/facilities/": places["/api/v1/facilities/"], "/api/v1/wards/": places["/api/v1/wards/"], "/api/v1/beds/": places["/api/v1/beds/"],
		"/api/v1/departments/": places["/api/v1/departments/"], "/api/v1/settings/facility/": places["/api/v1/facilities/"], "/api/v1/mrn-formats/": places["/api/v1/facilities/"],
		"/api/v1/audit-logs/resource/": patient, "/api/v1/audit/logs/resource/": patient,
	}
}

// asks are the queries by which a route is asked: none, and each of its parameters that may bring something by itself.
func asks(r api.Route, held map[string]string) []string {
	known := map[string]string{
		"patientId": held["/api/v1/patients/"], "providerId": held["/api/v1/schedules/provider/"], "facilityId": held["/api/v1/facilities/"], "wardId": held["/api/v1/wards/"],
		"departmentId": held["/api/v1/departments/"], "encounterId": held["/api/v1/encounters/"], "search": "zarif", "q": "zarif", "name": "zarif", "phone": "0" + wordPhone, "phoneNumber": "0" + wordPhone,
		"nationalId": strings.ToLower(wordID), "dateFrom": "2020-01-01", "timeFrom": "08:00", "timeTo": "17:00", "date": time.Now().Format(time.DateOnly), "event": "patient.created",
	}
	base := url.Values{}
	for _, p := range r.Params {
		if p.Required {
			base.Set(p.Name, known[p.Name])
		}
	}
	out := []string{base.Encode()}
	more := func(name, value string) {
		v := url.Values{}
		for k, all := range base {
			v[k] = all
		}
		v.Set(name, value)
		out = append(out, v.Encode())
	}
	for _, p := range r.Params {
		switch {
		case p.Required || slices.Contains([]string{"page", "limit", "cursor", "sort"}, p.Name):
		case len(p.Enum) > 0:
			for _, value := range p.Enum {
				more(p.Name, value)
			}
		case p.Type == api.Truth:
			more(p.Name, "true")
		case known[p.Name] != "":
			more(p.Name, known[p.Name])
		}
	}
	if slices.Contains(r.Query, "limit") {
		more("limit", "100")
	}
	if r.Exports {
		more("format", "csv")
	}
	return out
}

// readers are routes that read, though they are posted to, with what finds the record.
func readers(held map[string]string) map[string]string {
	by := strings.NewReplacer("PATIENT", held["/api/v1/patients/"])
	return map[string]string{
		"/api/v1/patients/search": `{"name":"zarif"}`, "/api/v1/patients/duplicates": `{"firstName":"Mona","lastName":"zarifword","dateOfBirth":"1980-05-17","gender":"female"}`,
		"/api/v1/problem-list/search": by.Replace(`{"patientId":"PATIENT"}`), "/api/v1/soap-notes/search": by.Replace(`{"patientId":"PATIENT"}`),
		"/api/v1/progress-notes/search": by.Replace(`{"patientId":"PATIENT"}`),
	}
}

// TestEachRoleFindsItsWords: of a patient's record each role finds by the product API what its work needs, and not a word more, whichever route it asks and however.
func TestEachRoleFindsItsWords(t *testing.T) { eachClinic(t, eachRoleFindsItsWords) }

func eachRoleFindsItsWords(t *testing.T, c *clinic) {
	admin := c.person(1, "admin", identity.NewUser{})
	held := c.worded(admin)
	ref := "Patient/" + c.member(c.call(admin, http.MethodGet, fhirPath+"/Patient/"+held["/api/v1/patients/"], ""), "id")
	other := "Patient/" + c.member(c.call(admin, http.MethodPost, fhirPath+"/Patient", `{"resourceType":"Patient","name":[{"family":"Other"}]}`), "id")
	everybody := []caller{{name: "nobody"}, c.key(1, "users:read", "system/Organization.rs"), c.app("system/Medication.rs")}
	self := c.person(1, "patient", identity.NewUser{Patient: ref, FHIRUser: ref})
	self.name = "the patient"
	if a := c.call(admin, http.MethodPost, "/api/v1/notifications/send", `{"userId":"`+strconv.FormatInt(self.user, 10)+`","channel":"websocket","type":"task","title":"For you","message":"`+wordMessage+`"}`); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	everybody = append(everybody, self)
	for _, role := range access.DefaultRoles() {
		who := identity.NewUser{}
		if role.Name == "patient" {
			who.Patient, who.FHIRUser = other, other
		}
		if role.Name != "service" && role.Name != "device" {
			everybody = append(everybody, c.person(1, role.Name, who))
		}
	}
	for _, who := range everybody {
		want, known := seenWords[who.name]
		if !known {
			t.Errorf("%s: nobody wrote down what they find", who.name)
		}
		seen := c.wordsFor(who, held)
		for _, word := range allWords {
			switch at := seen[word]; {
			case at != "" && !slices.Contains(want, word):
				t.Errorf("%s finds %s, by %s", who.name, word, at)
			case at == "" && slices.Contains(want, word):
				t.Errorf("%s does not find %s", who.name, word)
			}
		}
	}
}

// wordsFor asks every route that reads for what there is, but for those whose paths begin so, and returns which words were found, by what.
func (c *clinic) wordsFor(who caller, held map[string]string, but ...string) map[string]string {
	c.t.Helper()
	seen := map[string]string{}
	look := func(method, path, body string) {
		a := c.call(who, method, path, body)
		if a.status >= 500 {
			c.t.Errorf("%s, %s %s: %d %s", who.name, method, path, a.status, a.body)
		}
		for _, word := range allWords {
			if strings.Contains(a.body, word) && seen[word] == "" {
				seen[word] = method + " " + path
			}
		}
	}
	for _, r := range c.routes {
		if r.Method != http.MethodGet || strings.HasSuffix(r.Path, "/stream") || slices.ContainsFunc(but, func(begin string) bool { return strings.HasPrefix(r.Path, begin) }) {
			continue
		}
		path := r.Path
		if strings.Contains(path, "{") {
			id, ok := standsFor(held, path)
			if !ok || id == "" {
				continue
			}
			path = named(path, id)
		}
		for _, query := range asks(r, held) {
			look(http.MethodGet, strings.TrimSuffix(path+"?"+query, "?"), "")
		}
	}
	for path, body := range readers(held) {
		look(http.MethodPost, path, body)
	}
	return seen
}

// TestWhatIsWithheldIsNowhere: a patient who denies it by a consent is in no listing, board, queue or calendar either, for nobody who works there; in an emergency the one is
// whose emergency it is.
func TestWhatIsWithheldIsNowhere(t *testing.T) { eachClinic(t, whatIsWithheldIsNowhere) }

func whatIsWithheldIsNowhere(t *testing.T, c *clinic) {
	admin := c.person(1, "admin", identity.NewUser{})
	held := c.worded(admin)
	patient := held["/api/v1/patients/"]
	everybody := []caller{}
	for _, role := range []string{"doctor", "nurse", "receptionist", "pharmacist", "lab_technician", "billing_clerk", "medical_director", "sudan_health_inspector"} {
		everybody = append(everybody, c.person(1, role, identity.NewUser{}))
	}
	deny := c.call(admin, http.MethodPost, fhirPath+"/Consent", `{"resourceType":"Consent","status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},`+
		`"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"policyRule":{"text":"x"},"patient":{"reference":"Patient/`+patient+`"},"provision":{"type":"deny"}}`)
	if deny.status != http.StatusCreated {
		t.Fatalf("%d %s", deny.status, deny.body)
	}
	for _, who := range everybody {
		for word, at := range c.wordsFor(who, held, "/api/v1/audit") { // which tells what others searched for, and not what there is
			if word != wordTimeOff { // the doctor's own matter
				t.Errorf("%s finds %s though the patient denies it, by %s", who.name, word, at)
			}
		}
	}
	doctor := everybody[0]
	if a := c.call(doctor, http.MethodPost, "/api/v1/break-glass", `{"patient":"Patient/`+patient+`","reason":"unconscious at the door, nobody else is here","minutes":5}`); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	seen := c.wordsFor(doctor, held)
	for _, word := range seenWords["doctor"] {
		if seen[word] == "" {
			t.Errorf("in an emergency the doctor does not find %s", word)
		}
	}
	for word, at := range c.wordsFor(everybody[1], held) {
		t.Errorf("another's emergency opens %s to a nurse, by %s", word, at)
	}
}
