package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search/searchtest"
	"github.com/nilecare/nilecare/internal/testfind"
)

// refused are the official examples that break the specification that they are part of, by what the refusal says.
var refused = map[string]string{
	"ActivityDefinition-blood-tubes-supply.json":                                               "(txt-2)",                             // the narrative is a comment, "Snipped for Brevity"
	"ActivityDefinition-heart-valve-replacement.json":                                          "(txt-2)",                             // so here
	"EventDefinition-example.json":                                                             "(txt-2)",                             // so here
	"Questionnaire-zika-virus-exposure-assessment.json":                                        "(txt-2)",                             // so here
	"DeviceMetric-example.json":                                                                "may not refer to a DeviceDefinition", // parent is a Device
	"DeviceUseStatement-example.json":                                                          "may not refer to a Procedure",        // reasonReference has four other types
	"MedicationRequest-medrx0301.json":                                                         "performer may not refer to a Pract",  // the dispenser is an Organization
	"Observation-clinical-gender.json":                                                         "performer may not refer to a Enco",   // an Encounter performs nothing
	"ImplementationGuide-fhir.json":                                                            "ImplementationGuide needs ",          // name and status are missing
	"ig-r4.json":                                                                               "ImplementationGuide needs ",          // the same resource
	"Questionnaire-qs1.json":                                                                   "Questionnaire.item needs linkId",     // items for display have none
	"SearchParameter-codesystem-extensions-CodeSystem-author.json":                             "SearchParameter needs base",
	"SearchParameter-codesystem-extensions-CodeSystem-effective.json":                          "SearchParameter needs base",
	"SearchParameter-codesystem-extensions-CodeSystem-end.json":                                "SearchParameter needs base",
	"SearchParameter-codesystem-extensions-CodeSystem-keyword.json":                            "SearchParameter needs base",
	"SearchParameter-codesystem-extensions-CodeSystem-workflow.json":                           "SearchParameter needs base",
	"SearchParameter-valueset-extensions-ValueSet-author.json":                                 "SearchParameter needs base",
	"SearchParameter-valueset-extensions-ValueSet-effective.json":                              "SearchParameter needs base",
	"SearchParameter-valueset-extensions-ValueSet-end.json":                                    "SearchParameter needs base",
	"SearchParameter-valueset-extensions-ValueSet-keyword.json":                                "SearchParameter needs base",
	"SearchParameter-valueset-extensions-ValueSet-workflow.json":                               "SearchParameter needs base",
	"SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json": "an id is 1 to 64", // 65 characters
}

// example is one of the official examples. Its text stays on the disk.
type example struct {
	file, typ, id string
	queries       []searchtest.Query // each must find it
}

func (e *example) name() string { return e.typ + "/" + e.id }

func (e *example) read(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testfind.Examples(t), e.file))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var gathered struct {
	once sync.Once
	all  []example
}

// examples returns the official examples, in the order of their files' names.
func examples(t testing.TB) []example {
	t.Helper()
	dir := testfind.Examples(t)
	gathered.once.Do(func() { gathered.all = gather(t, dir) })
	if len(gathered.all) < 5000 {
		t.Fatalf("only %d examples", len(gathered.all))
	}
	return gathered.all
}

func gather(t testing.TB, dir string) []example {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	for _, f := range entries {
		if filepath.Ext(f.Name()) != ".json" || f.Name() == "package.json" || f.Name()[0] == '.' {
			continue // the package's own description
		}
		e := example{file: f.Name()}
		r, err := fhir.ParseResource(e.read(t))
		if err != nil || def.Lookup(r.Type()) == nil {
			t.Errorf("%s: no resource: %v", e.file, err)
			continue
		}
		e.typ, e.id = r.Type(), r.ID()
		if e.typ == "AuditEvent" {
			continue // the program's own ledger answers for these, and takes none from outside: internal/fhirrest stores them where there is no ledger
		}
		if e.queries, err = searchtest.QueriesFor(r); err != nil {
			t.Errorf("%s: %v", e.file, err)
		}
		for i := range e.queries { // the tree, which they are parts of, is let go
			e.queries[i].Value = string([]byte(e.queries[i].Value))
		}
		all = append(all, e)
	}
	return all
}

// question is a search that must find an example.
type question struct {
	*example
	searchtest.Query
}

// answerable are a type's search and the examples that it must find.
type answerable struct {
	typ string
	searchtest.Query
	examples map[string]string // Type/id → file
}

// grouped brings questions together that ask the same.
func grouped(qs []question) []answerable {
	type key struct {
		typ string
		searchtest.Query
	}
	at := map[key]int{}
	var out []answerable
	for _, q := range qs {
		k := key{q.typ, q.Query}
		i, known := at[k]
		if !known {
			i = len(out)
			at[k] = i
			out = append(out, answerable{q.typ, q.Query, map[string]string{}})
		}
		out[i].examples[q.name()] = q.file
	}
	return out
}

// questions returns the searches for the examples that can be stored: all of them, or for each parameter of each type those for
// the first, a middle and the last one of the examples that have a value, by its first and by its last value.
func questions(all []example, every bool) []question {
	byParam := map[string][][]question{}
	var order []string
	for i := range all {
		e := &all[i]
		if refused[e.file] != "" {
			continue
		}
		for _, q := range e.queries {
			key := e.typ + "." + q.Param
			of := byParam[key]
			if of == nil {
				order = append(order, key)
			}
			if len(of) == 0 || of[len(of)-1][0].example != e {
				of = append(of, nil)
			}
			of[len(of)-1] = append(of[len(of)-1], question{e, q})
			byParam[key] = of
		}
	}
	var out []question
	for _, key := range order {
		of := byParam[key]
		if every {
			for _, qs := range of {
				out = append(out, qs...)
			}
			continue
		}
		for _, i := range slices.Compact([]int{0, len(of) / 2, len(of) - 1}) {
			for _, j := range slices.Compact([]int{0, len(of[i]) - 1}) {
				out = append(out, of[i][j])
			}
		}
	}
	return out
}
