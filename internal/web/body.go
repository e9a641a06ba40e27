package web

import (
	"errors"
	"io"
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
)

// ReadBody reads a request's whole body, within the edge's bound, into memory of its own: a parsed tree may keep parts of
// it. The error is a [fault.Error]: TooLarge, or Invalid where the body broke off.
func ReadBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	var b []byte
	var err error
	if n := r.ContentLength; n >= 0 {
		// The edge has compared the length with the bound.
		b = make([]byte, n)
		_, err = io.ReadFull(r.Body, b)
	} else {
		b, err = io.ReadAll(r.Body)
	}
	if err == nil {
		return b, nil
	}
	var told *fault.Error
	var big *http.MaxBytesError
	if errors.As(err, &told) || errors.As(err, &big) {
		return nil, Fault(err)
	}
	return nil, fault.New(fault.Invalid, "the body broke off before its end").WithCode("incomplete").Because(err)
}
