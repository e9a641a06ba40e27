package fhirrest

import (
	"context"
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// Operation is an operation on a type that somebody else does: POST [base]/[Type]/$[Name] with Parameters and, where Get says so, GET with simple ones.
type Operation struct {
	Type, Name string
	Definition string // canonical
	Get        bool   // it changes nothing
	// Run does it, as the caller of ctx, whose grant is its only decision. in is Parameters: those of the body, and behind them those of the URL, as strings. What
	// it returns is the answer, with status 200; an error is answered as those of all interactions are.
	Run func(ctx context.Context, in *fhir.Resource) (*fhir.Resource, error)
}

// served makes entries of the table of operations that others do.
func served(list []Operation) []operation {
	var out []operation
	for _, o := range list {
		out = append(out, operation{name: o.Name, definition: o.Definition, types: []string{o.Type}, onType: true, get: o.Get, serve: func(_ *Handler, q *request, a *answer) error {
			in, err := q.parameters()
			if err != nil {
				return err
			}
			r, err := o.Run(q.ctx, in)
			if err != nil {
				return err
			}
			a.status = http.StatusOK
			a.done(r.AppendJSON(a.build()))
			return nil
		}})
	}
	return out
}

// parameters are the Parameters of a call: the body's, with those of the URL behind them.
func (q *request) parameters() (*fhir.Resource, error) {
	in := fhir.NewResource("Parameters")
	if q.method == http.MethodPost && q.hasBody() {
		body, err := q.anyResource()
		if err != nil {
			return nil, err
		}
		if body.Type() != "Parameters" {
			return nil, fault.New(fault.Invalid, "$%s takes Parameters, not a %.64q", q.route.operation, body.Type()).WithCode("structure")
		}
		in = body.Clone()
	}
	list := in.Get("parameter")
	if list == nil {
		if len(q.params) == 0 {
			return in, nil
		}
		list = fhir.NewArray()
		in.Set("parameter", list)
	}
	if list.Kind != fhir.Array {
		return nil, fault.At(fault.Invalid, "Parameters.parameter", "an array").WithCode("structure")
	}
	for p := list.First(); p != nil; p = p.Next() {
		if p.Kind != fhir.Object || p.Str("name") == "" {
			return nil, fault.At(fault.Invalid, "Parameters.parameter", "each needs a name").WithCode("required")
		}
	}
	for _, p := range q.params {
		one := fhir.NewObject()
		one.Set("name", fhir.NewString(p.Name))
		one.Set("valueString", fhir.NewString(p.Value))
		list.Append(one)
	}
	return in, nil
}

// operation is one named operation: where it may be called and what it does.
type operation struct {
	name       string
	definition string // canonical
	types      []string
	onType     bool
	onInstance bool
	get        bool // may be called by GET: it changes nothing and takes only simple parameters
	serve      serve
}

// operations is the table of all operations that are served. types nil: all.
func operations() []operation {
	return []operation{
		{name: "everything", definition: "http://hl7.org/fhir/OperationDefinition/Patient-everything",
			types: []string{"Patient"}, onInstance: true, get: true, serve: (*Handler).everything},
		{name: "everything", definition: "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
			types: []string{"Encounter"}, onInstance: true, get: true, serve: (*Handler).everything},
		{name: "validate", definition: "http://hl7.org/fhir/OperationDefinition/Resource-validate",
			onType: true, onInstance: true, get: true, serve: (*Handler).validate},
	}
}

func (o *operation) of(typ string) bool {
	for _, t := range o.types {
		if t == typ {
			return true
		}
	}
	return o.types == nil
}

// operation serves a named operation on a type or an instance.
func (h *Handler) operation(q *request, a *answer) error {
	instance := q.route.place == atInstanceOperation
	for _, o := range h.operations {
		if o.name != q.route.operation || !o.of(q.route.typ) || instance && !o.onInstance || !instance && !o.onType {
			continue
		}
		if q.method != http.MethodPost && !o.get {
			return fault.New(fault.MethodNotAllowed, "$%s is called by POST", o.name)
		}
		if instance {
			if err := checkID(q.route.id, fault.NotFound); err != nil {
				return err
			}
		}
		return o.serve(h, q, a)
	}
	return h.unknownOperation(q, a)
}

// hasBody reports whether a POST brings anything.
func (q *request) hasBody() bool {
	if q.wire == nil {
		return q.entry != nil
	}
	return q.wire.Body != nil && q.wire.Body != http.NoBody && q.wire.ContentLength != 0
}

// operationParams returns the parameters of a call: those of the URL and, where the body is Parameters, the simple ones in
// there. body is the resource sent, nil where there is none.
func (q *request) operationParams() (params []param, body *fhir.Resource, err error) {
	params = q.params
	if q.method != http.MethodPost || !q.hasBody() {
		return params, nil, nil
	}
	body, err = q.anyResource()
	if err != nil || body.Type() != "Parameters" {
		return params, body, err
	}
	list := body.Get("parameter")
	if list != nil && list.Kind != fhir.Array {
		return nil, nil, fault.At(fault.Invalid, "Parameters.parameter", "an array").WithCode("structure")
	}
	for p := list.First(); p != nil; p = p.Next() {
		if p.Kind != fhir.Object || p.Str("name") == "" {
			return nil, nil, fault.At(fault.Invalid, "Parameters.parameter", "each needs a name").WithCode("required")
		}
		if v, ok := simpleValue(p); ok {
			params = append(params, param{Name: p.Str("name"), Value: v})
		}
	}
	return params, body, nil
}

// simpleValue returns a parameter's primitive value[x] as text.
func simpleValue(p *fhir.Node) (string, bool) {
	for c := p.First(); c != nil; c = c.Next() {
		if len(c.Name) > 5 && c.Name[:5] == "value" && (c.Kind == fhir.String || c.Kind == fhir.Number || c.Kind == fhir.Bool) {
			return c.Text, true
		}
	}
	return "", false
}
