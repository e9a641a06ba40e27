package fhirrest

import (
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web"
)

// write makes one change: create, update, patch or delete, by id or by a condition.
func (h *Handler) write(q *request, a *answer) error {
	c, err := h.change(q)
	if err != nil {
		return err
	}
	out, err := h.Records.Write(q.ctx, []record.Change{c})
	if err != nil {
		return err
	}
	a.written(q, out[0])
	return nil
}

// change turns the request into a wish to the store. It is the same for the wire, a batch and a transaction.
func (h *Handler) change(q *request) (record.Change, error) {
	switch q.method {
	case http.MethodPost:
		return h.createChange(q)
	case http.MethodPut:
		return h.updateChange(q)
	case http.MethodPatch:
		return h.patchChange(q)
	}
	return h.deleteChange(q)
}

// target fills in what an update, patch or delete is about: an id in the URL, or the condition in its query.
func (h *Handler) target(q *request, c *record.Change) (err error) {
	c.Type = q.route.typ
	if c.IfMatch, err = q.wantedMatch(h); err != nil {
		return err
	}
	if q.route.place == atInstance {
		c.ID = q.route.id
		return q.noParams(q.params)
	}
	if len(q.params) == 0 {
		return fault.New(fault.Invalid, "the URL needs an id, or a query that says which %s is meant", q.route.typ).WithCode("required")
	}
	c.Match, err = h.condition(q, q.route.typ, q.params)
	return err
}

// wantedMatch reads If-Match. "*" asks that the resource is there; which version does not matter.
func (q *request) wantedMatch(h *Handler) (int64, error) {
	if q.ifMatch != anyVersion {
		return q.wantedVersion()
	}
	if q.route.place != atInstance {
		return 0, fault.New(fault.Invalid, "If-Match: * needs an id in the URL").WithCode("value")
	}
	_, err := h.Records.Read(q.ctx, q.route.typ, q.route.id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return 0, fault.New(fault.VersionConflict, "If-Match: * and there is no such %s", q.route.typ)
	}
	return 0, err
}

// written answers what became of a change.
func (a *answer) written(q *request, out record.Outcome) {
	switch out.Result {
	case record.Created:
		a.status = http.StatusCreated
	case record.Updated, record.Unchanged:
		a.status = http.StatusOK
	default:
		a.deleted(q, out)
		return
	}
	v := out.Version
	a.version(v)
	a.location = versionPath(v)
	switch give := q.prefer.give; {
	case give == "OperationOutcome":
		a.outcome(savedAs(out.Result))
	case give == "representation", give == "" && q.wire != nil:
		a.body = v.JSON()
	}
}

func savedAs(r record.Result) string {
	switch r {
	case record.Created:
		return "created"
	case record.Unchanged:
		return "unchanged: the record holds this already"
	}
	return "updated"
}

// outcome makes an OperationOutcome that says this the body.
func (a *answer) outcome(text string) {
	a.done(web.AppendOutcome(a.build(), []fault.Issue{{Severity: "information", Code: "informational", Diagnostics: text}}))
}

func versionPath(v *record.Version) string {
	b := make([]byte, 0, 96)
	b = append(append(append(b, v.Type...), '/'), v.ID...)
	b = append(b, "/_history/"...)
	return string(appendInt(b, v.VID))
}

// sameIdentity makes sure that a body speaks of the resource that the URL names (R4 http.html#update).
func sameIdentity(r *fhir.Resource, id string) error {
	switch got := r.Get("id"); {
	case got == nil:
		return fault.At(fault.Invalid, r.Type()+".id", "the body needs the id that stands in the URL").WithCode("required")
	case got.Kind != fhir.String || got.Text != id:
		return fault.At(fault.Invalid, r.Type()+".id", "the body's id is not the one in the URL").WithCode("invariant")
	}
	return nil
}
