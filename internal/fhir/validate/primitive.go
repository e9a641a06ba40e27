package validate

import (
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// primitives checks a primitive member: its value, its companion ("_name", with id and extensions), or both; either may
// be nil. Where the element repeats, the two are arrays of one length, aligned by null.
func (v *validator) primitives(value, companion *fhir.Node, f *def.Field) {
	if f.Max == 1 {
		if value != nil {
			v.primitive(value, f)
		}
		if companion != nil {
			v.companion(companion, f, value != nil)
		}
		return
	}
	if value != nil && !v.repeated(value, f) || companion != nil && !v.repeated(companion, f) {
		return
	}
	if companion == nil {
		v.primitiveItems(value, f)
		return
	}
	if value != nil && value.Len() != companion.Len() {
		v.fail(codeStructure, "%s and _%s are of different length", f.Name, f.Name)
		return
	}
	v.pairs(value.First(), companion.First(), f)
}

// primitiveItems checks the values of a repeating primitive without companions.
func (v *validator) primitiveItems(value *fhir.Node, f *def.Field) {
	i := 0
	for c := value.First(); c != nil && !v.full(); c = c.Next() {
		v.item(i)
		if c.Kind == fhir.Null {
			v.fail(codeInvariant, "a null needs an extension at its place in _%s (ele-1)", f.Name)
		} else {
			v.primitive(c, f)
		}
		i++
	}
}

// pairs checks values (nil: there are none at all) beside their companions.
func (v *validator) pairs(value, companion *fhir.Node, f *def.Field) {
	for i := 0; companion != nil && !v.full(); i++ {
		v.item(i)
		has := value != nil && value.Kind != fhir.Null
		if has {
			v.primitive(value, f)
		}
		if companion.Kind != fhir.Null {
			v.companion(companion, f, has)
		} else if !has {
			v.fail(codeInvariant, "neither a value nor an extension (ele-1)")
		}
		if value != nil {
			value = value.Next()
		}
		companion = companion.Next()
	}
}

// companion checks the id and extensions of a primitive; without a value an id alone is nothing.
func (v *validator) companion(n *fhir.Node, f *def.Field, hasValue bool) {
	if n.Kind != fhir.Object {
		v.fail(codeStructure, "_%s is an object of id and extension", f.Name)
		return
	}
	if seen := v.object(n, f.Type); !hasValue {
		v.content(f.Type, seen)
	}
}

// primitive checks one value: its JSON kind, its format, its code, and a fragment that it may be.
func (v *validator) primitive(n *fhir.Node, f *def.Field) {
	if want := jsonKind(f.Type.Name); n.Kind != want {
		v.wrongKind(n, f, want)
		return
	}
	if reason := format(f.Type.Name, n.Text); reason != "" {
		v.fail(codeOf(reason), "%s", reason)
		return
	}
	if f.Binding != nil {
		v.boundCode(n.Text, f)
	}
	if v.scope != nil && n.Text != "" && n.Text[0] == '#' && f.Type.IsA("uri") {
		v.localURI(n.Text[1:])
	}
}

// jsonKind returns how a primitive type stands in JSON.
func jsonKind(typ string) fhir.Kind {
	switch typ {
	case "boolean":
		return fhir.Bool
	case "integer", "positiveInt", "unsignedInt", "decimal":
		return fhir.Number
	}
	return fhir.String
}

func (v *validator) wrongKind(n *fhir.Node, f *def.Field, want fhir.Kind) {
	name := map[fhir.Kind]string{fhir.Bool: "true or false", fhir.Number: "a JSON number", fhir.String: "a JSON string"}[want]
	switch {
	case n.Kind == fhir.Array && f.Max == 1:
		v.fail(codeStructure, "%s does not repeat: it is no array", f.Name)
	case n.Kind == fhir.Object || n.Kind == fhir.Array || n.Kind == fhir.Null:
		v.fail(codeStructure, "a %s is %s", f.Type.Name, name)
	default:
		v.fail(codeValue, "a %s is %s", f.Type.Name, name)
	}
}
