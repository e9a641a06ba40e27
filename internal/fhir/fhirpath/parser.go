package fhirpath

import (
	"strconv"
	"strings"
)

// The limits on an expression's text; what is over them is a [SyntaxError].
const (
	MaxLength = 32 << 10 // bytes
	MaxDepth  = 128      // nested parentheses, arguments and operators
)

type parser struct {
	lex   lexer
	tok   token
	depth int
}

func parse(src string) (*ast, error) {
	if len(src) > MaxLength {
		return nil, &SyntaxError{0, "the expression is longer than " + strconv.Itoa(MaxLength) + " bytes"}
	}
	p := parser{lex: lexer{src: src}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("the end or an operator")
	}
	return n, nil
}

func (p *parser) advance() error {
	t, err := p.lex.next()
	p.tok = t
	return err
}

func (p *parser) is(punct string) bool { return p.tok.kind == tokPunct && p.tok.text == punct }

func (p *parser) unexpected(wanted string) error {
	if p.tok.kind == tokEnd {
		return p.lex.fail(p.tok.pos, "%s was expected, not the end", wanted)
	}
	return p.lex.fail(p.tok.pos, "%s was expected, not %.40q", wanted, p.tok.text)
}

func (p *parser) expect(punct string) error {
	if !p.is(punct) {
		return p.unexpected("'" + punct + "'")
	}
	return p.advance()
}

// precedence returns how tight the binary operator at hand binds, 0 where it is none.
func (p *parser) precedence() int {
	switch p.tok.kind {
	case tokPunct:
		switch p.tok.text {
		case "*", "/":
			return 10
		case "+", "-", "&":
			return 9
		case "|":
			return 7
		case "<", ">", "<=", ">=":
			return 6
		case "=", "~", "!=", "!~":
			return 5
		}
	case tokIdent:
		switch p.tok.text {
		case "div", "mod":
			return 10
		case "is", "as":
			return 8
		case "in", "contains":
			return 4
		case "and":
			return 3
		case "or", "xor":
			return 2
		case "implies":
			return 1
		}
	}
	return 0
}

// expression parses operators that bind tighter than above, by precedence climbing; all are left-associative.
func (p *parser) expression(above int) (*ast, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, p.lex.fail(p.tok.pos, "nested deeper than %d", MaxDepth)
	}
	defer func() { p.depth-- }()
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for {
		prec := p.precedence()
		if prec <= above {
			return left, nil
		}
		op := p.tok
		if err := p.advance(); err != nil {
			return nil, err
		}
		if prec == 8 {
			left, err = p.typeOperator(op, left)
		} else {
			var right *ast
			right, err = p.expression(prec)
			left = &ast{kind: nBinary, pos: op.pos, name: op.text, args: []*ast{left, right}}
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) typeOperator(op token, left *ast) (*ast, error) {
	spec, err := p.typeSpecifier()
	if err != nil {
		return nil, err
	}
	kind := nIs
	if op.text == "as" {
		kind = nAs
	}
	return &ast{kind: kind, pos: op.pos, args: []*ast{left}, spec: spec}, nil
}

func (p *parser) typeSpecifier() (typeSpec, error) {
	var parts []string
	for {
		if p.tok.kind != tokIdent && p.tok.kind != tokQuoted {
			return typeSpec{}, p.unexpected("a type name")
		}
		parts = append(parts, p.tok.text)
		if err := p.advance(); err != nil {
			return typeSpec{}, err
		}
		// A dot goes on with the type only after a namespace: "value is Quantity.unit" has no other reading.
		if !p.is(".") || len(parts) > 1 {
			break
		}
		if parts[0] != "FHIR" && parts[0] != "System" {
			break
		}
		if err := p.advance(); err != nil {
			return typeSpec{}, err
		}
	}
	if len(parts) == 2 {
		return typeSpec{parts[0], parts[1]}, nil
	}
	return typeSpec{"", parts[0]}, nil
}

func (p *parser) unary() (*ast, error) {
	if !p.is("+") && !p.is("-") {
		return p.postfix()
	}
	op := p.tok
	if p.depth++; p.depth > MaxDepth {
		return nil, p.lex.fail(p.tok.pos, "nested deeper than %d", MaxDepth)
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return nil, err
	}
	if op.text == "-" && p.tok.kind == tokNumber && p.tok.text == "2147483648" {
		// The least Integer: its digits alone are over the range.
		n := &ast{kind: nLiteral, pos: op.pos, val: Integer(-2147483648)}
		return n, p.advance()
	}
	arg, err := p.unary()
	if err != nil {
		return nil, err
	}
	return &ast{kind: nUnary, pos: op.pos, name: op.text, args: []*ast{arg}}, nil
}

func (p *parser) postfix() (*ast, error) {
	left, err := p.term()
	if err != nil {
		return nil, err
	}
	for {
		switch {
		case p.is("."):
			if err := p.advance(); err != nil {
				return nil, err
			}
			if left, err = p.invocation(left); err != nil {
				return nil, err
			}
		case p.is("["):
			n := &ast{kind: nIndexer, pos: p.tok.pos, left: left}
			if err := p.advance(); err != nil {
				return nil, err
			}
			arg, err := p.expression(0)
			if err != nil {
				return nil, err
			}
			if err := p.expect("]"); err != nil {
				return nil, err
			}
			n.args = []*ast{arg}
			left = n
		default:
			return left, nil
		}
	}
}

// invocation parses a member, function or $this after left, or on the focus where left is nil.
func (p *parser) invocation(left *ast) (*ast, error) {
	t := p.tok
	switch t.kind {
	case tokDollar:
		if left != nil {
			return nil, p.unexpected("a name")
		}
		n := &ast{pos: t.pos}
		switch t.text {
		case "this":
			n.kind = nThis
		case "index":
			n.kind = nIndex
		case "total":
			n.kind = nTotal
		default:
			return nil, p.lex.fail(t.pos, "$%s is unknown: there are $this, $index and $total", t.text)
		}
		return n, p.advance()
	case tokIdent, tokQuoted:
	default:
		return nil, p.unexpected("a name")
	}
	n := &ast{kind: nMember, pos: t.pos, name: t.text, left: left, quoted: t.kind == tokQuoted}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.is("(") || n.quoted {
		return n, nil
	}
	n.kind = nFunc
	if err := p.advance(); err != nil {
		return nil, err
	}
	for !p.is(")") {
		arg, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
		if !p.is(",") {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.is(")") {
			return nil, p.unexpected("an argument")
		}
	}
	return n, p.expect(")")
}

func (p *parser) term() (*ast, error) {
	t := p.tok
	switch t.kind {
	case tokNumber:
		return p.numeric()
	case tokString:
		return p.literal(String(t.text))
	case tokDate:
		v, ok := parseTemporalLiteral(t.text)
		if !ok {
			return nil, p.lex.fail(t.pos, "@%.40s is no date, date and time, or time", t.text)
		}
		return p.literal(v)
	case tokPunct:
		switch t.text {
		case "(":
			if err := p.advance(); err != nil {
				return nil, err
			}
			n, err := p.expression(0)
			if err != nil {
				return nil, err
			}
			return n, p.expect(")")
		case "{":
			if err := p.advance(); err != nil {
				return nil, err
			}
			return &ast{kind: nEmpty, pos: t.pos}, p.expect("}")
		case "%":
			return p.variable()
		}
	case tokIdent:
		if t.text == "true" || t.text == "false" {
			return p.literal(Boolean(t.text == "true"))
		}
		return p.invocation(nil)
	case tokQuoted, tokDollar:
		return p.invocation(nil)
	}
	return nil, p.unexpected("a term")
}

func (p *parser) literal(v Value) (*ast, error) {
	n := &ast{kind: nLiteral, pos: p.tok.pos, val: v}
	return n, p.advance()
}

func (p *parser) variable() (*ast, error) {
	pos := p.tok.pos
	if err := p.advance(); err != nil {
		return nil, err
	}
	if k := p.tok.kind; k != tokIdent && k != tokQuoted && k != tokString {
		return nil, p.unexpected("a variable's name")
	}
	n := &ast{kind: nVar, pos: pos, name: p.tok.text}
	// "%vs-name" and "%ext-name" may be written bare where the name holds no more than letters, digits and dashes.
	if p.tok.kind == tokIdent && (n.name == "vs" || n.name == "ext") {
		src := p.lex.src
		for p.lex.pos < len(src) && (src[p.lex.pos] == '-' || isLetter(src[p.lex.pos]) || isDigit(src[p.lex.pos])) {
			p.lex.pos++
		}
		n.name = src[p.tok.pos:p.lex.pos]
	}
	return n, p.advance()
}

// numeric parses a number, and a quantity where a unit follows it.
func (p *parser) numeric() (*ast, error) {
	t := p.tok
	n := &ast{kind: nLiteral, pos: t.pos}
	d, ok := ParseDecimal(t.text)
	if !ok {
		return nil, p.lex.fail(t.pos, "the number has too many digits")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokString {
		n.val = Quantity{Value: d, Unit: p.tok.text}
		return n, p.advance()
	}
	if p.tok.kind == tokIdent {
		if unit, ok := calendarUnit(p.tok.text); ok {
			n.val = Quantity{Value: d, Unit: unit, Calendar: true}
			return n, p.advance()
		}
	}
	if strings.Contains(t.text, ".") {
		n.val = d
		return n, nil
	}
	i, err := strconv.ParseInt(t.text, 10, 32)
	if err != nil {
		return nil, p.lex.fail(t.pos, "an integer is at most 2147483647")
	}
	n.val = Integer(i)
	return n, nil
}
