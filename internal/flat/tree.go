package flat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/ident"
)

// Make makes a resource of Go values: maps, lists, strings, numbers, booleans. Members that are nil, "" or empty are left out, as FHIR wants it.
func Make(typ string, members map[string]any) (*fhir.Resource, error) {
	r := fhir.NewResource(typ)
	for _, name := range sorted(members) {
		if err := Set(r.Node, name, members[name]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Set sets a member to a Go value, or removes it where the value is nil, "" or empty. A *fhir.Node is put in as it is.
func Set(n *fhir.Node, name string, value any) error {
	if node, ok := value.(*fhir.Node); ok && node != nil {
		n.Set(name, node)
		return nil
	}
	value = pruned(value)
	if value == nil {
		n.Delete(name)
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	node, err := fhir.Parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n.Set(name, node)
	return nil
}

// pruned is the value without what is empty; nil where nothing is left.
func pruned(value any) any {
	switch v := value.(type) {
	case nil:
		return nil
	case string:
		if v == "" {
			return nil
		}
	case map[string]any:
		out := map[string]any{}
		for name, one := range v {
			if one = pruned(one); one != nil {
				out[name] = one
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		var out []any
		for _, one := range v {
			if one = pruned(one); one != nil {
				out = append(out, one)
			}
		}
		if out == nil {
			return nil
		}
		return out
	case []map[string]any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = v[i]
		}
		return pruned(all)
	case []string:
		all := make([]any, len(v))
		for i := range v {
			all[i] = v[i]
		}
		return pruned(all)
	}
	return value
}

func sorted(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Items are the children of a list; none where it is nil.
func Items(n *fhir.Node) []*fhir.Node {
	if n == nil {
		return nil
	}
	return n.Items()
}

// Identifier is the value of the first identifier of the system; "" where there is none.
func Identifier(r *fhir.Resource, system string) string {
	for _, i := range Items(r.Get("identifier")) {
		if i.Str("system") == system {
			return i.Str("value")
		}
	}
	return ""
}

// SetIdentifier sets, adds or (value "") removes the identifier of the system. typ is a code of v2-0203, "" for none.
func SetIdentifier(r *fhir.Resource, system, typ, value string) error {
	var kept []any
	for _, i := range Items(r.Get("identifier")) {
		if i.Str("system") != system {
			kept = append(kept, json.RawMessage(i.AppendJSON(nil)))
		}
	}
	if value != "" {
		one := map[string]any{"system": system, "value": value}
		if typ != "" {
			one["type"] = map[string]any{"coding": []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": typ}}}
		}
		kept = append(kept, one)
	}
	return Set(r.Node, "identifier", kept)
}

// Telecom is the value of the first contact point of the system (phone, email); "" where there is none.
func Telecom(n *fhir.Node, system string) string {
	for _, t := range Items(n.Get("telecom")) {
		if t.Str("system") == system {
			return t.Str("value")
		}
	}
	return ""
}

// Code is the first code of the CodeableConcept's coding of the system ("": of any), "" where there is none.
func Code(concept *fhir.Node, system string) string {
	if concept == nil {
		return ""
	}
	for _, c := range Items(concept.Get("coding")) {
		if system == "" || c.Str("system") == system {
			return c.Str("code")
		}
	}
	return ""
}

// Text is what a CodeableConcept says for people: its text, else a display, else a code.
func Text(concept *fhir.Node) string {
	if concept == nil {
		return ""
	}
	if t := concept.Str("text"); t != "" {
		return t
	}
	for _, name := range []string{"display", "code"} {
		for _, c := range Items(concept.Get("coding")) {
			if t := c.Str(name); t != "" {
				return t
			}
		}
	}
	return ""
}

// Name is a person's name as given and family name: the official one, else the usual one, else the first. prefer is the script that is wanted where
// the person has names in several: "ar" or "" (Latin).
func Name(r *fhir.Resource, prefer string) (given, family string) {
	if r == nil {
		return "", ""
	}
	var best *fhir.Node
	rank := -1
	for _, n := range Items(r.Get("name")) {
		score := map[string]int{"official": 3, "usual": 2, "": 1}[n.Str("use")]
		if arabic(n.Str("family")+n.Str("text")) == (prefer == "ar") {
			score += 10
		}
		if score > rank {
			best, rank = n, score
		}
	}
	if best == nil {
		return "", ""
	}
	var all []string
	for _, g := range Items(best.Get("given")) {
		all = append(all, g.Text)
	}
	given, family = strings.Join(all, " "), best.Str("family")
	if given == "" && family == "" {
		given, family, _ = strings.Cut(best.Str("text"), " ")
	}
	return given, family
}

// FullName is Name in one text.
func FullName(r *fhir.Resource) string {
	given, family := Name(r, "")
	return strings.TrimSpace(given + " " + family)
}

func arabic(s string) bool {
	for _, c := range s {
		if c >= 0x0600 && c <= 0x06FF {
			return true
		}
	}
	return false
}

// RefOf is the literal reference in a Reference, "" where there is none.
func RefOf(n *fhir.Node) string {
	if n == nil {
		return ""
	}
	return n.Str("reference")
}

// StampOf is a time in the product API's form.
func StampOf(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Stamp is the time of a version in the product API's form.
func Stamp(v *Record) string { return StampOf(v.Updated) }

// Created is when the record was first written, in the product API's form: the time in its number. A record whose id a client chose before it stood got its number when it was first referred
// to.
func Created(v *Record) string { return StampOf(ident.Time(v.Num)) }
