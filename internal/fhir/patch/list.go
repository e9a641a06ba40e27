package patch

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// pair is an item of a list: its value and, for primitives, its companion; either may be nil.
type pair struct{ node, comp *fhir.Node }

// list is a repeating element of an object, its values and companions side by side.
type list struct {
	object *fhir.Node
	name   string // the JSON name, without underscore
	items  []pair
}

func loadList(object *fhir.Node, name string) *list {
	l := &list{object: object, name: name}
	values, comps := object.Get(name).Items(), object.Get("_"+name).Items()
	for i := 0; i < max(len(values), len(comps)); i++ {
		p := pair{}
		if i < len(values) && values[i].Kind != fhir.Null {
			p.node = values[i]
		}
		if i < len(comps) && comps[i].Kind != fhir.Null {
			p.comp = comps[i]
		}
		l.items = append(l.items, p)
	}
	return l
}

// store writes the list back: the two arrays aligned by null, an array that holds nothing left out.
func (l *list) store() {
	values, comps := fhir.NewArray(), fhir.NewArray()
	hasValue, hasComp := false, false
	for _, p := range l.items {
		hasValue, hasComp = hasValue || p.node != nil, hasComp || p.comp != nil
		values.Append(orNull(p.node))
		comps.Append(orNull(p.comp))
	}
	l.put(l.name, values, hasValue)
	l.put("_"+l.name, comps, hasComp)
}

func (l *list) put(name string, array *fhir.Node, used bool) {
	if used {
		l.object.Set(name, array)
	} else {
		l.object.Delete(name)
	}
}

func orNull(n *fhir.Node) *fhir.Node {
	if n == nil {
		return &fhir.Node{Kind: fhir.Null}
	}
	n.Name = ""
	return n
}

// place is where an element stands: a member of an object, or an item of a list.
type place struct {
	object *fhir.Node
	name   string // the JSON name, without underscore
	index  int    // in the list; -1 where it is no list
}

// locate finds where a node stands below root; false for root itself and for nodes of other trees.
func locate(root, target *fhir.Node) (place, bool) {
	for c := root.First(); c != nil; c = c.Next() {
		name := strings.TrimPrefix(c.Name, "_")
		if c == target {
			return place{root, name, -1}, true
		}
		if c.Kind != fhir.Array {
			if p, ok := locate(c, target); ok {
				return p, true
			}
			continue
		}
		i := 0
		for x := c.First(); x != nil; x = x.Next() {
			if x == target {
				return place{root, name, i}, true
			}
			if p, ok := locate(x, target); ok {
				return p, true
			}
			i++
		}
	}
	return place{}, false
}

// remove takes the element out, and the objects that it leaves empty up to root.
func (p place) remove(root *fhir.Node) {
	for {
		if p.index < 0 {
			p.object.Delete(p.name)
			p.object.Delete("_" + p.name)
		} else {
			l := loadList(p.object, p.name)
			l.items = append(l.items[:p.index], l.items[p.index+1:]...)
			l.store()
		}
		if p.object.First() != nil || p.object == root {
			return
		}
		up, ok := locate(root, p.object)
		if !ok {
			return
		}
		if sibling := up.sibling(p.object); sibling != nil {
			// A companion that has become empty; the primitive's value stays.
			up.dropCompanion(p.object)
			return
		}
		p = up
	}
}

// sibling returns the value that stands beside the companion comp, or nil where comp is no companion or has none.
func (p place) sibling(comp *fhir.Node) *fhir.Node {
	value, companion := p.object.Get(p.name), p.object.Get("_"+p.name)
	if p.index >= 0 {
		value, companion = value.At(p.index), companion.At(p.index)
	}
	if companion != comp || value == nil || value.Kind == fhir.Null {
		return nil
	}
	return value
}

func (p place) dropCompanion(comp *fhir.Node) {
	if p.index < 0 {
		p.object.Delete("_" + p.name)
		return
	}
	l := loadList(p.object, p.name)
	for i := range l.items {
		if l.items[i].comp == comp {
			l.items[i].comp = nil
		}
	}
	l.store()
}
