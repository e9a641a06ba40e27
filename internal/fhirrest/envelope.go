package fhirrest

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// The resources of a Bundle are checked by the store; what holds them is checked here. A condition that is misspelt or
// of a wrong kind must never be passed over: the change would be made without it.

// knownMembers makes sure that every member of n is an element of the type. prefix is n's place, "" or ending in ".".
func knownMembers(n *fhir.Node, typ, prefix string) error {
	t := def.Lookup(typ)
	for m := n.First(); m != nil; m = m.Next() {
		if m.Name == "resourceType" && prefix == "Bundle." {
			continue
		}
		if _, ok := t.Field(strings.TrimPrefix(m.Name, "_")); !ok {
			return fault.At(fault.Invalid, prefix+printable(m.Name), "a %s has no such element", typ).WithCode("structure")
		}
	}
	return nil
}

// printable cuts a name that a client made up to what an expression can bear.
func printable(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '?'
	}, name)
}

// knownRequest makes sure that an entry and its request hold known members alone, and texts where texts belong.
func knownRequest(entry, request *fhir.Node) error {
	if err := knownMembers(entry, "Bundle.entry", ""); err != nil {
		return err
	}
	if err := knownMembers(request, "Bundle.entry.request", "request."); err != nil {
		return err
	}
	if full := entry.Get("fullUrl"); full != nil && full.Kind != fhir.String {
		return fault.At(fault.Invalid, "fullUrl", "a text").WithCode("structure")
	}
	for m := request.First(); m != nil; m = m.Next() {
		if m.Name == "extension" || m.Name == "modifierExtension" || m.Name[0] == '_' {
			continue
		}
		if m.Kind != fhir.String || m.Text == "" && m.Name != "url" {
			return fault.At(fault.Invalid, "request."+m.Name, "a text that is not empty").WithCode("structure")
		}
	}
	return nil
}
