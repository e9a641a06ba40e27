package fhirrest

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/web"
)

// request is one interaction that is asked for, by the wire or by an entry of a Bundle.
type request struct {
	ctx    context.Context
	method string
	route  route
	params []param // of the query, without those that concern the answer's form alone
	base   string  // of the server, without "/" at the end
	conditions
	prefer preference
	pretty bool
	format string        // _format, as given
	media  string        // the answer's media type
	wire   *http.Request // nil for an entry
	entry  *fhir.Node    // the entry's resource, nil where it has none
}

// setQuery decodes a query string into the request, and takes out what concerns the answer's form.
func (q *request) setQuery(raw string) error {
	if raw == "" {
		return nil
	}
	params, err := parseParams(raw)
	if err != nil {
		return err
	}
	q.params, err = q.takeForm(params)
	return err
}

// takeForm takes _format and _pretty out of the parameters.
func (q *request) takeForm(params []param) ([]param, error) {
	kept := params[:0]
	for _, p := range params {
		switch p.Name {
		case "_format":
			q.format = p.Value
		case "_pretty":
			switch p.Value {
			case "true", "false":
				q.pretty = p.Value == "true"
			default:
				return nil, fault.New(fault.Invalid, "_pretty is true or false").WithCode("value")
			}
		default:
			kept = append(kept, p)
		}
	}
	return kept, nil
}

// noParams makes sure that nothing was asked that this interaction does not know: nothing is silently ignored, unless the
// client prefers that.
func (q *request) noParams(rest []param) error {
	if len(rest) == 0 || q.prefer.lenient {
		return nil
	}
	return fault.New(fault.Invalid, "the parameter %.64q is not known here", rest[0].Name).WithCode("not-supported")
}

// resource returns the body as a resource. typ "" admits any type.
func (q *request) resource(typ string) (*fhir.Resource, error) {
	r, err := q.anyResource()
	if err != nil {
		return nil, err
	}
	if t := r.Type(); typ != "" && t != typ {
		return nil, fault.At(fault.Invalid, typ, "the body is a %.64q, the URL is of %s", t, typ).WithCode("invariant")
	}
	return r, nil
}

func (q *request) anyResource() (*fhir.Resource, error) {
	if q.wire == nil {
		if q.entry == nil {
			return nil, fault.New(fault.Invalid, "the entry needs a resource").WithCode("required")
		}
		r := &fhir.Resource{Node: q.entry}
		if q.entry.Kind != fhir.Object || r.Type() == "" {
			return nil, fault.New(fault.Invalid, "the entry's resource has no resourceType").WithCode("structure")
		}
		return r, nil
	}
	media, err := bodyMedia(q.wire.Header.Get("Content-Type"))
	if err != nil {
		return nil, err
	}
	if !isJSON(media) {
		return nil, fault.New(fault.UnsupportedMedia, "Content-Type %.64q is not supported here: send application/fhir+json", media)
	}
	body, err := web.ReadBody(q.wire)
	if err != nil {
		return nil, err
	}
	return parseResource(body)
}

// parseResource is fhir.ParseResource with an error that tells the client where the text breaks.
func parseResource(body []byte) (*fhir.Resource, error) {
	if len(body) == 0 {
		return nil, fault.New(fault.Invalid, "the body is empty").WithCode("structure")
	}
	r, err := fhir.ParseResource(body)
	if err != nil {
		return nil, syntax(err)
	}
	return r, nil
}

func syntax(err error) error {
	var s *fhir.SyntaxError
	if errors.As(err, &s) {
		return fault.New(fault.Invalid, "%s", s.Error()).WithCode("structure")
	}
	return err
}

// patchBody returns a patch and its media type. In a Bundle a JSON Patch is the content of a Binary, a FHIRPath Patch
// the Parameters themselves (R4 http.html#patch).
func (q *request) patchBody() (media string, body []byte, params *fhir.Resource, err error) {
	if q.wire != nil && !isJSON(mediaOf(q.wire)) {
		if media, err = bodyMedia(q.wire.Header.Get("Content-Type")); err != nil {
			return "", nil, nil, err
		}
		if media != mediaPatch {
			return "", nil, nil, fault.New(fault.UnsupportedMedia, "a patch is %s, or Parameters in application/fhir+json", mediaPatch)
		}
		body, err = web.ReadBody(q.wire)
		return media, body, nil, err
	}
	r, err := q.anyResource()
	if err != nil {
		return "", nil, nil, err
	}
	switch r.Type() {
	case "Parameters":
		return "application/fhir+json", nil, r, nil
	case "Binary":
		if q.wire == nil && strings.HasPrefix(r.Str("contentType"), mediaPatch) {
			body, err = base64.StdEncoding.DecodeString(r.Str("data"))
			if err != nil {
				return "", nil, nil, fault.At(fault.Invalid, "Binary.data", "no valid base64").WithCode("value")
			}
			return mediaPatch, body, nil, nil
		}
	}
	return "", nil, nil, fault.New(fault.Invalid, "a FHIRPath Patch is a Parameters resource, not a %.64q", r.Type()).WithCode("structure")
}

// mediaOf is the body's media type without its checks.
func mediaOf(r *http.Request) string {
	name, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(name))
}
