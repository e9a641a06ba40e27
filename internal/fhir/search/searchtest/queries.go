// Package searchtest makes searches that must find a given resource. It is imported by tests alone.
//
// It is an oracle independent of package search's own way of extraction: values are found by evaluating each search
// parameter's published FHIRPath expression, and turned into query values by data type.
package searchtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/fhirpath"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// Query is one search parameter with a value that the resource must be found by. Value is as the grammar wants it, not
// percent-encoded.
type Query struct{ Param, Value string }

// QueriesFor returns searches of r's type that must find r, at least one for every R4 search parameter that r has a
// searchable value for, each once. What is searchable is what has something to search by: a concept with only a text has
// no token, a reference to a contained resource names nothing outside, a string is no date. _lastUpdated, _text and
// _content are not among them. An error is an expression that does not evaluate.
func QueriesFor(r *fhir.Resource) ([]Query, error) {
	m := maker{r: r, seen: map[Query]bool{}}
	for _, sp := range def.SearchParams(r.Type()) {
		if err := m.param(sp); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", r.Type(), sp.Code, err)
		}
	}
	return m.out, nil
}

// Absent returns the codes of the parameters whose expressions find nothing in r: those that :missing=true finds it by.
// Composites are left out.
func Absent(r *fhir.Resource) ([]string, error) {
	var out []string
	for _, sp := range def.SearchParams(r.Type()) {
		if sp.Expression == "" || sp.Type == "composite" || sp.Type == "special" || sp.Code == "_id" || sp.Code == "_lastUpdated" {
			continue
		}
		items, err := eval(r, sp.Expression, fhirpath.Item{})
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", r.Type(), sp.Code, err)
		}
		if len(items) == 0 {
			out = append(out, sp.Code)
		}
	}
	return out, nil
}

type maker struct {
	r    *fhir.Resource
	out  []Query
	seen map[Query]bool
}

func (m *maker) add(param, value string) {
	q := Query{param, value}
	if value != "" && !m.seen[q] {
		m.seen[q] = true
		m.out = append(m.out, q)
	}
}

func (m *maker) param(sp *def.SearchParam) error {
	switch {
	case sp.Code == "_id":
		m.add("_id", m.r.ID())
		return nil
	case sp.Code == "near":
		m.near()
		return nil
	case sp.Code == "_lastUpdated" || sp.Expression == "":
		return nil
	}
	items, err := eval(m.r, sp.Expression, fhirpath.Item{})
	if err != nil {
		return err
	}
	for _, item := range items {
		if n := item.Node(); sp.Type == "reference" && n.Get("resourceType") != nil && !slices.Contains(sp.Targets, n.Str("resourceType")) {
			continue // Bundle.composition of a Bundle that begins with something else
		}
		if sp.Type == "composite" {
			if err := m.composite(sp, item); err != nil {
				return err
			}
			continue
		}
		for _, v := range values(sp.Type, item) {
			m.add(sp.Code, v)
		}
	}
	return nil
}

func (m *maker) near() {
	pos := m.r.Get("position")
	lat, lon := pos.Get("latitude"), pos.Get("longitude")
	if lat != nil && lon != nil {
		m.add("near", lat.Text+"|"+lon.Text+"|1|km")
	}
}

// composite joins each first part's value with the other parts' first ones.
func (m *maker) composite(sp *def.SearchParam, context fhirpath.Item) error {
	heads := []string{""}
	for i, c := range sp.Components {
		items, err := eval(m.r, c.Expression, context)
		if err != nil {
			return err
		}
		var vals []string
		for _, item := range items {
			vals = append(vals, values(c.Type, item)...)
		}
		if len(vals) == 0 {
			return nil
		}
		if i > 0 {
			vals = vals[:1]
		}
		var next []string
		for _, h := range heads {
			for _, v := range vals {
				next = append(next, strings.TrimPrefix(h+"$"+v, "$"))
			}
		}
		heads = next
	}
	for _, h := range heads {
		m.add(sp.Code, h)
	}
	return nil
}

// mended makes FHIRPath of what the published expressions hold beside it: a type name in the wrong case, and a function
// that no version of FHIRPath has.
var mended = strings.NewReplacer("as(DateTime)", "as(dateTime)",
	"hasExtension('http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject')",
	"extension('http://hl7.org/fhir/StructureDefinition/questionnaireresponse-isSubject').exists()")

func eval(r *fhir.Resource, expr string, focus fhirpath.Item) (fhirpath.Collection, error) {
	e, err := fhirpath.Compile(mended.Replace(expr))
	if err != nil {
		return nil, err
	}
	return e.Eval(fhirpath.Context{Resource: r, Focus: focus})
}

// values returns query values of a search type that find the item.
func values(searchType string, item fhirpath.Item) []string {
	if item.IsSystem() {
		if b, ok := item.System().(fhirpath.Boolean); ok && searchType == "token" {
			return []string{fmt.Sprint(bool(b))}
		}
		return nil
	}
	n, typ := item.Node(), item.TypeName()
	if n == nil {
		return nil
	}
	if typ == "Extension" {
		return extensionValues(searchType, n)
	}
	switch searchType {
	case "string":
		return stringValues(n, typ)
	case "token":
		return tokenValues(n, typ)
	case "reference":
		return referenceValues(n, typ)
	case "uri":
		return scalar(n)
	case "date":
		return dateValues(n, typ)
	case "number":
		return numberValues(n, typ, "")
	case "quantity":
		return quantityValues(n, typ)
	}
	return nil
}

func extensionValues(searchType string, n *fhir.Node) []string {
	for c := n.First(); c != nil; c = c.Next() {
		if name, ok := strings.CutPrefix(c.Name, "value"); ok {
			t := def.Lookup(name)
			if t == nil && name != "" {
				t = def.Lookup(strings.ToLower(name[:1]) + name[1:])
			}
			if t != nil {
				return values(searchType, fhirpath.TypedItem(c, t))
			}
		}
	}
	return nil
}

func scalar(n *fhir.Node) []string {
	if n.Text == "" || n.Kind == fhir.Object || n.Kind == fhir.Array {
		return nil
	}
	return []string{search.Escape(n.Text)}
}

func members(n *fhir.Node, names ...string) []string {
	var out []string
	for _, name := range names {
		c := n.Get(name)
		if c != nil && c.Kind == fhir.Array {
			for i := c.First(); i != nil; i = i.Next() {
				out = append(out, scalar(i)...)
			}
			continue
		}
		if c != nil {
			out = append(out, scalar(c)...)
		}
	}
	return out
}

func stringValues(n *fhir.Node, typ string) []string {
	switch typ {
	case "HumanName":
		return members(n, "text", "family", "given", "prefix", "suffix")
	case "Address":
		return members(n, "text", "line", "city", "district", "state", "postalCode", "country")
	case "CodeableConcept":
		return members(n, "text")
	}
	return scalar(n)
}

func pair(system, code string) []string {
	switch {
	case code == "" && system == "":
		return nil
	case code == "":
		return []string{search.Escape(system) + "|"}
	case system == "":
		return []string{search.Escape(code), "|" + search.Escape(code)}
	}
	return []string{search.Escape(code), search.Escape(system) + "|" + search.Escape(code)}
}

func tokenValues(n *fhir.Node, typ string) []string {
	switch typ {
	case "CodeableConcept":
		var out []string
		for c := n.Get("coding").First(); c != nil; c = c.Next() {
			out = append(out, tokenValues(c, "Coding")...)
		}
		return out
	case "Coding":
		return pair(n.Str("system"), n.Str("code"))
	case "Identifier", "ContactPoint":
		return pair(n.Str("system"), n.Str("value"))
	}
	return scalar(n)
}

func referenceValues(n *fhir.Node, typ string) []string {
	if typ == "Reference" {
		ref := n.Str("reference")
		if ref == "" || ref[0] == '#' {
			return nil
		}
		return []string{search.Escape(ref)}
	}
	if n.Kind == fhir.Object {
		if t, id := n.Str("resourceType"), n.Str("id"); t != "" && id != "" {
			return []string{t + "/" + id}
		}
		return nil
	}
	if strings.HasPrefix(n.Text, "#") {
		return nil
	}
	return scalar(n)
}

func ends(start, end string) []string {
	var out []string
	if start != "" {
		out = append(out, "ge"+start)
	}
	if end != "" {
		out = append(out, "le"+end)
	}
	return out
}

func dateValues(n *fhir.Node, typ string) []string {
	switch typ {
	case "date", "dateTime", "instant":
		return scalar(n)
	case "Period":
		return ends(n.Str("start"), n.Str("end"))
	case "Timing":
		var out []string
		for e := n.Get("event").First(); e != nil; e = e.Next() {
			out = append(out, ends(e.Text, e.Text)...)
		}
		b := n.Get("repeat").Get("boundsPeriod")
		return append(out, ends(b.Str("start"), b.Str("end"))...)
	}
	return nil
}

func numberValues(n *fhir.Node, typ, units string) []string {
	if typ == "Range" {
		var out []string
		for i, v := range []*fhir.Node{n.Get("low"), n.Get("high")} {
			if c := v.Get("value"); c != nil {
				out = append(out, []string{"ge", "le"}[i]+c.Text+units)
			}
		}
		return out
	}
	if n.Kind != fhir.Number {
		return nil
	}
	return []string{n.Text + units}
}

func quantityValues(n *fhir.Node, typ string) []string {
	switch typ {
	case "Range":
		return numberValues(n, typ, "")
	case "Money":
		v, c := n.Get("value"), n.Str("currency")
		switch {
		case v == nil:
			return nil
		case c == "":
			return []string{v.Text}
		}
		return []string{v.Text, v.Text + "||" + c, v.Text + "|" + search.CurrencySystem + "|" + c}
	}
	v := n.Get("value")
	if v == nil || v.Kind != fhir.Number {
		return nil
	}
	prefix := map[string]string{"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[n.Str("comparator")]
	out := []string{prefix + v.Text}
	for _, unit := range []string{n.Str("unit"), n.Str("code")} {
		if unit != "" {
			out = append(out, prefix+v.Text+"||"+search.Escape(unit))
		}
	}
	if s, c := n.Str("system"), n.Str("code"); s != "" && c != "" {
		out = append(out, prefix+v.Text+"|"+search.Escape(s)+"|"+search.Escape(c))
	}
	return out
}
