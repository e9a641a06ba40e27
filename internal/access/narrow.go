package access

import (
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// Launch is the context that an app was launched in.
type Launch struct {
	Patient   string // the id of the patient in context; "" none
	Encounter string // the id of the encounter in context; "" none. It narrows nothing: SMART tells it to the app
}

// Narrow returns what of the grant the scopes leave. Scopes are a union; each is cut out of the grant:
//
//   - patient/: what is about the patient of the launch: the Patient compartment, and by their own link to a patient the types
//     that R4 leaves out of it (Device, Task …). Of types that are about nobody (Practitioner, Organization, Location, Medication,
//     definitions, and Schedule) the scope gives reading and searching alone. Types that hold patients' data without a link that can be
//     searched by (Binary, Bundle, Parameters …) are not given. Without a patient in context only what is about nobody is.
//   - user/ and system/: the grant, by type, letters and parameters.
//
// Permissions of the product are left where a scope names them. The scope [WholeProduct] leaves all of the grant. A malformed id
// in the launch is fault.Invalid.
func (s Scopes) Narrow(g Grant, launch Launch) (Grant, error) {
	for _, id := range []string{launch.Patient, launch.Encounter} {
		if id != "" && !fhir.ValidID(id) {
			return nil, fault.New(fault.Invalid, "the launch context holds a malformed id")
		}
	}
	if g == nil {
		return Nothing(), nil
	}
	if s.Contains(WholeProduct) {
		return g, nil
	}
	n := &narrowed{of: g, scopes: s, patient: launch.Patient, permissions: s.Permissions()}
	if of, ok := g.(*grant); ok {
		return of.remember(launch.Patient+" "+s.text, n), nil
	}
	return n, nil
}

// remember returns the narrowed grant that was made first for the key.
func (g *grant) remember(key string, n *narrowed) *narrowed {
	g.mu.Lock()
	defer g.mu.Unlock()
	if had := g.narrowed[key]; had != nil {
		return had
	}
	if g.narrowed == nil || len(g.narrowed) >= maxNarrowed {
		g.narrowed = map[string]*narrowed{}
	}
	g.narrowed[key] = n
	return n
}

// narrowed is a grant that scopes were applied to.
type narrowed struct {
	of          Grant
	scopes      Scopes
	patient     string
	permissions []string
	table       table
}

func (n *narrowed) Extent(a Action, typ string) Extent { return n.table.get(a, typ, n.extent) }

func (n *narrowed) Permits(permission string) bool {
	return holds(n.permissions, permission) && n.of.Permits(permission)
}

func (n *narrowed) Masked(typ string) []string { return n.of.Masked(typ) }

func (n *narrowed) extent(a Action, typ string) Extent {
	of := n.of.Extent(a, typ)
	if of.IsNone() {
		return of
	}
	var preds []search.Pred
	for i := range n.scopes.resources {
		r := &n.scopes.resources[i]
		if !r.covers(a, typ) {
			continue
		}
		p := r.predicate(typ)
		if r.Context == "patient" {
			p = allOf(n.ofPatient(a, typ), p)
		}
		preds = append(preds, p)
	}
	return of.Meet(extentOf(anyOf(preds...)))
}

// ofPatient is what a patient/ scope reaches.
func (n *narrowed) ofPatient(a Action, typ string) search.Pred {
	if aboutNobody(typ) {
		return constant(a == Read || a == Search)
	}
	if n.patient == "" {
		return never
	}
	return patientLink(typ).to("Patient", n.patient)
}

// aboutNobody reports a type that is about no patient: the directory, definitions, medicines, places in a calendar. A Schedule is in
// R4's Patient compartment, as a patient may be its actor, but is a practitioner's or a room's.
func aboutNobody(typ string) bool {
	switch typ {
	case "Schedule", "Slot", "Medication", "MedicationKnowledge", "InsurancePlan", "ChargeItemDefinition":
		return true
	}
	groups := typeGroups()[typ]
	return slices.Contains(groups, "directory") || slices.Contains(groups, "definition")
}
