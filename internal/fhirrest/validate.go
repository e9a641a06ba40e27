package fhirrest

import (
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/validate"
	"github.com/nilecare/nilecare/internal/web"
)

// validate is [type]/$validate and [type]/[id]/$validate (R4 resource-operation-validate.html). The resource comes as
// the body, or in Parameters beside mode and profile; an instance without a body means the stored resource. The answer is
// 200 with an OperationOutcome whatever was found; an error means that nothing could be checked.
func (h *Handler) validate(q *request, a *answer) error {
	params, body, err := q.operationParams()
	if err != nil {
		return err
	}
	resource := body
	if body != nil && body.Type() == "Parameters" {
		inner := namedResource(body)
		// POST Parameters/$validate may mean the Parameters themselves.
		if inner != nil || q.route.typ != "Parameters" {
			resource = inner
		}
	}
	mode, issues, err := q.validateParams(params)
	if err != nil {
		return err
	}
	if resource == nil {
		if resource, err = h.stored(q); err != nil {
			return err
		}
	}
	if t := resource.Type(); t != q.route.typ {
		return fault.At(fault.Invalid, q.route.typ, "the resource is a %.64q, the URL is of %s", t, q.route.typ).WithCode("invariant")
	}
	if mode != "delete" {
		issues = append(validate.Resource(resource), issues...)
	}
	if mode == "update" && q.route.place == atInstanceOperation {
		if err := sameIdentity(resource, q.route.id); err != nil {
			issues = append(issues, web.Fault(err).Issues...)
		}
	}
	a.done(web.AppendOutcome(a.build(), issues))
	a.status = http.StatusOK
	return nil
}

// validateParams reads mode and profile. Profiles are not checked, which the outcome says.
func (q *request) validateParams(params []param) (mode string, issues []fault.Issue, err error) {
	var unknown []param
	for _, p := range params {
		switch p.Name {
		case "mode":
			switch p.Value {
			case "create", "update", "delete":
				mode = p.Value
			default:
				return "", nil, fault.New(fault.Invalid, "mode=%.20q is not supported: create, update and delete are", p.Value).WithCode("not-supported")
			}
		case "profile":
			issues = append(issues, fault.Issue{Severity: "warning", Code: "not-supported",
				Diagnostics: "profiles are not checked: the resource was validated against FHIR R4 itself"})
		case "resource":
			return "", nil, fault.New(fault.Invalid, "the parameter resource is a resource").WithCode("structure")
		default:
			unknown = append(unknown, p)
		}
	}
	if mode == "delete" && q.route.place != atInstanceOperation {
		return "", nil, fault.New(fault.Invalid, "mode=delete needs an id in the URL").WithCode("value")
	}
	return mode, issues, q.noParams(unknown)
}

// stored returns the resource that an instance's URL names.
func (h *Handler) stored(q *request) (*fhir.Resource, error) {
	if q.route.place != atInstanceOperation {
		return nil, fault.New(fault.Invalid, "there is no resource to validate: send it as the body, or as the parameter resource").WithCode("required")
	}
	v, err := h.Records.Read(q.ctx, q.route.typ, q.route.id)
	if err != nil {
		return nil, err
	}
	return fhir.ParseResource(v.JSON())
}

// namedResource returns the parameter "resource" of Parameters, or nil.
func namedResource(params *fhir.Resource) *fhir.Resource {
	for p := params.Get("parameter").First(); p != nil; p = p.Next() {
		if r := p.Get("resource"); p.Str("name") == "resource" && r != nil && r.Kind == fhir.Object {
			return &fhir.Resource{Node: r}
		}
	}
	return nil
}
