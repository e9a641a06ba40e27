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

// For every search parameter that an official example has a value for, a search by that value finds the example.
func TestExamplesAreFoundByTheirValues(t *testing.T) {
	dir := testfind.Examples(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	opt := search.Options{Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	resources, queries, failed := 0, 0, 0
	params := map[string]bool{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.ParseResource(data)
		if err != nil || def.Lookup(r.Type()) == nil {
			continue // package.json and the like
		}
		resources++
		qs, err := searchtest.QueriesFor(r)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
			continue
		}
		doc := &search.Doc{Resource: r, Type: r.Type(), ID: r.ID(), Values: search.Extract(r, "")}
		for _, q := range qs {
			queries++
			params[r.Type()+"."+q.Param] = true
			if msg := find(doc, q, opt); msg != "" {
				if failed++; failed < 60 {
					t.Errorf("%s ?%s=%.200s: %s", filepath.Base(f), q.Param, q.Value, msg)
				}
			}
		}
	}
	t.Logf("%d resources, %d searches by %d parameters, %d failed", resources, queries, len(params), failed)
	if resources < 5000 || queries < 100_000 {
		t.Errorf("%d resources, %d searches: too few to prove anything", resources, queries)
	}
}

func find(d *search.Doc, q searchtest.Query, opt search.Options) string {
	query, err := search.Parse(d.Type, []search.Param{{Name: q.Param, Value: q.Value}}, opt)
	if err != nil {
		return err.Error()
	}
	ok, err := search.Match(query.ByType[0].Pred, d, nil)
	switch {
	case err != nil:
		return err.Error()
	case !ok:
		return "not found"
	}
	missing, err := search.Parse(d.Type, []search.Param{{Name: q.Param + ":missing", Value: "true"}}, opt)
	if err != nil {
		if strings.Contains(err.Error(), "does not apply") {
			return ""
		}
		return err.Error()
	}
	if ok, _ := search.Match(missing.ByType[0].Pred, d, nil); ok {
		return "said to be missing"
	}
	return ""
}
