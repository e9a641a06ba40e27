// Package patch changes resources by JSON Patch (RFC 6902) and by FHIRPath Patch (R4 fhirpatch.html).
//
// Both work on a copy: what they are given stays as it is, whether they fail or not, and a patch is applied whole or
// not at all. Both refuse a patch that changes a resource's type or id.
//
// Errors are fault.Errors whose text names the operation by its number, from 0, and its path: of kind Invalid where the
// patch itself is malformed, Unprocessable where it does not fit the document, TooCostly over the stated limits.
package patch

import (
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// The limits on one patch.
const (
	MaxOperations = 10_000    // of either kind
	MaxNodes      = 1_000_000 // JSON values that a patch may add; copying copies could double them without end
)

// sameIdentity refuses a change of a resource's type or id.
func sameIdentity(before, after *fhir.Node) error {
	for _, name := range [...]string{"resourceType", "id"} {
		if !before.Get(name).Equal(after.Get(name)) {
			return fault.New(fault.Unprocessable, "a patch must not change %s", name)
		}
	}
	return nil
}
