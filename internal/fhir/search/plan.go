package search

import (
	"fmt"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// A spot is a place in the JSON tree that some path leads to. All paths of a resource type share one tree of spots, so
// that a resource is walked once.
type spot struct {
	edges   []edge
	lengths uint64 // bit n: an edge's name has n bytes (63 stands for all longer ones)
	filters []filter
	emits   []emit
}

// edge leads to a JSON member; first only into the first item of an array.
type edge struct {
	name       string
	all, first *spot
}

// filter leads on, at the same element, where a condition holds.
type filter struct {
	cond step
	spot *spot
}

// emit turns the value at a spot into rows of an atom.
type emit struct {
	atom *Atom
	conv converter
}

func lengthBit(name string) uint64 { return 1 << min(len(name), 63) }

func (s *spot) find(name string) *edge {
	if s.lengths&lengthBit(name) == 0 {
		return nil
	}
	for i := range s.edges {
		if s.edges[i].name == name {
			return &s.edges[i]
		}
	}
	return nil
}

// member returns the spot that the JSON member leads to, made where it is new.
func (s *spot) member(name string, firstOnly bool) *spot {
	e := s.find(name)
	if e == nil {
		s.edges = append(s.edges, edge{name: name})
		s.lengths |= lengthBit(name)
		e = &s.edges[len(s.edges)-1]
	}
	to := &e.all
	if firstOnly {
		to = &e.first
	}
	if *to == nil {
		*to = &spot{}
	}
	return *to
}

func (s *spot) filtered(cond step) *spot {
	for _, f := range s.filters {
		if f.cond == cond {
			return f.spot
		}
	}
	f := filter{cond, &spot{}}
	s.filters = append(s.filters, f)
	return f.spot
}

// place is where a path ends, for one type that the value may have there.
type place struct {
	spot    *spot
	typ     *def.Type
	binding *def.Binding
	private bool     // the way leads through an identifier, contact point or address
	truth   []string // for stepTruth: the members whose presence is asked
}

// private data types: their texts are blind (see Atom.Blind).
func isPrivate(t *def.Type) bool {
	return t.Name == "Identifier" || t.Name == "ContactPoint" || t.Name == "Address"
}

// follow extends the tree of spots by a path and returns its ends.
func follow(from place, steps []step) ([]place, error) {
	if len(steps) == 0 {
		return []place{from}, nil
	}
	s, rest := steps[0], steps[1:]
	switch s.kind {
	case stepField:
		return followField(from, s.name, rest)
	case stepCast:
		if from.typ.IsA(s.name) {
			return follow(from, rest)
		}
		return nil, fmt.Errorf("a %s is no %s", from.typ.Name, s.name)
	case stepWhere, stepHasExt:
		from.spot = from.spot.filtered(s)
		return follow(from, rest)
	case stepExtension:
		from.spot = from.spot.member("extension", false).filtered(step{kind: stepWhere, name: "url", value: s.value})
		if from.typ = def.Lookup("Extension"); from.typ == nil {
			return nil, fmt.Errorf("no type Extension")
		}
		return follow(from, rest)
	case stepResolveIs:
		return follow(from, rest)
	default:
		return nil, fmt.Errorf("a step of kind %d cannot stand here", s.kind)
	}
}

func followField(from place, name string, rest []step) ([]place, error) {
	el := from.typ.Element(name)
	if el == nil {
		return nil, fmt.Errorf("%s has no element %s", from.typ.Name, name)
	}
	if len(rest) == 1 && rest[0].kind == stepTruth {
		for _, t := range el.Types {
			from.truth = append(from.truth, jsonName(el, t.Type))
		}
		from.typ = def.Lookup("boolean")
		return []place{from}, nil
	}
	only := ""
	if el.Choice && len(rest) > 0 && rest[0].kind == stepCast {
		only, rest = rest[0].name, rest[1:]
	}
	first := false
	if len(rest) > 0 && rest[0].kind == stepIndex {
		first, rest = true, rest[1:]
	}
	var ends []place
	var failed error
	for _, t := range el.Types {
		if t.Type == nil || only != "" && t.Type.Name != only {
			continue
		}
		to := place{spot: from.spot.member(jsonName(el, t.Type), first), typ: t.Type, binding: el.Binding,
			private: from.private || isPrivate(t.Type)}
		more, err := follow(to, rest)
		if err != nil {
			failed = err
			continue
		}
		ends = append(ends, more...)
	}
	if len(ends) == 0 && failed == nil {
		failed = fmt.Errorf("%s.%s has no type %s", from.typ.Name, name, only)
	}
	if len(ends) == 0 {
		return nil, failed
	}
	return ends, nil
}

// jsonName is the member that an element of that type stands under: value[x] with Quantity is valueQuantity.
func jsonName(el *def.Element, t *def.Type) string {
	if !el.Choice {
		return el.Name
	}
	return el.Name + upperFirst(t.Name)
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

// walk goes over n and all below it that some path leads to.
func (x *extractor) walk(n *fhir.Node, s *spot) {
	for i := range s.emits {
		e := &s.emits[i]
		if x.gather {
			x.nodes = append(x.nodes, n)
			continue
		}
		e.conv(x, e.atom, n)
	}
	if n.Kind != fhir.Object {
		return
	}
	for i := range s.filters {
		if f := &s.filters[i]; f.holds(n) {
			x.walk(n, f.spot)
		}
	}
	if len(s.edges) == 0 {
		return
	}
	for c := n.First(); c != nil; c = c.Next() {
		e := s.find(c.Name)
		switch {
		case e == nil:
		case c.Kind == fhir.Array:
			x.items(c, e)
		default:
			x.enter(c, e, true)
		}
	}
}

func (x *extractor) items(array *fhir.Node, e *edge) {
	first := true
	for c := array.First(); c != nil; c = c.Next() {
		if c.Kind != fhir.Null && c.Kind != fhir.Array {
			x.enter(c, e, first)
		}
		first = false
	}
}

func (x *extractor) enter(n *fhir.Node, e *edge, first bool) {
	if e.all != nil {
		x.walk(n, e.all)
	}
	if first && e.first != nil {
		x.walk(n, e.first)
	}
}

func (f *filter) holds(n *fhir.Node) bool {
	if f.cond.kind == stepWhere {
		c := n.Get(f.cond.name)
		return c != nil && c.Text == f.cond.value && c.Kind != fhir.Array && c.Kind != fhir.Object
	}
	for c := n.Get("extension").First(); c != nil; c = c.Next() {
		if c.Str("url") == f.cond.value {
			return true
		}
	}
	return false
}
