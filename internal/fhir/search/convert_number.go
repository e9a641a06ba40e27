package search

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

var numberConverters = map[string]converter{
	"integer": putNumber, "decimal": putNumber, "Range": putRange,
}

var quantityConverters = map[string]converter{
	"Quantity": putQuantity, "Age": putQuantity, "Duration": putQuantity, "Money": putMoney, "Range": putRange, "SampledData": putSampled,
}

// CurrencySystem is the system of a Money's currency code (R4 search.html#quantity).
const CurrencySystem = "urn:iso:std:iso:4217"

func number(n *fhir.Node) (float64, bool) {
	if n == nil || n.Kind != fhir.Number {
		return 0, false
	}
	v, err := strconv.ParseFloat(n.Text, 64)
	return v, err == nil
}

func putNumber(x *extractor, a *Atom, n *fhir.Node) {
	if v, ok := number(n); ok {
		x.vals.Num = append(x.vals.Num, NumRow{Atom: a.ID, Lo: v, Hi: v})
	}
}

func putQuantity(x *extractor, a *Atom, n *fhir.Node) {
	v, ok := number(n.Get("value"))
	if !ok {
		return
	}
	lo, hi := v, v
	switch n.Str("comparator") {
	case "<":
		lo, hi = math.Inf(-1), math.Nextafter(v, math.Inf(-1))
	case "<=":
		lo = math.Inf(-1)
	case ">":
		lo, hi = math.Nextafter(v, math.Inf(1)), math.Inf(1)
	case ">=":
		hi = math.Inf(1)
	}
	putUnits(x, a, lo, hi, n)
}

// putUnits makes the rows of one range, with the units of the Quantity q.
func putUnits(x *extractor, a *Atom, lo, hi float64, q *fhir.Node) {
	system, code, unit := q.Str("system"), q.Str("code"), q.Str("unit")
	x.vals.Num = append(x.vals.Num, NumRow{a.ID, lo, hi, systemHash(system), systemHash(code)})
	if unit != "" && unit != code {
		x.vals.Num = append(x.vals.Num, NumRow{a.ID, lo, hi, 0, Hash(unit)})
	}
}

func putMoney(x *extractor, a *Atom, n *fhir.Node) {
	v, ok := number(n.Get("value"))
	if !ok {
		return
	}
	row := NumRow{Atom: a.ID, Lo: v, Hi: v}
	if c := n.Str("currency"); c != "" {
		row.System, row.Code = Hash(CurrencySystem), Hash(c)
	}
	x.vals.Num = append(x.vals.Num, row)
}

func putRange(x *extractor, a *Atom, n *fhir.Node) {
	low, high := n.Get("low"), n.Get("high")
	lo, hasLow := number(low.Get("value"))
	hi, hasHigh := number(high.Get("value"))
	units := low
	switch {
	case !hasLow && !hasHigh:
		return
	case !hasLow:
		lo, units = math.Inf(-1), high
	case !hasHigh:
		hi = math.Inf(1)
	}
	if a.Kind == Number {
		x.vals.Num = append(x.vals.Num, NumRow{Atom: a.ID, Lo: lo, Hi: hi})
		return
	}
	putUnits(x, a, lo, hi, units)
}

// putSampled indexes the bounds of the samples, as the definition of value-quantity says.
func putSampled(x *extractor, a *Atom, n *fhir.Node) {
	origin, ok := number(n.Get("origin").Get("value"))
	if !ok {
		return
	}
	factor, ok := number(n.Get("factor"))
	if !ok {
		factor = 1
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, s := range strings.Fields(n.Str("data")) {
		// "E" (error), "U" (above) and "L" (below the limits) are no samples.
		if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			lo, hi = min(lo, origin+v*factor), max(hi, origin+v*factor)
		}
	}
	if lo <= hi {
		putUnits(x, a, lo, hi, n.Get("origin"))
	}
}

// maxNumber is how long a number in a query may be.
const maxNumber = 64

// parseNumber reads a decimal and the range that its digits stand for (R4 search.html#number): 100 is [99.5, 100.5),
// 100.00 is [99.995, 100.005), 1e2 is [95, 105). The range is closed: hi is the last float64 below the open end.
func parseNumber(s string) (v, lo, hi float64, ok bool) {
	if len(s) > maxNumber || !isDecimal(s) {
		return 0, 0, 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, 0, 0, false
	}
	mantissa, exponent, scientific := strings.Cut(strings.ToLower(s), "e")
	exp := 0
	if scientific {
		if exp, err = strconv.Atoi(exponent); err != nil {
			return 0, 0, 0, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if scientific && fraction == "" {
		fraction = "0"
	}
	n, ok := new(big.Int).SetString(strings.TrimPrefix(whole+fraction, "+")+"0", 10)
	if !ok {
		return 0, 0, 0, false
	}
	exp -= len(fraction) + 1
	five := big.NewInt(5)
	lo = scaled(new(big.Int).Sub(n, five), exp)
	hi = math.Nextafter(scaled(new(big.Int).Add(n, five), exp), math.Inf(-1))
	return v, min(lo, v), max(hi, v), true
}

func scaled(n *big.Int, exp int) float64 {
	v, _ := strconv.ParseFloat(n.String()+"e"+strconv.Itoa(exp), 64) // out of range is ±Inf, which is right for a bound
	return v
}

// isDecimal reports whether s is [+-]digits[.digits][e[+-]digits].
func isDecimal(s string) bool {
	s = strings.TrimLeft(s[:min(1, len(s))], "+-") + s[min(1, len(s)):]
	run := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if !run() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		if s = s[1:]; !run() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !run() {
			return false
		}
	}
	return s == ""
}
