package fhirrest

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// capability is the CapabilityStatement, written once. What depends on the client's view of the server, its base URL,
// stands between the two parts.
type capability struct {
	head, before, tail []byte // before stands before what is said of signing in
	tag                string
}

// metadata is GET /metadata (R4 http.html#capabilities).
func (h *Handler) metadata(q *request, a *answer) error {
	s, rest, err := takeShape(q.params)
	if err != nil {
		return err
	}
	var unknown []param
	for _, p := range rest {
		switch {
		case p.Name != "mode":
			unknown = append(unknown, p)
		case p.Value != "full" && p.Value != "normative":
			return fault.New(fault.Invalid, "mode=%.20q is not supported: full is", p.Value).WithCode("not-supported")
		}
	}
	if err := q.noParams(unknown); err != nil {
		return err
	}
	c := h.capability()
	a.tag = c.tag
	if holdsTag(q.ifNoneMatch, c.tag) {
		a.status = http.StatusNotModified
		return nil
	}
	a.status = http.StatusOK
	b := append(a.build(), c.head...)
	b = fhir.AppendQuoted(b, q.base)
	b = append(b, c.before...)
	b = h.appendSecurity(b, q.base)
	b = append(b, c.tail...)
	a.done(b)
	if s.whole() {
		return nil
	}
	cut, err := s.append(nil, b)
	if err != nil {
		return err
	}
	a.done(cut)
	return nil
}

// appendSecurity tells where tokens come from (SMART App Launch 2.2, "Declaring support for OAuth2 endpoints").
func (h *Handler) appendSecurity(b []byte, base string) []byte {
	if h.OAuth == nil {
		return b
	}
	o := h.OAuth(base)
	b = append(b, `,"security":{"cors":true,"service":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/restful-security-service","code":"SMART-on-FHIR"}],`+
		`"text":"OAuth 2.1 with SMART App Launch 2.2"}],"extension":[{"url":"http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris","extension":[`...)
	sep := ""
	for _, e := range [...]struct{ name, url string }{{"authorize", o.Authorize}, {"token", o.Token}, {"register", o.Register}, {"manage", o.Manage}, {"introspect", o.Introspect}, {"revoke", o.Revoke}} {
		if e.url == "" {
			continue
		}
		b = append(b, sep+`{"url":"`+e.name+`","valueUri":`...)
		b = append(fhir.AppendQuoted(b, e.url), '}')
		sep = ","
	}
	return append(b, `]}]}`...)
}

// buildCapability tells what the tables of this package, the definitions and the search grammar serve.
func (h *Handler) buildCapability() *capability {
	released := h.Released
	if released.IsZero() {
		released = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	b := append([]byte(nil), `{"resourceType":"CapabilityStatement","id":"nilecare","name":"nilecare","title":"nilecare FHIR R4 server",`+
		`"status":"active","date":"`...)
	b = appendInstant(b, released)
	b = append(b, `","kind":"instance","software":{"name":"nilecare"`...)
	if h.Version != "" {
		b = fhir.AppendQuoted(append(b, `,"version":`...), h.Version)
	}
	b = append(b, `},"implementation":{"description":"nilecare","url":`...)
	c := &capability{head: b}
	b = append([]byte(nil), `},"fhirVersion":"4.0.1","format":["application/fhir+json","json"],`+
		`"patchFormat":["application/json-patch+json","application/fhir+json"],"rest":[{"mode":"server","documentation":`...)
	b = fhir.AppendQuoted(b, fmt.Sprintf("A batch or transaction holds at most %d entries, a page at most %d resources. "+
		"An unknown search parameter is refused, unless the client prefers handling=lenient.", h.MaxEntries, h.MaxCount))
	c.before = b
	b = append([]byte(nil), `,"resource":[`...)
	reverse := reverseIncludes()
	for i, t := range def.ResourceTypes() {
		if i > 0 {
			b = append(b, ',')
		}
		b = h.appendType(b, t.Name, reverse)
	}
	b = append(b, `],"interaction":[{"code":"transaction"},{"code":"batch"},{"code":"search-system"},{"code":"history-system"}]`...)
	b = appendSearchParams(b, commonParams())
	b = append(b, `,"compartment":[`...)
	sep := ""
	for _, t := range def.ResourceTypes() {
		if def.CompartmentOf(t.Name) != nil {
			b = append(b, sep+`"http://hl7.org/fhir/CompartmentDefinition/`...)
			b = append(compartmentID(b, t.Name), '"')
			sep = ","
		}
	}
	c.tail = append(b, `]}]}`...)
	sum := fnv.New64a()
	// A hash never fails to take bytes.
	_, _ = sum.Write(c.head)
	_, _ = sum.Write(c.before)
	_, _ = sum.Write(c.tail)
	c.tag = `W/"` + strconv.FormatUint(sum.Sum64(), 16) + `"`
	return c
}

// compartmentID is the id of R4's own definition: the code in lower case.
func compartmentID(b []byte, code string) []byte {
	for i := 0; i < len(code); i++ {
		b = append(b, code[i]|0x20)
	}
	return b
}

func (h *Handler) appendType(b []byte, typ string, reverse map[string][]string) []byte {
	b = append(b, `{"type":"`+typ+`","profile":"http://hl7.org/fhir/StructureDefinition/`+typ+`",`+
		`"interaction":[{"code":"read"},{"code":"vread"},{"code":"update"},{"code":"patch"},{"code":"delete"},`+
		`{"code":"history-instance"},{"code":"history-type"},{"code":"create"},{"code":"search-type"}],`+
		`"versioning":"versioned","readHistory":true,"updateCreate":true,"conditionalCreate":true,`+
		`"conditionalRead":"full-support","conditionalUpdate":true,"conditionalDelete":"`...)
	if h.DeleteAll {
		b = append(b, `multiple`...)
	} else {
		b = append(b, `single`...)
	}
	b = append(b, `","referencePolicy":["literal","logical","local"]`...)
	params := search.Supported(typ)
	b = appendStrings(b, "searchInclude", includes(typ, params))
	b = appendStrings(b, "searchRevInclude", reverse[typ])
	b = appendSearchParams(b, params)
	sep := `,"operation":[`
	for _, o := range h.operations {
		if o.of(typ) {
			b = append(b, sep+`{"name":"`+o.name+`","definition":"`+o.definition+`"}`...)
			sep = ","
		}
	}
	return append(b, `]}`...)
}

func appendStrings(b []byte, name string, values []string) []byte {
	if len(values) == 0 {
		return b
	}
	b = append(b, `,"`+name+`":[`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = fhir.AppendQuoted(b, v)
	}
	return append(b, ']')
}

func appendSearchParams(b []byte, params []*def.SearchParam) []byte {
	sep := `,"searchParam":[`
	for _, p := range params {
		b = append(b, sep+`{"name":"`+p.Code+`","definition":`...)
		b = fhir.AppendQuoted(b, p.URL)
		b = append(b, `,"type":"`+p.Type+`"`...)
		if p.Doc != "" {
			b = fhir.AppendQuoted(append(b, `,"documentation":`...), p.Doc)
		}
		b = append(b, '}')
		sep = ","
	}
	if len(params) > 0 {
		b = append(b, ']')
	}
	return b
}

// commonParams are the parameters that every type has: those of a search over several types.
func commonParams() []*def.SearchParam {
	counts := map[string]int{}
	all := def.ResourceTypes()
	for _, t := range all {
		for _, p := range def.SearchParams(t.Name) {
			counts[p.URL]++
		}
	}
	var out []*def.SearchParam
	if len(all) == 0 {
		return nil
	}
	for _, p := range search.Supported(all[0].Name) {
		if counts[p.URL] == len(all) {
			out = append(out, p)
		}
	}
	return out
}

// includes are the values that _include takes for a type.
func includes(typ string, params []*def.SearchParam) []string {
	out := []string{"*"}
	for _, p := range params {
		if p.Type == "reference" {
			out = append(out, typ+":"+p.Code)
		}
	}
	return out
}

// reverseIncludes are the values that _revinclude takes, by the type that is pointed to.
func reverseIncludes() map[string][]string {
	out := map[string][]string{}
	for _, t := range def.ResourceTypes() {
		for _, p := range search.Supported(t.Name) {
			if p.Type != "reference" {
				continue
			}
			value := t.Name + ":" + p.Code
			if len(p.Targets) == 0 {
				for _, target := range def.ResourceTypes() {
					out[target.Name] = append(out[target.Name], value)
				}
			}
			for _, target := range p.Targets {
				out[target] = append(out[target], value)
			}
		}
	}
	return out
}
