package fhirpath

import "strings"

// orderOp is < > <= >=.
type orderOp struct {
	name string
	a, b op
}

func (o *orderOp) test(m *machine, f frame, _ Collection) (tri, error) {
	x, y, ok, err := operands(m, f, o.a, o.b, o.name)
	if err != nil || !ok {
		return unknown, err
	}
	order, known, err := compareValues(x, y)
	if err != nil || !known {
		return unknown, err
	}
	switch o.name {
	case "<":
		return triOf(order < 0), nil
	case ">":
		return triOf(order > 0), nil
	case "<=":
		return triOf(order <= 0), nil
	}
	return triOf(order >= 0), nil
}

func (o *orderOp) eval(m *machine, f frame, in, dst Collection) (Collection, error) {
	t, err := o.test(m, f, in)
	return t.append(dst), err
}

// compareValues orders two values; known is false where precision or units leave it open, an error where the types
// have no order between them.
func compareValues(x, y Value) (order int, known bool, err error) {
	switch a := x.(type) {
	case String:
		if b, ok := y.(String); ok {
			return strings.Compare(string(a), string(b)), true, nil
		}
	case Temporal:
		if b, ok := y.(Temporal); ok && a.comparable(b) {
			order, known = a.compare(b)
			return order, known, nil
		}
	default:
		if p, ok := asQuantity(x); ok {
			if q, ok := asQuantity(y); ok {
				order, known = p.compare(q)
				return order, known, nil
			}
		}
	}
	return 0, false, fail("%s and %s cannot be ordered", x.SystemType(), y.SystemType())
}

// asQuantity converts a number or quantity.
func asQuantity(v Value) (Quantity, bool) {
	if q, ok := v.(Quantity); ok {
		return q, true
	}
	d, ok := asDecimal(v)
	return Quantity{Value: d, Unit: "1"}, ok
}
