package record

import (
	"cmp"
	"math"
	"slices"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

// monthMicros bounds narrow periods: a search that compares ends looks this far before them.
const monthMicros = 31 * 24 * 3600 * 1e6

// indexRows returns the rows of the values under the record's number. target resolves a literal reference.
func (k *tenantKeys) indexRows(v *search.Values, num int64, target func(typ, id string) int64) *Index {
	x := &Index{Text: make([]IdxText, 0, len(v.Text)), Ref: make([]IdxRef, 0, len(v.Ref))}
	for _, r := range v.Text {
		if r.Blind {
			x.Text = append(x.Text, k.blindRow(r, num))
		} else {
			x.Text = append(x.Text, IdxText{r.Atom, r.Val, num, r.Sub})
		}
	}
	for _, r := range v.Ref {
		x.Ref = append(x.Ref, IdxRef{refKey(typeNum(r.Type), target(r.Type, r.ID)), r.Atom, num})
	}
	for _, r := range v.Date {
		wide := r.Lo == math.MinInt64 || r.Hi == math.MaxInt64 || r.Hi-r.Lo > monthMicros
		x.Date = append(x.Date, IdxDate{r.Atom, wide, r.Lo, r.Hi, num})
	}
	for _, r := range v.Num {
		x.Num = append(x.Num, IdxNum{r.Atom, r.Lo != r.Hi, r.Lo, r.Hi, num, r.System, r.Code})
	}
	x.tidy()
	return x
}

// tidy sorts the rows as their tables are sorted and drops repeats.
func (x *Index) tidy() {
	slices.SortFunc(x.Text, compareText)
	x.Text = slices.Compact(x.Text)
	slices.SortFunc(x.Ref, compareRef)
	x.Ref = slices.Compact(x.Ref)
	slices.SortFunc(x.Date, compareDate)
	x.Date = slices.Compact(x.Date)
	slices.SortFunc(x.Num, compareNum)
	x.Num = slices.Compact(x.Num)
}

func compareText(a, b IdxText) int {
	return cmp.Or(cmp.Compare(a.Atom, b.Atom), cmp.Compare(a.Val, b.Val), cmp.Compare(a.Num, b.Num), cmp.Compare(a.Sub, b.Sub))
}

func compareRef(a, b IdxRef) int {
	return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Atom, b.Atom), cmp.Compare(a.Num, b.Num))
}

func compareDate(a, b IdxDate) int {
	return cmp.Or(cmp.Compare(a.Atom, b.Atom), compareBool(a.Wide, b.Wide), cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi), cmp.Compare(a.Num, b.Num))
}

func compareNum(a, b IdxNum) int {
	return cmp.Or(cmp.Compare(a.Atom, b.Atom), compareBool(a.Wide, b.Wide), cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi),
		cmp.Compare(a.Num, b.Num), cmp.Compare(a.System, b.System), cmp.Compare(a.Code, b.Code))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// minus returns the rows of a that b has not. Both are tidy.
func (a *Index) minus(b *Index) Index {
	return Index{
		Text: minus(a.Text, b.Text, compareText), Ref: minus(a.Ref, b.Ref, compareRef),
		Date: minus(a.Date, b.Date, compareDate), Num: minus(a.Num, b.Num, compareNum),
	}
}

func minus[R any](a, b []R, compare func(R, R) int) []R {
	var out []R
	for _, r := range a {
		for len(b) > 0 && compare(b[0], r) < 0 {
			b = b[1:]
		}
		if len(b) == 0 || compare(b[0], r) != 0 {
			out = append(out, r)
		}
	}
	return out
}
