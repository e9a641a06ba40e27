package api_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

type body struct {
	Email   string    `json:"email"`
	Age     int8      `json:"age"`
	Active  bool      `json:"active"`
	Roles   []string  `json:"roles"`
	When    time.Time `json:"when"`
	Address struct {
		City string `json:"city"`
	} `json:"address"`
}

func TestDecode(t *testing.T) {
	for name, x := range map[string]struct {
		media, body string
		kind        fault.Kind // Internal: it is taken
		says        string
	}{
		"whole":                 {"application/json", `{"email":"a","age":3,"active":true,"roles":["x"],"address":{"city":"y"}}`, 0, ""},
		"with what nobody asks": {"application/json; charset=utf-8", `{"email":"a","extra":{"deep":[1]}}`, 0, ""},
		"a kind of JSON":        {"application/merge-patch+json", `{"email":"a"}`, 0, ""},
		"without a media type":  {"", ` {"email":"a"} `, 0, ""},
		"empty":                 {"application/json", "", fault.Invalid, "the body is empty"},
		"blank":                 {"application/json", " \n", fault.Invalid, "the body is empty"},
		"null":                  {"application/json", "null", fault.Invalid, "the body is null"},
		"a form":                {"application/x-www-form-urlencoded", "email=a", fault.UnsupportedMedia, "application/json"},
		"text, as a form sends": {"text/plain", `{"email":"a"}`, fault.UnsupportedMedia, "application/json"},
		"half":                  {"application/json", `{"email":"a"`, fault.Invalid, "no valid JSON"},
		"two":                   {"application/json", `{"email":"a"}{}`, fault.Invalid, "no valid JSON: it breaks at byte"},
		"a list":                {"application/json", `[]`, fault.Invalid, "the body: a object is expected, not a array"},
		"no text":               {"application/json", "{\"email\":\"\xff\"}", fault.Invalid, "UTF-8"},
		"a number for a string": {"application/json", `{"email":4711}`, fault.Invalid, "email: a string is expected, not a number"},
		"a string for a number": {"application/json", `{"age":"4711"}`, fault.Invalid, "age: a whole number in range is expected, not a string"},
		"out of range":          {"application/json", `{"age":4711}`, fault.Invalid, "age: a whole number in range is expected, not a number"},
		"a string for a list":   {"application/json", `{"roles":"4711"}`, fault.Invalid, "roles: a list is expected, not a string"},
		"in the list":           {"application/json", `{"roles":[4711]}`, fault.Invalid, "roles"},
		"deep":                  {"application/json", `{"address":{"city":4711}}`, fault.Invalid, "address.city: a string is expected"},
		"no time":               {"application/json", `{"when":"4711"}`, fault.Invalid, "wrong form"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", strings.NewReader(x.body))
			r.Header.Set("Content-Type", x.media)
			if x.media == "" {
				r.Header.Del("Content-Type")
			}
			var v body
			err := api.Decode(r, &v)
			if x.kind == 0 {
				if err != nil || v.Email != "a" {
					t.Errorf("%+v %v", v, err)
				}
				return
			}
			if !fault.Is(err, x.kind) || !strings.Contains(err.Error(), x.says) || strings.Contains(err.Error(), "4711") {
				t.Errorf("%v", err)
			}
		})
	}
	for _, known := range []bool{true, false} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(`{"email":"`+strings.Repeat("x", api.MaxBody)+`"}`))
		if !known {
			r.ContentLength = -1
		}
		if err := api.Decode(r, &body{}); !fault.Is(err, fault.TooLarge) {
			t.Errorf("too large: %v", err)
		}
	}
}

// FuzzDecode: whatever comes is taken or refused as the sender's fault, and a refusal repeats nothing of the value.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "{}", `{"email":1}`, `{"age":1e400}`, `{"when":"2026-01-01T00:00:00Z"}`, `{"address":{"city":[]}}`, "[[[[", "\xff", `{"a":`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var v body
		err := api.Decode(httptest.NewRequest("POST", "/", strings.NewReader(s)), &v)
		var told *fault.Error
		if err != nil && (!errors.As(err, &told) || told.Kind != fault.Invalid || !utf8.ValidString(err.Error())) {
			t.Errorf("%q: %v", s, err)
		}
	})
}

func TestPageOf(t *testing.T) {
	for query, want := range map[string]struct {
		page, limit int
		wrong       string
	}{"": {1, 20, ""}, "page=3&limit=100": {3, 100, ""}, "page=0": {0, 0, "page"}, "page=-1": {0, 0, "page"}, "page=x": {0, 0, "page"}, "limit=0": {0, 0, "limit"}, "limit=101": {0, 0, "limit"},
		"page=99999999999999999999": {0, 0, "page"}, "limit=1": {1, 1, ""}} {
		page, limit, err := api.PageOf(httptest.NewRequest("GET", "/?"+query, nil))
		if page != want.page || limit != want.limit || (err != nil) != (want.wrong != "") || err != nil && (!fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), want.wrong+":")) {
			t.Errorf("%q: %d %d %v", query, page, limit, err)
		}
	}
}
