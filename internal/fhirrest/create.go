package fhirrest

import (
	"strings"

	"github.com/nilecare/nilecare/internal/record"
)

// createChange is POST [type] (R4 http.html#create), with If-None-Exist. An id in the body is no wish: the store gives one.
func (h *Handler) createChange(q *request) (record.Change, error) {
	c := record.Change{Op: record.Create, Type: q.route.typ}
	if err := q.noParams(q.params); err != nil {
		return c, err
	}
	r, err := q.resource(q.route.typ)
	if err != nil {
		return c, err
	}
	c.Resource = r
	if q.onlyIfNone {
		// R4 sends the part behind "?" alone; the whole search is understood too. An empty one is refused as a condition: who
		// sent it did not mean to create without one.
		raw := q.ifNoneExist
		if i := strings.IndexByte(raw, '?'); i >= 0 {
			raw = raw[i+1:]
		}
		params, err := parseParams(raw)
		if err != nil {
			return c, err
		}
		c.Match, err = h.condition(q, q.route.typ, params)
		return c, err
	}
	return c, nil
}
