package fhirpath

import (
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Decimal is System.Decimal: an exact decimal number that keeps the digits it was written with (1.0 is not written 1).
// Its value is a coefficient times ten to the power of minus its scale.
type Decimal struct {
	small int64    // the coefficient where big is nil
	big   *big.Int // the coefficient where it is over 64 bits; never changed
	scale int32    // digits after the point, never negative
}

const (
	maxDecimalDigits = 4096 // of a coefficient; more is an overflow
	maxExponent      = 1024 // of a number written 1e1024
	divisionDigits   = 28   // digits after the point that a quotient is computed to
)

// SystemType implements Value.
func (Decimal) SystemType() string { return "Decimal" }

// Scale returns how many digits stand after the point.
func (d Decimal) Scale() int { return int(d.scale) }

// DecimalFromInt returns the integer i.
func DecimalFromInt(i int64) Decimal { return Decimal{small: i} }

// ParseDecimal reads a decimal number, with or without an exponent; false where s is none or has too many digits.
func ParseDecimal(s string) (Decimal, bool) {
	mantissa, exp := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		e, err := strconv.Atoi(s[i+1:])
		if err != nil || e > maxExponent || e < -maxExponent {
			return Decimal{}, false
		}
		mantissa, exp = s[:i], e
	}
	if len(mantissa) > maxDecimalDigits {
		return Decimal{}, false
	}
	whole, frac, pointed := strings.Cut(mantissa, ".")
	sign := ""
	if whole != "" && (whole[0] == '-' || whole[0] == '+') {
		sign, whole = whole[:1], whole[1:]
	}
	if !allDigits(whole) || pointed && !allDigits(frac) {
		return Decimal{}, false
	}
	d := Decimal{scale: int32(len(frac))}
	if len(whole)+len(frac) <= 18 {
		d.small = digitsValue(whole, 0)
		d.small = digitsValue(frac, d.small)
		if sign == "-" {
			d.small = -d.small
		}
	} else {
		c, ok := new(big.Int).SetString(sign+whole+frac, 10)
		if !ok {
			return Decimal{}, false
		}
		d = fromBig(c, d.scale)
	}
	if exp == 0 {
		return d, true
	}
	return d.shift(int32(exp)), true
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func digitsValue(s string, v int64) int64 {
	for i := 0; i < len(s); i++ {
		v = v*10 + int64(s[i]-'0')
	}
	return v
}

// shift multiplies by ten to the power of exp, keeping the significant digits.
func (d Decimal) shift(exp int32) Decimal {
	if d.scale -= exp; d.scale >= 0 {
		return d
	}
	up := -d.scale
	d.scale = 0
	return fromBig(new(big.Int).Mul(d.coefficient(), pow10(up)), 0)
}

func fromBig(c *big.Int, scale int32) Decimal {
	if c.IsInt64() {
		return Decimal{small: c.Int64(), scale: scale}
	}
	return Decimal{big: c, scale: scale}
}

func (d Decimal) coefficient() *big.Int {
	if d.big != nil {
		return d.big
	}
	return big.NewInt(d.small)
}

func pow10(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

var smallPow10 = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// tooLong reports whether d has more digits than the engine computes with.
func (d Decimal) tooLong() bool {
	return d.big != nil && d.big.BitLen() > maxDecimalDigits*10/3 || d.scale > maxDecimalDigits
}

// Sign returns -1, 0 or 1.
func (d Decimal) Sign() int {
	if d.big != nil {
		return d.big.Sign()
	}
	switch {
	case d.small < 0:
		return -1
	case d.small > 0:
		return 1
	}
	return 0
}

// Neg returns minus d.
func (d Decimal) Neg() Decimal {
	if d.big == nil && d.small != math.MinInt64 {
		d.small = -d.small
		return d
	}
	return fromBig(new(big.Int).Neg(d.coefficient()), d.scale)
}

// Abs returns d without its sign.
func (d Decimal) Abs() Decimal {
	if d.Sign() < 0 {
		return d.Neg()
	}
	return d
}

// rescaled returns the small coefficient at a scale not below d's own; false where it does not fit.
func (d Decimal) rescaled(scale int32) (int64, bool) {
	up := scale - d.scale
	if d.big != nil || up < 0 || int(up) >= len(smallPow10) {
		return 0, false
	}
	hi, lo := bits.Mul64(uint64(abs64(d.small)), uint64(smallPow10[up]))
	if hi != 0 || lo > math.MaxInt64 || d.small == math.MinInt64 {
		return 0, false
	}
	if d.small < 0 {
		return -int64(lo), true
	}
	return int64(lo), true
}

func abs64(i int64) int64 {
	if i < 0 {
		return -i
	}
	return i
}

// bigAt returns the coefficient at a scale not below d's own.
func (d Decimal) bigAt(scale int32) *big.Int {
	if scale == d.scale {
		return d.coefficient()
	}
	return new(big.Int).Mul(d.coefficient(), pow10(scale-d.scale))
}

// Cmp compares the numbers: 1.0 and 1 are equal.
func (d Decimal) Cmp(e Decimal) int {
	scale := max(d.scale, e.scale)
	if a, ok := d.rescaled(scale); ok {
		if b, ok := e.rescaled(scale); ok {
			switch {
			case a < b:
				return -1
			case a > b:
				return 1
			}
			return 0
		}
	}
	return d.bigAt(scale).Cmp(e.bigAt(scale))
}

// Add returns d + e, exactly.
func (d Decimal) Add(e Decimal) Decimal {
	scale := max(d.scale, e.scale)
	if a, ok := d.rescaled(scale); ok {
		if b, ok := e.rescaled(scale); ok {
			if s := a + b; (s > a) == (b > 0) {
				return Decimal{small: s, scale: scale}
			}
		}
	}
	return fromBig(new(big.Int).Add(d.bigAt(scale), e.bigAt(scale)), scale)
}

// Sub returns d - e, exactly.
func (d Decimal) Sub(e Decimal) Decimal { return d.Add(e.Neg()) }

// Mul returns d × e, exactly.
func (d Decimal) Mul(e Decimal) Decimal {
	scale := d.scale + e.scale
	if d.big == nil && e.big == nil && d.small != math.MinInt64 && e.small != math.MinInt64 {
		hi, lo := bits.Mul64(uint64(abs64(d.small)), uint64(abs64(e.small)))
		if hi == 0 && lo <= math.MaxInt64 {
			s := int64(lo)
			if (d.small < 0) != (e.small < 0) {
				s = -s
			}
			return Decimal{small: s, scale: scale}
		}
	}
	return fromBig(new(big.Int).Mul(d.coefficient(), e.coefficient()), scale)
}

// Quo returns d / e, to 28 digits after the point, rounded half away from zero, without trailing zeros; e must not be zero.
func (d Decimal) Quo(e Decimal) Decimal {
	r := new(big.Rat).SetFrac(
		new(big.Int).Mul(d.coefficient(), pow10(e.scale)),
		new(big.Int).Mul(e.coefficient(), pow10(d.scale)))
	return decimalFromRat(r)
}

func decimalFromRat(r *big.Rat) Decimal {
	num := new(big.Int).Mul(r.Num(), pow10(divisionDigits))
	q, rem := new(big.Int).QuoRem(num, r.Denom(), new(big.Int))
	if rem.Abs(rem).Lsh(rem, 1).Cmp(r.Denom()) >= 0 {
		q.Add(q, big.NewInt(int64(r.Sign())))
	}
	return fromBig(q, divisionDigits).trimmed(0)
}

// Rat returns d as a fraction.
func (d Decimal) Rat() *big.Rat { return new(big.Rat).SetFrac(d.coefficient(), pow10(d.scale)) }

// trimmed drops trailing zeros after the point, down to a scale of least.
func (d Decimal) trimmed(least int32) Decimal {
	if d.big == nil {
		for d.scale > least && d.small%10 == 0 {
			d.small /= 10
			d.scale--
		}
		return d
	}
	ten, c := big.NewInt(10), new(big.Int).Set(d.big)
	q, rem := new(big.Int), new(big.Int)
	for d.scale > least {
		if q.QuoRem(c, ten, rem); rem.Sign() != 0 {
			break
		}
		c, q = q, c
		d.scale--
	}
	return fromBig(c, d.scale)
}

// IntQuo returns the whole part of d / e, towards zero; e must not be zero.
func (d Decimal) IntQuo(e Decimal) Decimal {
	scale := max(d.scale, e.scale)
	return fromBig(new(big.Int).Quo(d.bigAt(scale), e.bigAt(scale)), 0)
}

// Rem returns what IntQuo leaves, with the sign of d; e must not be zero.
func (d Decimal) Rem(e Decimal) Decimal {
	scale := max(d.scale, e.scale)
	return fromBig(new(big.Int).Rem(d.bigAt(scale), e.bigAt(scale)), scale)
}

type rounding uint8

const (
	towardZero rounding = iota
	halfUp              // half away from zero
	down                // to minus infinity
	up                  // to plus infinity
)

// rounded returns d with exactly scale digits after the point.
func (d Decimal) rounded(scale int32, how rounding) Decimal {
	if scale >= d.scale {
		return fromBig(d.bigAt(scale), scale)
	}
	unit := pow10(d.scale - scale)
	q, rem := new(big.Int).QuoRem(d.coefficient(), unit, new(big.Int))
	step := int64(0)
	switch sign := rem.Sign(); how {
	case halfUp:
		if new(big.Int).Lsh(new(big.Int).Abs(rem), 1).Cmp(unit) >= 0 {
			step = int64(sign)
		}
	case down:
		step = int64(min(sign, 0))
	case up:
		step = int64(max(sign, 0))
	}
	return fromBig(q.Add(q, big.NewInt(step)), scale)
}

// Round returns d with scale digits after the point, half away from zero.
func (d Decimal) Round(scale int) Decimal { return d.rounded(int32(scale), halfUp) }

// Int64 returns d's whole part; false where it does not fit.
func (d Decimal) Int64() (int64, bool) {
	t := d.rounded(0, towardZero)
	return t.small, t.big == nil
}

// isWhole reports whether nothing but zeros stands after the point.
func (d Decimal) isWhole() bool { return d.trimmed(0).scale == 0 }

// precision returns the count of digits after the point without trailing zeros, as equivalence counts it.
func (d Decimal) precision() int32 { return d.trimmed(0).scale }

// Float returns the nearest float64.
func (d Decimal) Float() float64 {
	f, _ := d.Rat().Float64()
	return f
}

// decimalFromFloat keeps 15 significant digits; false where f is no finite number.
func decimalFromFloat(f float64) (Decimal, bool) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Decimal{}, false
	}
	d, ok := ParseDecimal(strconv.FormatFloat(f, 'g', 15, 64))
	return d.trimmed(0), ok
}

// sqrt returns the square root, exact where it is a decimal of at most 28 digits after the point; d must not be negative.
func (d Decimal) sqrt() Decimal {
	c := d.bigAt(max(d.scale, 2*divisionDigits))
	scale := max(d.scale, 2*divisionDigits)
	if scale%2 != 0 {
		c = new(big.Int).Mul(c, big.NewInt(10))
		scale++
	}
	return fromBig(new(big.Int).Sqrt(c), scale/2).trimmed(0)
}

// power returns d to the power of e; false where the result is no real number or too long.
func (d Decimal) power(e Decimal) (Decimal, bool) {
	if n, ok := e.Int64(); ok && e.isWhole() && abs64(n) <= 1024 {
		out, base := DecimalFromInt(1), d
		for k := abs64(n); k > 0; k >>= 1 {
			if k&1 == 1 {
				out = out.Mul(base)
			}
			if k > 1 {
				base = base.Mul(base)
			}
			if base.tooLong() || out.tooLong() {
				return Decimal{}, false
			}
		}
		if n >= 0 {
			return out, true
		}
		if out.Sign() == 0 {
			return Decimal{}, false
		}
		return DecimalFromInt(1).Quo(out), true
	}
	return decimalFromFloat(math.Pow(d.Float(), e.Float()))
}

// String returns the digits, without an exponent.
func (d Decimal) String() string { return string(d.append(nil)) }

func (d Decimal) append(b []byte) []byte {
	if d.Sign() < 0 {
		b = append(b, '-')
		d = d.Abs()
	}
	digits := d.coefficient().String()
	if d.scale == 0 {
		return append(b, digits...)
	}
	if missing := int(d.scale) + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	cut := len(digits) - int(d.scale)
	b = append(b, digits[:cut]...)
	b = append(b, '.')
	return append(b, digits[cut:]...)
}
