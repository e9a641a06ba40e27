package record

import (
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// A database's parser and planner work through a statement part by part, some of them by recursion: a statement must not grow
// with what somebody lists in a URL. So alternatives of one kind become one list, and where many others are left, they are
// looked up some at a time and stand as the records that they found.
const (
	maxParts    = 400    // of a statement
	maxBranches = 24     // of an OR that is not one list
	maxFolded   = 20_000 // records that a long OR may stand for
)

type (
	// textIn is an OR of TextEq with one atom and one Sub.
	textIn struct {
		search.Pred
		atom *search.Atom
		vals []string
		sub  *int64
	}
	// refIn is an OR of RefTo with one atom.
	refIn struct {
		search.Pred
		atom *search.Atom
		refs []search.RefTo
	}
)

// widenOr is widen for an OR: alternatives of one kind are gathered, and too many are looked up.
func (r *searching) widenOr(p search.Or, typ int, more bool) (search.Pred, error) {
	all, err := r.widenAll(alternatives(p), typ, more)
	if err != nil {
		return nil, err
	}
	or := gather(alternatives(search.Or(all)))
	if leaves(or) <= maxBranches {
		return or, nil
	}
	return r.fold(or, typ)
}

// alternatives flattens an OR.
func alternatives(p search.Or) []search.Pred {
	var out []search.Pred
	for _, q := range p {
		if nested, ok := q.(search.Or); ok {
			out = append(out, alternatives(nested)...)
		} else {
			out = append(out, q)
		}
	}
	return out
}

// gather puts alternatives that differ in their value alone into lists.
func gather(ps []search.Pred) search.Or {
	type kind struct {
		atom   uint32
		sub    int64
		hasSub bool
		isRef  bool
	}
	var out search.Or
	at := map[kind]int{}
	for _, p := range ps {
		switch p := p.(type) {
		case search.TextEq:
			k := kind{atom: p.Atom.ID, hasSub: p.Sub != nil}
			if p.Sub != nil {
				k.sub = *p.Sub
			}
			if i, ok := at[k]; ok {
				list := out[i].(textIn)
				list.vals = append(list.vals, p.Val)
				out[i] = list
				continue
			}
			at[k] = len(out)
			out = append(out, textIn{atom: p.Atom, vals: []string{p.Val}, sub: p.Sub})
		case search.RefTo:
			k := kind{atom: p.Atom.ID, isRef: true}
			if i, ok := at[k]; ok {
				list := out[i].(refIn)
				list.refs = append(list.refs, p)
				out[i] = list
				continue
			}
			at[k] = len(out)
			out = append(out, refIn{atom: p.Atom, refs: []search.RefTo{p}})
		default:
			out = append(out, p)
		}
	}
	return single(out)
}

// single turns lists of one back into what they are.
func single(or search.Or) search.Or {
	for i, p := range or {
		switch p := p.(type) {
		case textIn:
			if len(p.vals) == 1 {
				or[i] = search.TextEq{Atom: p.atom, Val: p.vals[0], Sub: p.sub}
			}
		case refIn:
			if len(p.refs) == 1 {
				or[i] = p.refs[0]
			}
		}
	}
	return or
}

// leaves counts what a statement of p would have of parts.
func leaves(p search.Pred) int {
	n := 0
	switch p := p.(type) {
	case search.And:
		for _, q := range p {
			n += leaves(q)
		}
		return n
	case search.Or:
		for _, q := range p {
			n += leaves(q)
		}
		return n
	case search.Not:
		return leaves(p.Pred)
	case search.Chain:
		return 1 + leaves(p.Pred)
	case search.ReverseChain:
		return 1 + leaves(p.Pred)
	case search.Present:
		return len(p.Atoms)
	}
	return 1
}

// fold looks an OR up, some branches at a time.
func (r *searching) fold(or search.Or, typ int) (search.Pred, error) {
	found := map[int64]bool{}
	for len(or) > 0 {
		n := min(len(or), maxBranches/2)
		pred, err := r.guarded(typeName(typ), or[:n])
		if err != nil {
			return nil, err
		}
		nums, err := r.plainNums(typePlan{num: typ, pred: pred}, maxFolded+1)
		if err != nil {
			return nil, err
		}
		for _, num := range nums {
			found[num] = true
		}
		if len(found) > maxFolded {
			return nil, fault.New(fault.TooCostly, "the alternatives of one parameter match more than %d records: ask for fewer at a time", maxFolded)
		}
		or = or[n:]
	}
	set := numSet{nums: make([]int64, 0, len(found))}
	for num := range found {
		set.nums = append(set.nums, num)
	}
	return set, nil
}
