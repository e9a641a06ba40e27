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
	domainBlind = 'b'
	domainChain = 'p'
	domainWhole = 'w'
	domainNamed = 'n'
)

// chainRunes is how many of a text's characters its chain tells apart.
const chainRunes = 24

// wholeSize is the length in bytes of what ends a chain.
const wholeSize = 6

// linkSize is how many bytes of a chain stand for the beginning of so many characters. One letter has few others to be taken
// for, but is asked for alone; a longer beginning has all links before it to tell it apart.
func linkSize(runes int) int {
	switch runes {
	case 1:
		return 4
	case 2:
		return 3
	}
	return 2
}

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

// NamedSize is the length in bytes of what Named returns.
const NamedSize = 20

// Named returns the blind form of a value under a name instead of an atom: for fields of modules' own tables.
func (b *Blinder) Named(name, value string) []byte {
	text := string(binary.AppendUvarint(nil, uint64(len(name)))) + name + value
	return b.appendCut(make([]byte, 0, NamedSize), domainNamed, 0, text, NamedSize)
}

// Chain returns the blind form of a text that is searched by its beginning: for each beginning of 1, 2, 3 … [chainRunes]
// characters some bytes of its keyed hash, one behind the other, and last those of the whole. So texts that begin alike have chains
// that begin alike, and one row of an index in the order of bytes answers a search by a beginning of any length. folded must be
// folded the way that queries are; an empty text has no chain.
func (b *Blinder) Chain(atom uint32, folded string) []byte {
	if folded == "" {
		return nil
	}
	dst, _ := b.links(make([]byte, 0, 2*min(len(folded), chainRunes)+16), atom, folded)
	return b.appendCut(dst, domainWhole, atom, folded, wholeSize)
}

// ChainStart returns what the chains of all texts that begin with folded begin with. exact says that this decides alone; else
// folded is longer than chains tell apart, and the store must open and compare. nil for an empty text, which every text
// begins with.
func (b *Blinder) ChainStart(atom uint32, folded string) (start []byte, exact bool) {
	if folded == "" {
		return nil, false
	}
	return b.links(make([]byte, 0, 2*min(len(folded), chainRunes)+8), atom, folded)
}

// links appends the links of the text's beginnings; all says that the last one is of the whole text.
func (b *Blinder) links(dst []byte, atom uint32, folded string) (out []byte, all bool) {
	at := 0
	for n := 1; n <= chainRunes && at < len(folded); n++ {
		_, size := utf8.DecodeRuneInString(folded[at:])
		at += size
		dst = b.appendCut(dst, domainChain, atom, folded[:at], linkSize(n))
	}
	return dst, at == len(folded)
}

func (b *Blinder) append(dst []byte, domain byte, atom uint32, text string) []byte {
	return b.appendCut(dst, domain, atom, text, BlindSize)
}

// appendCut appends the first n bytes of the keyed hash.
func (b *Blinder) appendCut(dst []byte, domain byte, atom uint32, text string, n int) []byte {
	s := b.states.Get().(*state)
	s.in = append(s.in[:0], domain)
	s.in = binary.BigEndian.AppendUint32(s.in, atom)
	s.in = append(s.in, text...)
	s.mac.Reset()
	_, _ = s.mac.Write(s.in) // a hash never fails
	dst = append(dst, s.mac.Sum(s.sum[:0])[:n]...)
	clear(s.in) // no text of a patient stays behind in the pool
	if cap(s.in) <= maxKept {
		b.states.Put(s)
	}
	return dst
}
