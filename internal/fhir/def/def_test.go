package def

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestCounts holds what R4 4.0.1 has.
func TestCounts(t *testing.T) {
	count := map[TypeKind]int{}
	for _, x := range load().types {
		count[x.Kind]++
	}
	if got, want := len(ResourceTypes()), 146; got != want {
		t.Errorf("%d concrete resource types, want %d", got, want)
	}
	if count[ResourceKind] != 148 || count[Primitive] != 20 || count[Complex] != 41 || count[Backbone] < 450 {
		t.Errorf("types by kind: %v", count)
	}
	definitions := map[string]bool{}
	for _, r := range ResourceTypes() {
		for _, p := range SearchParams(r.Name) {
			definitions[p.URL] = true
		}
	}
	if got, want := len(definitions), 1385; got != want {
		t.Errorf("%d search parameters, want %d", got, want)
	}
	if got := len(load().compartments); got != 5 {
		t.Errorf("%d compartments, want 5", got)
	}
	if got, want := len(load().sets()), 220; got != want {
		t.Errorf("%d value sets, want %d", got, want)
	}
}

// sets gathers the value sets that elements are bound to.
func (c *catalog) sets() map[string]*Binding {
	out := map[string]*Binding{}
	for _, t := range c.types {
		for _, e := range t.Elements {
			if e.Binding != nil {
				out[e.Binding.ValueSet] = e.Binding
			}
		}
	}
	return out
}

func TestNumbers(t *testing.T) {
	for i, r := range ResourceTypes() {
		if r.Num != i+1 || ByNum(r.Num) != r || Lookup(r.Name) != r {
			t.Errorf("%s has the number %d", r.Name, r.Num)
		}
		if r.Abstract || !r.IsA("Resource") {
			t.Errorf("%s is no concrete resource type", r.Name)
		}
	}
	// Stored index rows bear these numbers: they must never change.
	for name, num := range map[string]int{"Account": 1, "Observation": 96, "Patient": 103, "VisionPrescription": 146} {
		if got := Lookup(name).Num; got != num {
			t.Errorf("%s has the number %d, want %d", name, got, num)
		}
	}
	if ByNum(0) != nil || ByNum(-1) != nil || ByNum(147) != nil || Lookup("patient") != nil {
		t.Error("a type where there is none")
	}
	for _, name := range []string{"Resource", "DomainResource", "HumanName"} {
		if Lookup(name).Num != 0 {
			t.Errorf("%s has a number", name)
		}
	}
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		typ, name, path, want string
		targets               string
	}{
		{"Patient", "id", "Patient.id", "id", ""},
		{"Patient", "birthDate", "Patient.birthDate", "date", ""},
		{"Patient", "contained", "Patient.contained", "Resource", ""},
		{"Patient", "contact", "Patient.contact", "Patient.contact", ""},
		{"Patient", "deceasedBoolean", "Patient.deceased[x]", "boolean", ""},
		{"Patient", "managingOrganization", "Patient.managingOrganization", "Reference", "Organization"},
		{"Patient.contact", "id", "Patient.contact.id", "string", ""},
		{"Patient.contact", "modifierExtension", "Patient.contact.modifierExtension", "Extension", ""},
		{"HumanName", "id", "HumanName.id", "string", ""},
		{"Extension", "url", "Extension.url", "uri", ""},
		{"Extension", "valueBase64Binary", "Extension.value[x]", "base64Binary", ""},
		{"Extension", "valueCodeableConcept", "Extension.value[x]", "CodeableConcept", ""},
		{"Extension", "valueReference", "Extension.value[x]", "Reference", ""},
		{"Extension", "valueMeta", "Extension.value[x]", "Meta", ""},
		{"Questionnaire.item", "item", "Questionnaire.item.item", "Questionnaire.item", ""},
		{"QuestionnaireResponse.item.answer", "item", "QuestionnaireResponse.item.answer.item", "QuestionnaireResponse.item", ""},
		{"Bundle.entry", "link", "Bundle.entry.link", "Bundle.link", ""},
		{"Bundle.entry", "resource", "Bundle.entry.resource", "Resource", ""},
		{"Parameters.parameter", "part", "Parameters.parameter.part", "Parameters.parameter", ""},
		{"Parameters.parameter", "valueAge", "Parameters.parameter.value[x]", "Age", ""},
		{"Observation.component", "referenceRange", "Observation.component.referenceRange", "Observation.referenceRange", ""},
		{"Observation", "valueQuantity", "Observation.value[x]", "Quantity", ""},
		{"Observation", "subject", "Observation.subject", "Reference", "Device,Group,Location,Patient"},
		{"Timing", "repeat", "Timing.repeat", "Timing.repeat", ""},
		{"Timing.repeat", "boundsPeriod", "Timing.repeat.bounds[x]", "Period", ""},
		{"Age", "value", "Age.value", "decimal", ""},
		{"Provenance", "target", "Provenance.target", "Reference", ""},
		{"PlanDefinition.action", "definitionCanonical", "PlanDefinition.action.definition[x]", "canonical", "ActivityDefinition,PlanDefinition,Questionnaire"},
		{"Narrative", "div", "Narrative.div", "xhtml", ""},
		{"string", "extension", "string.extension", "Extension", ""},
	} {
		f, ok := Lookup(c.typ).Field(c.name)
		if !ok {
			t.Errorf("%s has no %s", c.typ, c.name)
			continue
		}
		if f.Path != c.path || f.Type.Name != c.want || strings.Join(f.Targets, ",") != c.targets {
			t.Errorf("%s %s: path %s, type %s, targets %v; want %+v", c.typ, c.name, f.Path, f.Type.Name, f.Targets, c)
		}
	}
	for _, c := range [][2]string{{"Patient", "deceased"}, {"Patient", "deceasedString"}, {"Patient", "deceased[x]"}, {"Patient", "_birthDate"},
		{"Patient", "resourceType"}, {"Bundle", "text"}, {"Binary", "contained"}, {"HumanName", "modifierExtension"}, {"string", "value"}} {
		if _, ok := Lookup(c[0]).Field(c[1]); ok {
			t.Errorf("%s has %s", c[0], c[1])
		}
	}
}

func TestElements(t *testing.T) {
	patient := Lookup("Patient")
	var names []string
	for _, e := range patient.Elements {
		names = append(names, e.Name)
	}
	want := "id meta implicitRules language text contained extension modifierExtension identifier active name telecom gender birthDate " +
		"deceased address maritalStatus multipleBirth photo contact communication generalPractitioner managingOrganization link"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("Patient's elements: %s", got)
	}
	if e := patient.Element("deceased"); !e.Choice || !e.Modifier || !e.Summary || e.Min != 0 || e.Max != 1 || len(e.Types) != 2 {
		t.Errorf("deceased[x]: %+v", e)
	}
	if e := patient.Element("name"); e.Max != -1 || e.Choice || e.Modifier {
		t.Errorf("name: %+v", e)
	}
	if e := Lookup("Extension").Element("value"); len(e.Types) != 50 {
		t.Errorf("Extension.value[x] has %d types, want 50", len(e.Types))
	}
	for _, c := range []struct {
		typ, name string
		attr      bool
	}{{"Extension", "url", true}, {"HumanName", "id", true}, {"Patient.contact", "id", true}, {"string", "id", true}, {"Patient", "id", false}, {"ValueSet", "url", false}} {
		if got := Lookup(c.typ).Element(c.name).Attr; got != c.attr {
			t.Errorf("%s.%s: Attr is %v", c.typ, c.name, got)
		}
	}
	for _, x := range load().types {
		if len(x.Elements) > 64 {
			t.Errorf("%s has %d elements: Index does not fit Required", x.Name, len(x.Elements))
		}
		for i, e := range x.Elements {
			if e.Index != i || (e.Min > 0) != (x.Required>>i&1 == 1) {
				t.Errorf("%s: Index %d, Required %b", e.Path, e.Index, x.Required)
			}
			if e.Path != x.Name+"."+e.Name && e.Path != x.Name+"."+e.Name+"[x]" {
				t.Errorf("%s in %s", e.Path, x.Name)
			}
			for _, r := range e.Types {
				if r.Type == nil {
					t.Errorf("%s has a type that is unknown", e.Path)
				}
			}
		}
	}
}

func TestBases(t *testing.T) {
	for name, bases := range map[string]string{"Patient": "DomainResource Resource", "Bundle": "Resource", "Patient.contact": "BackboneElement Element",
		"Timing.repeat": "Element", "Dosage": "BackboneElement Element", "Age": "Quantity Element", "code": "string Element", "uuid": "uri Element", "Resource": ""} {
		var got []string
		for b := Lookup(name).Base; b != nil; b = b.Base {
			got = append(got, b.Name)
			if !Lookup(name).IsA(b.Name) {
				t.Errorf("%s is no %s", name, b.Name)
			}
		}
		if strings.Join(got, " ") != bases {
			t.Errorf("%s derives from %v, want %s", name, got, bases)
		}
	}
}

func TestBindings(t *testing.T) {
	for _, c := range []struct {
		typ, element, system, code string
		want                       bool
	}{
		{"Patient", "gender", "", "female", true},
		{"Patient", "gender", "", "Female", false},
		{"Patient", "gender", "", "", false},
		{"Patient", "gender", "http://hl7.org/fhir/administrative-gender", "female", true},
		{"Patient", "gender", "http://example.org", "female", false},
		{"Condition", "verificationStatus", "http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed", true},
		{"Condition", "verificationStatus", "http://terminology.hl7.org/CodeSystem/condition-ver-status", "provisional", true}, // nested
		{"Condition", "clinicalStatus", "http://terminology.hl7.org/CodeSystem/condition-clinical", "active", true},
		{"Condition", "clinicalStatus", "http://snomed.info/sct", "active", false},
		{"Questionnaire.item", "type", "", "string", true},
		{"Questionnaire.item", "type", "", "question", false}, // it only groups the types of questions
		{"Quantity", "comparator", "", ">=", true},
		{"Timing.repeat", "durationUnit", "", "wk", true},
		{"SearchParameter", "base", "", "Patient", true},
		{"StructureDefinition", "fhirVersion", "", "4.0.1", true},
		{"Bundle.entry.request", "method", "", "PATCH", true},
	} {
		b := Lookup(c.typ).Element(c.element).Binding
		if b == nil {
			t.Errorf("%s.%s has no binding", c.typ, c.element)
		} else if got := b.Has(c.system, c.code); got != c.want {
			t.Errorf("%s.%s: Has(%q, %q) is %v", c.typ, c.element, c.system, c.code, got)
		}
	}
	for _, c := range [][2]string{{"Attachment", "contentType"}, {"Money", "currency"}, {"Patient", "maritalStatus"}, {"Patient", "language"}} {
		if b := Lookup(c[0]).Element(c[1]).Binding; b != nil {
			t.Errorf("%s.%s is bound to %s", c[0], c[1], b.ValueSet)
		}
	}
}

func TestSystemOf(t *testing.T) {
	for _, c := range []struct{ typ, element, code, want string }{
		{"Patient", "gender", "female", "http://hl7.org/fhir/administrative-gender"},
		{"Patient", "gender", "Female", ""},
		{"SearchParameter", "base", "Patient", "http://hl7.org/fhir/resource-types"},
		{"ParameterDefinition", "type", "Patient", "http://hl7.org/fhir/resource-types"},
		{"ParameterDefinition", "type", "string", "http://hl7.org/fhir/data-types"},
	} {
		if got := Lookup(c.typ).Element(c.element).Binding.SystemOf(c.code); got != c.want {
			t.Errorf("%s.%s %s is of %q, want %q", c.typ, c.element, c.code, got, c.want)
		}
	}
	for _, b := range load().sets() {
		if n := len(b.Systems()); n == 0 || n > 32 {
			t.Errorf("%s draws on %d systems", b.ValueSet, n)
		}
	}
}

func find(t *testing.T, typ, code string) *SearchParam {
	t.Helper()
	for _, p := range SearchParams(typ) {
		if p.Code == code {
			return p
		}
	}
	t.Fatalf("%s has no parameter %s", typ, code)
	return nil
}

func TestSearchParams(t *testing.T) {
	for _, c := range []struct{ typ, code, kind, expression, targets string }{
		{"Patient", "birthdate", "date", "Patient.birthDate", ""},
		{"Person", "birthdate", "date", "Person.birthDate", ""},
		{"Patient", "_id", "token", "Resource.id", ""},
		{"Patient", "_text", "string", "", ""},
		{"Patient", "_content", "string", "", ""},
		{"Bundle", "_lastUpdated", "date", "Resource.meta.lastUpdated", ""},
		{"Patient", "deceased", "token", "Patient.deceased.exists() and Patient.deceased != false", ""},
		{"Patient", "email", "token", "Patient.telecom.where(system='email')", ""},
		{"Observation", "value-quantity", "quantity", "(Observation.value as Quantity) | (Observation.value as SampledData)", ""},
		{"Observation", "patient", "reference", "Observation.subject.where(resolve() is Patient)", "Patient"},
		{"Observation", "subject", "reference", "Observation.subject", "Device,Group,Location,Patient"},
		{"AllergyIntolerance", "patient", "reference", "AllergyIntolerance.patient", "Patient"},
		{"MedicationRequest", "medication", "reference", "(MedicationRequest.medication as Reference)", "Medication"},
		{"Condition", "code", "token", "Condition.code", ""},
		{"ValueSet", "context-quantity", "quantity", "(ValueSet.useContext.value as Quantity) | (ValueSet.useContext.value as Range)", ""},
		{"InsurancePlan", "name", "string", "InsurancePlan.name | InsurancePlan.alias", ""},
		{"Device", "din", "token", "Device.extension('http://hl7.org/fhir/SearchParameter/device-extensions-Device-din').value", ""},
	} {
		p := find(t, c.typ, c.code)
		if p.Type != c.kind || p.Expression != c.expression || strings.Join(p.Targets, ",") != c.targets {
			t.Errorf("%s %s: %+v", c.typ, c.code, p)
		}
	}
	combo := find(t, "Observation", "combo-code-value-quantity")
	if combo.Expression != "Observation | Observation.component" || !slices.Equal(combo.Components, []Component{
		{"combo-code", "token", "code"}, {"combo-value-quantity", "quantity", "value.as(Quantity)"}}) {
		t.Errorf("combo-code-value-quantity: %+v", combo)
	}
	relation := find(t, "DocumentReference", "relationship")
	if !slices.Equal(relation.Components, []Component{{"relatesto", "reference", "target"}, {"relation", "token", "code"}}) {
		t.Errorf("relationship: %+v", relation)
	}
	for _, p := range SearchParams("Bundle") {
		if p.Code == "_text" {
			t.Error("Bundle is no DomainResource, so it has no narrative to search")
		}
	}
	if SearchParams("Resource") != nil || SearchParams("HumanName") != nil {
		t.Error("parameters of a type that is not concrete")
	}
}

func TestSearchParamsAreWhole(t *testing.T) {
	for _, r := range ResourceTypes() {
		all := SearchParams(r.Name)
		if !slices.IsSortedFunc(all, func(a, b *SearchParam) int { return strings.Compare(a.Code, b.Code) }) {
			t.Errorf("%s: not in the order of codes", r.Name)
		}
		for i, p := range all {
			if i > 0 && all[i-1].Code == p.Code {
				t.Errorf("%s has two parameters %s", r.Name, p.Code)
			}
			if p.Expression == "" && !strings.HasPrefix(p.Code, "_") {
				t.Errorf("%s %s has no expression", r.Name, p.Code)
			}
			if (p.Type == "composite") != (len(p.Components) > 1) {
				t.Errorf("%s %s: %s with %d components", r.Name, p.Code, p.Type, len(p.Components))
			}
			if p.Doc == "" || strings.ContainsAny(p.Doc, "\r\n\t") || len(p.Doc) > 120 {
				t.Errorf("%s %s: doc %q", r.Name, p.Code, p.Doc)
			}
			for _, target := range p.Targets {
				if Lookup(target) == nil {
					t.Errorf("%s %s: unknown target %s", r.Name, p.Code, target)
				}
			}
			for _, c := range p.Components {
				if part := find(t, r.Name, c.Param); part.Type != c.Type || c.Expression == "" {
					t.Errorf("%s %s: component %+v", r.Name, p.Code, c)
				}
			}
		}
	}
}

func TestCompartments(t *testing.T) {
	for _, c := range []struct{ compartment, typ, params string }{
		{"Patient", "Patient", "{def} link"},
		{"Patient", "Observation", "performer subject"},
		{"Patient", "AllergyIntolerance", "asserter patient recorder"},
		{"Device", "Device", "{def}"},
		{"Encounter", "Encounter", "{def}"},
		{"Practitioner", "Practitioner", "{def}"},
		{"RelatedPerson", "RelatedPerson", "{def}"},
		{"Patient", "Organization", ""},
	} {
		if got := strings.Join(CompartmentOf(c.compartment).Params[c.typ], " "); got != c.params {
			t.Errorf("%s in the compartment %s by %q, want %q", c.typ, c.compartment, got, c.params)
		}
	}
	for _, c := range load().compartments {
		for typ, codes := range c.Params {
			for _, code := range codes {
				if code != "{def}" {
					find(t, typ, code)
				}
			}
		}
	}
	if CompartmentOf("Organization") != nil {
		t.Error("a compartment of Organization")
	}
}

func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		text, err := unpack()
		if err != nil {
			b.Fatal(err)
		}
		parse(text)
	}
}

// TestLean holds what the definitions cost in memory.
func TestLean(t *testing.T) {
	text, err := unpack()
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := parse(strings.Clone(text))
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 6<<20 {
		t.Errorf("%d bytes", used)
	}
	runtime.KeepAlive(c)
}

func BenchmarkField(b *testing.B) {
	t := Lookup("Observation")
	for b.Loop() {
		if _, ok := t.Field("valueQuantity"); !ok {
			b.Fatal("no field")
		}
	}
}
