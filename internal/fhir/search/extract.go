package search

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Extract returns everything that r is found by: the index rows of all R4 search parameters of its type, each row once,
// in document order by shape. References that begin with base, the server's own URL, are local ones; base may be "".
// A resource of an unknown type has no values. r is not changed, and texts of the rows share its memory.
func Extract(r *fhir.Resource, base string) *Values {
	v := &Values{}
	ti := indexOf(r.Type())
	if ti == nil {
		return v
	}
	v.Text = make([]TextRow, 0, 16)
	v.Ref = make([]RefRow, 0, 6)
	x := extractor{vals: v, base: strings.TrimSuffix(base, "/"), root: r.Node}
	x.walk(r.Node, ti.root)
	v.Text = distinct(v.Text)
	v.Ref = distinct(v.Ref)
	v.Date = distinct(v.Date)
	v.Num = distinct(v.Num)
	return v
}

// extractor gathers rows while it walks one resource.
type extractor struct {
	vals   *Values
	base   string
	whole  bool         // strings are not cut
	gather bool         // gather the nodes instead of rows
	nodes  []*fhir.Node // with gather
	root   *fhir.Node   // %resource
	first  *Values      // scratch of composites
	last   *Values      // scratch of composites
}

func (x *extractor) text(a *Atom, val string, sub int64) {
	x.vals.Text = append(x.vals.Text, TextRow{Atom: a.ID, Val: cut(val), Sub: sub, Blind: a.Blind})
}

// distinct leaves each row once, in place, first ones first.
func distinct[T comparable](rows []T) []T {
	if len(rows) > 48 {
		return distinctMany(rows)
	}
	out := rows[:0]
next:
	for _, r := range rows {
		for i := range out {
			if out[i] == r {
				continue next
			}
		}
		out = append(out, r)
	}
	return out
}

func distinctMany[T comparable](rows []T) []T {
	seen := make(map[T]struct{}, len(rows))
	out := rows[:0]
	for _, r := range rows {
		if _, is := seen[r]; !is {
			seen[r] = struct{}{}
			out = append(out, r)
		}
	}
	return out
}
