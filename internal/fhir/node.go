package fhir

import "strings"

// Kind is the JSON kind of a node.
type Kind uint8

// The JSON kinds. Null appears only inside arrays (FHIR aligns primitive arrays with their extensions by null).
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Node is one JSON value. Text is the scalar's value: "true" or "false" for Bool, the digits as written for Number,
// the unescaped string for String; it is empty for Null, Array and Object.
//
// Children form a linked list in document order: for an Object they bear their member name in Name; for an Array
// their Name is "". A Node must not be in two trees; use Clone.
type Node struct {
	Name  string
	Text  string
	first *Node
	last  *Node
	next  *Node
	Kind  Kind
}

// First returns the first child, or nil.
func (n *Node) First() *Node {
	if n == nil {
		return nil
	}
	return n.first
}

// Next returns the following sibling, or nil.
func (n *Node) Next() *Node { return n.next }

// Get returns the member of that name, or nil where n is nil, no object, or has none. Cost is linear in the members.
func (n *Node) Get(name string) *Node {
	if n == nil || n.Kind != Object {
		return nil
	}
	for c := n.first; c != nil; c = c.next {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Path walks Get over several names; arrays are entered at their first item.
func (n *Node) Path(names ...string) *Node {
	for _, name := range names {
		if n != nil && n.Kind == Array {
			n = n.first
		}
		n = n.Get(name)
	}
	return n
}

// Str returns the text of the String member of that name, or "".
func (n *Node) Str(name string) string {
	if c := n.Get(name); c != nil && c.Kind == String {
		return c.Text
	}
	return ""
}

// Len returns the number of children.
func (n *Node) Len() int {
	i := 0
	for c := n.First(); c != nil; c = c.next {
		i++
	}
	return i
}

// At returns the i-th child, or nil.
func (n *Node) At(i int) *Node {
	if i < 0 {
		return nil
	}
	c := n.First()
	for ; c != nil && i > 0; i-- {
		c = c.next
	}
	return c
}

// Items returns the children as a new slice.
func (n *Node) Items() []*Node {
	var out []*Node
	for c := n.First(); c != nil; c = c.next {
		out = append(out, c)
	}
	return out
}

// Append adds c as the last child and returns n. For an Object, c.Name is its member name.
func (n *Node) Append(c *Node) *Node {
	c.next = nil
	if n.last == nil {
		n.first = c
	} else {
		n.last.next = c
	}
	n.last = c
	return n
}

// Insert adds c as the i-th child; i equal to Len appends. It returns false where i is out of range.
func (n *Node) Insert(i int, c *Node) bool {
	if i < 0 {
		return false
	}
	if i == 0 {
		c.next = n.first
		n.first = c
		if n.last == nil {
			n.last = c
		}
		return true
	}
	p := n.At(i - 1)
	if p == nil {
		return false
	}
	c.next = p.next
	p.next = c
	if n.last == p {
		n.last = c
	}
	return true
}

// Remove takes the child c out of n; false where it is no child of n.
func (n *Node) Remove(c *Node) bool {
	var prev *Node
	for x := n.first; x != nil; prev, x = x, x.next {
		if x != c {
			continue
		}
		if prev == nil {
			n.first = x.next
		} else {
			prev.next = x.next
		}
		if n.last == x {
			n.last = prev
		}
		x.next = nil
		return true
	}
	return false
}

// Replace puts b at the place of the child a, under a's name; false where a is no child of n. b may be a itself.
func (n *Node) Replace(a, b *Node) bool {
	var prev *Node
	for x := n.first; x != nil; prev, x = x, x.next {
		if x != a {
			continue
		}
		if a == b {
			return true
		}
		b.Name, b.next = a.Name, a.next
		if prev == nil {
			n.first = b
		} else {
			prev.next = b
		}
		if n.last == a {
			n.last = b
		}
		a.next = nil
		return true
	}
	return false
}

// Set makes c the member of that name: in the place of an existing one, else last. It returns n.
func (n *Node) Set(name string, c *Node) *Node {
	c.Name = name
	if old := n.Get(name); old != nil {
		n.Replace(old, c)
		return n
	}
	return n.Append(c)
}

// Delete removes the member of that name, if any.
func (n *Node) Delete(name string) {
	if c := n.Get(name); c != nil {
		n.Remove(c)
	}
}

// Clone returns a deep copy, with the same Name and no siblings.
func (n *Node) Clone() *Node {
	if n == nil {
		return nil
	}
	c := &Node{Name: n.Name, Text: n.Text, Kind: n.Kind}
	for x := n.first; x != nil; x = x.next {
		c.Append(x.Clone())
	}
	return c
}

// Equal reports whether both are the same JSON value: members in any order, array items in order, numbers by their
// digits as written (1.0 is not 1.00: FHIR decimals carry their precision).
func (n *Node) Equal(m *Node) bool {
	if n == nil || m == nil {
		return n == m
	}
	if n.Kind != m.Kind || n.Text != m.Text {
		return false
	}
	switch n.Kind {
	case Array:
		a, b := n.first, m.first
		for ; a != nil && b != nil; a, b = a.next, b.next {
			if !a.Equal(b) {
				return false
			}
		}
		return a == nil && b == nil
	case Object:
		return n.sameMembers(m)
	}
	return true
}

// sameMembers is Equal for objects. Members mostly stand in one order and are found in step; from where they do not, those of a
// large object are found by a map, so that hostile objects take no more than linear time.
func (n *Node) sameMembers(m *Node) bool {
	size := n.Len()
	if size != m.Len() {
		return false
	}
	var byName map[string]*Node
	a, step := n.first, m.first
	for ; a != nil; a, step = a.next, step.next {
		b := step
		switch {
		case b.Name == a.Name:
		case size <= smallObject:
			b = m.Get(a.Name)
		default:
			if byName == nil {
				byName = make(map[string]*Node, size)
				for c := m.first; c != nil; c = c.next {
					byName[c.Name] = c
				}
			}
			b = byName[a.Name]
		}
		if b == nil || !a.Equal(b) {
			return false
		}
	}
	return true
}

// smallObject is how many members are searched one by one; a map pays only for more.
const smallObject = 24

// NewString returns a String node.
func NewString(s string) *Node { return &Node{Kind: String, Text: s} }

// NewNumber returns a Number node of these digits, which must be a JSON number.
func NewNumber(digits string) *Node { return &Node{Kind: Number, Text: digits} }

// NewBool returns a Bool node.
func NewBool(b bool) *Node {
	if b {
		return &Node{Kind: Bool, Text: "true"}
	}
	return &Node{Kind: Bool, Text: "false"}
}

// NewArray returns an Array node of these items.
func NewArray(items ...*Node) *Node {
	n := &Node{Kind: Array}
	for _, i := range items {
		i.Name = ""
		n.Append(i)
	}
	return n
}

// NewObject returns an empty Object node; fill it with Set.
func NewObject() *Node { return &Node{Kind: Object} }

// Resource is a tree whose root is an object with a resourceType.
type Resource struct{ *Node }

// Type returns the resourceType.
func (r *Resource) Type() string { return r.Str("resourceType") }

// ID returns the id, or "".
func (r *Resource) ID() string { return r.Str("id") }

// NewResource returns an empty resource of that type.
func NewResource(typ string) *Resource {
	return &Resource{NewObject().Set("resourceType", NewString(typ))}
}

// Clone returns a deep copy.
func (r *Resource) Clone() *Resource { return &Resource{r.Node.Clone()} }

// Walk calls f for n and all below it, parents first; f returning false leaves out what is below that node.
func (n *Node) Walk(f func(*Node) bool) {
	if n == nil || !f(n) {
		return
	}
	for c := n.first; c != nil; c = c.next {
		c.Walk(f)
	}
}

// SplitReference reads a literal reference "Type/id" or "Type/id/_history/v", relative or after base.
// ok is false for anything else: fragments, urn:, absolute URLs of others, canonical URLs.
func SplitReference(ref, base string) (typ, id string, ok bool) {
	if base != "" {
		if rest, found := strings.CutPrefix(ref, strings.TrimSuffix(base, "/")+"/"); found {
			ref = rest
		}
	}
	typ, rest, found := strings.Cut(ref, "/")
	if !found || !isTypeName(typ) {
		return "", "", false
	}
	id, tail, versioned := strings.Cut(rest, "/")
	if versioned {
		v, has := strings.CutPrefix(tail, "_history/")
		if !has || !ValidID(v) {
			return "", "", false
		}
	}
	return typ, id, ValidID(id)
}

func isTypeName(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// ValidID reports whether s is a FHIR id: 1 to 64 of letters, digits, '-' and '.' (R4 datatypes.html#id).
func ValidID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
