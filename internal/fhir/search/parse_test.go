package search

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// show writes a predicate in a short form for comparisons.
func show(p Pred) string {
	list := func(name string, ps []Pred) string {
		var s []string
		for _, q := range ps {
			s = append(s, show(q))
		}
		return name + "(" + strings.Join(s, " ") + ")"
	}
	at := func(a *Atom) string {
		if a.ID&derivedBit != 0 {
			return a.Path + "#"
		}
		return a.Path
	}
	refs := func(atoms []AtomRef) string {
		var s []string
		for _, a := range atoms {
			t := at(a.Atom)
			if a.Target != "" {
				t += ">" + a.Target
			}
			s = append(s, t)
		}
		return strings.Join(s, ",")
	}
	sub := func(s *int64) string {
		if s == nil {
			return ""
		}
		for _, name := range []string{"", "http://loinc.org", "http://unitsofmeasure.org", "mg", "Peter", "phone", "http://acme.org"} {
			if systemHash(name) == *s {
				return "@" + name
			}
		}
		return fmt.Sprint("@", *s)
	}
	day := func(v int64) string { return time.UnixMicro(v).UTC().Format("2006-01-02T15:04:05.999999") }
	switch p := p.(type) {
	case And:
		return list("and", p)
	case Or:
		return list("or", p)
	case Not:
		return "not(" + show(p.Pred) + ")"
	case TextEq:
		return at(p.Atom) + "=" + p.Val + sub(p.Sub)
	case TextPrefix:
		return at(p.Atom) + "^" + p.Val
	case TextContains:
		return at(p.Atom) + "*" + p.Val
	case TextSub:
		return at(p.Atom) + sub(&p.Sub)
	case RefTo:
		return at(p.Atom) + "->" + p.Type + "/" + p.ID
	case DateCmp:
		return at(p.Atom) + " " + p.Op + " " + day(p.Lo) + ".." + day(p.Hi)
	case NumCmp:
		s := fmt.Sprintf("%s %s %.6g..%.6g", at(p.Atom), p.Op, p.Lo, p.Hi)
		if p.System != nil {
			s += " system" + sub(p.System)
		}
		if p.Code != nil {
			s += " code" + sub(p.Code)
		}
		return s
	case Present:
		return "present(" + refs(p.Atoms) + ")"
	case Chain:
		return refs(p.Atoms) + "." + p.Type + "{" + show(p.Pred) + "}"
	case ReverseChain:
		return p.Type + "{" + show(p.Pred) + "}." + refs(p.Atoms)
	case IDs:
		return "id=" + strings.Join(p, ",")
	case LastUpdated:
		return "updated " + p.Op + " " + day(p.Lo) + ".." + day(p.Hi)
	case InCompartment:
		return fmt.Sprintf("in(%s/%s %v %s)", p.Type, p.ID, p.Self, refs(p.Atoms))
	case Opened:
		return "opened(" + p.Name + ")"
	}
	return fmt.Sprintf("%T", p)
}

var testNow = time.Date(2026, 1, 11, 0, 0, 0, 0, time.UTC)

var testOptions = Options{Base: "https://here.example/fhir/R4/", Now: testNow}

func TestParsePredicates(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, c := range []struct{ typ, name, value, want string }{
		// strings
		{"Patient", "family", "Ábc-Def", "name.family^abc def"},
		{"Patient", "family", "a,b", "or(name.family^a name.family^b)"},
		{"Patient", "family", `a\,b`, "name.family^a b"},
		{"Patient", "given:exact", "Peter", "name.given=peter@Peter"},
		{"Patient", "given:contains", "ete", "or(name.given*ete and(present(name.given#) opened(given:contains)))"},
		{"Patient", "given:contains", long, "and(present(name.given#) opened(given:contains))"},
		{"Patient", "given", long, "and(name.given^" + long[:80] + " opened(given))"},
		{"Patient", "address-city:exact", "Cairo", "and(address.city=cairo opened(address-city:exact))"},
		{"Patient", "given:missing", "true", "not(present(name.given))"},
		{"Patient", "name", "-", "name=@" + fmt.Sprint(Hash("-"))},
		// tokens
		{"Observation", "code", "http://loinc.org|1-8", "code=1-8@http://loinc.org"},
		{"Observation", "code", "1-8", "code=1-8"},
		{"Observation", "code", "|1-8", "code=1-8@"},
		{"Observation", "code", "http://loinc.org|", "code@http://loinc.org"},
		{"Observation", "code", `a\|b`, "code=a|b"},
		{"Observation", "code:not", "a,b", "not(or(code=a code=b))"},
		{"Observation", "code:text", "Blood", "and(present(code) opened(code:text))"},
		{"Observation", "combo-code", "x", "or(code=x component.code=x)"},
		{"Patient", "gender", "male", "gender=male"},
		{"Patient", "gender", "http://hl7.org/fhir/administrative-gender|male", "gender=male"},
		{"Patient", "gender", "http://other|male", "or()"},
		{"Patient", "gender", "|male", "gender=male@"},
		{"Patient", "active", "true", "active=true"},
		{"Patient", "active", "http://terminology.hl7.org/CodeSystem/special-values|true", "active=true"},
		{"Patient", "deceased", "true", "deceased.exists() and deceased != false=true"},
		{"Patient", "telecom", "phone|555", "telecom=555@phone"},
		{"Patient", "phone", "555", "telecom.where(system='phone')=555"},
		{"Patient", "identifier", "http://acme.org|7", "identifier=7@http://acme.org"},
		{"Patient", "identifier:of-type", "http://t|MR|7", "and(identifier=7 opened(identifier:of-type))"},
		{"Patient", "_tag", "http://acme.org|x", "meta.tag=x@http://acme.org"},
		// references
		{"Observation", "subject", "Patient/1", "subject->Patient/1"},
		{"Observation", "subject", "1", "subject->/1"},
		{"Observation", "subject:Patient", "1", "subject->Patient/1"},
		{"Observation", "subject", "https://here.example/fhir/R4/Patient/1", "subject->Patient/1"},
		{"Observation", "subject", "https://there.example/Patient/1", "subject=https://there.example/Patient/1"},
		{"Observation", "patient", "1", "subject->Patient/1"},
		{"Observation", "patient", "Group/1", "or()"},
		{"Observation", "subject:identifier", "http://acme.org|7", "subject.identifier=7@http://acme.org"},
		{"Observation", "patient:missing", "false", "or(present(subject>Patient) and(subject^http opened(patient:missing)))"},
		{"Observation", "encounter:missing", "false", "present(encounter,encounter.identifier)"},
		{"Observation", "encounter", "1", "encounter->Encounter/1"},
		{"Observation", "subject:missing", "false", "present(subject,subject.identifier)"},
		{"QuestionnaireResponse", "questionnaire", "http://q|1.0", "questionnaire=http://q|1.0"},
		// dates and numbers
		{"Patient", "birthdate", "1970", "birthDate eq 1970-01-01T00:00:00..1970-12-31T23:59:59.999999"},
		{"Patient", "birthdate", "ge1970-02", "birthDate ge 1970-02-01T00:00:00..1970-02-28T23:59:59.999999"},
		{"Observation", "value-date", "lt2013-01-14T10:00", "or(value.ofType(dateTime) lt 2013-01-14T10:00:00..2013-01-14T10:00:59.999999 value.ofType(Period) lt 2013-01-14T10:00:00..2013-01-14T10:00:59.999999)"},
		{"Patient", "birthdate", "ap2026-01-01", "birthDate ap 2025-12-31T00:00:00..2026-01-02T23:59:59.999999"},
		{"Patient", "_lastUpdated", "gt2020-01-01T00:00:00 02:00", "updated gt 2019-12-31T22:00:00..2019-12-31T22:00:00.999999"},
		{"RiskAssessment", "probability", "100", "or(prediction.probability eq 99.5..100.5)"},
		{"RiskAssessment", "probability", "1e2", "or(prediction.probability eq 95..105)"},
		{"RiskAssessment", "probability", "gt0.8", "or(prediction.probability gt 0.8..0.8)"},
		{"RiskAssessment", "probability", "ap-100", "or(prediction.probability ap -110..-90)"},
		{"Observation", "value-quantity", "5.4|http://unitsofmeasure.org|mg", "or(value.ofType(Quantity) eq 5.35..5.45 system@http://unitsofmeasure.org code@mg value.ofType(SampledData) eq 5.35..5.45 system@http://unitsofmeasure.org code@mg)"},
		{"Observation", "component-value-quantity", "le5.4||mg", "or(component.value.ofType(Quantity) le 5.4..5.4 code@mg component.value.ofType(SampledData) le 5.4..5.4 code@mg)"},
		// uri
		{"ValueSet", "url", "http://a/b", "url=http://a/b"},
		{"ValueSet", "url:below", "http://a/b", "url^http://a/b"},
		{"ValueSet", "url:above", "http://a/b/c", "or(url=http://a/b/c url=http://a/b/ url=http://a/b url=http://a/ url=http://a)"},
		// composites
		{"Observation", "code-value-quantity", "http://loinc.org|1-8$gt5||mg", "and(code=1-8@http://loinc.org (code$value.ofType(Quantity))# gt 5..5 code@mg)"},
		{"Observation", "combo-code-value-concept", "a$b", "or(and(code=a (code$value.ofType(CodeableConcept))#=b) and(component.code=a component(code$value.ofType(CodeableConcept))#=b))"},
		{"DocumentReference", "relationship", "DocumentReference/1$replaces", "or(and(relatesTo.code=replaces relatesTo(target$code)#->DocumentReference/1) and(relatesTo.code=DocumentReference/1 relatesTo(target$code)#->DocumentReference/replaces))"},
		// chains
		{"Observation", "subject:Patient.family", "x", "subject.Patient{name.family^x}"},
		{"Observation", "patient.family", "x", "subject>Patient.Patient{name.family^x}"},
		{"Observation", "subject.identifier", "1", "or(subject.Device{identifier=1} subject.Group{identifier=1} subject.Location{identifier=1} subject.Patient{identifier=1})"},
		{"Observation", "subject.birthdate", "1970", "subject.Patient{birthDate eq 1970-01-01T00:00:00..1970-12-31T23:59:59.999999}"},
		{"Observation", "encounter.service-provider.name", "x", "encounter.Encounter{serviceProvider.Organization{or(name^x alias^x)}}"},
		{"Observation", "patient._id", "1", "subject>Patient.Patient{id=1}"},
		{"Observation", "patient.gender:not", "male", "subject>Patient.Patient{not(gender=male)}"},
		{"Patient", "_has:Observation:patient:code", "1-8", "Observation{code=1-8}.subject>Patient"},
		{"Patient", "_has:Observation:patient:performer:Practitioner.family", "x", "Observation{performer.Practitioner{name.family^x}}.subject>Patient"},
		{"Patient", "_has:Observation:patient:_has:Provenance:target:agent", "Practitioner/1", "Observation{Provenance{agent.who->Practitioner/1}.target}.subject>Patient"},
		{"Encounter", "patient._has:Group:member:_id", "1", "subject>Patient.Patient{Group{id=1}.member.entity}"},
		// specials
		{"Patient", "_id", "1,2", "id=1,2"},
		{"Patient", "_list", "42", "List{id=42}.entry.item"},
		{"Patient", "_text", "a b", "opened(_text)"},
		{"Patient", "_content", "a", "opened(_content)"},
		{"Location", "near", "1|2|3|km", "opened(near)"},
	} {
		t.Run(c.typ+"?"+c.name+"="+c.value, func(t *testing.T) {
			q, err := Parse(c.typ, []Param{{c.name, c.value}}, testOptions)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(q.ByType[0].Pred); got != c.want && "or("+got+")" != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestParseRefusals(t *testing.T) {
	deep := strings.Repeat("part-of.", 9) + "_id"
	for _, c := range []struct{ typ, name, value, code, text string }{
		{"Patient", "colour", "x", "not-supported", "Patient has no such parameter"},
		{"Patient", "family:fuzzy", "x", "not-supported", "the modifier \":fuzzy\" does not apply to a string"},
		{"Patient", "family:", "x", "not-supported", "the modifier is missing"},
		{"Patient", "birthdate:exact", "1970", "not-supported", "does not apply to a date"},
		{"Observation", "code:in", "http://vs", "not-supported", "terminology"},
		{"Observation", "code:below", "x", "not-supported", "terminology"},
		{"Observation", "subject:Encounter", "1", "invalid", "does not point to Encounter"},
		{"Observation", "subject:Nothing", "1", "invalid", "there is no resource type"},
		{"Observation", "subject", "Nothing/1", "invalid", "there is no resource type"},
		{"Observation", "subject", "a b", "invalid", "a reference is"},
		{"Observation", "subject:Patient", "Group/1", "invalid", "names the type Group"},
		{"Observation", "subject.colour", "1", "not-supported", "no such parameter"},
		{"Observation", "code.text", "1", "not-supported", "is no reference"},
		{"Observation", "patient.birthdate", "x", "invalid", "in Patient: a date is"},
		{"Measure", "depends-on.name", "x", "not-supported", "canonical URLs"},
		{"Patient", "_has:Observation:code", "1", "invalid", "_has takes"},
		{"Patient", "_has:Observation:encounter:code", "1", "invalid", "does not point to Patient"},
		{"Patient", "_has:Nothing:patient:code", "1", "invalid", "there is no resource type"},
		{"Patient", "birthdate", "1970-13", "invalid", "a date is"},
		{"Patient", "birthdate", "1970-02-30", "invalid", "a date is"},
		{"Patient", "birthdate", "", "invalid", "the value is empty"},
		{"Patient", "family", "a,,b", "invalid", "a value is empty"},
		{"Patient", "active:missing", "yes", "invalid", "true or false"},
		{"RiskAssessment", "probability", "high", "invalid", "a number is"},
		{"RiskAssessment", "probability", "1e999", "invalid", "a number is"},
		{"Observation", "value-quantity", "1|mg", "invalid", "a quantity is"},
		{"Observation", "code-value-quantity", "1-8", "invalid", "2 parts"},
		{"Observation", "code", "a|b|c", "invalid", "one '|'"},
		{"Observation", "code", "|", "invalid", "a system or a code"},
		{"Observation", "code:of-type", "a|b|c", "not-supported", "identifiers alone"},
		{"Patient", "identifier:of-type", "a|b", "invalid", "system|code|value"},
		{"ValueSet", "url:below", "urn:oid:1", "invalid", "not to URNs"},
		{"Patient", "_filter", "x", "not-supported", "does not support"},
		{"Patient", "_query", "x", "not-supported", "does not support"},
		{"Patient", "_list", "$current-problems", "not-supported", "functional lists"},
		{"Patient", "near", "1|2", "not-supported", "no such parameter"},
		{"Location", "near", "1", "invalid", "latitude"},
		{"Location", "near", "91|2", "invalid", "latitude"},
		{"Patient", "_count", "-1", "invalid", "whole number"},
		{"Patient", "_count", "NaN", "invalid", "whole number"},
		{"Patient", "_total", "maybe", "invalid", "none, estimate"},
		{"Patient", "_summary", "maybe", "invalid", "true, text"},
		{"Patient", "_contained", "both", "not-supported", "contained"},
		{"Patient", "_elements", "a b", "invalid", "names of elements"},
		{"Patient", "_type", "Patient", "not-supported", "several types"},
		{"Patient", "_sort", "colour", "not-supported", "to sort by"},
		{"Observation", "_sort", "code-value-quantity", "not-supported", "sorted by"},
		{"Patient", "_include", "Patient", "invalid", "Type:parameter"},
		{"Patient", "_include", "Patient:colour", "not-supported", "no parameter"},
		{"Patient", "_include", "Patient:family", "not-supported", "is no reference"},
		{"Patient", "_include", "Observation:patient:Group", "invalid", "does not point to"},
		{"Patient", "_include:sometimes", "*", "not-supported", "does not apply"},
		{"Patient", "family", strings.Repeat("a,", 1000) + "a", "too-costly", "1000 values"},
		{"Encounter", deep, "1", "too-costly", "links in a chain"},
	} {
		t.Run(c.typ+"?"+c.name[:min(30, len(c.name))]+"="+c.value[:min(20, len(c.value))], func(t *testing.T) {
			_, err := Parse(c.typ, []Param{{c.name, c.value}}, testOptions)
			var f *fault.Error
			if !errors.As(err, &f) {
				t.Fatalf("no fault: %v", err)
			}
			if f.Issues[0].Code != c.code || !strings.Contains(f.Error(), c.text) || !strings.Contains(f.Error(), fmt.Sprintf("%.80q", c.name)) {
				t.Errorf("got %s: %v", f.Issues[0].Code, f)
			}
			if c.code == "too-costly" {
				return
			}
			lenient := testOptions
			lenient.Lenient = true
			q, err := Parse(c.typ, []Param{{c.name, c.value}, {"_id", "1"}}, lenient)
			if err != nil || len(q.Ignored) != 1 || q.Ignored[0] != c.name || len(q.Applied) != 1 || show(q.ByType[0].Pred) != "id=1" {
				t.Errorf("lenient: %+v, %v", q, err)
			}
		})
	}
}

func TestParseTellsEverythingWrong(t *testing.T) {
	_, err := Parse("Patient", []Param{{"colour", "x"}, {"family", "x"}, {"birthdate", "x"}, {"_count", "x"}}, testOptions)
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Invalid || len(f.Issues) != 3 {
		t.Fatalf("got %v", err)
	}
	if _, err := Parse("Colour", nil, testOptions); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown type: %v", err)
	}
}

func TestParseControls(t *testing.T) {
	params, err := ParseQueryString("_sort=-date,_id&_count=0&_total=accurate&_summary=count&_elements=id,code&_contained=false" +
		"&_include=Observation:subject:Patient&_include:iterate=Patient:*&_revinclude=Provenance:target&_cursor=abc&_format=json&code=a%2Bb")
	if err != nil {
		t.Fatal(err)
	}
	q, err := Parse("Observation", params, testOptions)
	if err != nil {
		t.Fatal(err)
	}
	if q.Count != 0 || q.Total != "accurate" || q.Summary != "count" || q.Cursor != "abc" || q.Contained != "false" || len(q.Elements) != 2 {
		t.Errorf("got %+v", q)
	}
	if len(q.Sort) != 2 || !q.Sort[0].Desc || q.Sort[0].Param != "date" || len(q.Sort[0].Atoms) == 0 || q.Sort[1].Special != "_id" {
		t.Errorf("sort %+v", q.Sort)
	}
	if len(q.Includes) != 3 || q.Includes[0].Target != "Patient" || !q.Includes[1].Iterate || q.Includes[1].Param != "*" || !q.Includes[2].Reverse {
		t.Errorf("includes %+v", q.Includes)
	}
	if len(q.Applied) != 10 || q.Applied[9] != (Applied{"code", "a+b"}) {
		t.Errorf("applied %+v", q.Applied)
	}
	if q, err := Parse("Patient", nil, testOptions); err != nil || q.Count != -1 || show(q.ByType[0].Pred) != "and()" {
		t.Errorf("an empty query: %+v %v", q, err)
	}
}

func TestParseSeveralTypes(t *testing.T) {
	q, err := Parse("", []Param{{"_type", "Patient,Practitioner"}, {"family", "x"}}, testOptions)
	if err != nil || len(q.ByType) != 2 || q.ByType[1].Type != "Practitioner" || show(q.ByType[1].Pred) != "name.family^x" {
		t.Fatalf("got %+v %v", q, err)
	}
	if q, err = Parse("", []Param{{"_lastUpdated", "gt2020"}}, testOptions); err != nil || len(q.ByType) < 140 {
		t.Errorf("all types: %v", err)
	}
	if _, err = Parse("", []Param{{"_type", "Patient,Observation"}, {"family", "x"}}, testOptions); err == nil || !strings.Contains(err.Error(), "Observation has no such parameter") {
		t.Errorf("got %v", err)
	}
	if _, err = Parse("", []Param{{"_type", "Patient,Colour"}}, testOptions); err == nil {
		t.Error("an unknown type passed")
	}
}

func TestParseQueryStringRefuses(t *testing.T) {
	for _, s := range []string{"a=%zz", "a=%ff", "%=1"} {
		if _, err := ParseQueryString(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestCompartment(t *testing.T) {
	p, err := Compartment("Patient", "1", "Observation")
	if err != nil || show(p) != "in(Patient/1 false performer,subject)" {
		t.Errorf("got %s %v", show(p), err)
	}
	if p, err = Compartment("Patient", "1", "Patient"); err != nil || !p.(InCompartment).Self {
		t.Errorf("got %s %v", show(p), err)
	}
	for _, typ := range def.ResourceTypes() {
		for _, code := range []string{"Patient", "Encounter", "RelatedPerson", "Practitioner", "Device"} {
			for _, prm := range def.CompartmentOf(code).Params[typ.Name] {
				if refs, _, _ := ParamAtoms(typ.Name, prm); len(narrowed(refs, code)) == 0 && prm != selfMark {
					t.Errorf("%s is in the compartment of %s by %s, which has no atoms", typ.Name, code, prm)
				}
			}
		}
	}
	for _, c := range [][3]string{{"Colour", "1", "Observation"}, {"Patient", "1", "Medication"}, {"Patient", "a b", "Observation"}} {
		if _, err := Compartment(c[0], c[1], c[2]); err == nil {
			t.Errorf("%v passed", c)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"family=a,b", "subject:Patient.name:exact=x", "_has:Observation:patient:code=http://loinc.org|1-8",
		"code-value-quantity=a$gt5|s|c", "birthdate=ap2020-01-01T00:00:00.123Z", "_sort=-date&_count=3", "value-quantity=1e2||mg", `code=a\|b\,c\$d\\`} {
		f.Add("Observation", s)
		f.Add("Patient", s)
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, typ, raw string) {
		params, err := ParseQueryString(raw)
		if err != nil {
			return
		}
		q, err := Parse(typ, params, testOptions)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Fatalf("no kind: %v", err)
			}
			return
		}
		for _, tp := range q.ByType {
			_ = show(tp.Pred)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	params := []Param{{"patient", "12345"}, {"code", "http://loinc.org|8480-6"}, {"date", "ge2020-01-01"}, {"_sort", "-date"}, {"_count", "50"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("Observation", params, testOptions); err != nil {
			b.Fatal(err)
		}
	}
}
