package recordtest

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

// sortKeys is the value that a document is sorted by, in bytes that have its order; nil where it has none. A
// range counts by its beginning.
func sortKeys(k search.SortKey, v *search.Values) []byte {
	var all [][]byte
	for _, a := range k.Atoms {
		for _, r := range v.Text {
			if r.Atom == a.ID {
				all = append(all, append([]byte{1}, r.Val...))
			}
		}
		for _, r := range v.Date {
			if r.Atom == a.ID {
				all = append(all, binary.BigEndian.AppendUint64([]byte{1}, uint64(r.Lo)^1<<63))
			}
		}
		for _, r := range v.Num {
			if r.Atom == a.ID {
				all = append(all, binary.BigEndian.AppendUint64([]byte{1}, orderedFloat(r.Lo)))
			}
		}
	}
	var best []byte
	for _, c := range all {
		if best == nil || (bytes.Compare(c, best) < 0) != k.Desc {
			best = c
		}
	}
	return best
}

func orderedFloat(f float64) uint64 {
	b := math.Float64bits(f)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}
