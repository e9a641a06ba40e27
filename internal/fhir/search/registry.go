package search

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

// typeIndex is everything that search knows of one resource type.
type typeIndex struct {
	name   string
	root   *spot
	atoms  []*Atom
	byKey  map[string]*Atom
	params map[string]*param
}

// param is one search parameter of one type, ready to be asked for.
type param struct {
	def        *def.SearchParam
	kind       Kind
	refs       []AtomRef
	composites []*composite // of a composite: one a context
	unread     error        // why the parameter has no atoms
}

type lazyIndex struct {
	once  sync.Once
	index *typeIndex
}

// indexes holds one slot a resource type; each is filled on first use and never changes after.
var indexes = sync.OnceValue(func() map[string]*lazyIndex {
	m := make(map[string]*lazyIndex)
	for _, t := range def.ResourceTypes() {
		m[t.Name] = &lazyIndex{}
	}
	return m
})

// indexOf returns what search knows of a concrete resource type, or nil for any other name.
func indexOf(resourceType string) *typeIndex {
	lazy := indexes()[resourceType]
	if lazy == nil {
		return nil
	}
	lazy.once.Do(func() { lazy.index = buildIndex(resourceType) })
	return lazy.index
}

// AtomsOf returns all atoms of a resource type: those of its parameters, the identifiers of its references, and its
// composites. nil for an unknown type. The slice is shared: do not change it.
func AtomsOf(resourceType string) []*Atom {
	if ti := indexOf(resourceType); ti != nil {
		return ti.atoms
	}
	return nil
}

// ParamAtoms returns the atoms of a search parameter and its definition; false where the type has no such parameter. A
// parameter that is no path (_id, _lastUpdated, _text, near …) has no atoms.
func ParamAtoms(resourceType, code string) ([]AtomRef, *def.SearchParam, bool) {
	ti := indexOf(resourceType)
	if ti == nil {
		return nil, nil, false
	}
	p := ti.params[code]
	if p == nil {
		return nil, nil, false
	}
	return p.refs, p.def, true
}

var kindsOfTypes = map[string]Kind{"string": String, "token": Token, "uri": URI, "reference": Reference, "date": Date,
	"number": Number, "quantity": Quantity, "composite": Composed}

// withoutAtoms names the parameters that are answered in another way than by atoms, or (false) not at all.
var withoutAtoms = map[string]bool{
	"_id":          true, // the record's own
	"_lastUpdated": true, // the record's own
	"_text":        true, // on opened bodies
	"_content":     true, // on opened bodies
	"near":         true, // on opened bodies
	"_filter":      false,
	"_query":       false,
}

// Supported returns the parameters of a resource type that Parse understands, by code: what a CapabilityStatement may
// declare. Beside these it takes _list and _has. nil for an unknown type.
func Supported(resourceType string) []*def.SearchParam {
	ti := indexOf(resourceType)
	if ti == nil {
		return nil
	}
	var out []*def.SearchParam
	for _, sp := range def.SearchParams(resourceType) {
		if answered, special := withoutAtoms[sp.Code]; answered || !special && ti.params[sp.Code].unread == nil {
			out = append(out, sp)
		}
	}
	return out
}

func buildIndex(name string) *typeIndex {
	ti := &typeIndex{name: name, root: &spot{}, byKey: map[string]*Atom{}, params: map[string]*param{}}
	for _, sp := range def.SearchParams(name) {
		p := &param{def: sp}
		ti.params[sp.Code] = p
		if _, special := withoutAtoms[sp.Code]; special {
			continue
		}
		kind, known := kindsOfTypes[sp.Type]
		if !known || sp.Expression == "" {
			p.unread = fmt.Errorf("the definition has no path")
			continue
		}
		p.kind = kind
		if kind == Composed {
			p.unread = ti.addComposite(p)
		} else {
			p.unread = ti.addPaths(p)
		}
	}
	return ti
}

func (ti *typeIndex) addPaths(p *param) error {
	for _, expr := range splitUnion(p.def.Expression) {
		steps, err := parsePath(expr, ti.name)
		if err != nil {
			return err
		}
		target := ""
		if n := len(steps); n > 0 && steps[n-1].kind == stepResolveIs {
			target, steps = steps[n-1].name, steps[:n-1]
		}
		a, err := ti.atom(steps, p.kind)
		if err != nil {
			return fmt.Errorf("%s: %w", expr, err)
		}
		if target == "" && len(p.def.Targets) == 1 && a.hasType("Resource") {
			target = p.def.Targets[0] // Bundle.composition and Bundle.message share a path without saying so
		}
		ref := AtomRef{a, target}
		if !slices.Contains(p.refs, ref) {
			p.refs = append(p.refs, ref)
		}
	}
	return nil
}

// atom returns the atom of a path, made where it is new.
func (ti *typeIndex) atom(steps []step, kind Kind) (*Atom, error) {
	path := pathString(steps)
	key := fmt.Sprint(kind, "|", path)
	if a := ti.byKey[key]; a != nil {
		return a, nil
	}
	a := &Atom{ID: atomID(ti.name, path, kind), Type: ti.name, Path: path, Kind: kind, steps: steps, own: &spot{}}
	if kind == Reference {
		p := path + ".identifier"
		a.ident = &Atom{ID: atomID(ti.name, p, Identifier), Type: ti.name, Path: p, Kind: Identifier, Blind: true}
	}
	typ := def.Lookup(ti.name)
	if _, err := a.attach(place{spot: a.own, typ: typ}); err != nil {
		return nil, err
	}
	if _, err := a.attach(place{spot: ti.root, typ: typ}); err != nil {
		return nil, err
	}
	if a.ident != nil && a.hasType("Reference") {
		a.ident.own = identOwn(a)
		ti.keep(fmt.Sprint(Identifier, "|", a.ident.Path), a.ident)
	} else {
		a.ident = nil
	}
	ti.keep(key, a)
	return a, nil
}

// identOwn extracts the identifiers of the references at a.
func identOwn(a *Atom) *spot {
	own := &spot{}
	ends, err := follow(place{spot: own, typ: def.Lookup(a.Type)}, a.steps)
	if err != nil {
		return own
	}
	for _, e := range ends {
		if e.typ.Name == "Reference" {
			s := e.spot.member("identifier", false)
			s.emits = append(s.emits, emit{a.ident, putIdentifier})
		}
	}
	return own
}

func (ti *typeIndex) keep(key string, a *Atom) {
	ti.byKey[key] = a
	ti.atoms = append(ti.atoms, a)
}

// attach makes the spots of the atom's path below from emit its rows.
func (a *Atom) attach(from place) (n int, err error) {
	ends, err := follow(from, a.steps)
	if err != nil {
		return 0, err
	}
	for i := 0; i < len(ends); i++ {
		e := ends[i]
		if e.typ.Name == "Extension" {
			// An extension stands for its value.
			values, err := follow(e, []step{{kind: stepField, name: "value"}})
			if err != nil {
				return n, err
			}
			ends = append(ends, values...)
			continue
		}
		conv := converterOf(a.Kind, e.typ.Name)
		if e.truth != nil {
			conv = putTruth(e.truth)
		}
		if conv == nil {
			continue
		}
		e.spot.emits = append(e.spot.emits, emit{a, conv})
		a.note(e)
		n++
	}
	if n == 0 {
		return 0, fmt.Errorf("no value of it is a %s", strings.ToLower(kindNames[a.Kind]))
	}
	return n, nil
}

var kindNames = [...]string{"string", "token", "uri", "reference", "identifier", "date", "number", "quantity", "composite"}

// note keeps what the end of the path says about the atom's values.
func (a *Atom) note(e place) {
	if !slices.Contains(a.types, e.typ) {
		a.types = append(a.types, e.typ)
	}
	// A code such as Address.use tells nothing of anybody.
	if e.private && e.typ.Name != "code" {
		a.Blind = true
	}
	if e.binding != nil {
		a.binding = e.binding
	}
}
