package access

import "github.com/nilecare/nilecare/internal/fhir/search"

// Predicates are combined with their constants folded: the empty And is true, the empty Or false. Negations are driven inward,
// so that an index answers as much of a condition as it can.

var (
	always search.Pred = search.And{}
	never  search.Pred = search.Or{}
)

func isAlways(p search.Pred) bool { a, ok := p.(search.And); return ok && len(a) == 0 }
func isNever(p search.Pred) bool  { o, ok := p.(search.Or); return ok && len(o) == 0 }

func constant(b bool) search.Pred {
	if b {
		return always
	}
	return never
}

// allOf is the conjunction, flat and without constants.
func allOf(preds ...search.Pred) search.Pred {
	var out search.And
	for _, p := range preds {
		if isNever(p) {
			return never
		}
		if inner, ok := p.(search.And); ok {
			out = append(out, inner...)
			continue
		}
		out = append(out, p)
	}
	if len(out) == 1 {
		return out[0]
	}
	if len(out) == 0 {
		return always
	}
	return out
}

// anyOf is the disjunction, flat and without constants.
func anyOf(preds ...search.Pred) search.Pred {
	var out search.Or
	for _, p := range preds {
		if isAlways(p) {
			return always
		}
		if inner, ok := p.(search.Or); ok {
			out = append(out, inner...)
			continue
		}
		out = append(out, p)
	}
	if len(out) == 1 {
		return out[0]
	}
	if len(out) == 0 {
		return never
	}
	return out
}

func not(p search.Pred) search.Pred {
	switch p := p.(type) {
	case search.And:
		out := make([]search.Pred, len(p))
		for i, c := range p {
			out[i] = not(c)
		}
		return anyOf(out...)
	case search.Or:
		out := make([]search.Pred, len(p))
		for i, c := range p {
			out[i] = not(c)
		}
		return allOf(out...)
	case search.Not:
		return p.Pred
	}
	return search.Not{Pred: p}
}

// cond is what a Cedar expression is, for a resource that is not known yet: true on some resources, an error on some (Cedar then
// leaves the whole policy out), false on the rest.
type cond struct{ yes, err search.Pred }

var failed = cond{never, always}

func known(b bool) cond { return cond{constant(b), never} }

// no is where the condition is false.
func (c cond) no() search.Pred { return allOf(not(c.yes), not(c.err)) }

func (c cond) not() cond { return cond{c.no(), c.err} }

// and is Cedar's &&: the right side counts, its errors too, where the left side is true.
func (c cond) and(d cond) cond {
	return cond{allOf(c.yes, d.yes), anyOf(c.err, allOf(c.yes, d.err))}
}

// or is Cedar's ||: the right side counts, its errors too, where the left side is false.
func (c cond) or(d cond) cond {
	no := c.no()
	if isNever(d.err) && isNever(c.err) {
		return cond{anyOf(c.yes, d.yes), never}
	}
	return cond{anyOf(c.yes, allOf(no, d.yes)), anyOf(c.err, allOf(no, d.err))}
}

// choose is if c then d else e.
func (c cond) choose(d, e cond) cond {
	no := c.no()
	return cond{anyOf(allOf(c.yes, d.yes), allOf(no, e.yes)), anyOf(c.err, allOf(c.yes, d.err), allOf(no, e.err))}
}

// extentOf makes an extent of a predicate.
func extentOf(p search.Pred) Extent {
	switch {
	case isAlways(p):
		return All()
	case isNever(p):
		return None()
	}
	return Some(p)
}

// condition is the extent as a predicate.
func (e Extent) condition() search.Pred {
	switch {
	case e.all:
		return always
	case e.pred == nil:
		return never
	}
	return e.pred
}

// Meet is the extent of the resources that are in both.
func (e Extent) Meet(o Extent) Extent {
	if e.all {
		return o
	}
	if o.all {
		return e
	}
	return extentOf(allOf(e.condition(), o.condition()))
}

// Join is the extent of the resources that are in either.
func (e Extent) Join(o Extent) Extent {
	if e.all || o.all {
		return All()
	}
	return extentOf(anyOf(e.condition(), o.condition()))
}

// Except is the extent of the resources that are in e and do not satisfy the predicate.
func (e Extent) Except(p search.Pred) Extent {
	return extentOf(allOf(e.condition(), not(p)))
}
