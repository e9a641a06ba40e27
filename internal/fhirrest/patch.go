package fhirrest

import (
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/patch"
	"github.com/nilecare/nilecare/internal/record"
)

// patchChange is PATCH [type]/[id] and PATCH [type]?[condition] with a JSON Patch or a FHIRPath Patch (R4 http.html#patch).
func (h *Handler) patchChange(q *request) (record.Change, error) {
	c := record.Change{Op: record.Patch}
	if q.route.place == atInstance {
		if err := checkID(q.route.id, fault.NotFound); err != nil {
			return c, err
		}
	}
	media, body, params, err := q.patchBody()
	if err != nil {
		return c, err
	}
	c.Apply = func(r *fhir.Resource) (*fhir.Resource, error) { return applyJSON(r, body) }
	if media != mediaPatch {
		// Apply may be called more than once, and a patch gives parts of itself to what it makes.
		c.Apply = func(r *fhir.Resource) (*fhir.Resource, error) { return sameResource(r, params.Clone(), patch.FHIRPath) }
	}
	return c, h.target(q, &c)
}

func applyJSON(r *fhir.Resource, body []byte) (*fhir.Resource, error) {
	return sameResource(r, body, func(r *fhir.Resource, body []byte) (*fhir.Resource, error) {
		n, err := patch.JSON(r.Node, body)
		if err != nil {
			return nil, err
		}
		return &fhir.Resource{Node: n}, nil
	})
}

// sameResource applies a patch, and makes sure that its result is still the same resource.
func sameResource[P any](r *fhir.Resource, p P, apply func(*fhir.Resource, P) (*fhir.Resource, error)) (*fhir.Resource, error) {
	typ, id := r.Type(), r.ID()
	out, err := apply(r, p)
	if err != nil {
		return nil, err
	}
	if out.Kind != fhir.Object || out.Type() != typ {
		return nil, fault.At(fault.Unprocessable, "resourceType", "a patch must not change the type").WithCode("invariant")
	}
	if out.ID() != id {
		return nil, fault.At(fault.Unprocessable, typ+".id", "a patch must not change the id").WithCode("invariant")
	}
	return out, nil
}
