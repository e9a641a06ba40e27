package fhirpath

import (
	"sync"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Expr is a compiled expression. It may be used by many goroutines at once.
type Expr struct {
	src      string
	op       op
	machines sync.Pool
}

// Compile reads an expression. The error is a [*SyntaxError], which bears the kind fault.Invalid: bad grammar, an
// unknown function or type, a wrong count of arguments, a bad regular expression.
func Compile(expr string) (*Expr, error) {
	tree, err := parse(expr)
	if err != nil {
		return nil, err
	}
	o, err := compile(tree)
	if err != nil {
		return nil, err
	}
	return &Expr{src: expr, op: o}, nil
}

// MustCompile is Compile for expressions that are part of the program; it panics where Compile fails.
func MustCompile(expr string) *Expr {
	e, err := Compile(expr)
	if err != nil {
		panic(err)
	}
	return e
}

// String returns the expression's text.
func (e *Expr) String() string { return e.src }

// Eval evaluates the expression. Errors are fault.Errors of the kinds Unprocessable (the expression does not fit what
// it meets) and TooCostly; their text holds no data of the resource.
func (e *Expr) Eval(ctx Context) (Collection, error) { return e.AppendEval(nil, &ctx) }

// AppendEval is Eval into a buffer of the caller: it appends the result to dst. The items point into the tree.
func (e *Expr) AppendEval(dst Collection, ctx *Context) (Collection, error) {
	m, _ := e.machines.Get().(*machine)
	if m == nil {
		m = new(machine)
	}
	m.ctx, m.steps, m.focus = ctx, ctx.MaxSteps, ctx.Focus
	if m.steps == 0 {
		m.steps = DefaultMaxSteps
	}
	if m.focus == (Item{}) {
		m.focus = ResourceItem(ctx.Resource)
	}
	f := frame{}
	if m.focus != (Item{}) {
		m.one[0] = m.focus
		f.this = m.one[:]
	}
	out, err := e.op.eval(m, f, f.this, dst)
	m.ctx, m.focus, m.one[0] = nil, Item{}, Item{}
	e.machines.Put(m)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Bool evaluates the expression as a condition: ok is false where the result is empty.
func (e *Expr) Bool(ctx Context) (value, ok bool, err error) {
	c, err := e.Eval(ctx)
	if err != nil {
		return false, false, err
	}
	t, err := truth(c)
	return t == yes, t != unknown, err
}

// EvalResource is Eval with r as resource, root and focus.
func (e *Expr) EvalResource(r *fhir.Resource) (Collection, error) {
	return e.AppendEval(nil, &Context{Resource: r})
}
