package fhirpath

import (
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
)

const benchPatient = `{"resourceType":"Patient","id":"p1","meta":{"versionId":"1","lastUpdated":"2024-01-01T00:00:00Z","profile":["http://x"]},
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},
"extension":[{"url":"http://hl7.org/fhir/us/core/StructureDefinition/us-core-race","extension":[{"url":"text","valueString":"White"}]},
{"url":"http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName","valueString":"Maria"}],
"identifier":[{"system":"urn:a","value":"1"},{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:b","value":"2"}],
"active":true,"name":[{"use":"official","family":"Chalmers","given":["Peter","James"]},{"use":"usual","given":["Jim"]}],
"telecom":[{"system":"phone","value":"(03) 5555 6473","use":"work"},{"system":"email","value":"p@example.org"},{"system":"phone","value":"1"}],
"gender":"male","birthDate":"1974-12-25","deceasedBoolean":false,
"address":[{"use":"home","line":["534 Erewhon St"],"city":"PleasantVille","postalCode":"3999"}],
"generalPractitioner":[{"reference":"Practitioner/7"},{"reference":"Organization/8"}],"managingOrganization":{"reference":"Organization/1"}}`

const benchObservation = `{"resourceType":"Observation","id":"o1","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],
"code":{"coding":[{"system":"http://loinc.org","code":"8302-2","display":"Body Height"}],"text":"Body Height"},
"subject":{"reference":"Patient/p1"},"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2012-05-31T09:17:11-04:00",
"issued":"2012-05-31T09:17:11.000-04:00","valueQuantity":{"value":66.96,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}`

// BenchmarkEval measures the shapes that search parameters have; a buffer is reused, as extraction does.
func BenchmarkEval(b *testing.B) {
	for _, c := range []struct{ name, body, expr string }{
		{"family", benchPatient, "Patient.name.family"},
		{"subject", benchObservation, "Observation.subject"},
		{"phone", benchPatient, "Patient.telecom.where(system='phone')"},
		{"resolve", benchObservation, "Observation.subject.where(resolve() is Patient)"},
		{"as", benchObservation, "(Observation.value as Quantity) | (Observation.value as SampledData)"},
		{"choice", benchObservation, "Observation.effective"},
		{"deceased", benchPatient, "Patient.deceased.exists() and Patient.deceased != false"},
		{"union", benchPatient, "Patient.name.given | Patient.name.family"},
		{"extension", benchPatient, "Patient.extension('http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName').value"},
		{"comparison", benchObservation, "Observation.value > 60 'kg'"},
		{"invariant", benchPatient, "Patient.name.all(family.exists() or given.exists())"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, err := fhir.ParseResource([]byte(c.body))
			if err != nil {
				b.Fatal(err)
			}
			e := MustCompile(c.expr)
			ctx := Context{Resource: r, Focus: ResourceItem(r)}
			var buf Collection
			b.ReportAllocs()
			for b.Loop() {
				if buf, err = e.AppendEval(buf[:0], &ctx); err != nil || len(buf) == 0 {
					b.Fatal(err, len(buf))
				}
			}
		})
	}
}

// BenchmarkCompile measures reading an expression.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := Compile("Patient.telecom.where(system='phone').value | Patient.name.given.first()"); err != nil {
			b.Fatal(err)
		}
	}
}
