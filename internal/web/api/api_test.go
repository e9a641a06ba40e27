package api_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// grant permits what it names.
type grant string

func (grant) Extent(access.Action, string) access.Extent { return access.None() }
func (g grant) Permits(p string) bool                    { return strings.Contains(string(g), p) }
func (grant) Masked(string) []string                     { return nil }

// serve serves the table behind an edge. A request's bearer token is the permissions that it has.
func serve(t testing.TB, o web.Options, routes ...api.Route) *httptest.Server {
	t.Helper()
	h, err := api.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	o.Authenticate = func(_ context.Context, r *http.Request) (access.Caller, error) {
		if token := web.Bearer(r); token != "" {
			return access.Caller{Tenant: 1, Who: "User/1", User: 1, Grant: grant(token)}, nil
		}
		return access.Anonymous(), nil
	}
	e, err := web.NewEdge(o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(e.Wrap(h))
	t.Cleanup(s.Close)
	return s
}

func ask(t testing.TB, s *httptest.Server, method, path, body string, headers ...string) (*http.Response, map[string]any) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return res, out
}

// at follows a path into JSON: "error.code".
func at(v any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		m, _ := v.(map[string]any)
		v = m[part]
	}
	return v
}

func ok(w http.ResponseWriter, r *http.Request) error {
	return api.Answer(w, r, http.StatusOK, map[string]string{"id": r.PathValue("id")})
}

func route(method, path string, n api.Need) api.Route {
	return api.Route{Method: method, Path: path, Need: n, Summary: "x", Serve: ok}
}

func TestNeedsAreHeldBeforeTheHandler(t *testing.T) {
	s := serve(t, web.Options{}, route("GET", "/api/v1/open", api.Public()), route("GET", "/api/v1/mine", api.Known()), route("GET", "/api/v1/users/{id}", api.Permission("users:read")))
	for _, x := range []struct {
		path, token string
		status      int
		code        any
	}{
		{"/api/v1/open", "", 200, nil}, {"/api/v1/mine", "", 401, "AUTHENTICATION_REQUIRED"}, {"/api/v1/users/1", "", 401, "AUTHENTICATION_REQUIRED"},
		{"/api/v1/mine", "nothing", 200, nil}, {"/api/v1/users/1", "nothing", 403, "PERMISSION_DENIED"}, {"/api/v1/users/1", "users:read", 200, nil},
	} {
		res, out := ask(t, s, "GET", x.path, "", "Authorization", map[bool]string{true: "Bearer " + x.token}[x.token != ""])
		if res.StatusCode != x.status || at(out, "error.code") != x.code || at(out, "success") != (x.status == 200) || at(out, "metadata.requestId") != res.Header.Get("X-Request-Id") {
			t.Errorf("%s as %q: %d %v", x.path, x.token, res.StatusCode, out)
		}
		if (res.Header.Get("WWW-Authenticate") == "Bearer") != (x.status == 401) || res.Header.Get("X-API-Version") != "1" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s as %q: %v", x.path, x.token, res.Header)
		}
	}
	// Whether it exists is not told to those who may not see it: both answers are the same.
	_, a := ask(t, s, "GET", "/api/v1/users/1", "", "X-Request-Id", "same")
	_, b := ask(t, s, "GET", "/api/v1/users/999", "", "X-Request-Id", "same")
	delete(a["metadata"].(map[string]any), "timestamp")
	delete(b["metadata"].(map[string]any), "timestamp")
	if x, y := text(t, a), text(t, b); x != y {
		t.Errorf("%s and %s", x, y)
	}
}

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestNowhereAndOtherMethods(t *testing.T) {
	s := serve(t, web.Options{}, route("GET", "/api/v1/users/{id}", api.Public()), route("DELETE", "/api/v1/users/{id}", api.Public()), route("POST", "/api/v1/users/bulk", api.Public()))
	for _, x := range []struct {
		method, path string
		status       int
		allow        string
	}{{"GET", "/api/v1/users/1", 200, ""}, {"HEAD", "/api/v1/users/1", 200, ""}, {"PUT", "/api/v1/users/1", 405, "DELETE, GET, HEAD"}, {"GET", "/api/v1/nowhere", 404, ""},
		{"GET", "/", 404, ""}, {"POST", "/api/v1/users/bulk", 200, ""}, {"PUT", "/api/v1/users/bulk", 405, "DELETE, GET, HEAD, POST"}, {"OPTIONS", "/api/v1/users/1", 204, "DELETE, GET, HEAD"}} {
		res, out := ask(t, s, x.method, x.path, "")
		if res.StatusCode != x.status || res.Header.Get("Allow") != x.allow || x.status >= 400 && at(out, "success") != false {
			t.Errorf("%s %s: %d %q %v", x.method, x.path, res.StatusCode, res.Header.Get("Allow"), out)
		}
	}
}

func TestTablesThatAreRefused(t *testing.T) {
	good := route("GET", "/api/v1/x", api.Public())
	change := func(f func(*api.Route)) api.Route { r := good; f(&r); return r }
	for name, x := range map[string]struct {
		routes []api.Route
		says   string
	}{
		"no need":             {[]api.Route{change(func(r *api.Route) { r.Need = api.Need{} })}, "GET /api/v1/x lacks a need"},
		"an empty permission": {[]api.Route{change(func(r *api.Route) { r.Need = api.Permission("") })}, "lacks a need"},
		"no summary":          {[]api.Route{change(func(r *api.Route) { r.Summary = "" })}, "lacks a summary"},
		"no handler":          {[]api.Route{change(func(r *api.Route) { r.Serve = nil })}, "lacks a handler"},
		"no method":           {[]api.Route{change(func(r *api.Route) { r.Method = "" })}, "lacks a method"},
		"no path":             {[]api.Route{change(func(r *api.Route) { r.Path = "" })}, "lacks a path"},
		"twice":               {[]api.Route{good, good}, "GET /api/v1/x"},
		"the same pattern":    {[]api.Route{route("GET", "/a/{x}", api.Public()), route("GET", "/a/{y}", api.Public())}, "/a/{y}"},
		"neither is narrower": {[]api.Route{route("GET", "/a/{x}/b", api.Public()), route("GET", "/a/b/{y}", api.Public())}, "/a/b/{y}"},
		"all are named":       {[]api.Route{change(func(r *api.Route) { r.Summary, r.Serve = "", nil }), route("GET", "/y", api.Need{})}, "lacks a handler, a summary\napi: the route GET /y lacks"},
	} {
		if h, err := api.New(x.routes); err == nil || h != nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFailuresInTheEnvelope(t *testing.T) {
	var fail error
	s := serve(t, web.Options{}, api.Route{Method: "GET", Path: "/api/v1/x", Need: api.Public(), Summary: "x", Serve: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("ETag", "x")
		return fail
	}})
	for _, x := range []struct {
		err    error
		status int
		code   string
		after  string
	}{
		{fault.At(fault.Invalid, "email", "is no address"), 400, "VALIDATION_ERROR", ""},
		{fault.New(fault.Unprocessable, "x"), 422, "VALIDATION_ERROR", ""},
		{fault.New(fault.Unauthenticated, "x"), 401, "AUTHENTICATION_REQUIRED", ""},
		{fault.New(fault.Unauthenticated, "x").WithCode("AUTHENTICATION_FAILED"), 401, "AUTHENTICATION_FAILED", ""},
		{fault.New(fault.Forbidden, "x"), 403, "PERMISSION_DENIED", ""},
		{fault.New(fault.NotFound, "x"), 404, "NOT_FOUND", ""},
		{fault.New(fault.Conflict, "x"), 409, "CONFLICT", ""},
		{fault.New(fault.TooMany, "x"), 429, "RATE_LIMIT_EXCEEDED", "1"},
		{fault.New(fault.Unavailable, "x"), 503, "SERVICE_UNAVAILABLE", "1"},
		{fault.New(fault.Forbidden, "x").WithCode("locked"), 423, "ACCOUNT_LOCKED", "1800"},
		{web.Later(fault.New(fault.Forbidden, "x").WithCode("locked"), 90*time.Second+1), 423, "ACCOUNT_LOCKED", "91"},
		{io.ErrUnexpectedEOF, 500, "INTERNAL_ERROR", ""},
	} {
		fail = x.err
		res, out := ask(t, s, "GET", "/api/v1/x", "")
		if res.StatusCode != x.status || at(out, "error.code") != x.code || res.Header.Get("Retry-After") != x.after || at(out, "error.statusCode") != float64(x.status) ||
			at(out, "message") != at(out, "error.message") || res.Header.Get("ETag") != "" || strings.Contains(text(t, out), "EOF") {
			t.Errorf("%v: %d %v %v", x.err, res.StatusCode, out, res.Header)
		}
	}
	fail = fault.At(fault.Invalid, "email", "is no address")
	_, out := ask(t, s, "GET", "/api/v1/x", "")
	if got := text(t, at(out, "error.details")); got != `[{"field":"email","message":"is no address"}]` || at(out, "message") != "email: is no address" {
		t.Errorf("%v", out)
	}
}

func TestEnvelopes(t *testing.T) {
	page := api.Page{Page: 2, Limit: 10, Total: 35}
	var none []string
	for name, x := range map[string]struct {
		serve func(w http.ResponseWriter, r *http.Request) error
		want  string // without metadata
	}{
		"an object": {func(w http.ResponseWriter, r *http.Request) error {
			return api.Answer(w, r, 201, map[string]int{"a": 1})
		}, `{"data":{"a":1},"success":true}`},
		"nothing":           {func(w http.ResponseWriter, r *http.Request) error { return api.Answer(w, r, 200, nil) }, `{"data":null,"success":true}`},
		"an absent list":    {func(w http.ResponseWriter, r *http.Request) error { return api.Answer(w, r, 200, none) }, `{"data":[],"success":true}`},
		"marks as they are": {func(w http.ResponseWriter, r *http.Request) error { return api.Answer(w, r, 200, "<&>") }, `{"data":"\u003c\u0026\u003e","success":true}`},
		"bare": {func(w http.ResponseWriter, _ *http.Request) error {
			return api.Bare(w, 200, map[string]string{"token": "t"})
		}, `{"token":"t"}`},
		"a bare list of a page": {func(w http.ResponseWriter, r *http.Request) error { return api.List(w, r, []int{1}, page) },
			`{"data":[1],"pagination":{"hasNext":true,"hasPrevious":true,"limit":10,"page":2,"pages":4,"total":35,"totalPages":4},"success":true}`},
		"a named one": {func(w http.ResponseWriter, r *http.Request) error {
			return api.List(w, r, map[string][]int{"users": {1}}, api.Page{Page: 1, Limit: 10, Total: 1, Next: `c"`})
		},
			`{"data":{"pagination":{"hasNext":true,"hasPrevious":false,"limit":10,"next":"c\"","page":1,"pages":1,"total":1,"totalPages":1},"users":[1]},` +
				`"pagination":{"hasNext":true,"hasPrevious":false,"limit":10,"next":"c\"","page":1,"pages":1,"total":1,"totalPages":1},"success":true}`},
		"an empty one": {func(w http.ResponseWriter, r *http.Request) error {
			return api.List(w, r, struct{}{}, api.Page{Page: 1, Limit: 20})
		},
			`{"data":{"pagination":{"hasNext":false,"hasPrevious":false,"limit":20,"page":1,"pages":0,"total":0,"totalPages":0}},` +
				`"pagination":{"hasNext":false,"hasPrevious":false,"limit":20,"page":1,"pages":0,"total":0,"totalPages":0},"success":true}`},
		"one that tells itself": {func(w http.ResponseWriter, r *http.Request) error {
			return api.List(w, r, map[string]any{"pagination": 1, "deep": map[string]int{"pagination": 2}}, page)
		}, `{"data":{"deep":{"pagination":2},"pagination":1},"pagination":{"hasNext":true,"hasPrevious":true,"limit":10,"page":2,"pages":4,"total":35,"totalPages":4},"success":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, web.Options{}, api.Route{Method: "GET", Path: "/api/v1/x", Need: api.Public(), Summary: "x", Serve: x.serve})
			res, out := ask(t, s, "GET", "/api/v1/x", "")
			if m := at(out, "metadata"); name != "bare" {
				stamp, _ := at(m, "timestamp").(string)
				if _, err := time.Parse(time.RFC3339, stamp); err != nil || at(m, "version") != "1" || at(m, "requestId") != res.Header.Get("X-Request-Id") {
					t.Errorf("metadata %v", m)
				}
			}
			delete(out, "metadata")
			if got := text(t, out); got != x.want {
				t.Errorf("%s\nwant %s", got, x.want)
			}
		})
	}
	s := serve(t, web.Options{}, api.Route{Method: "GET", Path: "/api/v1/x", Need: api.Public(), Summary: "x", Serve: func(w http.ResponseWriter, r *http.Request) error {
		return api.Answer(w, r, 200, func() {})
	}})
	if res, out := ask(t, s, "GET", "/api/v1/x", ""); res.StatusCode != 500 || at(out, "success") != false {
		t.Errorf("what JSON cannot say: %d %v", res.StatusCode, out)
	}
}

func TestDeprecatedRoutesSaySo(t *testing.T) {
	since, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	old := route("GET", "/api/v1/old", api.Public())
	old.Deprecated, old.Sunset, old.Successor = since, end, "/api/v2/new"
	s := serve(t, web.Options{}, old, route("GET", "/api/v1/new", api.Public()))
	res, _ := ask(t, s, "GET", "/api/v1/old", "")
	if res.Header.Get("Deprecation") != "@1767225600" || res.Header.Get("Sunset") != "Fri, 01 Jan 2027 12:00:00 GMT" ||
		strings.Join(res.Header.Values("Link"), " ") != `</api/v2/new>; rel="successor-version" </api/v1/openapi.json>; rel="deprecation"; type="application/json"` {
		t.Errorf("%v", res.Header)
	}
	if res, _ := ask(t, s, "GET", "/api/v1/new", ""); res.Header.Get("Deprecation") != "" || res.Header.Get("Sunset") != "" || res.Header.Get("Link") != "" {
		t.Errorf("%v", res.Header)
	}
}

func TestRateLimitsRoute(t *testing.T) {
	l, err := web.NewLimiter(web.LimiterOptions{Classes: []web.Class{{Name: "all", Of: []web.Match{{}}, Rates: web.Rates{User: web.Rate{Requests: 9, Per: time.Hour}}}}})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, web.Options{Limits: l}, api.RateLimits(l)...)
	if res, _ := ask(t, s, "GET", "/api/v1/rate-limits", ""); res.StatusCode != 401 {
		t.Errorf("nobody: %d", res.StatusCode)
	}
	ask(t, s, "GET", "/api/v1/rate-limits", "", "Authorization", "Bearer x")
	_, out := ask(t, s, "GET", "/api/v1/rate-limits", "", "Authorization", "Bearer x")
	list, _ := at(out, "data.limits").([]any)
	if len(list) != 1 || at(list[0], "class") != "all" || at(list[0], "by") != "user" || at(list[0], "limit") != 9. || at(list[0], "remaining") != 7. || at(list[0], "windowSeconds") != 3600. {
		t.Errorf("%v", out)
	}
}
