package fhirrest

import (
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web"
)

// answer is what an interaction gives back, before it is known whether it goes to the wire or into a Bundle.
type answer struct {
	status   int
	location string          // below the base: "Patient/1/_history/2"
	tag      string          // ETag; "" none
	updated  time.Time       // Last-Modified; zero: none
	of       *record.Version // what the answer is about; nil: no single resource
	body     []byte          // one resource as JSON; nil: none
	lent     *[]byte         // what body was built in, to be given back
}

// build lends the buffer that the answer's body is appended to; done sets the body.
func (a *answer) build() []byte {
	if a.lent == nil {
		a.lent = web.GetBuffer()
	}
	return (*a.lent)[:0]
}

func (a *answer) done(b []byte) {
	*a.lent = b
	a.body = b
}

// free gives the lent buffer back.
func (a *answer) free() {
	web.PutBuffer(a.lent)
	a.lent, a.body = nil, nil
}

// version sets what the headers say of a version.
func (a *answer) version(v *record.Version) {
	a.of = v
	a.tag = etag(v.VID)
	a.updated = v.Updated
}

// send writes the answer to the wire.
func (a *answer) send(w http.ResponseWriter, q *request) {
	h := w.Header()
	h["Cache-Control"] = noStore
	if a.tag != "" {
		h["Etag"] = []string{a.tag}
	}
	if !a.updated.IsZero() {
		h["Last-Modified"] = []string{httpDate(a.updated)}
	}
	if a.location != "" && a.status == http.StatusCreated {
		h["Location"] = []string{q.base + "/" + a.location}
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	if q.pretty {
		a.indent()
	}
	h["Content-Type"] = []string{q.media}
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	w.WriteHeader(a.status)
	// A client that has gone away cannot be told so.
	_, _ = w.Write(a.body)
}

var noStore = []string{"no-store"}

// indent writes the body anew for people. It was written by us: it parses.
func (a *answer) indent() {
	if n, err := fhir.Parse(a.body); err == nil {
		a.body = append(n.AppendIndented(nil), '\n')
	}
}
