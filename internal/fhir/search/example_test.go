package search_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/fhir/search/searchtest"
	"github.com/nilecare/nilecare/internal/testfind"
)

var options = search.Options{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}

type example struct {
	name    string
	doc     *search.Doc
	queries []searchtest.Query
}

// examples reads the official examples, by resource type.
func examples(t *testing.T) map[string][]example {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testfind.Examples(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]example{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.ParseResource(data)
		if err != nil || def.Lookup(r.Type()) == nil {
			continue // package.json and the like
		}
		qs, err := searchtest.QueriesFor(r)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
		doc := &search.Doc{Resource: r, Type: r.Type(), ID: r.ID(), Values: search.Extract(r, "")}
		out[doc.Type] = append(out[doc.Type], example{filepath.Base(f), doc, qs})
	}
	return out
}

func match(t *testing.T, d *search.Doc, param, value string) bool {
	t.Helper()
	query, err := search.Parse(d.Type, []search.Param{{Name: param, Value: value}}, options)
	if err != nil {
		t.Errorf("%s?%s=%.200s: %v", d.Type, param, value, err)
		return false
	}
	ok, err := search.Match(query.ByType[0].Pred, d, nil)
	if err != nil {
		t.Errorf("%s?%s=%.200s: %v", d.Type, param, value, err)
	}
	return ok
}

// exact are the search types whose values are compared as a whole.
func exact(typ, param string) bool {
	_, sp, _ := search.ParamAtoms(typ, param)
	return sp != nil && (sp.Type == "token" || sp.Type == "uri" || sp.Type == "reference") && param != "_profile"
}

// For every search parameter that an official example has a value for, a search by that value finds the example, says
// that the value is not missing, and finds of its neighbours those alone that have the same value; for every parameter
// that it has no value for, it is missing.
func TestExamplesAreFoundByTheirValues(t *testing.T) {
	resources, searches, absences, compared := 0, 0, 0, 0
	params := map[string]bool{}
	for typ, list := range examples(t) {
		for i, e := range list {
			resources++
			next := list[(i+1)%len(list)]
			has := map[searchtest.Query]bool{}
			for _, q := range next.queries {
				has[q] = true
			}
			for _, q := range e.queries {
				searches++
				if !match(t, e.doc, q.Param, q.Value) {
					t.Errorf("%s ?%s=%.200s: not found", e.name, q.Param, q.Value)
				}
				if exact(typ, q.Param) && !strings.HasSuffix(q.Value, "|") {
					compared++
					if got := match(t, next.doc, q.Param, q.Value); got != has[q] {
						t.Errorf("%s ?%s=%.200s, a value of %s: %v", next.name, q.Param, q.Value, e.name, got)
					}
				}
				_, sp, _ := search.ParamAtoms(typ, q.Param)
				if sp.Type != "composite" && sp.Type != "special" && q.Param != "_id" {
					if match(t, e.doc, q.Param+":missing", "true") {
						t.Errorf("%s ?%s: said to be missing", e.name, q.Param)
					}
				}
				params[typ+"."+q.Param] = true
			}
			absent, err := searchtest.Absent(e.doc.Resource)
			if err != nil {
				t.Error(err)
			}
			for _, p := range absent {
				absences++
				if !match(t, e.doc, p+":missing", "true") {
					t.Errorf("%s ?%s: said to be there", e.name, p)
				}
			}
		}
	}
	t.Logf("%d resources, %d searches by %d parameters, %d on neighbours, %d absences", resources, searches, len(params), compared, absences)
	if resources < 5000 || searches < 100_000 {
		t.Error("too few to prove anything")
	}
}

// A query's value is never told in an error: it may be a patient's.
func TestErrorsHoldNoValues(t *testing.T) {
	const secret = "Zaphod"
	for _, p := range []search.Param{{Name: "birthdate", Value: secret}, {Name: "_count", Value: secret}, {Name: "active:missing", Value: secret},
		{Name: "general-practitioner", Value: secret + " Beeblebrox"}, {Name: "identifier", Value: secret + "|a|b"}, {Name: "_summary", Value: secret},
		{Name: "identifier:of-type", Value: secret}, {Name: "_lastUpdated", Value: "gt" + secret}, {Name: "_contained", Value: secret}} {
		_, err := search.Parse("Patient", []search.Param{p}, options)
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}
