package patch

import (
	"encoding/json"
	"encoding/xml"
	"os"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/testfind"
)

// TestJSONSuite runs the official JSON Patch cases.
func TestJSONSuite(t *testing.T) {
	data, err := os.ReadFile(testfind.Shared(t, "suites", "patch-r4", "json-patch-tests.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Comment              string
		Doc, Patch, Expected json.RawMessage
		Error                string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Comment, func(t *testing.T) {
			doc := parse(t, c.Doc)
			before := doc.Clone()
			got, err := JSON(doc, c.Patch)
			if !doc.Equal(before) {
				t.Error("the input has changed")
			}
			if c.Error != "" {
				if err == nil {
					t.Fatalf("an error was expected: %s", c.Error)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := parse(t, c.Expected); !got.Equal(want) {
				t.Errorf("got %s, want %s", got.AppendJSON(nil), want.AppendJSON(nil))
			}
		})
	}
	t.Logf("%d cases", len(cases))
}

func parse(t testing.TB, data []byte) *fhir.Node {
	t.Helper()
	n, err := fhir.ParseAny(data)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestFHIRPathSuite runs the official FHIRPath Patch cases.
func TestFHIRPathSuite(t *testing.T) {
	data, err := os.ReadFile(testfind.Shared(t, "suites", "patch-r4", "fhir-patch-tests.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var file element
	if err := xml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	for i := range file.Children {
		c := &file.Children[i]
		name, _ := c.attr("name")
		t.Run(name, func(t *testing.T) { runFHIRPathCase(t, c) })
	}
	t.Logf("%d cases", len(file.Children))
}

func runFHIRPathCase(t *testing.T, c *element) {
	doc := resourceOf(t, &c.child("input").Children[0])
	before := doc.Clone()
	got, err := FHIRPath(doc, resourceOf(t, &c.child("diff").Children[0]))
	if !doc.Equal(before.Node) {
		t.Error("the input has changed")
	}
	if c.child("error") != nil {
		if err == nil {
			t.Fatal("an error was expected")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	want := resourceOf(t, &c.child("output").Children[0])
	for _, r := range [...]*fhir.Resource{got, want} {
		if div := r.Path("text", "div"); div != nil {
			div.Text = normalXHTML(t, div.Text)
		}
	}
	if !got.Equal(want.Node) {
		t.Errorf("got %s\nwant %s", got.AppendJSON(nil), want.AppendJSON(nil))
	}
}
