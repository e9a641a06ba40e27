package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// AnswerOne is [Answer] for one thing, which v says as a JSON object: its members, and the whole of it under its name beside them, since front ends read the one or the other.
func AnswerOne(w http.ResponseWriter, r *http.Request, status int, name string, v any) error {
	return Answer(w, r, status, named{name, v})
}

// named is a thing with itself under its name.
type named struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (n named) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(n.value); err != nil {
		return nil, err
	}
	one := bytes.TrimSpace(b.Bytes())
	out := slices.Clone(one[:len(one)-1])
	if len(one) > 2 {
		out = append(out, ',')
	}
	out = append(append(fhir.AppendQuoted(out, n.name), ':'), one...)
	return append(out, '}'), nil
}

// SetVersion says which version of a record is sent: its ETag, which a writer may send back as If-Match.
func SetVersion(w http.ResponseWriter, version int64) {
	w.Header().Set("ETag", `W/"`+strconv.FormatInt(version, 10)+`"`)
}

// Version is the version of a record that the writer saw: that of If-Match, else the one that the body says as "version", which may be nil; 0 where neither is said.
// VersionConflict where If-Match names none, as it then matches none; Invalid where the body's is none.
func Version(r *http.Request, body *int64) (int64, error) {
	tag := strings.TrimSpace(r.Header.Get("If-Match"))
	if tag != "" && tag != "*" {
		n, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(tag, "W/"), `"`), 10, 64)
		if err != nil || n < 1 {
			return 0, fault.New(fault.VersionConflict, `If-Match names no version: it is written W/"3"`)
		}
		return n, nil
	}
	if body == nil {
		return 0, nil
	}
	if *body < 1 {
		return 0, fault.At(fault.Invalid, "version", "is not a version's number").WithCode("value")
	}
	return *body, nil
}

// DecodeOptional is [Decode] for a request that need not have a body: without one, v stays as it is.
func DecodeOptional(r *http.Request, v any) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	return Decode(r, v)
}

// StringOrNumber is a member that clients send as a string or as a number, such as an id: the number's digits, or the string without blanks around it.
type StringOrNumber string

// UnmarshalJSON implements json.Unmarshaler.
func (s *StringOrNumber) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*s = StringOrNumber(strings.TrimSpace(text))
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return &json.UnmarshalTypeError{Value: "value", Type: reflect.TypeFor[string]()}
	}
	*s = StringOrNumber(n)
	return nil
}
