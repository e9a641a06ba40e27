package search

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold returns s as string searches compare it: lower case, compatibility forms taken apart and marks removed (é → e,
// ﬁ → fi), Arabic letters unified (أ إ آ ٱ → ا, ة → ه, ى → ي; tatweel and vowel signs removed), all decimal digits as 0-9,
// everything else that is no letter and no digit as a space, runs of spaces as one, none at the ends. Folding twice
// changes nothing. It must never change without a new index: rows on disk hold its results.
func Fold(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return foldUnicode(s)
		}
	}
	return foldASCII(s)
}

func foldASCII(s string) string {
	if isFolded(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	gap := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		default:
			gap = true
			continue
		}
		if gap && len(b) > 0 {
			b = append(b, ' ')
		}
		gap = false
		b = append(b, c)
	}
	return string(b)
}

func isFolded(s string) bool {
	space := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			space = false
		case c == ' ' && !space:
			space = true
		default:
			return false
		}
	}
	return !space || s == ""
}

func foldUnicode(s string) string {
	b := make([]byte, 0, len(s))
	gap := false
	var it norm.Iter
	it.InitString(norm.NFKD, s)
	for !it.Done() {
		for seg := it.Next(); len(seg) > 0; {
			r, size := utf8.DecodeRune(seg)
			seg = seg[size:]
			r = foldRune(r)
			switch {
			case r < 0:
				continue
			case r == ' ':
				gap = true
				continue
			}
			if gap && len(b) > 0 {
				b = append(b, ' ')
			}
			gap = false
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

// foldRune folds one character that NFKD left: -1 removes it, ' ' separates words.
func foldRune(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return ' '
	case unicode.Is(unicode.Cf, r):
		return -1
	case unicode.IsMark(r):
		// Diacritics and vowel points go; the vowel signs of Indic and other scripts are as good as letters.
		if unicode.In(r, unicode.Inherited, unicode.Arabic, unicode.Hebrew, unicode.Syriac, unicode.Greek, unicode.Cyrillic) {
			return -1
		}
		return r
	}
	switch r {
	case 'ـ': // tatweel
		return -1
	case 'ٱ':
		return 'ا'
	case 'ة':
		return 'ه'
	case 'ى', 'ی': // alef maqsura, Farsi yeh
		return 'ي'
	case 'ک': // keheh
		return 'ك'
	}
	if unicode.IsDigit(r) {
		return digit(r)
	}
	if !unicode.IsLetter(r) && !unicode.IsNumber(r) {
		return ' '
	}
	return unicode.ToLower(r)
}

// digit returns the ASCII digit of a decimal digit of any script: their blocks are runs of ten that begin with zero.
func digit(r rune) rune {
	zero := r
	for i := 0; i < 9 && unicode.IsDigit(zero-1) && unicode.In(zero-1, unicode.Nd); i++ {
		zero--
	}
	return '0' + (r-zero)%10
}
