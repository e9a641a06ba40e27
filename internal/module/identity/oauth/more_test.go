package oauth_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/identity/oauth"
	"github.com/nilecare/nilecare/internal/sqldb"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// TestDeviceFlow: a device shows a code, a person agrees in a browser, and the device polls no faster than it may (RFC 8628).
func TestDeviceFlow(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("waiting-room", func(m *oauth.ClientMeta) {
			m.RedirectURIs, m.GrantTypes = nil, []string{deviceGrant, "refresh_token"}
			m.Name = "Waiting room"
		})
		w.client("growth", nil)
		begin := func() reply {
			return w.post("/oauth2/device_authorization", url.Values{"client_id": {"waiting-room"}, "scope": {"openid patient/Observation.rs offline_access"}}).want(t, 200, "")
		}
		poll := func(code string, client ...string) reply {
			return w.post("/oauth2/token", url.Values{"grant_type": {deviceGrant}, "device_code": {code}, "client_id": {append(client, "waiting-room")[0]}})
		}
		w.post("/oauth2/device_authorization", url.Values{"client_id": {"growth"}, "scope": {"openid"}}).want(t, 400, "unauthorized_client")
		d := begin()
		if d.str("verification_uri") != w.base+"/oauth2/device" || d.m["interval"] != 5.0 || d.m["expires_in"] != 600.0 || len(d.str("user_code")) != 9 {
			t.Fatal(d.m)
		}
		poll(d.str("device_code")).want(t, 400, "authorization_pending")
		poll(d.str("device_code")).want(t, 400, "slow_down")
		w.clock.add(6 * time.Second) // ten are asked for now
		poll(d.str("device_code")).want(t, 400, "slow_down")
		w.clock.add(16 * time.Second)
		poll(d.str("device_code")).want(t, 400, "authorization_pending")
		b := w.browser()
		b.get(d.str("verification_uri_complete")).has(d.str("user_code"))
		b.submit(0, map[string]string{"user_code": "BBBB-BBBB"}).has("not known or too old")
		typed := strings.ToLower(strings.ReplaceAll(d.str("user_code"), "-", " "))
		b.submit(0, map[string]string{"user_code": typed}).has("E-mail").signIn("amina@example.org").has("Allow this app?", "Waiting room", "Amina Hassan")
		b.allow().has("Go back to it")
		out := poll(d.str("device_code")).want(t, 200, "")
		if out.str("patient") != "amina" || out.str("refresh_token") == "" || out.str("id_token") == "" {
			t.Fatal(out.m)
		}
		poll(d.str("device_code")).want(t, 400, "invalid_grant")
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"waiting-room"}}).want(t, 200, "")

		d = begin()
		b.get(d.str("verification_uri_complete")).submit(0, nil).has("Allow this app?").submit(0, map[string]string{"deny": "1"}).has("not connected")
		poll(d.str("device_code")).want(t, 400, "access_denied")
		d = begin()
		poll("ndc_x").want(t, 400, "invalid_grant")
		w.clock.add(11 * time.Minute)
		poll(d.str("device_code")).want(t, 400, "expired_token")
		b.get(d.str("verification_uri_complete")).submit(0, nil).has("not known or too old")
		// Guessing codes ends before it has begun.
		for range 61 {
			b.get(w.base+"/oauth2/device").submit(0, map[string]string{"user_code": "BBBB-CCCC"})
		}
		b.has("too many tries")
	})
}

// TestIntrospectionAndRevocation: RFC 7662 and RFC 7009.
func TestIntrospectionAndRevocation(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		confidential := func(m *oauth.ClientMeta) { m.AuthMethod = "client_secret_basic" }
		_, own := w.client("own", confidential)
		_, server := w.client("server", func(m *oauth.ClientMeta) { confidential(m); m.ResourceServer = true })
		basic := func(id, secret string) []string {
			return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
		}
		b := w.browser()
		out := w.grant(b, "amina@example.org", "growth", "openid fhirUser launch/patient patient/Patient.r offline_access")
		introspect := func(raw string, auth ...string) reply {
			return w.post("/oauth2/introspect", url.Values{"token": {raw}}, auth...)
		}
		in := introspect(out.str("access_token"), basic("server", server)...).want(t, 200, "")
		if in.m["active"] != true || in.str("client_id") != "growth" || in.str("patient") != "amina" || in.str("sub") != "12" || in.str("iss") != w.base ||
			in.str("fhirUser") != w.fhir+"/Patient/amina" || in.str("scope") != out.str("scope") || in.m["exp"] == nil {
			t.Fatal(in.m)
		}
		for name, raw := range map[string]string{"an access token": out.str("access_token"), "a refresh token": out.str("refresh_token")} {
			if in := introspect(raw, basic("own", own)...).want(t, 200, ""); in.m["active"] != false || len(in.m) != 1 {
				t.Errorf("%s of another client: %v", name, in.m)
			}
			if in := introspect(raw, basic("server", server)...).want(t, 200, ""); in.m["active"] != true {
				t.Errorf("%s: %v", name, in.m)
			}
		}
		for _, raw := range []string{"x", "nrt_x", out.str("id_token"), "a.b.c", out.str("access_token") + "x"} {
			if in := introspect(raw, basic("server", server)...).want(t, 200, ""); in.m["active"] != false {
				t.Errorf("%q: %v", raw, in.m)
			}
		}
		introspect(out.str("access_token")).want(t, 401, "invalid_client")
		introspect(out.str("access_token"), basic("server", "x")...).want(t, 401, "invalid_client")
		w.post("/oauth2/introspect", url.Values{"token": {"x"}, "client_id": {"growth"}}).want(t, 401, "invalid_client")

		revoke := func(raw, client string) {
			w.post("/oauth2/revoke", url.Values{"token": {raw}, "client_id": {client}}).want(t, 200, "")
		}
		w.client("other", nil)
		revoke(out.str("access_token"), "other")
		revoke(out.str("refresh_token"), "other")
		revoke("nrt_nothing", "growth")
		if !w.active(out.str("access_token")) {
			t.Fatal("another client revoked it")
		}
		revoke(out.str("access_token"), "growth")
		if w.active(out.str("access_token")) {
			t.Fatal("still active")
		}
		w.send("GET", "/oauth2/userinfo", "", "Authorization", "Bearer "+out.str("access_token")).want(t, 401, "invalid_token")
		next := w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"growth"}}).want(t, 200, "")
		revoke(next.str("refresh_token"), "growth")
		if w.active(next.str("access_token")) {
			t.Fatal("a session that was revoked is active")
		}
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.str("refresh_token")}, "client_id": {"growth"}}).want(t, 400, "invalid_grant")
		// Userinfo needs openid, and takes no ID token for an access token.
		plain := w.grant(b, "amina@example.org", "growth", "patient/Patient.r", "prompt", "login")
		w.send("GET", "/oauth2/userinfo", "", "Authorization", "Bearer "+plain.str("access_token")).want(t, 403, "insufficient_scope")
		w.send("GET", "/oauth2/userinfo", "", "Authorization", "Bearer "+out.str("id_token")).want(t, 401, "invalid_token")
		w.send("GET", "/oauth2/userinfo", "").want(t, 401, "invalid_token")
		w.clock.add(16 * time.Minute)
		if in := introspect(plain.str("access_token"), basic("server", server)...).want(t, 200, ""); in.m["active"] != false {
			t.Fatal(in.m)
		}
	})
}

// TestLaunchFromEHR: a handle is for one user, one client, one use, five minutes, and a patient whom that user may see.
func TestLaunchFromEHR(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", func(m *oauth.ClientMeta) { m.LaunchURL = "https://app.example/launch?x=1" })
		w.client("plain", func(m *oauth.ClientMeta) { m.Scope = "openid launch/patient patient/*.rs" })
		launch := func(body string, user int) reply {
			return w.send("POST", "/oauth2/launch", body, "Authorization", fmt.Sprint("Bearer user:", user), "Content-Type", "application/json")
		}
		w.people.all[0].all = true // so that the encounter is seen
		body := `{"client_id":"growth","patient":"amina","encounter":"e1","intent":"reconcile-medications","fhirContext":[{"reference":"ImagingStudy/i1"}]}`
		w.send("POST", "/oauth2/launch", body).want(t, 401, "invalid_token")
		w.send("POST", "/oauth2/launch", body, "Authorization", "Bearer user:11", "X-Test-Client", "other").want(t, 403, "access_denied")
		launch(`{"client_id":"growth","patient":"bakri","encounter":"e1"}`, 11).want(t, 400, "invalid_request")
		launch(`{"client_id":"growth","patient":"hidden"}`, 12).want(t, 403, "access_denied")
		launch(`{"client_id":"growth","patient":"ghost"}`, 11).want(t, 403, "access_denied")
		launch(`{"client_id":"plain","patient":"amina"}`, 11).want(t, 400, "invalid_request")
		launch(`{"client_id":"growth","patient":"amina","fhirContext":[{"reference":"https://evil.example/Patient/1"}]}`, 11).want(t, 400, "invalid_request")
		h := launch(body, 11).want(t, 201, "")
		to := mustURL(h.str("launch_url"))
		if to.Query().Get("iss") != w.fhir || to.Query().Get("launch") != h.str("launch") || to.Query().Get("x") != "1" {
			t.Fatal(h.m)
		}
		scope := "launch openid patient/Observation.rs"
		b := w.browser()
		// Another client cannot use it, and does not use it up.
		if q := b.get(w.asks("plain", "openid launch", "launch", h.str("launch"))).told(); q.Get("error") != "invalid_scope" {
			t.Fatal(q)
		}
		b.get(w.asks("growth", scope, "launch", h.str("launch"))).signIn("amal@example.org").has("Amina Hassan")
		out := w.post("/oauth2/token", redeem(b.allow().told().Get("code"), "growth")).want(t, 200, "")
		if out.str("patient") != "amina" || out.str("encounter") != "e1" || out.str("intent") != "reconcile-medications" ||
			!strings.Contains(fmt.Sprint(out.m["fhirContext"]), "ImagingStudy/i1") || w.claims(out.str("access_token"), "at+jwt").Extra["encounter"] != "e1" {
			t.Fatal(out.m)
		}
		if q := b.get(w.asks("growth", scope, "launch", h.str("launch"))).told(); q.Get("error") != "invalid_request" {
			t.Fatal("used twice", q)
		}
		h = launch(body, 11).want(t, 201, "")
		if q := w.browser().get(w.asks("growth", scope, "launch", h.str("launch"))).signIn("amina@example.org").told(); q.Get("error") != "access_denied" {
			t.Fatal("another's launch", q)
		}
		h = launch(body, 11).want(t, 201, "")
		w.clock.add(6 * time.Minute)
		if q := b.get(w.asks("growth", scope, "launch", h.str("launch"))).told(); q.Get("error") != "invalid_request" {
			t.Fatal("too old", q)
		}
		// Who lost the right to see the patient since is refused.
		h = launch(body, 11).want(t, 201, "")
		w.people.all[0].all, w.people.all[0].sees = false, []string{"bakri"}
		if q := b.get(w.asks("growth", scope, "launch", h.str("launch"))).told(); q.Get("error") != "access_denied" {
			t.Fatal("no longer theirs", q)
		}
	})
}

// TestRegistration: RFC 7591 and 7592, with the policy.
func TestRegistration(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		jsonType := []string{"Content-Type", "application/json"}
		register := func(body string, header ...string) reply {
			return w.send("POST", "/oauth2/register", body, append(header, jsonType...)...)
		}
		good := `{"client_name":"My app","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none",
			"grant_types":["authorization_code","refresh_token"],"scope":"openid fhirUser launch/patient patient/*.rs offline_access","contacts":["dev@app.example"],"unknown":1}`
		r := register(good).want(t, 201, "")
		id, raw := r.str("client_id"), r.str("registration_access_token")
		if id == "" || raw == "" || r.str("registration_client_uri") != w.base+"/oauth2/register/"+id || r.str("client_secret") != "" || r.m["client_id_issued_at"] == nil {
			t.Fatal(r.m)
		}
		for body, code := range map[string]string{
			`{"client_name":"x","redirect_uris":["http://app.example/cb"],"token_endpoint_auth_method":"none"}`:                 "invalid_redirect_uri",
			`{"client_name":"x","redirect_uris":["https://app.example/*"],"token_endpoint_auth_method":"none"}`:                 "invalid_redirect_uri",
			`{"client_name":"x","redirect_uris":["https://app.example/#f"],"token_endpoint_auth_method":"none"}`:                "invalid_redirect_uri",
			`{"client_name":"x","redirect_uris":["javascript:alert(1)"],"token_endpoint_auth_method":"none"}`:                   "invalid_redirect_uri",
			`{"client_name":"x","redirect_uris":["data:text/html,x"],"token_endpoint_auth_method":"none"}`:                      "invalid_redirect_uri",
			`{"client_name":"x","redirect_uris":["https://u@app.example/"],"token_endpoint_auth_method":"none"}`:                "invalid_redirect_uri",
			`{"client_name":"x","token_endpoint_auth_method":"none"}`:                                                           "invalid_redirect_uri",
			`{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"none"}`:                                  "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_basic"}`: "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"scope":"user/*.rs"}`:                                "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"scope":"system/*.rs"}`:                              "invalid_client_metadata",
			`{"client_name":"x","grant_types":["client_credentials"]}`:                                                          "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"response_types":["token"]}`:                         "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"grant_types":["implicit"]}`:                         "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"id_token_signed_response_alg":"none"}`:              "invalid_client_metadata",
			`{"client_name":"x","redirect_uris":["https://app.example/cb"],"client_uri":"javascript:alert(1)"}`:                 "invalid_client_metadata",
			"{\"client_name\":\"x\u202eevil\",\"redirect_uris\":[\"https://app.example/cb\"]}":                                  "invalid_client_metadata",
			`{`: "invalid_request",
		} {
			if r := register(body); r.status != 400 || r.str("error") != code {
				t.Errorf("%s: %d %v", body, r.status, r.m)
			}
		}
		// The house's own marks are not taken from outside.
		if r := register(strings.Replace(good, `"unknown":1`, `"nilecare_trusted":true,"nilecare_resource_server":true`, 1)).want(t, 201, ""); r.m["nilecare_trusted"] != nil ||
			r.m["nilecare_resource_server"] != nil {
			t.Fatal(r.m)
		}
		manage := func(method, body, raw string) reply {
			return w.send(method, "/oauth2/register/"+id, body, append(jsonType, "Authorization", "Bearer "+raw)...)
		}
		if r := manage("GET", "", raw).want(t, 200, ""); r.str("client_name") != "My app" || fmt.Sprint(r.m["contacts"]) != "[dev@app.example]" {
			t.Fatal(r.m)
		}
		manage("GET", "", "wrong").want(t, 401, "invalid_token")
		w.send("GET", "/oauth2/register/growth", "", "Authorization", "Bearer "+raw).want(t, 401, "invalid_token")
		next := strings.Replace(strings.Replace(good, "{", `{"client_id":"`+id+`",`, 1), "My app", "Our app", 1)
		if r := manage("PUT", next, raw).want(t, 200, ""); r.str("client_name") != "Our app" {
			t.Fatal(r.m)
		}
		manage("PUT", strings.Replace(next, "patient/*.rs", "patient/*.cruds", 1), raw).want(t, 400, "invalid_client_metadata")
		manage("PUT", strings.Replace(next, `"none"`, `"client_secret_basic"`, 1), raw).want(t, 400, "invalid_client_metadata")
		manage("PUT", good, raw).want(t, 400, "invalid_request")
		if r := manage("DELETE", "", raw); r.status != 204 {
			t.Fatal(r.status, r.m)
		}
		manage("GET", "", raw).want(t, 401, "invalid_token")

		initial, err := w.s.NewInitialToken(context.Background(), 1, "partner", 1, time.Hour, "test")
		if err != nil {
			t.Fatal(err)
		}
		more := `{"client_name":"Partner","redirect_uris":["https://p.example/cb"],"token_endpoint_auth_method":"client_secret_basic","scope":"openid user/*.rs launch"}`
		register(more, "Authorization", "Bearer nci_wrong").want(t, 401, "invalid_token")
		if r := register(more, "Authorization", "Bearer "+initial).want(t, 201, ""); r.str("client_secret") == "" || r.m["client_secret_expires_at"] != 0.0 {
			t.Fatal(r.m)
		}
		register(more, "Authorization", "Bearer "+initial).want(t, 401, "invalid_token")
	})
	t.Run("token", func(t *testing.T) {
		each(t, func(o *oauth.Options) { o.Registration = oauth.InitialToken }, func(t *testing.T, w *world) {
			w.send("POST", "/oauth2/register", `{}`).want(t, 401, "invalid_token")
		})
	})
	t.Run("off", func(t *testing.T) {
		each(t, func(o *oauth.Options) { o.Registration = oauth.Off }, func(t *testing.T, w *world) {
			w.send("POST", "/oauth2/register", `{}`).want(t, 403, "access_denied")
			if w.send("GET", "/.well-known/openid-configuration", "").m["registration_endpoint"] != nil {
				t.Error("an endpoint is told that serves nobody")
			}
		})
	})
}

// TestClientsOfAdministrators: the product API's clients.
func TestClientsOfAdministrators(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		admin := []string{"Authorization", "Bearer user:13", "Content-Type", "application/json"}
		body := `{"client_id":"lab-bridge","client_name":"Lab bridge","token_endpoint_auth_method":"client_secret_basic","grant_types":["client_credentials"],"scope":"system/*.rs"}`
		w.send("POST", "/api/v1/oauth/clients", body).want(t, 401, "")
		w.send("POST", "/api/v1/oauth/clients", body, "Authorization", "Bearer user:11", "Content-Type", "application/json").want(t, 403, "")
		get := func(r reply, path ...string) any {
			v := r.m["data"]
			for _, p := range path {
				v = v.(map[string]any)[p]
			}
			return v
		}
		r := w.send("POST", "/api/v1/oauth/clients", body, admin...).want(t, 201, "")
		secret, _ := get(r, "client", "client_secret").(string)
		w.send("POST", "/api/v1/oauth/clients", body, admin...).want(t, 409, "")
		w.send("POST", "/api/v1/oauth/clients", strings.Replace(body, "lab-bridge", "12345", 1), admin...).want(t, 422, "")
		token := func(secret string) reply {
			return w.post("/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "Authorization",
				"Basic "+base64.StdEncoding.EncodeToString([]byte("lab-bridge:"+secret)))
		}
		token(secret).want(t, 200, "")
		r = w.send("POST", "/api/v1/oauth/clients/lab-bridge/secret", "", admin...).want(t, 200, "")
		token(secret).want(t, 401, "invalid_client")
		second, _ := get(r, "client", "client_secret").(string)
		old := token(second).want(t, 200, "")
		if r := w.send("GET", "/api/v1/oauth/clients/lab-bridge", "", admin...).want(t, 200, ""); get(r, "client", "client_secret") != nil || get(r, "client", "client_name") != "Lab bridge" {
			t.Fatal(r.m)
		}
		if r := w.send("GET", "/api/v1/oauth/clients?limit=10", "", admin...).want(t, 200, ""); len(get(r, "clients").([]any)) != 1 {
			t.Fatal(r.m)
		}
		w.send("DELETE", "/api/v1/oauth/clients/lab-bridge", "", admin...).want(t, 200, "")
		token(second).want(t, 401, "invalid_client")
		c := w.claims(old.str("access_token"), "at+jwt")
		if ok, err := w.s.Alive(context.Background(), 1, "lab-bridge", 0, c.ID); ok || err != nil {
			t.Fatal("a token of a client that was deleted is active", err)
		}
		w.send("GET", "/api/v1/oauth/clients/lab-bridge", "", admin...).want(t, 404, "")
		w.send("POST", "/api/v1/oauth/initial-access-tokens", `{"name":"partner"}`, admin...).want(t, 201, "")
	})
}

// TestDiscovery: what is told is what is served, for each tenant under its own issuer.
func TestDiscovery(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		for path, issuer := range map[string]string{
			"/.well-known/openid-configuration":            w.base,
			"/.well-known/oauth-authorization-server":      w.base,
			"/fhir/R4/.well-known/smart-configuration":     w.base,
			"/t/2/.well-known/openid-configuration":        w.base + "/t/2",
			"/t/2/fhir/R4/.well-known/smart-configuration": w.base + "/t/2",
			"/.well-known/oauth-authorization-server/t/2":  w.base + "/t/2",
		} {
			m := w.send("GET", path, "", "Origin", "https://app.example").want(t, 200, "")
			if m.str("issuer") != issuer || m.str("token_endpoint") != issuer+"/oauth2/token" || m.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %v", path, m.m)
			}
			if keys := w.send("GET", m.str("jwks_uri"), "").want(t, 200, ""); keys.m["keys"] == nil {
				t.Errorf("%s: %v", path, keys.m)
			}
			for name, v := range m.m {
				if to, ok := v.(string); ok && strings.HasSuffix(name, "_endpoint") {
					if status(t, to) == 404 {
						t.Errorf("%s: %s leads nowhere", path, name)
					}
				}
			}
			caps := fmt.Sprint(m.m["capabilities"])
			if strings.HasSuffix(path, "smart-configuration") && (!strings.Contains(caps, "launch-ehr") || !strings.Contains(caps, "permission-v2") ||
				strings.Contains(caps, "context-standalone-encounter")) {
				t.Error(caps)
			}
		}
		if _, err := w.s.SMARTConfiguration("https://evil.example/fhir/R4"); err == nil {
			t.Error("a stranger's base has a configuration")
		}
		// A tenant's client, code and token are nothing in another.
		w.client("growth", nil)
		b := w.browser()
		if b.get(strings.Replace(w.asks("growth", "openid"), "/oauth2/", "/t/2/oauth2/", 1)); b.status != 400 || b.away != nil {
			t.Error("a client is known in another tenant")
		}
		out := w.grant(b, "amina@example.org", "growth", "openid")
		w.send("GET", "/t/2/oauth2/userinfo", "", "Authorization", "Bearer "+out.str("access_token")).want(t, 401, "invalid_token")
	})
}

// TestSweep: what is of no use goes, and nothing else.
func TestSweep(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		ctx := context.Background()
		w.client("growth", nil)
		b := w.browser()
		out := w.grant(b, "amina@example.org", "growth", "openid offline_access")
		b.get(w.asks("growth", "openid", "prompt", "consent"))
		if n, err := w.s.Sweep(ctx, 1); err != nil || n != 0 {
			t.Fatal(n, err)
		}
		w.clock.add(48 * time.Hour)
		if n, err := w.s.Sweep(ctx, 1); err != nil || n != 4 { // a login, two requests, a code
			t.Fatal(n, err)
		}
		out = w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"growth"}}).want(t, 200, "")
		if err := w.s.EndSessions(ctx, 1, 12, "test", "gone"); err != nil {
			t.Fatal(err)
		}
		if w.active(out.str("access_token")) {
			t.Fatal("a session of one whose sessions ended is active")
		}
	})
}

// status is that of a plain GET, whatever its body.
func status(t *testing.T, to string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// TestNothingInClear: no code, secret, token or contact stands in the tables.
func TestNothingInClear(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		ctx := context.Background()
		_, secret := w.client("own", func(m *oauth.ClientMeta) {
			m.AuthMethod, m.Contacts = "client_secret_post", []string{"dev@app.example"}
		})
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid offline_access")).signIn("amina@example.org")
		code := b.allow().told().Get("code")
		out := w.post("/oauth2/token", redeem(code, "growth")).want(t, 200, "")
		needles := []string{code, out.str("refresh_token"), secret, "dev@app.example", "amina@example.org", secretQ}
		for _, c := range b.c.Jar.Cookies(mustURL(w.base)) {
			needles = append(needles, c.Value)
		}
		rows := 0
		err := w.store.Ledger().View(ctx, 1, func(q sqldb.Querier) error {
			for _, table := range oauth.Tables() {
				for _, column := range table.Columns {
					err := sqldb.Each(ctx, q, func(r sqldb.Rows) error {
						rows++
						var v any
						if err := r.Scan(&v); err != nil {
							return err
						}
						text := fmt.Sprintf("%s", v)
						for _, n := range needles {
							if strings.Contains(text, n) {
								t.Errorf("%s.%s holds a secret in clear", table.Name, column)
							}
						}
						return nil
					}, "SELECT "+column+" FROM "+table.Name)
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil || rows == 0 {
			t.Fatal(rows, err)
		}
	})
}

// TestWhoVouchesForApps: who manages apps without being allowed everything makes none that sees records by itself, nor one that nobody is asked about.
func TestWhoVouchesForApps(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		as := func(id string) []string {
			return []string{"Authorization", "Bearer user:" + id, "Content-Type", "application/json"}
		}
		clients := "/api/v1/oauth/clients"
		itself := `{"client_id":"itself","client_name":"x","grant_types":["client_credentials"],"scope":"system/*.rs"}`
		trusted := `{"client_id":"trusted","client_name":"x","redirect_uris":["https://app.example.org/cb"],"nilecare_trusted":true}`
		asking := `{"client_id":"asking","client_name":"x","redirect_uris":["https://app.example.org/cb"]}`
		for _, body := range []string{itself, trusted} {
			w.send("POST", clients, body, as("14")...).want(t, 403, "")
			w.send("POST", clients, body, as("13")...).want(t, 201, "")
		}
		w.send("POST", clients, asking, as("14")...).want(t, 201, "")
		w.send("PUT", clients+"/asking", strings.Replace(itself, "itself", "asking", 1), as("14")...).want(t, 403, "")
		w.send("PUT", clients+"/asking", strings.Replace(trusted, "trusted", "asking", 1), as("14")...).want(t, 403, "")
		w.send("PUT", clients+"/itself", strings.Replace(asking, "asking", "itself", 1), as("14")...).want(t, 403, "")
		w.send("POST", clients+"/itself/secret", "", as("14")...).want(t, 403, "")
		w.send("POST", clients+"/asking/secret", "", as("14")...).want(t, 200, "")
		w.send("POST", "/api/v1/oauth/initial-access-tokens", `{"name":"partner"}`, as("14")...).want(t, 403, "")
		w.send("DELETE", clients+"/itself", "", as("14")...).want(t, 200, "")
	})
}
