package clinical

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

func (s *Service) createEncounter(w http.ResponseWriter, r *http.Request) error {
	var in encounterIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	one, warnings, err := s.newEncounter(r.Context(), &in)
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusCreated, one, warnings)
}

func (s *Service) createEncounters(w http.ResponseWriter, r *http.Request) error {
	return api.Bulk(w, r, func(ctx context.Context, _ int, item json.RawMessage) (any, error) {
		var in encounterIn
		if err := api.Item(item, &in); err != nil {
			return nil, err
		}
		one, warnings, err := s.newEncounter(ctx, &in)
		if err != nil {
			return nil, err
		}
		all, err := s.tellEncounters(ctx, []*flat.Record{one})
		if err != nil {
			return nil, err
		}
		all[0].Warnings = warnings
		return all[0], nil
	})
}

// newEncounter makes an encounter of a request, with what was found in it.
func (s *Service) newEncounter(ctx context.Context, in *encounterIn) (*flat.Record, []string, error) {
	patient, err := s.Records.Ref(ctx, "patientId", "Patient", said(in.PatientID))
	if err != nil {
		return nil, nil, err
	}
	e := fhir.NewResource("Encounter")
	if err := flat.Set(e.Node, "subject", reference(patient)); err != nil {
		return nil, nil, err
	}
	if in.ProviderID == nil {
		in.ProviderID = new(string)
	}
	if said(in.Type, in.EncounterType) == "" {
		return nil, nil, missing("type")
	}
	if err := s.firstStatus(e, in); err != nil {
		return nil, nil, err
	}
	refs, err := s.encounterRefs(ctx, in, patient)
	if err == nil {
		err = s.fillEncounter(e, in, refs)
	}
	if err != nil {
		return nil, nil, err
	}
	changes, err := s.withEncounter(ctx, e, in, patient)
	if err != nil {
		return nil, nil, err
	}
	warnings, err := s.openInpatient(ctx, e, patient)
	if err != nil {
		return nil, nil, err
	}
	written, err := s.Records.Write(ctx, changes...)
	if err != nil {
		return nil, nil, err
	}
	return written[0], warnings, nil
}

// firstStatus decides what a new encounter begins as. Where nothing is said, one with an end is finished, one that has begun is in progress, and one
// that begins later or at no known time is planned.
func (s *Service) firstStatus(e *fhir.Resource, in *encounterIn) error {
	status := said(in.Status)
	start, end, err := spanOf(said(in.StartDate), said(in.EndDate))
	if err != nil {
		return err
	}
	now := s.Records.Now()
	switch {
	case status != "":
		if status, err = encounterStatuses.code("status", status); err != nil {
			return err
		}
	case said(in.EndDate) != "" && !end.After(now):
		status = "finished"
	case said(in.StartDate) != "" && !start.After(now):
		status = "in-progress"
	default:
		status = "planned"
	}
	from := said(in.StartDate)
	switch {
	case status == "unknown", status == "entered-in-error":
		return fault.At(fault.Invalid, "status", "an encounter does not begin as %s", status).WithCode("value")
	case slices.Contains(underWay, status) && from != "" && start.After(now):
		return fault.At(fault.Unprocessable, "startDate", "is in the future: such an encounter is planned")
	case slices.Contains(underWay, status) && from == "":
		from = stamp(now)
	case status == "finished" && (from == "" || said(in.EndDate) == ""):
		return fault.At(fault.Invalid, "endDate", "a finished encounter needs startDate and endDate").WithCode("required")
	case status == "finished" && start.After(now):
		return fault.At(fault.Unprocessable, "endDate", "is in the future")
	}
	in.Status, in.StartDate = nil, opt(from)
	e.Set("status", fhir.NewString(status))
	return nil
}

// spanOf reads both ends, which may be absent, and refuses an end before its start.
func spanOf(startDate, endDate string) (start, end time.Time, err error) {
	if startDate != "" {
		if _, start, _, err = moment("startDate", startDate); err != nil {
			return start, end, err
		}
	}
	if endDate != "" {
		if _, end, _, err = moment("endDate", endDate); err != nil {
			return start, end, err
		}
		if _, _, last, _ := moment("endDate", endDate); startDate != "" && last.Before(start) {
			return start, end, fault.At(fault.Invalid, "endDate", "is before startDate").WithCode("value")
		}
	}
	return start, end, nil
}

// fillEncounter enters the fields that the request has.
func (s *Service) fillEncounter(e *fhir.Resource, in *encounterIn, refs encounterRefs) error {
	now := s.Records.Now()
	if typ := said(in.Type, in.EncounterType); typ != "" {
		class, err := encounterTypes.code("type", typ)
		if err != nil {
			return err
		}
		if was := e.Get("class"); was == nil || typeOfClass(was.Str("code")) != typ {
			if err := reclass(e, class, now); err != nil {
				return err
			}
		}
	}
	if given(in.Reason, in.ChiefComplaint) {
		text, err := plainText("reason", said(in.Reason, in.ChiefComplaint), maxLine)
		if err != nil {
			return err
		}
		if err := flat.Set(e.Node, "reasonCode", []any{concept("", "", "", text)}); err != nil {
			return err
		}
	}
	if p := said(in.Priority); p != "" {
		code, err := priorities.code("priority", p)
		if err != nil {
			return err
		}
		if err := flat.Set(e.Node, "priority", concept("http://terminology.hl7.org/CodeSystem/v3-ActPriority", code, p, "")); err != nil {
			return err
		}
	}
	if given(in.StartDate, in.EndDate) {
		if err := setPeriod(e, in); err != nil {
			return err
		}
	}
	return refs.set(e)
}

// setPeriod changes the ends that are said and leaves the other.
func setPeriod(e *fhir.Resource, in *encounterIn) error {
	from, to := ends(e.Get("period"))
	start, end := said(from), said(to)
	if in.StartDate != nil {
		start = said(in.StartDate)
	}
	if in.EndDate != nil {
		end = said(in.EndDate)
	}
	if _, _, err := spanOf(start, end); err != nil {
		return err
	}
	return flat.Set(e.Node, "period", obj{"start": start, "end": end})
}

// encounterRefs are the references that a request asks for; nil: it says nothing of them. They are looked up before the change, which must not read.
type encounterRefs struct{ provider, appointment, service *string }

func (s *Service) encounterRefs(ctx context.Context, in *encounterIn, patient string) (refs encounterRefs, err error) {
	if in.ProviderID != nil {
		ref, err := s.practitioner(ctx, "providerId", said(in.ProviderID))
		if err != nil {
			return refs, err
		}
		refs.provider = &ref
	}
	if in.AppointmentID != nil {
		ref := ""
		if id := said(in.AppointmentID); id != "" {
			if ref, err = s.appointment(ctx, id, patient); err != nil {
				return refs, err
			}
		}
		refs.appointment = &ref
	}
	if given(in.FacilityID, in.DepartmentID) {
		ref, err := s.serviceProvider(ctx, said(in.FacilityID), said(in.DepartmentID))
		if err != nil {
			return refs, err
		}
		refs.service = &ref
	}
	return refs, nil
}

func (x encounterRefs) set(e *fhir.Resource) error {
	if x.provider != nil {
		if err := setProvider(e, *x.provider); err != nil {
			return err
		}
	}
	if x.appointment != nil {
		if err := flat.Set(e.Node, "appointment", []any{reference(*x.appointment)}); err != nil {
			return err
		}
	}
	if x.service != nil {
		return flat.Set(e.Node, "serviceProvider", reference(*x.service))
	}
	return nil
}

// setProvider makes the practitioner the attender, and leaves the other participants.
func setProvider(e *fhir.Resource, ref string) error {
	all := []any{obj{"type": []any{concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "ATND", "attender", "")}, "individual": reference(ref)}}
	was := providerOf(e)
	for _, p := range flat.Items(e.Get("participant")) {
		if r := flat.RefOf(p.Get("individual")); r != was && r != ref {
			all = append(all, p.Clone())
		}
	}
	return setNodes(e.Node, "participant", all)
}

// setNodes sets a list of which some items are nodes already.
func setNodes(n *fhir.Node, name string, items []any) error {
	list := fhir.NewArray()
	for _, one := range items {
		if node, ok := one.(*fhir.Node); ok {
			list.Append(node)
			continue
		}
		holder := fhir.NewObject()
		if err := flat.Set(holder, "x", one); err != nil {
			return err
		}
		x := holder.Get("x").Clone()
		x.Name = ""
		list.Append(x)
	}
	n.Set(name, list)
	return nil
}

// appointment is the reference to an appointment of the patient.
func (s *Service) appointment(ctx context.Context, id, patient string) (string, error) {
	one, err := s.Records.Read(ctx, "Appointment", id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return "", fault.At(fault.Unprocessable, "appointmentId", "there is no Appointment with this id")
	}
	if err != nil {
		return "", err
	}
	for _, p := range flat.Items(one.Res.Get("participant")) {
		if flat.RefOf(p.Get("actor")) == patient {
			return one.Ref(), nil
		}
	}
	return "", fault.At(fault.Unprocessable, "appointmentId", "this appointment is of another patient")
}

// serviceProvider is the department where one is named, which must be the facility's, else the facility.
func (s *Service) serviceProvider(ctx context.Context, facility, department string) (string, error) {
	var of string
	var err error
	if facility != "" {
		if of, err = s.Records.Ref(ctx, "facilityId", "Organization", facility); err != nil || department == "" {
			return of, err
		}
	}
	if department == "" {
		return "", nil
	}
	ref, err := s.Records.Ref(ctx, "departmentId", "Organization", department)
	if err != nil || of == "" {
		return ref, err
	}
	one, err := s.Records.Read(ctx, "Organization", department)
	if err != nil {
		return "", err
	}
	if flat.RefOf(one.Res.Get("partOf")) != of {
		return "", fault.At(fault.Unprocessable, "departmentId", "this department belongs to another facility")
	}
	return ref, nil
}

// placeholder is the URL by which resources of one set refer to the n-th of it, before it has an id.
func placeholder(n int) string {
	return fmt.Sprintf("urn:uuid:0e2b6bd4-3d0c-4b70-9e0f-4f7f5f0a%04x", n)
}

// withEncounter is the set that creates an encounter with what was found in it: diagnoses, vital signs and the treatment plan.
func (s *Service) withEncounter(ctx context.Context, e *fhir.Resource, in *encounterIn, patient string) ([]record.Change, error) {
	if len(in.Diagnosis) > 50 {
		return nil, fault.At(fault.Invalid, "diagnosis", "has more than 50 entries").WithCode("too-long")
	}
	self := placeholder(0)
	_, now := s.now()
	at := now
	if p := e.Get("period"); p != nil && p.Str("start") != "" {
		at = p.Str("start")
	}
	changes := []record.Change{{Op: record.Create, Type: "Encounter", Resource: e, FullURL: self}}
	provider := providerOf(e)
	var links []any
	for i, text := range in.Diagnosis {
		text, err := plainText("diagnosis", strings.TrimSpace(text), maxLine)
		if err != nil {
			return nil, err
		}
		if text == "" {
			continue
		}
		c, err := flat.Make("Condition", obj{"clinicalStatus": clinicalStatus("active"), "verificationStatus": verification("confirmed"), "category": []any{conditionCategory("encounter-diagnosis")},
			"code": concept("", "", "", text), "subject": reference(patient), "encounter": reference(self), "recordedDate": now, "recorder": reference(provider)})
		if err != nil {
			return nil, err
		}
		url := placeholder(i + 1)
		changes = append(changes, record.Change{Op: record.Create, Type: "Condition", Resource: c, FullURL: url})
		links = append(links, obj{"condition": reference(url), "rank": i + 1})
	}
	if err := flat.Set(e.Node, "diagnosis", links); err != nil {
		return nil, err
	}
	measured, err := in.VitalSigns.observations(patient, self, provider, at)
	if err != nil {
		return nil, err
	}
	for _, o := range measured {
		changes = append(changes, record.Change{Op: record.Create, Type: "Observation", Resource: o})
	}
	plan, err := treatmentPlan(said(in.TreatmentPlan), patient, self, provider, now)
	if err != nil {
		return nil, err
	}
	if plan != nil {
		changes = append(changes, record.Change{Op: record.Create, Type: "CarePlan", Resource: plan})
	}
	return changes, nil
}

// treatmentPlan is the CarePlan that an encounter's treatment plan is; nil where nothing is said.
func treatmentPlan(text, patient, encounter, author, now string) (*fhir.Resource, error) {
	text, err := plainText("treatmentPlan", text, maxText)
	if err != nil || text == "" {
		return nil, err
	}
	return flat.Make("CarePlan", obj{"status": "active", "intent": "plan", "category": []any{concept(noteTypeSystem, "treatment-plan", "Treatment plan", "")}, "description": text,
		"subject": reference(patient), "encounter": reference(encounter), "created": now, "author": reference(author)})
}

// openInpatient warns of another inpatient encounter that is under way: it is not refused, since a transfer from one hospital to another may overlap,
// and who admits in an emergency must not be held up by an encounter that somebody forgot to end.
func (s *Service) openInpatient(ctx context.Context, e *fhir.Resource, patient string) ([]string, error) {
	if typeOfClass(e.Path("class").Str("code")) != "inpatient" || ended(e.Str("status")) {
		return nil, nil
	}
	q := flat.Query{Type: "Encounter", Limit: 5, NoTotal: true}
	q.With("patient", patient)
	anyOf(&q, "class", "", classesOf("inpatient")...)
	anyOf(&q, "status", "", underWay...)
	found, err := s.Records.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, one := range found.Records {
		out = append(out, "the patient has another inpatient encounter that is under way: "+one.Key())
	}
	return out, nil
}

func (s *Service) updateEncounter(w http.ResponseWriter, r *http.Request) error {
	var in encounterIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if len(in.Diagnosis) > 0 {
		return fault.At(fault.Invalid, "diagnosis", "is added by POST /api/v1/encounters/{id}/diagnoses").WithCode("not-supported")
	}
	if in.VitalSigns != nil {
		return fault.At(fault.Invalid, "vitalSigns", "are sent when an encounter is created, or with a note").WithCode("not-supported")
	}
	version, err := api.Version(r, in.Version)
	if err != nil {
		return err
	}
	ctx := r.Context()
	to := ""
	if in.Status != nil {
		if to, err = encounterStatuses.code("status", *in.Status); err != nil {
			return err
		}
	}
	one, err := s.Records.Read(ctx, "Encounter", r.PathValue("id"))
	if err != nil {
		return err
	}
	patient := flat.RefOf(one.Res.Get("subject"))
	if id := said(in.PatientID); id != "" {
		ref, err := s.Records.Ref(ctx, "patientId", "Patient", id)
		if err != nil {
			return err
		}
		if ref != patient {
			return fault.At(fault.Unprocessable, "patientId", "an encounter stays with its patient")
		}
	}
	refs, err := s.encounterRefs(ctx, &in, patient)
	if err != nil {
		return err
	}
	changing, err := s.Records.Changing(ctx, "Encounter", one.Version.ID, func(e *fhir.Resource) error {
		if to != "" && to != e.Str("status") {
			if err := s.mayEnd(ctx, to); err != nil {
				return err
			}
			if err := move(e, to, s.Records.Now()); err != nil {
				return err
			}
		}
		return s.fillEncounter(e, &in, refs)
	})
	if err != nil {
		return err
	}
	changing.IfMatch = version
	changes := []record.Change{changing}
	if in.TreatmentPlan != nil {
		plan, err := s.replan(ctx, one, said(in.TreatmentPlan))
		if err != nil {
			return err
		}
		changes = append(changes, plan...)
	}
	written, err := s.Records.Write(ctx, changes...)
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusOK, written[0], nil)
}

// replan is the change of an encounter's treatment plan.
func (s *Service) replan(ctx context.Context, e *flat.Record, text string) ([]record.Change, error) {
	text, err := plainText("treatmentPlan", text, maxText)
	if err != nil {
		return nil, err
	}
	q := flat.Query{Type: "CarePlan", Sort: "-_lastUpdated", Limit: 1, NoTotal: true}
	q.With("encounter", e.Ref())
	q.With("category", noteTypeSystem+"|treatment-plan")
	q.With("status:not", "entered-in-error")
	found, err := s.Records.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(found.Records) == 0 {
		_, now := s.now()
		plan, err := treatmentPlan(text, flat.RefOf(e.Res.Get("subject")), e.Ref(), self(ctx, "Practitioner"), now)
		if err != nil || plan == nil {
			return nil, err
		}
		return []record.Change{{Op: record.Create, Type: "CarePlan", Resource: plan}}, nil
	}
	c, err := s.Records.Changing(ctx, "CarePlan", found.Records[0].Version.ID, func(p *fhir.Resource) error {
		if text == "" {
			p.Set("status", fhir.NewString("revoked"))
			return nil
		}
		return flat.Set(p.Node, "description", text)
	})
	return []record.Change{c}, err
}
