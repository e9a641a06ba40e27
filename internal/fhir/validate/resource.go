package validate

import (
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// root checks the resource that the whole tree is.
func (v *validator) root(n *fhir.Node) {
	t := v.resourceType(n)
	if t == nil {
		return
	}
	v.push(t.Name)
	v.standalone(n, t)
	v.pop()
}

// nested checks a resource within another: contained, or an entry's own.
func (v *validator) nested(n *fhir.Node, f *def.Field) {
	t := v.resourceType(n)
	if t == nil {
		return
	}
	if f.Name != "contained" {
		v.standalone(n, t)
		return
	}
	if v.scope == nil || v.scope.inside >= 0 {
		v.object(n, t) // contained in a contained one: its container has the issue already
		return
	}
	v.scope.inside = v.path[v.depth-1].index
	v.containedRules(n)
	v.object(n, t)
	v.scope.inside = -1
}

// standalone checks a resource in which fragments are looked up.
func (v *validator) standalone(n *fhir.Node, t *def.Type) {
	outer := v.scope
	v.scope = nil
	if _, ok := t.Field("contained"); ok {
		v.scope = newScope(n.Get("contained"))
	}
	v.duplicateIDs()
	v.object(n, t)
	v.unreferenced()
	v.scope = outer
}

// resourceType returns the type of the resource n, or nil with an issue.
func (v *validator) resourceType(n *fhir.Node) *def.Type {
	m := n.Get("resourceType")
	if m == nil || m.Kind != fhir.String {
		v.fail(codeStructure, "resourceType is missing")
		return nil
	}
	t := def.Lookup(m.Text)
	if t == nil || t.Num == 0 {
		v.fail(codeStructure, "resourceType %s is no resource type of FHIR R4", echoed(m.Text, "as given"))
		return nil
	}
	return t
}

// containedRules are what only a contained resource must keep: an id, and dom-2, dom-4 and dom-5.
func (v *validator) containedRules(n *fhir.Node) {
	if n.Get("id") == nil {
		v.failAt("id", codeRequired, "a contained resource needs an id")
	}
	if n.Get("contained") != nil {
		v.failAt("contained", codeInvariant, "a contained resource contains no other (dom-2)")
	}
	meta := n.Get("meta")
	if meta == nil {
		return
	}
	for _, name := range [...]string{"versionId", "lastUpdated"} {
		if meta.Get(name) != nil {
			v.failAt("meta", codeInvariant, "a contained resource has no meta.%s (dom-4)", name)
		}
	}
	if meta.Get("security") != nil {
		v.failAt("meta", codeInvariant, "a contained resource has no security labels of its own (dom-5)")
	}
}

// scope is what the fragments of a resource may point to.
type scope struct {
	locals []local
	index  map[string]int // by id, where there are many
	inside int            // the contained resource that is being checked, -1 for none
}

// local is a contained resource.
type local struct {
	id, typ   string
	used      bool // something points to it, or it points to its container
	duplicate bool
}

// manyLocals is from how many contained resources on an index pays.
const manyLocals = 16

// newScope lists the contained resources; nil for none.
func newScope(contained *fhir.Node) *scope {
	if contained == nil || contained.Kind != fhir.Array {
		return nil
	}
	s := &scope{locals: make([]local, 0, contained.Len()), inside: -1}
	if cap(s.locals) > manyLocals {
		s.index = make(map[string]int, cap(s.locals))
	}
	for c := contained.First(); c != nil; c = c.Next() {
		id := c.Str("id")
		s.locals = append(s.locals, local{id: id, typ: c.Str("resourceType"), duplicate: id != "" && s.find(id) != nil})
		if s.index != nil {
			s.index[id] = len(s.locals) - 1
		}
	}
	return s
}

// find returns the contained resource of that id, or nil.
func (s *scope) find(id string) *local {
	if s == nil {
		return nil
	}
	if s.index != nil {
		if i, ok := s.index[id]; ok {
			return &s.locals[i]
		}
		return nil
	}
	for i := range s.locals {
		if s.locals[i].id == id {
			return &s.locals[i]
		}
	}
	return nil
}

// pointsToContainer notes that the contained resource being checked refers to its container.
func (s *scope) pointsToContainer() {
	if s != nil && s.inside >= 0 {
		s.locals[s.inside].used = true
	}
}

func (v *validator) duplicateIDs() {
	if v.scope == nil {
		return
	}
	for i, l := range v.scope.locals {
		if l.duplicate && v.push("contained") {
			v.item(i)
			v.failAt("id", codeInvariant, "another contained resource has the same id")
			v.pop()
		}
	}
}

// unreferenced reports contained resources that nothing points to (dom-3).
func (v *validator) unreferenced() {
	if v.scope == nil {
		return
	}
	for i, l := range v.scope.locals {
		if !l.used && l.id != "" && !l.duplicate && v.push("contained") {
			v.item(i)
			v.fail(codeInvariant, "nothing in the resource refers to this contained resource (dom-3)")
			v.pop()
		}
	}
}
