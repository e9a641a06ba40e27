package search

import (
	"math"
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

func TestParseNumberRange(t *testing.T) {
	for _, c := range []struct {
		in     string
		lo, hi float64 // hi: the open end
	}{
		{"100", 99.5, 100.5}, {"100.00", 99.995, 100.005}, {"1e2", 95, 105}, {"5.4", 5.35, 5.45}, {"-5.4", -5.45, -5.35},
		{"0", -.5, .5}, {"0.01e1", .05, .15}, {"1E-2", .0095, .0105}, {"12345678901234567890", 12345678901234567889.5, 12345678901234567890.5},
	} {
		v, lo, hi, ok := parseNumber(c.in)
		if !ok || lo != c.lo || hi != math.Nextafter(c.hi, math.Inf(-1)) && hi != v || v < lo || v > hi {
			t.Errorf("%s: %v in [%v, %v], %v", c.in, v, lo, hi, ok)
		}
	}
	for _, in := range []string{"", "-", "1.", ".5", "1e", "0x10", "1_0", "NaN", "Inf", "1e400", "1 ", "--1", strings.Repeat("1", 65)} {
		if _, _, _, ok := parseNumber(in); ok {
			t.Errorf("%q passed", in)
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, in := range []string{"", "19", "0000", "1970-1", "1970-00", "1970-02-29", "1970-01-32", "1970-01-01T", "1970-01-01T10", "1970-01-01T24:00",
		"1970-01-01T10:60", "1970-01-01T10:00:61", "1970-01-01T10:00:00.", "1970-01-01T10:00:00+1", "1970-01-01T10:00:00+15:00", "1970-01-01x", "1970x", "1970-01x"} {
		if _, _, ok := parseDate(in); ok {
			t.Errorf("%q passed", in)
		}
	}
	for _, c := range []struct {
		in     string
		lo, hi int64
	}{
		{"1970", 0, 365*day - 1}, {"1970-02", 31 * day, 59*day - 1}, {"1972-02-29", 789 * day, 790*day - 1},
		{"1970-01-01T00:01", minute, 2*minute - 1}, {"1970-01-01T00:00:01Z", second, 2*second - 1},
		{"1970-01-01T00:00:00.1234567Z", 123456, 123456}, {"1970-01-01T01:00:00-01:30", 150 * minute, 150*minute + second - 1},
		{"1970-01-01T02:00:00 02:00", 0, second - 1}, {"1969-12-31T23:59:60Z", 0, second - 1},
	} {
		lo, hi, ok := parseDate(c.in)
		if !ok || lo != c.lo || hi != c.hi {
			t.Errorf("%s: %d..%d %v", c.in, lo, hi, ok)
		}
	}
}

// Every row satisfies the comparisons in exactly one way: before, overlapping or after; ne is not eq; ge and le are what their
// strict forms and ap allow together.
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
