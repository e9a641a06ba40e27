package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// Once says what an Idempotency-Key does at a POST route. At other methods, and at routes for everybody, where nobody's keys could be told from another's, it does nothing.
type Once uint8

const (
	// Kept is the usual: the answer is kept, and given again to whoever repeats the request.
	Kept Once = iota
	// Secret is for answers that bear a secret: the request is done once, but its answer is not kept, and a repetition is a conflict that says so.
	Secret
	// Unkeyed is for requests that change nothing, or whose answers are streamed: the header is passed over.
	Unkeyed
)

// MaxKept is how many bytes of an answer are kept. A larger one is sent, and a repetition is a conflict that says so.
const MaxKept = 1 << 20

// Use names one use of an Idempotency-Key.
type Use struct {
	Caller access.Caller
	Method string
	Path   string // with its ids, without query
	Key    string
	Digest [sha256.Size]byte // of the query and the body
}

// KeptAnswer is an answer that is given again.
type KeptAnswer struct {
	Status int
	Header http.Header // those that tell of the content
	Body   []byte
}

// Uses remembers the uses of keys. Its methods may be called by several requests, and processes, at the same time.
type Uses interface {
	// Begin takes the key for an attempt, which End or Drop ends; or returns the answer that was given before. The error is Unprocessable where the key
	// was used for another request, Conflict where the request is being done, or was done and its answer is not kept.
	Begin(ctx context.Context, u Use) (attempt int64, before *KeptAnswer, err error)
	// End keeps the answer of an attempt; nil: that it was done, without its answer.
	End(ctx context.Context, u Use, attempt int64, answer *KeptAnswer) error
	// Drop forgets an attempt: the same key may be used again.
	Drop(ctx context.Context, u Use, attempt int64) error
}

// keyHeader is the header of draft-ietf-httpapi-idempotency-key-header-07.
const keyHeader = "Idempotency-Key"

// maxKey is how many characters a key may have.
const maxKey = 255

// keyed reports that the route does a request with a key once.
func (r *Route) keyed() bool {
	return r.Method == http.MethodPost && r.Once != Unkeyed && r.Need.kind != public
}

// keyOf reads the request's key; "": there is none. The draft wants a string of structured fields (RFC 8941), in quotes; without quotes it is taken as it is.
func keyOf(r *http.Request) (string, error) {
	lines := r.Header[keyHeader]
	if len(lines) == 0 {
		return "", nil
	}
	if len(lines) > 1 {
		return "", fault.At(fault.Invalid, keyHeader, "comes more than once")
	}
	key := strings.TrimSpace(lines[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(key[1 : len(key)-1])
	}
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return "", fault.At(fault.Invalid, keyHeader, "must be 1 to %d printable characters of ASCII", maxKey)
	}
	return key, nil
}

// once serves a request that has an Idempotency-Key: the first time by the route, then by the answer that was kept.
func (f *frame) once(w http.ResponseWriter, r *http.Request, route *Route, key string) error {
	body, err := web.ReadBody(r)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	ctx := r.Context()
	u := Use{Caller: access.From(ctx), Method: r.Method, Path: r.URL.Path, Key: key, Digest: digestOf(r.URL.RawQuery, body)}
	attempt, before, err := f.uses.Begin(ctx, u)
	if err != nil {
		return err
	}
	if before != nil {
		replay(w, before)
		return nil
	}
	// What was done must be known as done, even if the caller has gone away meanwhile.
	ctx = context.WithoutCancel(ctx)
	kept := false
	defer func() {
		if !kept { // a panic, which the edge answers
			_ = f.uses.Drop(ctx, u, attempt)
		}
	}()
	rec := &recorder{ResponseWriter: w}
	if err := route.Serve(rec, r); err != nil {
		rec.body, rec.status = nil, 0
		Fail(rec, r, err)
	}
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	kept = true
	if !worthKeeping(rec.status) {
		err = f.uses.Drop(ctx, u, attempt)
	} else {
		err = f.uses.End(ctx, u, attempt, rec.answer(route))
	}
	if err != nil {
		// The change stands: to answer with a failure would be to say the opposite. The key stays taken until its time is over.
		web.Note(w, err)
	}
	w.WriteHeader(rec.status)
	// A client that has gone away cannot be told so.
	_, _ = w.Write(rec.body)
	return nil
}

// digestOf tells one request from another.
func digestOf(query string, body []byte) [sha256.Size]byte {
	h := sha256.New()
	h.Write([]byte(strconv.Itoa(len(query)) + ":" + query))
	h.Write(body)
	return [sha256.Size]byte(h.Sum(nil))
}

// worthKeeping reports an answer that would be the same again: not the program's own failures, and not what depends on the moment or on who the caller is just then.
func worthKeeping(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status < http.StatusInternalServerError
}

// recorder holds an answer back until it is kept.
type recorder struct {
	http.ResponseWriter
	status int
	body   []byte
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if status >= 200 && r.status == 0 {
		r.status = status
	}
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.body = append(r.body, p...)
	return len(p), nil
}

// Flush implements http.Flusher: nothing is sent before the answer is kept.
func (r *recorder) Flush() {}

// Unwrap lets the edge be found.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// keptHeaders are those that belong to an answer's content.
var keptHeaders = []string{"Content-Type", "Location", "Etag", "Last-Modified", "Link", "Content-Disposition", "Content-Language"}

// answer is what is kept; nil where it is not to be.
func (r *recorder) answer(route *Route) *KeptAnswer {
	if len(r.body) > MaxKept || route.Once == Secret && r.status < http.StatusBadRequest {
		return nil
	}
	a := &KeptAnswer{Status: r.status, Header: http.Header{}, Body: r.body}
	for _, name := range keptHeaders {
		if v := r.Header()[name]; len(v) > 0 {
			a.Header[name] = slices.Clone(v)
		}
	}
	return a
}

// replay gives an answer again, and says so.
func replay(w http.ResponseWriter, a *KeptAnswer) {
	h := w.Header()
	for name, v := range a.Header {
		h[name] = v
	}
	h["Idempotency-Replayed"] = []string{"true"}
	h["Cache-Control"] = noStore
	w.WriteHeader(a.Status)
	// A client that has gone away cannot be told so.
	_, _ = w.Write(a.Body)
}
