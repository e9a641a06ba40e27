package web_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// hand is a clock that is set by hand.
type hand struct{ now time.Time }

func (h *hand) clock() time.Time { return h.now }

func newHand() *hand { return &hand{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func limiter(t testing.TB, o web.LimiterOptions) *web.Limiter {
	t.Helper()
	l, err := web.NewLimiter(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimitsOverHTTP(t *testing.T) {
	at := newHand()
	l := limiter(t, web.LimiterOptions{Clock: at.clock, Classes: []web.Class{
		{Name: "login", Of: []web.Match{{Method: "POST", Prefix: "/api/v1/auth/login"}}, Rates: web.Rates{Address: web.Rate{Requests: 2, Per: time.Minute}}},
		{Name: "read", Of: []web.Match{{}}, Rates: web.Rates{Key: web.Rate{Requests: 4, Per: time.Minute}, User: web.Rate{Requests: 3, Per: time.Minute},
			Address: web.Rate{Requests: 1, Per: time.Second}}},
	}})
	s := edge(t, web.Options{Authenticate: tokens, Limits: l}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	get := func(token string) *http.Response {
		res, _ := do(t, s, "GET", "/api/v1/x", nil, "Authorization", token)
		return res
	}
	for i := 3; i > 0; i-- {
		h := get("Bearer ann").Header
		for name, want := range map[string]string{"RateLimit-Limit": "3", "RateLimit-Remaining": fmt.Sprint(i - 1), "RateLimit-Reset": fmt.Sprint(20 * (4 - i)),
			"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": fmt.Sprint(i - 1), "X-RateLimit-Reset": fmt.Sprint(20 * (4 - i)), "Retry-After": "",
			"RateLimit-Policy": `"read";q=3;w=60`, "RateLimit": fmt.Sprintf(`"read";r=%d;t=%d`, i-1, 20*(4-i))} {
			if got := h.Get(name); got != want {
				t.Errorf("%d: %s is %q, want %q", i, name, got, want)
			}
		}
	}
	res, body := do(t, s, "GET", "/fhir/R4/Patient", nil, "Authorization", "Bearer ann")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "20" || !strings.Contains(string(body), `"code":"throttled"`) || res.Header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("%d %s %v", res.StatusCode, body, res.Header)
	}
	if res, body := do(t, s, "GET", "/api/v1/x", nil, "Authorization", "Bearer ann"); res.StatusCode != 429 || !strings.Contains(string(body), "RATE_LIMIT_EXCEEDED") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	// Others are not held up by it: a key has its own.
	for i := range 5 {
		if want := map[bool]int{true: 200, false: 429}[i < 4]; get("Bearer key").StatusCode != want {
			t.Errorf("key, request %d", i)
		}
	}
	// Guessing costs the address; so does asking without credentials.
	if a, b, c := get("Bearer bad").StatusCode, get("Bearer worse").StatusCode, get("").StatusCode; a != 401 || b != 429 || c != 429 {
		t.Errorf("%d %d %d", a, b, c)
	}
	for i := range 3 {
		if res, _ := do(t, s, "POST", "/api/v1/auth/login", nil); res.StatusCode != map[bool]int{true: 200, false: 429}[i < 2] {
			t.Errorf("login %d: %d", i, res.StatusCode)
		}
	}
	at.now = at.now.Add(20 * time.Second)
	if a, b := get("Bearer ann").StatusCode, get("Bearer ann").StatusCode; a != 200 || b != 429 {
		t.Errorf("20 s later: %d %d", a, b)
	}
}

// TestLimitAgainstCountingByHand: whatever the times of requests, a counter admits what the definition of the rate says.
func TestLimitAgainstCountingByHand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		quota := rapid.IntRange(1, 5).Draw(t, "quota")
		at := newHand()
		l, err := web.NewLimiter(web.LimiterOptions{Clock: at.clock, Classes: []web.Class{{Name: "all", Of: []web.Match{{}},
			Rates: web.Rates{User: web.Rate{Requests: quota, Per: time.Duration(quota) * time.Second}}}}})
		if err != nil {
			t.Fatal(err)
		}
		level, last := 0.0, at.now // a bucket that leaks one a second
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			at.now = at.now.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "wait")) * 100 * time.Millisecond)
			level, last = max(0, level-at.now.Sub(last).Seconds()), at.now
			want := level+1 <= float64(quota)+1e-6
			if want {
				level++
			}
			h := http.Header{}
			err := l.Take(h, &access.Caller{Who: "User/1", User: 1}, netip.Addr{}, "GET", "/")
			if (err == nil) != want {
				t.Fatalf("level %v of %d: %v", level, quota, err)
			}
			if left, _ := strconv.Atoi(h.Get("RateLimit-Remaining")); left != int(float64(quota)-level+1e-6) {
				t.Fatalf("level %v of %d: %d are left", level, quota, left)
			}
			if err != nil && !fault.Is(err, fault.TooMany) {
				t.Fatal(err)
			}
		}
	})
}

func TestWhoIsCountedTogether(t *testing.T) {
	one := web.Rate{Requests: 1, Per: time.Hour}
	l := limiter(t, web.LimiterOptions{Clock: newHand().clock, Classes: []web.Class{{Name: "all", Of: []web.Match{{}}, Rates: web.Rates{Key: one, User: one, Address: one}}},
		Override: func(tenant int32, _ string) (web.Rates, bool) {
			return web.Rates{User: web.Rate{Requests: 2, Per: time.Hour}}, tenant == 9
		}})
	a, b := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	for i, x := range []struct {
		c    access.Caller
		from netip.Addr
		ok   bool
	}{
		{access.Anonymous(), a, true},
		{access.Anonymous(), a, false},
		{access.Anonymous(), netip.MustParseAddr("::ffff:203.0.113.1"), false},
		{access.Anonymous(), b, true},
		{access.Anonymous(), netip.MustParseAddr("2001:db8::1"), true},
		{access.Anonymous(), netip.MustParseAddr("2001:db8::2"), false}, // of the same subscriber
		{access.Anonymous(), netip.MustParseAddr("2001:db8:0:1::1"), true},
		{access.Caller{Tenant: 1, Who: "User/1", User: 1}, a, true},
		{access.Caller{Tenant: 1, Who: "User/1", User: 1}, b, false},
		{access.Caller{Tenant: 2, Who: "User/1", User: 1}, a, true}, // another person
		{access.Caller{Tenant: 1, Who: "User/2", User: 2, Client: "app"}, a, true},
		{access.Caller{Tenant: 1, Who: "User/3", User: 3, Client: "app"}, a, false}, // the app's own is spent
		{access.Caller{Tenant: 1, Who: "User/3", User: 3}, a, true},                 // which did not cost the user
		{access.Caller{Tenant: 1, Who: "Key/1"}, a, true},
		{access.Caller{Tenant: 1, Who: "Key/1"}, a, false},
		{access.Caller{Tenant: 9, Who: "User/1", User: 1}, a, true},
		{access.Caller{Tenant: 9, Who: "User/1", User: 1}, a, true},
		{access.Caller{Tenant: 9, Who: "User/1", User: 1}, a, false},
		{access.System(1), a, true},
		{access.System(1), a, true},
	} {
		if err := l.Take(http.Header{}, &x.c, x.from, "GET", "/"); (err == nil) != x.ok {
			t.Errorf("%d, %s from %s: %v", i, x.c.Who, x.from, err)
		}
	}
	got := l.Standings(&access.Caller{Tenant: 9, Who: "User/1", User: 1}, a)
	if len(got) != 1 || got[0] != (web.Standing{Class: "all", By: "user", Limit: 2, Window: 3600, Remaining: 0, Reset: 3600}) {
		t.Errorf("%+v", got)
	}
	if again := l.Standings(&access.Caller{Tenant: 1, Who: "User/8", User: 8}, a); len(again) != 1 || again[0].Remaining != 1 {
		t.Errorf("looking counts: %+v", again)
	}
}

// TestLimiterIsBounded: a million addresses neither fill the memory nor open the way for one that is held up meanwhile.
func TestLimiterIsBounded(t *testing.T) {
	at := newHand()
	l := limiter(t, web.LimiterOptions{Clock: at.clock, Entries: 6400, Classes: []web.Class{{Name: "all", Of: []web.Match{{}},
		Rates: web.Rates{User: web.Rate{Requests: 3, Per: time.Hour}, Address: web.Rate{Requests: 5, Per: time.Second}}}}})
	held := access.Caller{Who: "User/1", User: 1}
	for range 3 {
		if err := l.Take(http.Header{}, &held, netip.Addr{}, "GET", "/"); err != nil {
			t.Fatal(err)
		}
	}
	nobody := access.Anonymous()
	for i := range 1_000_000 {
		if i%100 == 0 {
			at.now = at.now.Add(time.Millisecond)
		}
		from := netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
		if err := l.Take(http.Header{}, &nobody, from, "GET", "/"); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.Counters(); n > 6400 {
		t.Errorf("%d counters", n)
	}
	if err := l.Take(http.Header{}, &held, netip.Addr{}, "GET", "/"); err == nil {
		t.Error("a user who is held up was forgotten")
	}
}

func TestLimiterAtOnce(t *testing.T) {
	at := newHand()
	l := limiter(t, web.LimiterOptions{Clock: at.clock, Classes: []web.Class{{Name: "all", Of: []web.Match{{}}, Rates: web.Rates{User: web.Rate{Requests: 500, Per: time.Hour}}}}})
	var wait sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for range 8 {
		wait.Go(func() {
			for range 200 {
				if l.Take(http.Header{}, &access.Caller{Who: "User/1", User: 1}, netip.Addr{}, "GET", "/") == nil {
					mu.Lock()
					served++
					mu.Unlock()
				}
			}
		})
	}
	wait.Wait()
	if served != 500 {
		t.Errorf("%d of 1600 were served, want 500", served)
	}
}

func TestClassesOfTheProgram(t *testing.T) {
	l := limiter(t, web.LimiterOptions{Clock: newHand().clock})
	for _, x := range []struct{ method, path, class string }{
		{"POST", "/api/v1/auth/login", "login"}, {"GET", "/api/v1/auth/login", "read"}, {"POST", "/api/v1/auth/refresh-token", "refresh"},
		{"GET", "/fhir/R4/Patient/$export", "export"}, {"GET", "/fhir/R4/Patient", "read"}, {"PUT", "/fhir/R4/Patient/1", "write"},
		{"GET", "/api/v1/audit-logs/export", "export"}, {"POST", "/api/v1/auth/mfa/verify", "mfa"}, {"HEAD", "/", "read"}, {"POST", "/socket.io/", "live"}, {"GET", "/socket.io/", "live"},
	} {
		h := http.Header{}
		nobody := access.Anonymous()
		if err := l.Take(h, &nobody, netip.MustParseAddr("203.0.113.1"), x.method, x.path); err != nil || !strings.HasPrefix(h.Get("RateLimit"), `"`+x.class+`";`) {
			t.Errorf("%s %s: %q %v, want %s", x.method, x.path, h.Get("RateLimit"), err, x.class)
		}
	}
	for _, names := range [][]string{{""}, {"a", "a"}, {`a"b`}, {"A"}} {
		var classes []web.Class
		for _, n := range names {
			classes = append(classes, web.Class{Name: n})
		}
		if _, err := web.NewLimiter(web.LimiterOptions{Classes: classes}); err == nil {
			t.Errorf("%q are taken", names)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := limiter(b, web.LimiterOptions{Classes: []web.Class{{Name: "login", Of: []web.Match{{Method: "POST", Prefix: "/api/v1/auth/login"}}}, {Name: "read", Of: []web.Match{{}},
		Rates: web.Rates{Key: web.Rate{Requests: 1 << 30, Per: time.Hour}, User: web.Rate{Requests: 1 << 30, Per: time.Hour}}}}})
	c := access.Caller{Tenant: 1, Who: "User/1", User: 1, Client: "app"}
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Take(h, &c, netip.Addr{}, "GET", "/fhir/R4/Patient/1"); err != nil {
			b.Fatal(err)
		}
	}
}
