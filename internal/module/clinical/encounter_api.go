package clinical

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// encounterIn is the body of creating and changing an encounter. Where front ends have two names for a field, both are read.
type encounterIn struct {
	PatientID      *string   `json:"patientId"`
	ProviderID     *string   `json:"providerId"` // of a Practitioner; creating: the caller's own where it is absent
	FacilityID     *string   `json:"facilityId"`
	DepartmentID   *string   `json:"departmentId"`
	AppointmentID  *string   `json:"appointmentId"`
	Type           *string   `json:"type"` // outpatient, inpatient, emergency, telehealth, home, field
	EncounterType  *string   `json:"encounterType"`
	Status         *string   `json:"status"`
	Reason         *string   `json:"reason"`
	ChiefComplaint *string   `json:"chiefComplaint"`
	Priority       *string   `json:"priority"`
	StartDate      *string   `json:"startDate"`
	EndDate        *string   `json:"endDate"`
	Diagnosis      []string  `json:"diagnosis"` // creating only
	TreatmentPlan  *string   `json:"treatmentPlan"`
	VitalSigns     *vitalsIn `json:"vitalSigns"` // creating only
	Version        *int64    `json:"version"`
}

type encounterDiagnosis struct {
	ConditionID string  `json:"conditionId"`
	Description *string `json:"description"`
	Code        *string `json:"code"`
	Use         *string `json:"use"`
	Rank        *int    `json:"rank"`
}

type encounterPlace struct {
	LocationID string  `json:"locationId"`
	Name       *string `json:"name"`
	Status     *string `json:"status"`
	From       *string `json:"from"`
	To         *string `json:"to"`
}

type statusSpan struct {
	Status string  `json:"status"`
	From   *string `json:"from"`
	To     *string `json:"to"`
}

// encounterOut is an encounter as the product API tells it.
type encounterOut struct {
	ID             string               `json:"id"`
	PatientID      *string              `json:"patientId"`
	PatientName    *string              `json:"patientName"`
	ProviderID     *string              `json:"providerId"`
	ProviderName   *string              `json:"providerName"`
	FacilityID     *string              `json:"facilityId"`
	FacilityName   *string              `json:"facilityName"`
	DepartmentID   *string              `json:"departmentId"`
	DepartmentName *string              `json:"departmentName"`
	AppointmentID  *string              `json:"appointmentId"`
	Type           string               `json:"type"`
	EncounterType  string               `json:"encounterType"`
	Class          string               `json:"class"` // the code of v3-ActCode
	Status         string               `json:"status"`
	StatusReason   *string              `json:"statusReason"`
	Priority       *string              `json:"priority"`
	Reason         *string              `json:"reason"`
	ChiefComplaint *string              `json:"chiefComplaint"`
	StartDate      *string              `json:"startDate"`
	EndDate        *string              `json:"endDate"`
	Diagnosis      []string             `json:"diagnosis"`
	Diagnoses      []encounterDiagnosis `json:"diagnoses"`
	Locations      []encounterPlace     `json:"locations"`
	Disposition    *string              `json:"dischargeDisposition"`
	StatusHistory  []statusSpan         `json:"statusHistory"`
	TreatmentPlan  *string              `json:"treatmentPlan,omitempty"` // of one encounter, not in listings
	Warnings       []string             `json:"warnings,omitempty"`
	Version        int64                `json:"version"`
	CreatedAt      string               `json:"createdAt"`
	UpdatedAt      string               `json:"updatedAt"`
}

type encounterList struct {
	Encounters []encounterOut `json:"encounters"`
}

func (s *Service) encounterRoutes() []api.Route {
	one := "/api/v1/encounters/{id}"
	filters := slices.Concat(textParam("providerId", "facilityId", "departmentId"), dateParam("dateFrom", "dateTo"), []api.Param{
		enumParam("status", "only these", encounterStatuses.names()...), enumParam("type", "only these", encounterTypes.names()...)})
	routes := []api.Route{
		listed("/api/v1/encounters", "encounters:read", "Encounters, the newest first", encounterList{}, s.serveEncounters, append(filters, textParam("patientId")...)...),
		listed("/api/v1/patients/{id}/encounters", "encounters:read", "A patient's encounters, the newest first", encounterList{}, s.serveEncounters, filters...),
		line("GET", one, "encounters:read", "One encounter", nil, encounterOut{}, s.serveEncounter),
		line("POST", "/api/v1/encounters", "encounters:create", "Begin or plan an encounter", encounterIn{}, encounterOut{}, s.createEncounter),
		line("POST", "/api/v1/bulk/encounters", "encounters:create", "Begin or plan many encounters, with an outcome for each", api.BulkIn, api.BulkOut{}, s.createEncounters),
		line("PUT", one, "encounters:update", "Change an encounter: the fields that are sent", encounterIn{}, encounterOut{}, s.updateEncounter),
		line("PATCH", one, "encounters:update", "Change an encounter: the fields that are sent", encounterIn{}, encounterOut{}, s.updateEncounter),
		line("PATCH", one+"/status", "encounters:update", "Bring an encounter to another status", moveIn{}, encounterOut{}, s.moveTo("")),
		line("POST", one+"/discharge", "encounters:complete", "Discharge a patient: the encounter is finished, and says where the patient goes", dischargeIn{}, encounterOut{}, s.discharge),
		line("POST", one+"/diagnoses", "encounters:update", "Add a diagnosis to an encounter: a new condition, or one that is known", diagnosisIn{}, encounterOut{}, s.addDiagnosis),
		line("PATCH", one+"/complete", "encounters:complete", "Finish an encounter", moveIn{}, encounterOut{}, s.moveTo("finished")),
		line("POST", one+"/complete", "encounters:complete", "Finish an encounter", moveIn{}, encounterOut{}, s.moveTo("finished")),
		line("GET", "/api/v1/patients/{id}/vital-signs", "records:read", "A patient's vital signs, together by time, the newest first", nil, vitalsList{}, s.serveVitals,
			append(dateParam("dateFrom", "dateTo"), api.Param{Name: "limit", Type: api.Whole, Least: 1, Most: api.MaxLimit, Help: "how many times of measuring at most"})...),
	}
	for _, v := range []struct{ verb, to, summary string }{
		{"arrive", "arrived", "The patient is here"}, {"triage", "triaged", "The patient was triaged"}, {"start", "in-progress", "The encounter begins, or goes on after a leave"},
		{"leave", "onleave", "The patient is on leave"}, {"cancel", "cancelled", "The encounter does not take place"}} {
		routes = append(routes, line("POST", one+"/"+v.verb, "encounters:update", v.summary, moveIn{}, encounterOut{}, s.moveTo(v.to)))
	}
	return routes
}

// tellEncounters makes what is told of encounters.
func (s *Service) tellEncounters(ctx context.Context, records []*flat.Record) ([]encounterOut, error) {
	k := s.lookup(ctx, records, "Patient", "Practitioner", "Organization", "Location", "Condition")
	if k.err != nil {
		return nil, k.err
	}
	out := make([]encounterOut, 0, len(records))
	for _, one := range records {
		out = append(out, k.encounter(one))
	}
	return out, k.err
}

func (k *known) encounter(one *flat.Record) encounterOut {
	e := one.Res
	patient, provider := flat.RefOf(e.Get("subject")), providerOf(e)
	facility, department := k.provider(flat.RefOf(e.Get("serviceProvider")))
	class := ""
	if c := e.Get("class"); c != nil {
		class = c.Str("code")
	}
	reason := ""
	if codes := flat.Items(e.Get("reasonCode")); len(codes) > 0 {
		reason = flat.Text(codes[0])
	}
	out := encounterOut{
		ID: one.Key(), PatientID: opt(k.id(patient)), PatientName: opt(k.name(patient)), ProviderID: opt(k.id(provider)), ProviderName: opt(k.name(provider)),
		FacilityID: opt(k.id(facility)), FacilityName: opt(k.name(facility)), DepartmentID: opt(k.id(department)), DepartmentName: opt(k.name(department)),
		Type: typeOfClass(class), EncounterType: typeOfClass(class), Class: class, Status: encounterStatuses.name(e.Str("status")), Reason: opt(reason), ChiefComplaint: opt(reason),
		Diagnosis: []string{}, Diagnoses: []encounterDiagnosis{}, Locations: []encounterPlace{}, StatusHistory: []statusSpan{},
		Version: one.VID, CreatedAt: flat.Created(one), UpdatedAt: flat.Stamp(one),
	}
	if a := flat.Items(e.Get("appointment")); len(a) > 0 {
		out.AppointmentID = opt(k.id(flat.RefOf(a[0])))
	}
	if p := flat.Code(e.Get("priority"), ""); p != "" {
		out.Priority = opt(priorities.name(p))
	}
	if x := extension(e.Node, statusReasonURL); x != nil {
		out.StatusReason = opt(x.Str("valueString"))
	}
	if p := e.Get("period"); p != nil {
		out.StartDate, out.EndDate = opt(p.Str("start")), opt(p.Str("end"))
	}
	if h := e.Get("hospitalization"); h != nil {
		if d := flat.Code(h.Get("dischargeDisposition"), ""); d != "" {
			out.Disposition = opt(dispositions.name(d))
		}
	}
	k.encounterLists(e, &out)
	return out
}

func (k *known) encounterLists(e *fhir.Resource, out *encounterOut) {
	for _, d := range flat.Items(e.Get("diagnosis")) {
		ref := flat.RefOf(d.Get("condition"))
		one := encounterDiagnosis{ConditionID: k.id(ref), Description: opt(k.name(ref)), Use: opt(flat.Code(d.Get("use"), ""))}
		if c := k.got[k.local(ref)]; c != nil {
			one.Code = opt(flat.Code(c.Res.Get("code"), icd10))
			out.Diagnosis = append(out.Diagnosis, flat.Text(c.Res.Get("code")))
		}
		one.Rank = whole(d.Get("rank"))
		out.Diagnoses = append(out.Diagnoses, one)
	}
	for _, l := range flat.Items(e.Get("location")) {
		ref := flat.RefOf(l.Get("location"))
		from, to := ends(l.Get("period"))
		out.Locations = append(out.Locations, encounterPlace{LocationID: k.id(ref), Name: opt(k.name(ref)), Status: opt(l.Str("status")), From: from, To: to})
	}
	for _, h := range flat.Items(e.Get("statusHistory")) {
		from, to := ends(h.Get("period"))
		out.StatusHistory = append(out.StatusHistory, statusSpan{Status: encounterStatuses.name(h.Str("status")), From: from, To: to})
	}
}

func ends(period *fhir.Node) (from, to *string) {
	if period == nil {
		return nil, nil
	}
	return opt(period.Str("start")), opt(period.Str("end"))
}

// provider parts what serves an encounter into the facility and its department: a department is an organization that is part of one.
func (k *known) provider(ref string) (facility, department string) {
	one := k.got[k.local(ref)]
	if one == nil || !slices.Contains(codesOf(one.Res.Get("type")), "dept") {
		return ref, ""
	}
	return flat.RefOf(one.Res.Get("partOf")), ref
}

// providerOf is the practitioner who leads the encounter: the attender, else the first.
func providerOf(e *fhir.Resource) string {
	first := ""
	for _, p := range flat.Items(e.Get("participant")) {
		ref := flat.RefOf(p.Get("individual"))
		if !strings.HasPrefix(ref, "Practitioner/") {
			continue
		}
		if slices.Contains(codesOf(p.Get("type")), "ATND") {
			return ref
		}
		if first == "" {
			first = ref
		}
	}
	return first
}

func (s *Service) serveEncounters(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := flat.QueryOf(r, "Encounter")
	if err != nil {
		return err
	}
	ask := r.URL.Query()
	patient := ask.Get("patientId")
	if id := r.PathValue("id"); id != "" {
		if _, err := s.Records.Read(ctx, "Patient", id); err != nil {
			return err
		}
		patient = id
	}
	if err := s.refTo(ctx, &q, "patient", "Patient", patient); err != nil {
		return err
	}
	if err := s.refTo(ctx, &q, "participant", "Practitioner", ask.Get("providerId")); err != nil {
		return err
	}
	if err := s.servedBy(ctx, &q, ask.Get("facilityId"), ask.Get("departmentId")); err != nil {
		return err
	}
	if err := between(&q, "date", ask.Get("dateFrom"), ask.Get("dateTo")); err != nil {
		return err
	}
	var statuses, classes []string
	for _, name := range split(r, "status") {
		statuses = append(statuses, encounterStatuses[name])
	}
	for _, name := range split(r, "type") {
		classes = append(classes, classesOf(name)...)
	}
	anyOf(&q, "status", "", statuses...)
	anyOf(&q, "class", "", classes...)
	q.Sort = "-date"
	return listing(s, w, r, "encounters", q, s.tellEncounters)
}

// servedBy narrows a query to what a department serves, or a facility with all its departments.
func (s *Service) servedBy(ctx context.Context, q *flat.Query, facility, department string) error {
	if department != "" {
		return s.refTo(ctx, q, "service-provider", "Organization", department)
	}
	if facility == "" {
		return nil
	}
	id, err := s.Records.FHIRID(ctx, "Organization", facility)
	if err != nil {
		return err
	}
	if !fhir.ValidID(id) {
		return fault.At(fault.Invalid, "facilityId", "is no id").WithCode("value")
	}
	all := []string{"Organization/" + id}
	parts := flat.Query{Type: "Organization"}
	parts.With("partof", all[0])
	err = s.Records.Each(ctx, parts, func(one *flat.Record) error {
		all = append(all, one.Ref())
		return nil
	})
	q.With("service-provider", strings.Join(all, ","))
	return err
}

func (s *Service) serveEncounter(w http.ResponseWriter, r *http.Request) error {
	one, err := s.Records.Read(r.Context(), "Encounter", r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusOK, one, nil)
}

// answerEncounter tells one encounter, with its treatment plan where the caller sees it.
func (s *Service) answerEncounter(w http.ResponseWriter, r *http.Request, status int, one *flat.Record, warnings []string) error {
	all, err := s.tellEncounters(r.Context(), []*flat.Record{one})
	if err != nil {
		return err
	}
	q := flat.Query{Type: "CarePlan", Sort: "-_lastUpdated", Limit: 1, NoTotal: true}
	q.With("encounter", one.Ref())
	q.With("category", noteTypeSystem+"|treatment-plan")
	q.With("status:not", "entered-in-error")
	plans, err := s.Records.Find(r.Context(), q)
	if err != nil && !fault.Is(err, fault.Forbidden) {
		return err
	}
	if err == nil && len(plans.Records) > 0 {
		all[0].TreatmentPlan = opt(plans.Records[0].Res.Str("description"))
	}
	all[0].Warnings = warnings
	return tell(w, r, status, "encounter", one.VID, all[0])
}

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
	version, err := versionOf(r, in.Version)
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

// mayEnd refuses who may change encounters but not end them.
func (s *Service) mayEnd(ctx context.Context, to string) error {
	c := access.From(ctx)
	if to == "finished" && !c.Permits("encounters:complete") {
		return fault.New(fault.Forbidden, "this needs the permission encounters:complete")
	}
	return nil
}

// moveIn is the body of the verbs; it may be absent.
type moveIn struct {
	Status  *string `json:"status"` // of PATCH …/status
	Time    *string `json:"time"`   // when it happened; now where it is absent
	EndDate *string `json:"endDate"`
	Reason  *string `json:"reason"`
	Version *int64  `json:"version"`
}

// moveTo serves a verb that brings an encounter to a status; "": to the one that the body names.
func (s *Service) moveTo(to string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in moveIn
		if err := optional(r, &in); err != nil {
			return err
		}
		target := to
		if target == "" {
			if said(in.Status) == "" {
				return missing("status")
			}
			var err error
			if target, err = encounterStatuses.code("status", said(in.Status)); err != nil {
				return err
			}
		}
		return s.step(w, r, target, &in, nil)
	}
}

// step moves an encounter and answers with it; more is done in the same change.
func (s *Service) step(w http.ResponseWriter, r *http.Request, to string, in *moveIn, more func(*fhir.Resource) error) error {
	ctx := r.Context()
	if err := s.mayEnd(ctx, to); err != nil {
		return err
	}
	version, err := versionOf(r, in.Version)
	if err != nil {
		return err
	}
	if _, err := s.happened(said(in.Time, in.EndDate)); err != nil {
		return err
	}
	reason, err := plainText("reason", said(in.Reason), maxLine)
	if err != nil {
		return err
	}
	one, err := s.Records.Update(ctx, "Encounter", r.PathValue("id"), version, func(e *fhir.Resource) error {
		at, err := s.happened(said(in.Time, in.EndDate))
		if err == nil {
			err = move(e, to, at)
		}
		if err != nil {
			return err
		}
		if err := setExtension(e.Node, statusReasonURL, "valueString", reason); err != nil {
			return err
		}
		if more != nil {
			return more(e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusOK, one, nil)
}

// happened is when something happened: now where nothing is said, never later than that.
func (s *Service) happened(text string) (time.Time, error) {
	now := s.Records.Now()
	if text == "" {
		return now, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return now, fault.At(fault.Invalid, "time", "must be a moment with its offset: 2026-01-31T10:00:00+02:00").WithCode("value")
	}
	if at.After(now) {
		return now, fault.At(fault.Unprocessable, "time", "is in the future")
	}
	return at, nil
}

type dischargeIn struct {
	moveIn

	Disposition          *string `json:"disposition"`
	DischargeDisposition *string `json:"dischargeDisposition"`
}

func (s *Service) discharge(w http.ResponseWriter, r *http.Request) error {
	var in dischargeIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	name := said(in.Disposition, in.DischargeDisposition)
	if name == "" {
		return missing("disposition")
	}
	code, err := dispositions.code("disposition", name)
	if err != nil {
		return err
	}
	return s.step(w, r, "finished", &in.moveIn, func(e *fhir.Resource) error {
		h := e.Get("hospitalization")
		if h == nil {
			h = fhir.NewObject()
		} else {
			h = h.Clone()
		}
		if err := flat.Set(h, "dischargeDisposition", concept("http://terminology.hl7.org/CodeSystem/discharge-disposition", code, "", strings.ReplaceAll(dispositions.name(code), "_", " "))); err != nil {
			return err
		}
		return flat.Set(e.Node, "hospitalization", h)
	})
}

type diagnosisIn struct {
	ConditionID *string `json:"conditionId"` // one that is known; else a new one is made of the other fields
	Description *string `json:"description"`
	Code        *string `json:"code"` // ICD-10
	Use         *string `json:"use"`  // AD, DD, CC, CM, pre-op, post-op, billing
	Rank        *int    `json:"rank"`
	Version     *int64  `json:"version"`
}

func (s *Service) addDiagnosis(w http.ResponseWriter, r *http.Request) error {
	var in diagnosisIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	version, err := versionOf(r, in.Version)
	if err != nil {
		return err
	}
	link, err := in.link()
	if err != nil {
		return err
	}
	var one *flat.Record
	for tries := 0; ; tries++ { // the set names the version that it was made of: where others were faster and the writer named none, it is made anew
		one, err = s.linkDiagnosis(r.Context(), r.PathValue("id"), version, &in, link)
		if version != 0 || !fault.Is(err, fault.VersionConflict) || tries == 5 {
			break
		}
	}
	if err != nil {
		return err
	}
	return s.answerEncounter(w, r, http.StatusCreated, one, nil)
}

// link is the element of Encounter.diagnosis, without its condition.
func (in *diagnosisIn) link() (obj, error) {
	link := obj{}
	if use := said(in.Use); use != "" {
		if err := oneOf("use", use, "AD", "DD", "CC", "CM", "pre-op", "post-op", "billing"); err != nil {
			return nil, err
		}
		link["use"] = concept("http://terminology.hl7.org/CodeSystem/diagnosis-role", use, "", "")
	}
	if in.Rank != nil {
		if *in.Rank < 1 {
			return nil, fault.At(fault.Invalid, "rank", "must be 1 or more").WithCode("value")
		}
		link["rank"] = *in.Rank
	}
	return link, nil
}

// linkDiagnosis writes the encounter with its diagnosis and, where that is new, the condition, as one set.
func (s *Service) linkDiagnosis(ctx context.Context, id string, version int64, in *diagnosisIn, link obj) (*flat.Record, error) {
	e, err := s.Records.Read(ctx, "Encounter", id)
	if err != nil {
		return nil, err
	}
	if version == 0 {
		version = e.VID
	}
	patient := flat.RefOf(e.Res.Get("subject"))
	ref := placeholder(1)
	var changes []record.Change
	if known := said(in.ConditionID); known != "" {
		if ref, err = s.samePatient(ctx, "conditionId", "Condition", known, patient, "subject"); err != nil {
			return nil, err
		}
		for _, d := range flat.Items(e.Res.Get("diagnosis")) {
			if flat.RefOf(d.Get("condition")) == ref {
				return nil, fault.At(fault.Conflict, "conditionId", "is a diagnosis of this encounter already")
			}
		}
	} else {
		c, err := s.newDiagnosis(ctx, in, e.Ref(), patient)
		if err != nil {
			return nil, err
		}
		changes = append(changes, record.Change{Op: record.Create, Type: "Condition", Resource: c, FullURL: ref})
	}
	link["condition"] = reference(ref)
	if err := appendTo(e.Res.Node, "diagnosis", link); err != nil {
		return nil, err
	}
	change := record.Change{Op: record.Update, Type: "Encounter", ID: e.Version.ID, Resource: e.Res, IfMatch: version}
	written, err := s.Records.Write(ctx, append([]record.Change{change}, changes...)...)
	if err != nil {
		return nil, err
	}
	return written[0], nil
}

func (s *Service) newDiagnosis(ctx context.Context, in *diagnosisIn, encounter, patient string) (*fhir.Resource, error) {
	code, err := diseaseCode(said(in.Code), said(in.Description), "description")
	if err != nil {
		return nil, err
	}
	_, now := s.now()
	return flat.Make("Condition", obj{"clinicalStatus": clinicalStatus("active"), "verificationStatus": verification("confirmed"), "category": []any{conditionCategory("encounter-diagnosis")},
		"code": code, "subject": reference(patient), "encounter": reference(encounter), "recordedDate": now, "recorder": reference(self(ctx, "Practitioner"))})
}
