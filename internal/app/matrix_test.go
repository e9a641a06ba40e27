package app

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/oauth"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

var update = flag.Bool("update", false, "write testdata/routes.txt anew from the tables of routes")

// clinic is a whole server without a socket: the handlers that `serve` serves by, on a database in a folder of the test.
type clinic struct {
	t      testing.TB
	x      *platform
	h      http.Handler
	routes []api.Route
}

// eachClinic runs a test on the embedded database, and on a server's where one is named.
func eachClinic(t *testing.T, f func(*testing.T, *clinic)) {
	t.Run("sqlite", func(t *testing.T) { f(t, newClinic(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, newClinic(t, "NILECARE_DATABASE="+storetest.Database(t))) })
}

func newClinic(t testing.TB, more ...string) *clinic {
	t.Helper()
	env := append(more, "NILECARE_DATA="+filepath.Join(t.TempDir(), "data"), "NILECARE_LISTEN=127.0.0.1:0", "NILECARE_LOG_LEVEL=error")
	cfg, _, err := config.Load(nil, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	var said lockedBuffer
	p := &Program{Version: "test", In: strings.NewReader(""), Out: &said, Err: &said, Env: env, cfg: cfg}
	log := p.logger()
	store, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.platform(t.Context(), store, "http://127.0.0.1:7000", log)
	if err != nil {
		t.Fatal(err)
	}
	store.platform = x
	// The tables are what is tested: the limiter stands in them, and lets all through.
	if x.limits, err = web.NewLimiter(web.LimiterOptions{Classes: []web.Class{{Name: "all", Of: []web.Match{{}}}}}); err != nil {
		t.Fatal(err)
	}
	s := &server{program: p, store: store, platform: x, log: log}
	h, err := s.handler()
	if err != nil {
		t.Fatal(err)
	}
	store.detect.Start(x.audits)
	s.ready.Store(true)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if text := said.String(); strings.Contains(text, `"level":"ERROR"`) || strings.Contains(text, "level=ERROR") {
			t.Errorf("the log: %s", text)
		}
	})
	return &clinic{t, x, h, x.routes()}
}

// inTenant is the context of the program itself in a tenant.
func inTenant(ctx context.Context, tenant int32) context.Context {
	return access.With(ctx, access.System(tenant))
}

// caller is somebody who calls, by the Authorization header that he sends.
type caller struct {
	name, auth string
	holds      []string // permissions of the product API
	user       int64
}

// person makes a user and a session of his, without a password, which would take the time of hashing one.
func (c *clinic) person(tenant int32, role string, n identity.NewUser) caller {
	c.t.Helper()
	ctx := inTenant(c.t.Context(), tenant)
	n.Email, n.FirstName, n.LastName, n.Role = fmt.Sprintf("%s%d@clinic.example", role, c.x.store.Ledger().Next()), "Some", "Body", role
	n.Status, n.EmailVerified = identity.Active, true
	u, err := c.x.people.Create(ctx, tenant, n)
	if err != nil {
		c.t.Fatalf("%s: %v", role, err)
	}
	return c.enter(tenant, u.ID, role)
}

func (c *clinic) enter(tenant int32, user int64, role string) caller {
	c.t.Helper()
	in, err := c.x.people.Begin(inTenant(c.t.Context(), tenant), tenant, user, identity.ByMFA, false, "192.0.2.1", "matrix")
	if err != nil {
		c.t.Fatalf("%s: %v", role, err)
	}
	out := caller{name: role, auth: "Bearer " + in.AccessToken, user: user}
	for _, r := range access.DefaultRoles() {
		if r.Name == role {
			out.holds = r.Permissions
		}
	}
	return out
}

func (c *clinic) key(tenant int32, scopes ...string) caller {
	c.t.Helper()
	key, _, err := c.x.people.CreateKey(inTenant(c.t.Context(), tenant), tenant, identity.NewKey{Name: "matrix", Scopes: scopes})
	if err != nil {
		c.t.Fatal(err)
	}
	return caller{name: "API key", auth: "Bearer " + key, holds: scopes}
}

// app is a program that the authorization server knows, with a token as its token endpoint gives them.
func (c *clinic) app(scopes string) caller {
	c.t.Helper()
	ctx := inTenant(c.t.Context(), 1)
	made, _, err := c.x.apps.CreateClient(ctx, 1, oauth.NewClient{Meta: oauth.ClientMeta{Name: "matrix", AuthMethod: "client_secret_basic",
		GrantTypes: []string{"client_credentials"}, Scope: scopes}}, "admin", "test")
	if err != nil {
		c.t.Fatal(err)
	}
	now := time.Now()
	raw, err := c.x.ring.Sign(ctx, 1, "ES256", "at+jwt", token.Claims{Issuer: c.x.issuer(1), Subject: made.ID, Audience: []string{c.x.audience(1)}, ID: "matrix", Issued: now,
		Expires: now.Add(5 * time.Minute), Extra: map[string]any{"client_id": made.ID, "scope": scopes, "tenant": 1}})
	if err != nil {
		c.t.Fatal(err)
	}
	return caller{name: "app", auth: "Bearer " + raw}
}

// may works out from the list alone, not by the code under test, whether a permission is held.
func (c *caller) may(permission string) bool {
	kind, _, _ := strings.Cut(permission, ":")
	return slices.Contains(c.holds, permission) || slices.Contains(c.holds, "*") || slices.Contains(c.holds, kind+":*")
}

// reply is what was answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// firstByte is a recorder that hangs up as soon as something is sent: some answers never end.
type firstByte struct {
	*httptest.ResponseRecorder
	hangUp context.CancelFunc
}

func (f firstByte) Flush() { f.ResponseRecorder.Flush(); f.hangUp() }

func (c *clinic) call(who caller, method, path, body string) reply {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	r := httptest.NewRequest(method, "http://127.0.0.1:7000"+path, strings.NewReader(body)).WithContext(ctx)
	r.RemoteAddr = "192.0.2.1:1234"
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(path, fhirPath) && body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
		if method == http.MethodPatch {
			r.Header.Set("Content-Type", "application/json-patch+json")
		}
		if strings.HasSuffix(path, "_search") {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	if who.auth != "" {
		r.Header.Set("Authorization", who.auth)
	}
	w := firstByte{httptest.NewRecorder(), cancel}
	c.h.ServeHTTP(w, r)
	return reply{w.Code, w.Header(), w.Body.String()}
}

// refusal says what is wrong with the form of an answer that refuses.
func refusal(path string, a reply) string {
	if a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
		return "401 without WWW-Authenticate"
	}
	var body struct {
		ResourceType string
		Issue        []struct{ Severity, Code string }
		Success      *bool
		Error        json.RawMessage
		Message      string
		Metadata     struct{ RequestID string }
		Schemas      []string
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		return "no JSON: " + a.body
	}
	switch {
	case strings.HasPrefix(path, fhirPath):
		if body.ResourceType != "OperationOutcome" || len(body.Issue) == 0 || body.Issue[0].Severity == "" || body.Issue[0].Code == "" ||
			!strings.HasPrefix(a.header.Get("Content-Type"), "application/fhir+json") {
			return "no OperationOutcome: " + a.body
		}
	case strings.HasPrefix(path, "/scim/"):
		if !slices.Contains(body.Schemas, "urn:ietf:params:scim:api:messages:2.0:Error") {
			return "no error of SCIM: " + a.body
		}
	case body.Success == nil || *body.Success || len(body.Error) == 0 || body.Message == "" || body.Metadata.RequestID == "":
		return "no envelope: " + a.body
	}
	return ""
}

// neverWas are the values of a path's parts that name nothing.
func neverWas(path string) string {
	return regexp.MustCompile(`\{(\w+)(\.\.\.)?\}`).ReplaceAllStringFunc(path, func(part string) string {
		switch strings.Trim(part, "{}") {
		case "type":
			return "Observation"
		case "what":
			return "profile"
		case "role", "provider", "client":
			return "never-was"
		}
		return never
	})
}

const never = "4503599627370497"

// table lists what is served: each route of the product API with its need, and each interaction of the FHIR API.
func (c *clinic) table() string {
	c.t.Helper()
	described, err := api.Documents(api.Info{Title: "x"}, c.routes)
	if err != nil {
		c.t.Fatal(err)
	}
	var lines []string
	for _, r := range slices.Concat(c.routes, described) {
		lines = append(lines, fmt.Sprintf("%s %s %s", r.Path, r.Method, r.Need))
	}
	for _, i := range fhirrest.Interactions() {
		need := "known, then the grant"
		if i.Public {
			need = "public"
		}
		lines = append(lines, fmt.Sprintf("%s%s %s %s", fhirPath, i.Pattern, i.Method, need))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// TestRoutesAreDecided: what is served, and who may call it, is what somebody wrote down. A route that comes, goes, or is opened to others
// fails here until its line says so too.
func TestRoutesAreDecided(t *testing.T) {
	got := newClinic(t).table()
	file := filepath.Join("testdata", "routes.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	is, written := strings.Split(got, "\n"), strings.Split(string(text), "\n")
	for _, line := range is {
		if !slices.Contains(written, line) {
			t.Errorf("served, and not in %s (-args -update writes it anew, to be read): %s", file, line)
		}
	}
	for _, line := range written {
		if !slices.Contains(is, line) {
			t.Errorf("in %s, and not served: %s", file, line)
		}
	}
}

// inOrder puts last what takes the caller's own sessions away, and of that last what takes the very one that calls.
func inOrder(r api.Route) int {
	switch {
	case strings.HasSuffix(r.Path, "/auth/logout"):
		return 2
	case r.Method == http.MethodDelete && r.Path == "/api/v1/sessions":
		return 1
	}
	return 0
}

// TestEveryRouteForEveryRole: who has no credentials is asked for them, who lacks the permission is refused, and who holds it is not.
func TestEveryRouteForEveryRole(t *testing.T) { eachClinic(t, everyRouteForEveryRole) }

func everyRouteForEveryRole(t *testing.T, c *clinic) {
	everybody := []caller{{name: "nobody"}, c.key(1, "users:read", "system/Patient.rs"), c.app("system/Observation.rs")}
	for _, role := range access.DefaultRoles() {
		who := identity.NewUser{}
		if role.Name == "patient" { // who is nobody's patient may see nothing of anybody's
			who.Patient = "Patient/the-patient"
			who.FHIRUser = who.Patient
		}
		if role.Name != "service" && role.Name != "device" { // those are programs', not people's
			everybody = append(everybody, c.person(1, role.Name, who))
		}
	}
	routes := slices.Clone(c.routes)
	slices.SortStableFunc(routes, func(a, b api.Route) int {
		return inOrder(a) - inOrder(b)
	})
	for _, who := range everybody {
		for _, r := range routes {
			body := ""
			if r.Method != http.MethodGet {
				body = "{}"
			}
			path := neverWas(r.Path)
			a := c.call(who, r.Method, path, body)
			if wrong := againstNeed(who, r, a); wrong != "" {
				t.Errorf("%s, %s %s (%s): %d, %s", who.name, r.Method, r.Path, r.Need, a.status, wrong)
			}
			if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
				if wrong := refusal(path, a); wrong != "" && !strings.HasPrefix(path, "/api/v1/oauth/authorize") && !strings.HasPrefix(path, "/api/v1/oauth/token") {
					t.Errorf("%s, %s %s: %s", who.name, r.Method, r.Path, wrong)
				}
			}
		}
	}
}

// againstNeed says what is wrong with the status of an answer.
func againstNeed(who caller, r api.Route, a reply) string {
	need := r.Need.String()
	switch {
	case a.status >= 500:
		return "the server failed: " + a.body
	case need == "public":
		return ""
	case who.auth == "":
		if a.status != http.StatusUnauthorized {
			return "want 401"
		}
	case a.status == http.StatusUnauthorized:
		return "signed in, and asked to sign in: " + a.body
	case need == "known":
		return ""
	case !who.may(need):
		if a.status != http.StatusForbidden {
			return "want 403"
		}
	case a.status == http.StatusForbidden:
		return "holds the permission, and is refused: " + a.body
	}
	return ""
}

// byPattern fills an interaction's pattern; id and vid "" are ones that never were.
func byPattern(pattern, typ, id, vid string) string {
	operation := "validate"
	if strings.HasPrefix(pattern, "/{type}/{id}/$") && typ == "Patient" {
		operation = "everything"
	}
	return fhirPath + strings.NewReplacer("{type}", typ, "{id}", id, "{vid}", vid, "{other}", "Observation", "${operation}", "$"+operation).Replace(pattern)
}

// sampleTypes are types within the patient's compartment, without it, and between.
var sampleTypes = []string{"Patient", "Observation", "Condition", "Encounter", "Organization", "Practitioner", "Medication", "AuditEvent", "Provenance", "Binary", "Consent", "List"}

// TestEveryInteractionForEveryRole: nobody is asked to sign in, whatever he asks for, and nothing that anybody asks makes the server fail.
func TestEveryInteractionForEveryRole(t *testing.T) { eachClinic(t, everyInteractionForEveryRole) }

func everyInteractionForEveryRole(t *testing.T, c *clinic) {
	everybody := []caller{{name: "nobody"}, {name: "a stranger", auth: "Bearer nc_1_nonsense"}, {name: "a forger", auth: "Bearer a.eyJ0ZW5hbnQiOjF9.c"},
		c.key(1, "users:read", "system/Patient.rs"), c.app("system/Observation.rs")}
	for _, role := range access.DefaultRoles() {
		if role.Name != "service" && role.Name != "device" {
			everybody = append(everybody, c.person(1, role.Name, identity.NewUser{}))
		}
	}
	for n, who := range everybody {
		for _, i := range fhirrest.Interactions() {
			for _, typ := range sampleTypes {
				if strings.Contains(i.Pattern, "{other}") && !slices.Contains([]string{"Patient", "Encounter", "Practitioner"}, typ) {
					continue // no compartment
				}
				path := byPattern(i.Pattern, typ, never, "1")
				body := ""
				switch {
				case i.Method == http.MethodPatch:
					body = `[{"op":"test","path":"/id","value":"x"}]`
				case i.Method != http.MethodGet && i.Method != http.MethodDelete && !strings.HasSuffix(path, "_search"):
					body = `{"resourceType":"` + typ + `"}`
				}
				a := c.call(who, i.Method, path, body)
				refused := a.status == http.StatusUnauthorized
				switch {
				case a.status >= 500:
					t.Errorf("%s, %s %s: %d %s", who.name, i.Method, path, a.status, a.body)
				case n < 3 && refused == i.Public, n >= 3 && refused:
					t.Errorf("%s, %s %s: %d", who.name, i.Method, path, a.status)
				}
				if a.status >= 400 {
					if wrong := refusal(path, a); wrong != "" {
						t.Errorf("%s, %s %s: %s", who.name, i.Method, path, wrong)
					}
				}
				if !strings.Contains(i.Pattern, "{type}") {
					break
				}
			}
		}
	}
	for _, who := range everybody {
		a := c.call(who, http.MethodGet, "/scim/v2/Users", "")
		want := http.StatusForbidden
		if strings.HasPrefix(who.auth, "Bearer nc_1_nonsense") || strings.HasPrefix(who.auth, "Bearer a.") || who.auth == "" {
			want = http.StatusUnauthorized
		} else if who.may("users:write") {
			want = http.StatusOK
		}
		if a.status != want {
			t.Errorf("%s, the directory: %d, want %d", who.name, a.status, want)
		}
		if a.status >= 400 {
			if wrong := refusal("/scim/v2/Users", a); wrong != "" {
				t.Errorf("%s, the directory: %s", who.name, wrong)
			}
		}
	}
}

// TestScopesAndRolesOfTheRecord: a program's scopes are all that it may do, and who operates the system sees no patient data.
func TestScopesAndRolesOfTheRecord(t *testing.T) { eachClinic(t, scopesAndRolesOfTheRecord) }

func scopesAndRolesOfTheRecord(t *testing.T, c *clinic) {
	key, app := c.key(1, "users:read", "system/Patient.rs"), c.app("system/Observation.rs")
	operator, doctor := c.person(1, "super_admin", identity.NewUser{}), c.person(1, "doctor", identity.NewUser{})
	admin := c.person(1, "admin", identity.NewUser{})
	for _, one := range []struct {
		who          caller
		method, path string
		want         int
	}{
		{key, "GET", "/Patient", 200}, {key, "GET", "/Observation", 403}, {key, "POST", "/Patient", 403}, {key, "GET", "/AuditEvent", 403},
		{app, "GET", "/Observation", 200}, {app, "GET", "/Patient", 403}, {app, "POST", "/Observation", 403}, {app, "GET", "/AuditEvent", 403},
		{operator, "GET", "/Patient", 403}, {operator, "GET", "/Observation", 403}, {operator, "POST", "/Patient", 403},
		{doctor, "GET", "/Patient", 200}, {doctor, "GET", "/AuditEvent", 403},
		{admin, "GET", "/Patient", 200}, {admin, "POST", "/Patient", 201}, {admin, "GET", "/AuditEvent", 200},
	} {
		body := ""
		if one.method == http.MethodPost {
			body = `{"resourceType":"` + one.path[1:] + `","status":"final","code":{"text":"x"}}`
			if one.path == "/Patient" {
				body = `{"resourceType":"Patient"}`
			}
		}
		if a := c.call(one.who, one.method, fhirPath+one.path, body); a.status != one.want {
			t.Errorf("%s, %s %s: %d, want %d: %s", one.who.name, one.method, one.path, a.status, one.want, a.body)
		}
	}
}
