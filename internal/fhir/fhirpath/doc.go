// Package fhirpath is a FHIRPath engine (Normative release 1, with the functions that FHIR R4 adds and those of the
// later release that its test suite asks for) over the JSON tree of package fhir.
//
// An expression is compiled once into a tree of small operations and evaluated any number of times, from any number of
// goroutines. Elements are typed by package def; nothing is copied out of the tree until a value is asked for. The
// package is pure: the time comes with the [Context], references are resolved by the caller's function, and a step
// budget bounds what an expression may cost.
//
// Where the specification leaves room, or R4's own search parameters need it:
//
//   - the operator `as` filters a collection of several items, as R4's search parameters use it
//     ("(ActivityDefinition.useContext.value as CodeableConcept)"); the function as() demands at most one unless
//     [Context].AsFilters;
//   - as and ofType() match a primitive's own type only (a code is not as(string)), for other types also those derived;
//   - a choice element is reached by its FHIRPath name alone ("value", not "valueQuantity"); [Check] reports the other;
//   - a date or time with an offset and one without are compared only where no offset could change the answer;
//   - resolve() of a literal reference that nobody fetches yields an item that knows its resource type and has no body.
package fhirpath
