package names

import "strings"

// pairs is a symmetric relation on bytes.
type pairs [128][128]bool

// relation reads lines "x: abc": x goes with itself and each of a, b and c.
func relation(lines string) *pairs {
	var p pairs
	for line := range strings.Lines(lines) {
		head, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		x := head[0]
		p[x][x] = true
		for _, y := range []byte(strings.ReplaceAll(rest, " ", "")) {
			p[x][y], p[y][x], p[y][y] = true, true, true
		}
	}
	return &p
}

// sounds are the consonants of which one may be written for the other.
var sounds = relation(`
	j: g
	g: q G
	q: k
	T: s t D z
	D: z d
	O: d z D
	Q: z d D O
	p: b
	v: f
	C: S k
`)

// between are the vowels between consonants that may be written for each other.
var between = relation(`
	0: a e i u .
	a: e A V . 1 7
	e: i I A . 1 2 5 7
	i: I . 2 5 7
	u: U V . 3 4 7
	A: V 1 7
	I: M 2 5 6
	U: V M 3 4 6
	V: M 1 3 4 6
	M: 2 3 4 5 6 7
	J: I
	K: V
`)

// firsts are those that a word may begin with. Arabic writes the first vowel where it is long alone.
var firsts = relation(`
	0: 0
	a: e A . 1
	e: i I . 1 2
	i: I . 2
	u: U V . 3 4
	A: . 1
	I: M J . 2 5
	U: V . 3 4 6
	V: M . 3 4 6
	M: . 6 2 3
	J: . 5 2
	K: . 4 3
	2: 5
`)

// lasts are those that a word may end with.
var lasts = relation(`
	0: . 7
	a: e A 1 7 T L 2
	e: i I 1 7 T 2 A L
	i: I 2 L 7 9
	u: U 3
	A: 1 7 T L V
	I: 2 7 9 L M
	U: 3 M
	V: 1 4 8 K
	M: 6 8 2 3
	J: 5 9 2
	K: 8 6 4
	1: L T
	L: 2 5
	T: L
	9: 5 2
	6: 8
`)

// Alike reports whether two forms may be spellings of one word.
func Alike(a, b string) bool {
	if a == b {
		return true
	}
	f, g := form(a), form(b)
	if f.exact() || g.exact() || len(f) != len(g) {
		return false
	}
	n := f.len()
	if !firsts[f.first()][g.first()] {
		return false
	}
	for i := range n {
		if !sounds[f.consonant(i)][g.consonant(i)] && f.consonant(i) != g.consonant(i) {
			return false
		}
		if i+1 < n && !between[f.vowel(i)][g.vowel(i)] {
			return false
		}
	}
	if n == 0 {
		return endsAlike(f.first(), f.end(), g.first(), g.end())
	}
	return endsAlike(f.vowel(n-1), f.end(), g.vowel(n-1), g.end())
}

// endsAlike compares how two words end: the last vowels and what is behind them.
func endsAlike(v byte, e byte, w byte, f byte) bool {
	if f < e { // # % _ ~
		v, e, w, f = w, f, v, e
	}
	switch {
	case e == '#' && f == '#', e == '#' && f == '%':
		return between[v][w] // صلاح, Salah: the h is a consonant
	case e == '#':
		return false
	case e == '%' && f == '%':
		return lasts[v][w] || between[v][w]
	case e == '%' && f == '_': // Fatimah, Fatima
		return strings.IndexByte("aAeJKV1TL58", v) >= 0 && lasts[v][w]
	case e == '%' && f == '~':
		return lasts[v][w]
	}
	return lasts[v][w]
}

// Begins reports whether a form may be the beginning of the other, of which more was typed by now: its last vowels are open.
func Begins(start, whole string) bool {
	f, g := form(start), form(whole)
	if f.exact() || g.exact() {
		return strings.HasPrefix(whole, start)
	}
	n := f.len()
	if n > g.len() || !firsts[f.first()][g.first()] && n > 0 {
		return false
	}
	if n == 0 {
		return f.first() != '0' && firsts[f.first()][g.first()]
	}
	for i := range n {
		if !sounds[f.consonant(i)][g.consonant(i)] && f.consonant(i) != g.consonant(i) {
			return false
		}
		if i+1 < n && !between[f.vowel(i)][g.vowel(i)] {
			return false
		}
	}
	return true
}

// Near reports whether two forms differ by one slip: a consonant more, less, another one, or two that changed places; or a vowel on the wrong side of a
// consonant (Mohamde). Forms whose consonants agree are not near otherwise: they are alike, or different names. Words of fewer than three consonants are
// not near any.
func Near(a, b string) bool {
	f, g := form(a), form(b)
	if f.exact() || g.exact() {
		return false
	}
	if f.len() > g.len() {
		f, g = g, f
	}
	n, m := f.len(), g.len()
	if m < 3 || m-n > 1 || n < 2 || !firsts[f.first()][g.first()] {
		return false
	}
	same := func(i, j int) bool {
		return f.consonant(i) == g.consonant(j) || sounds[f.consonant(i)][g.consonant(j)]
	}
	i := 0
	for i < n && same(i, i) {
		i++
	}
	if n == m && i == n {
		return f.vowelMoved(g)
	}
	slip := func(df, dg int) bool { // i+df and i+dg go on together to the end
		x, y := i+df, i+dg
		if n-x != m-y {
			return false
		}
		for x < n {
			if !same(x, y) {
				return false
			}
			x, y = x+1, y+1
		}
		return f.vowelsAgree(g, i, df, dg)
	}
	if n < m {
		return slip(0, 1)
	}
	return slip(1, 1) || i+1 < n && same(i, i+1) && same(i+1, i) && slip(2, 2)
}

// vowelMoved reports that of two forms with the same consonants, four at least, the one has a vowel on the other side of one consonant.
func (f form) vowelMoved(g form) bool {
	n := f.len()
	if n < 4 || f.end() != g.end() {
		return false
	}
	at := -1
	for i := range n {
		switch {
		case f.vowel(i) == g.vowel(i), i+1 < n && between[f.vowel(i)][g.vowel(i)] && at < 0 && f.vowel(i) != '0' && g.vowel(i) != '0':
		case at < 0 && i+1 < n && f.vowel(i) == g.vowel(i+1) && f.vowel(i+1) == g.vowel(i) && (f.vowel(i) == '0' || g.vowel(i) == '0'):
			at = i
		case at == i-1 && at >= 0:
		default:
			return false
		}
	}
	return at >= 0
}

// vowelsAgree compares the vowels that do not touch the slip at consonant at, of which df and dg consonants are part.
func (f form) vowelsAgree(g form, at, df, dg int) bool {
	for i := 0; i+1 < at; i++ {
		if !between[f.vowel(i)][g.vowel(i)] {
			return false
		}
	}
	for x, y := at+df, at+dg; x+1 < f.len(); x, y = x+1, y+1 {
		if !between[f.vowel(x)][g.vowel(y)] {
			return false
		}
	}
	if at+df >= f.len() { // the slip is at the end
		return true
	}
	return endsAlike(f.vowel(f.len()-1), f.end(), g.vowel(g.len()-1), g.end())
}
