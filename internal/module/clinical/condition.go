package clinical

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

const (
	conditionClinical = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	conditionVerified = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
	conditionKinds    = "http://terminology.hl7.org/CodeSystem/condition-category"
	problemItem       = "problem-list-item"
	encounterItem     = "encounter-diagnosis"
)

var (
	clinicalStatuses = []string{"active", "recurrence", "relapse", "inactive", "remission", "resolved"}
	verifications    = []string{"unconfirmed", "provisional", "differential", "confirmed", "refuted"}
	severityCodes    = map[string]string{"mild": "255604002", "moderate": "6736007", "severe": "24484000"}
)

func clinicalStatus(code string) obj    { return concept(conditionClinical, code, "", "") }
func verification(code string) obj      { return concept(conditionVerified, code, "", "") }
func conditionCategory(code string) obj { return concept(conditionKinds, code, "", "") }

// present are the clinical statuses of what the patient has now.
var present = []string{"active", "recurrence", "relapse"}

// conditionRule holds which statuses go together (R4's con-4 and con-5), whoever writes: what was entered in error has no clinical status, what was
// refuted is not present, and what has abated is not present either.
func conditionRule(_ context.Context, _ record.Tx, old, new *fhir.Resource) error {
	if new == nil {
		return nil
	}
	clinical, verified := flat.Code(new.Get("clinicalStatus"), conditionClinical), flat.Code(new.Get("verificationStatus"), conditionVerified)
	if old != nil && flat.Code(old.Get("verificationStatus"), conditionVerified) == "entered-in-error" && verified != "entered-in-error" {
		return fault.At(fault.Conflict, "verificationStatus", "what was entered in error stays so").WithCode("INVALID_TRANSITION")
	}
	switch {
	case verified == "entered-in-error" && new.Get("clinicalStatus") != nil:
		return fault.At(fault.Unprocessable, "clinicalStatus", "a condition that was entered in error has none").WithCode("invariant")
	case verified == "refuted" && slices.Contains(present, clinical):
		return fault.At(fault.Unprocessable, "clinicalStatus", "a condition that was refuted is not %s", clinical).WithCode("invariant")
	case abated(new) && slices.Contains(present, clinical):
		return fault.At(fault.Unprocessable, "clinicalStatus", "a condition that has abated is inactive, in remission or resolved").WithCode("invariant")
	}
	return nil
}

func abated(c *fhir.Resource) bool {
	for n := c.First(); n != nil; n = n.Next() {
		if strings.HasPrefix(n.Name, "abatement") {
			return true
		}
	}
	return false
}

// conditionIn is the body of creating and changing a condition.
type conditionIn struct {
	PatientID          *string `json:"patientId"`
	EncounterID        *string `json:"encounterId"`
	Description        *string `json:"description"`
	ProblemName        *string `json:"problemName"`
	Name               *string `json:"name"`
	Code               *string `json:"code"` // ICD-10
	ICDCode            *string `json:"icdCode"`
	Category           *string `json:"category"` // problem-list-item, encounter-diagnosis
	ClinicalStatus     *string `json:"clinicalStatus"`
	Status             *string `json:"status"`
	VerificationStatus *string `json:"verificationStatus"`
	Severity           *string `json:"severity"` // mild, moderate, severe
	OnsetDate          *string `json:"onsetDate"`
	AbatementDate      *string `json:"abatementDate"`
	Notes              *string `json:"notes"`
	Version            *int64  `json:"version"`
}

// conditionOut is a condition as the product API tells it.
type conditionOut struct {
	ID                 string  `json:"id"`
	PatientID          *string `json:"patientId"`
	PatientName        *string `json:"patientName"`
	EncounterID        *string `json:"encounterId"`
	Description        string  `json:"description"`
	Code               *string `json:"code"` // ICD-10, else whatever code there is
	CodeSystem         *string `json:"codeSystem"`
	Category           *string `json:"category"`
	Status             string  `json:"status"` // the clinical status, or entered_in_error
	ClinicalStatus     *string `json:"clinicalStatus"`
	VerificationStatus *string `json:"verificationStatus"`
	Severity           *string `json:"severity"`
	OnsetDate          *string `json:"onsetDate"`
	AbatementDate      *string `json:"abatementDate"`
	RecordedDate       *string `json:"recordedDate"`
	RecorderID         *string `json:"recorderId"`
	RecorderName       *string `json:"recorderName"`
	Notes              *string `json:"notes"`
	Version            int64   `json:"version"`
	CreatedAt          string  `json:"createdAt"`
	UpdatedAt          string  `json:"updatedAt"`
}

type conditionList struct {
	Conditions []conditionOut `json:"conditions"`
}

type problemList struct {
	Problems []conditionOut `json:"problems"`
}

func (s *Service) conditionRoutes() []api.Route {
	filters := append(textParam("patientId", "encounterId", "code", "search"),
		enumParam("status", "only these clinical statuses", clinicalStatuses...), enumParam("verificationStatus", "only these", append(verifications, "entered-in-error")...))
	all := append(slices.Clone(filters), enumParam("category", "only these", problemItem, encounterItem))
	conditions, problems := conditionVerbs{s, "", "condition", "conditions"}, conditionVerbs{s, problemItem, "problem", "problems"}
	base, list := "/api/v1/conditions", "/api/v1/problem-list"
	return []api.Route{
		listed(base, "records:read", "Conditions, the newest first", conditionList{}, conditions.list, all...),
		listed("/api/v1/patients/{id}/conditions", "records:read", "A patient's conditions", conditionList{}, conditions.list, all...),
		line("GET", base+"/{id}", "records:read", "One condition", nil, conditionOut{}, conditions.read),
		line("POST", base, "records:write", "Note a condition", conditionIn{}, conditionOut{}, conditions.create),
		line("PUT", base+"/{id}", "records:write", "Change a condition: the fields that are sent", conditionIn{}, conditionOut{}, conditions.update),
		line("PATCH", base+"/{id}/resolve", "records:write", "A condition is over", resolveIn{}, conditionOut{}, conditions.resolve("resolved")),
		line("DELETE", base+"/{id}", "records:write", "A condition was entered in error", nil, conditionOut{}, conditions.withdraw),

		listed(list, "problem-list:read", "Problems, the newest first", problemList{}, problems.list, filters...),
		listed(list+"/patient/{id}", "problem-list:read", "A patient's problem list", problemList{}, problems.list, filters...),
		line("POST", list+"/search", "problem-list:read", "Search problems: the filters of the listing, in the body", problemSearch{}, problemList{}, s.searchProblems),
		line("GET", list+"/statistics", "problem-list:read", "How many problems there are of each status", nil, problemStatistics{}, s.serveProblemStatistics, textParam("patientId")...),
		line("GET", list+"/{id}", "problem-list:read", "One problem", nil, conditionOut{}, problems.read),
		line("POST", list, "problem-list:create", "Add a problem", conditionIn{}, conditionOut{}, problems.create),
		line("PUT", list+"/{id}", "problem-list:update", "Change a problem: the fields that are sent", conditionIn{}, conditionOut{}, problems.update),
		line("PATCH", list+"/{id}/resolve", "problem-list:resolve", "A problem is over", resolveIn{}, conditionOut{}, problems.resolve("resolved")),
		line("PATCH", list+"/{id}/reactivate", "problem-list:resolve", "A problem is back", resolveIn{}, conditionOut{}, problems.resolve("active")),
		line("DELETE", list+"/{id}", "problem-list:delete", "A problem was entered in error", nil, conditionOut{}, problems.withdraw),
	}
}

// conditionVerbs serve conditions, or those of one category alone.
type conditionVerbs struct {
	s        *Service
	category string
	name     string
	names    string
}

func (s *Service) tellConditions(ctx context.Context, records []*flat.Record) ([]conditionOut, error) {
	k := s.lookup(ctx, records, "Patient", "Practitioner")
	if k.err != nil {
		return nil, k.err
	}
	out := make([]conditionOut, 0, len(records))
	for _, one := range records {
		out = append(out, k.condition(one))
	}
	return out, k.err
}

func (k *known) condition(one *flat.Record) conditionOut {
	c := one.Res
	patient, recorder := flat.RefOf(c.Get("subject")), flat.RefOf(c.Get("recorder"))
	clinical, verified := flat.Code(c.Get("clinicalStatus"), conditionClinical), flat.Code(c.Get("verificationStatus"), conditionVerified)
	out := conditionOut{
		ID: one.Key(), PatientID: opt(k.id(patient)), PatientName: opt(k.name(patient)), EncounterID: opt(k.id(flat.RefOf(c.Get("encounter")))), Description: flat.Text(c.Get("code")),
		ClinicalStatus: opt(clinical), VerificationStatus: opt(verified), Status: clinical, Severity: opt(severityOf(c.Get("severity"))), OnsetDate: opt(c.Str("onsetDateTime")),
		AbatementDate: opt(c.Str("abatementDateTime")), RecordedDate: opt(c.Str("recordedDate")), RecorderID: opt(k.id(recorder)), RecorderName: opt(k.name(recorder)),
		Version: one.VID, CreatedAt: flat.Created(one), UpdatedAt: flat.Stamp(one),
	}
	if verified == "entered-in-error" {
		out.Status = "entered_in_error"
	}
	for _, code := range codesOf(c.Get("category")) {
		if out.Category == nil || code == problemItem {
			out.Category = opt(code)
		}
	}
	out.Code, out.CodeSystem = codeOf(c.Get("code"))
	out.Notes = opt(notesOf(c.Get("note")))
	return out
}

// codeOf is the code that is told of a concept: ICD-10's, else the first.
func codeOf(c *fhir.Node) (code, system *string) {
	for _, wanted := range []string{icd10, ""} {
		if c == nil {
			break
		}
		for _, coding := range flat.Items(c.Get("coding")) {
			if wanted == "" || strings.HasPrefix(coding.Str("system"), wanted) {
				return opt(coding.Str("code")), opt(coding.Str("system"))
			}
		}
	}
	return nil, nil
}

func severityOf(c *fhir.Node) string {
	code := flat.Code(c, snomed)
	for name, known := range severityCodes {
		if known == code && code != "" {
			return name
		}
	}
	return flat.Text(c)
}

// notesOf are all annotations, a line each.
func notesOf(list *fhir.Node) string {
	var all []string
	for _, n := range flat.Items(list) {
		all = append(all, n.Str("text"))
	}
	return strings.Join(all, "\n")
}

func (v conditionVerbs) list(w http.ResponseWriter, r *http.Request) error {
	q, err := flat.QueryOf(r, "Condition")
	if err != nil {
		return err
	}
	ask := r.URL.Query()
	patient, err := v.s.patientAsked(r)
	if err != nil {
		return err
	}
	f := problemSearch{PatientID: patient, EncounterID: ask.Get("encounterId"), Code: ask.Get("code"), Search: ask.Get("search"), Status: split(r, "status")}
	if err := v.s.findConditions(r.Context(), &q, &f); err != nil {
		return err
	}
	wanted := split(r, "verificationStatus")
	anyOf(&q, "verification-status", "", wanted...)
	if len(wanted) == 0 {
		q.With("verification-status:not", "entered-in-error")
	}
	categories := split(r, "category")
	if v.category != "" {
		categories = []string{v.category}
	}
	anyOf(&q, "category", "", categories...)
	return listing(v.s, w, r, v.names, q, v.s.tellConditions)
}

// findConditions adds the filters to a query.
func (s *Service) findConditions(ctx context.Context, q *flat.Query, f *problemSearch) error {
	if err := s.refTo(ctx, q, "patient", "Patient", f.PatientID); err != nil {
		return err
	}
	if err := s.refTo(ctx, q, "encounter", "Encounter", f.EncounterID); err != nil {
		return err
	}
	anyOf(q, "clinical-status", "", f.Status...)
	if f.Code != "" {
		q.With("code", search.Escape(f.Code))
	}
	if f.Search != "" {
		q.With("code:text", search.Escape(f.Search))
	}
	q.Sort = "-recorded-date"
	return nil
}

type problemSearch struct {
	PatientID   string   `json:"patientId"`
	EncounterID string   `json:"encounterId"`
	Code        string   `json:"code"`
	Search      string   `json:"search"` // part of the description
	Status      []string `json:"status"`
	Page        int      `json:"page"`
	Limit       int      `json:"limit"`
}

func (s *Service) searchProblems(w http.ResponseWriter, r *http.Request) error {
	var in problemSearch
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	for _, status := range in.Status {
		if err := oneOf("status", status, clinicalStatuses...); err != nil {
			return err
		}
	}
	q := flat.Query{Type: "Condition", Page: max(in.Page, 1), Limit: in.Limit}
	if q.Limit < 0 || q.Limit > api.MaxLimit || in.Page < 0 {
		return fault.At(fault.Invalid, "limit", "must be a whole number from 1 to %d", api.MaxLimit).WithCode("value")
	}
	if q.Limit == 0 {
		q.Limit = api.DefaultLimit
	}
	if err := s.findConditions(r.Context(), &q, &in); err != nil {
		return err
	}
	q.With("category", problemItem)
	q.With("verification-status:not", "entered-in-error")
	return listing(s, w, r, "problems", q, s.tellConditions)
}

type problemStatistics struct {
	Total    int            `json:"total"`
	Active   int            `json:"active"` // with recurrence and relapse
	ByStatus map[string]int `json:"byStatus"`
}

func (s *Service) serveProblemStatistics(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	params := []string{"category", problemItem, "verification-status:not", "entered-in-error"}
	if id := r.URL.Query().Get("patientId"); id != "" {
		ref, err := s.Records.Ref(ctx, "patientId", "Patient", id)
		if err != nil {
			return err
		}
		params = append(params, "patient", ref)
	}
	out := problemStatistics{ByStatus: map[string]int{}}
	var err error
	if out.Total, err = s.Records.Count(ctx, "Condition", params...); err != nil {
		return err
	}
	for _, status := range clinicalStatuses {
		n, err := s.Records.Count(ctx, "Condition", append(slices.Clone(params), "clinical-status", status)...)
		if err != nil {
			return err
		}
		out.ByStatus[status] = n
		if slices.Contains(present, status) {
			out.Active += n
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// ours refuses a condition that is not in the verbs' category: NotFound.
func (v conditionVerbs) ours(c *fhir.Resource) error {
	if v.category != "" && !slices.Contains(codesOf(c.Get("category")), v.category) {
		return fault.New(fault.NotFound, "there is no such problem")
	}
	return nil
}

// mayTouch refuses to change what stands on the problem list without the permission for that list.
func (v conditionVerbs) mayTouch(ctx context.Context, c *fhir.Resource, permission string) error {
	caller := access.From(ctx)
	if v.category == "" && slices.Contains(codesOf(c.Get("category")), problemItem) && !caller.Permits(permission) {
		return fault.New(fault.Forbidden, "this needs the permission %s: it stands on the problem list", permission)
	}
	return nil
}

func (v conditionVerbs) read(w http.ResponseWriter, r *http.Request) error {
	one, err := v.s.Records.Read(r.Context(), "Condition", r.PathValue("id"))
	if err == nil {
		err = v.ours(one.Res)
	}
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusOK, one)
}

func (v conditionVerbs) answer(w http.ResponseWriter, r *http.Request, status int, one *flat.Record) error {
	return answer(w, r, status, v.name, one, v.s.tellConditions)
}

func (v conditionVerbs) create(w http.ResponseWriter, r *http.Request) error {
	var in conditionIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	patient, err := v.s.Records.Ref(ctx, "patientId", "Patient", said(in.PatientID))
	if err != nil {
		return err
	}
	category := said(in.Category)
	switch {
	case v.category != "" && category != "" && category != v.category:
		return fault.At(fault.Invalid, "category", "is %s on the problem list", v.category).WithCode("value")
	case v.category != "":
		category = v.category
	case category == "":
		category = encounterItem
	}
	if err := oneOf("category", category, problemItem, encounterItem); err != nil {
		return err
	}
	if said(in.Description, in.ProblemName, in.Name) == "" && said(in.Code, in.ICDCode) == "" {
		return missing("description")
	}
	_, now := v.s.now()
	c, err := flat.Make("Condition", obj{"subject": reference(patient), "category": []any{conditionCategory(category)}, "recordedDate": now, "recorder": reference(self(ctx, "Practitioner")),
		"clinicalStatus": clinicalStatus("active"), "verificationStatus": verification("confirmed")})
	if err != nil {
		return err
	}
	if err := v.mayTouch(ctx, c, "problem-list:create"); err != nil {
		return err
	}
	if id := said(in.EncounterID); id != "" {
		ref, err := v.s.samePatient(ctx, "encounterId", "Encounter", id, patient, "subject")
		if err != nil {
			return err
		}
		if err := flat.Set(c.Node, "encounter", reference(ref)); err != nil {
			return err
		}
	}
	if err := v.s.fillCondition(ctx, c, &in); err != nil {
		return err
	}
	one, err := v.s.Records.Create(ctx, c)
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusCreated, one)
}

var icdForm = regexp.MustCompile(`^[A-Za-z][0-9][0-9A-Za-z](\.[0-9A-Za-z]{1,4})?$`)

// diseaseCode is the concept of a disease: a text, and a code of ICD-10 where there is one.
func diseaseCode(code, text, field string) (obj, error) {
	if code != "" && !icdForm.MatchString(code) {
		return nil, fault.At(fault.Invalid, "code", "is no code of ICD-10: a letter, two characters, and up to four behind a point").WithCode("value")
	}
	text, err := plainText(field, text, maxLine)
	if err != nil {
		return nil, err
	}
	if text == "" && code == "" {
		return nil, missing(field)
	}
	return concept(icd10, strings.ToUpper(code), "", text), nil
}

// fillCondition enters the fields that the request has.
func (s *Service) fillCondition(ctx context.Context, c *fhir.Resource, in *conditionIn) error {
	if given(in.Description, in.ProblemName, in.Name, in.Code, in.ICDCode) {
		code, text := said(in.Code, in.ICDCode), said(in.Description, in.ProblemName, in.Name)
		if was := c.Get("code"); was != nil { // what is not sent stays
			if !given(in.Code, in.ICDCode) {
				code = flat.Code(was, icd10)
			}
			if !given(in.Description, in.ProblemName, in.Name) {
				text = was.Str("text")
			}
		}
		value, err := diseaseCode(code, text, "description")
		if err == nil {
			err = flat.Set(c.Node, "code", value)
		}
		if err != nil {
			return err
		}
	}
	if v := said(in.VerificationStatus); v != "" {
		if err := oneOf("verificationStatus", v, verifications...); err != nil {
			return err
		}
		if err := flat.Set(c.Node, "verificationStatus", verification(v)); err != nil {
			return err
		}
	}
	if v := said(in.ClinicalStatus, in.Status); v != "" {
		if err := oneOf("clinicalStatus", v, clinicalStatuses...); err != nil {
			return err
		}
		if err := flat.Set(c.Node, "clinicalStatus", clinicalStatus(v)); err != nil {
			return err
		}
	}
	return s.fillConditionRest(ctx, c, in)
}

func (s *Service) fillConditionRest(ctx context.Context, c *fhir.Resource, in *conditionIn) error {
	if in.Severity != nil {
		v := said(in.Severity)
		if v != "" {
			if err := oneOf("severity", v, "mild", "moderate", "severe"); err != nil {
				return err
			}
			v = severityCodes[v]
		}
		if err := flat.Set(c.Node, "severity", emptyWithout(v, concept(snomed, v, "", ""))); err != nil {
			return err
		}
	}
	for _, d := range []struct {
		field, element string
		value          *string
	}{{"onsetDate", "onsetDateTime", in.OnsetDate}, {"abatementDate", "abatementDateTime", in.AbatementDate}} {
		if d.value == nil {
			continue
		}
		text := said(d.value)
		if text != "" {
			at, from, _, err := moment(d.field, text)
			if err != nil {
				return err
			}
			if from.After(s.Records.Now()) {
				return fault.At(fault.Unprocessable, d.field, "is in the future")
			}
			text = at
		}
		if err := flat.Set(c.Node, d.element, text); err != nil {
			return err
		}
	}
	if in.Notes != nil {
		text, err := plainText("notes", said(in.Notes), maxText)
		if err != nil || text == notesOf(c.Get("note")) {
			return err
		}
		return flat.Set(c.Node, "note", []any{emptyWithout(text, annotation(ctx, text, s.Records.Now()))})
	}
	return nil
}

// emptyWithout is the value, or nothing where key is "".
func emptyWithout(key string, value obj) any {
	if key == "" {
		return nil
	}
	return value
}

func (v conditionVerbs) update(w http.ResponseWriter, r *http.Request) error {
	var in conditionIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if given(in.PatientID, in.EncounterID, in.Category) {
		if err := v.unmoved(r, &in); err != nil {
			return err
		}
	}
	return v.change(w, r, "problem-list:update", in.Version, func(c *fhir.Resource) error { return v.s.fillCondition(r.Context(), c, &in) })
}

// unmoved refuses to make a condition another patient's or another kind's; forms send what they got back.
func (v conditionVerbs) unmoved(r *http.Request, in *conditionIn) error {
	one, err := v.s.Records.Read(r.Context(), "Condition", r.PathValue("id"))
	if err != nil {
		return err
	}
	all, err := v.s.tellConditions(r.Context(), []*flat.Record{one})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		field     string
		said, was *string
	}{{"patientId", in.PatientID, all[0].PatientID}, {"encounterId", in.EncounterID, all[0].EncounterID}, {"category", in.Category, all[0].Category}} {
		if f.said != nil && said(f.said) != said(f.was) {
			return fault.At(fault.Unprocessable, f.field, "cannot be changed")
		}
	}
	return nil
}

func (v conditionVerbs) change(w http.ResponseWriter, r *http.Request, permission string, said *int64, f func(*fhir.Resource) error) error {
	version, err := api.Version(r, said)
	if err != nil {
		return err
	}
	one, err := v.s.Records.Update(r.Context(), "Condition", r.PathValue("id"), version, func(c *fhir.Resource) error {
		if err := v.ours(c); err != nil {
			return err
		}
		if err := v.mayTouch(r.Context(), c, permission); err != nil {
			return err
		}
		if flat.Code(c.Get("verificationStatus"), conditionVerified) == "entered-in-error" {
			return fault.At(fault.Conflict, "verificationStatus", "it was entered in error, and stays so").WithCode("INVALID_TRANSITION")
		}
		return f(c)
	})
	if err != nil {
		return err
	}
	return v.answer(w, r, http.StatusOK, one)
}

type resolveIn struct {
	Date           *string `json:"date"` // when it was over; now where it is absent
	ResolvedDate   *string `json:"resolvedDate"`
	Notes          *string `json:"notes"`
	ResolutionNote *string `json:"resolutionNotes"`
	Version        *int64  `json:"version"`
}

// resolve serves the end of a condition, and its return.
func (v conditionVerbs) resolve(to string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in resolveIn
		if err := api.DecodeOptional(r, &in); err != nil {
			return err
		}
		note, err := plainText("notes", said(in.Notes, in.ResolutionNote), maxText)
		if err != nil {
			return err
		}
		when := opt(said(in.Date, in.ResolvedDate))
		if when == nil {
			_, now := v.s.now()
			when = &now
		}
		if to == "active" {
			when = new(string)
		}
		return v.change(w, r, "problem-list:resolve", in.Version, func(c *fhir.Resource) error {
			was := flat.Code(c.Get("clinicalStatus"), conditionClinical)
			if slices.Contains(present, was) == slices.Contains(present, to) {
				return fault.At(fault.Conflict, "status", "it is %s already", was).WithCode("INVALID_TRANSITION")
			}
			if to == "active" {
				for _, n := range c.Items() {
					if strings.HasPrefix(n.Name, "abatement") {
						c.Delete(n.Name)
					}
				}
			}
			if err := v.s.fillCondition(r.Context(), c, &conditionIn{ClinicalStatus: &to, AbatementDate: when}); err != nil || note == "" {
				return err
			}
			return appendTo(c.Node, "note", annotation(r.Context(), note, v.s.Records.Now()))
		})
	}
}

// withdraw says that a condition was entered in error: its history stays.
func (v conditionVerbs) withdraw(w http.ResponseWriter, r *http.Request) error {
	return v.change(w, r, "problem-list:delete", nil, func(c *fhir.Resource) error {
		c.Delete("clinicalStatus")
		return flat.Set(c.Node, "verificationStatus", verification("entered-in-error"))
	})
}
