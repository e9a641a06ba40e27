package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/testfind"
)

// TestCommitted holds that the committed file is what the generator makes of the published package, each time the same.
func TestCommitted(t *testing.T) {
	pkg := testfind.Examples(t)
	packed, err := os.ReadFile("../r4.txt.gz")
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	committed, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		text, notes, err := generate(pkg)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, committed) {
			t.Error("r4.txt.gz is not what go generate makes")
		}
		if len(notes) != 19 {
			t.Errorf("left out: %q", notes)
		}
	}
}

// TestSnapshots holds what package def loads against the published snapshots, element by element.
func TestSnapshots(t *testing.T) {
	all, err := readAll[structureDefinition](testfind.Examples(t), "StructureDefinition")
	if err != nil {
		t.Fatal(err)
	}
	elements := 0
	for _, s := range all {
		if s.Derivation == "constraint" || s.Kind == "logical" {
			continue
		}
		for _, e := range s.Snapshot.Element {
			at := strings.LastIndexByte(e.Path, '.')
			if at < 0 || s.Kind == "primitive-type" && strings.HasSuffix(e.Path, ".value") {
				continue
			}
			elements++
			checkElement(t, e, def.Lookup(e.Path[:at]), e.Path[at+1:])
		}
	}
	if elements < 7000 {
		t.Errorf("only %d elements", elements)
	}
}

func checkElement(t *testing.T, e elementDefinition, typ *def.Type, name string) {
	t.Helper()
	if typ == nil {
		t.Errorf("%s: no such type", e.Path)
		return
	}
	plain, choice := strings.CutSuffix(name, "[x]")
	got := typ.Element(plain)
	switch {
	case got == nil:
		t.Errorf("%s is missing", e.Path)
	case got.Path != e.Path || got.Min != e.Min || got.Choice != choice || got.Summary != e.IsSummary || got.Modifier != e.IsModifier:
		t.Errorf("%s: %+v", e.Path, got)
	case (got.Max == -1) != (e.Max == "*") || got.Max == 0 != (e.Max == "0"):
		t.Errorf("%s: max %d, want %s", e.Path, got.Max, e.Max)
	case len(got.Types) != max(len(e.Type), 1):
		t.Errorf("%s: types %v", e.Path, got.Types)
	case got.Binding != nil && (e.Binding == nil || e.Binding.Strength != "required"):
		t.Errorf("%s is bound to %s", e.Path, got.Binding.ValueSet)
	}
}

func TestNarrow(t *testing.T) {
	for _, c := range []struct{ expression, base, want string }{
		{"Patient.birthDate | Person.birthDate | RelatedPerson.birthDate", "Person", "Person.birthDate"},
		{"(Observation.value as Quantity) | (Observation.value as SampledData)", "Observation", "(Observation.value as Quantity) | (Observation.value as SampledData)"},
		{"Patient.a.where(x = '|' or y) | Person.b", "Patient", "Patient.a.where(x = '|' or y)"},
		{"(Patient.a | Patient.b).c | Person.b", "Patient", "(Patient.a | Patient.b).c"},
		{"PatientX.a | Patient.b", "Patient", "Patient.b"},
		{"Resource.id", "Patient", "Resource.id"},
		{"Observation | Observation.component", "Observation", "Observation | Observation.component"},
		{"name | alias", "InsurancePlan", "InsurancePlan.name | InsurancePlan.alias"},
		{"Device.extension('http://example.org')", "Device", "Device.extension('http://example.org').value"},
		{"Person.b", "Patient", ""},
		{"", "Patient", ""},
	} {
		if got := narrow(c.expression, c.base); got != c.want {
			t.Errorf("narrow(%q, %s) is %q, want %q", c.expression, c.base, got, c.want)
		}
	}
}

func TestExpand(t *testing.T) {
	content := map[string]*codeSystem{
		"s": {URL: "s", Content: "complete", Concept: []concept{{Code: "a", Concept: []concept{{Code: "b"}}}, {Code: "c"}}},
		"f": {URL: "f", Content: "fragment", Concept: []concept{{Code: "a"}}},
	}
	set := func(include, exclude []include) *valueSetResource {
		v := &valueSetResource{URL: "v"}
		v.Compose.Include, v.Compose.Exclude = include, exclude
		return v
	}
	for name, c := range map[string]struct {
		v    *valueSetResource
		want []string // nil: cannot be listed
	}{
		"whole system":      {set([]include{{System: "s"}}, nil), []string{"a", "b", "c"}},
		"listed":            {set([]include{{System: "s", Concept: []concept{{Code: "c"}}}}, nil), []string{"c"}},
		"listed of unknown": {set([]include{{System: "s", Concept: []concept{{Code: "z"}, {Code: "z"}}}}, nil), []string{"z"}},
		"excluded":          {set([]include{{System: "s"}}, []include{{System: "s", Concept: []concept{{Code: "a"}}}}), []string{"b", "c"}},
		"unknown system":    {set([]include{{System: "x"}}, nil), nil},
		"fragment":          {set([]include{{System: "f"}}, nil), nil},
		"filter":            {set([]include{{System: "s", Filter: []struct{ Op string }{{"is-a"}}}}, nil), nil},
		"other value sets":  {set([]include{{ValueSet: []string{"w"}}}, nil), nil},
		"nothing":           {set(nil, nil), nil},
	} {
		got, err := expand(c.v, content)
		if (err != nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		} else if err == nil && !slices.Equal(got.codes[got.systems[0]], c.want) {
			t.Errorf("%s: %v, want %v", name, got.codes, c.want)
		}
	}
}

func TestDoc(t *testing.T) {
	for _, c := range []struct{ text, base, want string }{
		{"The date\r\nof birth", "Patient", "The date"},
		{"Multiple Resources: \r\n\r\n* [Patient](patient.html): A date\r\n* [Person](person.html): Another\r\n", "Person", "Another"},
		{strings.Repeat("word ", 40), "Patient", strings.TrimSpace(strings.Repeat("word ", 23)) + "…"},
	} {
		if got := doc(c.text, c.base); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
