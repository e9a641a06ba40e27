package search

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"Smith":                "smith",
		"  O'Brien-MÜLLER  ":   "o brien muller",
		"ﬁnd ①":                "find 1",
		"Čapek, Žižka":         "capek zizka",
		"أحمد إبراهيم آل ٱ":    "احمد ابراهيم ال ا",
		"فاطمة":                "فاطمه",
		"مُحَمَّد":             "محمد",
		"مـــحمد":              "محمد",
		"مصطفى":                "مصطفي",
		"٠١٢٣٤٥٦٧٨٩ ۴۵۶":       "0123456789 456",
		"علی کریم":             "علي كريم",
		"ИВАНОВ Ёлкин":         "иванов елкин",
		"हिन्दी":               "हिन्दी",
		"שָׁלוֹם":              "שלום",
		"a\u200db":             "ab",
		"Main St. #12\t(rear)": "main st 12 rear",
		"---":                  "",
	} {
		if got := Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFoldLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		f := Fold(s)
		if !utf8.ValidString(f) || Fold(f) != f {
			t.Fatalf("Fold(%q) = %q, again %q", s, f, Fold(f))
		}
		if strings.HasPrefix(f, " ") || strings.HasSuffix(f, " ") || strings.Contains(f, "  ") {
			t.Fatalf("spaces in %q", f)
		}
		if Fold(strings.ToUpper(f)) != Fold(strings.ToUpper(strings.ToUpper(f))) {
			t.Fatalf("case matters in %q", f)
		}
	})
}
