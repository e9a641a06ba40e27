package main

import (
	"fmt"
	"sort"
	"strings"
)

const (
	definitionURL = "http://hl7.org/fhir/StructureDefinition/"
	systemURL     = "http://hl7.org/fhirpath/System."
)

// structureDefinition is the part of the resource that is read.
type structureDefinition struct {
	ID, Kind, Derivation, BaseDefinition string
	Abstract                             bool
	Snapshot                             struct{ Element []elementDefinition }
}

type elementDefinition struct {
	Path             string
	Min              int
	Max              string
	ContentReference string
	IsSummary        bool
	IsModifier       bool
	Type             []elementType
	Binding          *struct{ Strength, ValueSet string }
}

type elementType struct {
	Code          string
	TargetProfile []string
	Extension     []struct{ URL, ValueUrl string } //nolint:revive // the name is the JSON member's
}

type typeDef struct {
	name, kind, base string
	abstract         bool
	elements         []*elementDef
}

type elementDef struct {
	name, max string
	min       int
	flags     string // c: choice, s: summary, m: modifier, a: an XML attribute, which has no id or extension of its own
	types     []string
	valueSet  string // of a required binding, without version; "" for none
}

// line is all of an element but its type's name, so that an inherited element can be told by equality.
func (e *elementDef) line() string {
	return strings.Join([]string{e.name, fmt.Sprint(e.min), e.max, e.flags, strings.Join(e.types, " "), e.valueSet}, "\t")
}

func (t *typeDef) element(name string) *elementDef {
	for _, e := range t.elements {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (g *generator) readTypes(pkg string) error {
	all, err := readAll[structureDefinition](pkg, "StructureDefinition")
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Derivation == "constraint" || s.Kind == "logical" {
			continue
		}
		if err := g.addType(s); err != nil {
			return fmt.Errorf("%s: %w", s.ID, err)
		}
	}
	return g.sortTypes()
}

var kindLetters = map[string]string{"primitive-type": "p", "complex-type": "c", "resource": "r"}

func (g *generator) addType(s *structureDefinition) error {
	root := &typeDef{name: s.ID, kind: kindLetters[s.Kind], abstract: s.Abstract, base: strings.TrimPrefix(s.BaseDefinition, definitionURL)}
	if root.kind == "" {
		return fmt.Errorf("kind %q", s.Kind)
	}
	g.types[root.name] = root
	for _, e := range s.Snapshot.Element {
		at := strings.LastIndexByte(e.Path, '.')
		if at < 0 {
			continue // the type itself
		}
		parent := g.types[e.Path[:at]]
		if parent == nil {
			return fmt.Errorf("%s has no parent", e.Path)
		}
		if root.kind == "p" && e.Path[at+1:] == "value" {
			continue // the JSON value itself
		}
		d, err := g.element(root, &e, e.Path[at+1:])
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		parent.elements = append(parent.elements, d)
	}
	return nil
}

func (g *generator) element(root *typeDef, e *elementDefinition, name string) (*elementDef, error) {
	d := &elementDef{min: e.Min, max: e.Max}
	d.name, _ = strings.CutSuffix(name, "[x]")
	if d.name != name {
		d.flags += "c"
	}
	if e.IsSummary {
		d.flags += "s"
	}
	if e.IsModifier {
		d.flags += "m"
	}
	if e.Binding != nil && e.Binding.Strength == "required" {
		d.valueSet, _, _ = strings.Cut(e.Binding.ValueSet, "|")
		g.bound[d.valueSet] = true
	}
	if ref, ok := strings.CutPrefix(e.ContentReference, "#"); ok {
		d.types = []string{ref}
	}
	for _, t := range e.Type {
		code := t.Code
		if strings.HasPrefix(code, systemURL) {
			// A resource's id is an element like others; Element.id and Extension.url are attributes in XML.
			if code = "id"; root.kind != "r" || e.Path != root.name+".id" {
				code = systemType(&t)
				d.flags += "a"
			}
		}
		if code == "BackboneElement" || code == "Element" {
			g.types[e.Path] = &typeDef{name: e.Path, kind: "b", base: code}
			code = e.Path
		}
		d.types = append(d.types, code+targets(t.TargetProfile))
	}
	if len(d.types) == 0 {
		return nil, fmt.Errorf("no type")
	}
	if d.flags == "" {
		d.flags = "-"
	}
	return d, nil
}

// systemType names the FHIR type that an element with a FHIRPath System type has in JSON.
func systemType(t *elementType) string {
	for _, x := range t.Extension {
		if strings.HasSuffix(x.URL, "/structuredefinition-fhir-type") {
			return x.ValueUrl
		}
	}
	return "string"
}

func targets(profiles []string) string {
	names := make([]string, 0, len(profiles))
	for _, p := range profiles {
		name := strings.TrimPrefix(p, definitionURL)
		if name == "Resource" {
			return ""
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return ""
	}
	sort.Strings(names)
	return ">" + strings.Join(names, ",")
}

// sortTypes orders types after their bases, else by name, and drops elements that the base has just so.
func (g *generator) sortTypes() error {
	depth := func(t *typeDef) (n int) {
		for t.base != "" {
			t = g.types[t.base]
			n++
		}
		return n
	}
	for _, t := range g.types {
		if t.base != "" && g.types[t.base] == nil {
			return fmt.Errorf("%s: unknown base %s", t.name, t.base)
		}
		g.order = append(g.order, t)
	}
	sort.Slice(g.order, func(i, j int) bool {
		a, b := g.order[i], g.order[j]
		if x, y := depth(a), depth(b); x != y {
			return x < y
		}
		return a.name < b.name
	})
	return nil
}

// own returns the elements of t that differ from what its base has.
func (g *generator) own(t *typeDef) []*elementDef {
	if t.base == "" {
		return t.elements
	}
	var out []*elementDef
	for _, e := range t.elements {
		if b := g.inherited(t.base, e.name); b == nil || b.line() != e.line() {
			out = append(out, e)
		}
	}
	return out
}

func (g *generator) inherited(base, name string) *elementDef {
	return g.types[base].element(name)
}
