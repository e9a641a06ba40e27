package fhirrest

import (
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

// A Bundle is written straight into the answer's buffer; stored resources are copied into it as they are.

func openBundle(b []byte, typ string) []byte {
	b = append(b, `{"resourceType":"Bundle","type":"`...)
	b = append(b, typ...)
	return append(b, '"')
}

func appendTotal(b []byte, total int) []byte {
	if total < 0 {
		return b
	}
	return strconv.AppendInt(append(b, `,"total":`...), int64(total), 10)
}

// link is one of a Bundle's links.
type link struct{ relation, url string }

func appendLinks(b []byte, links []link) []byte {
	sep := `,"link":[`
	for _, l := range links {
		b = append(b, sep...)
		b = append(b, `{"relation":"`...)
		b = append(b, l.relation...)
		b = append(b, `","url":`...)
		b = fhir.AppendQuoted(b, l.url)
		b = append(b, '}')
		sep = ","
	}
	if len(links) > 0 {
		b = append(b, ']')
	}
	return b
}

// entries writes the array of entries, which is left out where it is empty: FHIR has no empty arrays.
type entries struct{ n int }

func (e *entries) open(b []byte) []byte {
	e.n++
	if e.n == 1 {
		return append(b, `,"entry":[{`...)
	}
	return append(b, `,{`...)
}

func (e *entries) end(b []byte) []byte {
	if e.n > 0 {
		b = append(b, ']')
	}
	return append(b, '}')
}

// appendFullURL appends a member fullUrl with a comma behind it.
func appendFullURL(b []byte, base, typ, id string) []byte {
	b = append(b, `"fullUrl":`...)
	b = fhir.AppendQuoted(b, base)
	b = b[:len(b)-1] // the closing quote: type and id need no escapes
	b = append(append(append(b, '/'), typ...), '/')
	b = append(b, id...)
	return append(b, `",`...)
}

// appendStatus appends the member status: the code and its words, "201 Created".
func appendStatus(b []byte, status int) []byte {
	b = append(b, `"status":"`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	b = append(b, http.StatusText(status)...)
	return append(b, '"')
}

// appendTag appends the members etag and lastModified of a response.
func appendTag(b []byte, tag string, v *record.Version) []byte {
	b = append(b, `,"etag":`...)
	b = fhir.AppendQuoted(b, tag)
	b = append(b, `,"lastModified":"`...)
	b = appendInstant(b, v.Updated)
	return append(b, '"')
}
