package identity_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image/png"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// post keeps what was sent; it fails with fail.
type post struct {
	mu   sync.Mutex
	sent []m
	fail error
}

func (p *post) Send(_ context.Context, to, subject, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	p.sent = append(p.sent, m{"to": to, "subject": subject, "text": text})
	return nil
}

// letters sends what waits and returns it.
func (w *world) letters(p *post) []m {
	w.t.Helper()
	p.mu.Lock()
	p.sent = nil
	p.mu.Unlock()
	if err := w.s.SendDue(context.Background(), 1); err != nil {
		w.t.Fatal(err)
	}
	return p.sent
}

var codeForm = regexp.MustCompile(`(?m)^1\.[A-Za-z0-9_-]{43}$`)

// code reads the code of the one letter that waits, and checks that the link has it too.
func (w *world) code(p *post, to string) string {
	w.t.Helper()
	sent := w.letters(p)
	if len(sent) != 1 || sent[0]["to"] != to {
		w.t.Fatalf("%v", sent)
	}
	text, _ := sent[0]["text"].(string)
	code := codeForm.FindString(text)
	if code == "" || !strings.Contains(text, issuer(1)+"/") || !strings.Contains(text, "?token="+code) {
		w.t.Fatalf("%s", text)
	}
	return code
}

func withMail(p *post) func(*identity.Options) {
	return func(o *identity.Options) { o.Mail, o.Settings.Register = p, true }
}

func (w *world) totp(secret string) string {
	w.t.Helper()
	code, err := totp.GenerateCode(secret, w.clock.now())
	if err != nil {
		w.t.Fatal(err)
	}
	return code
}

// TestMFA: a second factor counts once it was shown, is asked for from then on, and each of its codes is good once.
func TestMFA(t *testing.T) {
	each(t, func(o *identity.Options) { o.Settings.RequireMFA = []string{"physician"} }, func(t *testing.T, w *world) {
		w.user(1, "doctor@example.org", "doctor")
		in := w.login("doctor@example.org")
		if in.at("mfaSetupRequired") != true || in.at("data.mfaSetupRequired") != true {
			t.Errorf("not told: %s", in.raw)
		}
		tok := in.text("token")
		w.want("nobody enables", w.do("POST", "/api/v1/auth/mfa/enable", "", nil), 401)
		w.want("nobody verifies", w.do("POST", "/api/v1/auth/mfa/verify", "", m{"code": "123456"}), 401)
		w.want("nothing waits", w.do("POST", "/api/v1/auth/mfa/verify", tok, m{"code": "123456"}), 409)
		a := w.do("POST", "/api/v1/auth/mfa/enable", tok, nil)
		w.want("enable", a, 200)
		secret := a.text("secret")
		picture, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(a.text("qrCode"), "data:image/png;base64,"))
		if err != nil || secret == "" || a.text("data.secret") != secret || !strings.HasPrefix(a.text("otpauthUrl"), "otpauth://totp/nilecare:doctor@example.org?") {
			t.Errorf("%v %s", err, a.raw)
		}
		if _, err := png.Decode(strings.NewReader(string(picture))); err != nil {
			t.Error(err)
		}
		if w.login("doctor@example.org").at("mfaRequired") != nil {
			t.Error("asked for before it was shown")
		}
		right := w.totp(secret)
		w.want("a wrong code", w.do("POST", "/api/v1/auth/mfa/verify", tok, m{"token": fmt.Sprintf("%06d", (atoi(right)+1)%1000000)}), 400)
		b := w.do("POST", "/api/v1/auth/mfa/verify", tok, m{"token": right})
		w.want("verify", b, 200)
		codes, _ := b.at("recoveryCodes").([]any)
		if len(codes) != 10 {
			t.Fatalf("%s", b.raw)
		}
		w.want("again", w.do("POST", "/api/v1/auth/mfa/verify", tok, m{"token": right}), 409)
		w.want("enable over it", w.do("POST", "/api/v1/auth/mfa/enable", tok, nil), 409)
		finish := func(code string) int {
			c := w.login("doctor@example.org")
			if c.at("mfaRequired") != true || c.at("token") != nil {
				t.Fatalf("%s", c.raw)
			}
			return w.do("POST", "/api/v1/auth/mfa/verify", "", m{"mfaToken": c.text("mfaToken"), "code": code}).status
		}
		if got := finish(right); got != 401 {
			t.Errorf("the step of enabling again: %d", got)
		}
		w.clock.add(30 * time.Second)
		next := w.totp(secret)
		if finish(next) != 200 || finish(next) != 401 {
			t.Error("a step is not good once")
		}
		w.clock.add(90 * time.Second)
		old := w.totp(secret)
		w.clock.add(60 * time.Second)
		if got := finish(old); got != 401 {
			t.Errorf("two steps old: %d", got)
		}
		recovery := strings.ToLower(strings.ReplaceAll(codes[3].(string), "-", " "))
		if finish(recovery) != 200 || finish(recovery) != 401 {
			t.Error("a recovery code is not good once")
		}
		c := w.do("POST", "/api/v1/auth/login", "", m{"email": "doctor@example.org", "password": password, "code": codes[4]})
		w.want("all at once", c, 200)
		if c.at("mfaSetupRequired") != false {
			t.Errorf("%s", c.raw)
		}
		tok = c.text("token")
		w.want("new ones need a code", w.do("POST", "/api/v1/auth/mfa/recovery-codes", tok, m{}), 400)
		d := w.do("POST", "/api/v1/auth/mfa/recovery-codes", tok, m{"code": codes[5]})
		w.want("new ones", d, 200)
		if got := finish(codes[6].(string)); got != 401 {
			t.Errorf("an old recovery code: %d", got)
		}
		fresh, _ := d.at("data.recoveryCodes").([]any)
		w.want("off with a wrong password", w.do("POST", "/api/v1/auth/mfa/disable", tok, m{"password": "not the value", "code": fresh[0]}), 401)
		w.want("off with a wrong code", w.do("POST", "/api/v1/auth/mfa/disable", tok, m{"password": password, "code": codes[7]}), 401)
		w.want("off", w.do("POST", "/api/v1/auth/mfa/disable", tok, m{"password": password, "code": fresh[0]}), 200)
		if e := w.login("doctor@example.org"); e.at("mfaRequired") != nil || e.text("token") == "" {
			t.Errorf("%s", e.raw)
		}
	})
}

// TestLostPhone: who may do all that a user may takes a second factor that was lost; nobody else does, nor his own.
func TestLostPhone(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		admin, nurse := w.user(1, "admin@example.org", "admin"), w.user(1, "nurse@example.org", "nurse")
		w.user(1, "clerk@example.org", "nurse", func(n *identity.NewUser) { n.Permissions = []string{"users:update"} })
		keeper, clerk, lost := w.token("admin@example.org"), w.token("clerk@example.org"), w.token("nurse@example.org")
		for _, u := range []*identity.User{admin, nurse} {
			e, err := w.s.EnableMFA(system(1), u)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.s.VerifyMFA(system(1), u, w.totp(e.Secret)); err != nil {
				t.Fatal(err)
			}
		}
		w.want("an administrator's", w.do("DELETE", "/api/v1/users/"+id(admin)+"/mfa", clerk, nil), 403)
		w.want("the own", w.do("DELETE", "/api/v1/users/"+id(admin)+"/mfa", keeper, nil), 403)
		w.want("a nurse's", w.do("DELETE", "/api/v1/users/"+id(nurse)+"/mfa", clerk, nil), 200)
		w.want("again", w.do("DELETE", "/api/v1/users/"+id(nurse)+"/mfa", clerk, nil), 409)
		w.want("the sessions", w.do("GET", "/api/v1/auth/me", lost, nil), 401)
		if w.token("nurse@example.org") == "" {
			t.Error("asked for a code")
		}
	})
}

func atoi(s string) (n int) {
	_, _ = fmt.Sscanf(s, "%d", &n)
	return n
}

// TestRecoveryRace: of many who send the same recovery code at once, one comes in.
func TestRecoveryRace(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "doctor@example.org", "doctor")
		e, err := w.s.EnableMFA(system(1), u)
		if err != nil {
			t.Fatal(err)
		}
		codes, err := w.s.VerifyMFA(system(1), u, w.totp(e.Secret))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		good := 0
		for range 4 {
			wg.Go(func() {
				if w.s.CheckCode(context.Background(), 1, u.ID, codes[0], "") == nil {
					mu.Lock()
					good++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if good != 1 {
			t.Errorf("%d came in", good)
		}
	})
}

// TestPasswordReset: a link is good once, for half an hour, ends what the old password opened, and tells nobody which accounts there are.
func TestPasswordReset(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		u := w.user(1, "nurse@example.org", "nurse")
		off := w.user(1, "off@example.org", "nurse")
		if _, err := w.s.SetStatus(system(1), 1, off.ID, identity.Suspended); err != nil {
			t.Fatal(err)
		}
		tok := w.token("nurse@example.org")
		ask := func(email string) *answer {
			return w.do("POST", "/api/v1/auth/password-reset/request", "", m{"email": email})
		}
		unknown, suspended := ask("nobody@example.org"), ask("off@example.org")
		if sent := w.letters(p); len(sent) != 0 {
			t.Fatalf("%v", sent)
		}
		known := ask(" Nurse@Example.org")
		for _, a := range []*answer{unknown, suspended, known} {
			w.want("request", a, 200)
			if string(a.raw) != string(unknown.raw) {
				t.Errorf("%s, %s", a.raw, unknown.raw)
			}
		}
		code := w.code(p, "nurse@example.org")
		ask("nurse@example.org")
		second := w.code(p, "nurse@example.org")
		valid := func(code string) any {
			return w.do("POST", "/api/v1/auth/password-reset/verify", "", m{"token": code}).at("valid")
		}
		for _, bad := range []string{"x", "1." + strings.Repeat("a", 43), "2" + code[1:], code + "a"} {
			if valid(bad) != false {
				t.Errorf("%q is valid", bad)
			}
			w.want(bad, w.do("POST", "/api/v1/auth/password-reset/confirm", "", m{"token": bad, "newPassword": "an entirely new one"}), 400)
		}
		for range 2 { // to ask does not use it up
			if valid(code) != true {
				t.Error("not valid")
			}
		}
		confirm := func(code, password string) *answer {
			return w.do("POST", "/api/v1/auth/password-reset/confirm", "", m{"token": code, "newPassword": password})
		}
		w.want("weak", confirm(code, "password1"), 400)
		for range 5 {
			w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "not the value"})
		}
		w.want("locked", w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": password}), 423)
		w.want("confirm", confirm(code, "an entirely new one"), 200)
		again := confirm(code, "another new one")
		w.want("again", again, 400)
		if again.text("error.code") != "INVALID_TOKEN" {
			t.Errorf("%s", again.raw)
		}
		w.want("the other link", confirm(second, "another new one"), 400)
		w.want("the old session", w.do("GET", "/api/v1/auth/me", tok, nil), 401)
		w.want("unlocked, by the new one", w.do("POST", "/api/v1/auth/login", "", m{"email": "nurse@example.org", "password": "an entirely new one"}), 200)
		w.want("third", ask("nurse@example.org"), 200)
		late := w.code(p, "nurse@example.org")
		limited := ask("nurse@example.org")
		w.want("too often", limited, 429)
		if limited.header.Get("Retry-After") == "" {
			t.Error("not said when")
		}
		w.want("too often for an unknown one", func() (a *answer) {
			for range 3 {
				a = ask("nobody@example.org")
			}
			return a
		}(), 429)
		w.clock.add(31 * time.Minute)
		w.want("late", confirm(late, "another new one"), 400)
		w.want("later", ask("nurse@example.org"), 200)
		moved := w.code(p, "nurse@example.org")
		address := "elsewhere@example.org"
		if _, err := w.s.Update(system(1), 1, u.ID, identity.Change{Email: &address}); err != nil {
			t.Fatal(err)
		}
		w.want("sent to an address of before", confirm(moved, "another new one"), 400)
	})
}

// TestVerifyEmail: who registers is sent a link; it verifies the address that it was sent to, once.
func TestVerifyEmail(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		tok := w.do("POST", "/api/v1/auth/register", "", m{"email": "new@example.org", "password": password}).text("token")
		first := w.code(p, "new@example.org")
		w.want("resend", w.do("POST", "/api/v1/auth/verify-email/resend", tok, nil), 200)
		second := w.code(p, "new@example.org")
		bad := w.do("POST", "/api/v1/auth/verify-email", "", m{"token": "nonsense"})
		w.want("nonsense", bad, 400)
		if bad.text("error.code") != "INVALID_TOKEN" {
			t.Errorf("%s", bad.raw)
		}
		w.want("no reset by it", w.do("POST", "/api/v1/auth/password-reset/confirm", "", m{"token": first, "newPassword": "an entirely new one"}), 400)
		w.want("verify", w.do("POST", "/api/v1/auth/verify-email", "", m{"token": first}), 200)
		w.want("again", w.do("POST", "/api/v1/auth/verify-email", "", m{"token": first}), 400)
		w.want("the other", w.do("POST", "/api/v1/auth/verify-email", "", m{"token": second}), 400)
		me := w.do("GET", "/api/v1/auth/me", tok, nil)
		if me.at("data.emailVerified") != true {
			t.Errorf("%s", me.raw)
		}
		w.want("it is verified", w.do("POST", "/api/v1/auth/verify-email/resend", tok, nil), 409)
	})
}

// TestInvitations: nobody invites somebody who may do more; the invited chooses a password, once, within a week.
func TestInvitations(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		w.user(1, "admin@example.org", "admin")
		w.user(1, "nurse@example.org", "nurse")
		w.user(1, "clerk@example.org", "nurse", func(n *identity.NewUser) { n.Permissions = []string{"users:create"} })
		admin, nurse, clerk := w.token("admin@example.org"), w.token("nurse@example.org"), w.token("clerk@example.org")
		body := m{"email": "amna@example.org", "role": "nurse", "firstName": "Amna", "locale": "ar-SD"}
		w.want("no permission", w.do("POST", "/api/v1/invitations", nurse, body), 403)
		w.want("more than oneself", w.do("POST", "/api/v1/invitations", clerk, m{"email": "x@example.org", "role": "admin"}), 403)
		a := w.do("POST", "/api/v1/invitations", admin, body)
		w.want("invite", a, 201)
		w.want("twice", w.do("POST", "/api/v1/invitations", admin, body), 409)
		who := a.text("invitation.id")
		sent := w.letters(p)
		if len(sent) != 1 || !strings.Contains(sent[0]["text"].(string), "كلمة المرور") {
			t.Fatalf("not in Arabic: %v", sent)
		}
		old := codeForm.FindString(sent[0]["text"].(string))
		w.want("resend", w.do("POST", "/api/v1/invitations/"+who+"/resend", admin, nil), 200)
		code := w.code(p, "amna@example.org")
		l := w.do("GET", "/api/v1/invitations", admin, nil)
		all, _ := l.at("data.invitations").([]any)
		if len(all) != 1 || all[0].(m)["email"] != "amna@example.org" || all[0].(m)["expiresAt"] == nil {
			t.Errorf("%s", l.raw)
		}
		accept := func(code string) *answer {
			return w.do("POST", "/api/v1/auth/invitations/accept", "", m{"token": code, "password": password, "lastName": "Osman"})
		}
		w.want("the one before", accept(old), 400)
		w.want("weak", w.do("POST", "/api/v1/auth/invitations/accept", "", m{"token": code, "password": "12345678"}), 400)
		b := accept(code)
		w.want("accept", b, 200)
		if b.text("user.status") != "active" || b.at("user.emailVerified") != true || b.text("user.name") != "Amna Osman" {
			t.Errorf("%s", b.raw)
		}
		w.want("again", accept(code), 400)
		w.login("amna@example.org")
		w.want("not invited any more", w.do("DELETE", "/api/v1/invitations/"+who, admin, nil), 404)
		c := w.do("POST", "/api/v1/invitations", admin, m{"email": "late@example.org", "role": "nurse"})
		late := w.code(p, "late@example.org")
		w.clock.add(7*24*time.Hour + time.Second)
		w.want("late", accept(late), 400)
		admin = w.token("admin@example.org")
		w.want("withdraw", w.do("DELETE", "/api/v1/invitations/"+c.text("invitation.id"), admin, nil), 200)
		d := w.do("POST", "/api/v1/invitations", admin, m{"email": "late@example.org", "role": "nurse"})
		w.want("the address is free again", d, 201)
		gone := w.code(p, "late@example.org")
		w.want("withdraw", w.do("DELETE", "/api/v1/invitations/"+d.text("invitation.id"), admin, nil), 200)
		w.want("withdrawn", accept(gone), 400)
	})
}

// TestOutbox: mail waits without a server, is handed over to those alone who could act for the addressee, and goes out again after failures.
func TestOutbox(t *testing.T) {
	p := &post{fail: &textproto.Error{Code: 451, Msg: "nurse@example.org is greylisted"}}
	each(t, withMail(p), func(t *testing.T, w *world) {
		p.fail = &textproto.Error{Code: 451, Msg: "nurse@example.org is greylisted"}
		w.user(1, "admin@example.org", "admin")
		w.user(1, "nurse@example.org", "nurse")
		w.user(1, "clerk@example.org", "nurse", func(n *identity.NewUser) { n.Permissions = []string{"users:update"} })
		admin, nurse, clerk := w.token("admin@example.org"), w.token("nurse@example.org"), w.token("clerk@example.org")
		for _, email := range []string{"admin@example.org", "nurse@example.org"} {
			w.want("request", w.do("POST", "/api/v1/auth/password-reset/request", "", m{"email": email}), 200)
		}
		w.want("no permission", w.do("GET", "/api/v1/mail-outbox", nurse, nil), 403)
		box := func(credential string) (out map[string]m) {
			out = map[string]m{}
			a := w.do("GET", "/api/v1/mail-outbox", credential, nil)
			w.want("outbox", a, 200)
			all, _ := a.at("data.mail").([]any)
			for _, v := range all {
				out[v.(m)["to"].(string)] = v.(m)
			}
			return out
		}
		// Whoever may change users, but not do what an administrator may, does not get hold of an administrator's link.
		got := box(clerk)
		if l := got["admin@example.org"]; len(got) != 2 || l["withheld"] != true || l["text"] != "" || codeForm.FindString(got["nurse@example.org"]["text"].(string)) == "" {
			t.Errorf("%v", got)
		}
		if codeForm.FindString(box(admin)["admin@example.org"]["text"].(string)) == "" {
			t.Error("the administrator does not see it")
		}
		waits := []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute}
		for i, wait := range waits {
			w.letters(p)
			l := box(admin)["nurse@example.org"]
			if l["tries"] != float64(i+1) || l["error"] != "refused by the mail server: 451" {
				t.Errorf("%v", l)
			}
			w.clock.add(wait - time.Second)
			w.letters(p)
			if box(admin)["nurse@example.org"]["tries"] != float64(i+1) {
				t.Error("tried too soon")
			}
			w.clock.add(time.Second)
		}
		w.want("take one out", w.do("DELETE", "/api/v1/mail-outbox/"+box(admin)["admin@example.org"]["id"].(string), admin, nil), 200)
		p.fail = nil
		if sent := w.letters(p); len(sent) != 1 || sent[0]["to"] != "nurse@example.org" {
			t.Errorf("%v", sent)
		}
		if got := box(admin); len(got) != 0 || len(w.letters(p)) != 0 {
			t.Errorf("it waits yet: %v", got)
		}
		w.want("none", w.do("DELETE", "/api/v1/mail-outbox/1", admin, nil), 404)
	})
}

// TestRunOutbox: it sends what waits, in all tenants that are served, and ends with its context; without a server it does nothing.
func TestRunOutbox(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		p.sent = nil
		two, _, err := w.s.CreateTenant(access.With(t.Context(), access.System(1)), "Second")
		if err != nil {
			t.Fatal(err)
		}
		for tenant, email := range map[int32]string{1: "one@example.org", two.ID: "two@example.org"} {
			if _, err := w.s.Invite(system(tenant), tenant, identity.NewUser{Email: email, Role: "nurse"}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); w.s.RunOutbox(ctx) }()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			p.mu.Lock()
			n := len(p.sent)
			p.mu.Unlock()
			if n == 2 {
				break
			}
		}
		cancel()
		<-ended
		var to []string
		for _, l := range p.sent {
			to = append(to, l["to"].(string))
		}
		slices.Sort(to)
		if !slices.Equal(to, []string{"one@example.org", "two@example.org"}) {
			t.Errorf("%v", to)
		}
	})
	each(t, nil, func(_ *testing.T, w *world) { w.s.RunOutbox(context.Background()) })
}

// TestSuspended: of a tenant that is not served no link is good.
func TestSuspended(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		keeper := access.With(t.Context(), access.System(1))
		two, _, err := w.s.CreateTenant(keeper, "Second")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.s.Invite(system(two.ID), two.ID, identity.NewUser{Email: "two@example.org", Role: "nurse"}); err != nil {
			t.Fatal(err)
		}
		p.sent = nil
		if err := w.s.SendDue(t.Context(), two.ID); err != nil || len(p.sent) != 1 {
			t.Fatalf("%v %v", p.sent, err)
		}
		code := regexp.MustCompile(`token=(\S+)`).FindStringSubmatch(p.sent[0]["text"].(string))[1]
		accept := func(asked int32) error {
			_, err := w.s.Accept(t.Context(), asked, code, password, nil, nil)
			return err
		}
		if _, err := w.s.SuspendTenant(keeper, two.ID); err != nil {
			t.Fatal(err)
		}
		if err := accept(two.ID); !fault.Is(err, fault.Forbidden) {
			t.Errorf("suspended: %v", err)
		}
		if _, err := w.s.ResumeTenant(keeper, two.ID); err != nil {
			t.Fatal(err)
		}
		if err := accept(1); !fault.Is(err, fault.Invalid) {
			t.Errorf("at another tenant's address: %v", err)
		}
		if err := accept(two.ID); err != nil {
			t.Errorf("resumed: %v", err)
		}
	})
}

// TestFlowsAudit: what the flows do is audited, without contact data, links and codes.
func TestFlowsAudit(t *testing.T) {
	var n notes
	p := &post{}
	w := newWorld(t, storetest.SQLite(t, record.Options{Audit: &n, Tables: identity.Tables()}), withMail(p))
	w.user(1, "nurse@example.org", "nurse")
	w.user(1, "admin@example.org", "admin")
	admin := w.token("admin@example.org")
	w.do("POST", "/api/v1/auth/password-reset/request", "", m{"email": "nurse@example.org"})
	w.do("GET", "/api/v1/mail-outbox", admin, nil)
	reset := w.code(p, "nurse@example.org")
	w.want("confirm", w.do("POST", "/api/v1/auth/password-reset/confirm", "", m{"token": reset, "newPassword": password}), 200)
	w.do("POST", "/api/v1/invitations", admin, m{"email": "amna@example.org", "role": "nurse"})
	invite := w.code(p, "amna@example.org")
	w.want("accept", w.do("POST", "/api/v1/auth/invitations/accept", "", m{"token": invite, "password": password}), 200)
	tok := w.token("nurse@example.org")
	secret := w.do("POST", "/api/v1/auth/mfa/enable", tok, nil).text("secret")
	codes, _ := w.do("POST", "/api/v1/auth/mfa/verify", tok, m{"code": w.totp(secret)}).at("recoveryCodes").([]any)
	w.want("off", w.do("POST", "/api/v1/auth/mfa/disable", tok, m{"password": password, "code": codes[0]}), 200)
	n.mu.Lock()
	defer n.mu.Unlock()
	var got []string
	for _, e := range n.all {
		got = append(got, e.Action)
		text := fmt.Sprintf("%+v", e)
		for _, hidden := range []string{"example.org", password, reset, invite, secret, codes[0].(string)} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s tells %q", text, hidden)
			}
		}
	}
	for _, want := range []string{"password-reset", "read", "password", "accept", "mfa", "recovery-code", "mfa-disabled"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not audited: %v", want, got)
		}
	}
}

// FuzzCodes: whatever is sent as a code is read, or refused; it is of the tenant that is asked for, if one is.
func FuzzCodes(f *testing.F) {
	for _, s := range []string{"", "1." + strings.Repeat("a", 43), "-1." + strings.Repeat("a", 43), "99999999999." + strings.Repeat("a", 43), "1..", "."} {
		f.Add(int32(0), s)
		f.Add(int32(1), s)
	}
	f.Fuzz(func(t *testing.T, asked int32, raw string) {
		if got := identity.CodeTenant(asked, raw); got < 0 || got != 0 && (asked != 0 && got != asked || !strings.Contains(raw, ".")) {
			t.Errorf("%d, %q: %d", asked, raw, got)
		}
	})
}

// TestClaim: two processes on one database send a letter once.
func TestClaim(t *testing.T) {
	p := &post{}
	each(t, withMail(p), func(t *testing.T, w *world) {
		p.sent = nil
		if _, err := w.s.Invite(system(1), 1, identity.NewUser{Email: "one@example.org", Role: "nurse"}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = w.s.SendDue(context.Background(), 1) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil || len(p.sent) != 1 {
			t.Errorf("%v, sent %d times", err, len(p.sent))
		}
	})
}
