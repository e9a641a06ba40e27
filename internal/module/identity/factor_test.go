package identity_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // the form of the published lists
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// TestSecondFactor: a password alone opens nothing where there is a second factor, and whoever knows it cannot guess at codes for ever.
func TestSecondFactor(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "nurse@example.org", "nurse")
		w.s.SecondFactorBy(func(_ context.Context, _ int32, _ int64, code string) (bool, error) { return code == "123456", nil })
		on := true
		if _, err := w.s.Update(system(1), 1, u.ID, identity.Change{MFAEnabled: &on}); err != nil {
			t.Fatal(err)
		}
		in := m{"email": "nurse@example.org", "password": password}
		a := w.do("POST", "/api/v1/auth/login", "", in)
		w.want("login", a, 200)
		if a.at("mfaRequired") != true || a.at("token") != nil || a.at("user") != nil || len(a.header["Set-Cookie"]) != 0 {
			t.Errorf("%s", a.raw)
		}
		if _, err := w.s.Authenticate(t.Context(), identity.Credentials{Bearer: a.text("mfaToken")}); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("the first factor as an access token: %v", err)
		}
		w.want("a wrong code", w.do("POST", "/api/v1/auth/login", "", m{"mfaToken": a.text("mfaToken"), "code": "000000"}), 401)
		b := w.do("POST", "/api/v1/auth/login", "", m{"mfaToken": a.text("mfaToken"), "code": 123456})
		w.want("the code", b, 200)
		w.want("me", w.do("GET", "/api/v1/auth/me", b.text("token"), nil), 200)
		w.want("all at once", w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": password, "mfaCode": "123456"}), 200)
		w.clock.add(6 * time.Minute)
		w.want("too late", w.do("POST", "/api/v1/auth/login", "", m{"mfaToken": a.text("mfaToken"), "code": "123456"}), 401)
		statuses := map[int]int{}
		for range 20 {
			in["code"] = "000000"
			statuses[w.do("POST", "/api/v1/auth/login", "", in).status]++
		}
		if statuses[401] != 5 || statuses[423] != 15 {
			t.Errorf("guessing at codes: %v", statuses)
		}
	})
}

// TestRegister: closed unless it is opened, and then it gives no more than a patient without a record.
func TestRegister(t *testing.T) {
	body := m{"email": "new@example.org", "username": "new", "password": password, "role": "admin"}
	each(t, nil, func(_ *testing.T, w *world) { w.want("closed", w.do("POST", "/api/v1/auth/register", "", body), 403) })
	each(t, func(o *identity.Options) { o.Settings.Register = true }, func(t *testing.T, w *world) {
		a := w.do("POST", "/api/v1/auth/register", "", body)
		w.want("open", a, 201)
		if a.text("user.role") != "patient" || a.at("user.emailVerified") != false || a.text("accessToken") == "" {
			t.Errorf("%s", a.raw)
		}
		w.want("again", w.do("POST", "/api/v1/auth/register", "", body), 409)
	})
}

// TestProvision: an outside identity finds its own account again, takes over nobody's, and makes one where that is allowed.
func TestProvision(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		verified := w.user(1, "verified@example.org", "nurse")
		w.user(1, "plain@example.org", "nurse", func(n *identity.NewUser) { n.EmailVerified = false })
		for _, x := range []struct {
			name   string
			e      identity.External
			create bool
			kind   fault.Kind
			id     int64
		}{
			{"an address that it did not verify", identity.External{Provider: "p", Subject: "1", Email: "verified@example.org"}, true, fault.Conflict, 0},
			{"an address that we did not", identity.External{Provider: "p", Subject: "1", Email: "plain@example.org", EmailVerified: true}, true, fault.Conflict, 0},
			{"nobody", identity.External{Provider: "p", Subject: "2", Email: "new@example.org", EmailVerified: true}, false, fault.NotFound, 0},
			{"both verified", identity.External{Provider: "p", Subject: "1", Email: "verified@example.org", EmailVerified: true}, false, 0, verified.ID},
			{"again, by the subject", identity.External{Provider: "p", Subject: "1", Email: "changed@example.org"}, false, 0, verified.ID},
			{"the subject of another provider", identity.External{Provider: "q", Subject: "1", Email: "q@example.org"}, false, fault.NotFound, 0},
		} {
			u, err := w.s.Provision(t.Context(), 1, x.e, x.create)
			if x.kind != 0 && !fault.Is(err, x.kind) || x.kind == 0 && (err != nil || u.ID != x.id) {
				t.Errorf("%s: %+v %v", x.name, u, err)
			}
		}
		made, err := w.s.Provision(t.Context(), 1, identity.External{Provider: "p", Subject: "2", Email: "new@example.org", EmailVerified: true, FirstName: "Amna"}, true)
		if err != nil || made.Role != "patient" || !made.EmailVerified {
			t.Fatalf("%+v %v", made, err)
		}
		again, err := w.s.Provision(t.Context(), 1, identity.External{Provider: "p", Subject: "2", Roles: []string{"doctor"}}, true)
		if err != nil || again.ID != made.ID || again.Role != "doctor" {
			t.Errorf("%+v %v", again, err)
		}
	})
}

// TestAtRest: no contact data and no secret stands in the tables, and backups know every column.
func TestAtRest(t *testing.T) {
	storetest.Each(t, record.Options{Tables: identity.Tables()}, func(t *testing.T, store *record.Store) {
		w := newWorld(t, store, nil)
		w.user(1, "someone@example.org", "nurse", func(n *identity.NewUser) { n.Phone, n.FirstName = "+249912345678", "Nafisa" })
		in, err := w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "someone@example.org", Password: password, Address: "192.0.2.77", Agent: "Firefox/1"})
		if err != nil {
			t.Fatal(err)
		}
		key, _, err := w.s.CreateKey(system(1), 1, identity.NewKey{Name: "k", Scopes: []string{"users:read"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.s.RequestReset(t.Context(), 1, "someone@example.org", ""); err != nil {
			t.Fatal(err)
		}
		e, err := w.s.EnableMFA(system(1), &in.User)
		if err != nil {
			t.Fatal(err)
		}
		codes, err := w.s.VerifyMFA(system(1), &in.User, w.totp(e.Secret))
		if err != nil {
			t.Fatal(err)
		}
		last := func(s string) string { return s[strings.LastIndexByte(s, '.')+1:] } // a secret may hold what stands between the parts of a key
		hidden := []string{"someone", "249912345678", "Nafisa", "192.0.2.77", "Firefox", password, last(in.Cookie), last(in.RefreshToken), strings.SplitN(key, "_", 3)[2],
			e.Secret, codes[0], "Choose a new password", "/reset-password"}
		for _, table := range identity.Tables() {
			err := store.Ledger().View(t.Context(), 1, func(q sqldb.Querier) error {
				return sqldb.Each(t.Context(), q, func(rows sqldb.Rows) error {
					values, dest := make([]any, len(table.Columns)), make([]any, len(table.Columns))
					for i := range values {
						dest[i] = &values[i]
					}
					if err := rows.Scan(dest...); err != nil {
						return err
					}
					for i, v := range values {
						text := fmt.Sprintf("%s", v)
						if at := slices.IndexFunc(hidden, func(h string) bool { return strings.Contains(text, h) }); at >= 0 {
							t.Errorf("%s.%s holds %q", table.Name, table.Columns[i], hidden[at])
						}
					}
					return nil
				}, "SELECT "+strings.Join(table.Columns, ", ")+" FROM "+table.Name)
			})
			if err != nil {
				t.Errorf("%s: %v", table.Name, err)
			}
		}
	})
}

// TestBreachedFile: whatever stands in the file is found, and nothing else.
func TestBreachedFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{14,20}`), func(s string) string { return s }).Draw(rt, "passwords")
		counts := rapid.Bool().Draw(rt, "counts")
		var lines []string
		for _, p := range in {
			h := sha1.Sum([]byte(p)) //nolint:gosec // as above
			line := strings.ToUpper(hex.EncodeToString(h[:]))
			if counts {
				line += ":42"
			}
			lines = append(lines, line)
		}
		slices.Sort(lines)
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "end")
		path := filepath.Join(t.TempDir(), "pwned.txt")
		if err := os.WriteFile(path, []byte(strings.Join(lines, end)), 0o600); err != nil {
			rt.Fatal(err)
		}
		for _, p := range in {
			if ok, err := identity.Breached(path, p); err != nil || !ok {
				rt.Fatalf("%q is not found: %v", p, err)
			}
			if ok, err := identity.Breached(path, p+"X-other"); err != nil || ok {
				rt.Fatalf("%q is found: %v", p, err)
			}
		}
	})
}

// FuzzHandles: what anybody sends as cookie, refresh token or key is read, or refused, and never more.
func FuzzHandles(f *testing.F) {
	for _, s := range []string{"", "1.2.x", "1.2." + strings.Repeat("a", 43), "nck_1_" + strings.Repeat("b", 43), "nck__", "-1.-1.a", "99999999999.1.a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if tenant, session, key, ok := identity.CutHandle(raw); ok && (tenant <= 0 || session <= 0 || len(key) != 43) {
			t.Errorf("%q: %d %d %q", raw, tenant, session, key)
		}
		if tenant, ok := identity.CutKey(raw); ok && tenant <= 0 {
			t.Errorf("%q: %d", raw, tenant)
		}
	})
}
