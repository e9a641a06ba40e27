package token

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/nilecare/nilecare/internal/fault"
)

// maxToken is how many bytes of token are looked at.
const maxToken = 16 << 10

// The only things that a caller is told about a token that is not taken.
var (
	errInvalid = fault.New(fault.Unauthenticated, "the token is not valid")
	errExpired = fault.New(fault.Unauthenticated, "the token has expired")
)

// Verify implements [Signer]. The key is one of the tenant's own, and says by which algorithm it verifies: what the token says of
// its algorithm must be the same, and no header but alg, kid and typ is borne, so that none can point to another key (jku, jwk, x5u,
// x5c) or demand anything (crit). Numbers in Extra are float64. An error of another kind is the database's.
func (r *Ring) Verify(ctx context.Context, tenant int32, raw string, want Want) (*Claims, error) {
	head, payload, ok := split(raw)
	if !ok || want.Type != "" && head.typ != want.Type {
		return nil, errInvalid
	}
	k, err := r.known(ctx, r.of(tenant), head.kid)
	if err != nil {
		return nil, err
	}
	if k == nil || k.state == gone || k.alg != head.alg {
		return nil, errInvalid
	}
	if _, err := jws.VerifyCompactFast(k.public, []byte(raw), algorithm(k.alg)); err != nil {
		return nil, errInvalid
	}
	c, notBefore, ok := readClaims(payload)
	if !ok || c.Issuer != want.Issuer || want.Audience != "" && !slices.Contains(c.Audience, want.Audience) {
		return nil, errInvalid
	}
	now := r.clock()
	if c.Issued.After(now.Add(leeway)) || notBefore.after(now.Add(leeway).Unix()) {
		return nil, errInvalid
	}
	if !now.Before(c.Expires.Add(leeway)) {
		return nil, errExpired
	}
	return c, nil
}

// header is all that a token's header may hold.
type header struct{ alg, kid, typ string }

// split takes a compact token apart: three parts in base64url without padding, of which the first is a header.
func split(raw string) (h header, payload []byte, ok bool) {
	if len(raw) > maxToken || strings.Count(raw, ".") != 2 {
		return h, nil, false
	}
	var parts [3][]byte
	for i, p := range strings.Split(raw, ".") {
		if parts[i], ok = decode(p); !ok || len(parts[i]) == 0 {
			return h, nil, false
		}
	}
	h, ok = readHeader(parts[0])
	return h, parts[1], ok
}

// decode reads base64url without padding, in its one form.
func decode(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") { // which the library skips
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil
}

// readHeader reads an object of strings, each of them known and there once.
func readHeader(b []byte) (h header, ok bool) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return h, false
	}
	fields := map[string]*string{"alg": &h.alg, "kid": &h.kid, "typ": &h.typ}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return h, false
		}
		text, _ := name.(string)
		field := fields[text]
		delete(fields, text)
		value, err := d.Token()
		if err != nil || field == nil {
			return h, false
		}
		s, isText := value.(string)
		if !isText || s == "" {
			return h, false
		}
		*field = s
	}
	if _, err := d.Token(); err != nil || d.InputOffset() != int64(len(b)) {
		return h, false
	}
	return h, h.alg != "" && h.kid != ""
}

// moment is a time that may be absent.
type moment struct {
	unix  int64
	given bool
}

func (m moment) after(unix int64) bool { return m.given && m.unix > unix }

// readClaims reads what marshalClaims wrote.
func readClaims(payload []byte) (c *Claims, notBefore moment, ok bool) {
	var m map[string]any
	if err := json.Unmarshal(payload, &m); err != nil || m == nil {
		return nil, notBefore, false
	}
	c = &Claims{}
	for name, to := range map[string]*string{"iss": &c.Issuer, "sub": &c.Subject, "jti": &c.ID} {
		if v, has := m[name]; has {
			if *to, ok = v.(string); !ok {
				return nil, notBefore, false
			}
		}
	}
	if c.Issued, ok = seconds(m["iat"]); !ok {
		return nil, notBefore, false
	}
	if c.Expires, ok = seconds(m["exp"]); !ok {
		return nil, notBefore, false
	}
	if v, has := m["nbf"]; has {
		t, good := seconds(v)
		if !good {
			return nil, notBefore, false
		}
		notBefore = moment{t.Unix(), true}
	}
	if c.Audience, ok = audience(m["aud"]); !ok {
		return nil, notBefore, false
	}
	for name := range registered {
		delete(m, name)
	}
	if len(m) > 0 {
		c.Extra = m
	}
	return c, notBefore, true
}

func audience(v any) ([]string, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case string:
		return []string{v}, true
	case []any:
		out := make([]string, len(v))
		for i, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, false
			}
			out[i] = s
		}
		return out, true
	}
	return nil, false
}
