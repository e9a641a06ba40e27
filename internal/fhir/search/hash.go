package search

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// hash64 is FNV-1a. It must never change: index rows on disk hold what is made of it.
func hash64(h uint64, s string) uint64 {
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

// Hash is the number by which index rows know a system, a unit, or an exact text: 48 bits, so that SQLite stores it in
// six bytes; never 0, which means "none". It is FNV-1a folded, the same for ever: rows on disk hold it. It is not keyed:
// never put the hash of something that must not be guessed on a disk.
func Hash(s string) int64 {
	h := hash64(fnvOffset, s)
	h = (h ^ h>>48) & (1<<48 - 1)
	if h == 0 {
		return 1
	}
	return int64(h)
}

// systemHash is Hash, with 0 for "no system".
func systemHash(s string) int64 {
	if s == "" {
		return 0
	}
	return Hash(s)
}

// Atom IDs have 31 bits. Those of declared atoms have bit 30 clear, those of derived atoms have it set: so no derived
// atom can be taken for a declared one.
const derivedBit = 1 << 30

func foldID(h uint64) uint32 { return uint32(h^h>>30^h>>60) & (derivedBit - 1) }

// atomID hashes what an atom is. A test holds that no two atoms of R4 collide.
func atomID(typ, path string, kind Kind) uint32 {
	h := hash64(fnvOffset, typ)
	h = hash64(h, "|")
	h = hash64(h, path)
	h = (h ^ uint64('|')) * fnvPrime
	h = (h ^ uint64(kind)) * fnvPrime
	if id := foldID(h); id != 0 {
		return id
	}
	return 1
}

func derivedID(parent uint32, code string, kind Kind) uint32 {
	h := uint64(fnvOffset)
	for i := 0; i < 32; i += 8 {
		h = (h ^ uint64(parent>>i&255)) * fnvPrime
	}
	h = hash64(h, code)
	h = (h ^ uint64('|')) * fnvPrime
	h = (h ^ uint64(kind)) * fnvPrime
	return foldID(h) | derivedBit
}

const hexDigits = "0123456789abcdef"

// cut returns s as a row of a token, uri or reference keeps it: whole up to MaxText bytes, else its first MaxText-16
// bytes and 16 hexadecimal digits of its FNV-1a hash (64 bits).
func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	b := make([]byte, 0, MaxText)
	b = append(b, cutText(s, keptText)...)
	h := hash64(fnvOffset, s)
	for i := 60; i >= 0; i -= 4 {
		b = append(b, hexDigits[h>>i&15])
	}
	return string(b)
}

// keptText is how much of a longer text cut leaves readable at its start.
const keptText = MaxText - 16

// cutText returns the first n bytes of s, less where that would split a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}
