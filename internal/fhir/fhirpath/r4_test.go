package fhirpath

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/testfind"
)

// TestSearchParametersCompile holds that the engine reads every expression that R4's search parameters have.
func TestSearchParametersCompile(t *testing.T) {
	count := 0
	for _, typ := range def.ResourceTypes() {
		for _, p := range def.SearchParams(typ.Name) {
			for _, src := range expressionsOf(p) {
				count++
				if _, err := Compile(src); err != nil {
					t.Errorf("%s.%s: %s: %v", typ.Name, p.Code, src, err)
				}
			}
		}
	}
	if count < 1000 {
		t.Errorf("only %d expressions", count)
	}
}

func expressionsOf(p *def.SearchParam) []string {
	var out []string
	if p.Expression != "" {
		out = append(out, p.Expression)
	}
	for _, c := range p.Components {
		if c.Expression != "" {
			out = append(out, c.Expression)
		}
	}
	return out
}

// TestSearchParametersOnExamples evaluates every search parameter of its type on every official example: none may fail.
func TestSearchParametersOnExamples(t *testing.T) {
	dir := testfind.Examples(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string][]*Expr{}
	var buf Collection
	resources, values := 0, 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.ParseResource(data)
		if err != nil {
			continue
		}
		typ := r.Type()
		if _, ok := compiled[typ]; !ok {
			compiled[typ] = nil
			for _, p := range def.SearchParams(typ) {
				if p.Expression != "" {
					compiled[typ] = append(compiled[typ], MustCompile(p.Expression))
				}
			}
		}
		resources++
		for _, e := range compiled[typ] {
			if buf, err = e.AppendEval(buf[:0], &Context{Resource: r}); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), e, err)
			}
			values += len(buf)
		}
	}
	t.Logf("%d resources, %d values", resources, values)
	if values == 0 {
		t.Error("no values")
	}
}

// invariant is one constraint of R4's definitions: where it applies, and what must hold there.
type invariant struct {
	key      string
	at, rule *Expr
}

// readInvariants reads the constraints of severity error of every R4 resource type; all must compile.
func readInvariants(t *testing.T) map[string][]invariant {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testfind.Examples(t), "StructureDefinition-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]invariant{}
	for _, file := range files {
		r := readResource(t, file)
		if r.Str("derivation") != "specialization" || r.Str("kind") != "resource" {
			continue
		}
		seen := map[string]bool{}
		for e := r.Path("snapshot").Get("element").First(); e != nil; e = e.Next() {
			path := strings.ReplaceAll(e.Str("path"), "[x]", "")
			for c := e.Get("constraint").First(); c != nil; c = c.Next() {
				key := path + " " + c.Str("key")
				if c.Str("severity") != "error" || c.Str("expression") == "" || seen[key] {
					continue
				}
				seen[key] = true
				rule, err := Compile(c.Str("expression"))
				if err != nil {
					t.Errorf("%s: %s: %v", key, c.Str("expression"), err)
					continue
				}
				out[r.Str("type")] = append(out[r.Str("type")], invariant{key, MustCompile(path), rule})
			}
		}
	}
	return out
}

// brokenExamples are the official examples that break an invariant of their own specification.
var brokenExamples = map[string]string{
	"Bundle-dataelements.json Bundle bdl-7":                    "twelve entries have the fullUrl and version of another",
	"StructureDefinition-Event.json StructureDefinition sdf-4": "neither abstract nor based on another",
}

// TestInvariantsOnExamples evaluates R4's invariants on official examples: none may fail to evaluate, and the examples
// keep them.
func TestInvariantsOnExamples(t *testing.T) {
	rules := readInvariants(t)
	files, err := filepath.Glob(filepath.Join(testfind.Examples(t), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	for i, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if i%6 != 0 || info.Size() > 300_000 {
			continue // a sample is enough for a test that runs often
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := fhir.ParseResource(data)
		if err != nil {
			continue // the package's own index files
		}
		for _, v := range rules[r.Type()] {
			places, err := v.at.EvalResource(r)
			if err != nil {
				t.Fatal(v.at, err)
			}
			for _, p := range places {
				runs++
				value, ok, err := v.rule.Bool(Context{Resource: r, Focus: p, AsFilters: true})
				key := filepath.Base(file) + " " + v.key
				if _, known := brokenExamples[key]; err != nil || ok && !value && !known {
					t.Errorf("%s: %s is %v, %v", key, v.rule, value, err)
				}
			}
		}
	}
	t.Logf("%d evaluations", runs)
}
