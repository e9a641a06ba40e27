package fhirrest

import (
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
)

// serve is an interaction: it fills a, or fails.
type serve func(h *Handler, q *request, a *answer) error

// endpoint is what one method does at one place.
type endpoint struct {
	method string
	serve  serve
	write  bool // changes the record by Handler.change: may be part of a transaction
}

// table is what is served where. HEAD follows GET, OPTIONS is answered from the table.
type table [places][]endpoint

// endpoints returns the table. It is no variable: a batch serves what stands in it, itself among it.
func endpoints() table {
	return table{
		atRoot:              {{http.MethodGet, (*Handler).searchSystem, false}, {http.MethodPost, (*Handler).bundle, false}},
		atMetadata:          {{http.MethodGet, (*Handler).metadata, false}},
		atSystemHistory:     {{http.MethodGet, (*Handler).history, false}},
		atSystemSearch:      {{http.MethodPost, (*Handler).searchSystem, false}},
		atSystemOperation:   {{http.MethodGet, (*Handler).unknownOperation, false}, {http.MethodPost, (*Handler).unknownOperation, false}},
		atType:              {{http.MethodGet, (*Handler).search, false}, {http.MethodPost, (*Handler).write, true}, {http.MethodPut, (*Handler).write, true}, {http.MethodPatch, (*Handler).write, true}, {http.MethodDelete, (*Handler).write, true}},
		atTypeSearch:        {{http.MethodPost, (*Handler).search, false}},
		atTypeHistory:       {{http.MethodGet, (*Handler).history, false}},
		atTypeOperation:     {{http.MethodGet, (*Handler).operation, false}, {http.MethodPost, (*Handler).operation, false}},
		atInstance:          {{http.MethodGet, (*Handler).read, false}, {http.MethodPut, (*Handler).write, true}, {http.MethodPatch, (*Handler).write, true}, {http.MethodDelete, (*Handler).write, true}},
		atInstanceHistory:   {{http.MethodGet, (*Handler).history, false}},
		atInstanceOperation: {{http.MethodGet, (*Handler).operation, false}, {http.MethodPost, (*Handler).operation, false}},
		atVersion:           {{http.MethodGet, (*Handler).vread, false}},
		atCompartment:       {{http.MethodGet, (*Handler).searchCompartment, false}},
		atCompartmentSearch: {{http.MethodPost, (*Handler).searchCompartment, false}},
	}
}

// find returns what the method does at the place. MethodNotAllowed where it does nothing.
func (t *table) find(p place, method string) (*endpoint, error) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	list := t[p]
	for i := range list {
		if list[i].method == method {
			return &list[i], nil
		}
	}
	return nil, fault.New(fault.MethodNotAllowed, "%.16q is not supported here; allowed: %s", method, t.allowed(p))
}

// allowed is the value of the Allow header at a place.
func (t *table) allowed(p place) string {
	var b strings.Builder
	for _, e := range t[p] {
		b.WriteString(e.method)
		b.WriteString(", ")
		if e.method == http.MethodGet {
			b.WriteString("HEAD, ")
		}
	}
	return b.String() + http.MethodOptions
}
