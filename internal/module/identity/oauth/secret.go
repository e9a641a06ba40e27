package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/big"
	"strings"
)

// secret returns 256 random bits in base64url, behind a prefix that tells people and scanners what it is.
func secret(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// hash is how a secret stands in the database. It is random, so that a plain hash is enough.
func hash(v string) []byte {
	h := sha256.Sum256([]byte(v))
	return h[:]
}

func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func sameHash(h []byte, v string) bool {
	return len(h) > 0 && subtle.ConstantTimeCompare(h, hash(v)) == 1
}

// userCodeLetters are those of RFC 8628 section 6.1: no vowels, so that no words come up, and nothing that looks alike.
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

// userCode returns eight letters in two groups: 2^34 codes.
func userCode() string {
	var b strings.Builder
	for i := range 8 {
		if i == 4 {
			b.WriteByte('-')
		}
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters)))) // never fails (crypto/rand)
		b.WriteByte(userCodeLetters[n.Int64()])
	}
	return b.String()
}

// plainUserCode is a user code as people type it, in the one form that is hashed; "" where it cannot be one.
func plainUserCode(typed string) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case strings.ContainsRune(userCodeLetters, r):
			b.WriteRune(r)
		case r == '-' || r == ' ' || r == '\u200f' || r == '\u200e':
		default:
			return ""
		}
	}
	if b.Len() != 8 {
		return ""
	}
	return b.String()
}
