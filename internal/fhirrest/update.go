package fhirrest

import (
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// updateChange is PUT [type]/[id], which creates where nothing is there, and PUT [type]?[condition] (R4 http.html#update, #cond-update).
func (h *Handler) updateChange(q *request) (record.Change, error) {
	c := record.Change{Op: record.Update}
	if q.route.place == atInstance {
		if err := checkID(q.route.id, fault.Invalid); err != nil {
			return c, err
		}
	}
	if err := h.target(q, &c); err != nil {
		return c, err
	}
	r, err := q.resource(c.Type)
	if err != nil {
		return c, err
	}
	if c.ID != "" {
		if err := sameIdentity(r, c.ID); err != nil {
			return c, err
		}
	}
	c.Resource = r
	c.IfNoneMatch, err = q.nothingThere()
	return c, err
}
