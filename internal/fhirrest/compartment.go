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
		member, ok := membership(c, t.Type, to.id)
		if !ok {
			continue
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

// membership is the condition that a resource of typ is in the compartment of that id; false where none ever is.
func membership(c *def.Compartment, typ, id string) (search.InCompartment, bool) {
	in := search.InCompartment{Type: c.Code, ID: id}
	codes, ok := c.Params[typ]
	if !ok {
		return in, false
	}
	for _, code := range codes {
		if code == "{def}" {
			in.Self = true
			continue
		}
		refs, _, known := search.ParamAtoms(typ, code)
		if known {
			in.Atoms = append(in.Atoms, refs...)
		}
	}
	return in, in.Self || len(in.Atoms) > 0
}
