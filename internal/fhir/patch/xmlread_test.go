package patch

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// element is one XML element of the official test file.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Inner    string     `xml:",innerxml"`
	Children []element  `xml:",any"`
}

func (e *element) attr(name string) (string, bool) {
	for _, a := range e.Attrs {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value, true
		}
	}
	return "", false
}

func (e *element) child(name string) *element {
	for i := range e.Children {
		if e.Children[i].XMLName.Local == name {
			return &e.Children[i]
		}
	}
	return nil
}

// resourceOf reads FHIR's XML form, as far as the tests need it.
func resourceOf(t *testing.T, e *element) *fhir.Resource {
	t.Helper()
	return &fhir.Resource{Node: objectOf(t, e, def.Lookup(e.XMLName.Local), true)}
}

func objectOf(t *testing.T, e *element, typ *def.Type, resource bool) *fhir.Node {
	t.Helper()
	if typ == nil {
		t.Fatalf("unknown type at %s", e.XMLName.Local)
	}
	out := fhir.NewObject()
	if resource {
		out.Set("resourceType", fhir.NewString(typ.Name))
	}
	for _, name := range [...]string{"id", "url"} {
		if v, ok := e.attr(name); ok && !resource {
			out.Set(name, fhir.NewString(v))
		}
	}
	for i := range e.Children {
		c := &e.Children[i]
		name := c.XMLName.Local
		f, ok := typ.Field(name)
		if !ok {
			t.Fatalf("%s has no %s", typ.Name, name)
		}
		addChild(t, out, name, f, c)
	}
	return out
}

func addChild(t *testing.T, out *fhir.Node, name string, f *def.Field, c *element) {
	t.Helper()
	var p pair
	switch {
	case f.Type.Name == "xhtml":
		p.node = fhir.NewString(`<div xmlns="http://www.w3.org/1999/xhtml">` + c.Inner + "</div>")
	case f.Type.Kind == def.Primitive:
		if v, ok := c.attr("value"); ok {
			p.node = &fhir.Node{Kind: jsonKind(f.Type.Name), Text: v}
		}
		if comp := objectOf(t, c, f.Type, false); comp.First() != nil {
			p.comp = comp
		}
	case f.Type.Kind == def.ResourceKind:
		p.node = resourceOf(t, &c.Children[0]).Node
	default:
		p.node = objectOf(t, c, f.Type, false)
	}
	if repeats(f) {
		l := loadList(out, name)
		l.items = append(l.items, p)
		l.store()
		return
	}
	if p.node != nil {
		out.Set(name, p.node)
	}
	if p.comp != nil {
		out.Set("_"+name, p.comp)
	}
}

// normalXHTML writes a narrative's div anew, so that two spellings of one text are equal.
func normalXHTML(t *testing.T, div string) string {
	t.Helper()
	var b strings.Builder
	d, e := xml.NewDecoder(strings.NewReader(div)), xml.NewEncoder(&b)
	for {
		tok, err := d.Token()
		if tok == nil {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := e.EncodeToken(tok); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
