package record

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// A stored body is the resource as compact JSON without resourceType, id, meta.versionId and meta.lastUpdated, which the row
// knows: the first line is the other members of meta, without braces, each with a comma before it; the rest is all
// other members in their order, each with a comma before it, and the closing brace.
// So the version's number can be given after the body is sealed, and a read puts the text together without parsing it.

// splitBody returns the stored form of a resource.
func splitBody(r *fhir.Resource) []byte {
	b := make([]byte, 0, 1024)
	if meta := r.Get("meta"); meta != nil {
		for m := meta.First(); m != nil; m = m.Next() {
			if m.Name != "versionId" && m.Name != "lastUpdated" {
				b = appendMember(b, m)
			}
		}
	}
	b = append(b, '\n')
	for m := r.First(); m != nil; m = m.Next() {
		if m.Name != "resourceType" && m.Name != "id" && m.Name != "meta" {
			b = appendMember(b, m)
		}
	}
	return append(b, '}')
}

func appendMember(b []byte, m *fhir.Node) []byte {
	b = append(b, ',')
	b = fhir.AppendQuoted(b, m.Name)
	b = append(b, ':')
	return m.AppendJSON(b)
}

// instantFormat is FHIR's instant with the milliseconds that a seq holds.
const instantFormat = "2006-01-02T15:04:05.000Z07:00"

// joinBody returns the resource's JSON from its stored form.
func joinBody(stored []byte, typ, id string, vid int64, updated time.Time) []byte {
	b := make([]byte, 0, len(stored)+len(typ)+len(id)+112)
	b = append(b, `{"resourceType":"`...)
	b = append(b, typ...)
	b = append(b, `","id":"`...)
	b = append(b, id...)
	b = append(b, `","meta":{"versionId":"`...)
	b = strconv.AppendInt(b, vid, 10)
	b = append(b, `","lastUpdated":"`...)
	b = updated.AppendFormat(b, instantFormat)
	b = append(b, '"')
	line := 0
	for line < len(stored) && stored[line] != '\n' {
		line++
	}
	b = append(b, stored[:line]...)
	b = append(b, '}')
	return append(b, stored[min(line+1, len(stored)):]...)
}

// bodyData names the place that a sealed body stands in, so that no body can be moved to another row.
func bodyData(tenant int32, typ int, num, vid int64) []byte {
	b := make([]byte, 0, 24)
	b = binary.BigEndian.AppendUint32(b, uint32(tenant))
	b = binary.BigEndian.AppendUint32(b, uint32(typ))
	b = binary.BigEndian.AppendUint64(b, uint64(num))
	return binary.BigEndian.AppendUint64(b, uint64(vid))
}
