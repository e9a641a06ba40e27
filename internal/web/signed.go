package web

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
)

// The headers of a signed request. The signature is HMAC-SHA256, in hexadecimal behind "v1=", by the key's secret, of these lines joined by
// a line feed, without one at the end:
//
//	nilecare-v1
//	the method, in capitals
//	the path with its query, as it stands in the request line
//	SHA-256 of the body as it is sent, in lower-case hexadecimal: X-Content-SHA256
//	seconds since 1970: X-Signature-Timestamp
//	16 to 64 of the characters A-Z a-z 0-9 _ -, never the same twice: X-Signature-Nonce
const (
	HeaderSignature   = "X-Signature"
	HeaderKeyID       = "X-Signature-Key"
	HeaderTimestamp   = "X-Signature-Timestamp"
	HeaderNonce       = "X-Signature-Nonce"
	HeaderContentHash = "X-Content-Sha256"
)

// SignatureWindow is how far a signed request's time may be from ours, either way.
const SignatureWindow = 300 * time.Second

const signaturePrefix = "v1="

// requestText is what is signed.
func requestText(method, target, bodyHash, timestamp, nonce string) []byte {
	return []byte("nilecare-v1\n" + method + "\n" + target + "\n" + bodyHash + "\n" + timestamp + "\n" + nonce)
}

func macOf(secret, text []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(text)
	return mac.Sum(nil)
}

// Sign signs a request that a client is about to send with this body, which becomes the request's; nil: it has none.
func Sign(r *http.Request, body []byte, keyID string, secret []byte, now time.Time) {
	sum := sha256.Sum256(body)
	bodyHash, timestamp, nonce := hex.EncodeToString(sum[:]), strconv.FormatInt(now.Unix(), 10), newNonce()
	mac := macOf(secret, requestText(r.Method, r.URL.RequestURI(), bodyHash, timestamp, nonce))
	r.Header.Set(HeaderKeyID, keyID)
	r.Header.Set(HeaderTimestamp, timestamp)
	r.Header.Set(HeaderNonce, nonce)
	r.Header.Set(HeaderContentHash, bodyHash)
	r.Header.Set(HeaderSignature, signaturePrefix+hex.EncodeToString(mac))
	r.ContentLength = int64(len(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body = http.NoBody
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
}

func newNonce() string {
	var b [18]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Replays remembers what has been seen. Processes that serve the same keys share one, such as a table.
type Replays interface {
	// First records the name until the time and reports whether it is there for the first time. The error is for a memory that is full or
	// does not answer: then the request is refused.
	First(ctx context.Context, name string, until time.Time) (bool, error)
	// Forget takes a name back, because what was to be done came to nothing and may be tried again.
	Forget(ctx context.Context, name string) error
}

// Signatures verifies signed requests and webhooks. It is safe for concurrent use.
type Signatures struct {
	// Secrets returns the secrets that are valid of a key, newest first, and none for a key that does not exist.
	Secrets func(ctx context.Context, keyID string) ([][]byte, error)
	Replays Replays
	Clock   clock.Clock // nil: the machine's
}

// Signed reports that a request claims to be signed.
func Signed(r *http.Request) bool { return len(r.Header[HeaderSignature]) > 0 }

// errSignature is the one answer to whatever is wrong with a signature, so that nobody learns which keys exist.
func errSignature(why string) error {
	return fault.New(fault.Unauthenticated, "the signature is not valid").Because(errors.New(why))
}

// errReplayed is the cause of refusing a second use.
var errReplayed = errors.New("it was used before")

// Verify says whose key signed the request. The body is not read: the request's Body is replaced by one that fails with Unauthenticated, at
// the latest instead of its last bytes, where it is not what was signed; so a handler acts only on a body that it has read to its end.
// The error is Unauthenticated (a wrong signature, a key that is not known, a time outside of the window, a second use) or the memory's.
func (s *Signatures) Verify(r *http.Request) (keyID string, err error) {
	get := func(name string) string {
		if v := r.Header[name]; len(v) == 1 {
			return v[0]
		}
		return ""
	}
	keyID = get(HeaderKeyID)
	timestamp, nonce, bodyHash := get(HeaderTimestamp), get(HeaderNonce), get(HeaderContentHash)
	said, prefixed := strings.CutPrefix(get(HeaderSignature), signaturePrefix)
	if keyID == "" || !prefixed || !wellFormedNonce(nonce) {
		return "", errSignature("a header is missing or malformed")
	}
	want, err := hex.DecodeString(bodyHash)
	if err != nil || len(want) != sha256.Size || bodyHash != strings.ToLower(bodyHash) {
		return "", errSignature("the body's hash is malformed")
	}
	now := s.now()
	if !inWindow(timestamp, now) {
		return "", errSignature("the time is outside of the window")
	}
	target := r.RequestURI
	if target == "" {
		target = r.URL.RequestURI()
	}
	if err := s.match(r.Context(), keyID, said, requestText(r.Method, target, bodyHash, timestamp, nonce)); err != nil {
		return "", err
	}
	if err := s.first(r.Context(), "request\n"+keyID+"\n"+nonce, now); err != nil {
		return "", err
	}
	if r.Body == nil || r.Body == http.NoBody {
		if empty := sha256.Sum256(nil); !bytes.Equal(want, empty[:]) {
			return "", errSignature("the body is not there")
		}
		return keyID, nil
	}
	r.Body = &signedBody{ReadCloser: r.Body, left: r.ContentLength, sum: sha256.New(), want: want}
	return keyID, nil
}

func (s *Signatures) now() time.Time {
	if s.Clock == nil {
		return clock.System()
	}
	return s.Clock()
}

// match holds a signature in hexadecimal against the key's secrets. A key without any costs the same.
func (s *Signatures) match(ctx context.Context, keyID, said string, text []byte) error {
	got, err := hex.DecodeString(said)
	if err != nil {
		return errSignature("the signature is no hexadecimal")
	}
	secrets, err := s.Secrets(ctx, keyID)
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		macOf([]byte("nobody's secret"), text)
		return errSignature("the key is not known")
	}
	ok := 0
	for _, secret := range secrets {
		if len(secret) > 0 {
			ok |= subtle.ConstantTimeCompare(got, macOf(secret, text))
		}
	}
	if ok != 1 {
		return errSignature("the signature does not match")
	}
	return nil
}

// first refuses a second use. A request signed for a time ahead of ours is in its window for twice its length.
func (s *Signatures) first(ctx context.Context, name string, now time.Time) error {
	fresh, err := s.Replays.First(ctx, name, now.Add(2*SignatureWindow+time.Second))
	if err != nil {
		return err
	}
	if !fresh {
		return fault.New(fault.Unauthenticated, "the signature is not valid").Because(errReplayed)
	}
	return nil
}

func inWindow(timestamp string, now time.Time) bool {
	n, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || n < 0 || n > 1<<40 || timestamp != strconv.FormatInt(n, 10) {
		return false
	}
	d := now.Sub(time.Unix(n, 0))
	return d >= -SignatureWindow && d <= SignatureWindow
}

func wellFormedNonce(n string) bool {
	if len(n) < 16 || len(n) > 64 {
		return false
	}
	for i := 0; i < len(n); i++ {
		c := n[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// signedBody reads a body and holds it against the hash that was signed.
type signedBody struct {
	io.ReadCloser
	left int64 // bytes still to come; below 0: unknown
	sum  hash.Hash
	want []byte
	err  error
}

// Read implements io.Reader.
func (b *signedBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.ReadCloser.Read(p)
	b.sum.Write(p[:n])
	if b.left > 0 {
		b.left = max(0, b.left-int64(n))
	}
	if (err == io.EOF || b.left == 0) && !bytes.Equal(b.sum.Sum(nil), b.want) {
		b.err = errSignature("the body is not what was signed")
		return 0, b.err
	}
	return n, err
}

// Middleware serves only requests that are signed; the key's id stands in the context for [SignedBy].
func (s *Signatures) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, err := s.Verify(r)
		if err != nil {
			LeaveBody(w, r)
			FailFor(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), signedKey{}, key)))
	})
}

type signedKey struct{}

// SignedBy returns the id of the key that signed the request of a context, or "".
func SignedBy(ctx context.Context) string {
	key, _ := ctx.Value(signedKey{}).(string)
	return key
}
