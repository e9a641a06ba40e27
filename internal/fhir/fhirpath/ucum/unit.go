package ucum

import (
	"math/big"
	"sort"
	"strconv"
	"strings"
)

// Unit is a parsed unit: a factor to base units, and the exponents of these.
type Unit struct {
	factor *big.Rat
	offset *big.Rat // added before the factor, for temperatures; nil: none
	dims   map[string]int
}

// ToBase converts a value in this unit to base units.
func (u *Unit) ToBase(v *big.Rat) *big.Rat {
	out := new(big.Rat).Set(v)
	if u.offset != nil {
		out.Add(out, u.offset)
	}
	return out.Mul(out, u.factor)
}

// Dimension returns the same text for units that can be converted into each other: "g.m-3"; "1" for pure numbers.
func (u *Unit) Dimension() string { return u.BaseCode() }

// BaseCode returns the unit's base units as a UCUM code: "m2", "g.m-1.s-2"; "1" for pure numbers.
func (u *Unit) BaseCode() string {
	names := make([]string, 0, len(u.dims))
	for n := range u.dims {
		names = append(names, n)
	}
	sort.Strings(names)
	var parts []string
	for _, n := range names {
		switch e := u.dims[n]; e {
		case 0:
		case 1:
			parts = append(parts, n)
		default:
			parts = append(parts, n+strconv.Itoa(e))
		}
	}
	if len(parts) == 0 {
		return "1"
	}
	return strings.Join(parts, ".")
}

// Factor returns how many base units one of this unit is; meaningless for temperatures with an offset.
func (u *Unit) Factor() *big.Rat { return new(big.Rat).Set(u.factor) }

// Mul returns u × w; false where one is a temperature scale with an offset, which cannot be multiplied, or an exponent
// becomes greater than 99.
func (u *Unit) Mul(w *Unit) (*Unit, bool) { return u.combine(w, 1) }

// Div returns u / w; false as for Mul.
func (u *Unit) Div(w *Unit) (*Unit, bool) { return u.combine(w, -1) }

func (u *Unit) combine(w *Unit, sign int) (*Unit, bool) {
	if u.offset != nil || w.offset != nil {
		return nil, false
	}
	p, ok := w.pow(sign)
	if !ok {
		return nil, false
	}
	out := &Unit{factor: new(big.Rat).Mul(u.factor, p.factor), dims: make(map[string]int, len(u.dims)+len(p.dims))}
	for n, e := range u.dims {
		out.dims[n] = e
	}
	for n, e := range p.dims {
		if out.dims[n] += e; out.dims[n] == 0 {
			delete(out.dims, n)
		}
	}
	return out, out.bounded()
}

// bounded reports whether the exponents are within what Parse reads, so that BaseCode can always be read.
func (u *Unit) bounded() bool {
	for _, e := range u.dims {
		if e > maxPower || e < -maxPower {
			return false
		}
	}
	return len(u.dims) <= maxTerms && len(u.BaseCode()) <= maxLength
}

// maxPower bounds exponents, so that a hostile unit cannot make enormous numbers.
const maxPower = 99

func (u *Unit) pow(n int) (*Unit, bool) {
	if n == 1 {
		return u, true
	}
	if u.offset != nil || n > maxPower || n < -maxPower {
		return nil, false
	}
	out := &Unit{factor: big.NewRat(1, 1), dims: make(map[string]int, len(u.dims))}
	for i := 0; i < max(n, -n); i++ {
		out.factor.Mul(out.factor, u.factor)
	}
	if n < 0 {
		out.factor.Inv(out.factor)
	}
	for d, e := range u.dims {
		out.dims[d] = e * n
	}
	return out, out.bounded()
}

// FromBase converts a value in base units to this unit.
func (u *Unit) FromBase(v *big.Rat) *big.Rat {
	out := new(big.Rat).Quo(v, u.factor)
	if u.offset != nil {
		out.Sub(out, u.offset)
	}
	return out
}
