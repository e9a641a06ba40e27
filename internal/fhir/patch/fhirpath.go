package patch

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/fhirpath"
)

// pathSteps is the step budget that all paths of one patch share, and the least that each has.
const (
	pathSteps    = 20_000_000
	minPathSteps = 20_000
)

// FHIRPath applies the operations of a Parameters resource (R4 fhirpatch.html) to a copy of doc and returns the copy;
// doc and params stay as they are. Deleting what is not there changes nothing. Objects and arrays that become empty are
// dropped. A replaced primitive has the extensions of the value that replaces it, and no others.
func FHIRPath(doc, params *fhir.Resource) (*fhir.Resource, error) {
	if params == nil || params.Node == nil || params.Type() != "Parameters" {
		return nil, fault.New(fault.Invalid, "a FHIRPath Patch is a Parameters resource")
	}
	out := doc.Clone()
	count := params.Get("parameter").Len()
	if count > MaxOperations {
		return nil, fault.New(fault.TooCostly, "the patch has more than %d operations", MaxOperations)
	}
	number := 0
	for p := params.Get("parameter").First(); p != nil; p = p.Next() {
		o, bad := readOperation(p)
		if bad == nil {
			bad = o.apply(out, max(pathSteps/count, minPathSteps))
		}
		if bad != nil {
			bad.path = shown(o.path)
			return nil, bad.at(number)
		}
		number++
	}
	if err := sameIdentity(doc.Node, out.Node); err != nil {
		return nil, err
	}
	if err := legal(out.Node, 0); err != nil {
		return nil, err
	}
	return out, nil
}

// shown is the path for a message: what stands in quotes may be a patient's data.
func shown(path string) string {
	var b strings.Builder
	for i := 0; i < len(path) && b.Len() < 200; i++ {
		b.WriteByte(path[i])
		if path[i] != '\'' {
			continue
		}
		for i++; i < len(path) && path[i] != '\''; i++ {
			if path[i] == '\\' {
				i++
			}
		}
		b.WriteString("…'")
	}
	return b.String()
}

// operation is one of add, insert, delete, replace, move.
type operation struct {
	kind, path, name           string
	value                      *value
	index, source, destination int
}

const unset = -1

func readOperation(p *fhir.Node) (operation, *problem) {
	o := operation{index: unset, source: unset, destination: unset}
	if p.Str("name") != "operation" {
		return o, malformed("a parameter's name is operation")
	}
	for c := p.Get("part").First(); c != nil; c = c.Next() {
		v, bad := readValue(c)
		if bad != nil {
			return o, bad
		}
		ok := true
		switch c.Str("name") {
		case "type":
			o.kind, ok = v.text()
		case "path":
			o.path, ok = v.text()
		case "name":
			o.name, ok = v.text()
		case "value":
			o.value = &v
		case "index":
			o.index, ok = v.number()
		case "source":
			o.source, ok = v.number()
		case "destination":
			o.destination, ok = v.number()
		default:
			return o, malformed("the parts are type, path, name, value, index, source and destination")
		}
		if !ok {
			return o, malformed("the part " + c.Str("name") + " has a wrong type")
		}
	}
	return o, o.complete()
}

func (v *value) text() (string, bool) {
	if v.node == nil || v.node.Kind != fhir.String {
		return "", false
	}
	return v.node.Text, true
}

func (v *value) number() (int, bool) {
	if v.node == nil || v.node.Kind != fhir.Number {
		return unset, false
	}
	n, ok := index(v.node.Text)
	if !ok {
		return unset, false
	}
	return n, true
}

// complete holds that the operation has the parts that its kind needs.
func (o *operation) complete() *problem {
	if o.path == "" {
		return malformed("the part path is missing")
	}
	missing := ""
	switch o.kind {
	case "add":
		if o.name == "" {
			missing = "name"
		} else if o.value == nil {
			missing = "value"
		}
	case "insert":
		if o.index == unset {
			missing = "index"
		} else if o.value == nil {
			missing = "value"
		}
	case "replace":
		if o.value == nil {
			missing = "value"
		}
	case "move":
		if o.source == unset {
			missing = "source"
		} else if o.destination == unset {
			missing = "destination"
		}
	case "delete":
	default:
		return malformed("type is one of add, insert, delete, replace and move")
	}
	if missing != "" {
		return malformed("the part " + missing + " is missing")
	}
	return nil
}

// apply evaluates the path on r and changes r there.
func (o *operation) apply(r *fhir.Resource, steps int) *problem {
	e, err := fhirpath.Compile(o.path)
	if err != nil {
		return &problem{fault.Invalid, "", err.Error()}
	}
	items, err := e.Eval(fhirpath.Context{Resource: r, MaxSteps: steps})
	if err != nil {
		return &problem{fault.KindOf(err), "", err.Error()}
	}
	for _, it := range items {
		if it.IsSystem() || it.Unfetched() {
			return misfit("the path leads to a computed value, not to an element")
		}
	}
	switch o.kind {
	case "add":
		return o.add(r, items)
	case "insert":
		return o.insert(r, items)
	case "delete":
		return o.remove(r, items)
	case "replace":
		return o.replace(r, items)
	}
	return o.move(r, items)
}

// one returns the only item.
func one(items fhirpath.Collection) (fhirpath.Item, *problem) {
	switch len(items) {
	case 0:
		return fhirpath.Item{}, misfit("the path leads to no element")
	case 1:
		return items[0], nil
	}
	return fhirpath.Item{}, misfit("the path leads to several elements")
}

// placeOf finds an item in the resource.
func placeOf(r *fhir.Resource, it fhirpath.Item) (place, *problem) {
	n := it.Node()
	if n == nil {
		n = it.Companion()
	}
	p, ok := locate(r.Node, n)
	if !ok {
		return p, misfit("the path leads to the resource itself, not to an element of it")
	}
	return p, nil
}

func (o *operation) add(r *fhir.Resource, items fhirpath.Collection) *problem {
	it, p := one(items)
	if p != nil {
		return p
	}
	t := it.Type()
	if t == nil {
		return misfit("the path leads to an element of unknown type")
	}
	if t.Kind != def.Primitive {
		return addTo(it.Node(), t, o.name, o.value)
	}
	// A primitive's own elements (id, extension) stand in its companion.
	comp := it.Companion()
	if comp != nil {
		return addTo(comp, t, o.name, o.value)
	}
	at, p := placeOf(r, it)
	if p != nil {
		return p
	}
	comp = fhir.NewObject()
	if p := addTo(comp, t, o.name, o.value); p != nil {
		return p
	}
	if at.index < 0 {
		at.object.Set("_"+at.name, comp)
		return nil
	}
	l := loadList(at.object, at.name)
	l.items[at.index].comp = comp
	l.store()
	return nil
}

func (o *operation) remove(r *fhir.Resource, items fhirpath.Collection) *problem {
	if len(items) == 0 {
		return nil
	}
	it, p := one(items)
	if p != nil {
		return p
	}
	at, p := placeOf(r, it)
	if p != nil {
		return p
	}
	at.remove(r.Node)
	return nil
}

func (o *operation) replace(r *fhir.Resource, items fhirpath.Collection) *problem {
	it, p := one(items)
	if p != nil {
		return p
	}
	at, p := placeOf(r, it)
	if p != nil {
		return p
	}
	name, f := at.name, it.Field()
	if f == nil {
		return misfit("the path leads to an element of unknown type")
	}
	if f.Choice {
		if name, f, p = choiceFor(at, f, o.value); p != nil {
			return p
		}
	}
	node, comp, p := o.value.build(f)
	if p != nil {
		return p
	}
	if at.index < 0 {
		at.replaceSingle(name, node, comp)
		return nil
	}
	l := loadList(at.object, at.name)
	l.items[at.index] = pair{node, comp}
	l.store()
	return nil
}

// choiceFor returns the JSON name and field of a choice for the value's type.
func choiceFor(at place, f *def.Field, v *value) (string, *def.Field, *problem) {
	if v.typ == nil {
		return "", nil, misfit("a choice of types needs a typed value")
	}
	for _, ref := range f.Types {
		if ref.Type == v.typ {
			return f.Name + strings.ToUpper(v.typ.Name[:1]) + v.typ.Name[1:], &def.Field{Element: f.Element, Type: ref.Type}, nil
		}
	}
	return at.name, nil, misfit("the element " + f.Name + " cannot be of type " + v.typ.Name)
}

// replaceSingle puts the new value and companion in the place of the old ones, under a choice's new name.
func (p place) replaceSingle(name string, node, comp *fhir.Node) {
	old, oldComp := p.object.Get(p.name), p.object.Get("_"+p.name)
	anchor := old
	if anchor == nil {
		anchor, oldComp = oldComp, nil
	}
	if oldComp != nil {
		p.object.Remove(oldComp)
	}
	first, second := node, comp
	if first == nil {
		first, second = comp, nil
	}
	p.object.Replace(anchor, first)
	if first.Name = name; node == nil {
		first.Name = "_" + name
	}
	if second != nil {
		p.object.Set("_"+name, second)
	}
}

// sameList finds the one list that all items stand in, and their indexes in it.
func sameList(r *fhir.Resource, items fhirpath.Collection) (*list, []int, *problem) {
	if len(items) == 0 {
		return nil, nil, misfit("the path leads to no element")
	}
	var first place
	at := make([]int, len(items))
	for i, it := range items {
		p, bad := placeOf(r, it)
		if bad != nil {
			return nil, nil, bad
		}
		if i == 0 {
			first = p
		}
		if p.index < 0 || p.object != first.object || p.name != first.name || i > 0 && p.index <= at[i-1] {
			return nil, nil, misfit("the path does not lead to one list")
		}
		at[i] = p.index
	}
	return loadList(first.object, first.name), at, nil
}

func (o *operation) insert(r *fhir.Resource, items fhirpath.Collection) *problem {
	l, at, p := sameList(r, items)
	if p != nil {
		return p
	}
	if o.index > len(at) {
		return misfit("the index is past the end of the list")
	}
	f := items[0].Field()
	if f == nil {
		return misfit("the path leads to an element of unknown type")
	}
	node, comp, p := o.value.build(f)
	if p != nil {
		return p
	}
	where := at[len(at)-1] + 1
	if o.index < len(at) {
		where = at[o.index]
	}
	l.items = append(l.items[:where], append([]pair{{node, comp}}, l.items[where:]...)...)
	l.store()
	return nil
}

func (o *operation) move(r *fhir.Resource, items fhirpath.Collection) *problem {
	l, at, p := sameList(r, items)
	if p != nil {
		return p
	}
	if o.source >= len(at) || o.destination >= len(at) {
		return misfit("source or destination is past the end of the list")
	}
	// Where the path names some of a list's items alone, they change places among themselves.
	moved := make([]pair, 0, len(at))
	for i, index := range at {
		if i != o.source {
			moved = append(moved, l.items[index])
		}
	}
	moved = append(moved[:o.destination], append([]pair{l.items[at[o.source]]}, moved[o.destination:]...)...)
	for i, index := range at {
		l.items[index] = moved[i]
	}
	l.store()
	return nil
}
