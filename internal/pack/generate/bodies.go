package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// definitional are the types that the official package has in great number and a hospital stores rarely.
var definitional = []string{"StructureDefinition", "ValueSet", "CodeSystem", "SearchParameter", "OperationDefinition", "ConceptMap",
	"CapabilityStatement", "CompartmentDefinition", "StructureMap", "ImplementationGuide", "NamingSystem", "Bundle", "Parameters",
	"GraphDefinition", "MessageDefinition", "ExampleScenario", "TestScript", "TestReport", "TerminologyCapabilities"}

// longest is the largest body that is learnt from: longer ones find their repetitions in themselves.
const longest = 8 << 10

func exampleBodies(dir string) ([][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*-*.json"))
	if err != nil || len(paths) == 0 {
		return nil, errors.Join(errors.New("no official examples in "+dir+" (make fixtures)"), err)
	}
	var out [][]byte
	for _, path := range paths {
		typ, _, _ := strings.Cut(filepath.Base(path), "-")
		if slices.Contains(definitional, typ) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r, err := fhir.ParseResource(text)
		if err != nil {
			continue // some examples are broken on purpose
		}
		// Narratives tell one example's story in English; they teach nothing about the next.
		if t := r.Get("text"); t != nil {
			t.Set("div", fhir.NewString(`<div xmlns="http://www.w3.org/1999/xhtml">`))
		}
		if b := body(r); len(b) <= longest {
			out = append(out, b)
		}
	}
	return out, nil
}

// body is a resource as the store packs it: without what stands in columns; on the first line what is inside meta, then the rest.
func body(r *fhir.Resource) []byte {
	r = r.Clone()
	r.Delete("resourceType")
	r.Delete("id")
	var out []byte
	if meta := r.Get("meta"); meta != nil {
		r.Remove(meta)
		meta.Delete("versionId")
		meta.Delete("lastUpdated")
		out = append(out, inner(meta)...)
	}
	return append(append(out, '\n'), inner(r.Node)...)
}

// inner is an object's JSON without its braces.
func inner(n *fhir.Node) []byte {
	b := n.AppendJSON(nil)
	return b[1 : len(b)-1]
}
