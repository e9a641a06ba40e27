package record

import (
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// A decision on content that no index holds, such as an old version's or that of a resource to be written, is made on the document; what
// the condition asks of other records is asked of the database, which needs to open none of them.

// planned gives the document that a change under way is about to leave behind; nil where it changes none.
type planned func(typ, id string) *search.Doc

// decides reports whether the document satisfies a condition of the decision on access. Chains lead to what is planned, where something is;
// what refers here is taken as it stands: a resource that is about to be written gives no right to write it.
func (r *searching) decides(p search.Pred, doc *search.Doc, next planned) (bool, error) {
	switch p := p.(type) {
	case search.And:
		return r.decidesEach(p, doc, next, false)
	case search.Or:
		return r.decidesEach(p, doc, next, true)
	case search.Not:
		ok, err := r.decides(p.Pred, doc, next)
		return !ok && err == nil, err
	case trusted:
		return r.decides(p.Pred, doc, next)
	case search.Chain:
		return r.decidesChain(p, doc, next)
	case search.ReverseChain:
		return r.decidesReverse(p, doc)
	}
	return search.Match(p, doc, nil)
}

// decidesEach stops at the first condition whose answer is stop.
func (r *searching) decidesEach(ps []search.Pred, doc *search.Doc, next planned, stop bool) (bool, error) {
	for _, p := range ps {
		if ok, err := r.decides(p, doc, next); err != nil || ok == stop {
			return ok && err == nil, err
		}
	}
	return !stop, nil
}

func (r *searching) decidesChain(p search.Chain, doc *search.Doc, next planned) (bool, error) {
	for _, ref := range doc.Values.Ref {
		if ref.Type != p.Type || !slices.ContainsFunc(p.Atoms, func(a search.AtomRef) bool { return a.ID == ref.Atom }) {
			continue
		}
		if next != nil {
			if d := next(ref.Type, ref.ID); d != nil {
				if ok, err := r.decides(p.Pred, d, next); err != nil || ok {
					return ok, err
				}
				continue
			}
		}
		num, known, err := r.s.numOf(r.ctx, r.q, false, r.tenant, typeNum(ref.Type), ref.ID)
		if err != nil {
			return false, err
		}
		if !known {
			continue
		}
		if ok, err := r.holds(ref.Type, num, p.Pred); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// holds reports whether a record is there and satisfies a condition of the decision on access.
func (r *searching) holds(typ string, num int64, p search.Pred) (found bool, err error) {
	err = r.alone(func() error {
		nums, err := r.matching(&search.Query{Type: typ, ByType: []search.TypedPred{{Type: typ, Pred: search.And{numSet{nums: []int64{num}}, p}}}}, 1)
		found = len(nums) > 0
		return err
	})
	return found, err
}

// alone runs f on a condition of the decision's own, about one record.
func (r *searching) alone(f func() error) error {
	was := r.single
	r.single = true
	defer func() { r.single = was }()
	return r.trust(f)
}

func (r *searching) decidesReverse(p search.ReverseChain, doc *search.Doc) (found bool, err error) {
	num, known, err := r.s.numOf(r.ctx, r.q, false, r.tenant, typeNum(doc.Type), doc.ID)
	if err != nil || !known {
		return false, err
	}
	err = r.alone(func() (err error) {
		if p.Pred, err = r.inner(p.Type, p.Pred); err != nil {
			return err
		}
		c := r.compiler()
		c.sql("SELECT 1 WHERE ")
		if err := c.reverseChain(p, typeNum(doc.Type), strconv.FormatInt(num, 10)); err != nil {
			return err
		}
		var one int64
		found, err = sqldb.QueryRow(r.ctx, r.q, []any{&one}, c.b.String(), c.b.Args...)
		return err
	})
	return found, err
}

// eachPatient returns the document once for each patient in whose compartment it stands, pointing to that one alone: a change must be
// permitted for every one of them. Somebody who may write into one record could otherwise name that one beside another, and write there.
func eachPatient(doc *search.Doc) []*search.Doc {
	atoms := patientAtoms(doc.Type)
	points := func(ref search.RefRow) bool { return ref.Type == "Patient" && slices.Contains(atoms, ref.Atom) }
	var ids []string
	for _, ref := range doc.Values.Ref {
		if points(ref) && !slices.Contains(ids, ref.ID) {
			ids = append(ids, ref.ID)
		}
	}
	if doc.Type == "Patient" { // whom it is linked to is not whom it is about
		ids = []string{""}
	}
	if len(ids) < 2 && doc.Type != "Patient" {
		return []*search.Doc{doc}
	}
	out := make([]*search.Doc, len(ids))
	for i, id := range ids {
		d, v := *doc, *doc.Values
		v.Ref = slices.DeleteFunc(slices.Clone(v.Ref), func(ref search.RefRow) bool { return points(ref) && ref.ID != id })
		d.Values = &v
		out[i] = &d
	}
	return out
}
