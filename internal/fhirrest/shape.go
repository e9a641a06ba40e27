package fhirrest

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// shape is how much of a resource is asked for: _summary and _elements (R4 search.html#summary, #elements).
type shape struct {
	summary  string // true, text, data, count; "" and false: all
	elements []string
}

// whole reports whether resources are given as they are stored.
func (s shape) whole() bool {
	return len(s.elements) == 0 && (s.summary == "" || s.summary == "false")
}

// takeShape takes _summary and _elements out of the parameters.
func takeShape(params []param) (shape, []param, error) {
	var s shape
	var rest []param
	for _, p := range params {
		switch p.Name {
		case "_summary":
			switch p.Value {
			case "true", "text", "data", "count", "false":
				s.summary = p.Value
			default:
				return s, nil, fault.New(fault.Invalid, "_summary is true, text, data, count or false").WithCode("value")
			}
		case "_elements":
			for e := range strings.SplitSeq(p.Value, ",") {
				if e = strings.TrimSpace(e); e != "" {
					s.elements = append(s.elements, e)
				}
			}
		default:
			rest = append(rest, p)
		}
	}
	if len(s.elements) > 0 && s.summary != "" && s.summary != "false" {
		return s, nil, fault.New(fault.Invalid, "_summary and _elements exclude each other").WithCode("value")
	}
	return s, rest, nil
}

// append appends the resource in this shape to b, marked as a part by the tag SUBSETTED.
func (s shape) append(b, body []byte) ([]byte, error) {
	r, err := fhir.ParseResource(body)
	if err != nil {
		return b, err
	}
	t := def.Lookup(r.Type())
	if t == nil {
		return append(b, body...), nil
	}
	contained := r.Get("contained")
	out := s.filter(r.Node, t)
	if out.Get("contained") == nil {
		keepContained(out, contained)
	}
	subsetted(out)
	return out.AppendJSON(b), nil
}

// filter returns the members of a resource that the shape keeps. The node is used up.
func (s shape) filter(n *fhir.Node, t *def.Type) *fhir.Node {
	out := fhir.NewObject()
	for c := n.First(); c != nil; {
		next := c.Next()
		if c = s.member(c, t); c != nil {
			out.Append(c)
		}
		c = next
	}
	return out
}

// member returns what the shape keeps of a resource's member; nil: nothing.
func (s shape) member(c *fhir.Node, t *def.Type) *fhir.Node {
	name := strings.TrimPrefix(c.Name, "_")
	switch name {
	case "resourceType", "id", "meta":
		return c
	}
	f, known := t.Field(name)
	switch {
	case !known:
		return nil
	case s.summary == "data":
		if name == "text" {
			return nil
		}
		return c
	case f.Min > 0, s.summary == "text" && name == "text":
		return c
	case s.summary == "true":
		return summaryOf(c, f)
	}
	for _, e := range s.elements {
		if e == f.Name || e == name || strings.TrimPrefix(e, t.Name+".") == f.Name {
			return c
		}
	}
	return nil
}

// summaryOf returns a summary element; a backbone's members are looked at one by one, a data type is given whole.
func summaryOf(c *fhir.Node, f *def.Field) *fhir.Node {
	if !f.Summary && f.Min == 0 {
		return nil
	}
	if f.Type == nil || f.Type.Kind != def.Backbone {
		return c
	}
	if c.Kind == fhir.Object {
		return summaryObject(c, f.Type)
	}
	out := &fhir.Node{Kind: c.Kind, Name: c.Name}
	for i := c.First(); i != nil; {
		next := i.Next()
		if i.Kind == fhir.Object {
			if o := summaryObject(i, f.Type); o != nil {
				out.Append(o)
			}
		}
		i = next
	}
	if out.First() == nil {
		return nil
	}
	return out
}

func summaryObject(c *fhir.Node, t *def.Type) *fhir.Node {
	out := fhir.NewObject()
	out.Name = c.Name
	for m := c.First(); m != nil; {
		next := m.Next()
		if f, ok := t.Field(strings.TrimPrefix(m.Name, "_")); ok {
			if m = summaryOf(m, f); m != nil {
				out.Append(m)
			}
		}
		m = next
	}
	if out.First() == nil {
		return nil
	}
	return out
}

// keepContained adds to a part of a resource those contained resources that it still points to, directly or through
// each other: a reference must not point to nothing.
func keepContained(out, contained *fhir.Node) {
	all := contained.Items()
	if len(all) == 0 {
		return
	}
	kept := fhir.NewArray()
	for wanted := pointedTo(out, nil); ; {
		before := kept.Len()
		for i, c := range all {
			if c == nil || !wanted["#"+c.Str("id")] {
				continue
			}
			wanted = pointedTo(c, wanted)
			kept.Append(c)
			all[i] = nil
		}
		if kept.Len() == before {
			break
		}
	}
	if kept.First() != nil {
		out.Set("contained", kept)
	}
}

// pointedTo adds to seen the texts within n that may point to a contained resource.
func pointedTo(n *fhir.Node, seen map[string]bool) map[string]bool {
	if seen == nil {
		seen = map[string]bool{}
	}
	n.Walk(func(m *fhir.Node) bool {
		if m.Kind == fhir.String && len(m.Text) > 1 && m.Text[0] == '#' {
			seen[m.Text] = true
		}
		return true
	})
	return seen
}

// subsetted tags a resource as incomplete, so that nobody updates the record with it (R4 resource.html#Meta).
func subsetted(n *fhir.Node) {
	meta := n.Get("meta")
	if meta == nil {
		meta = fhir.NewObject()
		n.Set("meta", meta)
	}
	tags := meta.Get("tag")
	if tags == nil {
		tags = fhir.NewArray()
		meta.Set("tag", tags)
	}
	tags.Append(fhir.NewObject().
		Set("system", fhir.NewString("http://terminology.hl7.org/CodeSystem/v3-ObservationValue")).
		Set("code", fhir.NewString("SUBSETTED")))
}
