package passkey_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/passkey"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web/api"
)

const origin = "https://clinic.example"

type world struct {
	t      *testing.T
	store  *record.Store
	people *identity.Service
	s      *passkey.Service
	base   string
	micros atomic.Int64
	mu     sync.Mutex
	notes  []audit.Entry
}

func (w *world) now() time.Time { return time.UnixMicro(w.micros.Load()).UTC() }

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	w := &world{}
	storetest.Each(t, record.Options{Tables: append(identity.Tables(), passkey.Tables()...), Audit: w}, func(t *testing.T, store *record.Store) {
		ctx := context.Background()
		w.t, w.store, w.notes = t, store, nil
		w.micros.Store(time.Now().UnixMicro())
		if err := store.Ledger().Migrate(ctx, token.Module, token.Migrations()); err != nil {
			t.Fatal(err)
		}
		policies, err := access.Compile(access.DefaultPolicies())
		if err != nil {
			t.Fatal(err)
		}
		base := func(int32) string { return origin }
		if w.people, err = identity.New(ctx, identity.Options{Ledger: store.Ledger(), Records: store, Tokens: token.New(store.Ledger(), token.Options{Clock: w.now}),
			Policies: policies, Clock: w.now, Issuer: base, Audience: base}); err != nil {
			t.Fatal(err)
		}
		w.s, err = passkey.New(ctx, passkey.Options{Ledger: store.Ledger(), Users: w.people, Clock: w.now, Origins: []string{origin},
			Complete: func(rw http.ResponseWriter, _ *http.Request, in *identity.SignedIn) error {
				return api.Bare(rw, 200, m{"token": in.AccessToken, "user": in.User.Email})
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
				if c, err = w.people.Authenticate(r.Context(), identity.Credentials{Bearer: bearer}); err != nil {
					api.Fail(rw, r, err)
					return
				}
			}
			h.ServeHTTP(rw, r.WithContext(access.With(r.Context(), c)))
		}))
		t.Cleanup(srv.Close)
		w.base = srv.URL + "/api/v1/auth/passkeys"
		f(t, w)
	})
}

// user makes a user who is signed in, and returns their access token.
func (w *world) user(email string) (*identity.User, string) {
	w.t.Helper()
	ctx := access.With(context.Background(), access.System(1))
	u, err := w.people.Create(ctx, 1, identity.NewUser{Email: email, Role: "nurse", FirstName: "Amna", LastName: "Idris", Status: identity.Active, EmailVerified: true})
	if err != nil {
		w.t.Fatal(err)
	}
	in, err := w.people.Begin(ctx, 1, u.ID, identity.BySetup, false, "127.0.0.1", "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return u, in.AccessToken
}

func (w *world) do(method, path, bearer string, body any) (int, m) {
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
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out := m{}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			w.t.Fatalf("%s: %v", text, err)
		}
	}
	return resp.StatusCode, out
}

func data(body m) m {
	d, _ := body["data"].(m)
	return d
}

func (w *world) begin(path, bearer string) m {
	w.t.Helper()
	status, body := w.do("POST", path, bearer, m{})
	if status != 200 {
		w.t.Fatalf("%s: %d %v", path, status, body)
	}
	return data(body)
}

// registered is an authenticator with a passkey of the user.
func (w *world) registered(bearer string) *authenticator {
	w.t.Helper()
	a := newAuthenticator(w.t)
	if status, body := w.do("POST", "/register/finish", bearer, m{"name": "Phone", "credential": a.create(w.t, w.begin("/register/begin", bearer))}); status != 201 {
		w.t.Fatalf("%d %v", status, body)
	}
	return a
}

func (w *world) login(answer m) (int, m) {
	w.t.Helper()
	return w.do("POST", "/login/finish", "", m{"credential": answer})
}

// audited counts the security entries of an action.
func (w *world) audited(action string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.notes {
		if e.Kind == audit.Security && e.Action == action && e.Severity == "high" {
			n++
		}
	}
	return n
}

// Note implements audit.Sink.
func (w *world) Note(e audit.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, e)
}

// TestWholeWay: a passkey is registered, signs in as a second factor would, is listed, renamed and deleted, and then signs in no more.
func TestWholeWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.user("amna@example.org")
		options := w.begin("/register/begin", bearer)
		pk, _ := options["publicKey"].(m)
		sel, _ := pk["authenticatorSelection"].(m)
		if sel["userVerification"] != "required" || sel["residentKey"] != "required" || pk["attestation"] == "direct" {
			t.Errorf("%v", pk)
		}
		a := w.registered(bearer)
		for range 2 {
			status, body := w.login(a.get(t, w.begin("/login/begin", "")))
			if status != 200 || body["user"] != "amna@example.org" {
				t.Fatalf("%d %v", status, body)
			}
			raw, _ := body["token"].(string)
			c, err := w.people.Authenticate(context.Background(), identity.Credentials{Bearer: raw})
			if err != nil || c.User == 0 {
				t.Fatal(err)
			}
		}
		if n, err := w.s.Count(context.Background(), 1, 0); err != nil || n != 0 {
			t.Error(n, err)
		}
		_, body := w.do("GET", "", bearer, nil)
		all, _ := data(body)["passkeys"].([]any)
		if len(all) != 1 {
			t.Fatalf("%v", body)
		}
		one, _ := all[0].(m)
		id, _ := one["id"].(string)
		if one["name"] != "Phone" || one["lastUsed"] == nil {
			t.Errorf("%v", one)
		}
		_, other := w.user("other@example.org")
		for _, c := range []struct {
			method, bearer, name string
			want                 int
		}{{"PATCH", other, "Mine", 404}, {"PATCH", bearer, "", 400}, {"PATCH", bearer, strings.Repeat("x", 81), 400}, {"PATCH", bearer, "Laptop", 200},
			{"DELETE", other, "", 404}, {"DELETE", "", "", 401}, {"DELETE", bearer, "", 200}, {"DELETE", bearer, "", 404}} {
			if status, body := w.do(c.method, "/"+id, c.bearer, m{"name": c.name}); status != c.want {
				t.Errorf("%s %q: %d %v, not %d", c.method, c.name, status, body, c.want)
			}
		}
		if status, _ := w.login(a.get(t, w.begin("/login/begin", ""))); status != 401 {
			t.Errorf("a deleted passkey signs in: %d", status)
		}
	})
}

// TestSignInAttacks: each way to get in without the key, the origin, the challenge or the person is refused, and uses the challenge up.
func TestSignInAttacks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.user("amna@example.org")
		victim, victimBearer := w.user("victim@example.org")
		mine, theirs := w.registered(bearer), w.registered(victimBearer)
		change := func(part string, f func([]byte) []byte) func(m) m {
			return func(answer m) m {
				r, _ := answer["response"].(m)
				raw, _ := b64.DecodeString(r[part].(string))
				r[part] = b64.EncodeToString(f(raw))
				return answer
			}
		}
		for name, attack := range map[string]func(options m) m{
			"wrong origin":      func(o m) m { a := *mine; a.origin = "https://evil.example"; return a.get(t, o) },
			"a port of its own": func(o m) m { a := *mine; a.origin = origin + ":8443"; return a.get(t, o) },
			"plain http":        func(o m) m { a := *mine; a.origin = "http://clinic.example"; return a.get(t, o) },
			"another domain":    func(o m) m { a := *mine; a.rp = "evil.example"; return a.get(t, o) },
			"not verified":      func(o m) m { a := *mine; a.flags = 0x01; return a.get(t, o) },
			"not present":       func(o m) m { a := *mine; a.flags = 0x04; return a.get(t, o) },
			"another's handle":  func(o m) m { a := *mine; a.user = theirs.user; return a.get(t, o) },
			"another's credential": func(o m) m {
				a := *mine
				a.id, a.user = theirs.id, theirs.user
				return a.get(t, o)
			},
			"an unknown credential": func(o m) m { a := newAuthenticator(t); a.user = mine.user; return a.get(t, o) },
			"no handle":             func(o m) m { a := *mine; a.user = ""; return a.get(t, o) },
			"another challenge": func(o m) m {
				o["publicKey"].(m)["challenge"] = b64.EncodeToString(bytes.Repeat([]byte{1}, 32))
				return mine.get(t, o)
			},
			"a changed signature": func(o m) m {
				return change("signature", func(b []byte) []byte { b[len(b)-1] ^= 1; return b })(mine.get(t, o))
			},
			"changed data": func(o m) m {
				return change("authenticatorData", func(b []byte) []byte { b[36] ^= 8; return b })(mine.get(t, o))
			},
			"a registration's": func(o m) m {
				a := mine.create(t, m{"publicKey": m{"challenge": o["publicKey"].(m)["challenge"]}})
				return a
			},
			"a register challenge": func(m) m { return mine.get(t, w.begin("/register/begin", bearer)) },
		} {
			user := mine.user
			options := w.begin("/login/begin", "")
			kept, _ := json.Marshal(options)
			answer := attack(options)
			mine.user = user
			if status, body := w.login(answer); status != 401 && status != 400 {
				t.Errorf("%s: %d %v", name, status, body)
			}
			if strings.Contains(name, "challenge") || name == "a registration's" {
				continue
			}
			var again m
			_ = json.Unmarshal(kept, &again)
			if name != "no handle" {
				if status, _ := w.login(mine.get(t, again)); status != 401 {
					t.Errorf("%s: the challenge was good for another try: %d", name, status)
				}
			}
		}
		answer := mine.get(t, w.begin("/login/begin", ""))
		if status, body := w.login(answer); status != 200 {
			t.Fatalf("%d %v", status, body)
		}
		if status, _ := w.login(answer); status != 401 {
			t.Error("an answer was taken twice")
		}
		options := w.begin("/login/begin", "")
		w.micros.Add((5 * time.Minute).Microseconds())
		if status, _ := w.login(mine.get(t, options)); status != 401 {
			t.Error("a challenge of five minutes ago was taken")
		}
		ctx := access.With(context.Background(), access.System(1))
		if _, err := w.people.SetStatus(ctx, 1, victim.ID, identity.Suspended); err != nil {
			t.Fatal(err)
		}
		if status, _ := w.login(theirs.get(t, w.begin("/login/begin", ""))); status != 403 {
			t.Errorf("a suspended user signs in: %d", status)
		}
	})
}

// TestCloned: a counter that goes back, or stands, refuses the sign-in and is a security event; one that never counts is fine.
func TestCloned(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.user("amna@example.org")
		a := w.registered(bearer)
		for range 3 {
			if status, body := w.login(a.get(t, w.begin("/login/begin", ""))); status != 200 {
				t.Fatalf("%d %v", status, body)
			}
		}
		for i, counter := range []uint32{a.counter - 1, 0, a.counter - 2} {
			clone := *a
			clone.counter = counter // it says one more
			if counter == 0 {
				clone.counter = ^uint32(0) // and so says 0
			}
			if status, _ := w.login(clone.get(t, w.begin("/login/begin", ""))); status != 401 {
				t.Errorf("counter %d of %d signs in: %d", counter, a.counter, status)
			}
			if n := w.audited("passkey-cloned"); n != i+1 {
				t.Errorf("%d security events", n)
			}
		}
		if status, _ := w.login(a.get(t, w.begin("/login/begin", ""))); status != 200 {
			t.Error("the true one does not sign in any more")
		}
		never := newAuthenticator(t)
		never.counter = ^uint32(0)
		if status, body := w.do("POST", "/register/finish", bearer, m{"credential": never.create(t, w.begin("/register/begin", bearer))}); status != 201 {
			t.Fatalf("%d %v", status, body)
		}
		for range 2 {
			never.counter = ^uint32(0)
			if status, body := w.login(never.get(t, w.begin("/login/begin", ""))); status != 200 {
				t.Errorf("%d %v", status, body)
			}
		}
	})
}

// TestRegistrationAttacks: a passkey registers to whoever began it, at our origin, once.
func TestRegistrationAttacks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.user("amna@example.org")
		_, other := w.user("other@example.org")
		try := func(name, as string, want int, a *authenticator, options m) {
			t.Helper()
			if status, body := w.do("POST", "/register/finish", as, m{"credential": a.create(t, options)}); status != want {
				t.Errorf("%s: %d %v, not %d", name, status, body, want)
			}
		}
		try("another user's challenge", other, 401, newAuthenticator(t), w.begin("/register/begin", bearer))
		evil := newAuthenticator(t)
		evil.origin = "https://evil.example"
		try("another origin", bearer, 400, evil, w.begin("/register/begin", bearer))
		unverified := newAuthenticator(t)
		unverified.flags = 0x01
		try("nobody verified", bearer, 400, unverified, w.begin("/register/begin", bearer))
		a := newAuthenticator(t)
		options := w.begin("/register/begin", bearer)
		try("the first", bearer, 201, a, options)
		try("a challenge again", bearer, 401, newAuthenticator(t), options)
		try("the same passkey", bearer, 409, a, w.begin("/register/begin", bearer))
		try("the same passkey of another", other, 409, a, w.begin("/register/begin", other))
		late := w.begin("/register/begin", bearer)
		w.micros.Add((6 * time.Minute).Microseconds())
		try("too late", bearer, 401, newAuthenticator(t), late)
		for body, want := range map[string]int{`{}`: 400, `{"credential":{}}`: 400, `{"credential":"x"}`: 400, `{"credential":{"id":"AA","rawId":"AA","type":"public-key","response":{}}}`: 400} {
			if status, got := w.do("POST", "/register/finish", bearer, json.RawMessage(body)); status != want {
				t.Errorf("%s: %d %v", body, status, got)
			}
		}
		if status, _ := w.do("POST", "/register/begin", "", m{}); status != 401 {
			t.Error("nobody registers a passkey")
		}
	})
}

// TestNothingInClear: neither the name of a passkey nor its user's address stands in the tables.
func TestNothingInClear(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		_, bearer := w.user("amna@example.org")
		a := w.registered(bearer)
		w.begin("/login/begin", "")
		w.begin("/register/begin", bearer)
		err := w.store.Ledger().Read(context.Background(), 1, func(q sqldb.Querier) error {
			for _, sql := range []string{"SELECT body FROM passkey_credential", "SELECT body FROM passkey_challenge"} {
				err := sqldb.Each(context.Background(), q, func(r sqldb.Rows) error {
					var b []byte
					err := r.Scan(&b)
					if bytes.Contains(b, []byte("Phone")) || bytes.Contains(b, []byte("challenge")) || bytes.Contains(b, a.id) {
						t.Errorf("%s: in clear", sql)
					}
					return err
				}, sql)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
