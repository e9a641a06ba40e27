package fhirrest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

func TestParseRoute(t *testing.T) {
	for path, want := range map[string]route{
		"":                               {place: atRoot},
		"/":                              {place: atRoot},
		"/metadata":                      {place: atMetadata},
		"/_history":                      {place: atSystemHistory},
		"/_search":                       {place: atSystemSearch},
		"/$export":                       {place: atSystemOperation, operation: "export"},
		"/Patient":                       {place: atType, typ: "Patient"},
		"/Patient/":                      {place: atType, typ: "Patient"},
		"Patient/1":                      {place: atInstance, typ: "Patient", id: "1"},
		"/Patient/_search":               {place: atTypeSearch, typ: "Patient"},
		"/Patient/_history":              {place: atTypeHistory, typ: "Patient"},
		"/Patient/$validate":             {place: atTypeOperation, typ: "Patient", operation: "validate"},
		"/Patient/1/_history":            {place: atInstanceHistory, typ: "Patient", id: "1"},
		"/Patient/1/$everything":         {place: atInstanceOperation, typ: "Patient", id: "1", operation: "everything"},
		"/Patient/1/_history/2":          {place: atVersion, typ: "Patient", id: "1", vid: "2"},
		"/Patient/1/Observation":         {place: atCompartment, typ: "Patient", id: "1", other: "Observation"},
		"/Patient/1/*":                   {place: atCompartment, typ: "Patient", id: "1", other: "*"},
		"/Patient/1/Observation/_search": {place: atCompartmentSearch, typ: "Patient", id: "1", other: "Observation"},
	} {
		if got, err := parseRoute(path); err != nil || got != want {
			t.Errorf("%q: %+v, %v", path, got, err)
		}
	}
	for _, path := range []string{"/nonsense", "/Nonsense", "/Resource", "/DomainResource", "/HumanName", "/Patient//1", "/Patient/1/x", "/Patient/1/_history/2/3",
		"/Observation/1/Patient", "/Patient/1/Nonsense", "/a/b/c/d/e/f", "/metadata/x", "/Patient/1/*/x"} {
		if got, err := parseRoute(path); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %+v, %v", path, got, err)
		}
	}
}

func TestParseRouteNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.StringOf(rapid.RuneFrom([]rune("/$_*aP%.\x00é"))).Draw(t, "path")
		if _, err := parseRoute(path); err != nil && !fault.Is(err, fault.NotFound) {
			t.Fatalf("%q: %v", path, err)
		}
	})
}

func TestParamsSurviveTheLinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.Rune().Filter(func(r rune) bool { return r != 0 && r != 0xfffd }))
		var in []param
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			in = append(in, param{Name: "n" + text.Draw(t, "name"), Value: text.Draw(t, "value")})
		}
		out, err := parseParams(string(appendParams(nil, in)))
		if err != nil || len(out) != len(in) {
			t.Fatalf("%q: %q, %v", in, out, err)
		}
		for i := range in {
			if in[i] != out[i] {
				t.Fatalf("%q became %q", in[i], out[i])
			}
		}
	})
}

func TestTagVersion(t *testing.T) {
	for tag, want := range map[string]int64{`W/"1"`: 1, `"12"`: 12, `3`: 3, ` W/"4" `: 4, `W/"999999999999999999"`: 999999999999999999,
		`W/"0"`: 0, `W/"-1"`: 0, `W/"01"`: 0, `"`: 0, ``: 0, `W/`: 0, `x`: 0, `W/"9999999999999999999"`: 0, `W/"1`: 0} {
		got, ok := tagVersion(tag)
		if got != want || ok != (want > 0) {
			t.Errorf("%q: %d, %v", tag, got, ok)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		vid := rapid.Int64Range(1, 999999999999999999).Draw(t, "vid")
		if got, ok := tagVersion(etag(vid)); !ok || got != vid {
			t.Fatalf("%d: %d, %v", vid, got, ok)
		}
	})
}

func TestParsePrefer(t *testing.T) {
	for line, want := range map[string]preference{
		"":                                    {},
		"return=minimal":                      {give: "minimal"},
		`return="representation"`:             {give: "representation"},
		"handling=lenient, return=minimal":    {give: "minimal", lenient: true},
		"return=OperationOutcome;handling=x":  {give: "OperationOutcome"},
		"respond-async, Return=minimal":       {give: "minimal"},
		"handling=lenient, handling=strict":   {},
		"return=nonsense, wait=10,,;;=, a=b=": {},
	} {
		if got := parsePrefer([]string{line}); got != want {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

func TestParseInstant(t *testing.T) {
	want := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-01-31T10:00:00Z", "2026-01-31T12:00:00+02:00", "2026-01-31T12:00:00 02:00", "2026-01-31T10:00:00.000Z"} {
		if got, err := parseInstant("_since", text); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "2026", "2026-01-31", "2026-01-31T10:00:00", "2026-02-30T10:00:00Z", "x", " ", "      x"} {
		if _, err := parseInstant("_since", text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseMoment(t *testing.T) {
	for text, want := range map[string][2]string{
		"2024":                      {"2024-01-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		"2024-02":                   {"2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		"2024-12":                   {"2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"},
		"2024-02-29":                {"2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		"2026-11-22T23:59":          {"2026-11-22T23:59:00Z", "2026-11-23T00:00:00Z"},
		"2026-11-22T23:59 02:00":    {"2026-11-22T21:59:00Z", "2026-11-22T22:00:00Z"},
		"2026-11-22T10:00:00":       {"2026-11-22T10:00:00Z", ""},
		"2026-11-22T10:00:00+02:00": {"2026-11-22T08:00:00Z", ""},
	} {
		start, end, err := parseMoment("_at", text)
		got := [2]string{start.UTC().Format(time.RFC3339)}
		if !end.IsZero() {
			got[1] = end.UTC().Format(time.RFC3339)
		}
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "x", "26", "2026-13", "2026-02-30", "2026-1-1", "2026-02-28T25:00", "gt2026"} {
		if _, _, err := parseMoment("_at", text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestEntryExpression(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "Bundle.entry[3]",
		"request.url":            "Bundle.entry[3].request.url",
		"Patient":                "Bundle.entry[3].resource",
		"Patient.name[0].family": "Bundle.entry[3].resource.name[0].family",
	} {
		if got := entryExpression(in, 3); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestShape(t *testing.T) {
	const body = `{"resourceType":"Patient","id":"1","meta":{"versionId":"1"},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},` +
		`"active":true,"_active":{"id":"a"},"name":[{"family":"F"}],"maritalStatus":{"text":"m"},"contact":[{"name":{"family":"C"}}],` +
		`"communication":[{"language":{"text":"x"}}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`
	const tag = `,"tag":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]`
	for _, x := range []struct {
		shape shape
		want  string
	}{
		{shape{summary: "text"}, `{"resourceType":"Patient","id":"1","meta":{"versionId":"1"` + tag + `},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}}`},
		{shape{summary: "true"}, `{"resourceType":"Patient","id":"1","meta":{"versionId":"1"` + tag + `},"active":true,"_active":{"id":"a"},"name":[{"family":"F"}],"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]}`},
		{shape{elements: []string{"active", "Patient.contact", "nonsense"}}, `{"resourceType":"Patient","id":"1","meta":{"versionId":"1"` + tag + `},"active":true,"_active":{"id":"a"},"contact":[{"name":{"family":"C"}}]}`},
	} {
		got, err := x.shape.append(nil, []byte(body))
		if err != nil || string(got) != x.want {
			t.Errorf("%+v:\n%s\nwant\n%s (%v)", x.shape, got, x.want, err)
		}
	}
	got, err := shape{summary: "data"}.append(nil, []byte(body))
	if n, perr := fhir.Parse(got); err != nil || perr != nil || n.Get("text") != nil || n.Get("communication") == nil {
		t.Errorf("data: %s (%v)", got, err)
	}
	// What is left points to contained resources, which come along; those that nothing points to any more do not.
	const claim = `{"resourceType":"CarePlan","id":"1","contained":[{"resourceType":"Condition","id":"a","asserter":{"reference":"#b"}},` +
		`{"resourceType":"Practitioner","id":"b"},{"resourceType":"Goal","id":"c"}],"addresses":[{"reference":"#a"}],"goal":[{"reference":"#c"}]}`
	got, err = shape{elements: []string{"addresses"}}.append(nil, []byte(claim))
	n, perr := fhir.Parse(got)
	if err != nil || perr != nil || n.Get("contained").Len() != 2 || n.Get("goal") != nil {
		t.Errorf("contained: %s (%v)", got, err)
	}
	// A choice is asked for by its FHIRPath name or its JSON name; what is mandatory comes along.
	const obs = `{"resourceType":"Observation","id":"1","status":"final","code":{"text":"c"},"valueQuantity":{"value":1},"issued":"2020-01-01T00:00:00Z"}`
	for _, name := range []string{"value", "valueQuantity"} {
		got, err := shape{elements: []string{name}}.append(nil, []byte(obs))
		n, perr := fhir.Parse(got)
		if err != nil || perr != nil || n.Get("valueQuantity") == nil || n.Get("status") == nil || n.Get("code") == nil || n.Get("issued") != nil {
			t.Errorf("%s: %s (%v)", name, got, err)
		}
	}
}

func TestEveryOperationAndPlaceIsServed(t *testing.T) {
	table := endpoints()
	for p := range places {
		if len(table[p]) == 0 || patterns[p] == "" {
			t.Errorf("place %d has no endpoint or no pattern", p)
		}
	}
	for _, o := range operations() {
		for _, typ := range o.types {
			if def.Lookup(typ) == nil {
				t.Errorf("$%s of %s", o.name, typ)
			}
		}
	}
}
