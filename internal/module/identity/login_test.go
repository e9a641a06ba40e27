package identity_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/web"
)

// TestLogin: both front ends find what they read, and a token opens what it should.
func TestLogin(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "Doctor@Example.org", "physician", func(n *identity.NewUser) { n.FacilityID = "7" })
		a := w.login("doctor@example.org")
		for _, path := range []string{"token", "accessToken", "refreshToken", "user.id", "user.userId", "data.user.id", "data.accessToken", "data.refreshToken"} {
			if a.text(path) == "" {
				t.Errorf("%s is missing: %s", path, a.raw)
			}
		}
		for path, want := range map[string]any{"success": true, "user.role": "doctor", "user.email": "Doctor@Example.org", "user.facilityId": "7", "user.status": "active",
			"user.mfaEnabled": false, "user.emailVerified": true, "user.firstName": "Test"} {
			if a.at(path) != want {
				t.Errorf("%s is %v, want %v", path, a.at(path), want)
			}
		}
		if p, ok := a.at("user.permissions").([]any); !ok || len(p) == 0 {
			t.Errorf("permissions: %v", a.at("user.permissions"))
		}
		if strings.Trim(a.text("user.id"), "0123456789") != "" {
			t.Errorf("the id is not of digits: %q", a.text("user.id"))
		}
		me := w.do("GET", "/api/v1/auth/me", a.text("token"), nil)
		w.want("me", me, 200)
		if me.text("data.id") != a.text("user.id") || me.text("user.id") != a.text("user.id") {
			t.Errorf("me: %s", me.raw)
		}
		w.want("me without a token", w.do("GET", "/api/v1/auth/me", "", nil), 401)
		for name, body := range map[string]m{"no password": {"email": "doctor@example.org"}, "no address": {"password": "x"}} {
			b := w.do("POST", "/api/v1/auth/login", "", body)
			w.want(name, b, 400)
			if b.text("message") == "" {
				t.Errorf("%s: no message at the top: %s", name, b.raw)
			}
		}
		if _, err := w.s.SetStatus(system(1), 1, u.ID, identity.Suspended); err != nil {
			t.Fatal(err)
		}
		w.want("the token of a suspended user", w.do("GET", "/api/v1/auth/me", a.text("token"), nil), 401)
		w.want("a suspended user", w.do("POST", "/api/v1/auth/login", "", m{"email": "doctor@example.org", "password": password}), 403)
		w.want("a suspended user's wrong guess", w.do("POST", "/api/v1/auth/login", "", m{"email": "doctor@example.org", "password": "wrong guess"}), 401)
	})
}

// TestLogout: what a session gave out is no good once it has ended.
func TestLogout(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		a := w.login("nurse@example.org")
		w.want("me", w.do("GET", "/api/v1/auth/me", a.text("token"), nil), 200)
		w.want("logout", w.do("POST", "/api/v1/auth/logout", a.text("token"), nil), 200)
		w.want("me after it", w.do("GET", "/api/v1/auth/me", a.text("token"), nil), 401)
		w.want("refresh after it", w.do("POST", "/api/v1/auth/refresh", "", m{"refreshToken": a.text("refreshToken")}), 401)
	})
}

// TestRefresh: tokens rotate; one that comes twice ends the family.
func TestRefresh(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		first := w.login("nurse@example.org")
		second := w.do("POST", "/api/v1/auth/refresh-token", "", m{"refreshToken": first.text("refreshToken")})
		w.want("refresh", second, 200)
		if second.text("token") == "" || second.text("accessToken") == "" || second.text("refreshToken") == first.text("refreshToken") {
			t.Errorf("%s", second.raw)
		}
		w.want("me by the new token", w.do("GET", "/api/v1/auth/me", second.text("token"), nil), 200)
		w.want("the old token again", w.do("POST", "/api/v1/auth/refresh", "", m{"refreshToken": first.text("refreshToken")}), 401)
		w.want("the new one after it", w.do("POST", "/api/v1/auth/refresh", "", m{"refreshToken": second.text("refreshToken")}), 401)
		w.want("the access token after it", w.do("GET", "/api/v1/auth/me", second.text("token"), nil), 401)
		for _, bad := range []string{"", "x", "1.2.3", "0.1." + strings.Repeat("a", 43), "1.99." + strings.Repeat("a", 43), strings.Replace(second.text("refreshToken"), "1.", "2.", 1)} {
			w.want("nonsense", w.do("POST", "/api/v1/auth/refresh", "", m{"refreshToken": bad}), 401)
		}
	})
}

// TestRefreshOnce: of many that refresh by one token at once, one at most gets tokens.
func TestRefreshOnce(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		raw := w.login("nurse@example.org").text("refreshToken")
		var mu sync.Mutex
		var wg sync.WaitGroup
		good := 0
		for range 8 {
			wg.Go(func() {
				if _, err := w.s.Refresh(t.Context(), raw, ""); err == nil {
					mu.Lock()
					good++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if good != 1 {
			t.Errorf("%d were given tokens", good)
		}
	})
}

// TestCookies: a browser's session is by cookies alone, and no page of another site can use them.
func TestCookies(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		b := browser(t)
		page := map[string]string{"Origin": w.base, "Sec-Fetch-Site": "same-origin"}
		a := w.send(b, w.base, "POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": password}, page)
		w.want("login", a, 200)
		for _, c := range a.header["Set-Cookie"] {
			if !strings.Contains(c, "SameSite=Lax") || !strings.HasPrefix(c, web.CSRFCookiePlain+"=") && !strings.Contains(c, "HttpOnly") {
				t.Errorf("cookie %s", c)
			}
			if strings.Contains(c, "Expires") {
				t.Errorf("a cookie outlives the browser: %s", c)
			}
		}
		w.want("me", w.send(b, w.base, "GET", "/api/v1/auth/me", "", nil, nil), 200)
		csrf := w.send(b, w.base, "GET", "/api/v1/auth/csrf-token", "", nil, nil)
		w.want("csrf-token", csrf, 200)
		w.want("a change without the token", w.send(b, w.base, "DELETE", "/api/v1/sessions", "", nil, page), 403)
		foreign := map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
		w.want("refresh from another site", w.send(b, w.base, "POST", "/api/v1/auth/refresh-token", "", m{}, foreign), 403)
		page[web.CSRFHeader] = csrf.text("csrfToken")
		again := w.send(b, w.base, "POST", "/api/v1/auth/refresh-token", "", m{}, page)
		w.want("refresh by the cookie", again, 200)
		if again.text("accessToken") == "" {
			t.Errorf("%s", again.raw)
		}
		w.want("logout", w.send(b, w.base, "POST", "/api/v1/auth/logout", "", nil, page), 200)
		u, _ := url.Parse(w.base)
		// The browser's mark stays: it opens nothing.
		if left := b.Jar.Cookies(u); len(left) != 1 || left[0].Name != "device" {
			t.Errorf("cookies are left: %v", left)
		}
	})
}

// TestNoEnumeration: an unknown address, a wrong password and a user without a password are told apart neither by the answer, nor by the work.
func TestNoEnumeration(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "known@example.org", "nurse")
		w.user(1, "invited@example.org", "nurse", func(n *identity.NewUser) { n.Password = "" })
		seen := map[string][]string{}
		for _, email := range []string{"known@example.org", "unknown@example.org", "invited@example.org"} {
			for range 7 {
				before := w.s.Verified()
				a := w.do("POST", "/api/v1/auth/login", "", m{"email": email, "password": "wrong guess"})
				delete(a.body, "metadata")
				seen[email] = append(seen[email], strings.Join([]string{http.StatusText(a.status), a.text("message"), a.text("error.code"),
					a.header.Get("Retry-After"), string(rune('0' + w.s.Verified() - before))}, "|"))
			}
		}
		for email, all := range seen {
			if got, want := strings.Join(all, "\n"), strings.Join(seen["known@example.org"], "\n"); got != want {
				t.Errorf("%s:\n%s\nwant\n%s", email, got, want)
			}
		}
	})
}

// TestLockOut: a thousand wrong guesses are worth five, the right password does not open what is locked, and each lock is longer.
func TestLockOut(t *testing.T) {
	each(t, func(o *identity.Options) { o.Settings.AddressFailures = 1 << 30 }, func(t *testing.T, w *world) {
		u := w.user(1, "nurse@example.org", "nurse")
		before, locked := w.s.Verified(), 0
		for range 1000 {
			switch a := w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "wrong guess"}); a.status {
			case 423:
				locked++
				if a.header.Get("Retry-After") == "" || a.text("message") == "" || a.text("error.code") != "ACCOUNT_LOCKED" {
					t.Fatalf("%v %s", a.header, a.raw)
				}
			case 401:
			default:
				t.Fatalf("%d %s", a.status, a.raw)
			}
		}
		if n := w.s.Verified() - before; n != 5 || locked != 995 {
			t.Errorf("%d guesses were looked at, %d met the lock", n, locked)
		}
		right := m{"email": "NURSE@example.org", "password": password}
		w.want("the right password", w.do("POST", "/api/v1/auth/login", "", right), 423)
		w.clock.add(31 * time.Minute)
		for range 5 {
			w.want("a wrong guess after the lock", w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "wrong guess"}), 401)
		}
		w.clock.add(31 * time.Minute)
		w.want("the second lock is longer", w.do("POST", "/api/v1/auth/login", "", right), 423)
		w.clock.add(30 * time.Minute)
		w.want("and ends", w.do("POST", "/api/v1/auth/login", "", right), 200)
		for range 5 {
			w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "wrong guess"})
		}
		w.want("locked again", w.do("POST", "/api/v1/auth/login", "", right), 423)
		w.user(1, "admin@example.org", "admin")
		w.want("unlock", w.do("POST", "/api/v1/users/"+id(u)+"/unlock", w.token("admin@example.org"), nil), 200)
		w.want("unlocked", w.do("POST", "/api/v1/auth/login", "", right), 200)
	})
}

// TestAddress: who guesses at many accounts from one address must wait; others need not.
func TestAddress(t *testing.T) {
	each(t, func(o *identity.Options) { o.Settings.AddressFailures = 6 }, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		for i := range 6 {
			w.want("a guess", w.do("POST", "/api/v1/auth/login", "", m{"email": string(rune('a'+i)) + "@example.org", "password": "wrong guess"}), 401)
		}
		w.want("the seventh", w.do("POST", "/api/v1/auth/login", "", m{"email": "z@example.org", "password": "wrong guess"}), 429)
		if _, err := w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password, Address: "192.0.2.7"}); err != nil {
			t.Errorf("another address: %v", err)
		}
		w.clock.add(2 * time.Minute)
		w.login("nurse@example.org")
	})
}

// TestSessions: the least recently used of too many ends; idle and absolute times are the server's.
func TestSessions(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		var tokens []string
		for range 6 {
			tokens = append(tokens, w.token("nurse@example.org"))
			w.clock.add(time.Second)
		}
		w.want("the oldest of six", w.do("GET", "/api/v1/auth/me", tokens[0], nil), 401)
		for _, tk := range tokens[1:] {
			w.want("the others", w.do("GET", "/api/v1/auth/me", tk, nil), 200)
		}
		all := w.do("GET", "/api/v1/sessions", tokens[5], nil)
		if l, _ := all.at("sessions").([]any); len(l) != 5 {
			t.Errorf("%s", all.raw)
		}
		w.want("end all", w.do("DELETE", "/api/v1/sessions", tokens[5], nil), 200)
		w.want("after that", w.do("GET", "/api/v1/auth/me", tokens[3], nil), 401)

		in, err := w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password})
		if err != nil {
			t.Fatal(err)
		}
		lives := func() bool {
			_, err := w.s.Authenticate(t.Context(), identity.Credentials{Cookie: in.Cookie})
			return err == nil
		}
		for passed := time.Duration(0); passed < 11*time.Hour; passed += 29 * time.Minute {
			w.clock.add(29 * time.Minute)
			if !lives() {
				t.Fatalf("over after %s of use", passed)
			}
		}
		for range 4 {
			w.clock.add(25 * time.Minute)
			_ = lives()
		}
		if lives() {
			t.Error("it outlived its absolute time")
		}
		if in, err = w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password}); err != nil {
			t.Fatal(err)
		}
		w.clock.add(31 * time.Minute)
		if lives() {
			t.Error("it outlived its idle time")
		}
		if _, err := w.s.Refresh(t.Context(), in.RefreshToken, ""); err == nil {
			t.Error("an idle session was refreshed")
		}
		// A connection that looks whether it may go on is no use of the session.
		if in, err = w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password}); err != nil {
			t.Fatal(err)
		}
		for _, alive := range []bool{true, true, false} {
			w.clock.add(12 * time.Minute)
			if _, err := w.s.Authenticate(t.Context(), identity.Credentials{Cookie: in.Cookie, Quiet: true}); (err == nil) != alive {
				t.Errorf("asked quietly: %v, want alive %v", err, alive)
			}
		}
		if in, err = w.s.SignIn(t.Context(), identity.SignIn{Tenant: 1, Email: "nurse@example.org", Password: password, Remember: true}); err != nil {
			t.Fatal(err)
		}
		w.clock.add(6 * 24 * time.Hour)
		if !lives() {
			t.Error("a remembered session is over")
		}
	})
}

// TestPasswords: the rules of NIST 800-63B.
func TestPasswords(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "someone.long@example.org", "nurse")
		tk := w.token("someone.long@example.org")
		for name, x := range map[string]struct {
			new    string
			status int
		}{"short": {"seven77", 400}, "long": {strings.Repeat("ab", 65), 400}, "well known": {"password", 400}, "well known with digits": {"Password123!", 400},
			"the address": {"someone.long@example.org", 400}, "its first part": {"Someone.Long", 400}, "one letter": {"aaaaaaaaaaaa", 400}} {
			w.want(name, w.do("POST", "/api/v1/auth/password/change", tk, m{"currentPassword": password, "newPassword": x.new}), x.status)
		}
		w.want("the wrong one", w.do("POST", "/api/v1/auth/password/change", tk, m{"currentPassword": "wrong guess", "newPassword": "another test value"}), 401)
		other := w.token("someone.long@example.org")
		// In one form here and in the other there: é is one character or two.
		w.want("a good one", w.do("POST", "/api/v1/auth/password/change", tk, m{"currentPassword": password, "newPassword": "un café très chaud"}), 200)
		w.want("the session goes on", w.do("GET", "/api/v1/auth/me", tk, nil), 200)
		w.want("the others do not", w.do("GET", "/api/v1/auth/me", other, nil), 401)
		w.want("decomposed", w.do("POST", "/api/v1/auth/login", "", m{"email": "someone.long@example.org", "password": "un cafe\u0301 tre\u0300s chaud"}), 200)
	})
}

// TestSetup: the first administrator comes by a link that is good once.
func TestSetup(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		raw, err := w.s.SetupToken(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		w.want("another token", w.do("POST", "/api/v1/auth/setup", "", m{"token": "x", "email": "a@example.org", "password": password}), 401)
		w.want("a weak password", w.do("POST", "/api/v1/auth/setup", "", m{"token": raw, "email": "a@example.org", "password": "password"}), 400)
		a := w.do("POST", "/api/v1/auth/setup", "", m{"token": raw, "email": "a@example.org", "password": password})
		w.want("set up", a, 201)
		if a.text("user.role") != "admin" || a.text("token") == "" {
			t.Errorf("%s", a.raw)
		}
		w.want("again", w.do("POST", "/api/v1/auth/setup", "", m{"token": raw, "email": "b@example.org", "password": password}), 409)
		if _, err := w.s.SetupToken(t.Context(), 1); err == nil {
			t.Error("a link while there is an administrator")
		}
	})
}
