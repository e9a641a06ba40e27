package fhirpath

import "math"

// inputNumber returns the one number of the input as a Decimal; ok is false where it is empty.
func inputNumber(in Collection, name string) (d Decimal, v Value, ok bool, err error) {
	v, ok, err = inputValue(in, name+"()")
	if err != nil || !ok || v == nil && in[0].isPrimitive() {
		return Decimal{}, nil, false, err
	}
	switch x := v.(type) {
	case Quantity:
		return x.Value, v, true, nil
	case Integer, Decimal:
		d, _ = asDecimal(v)
		return d, v, true, nil
	}
	return Decimal{}, nil, false, fail("%s(): a number was expected", name)
}

func appendDecimal(dst Collection, d Decimal, ok bool) Collection {
	if !ok || d.tooLong() {
		return dst
	}
	return append(dst, Item{value: d})
}

func fnAbs(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	d, v, ok, err := inputNumber(in, "abs")
	if err != nil || !ok {
		return dst, err
	}
	switch x := v.(type) {
	case Integer:
		if out := integer(abs64(int64(x))); out != nil {
			dst = append(dst, Item{value: out})
		}
		return dst, nil
	case Quantity:
		x.Value = d.Abs()
		return append(dst, Item{value: x}), nil
	}
	return append(dst, Item{value: d.Abs()}), nil
}

// whole makes ceiling, floor and truncate, whose result is an Integer.
func whole(name string, how rounding) func(*machine, frame, Collection, []op, Collection) (Collection, error) {
	return func(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
		d, _, ok, err := inputNumber(in, name)
		if err != nil || !ok {
			return dst, err
		}
		i, fits := d.rounded(0, how).Int64()
		if v := integer(i); fits && v != nil {
			dst = append(dst, Item{value: v})
		}
		return dst, nil
	}
}

func fnRound(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	d, v, ok, err := inputNumber(in, "round")
	if err != nil || !ok {
		return dst, err
	}
	places := 0
	if len(args) == 1 {
		n, has, err := integerArg(m, f, args[0], "round()")
		if err != nil {
			return dst, err
		}
		if has && (n < 0 || n > maxDecimalDigits) {
			return dst, fail("round(): the precision is out of range")
		}
		places = n
	}
	if int32(places) < d.scale {
		d = d.Round(places)
	}
	if q, isQuantity := v.(Quantity); isQuantity {
		q.Value = d
		return append(dst, Item{value: q}), nil
	}
	return append(dst, Item{value: d}), nil
}

func fnSqrt(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	d, _, ok, err := inputNumber(in, "sqrt")
	if err != nil || !ok || d.Sign() < 0 {
		return dst, err
	}
	return appendDecimal(dst, d.sqrt(), true), nil
}

// floatFunc applies a function of floats: 15 significant digits.
func floatFunc(in, dst Collection, name string, fn func(float64) float64) (Collection, error) {
	d, _, ok, err := inputNumber(in, name)
	if err != nil || !ok {
		return dst, err
	}
	out, ok := decimalFromFloat(fn(d.Float()))
	return appendDecimal(dst, out, ok), nil
}

func fnExp(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return floatFunc(in, dst, "exp", math.Exp)
}

func fnLn(_ *machine, _ frame, in Collection, _ []op, dst Collection) (Collection, error) {
	return floatFunc(in, dst, "ln", math.Log)
}

// numberArg evaluates an argument that is one number; ok is false where it is empty.
func numberArg(m *machine, f frame, arg op, name string) (d Decimal, ok bool, err error) {
	it, ok, err := single(m, f, arg, name)
	if err != nil || !ok {
		return Decimal{}, false, err
	}
	if d, ok = asDecimal(it.Value()); !ok {
		return Decimal{}, false, fail("%s: a number was expected", name)
	}
	return d, true, nil
}

func fnLog(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	base, ok, err := numberArg(m, f, args[0], "log()")
	if err != nil || !ok {
		return dst, err
	}
	return floatFunc(in, dst, "log", func(x float64) float64 {
		switch b := base.Float(); b {
		case 2:
			return math.Log2(x)
		case 10:
			return math.Log10(x)
		default:
			return math.Log(x) / math.Log(b)
		}
	})
}

func fnPower(m *machine, f frame, in Collection, args []op, dst Collection) (Collection, error) {
	d, v, ok, err := inputNumber(in, "power")
	if err != nil {
		return dst, err
	}
	e, has, err := numberArg(m, f, args[0], "power()")
	if err != nil || !ok || !has {
		return dst, err
	}
	if err := m.step(64); err != nil {
		return dst, err
	}
	out, ok := d.power(e)
	if _, isInt := v.(Integer); isInt && ok && e.isWhole() && e.Sign() >= 0 {
		i, fits := out.Int64()
		if w := integer(i); fits && w != nil {
			return append(dst, Item{value: w}), nil
		}
		return dst, nil
	}
	return appendDecimal(dst, out, ok), nil
}
