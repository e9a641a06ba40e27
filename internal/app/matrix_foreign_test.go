package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/web/api"
)

// What differs from call to call, though the same was asked for.
var moments = regexp.MustCompile(`"(requestId|timestamp|lastUpdated|lastModified|to|from|at|generatedAt|verifiedAt)": ?"[^"]*"`)

// masked is an answer with what differs from call to call taken out: the id that was asked for, the request's, moments.
func masked(a reply, ids ...string) string {
	text := moments.ReplaceAllString(a.body, `"$1":"-"`)
	h := a.header
	text = fmt.Sprint(a.status, " ", h.Get("ETag"), h.Get("Location"), h.Get("Content-Type"), h.Get("Allow"), h.Get("Www-Authenticate"), " ", text)
	for _, id := range ids {
		text = strings.ReplaceAll(text, id, "ID")
	}
	return text
}

// member reads one member of a JSON answer, by names with dots between; of a list the first.
func (c *clinic) member(a reply, path string) string {
	c.t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader([]byte(a.body)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		c.t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	for _, name := range strings.Split(path, ".") {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		o, _ := v.(map[string]any)
		v = o[name]
	}
	if v == nil {
		c.t.Fatalf("no %s: %d %s", path, a.status, a.body)
	}
	return fmt.Sprint(v)
}

// holdings makes one of each thing that a path of the product API can name, and says what stands in the braces of the paths that begin so:
// the longest beginning counts. "" says that nothing of a tenant's own stands there.
func (c *clinic) holdings(admin caller) map[string]string {
	c.t.Helper()
	post := func(path, body, id string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, path, body), id)
	}
	patient := post(fhirPath+"/Patient", `{"resourceType":"Patient","active":true,"name":[{"family":"Nile"}]}`, "id")
	user := strconv.FormatInt(c.person(1, "nurse", identity.NewUser{}).user, 10)
	c.x.store.log.Note(ledger.Entry{Tenant: 1, Kind: ledger.Security, Action: "spike", Severity: "low", Who: "system"})
	if err := c.x.store.log.Flush(inTenant(c.t.Context(), 1)); err != nil {
		c.t.Fatal(err)
	}
	logs := "/api/v1/audit-logs"
	entry := c.member(c.call(admin, http.MethodGet, logs, ""), "data.logs.id")
	invitation := post("/api/v1/invitations", `{"email":"new@clinic.example","role":"nurse","firstName":"New","lastName":"Comer"}`, "invitation.id")
	held := map[string]string{
		"/api/v1/patients/":               patient,
		"/api/v1/users/":                  user,
		"/api/v1/data/users/":             user,
		"/api/v1/integration/users/":      user,
		logs + "/":                        entry,
		"/api/v1/audit/logs/":             entry,
		logs + "/user/":                   user,
		"/api/v1/audit/logs/user/":        user,
		logs + "/resource/":               patient,
		"/api/v1/audit/logs/resource/":    patient,
		"/api/v1/security-events/":        c.member(c.call(admin, http.MethodGet, "/api/v1/security-events", ""), "data.events.id"),
		"/api/v1/break-glass/":            post("/api/v1/break-glass", `{"patient":"Patient/`+patient+`","reason":"unconscious at the door, nobody else is here","minutes":5}`, "breakGlass.id"),
		"/api/v1/invitations/":            invitation,
		"/api/v1/mail-outbox/":            c.member(c.call(admin, http.MethodGet, "/api/v1/mail-outbox", ""), "mail.id"),
		"/api/v1/sessions/":               c.member(c.call(admin, http.MethodGet, "/api/v1/sessions", ""), "data.sessions.id"),
		"/api/v1/api-keys/":               post("/api/v1/api-keys", `{"name":"lab","scopes":["users:read"]}`, "apiKey.id"),
		"/api/v1/service-accounts/":       post("/api/v1/service-accounts", `{"name":"lab","scopes":["users:read"]}`, "serviceAccount.id"),
		"/api/v1/roles/":                  c.member(c.call(admin, http.MethodPost, "/api/v1/roles", `{"name":"midwife","permissions":["patients:read"]}`), "data.role.name"),
		"/api/v1/oauth/clients/":          post("/api/v1/oauth/clients", `{"client_id":"lab-app","client_name":"Lab","grant_types":["client_credentials"],"scope":"system/Patient.rs","token_endpoint_auth_method":"client_secret_basic"}`, "data.client.client_id"),
		"/api/v1/oauth/grants/":           "lab-app",
		"/api/v1/auth/passkeys/":          "", // one's own alone, and made by a device alone
		"/api/v1/identity-verifications/": post("/api/v1/identity-verifications", `{"familyName":"Nile","givenName":"A","birthDate":"1990-01-01","identifier":{"value":"17"}}`, "verification.id"),
		"/api/v1/identity-providers/":     post("/api/v1/identity-providers", `{"id":"uni","kind":"oidc","name":"University","enabled":false,"issuer":"https://idp.example","clientId":"x","clientSecret":"y"}`, "data.identityProvider.id"),
		"/auth/federation/":               "uni",
		"/auth/saml/":                     "uni",
		"/api/v1/tenants/":                "", // of the first tenant's operators
	}
	maps.Copy(held, c.calendars(admin, patient))
	maps.Copy(held, c.places(admin))
	maps.Copy(held, c.messages(admin))
	maps.Copy(held, c.charts(admin, patient))
	return held
}

// standsFor is what fills a path's braces.
func standsFor(held map[string]string, path string) (string, bool) {
	best := ""
	for begin := range held {
		if strings.HasPrefix(path, begin) && strings.HasPrefix(path[len(begin):], "{") && len(begin) > len(best) {
			best = begin
		}
	}
	return held[best], best != ""
}

// enough are bodies with which the routes would do something, if what they name were there.
var enough = map[string]string{
	"PUT /api/v1/users/{id}":                           `{"firstName":"Mallory"}`,
	"PATCH /api/v1/users/{id}":                         `{"firstName":"Mallory"}`,
	"PUT /api/v1/data/users/{id}":                      `{"firstName":"Mallory"}`,
	"PATCH /api/v1/users/{id}/status":                  `{"status":"inactive"}`,
	"POST /api/v1/users/{id}/reset-password":           `{"newPassword":"a long one of many words, 2026","password":"a long one of many words, 2026"}`,
	"PATCH /api/v1/roles/{role}":                       `{"description":"Mallory's"}`,
	"PUT /api/v1/oauth/clients/{id}":                   `{"client_name":"Mallory","grant_types":["client_credentials"],"scope":"system/*.cruds","token_endpoint_auth_method":"client_secret_basic"}`,
	"POST /api/v1/break-glass/{id}/review":             `{"verdict":"justified","note":"Mallory says so"}`,
	"POST /api/v1/security-events/{id}/acknowledge":    `{"note":"Mallory saw it"}`,
	"PUT /api/v1/identity-providers/{id}":              `{"id":"uni","kind":"oidc","name":"Mallory","issuer":"https://mallory.example","clientId":"x"}`,
	"POST /api/v1/identity-verifications/{id}/approve": `{"patient":"Patient/1"}`,
	"POST /api/v1/identity-verifications/{id}/confirm": `{"code":"123456"}`,
	"PATCH /api/v1/auth/passkeys/{id}":                 `{"name":"Mallory's"}`,

	"PATCH /api/v1/encounters/{id}/status":   `{"status":"cancelled"}`,
	"POST /api/v1/encounters/{id}/discharge": `{"disposition":"home"}`,
	"POST /api/v1/encounters/{id}/diagnoses": `{"description":"Mallory"}`,
	"PUT /api/v1/encounters/{id}":            `{"reason":"Mallory says so"}`,
	"PUT /api/v1/conditions/{id}":            `{"severity":"severe"}`,
	"PUT /api/v1/problem-list/{id}":          `{"severity":"severe"}`,
	"PUT /api/v1/allergies/{id}":             `{"status":"inactive"}`,
	"PUT /api/v1/notes/{id}":                 `{"content":"Mallory says so"}`,
	"POST /api/v1/notes/{id}/amend":          `{"content":"Mallory says so","reason":"x"}`,
	"POST /api/v1/soap-notes/{id}/amend":     `{"plan":"Mallory says so","reason":"x"}`,
	"POST /api/v1/progress-notes/{id}/amend": `{"content":"Mallory says so","reason":"x"}`,
	"PUT /api/v1/care-plans/{id}":            `{"title":"Mallory's"}`,
	"PATCH /api/v1/care-plans/{id}/status":   `{"status":"completed"}`,
	"PUT /api/v1/referrals/{id}":             `{"urgency":"stat"}`,
	"POST /api/v1/referrals/{id}/reject":     `{"reason":"Mallory says so"}`,

	"POST /api/v1/patients/{id}/merge":     `{"into":"1"}`,
	"PUT /api/v1/mrn-formats/{facilityId}": `{"width":9}`,

	"PUT /api/v1/webhooks/{id}":   `{"url":"https://mallory.example/"}`,
	"PATCH /api/v1/webhooks/{id}": `{"url":"https://mallory.example/"}`,

	"PUT /api/v1/facilities/{id}":                `{"name":"Mallory's"}`,
	"PUT /api/v1/departments/{id}":               `{"name":"Mallory's"}`,
	"PUT /api/v1/wards/{id}":                     `{"name":"Mallory's"}`,
	"PUT /api/v1/beds/{id}":                      `{"bedNumber":"666"}`,
	"PUT /api/v1/beds/{id}/status":               `{"status":"maintenance"}`,
	"POST /api/v1/beds/{id}/assign":              `{"patientId":"1"}`,
	"PUT /api/v1/settings/facility/{facilityId}": `{"allowWalkIns":false}`,

	"PUT /api/v1/appointments/{id}":                        `{"reason":"Mallory says so","appointmentTime":"10:00"}`,
	"PATCH /api/v1/appointments/{id}/status":               `{"status":"confirmed"}`,
	"PUT /api/v1/schedules/provider/{id}":                  `{"slotMinutes":5}`,
	"POST /api/v1/schedules/provider/{id}/time-off":        `{"from":"2026-12-01"}`,
	"PUT /api/v1/schedules/provider/{id}/time-off/{entry}": `{"from":"2026-12-01"}`,
	"PUT /api/v1/schedules/holidays/{entry}":               `{"name":"Mallory's day","from":"2026-12-01"}`,
	"PUT /api/v1/schedules/patient/{id}/preferences":       `{"language":"en"}`,
}

// named fills a path's braces, all that name a thing with the same id.
func named(path, id string) string {
	return regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(path, func(part string) string {
		switch part {
		case "{type}":
			return "Patient"
		case "{what}":
			return "profile"
		}
		return id
	})
}

// neverLike is an id like another that nothing has, nor had: of numbers one that the server gave out just now, and to nothing.
func (c *clinic) neverLike(id string) string {
	if _, err := strconv.ParseInt(id, 10, 64); err == nil {
		return strconv.FormatInt(c.x.store.Ledger().Next(), 10)
	}
	return "never-was"
}

// TestAnotherTenant: what a tenant has is to another one's administrator as if it had never been, whichever route is asked for it.
func TestAnotherTenant(t *testing.T) { eachClinic(t, anotherTenant) }

func anotherTenant(t *testing.T, c *clinic) {
	admin := c.person(1, "admin", identity.NewUser{})
	held := c.holdings(admin)
	other, _, err := c.x.people.CreateTenant(inTenant(t.Context(), 1), "Another clinic")
	if err != nil {
		t.Fatal(err)
	}
	stranger := c.person(other.ID, "admin", identity.NewUser{})
	if a := c.call(stranger, http.MethodGet, "/api/v1/users", ""); a.status != http.StatusOK || strings.Contains(a.body, held["/api/v1/users/"]) {
		t.Fatalf("their own users: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/api/v1/users", fhirPath + "/Patient"} {
		if a := c.call(admin, http.MethodGet, "/t/"+strconv.Itoa(int(other.ID))+path, ""); a.status != http.StatusUnauthorized {
			t.Errorf("a token of the first tenant at another one's %s: %d", path, a.status)
		}
	}
	before := c.seen(admin, held)
	for _, r := range c.routes {
		if !strings.Contains(r.Path, "{") {
			continue
		}
		id, ok := standsFor(held, r.Path)
		if !ok {
			t.Errorf("%s %s: holdings makes nothing that its path names", r.Method, r.Path)
		}
		if id == "" {
			continue
		}
		none := c.neverLike(id)
		c.same(stranger, r, named(r.Path, id), named(r.Path, none), id, none)
	}
	patient := held["/api/v1/patients/"]
	none := c.neverLike(patient) // one for all: what is made below by its id is made by the other too
	for _, typ := range sampleTypes {
		for _, i := range fhirrest.Interactions() {
			if strings.Contains(i.Pattern, "{id}") {
				c.sameInteraction(stranger, i, typ, patient, none)
			}
		}
	}
	// The administrator of the tenant itself does see a difference, or the comparison would show nothing.
	for _, path := range []string{fhirPath + "/Patient/" + patient, "/api/v1/users/" + held["/api/v1/users/"]} {
		if a := c.call(admin, http.MethodGet, path, ""); a.status != http.StatusOK {
			t.Errorf("%s, for its own administrator: %d", path, a.status)
		}
	}
	if after := c.seen(admin, held); after != before {
		t.Errorf("another tenant changed what there is:\n%s\n%s", before, after)
	}
}

// seen is how the administrator sees what there is.
func (c *clinic) seen(admin caller, held map[string]string) string {
	var all []string
	for _, r := range c.routes {
		id, ok := standsFor(held, r.Path)
		if r.Method == http.MethodGet && ok && id != "" && strings.Count(r.Path, "{") == 1 && strings.HasPrefix(r.Path, "/api/") &&
			!strings.Contains(r.Path, "/audit") && !strings.Contains(r.Path, "access-log") {
			all = append(all, r.Path+" "+masked(c.call(admin, r.Method, named(r.Path, id), "")))
		}
	}
	return strings.Join(all, "\n")
}

// same asks a route for a thing that is another's, and for one that never was: the answers must be the same, and refuse to do anything.
func (c *clinic) same(who caller, r api.Route, theirs, none, id, noID string) {
	c.t.Helper()
	body := ""
	if r.Method != http.MethodGet {
		if body = enough[r.Method+" "+r.Path]; body == "" {
			body = "{}"
		}
	}
	a, b := c.call(who, r.Method, theirs, body), c.call(who, r.Method, none, body)
	if x, y := masked(a, id), masked(b, noID); x != y {
		c.t.Errorf("%s, %s %s:\n%s\nand for what never was:\n%s", who.name, r.Method, r.Path, x, y)
	}
	takesCode := strings.HasSuffix(r.Path, "/confirm") && a.status == http.StatusBadRequest // by a code, which no one but its owner has
	if r.Need.String() != "public" && (r.Method != http.MethodGet && a.status != http.StatusForbidden && a.status != http.StatusNotFound && !takesCode || a.status >= 500) {
		c.t.Errorf("%s, %s %s: %d %s", who.name, r.Method, r.Path, a.status, a.body)
	}
}

// sameInteraction is same for the FHIR API.
func (c *clinic) sameInteraction(who caller, i fhirrest.Interaction, typ, id, none string) {
	c.t.Helper()
	if strings.Contains(i.Pattern, "{other}") && !slices.Contains([]string{"Patient", "Encounter", "Practitioner"}, typ) {
		return
	}
	ask := func(id string) (string, reply) {
		body := ""
		switch {
		case strings.HasSuffix(i.Pattern, "_search"), i.Method == http.MethodGet, i.Method == http.MethodDelete:
		case i.Method == http.MethodPatch:
			body = `[{"op":"add","path":"/language","value":"en"}]`
		case strings.Contains(i.Pattern, "$"):
			body = `{"resourceType":"Parameters"}`
		default:
			body = minimal(typ, id)
		}
		path := byPattern(i.Pattern, typ, id, "1")
		return path, c.call(who, i.Method, path, body)
	}
	path, a := ask(id)
	_, b := ask(none)
	if x, y := masked(a, id), masked(b, none); x != y {
		c.t.Errorf("%s, %s %s:\n%.600s\nand for what never was:\n%.600s", who.name, i.Method, path, x, y)
	}
	if a.status >= 500 {
		c.t.Errorf("%s, %s %s: %d %s", who.name, i.Method, path, a.status, a.body)
	}
	if a.status >= 400 {
		if wrong := refusal(path, a); wrong != "" {
			c.t.Errorf("%s, %s %s: %s", who.name, i.Method, path, wrong)
		}
	}
}

// minimal is a valid resource of a sample type.
func minimal(typ, id string) string {
	more := map[string]string{
		"Observation": `,"status":"final","code":{"text":"weight"}`, "Condition": `,"subject":{"reference":"Patient/` + never + `"}`,
		"Encounter": `,"status":"planned","class":{"code":"AMB"}`, "Organization": `,"name":"A"`, "Binary": `,"contentType":"text/plain"`,
		"List": `,"status":"current","mode":"working"`, "Provenance": `,"target":[{"reference":"Patient/` + never + `"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"reference":"Practitioner/1"}}]`,
		"Consent": `,"status":"active","scope":{"text":"x"},"category":[{"text":"x"}],"policyRule":{"text":"x"}`,
	}[typ]
	return `{"resourceType":"` + typ + `","id":"` + id + `"` + more + `}`
}

// TestAnotherPatient: another patient's record is to a patient, and to an app that may read his own alone, as if it had never been.
func TestAnotherPatient(t *testing.T) { eachClinic(t, anotherPatient) }

func anotherPatient(t *testing.T, c *clinic) {
	admin := c.person(1, "admin", identity.NewUser{})
	make1 := func(typ, body string) string {
		t.Helper()
		return c.member(c.call(admin, http.MethodPost, fhirPath+"/"+typ, `{"resourceType":"`+typ+`",`+body+`}`), "id")
	}
	own := make1("Patient", `"name":[{"family":"Own"}]`)
	theirs := make1("Patient", `"name":[{"family":"Their"}]`)
	subject := `"subject":{"reference":"Patient/` + theirs + `"}`
	held := map[string]string{
		"Patient": theirs, "Observation": make1("Observation", `"status":"final","code":{"text":"weight"},`+subject), "Condition": make1("Condition", subject),
		"Encounter": make1("Encounter", `"status":"planned","class":{"code":"AMB"},`+subject),
		"List":      make1("List", `"status":"current","mode":"working",`+subject),
		"Consent": make1("Consent", `"status":"active","scope":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/consentscope","code":"patient-privacy"}]},`+
			`"category":[{"coding":[{"system":"http://loinc.org","code":"59284-0"}]}],"policyRule":{"text":"x"},"patient":{"reference":"Patient/`+theirs+`"}`),
		"Provenance": make1("Provenance", `"target":[{"reference":"Patient/`+theirs+`"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"reference":"Patient/`+theirs+`"}}]`),
	}
	held["AllergyIntolerance"] = make1("AllergyIntolerance", `"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"patient":{"reference":"Patient/`+theirs+`"}`)
	held["DocumentReference"] = make1("DocumentReference", `"status":"current",`+subject+`,"content":[{"attachment":{"title":"x"}}]`)
	patient := c.person(1, "patient", identity.NewUser{Patient: "Patient/" + own, FHIRUser: "Patient/" + own})
	if a := c.call(patient, http.MethodGet, fhirPath+"/Patient/"+own, ""); a.status != http.StatusOK {
		t.Fatalf("the own record: %d %s", a.status, a.body)
	}
	nobody := c.person(1, "patient", identity.NewUser{}) // not linked to any record yet
	for _, who := range []caller{patient, nobody, c.app("system/Medication.rs"), c.person(1, "super_admin", identity.NewUser{})} {
		for typ, id := range held {
			never := c.neverLike(id)
			for _, i := range fhirrest.Interactions() {
				if strings.Contains(i.Pattern, "{id}") {
					c.sameInteraction(who, i, typ, id, never)
				}
			}
			for _, query := range []string{"_id=" + id, "_id=" + id + "&_summary=count", "_id=" + id + "&_include=*&_revinclude=Provenance:target", "_has:Provenance:target:_id=" + held["Provenance"]} {
				a := c.call(who, http.MethodGet, fhirPath+"/"+typ+"?"+query, "")
				b := c.call(who, http.MethodGet, fhirPath+"/"+typ+"?"+strings.NewReplacer(id, never, held["Provenance"], never).Replace(query), "")
				if x, y := masked(a, id, held["Provenance"]), masked(b, never); x != y {
					t.Errorf("%s, %s?%s:\n%.500s\nand for what never was:\n%.500s", who.name, typ, query, x, y)
				}
			}
		}
		for _, r := range c.routes {
			if strings.HasPrefix(r.Path, "/api/v1/patients/{id}/") {
				if !who.may("audit:read") {
					never := c.neverLike(theirs)
					c.same(who, r, named(r.Path, theirs), named(r.Path, never), theirs, never)
				}
			}
		}
	}
	worded := c.worded(admin)
	for begin, id := range worded { // what the clinic has is no secret
		if slices.ContainsFunc([]string{"provider/", "facilities/", "wards/", "beds/", "departments/", "settings/", "mrn-formats/"}, func(part string) bool { return strings.Contains(begin, part) }) {
			delete(worded, begin)
		} else if id == "" {
			t.Errorf("%s: nothing", begin)
		}
	}
	before := c.seen(admin, worded)
	for _, who := range []caller{patient, nobody, c.app("system/Medication.rs"), c.person(1, "super_admin", identity.NewUser{})} {
		for _, r := range c.routes {
			id, ok := standsFor(worded, r.Path)
			if !ok || who.may("audit:read") && regexp.MustCompile("/audit|/access-log$|/disclosures$").MatchString(r.Path) {
				continue
			}
			never := c.neverLike(id)
			c.same(who, r, named(r.Path, id), named(r.Path, never), id, never)
		}
	}
	if after := c.seen(admin, worded); after != before {
		t.Errorf("others changed what there is:\n%s\n%s", before, after)
	}
	for typ, id := range held {
		if a := c.call(admin, http.MethodGet, fhirPath+"/"+typ+"/"+id, ""); a.status != http.StatusOK || a.header.Get("ETag") != `W/"1"` {
			t.Errorf("%s was changed: %d %s", typ, a.status, a.header.Get("ETag"))
		}
	}
}
