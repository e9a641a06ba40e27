// Package importer writes files of FHIR resources and Bundles through the FHIR door of a server: a remote one, or the
// handler of this very process.
//
// A transaction or batch Bundle is sent as it is. Other resources are sent under the id that they bear (update-as-create), or
// created where they bear none; neighbours of an .ndjson share a transaction, and are sent each for itself where one of them
// is refused. Collection and searchset Bundles are taken apart into a transaction.
//
// Files are read by one goroutine and written by several; a file that others refer to by conditional references is written before
// them ([source.File.Early]), and what was refused is tried once more at the end, when what it refers to may have come.
//
// What was written is noted in a [Journal], so that an import that was cut off goes on where it stood. The note follows the
// write: a unit that was being written at the very moment of a crash is written again by the next run.
package importer
