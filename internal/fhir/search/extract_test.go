package search

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
)

// rowsOf extracts one parameter's rows in a short form.
func rowsOf(t *testing.T, r *fhir.Resource, code string) []string {
	t.Helper()
	refs, _, ok := ParamAtoms(r.Type(), code)
	if !ok {
		t.Fatalf("no parameter %s", code)
	}
	v := Extract(r, "https://here.example/fhir")
	var out []string
	for _, ref := range refs {
		for _, x := range v.Text {
			if x.Atom == ref.ID {
				s := x.Val
				if ref.Kind != String && x.Sub != 0 {
					s = fmt.Sprint(x.Val, "@", x.Sub)
				}
				out = append(out, s)
			}
		}
		for _, x := range v.Ref {
			if x.Atom == ref.ID {
				out = append(out, x.Type+"/"+x.ID)
			}
		}
		for _, x := range v.Date {
			if x.Atom == ref.ID {
				out = append(out, fmt.Sprint(x.Lo, "..", x.Hi))
			}
		}
		for _, x := range v.Num {
			if x.Atom == ref.ID {
				out = append(out, fmt.Sprint(x.Lo, "..", x.Hi, "@", x.System, "|", x.Code))
			}
		}
	}
	return out
}

func resource(t testing.TB, text string) *fhir.Resource {
	t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExtractByType(t *testing.T) {
	h := func(s string) string { return fmt.Sprint("@", Hash(s)) }
	for _, c := range []struct{ json, code, want string }{
		{`{"resourceType":"Patient","name":[{"family":"O'Neil","given":["Ana","Zoë"],"use":"official","_family":{"id":"x"}}]}`, "name", "o neil ana zoe"},
		{`{"resourceType":"Patient","address":[{"line":["Main St. 1"],"city":"Cairo","use":"home","period":{"start":"2000"}}]}`, "address", "main st 1 cairo"},
		{`{"resourceType":"Patient","address":[{"city":"Cairo","use":"home"}]}`, "address-use", "home"},
		{`{"resourceType":"Patient","telecom":[{"system":"phone","value":"1"},{"system":"email","value":"a@b"}]}`, "phone", "1" + h("phone")},
		{`{"resourceType":"Patient","telecom":[{"system":"phone","value":"1"},{"system":"email","value":"a@b"}]}`, "telecom", "1" + h("phone") + " a@b" + h("email")},
		{`{"resourceType":"Patient","id":"1"}`, "deceased", "false"},
		{`{"resourceType":"Patient","deceasedBoolean":false}`, "deceased", "false"},
		{`{"resourceType":"Patient","deceasedBoolean":true}`, "deceased", "true"},
		{`{"resourceType":"Patient","deceasedDateTime":"2020"}`, "deceased", "true"},
		{`{"resourceType":"Patient","communication":[{"language":{"text":"Nubian"}}]}`, "language", ""},
		{`{"resourceType":"Observation","code":{"coding":[{"system":"s","code":"a"},{"code":"b"},{"system":"s","code":"a"}]}}`, "code", "a" + h("s") + " b"},
		{`{"resourceType":"Observation","subject":{"reference":"https://here.example/fhir/Patient/1/_history/2"}}`, "subject", "Patient/1"},
		{`{"resourceType":"Observation","subject":{"reference":"https://there.example/Patient/1"}}`, "subject", "https://there.example/Patient/1"},
		{`{"resourceType":"Observation","subject":{"reference":"#p"}}`, "subject", ""},
		{`{"resourceType":"Observation","subject":{"identifier":{"system":"s","value":"7"}}}`, "subject", ""},
		{`{"resourceType":"Observation","effectivePeriod":{"start":"1970-01-01"}}`, "date", "0.." + fmt.Sprint(int64(math.MaxInt64))},
		{`{"resourceType":"Observation","effectiveTiming":{"event":["1970-01-02","1970-01-01"]}}`, "date", fmt.Sprint("0..", 2*day-1)},
		{`{"resourceType":"Observation","effectiveInstant":"1970-01-01T02:00:00.5+02:00"}`, "date", "500000..599999"},
		{`{"resourceType":"Observation","valueQuantity":{"value":5.4,"unit":"milligram","system":"u","code":"mg"}}`, "value-quantity",
			fmt.Sprintf("5.4..5.4@%d|%d 5.4..5.4@0|%d", Hash("u"), Hash("mg"), Hash("milligram"))},
		{`{"resourceType":"Observation","valueQuantity":{"value":5,"comparator":">="}}`, "value-quantity", "5..+Inf@0|0"},
		{`{"resourceType":"Observation","valueSampledData":{"origin":{"value":10},"period":1,"dimensions":1,"factor":2,"data":"1 E -3 U 4"}}`, "value-quantity", "4..18@0|0"},
		{`{"resourceType":"Observation","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/observation-geneticsDnaVariant","valueString":"NG_7"},{"url":"http://other","valueString":"no"}]}`, "dna-variant", "ng 7"},
		{`{"resourceType":"Invoice","totalNet":{"value":40.22,"currency":"USD"}}`, "totalnet", fmt.Sprintf("40.22..40.22@%d|%d", Hash(CurrencySystem), Hash("USD"))},
		{`{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":1},"high":{"value":2}}}]}`, "probability", "1..2@0|0"},
		{`{"resourceType":"ValueSet","url":"http://a","useContext":[{"code":{"code":"age"},"valueRange":{"high":{"value":5}}}]}`, "context-quantity", "-Inf..5@0|0"},
		{`{"resourceType":"QuestionnaireResponse","questionnaire":"http://q|1"}`, "questionnaire", "http://q|1 http://q"},
		{`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Composition","id":"c"}},{"resource":{"resourceType":"Patient","id":"p"}}]}`, "composition", "Composition/c"},
		{`{"resourceType":"Patient","meta":{"profile":["http://p|2"]}}`, "_profile", "http://p|2 http://p"},
		{`{"resourceType":"QuestionnaireResponse","item":[{"linkId":"1","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject","valueBoolean":true}],"answer":[{"valueReference":{"reference":"Patient/3"}}]},{"linkId":"2","answer":[{"valueReference":{"reference":"Patient/4"}}]}]}`, "item-subject", "Patient/3"},
		{`{"resourceType":"Device","type":{"coding":[{"display":"Pump"}],"text":"A pump"}}`, "device-name", "pump a pump"},
	} {
		got := strings.Join(rowsOf(t, resource(t, c.json), c.code), " ")
		if got != c.want {
			t.Errorf("%s of %s\n got %s\nwant %s", c.code, c.json, got, c.want)
		}
	}
}

func TestExtractMarksPrivateTexts(t *testing.T) {
	v := Extract(resource(t, `{"resourceType":"Patient","identifier":[{"system":"s","value":"1"}],"telecom":[{"value":"2"}],
		"address":[{"city":"c3","line":["`+strings.Repeat("long ", 30)+`"]}],"name":[{"family":"n4"}],"managingOrganization":{"identifier":{"value":"5"}},"gender":"male"}`), "")
	for _, r := range v.Text {
		clear := slices.Contains([]string{"n4", "male", "false", ""}, r.Val)
		if r.Blind == clear && r.Val != "" {
			t.Errorf("%q: blind %v", r.Val, r.Blind)
		}
		if r.Blind && r.Sub != 0 && r.Sub != Hash("s") {
			t.Errorf("%q: an unkeyed hash of a private text", r.Val)
		}
	}
}

func TestExtractCutsLongTexts(t *testing.T) {
	url := "http://example.org/" + strings.Repeat("a", 200)
	v := Extract(resource(t, `{"resourceType":"ValueSet","url":"`+url+`","description":"`+strings.Repeat("é ", 100)+`tail"}`), "")
	for _, r := range v.Text {
		if len(r.Val) > MaxText {
			t.Errorf("a row of %d bytes", len(r.Val))
		}
	}
	d := docOf(t, `{"resourceType":"ValueSet","url":"`+url+`","description":"`+strings.Repeat("é ", 100)+`tail"}`)
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"url", url, true}, {"url", url + "b", false}, {"url:below", url[:150], true}, {"url:below", url[:150] + "b", false},
		{"description:contains", "E E TAIL", true}, {"description:contains", "head", false},
		{"description", strings.Repeat("e ", 100) + "ta", true}, {"description", strings.Repeat("e ", 100) + "x", false},
		{"description:exact", strings.Repeat("é ", 100) + "tail", true}, {"description:exact", strings.Repeat("é ", 100) + "taik", false},
	} {
		matches(t, d, nil, c.name, c.value, c.want)
	}
}

func TestRowsAreDistinct(t *testing.T) {
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, `,{"code":"c%d"}`, i%70)
	}
	v := Extract(resource(t, `{"resourceType":"Observation","code":{"coding":[`+b.String()[1:]+`]}}`), "")
	if n := len(v.Text); n != 70 {
		t.Errorf("%d rows", n)
	}
}

// ~2 KB, as a clinical system writes it.
const typicalObservation = `{"resourceType":"Observation","id":"0c1d5a3e-7f7a-4a5e-9d0e-4f0d1d7c6b1a","meta":{"versionId":"1","lastUpdated":"2021-05-01T10:00:00.000Z","profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Blood pressure</b>: 107/60 mmHg, taken sitting, left arm, with the standard cuff. The patient had rested for five minutes and reported no pain, no dizziness and no medication in the morning.</p></div>"},
"identifier":[{"use":"official","system":"http://acme.example/observations","value":"bp-000123"}],
"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel with all children optional"}],"text":"Blood pressure systolic & diastolic"},
"subject":{"reference":"Patient/8b0484cd-3dbd-8b8d-1b72-a32f74a5a846","display":"Ana Example"},"encounter":{"reference":"Encounter/b46e9d5f-61e4-4f1b-a1c2-1d6a1a2f3b4c"},
"effectiveDateTime":"2021-05-01T09:55:00+02:00","issued":"2021-05-01T09:58:11.123+02:00","performer":[{"reference":"Practitioner/57"}],
"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"368209003","display":"Right arm"}]},
"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic blood pressure"}]},"valueQuantity":{"value":107,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"},
"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N","display":"normal"}],"text":"Normal"}]},
{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4","display":"Diastolic blood pressure"}]},"valueQuantity":{"value":60,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"},
"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"L","display":"low"}],"text":"Below low normal"}]}]}`

func BenchmarkExtract(b *testing.B) {
	r := resource(b, typicalObservation)
	Extract(r, "")
	b.SetBytes(int64(len(typicalObservation)))
	b.ReportAllocs()
	for b.Loop() {
		Extract(r, "http://localhost:7000/fhir/R4")
	}
}
