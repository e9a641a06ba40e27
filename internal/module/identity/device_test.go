package identity_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/identity"
)

// from signs in by a browser.
func (w *world) from(b *http.Client, email, password string, more m) *answer {
	w.t.Helper()
	body := m{"email": email, "password": password}
	for k, v := range more {
		body[k] = v
	}
	return w.send(b, w.base, "POST", "/api/v1/auth/login", "", body, map[string]string{"Origin": w.base, "Sec-Fetch-Site": "same-origin"})
}

// mark is what a browser keeps.
func (w *world) mark(b *http.Client) string {
	w.t.Helper()
	u, err := url.Parse(w.base)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == "device" {
			return c.Value
		}
	}
	return ""
}

// planted is a new browser that has a mark.
func (w *world) planted(t *testing.T, mark string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(w.base)
	if err != nil {
		t.Fatal(err)
	}
	jar.SetCookies(u, []*http.Cookie{{Name: "device", Value: mark, Path: "/"}})
	return &http.Client{Jar: jar}
}

// signedOut takes the session from a browser and leaves its mark.
func (w *world) signedOut(t *testing.T, b *http.Client) *http.Client {
	t.Helper()
	return w.planted(t, w.mark(b))
}

// TestStrangersDoNotLockOut: a lock that others caused does not hold in a browser that the user has signed in by, and that browser has its own five guesses.
func TestStrangersDoNotLockOut(t *testing.T) {
	each(t, func(o *identity.Options) { o.Settings.AddressFailures = 1 << 30 }, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		w.user(1, "doctor@example.org", "doctor")
		own := browser(t)
		w.want("first", w.from(own, "nurse@example.org", password, nil), 200)
		own = w.signedOut(t, own)
		attack := func() {
			t.Helper()
			for range 5 {
				w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "not the value"})
			}
			w.want("strangers are locked out", w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": password}), 423)
		}
		for range 10 { // days of it
			attack()
			w.want("the own browser", w.from(own, "nurse@example.org", password, nil), 200)
			own = w.signedOut(t, own)
			w.want("strangers still are", w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": password}), 423)
			w.clock.add(25 * time.Hour)
		}
		attack()
		w.want("another's account by this browser", w.from(own, "doctor@example.org", "not the value", nil), 401)
		for range 5 {
			w.want("a guess in it", w.from(own, "nurse@example.org", "not the value", nil), 401)
		}
		w.want("it is locked too", w.from(own, "nurse@example.org", password, nil), 423)
		w.clock.add(31 * time.Minute)
		w.want("for a while", w.from(own, "nurse@example.org", password, nil), 200)
	})
}

// TestOwnLockEnds: who guessed wrong in the own browser comes in again by an administrator, and by a new password, as anybody does.
func TestOwnLockEnds(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		u := w.user(1, "nurse@example.org", "nurse")
		w.user(1, "admin@example.org", "admin")
		adm, own := w.token("admin@example.org"), browser(t)
		w.want("first", w.from(own, "nurse@example.org", password, nil), 200)
		own = w.signedOut(t, own)
		lock := func() {
			t.Helper()
			for range 5 {
				w.want("a wrong guess", w.from(own, "nurse@example.org", "not the value", nil), 401)
			}
			w.want("locked", w.from(own, "nurse@example.org", password, nil), 423)
		}
		lock()
		w.want("unlock", w.do("POST", "/api/v1/users/"+id(u)+"/unlock", adm, nil), 200)
		w.want("unlocked", w.from(own, "nurse@example.org", password, nil), 200)
		own = w.signedOut(t, own)
		lock()
		w.want("request", w.do("POST", "/api/v1/auth/password-reset/request", "", m{"email": "nurse@example.org"}), 200)
		w.want("confirm", w.do("POST", "/api/v1/auth/password-reset/confirm", "", m{"token": w.code(p, "nurse@example.org"), "newPassword": "an entirely new one"}), 200)
		w.want("by the new password", w.from(own, "nurse@example.org", "an entirely new one", nil), 200)
	})
}

// TestMarks: only a mark that this tenant gave for this user counts; a browser keeps those of eight people; the mark names nobody.
func TestMarks(t *testing.T) {
	each(t, func(o *identity.Options) { o.Settings.AddressFailures, o.Settings.Sessions = 1<<30, 100 }, func(t *testing.T, w *world) {
		nurse := w.user(1, "nurse@example.org", "nurse")
		w.user(1, "doctor@example.org", "doctor")
		if _, _, err := w.s.CreateTenant(system(1), "Second"); err != nil {
			t.Fatal(err)
		}
		w.user(2, "nurse@example.org", "nurse")
		desk, thief := browser(t), browser(t)
		w.want("nurse", w.from(desk, "nurse@example.org", password, nil), 200)
		desk = w.signedOut(t, desk)
		w.want("doctor", w.from(desk, "doctor@example.org", password, nil), 200)
		w.want("thief", w.from(thief, "doctor@example.org", password, nil), 200)
		both, other := w.mark(desk), w.mark(thief)
		if strings.Contains(both, id(nurse)) || len(strings.Split(both, ".")) != 4 {
			t.Errorf("%q", both)
		}
		for range 5 {
			w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "not the value"})
		}
		parts, foreign := strings.Split(both, "."), strings.Split(other, ".")
		for name, x := range map[string]struct {
			mark   string
			status int
		}{
			"of both":                {both, 200},
			"of the doctor alone":    {other, 423},
			"the hash elsewhere":     {strings.Join([]string{"1", foreign[1], parts[2]}, "."), 423},
			"of another tenant":      {"2" + both[1:], 423},
			"nobody":                 {strings.Join(parts[:2], "."), 423},
			"another letter":         {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 22), 423},
			"none":                   {"", 423},
			"nonsense":               {"1.x.y", 423},
			"too many":               {both + strings.Repeat("."+parts[3], 12), 423},
			"the session's in place": {"1.2.3", 423},
		} {
			w.want(name, w.from(w.planted(t, x.mark), "nurse@example.org", password, nil), x.status)
		}
		for i := range 9 {
			name := string(rune('a'+i)) + "@example.org"
			w.user(1, name, "nurse")
			desk = w.signedOut(t, desk)
			w.want(name, w.from(desk, name, password, nil), 200)
		}
		if n := len(strings.Split(w.mark(desk), ".")); n != 2+8 {
			t.Errorf("%d people", n-2)
		}
		w.want("the first of them is not known any longer", w.from(w.signedOut(t, desk), "nurse@example.org", password, nil), 423)
	})
}

// TestMarkAndSecondFactor: the code of a known browser's sign-in is counted there too, and a new password makes a browser known.
func TestMarkAndSecondFactor(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		u := w.user(1, "doctor@example.org", "doctor")
		own := browser(t)
		w.want("first", w.from(own, "doctor@example.org", password, nil), 200)
		own = w.signedOut(t, own)
		e, err := w.s.EnableMFA(system(1), u)
		if err != nil {
			t.Fatal(err)
		}
		codes, err := w.s.VerifyMFA(system(1), u, w.totp(e.Secret))
		if err != nil {
			t.Fatal(err)
		}
		lock := func() {
			for range 5 {
				w.do("POST", "/api/v1/auth/login", "", m{"email": "doctor@example.org", "password": "not the value"})
			}
		}
		lock()
		in := w.from(own, "doctor@example.org", password, nil)
		w.want("the password", in, 200)
		w.want("the code", w.do("POST", "/api/v1/auth/mfa/verify", "", m{"mfaToken": in.text("mfaToken"), "code": codes[0]}), 200)
		in = w.from(own, "doctor@example.org", password, nil)
		for range 5 {
			w.want("a wrong code", w.do("POST", "/api/v1/auth/mfa/verify", "", m{"mfaToken": in.text("mfaToken"), "code": "12345x"}), 401)
		}
		w.want("too many", w.do("POST", "/api/v1/auth/mfa/verify", "", m{"mfaToken": in.text("mfaToken"), "code": codes[1]}), 423)
		w.want("the password does not help", w.from(own, "doctor@example.org", password, nil), 423)

		w.want("request", w.do("POST", "/api/v1/auth/password-reset/request", "", m{"email": "doctor@example.org"}), 200)
		fresh := browser(t)
		w.want("confirm", w.send(fresh, w.base, "POST", "/api/v1/auth/password-reset/confirm", "", m{"token": w.code(p, "doctor@example.org"), "newPassword": "an entirely new one"}, nil), 200)
		lock() // at once
		w.want("strangers", w.do("POST", "/api/v1/auth/login", "", m{"email": "doctor@example.org", "password": "an entirely new one"}), 423)
		w.want("the owner", w.from(fresh, "doctor@example.org", "an entirely new one", m{"code": codes[2]}), 200)
	})
}

// FuzzMarks: whatever a browser sends is read as it was written, or not at all.
func FuzzMarks(f *testing.F) {
	number := strings.Repeat("A", 22)
	for _, s := range []string{"", "1", "1." + number, "1." + number + "." + number, "2." + number, "1..", "01." + number, "1." + number + "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if got := identity.ReadMark(1, raw); got != "" && got != raw {
			t.Errorf("%q is read as %q", raw, got)
		}
	})
}
