package validate

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestOnlyCodesAreRepeated(t *testing.T) {
	for text, want := range map[string]bool{
		"femal": true, "entered-in-error": true, "E11.9": true, "v2_0203": true, "12345": true,
		"": false, "Fatima Hassan": false, "0912345678": false, "a123456": false, "a@b.example": false, "Fatimá": false, "a/b": false,
		strings.Repeat("a", 32): true, strings.Repeat("a", 33): false,
	} {
		if got := looksLikeCode(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestEchoesAreShortAndPlain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		if looksLikeCode(s) && (utf8.RuneCountInString(s) > maxEcho || strings.ContainsAny(s, " @/:,\"\n")) {
			t.Fatalf("%q is repeated", s)
		}
		if isIdentifier(s) && !looksLikeCode(s) {
			t.Fatalf("%q stands in a location", s)
		}
	})
}
