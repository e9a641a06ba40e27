package fhirpath

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// resolveOp is resolve(): the resources that References, canonicals and uris name.
type resolveOp struct{}

func (resolveOp) eval(m *machine, _ frame, in, dst Collection) (Collection, error) {
	for i := range in {
		if err := m.step(1); err != nil {
			return dst, err
		}
		if it := m.resolve(&in[i]); it != (Item{}) {
			dst = append(dst, it)
		}
	}
	return dst, nil
}

// resolve returns the item's target, or zero. A literal reference that nobody fetches still tells its type; so does a
// Reference by identifier that states one.
func (m *machine) resolve(it *Item) Item {
	var ref, stated string
	switch {
	case it.value != nil:
		s, ok := it.value.(String)
		if !ok {
			return Item{}
		}
		ref = string(s)
	case it.node == nil || it.typ == nil:
		return Item{}
	case it.typ.Kind == def.Primitive:
		if it.node.Kind != fhir.String || !isText(it.typ.Name) {
			return Item{}
		}
		ref = it.node.Text
	case it.typ.IsA("Reference"):
		ref, stated = it.node.Str("reference"), it.node.Str("type")
	default:
		return Item{}
	}
	if found := m.fetch(ref); found != nil {
		return ResourceItem(found)
	}
	if strings.HasPrefix(ref, "#") {
		return Item{}
	}
	return unfetched(ref, stated)
}

// fetch finds a contained resource, an entry of the root Bundle, or what the caller's function finds.
func (m *machine) fetch(ref string) *fhir.Resource {
	if ref == "" {
		return nil
	}
	if id, ok := strings.CutPrefix(ref, "#"); ok {
		return m.contained(id)
	}
	if root := m.root(); root != nil && root.Type() == "Bundle" {
		if r := m.bundleEntry(root, ref); r != nil {
			return r
		}
	}
	if m.ctx.Resolve == nil {
		return nil
	}
	return m.ctx.Resolve(ref)
}

func (m *machine) root() *fhir.Resource {
	if m.ctx.Root != nil {
		return m.ctx.Root
	}
	return m.ctx.Resource
}

// contained finds "#id" in the resource at hand, then in its container; "#" is the container itself.
func (m *machine) contained(id string) *fhir.Resource {
	for _, r := range [...]*fhir.Resource{m.ctx.Resource, m.ctx.Root} {
		if r == nil || r.Node == nil {
			continue
		}
		for c := r.Get("contained").First(); c != nil; c = c.Next() {
			if c.Str("id") == id {
				return &fhir.Resource{Node: c}
			}
		}
	}
	if id == "" {
		return m.root()
	}
	return nil
}

// bundleEntry finds the entry of that fullUrl, or of that type and id.
func (m *machine) bundleEntry(bundle *fhir.Resource, ref string) *fhir.Resource {
	typ, id, relative := fhir.SplitReference(ref, "")
	for e := bundle.Get("entry").First(); e != nil; e = e.Next() {
		m.steps--
		r := e.Get("resource")
		if r == nil {
			continue
		}
		if url := e.Str("fullUrl"); url != "" && url == ref {
			return &fhir.Resource{Node: r}
		}
		if relative && r.Str("id") == id && r.Str("resourceType") == typ {
			return &fhir.Resource{Node: r}
		}
	}
	return nil
}

// unfetched returns the item that knows its type alone: from "Patient/1", ".../Patient/1/_history/2", a conditional
// reference "Patient?identifier=…", else from what Reference.type states.
func unfetched(ref, stated string) Item {
	if t := def.Lookup(referenceType(ref)); isConcrete(t) {
		return Item{typ: t}
	}
	if t := def.Lookup(stated); isConcrete(t) {
		return Item{typ: t}
	}
	return Item{}
}

func isConcrete(t *def.Type) bool { return t != nil && t.Kind == def.ResourceKind && !t.Abstract }

// referenceType returns the text that stands where a literal reference has its type.
func referenceType(ref string) string {
	if typ, _, ok := strings.Cut(ref, "?"); ok {
		return typ[strings.LastIndexByte(typ, '/')+1:]
	}
	if i := strings.Index(ref, "/_history/"); i >= 0 {
		ref = ref[:i]
	}
	i := strings.LastIndexByte(ref, '/')
	if i < 0 || !fhir.ValidID(ref[i+1:]) {
		return ""
	}
	ref = ref[:i]
	return ref[strings.LastIndexByte(ref, '/')+1:]
}
