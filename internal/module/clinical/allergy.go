package clinical

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

const (
	allergyClinical = "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical"
	allergyVerified = "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification"
	noKnown         = "716186003" // No known allergy
)

// noKnowns are SNOMED's codes that say that the patient is allergic to nothing, or to nothing of a category.
var noKnowns = map[string]string{noKnown: "", "409137002": "medication", "429625007": "food", "428607008": "environment"}

// allergies is the ledger of what patients are allergic to now: it decides that nothing stands twice, and that "no known allergies" does not stand
// beside an allergy.
type allergies struct{ l *record.Ledger }

// entry is a row of it: one name of what an allergy is to.
type entry struct {
	id    string
	name  string // blind
	scope string
}

// The scopes of an entry: "is:food", an allergy of the category; "none:food", that there is none of it; "none:", that there is none at all.
const (
	isScope   = "is:"
	noneScope = "none:"
)

// rule asks the ledger and keeps it. It holds, too, which statuses go together (R4's ait-1 and ait-2).
func (a allergies) rule(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
	if new != nil {
		if err := allergyStatuses(old, new); err != nil {
			return err
		}
	}
	return a.keep(ctx, tx, old, new)
}

func allergyStatuses(old, new *fhir.Resource) error {
	verified := flat.Code(new.Get("verificationStatus"), allergyVerified)
	if old != nil && verified != "entered-in-error" && flat.Code(old.Get("verificationStatus"), allergyVerified) == "entered-in-error" {
		return fault.At(fault.Conflict, "verificationStatus", "what was entered in error stays so").WithCode("INVALID_TRANSITION")
	}
	if has := new.Get("clinicalStatus") != nil; has == (verified == "entered-in-error") {
		if has {
			return fault.At(fault.Unprocessable, "clinicalStatus", "an allergy that was entered in error has none").WithCode("invariant")
		}
		return fault.At(fault.Unprocessable, "clinicalStatus", "is missing").WithCode("invariant")
	}
	return nil
}

// adopt enters an allergy of before, whatever stands beside it.
func (a allergies) adopt(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	rows, patient, err := a.entries(ctx, r)
	if err != nil {
		return err
	}
	return a.enter(ctx, tx, patient, rows)
}

func (a allergies) keep(ctx context.Context, tx record.Tx, old, new *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	if old != nil {
		if _, err := tx.Exec(ctx, "DELETE FROM clinical_allergen WHERE tenant = $1 AND id = $2", tenant, old.ID()); err != nil {
			return err
		}
	}
	if new == nil {
		return nil
	}
	rows, patient, err := a.entries(ctx, new)
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := tx.Lock(ctx, patientLock(tenant, patient)); err != nil {
		return err
	}
	news, err := a.news(ctx, old, new, rows)
	if err != nil {
		return err
	}
	if news {
		if err := a.refuse(ctx, tx, tenant, patient, rows); err != nil {
			return err
		}
	}
	return a.enter(ctx, tx, patient, rows)
}

// news reports that a record says something that it did not say before. One that comes to another patient because two were one person brings along what it
// says; it does not say it anew.
func (a allergies) news(ctx context.Context, old, new *fhir.Resource, rows []entry) (bool, error) {
	if old == nil {
		return true, nil
	}
	if flat.RefOf(old.Get("patient")) != flat.RefOf(new.Get("patient")) {
		return !isMerging(ctx), nil
	}
	was, _, err := a.entries(ctx, old)
	return !slices.Equal(was, rows), err
}

// patientLock is the number under which writers of one patient's allergies wait for each other.
func patientLock(tenant int32, patient string) int64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "clinical.allergen\x00%d\x00%s", tenant, patient)
	return int64(h.Sum64())
}

// refuse holds the new rows against those that stand.
func (a allergies) refuse(ctx context.Context, tx record.Tx, tenant int32, patient string, rows []entry) error {
	var clash error
	err := sqldb.Each(ctx, tx, func(r sqldb.Rows) error {
		var stands entry
		var name []byte
		if err := r.Scan(&stands.id, &name, &stands.scope); err != nil {
			return err
		}
		stands.name = string(name)
		for _, one := range rows {
			if clash == nil {
				clash = one.against(stands)
			}
		}
		return nil
	}, "SELECT id, allergen, scope FROM clinical_allergen WHERE tenant = $1 AND patient = $2", tenant, patient)
	if err != nil {
		return err
	}
	return clash
}

func (e entry) against(stands entry) error {
	if e.name == stands.name {
		return fault.At(fault.Conflict, "code", "this allergy stands in the patient's record already, as AllergyIntolerance/%s", stands.id).WithCode("DUPLICATE_ENTRY")
	}
	if denies(e.scope, stands.scope) {
		return fault.At(fault.Conflict, "code", "that no allergy is known contradicts AllergyIntolerance/%s", stands.id).WithCode("NO_KNOWN_ALLERGIES")
	}
	if denies(stands.scope, e.scope) {
		return fault.At(fault.Conflict, "code", "AllergyIntolerance/%s says that no such allergy is known: it has to become inactive first", stands.id).WithCode("NO_KNOWN_ALLERGIES")
	}
	return nil
}

// denies reports that the one says that there is nothing of what the other is.
func denies(none, is string) bool {
	of, ok := strings.CutPrefix(none, noneScope)
	categories, isOne := strings.CutPrefix(is, isScope)
	return ok && isOne && (of == "" || slices.Contains(strings.Split(categories, ","), of))
}

func (a allergies) enter(ctx context.Context, tx record.Tx, patient string, rows []entry) error {
	c := access.From(ctx)
	now := ident.Time(a.l.Next()).UnixMicro()
	for _, one := range rows {
		_, err := tx.Exec(ctx, `INSERT INTO clinical_allergen (tenant, id, allergen, patient, scope, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (tenant, id, allergen) DO NOTHING`, c.Tenant, one.id, []byte(one.name), patient, one.scope, c.Who, now)
		if err != nil {
			return err
		}
	}
	return nil
}

// entries are the rows of a record: none where it says nothing that holds now. Names are blind.
func (a allergies) entries(ctx context.Context, r *fhir.Resource) (rows []entry, patient string, err error) {
	verified := flat.Code(r.Get("verificationStatus"), allergyVerified)
	_, patient, ok := fhir.SplitReference(flat.RefOf(r.Get("patient")), "")
	if !ok || flat.Code(r.Get("clinicalStatus"), allergyClinical) != "active" || verified == "refuted" || verified == "entered-in-error" {
		return nil, "", nil
	}
	var categories []string
	for _, c := range flat.Items(r.Get("category")) {
		categories = append(categories, c.Text)
	}
	scope := isScope + strings.Join(categories, ",")
	var names []string
	code := r.Get("code")
	if code != nil {
		if t := search.Fold(code.Str("text")); t != "" {
			names = append(names, "text\x00"+t)
		}
		for _, c := range flat.Items(code.Get("coding")) {
			if of, none := noKnowns[c.Str("code")]; none && c.Str("system") == snomed {
				scope = noneScope + of
			}
			names = append(names, "code\x00"+c.Str("system")+"\x00"+c.Str("code"))
			if t := search.Fold(c.Str("display")); t != "" {
				names = append(names, "text\x00"+t)
			}
		}
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		blind, err := a.l.Blind(ctx, access.From(ctx).Tenant, "clinical.allergen", patient+"\x00"+n)
		if err != nil {
			return nil, "", err
		}
		rows = append(rows, entry{r.ID(), string(blind), scope})
	}
	return rows, patient, nil
}

// The product API.

var (
	allergyTypes      = []string{"allergy", "intolerance"}
	allergyCategories = words{"food": "food", "medication": "medication", "environment": "environment", "environmental": "environment", "drug": "medication", "biologic": "biologic"}
	criticalities     = words{"low": "low", "high": "high", "unable_to_assess": "unable-to-assess", "unable-to-assess": "unable-to-assess"}
	severities        = words{"mild": "mild", "moderate": "moderate", "severe": "severe", lifeThreatening: lifeThreatening, "life_threatening": lifeThreatening, "critical": lifeThreatening}
)

const lifeThreatening = "life-threatening"

// allergyIn is the body of creating and changing an allergy.
type allergyIn struct {
	PatientID          *string  `json:"patientId"`
	EncounterID        *string  `json:"encounterId"`
	Allergen           *string  `json:"allergen"`
	Name               *string  `json:"name"`
	Code               *string  `json:"code"`
	CodeSystem         *string  `json:"codeSystem"` // SNOMED CT where it is absent
	NoKnownAllergies   bool     `json:"noKnownAllergies"`
	Type               *string  `json:"type"`
	Category           *string  `json:"category"`
	Criticality        *string  `json:"criticality"`
	Severity           *string  `json:"severity"` // mild, moderate, severe, life-threatening
	Reaction           *string  `json:"reaction"`
	Reactions          []string `json:"reactions"`
	OnsetDate          *string  `json:"onsetDate"`
	Status             *string  `json:"status"` // active, inactive, resolved
	VerificationStatus *string  `json:"verificationStatus"`
	Notes              *string  `json:"notes"`
	Version            *int64   `json:"version"`
}

// allergyOut is an allergy as the product API tells it.
type allergyOut struct {
	ID                 string   `json:"id"`
	PatientID          *string  `json:"patientId"`
	PatientName        *string  `json:"patientName"`
	Allergen           string   `json:"allergen"`
	Code               *string  `json:"code"`
	CodeSystem         *string  `json:"codeSystem"`
	NoKnownAllergies   bool     `json:"noKnownAllergies"`
	Type               *string  `json:"type"`
	Category           *string  `json:"category"`
	Categories         []string `json:"categories"`
	Criticality        *string  `json:"criticality"`
	Severity           *string  `json:"severity"`
	Reaction           *string  `json:"reaction"`
	Reactions          []string `json:"reactions"`
	OnsetDate          *string  `json:"onsetDate"`
	Status             string   `json:"status"`
	VerificationStatus *string  `json:"verificationStatus"`
	Notes              *string  `json:"notes"`
	RecordedDate       *string  `json:"recordedDate"`
	RecorderID         *string  `json:"recorderId"`
	RecorderName       *string  `json:"recorderName"`
	Superseded         []string `json:"superseded,omitempty"` // creating: records that said that no such allergy is known, and are inactive now
	Version            int64    `json:"version"`
	CreatedAt          string   `json:"createdAt"`
	UpdatedAt          string   `json:"updatedAt"`
}

type allergyList struct {
	Allergies []allergyOut `json:"allergies"`
}

func (s *Service) allergyRoutes() []api.Route {
	filters := []api.Param{enumParam("status", "only these", "active", "inactive", "resolved"), enumParam("category", "only these", allergyCategories.names()...),
		enumParam("criticality", "only these", criticalities.names()...)}
	base := "/api/v1/allergies"
	return []api.Route{
		listed(base, "allergies:read", "Allergies, the newest first", allergyList{}, s.serveAllergies, append(filters, textParam("patientId")...)...),
		listed("/api/v1/patients/{id}/allergies", "allergies:read", "A patient's allergies", allergyList{}, s.serveAllergies, filters...),
		line("GET", base+"/{id}", "allergies:read", "One allergy", nil, allergyOut{}, s.serveAllergy),
		line("POST", base, "allergies:write", "Note an allergy, or that none is known", allergyIn{}, allergyOut{}, s.createAllergy),
		line("PUT", base+"/{id}", "allergies:write", "Change an allergy: the fields that are sent", allergyIn{}, allergyOut{}, s.updateAllergy),
		line("DELETE", base+"/{id}", "allergies:write", "An allergy was entered in error", nil, allergyOut{}, s.withdrawAllergy),
	}
}

func (s *Service) tellAllergies(ctx context.Context, records []*flat.Record) ([]allergyOut, error) {
	k := s.lookup(ctx, records, "Patient", "Practitioner")
	if k.err != nil {
		return nil, k.err
	}
	out := make([]allergyOut, 0, len(records))
	for _, one := range records {
		out = append(out, k.allergy(one))
	}
	return out, k.err
}

func (k *known) allergy(one *flat.Record) allergyOut {
	a := one.Res
	patient, recorder := flat.RefOf(a.Get("patient")), flat.RefOf(a.Get("recorder"))
	verified := flat.Code(a.Get("verificationStatus"), allergyVerified)
	out := allergyOut{
		ID: one.Key(), PatientID: opt(k.id(patient)), PatientName: opt(k.name(patient)), Allergen: flat.Text(a.Get("code")), Type: opt(a.Str("type")), Categories: []string{},
		Reactions: []string{}, OnsetDate: opt(a.Str("onsetDateTime")), Status: flat.Code(a.Get("clinicalStatus"), allergyClinical), VerificationStatus: opt(verified),
		Notes: opt(notesOf(a.Get("note"))), RecordedDate: opt(a.Str("recordedDate")), RecorderID: opt(k.id(recorder)), RecorderName: opt(k.name(recorder)),
		Version: one.VID, CreatedAt: flat.Created(one), UpdatedAt: flat.Stamp(one),
	}
	if verified == "entered-in-error" {
		out.Status = "entered_in_error"
	}
	if c := a.Str("criticality"); c != "" {
		out.Criticality = opt(criticalities.name(c))
	}
	out.Code, out.CodeSystem = codeOf(a.Get("code"))
	_, out.NoKnownAllergies = noKnowns[said(out.Code)]
	for _, c := range flat.Items(a.Get("category")) {
		out.Categories = append(out.Categories, c.Text)
	}
	if len(out.Categories) > 0 {
		out.Category = &out.Categories[0]
	}
	for _, r := range flat.Items(a.Get("reaction")) {
		if out.Severity == nil {
			out.Severity = opt(r.Str("severity"))
			if x := extension(r, severityURL); x != nil {
				out.Severity = opt(x.Str("valueCode"))
			}
		}
		for _, m := range flat.Items(r.Get("manifestation")) {
			if t := flat.Text(m); t != "" {
				out.Reactions = append(out.Reactions, t)
			}
		}
	}
	out.Reaction = opt(strings.Join(out.Reactions, ", "))
	return out
}

func (s *Service) serveAllergies(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := flat.QueryOf(r, "AllergyIntolerance")
	if err != nil {
		return err
	}
	patient, err := s.patientAsked(r)
	if err != nil {
		return err
	}
	if err := s.refTo(ctx, &q, "patient", "Patient", patient); err != nil {
		return err
	}
	anyOf(&q, "clinical-status", "", split(r, "status")...)
	q.With("verification-status:not", "entered-in-error")
	for _, f := range []struct {
		name string
		of   words
	}{{"category", allergyCategories}, {"criticality", criticalities}} {
		var codes []string
		for _, v := range split(r, f.name) {
			codes = append(codes, f.of[v])
		}
		anyOf(&q, f.name, "", codes...)
	}
	q.Sort = "-date"
	return listing(s, w, r, "allergies", q, s.tellAllergies)
}

func (s *Service) serveAllergy(w http.ResponseWriter, r *http.Request) error {
	one, err := s.Records.Read(r.Context(), "AllergyIntolerance", r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerAllergy(w, r, http.StatusOK, one, nil)
}

func (s *Service) answerAllergy(w http.ResponseWriter, r *http.Request, status int, one *flat.Record, superseded []string) error {
	all, err := s.tellAllergies(r.Context(), []*flat.Record{one})
	if err != nil {
		return err
	}
	all[0].Superseded = superseded
	return tell(w, r, status, "allergy", one.VID, all[0])
}

func (s *Service) createAllergy(w http.ResponseWriter, r *http.Request) error {
	var in allergyIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	patient, err := s.Records.Ref(ctx, "patientId", "Patient", said(in.PatientID))
	if err != nil {
		return err
	}
	if in.NoKnownAllergies {
		if given(in.Allergen, in.Name, in.Code) {
			return fault.At(fault.Invalid, "noKnownAllergies", "names no allergen").WithCode("value")
		}
		in.Code, in.CodeSystem, in.Allergen = opt(noKnown), opt(snomed), opt("No known allergies")
	}
	if said(in.Allergen, in.Name, in.Code) == "" {
		return missing("allergen")
	}
	_, now := s.now()
	a, err := flat.Make("AllergyIntolerance", obj{"patient": reference(patient), "recordedDate": now, "recorder": reference(self(ctx, "Practitioner")),
		"clinicalStatus": concept(allergyClinical, "active", "", ""), "verificationStatus": concept(allergyVerified, "confirmed", "", "")})
	if err != nil {
		return err
	}
	if id := said(in.EncounterID); id != "" {
		ref, err := s.samePatient(ctx, "encounterId", "Encounter", id, patient, "subject")
		if err == nil {
			err = flat.Set(a.Node, "encounter", reference(ref))
		}
		if err != nil {
			return err
		}
	}
	if err := s.fillAllergy(ctx, a, &in); err != nil {
		return err
	}
	changes, superseded, err := s.supersede(ctx, a, patient)
	if err != nil {
		return err
	}
	changes = append(changes, record.Change{Op: record.Create, Type: "AllergyIntolerance", Resource: a})
	written, err := s.Records.Write(ctx, changes...)
	if err != nil {
		return err
	}
	return s.answerAllergy(w, r, http.StatusCreated, written[len(written)-1], superseded)
}

// supersede makes inactive what says that there is no such allergy: nobody must be kept from noting one.
func (s *Service) supersede(ctx context.Context, a *fhir.Resource, patient string) ([]record.Change, []string, error) {
	is := isScope
	if c := flat.Items(a.Get("category")); len(c) > 0 {
		is += c[0].Text
	}
	if _, none := noKnowns[flat.Code(a.Get("code"), snomed)]; none || flat.Code(a.Get("clinicalStatus"), allergyClinical) != "active" {
		return nil, nil, nil
	}
	var changes []record.Change
	var ids []string
	for code, of := range noKnowns {
		if !denies(noneScope+of, is) {
			continue
		}
		q := flat.Query{Type: "AllergyIntolerance"}
		q.With("patient", patient)
		q.With("code", snomed+"|"+code)
		q.With("clinical-status", "active")
		err := s.Records.Each(ctx, q, func(one *flat.Record) error {
			c, err := s.Records.Changing(ctx, "AllergyIntolerance", one.Version.ID, func(n *fhir.Resource) error {
				if n.Get("clinicalStatus") == nil {
					return nil
				}
				return flat.Set(n.Node, "clinicalStatus", concept(allergyClinical, "inactive", "", ""))
			})
			changes, ids = append(changes, c), append(ids, one.Key())
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return changes, ids, nil
}

// fillAllergy enters the fields that the request has.
func (s *Service) fillAllergy(ctx context.Context, a *fhir.Resource, in *allergyIn) error {
	if given(in.Allergen, in.Name, in.Code, in.CodeSystem) {
		if err := fillAllergen(a, in); err != nil {
			return err
		}
	}
	if t := said(in.Type); t != "" {
		if err := oneOf("type", t, allergyTypes...); err != nil {
			return err
		}
		a.Set("type", fhir.NewString(t))
	}
	if c := said(in.Category); c != "" {
		code, err := allergyCategories.code("category", c)
		if err != nil {
			return err
		}
		a.Set("category", fhir.NewArray(fhir.NewString(code)))
	}
	if c := said(in.Criticality); c != "" {
		code, err := criticalities.code("criticality", c)
		if err != nil {
			return err
		}
		a.Set("criticality", fhir.NewString(code))
	}
	if err := fillReaction(a, in); err != nil {
		return err
	}
	return s.fillAllergyRest(ctx, a, in)
}

func fillAllergen(a *fhir.Resource, in *allergyIn) error {
	text, code, system := said(in.Allergen, in.Name), said(in.Code), said(in.CodeSystem)
	if was := a.Get("code"); was != nil { // what is not sent stays
		if !given(in.Allergen, in.Name) {
			text = was.Str("text")
		}
		if in.Code == nil {
			oldCode, oldSystem := codeOf(was)
			code, system = said(oldCode), said(oldSystem)
		}
	}
	text, err := plainText("allergen", text, maxLine)
	if err != nil {
		return err
	}
	if text == "" && code == "" {
		return missing("allergen")
	}
	if strings.ContainsAny(code, " \t\n|") {
		return fault.At(fault.Invalid, "code", "is no code: it has spaces").WithCode("value")
	}
	if system == "" {
		system = snomed
	}
	return flat.Set(a.Node, "code", concept(system, code, "", text))
}

// fillReaction enters reactions and severity, which FHIR keeps together. FHIR knows severe, and nothing beyond: what threatens life is severe with
// high criticality, and says so by an extension. A severity without a reaction says by FHIR's own extension that the reaction is not known.
func fillReaction(a *fhir.Resource, in *allergyIn) error {
	if in.Reaction == nil && in.Reactions == nil && in.Severity == nil {
		return nil
	}
	var was obj
	if first := flat.Items(a.Get("reaction")); len(first) > 0 {
		was = obj{"manifestation": first[0].Get("manifestation"), "severity": first[0].Str("severity")}
		if x := extension(first[0], severityURL); x != nil {
			was["severity"] = x.Str("valueCode")
		}
	}
	severity, _ := was["severity"].(string)
	if in.Severity != nil {
		severity = ""
		if v := said(in.Severity); v != "" {
			var err error
			if severity, err = severities.code("severity", v); err != nil {
				return err
			}
		}
	}
	list, err := manifestations(was, in)
	if err != nil {
		return err
	}
	if list == nil && severity == "" {
		a.Delete("reaction")
		return nil
	}
	r := fhir.NewObject()
	if severity == lifeThreatening {
		if err := setExtension(r, severityURL, "valueCode", lifeThreatening); err != nil {
			return err
		}
		a.Set("criticality", fhir.NewString("high"))
	}
	if list == nil {
		unknown := obj{"extension": []any{obj{"url": absentURL, "valueCode": "unknown"}}}
		if err := flat.Set(r, "manifestation", []any{unknown}); err != nil {
			return err
		}
	} else {
		r.Set("manifestation", list)
	}
	if severity != "" {
		r.Set("severity", fhir.NewString(map[bool]string{true: "severe", false: severity}[severity == lifeThreatening]))
	}
	a.Set("reaction", fhir.NewArray(r))
	return nil
}

// manifestations are the reactions that were sent, else those that were; nil where there are none.
func manifestations(was obj, in *allergyIn) (*fhir.Node, error) {
	texts := in.Reactions
	if t := said(in.Reaction); t != "" {
		texts = append(slices.Clone(texts), t)
	}
	if in.Reaction == nil && in.Reactions == nil {
		if old, _ := was["manifestation"].(*fhir.Node); old != nil {
			return old.Clone(), nil
		}
		return nil, nil
	}
	var all []any
	for _, t := range texts {
		t, err := plainText("reaction", strings.TrimSpace(t), maxLine)
		if err != nil {
			return nil, err
		}
		if t != "" {
			all = append(all, concept("", "", "", t))
		}
	}
	if all == nil {
		return nil, nil
	}
	n := fhir.NewObject()
	err := flat.Set(n, "manifestation", all)
	return n.Get("manifestation").Clone(), err
}

func (s *Service) fillAllergyRest(ctx context.Context, a *fhir.Resource, in *allergyIn) error {
	if v := said(in.Status); v != "" {
		if err := oneOf("status", v, "active", "inactive", "resolved"); err != nil {
			return err
		}
		if err := flat.Set(a.Node, "clinicalStatus", concept(allergyClinical, v, "", "")); err != nil {
			return err
		}
	}
	if v := said(in.VerificationStatus); v != "" {
		if err := oneOf("verificationStatus", v, "unconfirmed", "confirmed", "refuted"); err != nil {
			return err
		}
		if err := flat.Set(a.Node, "verificationStatus", concept(allergyVerified, v, "", "")); err != nil {
			return err
		}
	}
	if in.OnsetDate != nil {
		text := said(in.OnsetDate)
		if text != "" {
			at, from, _, err := moment("onsetDate", text)
			if err != nil {
				return err
			}
			if from.After(s.Records.Now()) {
				return fault.At(fault.Unprocessable, "onsetDate", "is in the future")
			}
			text = at
		}
		if err := flat.Set(a.Node, "onsetDateTime", text); err != nil {
			return err
		}
	}
	if in.Notes != nil {
		text, err := plainText("notes", said(in.Notes), maxText)
		if err != nil || text == notesOf(a.Get("note")) {
			return err
		}
		return flat.Set(a.Node, "note", []any{emptyWithout(text, annotation(ctx, text, s.Records.Now()))})
	}
	return nil
}

func (s *Service) updateAllergy(w http.ResponseWriter, r *http.Request) error {
	var in allergyIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	patient := ""
	if id := said(in.PatientID); id != "" {
		var err error
		if patient, err = s.Records.Ref(r.Context(), "patientId", "Patient", id); err != nil {
			return err
		}
	}
	return s.changeAllergy(w, r, in.Version, func(a *fhir.Resource) error {
		if patient != "" && patient != flat.RefOf(a.Get("patient")) {
			return fault.At(fault.Unprocessable, "patientId", "cannot be changed")
		}
		return s.fillAllergy(r.Context(), a, &in)
	})
}

func (s *Service) changeAllergy(w http.ResponseWriter, r *http.Request, said *int64, f func(*fhir.Resource) error) error {
	version, err := api.Version(r, said)
	if err != nil {
		return err
	}
	one, err := s.Records.Update(r.Context(), "AllergyIntolerance", r.PathValue("id"), version, func(a *fhir.Resource) error {
		if flat.Code(a.Get("verificationStatus"), allergyVerified) == "entered-in-error" {
			return fault.At(fault.Conflict, "verificationStatus", "it was entered in error, and stays so").WithCode("INVALID_TRANSITION")
		}
		return f(a)
	})
	if err != nil {
		return err
	}
	return s.answerAllergy(w, r, http.StatusOK, one, nil)
}

// withdrawAllergy says that an allergy was entered in error: its history stays.
func (s *Service) withdrawAllergy(w http.ResponseWriter, r *http.Request) error {
	return s.changeAllergy(w, r, nil, func(a *fhir.Resource) error {
		a.Delete("clinicalStatus")
		return flat.Set(a.Node, "verificationStatus", concept(allergyVerified, "entered-in-error", "", ""))
	})
}
