package web

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
)

// ContentType is the media type of FHIR answers.
const ContentType = "application/fhir+json; charset=utf-8"

// HandlerFunc is an http.Handler that may fail: what it returns is answered by [Fail]. It must not have begun its
// answer when it returns an error.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP implements http.Handler.
func (f HandlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := f(w, r); err != nil {
		Fail(w, err)
	}
}

// Fault returns err as the failure that a client is told: the first [fault.Error] of its chain, or what the standard
// library's errors of bounds and deadlines mean. The text of any other error stays in the log.
func Fault(err error) *fault.Error {
	var told *fault.Error
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &told):
		if told.Kind != fault.Internal && len(told.Issues) > 0 {
			return told
		}
	case errors.As(err, &big):
		return fault.New(fault.TooLarge, "the body is larger than the limit of %d bytes", big.Limit).Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "the request took longer than its time limit").WithCode("timeout").Because(err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Unavailable, "the request was given up").WithCode("timeout").Because(err)
	}
	return fault.New(fault.Internal, "internal error; the request's id leads to it in the log").Because(err)
}

// ofSuccess are headers that no failure may bear.
var ofSuccess = [...]string{"Etag", "Last-Modified", "Location", "Content-Encoding"}

// issueTyped is an error's issues with codes of http://hl7.org/fhir/issue-type alone: that value set is required, and the codes of the
// product API, which are in capitals, are not in it.
func issueTyped(e *fault.Error) []fault.Issue {
	if c := e.Issues[0].Code; c == "" || c[0] < 'A' || c[0] > 'Z' {
		return e.Issues
	}
	issues := slices.Clone(e.Issues)
	issues[0].Code = fault.New(e.Kind, "").Issues[0].Code
	return issues
}

// Fail answers with err as an OperationOutcome, and leaves its cause for the edge's log. Headers that a handler set
// for a success are taken back; those that may belong to a failure (Allow) stay.
func Fail(w http.ResponseWriter, err error) {
	e := beginFailure(w, err)
	buf := GetBuffer()
	defer PutBuffer(buf)
	*buf = AppendOutcome((*buf)[:0], issueTyped(e))
	endFailure(w, failureStatus(e), ContentType, *buf)
}
