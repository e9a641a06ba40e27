package validate_test

import (
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
)

// bloodPressure is an Observation of about 2 KB as a ward writes it.
const bloodPressure = `{
  "resourceType": "Observation", "id": "bp-1",
  "meta": {"versionId": "3", "lastUpdated": "2024-03-01T09:12:33.120+02:00", "profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
  "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Blood pressure</b> 107/60 mm[Hg], left arm &amp; sitting</p></div>"},
  "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:187e0c12-8dd2-67e2-99b2-bf273c878281"}],
  "basedOn": [{"reference": "ServiceRequest/sr-77", "display": "Vital signs each morning"}],
  "status": "final",
  "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital Signs"}]}],
  "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "Blood pressure panel with all children optional"}], "text": "Blood pressure systolic & diastolic"},
  "subject": {"reference": "Patient/example"},
  "encounter": {"reference": "Encounter/e-1"},
  "effectiveDateTime": "2024-03-01T09:10:00+02:00",
  "issued": "2024-03-01T09:12:33.120+02:00",
  "performer": [{"reference": "Practitioner/nurse-1"}, {"reference": "Organization/ward-4"}],
  "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "L", "display": "low"}], "text": "Below low normal"}],
  "bodySite": {"coding": [{"system": "http://snomed.info/sct", "code": "368209003", "display": "Right arm"}]},
  "component": [
    {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Systolic blood pressure"}]},
     "valueQuantity": {"value": 107, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
     "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "N"}]}],
     "referenceRange": [{"low": {"value": 90, "unit": "mmHg"}, "high": {"value": 139.5, "unit": "mmHg"}}]},
    {"code": {"coding": [{"system": "http://loinc.org", "code": "8462-4", "display": "Diastolic blood pressure"}]},
     "valueQuantity": {"value": 60, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
     "interpretation": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "L"}]}]}
  ]
}`

func parse(t testing.TB, text string) *fhir.Resource {
	t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkObservation(b *testing.B) {
	r := parse(b, bloodPressure)
	if issues := validate.Resource(r); issues != nil {
		b.Fatal(issues)
	}
	b.SetBytes(int64(len(bloodPressure)))
	b.ReportAllocs()
	for b.Loop() {
		validate.Resource(r)
	}
}

// TestNoAllocations holds that validating what is valid costs no memory.
func TestNoAllocations(t *testing.T) {
	r := parse(t, bloodPressure)
	if n := testing.AllocsPerRun(100, func() { validate.Resource(r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
