// Package flattest is a desk for the tests of modules that only read: their routes behind a real edge, at which roles ask.
package flattest

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

// Noon is the time of the tests: in Khartoum it is two in the afternoon.
var Noon = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// Desk is where a test asks.
type Desk struct {
	Now     time.Time // what the clock shows
	t       testing.TB
	records *flat.Records
	base    string
}

// New opens a desk on a store, at [Noon].
func New(t testing.TB, store *record.Store, routes func(*flat.Records) []api.Route) *Desk {
	t.Helper()
	d := &Desk{t: t, Now: Noon}
	d.records = flat.New(store, func() time.Time { return d.Now }, "")
	policies, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(routes(d.records))
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
	d.base = srv.URL
	return d
}

// Put writes a resource under its id, as the program.
func (d *Desk) Put(text string) {
	d.t.Helper()
	res, err := fhir.ParseResource([]byte(text))
	if err != nil {
		d.t.Fatalf("%v: %s", err, text)
	}
	if _, err := d.records.Write(access.With(context.Background(), access.System(1)), record.Change{Op: record.Update, Type: res.Type(), ID: res.ID(), Resource: res}); err != nil {
		d.t.Fatalf("%v: %s", err, text)
	}
}

// Get asks as a role, and returns the status and the data.
func (d *Desk) Get(role, path string) (int, map[string]any) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, d.base+path, http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+role)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var body struct {
		Data map[string]any
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, body.Data
}

// Figures holds the figures that are expected against those of an answer; nil is one that is not known, which must have a reason.
func (d *Desk) Figures(role, path string, want map[string]any) {
	d.t.Helper()
	status, data := d.Get(role, path)
	if status != http.StatusOK {
		d.t.Fatalf("%s %s: status %d", role, path, status)
	}
	why, _ := data["unavailable"].(map[string]any)
	for name, v := range want {
		got, there := data[name]
		if reason, _ := why[name].(string); !there || got != v || (v == nil) != (reason != "") {
			d.t.Errorf("%s %s: %s is %v (%q), want %v", role, path, name, got, reason, v)
		}
	}
	for name := range data {
		if strings.HasPrefix(name, ".") {
			d.t.Errorf("%s is told", name)
		}
	}
}
