package oauth_test

import (
	"context"
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
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/nilecare/nilecare/internal/module/identity/oauth"
)

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// signingKey is a client's private key with its kid.
type signingKey struct {
	raw any
	key jwk.Key
	alg jwa.SignatureAlgorithm
}

func newKey(t *testing.T, kid string, alg jwa.SignatureAlgorithm) signingKey {
	t.Helper()
	var raw any
	var err error
	switch alg {
	case jwa.ES384():
		raw, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jwa.ES256():
		raw, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		raw, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	k, err := jwk.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	_ = k.Set(jwk.KeyIDKey, kid)
	return signingKey{raw, k, alg}
}

func jwks(t *testing.T, keys ...signingKey) json.RawMessage {
	t.Helper()
	set := jwk.NewSet()
	for _, k := range keys {
		pub, err := k.key.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		_ = set.AddKey(pub)
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (k signingKey) sign(t *testing.T, claims map[string]any, head map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	h := jws.NewHeaders()
	kid, _ := k.key.KeyID()
	_ = h.Set("kid", kid)
	_ = h.Set("typ", "JWT")
	for n, v := range head {
		if v == nil {
			_ = h.Remove(n)
			continue
		}
		if err := h.Set(n, v); err != nil {
			t.Fatal(err)
		}
	}
	out, err := jws.Sign(payload, jws.WithKey(k.alg, k.raw, jws.WithProtectedHeaders(h)))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var jtis atomic.Int64

func (w *world) claimsFor(client string) map[string]any {
	return map[string]any{"iss": client, "sub": client, "aud": w.base + "/oauth2/token", "jti": fmt.Sprint("j", jtis.Add(1)),
		"exp": w.clock.now().Add(4 * time.Minute).Unix(), "iat": w.clock.now().Unix()}
}

func backend(assertion string, pairs ...string) url.Values {
	f := url.Values{"grant_type": {"client_credentials"}, "scope": {"system/Observation.rs"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Set(pairs[i], pairs[i+1])
	}
	return f
}

func (w *world) backend(id string, change func(*oauth.ClientMeta)) {
	w.client(id, func(m *oauth.ClientMeta) {
		*m = oauth.ClientMeta{Name: "Reporting", AuthMethod: "private_key_jwt", GrantTypes: []string{"client_credentials"}, Scope: "system/*.rs"}
		change(m)
	})
}

// TestBackendServices: SMART Backend Services with each algorithm, and every attack on assertions that is known.
func TestBackendServices(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		keys := map[string]signingKey{"r384": newKey(t, "r384", jwa.RS384()), "e384": newKey(t, "e384", jwa.ES384()), "e256": newKey(t, "e256", jwa.ES256()),
			"r256": newKey(t, "r256", jwa.RS256())}
		w.backend("report", func(m *oauth.ClientMeta) { m.JWKS = jwks(t, keys["r384"], keys["e384"], keys["e256"], keys["r256"]) })
		w.backend("other", func(m *oauth.ClientMeta) { m.JWKS = jwks(t, newKey(t, "r384", jwa.RS384())) })
		for name, k := range keys {
			out := w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil))).want(t, 200, "")
			if out.m["expires_in"] != 300.0 || out.str("scope") != "system/Observation.rs" || out.m["refresh_token"] != nil {
				t.Fatalf("%s: %v", name, out.m)
			}
			c := w.claims(out.str("access_token"), "at+jwt")
			if c.Subject != "report" || c.Extra["client_id"] != "report" || c.Audience[0] != w.fhir || c.Extra["sid"] != nil {
				t.Fatalf("%+v", c)
			}
		}
		k := keys["r384"]
		stranger := newKey(t, "r384", jwa.RS384())
		pub, _ := k.key.PublicKey()
		strangerPub, _ := stranger.key.PublicKey()
		der, _ := x509.MarshalPKIXPublicKey(&k.raw.(*rsa.PrivateKey).PublicKey)
		pubPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		pubJSON, _ := json.Marshal(pub)
		var fetched atomic.Int64
		evil := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			fetched.Add(1)
			_, _ = rw.Write(jwks(t, stranger))
		}))
		defer evil.Close()
		with := func(change func(map[string]any)) map[string]any {
			c := w.claimsFor("report")
			change(c)
			return c
		}
		set := func(name string, v any) map[string]any { return with(func(c map[string]any) { c[name] = v }) }
		without := func(name string) map[string]any { return with(func(c map[string]any) { delete(c, name) }) }
		soon := func(d time.Duration) int64 { return w.clock.now().Add(d).Unix() }
		for name, raw := range map[string]string{
			"alg none":                     unsigned(`{"alg":"none","kid":"r384"}`, w.claimsFor("report"), ""),
			"alg None":                     unsigned(`{"alg":"None","kid":"r384"}`, w.claimsFor("report"), ""),
			"no alg":                       unsigned(`{"kid":"r384"}`, w.claimsFor("report"), "x"),
			"HS256 with the PEM":           hs256("r384", w.claimsFor("report"), pubPEM),
			"HS256 with the DER":           hs256("r384", w.claimsFor("report"), der),
			"HS256 with the JWK":           hs256("r384", w.claimsFor("report"), pubJSON),
			"another's key":                stranger.sign(t, w.claimsFor("report"), nil),
			"a key in the header":          stranger.sign(t, w.claimsFor("report"), map[string]any{"jwk": strangerPub}),
			"an address of keys":           stranger.sign(t, w.claimsFor("report"), map[string]any{"jku": evil.URL}),
			"an address of certificates":   stranger.sign(t, w.claimsFor("report"), map[string]any{"x5u": evil.URL}),
			"an unknown kid":               k.sign(t, w.claimsFor("report"), map[string]any{"kid": "r385"}),
			"a kid that is a path":         k.sign(t, w.claimsFor("report"), map[string]any{"kid": "../../dev/null"}),
			"a kid that is SQL":            k.sign(t, w.claimsFor("report"), map[string]any{"kid": "x' OR '1'='1"}),
			"no kid among several":         k.sign(t, w.claimsFor("report"), map[string]any{"kid": nil}),
			"the kid of another alg's key": k.sign(t, w.claimsFor("report"), map[string]any{"kid": "e384"}),
			"PS256":                        signingKey{k.raw, k.key, jwa.PS256()}.sign(t, w.claimsFor("report"), nil),
			"RS512":                        signingKey{k.raw, k.key, jwa.RS512()}.sign(t, w.claimsFor("report"), nil),
			"an unknown critical header":   unsigned(`{"alg":"RS384","kid":"r384","crit":["b64"],"b64":false}`, w.claimsFor("report"), "x"),
			"an access token's type":       k.sign(t, w.claimsFor("report"), map[string]any{"typ": "at+jwt"}),
			"expired":                      k.sign(t, set("exp", soon(-time.Minute)), nil),
			"no exp":                       k.sign(t, without("exp"), nil),
			"exp as text":                  k.sign(t, set("exp", "9999999999"), nil),
			"exp in six minutes":           k.sign(t, set("exp", soon(6*time.Minute)), nil),
			"exp in a year":                k.sign(t, set("exp", soon(365*24*time.Hour)), nil),
			"not before tomorrow":          k.sign(t, set("nbf", soon(24*time.Hour)), nil),
			"issued tomorrow":              k.sign(t, set("iat", soon(24*time.Hour)), nil),
			"another audience":             k.sign(t, set("aud", "https://evil.example/token"), nil),
			"ours and another audience":    k.sign(t, set("aud", []string{w.base + "/oauth2/token", "https://evil.example/token"}), nil),
			"the FHIR base as audience":    k.sign(t, set("aud", w.fhir), nil),
			"no audience":                  k.sign(t, without("aud"), nil),
			"no jti":                       k.sign(t, without("jti"), nil),
			"an empty jti":                 k.sign(t, set("jti", ""), nil),
			"another sub":                  k.sign(t, set("sub", "other"), nil),
			"another iss":                  k.sign(t, set("iss", "other"), nil),
			"no iss":                       k.sign(t, without("iss"), nil),
			"another client's iss and sub": k.sign(t, with(func(c map[string]any) { c["iss"], c["sub"] = "other", "other" }), nil),
			"a client that is not there":   k.sign(t, with(func(c map[string]any) { c["iss"], c["sub"] = "ghost", "ghost" }), nil),
			"a signature cut":              cut(k.sign(t, w.claimsFor("report"), nil)),
			"no signature":                 noSignature(k.sign(t, w.claimsFor("report"), nil)),
			"other claims under it":        swapped(k.sign(t, w.claimsFor("report"), nil), w.claimsFor("report")),
			"four parts":                   k.sign(t, w.claimsFor("report"), nil) + ".x",
			"nothing":                      "..",
			"the JSON serialization":       `{"payload":"","signatures":[]}`,
		} {
			if r := w.post("/oauth2/token", backend(raw)); r.status != 401 || r.str("error") != "invalid_client" || r.str("access_token") != "" {
				t.Errorf("%s: %d %v", name, r.status, r.m)
			}
		}
		if fetched.Load() != 0 {
			t.Error("keys were fetched from where an assertion said")
		}
		once := k.sign(t, w.claimsFor("report"), nil)
		w.post("/oauth2/token", backend(once)).want(t, 200, "")
		w.post("/oauth2/token", backend(once)).want(t, 401, "invalid_client")
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "client_id", "other")).want(t, 401, "invalid_client")
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "client_assertion_type", "x")).want(t, 400, "invalid_request")
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "client_secret", "x")).want(t, 400, "invalid_request")
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "scope", "user/*.read")).want(t, 400, "invalid_scope")
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "scope", "system/Observation.cud")).want(t, 400, "invalid_scope")
		if out := w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "scope", "system/Observation.cruds")).want(t, 200, ""); out.str("scope") != "system/Observation.rs" {
			t.Fatal(out.m)
		}
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "grant_type", "authorization_code")).want(t, 400, "unauthorized_client")
		w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil), "grant_type", "password")).want(t, 400, "unsupported_grant_type")
		// The issuer is an audience that clients of RFC 7523bis name.
		w.post("/oauth2/token", backend(k.sign(t, set("aud", w.base), nil))).want(t, 200, "")
	})
}

func part(v any) string {
	b, _ := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(b)
}

func unsigned(head string, claims map[string]any, signature string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + part(claims) + "." + signature
}

func hs256(kid string, claims map[string]any, key []byte) string {
	text := part(map[string]string{"alg": "HS256", "kid": kid, "typ": "JWT"}) + "." + part(claims)
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func cut(raw string) string         { return raw[:len(raw)-8] }
func noSignature(raw string) string { return raw[:strings.LastIndexByte(raw, '.')+1] }

func swapped(raw string, claims map[string]any) string {
	parts := strings.Split(raw, ".")
	c := maps.Clone(claims)
	c["jti"] = "swapped"
	return parts[0] + "." + part(c) + "." + parts[2]
}

// TestKeysByURL: keys come from the registered address, are held, and are fetched again for a new kid once a minute at most.
func TestKeysByURL(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		first, second := newKey(t, "k1", jwa.ES384()), newKey(t, "k2", jwa.ES384())
		var current atomic.Value
		current.Store(jwks(t, first))
		var fetched atomic.Int64
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			fetched.Add(1)
			_, _ = rw.Write(current.Load().(json.RawMessage))
		}))
		defer srv.Close()
		w.backend("report", func(m *oauth.ClientMeta) { m.JWKSURI = srv.URL + "/jwks.json" })
		try := func(k signingKey) int {
			return w.post("/oauth2/token", backend(k.sign(t, w.claimsFor("report"), nil))).status
		}
		for range 3 {
			if s := try(first); s != 200 {
				t.Fatal(s)
			}
		}
		if n := fetched.Load(); n != 1 {
			t.Fatalf("fetched %d times", n)
		}
		current.Store(jwks(t, second))
		if s := try(second); s != 401 || fetched.Load() != 1 {
			t.Fatal("fetched again within a minute")
		}
		w.clock.add(61 * time.Second)
		if s := try(second); s != 200 || fetched.Load() != 2 {
			t.Fatal(s, fetched.Load())
		}
		if s := try(first); s != 401 { // a key that was withdrawn
			t.Fatal(s)
		}
	})
}

// TestKeyFetchesStayOutside: neither a name that resolves to a private address nor a redirect leads inside.
func TestKeyFetchesStayOutside(t *testing.T) {
	each(t, func(o *oauth.Options) { o.Loopback = false }, func(t *testing.T, w *world) {
		var asked atomic.Int64
		srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		defer srv.Close()
		_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "https://"), ":")
		for i, uri := range []string{"http://127.0.0.1:" + port, "http://keys.example/jwks", "ftp://keys.example", "https://u:p@keys.example/"} {
			_, _, err := w.s.CreateClient(context.Background(), 1, oauth.NewClient{Meta: oauth.ClientMeta{Name: "x", AuthMethod: "private_key_jwt",
				GrantTypes: []string{"client_credentials"}, JWKSURI: uri}}, "program", "test")
			if err == nil {
				t.Errorf("%d: %s was registered", i, uri)
			}
		}
		k := newKey(t, "k1", jwa.ES384())
		for i, uri := range []string{"https://127.0.0.1:" + port, "https://localhost:" + port, "https://[::1]:" + port, "https://[::ffff:127.0.0.1]:" + port,
			"https://0.0.0.0:" + port, "https://2130706433:" + port} {
			id := fmt.Sprint("report", i)
			w.backend(id, func(m *oauth.ClientMeta) { m.JWKSURI = uri })
			w.post("/oauth2/token", backend(k.sign(t, w.claimsFor(id), nil))).want(t, 401, "invalid_client")
		}
		if asked.Load() != 0 {
			t.Fatal("a connection went inside")
		}
	})
}

// TestSecrets: a client authenticates in the way that it registered, and in no other.
func TestSecrets(t *testing.T) {
	each(t, nil, func(t *testing.T, w *world) {
		system := func(m *oauth.ClientMeta) {
			m.GrantTypes, m.Scope = []string{"client_credentials"}, "system/*.rs"
			m.RedirectURIs = nil
		}
		_, basic := w.client("basic", func(m *oauth.ClientMeta) { system(m); m.AuthMethod = "client_secret_basic" })
		_, post := w.client("post", func(m *oauth.ClientMeta) { system(m); m.AuthMethod = "client_secret_post" })
		f := func(pairs ...string) url.Values {
			v := url.Values{"grant_type": {"client_credentials"}, "scope": {"system/Patient.r"}}
			for i := 0; i+1 < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			return v
		}
		auth := func(id, secret string) []string {
			return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
		}
		w.post("/oauth2/token", f(), auth("basic", basic)...).want(t, 200, "")
		w.post("/oauth2/token", f("client_id", "post", "client_secret", post)).want(t, 200, "")
		w.post("/api/v1/oauth/token", f("client_id", "post", "client_secret", post)).want(t, 200, "")
		r := w.post("/oauth2/token", f(), auth("basic", basic+"x")...).want(t, 401, "invalid_client")
		if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic") {
			t.Error(r.header)
		}
		w.post("/oauth2/token", f(), auth("post", post)...).want(t, 401, "invalid_client")
		w.post("/oauth2/token", f("client_id", "basic", "client_secret", basic)).want(t, 401, "invalid_client")
		w.post("/oauth2/token", f("client_id", "basic")).want(t, 401, "invalid_client")
		w.post("/oauth2/token", f("client_secret", basic), auth("basic", basic)...).want(t, 400, "invalid_request")
		w.post("/oauth2/token", f("client_id", "post"), auth("basic", basic)...).want(t, 401, "invalid_client")
		w.post("/oauth2/token", f()).want(t, 401, "invalid_client")
		w.send("POST", "/oauth2/token", `{"grant_type":"client_credentials"}`, "Content-Type", "application/json").want(t, 400, "invalid_request")
		w.send("POST", "/oauth2/token", "grant_type=a&grant_type=b", "Content-Type", "application/x-www-form-urlencoded").want(t, 400, "invalid_request")
		w.send("GET", "/oauth2/token", "").want(t, 405, "invalid_request")
		// A disabled client is nobody.
		admin := []string{"Authorization", "Bearer user:13", "Content-Type", "application/json"}
		w.send("PUT", "/api/v1/oauth/clients/basic", `{"client_name":"x","grant_types":["client_credentials"],"scope":"system/*.rs","disabled":true}`, admin...).want(t, 200, "")
		w.post("/oauth2/token", f(), auth("basic", basic)...).want(t, 401, "invalid_client")
	})
}
