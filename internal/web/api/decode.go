package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// MaxBody is how many bytes a body of the product API may have.
const MaxBody = 8 << 20

// The bounds of a listing's pages.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

// Decode reads the request's body, one JSON object of at most [MaxBody] bytes, into v. Members that v does not know are passed over, since
// the front ends send more than they need; a member of the wrong type is refused by its name. The error is a [fault.Error]: Invalid,
// TooLarge, UnsupportedMedia, or Unavailable for a body that was too slow.
func Decode(r *http.Request, v any) error {
	if err := mustBeJSON(r); err != nil {
		return err
	}
	if r.ContentLength > MaxBody {
		return fault.New(fault.TooLarge, "the body is larger than the limit of %d bytes", MaxBody)
	}
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = http.MaxBytesReader(nil, r.Body, MaxBody)
	}
	body, err := web.ReadBody(r)
	if err != nil {
		return err
	}
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return fault.New(fault.Invalid, "the body is empty: a JSON object is expected")
	case !utf8.Valid(body):
		return fault.New(fault.Invalid, "the body is no valid UTF-8").WithCode("structure")
	case bytes.Equal(body, []byte("null")):
		return fault.New(fault.Invalid, "the body is null: a JSON object is expected")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return told(err)
	}
	return nil
}

// mustBeJSON refuses a body that says it is something else. A body that says nothing is read as JSON.
func mustBeJSON(r *http.Request) error {
	said := r.Header.Get("Content-Type")
	if said == "" {
		return nil
	}
	kind, _, err := mime.ParseMediaType(said)
	if err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) {
		return nil
	}
	return fault.New(fault.UnsupportedMedia, "Content-Type must be application/json")
}

// told says what is wrong with a body, without repeating what stands in it.
func told(err error) error {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &wrong) && wrong.Field != "":
		return fault.At(fault.Invalid, wrong.Field, "a %s is expected, not a %s", jsonName(wrong.Type), kindOf(wrong.Value)).WithCode("value").Because(err)
	case errors.As(err, &wrong):
		return fault.New(fault.Invalid, "the body: a %s is expected, not a %s", jsonName(wrong.Type), kindOf(wrong.Value)).WithCode("structure").Because(err)
	case errors.As(err, &syntax):
		return fault.New(fault.Invalid, "the body is no valid JSON: it breaks at byte %d", syntax.Offset).WithCode("structure").Because(err)
	}
	return fault.New(fault.Invalid, "the body cannot be read: a value has the wrong form").WithCode("value").Because(err)
}

// kindOf cuts off what encoding/json adds to "number": the number itself.
func kindOf(value string) string {
	kind, _, _ := strings.Cut(value, " ")
	return kind
}

// jsonName is what JSON calls values of a type.
func jsonName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number in range"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "string"
		}
		return "list"
	case reflect.Map:
		return "object"
	case reflect.Struct:
		if t == timeType {
			return "string"
		}
		return "object"
	}
	return "string"
}

// PageOf reads the query's page (from 1; 1 where it is absent) and limit (1 to [MaxLimit]; [DefaultLimit]). Errors are Invalid and name the
// parameter.
func PageOf(r *http.Request) (page, limit int, err error) {
	q := r.URL.Query()
	if page, err = number(q.Get("page"), "page", 1, 1, 1<<31-1); err != nil {
		return 0, 0, err
	}
	if limit, err = number(q.Get("limit"), "limit", DefaultLimit, 1, MaxLimit); err != nil {
		return 0, 0, err
	}
	return page, limit, nil
}

func number(said, name string, otherwise, least, most int) (int, error) {
	if said == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(said)
	if err != nil || n < least || n > most {
		return 0, fault.At(fault.Invalid, name, "must be a whole number from %d to %d", least, most).WithCode("value")
	}
	return n, nil
}
