package seal

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestBlindIsKeyedAndSeparated(t *testing.T) {
	k := NewKey()
	b := NewBlinder(k)
	base := b.Blind(7, "mrn|123")
	if len(base) != BlindSize || !bytes.Equal(base, NewBlinder(k).Blind(7, "mrn|123")) {
		t.Fatalf("the same key gives another form, or a bad length: %x", base)
	}
	others := map[string][]byte{
		"another atom":   b.Blind(8, "mrn|123"),
		"another text":   b.Blind(7, "mrn|124"),
		"another tenant": NewBlinder(NewKey()).Blind(7, "mrn|123"),
		"a whole":        b.WholeQuery(7, "mrn|123"),
		"a prefix":       b.Prefixes(7, "mrn|")[3],
	}
	for what, other := range others {
		if bytes.Equal(base, other) {
			t.Errorf("%s has the same form", what)
		}
	}
	if got := b.AppendBlind([]byte("ab"), 7, "mrn|123"); !bytes.Equal(got, append([]byte("ab"), base...)) {
		t.Errorf("AppendBlind gives %x", got)
	}
}

// The stored format must not drift: an index made by one release is read by the next.
func TestBlindIsStable(t *testing.T) {
	b := NewBlinder(newKey([KeySize]byte([]byte("0123456789abcdef0123456789abcdef"))))
	for what, c := range map[string]struct{ got, want []byte }{
		"blind":  {b.Blind(1, "عمر"), []byte("\xef\xef\xc2\xda\x5e\x3b\x8a\x36\xb0\x37")},
		"prefix": {b.Prefixes(1, "عمر")[0], []byte("\x60\x64\x90\x85\x5a\x70\xda\x0d\x5d\xb1")},
		"whole":  {b.WholeQuery(1, "عمر"), []byte("\x04\x41\xc2\xa8\x20\x31\xba\x06\x67\xa9")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s is %x, was %x", what, c.got, c.want)
		}
	}
}

func TestPrefixCounts(t *testing.T) {
	b := NewBlinder(NewKey())
	for runes, want := range map[int]int{0: 0, 1: 2, 2: 3, 3: 4, 4: 5, 5: 5, 6: 6, 7: 6, 8: 7, 12: 8, 16: 9, 23: 9, 24: 10, 200: 10} {
		for _, letter := range []string{"a", "ع", "𐦀"} {
			if got := len(b.Prefixes(3, strings.Repeat(letter, runes))); got != want {
				t.Errorf("%d runes of %s give %d forms, want %d", runes, letter, got, want)
			}
		}
	}
	if hash, exact := b.PrefixQuery(3, ""); hash != nil || exact {
		t.Errorf("the empty query gives %x, %v", hash, exact)
	}
}

// Every beginning of a text finds the text; where the answer is exact, nothing but such texts is found.
func TestPrefixQueryLaw(t *testing.T) {
	b := NewBlinder(NewKey())
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("abمح𐦀")), 1, 30, -1)
	rapid.Check(t, func(t *rapid.T) {
		text, query := letters.Draw(t, "text"), letters.Draw(t, "query")
		if rapid.Bool().Draw(t, "beginning") {
			query = string([]rune(text)[:rapid.IntRange(1, utf8.RuneCountInString(text)).Draw(t, "n")])
		}
		forms := b.Prefixes(9, text)
		hash, exact := b.PrefixQuery(9, query)
		found := slices.ContainsFunc(forms, func(f []byte) bool { return bytes.Equal(f, hash) })
		if starts := strings.HasPrefix(text, query); starts && !found || exact && found != starts {
			t.Fatalf("%q starts with %q: %v; found %v, exact %v", text, query, starts, found, exact)
		}
		if exact != slices.Contains(PrefixLengths(), utf8.RuneCountInString(query)) {
			t.Fatalf("%q: exact is %v", query, exact)
		}
		if whole := b.WholeQuery(9, query); bytes.Equal(forms[len(forms)-1], whole) != (text == query) {
			t.Fatalf("whole of %q finds %q: %v", query, text, text != query)
		}
	})
}

func TestPrefixesSurviveBadUTF8(t *testing.T) {
	b := NewBlinder(NewKey())
	if got := len(b.Prefixes(1, "\xff\xfe\xfd")); got != 4 {
		t.Fatalf("%d forms", got)
	}
}

func BenchmarkBlind(b *testing.B) {
	bl, dst := NewBlinder(NewKey()), make([]byte, 0, BlindSize)
	b.ReportAllocs()
	for b.Loop() {
		bl.AppendBlind(dst, 7, "http://hospital.example/mrn|0012345678")
	}
}

func BenchmarkPrefixes(b *testing.B) {
	bl := NewBlinder(NewKey())
	b.ReportAllocs()
	for b.Loop() {
		bl.Prefixes(7, "abdelrahman mohamed")
	}
}
