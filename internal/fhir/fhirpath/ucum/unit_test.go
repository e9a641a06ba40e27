package ucum

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func rat(t testing.TB, s string) *big.Rat {
	t.Helper()
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatal(s)
	}
	return r
}

func TestConversions(t *testing.T) {
	for _, c := range []struct{ value, from, want, to string }{
		{"1", "kg", "1000", "g"}, {"1", "[lb_av]", "453.59237", "g"}, {"1", "[in_i]", "2.54", "cm"}, {"1", "mg/dL", "0.01", "g/L"},
		{"98.6", "[degF]", "37", "Cel"}, {"0", "Cel", "273.15", "K"}, {"1", "h", "3600", "s"}, {"1", "10*9/L", "1000000", "/mL"},
		{"120", "mm[Hg]", "15.99864", "kPa"}, {"1", "N", "1", "kg.m/s2"}, {"1", "kg.m.s-2", "1", "N"}, {"60", "/min", "1", "Hz"},
		{"1", "mmol/L", "1", "mol/m3"}, {"5", "%", "0.05", "1"}, {"1", "{tablet}", "1", "1"}, {"3", "mg/kg/d", "3000", "ug/kg/(24.h)"},
		{"1", "k[iU]/L", "1000", "[iU]/L"}, {"1", "wk", "7", "d"}, {"1", "a", "12", "mo"}, {"180", "deg", "3.1415926535897932384626433832795028841971693993751058209749445923", "rad"},
		{"1", "[gal_us]", "128", "[foz_us]"}, {"1", "cal", "4.184", "J"}, {"1", "[tbs_us]", "3", "[tsp_us]"},
	} {
		a, err := Parse(c.from)
		if err != nil {
			t.Fatal(c.from, err)
		}
		b, err := Parse(c.to)
		if err != nil {
			t.Fatal(c.to, err)
		}
		if a.Dimension() != b.Dimension() {
			t.Errorf("%s is %s, %s is %s", c.from, a.Dimension(), c.to, b.Dimension())
			continue
		}
		if got := b.FromBase(a.ToBase(rat(t, c.value))); got.Cmp(rat(t, c.want)) != 0 {
			t.Errorf("%s %s is %s %s, want %s", c.value, c.from, got.FloatString(20), c.to, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, code := range []string{"", "kgg", "mg dL", "m2m", "[s]", "(m", "m)", "{x", "m/", "mg//L", "0", "m0", "Cel2", "Cel.m", "m100", "((((((((((m))))))))))", "1e3", "k[in_i]", "(mg/L)2"} {
		if u, err := Parse(code); err == nil {
			t.Errorf("%q is read as %s", code, u.BaseCode())
		}
	}
}

func TestDimensionsApart(t *testing.T) {
	for _, pair := range [][2]string{{"kg", "m"}, {"[iU]", "1"}, {"[iU]/L", "mol/L"}, {"[pH]", "1"}, {"s", "/s"}} {
		a, err1 := Parse(pair[0])
		b, err2 := Parse(pair[1])
		if err1 != nil || err2 != nil || a.Dimension() == b.Dimension() {
			t.Errorf("%s and %s: %v %v", pair[0], pair[1], err1, err2)
		}
	}
}

// TestTable holds that every unit of the table can be read, alone and, where it is metric, with a prefix.
func TestTable(t *testing.T) {
	for name, e := range atoms {
		u, err := Parse(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if u.factor.Sign() <= 0 {
			t.Errorf("%s has the factor %s", name, u.factor)
		}
		if e.metric {
			if p, err := Parse("k" + name); err != nil || p.Dimension() != u.Dimension() {
				t.Errorf("k%s: %v", name, err)
			}
		}
	}
}

// TestLaws: conversion there and back changes nothing, and (a·b)/b is a.
func TestLaws(t *testing.T) {
	units := rapid.SampledFrom([]string{"kg", "mg/dL", "m2", "Cel", "[degF]", "mm[Hg]", "10*3/uL", "{x}/h", "[lb_av]", "J/s"})
	rapid.Check(t, func(t *rapid.T) {
		code, other := units.Draw(t, "unit"), units.Draw(t, "other")
		u, err := Parse(code)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Parse(other)
		if err != nil {
			t.Fatal(err)
		}
		v := big.NewRat(rapid.Int64().Draw(t, "num"), rapid.Int64Range(1, 1e9).Draw(t, "den"))
		if back := u.FromBase(u.ToBase(v)); back.Cmp(v) != 0 {
			t.Fatalf("%s %s came back as %s", v, code, back)
		}
		if product, ok := u.Mul(w); ok {
			if q, ok := product.Div(w); !ok || q.Dimension() != u.Dimension() || q.Factor().Cmp(u.Factor()) != 0 {
				t.Fatalf("%s·%s/%s", code, other, other)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"mg/dL", "10*-3.m", "(a/b)2", "{x}", "mm[Hg]", "k[iU]/mL", "/min"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(u.BaseCode()); err != nil || again.Dimension() != u.Dimension() {
			t.Fatalf("%q has the base %q, which is not read: %v", s, u.BaseCode(), err)
		}
	})
}
