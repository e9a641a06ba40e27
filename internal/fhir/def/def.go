// Package def is the R4 definitions, compiled into the program: types and their elements, search parameters,
// compartments, and the code lists of required bindings.
//
// `go generate` makes the embedded data from the published packages (see generate/); the same input gives the same
// bytes. Everything here is built once, on first use, and never changes after: share it freely.
package def

import "math/bits"

// TypeKind says what a type is.
type TypeKind uint8

// The kinds of type.
const (
	Primitive    TypeKind = iota // boolean, string, code, date … ("http://hl7.org/fhirpath/System.*" ids are string)
	Complex                      // HumanName, Quantity, Extension …
	Backbone                     // an element with its own members: "Patient.contact", "Timing.repeat"
	ResourceKind                 // Patient, Bundle, DomainResource …
)

// Type is a resource type, data type or backbone element. Names: "Patient", "HumanName", "Patient.contact".
type Type struct {
	Name     string
	Kind     TypeKind
	Abstract bool
	Base     *Type      // Resource → nil, Patient → DomainResource → Resource; backbone → BackboneElement or Element
	Elements []*Element // all, the inherited ones first, in the order of the definition
	Num      int        // a resource type's stable number, 1…: R4's concrete resource types in alphabetical order; else 0
	Required uint64     // the elements with Min above 0, a bit each by Element.Index
	fields   map[string]*Field
}

// Element is one element definition of a type.
type Element struct {
	Name     string // "birthDate"; "value" for value[x]
	Path     string // "Patient.birthDate", "Observation.value[x]", "Observation.component.value[x]"
	Min      int
	Max      int // -1: unbounded
	Types    []TypeRef
	Choice   bool     // name[x]
	Summary  bool     // isSummary
	Modifier bool     // isModifier
	Attr     bool     // Element.id and Extension.url: an attribute in XML, which has no id or extension of its own, and in JSON no companion
	Index    int      // place in its type's Elements, below 64
	Binding  *Binding // only where the strength is required; else nil
}

// TypeRef is one type that an element may have.
type TypeRef struct {
	Type    *Type
	Targets []string // for Reference and canonical: the resource types that it may point to; nil: any
}

// Binding is a required binding to a list of codes that can be enumerated.
//
// Elements whose value set cannot be listed from the published definitions have no Binding: MIME types
// (urn:ietf:bcp:13), currencies (urn:iso:std:iso:4217), UCUM units, and one LOINC answer list
// (MolecularSequence.structureVariant.variantType).
type Binding struct {
	ValueSet string // canonical, without version
	systems  []string
	codes    map[string]uint32 // code → the systems that it is in, a bit each by place in systems
}

// Has reports whether the value set holds the code; pass system "" for an element of type code.
func (b *Binding) Has(system, code string) bool {
	in, ok := b.codes[code]
	if !ok || system == "" {
		return ok
	}
	for i, s := range b.systems {
		if s == system {
			return in>>i&1 == 1
		}
	}
	return false
}

// SystemOf returns the code system of a code in the value set: what a plain code element means by it. It is "" where the
// set does not have the code, or has it from several systems.
func (b *Binding) SystemOf(code string) string {
	in := b.codes[code]
	if in == 0 || in&(in-1) != 0 {
		return ""
	}
	return b.systems[bits.TrailingZeros32(in)]
}

// Systems returns the code systems that the value set draws on. The slice is shared: do not change it.
func (b *Binding) Systems() []string { return b.systems }

// Field is what a JSON member name means in a type: "valueQuantity" is the element "value" with the type Quantity.
type Field struct {
	*Element
	Type    *Type    // the value's type; for the type Resource (contained, Bundle entries) the abstract one
	Targets []string // of the TypeRef
}

// Field returns what the JSON member name means in t; false where t has none. The primitive's companion ("_birthDate")
// is not looked up here: strip the underscore and check that Field.Type.Kind is Primitive.
func (t *Type) Field(jsonName string) (*Field, bool) {
	f, ok := t.fields[jsonName]
	return f, ok
}

// Element returns the element of that FHIRPath name ("value" for value[x]), or nil.
func (t *Type) Element(name string) *Element {
	for _, e := range t.Elements {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// IsA reports whether t is the type of that name or derives from it.
func (t *Type) IsA(name string) bool {
	for ; t != nil; t = t.Base {
		if t.Name == name {
			return true
		}
	}
	return false
}

// SearchParam is one search parameter of one resource type, as R4 defines it.
type SearchParam struct {
	Code       string      // "birthdate"
	Name       string      // the definition's name
	URL        string      // canonical
	Type       string      // number date string token reference composite quantity uri special
	Expression string      // FHIRPath, narrowed to the parts that begin with this resource type (or Resource, DomainResource)
	Targets    []string    // reference: types that it may point to
	Components []Component // composite
	Doc        string      // one short line for the CapabilityStatement
}

// Component is one part of a composite parameter.
type Component struct {
	Param      string // code of the part's parameter on the same type, "" where the definition is of no such
	Type       string // its search type
	Expression string // relative to the composite's Expression
}

// Compartment is one compartment definition.
type Compartment struct {
	Code   string              // "Patient"
	Params map[string][]string // resource type → codes of the parameters that put it in; a type that never belongs is absent.
	// The code "{def}" says that the resource itself is the compartment.
}
