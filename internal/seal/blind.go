package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
	"unicode/utf8"
)

// BlindSize is the length of a blind form in bytes.
const BlindSize = 10

// What is hashed begins with the domain, so that the forms of one text never meet each other's.
const (
	domainBlind  = 'b'
	domainPrefix = 'p'
	domainWhole  = 'w'
)

// PrefixLengths are the lengths, in runes, of the beginnings that [Blinder.Prefixes] stores. The list is part of the stored
// format: changing it asks for a new index.
func PrefixLengths() []int { return append([]int(nil), prefixLengths[:]...) }

var prefixLengths = [...]int{1, 2, 3, 4, 6, 8, 12, 16, 24}

// Blinder makes the blind forms of texts for one tenant. It is safe for concurrent use. See the package's comment for
// what they tell an onlooker.
type Blinder struct{ states sync.Pool }

// maxKept is the largest buffer that goes back to the pool.
const maxKept = 16 << 10

// state is one keyed hash with the buffers that go with it, kept to save the key schedule and all allocation.
type state struct {
	mac hash.Hash
	in  []byte
	sum [sha256.Size]byte
}

// NewBlinder returns the blinder of a tenant's key. The hash key is derived from it, so the two uses do not meet; the same key
// gives the same blind forms.
func NewBlinder(tenant *Key) *Blinder {
	derive := hmac.New(sha256.New, tenant.secret[:])
	_, _ = derive.Write([]byte("nilecare blind index 1")) // a hash never fails
	key := derive.Sum(nil)
	b := &Blinder{}
	b.states.New = func() any { return &state{mac: hmac.New(sha256.New, key), in: make([]byte, 0, 128)} }
	return b
}

// Blind returns the blind form of text under atom, [BlindSize] bytes.
func (b *Blinder) Blind(atom uint32, text string) []byte {
	return b.AppendBlind(make([]byte, 0, BlindSize), atom, text)
}

// AppendBlind is Blind that appends to dst.
func (b *Blinder) AppendBlind(dst []byte, atom uint32, text string) []byte {
	return b.append(dst, domainBlind, atom, text)
}

// Prefixes returns the blind forms that a starts-with search needs: of the text's beginnings of each of [PrefixLengths] that the
// text is long enough for, shortest first, and last that of the whole. Beginnings and wholes are apart from each other
// and from Blind. folded must be folded the way that queries are; an empty text has none.
func (b *Blinder) Prefixes(atom uint32, folded string) [][]byte {
	if folded == "" {
		return nil
	}
	out := make([][]byte, 0, len(prefixLengths)+1)
	room := make([]byte, 0, (len(prefixLengths)+1)*BlindSize)
	add := func(domain byte, text string) {
		start := len(room)
		room = b.append(room, domain, atom, text)
		out = append(out, room[start:len(room):len(room)])
	}
	at, runes := 0, 0
	for _, want := range prefixLengths {
		end, ok := advance(folded, at, want-runes)
		if !ok {
			break
		}
		at, runes = end, want
		add(domainPrefix, folded[:at])
	}
	add(domainWhole, folded)
	return out
}

// PrefixQuery returns the blind form to look for when texts that start with folded are asked for: that of its longest
// stored beginning. exact says that this decides alone; else the matches are too many, and the store must open and compare
// them. nil for an empty text, which every text starts with.
func (b *Blinder) PrefixQuery(atom uint32, folded string) (hash []byte, exact bool) {
	at, runes := 0, 0
	for _, want := range prefixLengths {
		end, ok := advance(folded, at, want-runes)
		if !ok {
			break
		}
		at, runes = end, want
	}
	if at == 0 {
		return nil, false
	}
	return b.append(make([]byte, 0, BlindSize), domainPrefix, atom, folded[:at]), at == len(folded)
}

// WholeQuery returns the blind form to look for when texts that are exactly folded are asked for among what Prefixes stored.
func (b *Blinder) WholeQuery(atom uint32, folded string) []byte {
	return b.append(make([]byte, 0, BlindSize), domainWhole, atom, folded)
}

// advance returns the offset n runes behind at; false where the text ends before.
func advance(s string, at, n int) (int, bool) {
	for ; n > 0; n-- {
		if at >= len(s) {
			return at, false
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at, true
}

func (b *Blinder) append(dst []byte, domain byte, atom uint32, text string) []byte {
	s := b.states.Get().(*state)
	s.in = append(s.in[:0], domain)
	s.in = binary.BigEndian.AppendUint32(s.in, atom)
	s.in = append(s.in, text...)
	s.mac.Reset()
	_, _ = s.mac.Write(s.in) // a hash never fails
	dst = append(dst, s.mac.Sum(s.sum[:0])[:BlindSize]...)
	clear(s.in) // no text of a patient stays behind in the pool
	if cap(s.in) <= maxKept {
		b.states.Put(s)
	}
	return dst
}
