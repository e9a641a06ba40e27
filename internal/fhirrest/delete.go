package fhirrest

import (
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// deleteChange is DELETE [type]/[id] and DELETE [type]?[condition] (R4 http.html#delete).
func (h *Handler) deleteChange(q *request) (record.Change, error) {
	c := record.Change{Op: record.Delete, All: h.DeleteAll}
	if q.route.place == atInstance {
		if err := checkID(q.route.id, fault.NotFound); err != nil {
			return c, err
		}
		c.All = false
	}
	return c, h.target(q, &c)
}

// deleted answers a delete: 204, or 200 where the client prefers to be told in words. What was not there stays so: that is
// no error (R4 http.html#delete).
func (a *answer) deleted(q *request, out record.Outcome) {
	a.status = http.StatusNoContent
	if out.Version != nil && q.route.place == atInstance {
		a.version(out.Version)
	}
	if q.prefer.give != "OperationOutcome" {
		return
	}
	a.status = http.StatusOK
	n := out.Count
	if out.Result == record.Deleted {
		n = max(n, 1)
	}
	a.outcome("deleted: " + strconv.Itoa(n))
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
