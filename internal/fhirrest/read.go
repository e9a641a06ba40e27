package fhirrest

import (
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// read is GET [type]/[id] (R4 http.html#read), with If-None-Match and If-Modified-Since.
func (h *Handler) read(q *request, a *answer) error {
	if err := checkID(q.route.id, fault.NotFound); err != nil {
		return err
	}
	s, err := q.readShape()
	if err != nil {
		return err
	}
	v, err := h.Records.Read(q.ctx, q.route.typ, q.route.id)
	if err != nil {
		return err
	}
	return a.give(q, v, s)
}

// readShape reads _summary and _elements of a read; nothing else may be asked there.
func (q *request) readShape() (shape, error) {
	if len(q.params) == 0 {
		return shape{}, nil
	}
	s, rest, err := takeShape(q.params)
	if err != nil {
		return s, err
	}
	if s.summary == "count" {
		return s, fault.New(fault.Invalid, "_summary=count is for searches").WithCode("value")
	}
	return s, q.noParams(rest)
}

// give answers with a version, or that the client has it already.
func (a *answer) give(q *request, v *record.Version, s shape) error {
	a.version(v)
	if q.notModified(v.VID, v.Updated) {
		a.status = http.StatusNotModified
		return nil
	}
	a.status = http.StatusOK
	if s.whole() {
		a.body = v.JSON()
		return nil
	}
	b, err := s.append(a.build(), v.JSON())
	if err != nil {
		return err
	}
	a.done(b)
	return nil
}
