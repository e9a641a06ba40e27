package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

func TestCORS(t *testing.T) {
	served := 0
	s := edge(t, web.Options{Authenticate: tokens, CORS: web.CORS{Origins: []string{"https://app.example.org", "http://localhost:5173"}, Headers: []string{"X-Extra"}}},
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { served++; w.WriteHeader(http.StatusTeapot) }))
	for origin, allowed := range map[string]bool{"https://app.example.org": true, "http://localhost:5173": true, "": false, "https://app.example.org.evil.org": false,
		"http://app.example.org": false, "null": false, "https://app.example.org:444": false} {
		res, _ := do(t, s, "OPTIONS", "/api/v1/x", nil, "Origin", origin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "if-match")
		want := ""
		if allowed {
			want = origin
		}
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%q: %q", origin, got)
		}
		if !strings.Contains(strings.Join(res.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("%q: Vary %q", origin, res.Header.Values("Vary"))
		}
		if allowed {
			headers := strings.ToLower(res.Header.Get("Access-Control-Allow-Headers"))
			for _, h := range []string{"authorization", "if-match", "prefer", "x-api-key", "traceparent", "x-extra"} {
				if !strings.Contains(headers, h) {
					t.Errorf("%s is not allowed", h)
				}
			}
			if res.StatusCode != 204 || res.Header.Get("Access-Control-Allow-Credentials") != "true" || !strings.Contains(res.Header.Get("Access-Control-Allow-Methods"), "PUT") ||
				res.Header.Get("Access-Control-Max-Age") != "600" {
				t.Errorf("%q: %d %v", origin, res.StatusCode, res.Header)
			}
		}
		// The answer itself, and a refusal, must be readable to the page.
		for token, status := range map[string]int{"Bearer ann": 418, "Bearer bad": 401} {
			res, _ = do(t, s, "GET", "/api/v1/x", nil, "Origin", origin, "Authorization", token)
			if res.StatusCode != status || res.Header.Get("Access-Control-Allow-Origin") != want || (res.Header.Get("Access-Control-Expose-Headers") != "") != allowed {
				t.Errorf("%q as %s: %d %v", origin, token, res.StatusCode, res.Header)
			}
		}
	}
	before := served
	if res, _ := do(t, s, "OPTIONS", "/api/v1/x", nil); res.StatusCode != 418 || served != before+1 {
		t.Error("an OPTIONS that is no preflight is the handler's")
	}
	for _, wrong := range []string{"*", "https://*.example.org", "null", "app.example.org", "https://app.example.org/path", "ftp://app.example.org"} {
		if _, err := web.NewEdge(web.Options{CORS: web.CORS{Origins: []string{wrong}}}); err == nil {
			t.Errorf("%q is taken for an origin", wrong)
		}
	}
	none := edge(t, web.Options{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if res, _ := do(t, none, "GET", "/", nil, "Origin", "https://app.example.org"); res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("without configuration, an origin is allowed")
	}
}

func TestSecurityHeaders(t *testing.T) {
	e, err := web.NewEdge(web.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("Content-Security-Policy", "own")
			w.Header().Set("Cache-Control", "public")
		}
	}))
	plain, secure := httptest.NewServer(h), httptest.NewTLSServer(h)
	defer plain.Close()
	defer secure.Close()
	for path, csp := range map[string]string{"/": web.DefaultPagePolicy, "/own": "own", "/fhir/R4/Patient": "default-src 'none'; frame-ancestors 'none'",
		"/api/v1/x": "default-src 'none'; frame-ancestors 'none'", "/apix": web.DefaultPagePolicy} {
		for _, s := range []*httptest.Server{plain, secure} {
			res, err := s.Client().Get(s.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			h := res.Header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Resource-Policy") != "same-origin" || h.Get("Content-Security-Policy") != csp {
				t.Errorf("%s: %v", path, h)
			}
			if (h.Get("Strict-Transport-Security") != "") != (s == secure) {
				t.Errorf("%s: Strict-Transport-Security %q", path, h.Get("Strict-Transport-Security"))
			}
			if want := map[bool]string{true: "public", false: "no-store"}[path == "/own"]; h.Get("Cache-Control") != want {
				t.Errorf("%s: Cache-Control %q", path, h.Get("Cache-Control"))
			}
			if page := csp == web.DefaultPagePolicy; page && (h.Get("Permissions-Policy") == "" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" || h.Get("X-Frame-Options") != "DENY") {
				t.Errorf("%s: %v", path, h)
			}
		}
	}
}

func TestCookies(t *testing.T) {
	for _, secure := range []bool{false, true} {
		r := httptest.NewRequest("GET", "http://x/", nil)
		if secure {
			r = httptest.NewRequest("GET", "https://x/", nil)
		}
		w := httptest.NewRecorder()
		web.SetSession(w, r, "the-session", time.Now().Add(time.Hour))
		web.SetRefresh(w, r, "the-refresh", time.Time{})
		set := w.Result().Cookies()
		if len(set) != 2 {
			t.Fatalf("%v", set)
		}
		for _, c := range set {
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.Secure != secure || strings.HasPrefix(c.Name, "__Host-") != secure {
				t.Errorf("%v", c)
			}
			r.AddCookie(c)
		}
		if web.Session(r) != "the-session" || web.Refresh(r) != "the-refresh" {
			t.Error("the cookies do not come back")
		}
		// One that a neighbour planted under the plain name is not looked at by TLS; and two of one name count as none.
		if secure {
			planted := httptest.NewRequest("GET", "https://x/", nil)
			planted.AddCookie(&http.Cookie{Name: web.SessionCookiePlain, Value: "planted"})
			if web.Session(planted) != "" {
				t.Error("a plain cookie was taken by TLS")
			}
		}
		r.AddCookie(&http.Cookie{Name: set[0].Name, Value: "another"})
		if web.Session(r) != "" {
			t.Error("two cookies of one name")
		}
		w = httptest.NewRecorder()
		web.ClearSession(w, r)
		for _, c := range w.Result().Cookies() {
			if c.MaxAge >= 0 || c.Value != "" {
				t.Errorf("%v stays", c)
			}
		}
	}
}

func TestCSRF(t *testing.T) {
	key := []byte(strings.Repeat("k", 32))
	g, err := web.NewCSRF(key, "https://front.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := web.NewCSRF(key[:31]); err == nil {
		t.Error("a short key is taken")
	}
	token, others := g.Token("s1"), g.Token("s2")
	if g.Token("s1") == token || !g.Valid("s1", token) || g.Valid("s2", token) || g.Valid("", g.Token("")) || g.Valid("s1", token[:len(token)-1]) || g.Valid("s1", "") {
		t.Error("tokens")
	}
	for name, x := range map[string]struct {
		method, origin, site, cookie, header string
		ok                                   bool
	}{
		"a read":                       {"GET", "", "", "", "", true},
		"a page of ours":               {"POST", "https://x", "same-origin", token, token, true},
		"an old browser":               {"POST", "https://x", "", token, token, true},
		"no origin":                    {"POST", "", "same-origin", token, token, true},
		"the allowed front":            {"POST", "https://front.example.org", "cross-site", token, token, true},
		"neither":                      {"POST", "", "", token, token, false},
		"another site":                 {"POST", "https://evil", "cross-site", token, token, false},
		"a neighbour":                  {"POST", "https://x", "same-site", token, token, false},
		"nowhere":                      {"POST", "null", "", token, token, false},
		"by the address bar":           {"POST", "", "none", token, token, false},
		"plain page of the same name":  {"DELETE", "http://x", "", token, token, false},
		"no header":                    {"PUT", "https://x", "same-origin", token, "", false},
		"no cookie":                    {"PATCH", "https://x", "same-origin", "", token, false},
		"another's, planted":           {"DELETE", "https://x", "same-origin", others, others, false},
		"another's in the cookie only": {"DELETE", "https://x", "same-origin", others, token, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(x.method, "https://x/api/v1/y", nil)
			for h, v := range map[string]string{"Origin": x.origin, "Sec-Fetch-Site": x.site, web.CSRFHeader: x.header} {
				if v != "" {
					r.Header.Set(h, v)
				}
			}
			if x.cookie != "" {
				r.AddCookie(&http.Cookie{Name: web.CSRFCookie, Value: x.cookie})
			}
			err := g.Check(r, "s1")
			if (err == nil) != x.ok || err != nil && !fault.Is(err, fault.Forbidden) {
				t.Errorf("%v", err)
			}
		})
	}
	w := httptest.NewRecorder()
	given := g.Give(w, httptest.NewRequest("GET", "https://x/", nil), "s1", time.Time{})
	if c := w.Result().Cookies()[0]; c.HttpOnly || c.Value != given || !g.Valid("s1", given) {
		t.Errorf("%v", c)
	}
}
