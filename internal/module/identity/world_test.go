package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// hand is a clock that tests move.
type hand struct{ micros atomic.Int64 }

func (h *hand) now() time.Time      { return time.UnixMicro(h.micros.Load()).UTC() }
func (h *hand) add(d time.Duration) { h.micros.Add(d.Microseconds()) }

// password is what test users have; nobody else does.
const password = "a test value, not a secret"

type world struct {
	t     testing.TB
	store *record.Store
	ring  *token.Ring
	s     *identity.Service
	clock *hand
	base  string
	edge  *web.CSRF
	apps  *apps
}

// apps stands for the authorization server.
type apps struct{ dead atomic.Bool }

func (a *apps) Alive(context.Context, int32, string, int64, string) (bool, error) {
	return !a.dead.Load(), nil
}
func (a *apps) EndSessions(context.Context, int32, int64, string, string) error { return nil }

func issuer(tenant int32) string   { return fmt.Sprintf("https://ehr.example/t/%d", tenant) }
func audience(tenant int32) string { return issuer(tenant) + "/fhir/R4" }

func newWorld(t testing.TB, store *record.Store, change func(*identity.Options)) *world {
	t.Helper()
	ctx := context.Background()
	if err := store.Ledger().Migrate(ctx, token.Module, token.Migrations()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: store, clock: &hand{}, apps: &apps{}}
	w.clock.micros.Store(time.Now().UnixMicro())
	w.ring = token.New(store.Ledger(), token.Options{Clock: w.clock.now})
	policies, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		t.Fatal(err)
	}
	if w.edge, err = web.NewCSRF(bytes.Repeat([]byte{7}, 32)); err != nil {
		t.Fatal(err)
	}
	o := identity.Options{Ledger: store.Ledger(), Records: store, Tokens: w.ring, Policies: policies, Clock: w.clock.now, Issuer: issuer, Audience: audience, CSRF: w.edge}
	if change != nil {
		change(&o)
	}
	if w.s, err = identity.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	w.s.UseApps(w.apps)
	w.base = w.serve(w.s)
	return w
}

// serve serves a service's routes behind a real edge.
func (w *world) serve(s *identity.Service) string {
	w.t.Helper()
	h, err := api.New(s.Routes())
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := web.NewEdge(web.Options{Authenticate: func(ctx context.Context, r *http.Request) (access.Caller, error) {
		cookie := web.Session(r)
		c, err := s.Authenticate(ctx, identity.Credentials{Bearer: web.Bearer(r), Cookie: cookie, APIKey: web.APIKey(r), Address: access.From(ctx).Address,
			Purpose: r.Header.Get("X-Purpose-Of-Use")})
		if err == nil && web.Bearer(r) == "" && web.APIKey(r) == "" && cookie != "" {
			err = w.edge.Check(r, cookie)
		}
		return c, err
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(e.Wrap(h))
	w.t.Cleanup(srv.Close)
	return srv.URL
}

func each(t *testing.T, change func(*identity.Options), f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: identity.Tables()}, func(t *testing.T, store *record.Store) { f(t, newWorld(t, store, change)) })
}

func system(tenant int32) context.Context {
	return access.With(context.Background(), access.System(tenant))
}

// user makes a user with the role.
func (w *world) user(tenant int32, email, role string, more ...func(*identity.NewUser)) *identity.User {
	w.t.Helper()
	n := identity.NewUser{Email: email, Password: password, Role: role, FirstName: "Test", LastName: role, EmailVerified: true}
	for _, f := range more {
		f(&n)
	}
	u, err := w.s.Create(system(tenant), tenant, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

func (a *answer) at(path string) any {
	var v any = a.body
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[name]
	}
	return v
}

func (a *answer) text(path string) string {
	v, _ := a.at(path).(string)
	return v
}

// do sends a request; credential goes as a bearer token, or as an API key where it is one.
func (w *world) do(method, path, credential string, body any) *answer {
	w.t.Helper()
	return w.send(http.DefaultClient, w.base, method, path, credential, body, nil)
}

func (w *world) send(client *http.Client, base, method, path, credential string, body any, headers map[string]string) *answer {
	w.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, base+path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case strings.HasPrefix(credential, "nck_"):
		r.Header.Set("X-Service-API-Key", credential)
	case credential != "":
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	for k, v := range headers {
		r.Header.Set(k, v)
	}
	res, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := &answer{status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		w.t.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

type m = map[string]any

// login signs a test user in and returns the answer.
func (w *world) login(email string) *answer {
	w.t.Helper()
	a := w.do("POST", "/api/v1/auth/login", "", m{"email": email, "password": password})
	if a.status != 200 {
		w.t.Fatalf("login: %d %s", a.status, a.raw)
	}
	return a
}

func (w *world) token(email string) string {
	w.t.Helper()
	return w.login(email).text("token")
}

// want fails where an answer has another status.
func (w *world) want(what string, a *answer, status int) {
	w.t.Helper()
	if a.status != status {
		w.t.Errorf("%s: %d, want %d: %s", what, a.status, status, a.raw)
	}
}

// browser is a client that keeps cookies, and sends what browsers do.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

func id(u *identity.User) string { return fmt.Sprint(u.ID) }

func benchWorld(b *testing.B) *world {
	b.Helper()
	w := newWorld(b, storetest.SQLite(b, record.Options{Tables: identity.Tables()}), nil)
	w.user(1, "nurse@example.org", "nurse")
	return w
}

// destroyer destroys a tenant's keys, as the program has it done.
func destroyer(w *world) func(context.Context, int32) error {
	return func(_ context.Context, tenant int32) error { return w.store.DestroyTenant(system(tenant)) }
}
