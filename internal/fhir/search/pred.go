package search

// Pred is a condition on one resource of the query's type. Exactly the types below implement it.
//
// A condition on rows holds where any one row satisfies all of it.
type Pred interface{ pred() }

type (
	// And holds where all hold; the empty And always holds.
	And []Pred
	// Or holds where any holds; the empty Or never holds.
	Or []Pred
	// Not holds where Pred does not.
	Not struct{ Pred Pred }

	// TextEq: the resource has a row of the atom with this Val and, where Sub is not nil, this Sub. For a Blind atom the
	// store hashes Val as it hashed the rows. Val is already cut as rows are.
	TextEq struct {
		Atom *Atom
		Val  string
		Sub  *int64
	}
	// TextPrefix: a row whose Val begins with Val (byte for byte; Val is never empty).
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
	// RefTo: a RefRow of the atom to this ID and, where Type is not "", this Type.
	RefTo struct {
		Atom     *Atom
		Type, ID string
	}
	// RefType: a literal reference to any resource of this type.
	RefType struct {
		Atom *Atom
		Type string
	}
	// DateCmp compares a DateRow with the span [Lo, Hi] that the query's value names. For R4 search.html#prefix:
	//
	//	eq  Lo <= row.Lo && row.Hi <= Hi    the value's span holds the row's
	//	ne  !(Lo <= row.Lo && row.Hi <= Hi)
	//	gt  row.Hi > Hi                     some of the row is after the value
	//	lt  row.Lo < Lo                     some of the row is before the value
	//	ge  row.Hi >= Lo
	//	le  row.Lo <= Hi
	//	sa  row.Lo > Hi                     all of the row is after the value
	//	eb  row.Hi < Lo                     all of the row is before the value
	//	ap  row.Lo <= Hi && row.Hi >= Lo    they overlap; Parse has widened Lo and Hi already
	//
	// ge and le also hold for a row that reaches into the value's span without passing it, where the specification's
	// "gt or eq" would leave a gap: a period that ends within 2013 is found by ge2013.
	DateCmp struct {
		Atom   *Atom
		Op     string
		Lo, Hi int64
	}
	// NumCmp compares a NumRow with [Lo, Hi], by DateCmp's formulas. For eq and ne it is the value's implicit range, both ends
	// included (Hi is the last float64 below the open end); for ap the widened one; for the others Lo and Hi are the value
	// itself. A nil System or Code is not compared.
	NumCmp struct {
		Atom         *Atom
		Op           string
		Lo, Hi       float64
		System, Code *int64
	}
	// Present is true where the resource has any row, of any shape, of one of the atoms; where an AtomRef has a Target, any
	// RefRow of that Type. Not{Present} is :missing=true.
	Present struct{ Atoms []AtomRef }
	// Chain: a literal reference by one of the atoms to a resource of Type that exists and satisfies Pred. No Target
	// differs from Type.
	Chain struct {
		Atoms []AtomRef
		Type  string
		Pred  Pred
	}
	// ReverseChain (_has): a resource of Type exists that points here by one of the atoms and satisfies Pred. No Target
	// differs from this resource's type.
	ReverseChain struct {
		Type  string
		Atoms []AtomRef
		Pred  Pred
	}
	// IDs: the logical id is one of these.
	IDs []string
	// LastUpdated compares the version's time (a DateRow with both ends equal), as DateCmp.
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
	// Opened is a condition that no index answers: the store evaluates it on opened bodies, within its stated bound. It asks
	// of the Doc its Resource alone. It may stand anywhere in the tree, mostly beside a condition that narrows.
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

// all is the conjunction of the conditions, without needless nesting.
func all(preds ...Pred) Pred {
	if len(preds) == 1 {
		return preds[0]
	}
	return And(preds)
}

// anyOf is the disjunction of the conditions, without needless nesting.
func anyOf(preds ...Pred) Pred {
	if len(preds) == 1 {
		return preds[0]
	}
	return Or(preds)
}

func ptr(v int64) *int64 { return &v }
