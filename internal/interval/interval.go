package interval

import (
	"cmp"
	"slices"
)

// Span is the instants from From up to, not including, To.
type Span struct{ From, To int64 }

// Empty reports that no instant is in s.
func (s Span) Empty() bool { return s.To <= s.From }

// Len is how long s is; 0 where it is empty.
func (s Span) Len() int64 { return max(s.To-s.From, 0) }

// Overlaps reports that an instant is in both.
func (s Span) Overlaps(o Span) bool {
	return !s.Empty() && !o.Empty() && s.From < o.To && o.From < s.To
}

// Meet is the instants in both; empty where there are none.
func (s Span) Meet(o Span) Span {
	m := Span{max(s.From, o.From), min(s.To, o.To)}
	if m.Empty() {
		return Span{}
	}
	return m
}

// Set is spans in order, none of them empty, of which no two overlap or touch. The nil Set is empty.
type Set []Span

// Of is the instants that are in any of the spans, which may come in any order and overlap.
func Of(spans ...Span) Set {
	all := make([]Span, 0, len(spans))
	for _, s := range spans {
		if !s.Empty() {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	var out Set
	for _, s := range all {
		if n := len(out); n > 0 && s.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Union is the instants in either.
func (s Set) Union(o Set) Set { return Of(append(slices.Clone(s), o...)...) }

// Meet is the instants in both.
func (s Set) Meet(o Set) Set {
	var out Set
	for i, j := 0, 0; i < len(s) && j < len(o); {
		if m := s[i].Meet(o[j]); !m.Empty() {
			out = append(out, m)
		}
		if s[i].To < o[j].To {
			i++
		} else {
			j++
		}
	}
	return out
}

// Minus is the instants in s that are not in o.
func (s Set) Minus(o Set) Set {
	var out Set
	j := 0
	for _, one := range s {
		for j > 0 && o[j-1].To > one.From { // the last span of o may reach into this one, too
			j--
		}
		from := one.From
		for ; j < len(o) && o[j].From < one.To; j++ {
			if o[j].To <= from {
				continue
			}
			if o[j].From > from {
				out = append(out, Span{from, o[j].From})
			}
			from = max(from, o[j].To)
		}
		if from < one.To {
			out = append(out, Span{from, one.To})
		}
	}
	return out
}

// Within is the part of s in a span.
func (s Set) Within(o Span) Set {
	if o.Empty() {
		return nil
	}
	return s.Meet(Set{o})
}

// Holds reports that all of the span is in s; of an empty span it is so.
func (s Set) Holds(o Span) bool {
	if o.Empty() {
		return true
	}
	i, found := slices.BinarySearchFunc(s, o.From, func(a Span, at int64) int { return cmp.Compare(a.From, at) })
	if !found {
		i--
	}
	return i >= 0 && s[i].From <= o.From && o.To <= s[i].To
}

// Has reports that the instant is in s.
func (s Set) Has(at int64) bool { return s.Holds(Span{at, at + 1}) }

// Len is how long all spans are together.
func (s Set) Len() int64 {
	var n int64
	for _, one := range s {
		n += one.Len()
	}
	return n
}

// edge is where a span begins (+1) or ends (-1).
type edge struct {
	at   int64
	step int
}

// edges are the ends of the spans in order; where one ends and another begins, the end comes first.
func edges(spans []Span) []edge {
	out := make([]edge, 0, 2*len(spans))
	for _, s := range spans {
		if !s.Empty() {
			out = append(out, edge{s.From, 1}, edge{s.To, -1})
		}
	}
	slices.SortFunc(out, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.step, b.step)) })
	return out
}

// Full is the instants that at least n of the spans hold; n below 1 counts as 1.
func Full(spans []Span, n int) Set {
	n = max(n, 1)
	var out Set
	depth, from := 0, int64(0)
	for _, e := range edges(spans) {
		was := depth
		depth += e.step
		switch {
		case was < n && depth >= n:
			from = e.at
		case was >= n && depth < n && e.at > from:
			if k := len(out); k > 0 && out[k-1].To == from {
				out[k-1].To = e.at
			} else {
				out = append(out, Span{from, e.at})
			}
		}
	}
	return out
}

// Most is how many of the spans hold one instant of within at most.
func Most(spans []Span, within Span) int {
	most, depth := 0, 0
	cut := make([]Span, 0, len(spans))
	for _, s := range spans {
		if m := s.Meet(within); !m.Empty() {
			cut = append(cut, m)
		}
	}
	for _, e := range edges(cut) {
		depth += e.step
		most = max(most, depth)
	}
	return most
}

// Starts are the instants at which something may begin that takes length: in each span of s, from its beginning on, one each step, as long as it ends by
// the span's end. length and step must be above 0.
func (s Set) Starts(length, step int64) []int64 {
	if length <= 0 || step <= 0 {
		return nil
	}
	var out []int64
	for _, one := range s {
		for at := one.From; at+length <= one.To; at += step {
			out = append(out, at)
		}
	}
	return out
}
