package fhirrest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// echo answers with what it got, and fails where it is asked to.
func echo(ctx context.Context, in *fhir.Resource) (*fhir.Resource, error) {
	if strings.Contains(string(in.AppendJSON(nil)), "fail") {
		return nil, fault.New(fault.Conflict, "%s was told to", access.From(ctx).Who)
	}
	return in, nil
}

func TestOperationsOfOthers(t *testing.T) {
	h := fhirrest.New(fhirrest.Config{Records: storetest.SQLite(t, record.Options{}), Operations: []fhirrest.Operation{
		{Type: "Appointment", Name: "find", Definition: "http://example.org/find", Get: true, Run: echo}, {Type: "Appointment", Name: "book", Definition: "http://example.org/book", Run: echo},
	}})
	const body = `{"resourceType":"Parameters","parameter":[{"name":"a","valueInteger":1},{"name":"r","resource":{"resourceType":"Patient"}}]}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/Appointment/$find?start=2026-11-29&x=1&x=2", "", 200, `"parameter":[{"name":"start","valueString":"2026-11-29"},{"name":"x","valueString":"1"},{"name":"x","valueString":"2"}]`},
		{"GET", "/Appointment/$find", "", 200, `{"resourceType":"Parameters"}`},
		{"POST", "/Appointment/$book?b=2", body, 200, `{"name":"a","valueInteger":1},{"name":"r","resource":{"resourceType":"Patient"}},{"name":"b","valueString":"2"}`},
		{"GET", "/Appointment/$book", "", 405, "POST"},
		{"POST", "/Appointment/$book", `{"resourceType":"Patient"}`, 400, "takes Parameters"},
		{"POST", "/Appointment/$book", `{"resourceType":"Parameters","parameter":[{}]}`, 400, ""},
		{"POST", "/Appointment/$book?a=fail", "", 409, "system was told to"},
		{"GET", "/Patient/$find", "", 404, "not known here"},
		{"GET", "/Appointment/1/$find", "", 404, "not known here"},
		{"POST", "", `{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Appointment/$find?q=7"}}]}`, 200, `"valueString":"7"`},
	} {
		w := ask(h, c.method, "/fhir/R4"+c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
	said := ask(h, "GET", "/fhir/R4/metadata", "").Body.String()
	if strings.Count(said, "http://example.org/find") != 1 || !strings.Contains(said, `{"name":"book","definition":"http://example.org/book"}`) {
		t.Error("the CapabilityStatement does not tell them, of the one type")
	}
}
