package validate

import (
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// boundCode checks a plain code against a required binding.
func (v *validator) boundCode(code string, f *def.Field) {
	if !f.Binding.Has("", code) {
		v.fail(codeInvalid, "code %.64q is not in the required value set %s", code, f.Binding.ValueSet)
	}
}

// boundCoding checks a Coding against a required binding, if there is one.
func (v *validator) boundCoding(n *fhir.Node, f *def.Field) {
	if f.Binding != nil && !inSet(n, f.Binding) && !extended(n) {
		v.fail(codeInvalid, "code %.64q is not in the required value set %s", n.Str("code"), f.Binding.ValueSet)
	}
}

// boundConcept checks that one coding of a CodeableConcept is in the required value set, if there is one.
func (v *validator) boundConcept(n *fhir.Node, f *def.Field) {
	if f.Binding == nil {
		return
	}
	for c := n.Get("coding").First(); c != nil; c = c.Next() {
		if inSet(c, f.Binding) {
			return
		}
	}
	if n.Get("coding") == nil {
		// Why there is no code may be said by an extension, data-absent-reason.
		if !extended(n) {
			v.fail(codeInvalid, "a coding of the required value set %s is missing", f.Binding.ValueSet)
		}
		return
	}
	v.fail(codeInvalid, "no coding is in the required value set %s", f.Binding.ValueSet)
}

// inSet reports whether a Coding is in the set. A Coding without system is in none: its code means nothing.
func inSet(coding *fhir.Node, b *def.Binding) bool {
	system := coding.Str("system")
	return system != "" && b.Has(system, coding.Str("code"))
}

func extended(n *fhir.Node) bool { return n.Get("extension") != nil }
