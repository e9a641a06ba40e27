// Command generate makes the embedded R4 definitions of package def out of the published npm package
// hl7.fhir.r4.examples 4.0.1 (CC0), which holds every StructureDefinition, SearchParameter, ValueSet, CodeSystem and
// CompartmentDefinition of the specification beside the examples.
//
// The output is a text of lines with tabs, compressed; package def's load.go describes and reads it. The same input
// gives the same text.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

func main() {
	pkg := flag.String("package", "../../../.cache/r4-examples/package", "folder of the unpacked npm package")
	out := flag.String("out", "r4.txt.gz", "file to write; - writes the text, uncompressed, to standard output")
	flag.Parse()
	if err := run(*pkg, *out); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(pkg, out string) error {
	text, notes, err := generate(pkg)
	if err != nil {
		return err
	}
	if out == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(os.Stderr, n)
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(text); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, b.Bytes(), 0o644)
}

// generate returns the text, and what of the definitions was left out.
func generate(pkg string) (text []byte, notes []string, err error) {
	g := &generator{types: map[string]*typeDef{}, bound: map[string]bool{}}
	if err := g.readTypes(pkg); err != nil {
		return nil, nil, err
	}
	if err := g.readBindings(pkg); err != nil {
		return nil, nil, err
	}
	if err := g.readParams(pkg); err != nil {
		return nil, nil, err
	}
	if err := g.readCompartments(pkg); err != nil {
		return nil, nil, err
	}
	return g.write(), g.notes, nil
}

// generator gathers the definitions before they are written in one go.
type generator struct {
	types        map[string]*typeDef
	order        []*typeDef      // a type after its base
	bound        map[string]bool // value sets of required bindings, by URL without version
	sets         []*valueSet     // those that can be enumerated, by URL
	params       map[string][]*param
	compartments []*compartment
	notes        []string
}

func (g *generator) note(format string, args ...any) {
	g.notes = append(g.notes, fmt.Sprintf(format, args...))
}

// readAll decodes each file of the package whose name begins so, in the order of their names.
func readAll[T any](pkg, prefix string) ([]*T, error) {
	names, err := filepath.Glob(filepath.Join(pkg, prefix+"-*.json"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no %s-*.json in %s", prefix, pkg)
	}
	sort.Strings(names)
	out := make([]*T, 0, len(names))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		v := new(T)
		if err := json.Unmarshal(data, v); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		out = append(out, v)
	}
	return out, nil
}
