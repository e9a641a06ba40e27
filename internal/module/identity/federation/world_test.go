package federation_test

import (
	"bytes"
	"context"
	"encoding/json"
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
	"github.com/nilecare/nilecare/internal/module/identity/federation"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web/api"
)

type m = map[string]any

type world struct {
	t      *testing.T
	store  *record.Store
	people *identity.Service
	s      *federation.Service
	base   string
	admin  string // an access token
	micros atomic.Int64
}

func (w *world) now() time.Time { return time.UnixMicro(w.micros.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.micros.Add(d.Microseconds()) }

func system() context.Context { return access.With(context.Background(), access.System(1)) }

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: append(identity.Tables(), federation.Tables()...)}, func(t *testing.T, store *record.Store) {
		ctx := context.Background()
		w := &world{t: t, store: store}
		w.micros.Store(time.Now().UnixMicro())
		if err := store.Ledger().Migrate(ctx, token.Module, token.Migrations()); err != nil {
			t.Fatal(err)
		}
		policies, err := access.Compile(access.DefaultPolicies())
		if err != nil {
			t.Fatal(err)
		}
		base := func(int32) string { return w.base }
		if w.people, err = identity.New(ctx, identity.Options{Ledger: store.Ledger(), Records: store, Tokens: token.New(store.Ledger(), token.Options{Clock: w.now}),
			Policies: policies, Clock: w.now, Issuer: base, Audience: base}); err != nil {
			t.Fatal(err)
		}
		w.s, err = federation.New(ctx, federation.Options{Ledger: store.Ledger(), Users: w.people, Clock: w.now, Base: base, Returns: []string{"https://app.example/welcome"},
			SignInPage: "/login", Complete: func(rw http.ResponseWriter, _ *http.Request, in *identity.SignedIn, back string) error {
				return api.Bare(rw, 200, m{"user": in.User.Email, "id": in.User.ID, "roles": strings.Join(in.User.Roles, " "), "back": back, "token": in.AccessToken != ""})
			}})
		if err != nil {
			t.Fatal(err)
		}
		h, err := api.New(w.s.Routes())
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			c := access.Anonymous()
			if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
				known, err := w.people.Authenticate(r.Context(), identity.Credentials{Bearer: bearer})
				if err != nil {
					api.Fail(rw, r, err)
					return
				}
				c = known
			}
			h.ServeHTTP(rw, r.WithContext(access.With(r.Context(), c)))
		}))
		t.Cleanup(srv.Close)
		w.base = srv.URL
		w.admin = w.signedIn("admin@clinic.example", "admin")
		f(t, w)
	})
}

func (w *world) user(email, role string, verified bool) *identity.User {
	w.t.Helper()
	u, err := w.people.Create(system(), 1, identity.NewUser{Email: email, Role: role, FirstName: "Test", Status: identity.Active, EmailVerified: verified})
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) signedIn(email, role string) string {
	w.t.Helper()
	in, err := w.people.Begin(system(), 1, w.user(email, role, true).ID, identity.BySetup, false, "127.0.0.1", "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return in.AccessToken
}

type reply struct {
	status int
	header http.Header
	raw    string
	m      m
	at     string // where the browser ended
}

func (r reply) text(name string) string { s, _ := r.m[name].(string); return s }

// api calls the product API as somebody.
func (w *world) api(bearer, method, path string, body any) reply {
	w.t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequest(method, w.base+path, bytes.NewReader(raw))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	return read(w.t, http.DefaultClient, r)
}

func read(t *testing.T, c *http.Client, r *http.Request) reply {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := reply{resp.StatusCode, resp.Header, string(raw), m{}, resp.Request.URL.String()}
	_ = json.Unmarshal(raw, &out.m) // a page is none
	return out
}

// provider makes a provider's row by the API.
func (w *world) provider(body m) {
	w.t.Helper()
	if got := w.api(w.admin, "POST", "/api/v1/identity-providers", body); got.status != 201 {
		w.t.Fatalf("%d %s", got.status, got.raw)
	}
}

// change changes a provider's row by the API.
func (w *world) change(id string, f func(m)) {
	w.t.Helper()
	got := w.api(w.admin, "GET", "/api/v1/identity-providers/"+id, nil)
	d, _ := got.m["data"].(m)
	p, _ := d["identityProvider"].(m)
	f(p)
	if got := w.api(w.admin, "PUT", "/api/v1/identity-providers/"+id, p); got.status != 200 {
		w.t.Fatalf("%d %s", got.status, got.raw)
	}
}

// browser follows redirects and keeps cookies.
type browser struct {
	t *testing.T
	c *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar}}
}

func (b *browser) get(at string) reply {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodGet, at, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	return read(b.t, b.c, r)
}

// until follows redirects until it would go to an address that begins so, and returns that address.
func (b *browser) until(at, prefix string) string {
	b.t.Helper()
	found := ""
	c := *b.c
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), prefix) {
			found = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	r, err := http.NewRequest(http.MethodGet, at, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	got := read(b.t, &c, r)
	if found == "" {
		b.t.Fatalf("the browser did not come to %s: %d %s", prefix, got.status, got.raw)
	}
	return found
}
