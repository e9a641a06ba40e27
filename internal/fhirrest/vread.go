package fhirrest

import (
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
)

// vread is GET [type]/[id]/_history/[vid] (R4 http.html#vread).
func (h *Handler) vread(q *request, a *answer) error {
	if err := checkID(q.route.id, fault.NotFound); err != nil {
		return err
	}
	s, err := q.readShape()
	if err != nil {
		return err
	}
	vid, err := strconv.ParseInt(q.route.vid, 10, 64)
	if err != nil || vid < 1 {
		return fault.New(fault.NotFound, "there is no such version: this server's are 1, 2, 3 …")
	}
	v, err := h.Records.ReadVersion(q.ctx, q.route.typ, q.route.id, vid)
	if err != nil {
		return err
	}
	return a.give(q, v, s)
}
