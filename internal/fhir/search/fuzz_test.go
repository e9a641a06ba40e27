package search

import (
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Extract must bear any JSON that parses, valid FHIR or not: validation may be somebody else's order.
func FuzzExtract(f *testing.F) {
	f.Add([]byte(typicalObservation))
	for _, s := range []string{
		`{"resourceType":"Patient","name":"x","address":{"line":"a"},"identifier":[[{"value":"1"}],null,"x"],"birthDate":5}`,
		`{"resourceType":"Observation","code":[{"coding":{"code":"x"}}],"valueQuantity":{"value":"5"},"component":[{"code":"x","valueQuantity":1}],"effectivePeriod":"x"}`,
		`{"resourceType":"Bundle","entry":[{"resource":5}]}`,
		`{"resourceType":"MolecularSequence","variant":[{"start":1e999}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := fhir.ParseResource(data)
		if err != nil {
			return
		}
		before := string(r.AppendJSON(nil))
		v := Extract(r, "http://x")
		for _, row := range v.Text {
			if len(row.Val) > MaxText {
				t.Fatalf("a row of %d bytes", len(row.Val))
			}
		}
		if string(r.AppendJSON(nil)) != before {
			t.Fatal("the resource was changed")
		}
	})
}
