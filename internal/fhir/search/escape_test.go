package search

import (
	"testing"

	"pgregory.net/rapid"
)

func TestEscapeIsUndone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringOf(rapid.RuneFrom([]rune(`ab,|$\`))).Draw(t, "s")
		e := Escape(s)
		for _, sep := range []byte(",|$") {
			if len(split(e, sep)) != 1 {
				t.Fatalf("%q splits", e)
			}
		}
		if unescape(e) != s {
			t.Fatalf("%q became %q", s, unescape(e))
		}
	})
}
