package token

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/storetest"
)

// hand is a clock that a test sets.
type hand struct{ micros atomic.Int64 }

func newHand() *hand {
	h := &hand{}
	h.micros.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro())
	return h
}

func (h *hand) now() time.Time                 { return time.UnixMicro(h.micros.Load()) }
func (h *hand) add(d time.Duration)            { h.micros.Add(d.Microseconds()) }
func (h *hand) soon(d time.Duration) time.Time { return h.now().Add(d) }

var ctx = context.Background()

// ringOn returns a ring as one process has it.
func ringOn(t testing.TB, s *record.Store, o Options) *Ring {
	t.Helper()
	if err := s.Ledger().Migrate(ctx, Module, Migrations()); err != nil {
		t.Fatal(err)
	}
	return New(s.Ledger(), o)
}

func each(t *testing.T, f func(t *testing.T, s *record.Store)) {
	storetest.Each(t, record.Options{Tables: Tables()}, f)
}

func sign(t testing.TB, r *Ring, alg string, c Claims) string {
	t.Helper()
	raw, err := r.Sign(ctx, 1, alg, "JWT", c)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var want = Want{Issuer: "https://nile.example", Audience: "app", Type: "JWT"}

func claims(h *hand) Claims {
	return Claims{Issuer: want.Issuer, Subject: "User/12", Audience: []string{"app"}, ID: "j1", Expires: h.soon(15 * time.Minute)}
}

func TestRoundTrip(t *testing.T) {
	each(t, func(t *testing.T, s *record.Store) {
		h := newHand()
		r := ringOn(t, s, Options{Clock: h.now})
		for _, alg := range []string{ES256, RS256} {
			c := claims(h)
			c.Extra = map[string]any{"scope": "openid", "n": 7, "roles": []string{"a", "b"}}
			c.Audience = []string{"app", "other"}
			got, err := r.Verify(ctx, 1, sign(t, r, alg, c), want)
			if err != nil {
				t.Fatal(err)
			}
			if got.Issuer != c.Issuer || got.Subject != c.Subject || got.ID != "j1" || !slices.Equal(got.Audience, c.Audience) || got.Issued.Unix() != h.now().Unix() ||
				got.Expires.Unix() != c.Expires.Unix() || got.Extra["scope"] != "openid" || got.Extra["n"] != 7.0 || len(got.Extra) != 3 {
				t.Errorf("%s: %+v", alg, got)
			}
		}
		for name, c := range map[string]Claims{
			"no end": {Issuer: "i"}, "too long": {Expires: h.soon(25 * time.Hour)}, "a claim twice": {Expires: h.soon(time.Hour), Extra: map[string]any{"exp": 1}},
		} {
			if _, err := r.Sign(ctx, 1, ES256, "JWT", c); err == nil {
				t.Errorf("%s was signed", name)
			}
		}
		if _, err := r.Sign(ctx, 1, "none", "JWT", claims(h)); err == nil {
			t.Error("none signs")
		}
	})
}

// published is the kids of a JWKS.
func published(t testing.TB, r *Ring) []string {
	t.Helper()
	b, err := r.JWKS(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(b, &set); err != nil {
		t.Fatal(err)
	}
	var kids []string
	for _, k := range set.Keys {
		if k["d"] != "" || k["p"] != "" || k["use"] != "sig" || k["alg"] != ES256 && k["alg"] != RS256 || k["kid"] == "" {
			t.Errorf("published: %v", k)
		}
		kids = append(kids, k["kid"])
	}
	return kids
}

// stateOf is the states of a ring's keys of one algorithm, by kid.
func stateOf(t testing.TB, r *Ring) map[string]string {
	t.Helper()
	states, err := r.States(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, s := range states {
		out[s.Kid] = s.State
	}
	return out
}

func kidIn(t testing.TB, r *Ring, st state) string {
	t.Helper()
	for kid, s := range stateOf(t, r) {
		if s == string(st) {
			return kid
		}
	}
	t.Fatalf("no key is %s", st)
	return ""
}

// TestLifeOfAKey: next, active, retired, gone; published but for the last; and each change when its time has come.
func TestLifeOfAKey(t *testing.T) {
	each(t, func(t *testing.T, s *record.Store) {
		h := newHand()
		r := ringOn(t, s, Options{Clock: h.now})
		if err := r.Start(ctx, 1); err != nil {
			t.Fatal(err)
		}
		first, second := kidIn(t, r, active), kidIn(t, r, next)
		if got := published(t, r); len(got) != 2 {
			t.Errorf("%d keys are published", len(got))
		}
		upkeep := func() {
			t.Helper()
			if err := r.Upkeep(ctx, 1); err != nil {
				t.Fatal(err)
			}
		}
		h.add(29 * 24 * time.Hour)
		upkeep()
		if kidIn(t, r, active) != first {
			t.Fatal("it was rotated before its time")
		}
		old := sign(t, r, ES256, Claims{Issuer: want.Issuer, Audience: []string{"app"}, Expires: h.soon(24 * time.Hour)})
		h.add(24 * time.Hour)
		upkeep()
		if kidIn(t, r, active) != second || stateOf(t, r)[first] != "retired" || len(published(t, r)) != 3 {
			t.Fatalf("after 30 days: %v", stateOf(t, r))
		}
		if _, err := r.Verify(ctx, 1, old, want); err != nil {
			t.Errorf("a token of the retired key: %v", err)
		}
		h.add(24 * time.Hour)
		upkeep()
		if stateOf(t, r)[first] != "retired" {
			t.Error("it went while a token of it might be valid")
		}
		h.add(linger + time.Minute)
		upkeep()
		if stateOf(t, r)[first] != "gone" || slices.Contains(published(t, r), first) {
			t.Errorf("it stays: %v", stateOf(t, r))
		}
		if _, err := r.Verify(ctx, 1, old, want); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("a token of a key that is gone: %v", err)
		}
		states, err := r.States(ctx, 1)
		if err != nil || len(states) != 3 || states[0].Made.IsZero() {
			t.Errorf("%+v, %v", states, err)
		}
	})
}

func TestRevoke(t *testing.T) {
	each(t, func(t *testing.T, s *record.Store) {
		h := newHand()
		r, other := ringOn(t, s, Options{Clock: h.now}), ringOn(t, s, Options{Clock: h.now})
		raw := sign(t, r, ES256, claims(h))
		if _, err := other.Verify(ctx, 1, raw, want); err != nil {
			t.Fatal(err)
		}
		if err := r.Revoke(ctx, 1, kidIn(t, r, active)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(ctx, 1, raw, want); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("after a revocation: %v", err)
		}
		h.add(ringLife + time.Second)
		if _, err := other.Verify(ctx, 1, raw, want); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("half a minute after a revocation, elsewhere: %v", err)
		}
		if _, err := other.Verify(ctx, 1, sign(t, r, ES256, claims(h)), want); err != nil {
			t.Errorf("the next key: %v", err)
		}
		// A process that knows the key, but has not signed by it yet, signs by the one after it.
		third := ringOn(t, s, Options{Clock: h.now})
		published(t, third)
		if err := r.Revoke(ctx, 1, kidIn(t, r, active)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(ctx, 1, sign(t, third, ES256, claims(h)), want); err != nil {
			t.Errorf("signed after a revocation elsewhere: %v", err)
		}
		if err := r.Revoke(ctx, 1, "none"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a key that is none: %v", err)
		}
	})
}

// TestTwoProcesses: keys that another process made are known at once, and both agree on them from the first.
func TestTwoProcesses(t *testing.T) {
	each(t, func(t *testing.T, s *record.Store) {
		rings := []*Ring{ringOn(t, s, Options{}), ringOn(t, s, Options{}), ringOn(t, s, Options{})}
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				if err := rings[i%3].Start(ctx, 1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := stateOf(t, rings[0]); len(got) != 2 {
			t.Fatalf("%d keys were made", len(got))
		}
		for i, r := range rings {
			if err := r.Rotate(ctx, 1); err != nil {
				t.Fatal(err)
			}
			raw := sign(t, r, ES256, Claims{Issuer: want.Issuer, Audience: []string{"app"}, Expires: time.Now().Add(time.Minute)})
			for j, other := range rings {
				if _, err := other.Verify(ctx, 1, raw, want); err != nil {
					t.Errorf("signed by %d, verified by %d: %v", i, j, err)
				}
			}
		}
	})
}

// TestRotationUnderLoad: eight sign and verify on two processes while the keys, and the tenant's key above them, are rotated all the
// time; nobody fails.
func TestRotationUnderLoad(t *testing.T) {
	each(t, func(t *testing.T, s *record.Store) {
		rings := []*Ring{ringOn(t, s, Options{}), ringOn(t, s, Options{})}
		if err := rings[0].Start(ctx, 1); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var signed atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					c := Claims{Issuer: want.Issuer, Audience: []string{"app"}, ID: fmt.Sprint(i, "-", n), Expires: time.Now().Add(time.Minute)}
					raw, err := rings[i%2].Sign(ctx, 1, ES256, "JWT", c)
					if err == nil {
						_, err = rings[n%2].Verify(ctx, 1, raw, want)
					}
					if err != nil {
						t.Errorf("%d/%d: %v", i, n, err)
						return
					}
					signed.Add(1)
				}
			})
		}
		for i := range 12 {
			if err := rings[i%2].Rotate(ctx, 1); err != nil {
				t.Error(err)
			}
			if i%4 == 0 {
				if _, err := s.RotateTenant(ctx, nil); err != nil {
					t.Error(err)
				}
				if n, err := rings[0].Reseal(ctx, 1); err != nil || n < 2 {
					t.Errorf("%d private keys were sealed anew, %v", n, err)
				}
			}
			if err := rings[1].Upkeep(ctx, 1); err != nil {
				t.Error(err)
			}
		}
		close(stop)
		wg.Wait()
		if signed.Load() < 8 {
			t.Errorf("only %d tokens", signed.Load())
		}
	})
}

// TestValidUntilItExpires: what is signed verifies from then until it expires, whatever rotations and upkeep come between, and never
// once the leeway after that is over.
func TestValidUntilItExpires(t *testing.T) {
	s := storetest.SQLite(t, record.Options{})
	h := newHand()
	rings := []*Ring{ringOn(t, s, Options{Clock: h.now, Every: 24 * time.Hour}), ringOn(t, s, Options{Clock: h.now, Every: 24 * time.Hour})}
	for _, r := range rings {
		r.pause = 0
	}
	type issued struct {
		raw string
		end time.Time
	}
	rapid.Check(t, func(t *rapid.T) {
		var all []issued
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			r := rings[rapid.IntRange(0, 1).Draw(t, "process")]
			switch rapid.IntRange(0, 4).Draw(t, "act") {
			case 0:
				if err := r.Rotate(ctx, 1); err != nil {
					t.Fatal(err)
				}
			case 1:
				if err := r.Upkeep(ctx, 1); err != nil {
					t.Fatal(err)
				}
			case 2:
				h.add(time.Duration(rapid.Int64Range(0, int64(10*time.Hour)).Draw(t, "later")))
			default:
				c := Claims{Issuer: want.Issuer, Audience: []string{"app"}, Expires: h.soon(time.Duration(rapid.Int64Range(int64(time.Second), int64(24*time.Hour)).Draw(t, "life")))}
				raw, err := r.Sign(ctx, 1, ES256, "JWT", c)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, issued{raw, time.Unix(c.Expires.Unix(), 0)})
			}
			for _, i := range all {
				_, err := r.Verify(ctx, 1, i.raw, want)
				now := h.now()
				switch {
				case now.Before(i.end) && err != nil:
					t.Fatalf("%s before it expires: %v", i.end.Sub(now), err)
				case !now.Before(i.end.Add(leeway)) && !fault.Is(err, fault.Unauthenticated):
					t.Fatalf("%s after it expired: %v", now.Sub(i.end), err)
				}
			}
		}
	})
}

func TestAnotherTenant(t *testing.T) {
	each(t, func(t *testing.T, s *record.Store) {
		h := newHand()
		r := ringOn(t, s, Options{Clock: h.now})
		two := access.With(ctx, access.System(2))
		raw, err := r.Sign(two, 2, ES256, "JWT", claims(h))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Verify(two, 2, raw, want); err != nil {
			t.Error(err)
		}
		if _, err := r.Verify(ctx, 1, raw, want); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("the other tenant's: %v", err)
		}
		if got := stateOf(t, r); len(got) != 0 {
			t.Errorf("tenant 1 has %v", got)
		}
	})
}

// TestBackup: the ring comes back with the database, and verifies what it signed.
func TestBackup(t *testing.T) {
	root, err := seal.FileRoot(filepath.Join(t.TempDir(), "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.SQLite(t, record.Options{Root: root, Tables: Tables()})
	h := newHand()
	r := ringOn(t, s, Options{Clock: h.now})
	raw := sign(t, r, ES256, claims(h))
	if err := r.Rotate(ctx, 1); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := s.Backup(ctx, &file); err != nil {
		t.Fatal(err)
	}
	e, err := sqlite.Open(ctx, sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Migrate(ctx, Module, Migrations()); err != nil {
		t.Fatal(err)
	}
	if _, err := record.Restore(ctx, e, &file, Tables()...); err != nil {
		t.Fatal(err)
	}
	back, err := record.New(ctx, e, record.Options{Root: root, Tables: Tables()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = back.Close() }()
	again := ringOn(t, back, Options{Clock: h.now})
	if _, err := again.Verify(ctx, 1, raw, want); err != nil {
		t.Errorf("a token from before: %v", err)
	}
	if _, err := r.Verify(ctx, 1, sign(t, again, ES256, claims(h)), want); err != nil {
		t.Errorf("a token of the restored ring: %v", err)
	}
}
