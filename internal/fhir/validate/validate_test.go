package validate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
)

// one renders issues as "code expression" lines.
func lines(issues []fault.Issue) string {
	out := make([]string, 0, len(issues))
	for _, i := range issues {
		out = append(out, i.Code+" "+i.Expression)
	}
	return strings.Join(out, "; ")
}

func TestInvalid(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown type", `{"resourceType":"Patientt"}`, "structure "},
		{"abstract type", `{"resourceType":"DomainResource"}`, "structure "},
		{"a data type is no resource", `{"resourceType":"HumanName"}`, "structure "},
		{"unknown element", `{"resourceType":"Patient","nname":[{"family":"x"}]}`, "structure Patient.nname"},
		{"unknown element that is no name", `{"resourceType":"Patient","a b":1}`, "structure Patient"},
		{"unknown element below", `{"resourceType":"Patient","name":[{"text":"x"},{"familiy":"x","text":"y"}]}`, "structure Patient.name[1].familiy"},
		{"an element's choice name", `{"resourceType":"Patient","deceased":true}`, "structure Patient.deceased"},
		{"a choice of a wrong type", `{"resourceType":"Patient","deceasedString":"yes"}`, "structure Patient.deceasedString"},
		{"resourceType in a data type", `{"resourceType":"Patient","name":[{"resourceType":"HumanName","text":"x"}]}`, "structure Patient.name[0].resourceType"},

		{"two of a choice", `{"resourceType":"Patient","deceasedBoolean":true,"deceasedDateTime":"2020"}`, "structure Patient.deceased"},
		{"two of a choice, one by its companion", `{"resourceType":"Patient","deceasedBoolean":true,"_deceasedDateTime":{"extension":[{"url":"u","valueString":"x"}]}}`, "structure Patient.deceased"},

		{"an array where none belongs", `{"resourceType":"Patient","gender":["male"]}`, "structure Patient.gender"},
		{"an array of objects where none belongs", `{"resourceType":"Patient","maritalStatus":[{"text":"x"}]}`, "structure Patient.maritalStatus"},
		{"no array where one belongs", `{"resourceType":"Patient","name":{"family":"x"}}`, "structure Patient.name"},
		{"no array of primitives where one belongs", `{"resourceType":"Patient","name":[{"given":"x"}]}`, "structure Patient.name[0].given"},
		{"an array in an array", `{"resourceType":"Patient","name":[[{"family":"x"}]]}`, "structure Patient.name[0]"},
		{"a text where an object belongs", `{"resourceType":"Patient","maritalStatus":"M"}`, "structure Patient.maritalStatus"},
		{"an object where a text belongs", `{"resourceType":"Patient","gender":{"value":"male"}}`, "structure Patient.gender"},
		{"null among objects", `{"resourceType":"Patient","name":[null,{"text":"x"}]}`, "structure Patient.name[0]"},

		{"required element", `{"resourceType":"Observation","code":{"text":"x"}}`, "required Observation.status"},
		{"required choice", `{"resourceType":"MedicationRequest","status":"active","intent":"order","subject":{"reference":"Patient/1"}}`, "required MedicationRequest.medication"},
		{"required elements below", `{"resourceType":"Patient","link":[{"type":"seealso"},{"other":{"reference":"Patient/1"}}]}`, "required Patient.link[0].other; required Patient.link[1].type"},
		{"required by an element of an element like it", `{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"type":"string"}]}]}`, "required Questionnaire.item[0].item[0].linkId"},

		{"boolean as a string", `{"resourceType":"Patient","active":"true"}`, "value Patient.active"},
		{"number as a string", `{"resourceType":"Patient","multipleBirthInteger":"2"}`, "value Patient.multipleBirth"},
		{"string as a number", `{"resourceType":"Patient","name":[{"family":7}]}`, "value Patient.name[0].family"},
		{"no real day", `{"resourceType":"Patient","birthDate":"2023-02-30"}`, "value Patient.birthDate"},
		{"time without zone", `{"resourceType":"Patient","deceasedDateTime":"2023-02-03T10:00:00"}`, "value Patient.deceased"},
		{"empty string", `{"resourceType":"Patient","name":[{"given":["Ann",""]}]}`, "value Patient.name[0].given[1]"},
		{"white string", `{"resourceType":"Patient","name":[{"family":" \t "}]}`, "value Patient.name[0].family"},
		{"control character", `{"resourceType":"Patient","name":[{"family":"a\u0007"}]}`, "value Patient.name[0].family"},
		{"id", `{"resourceType":"Patient","id":"a_b"}`, "value Patient.id"},
		{"long id", `{"resourceType":"Patient","id":"` + strings.Repeat("1", 65) + `"}`, "value Patient.id"},
		{"meta.versionId", `{"resourceType":"Patient","meta":{"versionId":"a b"}}`, "value Patient.meta.versionId"},
		{"meta.lastUpdated", `{"resourceType":"Patient","meta":{"lastUpdated":"2020-01-01"}}`, "value Patient.meta.lastUpdated"},
		{"meta.profile", `{"resourceType":"Patient","meta":{"profile":["a b"]}}`, "value Patient.meta.profile[0]"},
		{"positiveInt", `{"resourceType":"Patient","telecom":[{"rank":0}]}`, "value Patient.telecom[0].rank"},
		{"base64", `{"resourceType":"Binary","contentType":"text/plain","data":"abc"}`, "value Binary.data"},
		{"nested text of a long path", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"component":[{"code":{"coding":[{"code":" x"}]}}]}`, "value Observation.component[0].code.coding[0].code"},

		{"code", `{"resourceType":"Patient","gender":"Male"}`, "code-invalid Patient.gender"},
		{"code below", `{"resourceType":"Patient","name":[{"use":"officially","text":"x"}]}`, "code-invalid Patient.name[0].use"},
		{"concept", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"acitve"}]}}`, "code-invalid Condition.clinicalStatus"},
		{"concept of another system", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://example.org","code":"active"}]}}`, "code-invalid Condition.clinicalStatus"},
		{"concept without system", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"code":"active"}]}}`, "code-invalid Condition.clinicalStatus"},
		{"concept without coding", `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"text":"active"}}`, "code-invalid Condition.clinicalStatus"},

		{"a null without companions", `{"resourceType":"Patient","name":[{"given":["x",null]}]}`, "invariant Patient.name[0].given[1]"},
		{"companion of another length", `{"resourceType":"Patient","name":[{"given":["x","y"],"_given":[null]}]}`, "structure Patient.name[0].given"},
		{"companion without either", `{"resourceType":"Patient","name":[{"given":["x",null],"_given":[{"id":"1"},null]}]}`, "invariant Patient.name[0].given[1]"},
		{"lone companion with a null", `{"resourceType":"Patient","name":[{"_given":[null,{"extension":[{"url":"u","valueCode":"x"}]}]}]}`, "invariant Patient.name[0].given[0]"},
		{"companion with an id alone", `{"resourceType":"Patient","_birthDate":{"id":"1"}}`, "invariant Patient.birthDate"},
		{"companion that is no object", `{"resourceType":"Patient","_birthDate":"x"}`, "structure Patient.birthDate"},
		{"companion that is no array", `{"resourceType":"Patient","name":[{"_given":{"id":"1"}}]}`, "structure Patient.name[0].given"},
		{"companion with other members", `{"resourceType":"Patient","birthDate":"2020","_birthDate":{"id":"1","value":"2020"}}`, "structure Patient.birthDate.value"},
		{"companion of an object", `{"resourceType":"Patient","_name":[{"id":"1"}]}`, "structure Patient._name"},
		{"companion of an extension's url", `{"resourceType":"Patient","extension":[{"url":"u","_url":{"id":"1"},"valueCode":"x"}]}`, "structure Patient.extension[0]._url"},
		{"companion of an element's id", `{"resourceType":"Patient","name":[{"id":"1","_id":{"id":"2"},"text":"x"}]}`, "structure Patient.name[0]._id"},
		{"companion of nothing", `{"resourceType":"Patient","_resourceType":{"id":"2"}}`, "structure Patient._resourceType"},
		{"div has no extensions", `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>","_div":{"extension":[{"url":"u","valueCode":"x"}]}}}`, "structure Patient.text.div.extension"},

		{"an element of an id alone", `{"resourceType":"Patient","name":[{"id":"1"}]}`, "invariant Patient.name[0]"},
		{"extension without url", `{"resourceType":"Patient","extension":[{"valueCode":"x"}]}`, "required Patient.extension[0].url"},
		{"extension of a url alone", `{"resourceType":"Patient","extension":[{"url":"u"}]}`, "invariant Patient.extension[0]"},
		{"extension with both", `{"resourceType":"Patient","extension":[{"url":"u","valueCode":"x","extension":[{"url":"v","valueCode":"y"}]}]}`, "invariant Patient.extension[0]"},
		{"extension with two values", `{"resourceType":"Patient","extension":[{"url":"u","valueCode":"x","valueString":"y"}]}`, "structure Patient.extension[0].value"},
		{"extension of a primitive's extension", `{"resourceType":"Patient","birthDate":"2020","_birthDate":{"extension":[{"url":"u","valueDateTime":"x"}]}}`, "value Patient.birthDate.extension[0].value"},

		{"reference to another type", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Practitioner/1"}}`, "value Encounter.subject.reference"},
		{"absolute reference to another type", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"https://example.org/fhir/Practitioner/1/_history/2"}}`, "value Encounter.subject.reference"},
		{"reference to an unknown type", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Person1/1"}}`, "value Encounter.subject.reference"},
		{"reference without id", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient/"}}`, "value Encounter.subject.reference"},
		{"reference of a name alone", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient"}}`, "value Encounter.subject.reference"},
		{"reference with whitespace", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient/a b"}}`, "value Encounter.subject.reference"},
		{"reference to a version without number", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient/1/_history/"}}`, "value Encounter.subject.reference"},
		{"reference by a malformed uuid", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"urn:uuid:1"}}`, "value Encounter.subject.reference"},
		{"reference by a malformed oid", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"urn:oid:1.02"}}`, "value Encounter.subject.reference"},
		{"conditional reference outside of a transaction", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient?identifier=x"}}`, "value Encounter.subject.reference"},
		{"reference to nothing", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"type":"Patient"}}`, "required Encounter.subject"},
		{"type of no type", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"type":"Human","display":"x"}}`, "value Encounter.subject.type"},
		{"type that is not admitted", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"type":"Location","display":"x"}}`, "value Encounter.subject.type"},
		{"type beside a reference to another", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"type":"Group","reference":"Patient/1"}}`, "value Encounter.subject.type"},
		{"fragment to nothing", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"#p"}}`, "invariant Encounter.subject.reference"},
		{"fragment to a wrong type", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Location","id":"p"}],"subject":{"reference":"#p"}}`, "value Encounter.subject.reference"},

		{"contained without id", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient"}]}`, "required Encounter.contained[0].id"},
		{"contained in contained", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p","contained":[{"resourceType":"Patient","id":"q"}]}],"subject":{"reference":"#p"}}`, "invariant Encounter.contained[0].contained"},
		{"contained with a version", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p","meta":{"versionId":"1"}}],"subject":{"reference":"#p"}}`, "invariant Encounter.contained[0].meta"},
		{"contained with labels", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p","meta":{"security":[{"code":"R"}]}}],"subject":{"reference":"#p"}}`, "invariant Encounter.contained[0].meta"},
		{"contained that nothing refers to", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p"}]}`, "invariant Encounter.contained[0]"},
		{"contained twice", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p"},{"resourceType":"Patient","id":"p"}],"subject":{"reference":"#p"}}`, "invariant Encounter.contained[1].id"},
		{"contained is validated", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p","gender":"x"}],"subject":{"reference":"#p"}}`, "code-invalid Encounter.contained[0].gender"},
		{"contained without type", `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"id":"p"}],"subject":{"reference":"#p"}}`, "structure Encounter.contained[0]"},
		{"contained where none may be", `{"resourceType":"Bundle","type":"collection","contained":[{"resourceType":"Patient","id":"p"}]}`, "structure Bundle.contained"},

		{"an entry's resource", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}},{"resource":{"resourceType":"Patient","gender":"x"}}]}`, "code-invalid Bundle.entry[1].resource.gender"},
		{"an entry's unknown type", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Cat"}}]}`, "structure Bundle.entry[0].resource"},
		{"fragments end at the entry", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Account","status":"active","contained":[{"resourceType":"Patient","id":"p"}],"subject":[{"reference":"#p"}]}},{"resource":{"resourceType":"Account","status":"active","subject":[{"reference":"#p"}]}}]}`, "invariant Bundle.entry[1].resource.subject[0].reference"},
		{"bundle type", `{"resourceType":"Bundle","type":"colection"}`, "code-invalid Bundle.type"},
		{"parameters", `{"resourceType":"Parameters","parameter":[{"name":"a","part":[{"valueString":"x"}]}]}`, "required Parameters.parameter[0].part[0].name"},

		{"narrative without div", `{"resourceType":"Patient","text":{"status":"generated"}}`, "required Patient.text.div"},
		{"narrative with a script", `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><script>1</script></div>"}}`, "value Patient.text.div"},
		{"period", `{"resourceType":"Patient","name":[{"period":{"start":"2020-02-02","end":"2020-02-01"}}]}`, "invariant Patient.name[0].period"},
		{"several", `{"resourceType":"Patient","gender":"x","birthDate":"x","foo":1}`, "code-invalid Patient.gender; value Patient.birthDate; structure Patient.foo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			issues := validate.Resource(parse(t, c.text))
			if got := lines(issues); got != c.want {
				t.Errorf("got  %s\nwant %s\n%+v", got, c.want, issues)
			}
			for _, i := range issues {
				if i.Severity != "error" || i.Diagnostics == "" {
					t.Errorf("%+v", i)
				}
			}
		})
	}
}

func TestValid(t *testing.T) {
	for name, text := range map[string]string{
		"nothing but the type":            `{"resourceType":"Patient"}`,
		"companion and value":             `{"resourceType":"Patient","birthDate":"1970-03-30","_birthDate":{"id":"1","extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1970-03-30T12:00:00Z"}]}}`,
		"companion before its value":      `{"resourceType":"Patient","_birthDate":{"id":"1"},"birthDate":"1970-03-30"}`,
		"companion alone":                 `{"resourceType":"Patient","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}}`,
		"companion instead of a required": `{"resourceType":"Observation","_status":{"extension":[{"url":"u","valueCode":"unknown"}]},"code":{"text":"x"}}`,
		"companions of some":              `{"resourceType":"Patient","name":[{"given":["a",null,"c"],"_given":[null,{"extension":[{"url":"u","valueCode":"x"}]},{"id":"1"}]}]}`,
		"companion of the resource's id":  `{"resourceType":"Patient","id":"1","_id":{"extension":[{"url":"u","valueCode":"x"}]}}`,
		"extension in an extension":       `{"resourceType":"Patient","extension":[{"url":"u","extension":[{"url":"v","valueAge":{"value":1}}]}]}`,
		"contained points to container":   `{"resourceType":"Patient","contained":[{"resourceType":"Provenance","id":"p","target":[{"reference":"#"}],"recorded":"2020-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}]}`,
		"contained by a canonical":        `{"resourceType":"Questionnaire","status":"draft","contained":[{"resourceType":"ValueSet","id":"v","status":"draft"}],"item":[{"linkId":"1","type":"choice","answerValueSet":"#v"}]}`,
		"contained by each other":         `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"contained":[{"resourceType":"Patient","id":"p","managingOrganization":{"reference":"#o"}},{"resourceType":"Organization","id":"o"}],"subject":{"reference":"#p"}}`,
		"many contained":                  manyContained(40),
		"urn":                             `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"urn:uuid:A8EF9500-2bb4-4cd4-9a5e-0b4bb4bc4e27"}}`,
		"absolute, of no FHIR server":     `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"http://example.org/people?id=1"}}`,
		"versioned":                       `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"Patient/1/_history/2"}}`,
		"identifier alone":                `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"type":"Patient","identifier":{"value":"1"}}}`,
		"extension alone":                 `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"extension":[{"url":"u","valueCode":"unknown"}]}}`,
		"reference to anything":           `{"resourceType":"List","status":"current","mode":"working","entry":[{"item":{"reference":"Slot/1"}}]}`,
		"concept of two systems":          `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"coding":[{"system":"http://example.org","code":"a"},{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]}}`,
		"concept with a reason":           `{"resourceType":"Condition","subject":{"reference":"Patient/1"},"clinicalStatus":{"extension":[{"url":"u","valueCode":"unknown"}]}}`,
		"period within a month":           `{"resourceType":"Patient","name":[{"period":{"start":"2020-02","end":"2020-02-01"}}]}`,
		"bundle in a bundle":              `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient"}}]}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, i := range validate.Resource(parse(t, text)) {
				t.Errorf("%+v", i)
			}
		})
	}
}

func manyContained(n int) string {
	var contained, refs []string
	for i := range n {
		contained = append(contained, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
		refs = append(refs, fmt.Sprintf(`{"reference":"#p%d"}`, i))
	}
	return `{"resourceType":"Account","status":"active","contained":[` + strings.Join(contained, ",") + `],"subject":[` + strings.Join(refs, ",") + `]}`
}

func TestConditional(t *testing.T) {
	allow := validate.Options{AllowConditional: true}
	text := `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"},"subject":{"reference":"%s"}}`
	for ref, want := range map[string]string{
		"Patient?identifier=http://example.org|1": "",
		"Patient?":         "value Encounter.subject.reference",
		"Practitioner?x=1": "value Encounter.subject.reference",
		"Dog?x=1":          "value Encounter.subject.reference",
	} {
		if got := lines(allow.Resource(parse(t, fmt.Sprintf(text, ref)))); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

// TestNoValues holds that what a person is called or numbered never comes back in an issue.
func TestNoValues(t *testing.T) {
	const secret = "Zaphod"
	for _, text := range []string{
		`{"resourceType":"Patient","birthDate":"Zaphod"}`,
		`{"resourceType":"Patient","active":"Zaphod"}`,
		`{"resourceType":"Patient","name":[{"family":"Zaphod\u0001"}]}`,
		`{"resourceType":"Patient","name":"Zaphod"}`,
		`{"resourceType":"Patient","managingOrganization":{"reference":"Zaphod Beeblebrox"}}`,
		`{"resourceType":"Patient","managingOrganization":{"reference":"Patient/Zaphod"}}`,
		`{"resourceType":"Patient","managingOrganization":{"reference":"#Zaphod"}}`,
		`{"resourceType":"Patient","text":{"status":"generated","div":"<p>Zaphod</p>"}}`,
	} {
		issues := validate.Resource(parse(t, text))
		if len(issues) == 0 {
			t.Errorf("no issue: %s", text)
		}
		for _, i := range issues {
			if strings.Contains(i.Diagnostics+i.Expression, secret) {
				t.Errorf("%+v", i)
			}
		}
	}
}

func TestIssuesAreCapped(t *testing.T) {
	text := `{"resourceType":"Patient","name":[` + strings.TrimSuffix(strings.Repeat(`{"use":"x"},`, 500), ",") + `]}`
	if got := len(validate.Resource(parse(t, text))); got != validate.MaxIssues {
		t.Errorf("%d issues, want %d", got, validate.MaxIssues)
	}
}

// TestBuiltTrees validates trees that no parser made.
func TestBuiltTrees(t *testing.T) {
	deep := fhir.NewResource("Patient")
	at := deep.Node
	for range 500 {
		x := fhir.NewObject().Set("url", fhir.NewString("u"))
		at.Set("extension", fhir.NewArray(x))
		at = x
	}
	at.Set("valueBoolean", fhir.NewBool(true))
	for name, c := range map[string]struct {
		r    *fhir.Resource
		want string
	}{
		"nil":          {nil, "structure "},
		"no tree":      {&fhir.Resource{}, "structure "},
		"no object":    {&fhir.Resource{Node: fhir.NewArray()}, "structure "},
		"no type":      {&fhir.Resource{Node: fhir.NewObject()}, "structure "},
		"empty object": {&fhir.Resource{Node: fhir.NewResource("Patient").Set("maritalStatus", fhir.NewObject())}, "invariant Patient.maritalStatus"},
		"empty array":  {&fhir.Resource{Node: fhir.NewResource("Patient").Set("name", fhir.NewArray())}, "structure Patient.name"},
	} {
		if got := lines(validate.Resource(c.r)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := validate.Resource(deep); len(got) != 1 || got[0].Code != "too-long" {
		t.Errorf("nested too deep: %v", lines(got))
	}
}

func FuzzResource(f *testing.F) {
	f.Add([]byte(bloodPressure))
	f.Add([]byte(manyContained(3)))
	f.Add([]byte(`{"resourceType":"Patient","_birthDate":[null],"name":[{"given":[null,"x"],"_given":[{"id":"1"}]}],"contained":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := fhir.ParseResource(data)
		if err != nil {
			return
		}
		issues := validate.Resource(r)
		if len(issues) > validate.MaxIssues {
			t.Errorf("%d issues", len(issues))
		}
		for _, i := range issues {
			if i.Severity == "" || i.Code == "" || i.Diagnostics == "" {
				t.Errorf("%+v", i)
			}
		}
	})
}
