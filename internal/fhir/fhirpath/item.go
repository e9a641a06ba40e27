package fhirpath

import (
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
)

// Item is one member of a collection: an element of a tree, a System value, or a resource that a reference names but
// nobody fetched (a type and nothing else).
type Item struct {
	node  *fhir.Node
	comp  *fhir.Node
	typ   *def.Type
	field *def.Field
	value Value
}

// Collection is an ordered list of items.
type Collection []Item

// ResourceItem returns the root of a resource. A resource of an unknown type has no elements.
func ResourceItem(r *fhir.Resource) Item {
	if r == nil || r.Node == nil {
		return Item{}
	}
	return Item{node: r.Node, typ: def.Lookup(r.Type())}
}

// ElementItem returns the element that node and companion hold ("birthDate" and "_birthDate"; either may be nil) under
// the definition f.
func ElementItem(node, companion *fhir.Node, f *def.Field) Item {
	return Item{node: node, comp: companion, typ: f.Type, field: f}
}

// TypedItem returns a node taken for a value of the type t.
func TypedItem(node *fhir.Node, t *def.Type) Item { return Item{node: node, typ: t} }

// SystemItem returns a System value.
func SystemItem(v Value) Item { return Item{value: v} }

// Node returns the tree's node; nil for System values, for a primitive that has extensions alone, and for a resource
// that was not fetched.
func (i Item) Node() *fhir.Node { return i.node }

// Companion returns the object that holds a primitive's id and extensions, or nil.
func (i Item) Companion() *fhir.Node { return i.comp }

// Type returns the FHIR type, or nil for System values and elements that no definition knows.
func (i Item) Type() *def.Type { return i.typ }

// Field returns the definition that the element was reached by, or nil for roots and System values.
func (i Item) Field() *def.Field { return i.field }

// System returns the System value that the item is, or nil for elements; see [Item.Value].
func (i Item) System() Value { return i.value }

// IsSystem reports whether the item is a System value.
func (i Item) IsSystem() bool { return i.value != nil }

// Unfetched reports whether the item stands for a resource that a reference names, of which no more than Type is known.
func (i Item) Unfetched() bool {
	return i.value == nil && i.node == nil && i.comp == nil && i.typ != nil
}

// IsZero reports whether the item is none at all.
func (i Item) IsZero() bool { return i == Item{} }

// TypeName returns the name of the FHIR type ("code", "HumanName"; "BackboneElement" where the type has no name of its
// own), or for System values the name that FHIR has for them ("integer", "dateTime", "Quantity").
func (i Item) TypeName() string {
	if i.value == nil {
		return typeName(i.typ)
	}
	switch name := i.value.SystemType(); name {
	case "Boolean":
		return "boolean"
	case "String":
		return "string"
	case "Integer":
		return "integer"
	case "Decimal":
		return "decimal"
	case "Date":
		return "date"
	case "DateTime":
		return "dateTime"
	case "Time":
		return "time"
	default:
		return name
	}
}

func typeName(t *def.Type) string {
	switch {
	case t == nil:
		return ""
	case t.Kind == def.Backbone && t.Base != nil:
		return t.Base.Name
	}
	return t.Name
}

// isPrimitive reports whether the item is a FHIR primitive element.
func (i Item) isPrimitive() bool {
	return i.value == nil && i.typ != nil && i.typ.Kind == def.Primitive
}

// text returns what the item says where that is plain text on both sides of an equality: a String, or a FHIR primitive
// that converts to one. It is the way around making a Value.
func (i Item) text() (string, bool) {
	if i.value != nil {
		s, ok := i.value.(String)
		return string(s), ok
	}
	if i.node != nil && i.node.Kind == fhir.String && i.typ != nil && i.typ.Kind == def.Primitive && isText(i.typ.Name) {
		return i.node.Text, true
	}
	return "", false
}

// isText reports whether a FHIR primitive type converts to System.String.
func isText(typ string) bool {
	switch typ {
	case "date", "dateTime", "instant", "time", "boolean", "integer", "positiveInt", "unsignedInt", "decimal":
		return false
	}
	return true
}

// Value returns the System value that the item is or converts to: for FHIR primitives by their type, for Quantity and
// its profiles System.Quantity; nil where there is none (complex elements, a primitive without a value, a malformed one).
func (i Item) Value() Value {
	if i.value != nil {
		return i.value
	}
	if i.node == nil || i.typ == nil {
		return nil
	}
	if i.typ.Kind != def.Primitive {
		if i.typ.IsA("Quantity") {
			return quantityOf(i.node)
		}
		return nil
	}
	return primitiveValue(i.node, i.typ.Name)
}

func primitiveValue(n *fhir.Node, typ string) Value {
	var v Value
	var ok bool
	switch typ {
	case "boolean":
		v, ok = Boolean(n.Text == "true"), n.Kind == fhir.Bool
	case "integer", "positiveInt", "unsignedInt":
		var d Decimal
		d, ok = ParseDecimal(n.Text)
		i, whole := d.Int64()
		ok = ok && n.Kind == fhir.Number && whole && d.isWhole() && int64(int32(i)) == i
		v = Integer(i)
	case "decimal":
		v, ok = ParseDecimal(n.Text)
		ok = ok && n.Kind == fhir.Number
	case "date":
		v, ok = ParseDate(n.Text)
	case "dateTime", "instant":
		v, ok = ParseDateTime(n.Text)
	case "time":
		v, ok = ParseTime(n.Text)
	default:
		v, ok = String(n.Text), n.Kind == fhir.String
	}
	if !ok {
		return nil
	}
	return v
}

const ucumSystem = "http://unitsofmeasure.org"

// quantityOf converts a FHIR Quantity: by its UCUM code, else by the unit as it is written.
func quantityOf(n *fhir.Node) Value {
	v := n.Get("value")
	if v == nil || v.Kind != fhir.Number {
		return nil
	}
	d, ok := ParseDecimal(v.Text)
	if !ok {
		return nil
	}
	unit := n.Str("unit")
	if code := n.Str("code"); code != "" && (n.Str("system") == ucumSystem || unit == "") {
		unit = code
	}
	if unit == "" {
		unit = "1"
	}
	return Quantity{Value: d, Unit: unit}
}

// hasValue reports whether the item is a primitive with a value, not extensions alone.
func (i Item) hasValue() bool {
	return i.value != nil || i.isPrimitive() && i.node != nil && i.node.Kind != fhir.Null
}

// String returns the text of a System value or primitive element, and "" for all else.
func (i Item) String() string {
	if i.value != nil {
		return i.value.String()
	}
	if i.isPrimitive() && i.node != nil {
		return i.node.Text
	}
	return ""
}

// Bool returns the item's truth value; ok is false where it is no boolean.
func (i Item) Bool() (value, ok bool) {
	if i.value != nil {
		b, ok := i.value.(Boolean)
		return bool(b), ok
	}
	if i.node != nil && i.node.Kind == fhir.Bool {
		return i.node.Text == "true", true
	}
	return false, false
}
