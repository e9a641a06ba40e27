// Package token keeps the keys that sign what the program says of its callers, and signs and verifies it: JSON Web Tokens (RFC 7519).
//
// A tenant has a ring of keys for each algorithm. One signs; the next one is published before it does, and one that signed is published
// until the last token that it signed has expired. Private keys lie in the database sealed by the tenant's key.
package token

import (
	"context"
	"time"
)

// Claims are what a token says. Names that RFC 7519 registers have fields; all others are in Extra.
type Claims struct {
	Issuer   string
	Subject  string
	Audience []string
	ID       string // jti
	Issued   time.Time
	Expires  time.Time
	Extra    map[string]any
}

// Want is what a verifier insists on. Tokens are taken of the ring's own algorithms alone; typ is checked where it is not "".
type Want struct {
	Issuer   string
	Audience string // one of the token's; "" is not checked
	Type     string // the header's typ: "at+jwt" for access tokens (RFC 9068), "JWT" for ID tokens
}

// Signer is what services ask of the ring.
type Signer interface {
	// Sign returns a compact token of the type ("at+jwt", "JWT") by the tenant's current key of the algorithm ("ES256", "RS256").
	Sign(ctx context.Context, tenant int32, alg, typ string, c Claims) (string, error)
	// Verify returns the claims of a token that the tenant's ring signed and that is what is wanted, at this time. Unauthenticated for
	// every other, without saying more than "the token is not valid" or "the token has expired".
	Verify(ctx context.Context, tenant int32, raw string, want Want) (*Claims, error)
	// JWKS returns the published keys of the tenant, in JSON (RFC 7517).
	JWKS(ctx context.Context, tenant int32) ([]byte, error)
}
