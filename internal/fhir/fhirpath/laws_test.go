package fhirpath

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// decimals draws decimal numbers, some over 64 bits.
func decimals() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + rapid.StringMatching(`(0|[1-9][0-9]{0,24})(\.[0-9]{1,12})?`).Draw(t, "digits")
		return s
	})
}

func rat(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatal(s)
	}
	return r
}

// TestDecimalArithmetic compares with exact fractions.
func TestDecimalArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		x, okX := ParseDecimal(a)
		y, okY := ParseDecimal(b)
		if !okX || !okY {
			t.Fatal("unreadable", a, b)
		}
		p, q := rat(t, a), rat(t, b)
		same := func(what string, got Decimal, want *big.Rat) {
			if got.Rat().Cmp(want) != 0 {
				t.Fatalf("%s %s %s = %s, want %s", a, what, b, got, want)
			}
			if back, ok := ParseDecimal(got.String()); !ok || back.Cmp(got) != 0 || back.Scale() != got.Scale() {
				t.Fatalf("%s does not read back", got)
			}
		}
		same("+", x.Add(y), new(big.Rat).Add(p, q))
		same("-", x.Sub(y), new(big.Rat).Sub(p, q))
		same("*", x.Mul(y), new(big.Rat).Mul(p, q))
		if x.Cmp(y) != p.Cmp(q) {
			t.Fatalf("%s cmp %s = %d", a, b, x.Cmp(y))
		}
		if y.Sign() == 0 {
			return
		}
		// a = (a div b) * b + (a mod b), and a quotient is right to its last digit.
		same("div, mod", x.IntQuo(y).Mul(y).Add(x.Rem(y)), p)
		off := new(big.Rat).Sub(x.Quo(y).Rat(), new(big.Rat).Quo(p, q))
		if off.Abs(off).Cmp(new(big.Rat).SetFrac(big.NewInt(1), pow10(divisionDigits))) > 0 {
			t.Fatalf("%s / %s = %s", a, b, x.Quo(y))
		}
	})
}

func TestDecimalKeepsDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := decimals().Draw(t, "s")
		d, ok := ParseDecimal(s)
		if want := strings.Replace(s, "-0", "0", 1); !ok || d.String() != s && !(d.Sign() == 0 && d.String() == strings.TrimPrefix(s, "-")) && d.String() != want {
			t.Fatalf("%s became %s", s, d)
		}
	})
}

func TestDecimalRounding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := ParseDecimal(decimals().Draw(t, "d"))
		scale := int32(rapid.IntRange(0, 14).Draw(t, "scale"))
		unit := new(big.Rat).SetFrac(big.NewInt(1), pow10(scale))
		for _, how := range []rounding{towardZero, halfUp, down, up} {
			r := d.rounded(scale, how)
			off := new(big.Rat).Sub(r.Rat(), d.Rat())
			if r.scale != scale || new(big.Rat).Abs(off).Cmp(unit) >= 0 {
				t.Fatalf("%s to %d: %s", d, scale, r)
			}
			if how == down && off.Sign() > 0 || how == up && off.Sign() < 0 || how == towardZero && off.Sign()*d.Sign() > 0 {
				t.Fatalf("%s to %d went the wrong way: %s", d, scale, r)
			}
		}
	})
}

func TestSqrtSquares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, _ := ParseDecimal(rapid.StringMatching(`[1-9][0-9]{0,9}(\.[0-9]{1,6})?`).Draw(t, "d"))
		square := d.Mul(d)
		if got := square.sqrt(); got.Cmp(d) != 0 {
			t.Fatalf("sqrt(%s) = %s, not %s", square, got, d)
		}
	})
}

// moments draws dates and times of all precisions, with and without an offset.
func moments() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		at := time.Unix(rapid.Int64Range(-2e9, 4e9).Draw(t, "at"), rapid.Int64Range(0, 999).Draw(t, "ms")*1e6).UTC()
		layout := rapid.SampledFrom([]string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04:05.000"}).Draw(t, "layout")
		s := at.Format(layout)
		if len(layout) > 10 {
			s += rapid.SampledFrom([]string{"", "Z", "+02:00", "-05:30", "+14:00"}).Draw(t, "zone")
		}
		return s
	})
}

func moment(t *rapid.T, label string) Temporal {
	s := moments().Draw(t, label)
	m, ok := ParseDateTime(s)
	if !ok || m.String() != s {
		t.Fatalf("%s became %s", s, m)
	}
	return m
}

func TestTemporalOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := moment(t, "a"), moment(t, "b"), moment(t, "c")
		ab, known := a.compare(b)
		if ba, knownBack := b.compare(a); known != knownBack || known && ab != -ba {
			t.Fatalf("%s and %s: %d %v, back %d %v", a, b, ab, known, ba, knownBack)
		}
		if self, ok := a.compare(a); !ok || self != 0 {
			t.Fatalf("%s is not itself", a)
		}
		bc, knownBC := b.compare(c)
		if ac, knownAC := a.compare(c); known && knownBC && ab < 0 && bc < 0 && knownAC && ac >= 0 {
			t.Fatalf("%s < %s < %s, yet %d", a, b, c, ac)
		}
		// What is known stays so for every moment that the two may mean.
		if alo, ahi := a.span(); known && ab < 0 && a.Zoned == b.Zoned {
			if blo, _ := b.span(); !alo.less(blo) || !ahi.less(blo) {
				t.Fatalf("%s < %s, but they overlap", a, b)
			}
		}
	})
}

func TestTemporalAddition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := moment(t, "a")
		n := rapid.Int64Range(0, 5000).Draw(t, "n")
		unit := rapid.SampledFrom([]string{"year", "month", "week", "day", "hour", "minute", "second", "millisecond"}).Draw(t, "unit")
		sum, ok := a.add(DecimalFromInt(n), unit)
		if !ok {
			return
		}
		if order, known := a.compare(sum); sum.Precision != a.Precision || known && order > 0 {
			t.Fatalf("%s + %d %s = %s", a, n, unit, sum)
		}
		// Definite units of a full time can be taken off again.
		if unit != "year" && unit != "month" && a.Precision >= SecondPrecision {
			if back, ok := sum.add(DecimalFromInt(-n), unit); !ok || back.String() != a.String() {
				t.Fatalf("%s + %d %s = %s, back %s", a, n, unit, sum, back)
			}
		}
	})
}

// TestBoundaries holds that low ≤ value ≤ high.
func TestBoundaries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := moment(t, "a")
		low, _ := a.boundary(-1, false)
		high, _ := a.boundary(-1, true)
		if order, known := low.compare(high); !known || order > 0 {
			t.Fatalf("%s: %s to %s", a, low, high)
		}
		d, _ := ParseDecimal(decimals().Draw(t, "d"))
		lo, ok1 := d.boundary(-1, false)
		hi, ok2 := d.boundary(-1, true)
		if ok1 && ok2 && d.scale <= 8 && (lo.Cmp(d) > 0 || hi.Cmp(d) < 0) {
			t.Fatalf("%s: %s to %s", d, lo, hi)
		}
	})
}
