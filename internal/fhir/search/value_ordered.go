package search

import (
	"math"
	"strings"
)

// prefixes of ordered values (R4 search.html#prefix).
var prefixes = map[string]bool{"eq": true, "ne": true, "gt": true, "lt": true, "ge": true, "le": true, "sa": true, "eb": true, "ap": true}

// cutPrefix parts the comparison from the value; eq is what no prefix means.
func cutPrefix(v string) (op, rest string) {
	if len(v) > 2 && prefixes[v[:2]] {
		return v[:2], v[2:]
	}
	return "eq", v
}

func readDate(p *parser, prm *param, v string) ([]Pred, *issue) {
	op, lo, hi, issue := p.dateValue(v)
	if issue != nil {
		return nil, issue
	}
	return each(prm, func(a *Atom) Pred { return DateCmp{a, op, lo, hi} }), nil
}

func (p *parser) dateValue(v string) (op string, lo, hi int64, _ *issue) {
	op, text := cutPrefix(unescape(v))
	lo, hi, ok := parseDate(text)
	if !ok {
		return "", 0, 0, invalid("a date is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss][zone], behind an optional prefix")
	}
	if op == "ap" {
		// R4 recommends 10 % of the distance between now and the date.
		far := (p.opt.Now.UnixMicro() - lo) / 10
		if far < 0 {
			far = -far
		}
		lo, hi = lo-far, hi+far
	}
	return op, lo, hi, nil
}

// numberValue reads a number as NumCmp's operands.
func numberValue(text string) (op string, lo, hi float64, _ *issue) {
	op, text = cutPrefix(text)
	v, lo, hi, ok := parseNumber(text)
	switch {
	case !ok:
		return "", 0, 0, invalid("a number is digits with an optional fraction and exponent, behind an optional prefix")
	case op == "eq" || op == "ne":
		return op, lo, hi, nil
	case op == "ap":
		return op, v - math.Abs(v)/10, v + math.Abs(v)/10, nil
	}
	return op, v, v, nil
}

func readNumber(_ *parser, prm *param, v string) ([]Pred, *issue) {
	op, lo, hi, issue := numberValue(unescape(v))
	if issue != nil {
		return nil, issue
	}
	return each(prm, func(a *Atom) Pred { return NumCmp{Atom: a, Op: op, Lo: lo, Hi: hi} }), nil
}

// readQuantity reads [prefix]number, [prefix]number|system|code or [prefix]number||code.
func readQuantity(_ *parser, prm *param, v string) ([]Pred, *issue) {
	parts := split(v, '|')
	if len(parts) != 1 && len(parts) != 3 {
		return nil, invalid("a quantity is number, number|system|code or number||code")
	}
	op, lo, hi, issue := numberValue(unescape(parts[0]))
	if issue != nil {
		return nil, issue
	}
	var system, code *int64
	if len(parts) == 3 {
		if parts[1] != "" {
			system = ptr(Hash(unescape(parts[1])))
		}
		if parts[2] != "" {
			code = ptr(Hash(unescape(parts[2])))
		}
	}
	return each(prm, func(a *Atom) Pred { return NumCmp{a, op, lo, hi, system, code} }), nil
}

// readComposite reads part$part…
func readComposite(p *parser, prm *param, v string) ([]Pred, *issue) {
	values := split(v, '$')
	for _, s := range values {
		if s == "" {
			return nil, invalid("a part is empty")
		}
	}
	var out []Pred
	for _, c := range prm.composites {
		if len(values) != len(c.parts) {
			return nil, invalid("it takes %d parts joined by '$'", len(c.parts))
		}
		pred, issue := p.composite(prm, c, values)
		swapped := c.atom.Type == "DocumentReference" && prm.def.Code == "relationship"
		if !swapped && issue != nil {
			return nil, issue
		}
		if issue == nil {
			out = append(out, pred)
		}
		if swapped {
			// The definition of this one names its parts in one order and their paths in the other: both are taken.
			back, issue2 := p.composite(prm, c, []string{values[1], values[0]})
			if issue != nil && issue2 != nil {
				return nil, issue
			}
			if issue2 == nil {
				out = append(out, back)
			}
		}
	}
	return out, nil
}

func (p *parser) composite(prm *param, c *composite, values []string) (Pred, *issue) {
	var parts []Pred
	for i, v := range values {
		preds, issue := plainReader(c.parts[i].param.kind)(p, c.parts[i].param, v)
		if issue != nil {
			issue.text = c.parts[i].param.def.Code + ": " + issue.text
			return nil, issue
		}
		parts = append(parts, anyOf(preds...))
	}
	if pred := c.indexed(p, values, parts); pred != nil {
		return pred, nil
	}
	return append(And(parts), Opened{prm.def.Code, func(d *Doc) bool { return c.holds(d, parts) }}), nil
}

// indexed is the condition by the composite's own index rows, or nil where they cannot answer: more than two parts, or no
// code in the token.
func (c *composite) indexed(p *parser, values []string, parts []Pred) Pred {
	if c.key < 0 {
		return nil
	}
	_, last := c.keyed()
	value := values[1-c.key]
	_, code, _, issue := tokenValue(values[c.key])
	if issue != nil || code == "" {
		return nil
	}
	derived := c.atom.Derived(cut(code), last.param.kind)
	derived.types = last.atoms[0].types
	derived.binding = last.atoms[0].binding
	switch {
	case derived.Kind == String && len(Fold(unescape(value))) > MaxText:
		return nil // the text is longer than rows are
	case derived.Kind == Token && strings.HasSuffix(value, "|"):
		return nil // a system alone
	}
	stand := *last.param
	stand.refs = []AtomRef{{Atom: derived}}
	preds, issue := plainReader(stand.kind)(p, &stand, value)
	if issue != nil {
		return nil
	}
	return And{parts[c.key], anyOf(preds...)}
}

// holds evaluates the parts on one element after the other.
func (c *composite) holds(d *Doc, parts []Pred) bool {
	if d.Resource == nil {
		return false
	}
	x := extractor{vals: &Values{}, gather: true}
	x.walk(d.Resource.Node, c.context)
	contexts := x.nodes
	x = extractor{vals: &Values{}, root: d.Resource.Node}
	for _, n := range contexts {
		ok := true
		for i := 0; ok && i < len(parts); i++ {
			vals := x.scratch(nil, &c.parts[i], n)
			var err error
			ok, err = Match(parts[i], &Doc{Resource: d.Resource, Type: d.Type, ID: d.ID, Values: vals}, nil)
			ok = ok && err == nil
		}
		if ok {
			return true
		}
	}
	return false
}
