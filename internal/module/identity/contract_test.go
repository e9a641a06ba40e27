package identity_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// TestContractMFA: the second factor by the names that the contract has for its routes.
func TestContractMFA(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u, other := w.user(1, "doctor@example.org", "doctor"), w.user(1, "nurse@example.org", "nurse")
		tok := w.token("doctor@example.org")
		status := func() *answer {
			a := w.do("GET", "/api/v1/mfa/status", tok, nil)
			w.want("status", a, 200)
			return a
		}
		if a := status(); a.at("mfaEnabled") != false || a.at("method") != nil || a.at("backupCodesRemaining") != 0.0 {
			t.Errorf("%s", a.raw)
		}
		w.want("another method", w.do("POST", "/api/v1/mfa/setup", tok, m{"method": "sms"}), 400)
		w.want("nobody", w.do("POST", "/api/v1/mfa/setup", "", m{"method": "totp"}), 401)
		w.want("nobody's status", w.do("GET", "/api/v1/mfa/status", "", nil), 401)
		a := w.do("POST", "/api/v1/mfa/setup", tok, m{"method": "totp"})
		w.want("setup", a, 200)
		secret := a.text("secret")
		if codes, ok := a.at("backupCodes").([]any); !ok || len(codes) != 0 || a.text("method") != "totp" || !strings.HasPrefix(a.text("qrCode"), "data:image/png;base64,") {
			t.Errorf("%s", a.raw)
		}
		w.want("nothing to prove yet", w.do("POST", "/api/v1/mfa/verify", tok, m{"token": "123456"}), 409)
		w.want("a wrong code", w.do("POST", "/api/v1/mfa/verify-setup", tok, m{"token": "12345x"}), 400)
		b := w.do("POST", "/api/v1/mfa/verify-setup", tok, m{"token": w.totp(secret)})
		w.want("verify-setup", b, 200)
		codes, _ := b.at("backupCodes").([]any)
		if len(codes) != 10 {
			t.Fatalf("%s", b.raw)
		}
		w.clock.add(30 * time.Second)
		code := w.totp(secret)
		c := w.do("POST", "/api/v1/mfa/verify", tok, m{"userId": id(u), "token": code})
		w.want("verify", c, 200)
		if c.at("mfaVerified") != true {
			t.Errorf("%s", c.raw)
		}
		w.want("the same code again", w.do("POST", "/api/v1/mfa/verify", tok, m{"userId": id(u), "token": code}), 400)
		w.want("another's", w.do("POST", "/api/v1/mfa/verify", tok, m{"userId": id(other), "token": code}), 403)
		w.want("nobody's", w.do("POST", "/api/v1/mfa/verify", "", m{"userId": id(u), "token": code}), 401)
		in := w.login("doctor@example.org")
		d := w.do("POST", "/api/v1/mfa/verify", "", m{"mfaToken": in.text("mfaToken"), "token": codes[0]})
		w.want("a sign-in", d, 200)
		if d.at("mfaVerified") != true || d.text("token") == "" {
			t.Errorf("%s", d.raw)
		}
		if a := status(); a.at("mfaEnabled") != true || a.at("data.method") != "totp" || a.at("backupCodesRemaining") != 9.0 {
			t.Errorf("%s", a.raw)
		}
		e := w.do("POST", "/api/v1/mfa/regenerate-backup-codes", tok, m{"token": codes[1]})
		w.want("regenerate", e, 200)
		fresh, _ := e.at("backupCodes").([]any)
		w.want("without proof", w.do("POST", "/api/v1/mfa/disable", tok, m{}), 400)
		w.want("disable", w.do("POST", "/api/v1/mfa/disable", tok, m{"password": password, "token": fresh[0]}), 200)
		if a := status(); a.at("mfaEnabled") != false || a.at("backupCodesRemaining") != 0.0 {
			t.Errorf("%s", a.raw)
		}
	})
}

// TestContractMFALocks: whoever has a session, and not the phone, guesses at codes five times.
func TestContractMFALocks(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "doctor@example.org", "doctor")
		tok := w.token("doctor@example.org")
		e, err := w.s.EnableMFA(system(1), u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.s.VerifyMFA(system(1), u, w.totp(e.Secret)); err != nil {
			t.Fatal(err)
		}
		w.clock.add(30 * time.Second)
		for range 5 {
			w.want("a guess", w.do("POST", "/api/v1/mfa/verify", tok, m{"token": "12345x"}), 400)
		}
		w.want("the right one after it", w.do("POST", "/api/v1/mfa/verify", tok, m{"token": w.totp(e.Secret)}), 423)
	})
}

// TestOneUser: each front end finds a user where it looks for one: at the top, in data, and in data.user.
func TestOneUser(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		u := w.user(1, "nurse@example.org", "nurse")
		tok := w.token("nurse@example.org")
		for _, path := range []string{"/api/v1/auth/me", "/api/v1/users/" + id(u), "/api/v1/users/me"} {
			a := w.do("GET", path, tok, nil)
			w.want(path, a, 200)
			for _, at := range []string{"user.id", "data.id", "data.user.id"} {
				if a.text(at) != id(u) {
					t.Errorf("%s: %s is %q", path, at, a.text(at))
				}
			}
		}
	})
}

// TestSetupState: a page learns whether there is an administrator yet, and of which tenant; nothing else.
func TestSetupState(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		if a := w.do("GET", "/api/v1/auth/setup", "", nil); a.status != 200 || a.at("setupRequired") != true {
			t.Errorf("%d %s", a.status, a.raw)
		}
		u := w.user(1, "admin@example.org", "admin")
		if a := w.do("GET", "/api/v1/auth/setup", "", nil); a.status != 200 || a.at("setupRequired") != false || strings.Contains(string(a.raw), id(u)) {
			t.Errorf("%d %s", a.status, a.raw)
		}
	})
}

// TestOwnWords: a password does not contain the address or the user name, in whatever case and form they are written.
func TestOwnWords(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		for name, x := range map[string]struct {
			email, username, password string
			bad                       bool
		}{
			"first part of the address":    {"khadija@example.org", "", "blue-khadija-lamp-91", true},
			"in capitals":                  {"khadija@example.org", "", "blueKHADIJAlamp91", true},
			"the whole address":            {"khadija@example.org", "", "my khadija@example.org key", true},
			"the user name":                {"k1@example.org", "dr_osman", "seven dr_osman lamps", true},
			"decomposed":                   {"héloïse@example.org", "", "seven he\u0301loi\u0308se lamps", true},
			"a short one":                  {"al@example.org", "", "always seven lamps", false}, // it is a part of many words
			"a short one alone with marks": {"al@example.org", "al.o", "AL.O2026!", true},
			"another's":                    {"khadija@example.org", "", "blue osman lamp 91", false},
		} {
			u, err := w.s.Create(system(1), 1, identity.NewUser{Email: x.email, Username: x.username, Password: x.password, Role: "nurse"})
			if x.bad != (fault.Is(err, fault.Invalid) && strings.HasPrefix(err.Error(), "password:")) || !x.bad && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if u != nil {
				if err := w.s.Delete(system(1), 1, u.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestKeyConfusion: what is signed by the tenant's public key as if it were a shared secret, or names a key of its own, opens nothing.
func TestKeyConfusion(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		w.user(1, "nurse@example.org", "nurse")
		good := strings.Split(w.token("nurse@example.org"), ".")
		published, err := w.ring.JWKS(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		set, err := jwk.Parse(published)
		if err != nil || set.Len() == 0 {
			t.Fatal(err, set.Len())
		}
		var head map[string]any
		plain, err := base64.RawURLEncoding.DecodeString(good[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(plain, &head); err != nil {
			t.Fatal(err)
		}
		refused := func(what string, header map[string]any, secret []byte) {
			t.Helper()
			coded, err := json.Marshal(header)
			if err != nil {
				t.Fatal(err)
			}
			input := base64.RawURLEncoding.EncodeToString(coded) + "." + good[1]
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			raw := input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
			if c, err := w.s.Authenticate(t.Context(), identity.Credentials{Bearer: raw}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("%s: %+v %v", what, c, err)
			}
		}
		for i := range set.Len() {
			k, _ := set.Key(i)
			kid, _ := k.KeyID()
			var public any
			if err := jwk.Export(k, &public); err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(public)
			if err != nil {
				t.Fatal(err)
			}
			jwkText, err := json.Marshal(k)
			if err != nil {
				t.Fatal(err)
			}
			for what, secret := range map[string][]byte{"the JWK": jwkText, "the JWKS": published, "DER": der,
				"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
				refused("HS256 by "+what, map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": kid}, secret)
			}
		}
		for what, kid := range map[string]any{"a path": "../../../dev/null", "SQL": "x' OR '1'='1", "another tenant's": "2", "none": "", "a number": 1, "a list": []string{"a"}} {
			refused("kid "+what, map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": kid}, nil)
			refused("ES256, kid "+what, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}, nil)
		}
		for name, v := range map[string]any{"jku": "https://evil.example/jwks", "x5u": "https://evil.example/x", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}, "crit": []string{"exp"}} {
			refused(name, map[string]any{"alg": head["alg"], "typ": "at+jwt", "kid": head["kid"], name: v}, []byte{0, 0, 0})
		}
	})
}
