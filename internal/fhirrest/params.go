package fhirrest

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// param is one parameter of a query, decoded. Order and repetition carry meaning in FHIR.
type param = search.Param

// maxParams is how many parameters one query may have.
const maxParams = 1000

// parseParams decodes a query string or a form. What cannot be text is Invalid: bad escapes, bad UTF-8, U+0000.
func parseParams(raw string) ([]param, error) {
	if raw == "" {
		return nil, nil
	}
	out := make([]param, 0, 4)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		if len(out) == maxParams {
			return nil, fault.New(fault.TooCostly, "a query has at most %d parameters", maxParams)
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err := unescape(k)
		if err != nil {
			return nil, err
		}
		value, err := unescape(v)
		if err != nil {
			return nil, err
		}
		out = append(out, param{Name: name, Value: value})
	}
	return out, nil
}

func unescape(s string) (string, error) {
	plain, err := url.QueryUnescape(s)
	if err != nil || !utf8.ValidString(plain) || strings.IndexByte(plain, 0) >= 0 {
		return "", fault.New(fault.Invalid, "the query holds a bad escape, bad UTF-8 or the character U+0000").WithCode("structure")
	}
	return plain, nil
}

// appendParams appends the parameters as a query string, without "?".
func appendParams(b []byte, params []param) []byte {
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, escape(p.Name)...)
		b = append(b, '=')
		b = append(b, escape(p.Value)...)
	}
	return b
}

// unescaped are the characters that stand for themselves in links: those that FHIR queries are full of, and that RFC 3986
// allows in a query.
const unescaped = "-._~:/,$*"

// escape is percent-encoding that leaves FHIR's own punctuation readable.
func escape(s string) string {
	safe := true
	for i := 0; i < len(s) && safe; i++ {
		safe = plainByte(s[i])
	}
	if safe {
		return s
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; plainByte(c) {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(unescaped, c) >= 0
}
