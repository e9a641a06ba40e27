package fhirpath

import (
	"errors"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// FuzzEval holds that no expression and no resource makes the engine panic or hang, and that failures have their kinds.
func FuzzEval(f *testing.F) {
	for _, seed := range []string{
		"Patient.name.given.first() | telecom.where(system = 'phone').value", "iif(active, 1 + 2.5 * 3, {})", "@2020-01-01T10:00:00.5+02:00 + 3 days",
		"4.5 'mg' ~ %x", "descendants().where($this is string).trace('a', length())", "name.repeat(given).distinct().sort(-$this)", "`a`.is(FHIR.Patient)",
		"birthDate.extension('x').value.lowBoundary(8)", "'a\\u0041'.replaceMatches('(.)', '$1$1').toChars().join('-')", "1 is Integer and 2 in (1 | 2)",
		"generalPractitioner.resolve().ofType(Practitioner)", "(1|2).aggregate($total + $this * $index, 0).power(30).sqrt().round(2)", "%`vs-x` & %ext-a-b",
		"children().type().name", "'3 days'.toQuantity().comparable(1 'h')", "text.div.htmlChecks()", "-1.abs() mod 2 div 1 xor true implies {}",
	} {
		f.Add(seed, sample)
	}
	f.Add("value.unit", `{"resourceType":"Observation","valueQuantity":{"value":1e5,"unit":"kg"},"_valueString":{"id":"x"},"component":[{"valueString":1}]}`)
	f.Fuzz(func(t *testing.T, expr, body string) {
		r, err := fhir.ParseResource([]byte(body))
		if err != nil {
			r = nil
		}
		_ = Check(expr, "Patient")
		e, err := Compile(expr)
		if err != nil {
			var s *SyntaxError
			if !errors.As(err, &s) || s.Offset < 0 || s.Offset > len(expr) {
				t.Fatalf("%q: %v", expr, err)
			}
			return
		}
		ctx := Context{Resource: r, Now: time.Unix(1e9, 0), MaxSteps: 20_000}
		out, err := e.AppendEval(nil, &ctx)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unprocessable && k != fault.TooCostly {
				t.Fatalf("%q: %v", expr, err)
			}
			return
		}
		again, err := e.AppendEval(nil, &ctx)
		if err != nil || len(again) != len(out) {
			t.Fatalf("%q: %d results, then %d, %v", expr, len(out), len(again), err)
		}
		for _, i := range out {
			if line := AppendResultJSON(nil, i); len(line) < 100_000 && !deep(i) {
				if _, err := fhir.ParseAny(line); err != nil {
					t.Fatalf("%q: %s: %v", expr, line, err)
				}
			}
		}
	})
}

// deep reports whether wrapping the item in a result would nest it over the parser's limit.
func deep(i Item) bool {
	var depth func(n *fhir.Node) int
	depth = func(n *fhir.Node) int {
		d := 0
		for c := n.First(); c != nil; c = c.Next() {
			d = max(d, depth(c))
		}
		return d + 1
	}
	return i.Node() != nil && depth(i.Node()) > fhir.MaxDepth-2
}

// FuzzTemporal holds that what is read is written back the same.
func FuzzTemporal(f *testing.F) {
	for _, seed := range []string{"2020", "2020-02-29", "2020-01-01T10:00:00.123456+02:00", "T10:30", "2015T", "2020-01-01T24:00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, ok := parseTemporalLiteral(s)
		if !ok {
			return
		}
		w, ok := ParseDateTime(v.String())
		if v.Kind == TimeKind {
			w, ok = ParseTime(v.String())
		}
		if !ok || v.String() != w.String() {
			t.Fatalf("%q became %q, then %q", s, v, w)
		}
	})
}
