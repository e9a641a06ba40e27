package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/identity/oauth"
)

// TestNoOpenRedirector: whatever the URI, unless it is one that was registered the browser is shown a page and led nowhere.
func TestNoOpenRedirector(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", func(m *oauth.ClientMeta) {
			m.RedirectURIs = []string{callback, "https://app.example/cb?x=1", "http://127.0.0.1:8080/cb", "http://localhost:8080/cb", "com.example.app:/cb", "http://[::1]/cb"}
		})
		b := w.browser()
		for _, uri := range []string{
			"https://evil.example/cb", "https://app.example/cb/", "https://app.example/cb?x=2", "https://app.example/cb?x=1&y=2", "https://app.example/CB",
			"https://APP.example/cb", "https://app.example:443/cb", "https://app.example:8443/cb", "http://app.example/cb", "https://app.example/cb/../cb",
			"https://app.example/%63b", "https://app.example@evil.example/cb", "https://app.example.evil.example/cb", "https://app.example/cb#f", "https://app.example/cb%00",
			"https://app.example\\@evil.example/cb", "//app.example/cb", "/cb", "javascript:alert(1)", "data:text/html,x", "https://app.example/cb\r\nX: y",
			"http://127.0.0.1:8080/cb/x", "http://127.0.0.1:8080@evil.example/cb", "http://127.0.0.1:80:80/cb", "http://127.0.0.1.evil.example/cb", "http://127.0.0.1:/cb",
			"http://127.0.0.2:8080/cb", "http://localhost:9090/cb", "http://127.0.0.1:999999/cb", "https://127.0.0.1:8080/cb", "com.example.app:/cb2", "com.example.app://cb",
			" https://app.example/cb", "https://app.example/cb ", "",
		} {
			b.get(w.asks("growth", "openid", "redirect_uri", uri))
			if b.away != nil || b.status != http.StatusBadRequest || b.header.Get("Location") != "" {
				t.Errorf("%q: %d, led to %v", uri, b.status, b.away)
			}
		}
		for name, to := range map[string]string{
			"an unknown client": w.asks("nobody", "openid"),
			"no client":         w.asks("", "openid"),
			"the URI twice":     w.asks("growth", "openid") + "&redirect_uri=https%3A%2F%2Fevil.example",
			"the client twice":  w.asks("growth", "openid") + "&client_id=growth",
		} {
			if b.get(to); b.away != nil || b.status != http.StatusBadRequest {
				t.Errorf("%s: %d, led to %v", name, b.status, b.away)
			}
		}
		for _, uri := range []string{callback, "https://app.example/cb?x=1", "http://127.0.0.1:8080/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1/cb", "http://[::1]:7/cb",
			"com.example.app:/cb"} {
			if b.get(w.asks("growth", "openid", "redirect_uri", uri, "prompt", "none")); b.away == nil || b.told().Get("error") != "login_required" {
				t.Errorf("%q: %d", uri, b.status)
			}
		}
	})
}

// TestRequestsRefused: what is wrong with a request of a known client is told to it, with its state.
func TestRequestsRefused(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		for name, c := range map[string]struct {
			pairs []string
			want  string
		}{
			"no PKCE":              {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
			"plain PKCE":           {[]string{"code_challenge_method", "plain"}, "invalid_request"},
			"PKCE without method":  {[]string{"code_challenge_method", ""}, "invalid_request"},
			"a short challenge":    {[]string{"code_challenge", "abc"}, "invalid_request"},
			"a verifier as it is":  {[]string{"code_challenge", strings.Repeat("!", 43)}, "invalid_request"},
			"the implicit flow":    {[]string{"response_type", "token"}, "unsupported_response_type"},
			"the hybrid flow":      {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
			"no response_type":     {[]string{"response_type", ""}, "invalid_request"},
			"a fragment":           {[]string{"response_mode", "fragment"}, "invalid_request"},
			"a request object":     {[]string{"request", "x.y.z"}, "request_not_supported"},
			"a request URI":        {[]string{"request_uri", "https://evil.example"}, "request_uri_not_supported"},
			"another's audience":   {[]string{"aud", "https://evil.example/fhir"}, "invalid_request"},
			"no audience":          {[]string{"aud", "", "scope", "launch/patient patient/*.read"}, "invalid_request"},
			"another's resource":   {[]string{"resource", "https://evil.example/fhir"}, "invalid_target"},
			"no scope":             {[]string{"scope", ""}, "invalid_scope"},
			"scopes of others":     {[]string{"scope", "user/Observation.cud"}, "invalid_scope"},
			"a system's scope":     {[]string{"scope", "system/*.read"}, "invalid_scope"},
			"letters out of order": {[]string{"scope", "patient/Observation.sr"}, "invalid_scope"},
			"no such type":         {[]string{"scope", "patient/Foo.rs"}, "invalid_scope"},
			"a launch of nobody":   {[]string{"scope", "launch openid", "launch", "nla_x"}, "invalid_request"},
			"a launch, no scope":   {[]string{"launch", "nla_x"}, "invalid_scope"},
			"a prompt of nobody":   {[]string{"prompt", "later"}, "invalid_request"},
			"none and another":     {[]string{"prompt", "none login"}, "invalid_request"},
			"an age of words":      {[]string{"max_age", "old"}, "invalid_request"},
			"an age below nothing": {[]string{"max_age", "-1"}, "invalid_request"},
		} {
			if b.get(w.asks("growth", "openid", c.pairs...)); b.away == nil {
				t.Errorf("%s: %d %s", name, b.status, b.body)
			} else if q := b.told(); q.Get("error") != c.want || q.Get("state") != "st-1" || q.Get("code") != "" {
				t.Errorf("%s: %v", name, q)
			}
		}
		if b.get(w.asks("growth", "openid") + "&nonce=two"); b.told().Get("error") != "invalid_request" {
			t.Error("a parameter twice")
		}
		// By POST it is the same (SMART authorize-post).
		u, _ := url.Parse(w.asks("growth", "openid"))
		b.post("/oauth2/authorize", u.Query()).has("E-mail")
		b.post("/api/v1/oauth/authorize", u.Query()).has("E-mail")
	})
}

// TestPagesAreGuarded: nothing is done for a form without the browser's own token, in another browser, or for a request that is over.
func TestPagesAreGuarded(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.get(w.asks("growth", "openid"))
		action, f := b.form(0)
		f.Set("email", "amina@example.org")
		f.Set("password", secretQ)
		forged := url.Values{}
		for k, v := range f {
			forged[k] = v
		}
		forged.Set("csrf", "x")
		b.post(action, forged).has("Password")
		if q := b.get(w.asks("growth", "openid", "prompt", "none")).told(); q.Get("error") != "login_required" {
			t.Fatal("signed in without the token")
		}
		if other := w.browser(); other.post(action, f).status != http.StatusBadRequest {
			t.Fatal("a request went on in another browser")
		}
		b.get(w.asks("growth", "openid")).signIn("amina@example.org").has("Allow this app?")
		action, f = b.form(0)
		f.Set("allow", "1")
		old := f.Get("csrf")
		f.Set("csrf", "x")
		if b.post(action, f); b.away != nil {
			t.Fatal("granted without the token")
		}
		f.Set("csrf", old)
		if b.post(action, f); b.told().Get("code") == "" {
			t.Fatal(b.body)
		}
		if b.post(action, f); b.away != nil || b.status != http.StatusBadRequest {
			t.Fatal("granted twice")
		}
		b.get(w.asks("growth", "openid", "prompt", "consent")).has("Allow this app?")
		w.clock.add(16 * time.Minute)
		if b.allow(); b.away != nil || b.status != http.StatusBadRequest {
			t.Fatal("granted after its time")
		}
		// A consent that shows one person is not given by another who signed in since.
		b.get(w.asks("growth", "openid", "prompt", "consent")).has("Amina Hassan")
		action, f = b.form(0)
		f.Set("allow", "1")
		b.get(w.asks("growth", "openid", "prompt", "login")).signIn("amal@example.org")
		if b.post(action, f); b.away != nil {
			t.Fatal("another person gave what the page asked the first one for")
		}
	})
}

// TestPagesAreQuiet: names are escaped, and the headers keep scripts, frames and caches out.
func TestPagesAreQuiet(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("evil", func(m *oauth.ClientMeta) {
			m.Name = `<script>alert(1)</script>"><img src=x onerror=alert(2)>`
			m.ClientURI = "https://app.example/?a=\"><script>"
		})
		b := w.browser()
		check := func(what string) {
			t.Helper()
			if strings.Contains(b.body, "<script") || strings.Contains(b.body, "<img") || strings.Contains(b.body, "<b>Amna") {
				t.Errorf("%s: a name is not escaped:\n%s", what, b.body)
			}
			csp := b.header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(csp, part) {
					t.Errorf("%s: %q lacks %q", what, csp, part)
				}
			}
			if strings.Contains(csp, "unsafe") || b.header.Get("X-Frame-Options") != "DENY" || b.header.Get("Cache-Control") != "no-store" ||
				b.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", what, b.header)
			}
			_, style, _ := strings.Cut(b.body, "<style>")
			style, _, _ = strings.Cut(style, "</style>")
			if !strings.Contains(csp, "'sha256-"+sum(style)+"'") {
				t.Errorf("%s: the policy does not know the style", what)
			}
		}
		b.get(w.asks("evil", "openid launch/patient", "login_hint", `"><script>`)).has("E-mail")
		check("sign-in")
		b.signIn("amal@example.org").has("Choose a patient")
		check("picker")
		b.submit(0, map[string]string{"name": "idris"}).has("&lt;b&gt;Amna")
		check("found")
		b.submit(1, map[string]string{"patient": "amna"}).has("Allow this app?")
		check("consent")
		b.get(w.base + "/oauth2/device?user_code=%22%3E%3Cscript%3E").has("Connect a device")
		check("device")
		b.get(w.asks("evil", "openid", "redirect_uri", `https://evil.example/"><script>`)).has("cannot be answered")
		check("failure")
		if len(b.c.Jar.Cookies(mustURL(w.base))) != 2 {
			t.Error("not the two cookies")
		}
	})
}

// TestLanguages: Arabic by ui_locales or the browser's wish, from right to left.
func TestLanguages(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		b.lang = "ar-SD,ar;q=0.9,en;q=0.5"
		b.get(w.asks("growth", "openid patient/Observation.rs offline_access")).has(`lang="ar" dir="rtl"`, "تسجيل الدخول")
		b.signIn("amina@example.org").has(`dir="rtl"`, "قراءة، بحث: القياسات ونتائج الفحوص لهذا المريض", "الاحتفاظ بهذا الإذن")
		b.get(w.asks("growth", "openid", "prompt", "login", "ui_locales", "en")).has(`lang="en" dir="ltr"`, "Password")
		b.lang = "fr"
		b.get(w.asks("growth", "openid", "prompt", "login")).has(`lang="en"`)
		b.get(w.asks("growth", "openid", "prompt", "login", "ui_locales", "ar")).has(`dir="rtl"`)
	})
}

// TestPicker: only patients whom the person may see are found, and no other is taken though its id is known.
func TestPicker(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.client("growth", nil)
		b := w.browser()
		scope := "launch/patient patient/Patient.r"
		b.get(w.asks("growth", scope)).signIn("amal@example.org").has("Choose a patient")
		for _, c := range []struct {
			set  map[string]string
			sees []string
			not  []string
		}{
			{map[string]string{"name": "hassan"}, []string{"MRN-amina", "MRN-bakri"}, []string{"MRN-hidden", "MRN-amna"}},
			{map[string]string{"name": "hassan amina"}, []string{"MRN-amina"}, []string{"MRN-bakri"}},
			{map[string]string{"birthdate": "1990-02-03"}, []string{"MRN-amina"}, []string{"MRN-hidden"}},
			{map[string]string{"identifier": "MRN-bakri"}, []string{"MRN-bakri"}, []string{"MRN-amina"}},
			{map[string]string{"identifier": "MRN-hidden"}, []string{"Nobody was found"}, []string{`value="hidden"`}},
			{map[string]string{"name": "hassan,idris"}, []string{"Nobody was found"}, nil},
			{map[string]string{}, []string{"Enter a name"}, []string{"MRN-"}},
		} {
			for _, k := range []string{"name", "birthdate", "identifier"} {
				if _, ok := c.set[k]; !ok {
					c.set[k] = ""
				}
			}
			b.submit(0, c.set).has(c.sees...)
			for _, not := range c.not {
				if strings.Contains(b.body, not) {
					t.Errorf("%v shows %q", c.set, not)
				}
			}
		}
		b.submit(0, map[string]string{"patient": "hidden"}).has("cannot be chosen")
		b.submit(0, map[string]string{"patient": "../Patient/amina"}).has("cannot be chosen")
		// A consent for a patient who was not chosen is not taken.
		action, f := b.form(0)
		f.Set("allow", "1")
		f.Set("user", "User/11")
		f.Set("patient", "hidden")
		if b.post(strings.Replace(action, "patient", "consent", 1), f); b.away != nil {
			t.Fatal("granted for a patient of the form's")
		}
		b.has("Choose a patient").submit(0, map[string]string{"patient": "bakri"}).has("Bakri Hassan")
		out := w.post("/oauth2/token", redeem(b.allow().told().Get("code"), "growth")).want(t, 200, "")
		if out.str("patient") != "bakri" {
			t.Fatal(out.m)
		}
		if q := w.browser().get(w.asks("growth", scope)).signIn("nobody@example.org").told(); q.Get("error") != "access_denied" {
			t.Fatal(q)
		}
		// Who may see one patient alone is not asked.
		if out := w.grant(w.browser(), "amina@example.org", "growth", scope); out.str("patient") != "amina" {
			t.Fatal(out.m)
		}
	})
}

func mustURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u
}
