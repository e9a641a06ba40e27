package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/identity/oauth"
)

// TestCodeFlow goes the whole way of an app: sign-in, patient, consent, code, tokens, userinfo, refresh.
func TestCodeFlow(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid fhirUser profile launch/patient patient/Observation.rs offline_access")).has("Growth chart", "E-mail")
		b.submit(0, map[string]string{"email": "amal@example.org", "password": "wrong"}).has("is wrong")
		b.signIn("amal@example.org").has("Choose a patient")
		b.submit(0, map[string]string{"name": "hassan"}).has("Amina Hassan", "Bakri Hassan")
		if strings.Contains(b.body, "Hidden") {
			t.Fatal("a patient is shown whom the person may not see")
		}
		b.submit(1, map[string]string{"patient": "amina"}).has("Allow this app?", "Amina Hassan", "Dr. Amal Osman", "measurements and test results")
		told := b.allow().told()
		if told.Get("state") != "st-1" || told.Get("code") == "" || !strings.HasPrefix(b.away.String(), callback+"?") {
			t.Fatalf("%v", b.away)
		}
		out := w.post("/oauth2/token", redeem(told.Get("code"), "growth")).want(t, 200, "")
		if out.str("patient") != "amina" || out.str("token_type") != "Bearer" || out.m["expires_in"] != 900.0 || out.m["need_patient_banner"] != true ||
			out.str("scope") != "openid fhirUser profile launch/patient patient/Observation.rs offline_access" || out.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%v %v", out.m, out.header)
		}
		at := w.claims(out.str("access_token"), "at+jwt")
		if at.Subject != "11" || at.Audience[0] != w.fhir || at.Extra["client_id"] != "growth" || at.Extra["patient"] != "amina" || at.ID == "" ||
			fmt.Sprint(at.Extra["tenant"]) != "1" || at.Extra["sid"] == nil || at.Extra["fhirUser"] != w.fhir+"/Practitioner/p1" {
			t.Fatalf("%+v", at)
		}
		id := w.claims(out.str("id_token"), "JWT")
		sum := sha256.Sum256([]byte(out.str("access_token")))
		if id.Audience[0] != "growth" || id.Extra["nonce"] != "no-1" || id.Extra["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:16]) ||
			id.Extra["fhirUser"] != w.fhir+"/Practitioner/p1" || id.Extra["auth_time"] == nil || id.Extra["name"] != "Dr. Amal Osman" || id.Extra["email"] != nil {
			t.Fatalf("%+v", id)
		}
		info := w.send("GET", "/oauth2/userinfo", "", "Authorization", "Bearer "+out.str("access_token")).want(t, 200, "")
		if info.str("sub") != "11" || info.str("fhirUser") != w.fhir+"/Practitioner/p1" || info.str("given_name") != "Amal" {
			t.Fatalf("%v", info.m)
		}
		next := w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"growth"},
			"scope": {"openid patient/Observation.r"}}).want(t, 200, "")
		if next.str("refresh_token") == "" || next.str("refresh_token") == out.str("refresh_token") || next.str("scope") != "openid patient/Observation.r" ||
			next.str("patient") != "amina" || next.str("id_token") == "" {
			t.Fatalf("%v", next.m)
		}
		// More than was granted is refused, and the token is not used up by that.
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.str("refresh_token")}, "client_id": {"growth"},
			"scope": {"patient/Observation.cruds"}}).want(t, 400, "invalid_scope")
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next.str("refresh_token")}, "client_id": {"growth"}}).want(t, 200, "")
	})
}

// TestCodeIsUsedOnce: a code that comes again is refused, and ends what it gave.
func TestCodeIsUsedOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid launch/patient patient/*.read offline_access")).signIn("amina@example.org").has("Amina Hassan")
		code := b.allow().told().Get("code")
		out := w.post("/oauth2/token", redeem(code, "growth")).want(t, 200, "")
		if !w.active(out.str("access_token")) {
			t.Fatal("a fresh token is not active")
		}
		w.post("/oauth2/token", redeem(code, "growth")).want(t, 400, "invalid_grant")
		if w.active(out.str("access_token")) {
			t.Fatal("the token of a code that came twice is still active")
		}
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"growth"}}).
			want(t, 400, "invalid_grant")
	})
}

// TestCodeIsBound: to its client, its verifier, its redirect URI and its minute.
func TestCodeIsBound(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		w.client("other", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid")).signIn("amina@example.org").allow()
		code := func() string { return b.get(w.asks("growth", "openid")).told().Get("code") }
		w.post("/oauth2/token", redeem(code(), "other")).want(t, 400, "invalid_grant")
		for name, change := range map[string]func(url.Values){
			"verifier":       func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 43)) },
			"short verifier": func(f url.Values) { f.Set("code_verifier", "x") },
			"plain":          func(f url.Values) { f.Set("code_verifier", challenge(verifier)) },
			"redirect":       func(f url.Values) { f.Set("redirect_uri", callback+"/") },
		} {
			c := code()
			f := redeem(c, "growth")
			change(f)
			if r := w.post("/oauth2/token", f); r.status != 400 || r.str("error") != "invalid_grant" {
				t.Errorf("%s: %d %v", name, r.status, r.m)
			}
			// and it is used up
			w.post("/oauth2/token", redeem(c, "growth")).want(t, 400, "invalid_grant")
		}
		f := redeem(code(), "growth")
		f.Del("code_verifier")
		w.post("/oauth2/token", f).want(t, 400, "invalid_request")
		c := code()
		w.clock.add(61 * time.Second)
		w.post("/oauth2/token", redeem(c, "growth")).want(t, 400, "invalid_grant")
	})
}

// TestRefreshReuse: a refresh token that comes again ends the family.
func TestRefreshReuse(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		out := w.grant(w.browser(), "amina@example.org", "growth", "openid offline_access")
		refresh := func(raw string) reply {
			return w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}, "client_id": {"growth"}})
		}
		w.client("other", nil)
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"other"}}).want(t, 400, "invalid_grant")
		second := refresh(out.str("refresh_token")).want(t, 200, "")
		refresh(out.str("refresh_token")).want(t, 400, "invalid_grant")
		refresh(second.str("refresh_token")).want(t, 400, "invalid_grant")
		if w.active(second.str("access_token")) {
			t.Fatal("the family's access token is still active")
		}
	})
}

// TestRefreshWithoutName: a public client need not name itself to refresh, as SMART's table of parameters has it; a confidential one proves
// who it is.
func TestRefreshWithoutName(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		refresh := func(raw string, header ...string) reply {
			return w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}}, header...)
		}
		w.client("growth", nil)
		out := w.grant(w.browser(), "amina@example.org", "growth", "openid offline_access")
		next := refresh(out.str("refresh_token")).want(t, 200, "")
		refresh(out.str("refresh_token")).want(t, 400, "invalid_grant")
		refresh(next.str("refresh_token")).want(t, 400, "invalid_grant")
		refresh("nrt_nobody").want(t, 400, "invalid_grant")

		_, secret := w.client("ward", func(m *oauth.ClientMeta) { m.AuthMethod = "client_secret_basic" })
		basic := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("ward:"+secret))}
		b := w.browser()
		b.get(w.asks("ward", "openid offline_access")).signIn("amina@example.org").allow()
		out = w.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {b.told().Get("code")}, "redirect_uri": {callback},
			"code_verifier": {verifier}}, basic...).want(t, 200, "")
		refresh(out.str("refresh_token")).want(t, 401, "invalid_client")
		refresh(out.str("refresh_token"), basic...).want(t, 200, "") // the wrong try used nothing up
	})
}

// TestSessionsEnd: online access ends with the login, all access with the person.
func TestSessionsEnd(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		refresh := func(raw string) reply {
			return w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {raw}, "client_id": {"growth"}})
		}
		b := w.browser()
		online := w.grant(b, "amina@example.org", "growth", "openid online_access")
		online = refresh(online.str("refresh_token")).want(t, 200, "")
		offline := w.grant(w.browser(), "amina@example.org", "growth", "openid offline_access")
		// Without a hint the person is asked, with it they are not; nobody else's URI is followed.
		b.get(w.base + "/oauth2/logout?client_id=growth&post_logout_redirect_uri=https%3A%2F%2Fevil.example").has("not one that the app registered")
		b.get(w.base + "/oauth2/logout").has("Do you want to sign out?")
		b.get(w.base + "/oauth2/logout?state=s&post_logout_redirect_uri=https%3A%2F%2Fapp.example%2Fbye&id_token_hint=" + online.str("id_token"))
		if b.away == nil || b.away.String() != "https://app.example/bye?state=s" {
			t.Fatalf("%v %s", b.away, b.body)
		}
		refresh(online.str("refresh_token")).want(t, 400, "invalid_grant")
		offline = refresh(offline.str("refresh_token")).want(t, 200, "")
		b.get(w.asks("growth", "openid", "prompt", "none"))
		if b.told().Get("error") != "login_required" {
			t.Fatalf("%v", b.away)
		}
		w.people.remove(12)
		refresh(offline.str("refresh_token")).want(t, 400, "invalid_grant")
		w.send("GET", "/oauth2/userinfo", "", "Authorization", "Bearer "+offline.str("access_token")).want(t, 401, "invalid_token")
	})
}

// TestPrompts: none never shows a page, login and max_age ask again, consent asks again; consent is remembered for what was put to the person.
func TestPrompts(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		w.client("native", func(m *oauth.ClientMeta) { m.RedirectURIs = []string{"http://127.0.0.1/cb"} })
		b := w.browser()
		none := func(scope string, pairs ...string) string {
			return b.get(w.asks("growth", scope, append(pairs, "prompt", "none")...)).told().Get("error")
		}
		if e := none("openid"); e != "login_required" {
			t.Fatal(e)
		}
		b.get(w.asks("growth", "openid profile")).signIn("amal@example.org")
		if e := none("openid"); e != "consent_required" {
			t.Fatal(e)
		}
		b.get(w.asks("growth", "openid profile")).has("Allow this app?")
		b.allow().told()
		if e := none("openid profile"); e != "" {
			t.Fatal(e)
		}
		if e := none("openid"); e != "" { // less than was agreed to
			t.Fatal(e)
		}
		if e := none("openid profile email"); e != "consent_required" {
			t.Fatal(e)
		}
		if e := none("openid launch/patient"); e != "interaction_required" {
			t.Fatal(e)
		}
		b.get(w.asks("growth", "openid profile", "prompt", "consent")).has("Allow this app?")
		b.get(w.asks("growth", "openid", "prompt", "login")).has("Password")
		if q := b.signIn("amal@example.org").told(); q.Get("code") == "" {
			t.Fatal(q)
		}
		w.clock.add(time.Hour)
		if e := none("openid", "max_age", "60"); e != "login_required" {
			t.Fatal(e)
		}
		if q := b.get(w.asks("growth", "openid", "max_age", "60")).has("Password").signIn("amal@example.org").told(); q.Get("code") == "" {
			t.Fatal(q)
		}
		if q := b.get(w.asks("growth", "openid", "max_age", "60")).told(); q.Get("code") == "" {
			t.Fatal(q)
		}
		// An app that anybody can pretend to be is never waved through.
		for range 2 {
			b.get(w.asks("native", "openid", "redirect_uri", "http://127.0.0.1:53211/cb")).has("Allow this app?")
			if b.allow(); b.away.Host != "127.0.0.1:53211" {
				t.Fatal(b.away)
			}
		}
	})
}

// TestSecondFactor: without the code nobody is signed in.
func TestSecondFactor(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid")).signIn("root@example.org").has("Second step")
		b.submit(0, map[string]string{"code": "000000"}).has("wrong or too old")
		if q := b.get(w.asks("growth", "openid", "prompt", "none")).told(); q.Get("error") != "login_required" {
			t.Fatal(q)
		}
		b.get(w.asks("growth", "openid")).signIn("root@example.org").submit(0, map[string]string{"code": "123456"}).has("Allow this app?")
		out := w.post("/oauth2/token", redeem(b.allow().told().Get("code"), "growth")).want(t, 200, "")
		if amr := fmt.Sprint(w.claims(out.str("id_token"), "JWT").Extra["amr"]); amr != "[pwd otp mfa]" {
			t.Fatal(amr)
		}
	})
}

// TestConsentSubset: scopes can be unchecked one by one, and nothing that was not asked can be added.
func TestConsentSubset(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid patient/Observation.rs?category=laboratory patient/Patient.r offline_access", "redirect_uri", callback)).
			signIn("amina@example.org").has("only where category = laboratory")
		action, f := b.form(0)
		f.Set("allow", "1")
		f["scope"] = []string{"patient/Observation.rs?category=laboratory", "user/Patient.rs", "patient/*.cruds"}
		out := w.post("/oauth2/token", redeem(b.post(action, f).told().Get("code"), "growth")).want(t, 200, "")
		if out.str("scope") != "openid patient/Observation.rs?category=laboratory" || out.str("refresh_token") != "" {
			t.Fatal(out.m)
		}
		// The same question again is answered as before.
		b.get(w.asks("growth", "openid patient/Observation.rs?category=laboratory patient/Patient.r offline_access"))
		out = w.post("/oauth2/token", redeem(b.told().Get("code"), "growth")).want(t, 200, "")
		if out.str("scope") != "openid patient/Observation.rs?category=laboratory" {
			t.Fatal(out.m)
		}
		// Nothing left is a refusal, and so is the other button.
		b.get(w.asks("growth", "patient/Patient.r", "prompt", "consent")).allow("scope")
		if q := b.told(); q.Get("error") != "access_denied" || q.Get("state") != "st-1" {
			t.Fatal(q)
		}
		b.get(w.asks("growth", "patient/Patient.r", "prompt", "consent")).submit(0, map[string]string{"deny": "1"})
		if q := b.told(); q.Get("error") != "access_denied" {
			t.Fatal(q)
		}
	})
}

// TestGrantsAreWithdrawn: a person sees the apps that act for them, and ends that.
func TestGrantsAreWithdrawn(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		out := w.grant(b, "amina@example.org", "growth", "openid offline_access")
		list := w.send("GET", "/api/v1/oauth/grants", "", "Authorization", "Bearer user:12").want(t, 200, "")
		if text := fmt.Sprint(list.m["data"]); !strings.Contains(text, "Growth chart") || !strings.Contains(text, "sessions:1") {
			t.Fatal(text)
		}
		w.send("DELETE", "/api/v1/oauth/grants/growth", "", "Authorization", "Bearer user:11").want(t, 404, "")
		w.send("GET", "/api/v1/oauth/grants", "").want(t, 401, "")
		w.send("GET", "/api/v1/oauth/grants", "", "Authorization", "Bearer user:12", "X-Test-Client", "other").want(t, 403, "")
		w.send("DELETE", "/api/v1/oauth/grants/growth", "", "Authorization", "Bearer user:12", "X-Test-Client", "other").want(t, 403, "")
		w.send("DELETE", "/api/v1/oauth/grants/growth", "", "Authorization", "Bearer user:12").want(t, 200, "")
		if w.active(out.str("access_token")) {
			t.Fatal("still active")
		}
		w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"growth"}}).want(t, 400, "invalid_grant")
		b.get(w.asks("growth", "openid offline_access")).has("Allow this app?")
	})
}

// TestFederation: who came by another provider goes on where they were, and nowhere else.
func TestFederation(t *testing.T) {
	each(t, func(o *oauth.Options) {
		o.Providers = func(context.Context, int32) []oauth.Provider {
			return []oauth.Provider{{Name: "<i>Ministry</i>", URL: "/federation?p=1"}}
		}
	}, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid", "prompt", "login")).has("Sign in with", "&lt;i&gt;Ministry", `href="/federation?p=1&amp;return=`)
		_, rest, _ := strings.Cut(b.body, `href="/federation`)
		link, _, _ := strings.Cut(rest, `"`)
		w.clock.add(time.Second)
		b.get(w.base + "/federation" + strings.ReplaceAll(link, "&amp;", "&")).has("Amina Hassan")
		out := w.post("/oauth2/token", redeem(b.allow().told().Get("code"), "growth")).want(t, 200, "")
		if amr := fmt.Sprint(w.claims(out.str("id_token"), "JWT").Extra["amr"]); amr != "[fed]" {
			t.Fatal(amr)
		}
		for _, to := range []string{"https://evil.example/oauth2/continue?", "//evil.example/oauth2/continue?x", "/oauth2/continue", "/oauth2/logout?", "/oauth2/continue?\\evil", ""} {
			if s := status(t, w.base+"/federation?return="+url.QueryEscape(to)); s != 400 {
				t.Errorf("%q: %d", to, s)
			}
		}
	})
}

// TestEndedIsTold: whoever remembers tokens hears of it each time that access ends early.
func TestEndedIsTold(t *testing.T) {
	told := 0
	each(t, func(o *oauth.Options) { o.Ended = func(int32) { told++ } }, func(t *testing.T, w *world) {
		w.client("growth", nil)
		enter := func() (*browser, reply) {
			b := w.browser()
			return b, w.grant(b, "amina@example.org", "growth", "openid online_access", "prompt", "consent")
		}
		for _, c := range []struct {
			name string
			end  func(b *browser, out reply)
		}{
			{"a refresh token is revoked", func(_ *browser, out reply) {
				w.post("/oauth2/revoke", url.Values{"token": {out.str("refresh_token")}, "client_id": {"growth"}})
			}},
			{"an access token is revoked", func(_ *browser, out reply) {
				w.post("/oauth2/revoke", url.Values{"token": {out.str("access_token")}, "client_id": {"growth"}})
			}},
			{"a refresh token comes again", func(_ *browser, out reply) {
				for range 2 {
					w.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {out.str("refresh_token")}, "client_id": {"growth"}})
				}
			}},
			{"the person signs out", func(b *browser, out reply) { b.get(w.base + "/oauth2/logout?id_token_hint=" + out.str("id_token")) }},
			{"the person withdraws it", func(*browser, reply) {
				if err := w.s.Withdraw(t.Context(), 1, 12, "growth", "User/12"); err != nil {
					t.Fatal(err)
				}
			}},
			{"the person is locked", func(*browser, reply) {
				if err := w.s.EndSessions(t.Context(), 1, 12, "User/13", "locked"); err != nil {
					t.Fatal(err)
				}
			}},
		} {
			b, out := enter()
			before := told
			c.end(b, out)
			if told == before {
				t.Errorf("%s: nobody is told", c.name)
			}
			if w.active(out.str("access_token")) {
				t.Errorf("%s: the token is still good", c.name)
			}
		}
	})
}
