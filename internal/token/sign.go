package token

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jws"

	"github.com/nilecare/nilecare/internal/fault"
)

// registered are the claims that have fields of their own.
var registered = map[string]bool{"iss": true, "sub": true, "aud": true, "jti": true, "iat": true, "exp": true}

// Sign implements [Signer]. Times are cut to seconds. Issued is now where it is zero; Expires must be given, and be at most the ring's
// longest life away. An "nbf" in Extra, in seconds, is kept to when the token is verified.
func (r *Ring) Sign(ctx context.Context, tenant int32, alg, typ string, c Claims) (string, error) {
	now := r.clock()
	if c.Issued.IsZero() {
		c.Issued = now
	}
	if c.Expires.IsZero() || c.Expires.Sub(now) > r.life {
		return "", fault.New(fault.Internal, "a token must expire, within %s", r.life)
	}
	payload, err := marshalClaims(&c)
	if err != nil {
		return "", err
	}
	k, err := r.signing(ctx, r.of(tenant), alg)
	if err != nil {
		return "", err
	}
	head := jws.NewHeaders()
	for name, v := range map[string]string{jws.KeyIDKey: k.kid, jws.TypeKey: typ} {
		if v == "" {
			continue
		}
		if err := head.Set(name, v); err != nil {
			return "", fmt.Errorf("token: header: %w", err)
		}
	}
	signed, err := jws.Sign(payload, jws.WithKey(algorithm(alg), k.signer, jws.WithProtectedHeaders(head)))
	if err != nil {
		return "", fmt.Errorf("token: sign: %w", err)
	}
	return string(signed), nil
}

func marshalClaims(c *Claims) ([]byte, error) {
	m := make(map[string]any, len(c.Extra)+6)
	for name, v := range c.Extra {
		if registered[name] {
			return nil, fault.New(fault.Internal, "the claim %s has a field of its own", name)
		}
		m[name] = v
	}
	for name, v := range map[string]string{"iss": c.Issuer, "sub": c.Subject, "jti": c.ID} {
		if v != "" {
			m[name] = v
		}
	}
	switch len(c.Audience) {
	case 0:
	case 1:
		m["aud"] = c.Audience[0]
	default:
		m["aud"] = c.Audience
	}
	m["iat"], m["exp"] = c.Issued.Unix(), c.Expires.Unix()
	b, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	return b, nil
}

// seconds reads a NumericDate.
func seconds(v any) (time.Time, bool) {
	f, ok := v.(float64)
	if !ok || f < 0 || f > 1<<53 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}
