package record

import (
	"slices"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

// fewReferrers is up to how many records at the far end of a _has are opened to see what they point to. Where there are
// more, each candidate at the near end is asked for its referrers instead.
const fewReferrers = 1000

// referred returns the records that a _has finds, where those that point to them are few.
func (r *searching) referred(p search.ReverseChain) (set numSet, ok bool, err error) {
	typ := typeNum(p.Type)
	nums, err := r.plainNums(typePlan{num: typ, name: p.Type, pred: p.Pred}, fewReferrers+1)
	if err != nil || len(nums) > fewReferrers {
		return set, false, err
	}
	for _, num := range nums {
		v, err := r.s.current(r.ctx, r.q, r.tenant, typ, num)
		if err != nil {
			return set, false, err
		}
		if v == nil || v.deleted() {
			continue
		}
		d, err := r.doc(v)
		if err != nil {
			return set, false, err
		}
		if d != nil {
			if err := r.addTargets(&set, p.Atoms, d); err != nil {
				return set, false, err
			}
		}
	}
	slices.Sort(set.nums)
	set.nums = slices.Compact(set.nums)
	return set, true, nil
}

// addTargets adds what d points to by one of the atoms. The set's type is known where the set is used: records of other
// types with these numbers are not looked at.
func (r *searching) addTargets(set *numSet, atoms []search.AtomRef, d *search.Doc) error {
	for _, ref := range d.Values.Ref {
		if !slices.ContainsFunc(atoms, func(a search.AtomRef) bool { return a.ID == ref.Atom && (a.Target == "" || a.Target == ref.Type) }) {
			continue
		}
		num, known, err := r.s.numOf(r.ctx, r.q, false, r.tenant, typeNum(ref.Type), ref.ID)
		if err != nil {
			return err
		}
		if known {
			set.nums = append(set.nums, num)
		}
	}
	return nil
}
