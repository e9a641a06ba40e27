package fhirpath

import "fmt"

func compile(n *ast) (op, error) {
	switch n.kind {
	case nMember, nFunc, nIndexer:
		return compileChain(n)
	case nLiteral:
		return &constant{Item{value: n.val}}, nil
	case nEmpty:
		return emptyOp{}, nil
	case nThis:
		return thisOp{}, nil
	case nIndex:
		return indexOp{}, nil
	case nTotal:
		return totalOp{}, nil
	case nVar:
		return variable(n.name), nil
	case nIs, nAs:
		return compileTypeOperator(n)
	case nUnary:
		arg, err := compile(n.args[0])
		if err != nil {
			return nil, err
		}
		return folded(&unaryOp{arg, n.name == "-"}, arg), nil
	default:
		return compileBinary(n)
	}
}

// folded evaluates o now where all it depends on is constant; what fails is left for the evaluation to report.
func folded(o op, operands ...op) op {
	for _, x := range operands {
		switch x.(type) {
		case *constant, emptyOp:
		default:
			return o
		}
	}
	m := machine{ctx: &Context{}, steps: 1000}
	c, err := o.eval(&m, frame{}, nil, nil)
	switch {
	case err != nil || len(c) > 1:
		return o
	case len(c) == 0:
		return emptyOp{}
	}
	return &constant{c[0]}
}

func compileTypeOperator(n *ast) (op, error) {
	operand, err := compile(n.args[0])
	if err != nil {
		return nil, err
	}
	t, ok := newTypeTest(n.spec, n.kind == nAs)
	if !ok {
		return nil, unknownType(n.pos, n.spec)
	}
	if n.kind == nAs {
		return &ofType{operand: operand, test: t}, nil
	}
	return &isOp{operand, t}, nil
}

func unknownType(pos int, s typeSpec) error {
	return &SyntaxError{pos, fmt.Sprintf("the type %.60s is unknown", s.name)}
}

// compileChain flattens a.b[0].c(…) into its steps, runs of members into one.
func compileChain(n *ast) (op, error) {
	var links []*ast
	head := n
	for ; head.left != nil; head = head.left {
		links = append(links, head)
	}
	var ops []op
	switch head.kind {
	case nMember, nFunc:
		links = append(links, head)
	default:
		o, err := compile(head)
		if err != nil {
			return nil, err
		}
		ops = append(ops, o)
	}
	var run *pathOp
	for i := len(links) - 1; i >= 0; i-- {
		link := links[i]
		if link.kind == nMember {
			if run == nil {
				run = &pathOp{}
				if link == head && !link.quoted && link.name[0] >= 'A' && link.name[0] <= 'Z' {
					run.root = link.name
				}
				ops = append(ops, run)
			}
			run.members = append(run.members, &member{name: link.name})
			continue
		}
		run = nil
		o, err := compileLink(link)
		if err != nil {
			return nil, err
		}
		ops = append(ops, o)
	}
	if len(ops) == 1 {
		return ops[0], nil
	}
	return &chain{ops}, nil
}

func compileLink(n *ast) (op, error) {
	if n.kind == nFunc {
		return compileFunc(n)
	}
	at, err := compile(n.args[0])
	if err != nil {
		return nil, err
	}
	return &indexer{at}, nil
}

func compileAll(list []*ast) ([]op, error) {
	out := make([]op, len(list))
	for i, a := range list {
		o, err := compile(a)
		if err != nil {
			return nil, err
		}
		out[i] = o
	}
	return out, nil
}

func compileFunc(n *ast) (op, error) {
	switch n.name {
	case "is", "as", "ofType":
		return compileTypeFunc(n)
	case "sort":
		return compileSort(n)
	}
	fn, ok := functions[n.name]
	if !ok {
		return nil, &SyntaxError{n.pos, fmt.Sprintf("the function %.40s() is unknown", n.name)}
	}
	if len(n.args) < fn.min || len(n.args) > fn.max {
		return nil, &SyntaxError{n.pos, fmt.Sprintf("%s() takes %s, not %d", n.name, countOf(fn.min, fn.max), len(n.args))}
	}
	args, err := compileAll(n.args)
	if err != nil {
		return nil, err
	}
	switch {
	case fn.build != nil:
		return fn.build(n, args)
	case fn.test != nil:
		return &testCall{fn.test, args}, nil
	}
	return &call{fn.impl, args}, nil
}

func countOf(least, most int) string {
	switch {
	case least == most && most == 0:
		return "no arguments"
	case least == most && most == 1:
		return "one argument"
	case least == most:
		return fmt.Sprintf("%d arguments", most)
	}
	return fmt.Sprintf("%d to %d arguments", least, most)
}

// compileTypeFunc compiles x.is(T), x.as(T) and x.ofType(T), whose argument is a type, not an expression.
func compileTypeFunc(n *ast) (op, error) {
	if len(n.args) != 1 {
		return nil, &SyntaxError{n.pos, n.name + "() takes one type"}
	}
	spec, ok := specOf(n.args[0])
	if !ok {
		return nil, &SyntaxError{n.args[0].pos, n.name + "() takes the name of a type"}
	}
	t, ok := newTypeTest(spec, n.name != "is")
	if !ok {
		return nil, unknownType(n.args[0].pos, spec)
	}
	if n.name == "is" {
		return &isOp{nil, t}, nil
	}
	return &ofType{test: t, single: n.name == "as"}, nil
}

// specOf reads "Patient" or "FHIR.Patient" out of an argument.
func specOf(n *ast) (typeSpec, bool) {
	switch {
	case n.kind != nMember:
		return typeSpec{}, false
	case n.left == nil:
		return typeSpec{"", n.name}, true
	case n.left.kind == nMember && n.left.left == nil && (n.left.name == "FHIR" || n.left.name == "System"):
		return typeSpec{n.left.name, n.name}, true
	}
	return typeSpec{}, false
}

func compileBinary(n *ast) (op, error) {
	args, err := compileAll(n.args)
	if err != nil {
		return nil, err
	}
	a, b := args[0], args[1]
	var o op
	switch n.name {
	case "and", "or", "xor", "implies":
		o = &logicOp{n.name[0], a, b}
	case "=", "!=":
		o = &equalOp{a, b, n.name == "!="}
	case "~", "!~":
		o = &equivalentOp{a, b, n.name == "!~"}
	case "<", ">", "<=", ">=":
		o = &orderOp{n.name, a, b}
	case "in":
		o = &membership{a, b}
	case "contains":
		o = &membership{b, a}
	case "|":
		return &unionOp{a, b}, nil
	case "&":
		o = &concatOp{a, b}
	default:
		o = &arithmetic{n.name, a, b}
	}
	return folded(o, a, b), nil
}
