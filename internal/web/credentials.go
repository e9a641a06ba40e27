package web

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"strings"
)

// Bearer returns the token of an Authorization header of that scheme (RFC 6750 section 2.1), or "". A request with several Authorization
// headers has none: which one counts, two readers might see differently.
func Bearer(r *http.Request) string {
	v := r.Header["Authorization"]
	if len(v) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(v[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Basic returns name and password of an Authorization header of that scheme (RFC 7617); ok is false where there is none. OAuth clients
// that sign in this way have percent-encoded both (RFC 6749 section 2.3.1), which is left to the caller.
func Basic(r *http.Request) (name, password string, ok bool) {
	if len(r.Header["Authorization"]) != 1 {
		return "", "", false
	}
	return r.BasicAuth()
}

// APIKey returns the value of X-API-Key, or of X-Service-API-Key by which services call each other, or "".
func APIKey(r *http.Request) string {
	for _, name := range [...]string{"X-Api-Key", "X-Service-Api-Key"} {
		if v := r.Header[name]; len(v) == 1 && v[0] != "" {
			return v[0]
		}
	}
	return ""
}

// Certificate is what mutual TLS proved of a client.
type Certificate struct {
	Subject     string   // the distinguished name (RFC 2253)
	Fingerprint string   // SHA-256 of the certificate, in lower-case hexadecimal: also what RFC 8705 binds tokens to, there in base64
	Names       []string // DNS names and URIs that it is for
	Leaf        *x509.Certificate
}

// ClientCertificate returns the certificate that the client proved to hold and that the server's client authorities signed, and whether
// there is one. What a proxy says in a header is not looked at.
func ClientCertificate(r *http.Request) (Certificate, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 || len(r.TLS.PeerCertificates) == 0 {
		return Certificate{}, false
	}
	c := r.TLS.PeerCertificates[0]
	sum := sha256.Sum256(c.Raw)
	names := append([]string{}, c.DNSNames...)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	return Certificate{Subject: c.Subject.String(), Fingerprint: hex.EncodeToString(sum[:]), Names: names, Leaf: c}, true
}
