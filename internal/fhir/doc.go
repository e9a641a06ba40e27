// Package fhir holds a FHIR R4 resource as a JSON tree, and reads and writes it so that nothing legal is lost.
//
// A [Node] is a JSON value with its place in its parent: the digits of a number, the order of members, unknown
// members and primitive extensions ("_birthDate") all stay as they were written. Parsing is strict where JSON
// (RFC 8259) and FHIR R4 (json.html) are: duplicate members, empty objects and arrays, null outside of arrays,
// a byte order mark and bad UTF-8 are errors that name the offset.
//
// The package is pure: no clock, no database, no network. Its subpackages are
//
//   - def: the R4 definitions (types, elements, search parameters, compartments, code lists)
//   - validate: structural validation of a resource against def
//   - fhirpath: the FHIRPath engine
//   - search: search parameters: values out of a resource, predicates out of a query
//   - patch: JSON Patch and FHIRPath Patch
package fhir
