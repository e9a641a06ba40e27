// Package search is FHIR R4 search without a database: which values a resource is found by, what a query asks, and
// whether the one satisfies the other.
//
// # Atoms
//
// A search parameter is a union of paths, and several parameters share paths: Observation's combo-code is code and
// component-code together, patient is subject where it points to a Patient. An [Atom] is one such path of one resource
// type with one way of indexing. The store keeps index rows by atom; a parameter is a list of atoms, each perhaps
// narrowed to a target type. So nothing is indexed twice. An atom's ID is a hash of what it is, stable across builds.
//
// # Values
//
// [Extract] gives all index rows of a resource, in four shapes: [TextRow] (string, token, uri, canonical reference,
// identifier of a reference, composite), [RefRow] (literal reference to a resource of this server), [DateRow] and
// [NumRow] (number and quantity). Rows of identifiers, contact points and addresses are marked Blind: the store replaces
// their text by keyed hashes before they touch a disk.
//
// The definitions' expressions are read into paths, all paths of a type are laid over each other, and Extract follows
// them in one walk over the JSON tree: no FHIRPath evaluator runs. That both find the same is tested on every official
// example (see searchtest).
//
// # Predicates
//
// [Parse] turns a query string into a [Query] whose [Pred] is a tree over atoms. The store compiles it to SQL. [Match]
// decides the same predicate on extracted values in memory: it is what filters where an index cannot answer, and the
// oracle that the store's SQL is tested against. [Bounds] says what an index can answer alone.
//
// # What is not here
//
// Terminology (:in, :not-in, :above and :below on tokens), hierarchies (:above and :below on references), _filter, named
// queries, functional lists, and contained resources are refused by name. Units are not converted. Chains do not follow
// canonical URLs. A composite finds elements by the code of its token; where one resource holds that code from two systems
// in one such element each, the value may be the other's. A phonetic parameter (Patient.phonetic) compares as a string.
package search
