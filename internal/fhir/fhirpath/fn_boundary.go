package fhirpath

// The digits that precision() counts for each precision of a date, and of a time.
var (
	dateDigits = [...]int{4, 6, 8, 10, 12, 14, 17}
	timeDigits = [...]int{0, 0, 0, 2, 4, 6, 9}
)

func (t Temporal) digits() int {
	if t.Kind == TimeKind {
		return timeDigits[t.Precision]
	}
	return dateDigits[t.Precision]
}

func fnPrecision(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	v, ok, err := inputValue(in, "precision()")
	if err != nil || !ok || v == nil {
		return dst, err
	}
	n := 0
	switch x := v.(type) {
	case Integer:
	case Decimal:
		n = x.Scale()
	case Quantity:
		n = x.Value.Scale()
	case Temporal:
		n = x.digits()
	default:
		return dst, fail("precision(): a decimal, date or time was expected")
	}
	return append(dst, Item{value: Integer(n)}), nil
}

// maxBoundaryDigits is how many digits after the point a boundary can be asked for.
const maxBoundaryDigits = 31

// boundary makes lowBoundary and highBoundary: the least and greatest value that the input may stand for, to a precision.
func boundary(name string, high bool) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
		v, ok, err := inputValue(in, name+"()")
		if err != nil || !ok || v == nil {
			return dst, err
		}
		asked := -1
		if len(args) == 1 {
			n, has, err := integerArg(m, f, args[0], name+"()")
			if err != nil {
				return dst, err
			}
			if has && n < 0 {
				return dst, nil
			}
			if has {
				asked = n
			}
		}
		out, known := boundaryOf(v, asked, high)
		if !known {
			return dst, fail("%s(): a number, quantity, date or time was expected", name)
		}
		if out != nil {
			dst = append(dst, Item{value: out})
		}
		return dst, nil
	}
}

// boundaryOf returns nil where the precision asked for does not exist; asked is -1 for the default.
func boundaryOf(v Value, asked int, high bool) (out Value, known bool) {
	switch x := v.(type) {
	case Temporal:
		if t, ok := x.boundary(asked, high); ok {
			return t, true
		}
		return nil, true
	case Quantity:
		d, ok := x.Value.boundary(asked, high)
		if !ok {
			return nil, true
		}
		x.Value = d
		return x, true
	}
	d, ok := asDecimal(v)
	if !ok {
		return nil, false
	}
	if d, ok = d.boundary(asked, high); !ok {
		return nil, true
	}
	return d, true
}

// boundary moves by half of the last digit's unit and rounds outwards. A number that has no digit left at the asked
// precision stays zero there.
func (d Decimal) boundary(asked int, high bool) (Decimal, bool) {
	if asked < 0 {
		asked = 8
	}
	if asked > maxBoundaryDigits || int(d.scale) > maxDecimalDigits-2 {
		return Decimal{}, false
	}
	if d.Sign() != 0 && d.scale > int32(asked) && d.rounded(int32(asked), towardZero).Sign() == 0 {
		return Decimal{scale: int32(asked)}, true
	}
	half := Decimal{small: 5, scale: d.scale + 1}
	if high {
		return d.Add(half).rounded(int32(asked), up), true
	}
	return d.Sub(half).rounded(int32(asked), down), true
}

func (t Temporal) boundary(asked int, high bool) (Temporal, bool) {
	target := MillisecondPrecision
	if t.Kind == DateKind {
		target = DayPrecision
	}
	if asked >= 0 {
		table, found := dateDigits, false
		if t.Kind == TimeKind {
			table = timeDigits
		}
		for p, n := range table {
			if n == asked && n > 0 {
				target, found = Precision(p), true
			}
		}
		if !found || t.Kind == DateKind && target > DayPrecision {
			return t, false
		}
	}
	if target <= t.Precision {
		return t.truncated(target), true
	}
	if high {
		t.raise()
	}
	if t.Kind == DateTimeKind && target > DayPrecision && !t.Zoned {
		// The earliest moment of a local time is where the clocks are furthest east, the latest furthest west.
		t.Zoned, t.Offset = true, offsetEast/60
		if high {
			t.Offset = -offsetWest / 60
		}
	}
	t.Precision = target
	if target == MillisecondPrecision {
		t.Fraction = max(t.Fraction, 3)
	} else {
		t = t.truncated(target)
	}
	return t, true
}

// raise sets what t does not say to its greatest value.
func (t *Temporal) raise() {
	if t.Precision < MonthPrecision {
		t.Month = 12
	}
	if t.Precision < DayPrecision {
		t.Day = daysIn(t.Year, t.Month)
	}
	if t.Precision < HourPrecision {
		t.Hour = 23
	}
	if t.Precision < MinutePrecision {
		t.Minute = 59
	}
	if t.Precision < SecondPrecision {
		t.Second = 59
	}
	if t.Precision < MillisecondPrecision {
		t.Nano, t.Fraction = 999_000_000, 3
	}
}

// fnComparable reports whether two quantities' units can be converted into each other.
func fnComparable(m *machine, f frame, in Collection, args []op) (tri, error) {
	v, ok, err := inputValue(in, "comparable()")
	if err != nil || !ok {
		return unknown, err
	}
	it, ok, err := single(m, f, args[0], "comparable()")
	if err != nil || !ok {
		return unknown, err
	}
	a, okA := v.(Quantity)
	b, okB := it.Value().(Quantity)
	if !okA || !okB {
		return unknown, fail("comparable(): two quantities were expected")
	}
	_, known := a.compare(b)
	return triOf(known), nil
}

// component makes yearOf() … millisecondOf().
func component(name string, p Precision) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
		v, ok, err := inputValue(in, name+"()")
		if err != nil || !ok || v == nil {
			return dst, err
		}
		t, ok := v.(Temporal)
		if !ok {
			return dst, fail("%s(): a date or time was expected", name)
		}
		if t.Precision < p || t.Kind == TimeKind && p < HourPrecision {
			return dst, nil
		}
		parts := [...]int{t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second, t.Nano / 1e6}
		return append(dst, Item{value: Integer(parts[p])}), nil
	}
}
