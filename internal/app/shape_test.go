package app

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/app/config"
	"github.com/nilecare/nilecare/internal/web/api/apitest"
)

func TestTargets(t *testing.T) {
	const pg, base = "postgres://x@127.0.0.1/x", "http://127.0.0.1:7000"
	for _, x := range []struct {
		target, database, base, demo string
		want, says                   string
	}{
		{target: "all", want: "all"},
		{target: "", want: "all"},
		{target: "facility,scheduling", database: pg, base: base, want: "scheduling,facility"},
		{target: "identity,appointment", database: pg, base: base, want: "auth,scheduling"},
		{target: "main", base: base, want: "gateway"},
		{target: "all,lab", database: pg, base: base, says: "all is all"},
		{target: "sheduling", database: pg, base: base, says: "the nearest known one is scheduling"},
		{target: "lab", base: base, says: "lab alone needs PostgreSQL (--database), since several processes cannot share the embedded database"},
		{target: "gateway,lab", database: pg, base: base, says: "the gateway opens no database"},
		{target: "lab", database: pg, says: "need --base-url"},
		{target: "gateway", says: "need --base-url"},
		{target: "lab", database: pg, base: base, demo: "on", says: "demo"},
	} {
		c := &config.Config{Target: strings.FieldsFunc(x.target, func(r rune) bool { return r == ',' }), Database: x.database, BaseURL: x.base, Demo: x.demo}
		if c.Demo == "" {
			c.Demo = "off"
		}
		s, err := shapeOf(c)
		switch {
		case x.says != "" && (err == nil || !strings.Contains(err.Error(), x.says)):
			t.Errorf("%s: %v", x.target, err)
		case x.says == "" && (err != nil || s.String() != x.want):
			t.Errorf("%s: %s %v", x.target, s, err)
		}
		var usage *config.UsageError
		if strings.Contains(x.says, "nearest") && !errors.As(err, &usage) {
			t.Errorf("%s is no error of usage", x.target)
		}
	}
}

func TestWhereServicesStand(t *testing.T) {
	c := &config.Config{Listen: "10.0.0.5:7000", Ports: []string{"clinical=7101", "appointment=0"}, Peers: []string{"lab=http://a:1|http://b:2", "identity=https://id.example"}}
	s := shape{names: []string{"clinical", "scheduling", "facility"}}
	if got, err := s.listens(c); err != nil || !slices.Equal(got, []string{"10.0.0.5:7101", "10.0.0.5:0", "10.0.0.5:5001"}) {
		t.Error(got, err)
	}
	if got, err := (shape{}).listens(c); err != nil || !slices.Equal(got, []string{"10.0.0.5:7000"}) {
		t.Error(got, err)
	}
	got, err := peerURLs(c)
	if err != nil || !slices.Equal(got["lab"], []string{"http://a:1", "http://b:2"}) || !slices.Equal(got["auth"], []string{"https://id.example"}) ||
		!slices.Equal(got["clinical"], []string{"http://10.0.0.5:7101"}) || got["gateway"] != nil || len(got) != len(services())-1 {
		t.Error(got, err)
	}
	if got, err := peerURLs(&config.Config{Listen: ":7000", TLSCert: "x"}); err != nil || got["fhir"][0] != "https://127.0.0.1:6001" {
		t.Error(got, err)
	}
	for _, wrong := range []*config.Config{{Listen: ":1", Ports: []string{"lab"}}, {Listen: ":1", Ports: []string{"lab=x"}}, {Listen: ":1", Ports: []string{"lab=65536"}}, {Listen: ":1", Ports: []string{"lap=1"}},
		{Listen: ":1", Peers: []string{"lab"}}, {Listen: ":1", Peers: []string{"lap=http://x"}}, {Listen: ":1", Peers: []string{"gateway=http://x"}}} {
		if _, err := peerURLs(wrong); err == nil {
			t.Errorf("%v is taken", wrong)
		}
	}
}

func TestWhoServesAPath(t *testing.T) {
	for path, want := range map[string]string{"/": "gateway", "/oauth2/token": "auth", "/auth/saml/x/acs": "auth", "/scim/v2/Users": "auth", "/.well-known/jwks.json": "auth", "/fhir/R4": "fhir", "/fhir/R4/": "fhir",
		"/fhir/R4/Patient/1": "fhir", "/fhir/R4/metadata": "fhir", "/fhir/R4/.well-known/smart-configuration": "auth", "/socket.io/": "notification", "/fhir/R5/Patient": "", "/api/v1/patients": "", "/x": ""} {
		if got := pathOwner(path); got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

// TestTheGatewayKnowsTheOwnerOfEveryRoute: by the table that a process with a database tells.
func TestTheGatewayKnowsTheOwnerOfEveryRoute(t *testing.T) {
	c := newClinic(t)
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:7000"+routesPath, nil))
	var told []ownedRoute
	if err := json.NewDecoder(w.Body).Decode(&told); err != nil || w.Code != 200 || len(told) != len(c.routes) {
		t.Fatalf("%d %v: %d of %d routes", w.Code, err, len(told), len(c.routes))
	}
	f := &front{}
	mux := http.NewServeMux()
	if err := enter(mux, told); err != nil {
		t.Fatal(err)
	}
	f.table.Store(mux)
	for _, r := range told {
		for _, prefix := range []string{"", "/t/2"} {
			req := httptest.NewRequest(r.Method, "http://x"+prefix+neverWas(r.Path), nil)
			if got := f.owner(req); got != r.Service && pathOwner(neverWas(r.Path)) == "" {
				t.Errorf("%s %s: %q, want %s", r.Method, r.Path, got, r.Service)
			}
			// Of a preflight, and of a method that the path does not serve, the service says what there is.
			req.Method = http.MethodOptions
			req.Header.Set("Access-Control-Request-Method", r.Method)
			if got := f.owner(req); got != r.Service && pathOwner(neverWas(r.Path)) == "" {
				t.Errorf("OPTIONS for %s %s: %q, want %s", r.Method, r.Path, got, r.Service)
			}
		}
	}
	if got := f.owner(httptest.NewRequest("GET", "http://x/api/v1/nowhere", nil)); got != "" {
		t.Error(got)
	}
}

// TestAProcessServesItsServicesAlone: each service's routes in its own process, and nowhere else.
func TestAProcessServesItsServicesAlone(t *testing.T) {
	c := newClinic(t)
	all := shape{}
	seen := map[string]string{}
	for _, s := range services() {
		one := shape{names: []string{s.name}}
		for _, r := range c.x.servedRoutes(one.runs) {
			key := r.Method + " " + r.Path
			if other, ok := seen[key]; ok {
				t.Errorf("%s is served by %s and %s", key, other, s.name)
			}
			seen[key] = s.name
		}
	}
	if len(seen) != len(c.x.servedRoutes(all.runs)) {
		t.Errorf("%d of %d routes", len(seen), len(c.x.servedRoutes(all.runs)))
	}
}

// TestTheWholeDescriptionIsOpenAPI: what is served describes itself by the rules, and names each route.
func TestTheWholeDescriptionIsOpenAPI(t *testing.T) {
	c := newClinic(t)
	get := func(path string) *http.Response {
		w := httptest.NewRecorder()
		c.h.ServeHTTP(w, httptest.NewRequest("GET", "http://127.0.0.1:7000"+path, nil))
		return w.Result()
	}
	text, err := io.ReadAll(get("/openapi.json").Body)
	if err != nil {
		t.Fatal(err)
	}
	apitest.Valid(t, text)
	for _, r := range c.routes {
		if !strings.Contains(string(text), `"summary":`+quoted(r.Summary)) {
			t.Errorf("%s %s is not described", r.Method, r.Path)
		}
	}
	same, err := io.ReadAll(get("/api/v1/openapi.json").Body)
	if err != nil || string(same) != string(text) {
		t.Errorf("the two addresses differ: %v", err)
	}
	for _, path := range []string{"/docs", "/docs/docs.js", "/docs/docs.css"} {
		if res := get(path); res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, res.StatusCode, res.Header)
		}
	}
}

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
