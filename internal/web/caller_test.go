package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

func prefixes(t testing.TB, list ...string) []netip.Prefix {
	t.Helper()
	out, err := web.ParsePrefixes(list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tokens is a hook that knows some tokens.
func tokens(_ context.Context, r *http.Request) (access.Caller, error) {
	switch web.Bearer(r) {
	case "":
		if r.Header.Get("Authorization") != "" {
			return access.Caller{}, fault.New(fault.Unauthenticated, "no token")
		}
		return access.Anonymous(), nil
	case "ann":
		return access.Caller{Tenant: 7, Who: "User/1", User: 1, Grant: access.Nothing()}, nil
	case "key":
		return access.Caller{Tenant: 7, Who: "Key/2", Client: "2", Grant: access.Nothing()}, nil
	case "suspended":
		return access.Caller{}, fault.New(fault.Forbidden, "the account is not active")
	case "often":
		return access.Caller{}, fault.New(fault.TooMany, "slower")
	case "broken":
		return access.Caller{}, errors.New("the secret of the database")
	}
	return access.Caller{}, fault.New(fault.Unauthenticated, "the token is not valid")
}

func TestCallerOfTheHookStandsInTheContext(t *testing.T) {
	var calls atomic.Int32
	var hook, seen access.Caller
	s := edge(t, web.Options{Authenticate: func(ctx context.Context, r *http.Request) (access.Caller, error) {
		calls.Add(1)
		hook = access.From(ctx)
		return tokens(ctx, r)
	}}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = access.From(r.Context()) }))
	for token, who := range map[string]string{"": "anonymous", "Bearer ann": "User/1", "bearer  key": "Key/2"} {
		calls.Store(0)
		res, _ := do(t, s, "GET", "/", nil, "Authorization", token)
		if res.StatusCode != 200 || calls.Load() != 1 {
			t.Fatalf("%q: %d after %d calls", token, res.StatusCode, calls.Load())
		}
		id := res.Header.Get("X-Request-Id")
		if seen.Who != who || seen.RequestID != id || seen.Address != "127.0.0.1" {
			t.Errorf("%q: %+v", token, seen)
		}
		if hook.Who != "anonymous" || hook.RequestID != id || hook.Address != "127.0.0.1" {
			t.Errorf("the hook sees %+v", hook)
		}
	}
}

// TestRefusalsComeInThePathsForm also sends bodies that nobody may read, the last of which never ends.
func TestRefusalsComeInThePathsForm(t *testing.T) {
	var refused atomic.Int32
	s := edge(t, web.Options{Authenticate: tokens, Refused: func(context.Context, *http.Request, error) { refused.Add(1) }},
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a refused request was served") }))
	forms := map[string]func(body []byte, status int) bool{
		"/fhir/R4/Patient": func(b []byte, _ int) bool { return bytes.HasPrefix(b, []byte(`{"resourceType":"OperationOutcome"`)) },
		"/api/v1/users": func(b []byte, status int) bool {
			var e struct {
				Success bool
				Error   struct {
					Code, Message string
					StatusCode    int
					Details       []any
				}
				Message  string
				Metadata struct{ Timestamp, RequestID, Version string }
			}
			return json.Unmarshal(b, &e) == nil && !e.Success && e.Error.StatusCode == status && e.Error.Details != nil && e.Message == e.Error.Message && e.Metadata.RequestID != "" &&
				e.Error.Code == map[int]string{401: "AUTHENTICATION_REQUIRED", 403: "PERMISSION_DENIED", 429: "RATE_LIMIT_EXCEEDED", 500: "INTERNAL_ERROR"}[status]
		},
		"/authorize": func(b []byte, _ int) bool { return bytes.HasPrefix(b, []byte(`{"error":"`)) },
	}
	for path, form := range forms {
		for token, want := range map[string]struct {
			status    int
			challenge string
		}{"bad": {401, `Bearer error="invalid_token"`}, "suspended": {403, ""}, "often": {429, ""}, "broken": {500, ""}} {
			refused.Store(0)
			res, body := do(t, s, "POST", path, []byte(`{"half":`), "Authorization", "Bearer "+token)
			if res.StatusCode != want.status || !form(body, want.status) || bytes.Contains(body, []byte("secret")) {
				t.Errorf("%s as %s: %d %s", path, token, res.StatusCode, body)
			}
			if got := res.Header.Get("WWW-Authenticate"); got != want.challenge {
				t.Errorf("%s as %s: WWW-Authenticate %q", path, token, got)
			}
			if want.status == 429 && res.Header.Get("Retry-After") == "" {
				t.Error("429 without Retry-After")
			}
			if refused.Load() != 1 {
				t.Errorf("%s as %s: told %d times", path, token, refused.Load())
			}
		}
	}
	endless, feed := io.Pipe()
	defer feed.Close()
	req, err := http.NewRequest("POST", s.URL+"/api/v1/x", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer bad")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 401 {
		t.Errorf("an endless body: %d", res.StatusCode)
	}
}

func TestUnauthenticatedFaultsOfHandlersSayHow(t *testing.T) {
	s := edge(t, web.Options{}, web.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return fault.New(fault.Unauthenticated, "sign in") }))
	if res, _ := do(t, s, "GET", "/fhir/R4/Patient/1", nil); res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("%d %q", res.StatusCode, res.Header.Get("WWW-Authenticate"))
	}
}

func TestAddressBehindProxies(t *testing.T) {
	for name, x := range map[string]struct {
		proxies []string
		sent    []string
		want    string
	}{
		"no proxy is trusted":           {nil, []string{"203.0.113.9"}, "127.0.0.1"},
		"another is":                    {[]string{"10.0.0.0/8"}, []string{"203.0.113.9"}, "127.0.0.1"},
		"the peer is":                   {[]string{"127.0.0.0/8"}, []string{"203.0.113.9"}, "203.0.113.9"},
		"a client that lies":            {[]string{"127.0.0.1"}, []string{"1.1.1.1, 203.0.113.9"}, "203.0.113.9"},
		"two of them":                   {[]string{"127.0.0.1", "10.0.0.0/8"}, []string{"1.1.1.1, 203.0.113.9, 10.1.1.1"}, "203.0.113.9"},
		"two lines":                     {[]string{"127.0.0.1", "10.0.0.0/8"}, []string{"1.1.1.1, 203.0.113.9", "10.1.1.1"}, "203.0.113.9"},
		"nothing sent":                  {[]string{"127.0.0.1"}, nil, "127.0.0.1"},
		"nonsense":                      {[]string{"127.0.0.1", "10.0.0.0/8"}, []string{"203.0.113.9, nonsense, 10.1.1.1"}, "10.1.1.1"},
		"version 6":                     {[]string{"127.0.0.1"}, []string{"2001:db8::1"}, "2001:db8::1"},
		"version 4 in version 6":        {[]string{"127.0.0.1"}, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"everybody in the chain is one": {[]string{"0.0.0.0/0"}, []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
	} {
		t.Run(name, func(t *testing.T) {
			var seen access.Caller
			secure := false
			e, err := web.NewEdge(web.Options{Proxies: prefixes(t, x.proxies...)})
			if err != nil {
				t.Fatal(err)
			}
			h := e.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen, secure = access.From(r.Context()), web.Secure(r) }))
			s := edge(t, web.Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header["X-Forwarded-For"] = x.sent
				r.Header.Set("X-Forwarded-Proto", "https")
				h.ServeHTTP(w, r)
			}))
			do(t, s, "GET", "/", nil)
			if seen.Address != x.want {
				t.Errorf("%s, want %s", seen.Address, x.want)
			}
			if trusted := x.proxies != nil && x.proxies[0] != "10.0.0.0/8"; secure != trusted {
				t.Errorf("secure: %v", secure)
			}
		})
	}
}

func TestAllowLists(t *testing.T) {
	of := func(list ...string) []netip.Prefix { return prefixes(t, list...) }
	for name, x := range map[string]struct {
		all, callers []netip.Prefix
		token        string
		status       int
	}{
		"none":                 {nil, nil, "ann", 200},
		"on it":                {of("127.0.0.1", "10.0.0.0/8"), nil, "ann", 200},
		"not on it":            {of("10.0.0.0/8"), nil, "ann", 403},
		"not even with a lie":  {of("10.0.0.0/8"), nil, "bad", 403},
		"the caller's":         {nil, of("127.0.0.0/8"), "key", 200},
		"not on the caller's":  {nil, of("192.0.2.1"), "key", 403},
		"the caller is not it": {nil, of("192.0.2.1"), "ann", 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := edge(t, web.Options{Authenticate: tokens, Allow: x.all, AllowFor: func(c *access.Caller) []netip.Prefix {
				if c.Client == "2" {
					return x.callers
				}
				return nil
			}}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			if res, body := do(t, s, "GET", "/api/v1/x", nil, "Authorization", "Bearer "+x.token); res.StatusCode != x.status {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	if _, err := web.ParsePrefixes([]string{"10.0.0.0/8", "nonsense"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("%v", err)
	}
}

func TestCredentials(t *testing.T) {
	with := func(values ...string) *http.Request {
		return &http.Request{Header: http.Header{"Authorization": values}}
	}
	for _, x := range []struct {
		values []string
		bearer string
		basic  bool
	}{{nil, "", false}, {[]string{"Bearer abc"}, "abc", false}, {[]string{"BEARER abc"}, "abc", false}, {[]string{"Bearer"}, "", false}, {[]string{"Bearerabc"}, "", false},
		{[]string{"Bearer a", "Bearer b"}, "", false}, {[]string{"Basic YTpi"}, "", true}, {[]string{"Basic YTpi", "Bearer b"}, "", false}, {[]string{"Basic !"}, "", false}} {
		if got := web.Bearer(with(x.values...)); got != x.bearer {
			t.Errorf("%q: bearer %q", x.values, got)
		}
		name, password, ok := web.Basic(with(x.values...))
		if ok != x.basic || ok && (name != "a" || password != "b") {
			t.Errorf("%q: basic %q %q %v", x.values, name, password, ok)
		}
	}
	r := &http.Request{Header: http.Header{}}
	r.Header.Set("X-API-Key", "k")
	if web.APIKey(r) != "k" {
		t.Error("X-API-Key")
	}
	r.Header = http.Header{}
	r.Header.Set("X-Service-API-Key", "s")
	if web.APIKey(r) != "s" {
		t.Error("X-Service-API-Key")
	}
}

func BenchmarkEdgeWithEverything(b *testing.B) {
	l, err := web.NewLimiter(web.LimiterOptions{Classes: []web.Class{{Name: "read", Of: []web.Match{{}},
		Rates: web.Rates{Key: web.Rate{Requests: 1 << 30, Per: time.Hour}, User: web.Rate{Requests: 1 << 30, Per: time.Hour}}}}})
	if err != nil {
		b.Fatal(err)
	}
	e, err := web.NewEdge(web.Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)), Authenticate: tokens, Limits: l,
		CORS: web.CORS{Origins: []string{"https://app.example.org"}}, Allow: prefixes(b, "192.0.2.0/24")})
	if err != nil {
		b.Fatal(err)
	}
	body := bytes.Repeat([]byte("x"), 1500)
	h := e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		web.SetRoute(w, "/x")
		_, _ = w.Write(body)
	}))
	r := httptest.NewRequest("GET", "/fhir/R4/Patient/1", nil)
	r.Header.Set("Authorization", "Bearer ann")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&discard{h: http.Header{}}, r)
	}
}
