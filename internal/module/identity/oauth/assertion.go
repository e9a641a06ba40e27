package oauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/nilecare/nilecare/internal/sqldb"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgs are the algorithms of client assertions: SMART's two, and the two that most others use.
var assertionAlgs = []string{"RS384", "ES384", "ES256", "RS256"}

// The bounds on assertions: SMART App Launch 2.2, "Client Authentication: Asymmetric", says five minutes at most.
const (
	assertionLife = 5 * time.Minute
	assertionSkew = 10 * time.Second // that clocks may differ
	maxAssertion  = 16 << 10
)

// authenticate says which client sends a request to an endpoint for clients (RFC 6749 section 2.3, RFC 7523). Public clients are taken
// by their name where allowed: what they bring (a code with its verifier, a refresh token) must prove the rest.
func (s *Server) authenticate(r *http.Request, form url.Values) (*Client, error) {
	tenant := tenantOf(r.Context())
	id, sent := form.Get("client_id"), form.Get("client_secret")
	basicID, basicSecret, basic := r.BasicAuth()
	assertion := form.Get("client_assertion")
	ways := 0
	for _, has := range []bool{basic, sent != "", assertion != "" || form.Get("client_assertion_type") != ""} {
		if has {
			ways++
		}
	}
	if ways > 1 {
		return nil, bad("invalid_request", "a client authenticates in one way at a time")
	}
	if assertion != "" || form.Get("client_assertion_type") != "" {
		return s.byAssertion(r.Context(), tenant, id, form.Get("client_assertion_type"), assertion, r.URL.Path)
	}
	method := authNone
	if basic {
		var err1, err2 error
		basicID, err1 = url.QueryUnescape(basicID)
		basicSecret, err2 = url.QueryUnescape(basicSecret)
		if err1 != nil || err2 != nil || id != "" && id != basicID {
			return nil, badClient("the client is not known, or did not prove who it is")
		}
		method, id, sent = authBasic, basicID, basicSecret
	} else if sent != "" {
		method = authPost
	}
	if id == "" {
		return nil, badClient("client authentication is missing")
	}
	c, err := s.findClient(r.Context(), tenant, id)
	if err != nil {
		return nil, err
	}
	if c == nil || c.Meta.AuthMethod != method || method != authNone && !sameHash(c.secret, sent) {
		return nil, badClient("the client is not known, or did not prove who it is")
	}
	return c, nil
}

type assertionHead struct {
	Alg  string          `json:"alg"`
	Kid  string          `json:"kid"`
	Typ  string          `json:"typ"`
	Crit json.RawMessage `json:"crit"`
	B64  json.RawMessage `json:"b64"`
}

type assertionClaims struct {
	Iss string          `json:"iss"`
	Sub string          `json:"sub"`
	Aud json.RawMessage `json:"aud"`
	Jti string          `json:"jti"`
	Exp *float64        `json:"exp"`
	Nbf *float64        `json:"nbf"`
	Iat *float64        `json:"iat"`
}

// byAssertion authenticates by a signed JWT (RFC 7523 section 3). Keys come from the registration alone: a key or an address of keys in the
// assertion's own header counts for nothing.
func (s *Server) byAssertion(ctx context.Context, tenant int32, id, typ, raw, path string) (*Client, error) {
	if typ != assertionType {
		return nil, bad("invalid_request", "client_assertion_type must be "+assertionType)
	}
	refuse := badClient("the client assertion is not valid")
	parts := strings.Split(raw, ".")
	var head assertionHead
	var claims assertionClaims
	if len(raw) > maxAssertion || len(parts) != 3 || !decodePart(parts[0], &head) || !decodePart(parts[1], &claims) {
		return nil, refuse
	}
	if claims.Iss == "" || claims.Iss != claims.Sub || id != "" && id != claims.Sub {
		return nil, refuse
	}
	c, err := s.findClient(ctx, tenant, claims.Sub)
	if err != nil {
		return nil, err
	}
	if c == nil || c.Meta.AuthMethod != authJWT {
		return nil, refuse
	}
	if err := s.verifyAssertion(ctx, tenant, c, head, []byte(raw)); err != nil {
		return nil, err
	}
	expires, err := s.checkAssertion(tenant, claims, path)
	if err != nil {
		return nil, err
	}
	return c, s.useAssertion(ctx, tenant, c.ID, claims.Jti, expires)
}

// decodePart reads a part of a compact JWS. A name twice in one object would be read differently by different readers: it is refused.
func decodePart(part string, v any) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	return err == nil && onceEach(b) && json.Unmarshal(b, v) == nil
}

func onceEach(b []byte) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[strings.ToLower(name)] { // encoding/json takes names of any case
			return false
		}
		seen[strings.ToLower(name)] = true
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return false
		}
	}
	return true
}

func (s *Server) verifyAssertion(ctx context.Context, tenant int32, c *Client, head assertionHead, raw []byte) error {
	refuse := badClient("the client assertion is not valid")
	typ := strings.ToLower(head.Typ)
	if !slices.Contains(assertionAlgs, head.Alg) || c.Meta.AuthAlg != "" && head.Alg != c.Meta.AuthAlg || head.Crit != nil || head.B64 != nil ||
		typ != "" && typ != "jwt" && typ != "client-authentication+jwt" {
		return refuse
	}
	set, err := s.keysOf(ctx, tenant, c, head.Kid)
	if err != nil {
		s.o.Log.WarnContext(ctx, "oauth: a client's keys cannot be had", "client", c.ID, "error", err)
		return refuse
	}
	alg, ok := jwa.LookupSignatureAlgorithm(head.Alg)
	if !ok {
		return refuse
	}
	for _, k := range candidates(set, head) {
		if _, err := jws.Verify(raw, jws.WithKey(alg, k), jws.WithCompact()); err == nil {
			return nil
		}
	}
	return refuse
}

func (s *Server) keysOf(ctx context.Context, tenant int32, c *Client, kid string) (jwk.Set, error) {
	if c.Meta.JWKSURI != "" {
		return s.keys.keys(ctx, tenant, c.Meta.JWKSURI, kid)
	}
	return parseKeys(c.Meta.JWKS)
}

// candidates are the keys that may have signed: those of the kid, or, where the assertion names none, the only key that there is.
func candidates(set jwk.Set, head assertionHead) []jwk.Key {
	var out []jwk.Key
	for i := range set.Len() {
		k, _ := set.Key(i)
		kid, _ := k.KeyID()
		if fits(k, head.Alg) && (head.Kid != "" && kid == head.Kid || head.Kid == "" && set.Len() == 1) {
			out = append(out, k)
		}
	}
	return out
}

// checkAssertion checks the claims and returns until when the jti must be remembered.
func (s *Server) checkAssertion(tenant int32, c assertionClaims, path string) (time.Time, error) {
	refuse := badClient("the client assertion is not valid")
	if c.Exp == nil || c.Jti == "" || len(c.Jti) > 256 {
		return time.Time{}, badClient("the client assertion needs exp and jti")
	}
	now := s.now()
	expires, ok := seconds(*c.Exp)
	if !ok || !now.Before(expires.Add(assertionSkew)) {
		return time.Time{}, badClient("the client assertion has expired")
	}
	if expires.After(now.Add(assertionLife + assertionSkew)) {
		return time.Time{}, badClient("the client assertion must expire within five minutes")
	}
	for _, at := range []*float64{c.Nbf, c.Iat} {
		if at == nil {
			continue
		}
		if t, ok := seconds(*at); !ok || t.After(now.Add(assertionSkew)) {
			return time.Time{}, badClient("the client assertion is not valid yet")
		}
	}
	if !s.forUs(tenant, c.Aud, path) {
		return time.Time{}, refuse
	}
	return expires.Add(assertionSkew), nil
}

func seconds(v float64) (time.Time, bool) {
	if v < 0 || v > 1e11 {
		return time.Time{}, false
	}
	return time.UnixMicro(int64(v * 1e6)), true
}

// forUs reports that all audiences are names of this server: its token endpoint (RFC 7523 section 3, SMART), its issuer (RFC 7523bis), or the
// endpoint that was called. One that is somebody else's could be replayed there, or come from there.
func (s *Server) forUs(tenant int32, raw json.RawMessage, path string) bool {
	var list []string
	var one string
	if json.Unmarshal(raw, &one) == nil {
		list = []string{one}
	} else if json.Unmarshal(raw, &list) != nil {
		return false
	}
	issuer := s.Issuer(tenant)
	ours := []string{s.tokenEndpoint(tenant), issuer, issuer + "/", issuer + "/api/v1/oauth/token"}
	if strings.HasPrefix(path, "/oauth2/") {
		ours = append(ours, issuer+path)
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(a string) bool { return !slices.Contains(ours, a) })
}

// useAssertion remembers the jti until the assertion has expired, and refuses one that was used before.
func (s *Server) useAssertion(ctx context.Context, tenant int32, client, jti string, expires time.Time) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO oauth_assertion (tenant, client, jti, expires_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, client, jti) DO NOTHING`, tenant, client, hash(jti), expires.UnixMicro())
		if err == nil && n == 0 {
			return badClient("the client assertion was used before")
		}
		return err
	})
}
