package search

import (
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// Kind is how an atom's values are indexed.
type Kind uint8

// The kinds of atoms. Their numbers are part of atom IDs: never change them.
const (
	String     Kind = iota // TextRow
	Token                  // TextRow
	URI                    // TextRow
	Reference              // RefRow, or TextRow for absolute and canonical ones
	Identifier             // TextRow: the identifier of a Reference (:identifier)
	Date                   // DateRow
	Number                 // NumRow
	Quantity               // NumRow
	Composed               // rows of a composite's last part, under an ID derived from the first part's code: see Derived
)

// Atom is one path of one resource type, with one way of indexing. Atoms are made once and never change.
type Atom struct {
	ID    uint32 // hash of Type, Path and Kind; 31 bits, never 0, the same in every build: it keys rows on disk
	Type  string // resource type
	Path  string // FHIRPath, relative to the resource, in one normal form
	Kind  Kind
	Blind bool // its texts are identifiers, contact points or addresses

	steps   []step
	types   []*def.Type  // the data types of its values
	binding *def.Binding // of a plain code with a required binding
	ident   *Atom        // of a Reference: the atom of its identifiers
	own     *spot        // extracts this atom alone
}

// AtomRef is an atom as one parameter uses it.
type AtomRef struct {
	*Atom
	Target string // a reference counts only where it points to this type; "" any
}

// Derived is the atom under which a composite atom keeps the rows of its last part, for elements whose first part has this
// code. IDs of derived atoms have bit 30 set, so none is a declared atom's; they may collide with each other: a query
// always asks for the first part's own row beside it.
func (a *Atom) Derived(code string, kind Kind) *Atom {
	return &Atom{ID: derivedID(a.ID, code, kind), Type: a.Type, Path: a.Path, Kind: kind, Blind: a.Blind}
}

// longMark is no code that a resource can hold.
const longMark = "\x00long"

// Long is the atom of the mark that a resource bears where a String of a is longer than its row: what the row cannot
// tell is then read from the opened body.
func (a *Atom) Long() *Atom { return a.Derived(longMark, String) }

// hasType reports whether values of one of these data types may stand at the atom.
func (a *Atom) hasType(names ...string) bool {
	for _, t := range a.types {
		for _, n := range names {
			if t.Name == n {
				return true
			}
		}
	}
	return false
}

// Fixed reports whether all its values are of a short fixed list: a code with a required binding, or a boolean. Each of
// them is shared by a good part of all resources.
func (a *Atom) Fixed() bool { return a.binding != nil || a.hasType("boolean") }

// whole extracts the atom's rows alone, strings not cut.
func (a *Atom) whole(r *fhir.Resource) *Values {
	x := extractor{vals: &Values{}, whole: true}
	if r != nil && a.own != nil {
		x.walk(r.Node, a.own)
	}
	return x.vals
}

// nodes returns the atom's values in the resource.
func (a *Atom) nodes(r *fhir.Resource) []*fhir.Node {
	if r == nil || a.own == nil {
		return nil
	}
	x := extractor{vals: &Values{}, gather: true}
	x.walk(r.Node, a.own)
	return x.nodes
}
