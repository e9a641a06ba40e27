package search

// Values is everything that a resource is found by.
type Values struct {
	Text []TextRow
	Ref  []RefRow
	Date []DateRow
	Num  []NumRow
}

// TextRow is one indexed text. What Val and Sub hold depends on the atom's kind:
//
//   - String: Val is Fold of the text, cut to MaxText bytes; Sub is Hash of the exact text (0 where Blind: such a hash
//     could be guessed). A text longer than that has a second row, of Atom.Long, with Val "": what asks beyond the cut
//     opens the body.
//   - Token: Val is the code (or the text of a boolean, the value of an Identifier or ContactPoint), as written; Sub is Hash
//     of the system (of a ContactPoint: phone, email …), 0 where there is none. A Coding without code has Val "".
//   - URI: Val is the URI; Sub is 0. A canonical is stored whole and, where it has a version, also without it.
//   - Reference: as URI, for references that are no RefRow.
//   - Identifier (of a Reference): as Token.
//
// A row with Val "" and Sub 0 says that there is an element with nothing to search by (a concept with only a text, a
// reference with only a display or to a contained resource): it makes :missing right, and no query asks for it.
//
// Val longer than MaxText is cut to MaxText-16 bytes, less where that would split a character, and 16 hexadecimal digits of its
// 64-bit FNV-1a hash are appended (not for String).
type TextRow struct {
	Atom  uint32
	Val   string
	Sub   int64
	Blind bool // Val must not stand in clear
}

// RefRow is one reference to a resource that this server may hold. Absolute and urn: references, and canonicals, are
// TextRows of the same atom.
type RefRow struct {
	Atom uint32
	Type string
	ID   string
}

// DateRow is one period of time, in microseconds since 1970-01-01T00:00:00Z, both ends included. An open end is
// math.MinInt64 or math.MaxInt64. A date without time is the whole day in UTC. A Timing is its outer limits.
type DateRow struct {
	Atom   uint32
	Lo, Hi int64
}

// NumRow is one number or quantity, or a range of them (Lo < Hi; an open end is ±Inf). System and Code are Hash of the unit's
// system and code, 0 where there is none; where a quantity has a human unit that differs from its code, a second row bears
// System 0 and Hash of that unit as Code. A comparator makes a range: "<5" is -Inf to the last number below 5.
type NumRow struct {
	Atom         uint32
	Lo, Hi       float64
	System, Code int64
}

// MaxText is how many bytes of a text an index row holds at most.
const MaxText = 80
