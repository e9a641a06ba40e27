package validate

import (
	"strconv"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// boundCode checks a plain code against a required binding.
func (v *validator) boundCode(code string, f *def.Field) {
	if !f.Binding.Has("", code) {
		v.notInSet(code, f)
	}
}

// boundCoding checks a Coding against a required binding, if there is one.
func (v *validator) boundCoding(n *fhir.Node, f *def.Field) {
	if f.Binding != nil && !inSet(n, f.Binding) && !extended(n) {
		v.notInSet(n.Str("code"), f)
	}
}

// notInSet repeats the code only where it looks like one: what stands in the wrong field may be a name or a number of a person.
func (v *validator) notInSet(code string, f *def.Field) {
	if !looksLikeCode(code) {
		v.fail(codeInvalid, "the code is not in the required value set %s", f.Binding.ValueSet)
		return
	}
	v.fail(codeInvalid, "code %q is not in the required value set %s", code, f.Binding.ValueSet)
}

// The bounds of what may be repeated to a client, and with that stand in logs: longer texts and numbers may tell of a person.
const (
	maxEcho       = 32
	maxEchoDigits = 5
)

// looksLikeCode reports whether a text can be repeated in a diagnostic: a short word of letters, digits, '-', '_' and '.', and
// no number of a person.
func looksLikeCode(s string) bool {
	digits := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxEcho && digits <= maxEchoDigits
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

// echoed is the text in quotes where it looks like a code, else what is said instead.
func echoed(s, instead string) string {
	if looksLikeCode(s) {
		return strconv.Quote(s)
	}
	return instead
}
