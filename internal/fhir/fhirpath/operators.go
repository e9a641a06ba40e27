package fhirpath

import "math"

// logicOp is and, or, xor, implies; kind is the operator's first letter.
type logicOp struct {
	kind byte
	a, b op
}

func (o *logicOp) test(m *machine, f frame, in Collection) (tri, error) {
	a, err := testOf(m, f, in, o.a)
	if err != nil {
		return unknown, err
	}
	// The right side is left out where the left side decides, as with null checks before it.
	switch {
	case o.kind == 'a' && a == no:
		return no, nil
	case o.kind == 'o' && a == yes:
		return yes, nil
	case o.kind == 'i' && a == no:
		return yes, nil
	}
	b, err := testOf(m, f, in, o.b)
	if err != nil {
		return unknown, err
	}
	return combine(o.kind, a, b), nil
}

func combine(kind byte, a, b tri) tri {
	switch kind {
	case 'a':
		if a == yes || b == no {
			return b
		}
		return unknown
	case 'o':
		if a == no || b == yes {
			return b
		}
		return unknown
	case 'x':
		if a == unknown || b == unknown {
			return unknown
		}
		return triOf(a != b)
	}
	if a == yes || b == yes {
		return b
	}
	return unknown
}

func (o *logicOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

// unionOp is a | b: both, each value once.
type unionOp struct{ a, b op }

func (o *unionOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	buf, err := o.a.eval(m, f, in, m.get())
	if err != nil {
		return dst, err
	}
	if buf, err = o.b.eval(m, f, in, buf); err != nil {
		return dst, err
	}
	dst, err = appendDistinct(m, buf, dst)
	m.put(buf)
	return dst, err
}

// membership is item in list.
type membership struct{ item, list op }

func (o *membership) test(m *machine, f frame, in Collection) (tri, error) {
	items, err := o.item.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	defer m.put(items)
	list, err := o.list.eval(m, f, in, m.get())
	if err != nil {
		return unknown, err
	}
	defer m.put(list)
	switch len(items) {
	case 0:
		return unknown, nil
	case 1:
		found, err := contains(m, list, &items[0])
		return triOf(found), err
	}
	return unknown, fail("in, contains: several items where one was expected")
}

func (o *membership) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

// operands evaluates both sides to one System value each; ok is false where a side is empty.
func operands(m *machine, f frame, a, b op, name string) (x, y Value, ok bool, err error) {
	p, hasP, err := single(m, f, a, name)
	if err != nil {
		return nil, nil, false, err
	}
	q, hasQ, err := single(m, f, b, name)
	if err != nil || !hasP || !hasQ {
		return nil, nil, false, err
	}
	x, y = p.Value(), q.Value()
	if x == nil && !p.valueless() || y == nil && !q.valueless() {
		return nil, nil, false, fail("%s: the operands have no value that it works on", name)
	}
	return x, y, x != nil && y != nil, nil
}

// valueless reports whether the item is of a type that has a value, but has none (or a malformed one).
func (i Item) valueless() bool {
	return i.isPrimitive() || i.typ != nil && i.typ.IsA("Quantity")
}

// concatOp is a & b, for which empty is the empty string.
type concatOp struct{ a, b op }

func (o *concatOp) eval(m *machine, f frame, _, dst Collection) (Collection, error) {
	out := ""
	for _, side := range [...]op{o.a, o.b} {
		it, ok, err := single(m, f, side, "&")
		if err != nil {
			return dst, err
		}
		if !ok {
			continue
		}
		v := it.Value()
		s, isString := v.(String)
		if v != nil && !isString {
			return dst, fail("&: a string was expected")
		}
		out += string(s)
	}
	if err := m.chars(len(out)); err != nil {
		return dst, err
	}
	return append(dst, Item{value: String(out)}), nil
}

// unaryOp is + and -.
type unaryOp struct {
	arg   op
	minus bool
}

func (o *unaryOp) eval(m *machine, f frame, _, dst Collection) (Collection, error) {
	it, ok, err := single(m, f, o.arg, "unary + or -")
	if err != nil || !ok {
		return dst, err
	}
	v := it.Value()
	switch x := v.(type) {
	case Integer:
		if o.minus {
			if x == math.MinInt32 {
				return dst, nil
			}
			v = -x
		}
	case Decimal:
		if o.minus {
			v = x.Neg()
		}
	case Quantity:
		if o.minus {
			x.Value = x.Value.Neg()
			v = x
		}
	default:
		return dst, fail("unary + or -: a number was expected")
	}
	return append(dst, Item{value: v}), nil
}

// arithmetic is + - * / div mod.
type arithmetic struct {
	name string
	a, b op
}

func (o *arithmetic) eval(m *machine, f frame, _, dst Collection) (Collection, error) {
	x, y, ok, err := operands(m, f, o.a, o.b, o.name)
	if err != nil || !ok {
		return dst, err
	}
	v, err := o.compute(m, x, y)
	if err != nil || v == nil {
		return dst, err
	}
	return append(dst, Item{value: v}), nil
}

// compute returns nil where the result is empty: overflow, division by zero.
func (o *arithmetic) compute(m *machine, x, y Value) (Value, error) {
	switch a := x.(type) {
	case Integer:
		switch b := y.(type) {
		case Integer:
			return integerMath(o.name, int64(a), int64(b)), nil
		case Decimal:
			return decimalMath(o.name, DecimalFromInt(int64(a)), b)
		case Quantity:
			return quantityMath(o.name, Quantity{Value: DecimalFromInt(int64(a)), Unit: "1"}, b)
		}
	case Decimal:
		switch b := y.(type) {
		case Integer:
			return decimalMath(o.name, a, DecimalFromInt(int64(b)))
		case Decimal:
			return decimalMath(o.name, a, b)
		case Quantity:
			return quantityMath(o.name, Quantity{Value: a, Unit: "1"}, b)
		}
	case Quantity:
		switch b := y.(type) {
		case Integer:
			return quantityMath(o.name, a, Quantity{Value: DecimalFromInt(int64(b)), Unit: "1"})
		case Decimal:
			return quantityMath(o.name, a, Quantity{Value: b, Unit: "1"})
		case Quantity:
			return quantityMath(o.name, a, b)
		}
	case Temporal:
		if b, ok := y.(Quantity); ok && (o.name == "+" || o.name == "-") {
			return temporalMath(a, b, o.name == "-")
		}
	case String:
		if b, ok := y.(String); ok && o.name == "+" {
			return a + b, m.chars(len(a) + len(b))
		}
	}
	return nil, fail("%s is not defined for %s and %s", o.name, x.SystemType(), y.SystemType())
}

func integerMath(name string, a, b int64) Value {
	switch name {
	case "+":
		return integer(a + b)
	case "-":
		return integer(a - b)
	case "*":
		return integer(a * b)
	}
	if b == 0 {
		return nil
	}
	switch name {
	case "div":
		return integer(a / b)
	case "mod":
		return integer(a % b)
	}
	return DecimalFromInt(a).Quo(DecimalFromInt(b))
}

// integer returns nil where i is over 32 bits.
func integer(i int64) Value {
	if int64(int32(i)) != i {
		return nil
	}
	return Integer(i)
}

func decimalMath(name string, a, b Decimal) (Value, error) {
	var d Decimal
	switch name {
	case "+":
		d = a.Add(b)
	case "-":
		d = a.Sub(b)
	case "*":
		d = a.Mul(b)
	default:
		if b.Sign() == 0 {
			return nil, nil
		}
		switch name {
		case "/":
			d = a.Quo(b)
		case "mod":
			d = a.Rem(b)
		default:
			i, ok := a.IntQuo(b).Int64()
			if !ok {
				return nil, nil
			}
			return integer(i), nil
		}
	}
	if d.tooLong() {
		return nil, nil
	}
	return d, nil
}

// temporalMath adds a time-valued quantity: a calendar unit, or a UCUM unit of definite length.
func temporalMath(t Temporal, q Quantity, minus bool) (Value, error) {
	unit := q.Unit
	if !q.Calendar {
		definite, ok := definiteUnit(unit)
		if !ok {
			return nil, fail("a date or time takes calendar durations, or the units wk, d, h, min, s and ms")
		}
		unit = definite
	}
	if minus {
		q.Value = q.Value.Neg()
	}
	out, ok := t.add(q.Value, unit)
	if !ok {
		if t.Kind == TimeKind {
			if ms, known := unitMillis(unit); !known || ms >= dayMillis {
				return nil, fail("a time takes hours and what is shorter")
			}
		}
		return nil, nil
	}
	return out, nil
}
