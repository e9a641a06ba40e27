package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

var b64 = base64.RawURLEncoding

// encoded is a JSON value in base64url.
func encoded(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b64.EncodeToString(b)
}

// mac signs as HS256 does.
func mac(secret []byte, input string) string {
	m := hmac.New(sha256.New, secret)
	_, _ = m.Write([]byte(input))
	return b64.EncodeToString(m.Sum(nil))
}

// ecdsaSign signs a digest as ES256 does: r and s, 32 bytes each.
func ecdsaSign(t testing.TB, k *signingKey, sum []byte) []byte {
	t.Helper()
	private, ok := k.signer.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("no ECDSA key")
	}
	r, s, err := ecdsa.Sign(rand.Reader, private, sum)
	if err != nil {
		t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// byKey signs a payload under any header by any key.
func byKey(t testing.TB, alg jwa.SignatureAlgorithm, key any, head map[string]any, payload []byte) string {
	t.Helper()
	h := jws.NewHeaders()
	for name, v := range head {
		if err := h.Set(name, v); err != nil {
			t.Fatal(name, err)
		}
	}
	raw, err := jws.Sign(payload, jws.WithKey(alg, key, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestForgedTokens is the attacks on JSON Web Signatures that are known: none of them may tell more than that the token is not valid.
func TestForgedTokens(t *testing.T) {
	s := storetest.SQLite(t, record.Options{})
	h := newHand()
	r := ringOn(t, s, Options{Clock: h.now})
	good := map[string]string{ES256: sign(t, r, ES256, claims(h)), RS256: sign(t, r, RS256, claims(h))}
	ring := r.of(1)
	es, err := r.signing(ctx, ring, ES256)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := r.signing(ctx, ring, RS256)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good[ES256], ".")
	payload, err := b64.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	myRSA, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.Import(mine.Public())
	if err != nil {
		t.Fatal(err)
	}

	forged := map[string]string{}
	head := func(h map[string]any) map[string]any {
		out := map[string]any{"alg": ES256, "kid": es.kid, "typ": "JWT"}
		maps.Copy(out, h)
		return out
	}
	raw := func(h map[string]any, sig string) string { return encoded(t, head(h)) + "." + parts[1] + "." + sig }
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		forged["alg "+none+", no signature"] = raw(map[string]any{"alg": none}, "")
		forged["alg "+none+", a signature"] = raw(map[string]any{"alg": none}, parts[2])
	}
	for alg, k := range map[string]*signingKey{ES256: es, RS256: rs} {
		der, err := x509.MarshalPKIXPublicKey(k.public)
		if err != nil {
			t.Fatal(err)
		}
		own, err := jwk.Import(k.public)
		if err != nil {
			t.Fatal(err)
		}
		asJWK, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		for form, secret := range map[string][]byte{"DER": der, "PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "JWK": asJWK} {
			for _, hs := range []string{"HS256", alg} {
				input := encoded(t, map[string]any{"alg": hs, "kid": k.kid, "typ": "JWT"}) + "." + parts[1]
				forged["the public key of "+alg+" as secret, "+form+", "+hs] = input + "." + mac(secret, input)
			}
		}
	}
	forged["an empty secret"] = func() string {
		input := encoded(t, head(map[string]any{"alg": "HS256"})) + "." + parts[1]
		return input + "." + mac(nil, input)
	}()
	for _, kid := range []string{"", "../../../../dev/null", "/dev/null", "' OR '1'='1", "x'; DROP TABLE signing_key; --", "x' UNION SELECT 'a", "http://evil.example/key",
		"|whoami", es.kid + "\x00", es.kid + " ", " " + es.kid, strings.ToUpper(es.kid), es.kid[:len(es.kid)-1], strings.Repeat("A", 24), strings.Repeat("A", 4000), "%2e%2e%2f"} {
		forged["kid "+kid] = byKey(t, jwa.ES256(), mine, map[string]any{"kid": kid, "typ": "JWT"}, payload)
	}
	random := make([]byte, kidRandom+kidMAC)
	_, _ = rand.Read(random)
	forged["a kid of the right form"] = byKey(t, jwa.ES256(), mine, map[string]any{"kid": b64.EncodeToString(random), "typ": "JWT"}, payload)
	forged["no kid"] = byKey(t, jwa.ES256(), mine, map[string]any{"typ": "JWT"}, payload)
	forged["no kid, the right key"] = byKey(t, jwa.ES256(), es.signer, map[string]any{"typ": "JWT"}, payload)
	forged["another key under our kid"] = byKey(t, jwa.ES256(), mine, map[string]any{"kid": es.kid, "typ": "JWT"}, payload)
	forged["another RSA key under our kid"] = byKey(t, jwa.RS256(), myRSA, map[string]any{"kid": rs.kid, "typ": "JWT"}, payload)
	forged["RS256 under the kid of ES256"] = byKey(t, jwa.RS256(), rs.signer, map[string]any{"kid": es.kid, "typ": "JWT"}, payload)
	forged["ES256 under the kid of RS256"] = byKey(t, jwa.ES256(), es.signer, map[string]any{"kid": rs.kid, "typ": "JWT"}, payload)
	forged["PS256 by the key of RS256"] = byKey(t, jwa.PS256(), rs.signer, map[string]any{"kid": rs.kid, "typ": "JWT"}, payload)
	forged["RS512 by the key of RS256"] = byKey(t, jwa.RS512(), rs.signer, map[string]any{"kid": rs.kid, "typ": "JWT"}, payload)
	// Headers that point to a key, by the attacker's key and by ours: none may be there at all.
	for name, v := range map[string]any{"jku": "https://evil.example/jwks", "x5u": "https://evil.example/cert", "jwk": public, "x5t": "AAAA", "cty": "JWT"} {
		forged[name+", their key"] = byKey(t, jwa.ES256(), mine, map[string]any{"kid": es.kid, "typ": "JWT", name: v}, payload)
		forged[name+", our key"] = byKey(t, jwa.ES256(), es.signer, map[string]any{"kid": es.kid, "typ": "JWT", name: v}, payload)
	}
	for name, h := range map[string]map[string]any{"crit": {"crit": []string{"exp"}, "exp": 1}, "crit of nothing": {"crit": []string{}}, "crit b64": {"crit": []string{"b64"}, "b64": false}, "b64": {"b64": false}, "zip": {"zip": "DEF"},
		"an alg that is no text": {"alg": []string{ES256}}, "a kid that is no text": {"kid": 7}, "a typ that is no text": {"typ": nil}} {
		input := encoded(t, head(h)) + "." + parts[1]
		sum := sha256.Sum256([]byte(input))
		forged[name] = input + "." + b64.EncodeToString(ecdsaSign(t, es, sum[:]))
	}
	for name, text := range map[string]string{"alg twice": `{"alg":"none","alg":"ES256","kid":"` + es.kid + `","typ":"JWT"}`, "kid twice": `{"alg":"ES256","kid":"x","kid":"` + es.kid + `","typ":"JWT"}`,
		"no object": `"ES256"`, "more behind it": `{"alg":"ES256","kid":"` + es.kid + `","typ":"JWT"} `, "null": "null", "broken": `{"alg":`, "empty": `{}`, "upper case": `{"ALG":"ES256","KID":"` + es.kid + `","TYP":"JWT"}`} {
		input := b64.EncodeToString([]byte(text)) + "." + parts[1]
		sum := sha256.Sum256([]byte(input))
		forged["header: "+name] = input + "." + b64.EncodeToString(ecdsaSign(t, es, sum[:]))
	}
	forged["empty signature"] = parts[0] + "." + parts[1] + "."
	forged["a signature of zeros"] = parts[0] + "." + parts[1] + "." + b64.EncodeToString(make([]byte, 64))
	forged["a signature in DER"] = parts[0] + "." + parts[1] + "." + b64.EncodeToString(func() []byte {
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		der, err := es.signer.Sign(rand.Reader, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}())
	forged["another payload"] = parts[0] + "." + encoded(t, map[string]any{"iss": want.Issuer, "aud": "app", "sub": "User/1", "iat": h.now().Unix(), "exp": h.soon(time.Hour).Unix()}) + "." + parts[2]
	forged["the signature of the other"] = parts[0] + "." + parts[1] + "." + strings.Split(good[RS256], ".")[2]
	forged["no text"], forged["dots"], forged["two parts"], forged["four parts"] = "", "..", parts[0]+"."+parts[1], good[ES256]+".x"
	forged["padded"], forged["a line end"], forged["spaces"] = parts[0]+"."+parts[1]+"."+parts[2]+"==", good[ES256]+"\n", " "+good[ES256]
	forged["JSON"] = `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`
	forged["encrypted"] = strings.Repeat("A.", 4) + "A"
	forged["too long"] = good[ES256] + strings.Repeat("A", maxToken)

	for name, f := range forged {
		c, err := r.Verify(ctx, 1, f, want)
		if c != nil || !fault.Is(err, fault.Unauthenticated) || err.Error() != "the token is not valid" {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for alg, g := range good {
		if _, err := r.Verify(ctx, 1, g, want); err != nil {
			t.Errorf("the good token of %s: %v", alg, err)
		}
	}
	for i := range len(good[ES256]) {
		b := []byte(good[ES256])
		if b[i] == 'A' {
			b[i] = 'B'
		} else {
			b[i] = 'A'
		}
		if _, err := r.Verify(ctx, 1, string(b), want); !fault.Is(err, fault.Unauthenticated) {
			t.Fatalf("with byte %d changed: %v", i, err)
		}
	}
}

// TestUnwantedTokens is tokens that the ring signed, and that are not what is wanted.
func TestUnwantedTokens(t *testing.T) {
	s := storetest.SQLite(t, record.Options{})
	h := newHand()
	r := ringOn(t, s, Options{Clock: h.now})
	const invalid, expired = "the token is not valid", "the token has expired"
	at := func(d time.Duration) time.Time { return h.soon(d) }
	for name, c := range map[string]struct {
		typ    string
		change func(*Claims)
		want   func(*Want)
		says   string
	}{
		"as it should be":        {},
		"its type is not asked":  {want: func(w *Want) { w.Type = "" }},
		"no audience is asked":   {want: func(w *Want) { w.Audience = "" }},
		"one of its audiences":   {change: func(c *Claims) { c.Audience = []string{"x", "app"} }},
		"an access token for ID": {typ: "at+jwt", says: invalid},
		"no type":                {typ: "-", says: invalid},
		"another issuer":         {change: func(c *Claims) { c.Issuer = "https://evil.example" }, says: invalid},
		"issuer with a slash":    {change: func(c *Claims) { c.Issuer += "/" }, says: invalid},
		"no issuer":              {change: func(c *Claims) { c.Issuer = "" }, says: invalid},
		"no issuer is wanted":    {want: func(w *Want) { w.Issuer = "" }, says: invalid},
		"another audience":       {change: func(c *Claims) { c.Audience = []string{"other"} }, says: invalid},
		"no audience":            {change: func(c *Claims) { c.Audience = nil }, says: invalid},
		"expired":                {change: func(c *Claims) { c.Expires = at(-31 * time.Second) }, says: expired},
		"expired long ago":       {change: func(c *Claims) { c.Expires = at(-24 * time.Hour) }, says: expired},
		"expired within leeway":  {change: func(c *Claims) { c.Expires = at(-29 * time.Second) }},
		"issued in the future":   {change: func(c *Claims) { c.Issued = at(31 * time.Second) }, says: invalid},
		"issued a little ahead":  {change: func(c *Claims) { c.Issued = at(29 * time.Second) }},
		"not yet valid":          {change: func(c *Claims) { c.Extra = map[string]any{"nbf": at(31 * time.Second).Unix()} }, says: invalid},
		"just about valid":       {change: func(c *Claims) { c.Extra = map[string]any{"nbf": at(29 * time.Second).Unix()} }},
		"nbf is no number":       {change: func(c *Claims) { c.Extra = map[string]any{"nbf": "soon"} }, says: invalid},
	} {
		cl, w, typ := claims(h), want, "JWT"
		if c.change != nil {
			c.change(&cl)
		}
		if c.want != nil {
			c.want(&w)
		}
		switch c.typ {
		case "":
		case "-":
			typ = ""
		default:
			typ = c.typ
		}
		raw, err := r.Sign(ctx, 1, ES256, typ, cl)
		if err != nil {
			t.Fatal(name, err)
		}
		_, err = r.Verify(ctx, 1, raw, w)
		if c.says == "" && err != nil || c.says != "" && (!fault.Is(err, fault.Unauthenticated) || err.Error() != c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// FuzzVerify: no text makes a panic, or passes.
func FuzzVerify(f *testing.F) {
	s := storetest.SQLite(f, record.Options{})
	h := newHand()
	r := ringOn(f, s, Options{Clock: h.now})
	good := sign(f, r, ES256, claims(h))
	for _, seed := range []string{good, "", "a.b.c", good[:40], `e30.e30.e30`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if c, err := r.Verify(ctx, 1, raw, want); raw != good && (c != nil || !fault.Is(err, fault.Unauthenticated)) {
			t.Fatalf("%q: %+v, %v", raw, c, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := storetest.SQLite(b, record.Options{})
	h := newHand()
	r := ringOn(b, s, Options{Clock: h.now})
	for _, alg := range []string{ES256, RS256} {
		raw := sign(b, r, alg, claims(h))
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Verify(ctx, 1, raw, want); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
