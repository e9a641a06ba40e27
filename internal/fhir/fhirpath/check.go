package fhirpath

import (
	"fmt"

	"github.com/nilecare/nilecare/internal/fhir/def"
)

// Check judges an expression against the definitions without evaluating it: an element that the type at hand does not
// have (a choice by its typed JSON name among them), a path that begins with another resource type than typeName, an
// index into what has no order. Where a type cannot be told it lets pass. With typeName "" nothing is known of the
// focus. The error is a [*SyntaxError].
func Check(expr, typeName string) error {
	tree, err := parse(expr)
	if err != nil {
		return err
	}
	if _, err := compile(tree); err != nil {
		return err
	}
	focus := shape{any: true}
	if t := def.Lookup(typeName); t != nil {
		focus = shape{types: []*def.Type{t}}
	}
	_, err = checker{}.visit(tree, focus)
	return err
}

// shape is what is known of a collection before there is data.
type shape struct {
	any       bool        // nothing
	types     []*def.Type // FHIR types that its items may have
	system    []string    // System types that its items may have
	unordered bool
}

func (s shape) with(t shape) shape {
	return shape{s.any || t.any, append(s.types[:len(s.types):len(s.types)], t.types...),
		append(s.system[:len(s.system):len(s.system)], t.system...), s.unordered || t.unordered}
}

func systemShape(name string) shape { return shape{system: []string{name}} }

type checker struct{}

// visit returns the shape of n; this is the shape of $this.
func (c checker) visit(n *ast, this shape) (shape, error) {
	switch n.kind {
	case nLiteral:
		return systemShape(n.val.SystemType()), nil
	case nEmpty:
		return shape{}, nil
	case nThis:
		return this, nil
	case nIndex:
		return systemShape("Integer"), nil
	case nMember, nFunc, nIndexer:
		return c.link(n, this)
	case nIs:
		_, err := c.visit(n.args[0], this)
		return systemShape("Boolean"), err
	case nAs:
		in, err := c.visit(n.args[0], this)
		return in.narrowed(n.spec), err
	case nUnary:
		return c.visit(n.args[0], this)
	case nBinary:
		return c.binary(n, this)
	}
	return shape{any: true}, nil
}

// narrowed returns what as and ofType leave of s.
func (s shape) narrowed(spec typeSpec) shape {
	out := shape{unordered: s.unordered}
	if spec.space != "System" {
		if t := def.Lookup(spec.name); t != nil {
			out.types = []*def.Type{t}
		}
	}
	if spec.space != "FHIR" && isSystemType(spec.name) && (s.any || len(s.system) > 0) {
		out.system = []string{spec.name}
	}
	return out
}

func (c checker) binary(n *ast, this shape) (shape, error) {
	a, err := c.visit(n.args[0], this)
	if err != nil {
		return a, err
	}
	b, err := c.visit(n.args[1], this)
	if err != nil {
		return b, err
	}
	switch n.name {
	case "|":
		return a.with(b), nil
	case "&":
		return systemShape("String"), nil
	case "+", "-", "*", "/", "div", "mod":
		return shape{any: true}, nil
	}
	return systemShape("Boolean"), nil
}

func (c checker) link(n *ast, this shape) (shape, error) {
	in := this
	if n.left != nil {
		var err error
		if in, err = c.visit(n.left, this); err != nil {
			return in, err
		}
	}
	switch n.kind {
	case nMember:
		return c.member(n, in)
	case nIndexer:
		if _, err := c.visit(n.args[0], this); err != nil {
			return in, err
		}
		return in, c.ordered(n, in, "[]")
	}
	return c.function(n, in, this)
}

func (checker) ordered(n *ast, in shape, name string) error {
	if in.unordered {
		return &SyntaxError{n.pos, name + " needs an order, which children() and descendants() do not give"}
	}
	return nil
}

func (checker) member(n *ast, in shape) (shape, error) {
	if in.any {
		return in, nil
	}
	if n.left == nil && n.name[0] >= 'A' && n.name[0] <= 'Z' {
		for _, t := range in.types {
			if t.IsA(n.name) {
				return in, nil
			}
		}
		if def.Lookup(n.name) != nil {
			return shape{}, &SyntaxError{n.pos, fmt.Sprintf("the path begins with %s, which is not the type at hand", n.name)}
		}
	}
	out := shape{unordered: in.unordered}
	known := false
	for _, t := range in.types {
		if e := t.Element(n.name); e != nil {
			known = true
			for _, ref := range e.Types {
				out.types = append(out.types, ref.Type)
			}
		} else if t.Abstract {
			return shape{any: true}, nil
		}
	}
	for _, s := range in.system {
		known = known || s == "ClassInfo" || s == "Quantity" || s == "Any"
	}
	if !known && len(in.types)+len(in.system) > 0 {
		return out, &SyntaxError{n.pos, fmt.Sprintf("there is no element %.60q here", n.name)}
	}
	if len(in.system) > 0 {
		out.any = true
	}
	return out, nil
}

func (c checker) function(n *ast, in, this shape) (shape, error) {
	switch n.name {
	case "is":
		return systemShape("Boolean"), nil
	case "as", "ofType":
		spec, _ := specOf(n.args[0])
		return in.narrowed(spec), nil
	}
	focus := this
	switch n.name {
	case "where", "select", "all", "exists", "repeat", "aggregate", "iif", "sort", "trace":
		focus = in
	}
	if n.name == "repeat" || n.name == "aggregate" {
		focus = shape{any: true}
	}
	var args []shape
	for _, a := range n.args {
		s, err := c.visit(a, focus)
		if err != nil {
			return s, err
		}
		args = append(args, s)
	}
	return c.result(n, in, args)
}

func (c checker) result(n *ast, in shape, args []shape) (shape, error) {
	switch n.name {
	case "first", "last", "tail", "skip", "take":
		return in, c.ordered(n, in, n.name+"()")
	case "where", "single", "distinct", "trace", "exclude", "intersect":
		return in, nil
	case "sort":
		in.unordered = false
		return in, nil
	case "select":
		return args[0], nil
	case "union", "combine":
		return in.with(args[0]), nil
	case "iif":
		out := args[1]
		if len(args) == 3 {
			out = out.with(args[2])
		}
		return out, nil
	case "children", "descendants":
		return shape{any: true, unordered: true}, nil
	case "extension":
		return shape{types: []*def.Type{def.Lookup("Extension")}}, nil
	case "type":
		return systemShape("ClassInfo"), nil
	case "startsWith", "endsWith", "contains", "matches", "matchesFull", "indexOf", "lastIndexOf", "substring", "length", "upper", "lower",
		"replace", "replaceMatches", "trim", "split", "toChars":
		if in.onlyComplex() {
			return in, &SyntaxError{n.pos, n.name + "() works on strings"}
		}
	}
	if f := functions[n.name]; f.test != nil {
		return systemShape("Boolean"), nil
	}
	return shape{any: true}, nil
}

// onlyComplex reports whether no item can be a primitive.
func (s shape) onlyComplex() bool {
	if s.any || len(s.system) > 0 || len(s.types) == 0 {
		return false
	}
	for _, t := range s.types {
		if t.Kind == def.Primitive {
			return false
		}
	}
	return true
}
