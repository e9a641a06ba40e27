package search

import (
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestHashIsSmallAndStable(t *testing.T) {
	if Hash("http://loinc.org") != 136972546001112 || Hash("") != 172505283356887 ||
		atomID("Patient", "name.family", String) != 1055170386 || derivedID(1, "a", Token) != 2005683949 {
		t.Error("a hash has changed: rows on disk hold it", Hash("http://loinc.org"), atomID("Patient", "name.family", String), derivedID(1, "a", Token))
	}
	rapid.Check(t, func(t *rapid.T) {
		if h := Hash(rapid.String().Draw(t, "s")); h <= 0 || h >= 1<<48 {
			t.Fatalf("%d", h)
		}
	})
}

func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringN(0, 120, -1).Draw(t, "s")
		c := cut(s)
		if len(c) > MaxText || !utf8.ValidString(c) || len(s) <= MaxText && c != s {
			t.Fatalf("cut(%q) = %q", s, c)
		}
	})
}
