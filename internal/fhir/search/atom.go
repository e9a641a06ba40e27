package search

// Kind is how an atom's values are indexed.
type Kind uint8

// The kinds of atoms.
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

// Atom is one path of one resource type, with one way of indexing.
type Atom struct {
	ID    uint32 // hash of Type, Path and Kind; never 0
	Type  string // resource type
	Path  string // FHIRPath, relative to the resource
	Kind  Kind
	Blind bool // its texts are identifiers, contact points or addresses
	// what follows is the extractor's own
}

// AtomRef is an atom as one parameter uses it.
type AtomRef struct {
	*Atom
	Target string // a reference counts only where it points to this type; "" any
}

// Derived is the atom under which a composite atom keeps the rows of its last part, for elements whose first part has this
// code. IDs of derived atoms may collide: a query always asks for the first part's own row beside it.
func (a *Atom) Derived(code string, kind Kind) *Atom { panic("see the search helper") }
