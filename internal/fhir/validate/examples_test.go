package validate_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
	"github.com/nilecare/nilecare/internal/testfind"
)

// invalidExamples are the official examples that break the specification that they are part of, by what they break.
var invalidExamples = map[string]string{
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

func TestExamples(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(testfind.Examples(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range names {
		base := filepath.Base(name)
		if base == "package.json" || strings.HasPrefix(base, ".") {
			continue // the package's own description, no resource
		}
		r := readResource(t, name)
		issues := validate.Resource(r)
		checked++
		want, invalid := invalidExamples[base]
		found := false
		for _, i := range issues {
			switch {
			case invalid && strings.Contains(i.Diagnostics, want):
				found = true
			case !invalid || i.Severity == "error" && !strings.HasPrefix(i.Expression, "ImplementationGuide."):
				t.Errorf("%s: %s %s %s %s", base, i.Severity, i.Code, i.Expression, i.Diagnostics)
			}
		}
		if invalid && !found {
			t.Errorf("%s: no issue says %q", base, want)
		}
	}
	if checked < 5000 {
		t.Errorf("only %d examples", checked)
	}
}

func readResource(t testing.TB, name string) *fhir.Resource {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := fhir.ParseResource(data)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(name), err)
	}
	return r
}

// TestSynthea validates whole transaction Bundles of synthetic patients, conditional references among them.
func TestSynthea(t *testing.T) {
	want := 100
	if testing.Short() {
		want = 5
	}
	bundles := 0
	eachSynthea(t, func(name string, r *fhir.Resource) bool {
		for _, i := range (validate.Options{AllowConditional: true}).Resource(r) {
			t.Errorf("%s: %+v", name, i)
		}
		bundles++
		return bundles < want
	})
	if bundles == 0 {
		t.Error("no bundles in the archive")
	}
}

func eachSynthea(t testing.TB, f func(name string, r *fhir.Resource) bool) {
	t.Helper()
	file, err := os.Open(testfind.Shared(t, "data", "synthea-100-patients.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.ParseResource(data)
		if err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		if !f(filepath.Base(h.Name), r) {
			return
		}
	}
}
