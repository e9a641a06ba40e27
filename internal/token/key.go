package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// The algorithms that tokens are signed by (RFC 7518, 3.1).
const (
	ES256 = "ES256"
	RS256 = "RS256"
)

// algorithm returns the library's value of one of ours.
func algorithm(alg string) jwa.SignatureAlgorithm {
	if alg == RS256 {
		return jwa.RS256()
	}
	return jwa.ES256()
}

// generators make keys, by algorithm.
var generators = map[string]func() (crypto.Signer, error){
	ES256: func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	RS256: func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
}

// state is where a key stands in its life.
type state string

const (
	next    state = "next"    // published, does not sign yet
	active  state = "active"  // signs
	retired state = "retired" // published until nothing that it signed is valid
	gone    state = "gone"
)

// key is a key as the database has it, without its private half.
type key struct {
	kid, alg                 string
	state                    state
	public                   crypto.PublicKey
	made, activated, retired time.Time
}

// signingKey is a key with its private half.
type signingKey struct {
	*key
	signer crypto.Signer
}

// freshKey is a key that is not stored yet.
type freshKey struct {
	kid, alg        string
	public, private []byte // the private one sealed
}

// generate makes a key of the algorithm.
func (r *Ring) generate(ctx context.Context, tenant int32, alg string) (*freshKey, error) {
	kid, err := r.newKid(ctx, tenant)
	if err != nil {
		return nil, err
	}
	signer, err := generators[alg]()
	if err != nil {
		return nil, fmt.Errorf("token: a key: %w", err)
	}
	k := &freshKey{kid: kid, alg: alg}
	if k.public, err = x509.MarshalPKIXPublicKey(signer.Public()); err != nil {
		return nil, fmt.Errorf("token: a key: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, fmt.Errorf("token: a key: %w", err)
	}
	k.private, err = r.ledger.Seal(ctx, tenant, privatePlace(kid), private)
	clear(private)
	return k, err
}

// privatePlace names the place that a private key is sealed for.
func privatePlace(kid string) string { return "signing_key.private/" + kid }

// A kid is random, with a keyed hash of that behind it: a kid that this program did not make is told without asking the database.
const (
	kidRandom = 12
	kidMAC    = 6
)

func (r *Ring) newKid(ctx context.Context, tenant int32) (string, error) {
	b := make([]byte, kidRandom)
	_, _ = rand.Read(b) // never fails: the program ends when the system has no randomness
	mac, err := r.kidHash(ctx, tenant, b)
	return base64.RawURLEncoding.EncodeToString(append(b, mac...)), err
}

func (r *Ring) kidHash(ctx context.Context, tenant int32, random []byte) ([]byte, error) {
	sum, err := r.ledger.Blind(ctx, tenant, "signing_key.kid", string(random))
	if err != nil {
		return nil, err
	}
	return sum[:kidMAC], nil
}

// authentic reports whether the kid is one that this program gave to a key of the tenant.
func (r *Ring) authentic(ctx context.Context, tenant int32, kid string) (bool, error) {
	b, ok := decode(kid)
	if !ok || len(b) != kidRandom+kidMAC {
		return false, nil
	}
	want, err := r.kidHash(ctx, tenant, b[:kidRandom:kidRandom])
	return err == nil && hmac.Equal(want, b[kidRandom:]), err
}

// marshalJWKS is the published keys in JSON (RFC 7517, 5).
func marshalJWKS(keys []*key) ([]byte, error) {
	set := struct {
		Keys []jwk.Key `json:"keys"`
	}{Keys: []jwk.Key{}}
	for _, k := range keys {
		if k.state == gone {
			continue
		}
		j, err := jwk.Import(k.public)
		if err != nil {
			return nil, fmt.Errorf("token: a public key: %w", err)
		}
		for name, v := range map[string]any{jwk.KeyIDKey: k.kid, jwk.KeyUsageKey: "sig", jwk.AlgorithmKey: algorithm(k.alg)} {
			if err := j.Set(name, v); err != nil {
				return nil, fmt.Errorf("token: a public key: %w", err)
			}
		}
		set.Keys = append(set.Keys, j)
	}
	out, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return out, nil
}
