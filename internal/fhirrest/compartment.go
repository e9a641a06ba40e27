package fhirrest

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// searchCompartment is GET [compartment]/[id]/[type]?…, where the type may be * (R4 http.html#search, compartmentdefinition.html).
func (h *Handler) searchCompartment(q *request, a *answer) error {
	to := q.route
	if err := checkID(to.id, fault.NotFound); err != nil {
		return err
	}
	c := def.CompartmentOf(to.typ)
	typ, chosen := to.other, true
	if typ == "*" {
		typ = ""
		chosen = withTypes(q, c)
	} else if _, belongs := c.Params[typ]; !belongs {
		return fault.New(fault.NotFound, "%s is never in the compartment of a %s", typ, to.typ)
	}
	query, err := h.query(q, typ)
	if err != nil {
		return err
	}
	kept := query.ByType[:0]
	for _, t := range query.ByType {
		member, err := search.Compartment(to.typ, to.id, t.Type)
		if fault.Is(err, fault.NotFound) {
			continue // a type that the client listed, and that never belongs
		}
		if err != nil {
			return err
		}
		t.Pred = search.And{member, t.Pred}
		kept = append(kept, t)
	}
	query.ByType = kept
	if !chosen {
		// The links need not list what "*" says.
		query.Applied = slices.DeleteFunc(query.Applied, func(p search.Applied) bool { return p.Name == "_type" })
	}
	return h.answerSearch(q, a, query, "/"+to.typ+"/"+to.id+"/"+to.other)
}

// withTypes adds the types of the compartment where the client chose none, and reports whether it did choose.
func withTypes(q *request, c *def.Compartment) (chosen bool) {
	for _, p := range q.params {
		if p.Name == "_type" {
			return true
		}
	}
	var names []string
	for _, t := range def.ResourceTypes() {
		if _, ok := c.Params[t.Name]; ok {
			names = append(names, t.Name)
		}
	}
	q.params = append(q.params, param{Name: "_type", Value: strings.Join(names, ",")})
	return false
}
