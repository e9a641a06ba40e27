package clinical_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// ward is a clinic with staff, for the tests of what is written about patients: doctors d1 and d2, nurses n1 and n2, an administrator who is no
// practitioner, a receptionist, and the patient p1 who signs in.
type ward struct {
	t       testing.TB
	store   *record.Store
	records *flat.Records
	base    string
	micros  atomic.Int64
	callers map[string]access.Caller
}

func (w *ward) now() time.Time { return time.UnixMicro(w.micros.Add(1000)).UTC() }

type o = map[string]any

func eachWard(t *testing.T, f func(t *testing.T, w *ward)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: clinical.Tables()}, func(t *testing.T, s *record.Store) { f(t, newWard(t, s)) })
}

func newWard(t testing.TB, s *record.Store) *ward {
	t.Helper()
	ctx := context.Background()
	w := &ward{t: t, store: s, callers: map[string]access.Caller{}}
	w.micros.Store(time.Now().UnixMicro())
	l := s.Ledger()
	if err := l.Migrate(ctx, clinical.Module, clinical.Migrations()); err != nil {
		t.Fatal(err)
	}
	s.Govern(clinical.Rules(l))
	for typ, rule := range clinical.Guards() {
		s.Guard([]string{typ}, rule)
	}
	w.records = flat.New(s, w.now, "")
	service, err := clinical.New(ctx, clinical.Options{Records: w.records, Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	h, err := api.New(service.Routes())
	if err != nil {
		t.Fatal(err)
	}
	e, err := web.NewEdge(web.Options{Authenticate: func(ctx context.Context, r *http.Request) (access.Caller, error) {
		if c, ok := w.callers[web.Bearer(r)]; ok {
			return c, nil
		}
		return access.From(ctx), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(e.Wrap(h))
	t.Cleanup(srv.Close)
	w.base = srv.URL
	w.furnish()
	return w
}

// furnish registers staff, places and two patients.
func (w *ward) furnish() {
	policies, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, who := range []struct{ name, role, self string }{{"d1", "doctor", "Practitioner/d1"}, {"d2", "doctor", "Practitioner/d2"}, {"n1", "nurse", "Practitioner/n1"},
		{"n2", "nurse", "Practitioner/n2"}, {"admin", "admin", ""}, {"desk", "receptionist", ""}, {"rx", "pharmacist", ""}, {"p1", "patient", "Patient/p1"}} {
		pr := access.Principal{Tenant: 1, User: int64(i + 10), Kind: "user", Roles: []string{who.role}}
		if who.self != "" {
			pr.Self = []string{who.self}
		}
		if who.role == "patient" {
			pr.Patients = pr.Self
		} else {
			pr.Practitioner = who.self
		}
		for _, r := range access.DefaultRoles() {
			if r.Name == who.role {
				pr.Permissions = r.Permissions
			}
		}
		g, err := policies.Grant(pr)
		if err != nil {
			w.t.Fatal(err)
		}
		w.callers[who.name] = access.Caller{Tenant: 1, Who: fmt.Sprintf("User/%d", pr.User), User: pr.User, Roles: pr.Roles, Purpose: "TREAT", Self: pr.Self, Grant: g}
	}
	for id, family := range map[string]string{"d1": "Osman", "d2": "Idris", "n1": "Bakri", "n2": "Salih"} {
		w.put("Practitioner", id, o{"name": []o{{"family": family, "given": []string{"Amna"}}}})
	}
	for _, id := range []string{"p1", "p2"} {
		w.put("Patient", id, o{"name": []o{{"family": "Ali", "given": []string{strings.ToUpper(id)}}}})
	}
	kind := func(code string) []o {
		return []o{{"coding": []o{{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": code}}}}
	}
	w.put("Organization", "f1", o{"name": "Khartoum Teaching", "type": kind("prov")})
	w.put("Organization", "f2", o{"name": "Omdurman", "type": kind("prov")})
	w.put("Organization", "dep1", o{"name": "Cardiology", "type": kind("dept"), "partOf": o{"reference": "Organization/f1"}})
	w.put("Location", "bed1", o{"name": "Bed 1"})
}

// as is the context of somebody's request.
func (w *ward) as(who string) context.Context {
	if who == "system" {
		return access.With(context.Background(), access.System(1))
	}
	c, ok := w.callers[who]
	if !ok {
		w.t.Fatalf("nobody is called %s", who)
	}
	return access.With(context.Background(), c)
}

func resource(t testing.TB, typ string, members o) *fhir.Resource {
	t.Helper()
	members["resourceType"] = typ
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	r, err := fhir.ParseResource(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// put writes a resource as the FHIR API's PUT would, as the program.
func (w *ward) put(typ, id string, members o) {
	w.t.Helper()
	if err := w.putAs("system", typ, id, members); err != nil {
		w.t.Fatal(err)
	}
}

// putAs is put as somebody: who may not see all of a type creates what is not there by a POST, without choosing its id.
func (w *ward) putAs(who, typ, id string, members o) error {
	c := record.Change{Op: record.Update, Type: typ, ID: id, Resource: resource(w.t, typ, members)}
	if _, err := w.records.Read(w.as("system"), typ, id); err != nil && who != "system" {
		c.Op, c.ID = record.Create, ""
	}
	_, err := w.store.Write(w.as(who), []record.Change{c})
	return err
}

// patchAs changes a resource as the FHIR API's PATCH would. id is the product API's.
func (w *ward) patchAs(who, typ, id string, f func(*fhir.Resource)) error {
	c, err := w.records.Changing(w.as(who), typ, id, func(r *fhir.Resource) error { f(r); return nil })
	if err != nil {
		return err
	}
	_, err = w.store.Write(w.as(who), []record.Change{c})
	return err
}

// key is the product API's id of a FHIR id.
func (w *ward) key(typ, id string) string {
	w.t.Helper()
	k, err := w.records.IDOf(w.as("system"), typ, id)
	if err != nil || k == "" {
		w.t.Fatal(typ, id, k, err)
	}
	return k
}

// read is the resource of a product API's id.
func (w *ward) read(typ, id string) *fhir.Resource {
	w.t.Helper()
	one, err := w.records.Read(w.as("system"), typ, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return one.Res
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	raw    string
	body   o
}

func (a *reply) at(path string) any {
	var v any = a.body
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i := -1
			if _, err := fmt.Sscan(name, &i); err != nil || i < 0 || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a *reply) text(path string) string {
	s, _ := a.at(path).(string)
	return s
}

func (a *reply) len(path string) int {
	l, _ := a.at(path).([]any)
	return len(l)
}

func (w *ward) do(who, method, path string, body any, headers ...string) *reply {
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
	r.Header.Set("Authorization", "Bearer "+who)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := &reply{status: res.StatusCode, header: res.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body)
	return a
}

// must is do with the status that is expected.
func (w *ward) must(status int, who, method, path string, body any, headers ...string) *reply {
	w.t.Helper()
	a := w.do(who, method, path, body, headers...)
	if a.status != status {
		w.t.Fatalf("%s %s as %s: %d, want %d: %s", method, path, who, a.status, status, a.raw)
	}
	return a
}

// want compares members of an answer.
func (a *reply) want(t testing.TB, members map[string]any) {
	t.Helper()
	for path, want := range members {
		got := a.at(path)
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w || (got == nil) != (want == nil) {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if t.Failed() {
		t.Log(a.raw)
	}
}

// encounter makes one by the API and returns its id.
func (w *ward) encounter(patient string, more o) string {
	w.t.Helper()
	body := o{"patientId": w.key("Patient", patient), "type": "outpatient", "chiefComplaint": "cough"}
	for k, v := range more {
		body[k] = v
	}
	return w.must(http.StatusCreated, "d1", "POST", "/api/v1/encounters", body).text("data.id")
}

func has(list []string, s string) bool { return slices.Contains(list, s) }
