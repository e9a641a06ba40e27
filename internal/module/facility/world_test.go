package facility_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/facility"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

type m = map[string]any

// hand is a clock that tests move.
type hand struct{ micros atomic.Int64 }

func (h *hand) now() time.Time      { return time.UnixMicro(h.micros.Load()).UTC() }
func (h *hand) add(d time.Duration) { h.micros.Add(d.Microseconds()) }

// world is the facility service on a record, behind a real edge. Who calls is said by a header: the role, and the FHIR reference that it is.
type world struct {
	t     testing.TB
	store *record.Store
	s     *facility.Service
	jobs  *job.Runner
	clock *hand
	base  string
	ctx   context.Context // the program's own
}

func tables() record.Options {
	return record.Options{Tables: append(facility.Tables(), job.Tables()...)}
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, tables(), func(t *testing.T, s *record.Store) { f(t, newWorld(t, s)) })
}

// prepare brings the tables forward and lets the module govern, as the program does at its start.
func prepare(t testing.TB, store *record.Store) {
	t.Helper()
	l, ctx := store.Ledger(), context.Background()
	if err := l.Migrate(ctx, job.Module, job.Migrations()); err != nil {
		t.Fatal(err)
	}
	if err := l.Migrate(ctx, facility.Module, facility.Migrations()); err != nil {
		t.Fatal(err)
	}
	store.GovernSets(facility.Types(), facility.SetRule(l))
}

func newWorld(t testing.TB, store *record.Store) *world {
	t.Helper()
	prepare(t, store)
	w := &world{t: t, store: store, clock: &hand{}, ctx: access.With(context.Background(), access.System(1))}
	w.clock.micros.Store(time.Now().Add(time.Minute).UnixMicro()) // ahead of the store's: what is due at once is due
	w.jobs = job.New(job.Options{Ledger: store.Ledger(), Tenants: store.KeyedTenants, Clock: w.clock.now})
	var err error
	w.s, err = facility.New(w.ctx, facility.Options{Records: flat.New(store, w.clock.now, ""), Ledger: store.Ledger(), Jobs: w.jobs})
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(w.s.Routes())
	if err != nil {
		t.Fatal(err)
	}
	policies, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		t.Fatal(err)
	}
	roles := map[string][]string{}
	for _, r := range access.DefaultRoles() {
		roles[r.Name] = r.Permissions
	}
	e, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		role := r.Header.Get("X-Role")
		if role == "" {
			return access.Anonymous(), nil
		}
		p := access.Principal{User: 7, Roles: []string{role}, Permissions: roles[role]}
		g, err := policies.Grant(p)
		return access.Caller{Tenant: 1, Who: "User/7", User: 7, Roles: p.Roles, Purpose: "TREAT", Grant: g}, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(e.Wrap(h))
	t.Cleanup(srv.Close)
	w.base = srv.URL
	return w
}

type answer struct {
	status int
	raw    []byte
	body   m
}

// at is the value at a path of the answer: "data.bed.bedStatus".
func (a *answer) at(path string) any {
	var v any = a.body
	for _, name := range strings.Split(path, ".") {
		next, ok := v.(m)
		if !ok {
			return nil
		}
		v = next[name]
	}
	return v
}

func (a *answer) text(path string) string { s, _ := a.at(path).(string); return s }

func (a *answer) number(path string) int { n, _ := a.at(path).(float64); return int(n) }

func (a *answer) list(path string) []any { l, _ := a.at(path).([]any); return l }

func (w *world) do(role, method, path string, body any) *answer {
	w.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, w.base+path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("X-Role", role)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Error(err)
		return &answer{}
	}
	defer func() { _ = res.Body.Close() }()
	a := &answer{status: res.StatusCode}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		w.t.Error(err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// want is do that fails where the answer has another status.
func (w *world) want(status int, role, method, path string, body any) *answer {
	w.t.Helper()
	a := w.do(role, method, path, body)
	if a.status != status {
		w.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.raw)
	}
	return a
}

func res(t testing.TB, format string, args ...any) *fhir.Resource {
	t.Helper()
	r, err := fhir.ParseResource(fmt.Appendf(nil, format, args...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// put is a change that writes a resource under its own id.
func put(r *fhir.Resource) record.Change {
	return record.Change{Op: record.Update, Type: r.Type(), ID: r.ID(), Resource: r}
}

func (w *world) write(changes ...record.Change) {
	w.t.Helper()
	if _, err := w.store.Write(w.ctx, changes); err != nil {
		w.t.Fatal(err)
	}
}

const prov = `"type":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/organization-type","code":%q}]}]`

// house makes facility 1 with department 2, grounds g and a ward of the name with beds NAME-1 … NAME-n.
func (w *world) house(ward string, beds int) {
	w.t.Helper()
	set := []record.Change{
		put(res(w.t, `{"resourceType":"Organization","id":"1","active":true,"name":"Blue Nile",`+prov+`}`, "prov")),
		put(res(w.t, `{"resourceType":"Organization","id":"2","active":true,"name":"Medicine","partOf":{"reference":"Organization/1"},`+prov+`}`, "dept")),
		put(place(w.t, "g", "si", "", "1")), put(place(w.t, ward, "wa", "g", "2")),
	}
	for k := range beds {
		set = append(set, put(bed(w.t, fmt.Sprintf("%s-%d", ward, k+1), ward, "U")))
	}
	w.write(set...)
}

func place(t testing.TB, id, kind, partOf, org string) *fhir.Resource {
	part := ""
	if partOf != "" {
		part = fmt.Sprintf(`"partOf":{"reference":"Location/%s"},`, partOf)
	}
	return res(t, `{"resourceType":"Location","id":%q,"status":"active","name":%q,%s"managingOrganization":{"reference":"Organization/%s"},
		"physicalType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/location-physical-type","code":%q}]}}`, id, id, part, org, kind)
}

func bed(t testing.TB, id, ward, status string) *fhir.Resource {
	r := place(t, id, "bd", ward, "2")
	if err := flat.Set(r.Node, "operationalStatus", m{"system": "http://terminology.hl7.org/CodeSystem/v2-0116", "code": status}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *world) patients(n int) {
	w.t.Helper()
	var set []record.Change
	for k := range n {
		set = append(set, put(res(w.t, `{"resourceType":"Patient","id":"%d","name":[{"family":"Patient","given":["Number %d"]}]}`, k+1, k+1)))
		if len(set) == 100 || k == n-1 {
			w.write(set...)
			set = nil
		}
	}
}

// lying is an Encounter of a patient with active locations.
func lying(t testing.TB, id, patient, status string, beds ...string) *fhir.Resource {
	var where []string
	for _, b := range beds {
		where = append(where, fmt.Sprintf(`{"location":{"reference":"Location/%s"},"status":"active"}`, b))
	}
	location := ""
	if len(where) > 0 {
		location = `,"location":[` + strings.Join(where, ",") + `]`
	}
	return res(t, `{"resourceType":"Encounter","id":%q,"status":%q,"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"IMP"},
		"subject":{"reference":"Patient/%s"}%s}`, id, status, patient, location)
}

// beds is what the ledger has: the state, and who lies there, of each bed.
func (w *world) beds() map[string][2]string {
	w.t.Helper()
	out := map[string][2]string{}
	err := w.store.Ledger().Read(w.ctx, 1, func(q sqldb.Querier) error {
		return sqldb.Each(w.ctx, q, func(rows sqldb.Rows) error {
			var id, state, who string
			err := rows.Scan(&id, &state, &who)
			out[id] = [2]string{state, who}
			return err
		}, "SELECT id, state, occupant FROM facility_bed WHERE tenant = 1 AND deleted_at = 0")
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// holds fails where a bed is in another state, or another lies there.
func (w *world) holds(bed, state, who string) {
	w.t.Helper()
	if got := w.beds()[bed]; got != [2]string{state, who} {
		w.t.Errorf("%s is %v, want %s %s", bed, got, state, who)
	}
}

// operational is what a bed's Location says.
func (w *world) operational(bed string) string {
	w.t.Helper()
	v, err := w.store.Read(w.ctx, "Location", bed)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := v.Resource()
	if err != nil {
		w.t.Fatal(err)
	}
	if s := r.Get("operationalStatus"); s != nil {
		return s.Str("code")
	}
	return ""
}

// run has the jobs done, until stop says that it has seen enough.
func (w *world) run(stop func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	done := make(chan struct{})
	go func() { defer close(done); w.jobs.Run(ctx) }()
	for !stop() && ctx.Err() == nil {
		w.jobs.Wake()
		time.Sleep(5 * time.Millisecond)
	}
	if ctx.Err() != nil {
		w.t.Error("the jobs did not do what was waited for")
	}
	cancel()
	<-done
}
