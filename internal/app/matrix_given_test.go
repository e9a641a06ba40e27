package app

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/web/api"
)

// givenIDs are requests that name things in their bodies, by words in capitals. With all of them the caller's own, each does something.
var givenIDs = []struct{ route, body string }{
	{"POST /api/v1/appointments", `{"patientId":"PATIENT","providerId":"DOCTOR","facilityId":"FACILITY","appointmentDate":"DAY","appointmentTime":"14:00","duration":30,"reason":"x"}`},
	{"POST /api/v1/appointments", `{"patientId":"PATIENT","providerId":"DOCTOR","locationId":"ROOM","appointmentDate":"DAY","appointmentTime":"14:30","duration":30,"reason":"x"}`},
	{"PUT /api/v1/appointments/VISIT", `{"providerId":"DOCTOR","reason":"moved"}`},
	{"POST /api/v1/appointment-series", `{"patientId":"PATIENT","providerId":"DOCTOR","appointmentDate":"DAY","appointmentTime":"16:00","duration":30,"reason":"x","rrule":"FREQ=WEEKLY;COUNT=2"}`},
	{"POST /api/v1/bulk/appointments", `{"items":[{"patientId":"PATIENT","providerId":"DOCTOR","appointmentDate":"DAY","appointmentTime":"15:00","duration":30,"reason":"x"}]}`},
	{"PUT /api/v1/bulk/appointments", `{"items":[{"id":"VISIT","reason":"again"}]}`},
	{"PATCH /api/v1/bulk/appointments/status", `{"items":[{"id":"VISIT","status":"confirmed"}]}`},
	{"POST /api/v1/waitlist", `{"patientId":"PATIENT","providerId":"DOCTOR"}`},
	{"POST /api/v1/queue", `{"patientId":"PATIENT","providerId":"DOCTOR","facilityId":"FACILITY"}`},
	{"POST /api/v1/queue", `{"appointmentId":"VISIT"}`},
	{"POST /api/v1/queue/next", `{"facilityId":"FACILITY","providerId":"DOCTOR"}`},
	{"POST /api/v1/calendars", `{"of":"Practitioner/DOCTOR"}`},
	{"POST /api/v1/calendars", `{"of":"Patient/PATIENT"}`},
	{"POST /api/v1/calendars", `{"of":"Location/ROOM"}`},
	{"PUT /api/v1/schedules/patient/PATIENT/preferences", `{"preferredProviderId":"DOCTOR"}`},
	{"POST /api/v1/schedules/holidays", `{"name":"A day","from":"2030-02-01","facilityId":"FACILITY"}`},
	{"POST /api/v1/departments", `{"facilityId":"FACILITY","name":"Surgery","code":"SUR"}`},
	{"POST /api/v1/wards", `{"facilityId":"FACILITY","departmentId":"DEPARTMENT","name":"Second","wardCode":"W2","wardType":"medical","totalBeds":1}`},
	{"POST /api/v1/beds", `{"wardId":"WARD","departmentId":"DEPARTMENT","facilityId":"FACILITY","bedNumber":"9","bedType":"standard"}`},
	{"PUT /api/v1/beds/FREE", `{"wardId":"WARD"}`},
	{"POST /api/v1/beds/FREE/reserve", `{"patientId":"PATIENT"}`},
	{"PUT /api/v1/beds/FREE/status", `{"status":"reserved","patientId":"PATIENT"}`},
	{"POST /api/v1/beds/BED/transfer", `{"toBedId":"FREE"}`},
	{"POST /api/v1/beds/FREE/assign", `{"patientId":"PATIENT","encounterId":"ENCOUNTER"}`},
	{"POST /api/v1/encounters", `{"patientId":"PATIENT","providerId":"DOCTOR","facilityId":"FACILITY","type":"outpatient"}`},
	{"POST /api/v1/encounters", `{"patientId":"PATIENT","providerId":"DOCTOR","appointmentId":"VISIT","type":"outpatient"}`},
	{"POST /api/v1/encounters/ENCOUNTER/diagnoses", `{"conditionId":"CONDITION"}`},
	{"POST /api/v1/bulk/encounters", `{"items":[{"patientId":"PATIENT","providerId":"DOCTOR","type":"outpatient"}]}`},
	{"POST /api/v1/conditions", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","description":"x"}`},
	{"POST /api/v1/problem-list", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","description":"y"}`},
	{"POST /api/v1/allergies", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","allergen":"Penicillin"}`},
	{"POST /api/v1/notes", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","type":"progress","content":"x"}`},
	{"POST /api/v1/soap-notes", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","subjective":"x"}`},
	{"POST /api/v1/progress-notes", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","content":"x"}`},
	{"POST /api/v1/care-plans", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","title":"x","activities":[{"description":"walk","assigneeId":"DOCTOR"}]}`},
	{"POST /api/v1/referrals", `{"patientId":"PATIENT","encounterId":"ENCOUNTER","requesterId":"DOCTOR","organizationId":"FACILITY","specialty":"Chest","reason":"x"}`},
	{"POST /api/v1/patients", `{"firstName":"New","lastName":"Born","dateOfBirth":"2026-01-01","gender":"male","facilityId":"FACILITY"}`},
	{"POST /api/v1/patients/PATIENT/mrn", `{"facilityId":"FACILITY"}`},
	{"POST /api/v1/patients/SECOND/merge", `{"into":"PATIENT"}`},
	{"POST /api/v1/notifications/send", `{"patientId":"PATIENT","channel":"sms","type":"task","message":"x"}`},
	{"POST /api/v1/notifications/send", `{"userId":"USER","channel":"websocket","type":"task","message":"x"}`},
	{"POST /api/v1/notifications/bulk", `{"items":[{"userId":"USER","channel":"websocket","type":"task","message":"x"}]}`},
	{"PATCH /api/v1/bulk/users/status", `{"ids":["USER"],"status":"inactive"}`},
	{"POST /api/v1/integration/users/batch", `{"userIds":["USER"]}`},
	{"DELETE /api/v1/bulk/appointments", `{"items":[{"id":"VISIT"}]}`},
	{"DELETE /api/v1/bulk/patients", `{"ids":["PATIENT"]}`},
	{"DELETE /api/v1/bulk/users", `{"ids":["USER"]}`},
}

var capitals = regexp.MustCompile(`\b(PATIENT|SECOND|DOCTOR|VISIT|ROOM|FACILITY|DEPARTMENT|WARD|BED|FREE|ENCOUNTER|CONDITION|USER)\b`)

// things are one of each of the words in capitals, in the tenant of the administrator.
func (c *clinic) things(tenant int32, admin caller) map[string]string {
	c.t.Helper()
	post := func(path, body, id string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, path, body), id)
	}
	held := c.worded(admin)
	return map[string]string{
		"PATIENT": held["/api/v1/patients/"], "DOCTOR": held["/api/v1/schedules/provider/"], "VISIT": held["/api/v1/appointments/"], "FACILITY": held["/api/v1/facilities/"],
		"DEPARTMENT": held["/api/v1/departments/"], "WARD": held["/api/v1/wards/"], "BED": held["/api/v1/beds/"], "ENCOUNTER": held["/api/v1/encounters/"], "CONDITION": held["/api/v1/conditions/"],
		"FREE":   post("/api/v1/beds", `{"wardId":"`+held["/api/v1/wards/"]+`","bedNumber":"7","bedType":"standard"}`, "data.id"),
		"ROOM":   post(fhirPath+"/Location", `{"resourceType":"Location","status":"active","name":"Room","physicalType":{"coding":[{"code":"ro"}]}}`, "id"),
		"SECOND": post("/api/v1/patients", `{"firstName":"Second","lastName":"Person","dateOfBirth":"1990-05-17","gender":"male"}`, "data.id"),
		"USER":   strconv.FormatInt(c.person(tenant, "nurse", identity.NewUser{}).user, 10),
		"DAY":    workday(8).Format(time.DateOnly),
	}
}

// TestAnothersThingsInABody: whoever names in a body what is another tenant's, or another patient's, is answered as if it had never been, and nothing is done.
func TestAnothersThingsInABody(t *testing.T) { eachClinic(t, anothersThingsInABody) }

func anothersThingsInABody(t *testing.T, c *clinic) {
	admin := c.person(1, "admin", identity.NewUser{})
	theirs := c.things(1, admin)
	before := c.state(admin)
	tenant, _, err := c.x.people.CreateTenant(inTenant(t.Context(), 1), "Another clinic")
	if err != nil {
		t.Fatal(err)
	}
	boss := c.person(tenant.ID, "admin", identity.NewUser{})
	own := c.things(tenant.ID, boss)
	writer := "Practitioner/" + own["DOCTOR"] // notes are written by practitioners
	stranger := c.person(tenant.ID, "admin", identity.NewUser{FHIRUser: writer})
	c.given(stranger, own, theirs, slices.Collect(names(own)))
	c.asked(stranger, theirs)
	c.doing(stranger, own)

	// Within a tenant: what is of a patient is to another one as if it had never been; what the clinic has is no secret.
	mine := c.member(c.call(admin, http.MethodPost, fhirPath+"/Patient", `{"resourceType":"Patient","name":[{"family":"Other"}]}`), "id")
	patient := c.person(1, "patient", identity.NewUser{Patient: "Patient/" + mine, FHIRUser: "Patient/" + mine})
	local := map[string]string{}
	for name, id := range theirs {
		local[name] = id
	}
	local["PATIENT"] = mine
	c.given(patient, local, theirs, []string{"PATIENT", "SECOND", "VISIT", "ENCOUNTER", "CONDITION", "USER"})
	c.asked(patient, map[string]string{"PATIENT": theirs["PATIENT"], "ENCOUNTER": theirs["ENCOUNTER"]})
	if after := c.state(admin); after != before {
		t.Errorf("others changed what there is:\n%s\n%s", before, after)
	}
}

// names are the words of a table of things but for the day.
func names(all map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range all {
			if name != "DAY" && !yield(name) {
				return
			}
		}
	}
}

// given sends each request with one of another's things and the others one's own, and compares with an id that never was.
func (c *clinic) given(who caller, own, theirs map[string]string, foreign []string) {
	c.t.Helper()
	fill := func(text string, but, id string) string {
		return strings.ReplaceAll(capitals.ReplaceAllStringFunc(text, func(name string) string {
			if name == but {
				return id
			}
			return own[name]
		}), "DAY", own["DAY"])
	}
	for _, g := range givenIDs {
		method, path, _ := strings.Cut(g.route, " ")
		for _, name := range slices.Compact(slices.Sorted(slices.Values(capitals.FindAllString(g.body, -1)))) {
			if !slices.Contains(foreign, name) {
				continue
			}
			none := c.neverLike(theirs[name])
			a := c.call(who, method, fill(path, name, theirs[name]), fill(g.body, name, theirs[name]))
			b := c.call(who, method, fill(path, name, none), fill(g.body, name, none))
			if x, y := masked(a, theirs[name]), masked(b, none); x != y {
				c.t.Errorf("%s, %s with another's %s:\n%.500s\nand with one that never was:\n%.500s", who.name, g.route, name, x, y)
			}
			done := strings.Contains(path, "/bulk") && regexp.MustCompile(`"succeeded":\s*[1-9]`).MatchString(a.body)
			batch := strings.HasSuffix(path, "/batch") || strings.Contains(path, "/bulk")
			if a.status >= 500 || done || a.status < 400 && !batch {
				c.t.Errorf("%s, %s with another's %s: %d %.500s", who.name, g.route, name, a.status, a.body)
			}
		}
	}
}

// doing sends each request with nothing but one's own, to see that the comparison is of requests that do something.
func (c *clinic) doing(who caller, own map[string]string) {
	c.t.Helper()
	for _, g := range givenIDs {
		method, path, _ := strings.Cut(g.route, " ")
		fill := func(text string) string {
			return strings.ReplaceAll(capitals.ReplaceAllStringFunc(text, func(name string) string { return own[name] }), "DAY", own["DAY"])
		}
		if a := c.call(who, method, fill(path), fill(g.body)); a.status >= 400 || regexp.MustCompile(`"failed":\s*[1-9]`).MatchString(a.body) {
			c.t.Errorf("%s with one's own things: %d %.700s", g.route, a.status, a.body)
		}
	}
}

// asked asks each listing for what is another's, and compares with an id that never was.
func (c *clinic) asked(who caller, theirs map[string]string) {
	c.t.Helper()
	words := map[string]string{"patientId": "PATIENT", "providerId": "DOCTOR", "facilityId": "FACILITY", "wardId": "WARD", "departmentId": "DEPARTMENT", "encounterId": "ENCOUNTER", "userId": "USER"}
	for _, r := range c.routes {
		if r.Method != http.MethodGet || strings.Contains(r.Path, "{") {
			continue
		}
		for _, p := range r.Params {
			id := theirs[words[p.Name]]
			if id == "" {
				continue
			}
			ask := func(id string) reply { return c.call(who, http.MethodGet, r.Path+"?"+withParam(r, p.Name, id), "") }
			none := c.neverLike(id)
			a, b := ask(id), ask(none)
			if x, y := masked(a, id), masked(b, none); x != y {
				c.t.Errorf("%s, %s?%s= of another:\n%.500s\nand of one that never was:\n%.500s", who.name, r.Path, p.Name, x, y)
			}
			if a.status >= 500 {
				c.t.Errorf("%s, %s?%s=: %d %s", who.name, r.Path, p.Name, a.status, a.body)
			}
		}
	}
}

// withParam is a query with a parameter, and whatever else the route demands.
func withParam(r api.Route, name, value string) string {
	v := url.Values{name: {value}}
	for _, p := range r.Params {
		if p.Required && p.Name != name {
			v.Set(p.Name, never)
		}
	}
	return v.Encode()
}

// state is all records of the types that the requests would change, as the administrator has them: their versions.
func (c *clinic) state(admin caller) string {
	c.t.Helper()
	var all []string
	ctx := inTenant(c.t.Context(), 1)
	for _, typ := range []string{"Appointment", "Encounter", "Location", "Organization", "Condition", "AllergyIntolerance", "Composition", "CarePlan", "ServiceRequest", "Schedule"} {
		n, err := c.x.care.records.Count(ctx, typ)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, typ+" "+strconv.Itoa(n))
	}
	for _, path := range []string{"/api/v1/beds", "/api/v1/queue", "/api/v1/waitlist?status=all", "/api/v1/appointments?limit=100"} {
		all = append(all, masked(c.call(admin, http.MethodGet, path, "")))
	}
	return strings.Join(all, "\n")
}
