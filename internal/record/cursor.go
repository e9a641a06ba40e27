package record

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/seal"
)

// cursor marks a place in the matches of a search: behind the match with these sort keys, this number and this type; ids that
// clients chose may give resources of several types one number. Keys are int64, float64,
// string, []byte or nil. at is the place in a list that was sorted in memory.
type cursor struct {
	num  int64
	typ  int
	at   int64
	keys []any
}

// sealCursor writes the mark of a hit for a URL. It is sealed: its keys may be a name, and nobody should make one up.
func (k *tenantKeys) sealCursor(query *search.Query, h hit, before *cursor, count int) string {
	at := int64(count)
	if before != nil {
		at += before.at
	}
	b := binary.AppendVarint(nil, h.sealed.num)
	b = binary.AppendVarint(b, at)
	b = binary.AppendVarint(b, int64(h.sealed.typ))
	for _, key := range h.keys {
		switch v := key.(type) {
		case int64:
			b = binary.AppendVarint(append(b, 'i'), v)
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 'f'), math.Float64bits(v))
		case []byte:
			b = append(binary.AppendUvarint(append(b, 'b'), uint64(len(v))), v...)
		case string:
			b = append(binary.AppendUvarint(append(b, 's'), uint64(len(v))), v...)
		default:
			b = append(b, 'n')
		}
	}
	day := uint32(time.Now().Unix() / 86400)
	sealed := binary.BigEndian.AppendUint32(nil, day)
	return base64.RawURLEncoding.EncodeToString(k.marksOf(day).Seal(sealed, b, cursorData(query)))
}

// marksOf is the key that seals the page marks of a day. It hangs on the blind key, which never changes: whoever turns pages is not
// stopped by a new version of the tenant's key, and no key seals too much.
func (k *tenantKeys) marksOf(day uint32) *seal.Key {
	if d := k.marks.Load(); d != nil && d.day == day {
		return d.key
	}
	d := &dayKey{day, k.base.Derive("page marks\x00" + string(binary.BigEndian.AppendUint32(nil, day)))}
	k.marks.Store(d)
	return d.key
}

type dayKey struct {
	day uint32
	key *seal.Key
}

// behind is how the number of a match of the type, whose sort keys are the mark's, compares with the mark's where it comes
// behind it.
func (c *cursor) behind(typ int) string {
	if typ > c.typ {
		return " >= "
	}
	return " > "
}

// cursorData binds a mark to its search: the type and the order.
func cursorData(query *search.Query) []byte {
	h := fnv.New64a()
	_, _ = h.Write([]byte("cursor\x00" + query.Type))
	for _, k := range query.Sort {
		_, _ = h.Write([]byte("\x00" + k.Param + k.Special))
		if k.Desc {
			_, _ = h.Write([]byte{'-'})
		}
	}
	return h.Sum(nil)
}

var errCursor = fault.New(fault.Invalid, "_cursor is no page mark of this search: begin at the first page").WithCode("value")

// openCursor reads the query's mark; nil where it has none.
func (k *tenantKeys) openCursor(query *search.Query) (*cursor, error) {
	if query.Cursor == "" {
		return nil, nil
	}
	sealed, err := base64.RawURLEncoding.DecodeString(query.Cursor)
	if err != nil {
		return nil, errCursor
	}
	if len(sealed) < 4 {
		return nil, errCursor
	}
	b, err := k.marksOf(binary.BigEndian.Uint32(sealed)).Open(nil, sealed[4:], cursorData(query))
	if err != nil {
		return nil, errCursor
	}
	return readCursor(b, len(query.Sort))
}

// readCursor decodes what sealCursor wrote and sealed; the checks guard against marks of older versions.
func readCursor(b []byte, keys int) (*cursor, error) {
	c := &cursor{}
	bad := false
	varint := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			bad = true
			return 0
		}
		b = b[n:]
		return v
	}
	c.num, c.at, c.typ = varint(), varint(), int(varint())
	for range keys {
		if bad || len(b) == 0 {
			return nil, errCursor
		}
		kind := b[0]
		b = b[1:]
		switch {
		case kind == 'i':
			c.keys = append(c.keys, varint())
		case kind == 'f' && len(b) >= 8:
			c.keys = append(c.keys, math.Float64frombits(binary.BigEndian.Uint64(b)))
			b = b[8:]
		case kind == 'b' || kind == 's':
			size, n := binary.Uvarint(b)
			if n <= 0 || uint64(len(b)-n) < size {
				return nil, errCursor
			}
			text := append([]byte{}, b[n:n+int(size)]...)
			b = b[n+int(size):]
			if kind == 's' {
				c.keys = append(c.keys, string(text))
			} else {
				c.keys = append(c.keys, text)
			}
		case kind == 'n':
			c.keys = append(c.keys, nil)
		default:
			return nil, errCursor
		}
	}
	if bad {
		return nil, errCursor
	}
	return c, nil
}
