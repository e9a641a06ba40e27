// Package flat is what the modules of the product API share: reading and writing FHIR resources by the ids that the API tells, listings by page or
// cursor, and the small moves on a resource's tree that flat JSON needs.
//
// An id of the product API is a string of digits: the FHIR id where that is digits only, else the record's number. A path takes either.
package flat
