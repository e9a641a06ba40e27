package web

import (
	"math/rand/v2"
	"net/http"
)

const maxRequestID = 128

// RequestID is the id of a request: the caller's X-Request-Id where it is well formed, else a new one.
func RequestID(h http.Header) string { return requestID(h) }

// requestID takes over the caller's X-Request-Id where it is well formed, else makes one.
func requestID(h http.Header) string {
	if v := h["X-Request-Id"]; len(v) == 1 && wellFormed(v[0]) {
		return v[0]
	}
	return newRequestID()
}

// wellFormed admits what can stand in a log line and a header without quoting.
func wellFormed(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == ':', c == '+', c == '=', c == '/', c == '~':
		default:
			return false
		}
	}
	return true
}

// newRequestID makes 26 characters that carry 128 random bits. They name, they do not protect: no secrecy is needed.
func newRequestID() string {
	const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	var b [26]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 13 {
		b[i] = alphabet[hi&31]
		hi >>= 5
		b[i+13] = alphabet[lo&31]
		lo >>= 5
	}
	return string(b[:])
}
