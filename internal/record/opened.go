package record

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// openedHits are the matches of a search that indexes do not decide: candidates are opened, up to MaxOpened, and asked.
func (r *searching) openedHits(plan *searchPlan, cur *cursor, limit int) ([]hit, error) {
	candidates := &searchPlan{types: plan.types}
	if len(plan.sort) > 0 {
		return r.openedAndSorted(plan, candidates, cur, limit)
	}
	var out []hit
	for opened := 0; ; {
		size := min(openedBatch, MaxOpened-opened+1)
		batch, err := r.numberedHits(candidates, cur, size)
		if err != nil {
			return nil, err
		}
		cut := r.cut // what follows scans too
		if opened += len(batch); opened > MaxOpened {
			return nil, tooCostly(plan.opaque)
		}
		for i := range batch {
			doc, err := r.satisfying(plan, &batch[i].sealed)
			if err != nil {
				return nil, err
			}
			if doc == nil {
				continue
			}
			if out = append(out, batch[i]); len(out) == limit {
				r.cut = false
				return out, nil
			}
		}
		if len(batch) < size && !cut {
			r.cut = false
			return out, nil
		}
		last := batch[len(batch)-1].sealed
		cur = &cursor{num: last.num, typ: last.typ}
	}
}

// openedBatch is how many candidates are read at a time.
const openedBatch = 250

// openedAndSorted gathers all matches, sorts them in memory and cuts the page out.
func (r *searching) openedAndSorted(plan, candidates *searchPlan, cur *cursor, limit int) ([]hit, error) {
	batch, err := r.numberedHits(candidates, nil, MaxOpened+1)
	if err != nil {
		return nil, err
	}
	if len(batch) > MaxOpened || r.cut {
		return nil, tooCostly(plan.opaque)
	}
	var out []hit
	for i := range batch {
		doc, err := r.satisfying(plan, &batch[i].sealed)
		if err != nil {
			return nil, err
		}
		if doc != nil {
			batch[i].keys = keysOf(plan.sort, doc, batch[i].sealed.seq)
			out = append(out, batch[i])
		}
	}
	slices.SortStableFunc(out, func(a, b hit) int { return compareHits(plan.sort, &a, &b) })
	start := 0
	if cur != nil {
		start = int(min(max(cur.at, 0), int64(len(out))))
		if i := slices.IndexFunc(out, func(h hit) bool { return h.sealed.num == cur.num && h.sealed.typ == cur.typ }); i >= 0 {
			start = i + 1
		}
	}
	r.cut = false
	out = out[start:]
	for i := range out {
		out[i].keys = make([]any, len(plan.sort)) // what was sorted by stays here
	}
	return out[:min(limit, len(out))], nil
}

// satisfying opens a candidate and returns it where it satisfies what the indexes could not decide; else nil.
func (r *searching) satisfying(plan *searchPlan, v *sealedVersion) (*search.Doc, error) {
	doc, err := r.doc(v)
	if err != nil || doc == nil {
		return nil, err
	}
	for _, t := range plan.types {
		if t.num != v.typ {
			continue
		}
		for _, p := range t.opened {
			ok, err := r.satisfies(p, doc)
			if err != nil || !ok {
				return nil, err
			}
		}
	}
	return doc, nil
}

// doc opens a version for predicates; nil where it cannot be had any more.
func (r *searching) doc(v *sealedVersion) (*search.Doc, error) {
	version, err := r.s.open(r.ctx, r.q, r.tenant, v)
	if fault.Is(err, fault.Gone) {
		return nil, nil
	}
	if err != nil || version.Deleted {
		return nil, err
	}
	return r.s.docOf(version)
}

func (s *Store) docOf(v *Version) (*search.Doc, error) {
	res, err := v.Resource()
	if err != nil {
		return nil, err
	}
	return &search.Doc{Resource: res, Type: v.Type, ID: v.ID, Updated: v.Updated, Values: search.Extract(res, s.base)}, nil
}

// satisfies asks a condition of an opened document.
func (r *searching) satisfies(p search.Pred, doc *search.Doc) (bool, error) {
	if t, ok := p.(trusted); ok {
		return r.decides(t.Pred, doc, nil)
	}
	return search.Match(p, doc, lookup{r})
}

// lookup gives search.Match the documents at the other end of a chain: those that the caller is shown.
type lookup struct{ r *searching }

// Doc implements search.Lookup.
func (l lookup) Doc(typ, id string) (*search.Doc, error) {
	t := typeNum(typ)
	num, known, err := l.r.s.numOf(l.r.ctx, l.r.q, false, l.r.tenant, t, id)
	if err != nil || !known || t == 0 {
		return nil, err
	}
	v, err := l.r.s.current(l.r.ctx, l.r.q, l.r.tenant, t, num)
	if err != nil || v == nil || v.deleted() {
		return nil, err
	}
	if ok, err := l.r.sees(v); err != nil || !ok {
		return nil, err
	}
	return l.r.doc(v)
}

// Referrers implements search.Lookup.
func (l lookup) Referrers(typ string, atoms []search.AtomRef, targetType, targetID string) ([]*search.Doc, error) {
	r := l.r
	// What is hidden is left out by the statement: it must not count.
	pred, err := r.guarded(typ, search.InCompartment{Atoms: atoms, Type: targetType, ID: targetID})
	if err != nil {
		return nil, err
	}
	hits, err := r.numberedHits(&searchPlan{types: []typePlan{{num: typeNum(typ), name: typ, pred: pred}}}, nil, MaxOpened+1)
	if err == nil {
		hits, err = r.seenHits(typ, hits)
	}
	if err == nil && (len(hits) > MaxOpened || r.cut) {
		err = tooCostly("a chain backwards from " + targetType)
	}
	if err != nil {
		return nil, err
	}
	var out []*search.Doc
	for i := range hits {
		d, err := r.doc(&hits[i].sealed)
		if err != nil {
			return nil, err
		}
		if d != nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// seenHits leaves out what the caller is not shown.
func (r *searching) seenHits(typ string, hits []hit) ([]hit, error) {
	if len(hits) == 0 || !r.restricted(typ) {
		return hits, nil
	}
	nums := make([]int64, len(hits))
	for i := range hits {
		nums[i] = hits[i].sealed.num
	}
	cut := r.cut
	seen, err := r.seen(typ, nums)
	r.cut = cut
	return slices.DeleteFunc(hits, func(h hit) bool { return !seen[h.sealed.num] }), err
}

// keysOf returns the sort keys of an opened record.
func keysOf(keys []search.SortKey, d *search.Doc, seq int64) []any {
	out := make([]any, len(keys))
	for i, k := range keys {
		switch k.Special {
		case "_lastUpdated":
			out[i] = seq
		case "_id":
			out[i] = []byte(d.ID)
		default:
			out[i] = extreme(k, d.Values)
		}
	}
	return out
}

// extreme returns the least value of the key's atoms, or the greatest where it sorts downward; nil where there is none.
func extreme(k search.SortKey, v *search.Values) any {
	var best any
	take := func(candidate any) {
		if best == nil || (compareKeys(candidate, best) < 0) != k.Desc && compareKeys(candidate, best) != 0 {
			best = candidate
		}
	}
	for _, a := range k.Atoms {
		for _, r := range v.Ref {
			if r.Atom == a.ID && (a.Target == "" || a.Target == r.Type) {
				take([]byte(r.Type + "/" + r.ID))
			}
		}
		for _, r := range v.Text {
			if r.Atom == a.ID {
				take([]byte(r.Val))
			}
		}
		for _, r := range v.Date {
			if r.Atom == a.ID {
				take(r.Lo)
			}
		}
		for _, r := range v.Num {
			if r.Atom == a.ID {
				take(r.Lo)
			}
		}
	}
	return best
}

func compareHits(keys []search.SortKey, a, b *hit) int {
	for i, k := range keys {
		x, y := a.keys[i], b.keys[i]
		if (x == nil) != (y == nil) {
			return pickInt(x == nil, 1, -1)
		}
		if c := compareKeys(x, y); c != 0 {
			return pickInt(k.Desc, -c, c)
		}
	}
	return cmp.Or(cmp.Compare(a.sealed.num, b.sealed.num), cmp.Compare(a.sealed.typ, b.sealed.typ))
}

func pickInt(first bool, a, b int) int {
	if first {
		return a
	}
	return b
}

// compareKeys orders two keys of one kind.
func compareKeys(a, b any) int {
	switch x := a.(type) {
	case int64:
		y, ok := b.(int64)
		if !ok {
			return -1
		}
		return cmp.Compare(x, y)
	case float64:
		y, ok := b.(float64)
		if !ok {
			return math.MaxInt32
		}
		return cmp.Compare(x, y)
	case []byte:
		y, ok := b.([]byte)
		if !ok {
			return 1
		}
		return bytes.Compare(x, y)
	}
	return 0
}
