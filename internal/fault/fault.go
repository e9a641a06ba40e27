// Package fault names the kinds of failure that the whole program speaks of.
//
// Every error that a caller may act on carries a [Kind]; one table at the HTTP edge
// maps kinds to statuses, and the peer client reads that table backwards. An error
// without a kind is [Internal]: its text is logged and never shown to a client.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is a class of failure that callers can act on.
type Kind uint8

// The kinds, each with the HTTP status that the edge gives it.
const (
	Internal           Kind = iota // 500: a defect or a broken disk; details stay in the log
	Invalid                        // 400: the request cannot be understood
	Unprocessable                  // 422: understood, but the content breaks a rule
	Unauthenticated                // 401
	Forbidden                      // 403
	NotFound                       // 404: never existed, or is not for the caller's eyes
	Gone                           // 410: existed and was deleted
	MethodNotAllowed               // 405
	NotAcceptable                  // 406
	Conflict                       // 409: the change collides with another record
	VersionConflict                // 412: If-Match named a version that is not current
	PreconditionFailed             // 412: a condition matched too much or too little
	TooLarge                       // 413
	UnsupportedMedia               // 415
	TooCostly                      // 400 with issue code too-costly: more work than the stated bound
	TooMany                        // 429
	Unavailable                    // 503: try again later
)

var kindNames = [...]string{"internal", "invalid", "unprocessable", "unauthenticated", "forbidden", "not-found", "gone",
	"method-not-allowed", "not-acceptable", "conflict", "version-conflict", "precondition-failed", "too-large",
	"unsupported-media", "too-costly", "too-many", "unavailable"}

// String returns the kind's stable lower-case name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Issue is one finding, in the terms of FHIR R4's OperationOutcome.issue.
type Issue struct {
	Severity    string // fatal | error | warning | information
	Code        string // a code of http://hl7.org/fhir/issue-type
	Diagnostics string // for people; names field and reason, never a patient's data
	Expression  string // FHIRPath location in the request's resource, or "" where there is none
}

// Error is a failure with a kind, and what to tell the caller.
type Error struct {
	Kind   Kind
	Issues []Issue // at least one
	Err    error   // the cause, for the log alone; may be nil
}

// Error joins what the caller is told; the cause is not part of it.
func (e *Error) Error() string {
	parts := make([]string, 0, len(e.Issues))
	for _, i := range e.Issues {
		s := i.Diagnostics
		if i.Expression != "" {
			s = i.Expression + ": " + s
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

var kindCodes = [...]string{Internal: "exception", Invalid: "invalid", Unprocessable: "processing", Unauthenticated: "login",
	Forbidden: "forbidden", NotFound: "not-found", Gone: "deleted", MethodNotAllowed: "not-supported", NotAcceptable: "not-supported",
	Conflict: "conflict", VersionConflict: "conflict", PreconditionFailed: "multiple-matches", TooLarge: "too-long",
	UnsupportedMedia: "not-supported", TooCostly: "too-costly", TooMany: "throttled", Unavailable: "transient"}

// New returns an error of kind k with one issue, whose code is the kind's usual one.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Issues: []Issue{{Severity: "error", Code: kindCodes[k], Diagnostics: fmt.Sprintf(format, args...)}}}
}

// At is New with the FHIRPath location that the issue is about.
func At(k Kind, expression, format string, args ...any) *Error {
	e := New(k, format, args...)
	e.Issues[0].Expression = expression
	return e
}

// WithCode sets the first issue's issue-type code and returns e.
func (e *Error) WithCode(code string) *Error {
	e.Issues[0].Code = code
	return e
}

// Because sets the cause and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// KindOf returns the kind of the first [Error] in err's chain, else Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// Is reports whether err carries kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
