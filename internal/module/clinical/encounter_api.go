package clinical

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
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
	patient, err := s.patientAsked(r)
	if err != nil {
		return err
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
