package federation_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/nilecare/nilecare/internal/module/identity"
)

// openID is an OpenID provider: discovery, authorization with PKCE, token, keys and userinfo. Whoever comes is signed in as claims say.
type openID struct {
	t      *testing.T
	w      *world
	url    string
	key    *rsa.PrivateKey
	other  *rsa.PrivateKey
	mu     sync.Mutex
	codes  map[string]url.Values // what was asked, by code
	claims m
	iss    string // in the answer; "": none
	issuer string // that discovery tells; "": its own

	change func(claims m)             // of an ID token
	sign   func(claims string) string // in place of the usual way
	info   m                          // of userinfo
}

const clientID, clientSecret = "nilecare-client", "a test value, not a secret of anything"

func newOpenID(w *world) *openID {
	w.t.Helper()
	o := &openID{t: w.t, w: w, codes: map[string]url.Values{}, claims: m{"sub": "s-1", "email": "amna@corp.example", "email_verified": true, "given_name": "Amna", "family_name": "Idris",
		"groups": []string{"nurses"}}}
	var err error
	if o.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		w.t.Fatal(err)
	}
	if o.other, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(o)
	w.t.Cleanup(srv.Close)
	o.url = srv.URL
	return o
}

func (o *openID) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	say := func(v any) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(v)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		issuer := o.issuer
		if issuer == "" {
			issuer = o.url
		}
		say(m{"issuer": issuer, "authorization_endpoint": o.url + "/authorize", "token_endpoint": o.url + "/token", "jwks_uri": o.url + "/keys", "userinfo_endpoint": o.url + "/userinfo",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}, "authorization_response_iss_parameter_supported": o.iss != ""})
	case r.URL.Path == "/authorize":
		q := r.URL.Query()
		if q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") == "" || q.Get("response_type") != "code" || q.Get("client_id") != clientID {
			http.Error(rw, "invalid_request", http.StatusBadRequest)
			return
		}
		code := fmt.Sprint("code-", len(o.codes))
		o.codes[code] = q
		back := url.Values{"code": {code}, "state": {q.Get("state")}}
		if o.iss != "" {
			back.Set("iss", o.iss)
		}
		http.Redirect(rw, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	case r.URL.Path == "/token":
		id, secret, ok := r.BasicAuth()
		q := o.codes[r.PostFormValue("code")]
		delete(o.codes, r.PostFormValue("code"))
		sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
		if !ok || id != clientID || secret != url.QueryEscape(clientSecret) || q == nil || q.Get("redirect_uri") != r.PostFormValue("redirect_uri") ||
			q.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
			rw.WriteHeader(http.StatusBadRequest)
			say(m{"error": "invalid_grant"})
			return
		}
		now := o.w.now()
		claims := m{"iss": o.url, "aud": clientID, "exp": now.Add(time.Hour).Unix(), "iat": now.Unix(), "nonce": q.Get("nonce")}
		for k, v := range o.claims {
			claims[k] = v
		}
		if o.change != nil {
			o.change(claims)
		}
		raw, _ := json.Marshal(claims)
		token := ""
		if o.sign != nil {
			token = o.sign(string(raw))
		} else {
			token = oidctest.SignIDToken(o.key, "k1", "RS256", string(raw))
		}
		answer := m{"access_token": "at", "token_type": "Bearer", "expires_in": 60}
		if token != "" {
			answer["id_token"] = token
		}
		say(answer)
	case r.URL.Path == "/keys":
		s := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: o.key.Public(), KeyID: "k1", Algorithm: "RS256"}}}
		s.SetIssuer(o.url)
		r.URL.Path = "/keys"
		s.ServeHTTP(rw, r)
	case r.URL.Path == "/userinfo":
		say(o.info)
	default:
		http.NotFound(rw, r)
	}
}

// set changes what the provider does.
func (o *openID) set(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claims = m{"sub": "s-1", "email": "amna@corp.example", "email_verified": true, "given_name": "Amna", "family_name": "Idris", "groups": []string{"nurses"}}
	o.change, o.sign, o.iss, o.info = nil, nil, "", nil
	if f != nil {
		f()
	}
}

func (o *openID) row(id string) m {
	return m{"id": id, "kind": "oidc", "name": "Corp", "issuer": o.url, "clientId": clientID, "clientSecret": clientSecret, "createUsers": true,
		"roles": []m{{"claim": "groups", "value": "nurses", "role": "nurse"}, {"claim": "realm_access.roles", "value": "docs", "role": "doctor"}}}
}

func (w *world) start(id string) string { return w.base + "/auth/federation/" + id + "/start" }

// TestOpenIDWholeWay: somebody who was never seen comes as a user with mapped roles, and again as the same; the browser is led back.
func TestOpenIDWholeWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOpenID(w)
		w.provider(o.row("corp"))
		list := w.api("", "GET", "/api/v1/auth/providers", nil)
		if !strings.Contains(list.raw, `{"id":"corp","name":"Corp","kind":"oidc","start":"/auth/federation/corp/start"}`) || strings.Contains(list.raw, clientID) {
			t.Errorf("%s", list.raw)
		}
		if got := w.api(w.admin, "POST", "/api/v1/identity-providers/corp/test", m{}); !strings.Contains(got.raw, `"ok":true`) || !strings.Contains(got.raw, `"keys":1`) {
			t.Errorf("%s", got.raw)
		}
		b := newBrowser(t)
		got := b.get(w.start("corp") + "?return_to=" + url.QueryEscape("/patients?x=1"))
		if got.status != 200 || got.text("user") != "amna@corp.example" || got.text("roles") != "nurse" || got.text("back") != "/patients?x=1" || got.m["token"] != true {
			t.Fatalf("%d %s", got.status, got.raw)
		}
		u, err := w.people.ByEmail(system(), 1, "amna@corp.example")
		if err != nil || u.FirstName != "Amna" || u.LastName != "Idris" || !u.EmailVerified || u.Status != identity.Active {
			t.Errorf("%+v %v", u, err)
		}
		// The same person, by their subject, with another address and other groups.
		o.set(func() {
			o.claims["email"], o.claims["groups"], o.claims["realm_access"] = "new@corp.example", []string{}, m{"roles": []string{"docs"}}
		})
		again := newBrowser(t).get(w.start("corp"))
		if again.m["id"] != got.m["id"] || again.text("roles") != "doctor" || again.text("back") != "/" {
			t.Errorf("%s", again.raw)
		}
		// The address from userinfo, where the ID token tells none.
		o.set(func() {
			delete(o.claims, "email")
			delete(o.claims, "email_verified")
			o.claims["sub"] = "s-2"
			o.info = m{"sub": "s-2", "email": "second@corp.example", "email_verified": "true"}
		})
		if got := newBrowser(t).get(w.start("corp")); got.text("user") != "second@corp.example" {
			t.Errorf("%s", got.raw)
		}
		// A registered address to go back to.
		o.set(nil)
		if got := newBrowser(t).get(w.start("corp") + "?return_to=" + url.QueryEscape("https://app.example/welcome")); got.text("back") != "https://app.example/welcome" {
			t.Errorf("%s", got.raw)
		}
		for _, back := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "https:/evil", "/a\nb", "https://app.example/welcome2", "javascript:alert(1)", "evil", "/%2F/../..//evil", "/\tx"} {
			got := newBrowser(t).get(w.start("corp") + "?return_to=" + url.QueryEscape(back))
			if back == "/%2F/../..//evil" {
				if got.status == 200 && got.text("back") != back {
					t.Errorf("%q leads to %s", back, got.raw)
				}
				continue
			}
			if got.status != 400 {
				t.Errorf("%q: %d %s", back, got.status, got.raw)
			}
		}
		// Switched off.
		w.change("corp", func(p m) { p["enabled"] = false })
		if got := newBrowser(t).get(w.start("corp")); got.status != 404 {
			t.Errorf("%d", got.status)
		}
		if got := w.api("", "GET", "/api/v1/auth/providers", nil); strings.Contains(got.raw, "corp") {
			t.Errorf("%s", got.raw)
		}
	})
}

// TestOpenIDAttacks: an ID token or an answer that is not what it must be lets nobody in, and makes nobody.
func TestOpenIDAttacks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOpenID(w)
		w.provider(o.row("corp"))
		w.provider(o.row("second"))
		enc := base64.RawURLEncoding.EncodeToString
		unsigned := func(alg string) func(string) string {
			return func(claims string) string {
				return enc([]byte(`{"alg":"`+alg+`","kid":"k1"}`)) + "." + enc([]byte(claims)) + "."
			}
		}
		for name, tamper := range map[string]func(){
			"wrong nonce":     func() { o.change = func(c m) { c["nonce"] = "x" } },
			"no nonce":        func() { o.change = func(c m) { delete(c, "nonce") } },
			"wrong audience":  func() { o.change = func(c m) { c["aud"] = "other" } },
			"two audiences":   func() { o.change = func(c m) { c["aud"] = []string{clientID, "other"} } },
			"another party":   func() { o.change = func(c m) { c["azp"] = "other" } },
			"wrong issuer":    func() { o.change = func(c m) { c["iss"] = "https://evil.example" } },
			"expired":         func() { o.change = func(c m) { c["exp"] = w.now().Add(-time.Minute).Unix() } },
			"from the future": func() { o.change = func(c m) { c["iat"] = w.now().Add(time.Hour).Unix() } },
			"not yet valid":   func() { o.change = func(c m) { c["nbf"] = w.now().Add(time.Hour).Unix() } },
			"no subject":      func() { o.change = func(c m) { delete(c, "sub") } },
			"wrong at_hash":   func() { o.change = func(c m) { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" } },
			"alg none":        func() { o.sign = unsigned("none") },
			"alg None":        func() { o.sign = unsigned("None") },
			"no alg":          func() { o.sign = unsigned("") },
			"by the secret": func() {
				o.sign = func(c string) string {
					return oidctest.SignIDToken([]byte(clientSecret+clientSecret), "k1", "HS256", c)
				}
			},
			"by another key":   func() { o.sign = func(c string) string { return oidctest.SignIDToken(o.other, "k1", "RS256", c) } },
			"no ID token":      func() { o.sign = func(string) string { return "" } },
			"another's answer": func() { o.iss = "https://evil.example" },
			"no role":          func() { o.claims["groups"] = []string{"visitors"} },
			"not the user of it": func() {
				delete(o.claims, "email")
				o.info = m{"sub": "s-9", "email": "boss@corp.example", "email_verified": true}
			},
		} {
			o.set(tamper)
			w.pass(2 * time.Hour) // what was discovered is read anew
			if got := newBrowser(t).get(w.start("corp")); got.status != 403 && got.status != 400 {
				t.Errorf("%s: %d %s", name, got.status, got.raw)
			}
		}
		if _, err := w.people.ByEmail(system(), 1, "amna@corp.example"); err == nil {
			t.Error("somebody was made a user")
		}
		o.set(nil)
		w.pass(2 * time.Hour)

		// The state of another browser, a state again, one too old, and the answer at another provider's callback.
		callback := w.base + "/auth/federation/corp/callback"
		victim := newBrowser(t)
		attacker := newBrowser(t)
		link := attacker.until(w.start("corp"), callback)
		if got := victim.get(link); got.status != 403 {
			t.Errorf("another browser's state: %d %s", got.status, got.raw)
		}
		if got := attacker.get(link); got.status != 403 {
			t.Errorf("a state that another browser showed is good yet: %d", got.status)
		}
		victim.until(w.start("corp"), callback) // now with a cookie of its own
		if got := victim.get(attacker.until(w.start("corp"), callback)); got.status != 403 {
			t.Errorf("another browser's state, with a cookie: %d", got.status)
		}
		link = attacker.until(w.start("corp"), callback)
		if got := attacker.get(link); got.status != 200 {
			t.Errorf("%d %s", got.status, got.raw)
		}
		if got := attacker.get(link); got.status != 403 {
			t.Errorf("a state again: %d", got.status)
		}
		link = attacker.until(w.start("corp"), callback)
		if got := attacker.get(strings.Replace(link, "/corp/", "/second/", 1)); got.status != 403 {
			t.Errorf("mix-up: %d %s", got.status, got.raw)
		}
		link = attacker.until(w.start("corp"), callback)
		w.pass(11 * time.Minute)
		if got := attacker.get(link); got.status != 403 {
			t.Errorf("too old: %d", got.status)
		}
		for _, q := range []string{"", "?state=x&code=y", "?error=access_denied&state=x"} {
			if got := attacker.get(callback + q); got.status != 403 {
				t.Errorf("%q: %d", q, got.status)
			}
		}
		// A page of a browser is led to the sign-in page, which is told the kind alone.
		r, _ := http.NewRequest(http.MethodGet, callback, http.NoBody)
		r.Header.Set("Accept", "text/html,*/*")
		c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		if got := read(t, c, r); got.status != 303 || got.header.Get("Location") != "/login?error=forbidden" {
			t.Errorf("%d %v", got.status, got.header)
		}
	})
}

// TestLinking: an account that is there is entered only by an address that the provider verified, or is trusted with.
func TestLinking(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOpenID(w)
		w.provider(o.row("corp"))
		boss := w.user("boss@corp.example", "doctor", true)
		o.set(func() { o.claims["email"], o.claims["email_verified"] = "boss@corp.example", false })
		if got := newBrowser(t).get(w.start("corp")); got.status != 409 {
			t.Fatalf("an address that nobody verified links: %d %s", got.status, got.raw)
		}
		o.set(func() { o.claims["email"] = "boss@corp.example"; delete(o.claims, "email_verified") })
		if got := newBrowser(t).get(w.start("corp")); got.status != 409 {
			t.Fatalf("an address that nobody speaks of links: %d %s", got.status, got.raw)
		}
		w.change("corp", func(p m) { p["domains"] = []string{"corp.example"}; p["trustEmail"] = true })
		if got := newBrowser(t).get(w.start("corp")); got.status != 200 || got.m["id"] != float64(boss.ID) {
			t.Errorf("%d %s", got.status, got.raw)
		}
		o.set(func() { o.claims["sub"], o.claims["email"] = "s-3", "boss@corp.example.evil.example" })
		if got := newBrowser(t).get(w.start("corp")); got.status != 403 {
			t.Errorf("another domain: %d %s", got.status, got.raw)
		}
		w.change("corp", func(p m) { p["createUsers"] = false })
		o.set(func() { o.claims["sub"], o.claims["email"] = "s-4", "nobody@corp.example" })
		if got := newBrowser(t).get(w.start("corp")); got.status != 403 {
			t.Errorf("somebody unknown: %d %s", got.status, got.raw)
		}
		if _, err := w.people.SetStatus(system(), 1, boss.ID, identity.Suspended); err != nil {
			t.Fatal(err)
		}
		o.set(func() { o.claims["email"] = "boss@corp.example" })
		if got := newBrowser(t).get(w.start("corp")); got.status != 403 {
			t.Errorf("a suspended user: %d %s", got.status, got.raw)
		}
	})
}

// TestGoogleAndMicrosoft: the rules of their kinds: the hosted domain, and an issuer with the directory in it.
func TestGoogleAndMicrosoft(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOpenID(w)
		google := o.row("google")
		google["kind"], google["hostedDomain"] = "google", "corp.example"
		w.provider(google)
		for hd, want := range map[string]int{"": 403, "evil.example": 403, "corp.example": 200} {
			o.set(func() { o.claims["hd"] = hd })
			if got := newBrowser(t).get(w.start("google")); got.status != want {
				t.Errorf("hd %q: %d %s", hd, got.status, got.raw)
			}
		}
		const ours, theirs = "11111111-0000-0000-0000-000000000001", "99999999-0000-0000-0000-000000000009"
		ms := newOpenID(w)
		ms.issuer = ms.url + "/{tenantid}/v2.0"
		row := ms.row("entra")
		row["kind"], row["issuer"], row["tenants"] = "microsoft", ms.issuer, []string{ours}
		w.provider(row)
		for name, c := range map[string]struct {
			tid, iss string
			want     int
		}{"ours": {ours, ms.url + "/" + ours + "/v2.0", 200}, "not let in": {theirs, ms.url + "/" + theirs + "/v2.0", 403}, "another's issuer": {ours, ms.url + "/" + theirs + "/v2.0", 403},
			"the template itself": {"{tenantid}", ms.issuer, 403}, "no directory": {"", ms.url + "//v2.0", 403}} {
			ms.set(func() {
				ms.claims["sub"], ms.claims["email"], ms.claims["xms_edov"] = "m-1", "ms@corp.example", true
				delete(ms.claims, "email_verified")
				ms.change = func(claims m) { claims["tid"], claims["iss"] = c.tid, c.iss }
			})
			if got := newBrowser(t).get(w.start("entra")); got.status != c.want {
				t.Errorf("%s: %d %s", name, got.status, got.raw)
			}
		}
	})
}

// TestProviders: who may write rows, what they may hold, and that secrets go in and never out.
func TestProviders(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		o := newOpenID(w)
		manager, nurse := w.signedIn("sys@clinic.example", "system_admin"), w.signedIn("nurse@clinic.example", "nurse")
		const rows = "/api/v1/identity-providers"
		for who, want := range map[string]int{"": 401, nurse: 403, manager: 403, w.admin: 201} {
			if got := w.api(who, "POST", rows, o.row("corp")); got.status != want {
				t.Errorf("%d %s, not %d", got.status, got.raw, want)
			}
		}
		got := w.api(manager, "GET", rows+"/corp", nil)
		if strings.Contains(got.raw, clientSecret) || !strings.Contains(got.raw, `"hasClientSecret":true`) || !strings.Contains(got.raw, w.base+"/auth/federation/corp/callback") {
			t.Errorf("%s", got.raw)
		}
		w.change("corp", func(p m) { p["name"] = "Corporation" }) // and the secret stays
		if got := newBrowser(t).get(w.start("corp")); got.status != 200 {
			t.Errorf("%d %s", got.status, got.raw)
		}
		strong := []m{{"claim": "groups", "value": "bosses", "role": "admin", "privileged": true}}
		for name, c := range map[string]struct {
			who    string
			change func(m)
			want   int
		}{
			"taken":                       {w.admin, func(p m) { p["id"] = "corp" }, 409},
			"no id":                       {w.admin, func(p m) { p["id"] = "" }, 400},
			"an id with a slash":          {w.admin, func(p m) { p["id"] = "a/b" }, 400},
			"an unknown kind":             {w.admin, func(p m) { p["kind"] = "ldap" }, 400},
			"plain http":                  {w.admin, func(p m) { p["issuer"] = "http://corp.example" }, 400},
			"a file":                      {w.admin, func(p m) { p["issuer"] = "file:///etc/passwd" }, 400},
			"no client":                   {w.admin, func(p m) { p["clientId"] = "" }, 400},
			"a place for tenants":         {w.admin, func(p m) { p["issuer"] = o.url + "/{tenantid}" }, 400},
			"Microsoft for all":           {w.admin, func(p m) { p["kind"], p["issuer"] = "microsoft", "" }, 400},
			"Google for all":              {w.admin, func(p m) { p["kind"], p["issuer"] = "google", "" }, 400},
			"a default that rules":        {w.admin, func(p m) { p["defaultRole"] = "admin" }, 400},
			"an alias that rules":         {w.admin, func(p m) { p["defaultRole"] = "Administrator" }, 400},
			"a rule without saying so":    {w.admin, func(p m) { p["roles"] = []m{{"claim": "groups", "value": "x", "role": "admin"}} }, 400},
			"a row by who may not do all": {manager, func(p m) { p["trustEmail"] = true }, 403},
			"a rule by who may do all":    {w.admin, func(p m) { p["roles"] = strong }, 201},
			"not openid":                  {w.admin, func(p m) { p["scopes"] = []string{"profile"} }, 400},
		} {
			body := o.row("other")
			c.change(body)
			if got := w.api(c.who, "POST", rows, body); got.status != c.want {
				t.Errorf("%s: %d %s, not %d", name, got.status, got.raw, c.want)
			}
		}
		// Whoever may not give the rule may neither turn the provider that has it to a server of his.
		body := o.row("other")
		body["issuer"] = "https://evil.example"
		if got := w.api(manager, "PUT", rows+"/other", body); got.status != 403 {
			t.Errorf("%d %s", got.status, got.raw)
		}
		o.set(func() {
			o.claims["groups"], o.claims["sub"], o.claims["email"] = []string{"bosses"}, "s-7", "seven@corp.example"
		})
		if got := newBrowser(t).get(w.start("other")); got.text("roles") != "admin" {
			t.Errorf("%d %s", got.status, got.raw)
		}
		if got := w.api(manager, "DELETE", rows+"/corp", nil); got.status != 200 {
			t.Errorf("%d %s", got.status, got.raw)
		}
		if got := w.api(manager, "GET", rows+"/corp", nil); got.status != 404 {
			t.Errorf("%d %s", got.status, got.raw)
		}
		if got := w.api(manager, "POST", rows+"/other/test", m{}); got.status != 200 {
			t.Errorf("%d %s", got.status, got.raw)
		}
	})
}
