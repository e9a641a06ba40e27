package search

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCompareLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(-5, 5)
		a, b, c, d := n.Draw(t, "a"), n.Draw(t, "b"), n.Draw(t, "c"), n.Draw(t, "d")
		rl, rh, lo, hi := min(a, b), max(a, b), min(c, d), max(c, d)
		is := func(op string) bool { return compare(op, rl, rh, lo, hi) }
		one := 0
		for _, op := range []string{"sa", "eb", "ap"} {
			if is(op) {
				one++
			}
		}
		if one != 1 || is("eq") == is("ne") || is("ge") != (is("sa") || is("ap")) || is("le") != (is("eb") || is("ap")) ||
			is("eq") && !is("ap") || is("gt") && !is("ge") || is("lt") && !is("le") {
			t.Fatalf("row [%d,%d] value [%d,%d]", rl, rh, lo, hi)
		}
	})
}
