package fhirpath

import (
	"sync/atomic"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// member is a step ".name". What the name means depends on the type that it meets: each (type, name) is worked out
// once and kept.
type member struct {
	name  string
	plans atomic.Pointer[[]*plan]
}

// plan is what a member name means in one type.
type plan struct {
	typ    *def.Type
	field  *def.Field // nil: the type has no such element, or it is a choice
	choice bool
	prefix string // of the choice's JSON names
}

// maxPlans bounds what one step keeps; descendants() can meet every type.
const maxPlans = 16

func (p *member) plan(t *def.Type) *plan {
	known := p.plans.Load()
	if known != nil {
		for _, k := range *known {
			if k.typ == t {
				return k
			}
		}
	}
	made := newPlan(t, p.name)
	var list []*plan
	if known != nil {
		list = *known
	}
	if len(list) < maxPlans {
		grown := append(append(make([]*plan, 0, len(list)+1), list...), made)
		p.plans.CompareAndSwap(known, &grown)
	}
	return made
}

func newPlan(t *def.Type, name string) *plan {
	p := &plan{typ: t}
	if t == nil {
		return p
	}
	if e := t.Element(name); e != nil && e.Choice {
		p.choice, p.prefix = true, name
		return p
	}
	f, ok := t.Field(name)
	if !ok || f.Choice {
		return p
	}
	p.field = f
	// A resource's own id is of type id, though R4's definition says string.
	if name == "id" && t.Kind == def.ResourceKind {
		if id := def.Lookup("id"); id != nil {
			p.field = &def.Field{Element: f.Element, Type: id}
		}
	}
	return p
}

// pathOp is a run of members: "name.given". Each item is followed to its ends in turn, without buffers between.
type pathOp struct {
	members []*member
	// root is the first name where it may name the focus's type ("Patient" in "Patient.name").
	root string
}

func (o *pathOp) eval(m *machine, _ frame, in, dst Collection) (Collection, error) {
	var err error
	for i := range in {
		it := &in[i]
		from := 0
		if o.root != "" && it.typ != nil && it.typ.Kind == def.ResourceKind && it.typ.IsA(o.root) {
			from = 1
		}
		if dst, err = o.follow(m, *it, from, dst); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// follow appends what members[from:] reach from it.
func (o *pathOp) follow(m *machine, it Item, from int, dst Collection) (Collection, error) {
	if from == len(o.members) {
		return append(dst, it), nil
	}
	if m.steps--; m.steps < 0 {
		return dst, m.step(0)
	}
	step := o.members[from]
	if it.value != nil {
		return o.followInfo(m, it.value, from, dst)
	}
	if it.typ == nil {
		return dst, nil
	}
	p := step.plan(it.typ)
	switch {
	case p.choice:
		return o.followChoice(m, it, p, from, dst)
	case p.field == nil:
		return dst, nil
	}
	return o.followField(m, it, p.field, step.name, from, dst)
}

func (o *pathOp) followField(m *machine, it Item, f *def.Field, name string, from int, dst Collection) (Collection, error) {
	object := it.node
	if it.typ.Kind == def.Primitive {
		object = it.comp // a primitive's id and extension stand in its companion
	}
	primitive := f.Type != nil && f.Type.Kind == def.Primitive
	var value, comp *fhir.Node
	for c := object.First(); c != nil; c = c.Next() {
		if c.Name == name {
			value = c
			if !primitive {
				break
			}
		} else if primitive && isCompanion(c.Name, name) {
			comp = c
		}
	}
	return o.spread(m, value, comp, f, from, dst)
}

func companionOf(object *fhir.Node, name string) *fhir.Node {
	for c := object.First(); c != nil; c = c.Next() {
		if isCompanion(c.Name, name) {
			return c
		}
	}
	return nil
}

func isCompanion(member, name string) bool {
	return len(member) == len(name)+1 && member[0] == '_' && member[1:] == name
}

// followChoice finds the one of valueString, _valueString, valueQuantity … that stands in the object.
func (o *pathOp) followChoice(m *machine, it Item, p *plan, from int, dst Collection) (Collection, error) {
	var f *def.Field
	var value, comp *fhir.Node
	for c := it.node.First(); c != nil; c = c.Next() {
		name, companion := c.Name, false
		if len(name) > 0 && name[0] == '_' {
			name, companion = name[1:], true
		}
		if len(name) <= len(p.prefix) || name[:len(p.prefix)] != p.prefix {
			continue
		}
		g, ok := it.typ.Field(name)
		if !ok || !g.Choice || g.Name != p.prefix || f != nil && g != f {
			continue
		}
		f = g
		if companion {
			comp = c
		} else {
			value = c
		}
	}
	if f == nil {
		return dst, nil
	}
	return o.spread(m, value, comp, f, from, dst)
}

// spread goes on with each item of an element; arrays of values and of companions are aligned.
func (o *pathOp) spread(m *machine, value, comp *fhir.Node, f *def.Field, from int, dst Collection) (Collection, error) {
	if value == nil && comp == nil {
		return dst, nil
	}
	isArray := value != nil && value.Kind == fhir.Array || value == nil && comp.Kind == fhir.Array
	if !isArray {
		return o.follow(m, element(value, comp, f), from+1, dst)
	}
	var err error
	v, c := value.First(), (*fhir.Node)(nil)
	if comp != nil && comp.Kind == fhir.Array {
		c = comp.First()
	}
	for v != nil || c != nil {
		it := element(v, c, f)
		if it.node != nil || it.comp != nil {
			if dst, err = o.follow(m, it, from+1, dst); err != nil {
				return dst, err
			}
		}
		if v != nil {
			v = v.Next()
		}
		if c != nil {
			c = c.Next()
		}
	}
	return dst, nil
}

// element makes the item of a node and its companion; JSON null is neither. A resource has the type that it names.
func element(v, c *fhir.Node, f *def.Field) Item {
	it := Item{node: v, comp: c, typ: f.Type, field: f}
	if v != nil && v.Kind == fhir.Null {
		it.node = nil
	}
	if c != nil && c.Kind != fhir.Object {
		it.comp = nil
	}
	if f.Type != nil && f.Type.Kind == def.ResourceKind && v != nil {
		if t := def.Lookup(v.Str("resourceType")); t != nil {
			it.typ = t
		}
	}
	return it
}

// followInfo serves the members of what type() returns, and of a System.Quantity.
func (o *pathOp) followInfo(m *machine, v Value, from int, dst Collection) (Collection, error) {
	var out Value
	switch v := v.(type) {
	case typeInfo:
		switch o.members[from].name {
		case "namespace":
			out = String(v.namespace)
		case "name":
			out = String(v.name)
		}
	case Quantity:
		switch o.members[from].name {
		case "value":
			out = v.Value
		case "unit", "code":
			out = String(v.Unit)
		}
	}
	if out == nil {
		return dst, nil
	}
	return o.follow(m, Item{value: out}, from+1, dst)
}

// children appends all elements right below it, in the order of the document; a primitive's are those of its companion.
func children(it Item, dst Collection) Collection {
	if it.value != nil || it.typ == nil {
		return dst
	}
	o := pathOp{}
	object := it.node
	if it.typ.Kind == def.Primitive {
		object = it.comp
	}
	if object == nil || object.Kind != fhir.Object {
		return dst
	}
	// With no members left to follow, spread appends the items and cannot fail.
	m := machine{steps: 1}
	for c := object.First(); c != nil; c = c.Next() {
		name, value, comp := c.Name, c, (*fhir.Node)(nil)
		if len(name) > 0 && name[0] == '_' {
			name, value, comp = name[1:], nil, c
		}
		f, ok := it.typ.Field(name)
		if !ok || comp != nil && object.Get(name) != nil {
			continue
		}
		if comp == nil && f.Type != nil && f.Type.Kind == def.Primitive {
			comp = companionOf(object, name)
		}
		dst, _ = o.spread(&m, value, comp, f, -1, dst)
	}
	return dst
}
