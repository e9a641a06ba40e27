package search

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Lookup gives Match the other documents that chains speak of. A nil *Doc with a nil error says "not there".
type Lookup interface {
	// Doc returns the current version of a resource.
	Doc(typ, id string) (*Doc, error)
	// Referrers returns the resources of typ that point to targetType/targetID by one of the atoms (see Refers).
	Referrers(typ string, atoms []AtomRef, targetType, targetID string) ([]*Doc, error)
}

// ErrNoLookup is Match's error where a predicate holds a chain and no Lookup was given.
var ErrNoLookup = errors.New("search: a chain needs other documents")

// Match reports whether d satisfies p. d.Values must be what Extract gives for d.Resource. l may be nil where p holds no chain.
// Its errors are l's and ErrNoLookup.
func Match(p Pred, d *Doc, l Lookup) (bool, error) {
	switch p := p.(type) {
	case And:
		return matchEach(p, d, l, false)
	case Or:
		return matchEach(p, d, l, true)
	case Not:
		ok, err := Match(p.Pred, d, l)
		return !ok && err == nil, err
	case Chain:
		return matchChain(p, d, l)
	case ReverseChain:
		return matchReverse(p, d, l)
	case IDs:
		return slices.Contains(p, d.ID), nil
	case LastUpdated:
		t := d.Updated.UnixMicro()
		return compare(p.Op, t, t, p.Lo, p.Hi), nil
	case InCompartment:
		return p.Self && d.Type == p.Type && d.ID == p.ID || Refers(d.Values, p.Atoms, p.Type, p.ID), nil
	case Opened:
		return p.Match(d), nil
	default:
		return matchRows(p, d.Values)
	}
}

// matchEach stops at the first condition whose answer is stop.
func matchEach(preds []Pred, d *Doc, l Lookup, stop bool) (bool, error) {
	for _, p := range preds {
		ok, err := Match(p, d, l)
		if err != nil {
			return false, err
		}
		if ok == stop {
			return stop, nil
		}
	}
	return !stop, nil
}

func matchRows(p Pred, v *Values) (bool, error) {
	switch p := p.(type) {
	case TextEq:
		return anyText(v, p.Atom, func(r *TextRow) bool { return r.Val == p.Val && (p.Sub == nil || r.Sub == *p.Sub) }), nil
	case TextPrefix:
		return anyText(v, p.Atom, func(r *TextRow) bool { return strings.HasPrefix(r.Val, p.Val) }), nil
	case TextContains:
		return anyText(v, p.Atom, func(r *TextRow) bool { return strings.Contains(r.Val, p.Val) }), nil
	case TextSub:
		return anyText(v, p.Atom, func(r *TextRow) bool { return r.Sub == p.Sub }), nil
	case RefTo:
		return anyRef(v, p.Atom, func(r *RefRow) bool { return r.ID == p.ID && (p.Type == "" || r.Type == p.Type) }), nil
	case RefType:
		return anyRef(v, p.Atom, func(r *RefRow) bool { return r.Type == p.Type }), nil
	case DateCmp:
		return slices.ContainsFunc(v.Date, func(r DateRow) bool {
			return r.Atom == p.Atom.ID && compare(p.Op, r.Lo, r.Hi, p.Lo, p.Hi)
		}), nil
	case NumCmp:
		return slices.ContainsFunc(v.Num, func(r NumRow) bool { return matchNum(p, r) }), nil
	case Present:
		return slices.ContainsFunc(p.Atoms, func(a AtomRef) bool { return present(v, a) }), nil
	default:
		return false, fmt.Errorf("search: unknown predicate %T", p)
	}
}

func matchNum(p NumCmp, r NumRow) bool {
	return r.Atom == p.Atom.ID && (p.System == nil || r.System == *p.System) && (p.Code == nil || r.Code == *p.Code) &&
		compare(p.Op, r.Lo, r.Hi, p.Lo, p.Hi)
}

func anyText(v *Values, a *Atom, f func(*TextRow) bool) bool {
	for i := range v.Text {
		if r := &v.Text[i]; r.Atom == a.ID && f(r) {
			return true
		}
	}
	return false
}

func anyRef(v *Values, a *Atom, f func(*RefRow) bool) bool {
	for i := range v.Ref {
		if r := &v.Ref[i]; r.Atom == a.ID && f(r) {
			return true
		}
	}
	return false
}

func present(v *Values, a AtomRef) bool {
	if a.Target != "" {
		return anyRef(v, a.Atom, func(r *RefRow) bool { return r.Type == a.Target })
	}
	return anyText(v, a.Atom, func(*TextRow) bool { return true }) ||
		anyRef(v, a.Atom, func(*RefRow) bool { return true }) ||
		slices.ContainsFunc(v.Date, func(r DateRow) bool { return r.Atom == a.ID }) ||
		slices.ContainsFunc(v.Num, func(r NumRow) bool { return r.Atom == a.ID })
}

// compare holds the formulas of DateCmp.
func compare[T cmp.Ordered](op string, rowLo, rowHi, lo, hi T) bool {
	switch op {
	case "eq":
		return lo <= rowLo && rowHi <= hi
	case "ne":
		return lo > rowLo || rowHi > hi
	case "gt":
		return rowHi > hi
	case "lt":
		return rowLo < lo
	case "ge":
		return rowHi >= lo
	case "le":
		return rowLo <= hi
	case "sa":
		return rowLo > hi
	case "eb":
		return rowHi < lo
	case "ap":
		return rowLo <= hi && rowHi >= lo
	}
	return false
}

// Refers reports whether the values hold a literal reference to that resource by one of the atoms.
func Refers(v *Values, atoms []AtomRef, typ, id string) bool {
	for _, a := range atoms {
		if a.Target != "" && a.Target != typ {
			continue
		}
		if anyRef(v, a.Atom, func(r *RefRow) bool { return r.Type == typ && r.ID == id }) {
			return true
		}
	}
	return false
}

func matchChain(p Chain, d *Doc, l Lookup) (bool, error) {
	if l == nil {
		return false, ErrNoLookup
	}
	for _, r := range d.Values.Ref {
		if r.Type != p.Type || !slices.ContainsFunc(p.Atoms, func(a AtomRef) bool { return a.ID == r.Atom }) {
			continue
		}
		to, err := l.Doc(r.Type, r.ID)
		if err != nil {
			return false, err
		}
		if to == nil {
			continue
		}
		if ok, err := Match(p.Pred, to, l); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func matchReverse(p ReverseChain, d *Doc, l Lookup) (bool, error) {
	if l == nil {
		return false, ErrNoLookup
	}
	from, err := l.Referrers(p.Type, p.Atoms, d.Type, d.ID)
	if err != nil {
		return false, err
	}
	for _, r := range from {
		if ok, err := Match(p.Pred, r, l); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
