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

// TestInvariantsCompile holds that the engine reads every invariant of R4's own definitions.
func TestInvariantsCompile(t *testing.T) {
	dir := testfind.Examples(t)
	files, err := filepath.Glob(filepath.Join(dir, "StructureDefinition-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, path := range files {
		r := readResource(t, path)
		for e := r.Path("snapshot").Get("element").First(); e != nil; e = e.Next() {
			for c := e.Get("constraint").First(); c != nil; c = c.Next() {
				src := c.Str("expression")
				if src == "" || seen[src] {
					continue
				}
				seen[src] = true
				if _, err := Compile(src); err != nil && !brokenInvariant(src) {
					t.Errorf("%s %s: %s: %v", filepath.Base(path), c.Str("key"), src, err)
				}
			}
		}
	}
	t.Logf("%d invariants", len(seen))
}

// brokenInvariant names the expressions of R4 that are no FHIRPath.
func brokenInvariant(src string) bool {
	return strings.TrimSpace(src) == "-"
}
