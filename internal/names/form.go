package names

import (
	"slices"
	"strings"
)

// A form is bytes: the vowels that a word begins with ('0': none), then for each consonant its symbol and the vowels behind it, then how the word
// ends. A form of a word in another script than Arabic or Latin is '=' and the word: it is alike to itself alone.
//
// Vowels in Latin letters: 0 none · a · e · i · u (u or o) · A (aa) · I (ee, ei, ai, ay, ia …) · U (oo, ou, ow, aw) · V (ua, oa, awa) · M (u and i) · J (ia at the
// end) · K (wa, wi at the end). In Arabic letters: . none · 1 ا · 2 ي · 3 و · 4 و and ا · 5 ي and ا · 6 و and ي · 7 ع alone · 8 وا, وة at the end · 9 يه at the
// end · L ى · T ة or ه.
//
// Ends: _ as it is · ~ ة or ه, which may be silent · # ح · % a Latin h, which may be either.
type form string

func (f form) exact() bool { return strings.HasPrefix(string(f), "=") }

// len is the number of consonants.
func (f form) len() int { return (len(f) - 2) / 2 }

func (f form) first() byte          { return f[0] }
func (f form) consonant(i int) byte { return f[1+2*i] }
func (f form) vowel(i int) byte     { return f[2+2*i] } // behind consonant i
func (f form) end() byte            { return f[len(f)-1] }

func (f form) consonants() string {
	if f.exact() {
		return string(f[1:])
	}
	b := make([]byte, 0, f.len())
	for i := range f.len() {
		b = append(b, f.consonant(i))
	}
	return string(b)
}

// Consonant symbols are Latin letters; beside the plain ones: T th ث · D dh ذ · O ض · Q ظ · S sh ش · G gh غ · x kh خ · C ch.
var digraphs = map[string]byte{"kh": 'x', "gh": 'G', "th": 'T', "dh": 'D', "sh": 'S', "ch": 'C', "ph": 'f', "ck": 'k', "dj": 'j', "zh": 'j'}

func isVowel(c byte) bool { return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u' }

// parseLatin is the form of a word in Latin letters. apart reads th, sh, kh, dh and gh between vowels as two consonants: Fathi, Ishaq.
func parseLatin(w string, apart bool) form {
	end := byte('_')
	if n := len(w); n > 2 && w[n-1] == 'h' && isVowel(w[n-2]) {
		w, end = w[:n-1], '%'
	}
	out := make([]byte, 0, 2*len(w)+2)
	i := 0
	run := func() string {
		from := i
		for i < len(w) && (isVowel(w[i]) || i > 0 && (w[i] == 'y' || w[i] == 'w')) {
			i++
		}
		return w[from:i]
	}
	first := run()
	out = append(out, latinVowel(first, i == len(w)))
	last := byte(0)
	french := -1 // where ou stands, which may be a short u
	for i < len(w) {
		c, size := latinConsonant(w, i, apart)
		i += size
		for i < len(w) && c != 0 { // doubled: once
			again, n := latinConsonant(w, i, apart)
			if again != c {
				break
			}
			i += n
		}
		if c == 0 {
			continue
		}
		v := run()
		if last == c && out[len(out)-1] == '0' { // met again behind what is no letter of the alphabet
			out[len(out)-1] = latinVowel(v, i == len(w))
			continue
		}
		out = append(out, c, latinVowel(v, i == len(w)))
		if last = c; v == "ou" && i < len(w) {
			french = len(out) - 1
		}
	}
	// At the end of a word it is long: Mahmoud.
	if n := len(out); french > 0 && (french < n-3 || out[n-1] != '0') {
		out[french] = 'u'
	}
	return form(append(out, end))
}

// latinConsonant reads the consonant at i; 0 where there is none.
func latinConsonant(w string, i int, apart bool) (byte, int) {
	c := w[i]
	if i+1 < len(w) {
		if d, ok := digraphs[w[i:i+2]]; ok && (!apart || !splittable(w, i)) {
			return d, 2
		}
	}
	switch {
	case c == 'c':
		if i+1 < len(w) && strings.ContainsRune("eiy", rune(w[i+1])) {
			return 's', 1
		}
		return 'k', 1
	case c == 'x':
		return 'k', 1
	case c < 'a' || c > 'z' || isVowel(c):
		return 0, 1
	}
	return c, 1
}

// splittable reports a digraph of h between vowels, which may be two consonants.
func splittable(w string, i int) bool {
	return w[i+1] == 'h' && strings.ContainsRune("tskdg", rune(w[i])) && i > 0 && isVowel(w[i-1]) && i+2 < len(w) && (isVowel(w[i+2]) || w[i+2] == 'y')
}

// apartable reports that a word has a digraph that may be two consonants.
func apartable(w string) bool {
	for i := 0; i+1 < len(w); i++ {
		if splittable(w, i) {
			return true
		}
	}
	return false
}

// latinVowel is the class of a run of vowels, y and w among them.
func latinVowel(run string, last bool) byte {
	has := func(letters string) bool { return strings.ContainsAny(run, letters) }
	u, i, a := has("uow"), has("iy") || strings.Contains(run, "ee"), has("a")
	if !i && has("e") && run != "e" && !u && !a {
		i = true
	}
	switch {
	case run == "":
		return '0'
	case last && strings.Contains(run, "w") && !strings.HasSuffix(run, "w"):
		return 'K'
	case u && i:
		return 'M'
	case u:
		return roundVowel(run)
	case i && last && (strings.HasSuffix(run, "a") || strings.HasSuffix(run, "ae")):
		return 'J'
	case run == "i" || run == "y":
		return 'i'
	case i:
		return 'I'
	case run == "a":
		return 'a'
	case a && !has("e"):
		return 'A'
	}
	return 'e'
}

// roundVowel is the class of a run with u, o or w and without i.
func roundVowel(run string) byte {
	if run == "u" || run == "o" {
		return 'u'
	}
	if n := len(run) - 1; (run[n] == 'a' || run[n] == 'e') && len(run) > 1 {
		return 'V'
	}
	return 'U'
}

var arabicConsonants = map[rune]byte{
	'ب': 'b', 'ت': 't', 'ط': 't', 'ث': 'T', 'ج': 'j', 'ح': 'h', 'ه': 'h', 'ة': 't', 'خ': 'x', 'د': 'd', 'ذ': 'D', 'ض': 'O', 'ظ': 'Q', 'ز': 'z', 'ر': 'r', 'س': 's', 'ص': 's',
	'ش': 'S', 'غ': 'G', 'ف': 'f', 'ق': 'q', 'ك': 'k', 'ل': 'l', 'م': 'm', 'ن': 'n', 'گ': 'g',
}

// parseArabic is the form of a word in Arabic letters.
func parseArabic(w string) form {
	rs := []rune(w)
	end := byte('_')
	soft := rune(0)
	if n := len(rs); n > 1 {
		switch rs[n-1] {
		case 'ح':
			rs, end = rs[:n-1], '#'
		case 'ة', 'ه':
			soft, rs, end = rs[n-1], rs[:n-1], '~'
		}
	}
	out := make([]byte, 0, 2*len(rs)+2)
	i := 0
	run := func() []rune {
		from := i
		for i < len(rs) && (strings.ContainsRune("اعى", rs[i]) || i > 0 && (rs[i] == 'و' || rs[i] == 'ي')) {
			i++
		}
		return rs[from:i]
	}
	if first := run(); len(first) == 0 {
		out = append(out, '0')
	} else {
		out = append(out, arabicFirst(first))
	}
	for i < len(rs) {
		c, ok := arabicConsonants[rs[i]]
		switch {
		case ok:
		case rs[i] == 'و':
			c = 'w'
		case rs[i] == 'ي':
			c = 'y'
		}
		i++
		if c == 0 {
			continue
		}
		v := run()
		if i == len(rs) && end != '#' {
			out = append(out, c, arabicLast(v, soft))
		} else {
			out = append(out, c, arabicVowel(v))
		}
	}
	return form(append(out, end))
}

func countOf(run []rune, letters string) (n int) {
	for _, r := range run {
		if strings.ContainsRune(letters, r) {
			n++
		}
	}
	return n
}

// arabicFirst is the class of what a word begins with: an alif or ʿain, which any vowel may follow, and what is written of that.
func arabicFirst(run []rune) byte {
	rest := run[1:]
	w, y, a := countOf(rest, "و") > 0, countOf(rest, "ي") > 0, countOf(rest, "ا") > 0
	switch {
	case w && y:
		return '6'
	case w && a:
		return '4'
	case w:
		return '3'
	case y && a:
		return '5'
	case y:
		return '2'
	case a || len(rest) > 0:
		return '1'
	}
	return '.'
}

func arabicVowel(run []rune) byte {
	w, y, a, e := countOf(run, "و") > 0, countOf(run, "يى") > 0, countOf(run, "ا") > 0, countOf(run, "ع") > 0
	switch {
	case w && y:
		return '6'
	case w && a:
		return '4'
	case w:
		return '3'
	case y && a:
		return '5'
	case y:
		return '2'
	case a:
		return '1'
	case e:
		return '7'
	}
	return '.'
}

// arabicLast is the class of the vowels at the end of a word; soft is the ة or ه behind them.
func arabicLast(run []rune, soft rune) byte {
	w, y, l, a := countOf(run, "و"), countOf(run, "ي"), countOf(run, "ى"), countOf(run, "ا")
	open := soft != 0
	switch {
	case w > 0 && y > 0 && (open || a > 0):
		return '6'
	case w > 0 && (a+y+l > 0 || open):
		return '8'
	case y > 0 && soft == 'ه' && a == 0:
		return '9'
	case y > 0 && (a > 0 || open || l > 0) || y > 1:
		return '5'
	case y > 0:
		return '2'
	case l > 0:
		return 'L'
	case w > 0:
		return '3'
	case open:
		return 'T'
	}
	return arabicVowel(run)
}

// coarse are the classes that a consonant may belong to in a skeleton.
var coarse = map[byte]string{'j': "k", 'g': "k", 'q': "k", 'k': "k", 'G': "k", 'T': "stz", 'D': "zd", 'O': "dz", 'Q': "zd", 'p': "b", 'v': "f", 'C': "Sk"}

// maxSkeletons bounds the skeletons of a form: a product of alternatives.
const maxSkeletons = 12

// skeletons are the coarse consonants of a form, behind an "a" where the word begins with a vowel.
func (f form) skeletons() []string {
	if f.exact() {
		return []string{string(f)}
	}
	all := []string{""}
	if f.first() != '0' {
		all[0] = "a"
	}
	for i := range f.len() {
		classes := coarse[f.consonant(i)]
		if classes == "" {
			classes = string(f.consonant(i))
		}
		var longer []string
		for _, s := range all {
			for _, c := range []byte(classes) {
				longer = append(longer, s+string(c))
			}
		}
		all = longer[:min(len(longer), maxSkeletons)]
	}
	return slices.Compact(all)
}
