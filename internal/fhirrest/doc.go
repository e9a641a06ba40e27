// Package fhirrest serves FHIR R4's RESTful API (http.html) under one path, such as /fhir/R4: one file an interaction.
//
// A request from the wire and an entry of a batch or transaction become the same [request] and meet the same functions, which
// fill an [answer]; only request.go, handler.go and entry.go know which of the two it was. Stored bodies are spliced into answers
// as they are, and parsed again only where _summary, _elements or _pretty ask for another shape.
//
// The package holds no rule and no state of its own: what may be stored and what a search finds is decided by the
// store behind [Records].
//
// Deliberately absent: XML and Turtle (406, 415), Binary's raw form, _async, CORS, and who may do what.
package fhirrest
