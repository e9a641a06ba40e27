package fhirpath

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir/fhirpath/ucum"
)

// conversion returns nil where the value does not convert.
type conversion func(Value) Value

// one System value out of the input; ok is false where it is empty.
func inputValue(in Collection, name string) (v Value, ok bool, err error) {
	switch len(in) {
	case 0:
		return nil, false, nil
	case 1:
		return in[0].Value(), true, nil
	}
	return nil, false, fail("%s: several items where one was expected", name)
}

func converter(to conversion) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
		v, ok, err := inputValue(in, "a conversion")
		if err != nil || !ok || v == nil {
			return dst, err
		}
		if out := to(v); out != nil {
			dst = append(dst, Item{value: out})
		}
		return dst, nil
	}
}

func convertible(to conversion) func(*machine, frame, Collection, []op) (tri, error) {
	return func(_ *machine, _ frame, in Collection, _ []op) (tri, error) {
		v, ok, err := inputValue(in, "a conversion")
		if err != nil || !ok {
			return unknown, err
		}
		return triOf(v != nil && to(v) != nil), nil
	}
}

func toBoolean(v Value) Value {
	switch x := v.(type) {
	case Boolean:
		return x
	case Integer, Decimal:
		d, _ := asDecimal(v)
		switch {
		case d.Cmp(DecimalFromInt(1)) == 0:
			return Boolean(true)
		case d.Sign() == 0:
			return Boolean(false)
		}
	case String:
		switch strings.ToLower(string(x)) {
		case "true", "t", "yes", "y", "1", "1.0":
			return Boolean(true)
		case "false", "f", "no", "n", "0", "0.0":
			return Boolean(false)
		}
	}
	return nil
}

func toInteger(v Value) Value {
	switch x := v.(type) {
	case Boolean:
		if x {
			return Integer(1)
		}
		return Integer(0)
	case Integer:
		return x
	case String:
		d, ok := ParseDecimal(string(x))
		if !ok || strings.ContainsAny(string(x), ".eE") {
			return nil
		}
		i, ok := d.Int64()
		if !ok {
			return nil
		}
		return integer(i)
	}
	return nil
}

func toDecimal(v Value) Value {
	switch x := v.(type) {
	case Boolean:
		if x {
			return Decimal{small: 10, scale: 1}
		}
		return Decimal{small: 0, scale: 1}
	case Integer:
		return DecimalFromInt(int64(x))
	case Decimal:
		return x
	case String:
		if d, ok := ParseDecimal(string(x)); ok && !strings.ContainsAny(string(x), "eE") {
			return d
		}
	}
	return nil
}

func toString(v Value) Value {
	if _, ok := v.(typeInfo); ok {
		return nil
	}
	return String(v.String())
}

func toDate(v Value) Value {
	t, ok := asTemporal(v, ParseDateTime)
	if !ok || t.Kind == TimeKind {
		return nil
	}
	t = t.truncated(DayPrecision)
	t.Kind, t.Zoned, t.Offset = DateKind, false, 0
	return t
}

func toDateTime(v Value) Value {
	t, ok := asTemporal(v, ParseDateTime)
	if !ok || t.Kind == TimeKind {
		return nil
	}
	t.Kind = DateTimeKind
	return t
}

func toTime(v Value) Value {
	t, ok := asTemporal(v, ParseTime)
	if !ok || t.Kind != TimeKind {
		return nil
	}
	return t
}

func asTemporal(v Value, parse func(string) (Temporal, bool)) (Temporal, bool) {
	switch x := v.(type) {
	case Temporal:
		return x, true
	case String:
		return parse(string(x))
	}
	return Temporal{}, false
}

func toQuantity(v Value) Value {
	switch x := v.(type) {
	case Quantity:
		return x
	case String:
		if q, ok := parseQuantity(string(x)); ok {
			return q
		}
		return nil
	}
	if d, ok := toDecimal(v).(Decimal); ok {
		return Quantity{Value: d, Unit: "1"}
	}
	return nil
}

// parseQuantity reads "4", "4 days", "4 'mg'".
func parseQuantity(s string) (Quantity, bool) {
	num, unit, _ := strings.Cut(s, " ")
	unit = strings.TrimLeft(unit, " ")
	if unit == "" {
		if i := strings.IndexByte(num, '\''); i > 0 {
			num, unit = num[:i], num[i:]
		}
	}
	d, ok := ParseDecimal(num)
	if !ok || strings.ContainsAny(num, "eE") {
		return Quantity{}, false
	}
	switch {
	case unit == "":
		return Quantity{Value: d, Unit: "1"}, true
	case len(unit) > 2 && unit[0] == '\'' && unit[len(unit)-1] == '\'':
		return Quantity{Value: d, Unit: unit[1 : len(unit)-1]}, true
	}
	word, ok := calendarUnit(unit)
	return Quantity{Value: d, Unit: word, Calendar: true}, ok
}

// quantityIn converts to the unit of the argument, where there is one.
func quantityIn(m *machine, f frame, v Value, args []op) (Value, error) {
	q, ok := toQuantity(v).(Quantity)
	if !ok {
		return nil, nil
	}
	if len(args) == 0 {
		return q, nil
	}
	it, ok, err := single(m, f, args[0], "toQuantity()")
	if err != nil || !ok {
		return nil, err
	}
	unit, ok := it.text()
	if !ok {
		return nil, fail("toQuantity(): a unit is a string")
	}
	target := Quantity{Value: DecimalFromInt(1), Unit: strings.Trim(unit, "'")}
	if word, ok := calendarUnit(unit); ok {
		target.Unit, target.Calendar = word, true
	}
	if target.Unit == q.Unit && target.Calendar == q.Calendar {
		return q, nil
	}
	return convertUnit(q, target), nil
}

func convertUnit(q, target Quantity) Value {
	x, dim, ok := q.measure()
	if !ok {
		return nil
	}
	if _, targetDim, ok := target.measure(); !ok || targetDim != dim {
		return nil
	}
	if target.Calendar {
		target.Value = decimalFromRat(x.Quo(x, one(target)))
		return target
	}
	u, err := ucum.Parse(target.Unit)
	if err != nil {
		return nil
	}
	target.Value = decimalFromRat(u.FromBase(x))
	return target
}

func fnToQuantity(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	v, ok, err := inputValue(in, "toQuantity()")
	if err != nil || !ok || v == nil {
		return dst, err
	}
	q, err := quantityIn(m, f, v, args)
	if err != nil || q == nil {
		return dst, err
	}
	return append(dst, Item{value: q}), nil
}

func fnConvertsToQuantity(m *machine, f frame, in Collection, args []op) (tri, error) {
	v, ok, err := inputValue(in, "convertsToQuantity()")
	if err != nil || !ok {
		return unknown, err
	}
	if v == nil {
		return no, nil
	}
	q, err := quantityIn(m, f, v, args)
	return triOf(q != nil), err
}
