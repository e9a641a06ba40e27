// Package pack makes the bodies of FHIR resources small: zstd (RFC 8878) with a dictionary of what FHIR JSON repeats.
//
// A packed body is one plain zstd frame that names its dictionary by number, so `zstd -d -D fhir1.dict` opens it too. Dictionaries are
// embedded and never change once released: a better one gets the next number, [Codec.Pack] uses the newest, [Codec.Unpack] opens all.
// They are trained on resources of the project's own making and on the official R4 examples (CC0), never on real patients
// nor on others' data: a dictionary holds pieces of what it was trained on. Figures and the choice: docs/decisions/0003-compression.md.
package pack

//go:generate go run ./generate -out fhir1.dict -id 1
