package fhir_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/testfind"
)

// TestExamples reads and writes every official example: the text that is written has the value of the one that was read,
// as the standard library decodes both, and the same tree.
func TestExamples(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(testfind.Examples(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 5000 {
		t.Fatalf("only %d examples", len(names))
	}
	for _, name := range names {
		in, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fhir.Parse(in)
		if err != nil {
			if filepath.Base(name) != "package.json" && filepath.Base(name)[0] != '.' {
				t.Errorf("%s: %v", filepath.Base(name), err)
			}
			continue
		}
		out := n.AppendJSON(nil)
		m, err := fhir.Parse(out)
		if err != nil || !m.Equal(n) || string(m.AppendJSON(nil)) != string(out) {
			t.Errorf("%s: not the same when read again: %v", filepath.Base(name), err)
		}
		if len(in) > 256<<10 {
			continue // Bundles of what stands in files of its own
		}
		if !reflect.DeepEqual(decode(t, in), decode(t, out)) {
			t.Errorf("%s: the value changed", filepath.Base(name))
		}
	}
}
