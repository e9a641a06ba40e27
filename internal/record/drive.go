package record

import "github.com/nilecare/nilecare/internal/fhir/search"

// driven is a conjunction, taken apart: the driver is the part whose rows are enumerated, rest is asked of each. driver is
// nil where all records of the type are enumerated, in the order of their numbers.
type driven struct {
	driver search.Pred
	rest   []search.Pred
}

// conjuncts flattens an AND.
func conjuncts(p search.Pred) []search.Pred {
	and, ok := p.(search.And)
	if !ok {
		return []search.Pred{p}
	}
	var out []search.Pred
	for _, q := range and {
		out = append(out, conjuncts(q)...)
	}
	return out
}

// drive chooses the part that is likely to have the fewest rows.
func drive(ps []search.Pred) driven {
	best, rank := -1, lastRank
	for i, p := range ps {
		if r := rankOf(p); r < rank {
			best, rank = i, r
		}
	}
	if best < 0 {
		return driven{rest: ps}
	}
	d := driven{driver: ps[best]}
	d.rest = append(append(d.rest, ps[:best]...), ps[best+1:]...)
	return d
}

// lastRank is that of parts which only all records of the type can drive.
const lastRank = 100

// rankOf guesses how selective a predicate is; less is more selective. An identifier names one record, a reference to one
// resource some; a code is shared by many, and a status by a good part of all.
func rankOf(p search.Pred) int {
	switch p := p.(type) {
	case numSet, search.IDs:
		return 0
	case search.TextEq:
		switch {
		case p.Atom.Kind == search.Identifier, p.Atom.Blind && p.Atom.Kind == search.Token:
			return 1
		case p.Atom.Kind == search.String:
			return 5
		case p.Atom.Kind == search.URI, p.Atom.Kind == search.Reference:
			return 4
		case isDerived(p.Atom.ID):
			return 8
		case p.Atom.Fixed():
			return 13
		}
		return 10
	case textIn:
		return rankOf(search.TextEq{Atom: p.atom}) + 1
	case refIn:
		return 3
	case search.RefTo, search.InCompartment:
		return 2
	case search.TextPrefix:
		return 6
	case search.Chain:
		return 12
	case search.DateCmp:
		return rangeRank(p.Op, 14)
	case search.NumCmp:
		return rangeRank(p.Op, 16)
	case search.LastUpdated:
		return rangeRank(p.Op, 18)
	case search.TextSub:
		return 20
	case search.TextContains:
		return 21
	case search.RefType:
		return 30
	case search.Or:
		worst := 0
		for _, q := range p {
			worst = max(worst, rankOf(q)+1)
		}
		return worst
	}
	return lastRank
}

func rangeRank(op string, rank int) int {
	if op == "ne" {
		return lastRank
	}
	return rank
}

// isDerived tells the atoms of composites, and other derived ones, from those of paths.
func isDerived(atom uint32) bool { return atom&(1<<30) != 0 }
