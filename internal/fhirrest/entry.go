package fhirrest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/web"
)

// bundle is POST [base]: a batch or a transaction (R4 http.html#transaction).
func (h *Handler) bundle(q *request, a *answer) error {
	if err := q.noParams(q.params); err != nil {
		return err
	}
	b, err := q.resource("")
	if err != nil {
		return err
	}
	list, err := h.bundleEntries(b)
	if err != nil {
		return err
	}
	switch t := b.Str("type"); t {
	case "batch":
		return h.batch(q, a, list)
	case "transaction":
		return h.transaction(q, a, list)
	default:
		return fault.At(fault.Invalid, "Bundle.type", "%.40q cannot be posted here: batch and transaction can", t).WithCode("value")
	}
}

// bundleEntries returns the entries of a Bundle, within the stated bound.
func (h *Handler) bundleEntries(b *fhir.Resource) ([]*fhir.Node, error) {
	if t := b.Type(); t != "Bundle" {
		return nil, fault.At(fault.Invalid, "resourceType", "a Bundle is posted here, not a %.64q", t).WithCode("structure")
	}
	if err := knownMembers(b.Node, "Bundle", "Bundle."); err != nil {
		return nil, err
	}
	list := b.Get("entry")
	if list == nil {
		return nil, nil
	}
	if list.Kind != fhir.Array {
		return nil, fault.At(fault.Invalid, "Bundle.entry", "an array").WithCode("structure")
	}
	items := list.Items()
	if len(items) > h.MaxEntries {
		return nil, fault.At(fault.TooLarge, "Bundle.entry", "%d entries; at most %d are taken at once", len(items), h.MaxEntries).WithCode("too-costly")
	}
	return items, nil
}

// entryRequest turns an entry into a request. The places that its errors name are within the entry.
func entryRequest(outer *request, n *fhir.Node) (*request, error) {
	q := &request{ctx: outer.ctx, base: outer.base, media: outer.media, prefer: outer.prefer}
	if err := readEntry(q, n); err != nil {
		return nil, err
	}
	return q, nil
}

func readEntry(q *request, n *fhir.Node) error {
	if n.Kind != fhir.Object {
		return fault.New(fault.Invalid, "an entry is an object").WithCode("structure")
	}
	r := n.Get("request")
	if r == nil || r.Kind != fhir.Object {
		return fault.At(fault.Invalid, "request", "the entry needs a request").WithCode("required")
	}
	if err := knownRequest(n, r); err != nil {
		return err
	}
	switch q.method = r.Str("method"); q.method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return fault.At(fault.Invalid, "request.method", "GET, HEAD, POST, PUT, PATCH or DELETE").WithCode("value")
	}
	url := r.Str("url")
	if url == "" && r.Get("url") == nil {
		return fault.At(fault.Invalid, "request.url", "the request needs a URL").WithCode("required")
	}
	path, query, _ := strings.Cut(strings.TrimPrefix(url, q.base), "?")
	var err error
	if path, err = plainPath(path); err != nil {
		return err
	}
	if q.route, err = parseRoute(path); err != nil {
		return at(err, "request.url")
	}
	if err := q.setQuery(query); err != nil {
		return at(err, "request.url")
	}
	if _, err := answerMedia(nil, q.format); err != nil {
		return at(err, "request.url")
	}
	q.ifMatch, q.ifNoneMatch = r.Str("ifMatch"), r.Str("ifNoneMatch")
	q.ifNoneExist, q.ifModifiedSince = r.Str("ifNoneExist"), r.Str("ifModifiedSince")
	q.onlyIfNone = r.Get("ifNoneExist") != nil
	q.entry = n.Get("resource")
	return nil
}

// plainPath undoes percent-encoding of a path below the base.
func plainPath(path string) (string, error) {
	if strings.Contains(path, "://") || strings.HasPrefix(path, "urn:") {
		return "", fault.At(fault.Invalid, "request.url", "a URL below this server's base is needed").WithCode("value")
	}
	if strings.IndexByte(path, '%') < 0 {
		return path, nil
	}
	plain, err := unescape(strings.ReplaceAll(path, "+", "%2B"))
	if err != nil {
		return "", fault.At(fault.Invalid, "request.url", "a bad escape").WithCode("value")
	}
	return plain, nil
}

// at gives the first issue of a failure that has no place one.
func at(err error, expression string) error {
	e, ok := err.(*fault.Error)
	if ok && e.Issues[0].Expression == "" {
		e.Issues[0].Expression = expression
	}
	return err
}

// inEntry puts the place of every issue into the i-th entry: "Patient.name" is Bundle.entry[i].resource.name there.
func inEntry(err error, i int) error {
	told := web.Fault(err)
	placed := &fault.Error{Kind: told.Kind, Err: err, Issues: make([]fault.Issue, len(told.Issues))}
	for k, issue := range told.Issues {
		issue.Expression = entryExpression(issue.Expression, i)
		placed.Issues[k] = issue
	}
	return placed
}

func entryExpression(expression string, i int) string {
	place := fmt.Sprintf("Bundle.entry[%d]", i)
	switch {
	case expression == "":
		return place
	case expression[0] >= 'a' && expression[0] <= 'z':
		return place + "." + expression
	}
	_, rest, _ := strings.Cut(expression, ".")
	if rest == "" {
		return place + ".resource"
	}
	return place + ".resource." + rest
}
