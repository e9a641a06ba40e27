// Package validate checks a resource's structure against the R4 definitions in one pass over its tree.
//
// It finds: unknown resource types and elements, cardinality, arrays where a single value belongs and the reverse, JSON
// kinds and formats of primitive values (with real dates), companions of primitives ("_birthDate") and their alignment,
// more than one of a choice (value[x]), codes outside of required bindings, references that are malformed, dangle within
// the resource or point to a type that the definition does not admit, the rules of contained resources (dom-2 to dom-5),
// of extensions (ext-1), of empty elements (ele-1), of periods (per-1), and narrative that is not the safe XHTML that
// the specification allows (txt-1, txt-2).
//
// It does not find: violations of profiles, of extensible bindings, of terminology too large to be listed, and of the
// other invariants that R4 writes in FHIRPath. Whether a reference's target exists is a question to the store.
//
// Issues name the element and the reason, never a value that may be personal; codes of required bindings are named.
package validate
