package search

import (
	"fmt"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

func TestEveryParameterHasAtoms(t *testing.T) {
	params, atoms := 0, 0
	for _, typ := range def.ResourceTypes() {
		ti := indexOf(typ.Name)
		atoms += len(ti.atoms)
		for _, sp := range def.SearchParams(typ.Name) {
			p := ti.params[sp.Code]
			if _, special := withoutAtoms[sp.Code]; special {
				continue
			}
			params++
			if p.unread != nil || len(p.refs) == 0 {
				t.Errorf("%s.%s (%s, %q): %v", typ.Name, sp.Code, sp.Type, sp.Expression, p.unread)
			}
		}
	}
	t.Logf("%d parameters, %d atoms", params, atoms)
}

// Of the parameters that R4 gives to every type, these two alone are not answered.
func TestUnsupportedParametersAreTwo(t *testing.T) {
	for _, typ := range def.ResourceTypes() {
		all, supported := def.SearchParams(typ.Name), Supported(typ.Name)
		if len(all)-len(supported) != 2 {
			t.Errorf("%s: %d of %d supported", typ.Name, len(supported), len(all))
		}
		for _, sp := range supported {
			if sp.Code == "_filter" || sp.Code == "_query" {
				t.Errorf("%s supports %s", typ.Name, sp.Code)
			}
		}
	}
	if Supported("Colour") != nil || AtomsOf("Colour") != nil {
		t.Error("an unknown type")
	}
}

func TestAtomIDsAreUnique(t *testing.T) {
	seen := map[uint32]string{}
	for _, typ := range def.ResourceTypes() {
		for _, a := range AtomsOf(typ.Name) {
			key := fmt.Sprint(a.Type, "|", a.Path, "|", a.Kind)
			if a.ID == 0 || a.ID&derivedBit != 0 {
				t.Errorf("%s has the ID %x", key, a.ID)
			}
			if old, dup := seen[a.ID]; dup && old != key {
				t.Errorf("%s and %s have the same ID", key, old)
			}
			seen[a.ID] = key
		}
	}
}
