package patch

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// value is what a FHIRPath Patch operation puts in: a typed value, or the parts of an anonymous type.
type value struct {
	node  *fhir.Node
	comp  *fhir.Node // a primitive's id and extensions
	typ   *def.Type  // nil: parts
	parts []part
}

type part struct {
	name string
	value
}

// readValue reads value[x], resource or part of a Parameters part.
func readValue(p *fhir.Node) (value, *problem) {
	t := def.Lookup("Parameters.parameter")
	v, found := value{}, 0
	for c := p.First(); c != nil; c = c.Next() {
		name := strings.TrimPrefix(c.Name, "_")
		switch {
		case name == "resource":
			v.node, v.typ = c, def.Lookup(c.Str("resourceType"))
			found++
		case name == "part" && c.Kind == fhir.Array:
			parts, bad := readParts(c)
			if bad != nil {
				return v, bad
			}
			v.parts = parts
			found++
		case strings.HasPrefix(name, "value"):
			f, ok := t.Field(name)
			if !ok || v.typ != nil && v.typ != f.Type {
				return v, malformed("a part's value is of no known type")
			}
			if v.typ = f.Type; name == c.Name {
				v.node = c
				found++
			} else {
				v.comp = c
			}
		}
	}
	if v.comp != nil && v.node == nil {
		found++
	}
	if found != 1 || v.parts == nil && v.typ == nil {
		return v, malformed("a value is one value[x], one resource or parts")
	}
	if p := v.check(); p != nil {
		return v, p
	}
	return v, nil
}

// check holds that a primitive is a scalar and all else an object.
func (v *value) check() *problem {
	if v.typ == nil {
		return nil
	}
	scalar := v.typ.Kind == def.Primitive
	bad := v.comp != nil && (v.comp.Kind != fhir.Object || !scalar)
	if v.node != nil {
		isScalar := v.node.Kind == fhir.Bool || v.node.Kind == fhir.Number || v.node.Kind == fhir.String
		bad = bad || scalar != isScalar || !scalar && v.node.Kind != fhir.Object
	}
	if bad {
		return malformed("the value's JSON does not fit its type")
	}
	return nil
}

func readParts(list *fhir.Node) ([]part, *problem) {
	out := []part{}
	for p := list.First(); p != nil; p = p.Next() {
		name := p.Str("name")
		if name == "" {
			return nil, malformed("a part has no name")
		}
		v, bad := readValue(p)
		if bad != nil {
			return nil, bad
		}
		out = append(out, part{name, v})
	}
	return out, nil
}

// fieldFor returns the element of t that name means for this value: a choice gets the value's type.
func fieldFor(t *def.Type, name string, v *value) (jsonName string, f *def.Field, p *problem) {
	if e := t.Element(name); e != nil && e.Choice {
		if v.typ == nil {
			return "", nil, misfit("a choice of types needs a typed value")
		}
		jsonName = name + strings.ToUpper(v.typ.Name[:1]) + v.typ.Name[1:]
		f, ok := t.Field(jsonName)
		if !ok {
			return "", nil, misfit("the element " + name + " cannot be of type " + v.typ.Name)
		}
		return jsonName, f, nil
	}
	f, ok := t.Field(name)
	if !ok {
		return "", nil, misfit(quoted(name) + " is no element of " + t.Name)
	}
	return name, f, nil
}

// quoted shows a name that the caller wrote, cut where it is no plausible one.
func quoted(name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	return string(fhir.AppendQuoted(nil, name))
}

// build makes the nodes of the value for the element f: the value and, for primitives, the companion.
func (v *value) build(f *def.Field) (node, comp *fhir.Node, p *problem) {
	if v.typ == nil {
		if f.Type == nil || f.Type.Kind == def.Primitive || f.Type.Kind == def.ResourceKind {
			return nil, nil, misfit("an element of a named type needs a typed value")
		}
		object := fhir.NewObject()
		for i := range v.parts {
			if p := addTo(object, f.Type, v.parts[i].name, &v.parts[i].value); p != nil {
				return nil, nil, p
			}
		}
		if object.First() == nil {
			return nil, nil, misfit("the value has no content")
		}
		return object, nil, nil
	}
	if !fits(f.Type, v) {
		return nil, nil, misfit("a value of type " + v.typ.Name + " does not fit an element of type " + typeName(f.Type))
	}
	return v.node.Clone(), v.comp.Clone(), nil
}

func typeName(t *def.Type) string {
	if t == nil {
		return "unknown"
	}
	return t.Name
}

// fits reports whether the value may stand in an element of type t: primitives that JSON writes alike may (R4's own
// differ writes a narrative's div as a string), other types where one derives from the other.
func fits(t *def.Type, v *value) bool {
	switch {
	case t == nil:
		return false
	case t.Kind == def.Primitive && v.typ.Kind == def.Primitive:
		return v.node == nil || v.node.Kind == jsonKind(t.Name)
	}
	return v.typ.IsA(t.Name) || t.IsA(v.typ.Name) && t.Kind == def.Complex
}

func jsonKind(primitive string) fhir.Kind {
	switch primitive {
	case "boolean":
		return fhir.Bool
	case "integer", "positiveInt", "unsignedInt", "decimal":
		return fhir.Number
	}
	return fhir.String
}

// addTo adds the element of that name to an object of type t: to the end of a list, or where none is yet.
func addTo(object *fhir.Node, t *def.Type, name string, v *value) *problem {
	jsonName, f, p := fieldFor(t, name, v)
	if p != nil {
		return p
	}
	node, comp, p := v.build(f)
	if p != nil {
		return p
	}
	if repeats(f) {
		l := loadList(object, jsonName)
		l.items = append(l.items, pair{node, comp})
		l.store()
		return nil
	}
	if present(object, t, f) {
		return misfit("the element " + f.Name + " is there already and does not repeat")
	}
	if node != nil {
		object.Set(jsonName, node)
	}
	if comp != nil {
		object.Set("_"+jsonName, comp)
	}
	return nil
}

func repeats(f *def.Field) bool { return f.Max < 0 || f.Max > 1 }

// present reports whether the object has the element, in any type of its choice.
func present(object *fhir.Node, t *def.Type, f *def.Field) bool {
	for c := object.First(); c != nil; c = c.Next() {
		if g, ok := t.Field(strings.TrimPrefix(c.Name, "_")); ok && g.Element == f.Element {
			return true
		}
	}
	return false
}
