package scim

import (
	"encoding/json"
	"strings"
)

// Path names an attribute: [URI ":"] attribute ["." sub-attribute] (RFC 7644 section 3.10). A URI alone names all attributes of a schema.
type Path struct {
	URI, Attr, Sub string
}

// String prints the path as [ParsePath] reads it.
func (p Path) String() string {
	s := p.Attr
	if p.Sub != "" {
		s += "." + p.Sub
	}
	switch {
	case p.URI == "":
		return s
	case s == "":
		return p.URI
	}
	return p.URI + ":" + s
}

// Filter is a condition on a resource or on one value of a complex attribute (RFC 7644 section 3.4.2.2).
type Filter interface {
	// String prints the filter as [ParseFilter] reads it.
	String() string
}

// The kinds of filters.
type (
	// Compare holds an attribute against a value: string, json.Number, bool or nil.
	Compare struct {
		Path  Path
		Op    string // eq, ne, co, sw, ew, gt, ge, lt, le
		Value any
	}
	// Present holds where an attribute has a value that is not empty.
	Present struct{ Path Path }
	// And holds where both do.
	And struct{ Left, Right Filter }
	// Or holds where either does.
	Or struct{ Left, Right Filter }
	// Not holds where the other does not.
	Not struct{ Filter Filter }
	// Complex holds where one value of a complex attribute satisfies the filter on its sub-attributes.
	Complex struct {
		Path   Path
		Filter Filter
	}
)

// String implements Filter.
func (f Compare) String() string {
	b := &strings.Builder{}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(f.Value) // a scalar always can be
	return f.Path.String() + " " + f.Op + " " + strings.TrimSuffix(b.String(), "\n")
}

// String implements Filter.
func (f Present) String() string { return f.Path.String() + " pr" }

// String implements Filter.
func (f And) String() string {
	left, right := f.Left.String(), f.Right.String()
	if _, ok := f.Left.(Or); ok {
		left = "(" + left + ")"
	}
	switch f.Right.(type) {
	case Or, And:
		right = "(" + right + ")"
	}
	return left + " and " + right
}

// String implements Filter.
func (f Or) String() string {
	right := f.Right.String()
	if _, ok := f.Right.(Or); ok {
		right = "(" + right + ")"
	}
	return f.Left.String() + " or " + right
}

// String implements Filter.
func (f Not) String() string { return "not (" + f.Filter.String() + ")" }

// String implements Filter.
func (f Complex) String() string { return f.Path.String() + "[" + f.Filter.String() + "]" }
