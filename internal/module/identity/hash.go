package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"runtime"
	"sync/atomic"

	"github.com/alexedwards/argon2id"

	"github.com/nilecare/nilecare/internal/fault"
)

// passwordParams are OWASP's for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
var passwordParams = &argon2id.Params{Memory: 19 * 1024, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hasher makes and verifies password hashes, a few at a time: each takes much memory and time on purpose, and a flood of them must
// neither exhaust the machine nor stand in the way of everything else.
type hasher struct {
	places chan struct{}
	dummy  string       // a hash of nobody's password, for users who are unknown or have none
	count  atomic.Int64 // verifications, for tests
}

// waiting is how many may wait for a place; more are told to come again.
const waiting = 64

func newHasher() (*hasher, error) {
	h := &hasher{places: make(chan struct{}, max(1, runtime.NumCPU()/2))}
	var err error
	h.dummy, err = argon2id.CreateHash(secret(""), passwordParams)
	return h, err
}

func (h *hasher) enter(ctx context.Context) error {
	select {
	case h.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "too many sign-ins at once: try again").Because(ctx.Err())
	}
}

// hash hashes a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.places }()
	return argon2id.CreateHash(password, passwordParams)
}

// verify reports whether the password is the hash's. Where there is no hash the same work is done, and the answer is no.
func (h *hasher) verify(ctx context.Context, password, hash string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer func() { <-h.places }()
	h.count.Add(1)
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	return ok && known, err
}

// secret returns 256 random bits in base64url behind a prefix.
func secret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // it never fails
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// sum is how a random secret stands in the database.
func sum(v string) []byte {
	h := sha256.Sum256([]byte(v))
	return h[:]
}
