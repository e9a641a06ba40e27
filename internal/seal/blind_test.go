package seal

import (
	"bytes"
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
		"a chain":        b.Chain(7, "mrn|123"),
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
		"blind": {b.Blind(1, "عمر"), []byte("\xef\xef\xc2\xda\x5e\x3b\x8a\x36\xb0\x37")},
		"chain": {b.Chain(1, "عمر"), []byte("\x60\x64\x90\x85\x65\xf7\x61\x4c\x65\x04\x41\xc2\xa8\x20\x31")},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s is %x, was %x", what, c.got, c.want)
		}
	}
}

func TestChainLengths(t *testing.T) {
	b := NewBlinder(NewKey())
	for runes, want := range map[int]int{0: 0, 1: 10, 2: 13, 3: 15, 8: 25, 24: 57, 25: 57, 200: 57} {
		for _, letter := range []string{"a", "ع", "𐦀"} {
			if got := len(b.Chain(3, strings.Repeat(letter, runes))); got != want {
				t.Errorf("%d runes of %s give %d bytes, want %d", runes, letter, got, want)
			}
		}
	}
	if start, exact := b.ChainStart(3, ""); start != nil || exact {
		t.Errorf("the empty query gives %x, %v", start, exact)
	}
}

// Every beginning of a text finds the text; where the answer is exact, nothing but such texts is found; a chain is another's
// only where the texts are the same.
func TestChainLaw(t *testing.T) {
	b := NewBlinder(NewKey())
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("abمح𐦀")), 1, 40, -1)
	rapid.Check(t, func(t *rapid.T) {
		text, query := letters.Draw(t, "text"), letters.Draw(t, "query")
		if rapid.Bool().Draw(t, "beginning") {
			query = string([]rune(text)[:rapid.IntRange(1, utf8.RuneCountInString(text)).Draw(t, "n")])
		}
		chain := b.Chain(9, text)
		start, exact := b.ChainStart(9, query)
		found := bytes.HasPrefix(chain, start)
		if starts := strings.HasPrefix(text, query); starts && !found || exact && found != starts {
			t.Fatalf("%q starts with %q: %v; found %v, exact %v", text, query, starts, found, exact)
		}
		if exact != (utf8.RuneCountInString(query) <= chainRunes) {
			t.Fatalf("%q: exact is %v", query, exact)
		}
		if bytes.Equal(chain, b.Chain(9, query)) != (text == query) {
			t.Fatalf("the chain of %q is that of %q: %v", query, text, text != query)
		}
	})
}

func TestChainSurvivesBadUTF8(t *testing.T) {
	b := NewBlinder(NewKey())
	if got := len(b.Chain(1, "\xff\xfe\xfd")); got != 15 {
		t.Fatalf("%d bytes", got)
	}
}

func BenchmarkBlind(b *testing.B) {
	bl, dst := NewBlinder(NewKey()), make([]byte, 0, BlindSize)
	b.ReportAllocs()
	for b.Loop() {
		bl.AppendBlind(dst, 7, "http://hospital.example/mrn|0012345678")
	}
}

func BenchmarkChain(b *testing.B) {
	bl := NewBlinder(NewKey())
	b.ReportAllocs()
	for b.Loop() {
		bl.Chain(7, "abdelrahman mohamed")
	}
}
