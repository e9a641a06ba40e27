package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"

	"github.com/nilecare/nilecare/internal/fault"
)

// trusted is how much memory a mere announcement of a body gets; more is given as the body comes.
const trusted = 1 << 20

// unannounced is what a body of unknown length begins with.
const unannounced = 8 << 10

// ReadBody reads a request's whole body, within the edge's bound, into memory of its own: a parsed tree may keep parts of
// it. The error is a [fault.Error]: TooLarge, Unavailable where
// the body was too slow, or Invalid where it broke off.
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
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fault.New(fault.Unavailable, "the body did not come within the request's time limit").WithCode("timeout").Because(err)
	}
	return nil, fault.New(fault.Invalid, "the body broke off before its end").WithCode("incomplete").Because(err)
}
