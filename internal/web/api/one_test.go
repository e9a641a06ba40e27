package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

func TestOneThingStandsBesideItsFields(t *testing.T) {
	for _, x := range []struct {
		v    any
		want string
	}{
		{struct {
			ID string `json:"id"`
		}{"<1>"}, `"data":{"id":"<1>","thing":{"id":"<1>"}}`},
		{struct{}{}, `"data":{"thing":{}}`},
	} {
		w := httptest.NewRecorder()
		api.SetVersion(w, 3)
		if err := api.AnswerOne(w, httptest.NewRequest("GET", "/", http.NoBody), http.StatusOK, "thing", x.v); err != nil {
			t.Fatal(err)
		}
		if got := w.Body.String(); !strings.Contains(got, x.want) || w.Header().Get("ETag") != `W/"3"` {
			t.Errorf("%s, ETag %s", got, w.Header().Get("ETag"))
		}
	}
}

func TestTheVersionThatAWriterSaw(t *testing.T) {
	three, none := int64(3), int64(0)
	for _, x := range []struct {
		header string
		body   *int64
		want   int64
		kind   fault.Kind // Internal: none
	}{
		{"", nil, 0, 0}, {"*", nil, 0, 0}, {"*", &three, 3, 0}, {"", &three, 3, 0}, {`W/"7"`, &three, 7, 0}, {`"7"`, nil, 7, 0}, {"7", nil, 7, 0},
		{"", &none, 0, fault.Invalid}, {`W/"0"`, nil, 0, fault.VersionConflict}, {`W/"x"`, &three, 0, fault.VersionConflict}, {`W/"1", W/"2"`, nil, 0, fault.VersionConflict},
	} {
		r := httptest.NewRequest("PUT", "/", http.NoBody)
		r.Header.Set("If-Match", x.header)
		got, err := api.Version(r, x.body)
		if got != x.want || (err != nil) != (x.kind != fault.Internal) || err != nil && !fault.Is(err, x.kind) {
			t.Errorf("%s: %d, %v", x.header, got, err)
		}
	}
}

func TestABodyMayBeAbsent(t *testing.T) {
	v := body{Email: "as it was"}
	if err := api.DecodeOptional(httptest.NewRequest("POST", "/", http.NoBody), &v); err != nil || v.Email != "as it was" {
		t.Errorf("%v, %v", v, err)
	}
	if err := api.DecodeOptional(httptest.NewRequest("POST", "/", strings.NewReader(`{"email":"a"}`)), &v); err != nil || v.Email != "a" {
		t.Errorf("%v, %v", v, err)
	}
	if err := api.DecodeOptional(httptest.NewRequest("POST", "/", strings.NewReader(`[]`)), &v); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestIdsAreStringsOrNumbers(t *testing.T) {
	for text, want := range map[string]string{`" 7 "`: "7", `7`: "7", `9007199254740993`: "9007199254740993", `null`: "", `""`: ""} {
		var s api.StringOrNumber
		if err := json.Unmarshal([]byte(text), &s); err != nil || string(s) != want {
			t.Errorf("%s: %q, %v", text, s, err)
		}
	}
	var in struct {
		ID *api.StringOrNumber `json:"id"`
	}
	err := api.Decode(httptest.NewRequest("POST", "/", strings.NewReader(`{"id":{"x":1}}`)), &in)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "id: a string is expected") {
		t.Error(err)
	}
}
