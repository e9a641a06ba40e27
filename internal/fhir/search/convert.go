package search

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// A converter turns one value into rows of an atom.
type converter func(x *extractor, a *Atom, n *fhir.Node)

// converterOf returns how values of a data type are indexed for a kind, or nil where they are not.
func converterOf(kind Kind, typ string) converter {
	switch kind {
	case String:
		return stringConverters[typ]
	case Token:
		return tokenConverters[typ]
	case URI:
		return uriConverters[typ]
	case Reference:
		return referenceConverters[typ]
	case Date:
		return dateConverters[typ]
	case Number:
		return numberConverters[typ]
	case Quantity:
		return quantityConverters[typ]
	}
	return nil
}

var stringConverters = map[string]converter{
	"string": putString, "markdown": putString,
	"HumanName": putMembers("text", "family", "given", "prefix", "suffix"),
	"Address":   putMembers("text", "line", "city", "district", "state", "postalCode", "country"),
}

func putString(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind == fhir.Object || n.Kind == fhir.Array {
		return
	}
	val := Fold(n.Text)
	var sub int64
	if !a.Blind { // an unkeyed hash of an address could be guessed
		sub = Hash(n.Text)
	}
	row := TextRow{Atom: a.ID, Val: val, Sub: sub, Blind: a.Blind}
	if len(val) > MaxText && !x.whole {
		row.Val = cutText(val, MaxText)
		x.vals.Text = append(x.vals.Text, TextRow{Atom: derivedID(a.ID, longMark, String), Blind: a.Blind})
	}
	x.vals.Text = append(x.vals.Text, row)
}

func putMembers(names ...string) converter {
	return func(x *extractor, a *Atom, n *fhir.Node) {
		before := len(x.vals.Text)
		for c := n.First(); c != nil; c = c.Next() {
			for _, name := range names {
				if c.Name == name {
					putEach(x, a, c)
				}
			}
		}
		if len(x.vals.Text) == before {
			x.text(a, "", 0)
		}
	}
}

func putEach(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind != fhir.Array {
		putString(x, a, n)
		return
	}
	for c := n.First(); c != nil; c = c.Next() {
		if c.Kind != fhir.Null {
			putString(x, a, c)
		}
	}
}

var tokenConverters = map[string]converter{
	"boolean": putCode, "code": putCode, "string": putCode, "uri": putCode, "id": putCode,
	"Coding":          putCoding,
	"CodeableConcept": putConcept,
	"Identifier":      putIdentifier,
	"ContactPoint":    putIdentifier,
}

func putCode(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind != fhir.Object && n.Kind != fhir.Array {
		x.text(a, n.Text, 0)
	}
}

// putCoding makes a row even of a Coding with only a display: without code and system, so that :missing is right.
func putCoding(x *extractor, a *Atom, n *fhir.Node) {
	x.text(a, n.Str("code"), systemHash(n.Str("system")))
}

func putConcept(x *extractor, a *Atom, n *fhir.Node) {
	coding := n.Get("coding").First()
	if coding == nil {
		x.text(a, "", 0)
	}
	for ; coding != nil; coding = coding.Next() {
		putCoding(x, a, coding)
	}
}

func putIdentifier(x *extractor, a *Atom, n *fhir.Node) {
	x.text(a, n.Str("value"), systemHash(n.Str("system")))
}

// putTruth is "element.exists() and element != false", whose members have these names.
func putTruth(names []string) converter {
	return func(x *extractor, a *Atom, n *fhir.Node) {
		val := "false"
		for _, name := range names {
			if c := n.Get(name); c != nil && (c.Kind != fhir.Bool || c.Text == "true") {
				val = "true"
			}
		}
		x.text(a, val, 0)
	}
}

var uriConverters = map[string]converter{
	"uri": putURI, "url": putURI, "canonical": putCanonical,
}

func putURI(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind == fhir.String {
		x.text(a, n.Text, 0)
	}
}

func putCanonical(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind != fhir.String {
		return
	}
	x.text(a, n.Text, 0)
	if bare, _, versioned := strings.Cut(n.Text, "|"); versioned {
		x.text(a, bare, 0)
	}
}

var referenceConverters = map[string]converter{
	"Reference": putReference,
	"canonical": putLink, "uri": putLink, "url": putLink, "oid": putLink, "uuid": putLink,
	"Resource": putInline,
}

func putReference(x *extractor, a *Atom, n *fhir.Node) {
	before := len(x.vals.Ref) + len(x.vals.Text)
	if id := n.Get("identifier"); id != nil && a.ident != nil {
		putIdentifier(x, a.ident, id)
	}
	if ref := n.Get("reference"); ref != nil {
		putLink(x, a, ref)
	}
	if len(x.vals.Ref)+len(x.vals.Text) == before {
		x.text(a, "", 0) // a display alone, or a contained resource: present, though nothing finds it
	}
}

func putLink(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind != fhir.String || strings.HasPrefix(n.Text, "#") {
		return
	}
	if typ, id, ok := fhir.SplitReference(n.Text, x.base); ok {
		x.vals.Ref = append(x.vals.Ref, RefRow{a.ID, typ, id})
		return
	}
	putCanonical(x, a, n)
}

// putInline is for Bundle.entry[0].resource: the resource itself stands where a reference would.
func putInline(x *extractor, a *Atom, n *fhir.Node) {
	if id := n.Str("id"); id != "" {
		x.vals.Ref = append(x.vals.Ref, RefRow{a.ID, n.Str("resourceType"), id})
		return
	}
	x.text(a, "", 0)
}
