package search

// Bounds encloses p between two predicates that an index answers alone: whatever satisfies must satisfies p, and whatever
// satisfies p satisfies may. exact is true where p needs no opened body; then must and may are both p. A store accepts what
// satisfies must, and opens (Match) what satisfies may and not must.
//
// What an index cannot answer is Opened, and TextContains on a Blind atom.
func Bounds(p Pred) (must, may Pred, exact bool) {
	if answerable(p) {
		return p, p, true
	}
	return bound(p, false), bound(p, true), false
}

// answerable reports whether an index answers p alone.
func answerable(p Pred) bool {
	switch p := p.(type) {
	case And:
		return allAnswerable(p)
	case Or:
		return allAnswerable(p)
	case Not:
		return answerable(p.Pred)
	case Chain:
		return answerable(p.Pred)
	case ReverseChain:
		return answerable(p.Pred)
	case TextContains:
		return !p.Atom.Blind
	case Opened:
		return false
	}
	return true
}

func allAnswerable(preds []Pred) bool {
	for _, p := range preds {
		if !answerable(p) {
			return false
		}
	}
	return true
}

// bound takes each leaf that no index answers for over: true where the result is to hold p, false where p is to hold it.
func bound(p Pred, over bool) Pred {
	switch p := p.(type) {
	case And:
		return And(boundEach(p, over))
	case Or:
		return Or(boundEach(p, over))
	case Not:
		return Not{bound(p.Pred, !over)}
	case Chain:
		p.Pred = bound(p.Pred, over)
		return p
	case ReverseChain:
		p.Pred = bound(p.Pred, over)
		return p
	}
	switch {
	case answerable(p):
		return p
	case over:
		if c, ok := p.(TextContains); ok {
			return Present{[]AtomRef{{Atom: c.Atom}}}
		}
		return And{}
	}
	return Or{}
}

func boundEach(preds []Pred, over bool) []Pred {
	out := make([]Pred, 0, len(preds))
	for _, p := range preds {
		out = append(out, bound(p, over))
	}
	return out
}
