package validate

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFormat(t *testing.T) {
	for typ, c := range map[string]struct{ good, bad []string }{
		"date": {
			[]string{"2020", "2020-02", "2020-02-29", "0001-01-01", "9999-12-31", "2000-02-29"},
			[]string{"", "20", "202", "20200", "2020-", "2020-1", "2020-00", "2020-13", "2020-02-30", "2021-02-29", "1900-02-29", "2020-04-31",
				"2020-01-00", "2020-01-1", "2020-01-01T", "0000", "0000-01-01", "2020-01-01T00:00:00Z", " 2020", "2020 ", "-2020", "20ab", "２０２０"},
		},
		"dateTime": {
			[]string{"2020", "2020-02", "2020-02-29", "2020-01-01T00:00:00Z", "2020-01-01T23:59:60Z", "2020-01-01T00:00:00.123456789+14:00",
				"2020-01-01T00:00:00-13:59", "2020-01-01T00:00:00.0-00:00"},
			[]string{"2020-01-01T00:00:00", "2020-01-01T00:00Z", "2020-01T00:00:00Z", "2020T00:00:00Z", "2020-01-01T24:00:00Z", "2020-01-01T00:60:00Z",
				"2020-01-01T00:00:61Z", "2020-01-01T00:00:00.Z", "2020-01-01T00:00:00+14:01", "2020-01-01T00:00:00+15:00", "2020-01-01T00:00:00+0100",
				"2020-01-01T00:00:00z", "2020-01-01t00:00:00Z", "2020-01-01 00:00:00Z", "2020-01-01T00:00:00Z ", "2020-01-01T00:00:00+01:60",
				"2020-02-30T00:00:00Z", "2020-01-01T0:00:00Z", "2020-01-01T00:00:00+01:0"},
		},
		"instant":      {[]string{"2020-02-29T10:00:00Z", "2020-02-29T10:00:00.5+02:00"}, []string{"2020", "2020-02-29", "2020-02-29T10:00:00", "2021-02-29T10:00:00Z"}},
		"time":         {[]string{"00:00:00", "23:59:60", "10:00:00.123"}, []string{"", "24:00:00", "10:00", "10:00:00Z", "10:00:00.", "1:00:00", "10-00-00"}},
		"string":       {[]string{"a", " a ", "ä\n\t\r", "0"}, []string{"", " ", "\n\t", "a\x00", "a\x0b", "\x1f"}},
		"markdown":     {[]string{"# a\n\nb"}, []string{"", "  "}},
		"code":         {[]string{"a", "a b", "a b c", "<=", "ä"}, []string{"", " a", "a ", "a  b", "a\n\nb", "\t", "a\x01"}},
		"id":           {[]string{"a", "A-1.b", strings.Repeat("1", 64)}, []string{"", "a_b", "a b", "ä", strings.Repeat("1", 65), "a/b"}},
		"uri":          {[]string{"http://example.org", "urn:oid:1.2", "a", "#b", "http://ä"}, []string{"", "a b", "a\n"}},
		"url":          {[]string{"http://example.org"}, []string{"", "a b"}},
		"canonical":    {[]string{"http://example.org|1", "#a"}, []string{"", "a b"}},
		"oid":          {[]string{"urn:oid:1.2", "urn:oid:2.0.10.999"}, []string{"", "1.2", "urn:oid:3.1", "urn:oid:1", "urn:oid:1.", "urn:oid:1.02", "urn:oid:1..2", "urn:oid:1.00", "urn:oid:1.2 "}},
		"uuid":         {[]string{"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}, []string{"", "c757873d-ec9a-4326-a141-556f43239520", "urn:uuid:C757873d-ec9a-4326-a141-556f43239520", "urn:uuid:c757873dec9a4326a141556f43239520", "urn:uuid:c757873d-ec9a-4326-a141-556f4323952"}},
		"integer":      {[]string{"0", "-1", "2147483647", "-2147483648"}, []string{"", "-", "01", "1.0", "1e3", "2147483648", "-2147483649", "99999999999", "+1"}},
		"unsignedInt":  {[]string{"0", "2147483647"}, []string{"-1", "-0", "00", "2147483648", "1.5"}},
		"positiveInt":  {[]string{"1", "2147483647"}, []string{"0", "-1", "01", "2147483648"}},
		"base64Binary": {[]string{"QUJD", "QUI=", "QQ==", "QUJD\nQUJD", " QUJD ", "+/+/"}, []string{"", " ", "QUJ", "QQ=", "Q===", "QQ==QQ==", "QUJ D", "QUI=\n=", "QU_D", "====", "=QUJ"}},
		"decimal":      {[]string{"1", "1.00", "-1e3"}, nil},
		"boolean":      {[]string{"true"}, nil},
	} {
		for _, s := range c.good {
			if reason := format(typ, s); reason != "" {
				t.Errorf("%s %q: %s", typ, s, reason)
			}
		}
		for _, s := range c.bad {
			if format(typ, s) == "" {
				t.Errorf("%s %q passes", typ, s)
			}
		}
	}
	if got := format("string", strings.Repeat("ä", maxString)); got != "" {
		t.Errorf("a string of the most characters: %s", got)
	}
	if got := codeOf(format("string", strings.Repeat("a", maxString+1))); got != codeTooLong {
		t.Errorf("a string of one more: %q", got)
	}
}

// published are the regular expressions of the R4 StructureDefinitions, with \s as in XML Schema.
var published = map[string]string{
	"code":         `[^\s]+(\s[^\s]+)*`,
	"uri":          `\S+`,
	"id":           `[A-Za-z0-9\-\.]{1,64}`,
	"oid":          `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`,
	"uuid":         `urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
	"unsignedInt":  `[0]|([1-9][0-9]*)`,
	"positiveInt":  `[1-9][0-9]*`,
	"integer":      `-?([0]|([1-9][0-9]*))`,
	"time":         `([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?`,
	"date":         `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))?)?`,
	"dateTime":     `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?`,
	"instant":      `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))`,
	"base64Binary": `(\s*([0-9a-zA-Z\+/=]){4}\s*)+`,
}

// TestFormatAgrees holds the hand-written scanners against the published expressions: what passes a scanner matches the
// expression, and what matches passes, real dates, 32 bits and base64's padding apart, which the expressions do not say.
func TestFormatAgrees(t *testing.T) {
	for typ, expression := range published {
		whole := regexp.MustCompile(`\A(?:` + expression + `)\z`)
		t.Run(typ, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := rapid.OneOf(rapid.StringMatching(expression), mutated(expression)).Draw(t, "s")
				passes, matches := format(typ, s) == "", whole.MatchString(s)
				if passes && !matches {
					t.Fatalf("%q passes and does not match", s)
				}
				if matches && !passes && !saysMore(typ, s) {
					t.Fatalf("%q matches and does not pass", s)
				}
			})
		})
	}
}

// mutated draws a text that matches, with one character changed, added or taken away.
func mutated(expression string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := []rune(rapid.StringMatching(expression).Draw(t, "matching"))
		i := rapid.IntRange(0, len(s)).Draw(t, "at")
		with := rapid.SampledFrom([]rune("0123459-:.+TZaé =\n")).Draw(t, "with")
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			return string(s[:i]) + string(with) + string(s[i:])
		case 1:
			if i < len(s) {
				s[i] = with
			}
			return string(s)
		}
		return string(s[:i]) + string(s[min(i+1, len(s)):])
	})
}

// saysMore reports that a text matches its expression and still may be refused.
func saysMore(typ, s string) bool {
	switch typ {
	case "date", "dateTime", "instant":
		day := s[max(0, min(8, len(s))):]
		return strings.HasPrefix(day, "29") || strings.HasPrefix(day, "30") || strings.HasPrefix(day, "31")
	case "integer", "unsignedInt", "positiveInt":
		return len(s) >= 10
	case "base64Binary":
		return strings.ContainsAny(s, "=\f") || strings.TrimSpace(s) == ""
	case "code", "uri":
		return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
	}
	return false
}

func TestAfter(t *testing.T) {
	for _, c := range []struct {
		start, end string
		want       bool
	}{
		{"2020", "2020", false}, {"2021", "2020", true}, {"2020-02", "2020", false}, {"2020", "2020-01-01", false}, {"2021-01-01", "2020", true},
		{"2020-02", "2020-02-01", false}, {"2020-03", "2020-02-29", true}, {"2020-02-29", "2020-02", false},
		{"2020-02-02", "2020-02-02", false}, {"2020-02-03", "2020-02-02", true},
		{"2020-02-02T10:00:00Z", "2020-02-02T10:00:00Z", false}, {"2020-02-02T10:00:00Z", "2020-02-02T09:59:59Z", true},
		{"2020-02-02T10:00:00+02:00", "2020-02-02T08:00:00Z", false}, {"2020-02-02T10:00:00+01:00", "2020-02-02T08:00:00Z", true},
		{"2020-02-02T10:00:00-01:00", "2020-02-02T10:30:00Z", true}, {"2020-02-02T10:00:00.5Z", "2020-02-02T10:00:00.49Z", true},
		{"2020-02-02T10:00:00.50Z", "2020-02-02T10:00:00.5Z", false}, {"2020-02-02T10:00:00Z", "2020-02-02T10:00:00.1Z", false},
		{"2020-03-01T00:30:00+14:00", "2020-02-29T11:00:00Z", false}, {"2020-03-01T00:30:00Z", "2020-02-29", false},
		{"2020-03-03T00:00:00Z", "2020-02-29", true}, {"2020-12", "2020-12-31T23:00:00-10:00", false},
	} {
		if got := after(c.start, c.end); got != c.want {
			t.Errorf("after(%s, %s) is %v", c.start, c.end, got)
		}
	}
}

// TestAfterIsStrict holds that no time is after itself, and no two are after each other.
func TestAfterIsStrict(t *testing.T) {
	date := rapid.StringMatching(published["dateTime"]).Filter(isDateTime)
	rapid.Check(t, func(t *rapid.T) {
		a, b := date.Draw(t, "a"), date.Draw(t, "b")
		if after(a, a) || after(a, b) && after(b, a) {
			t.Fatalf("%s and %s", a, b)
		}
	})
}
