package billing_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// noon is the time of the tests: in Khartoum it is two in the afternoon.
var noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

type world struct {
	t       *testing.T
	records *flat.Records
	base    string
	now     time.Time
}

func newWorld(t *testing.T, store *record.Store, routes func(*flat.Records) []api.Route) *world {
	t.Helper()
	w := &world{t: t, now: noon}
	w.records = flat.New(store, func() time.Time { return w.now }, "")
	policies, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(routes(w.records))
	if err != nil {
		t.Fatal(err)
	}
	// Who calls is a role's name, as if it were a token.
	edge, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		role := web.Bearer(r)
		p := access.Principal{Tenant: 1, User: 7, Roles: []string{role}}
		for _, known := range access.DefaultRoles() {
			if known.Name == role {
				p.Permissions = known.Permissions
			}
		}
		g, err := policies.Grant(p)
		return access.Caller{Tenant: 1, Who: "User/7", User: 7, Roles: p.Roles, Purpose: "TREAT", Grant: g}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(edge.Wrap(h))
	t.Cleanup(srv.Close)
	w.base = srv.URL
	return w
}

// put writes a resource under its id, as the program.
func (w *world) put(text string) {
	w.t.Helper()
	res, err := fhir.ParseResource([]byte(text))
	if err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	if _, err := w.records.Write(access.With(context.Background(), access.System(1)), record.Change{Op: record.Update, Type: res.Type(), ID: res.ID(), Resource: res}); err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
}

// get asks as a role, and returns the status and the data.
func (w *world) get(role, path string) (int, map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.base+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+role)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var body struct {
		Data map[string]any
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, body.Data
}

// figures holds the figures that are expected against those of an answer; nil is one that is not known, which must have a reason.
func (w *world) figures(role, path string, want map[string]any) {
	w.t.Helper()
	status, data := w.get(role, path)
	if status != http.StatusOK {
		w.t.Fatalf("%s %s: status %d", role, path, status)
	}
	why, _ := data["unavailable"].(map[string]any)
	for name, v := range want {
		got, there := data[name]
		if reason, _ := why[name].(string); !there || got != v || (v == nil) != (reason != "") {
			w.t.Errorf("%s %s: %s is %v (%q), want %v", role, path, name, got, reason, v)
		}
	}
	for name := range data {
		if strings.HasPrefix(name, ".") {
			w.t.Errorf("%s is told", name)
		}
	}
}
