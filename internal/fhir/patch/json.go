package patch

import (
	"errors"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/fhirpath"
)

// JSON applies an RFC 6902 patch to a copy of doc and returns the copy; doc stays as it is. Arrays and objects that
// the patch has emptied are dropped, as FHIR has none; where doc is a resource, a result that still holds an empty
// array, an empty object or a null member is refused. Numbers are tested by value (1.0 is 1).
func JSON(doc *fhir.Node, patch []byte) (*fhir.Node, error) {
	list, err := fhir.ParseAny(patch)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the JSON Patch is no JSON: %s", syntax(err)).Because(err)
	}
	if list.Kind != fhir.Array {
		return nil, fault.New(fault.Invalid, "a JSON Patch is an array of operations")
	}
	a := &applier{root: doc.Clone(), budget: MaxNodes}
	number := 0
	for o := list.First(); o != nil; o = o.Next() {
		if number >= MaxOperations {
			return nil, fault.New(fault.TooCostly, "the patch has more than %d operations", MaxOperations)
		}
		if err := a.operation(o); err != nil {
			return nil, err.at(number)
		}
		number++
	}
	a.prune()
	if doc.Get("resourceType") != nil {
		if err := sameIdentity(doc, a.root); err != nil {
			return nil, err
		}
		if err := legal(a.root, 0); err != nil {
			return nil, err
		}
	}
	return a.root, nil
}

func syntax(err error) string {
	var s *fhir.SyntaxError
	if errors.As(err, &s) {
		return s.Error()
	}
	return "unreadable"
}

// problem is why an operation fails, before its number is known.
type problem struct {
	kind       fault.Kind
	path, text string
}

func (p *problem) at(number int) error {
	where := ""
	if p.path != "" {
		where = " (" + p.path + ")"
	}
	return fault.New(p.kind, "operation %d%s: %s", number, where, p.text)
}

func malformed(text string) *problem { return &problem{fault.Invalid, "", text} }

// applier applies JSON Patch operations to root.
type applier struct {
	root    *fhir.Node
	budget  int
	emptied []*fhir.Node // containers that something was taken out of
}

// step is one operation, read.
type step struct {
	op         string
	path, from pointer
	text       string // the path as written
	value      *fhir.Node
}

func readStep(o *fhir.Node) (step, *problem) {
	s := step{}
	if o.Kind != fhir.Object {
		return s, malformed("an operation is an object")
	}
	path := o.Get("path")
	if path == nil || path.Kind != fhir.String {
		return s, malformed("path is missing")
	}
	var ok bool
	if s.path, ok = parsePointer(path.Text); !ok {
		return s, malformed("path is no JSON Pointer")
	}
	s.text, s.op, s.value = path.Text, o.Str("op"), o.Get("value")
	switch s.op {
	case "add", "replace", "test":
		if s.value == nil {
			return s, malformed("value is missing")
		}
	case "move", "copy":
		from := o.Get("from")
		if from == nil || from.Kind != fhir.String {
			return s, malformed("from is missing")
		}
		if s.from, ok = parsePointer(from.Text); !ok {
			return s, malformed("from is no JSON Pointer")
		}
	case "remove":
	default:
		return s, malformed("op is one of add, remove, replace, move, copy and test")
	}
	return s, nil
}

func (a *applier) operation(o *fhir.Node) *problem {
	s, p := readStep(o)
	if p == nil {
		p = a.apply(s)
	}
	if p != nil && p.path == "" {
		p.path = s.text
	}
	return p
}

func (a *applier) apply(s step) *problem {
	switch s.op {
	case "add":
		return a.add(s.path, s.value)
	case "remove":
		_, p := a.remove(s.path)
		return p
	case "replace":
		return a.replace(s.path, s.value)
	case "move":
		if s.path.within(s.from) {
			return misfit("a value cannot be moved into itself")
		}
		if s.from.find(a.root) == nil {
			return misfit("from names nothing")
		}
		if len(s.from) == 0 {
			return nil // the whole document onto itself
		}
		v, p := a.remove(s.from)
		if p != nil {
			return p
		}
		return a.put(s.path, v)
	case "copy":
		v := s.from.find(a.root)
		if v == nil {
			return misfit("from names nothing")
		}
		return a.add(s.path, v)
	}
	v := s.path.find(a.root)
	if v == nil {
		return misfit("the path names nothing")
	}
	if !equalJSON(v, s.value) {
		return misfit("the value differs from the one tested for")
	}
	return nil
}

func misfit(text string) *problem { return &problem{fault.Unprocessable, "", text} }

// add puts a copy of v, on the budget.
func (a *applier) add(p pointer, v *fhir.Node) *problem {
	if a.budget -= size(v); a.budget < 0 {
		return &problem{fault.TooCostly, "", "the patch makes the document too large"}
	}
	return a.put(p, v.Clone())
}

func size(n *fhir.Node) int {
	total := 0
	n.Walk(func(*fhir.Node) bool {
		total++
		return true
	})
	return total
}

// put makes v the value at p: a member of an object, an item before an array's index, or the whole document.
func (a *applier) put(p pointer, v *fhir.Node) *problem {
	if len(p) == 0 {
		v.Name = ""
		a.root = v
		return nil
	}
	parent, last := p[:len(p)-1].find(a.root), p[len(p)-1]
	switch {
	case parent == nil:
		return misfit("what should hold the value does not exist")
	case parent.Kind == fhir.Object:
		parent.Set(last, v)
		return nil
	case parent.Kind != fhir.Array:
		return misfit("what should hold the value is no object and no array")
	}
	v.Name = ""
	if last == "-" {
		parent.Append(v)
		return nil
	}
	i, ok := index(last)
	if !ok {
		return misfit("an array's index is a number without leading zeros, or -")
	}
	if !parent.Insert(i, v) {
		return misfit("the index is past the end of the array")
	}
	return nil
}

func (a *applier) remove(p pointer) (*fhir.Node, *problem) {
	if len(p) == 0 {
		return nil, misfit("the whole document cannot be removed")
	}
	parent, v := p[:len(p)-1].find(a.root), p.find(a.root)
	if v == nil {
		return nil, misfit("the path names nothing")
	}
	parent.Remove(v)
	a.emptied = append(a.emptied, parent)
	return v, nil
}

func (a *applier) replace(p pointer, v *fhir.Node) *problem {
	old := p.find(a.root)
	if old == nil {
		return misfit("the path names nothing")
	}
	if a.budget -= size(v); a.budget < 0 {
		return &problem{fault.TooCostly, "", "the patch makes the document too large"}
	}
	v = v.Clone()
	if len(p) == 0 {
		a.root = v
		return nil
	}
	p[:len(p)-1].find(a.root).Replace(old, v)
	return nil
}

// prune drops the containers that removing has left empty, and those that hold nothing else.
func (a *applier) prune() {
	if len(a.emptied) == 0 {
		return
	}
	drop := make(map[*fhir.Node]bool, len(a.emptied))
	for _, n := range a.emptied {
		drop[n] = true
	}
	pruneBelow(a.root, drop)
}

func pruneBelow(n *fhir.Node, drop map[*fhir.Node]bool) {
	for c := n.First(); c != nil; {
		next := c.Next()
		if c.Kind == fhir.Object || c.Kind == fhir.Array {
			pruneBelow(c, drop)
			if drop[c] && c.First() == nil {
				n.Remove(c)
				drop[n] = true
			}
		}
		c = next
	}
}

// equalJSON is equality as RFC 6902 section 4.6 has it.
func equalJSON(a, b *fhir.Node) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case fhir.Number:
		if a.Text == b.Text {
			return true
		}
		x, okX := fhirpath.ParseDecimal(a.Text)
		y, okY := fhirpath.ParseDecimal(b.Text)
		return okX && okY && x.Cmp(y) == 0
	case fhir.Array:
		x, y := a.First(), b.First()
		for ; x != nil && y != nil; x, y = x.Next(), y.Next() {
			if !equalJSON(x, y) {
				return false
			}
		}
		return x == nil && y == nil
	case fhir.Object:
		if a.Len() != b.Len() {
			return false
		}
		for x := a.First(); x != nil; x = x.Next() {
			y := b.Get(x.Name)
			if y == nil || !equalJSON(x, y) {
				return false
			}
		}
		return true
	}
	return a.Text == b.Text
}

// legal refuses what FHIR's JSON does not have: empty containers, null members, nesting over the parser's limit.
func legal(n *fhir.Node, depth int) error {
	if n.Kind != fhir.Object && n.Kind != fhir.Array {
		return nil
	}
	if depth++; depth > fhir.MaxDepth {
		return fault.New(fault.Unprocessable, "the patched resource is nested deeper than %d", fhir.MaxDepth)
	}
	if n.First() == nil {
		return fault.New(fault.Unprocessable, "the patched resource has an empty array or object")
	}
	for c := n.First(); c != nil; c = c.Next() {
		if c.Kind == fhir.Null && n.Kind == fhir.Object {
			return fault.New(fault.Unprocessable, "the patched resource has a member %.40q that is null", c.Name)
		}
		if err := legal(c, depth); err != nil {
			return err
		}
	}
	return nil
}
