package clinical

import (
	"context"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
)

// facts are what other records say of patients and the product API tells with them: allergies, history, blood group. They are read for a whole page, a search a
// kind.
type facts struct {
	allergies, history map[string][]*flat.Record // by reference to the patient
	blood              map[string]*flat.Record
	withheld           []string // fields that the caller may not see
}

// factsOf reads what the caller may see of the patients.
func (s *Service) factsOf(ctx context.Context, patients []*flat.Record) (*facts, error) {
	f := &facts{allergies: map[string][]*flat.Record{}, history: map[string][]*flat.Record{}, blood: map[string]*flat.Record{}}
	if len(patients) == 0 {
		return f, nil
	}
	refs := make([]string, len(patients))
	for i, p := range patients {
		refs[i] = p.Ref()
	}
	for _, kind := range []struct {
		field, typ, code string
		keep             func(*flat.Record)
	}{
		{"allergies", "AllergyIntolerance", "", f.allergy},
		{"medicalHistory", "Condition", "", f.condition},
		{"bloodType", "Observation", loinc + "|" + bloodGroup, f.group},
	} {
		q := flat.Query{Type: kind.typ}
		q.With("patient", strings.Join(refs, ","))
		q.With("code", kind.code)
		err := s.Records.Each(ctx, q, func(one *flat.Record) error { kind.keep(one); return nil })
		if fault.Is(err, fault.Forbidden) {
			f.withheld = append(f.withheld, kind.field)
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *facts) allergy(one *flat.Record) {
	status, verified := flat.Code(one.Res.Get("clinicalStatus"), allergyClinical), flat.Code(one.Res.Get("verificationStatus"), allergyVerified)
	if status == "inactive" || status == "resolved" || verified == "refuted" || verified == "entered-in-error" {
		return
	}
	ref := flat.RefOf(one.Res.Get("patient"))
	f.allergies[ref] = append(f.allergies[ref], one)
}

func (f *facts) condition(one *flat.Record) {
	status, verified := flat.Code(one.Res.Get("clinicalStatus"), conditionClinical), flat.Code(one.Res.Get("verificationStatus"), conditionVerified)
	if status == "inactive" || status == "remission" || status == "resolved" || verified == "refuted" || verified == "entered-in-error" {
		return
	}
	categories := flat.Items(one.Res.Get("category"))
	if len(categories) > 0 && !slices.ContainsFunc(categories, func(c *fhir.Node) bool { return flat.Code(c, "") != encounterItem }) {
		return // what was found at one visit is no history by itself
	}
	ref := flat.RefOf(one.Res.Get("subject"))
	f.history[ref] = append(f.history[ref], one)
}

// group keeps the newest blood group that counts.
func (f *facts) group(one *flat.Record) {
	if !slices.Contains([]string{"final", "amended", "corrected", "preliminary"}, one.Res.Str("status")) || bloodOf(one.Res) == "" {
		return
	}
	ref := flat.RefOf(one.Res.Get("subject"))
	if had := f.blood[ref]; had == nil || determined(had) < determined(one) || determined(had) == determined(one) && had.Updated.Before(one.Updated) {
		f.blood[ref] = one
	}
}

// determined is when a blood group was found out, as text that sorts; where nothing is said, when it was written down.
func determined(one *flat.Record) string {
	if t := one.Res.Str("effectiveDateTime"); t != "" {
		if lo, _, ok := search.DateSpan(t); ok {
			return stampOf(lo)
		}
	}
	return flat.Stamp(one)
}

// bloodOf is the blood group that an Observation says; "" where it says none.
func bloodOf(r *fhir.Resource) string {
	v := r.Get("valueCodeableConcept")
	if v == nil {
		return ""
	}
	for _, c := range flat.Items(v.Get("coding")) {
		for text, code := range bloodCodes {
			if c.Str("code") == code {
				return text
			}
		}
	}
	if t := strings.ToUpper(strings.ReplaceAll(v.Str("text"), " ", "")); slices.Contains(bloodTypes, t) {
		return t
	}
	return ""
}

// put enters what is known of a patient.
func (f *facts) put(out *patientOut, one *flat.Record) {
	ref := one.Ref()
	for _, a := range f.allergies[ref] {
		out.Allergies = append(out.Allergies, flat.Text(a.Res.Get("code")))
	}
	for _, c := range f.history[ref] {
		out.MedicalHistory = append(out.MedicalHistory, flat.Text(c.Res.Get("code")))
	}
	if b := f.blood[ref]; b != nil {
		out.BloodType = opt(bloodOf(b.Res))
	}
	out.Withheld = f.withheld
}

// nothingKnown are ways of saying that there is no allergy.
var nothingKnown = func() map[string]bool {
	out := map[string]bool{}
	for _, s := range []string{"none", "none known", "no", "nil", "nka", "nkda", "no known allergies", "no known allergy", "no allergies", "no known drug allergies", "لا يوجد", "لا توجد", "لا شيء"} {
		out[search.Fold(s)] = true
	}
	return out
}()

// newAllergy is an allergy as it was told at the desk.
func newAllergy(patient, text, day string) (*fhir.Resource, error) {
	code := obj{"text": text}
	if nothingKnown[search.Fold(text)] {
		code["coding"] = []any{obj{"system": snomed, "code": noKnown, "display": "No known allergy"}}
	}
	return flat.Make("AllergyIntolerance", obj{
		"clinicalStatus":     concept(allergyClinical, "active", "Active", ""),
		"verificationStatus": concept(allergyVerified, "unconfirmed", "Unconfirmed", ""),
		"code":               code, "patient": reference(patient), "recordedDate": day,
	})
}

// newCondition is a piece of a medical history as it was told at the desk.
func newCondition(patient, text, day string) (*fhir.Resource, error) {
	return flat.Make("Condition", obj{
		"clinicalStatus":     clinicalStatus("active"),
		"verificationStatus": verification("unconfirmed"),
		"category":           []any{conditionCategory(problemItem)},
		"code":               obj{"text": text}, "subject": reference(patient), "recordedDate": day,
	})
}

func bloodValue(group string) obj { return concept(snomed, bloodCodes[group], "", group) }

// newBlood is a blood group as it was told at the desk.
func newBlood(patient, group, day string) (*fhir.Resource, error) {
	return flat.Make("Observation", obj{
		"status":               "final",
		"category":             []any{concept("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Laboratory", "")},
		"code":                 concept(loinc, bloodGroup, "ABO and Rh group [Type] in Blood", ""),
		"subject":              reference(patient),
		"effectiveDateTime":    day,
		"valueCodeableConcept": bloodValue(group),
	})
}

// told are the records that a registration makes beside the patient; urn is the patient's fullUrl.
func (p *person) told(urn, day string) (changes []record.Change, fields map[string]string, err error) {
	fields = map[string]string{}
	add := func(field string, r *fhir.Resource, failed error) {
		if err == nil {
			err = failed
		}
		if failed == nil {
			changes = append(changes, record.Change{Op: record.Create, Type: r.Type(), Resource: r})
			fields[r.Type()] = field
		}
	}
	if p.allergies != nil {
		for _, t := range *p.allergies {
			r, failed := newAllergy(urn, t, day)
			add("allergies", r, failed)
		}
	}
	if p.history != nil {
		for _, t := range *p.history {
			r, failed := newCondition(urn, t, day)
			add("medicalHistory", r, failed)
		}
	}
	if p.blood != nil {
		r, failed := newBlood(urn, *p.blood, day)
		add("bloodType", r, failed)
	}
	return changes, fields, err
}

// asTold is the context in which a registration is written: whoever may register patients writes down what they tell, also where the role may not write
// allergies otherwise.
func asTold(ctx context.Context, fields map[string]string) (context.Context, error) {
	c := access.From(ctx)
	var not []string
	for typ, field := range fields {
		if c.Extent(access.Create, typ).IsNone() {
			not = append(not, field)
		}
	}
	if len(not) == 0 {
		return ctx, nil
	}
	slices.Sort(not)
	if !c.Extent(access.Create, "Patient").IsAll() {
		return ctx, fault.At(fault.Forbidden, not[0], "you may not record this")
	}
	return access.Elevated(ctx), nil
}

// retold are the changes that bring what is told of a patient to what a request says: what is new is added, what is missing becomes inactive, since
// records of it stay.
func (f *facts) retold(ctx context.Context, one *flat.Record, p *person, day string) ([]record.Change, error) {
	var changes []record.Change
	var e fieldErrors
	ref := one.Ref()
	c := access.From(ctx)
	may := func(a access.Action, typ, field string) bool {
		if c.Extent(a, typ).IsNone() || slices.Contains(f.withheld, field) {
			e = append(e, fault.At(fault.Forbidden, field, "you may not change this").Issues...)
			return false
		}
		return true
	}
	list := func(field, typ string, had []*flat.Record, want *[]string, make func(patient, text, day string) (*fhir.Resource, error), clinical, system string) error {
		if want == nil {
			return nil
		}
		stand := map[string]*flat.Record{}
		for _, r := range had {
			stand[search.Fold(flat.Text(r.Res.Get("code")))] = r
		}
		for _, text := range *want {
			key := search.Fold(text)
			if stand[key] != nil {
				delete(stand, key)
				continue
			}
			if !may(access.Create, typ, field) {
				return nil
			}
			r, err := make(ref, text, day)
			if err != nil {
				return err
			}
			changes = append(changes, record.Change{Op: record.Create, Type: typ, Resource: r})
		}
		for _, r := range had {
			if stand[search.Fold(flat.Text(r.Res.Get("code")))] != r {
				continue
			}
			if !may(access.Update, typ, field) {
				return nil
			}
			// What is gone goes first: what comes may contradict it.
			changes = slices.Insert(changes, 0, record.Change{Op: record.Patch, Type: typ, ID: r.Version.ID, IfMatch: r.VID, Apply: func(res *fhir.Resource) (*fhir.Resource, error) {
				return res, flat.Set(res.Node, "clinicalStatus", concept(system, clinical, "", ""))
			}})
		}
		return nil
	}
	if err := list("allergies", "AllergyIntolerance", f.allergies[ref], p.allergies, newAllergy, "inactive", allergyClinical); err != nil {
		return nil, err
	}
	if err := list("medicalHistory", "Condition", f.history[ref], p.history, newCondition, "inactive", conditionClinical); err != nil {
		return nil, err
	}
	blood, err := f.regrouped(one, p, day, may)
	if err != nil {
		return nil, err
	}
	if len(e) > 0 {
		return nil, &fault.Error{Kind: fault.Forbidden, Issues: e}
	}
	return append(changes, blood...), nil
}

// regrouped corrects the blood group that stands, or notes the first.
func (f *facts) regrouped(one *flat.Record, p *person, day string, may func(access.Action, string, string) bool) ([]record.Change, error) {
	if p.blood == nil {
		return nil, nil
	}
	had := f.blood[one.Ref()]
	if had == nil {
		if !may(access.Create, "Observation", "bloodType") {
			return nil, nil
		}
		r, err := newBlood(one.Ref(), *p.blood, day)
		return []record.Change{{Op: record.Create, Type: "Observation", Resource: r}}, err
	}
	if bloodOf(had.Res) == *p.blood || !may(access.Update, "Observation", "bloodType") {
		return nil, nil
	}
	return []record.Change{{Op: record.Patch, Type: "Observation", ID: had.Version.ID, IfMatch: had.VID, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
		r.Set("status", fhir.NewString("corrected"))
		return r, flat.Set(r.Node, "valueCodeableConcept", bloodValue(*p.blood))
	}}}, nil
}
