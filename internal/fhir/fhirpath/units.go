package fhirpath

import (
	"math/big"

	"github.com/nilecare/nilecare/internal/fhir/fhirpath/ucum"
)

// measure returns the quantity in the base of its dimension. Calendar years and months are a dimension of their own:
// they have no definite length.
func (q Quantity) measure() (value *big.Rat, dimension string, ok bool) {
	unit := q.Unit
	if q.Calendar {
		switch unit {
		case "year":
			return new(big.Rat).Mul(q.Value.Rat(), big.NewRat(12, 1)), "calendar", true
		case "month":
			return q.Value.Rat(), "calendar", true
		}
		unit = ucumOfCalendar(unit)
	}
	u, err := ucum.Parse(unit)
	if err != nil {
		return nil, "", false
	}
	return u.ToBase(q.Value.Rat()), u.Dimension(), true
}

// compare orders two quantities; known is false where their units are not commensurable.
func (q Quantity) compare(r Quantity) (order int, known bool) {
	if q.Unit == r.Unit && q.Calendar == r.Calendar {
		return q.Value.Cmp(r.Value), true
	}
	a, dimA, okA := q.measure()
	b, dimB, okB := r.measure()
	if !okA || !okB || dimA != dimB {
		return 0, false
	}
	return a.Cmp(b), true
}

func (q Quantity) equal(r Quantity) tri {
	order, known := q.compare(r)
	if !known {
		return unknown
	}
	return triOf(order == 0)
}

// equivalent also takes a calendar year for a UCUM year and a calendar month for a UCUM month, and values to the
// precision of the less precise.
func (q Quantity) equivalent(r Quantity) bool {
	if q.Calendar != r.Calendar {
		if q.Calendar {
			q.Unit, q.Calendar = ucumOfCalendar(q.Unit), false
		} else {
			r.Unit, r.Calendar = ucumOfCalendar(r.Unit), false
		}
	}
	if q.Unit == r.Unit {
		return equivalentDecimals(q.Value, r.Value)
	}
	order, known := q.compare(r)
	return known && order == 0
}

// quantityMath is + - * / on quantities; nil where the units do not fit or the divisor is zero.
func quantityMath(name string, a, b Quantity) (Value, error) {
	switch name {
	case "+", "-":
		return addQuantities(name, a, b)
	case "*", "/":
		return scaleQuantities(name, a, b)
	}
	return nil, fail("%s is not defined for Quantity", name)
}

// addQuantities answers in the finer unit of the two.
func addQuantities(name string, a, b Quantity) (Value, error) {
	if name == "-" {
		b.Value = b.Value.Neg()
	}
	if a.Unit == b.Unit && a.Calendar == b.Calendar {
		a.Value = a.Value.Add(b.Value)
		return bounded(a), nil
	}
	x, dimX, okX := a.measure()
	y, dimY, okY := b.measure()
	if !okX || !okY || dimX != dimY {
		return nil, nil
	}
	target := a
	if one(b).Cmp(one(a)) < 0 {
		target = b
	}
	sum := new(big.Rat).Add(x, y)
	target.Value = decimalFromRat(sum.Quo(sum, one(target)))
	return bounded(target), nil
}

// one returns how much one unit of q is in the base; q has been measured before.
func one(q Quantity) *big.Rat {
	q.Value = DecimalFromInt(1)
	v, _, ok := q.measure()
	if !ok || v.Sign() == 0 {
		return big.NewRat(1, 1)
	}
	return v
}

func bounded(q Quantity) Value {
	if q.Value.tooLong() {
		return nil
	}
	return q
}

// scaleQuantities multiplies or divides: by a bare number the unit stays, else the result is in base units.
func scaleQuantities(name string, a, b Quantity) (Value, error) {
	if name == "/" && b.Value.Sign() == 0 {
		return nil, nil
	}
	if b.Unit == "1" && !b.Calendar {
		if name == "*" {
			a.Value = a.Value.Mul(b.Value)
		} else {
			a.Value = a.Value.Quo(b.Value)
		}
		return bounded(a), nil
	}
	if a.Unit == "1" && !a.Calendar && name == "*" {
		b.Value = b.Value.Mul(a.Value)
		return bounded(b), nil
	}
	u, okU := parseUnit(a)
	w, okW := parseUnit(b)
	if !okU || !okW {
		return nil, nil
	}
	combined, ok := u.Mul(w)
	value := new(big.Rat).Mul(a.Value.Rat(), b.Value.Rat())
	if name == "/" {
		combined, ok = u.Div(w)
		value.Quo(a.Value.Rat(), b.Value.Rat())
	}
	if !ok {
		return nil, nil
	}
	q := Quantity{Value: decimalFromRat(combined.ToBase(value)), Unit: combined.BaseCode()}
	return bounded(q), nil
}

func parseUnit(q Quantity) (*ucum.Unit, bool) {
	code := q.Unit
	if q.Calendar {
		code = ucumOfCalendar(q.Unit)
	}
	u, err := ucum.Parse(code)
	return u, err == nil
}
