package validate

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// object checks the members of n against the type t and returns which elements of t it has, by Element.Index.
func (v *validator) object(n *fhir.Node, t *def.Type) (seen uint64) {
	companions := hasCompanions(n)
	for c := n.First(); c != nil && !v.full(); c = c.Next() {
		name, companion := c.Name, false
		if companions && name != "" && name[0] == '_' {
			name, companion = name[1:], true
		}
		f, ok := t.Field(name)
		if !ok || companion && (f.Type.Kind != def.Primitive || f.Attr) {
			v.unknown(c.Name, t)
			continue
		}
		if companion && n.Get(name) != nil {
			continue // checked with its value
		}
		again := seen>>f.Index&1 == 1
		seen |= 1 << f.Index
		if !v.push(f.Name) {
			return seen
		}
		if again {
			v.fail(codeStructure, "only one of %s[x] may be present", f.Name)
		}
		switch {
		case companion:
			v.primitives(nil, c, f)
		case f.Type.Kind == def.Primitive && companions && !f.Attr:
			v.primitives(c, companionOf(n, name), f)
		case f.Type.Kind == def.Primitive:
			v.primitives(c, nil, f)
		default:
			v.complexes(c, f)
		}
		v.pop()
	}
	if missing := t.Required &^ seen; missing != 0 {
		v.missing(t, missing)
	}
	return seen
}

// hasCompanions reports whether any member is the companion of a primitive.
func hasCompanions(n *fhir.Node) bool {
	for c := n.First(); c != nil; c = c.Next() {
		if c.Name != "" && c.Name[0] == '_' {
			return true
		}
	}
	return false
}

// companionOf returns the member "_name", or nil.
func companionOf(n *fhir.Node, name string) *fhir.Node {
	for c := n.First(); c != nil; c = c.Next() {
		if len(c.Name) == len(name)+1 && c.Name[0] == '_' && c.Name[1:] == name {
			return c
		}
	}
	return nil
}

// unknown reports a member that the type does not have; resourceType is no element, but a resource's mark.
func (v *validator) unknown(name string, t *def.Type) {
	if name == "resourceType" && t.Kind == def.ResourceKind {
		return
	}
	if !isIdentifier(name) {
		v.fail(codeStructure, "unknown element in %s", t.Name)
		return
	}
	v.failAt(name, codeStructure, "unknown element in %s", t.Name)
}

// isIdentifier reports whether a member's name can stand in a location.
func isIdentifier(name string) bool {
	return looksLikeCode(name) && !strings.ContainsAny(name, "-.") && (name[0] < '0' || name[0] > '9')
}

func (v *validator) missing(t *def.Type, missing uint64) {
	for i, e := range t.Elements {
		if missing>>i&1 == 0 {
			continue
		}
		if e.Choice {
			v.failAt(e.Name, codeRequired, "%s needs one of %s[x]", t.Name, e.Name)
		} else {
			v.failAt(e.Name, codeRequired, "%s needs %s", t.Name, e.Name)
		}
	}
}

// content checks that an element has some (ele-1), and an extension either a value or extensions (ext-1).
func (v *validator) content(t *def.Type, seen uint64) {
	const id = 1 // the first element of every type
	if seen&^id == 0 {
		if !v.full() {
			v.fail(codeInvariant, "an element needs a value or children (ele-1)")
		}
		return
	}
	if t.Name == "Extension" {
		nested, value := seen&v.known.extensionExtension != 0, seen&v.known.extensionValue != 0
		if nested == value {
			v.fail(codeInvariant, "an extension has either a value or extensions (ext-1)")
		}
	}
}

// complexes checks a member whose values are objects, one or many.
func (v *validator) complexes(n *fhir.Node, f *def.Field) {
	if f.Max == 1 {
		v.complex(n, f)
		return
	}
	if !v.repeated(n, f) {
		return
	}
	i := 0
	for c := n.First(); c != nil && !v.full(); c = c.Next() {
		v.item(i)
		v.complex(c, f)
		i++
	}
}

// repeated checks that n is an array of as many items as f admits.
func (v *validator) repeated(n *fhir.Node, f *def.Field) bool {
	switch {
	case f.Max == 0:
		v.fail(codeStructure, "%s may not be present", f.Name)
	case n.Kind != fhir.Array:
		v.fail(codeStructure, "%s repeats: it is an array", f.Name)
	case n.First() == nil:
		v.fail(codeStructure, "an empty array")
	case f.Max > 1 && n.Len() > f.Max:
		v.fail(codeStructure, "%s repeats at most %d times", f.Name, f.Max)
	default:
		return true
	}
	return false
}

// complex checks one object.
func (v *validator) complex(n *fhir.Node, f *def.Field) {
	if n.Kind != fhir.Object {
		v.notObject(n, f)
		return
	}
	if f.Type.Kind == def.ResourceKind {
		v.nested(n, f)
		return
	}
	v.content(f.Type, v.object(n, f.Type))
	switch f.Type.Name {
	case "Reference":
		v.reference(n, f)
	case "CodeableConcept":
		v.boundConcept(n, f)
	case "Coding":
		v.boundCoding(n, f)
	case "Period":
		v.period(n)
	}
}

func (v *validator) notObject(n *fhir.Node, f *def.Field) {
	switch {
	case n.Kind == fhir.Array && f.Max == 1:
		v.fail(codeStructure, "%s does not repeat: it is no array", f.Name)
	case n.Kind == fhir.Null:
		v.fail(codeStructure, "null stands only in arrays of primitive values")
	default:
		v.fail(codeStructure, "%s is an object (%s)", f.Name, f.Type.Name)
	}
}
