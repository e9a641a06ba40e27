package search

import (
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// selfMark is what compartment definitions write where the resource itself is the compartment.
const selfMark = "{def}"

// Compartment is the condition that a resource of type typ is in the compartment of the resource code/id, for the
// compartments that R4 defines: Patient, Encounter, RelatedPerson, Practitioner, Device. Other codes and types, and types
// that are never in that compartment, are fault.NotFound; a malformed id is fault.Invalid.
func Compartment(code, id, typ string) (Pred, error) {
	c := def.CompartmentOf(code)
	if c == nil {
		return nil, fault.New(fault.NotFound, "there is no compartment %.60q", code).WithCode("not-supported")
	}
	if !fhir.ValidID(id) {
		return nil, fault.New(fault.Invalid, "the compartment's id is malformed")
	}
	params, ok := c.Params[typ]
	if !ok {
		return nil, fault.New(fault.NotFound, "%.60s is never in the compartment of a %s", typ, code).WithCode("not-supported")
	}
	pred := InCompartment{Type: code, ID: id}
	for _, p := range params {
		if p == selfMark {
			pred.Self = true
			continue
		}
		refs, _, _ := ParamAtoms(typ, p)
		for _, r := range narrowed(refs, code) {
			if r.Kind == Reference {
				pred.Atoms = append(pred.Atoms, r)
			}
		}
	}
	return pred, nil
}
