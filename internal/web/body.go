package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
)

// trusted is how much memory a mere announcement of a body gets; more is given as the body comes.
const trusted = 1 << 20

// unannounced is what a body of unknown length begins with.
const unannounced = 8 << 10

// ReadBody reads a request's whole body, within the edge's bound, into memory of its own: a parsed tree may keep parts of
// it. The error is a [fault.Error]: TooLarge, or Invalid where the body broke off.
func ReadBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	var b []byte
	var err error
	if n := r.ContentLength; n >= 0 && n <= trusted {
		b = make([]byte, n)
		_, err = io.ReadFull(r.Body, b)
	} else {
		buf := bytes.NewBuffer(make([]byte, 0, unannounced))
		if n > trusted {
			buf.Grow(trusted)
		}
		_, err = buf.ReadFrom(r.Body)
		b = buf.Bytes()
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
