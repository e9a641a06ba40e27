package search

// Pred is a condition on one resource of the query's type. Exactly the types below implement it.
type Pred interface{ pred() }

type (
	// And holds where all hold; the empty And always holds.
	And []Pred
	// Or holds where any holds; the empty Or never holds.
	Or []Pred
	// Not holds where Pred does not.
	Not struct{ Pred Pred }

	// TextEq: the resource has a row of the atom with this Val and, where Sub is not nil, this Sub. For a Blind atom the
	// store hashes Val as it hashed the rows.
	TextEq struct {
		Atom *Atom
		Val  string
		Sub  *int64
	}
	// TextPrefix: a row whose Val begins with Val.
	TextPrefix struct {
		Atom *Atom
		Val  string
	}
	// TextContains: a row whose Val contains Val. Not answerable by a blind index: the store filters after opening.
	TextContains struct {
		Atom *Atom
		Val  string
	}
	// TextSub: a row with this Sub, any Val ("system|").
	TextSub struct {
		Atom *Atom
		Sub  int64
	}
	// RefTo: a literal reference to one of these resources; Type "" means any type that the parameter may point to.
	RefTo struct {
		Atom     *Atom
		Type, ID string
	}
	// RefType: a literal reference to any resource of this type.
	RefType struct {
		Atom *Atom
		Type string
	}
	// DateCmp compares a row's period with [Lo, Hi] as the prefix says (R4 search.html#prefix): eq ne lt gt le ge sa eb ap.
	DateCmp struct {
		Atom   *Atom
		Op     string
		Lo, Hi int64
	}
	// NumCmp compares a row's range with [Lo, Hi] as the prefix says. A nil System or Code is not compared.
	NumCmp struct {
		Atom         *Atom
		Op           string
		Lo, Hi       float64
		System, Code *int64
	}
	// Present is true where the resource has any row of one of the atoms. Not{Present} is :missing=true.
	Present struct{ Atoms []AtomRef }
	// Chain: a literal reference by one of the atoms to a resource of Type that satisfies Pred.
	Chain struct {
		Atoms []AtomRef
		Type  string
		Pred  Pred
	}
	// ReverseChain (_has): a resource of Type exists that points here by one of the atoms and satisfies Pred.
	ReverseChain struct {
		Type  string
		Atoms []AtomRef
		Pred  Pred
	}
	// IDs: the logical id is one of these.
	IDs []string
	// LastUpdated compares the version's time, as DateCmp.
	LastUpdated struct {
		Op     string
		Lo, Hi int64
	}
	// InCompartment: the resource is in the compartment of that resource: any literal reference by one of the atoms,
	// or (Self) it is that resource.
	InCompartment struct {
		Atoms    []AtomRef
		Type, ID string
		Self     bool
	}
	// Opened is a condition that no index answers: the store evaluates it on opened bodies, within its stated bound.
	Opened struct {
		Name  string // the parameter with its modifier, for the error when the bound is passed
		Match func(*Doc) bool
	}
)

func (And) pred()           {}
func (Or) pred()            {}
func (Not) pred()           {}
func (TextEq) pred()        {}
func (TextPrefix) pred()    {}
func (TextContains) pred()  {}
func (TextSub) pred()       {}
func (RefTo) pred()         {}
func (RefType) pred()       {}
func (DateCmp) pred()       {}
func (NumCmp) pred()        {}
func (Present) pred()       {}
func (Chain) pred()         {}
func (ReverseChain) pred()  {}
func (IDs) pred()           {}
func (LastUpdated) pred()   {}
func (InCompartment) pred() {}
func (Opened) pred()        {}
