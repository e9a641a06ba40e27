package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// CSRFHeader carries the token that a page read from its cookie.
const CSRFHeader = "X-CSRF-Token"

// CSRF protects sessions that a browser sends by itself, in a cookie: a page of another site can have it send the cookie, but can neither
// hide where it stands nor read the token. A request that brings its credentials itself (Bearer, an API key) needs none of this.
type CSRF struct {
	key     []byte
	origins map[string]bool
}

const csrfNonce = 16

// NewCSRF returns a guard whose tokens are made with the key (32 bytes or more, the same in all processes). Pages of these origins, which
// CORS lets in, count as our own.
func NewCSRF(key []byte, origins ...string) (*CSRF, error) {
	if len(key) < sha256.Size {
		return nil, fault.New(fault.Internal, "a CSRF key has at least 32 bytes")
	}
	g := &CSRF{key: append([]byte{}, key...), origins: map[string]bool{}}
	for _, o := range origins {
		g.origins[strings.ToLower(strings.TrimSuffix(o, "/"))] = true
	}
	return g, nil
}

// Token makes a token for a session. It says nothing of the session, and each is another.
func (g *CSRF) Token(session string) string {
	b := make([]byte, csrfNonce, csrfNonce+sha256.Size)
	_, _ = rand.Read(b) // it never fails
	return base64.RawURLEncoding.EncodeToString(g.sign(b, session))
}

// sign appends to the nonce the MAC of it and the session.
func (g *CSRF) sign(nonce []byte, session string) []byte {
	mac := hmac.New(sha256.New, g.key)
	mac.Write([]byte("csrf\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(session))))
	mac.Write([]byte(session))
	mac.Write(nonce)
	return mac.Sum(nonce)
}

// Valid reports whether the token was made for this session: what the handler of a page's form asks of the form's own field.
func (g *CSRF) Valid(session, token string) bool {
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(b) != csrfNonce+sha256.Size || session == "" {
		return false
	}
	return hmac.Equal(b, g.sign(b[:csrfNonce:csrfNonce], session))
}

// Give sets the cookie with a token for the session, which the page's script reads and sends back as [CSRFHeader], and returns it.
func (g *CSRF) Give(w http.ResponseWriter, r *http.Request, session string, expires time.Time) string {
	token := g.Token(session)
	setCookie(w, r, CSRFCookie, CSRFCookiePlain, token, expires, true)
	return token
}

// Check admits a request that a session's cookie authenticated: it is safe by its method, or it comes from a page of ours and brings the
// session's token both as cookie and as [CSRFHeader]. Else the error is Forbidden.
func (g *CSRF) Check(r *http.Request, session string) error {
	if safe(r.Method) {
		return nil
	}
	if err := g.SameOrigin(r); err != nil {
		return err
	}
	header, sent := r.Header.Get(CSRFHeader), cookie(r, CSRFCookie, CSRFCookiePlain)
	if header == "" || subtle.ConstantTimeCompare([]byte(header), []byte(sent)) != 1 || !g.Valid(session, header) {
		return fault.New(fault.Forbidden, "the header %s with the session's token is missing or not valid", CSRFHeader)
	}
	return nil
}

// SameOrigin admits a request that a page of ours sent: by its Origin where it says one, and by what the browser itself says (Fetch
// Metadata). One of the two must be there. It is enough alone where a form's own field carries the token.
func (g *CSRF) SameOrigin(r *http.Request) error {
	origin, site := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	refused := fault.New(fault.Forbidden, "the request does not come from a page of this server")
	switch {
	case len(origin) > 1 || len(site) > 1, len(origin) == 0 && len(site) == 0:
		return refused
	case len(origin) == 1 && g.origins[strings.ToLower(origin[0])]:
		return nil // one that CORS lets in, whatever site it is of
	case len(origin) == 1 && !sameHost(origin[0], r):
		return refused
	case len(site) == 1 && site[0] != "same-origin":
		return refused
	}
	return nil
}

// sameHost reports whether an origin is the server's own, as the client called it.
func sameHost(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && !Secure(r)
}

func safe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions || method == http.MethodTrace
}
