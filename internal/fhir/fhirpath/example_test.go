package fhirpath_test

import (
	"fmt"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/fhirpath"
)

func ExampleExpr_Eval() {
	patient, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","birthDate":"1974-12-25",
		"name":[{"given":["Peter","James"]}],"generalPractitioner":[{"reference":"Practitioner/7"}]}`))
	if err != nil {
		panic(err)
	}
	for _, text := range []string{
		"Patient.name.given.join(' ')",
		"birthDate + 18 years",
		"generalPractitioner.where(resolve() is Practitioner).reference",
	} {
		found, err := fhirpath.MustCompile(text).Eval(fhirpath.Context{Resource: patient})
		if err != nil {
			panic(err)
		}
		for _, item := range found {
			fmt.Println(item.TypeName(), item)
		}
	}
	// Output:
	// string Peter James
	// date 1992-12-25
	// string Practitioner/7
}
