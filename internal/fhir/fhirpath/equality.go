package fhirpath

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// equalOp is = and !=.
type equalOp struct {
	a, b   op
	negate bool
}

func (o *equalOp) test(m *machine, f frame, in Collection) (tri, error) {
	a, err := o.a.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	b, err := o.b.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	t, err := equalCollections(m, a, b)
	m.put(b)
	m.put(a)
	if o.negate {
		t = t.not()
	}
	return t, err
}

func (o *equalOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

func equalCollections(m *machine, a, b Collection) (tri, error) {
	if len(a) == 0 || len(b) == 0 {
		return unknown, nil
	}
	if len(a) != len(b) {
		return no, nil
	}
	out := yes
	for i := range a {
		if err := m.step(1); err != nil {
			return unknown, err
		}
		switch m.equal(&a[i], &b[i]) {
		case no:
			return no, nil
		case unknown:
			out = unknown
		}
	}
	return out, nil
}

// equal compares two items by the rules of =. Items of types that cannot be equal are not.
func (m *machine) equal(a, b *Item) tri {
	if s, ok := a.text(); ok {
		if t, ok := b.text(); ok {
			return triOf(s == t)
		}
	}
	if a.node != nil && a.node == b.node && a.value == nil && b.value == nil {
		return yes
	}
	x, y := a.Value(), b.Value()
	if x != nil && y != nil {
		return equalValues(x, y)
	}
	if x != nil || y != nil || a.value != nil || b.value != nil {
		return no
	}
	return triOf(m.equalTrees(a.node, b.node) && m.equalTrees(a.comp, b.comp) && (a.node != nil || b.node != nil || a.comp != nil || a.typ == b.typ))
}

func equalValues(x, y Value) tri {
	switch a := x.(type) {
	case Boolean, String, typeInfo:
		return triOf(x == y)
	case Temporal:
		b, ok := y.(Temporal)
		if !ok || !a.comparable(b) {
			return no
		}
		order, known := a.compare(b)
		if !known {
			return unknown
		}
		return triOf(order == 0)
	case Quantity:
		if b, ok := y.(Quantity); ok {
			return a.equal(b)
		}
	}
	if q, ok := y.(Quantity); ok {
		if d, isNumber := asDecimal(x); isNumber {
			return Quantity{Value: d, Unit: "1"}.equal(q)
		}
		return no
	}
	a, okA := asDecimal(x)
	if q, ok := x.(Quantity); ok {
		if d, isNumber := asDecimal(y); isNumber {
			return q.equal(Quantity{Value: d, Unit: "1"})
		}
		return no
	}
	b, okB := asDecimal(y)
	return triOf(okA && okB && a.Cmp(b) == 0)
}

// asDecimal converts an Integer or Decimal.
func asDecimal(v Value) (Decimal, bool) {
	switch v := v.(type) {
	case Integer:
		return DecimalFromInt(int64(v)), true
	case Decimal:
		return v, true
	}
	return Decimal{}, false
}

// equalTrees compares JSON values: members in any order, items in theirs, numbers by value. It charges steps, and with
// none left says no: the next step reports it.
func (m *machine) equalTrees(a, b *fhir.Node) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	if m.steps--; m.steps < 0 || a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case fhir.Number:
		return equalNumbers(a.Text, b.Text)
	case fhir.Array:
		x, y := a.First(), b.First()
		for ; x != nil && y != nil; x, y = x.Next(), y.Next() {
			if !m.equalTrees(x, y) {
				return false
			}
		}
		return x == nil && y == nil
	case fhir.Object:
		n := a.Len()
		if n != b.Len() {
			return false
		}
		m.steps -= n * n / 16 // finding a member is linear
		for x := a.First(); x != nil; x = x.Next() {
			if !m.equalTrees(x, b.Get(x.Name)) {
				return false
			}
		}
		return true
	}
	return a.Text == b.Text
}

func equalNumbers(a, b string) bool {
	if a == b {
		return true
	}
	x, okX := ParseDecimal(a)
	y, okY := ParseDecimal(b)
	return okX && okY && x.Cmp(y) == 0
}

// equivalentOp is ~ and !~.
type equivalentOp struct {
	a, b   op
	negate bool
}

func (o *equivalentOp) test(m *machine, f frame, in Collection) (tri, error) {
	a, err := o.a.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	b, err := o.b.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	same, err := m.equivalentCollections(a, b)
	m.put(b)
	m.put(a)
	return triOf(same != o.negate), err
}

func (o *equivalentOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	if err != nil {
		return dst, err
	}
	return t.append(dst), nil
}

// equivalentCollections matches each item with one of the other side, in any order.
func (m *machine) equivalentCollections(a, b Collection) (bool, error) {
	if len(a) != len(b) {
		return false, nil
	}
	used := make([]bool, len(b))
next:
	for i := range a {
		for j := range b {
			if used[j] {
				continue
			}
			if err := m.step(1); err != nil {
				return false, err
			}
			if m.equivalent(&a[i], &b[j]) {
				used[j] = true
				continue next
			}
		}
		return false, nil
	}
	return true, nil
}

func (m *machine) equivalent(a, b *Item) bool {
	x, y := a.Value(), b.Value()
	if x != nil && y != nil {
		return equivalentValues(x, y)
	}
	if x != nil || y != nil || a.value != nil || b.value != nil {
		return false
	}
	if a.node == nil || b.node == nil {
		return a.node == b.node && m.equalTrees(a.comp, b.comp)
	}
	return m.equivalentElements(a, b)
}

// equivalentElements compares the members of two complex elements as collections; ids do not count.
func (m *machine) equivalentElements(a, b *Item) bool {
	if a.node == b.node {
		return true
	}
	if a.node.Kind != fhir.Object || b.node.Kind != fhir.Object {
		return m.equalTrees(a.node, b.node)
	}
	names := map[string]bool{}
	for _, n := range [...]*fhir.Node{a.node, b.node} {
		for c := n.First(); c != nil; c = c.Next() {
			names[strings.TrimPrefix(c.Name, "_")] = true
		}
	}
	delete(names, "id")
	delete(names, "resourceType")
	for name := range names {
		same, err := m.equivalentCollections(membersOf(*a, name), membersOf(*b, name))
		if err != nil || !same {
			return false
		}
	}
	return true
}

// membersOf returns the items under one JSON name.
func membersOf(it Item, jsonName string) Collection {
	if it.typ == nil {
		return nil
	}
	f, ok := it.typ.Field(jsonName)
	if !ok {
		return nil
	}
	var comp *fhir.Node
	if f.Type != nil && f.Type.Kind == def.Primitive {
		comp = it.node.Get("_" + jsonName)
	}
	o, m := pathOp{}, machine{steps: 1}
	out, _ := o.spread(&m, it.node.Get(jsonName), comp, f, -1, nil)
	return out
}

func equivalentValues(x, y Value) bool {
	switch a := x.(type) {
	case String:
		b, ok := y.(String)
		return ok && normalized(string(a)) == normalized(string(b))
	case Temporal:
		b, ok := y.(Temporal)
		if !ok || !a.comparable(b) {
			return false
		}
		order, known := a.compare(b)
		return known && order == 0
	case Quantity:
		b, ok := y.(Quantity)
		return ok && a.equivalent(b)
	}
	a, okA := asDecimal(x)
	b, okB := asDecimal(y)
	if okA && okB {
		return equivalentDecimals(a, b)
	}
	return equalValues(x, y) == yes
}

// equivalentDecimals rounds both to the precision of the less precise.
func equivalentDecimals(a, b Decimal) bool {
	p := min(a.precision(), b.precision())
	return a.rounded(p, halfUp).Cmp(b.rounded(p, halfUp)) == 0
}

// normalized lowers case and makes every run of white space one blank.
func normalized(s string) string { return strings.Join(strings.Fields(strings.ToLower(s)), " ") }
