package search

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// A composite parameter asks for parts that stand at one element. A composite is one such element's path (the context)
// with its parts.
type composite struct {
	atom    *Atom  // Kind Composed
	parts   []part // at least two
	key     int    // which of two parts is the token whose codes the rows are kept under; -1: no index rows
	context *spot  // finds the contexts alone, for element by element evaluation
}

// part is one part of a composite.
type part struct {
	param  *param  // how a query's value is read
	atoms  []*Atom // by full path: what the resource must have somewhere
	plan   *spot   // from the context, or from the resource where rooted
	rooted bool
}

// addComposite fills p.composites: one a context. Composites of two parts, one of them a token, get index rows (see
// Atom.Derived); the others are decided on opened bodies.
func (ti *typeIndex) addComposite(p *param) error {
	for _, expr := range splitUnion(p.def.Expression) {
		steps, err := parsePath(expr, ti.name)
		if err != nil {
			return err
		}
		c, err := ti.composite(p, steps)
		if err != nil {
			return fmt.Errorf("%s: %w", expr, err)
		}
		p.composites = append(p.composites, c)
		p.refs = append(p.refs, AtomRef{Atom: c.atom})
	}
	return nil
}

func (ti *typeIndex) composite(p *param, context []step) (*composite, error) {
	var texts []string
	c := &composite{context: &spot{}, key: -1}
	for _, comp := range p.def.Components {
		pt, text, err := ti.part(context, comp)
		if err != nil {
			return nil, err
		}
		c.parts = append(c.parts, pt)
		texts = append(texts, text)
	}
	if len(c.parts) < 2 {
		return nil, fmt.Errorf("fewer than two parts")
	}
	if len(c.parts) == 2 {
		c.key = slices.IndexFunc(c.parts, func(p part) bool { return p.param.kind == Token })
	}
	path := pathString(context) + "(" + strings.Join(texts, "$") + ")"
	c.atom = &Atom{ID: atomID(ti.name, path, Composed), Type: ti.name, Path: path, Kind: Composed, own: &spot{}}
	typ := def.Lookup(ti.name)
	ends, err := follow(place{spot: c.context, typ: typ}, context)
	if err != nil {
		return nil, err
	}
	for _, e := range ends {
		e.spot.emits = append(e.spot.emits, emit{c.atom, c.put})
	}
	key := fmt.Sprint(Composed, "|", path)
	if ti.byKey[key] != nil || c.key < 0 {
		return c, nil
	}
	ti.keep(key, c.atom)
	ends, err = follow(place{spot: ti.root, typ: typ}, context)
	for _, e := range ends {
		e.spot.emits = append(e.spot.emits, emit{c.atom, c.put})
	}
	return c, err
}

func (ti *typeIndex) part(context []step, comp def.Component) (part, string, error) {
	kind, ok := kindsOfTypes[comp.Type]
	if !ok {
		return part{}, "", fmt.Errorf("a part of type %q", comp.Type)
	}
	pt := part{plan: &spot{}, param: &param{def: &def.SearchParam{Code: comp.Param, Type: comp.Type}, kind: kind}}
	if named := def.SearchParams(ti.name); comp.Param != "" {
		for _, sp := range named {
			if sp.Code == comp.Param {
				pt.param.def = sp
			}
		}
	}
	var texts []string
	for _, expr := range splitUnion(comp.Expression) {
		rel, rooted := strings.CutPrefix(expr, "%resource.")
		steps, err := parsePath(rel, ti.name)
		if err != nil {
			return part{}, "", err
		}
		pt.rooted = rooted
		full := steps
		if !rooted {
			full = append(append([]step(nil), context...), steps...)
		}
		a, err := ti.atom(full, kind)
		if err != nil {
			return part{}, "", err
		}
		pt.atoms = append(pt.atoms, a)
		pt.param.refs = append(pt.param.refs, AtomRef{Atom: a})
		texts = append(texts, pathString(steps))
		from, err := contextPlace(ti.name, context, pt.plan, rooted)
		if err != nil {
			return part{}, "", err
		}
		local := &Atom{ID: a.ID, Kind: kind, Blind: a.Blind, steps: steps}
		if _, err := local.attach(from); err != nil {
			return part{}, "", err
		}
	}
	return pt, strings.Join(texts, "|"), nil
}

// contextPlace is where a part's paths begin: the context's type, or the resource.
func contextPlace(resourceType string, context []step, plan *spot, rooted bool) (place, error) {
	typ := def.Lookup(resourceType)
	if rooted {
		return place{spot: plan, typ: typ}, nil
	}
	ends, err := follow(place{spot: &spot{}, typ: typ}, context)
	if err != nil {
		return place{}, err
	}
	return place{spot: plan, typ: ends[0].typ, private: ends[0].private}, nil
}

// keyed returns the part whose codes the rows are kept under, and the one whose rows these are.
func (c *composite) keyed() (first, last *part) { return &c.parts[c.key], &c.parts[1-c.key] }

// put makes the index rows of a composite of two parts at one context: the rows of the last part, once for each code of
// the first, under the atom derived from that code. Which is first, the token decides, wherever it stands.
func (c *composite) put(x *extractor, a *Atom, n *fhir.Node) {
	first, last := c.keyed()
	x.last = x.scratch(x.last, last, n)
	if x.last.empty() {
		return
	}
	x.first = x.scratch(x.first, first, n)
	for _, code := range distinct(x.first.Text) {
		if code.Val == "" {
			continue
		}
		id := derivedID(a.ID, code.Val, last.param.kind)
		for _, r := range x.last.Text {
			if r.Atom&derivedBit != 0 { // the mark of a long text
				r.Atom = derivedID(id, longMark, String)
			} else {
				r.Atom = id
			}
			x.vals.Text = append(x.vals.Text, r)
		}
		for _, r := range x.last.Ref {
			r.Atom = id
			x.vals.Ref = append(x.vals.Ref, r)
		}
		for _, r := range x.last.Date {
			r.Atom = id
			x.vals.Date = append(x.vals.Date, r)
		}
		for _, r := range x.last.Num {
			r.Atom = id
			x.vals.Num = append(x.vals.Num, r)
		}
	}
}

// scratch extracts a part's rows into v, which is emptied before.
func (x *extractor) scratch(v *Values, p *part, n *fhir.Node) *Values {
	if v == nil {
		v = &Values{}
	}
	v.Text, v.Ref, v.Date, v.Num = v.Text[:0], v.Ref[:0], v.Date[:0], v.Num[:0]
	if p.rooted {
		n = x.root
	}
	saved := x.vals
	x.vals = v
	x.walk(n, p.plan)
	x.vals = saved
	return v
}

func (v *Values) empty() bool {
	return len(v.Text)+len(v.Ref)+len(v.Date)+len(v.Num) == 0
}
