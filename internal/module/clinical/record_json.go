package clinical

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// The code systems that records are written in.
const (
	snomed  = "http://snomed.info/sct"
	loinc   = "http://loinc.org"
	icd10   = "http://hl7.org/fhir/sid/icd-10"
	actCode = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	ucum    = "http://unitsofmeasure.org"
)

// The product's own codes and extensions, where FHIR has none.
const (
	statusReasonURL = "urn:x-nilecare:status-reason"
	amendmentURL    = "urn:x-nilecare:amendment"
	severityURL     = "urn:x-nilecare:allergy-severity"
	noteTypeSystem  = "urn:x-nilecare:note-type"
	taskSystem      = "urn:x-nilecare:task"
	absentURL       = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
)

type obj = map[string]any

// The bounds of free text, in bytes.
const (
	maxLine = 1000
	maxText = 100_000
)

// concept is a CodeableConcept; what is "" is left out.
func concept(system, code, display, text string) obj {
	c := obj{"text": text}
	if code != "" {
		c["coding"] = []any{obj{"system": system, "code": code, "display": display}}
	}
	return c
}

func reference(ref string) obj {
	if ref == "" {
		return nil
	}
	return obj{"reference": ref}
}

// opt is nil for "", so that JSON says null where nothing is known.
func opt(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// said is the first text that is not "": front ends name some fields differently.
func said(texts ...*string) string {
	for _, t := range texts {
		if t != nil && strings.TrimSpace(*t) != "" {
			return strings.TrimSpace(*t)
		}
	}
	return ""
}

// given reports that one of the fields is in the request, be it empty.
func given(texts ...*string) bool {
	return slices.ContainsFunc(texts, func(t *string) bool { return t != nil })
}

// plainText refuses text that is too long, or has control characters, which no XHTML may have. Line ends become "\n".
func plainText(field, s string, most int) (string, error) {
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	if len(s) > most {
		return "", fault.At(fault.Invalid, field, "is longer than %d bytes", most).WithCode("too-long")
	}
	for _, c := range s {
		if c < ' ' && c != '\n' && c != '\t' || c == 0x7f || c == 0xfffe || c == 0xffff {
			return "", fault.At(fault.Invalid, field, "has a control character").WithCode("value")
		}
	}
	return s, nil
}

func missing(field string) error {
	return fault.At(fault.Invalid, field, "is missing").WithCode("required")
}

// oneOf refuses a value that is none of the allowed ones, which it names.
func oneOf(field, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fault.At(fault.Invalid, field, "must be one of %s", strings.Join(allowed, ", ")).WithCode("code-invalid")
}

// moment reads a date or a moment with its offset from UTC, and returns it as FHIR writes it with the span that it names.
func moment(field, s string) (text string, from, to time.Time, err error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil && t.Year() > 0 {
		return t.Format("2006-01-02T15:04:05.999Z07:00"), t, t, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil && t.Year() > 0 {
		return s, t, t.Add(24*time.Hour - time.Microsecond), nil
	}
	return "", time.Time{}, time.Time{}, fault.At(fault.Invalid, field, "must be a date (2026-01-31) or a moment with its offset (2026-01-31T10:00:00+02:00)").WithCode("value")
}

// stamp is a time as FHIR's instant.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// tell answers with one record, and its version as an ETag.
func tell(w http.ResponseWriter, r *http.Request, status int, name string, version int64, value any) error {
	api.SetVersion(w, version)
	return api.AnswerOne(w, r, status, name, value)
}

// answer is tell for a record that a listing tells in the same way.
func answer[T any](w http.ResponseWriter, r *http.Request, status int, name string, one *flat.Record, told func(context.Context, []*flat.Record) ([]T, error)) error {
	all, err := told(r.Context(), []*flat.Record{one})
	if err != nil {
		return err
	}
	return tell(w, r, status, name, one.VID, all[0])
}

// patientAsked is whose records a listing is asked for: the patient's whom the path names, who must be there, or patientId's; "" for everybody's.
func (s *Service) patientAsked(r *http.Request) (string, error) {
	id := r.PathValue("id")
	if id == "" {
		return r.URL.Query().Get("patientId"), nil
	}
	_, err := s.Records.Read(r.Context(), "Patient", id)
	return id, err
}

// known is what the records of an answer refer to: whom and what, by reference, as the caller may see it.
type known struct {
	ctx context.Context
	s   *Service
	got map[string]*flat.Record
	ids map[string]string
	err error
}

// lookup gets what the records refer to of the types, a search a type.
func (s *Service) lookup(ctx context.Context, records []*flat.Record, types ...string) *known {
	k := &known{ctx: ctx, s: s, ids: map[string]string{}}
	var refs []string
	for _, one := range records {
		one.Res.Walk(func(n *fhir.Node) bool {
			if n.Name != "reference" || n.Kind != fhir.String {
				return true
			}
			if typ, _, ok := fhir.SplitReference(n.Text, s.Records.Base); ok && slices.Contains(types, typ) {
				refs = append(refs, n.Text)
			}
			return true
		})
	}
	k.got, k.err = s.Records.Get(ctx, refs...)
	if k.err == nil && slices.Contains(types, "Organization") {
		k.addParents()
	}
	return k
}

// addParents gets the organizations that those which were got are part of: facilities of departments.
func (k *known) addParents() {
	var refs []string
	for _, one := range k.got {
		if one.Type == "Organization" {
			if up := flat.RefOf(one.Res.Get("partOf")); up != "" && k.got[up] == nil {
				refs = append(refs, up)
			}
		}
	}
	if len(refs) == 0 {
		return
	}
	var more map[string]*flat.Record
	if more, k.err = k.s.Records.Get(k.ctx, refs...); k.err == nil {
		for ref, one := range more {
			k.got[ref] = one
		}
	}
}

// local is a reference in the form that got has.
func (k *known) local(ref string) string {
	typ, id, ok := fhir.SplitReference(ref, k.s.Records.Base)
	if !ok {
		return ""
	}
	return typ + "/" + id
}

// id is the product API's id of what the reference points to.
func (k *known) id(ref string) string {
	ref = k.local(ref)
	if one := k.got[ref]; one != nil {
		return one.Key()
	}
	if id, ok := k.ids[ref]; ok || ref == "" {
		return id
	}
	id, err := k.s.Records.IDOfRef(k.ctx, ref)
	if err != nil && k.err == nil {
		k.err = err
	}
	k.ids[ref] = id
	return id
}

// name is what people call it; "" where the caller does not see it.
func (k *known) name(ref string) string {
	one := k.got[k.local(ref)]
	if one == nil {
		return ""
	}
	switch one.Type {
	case "Patient", "Practitioner", "RelatedPerson", "Person":
		return flat.FullName(one.Res)
	case "Condition":
		return flat.Text(one.Res.Get("code"))
	}
	return one.Res.Str("name")
}

// listing serves a page of what q finds, each record as render makes it; or all of it, as the file that the request asks for.
func listing[T any](s *Service, w http.ResponseWriter, r *http.Request, name string, q flat.Query, render func(context.Context, []*flat.Record) ([]T, error)) error {
	file, err := api.Exports(r)
	if err != nil {
		return err
	}
	if file {
		return api.Export(w, r, name, nil, func(yield func(any) error) error { return exported(r.Context(), s, q, render, yield) })
	}
	found, err := s.Records.Find(r.Context(), q)
	if err != nil {
		return err
	}
	all, err := render(r.Context(), found.Records)
	if err != nil {
		return err
	}
	if all == nil {
		all = []T{}
	}
	return api.List(w, r, obj{name: all}, found.PageOf(q))
}

// exported yields all that q finds, page after page.
func exported[T any](ctx context.Context, s *Service, q flat.Query, render func(context.Context, []*flat.Record) ([]T, error), yield func(any) error) error {
	q.Page, q.Limit, q.Cursor = 1, 200, ""
	for {
		found, err := s.Records.Find(ctx, q)
		if err != nil {
			return err
		}
		if err := api.Exportable(found.Total); err != nil && !q.NoTotal {
			return err
		}
		all, err := render(ctx, found.Records)
		if err != nil {
			return err
		}
		for i := range all {
			if err := yield(all[i]); err != nil {
				return err
			}
		}
		if found.Next == "" {
			return nil
		}
		q.Cursor, q.NoTotal = found.Next, true
	}
}

// idFields are the product API's names of the parameters that take an id.
var idFields = map[string]string{"patient": "patientId", "encounter": "encounterId", "participant": "providerId", "performer": "providerId", "author": "authorId",
	"requester": "requesterId", "service-provider": "departmentId"}

// refTo adds the parameter that a record refers to what an id of the product API means.
func (s *Service) refTo(ctx context.Context, q *flat.Query, param, typ, id string) error {
	if id == "" {
		return nil
	}
	name, err := s.Records.FHIRID(ctx, typ, id)
	if err != nil {
		return err
	}
	if !fhir.ValidID(name) {
		return fault.At(fault.Invalid, idFields[param], "is no id").WithCode("value")
	}
	q.With(param, typ+"/"+name)
	return nil
}

// between adds the span of dates that a listing asks for.
func between(q *flat.Query, param, from, to string) error {
	for _, end := range []struct{ prefix, name, value string }{{"ge", "dateFrom", from}, {"le", "dateTo", to}} {
		if end.value == "" {
			continue
		}
		text, _, _, err := moment(end.name, end.value)
		if err != nil {
			return err
		}
		q.With(param, end.prefix+text)
	}
	return nil
}

// anyOf adds a parameter that one of several codes satisfies.
func anyOf(q *flat.Query, param, system string, codes ...string) {
	all := make([]string, len(codes))
	for i, c := range codes {
		all[i] = search.Escape(c)
		if system != "" {
			all[i] = system + "|" + all[i]
		}
	}
	q.With(param, strings.Join(all, ","))
}

// split is the values of a parameter that may come several times, and as lists.
func split(r *http.Request, name string) []string {
	var out []string
	for _, v := range r.URL.Query()[name] {
		for _, one := range strings.Split(v, ",") {
			if one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

// self is the caller's own reference of the type, "" where there is none.
func self(ctx context.Context, typ string) string {
	c := access.From(ctx)
	for _, ref := range c.Self {
		if strings.HasPrefix(ref, typ+"/") {
			return ref
		}
	}
	return ""
}

// practitioner is the reference to a Practitioner that a field names, else the caller's own.
func (s *Service) practitioner(ctx context.Context, field, id string) (string, error) {
	if id != "" {
		return s.Records.Ref(ctx, field, "Practitioner", id)
	}
	if own := self(ctx, "Practitioner"); own != "" {
		return own, nil
	}
	return "", fault.At(fault.Invalid, field, "is missing, and who asks is no practitioner").WithCode("required")
}

// samePatient is the reference to a record of the patient; one of another is refused, and the field is named.
func (s *Service) samePatient(ctx context.Context, field, typ, id, patient, element string) (string, error) {
	one, err := s.Records.Read(ctx, typ, id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return "", fault.At(fault.Unprocessable, field, "there is no %s with this id", typ)
	}
	if err != nil {
		return "", err
	}
	if flat.RefOf(one.Res.Get(element)) != patient {
		return "", fault.At(fault.Unprocessable, field, "this %s is of another patient", typ)
	}
	return one.Ref(), nil
}

// annotation is an Annotation of the caller.
func annotation(ctx context.Context, text string, at time.Time) obj {
	return obj{"text": text, "time": stamp(at), "authorReference": reference(self(ctx, "Practitioner"))}
}

// appendTo adds an element at the end of a list of the node's.
func appendTo(n *fhir.Node, name string, value any) error {
	var all []any
	for _, one := range flat.Items(n.Get(name)) {
		all = append(all, json.RawMessage(one.AppendJSON(nil)))
	}
	return flat.Set(n, name, append(all, value))
}

// extension is the node of the first extension of that URL; nil where there is none.
func extension(n *fhir.Node, url string) *fhir.Node {
	for _, e := range flat.Items(n.Get("extension")) {
		if e.Str("url") == url {
			return e
		}
	}
	return nil
}

// setExtension sets the one extension of that URL, or removes it where value is nil. kind is "valueString" or another value[x].
func setExtension(n *fhir.Node, url, kind string, value any) error {
	var all []any
	for _, e := range flat.Items(n.Get("extension")) {
		if e.Str("url") != url {
			all = append(all, json.RawMessage(e.AppendJSON(nil)))
		}
	}
	if value != nil && value != "" {
		all = append(all, obj{"url": url, kind: value})
	}
	return flat.Set(n, "extension", all)
}

// codesOf are the codes of a list of concepts.
func codesOf(list *fhir.Node) []string {
	var out []string
	for _, c := range flat.Items(list) {
		for _, coding := range flat.Items(c.Get("coding")) {
			out = append(out, coding.Str("code"))
		}
	}
	return out
}

// hasCode reports that one of the concepts has the code of the system.
func hasCode(list *fhir.Node, system, code string) bool {
	for _, c := range flat.Items(list) {
		for _, coding := range flat.Items(c.Get("coding")) {
			if coding.Str("system") == system && coding.Str("code") == code {
				return true
			}
		}
	}
	return false
}

// line is a line of the table.
func line(method, path, permission, summary string, in, out any, serve func(http.ResponseWriter, *http.Request) error, params ...api.Param) api.Route {
	return api.Route{Method: method, Path: path, Need: api.Permission(permission), Summary: summary, In: in, Out: out, Params: params, Serve: serve}
}

// listed is a line of the table that is a listing, by page or as a file.
func listed(path, permission, summary string, out any, serve func(http.ResponseWriter, *http.Request) error, filters ...api.Param) api.Route {
	r := line(http.MethodGet, path, permission, summary, nil, out, serve, api.Paged(filters...)...)
	r.Exports = true
	return r
}

func textParam(names ...string) []api.Param {
	var out []api.Param
	for _, n := range names {
		out = append(out, api.Param{Name: n})
	}
	return out
}

func enumParam(name, help string, values ...string) api.Param {
	return api.Param{Name: name, Enum: values, Many: true, Help: help}
}

func dateParam(names ...string) []api.Param {
	var out []api.Param
	for _, n := range names {
		out = append(out, api.Param{Name: n, Type: api.DateTime})
	}
	return out
}

// whole is the whole number of a node; nil where it is none.
func whole(n *fhir.Node) *int {
	if n == nil {
		return nil
	}
	i, err := strconv.Atoi(n.Text)
	if err != nil {
		return nil
	}
	return &i
}
