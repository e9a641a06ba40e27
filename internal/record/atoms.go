package record

import (
	"slices"
	"sync"

	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// blindStrings are the IDs of the atoms whose rows are chains: strings that must not stand in clear and are searched by
// their beginnings.
var blindStrings = sync.OnceValue(func() map[uint32]bool {
	m := map[uint32]bool{}
	for _, t := range def.ResourceTypes() {
		for _, a := range search.AtomsOf(t.Name) {
			if a.Blind && a.Kind == search.String {
				m[a.ID] = true
			}
		}
	}
	return m
})

// compartmentAtoms returns, for each type of a compartment, its atoms in the order of the definition's parameters.
func compartmentAtoms(code string) map[string][]uint32 {
	m := map[string][]uint32{}
	c := def.CompartmentOf(code)
	if c == nil {
		return m
	}
	for typ, params := range c.Params {
		for _, param := range params {
			refs, _, ok := search.ParamAtoms(typ, param)
			if !ok {
				continue
			}
			for _, r := range refs {
				if r.Kind == search.Reference {
					m[typ] = append(m[typ], r.ID)
				}
			}
		}
	}
	return m
}

var patientCompartment = sync.OnceValue(func() map[string][]uint32 { return compartmentAtoms("Patient") })

// patientAtoms are the references that make a resource of the type a patient's own.
func patientAtoms(typ string) []uint32 { return patientCompartment()[typ] }

// atomTypes tells the resource type that an atom belongs to.
var atomTypes = sync.OnceValue(func() map[uint32]string {
	m := map[uint32]string{}
	for _, t := range def.ResourceTypes() {
		for _, a := range search.AtomsOf(t.Name) {
			m[a.ID] = t.Name
		}
	}
	return m
})

// atomPaths tells where in its resource an atom stands.
var atomPaths = sync.OnceValue(func() map[uint32]string {
	m := map[uint32]string{}
	for _, t := range def.ResourceTypes() {
		for _, a := range search.AtomsOf(t.Name) {
			m[a.ID] = a.Path
		}
	}
	return m
})

// atomTargets are the types that the references of an atom may point to, by the definitions of its parameters.
var atomTargets = sync.OnceValue(func() map[uint32][]string {
	m := map[uint32][]string{}
	for _, t := range def.ResourceTypes() {
		for _, sp := range def.SearchParams(t.Name) {
			refs, _, _ := search.ParamAtoms(t.Name, sp.Code)
			for _, r := range refs {
				for _, target := range sp.Targets {
					if r.Kind == search.Reference && !slices.Contains(m[r.ID], target) {
						m[r.ID] = append(m[r.ID], target)
					}
				}
			}
		}
	}
	return m
})

// referenceTargets are the types that a reference without a type may mean.
func referenceTargets(a *search.Atom) []string {
	if targets := atomTargets()[a.ID]; len(targets) > 0 && !slices.Contains(targets, "Resource") {
		return targets
	}
	types := def.ResourceTypes()
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return names
}

// typeName returns the name of the resource type of that number.
func typeName(num int) string {
	if t := def.ByNum(num); t != nil {
		return t.Name
	}
	return ""
}
