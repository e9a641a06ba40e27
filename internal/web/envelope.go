package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// APIVersion is what the product API says of itself in each answer's metadata and in the header X-API-Version.
const APIVersion = "1"

// apiContentType is the media type of the product API's answers.
const apiContentType = "application/json; charset=utf-8"

// Locked is the issue code of a failure that is answered with 423: an account that too many wrong guesses have closed for a while.
const Locked = "locked"

// lockedFor is what Retry-After says of a lock whose end the error does not tell.
const lockedFor = 30 * time.Minute

// retrier is an error that knows when another attempt may succeed.
type retrier interface{ RetryAfter() time.Duration }

// later is an error with a time after which to try again.
type later struct {
	error
	after time.Duration
}

func (l later) RetryAfter() time.Duration { return l.after }
func (l later) Unwrap() error             { return l.error }

// Later returns err with the time after which the caller may try again; it becomes the answer's Retry-After.
func Later(err error, after time.Duration) error { return later{err, after} }

// apiCodes is the table from kind of failure to the product API's codes.
var apiCodes = [...]string{
	fault.Internal:           "INTERNAL_ERROR",
	fault.Invalid:            "VALIDATION_ERROR",
	fault.Unprocessable:      "VALIDATION_ERROR",
	fault.Unauthenticated:    "AUTHENTICATION_REQUIRED",
	fault.Forbidden:          "PERMISSION_DENIED",
	fault.NotFound:           "NOT_FOUND",
	fault.Gone:               "NOT_FOUND",
	fault.MethodNotAllowed:   "INVALID_REQUEST",
	fault.NotAcceptable:      "INVALID_REQUEST",
	fault.Conflict:           "CONFLICT",
	fault.VersionConflict:    "CONFLICT",
	fault.PreconditionFailed: "CONFLICT",
	fault.TooLarge:           "INVALID_REQUEST",
	fault.UnsupportedMedia:   "INVALID_REQUEST",
	fault.TooCostly:          "INVALID_REQUEST",
	fault.TooMany:            "RATE_LIMIT_EXCEEDED",
	fault.Unavailable:        "SERVICE_UNAVAILABLE",
}

// apiCode is the product API's code of a failure: what its first issue says in capitals ("AUTHENTICATION_FAILED"), else its kind's.
func apiCode(e *fault.Error) string {
	code := e.Issues[0].Code
	switch {
	case code == Locked:
		return "ACCOUNT_LOCKED"
	case capitals(code):
		return code
	}
	return apiCodes[e.Kind]
}

// UsualCode reports that a code of the product API is the one that the kind has anyway.
func UsualCode(k fault.Kind, code string) bool { return int(k) < len(apiCodes) && apiCodes[k] == code }

func capitals(s string) bool {
	for i := 0; i < len(s); i++ {
		if (s[i] < 'A' || s[i] > 'Z') && s[i] != '_' {
			return false
		}
	}
	return s != ""
}

// FailAPI answers with err in the product API's envelope, and leaves its cause for the edge's log. A failure whose first issue has the
// code [Locked] is answered with 423. An issue whose code stands in capitals brings the envelope's code itself.
func FailAPI(w http.ResponseWriter, err error) {
	e := beginFailure(w, err)
	status := failureStatus(e)
	buf := GetBuffer()
	defer PutBuffer(buf)
	b := append((*buf)[:0], `{"success":false,"error":`...)
	b = appendAPIError(b, e, status)
	b = append(b, `,"message":`...)
	b = fhir.AppendQuoted(b, e.Error())
	b = append(b, ',')
	b = AppendMetadata(b, w.Header())
	b = append(b, '}')
	*buf = b
	endFailure(w, status, apiContentType, b)
}

// appendAPIError appends a failure as the product API says it: code, message, statusCode, details.
func appendAPIError(b []byte, e *fault.Error, status int) []byte {
	b = append(b, `{"code":`...)
	b = fhir.AppendQuoted(b, apiCode(e))
	b = append(b, `,"message":`...)
	b = fhir.AppendQuoted(b, e.Error())
	b = append(b, `,"statusCode":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"details":[`...)
	for i, issue := range e.Issues {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if issue.Expression != "" {
			b = append(b, `"field":`...)
			b = fhir.AppendQuoted(b, issue.Expression)
			b = append(b, ',')
		}
		b = append(b, `"message":`...)
		b = fhir.AppendQuoted(b, issue.Diagnostics)
		b = append(b, '}')
	}
	return append(b, `]}`...)
}

// AppendAPIError appends err as the member "error" of the product API's envelope says it, for answers that tell of several failures, and
// returns the status that err would have had alone. What has no kind is said as an internal error, and its text is left for the edge's log.
func AppendAPIError(b []byte, w http.ResponseWriter, err error) ([]byte, int) {
	e := Fault(err)
	if e.Kind == fault.Internal {
		Note(w, err)
	}
	if id := w.Header().Get("X-Request-Id"); e.Kind == fault.Internal && id != "" {
		e = fault.New(fault.Internal, "internal error; the request's id, %s, leads to it in the log", id)
	}
	status := failureStatus(e)
	return appendAPIError(b, e, status), status
}

// Note leaves an error for the edge's log that the caller is not told of.
func Note(w http.ResponseWriter, err error) {
	if res := find(w); res != nil {
		res.noted = err
	}
}

// CutOff ends an answer that has begun and cannot be finished: the connection is closed, so that nobody takes half an answer for a whole one,
// and err stands in the edge's log. It does not return.
func CutOff(w http.ResponseWriter, err error) {
	if res := find(w); res != nil {
		res.err, res.status = err, http.StatusInternalServerError
	}
	panic(http.ErrAbortHandler)
}

// AppendMetadata appends the envelope's member "metadata" with this moment and the request's id, which is read from the answer's headers.
func AppendMetadata(b []byte, h http.Header) []byte {
	b = append(b, `"metadata":{"timestamp":"`...)
	b = time.Now().UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","requestId":`...)
	b = fhir.AppendQuoted(b, h.Get("X-Request-Id"))
	return append(b, `,"version":"`+APIVersion+`"}`...)
}

// failPlain answers with err as a small JSON object, where neither of the two APIs is asked.
func failPlain(w http.ResponseWriter, err error) {
	e := beginFailure(w, err)
	status := failureStatus(e)
	buf := GetBuffer()
	defer PutBuffer(buf)
	b := append((*buf)[:0], `{"error":`...)
	b = fhir.AppendQuoted(b, e.Kind.String())
	b = append(b, `,"message":`...)
	b = fhir.AppendQuoted(b, e.Error())
	b = append(b, "}\n"...)
	*buf = b
	endFailure(w, status, apiContentType, b)
}

// failSCIM answers with err as SCIM's clients expect it (RFC 7644 section 3.12).
func failSCIM(w http.ResponseWriter, err error) {
	e := beginFailure(w, err)
	status := failureStatus(e)
	buf := GetBuffer()
	defer PutBuffer(buf)
	b := append((*buf)[:0], `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `","detail":`...)
	b = fhir.AppendQuoted(b, e.Error())
	b = append(b, '}')
	*buf = b
	endFailure(w, status, "application/scim+json", b)
}

// FailFor answers with err in the form of the request's path: an OperationOutcome below /fhir, the product API's envelope below /api,
// SCIM's error below /scim, a small JSON object elsewhere.
func FailFor(w http.ResponseWriter, r *http.Request, err error) {
	switch path := r.URL.Path; {
	case below(path, "/fhir"):
		Fail(w, err)
	case below(path, "/api"):
		FailAPI(w, err)
	case below(path, "/scim"):
		failSCIM(w, err)
	default:
		failPlain(w, err)
	}
}

// below reports that path is dir or stands in it.
func below(path, dir string) bool {
	return len(path) >= len(dir) && path[:len(dir)] == dir && (len(path) == len(dir) || path[len(dir)] == '/')
}

// failureStatus is the status of a failure on the product API.
func failureStatus(e *fault.Error) int {
	if e.Issues[0].Code == Locked {
		return http.StatusLocked
	}
	return StatusOf(e.Kind)
}

// beginFailure takes back what a handler set for a success, leaves the error for the log, and returns what the client is told.
func beginFailure(w http.ResponseWriter, err error) *fault.Error {
	e := Fault(err)
	if res := find(w); res != nil {
		res.err = err
		res.takeBack()
	}
	h := w.Header()
	if id := h.Get("X-Request-Id"); e.Kind == fault.Internal && id != "" {
		e = fault.New(fault.Internal, "internal error; the request's id, %s, leads to it in the log", id)
	}
	for _, name := range ofSuccess {
		delete(h, name)
	}
	retryAfter(h, e, err)
	return e
}

// retryAfter says when to try again, where that helps: what the error knows, else what a handler set, else a guess.
func retryAfter(h http.Header, e *fault.Error, err error) {
	status := failureStatus(e)
	var r retrier
	switch known := errors.As(err, &r); {
	case known:
		h.Set("Retry-After", strconv.FormatInt(ceilSeconds(r.RetryAfter()), 10))
	case len(h["Retry-After"]) > 0:
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		h.Set("Retry-After", "1")
	case status == http.StatusLocked:
		h.Set("Retry-After", strconv.Itoa(int(lockedFor/time.Second)))
	}
}

// ceilSeconds rounds up to whole seconds, and at least one.
func ceilSeconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}

// endFailure sends a failure's answer.
func endFailure(w http.ResponseWriter, status int, mediaType string, body []byte) {
	h := w.Header()
	if status == http.StatusUnauthorized && len(h["Www-Authenticate"]) == 0 {
		// RFC 9110 section 11.6.1: each 401 says how to sign in.
		h["Www-Authenticate"] = []string{"Bearer"}
	}
	h.Set("Content-Type", mediaType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// A peer that has gone away cannot be told so.
	_, _ = w.Write(body)
}
