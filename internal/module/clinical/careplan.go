package clinical

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// carePlanMoves is the state machine of a CarePlan.
var carePlanMoves = map[string][]string{
	"draft":            {"active", "on-hold", "revoked", "completed", "entered-in-error"},
	"active":           {"on-hold", "revoked", "completed", "entered-in-error"},
	"on-hold":          {"active", "revoked", "completed", "entered-in-error"},
	"unknown":          {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error"},
	"revoked":          {"entered-in-error"},
	"completed":        {"entered-in-error"},
	"entered-in-error": {},
}

func carePlanRule(_ context.Context, _ record.Tx, old, new *fhir.Resource) error {
	if old == nil || new == nil {
		return nil
	}
	return mayMove(carePlanMoves, "a care plan", old.Str("status"), new.Str("status"))
}

var (
	planStatuses = words{"draft": "draft", "active": "active", "on_hold": "on-hold", "on-hold": "on-hold", "cancelled": "revoked", "revoked": "revoked", "completed": "completed",
		"entered_in_error": "entered-in-error"}
	activityStatuses = words{"not_started": "not-started", "scheduled": "scheduled", "in_progress": "in-progress", "in-progress": "in-progress", "on_hold": "on-hold", "completed": "completed",
		"cancelled": "cancelled", "stopped": "stopped"}
	goalPriorities = words{"high": "high-priority", "medium": "medium-priority", "low": "low-priority"}
	goalStatuses   = []string{"proposed", "planned", "accepted", "active", "on-hold", "completed", "cancelled", "rejected"}
	achievements   = []string{"in-progress", "improving", "worsening", "no-change", "achieved", "sustaining", "not-achieved", "no-progress", "not-attainable"}
)

type goalIn struct {
	ID          *string `json:"id"` // of a goal that is known; else it is a new one
	Description *string `json:"description"`
	TargetDate  *string `json:"targetDate"` // a date
	Status      *string `json:"status"`     // the lifecycle status
	Achievement *string `json:"achievement"`
	Priority    *string `json:"priority"` // high, medium, low
}

type activityIn struct {
	Description   *string `json:"description"`
	Status        *string `json:"status"`
	ScheduledDate *string `json:"scheduledDate"`
	AssigneeID    *string `json:"assigneeId"` // of a Practitioner
}

// carePlanIn is the body of creating and changing a care plan.
type carePlanIn struct {
	PatientID    *string      `json:"patientId"`
	EncounterID  *string      `json:"encounterId"`
	Title        *string      `json:"title"`
	Description  *string      `json:"description"`
	Status       *string      `json:"status"`
	StartDate    *string      `json:"startDate"`
	EndDate      *string      `json:"endDate"`
	ConditionIDs []string     `json:"conditionIds"` // what it is about
	Goals        []goalIn     `json:"goals"`
	Activities   []activityIn `json:"activities"` // takes the place of all
	Notes        *string      `json:"notes"`
	Version      *int64       `json:"version"`
}

type goalOut struct {
	ID          string  `json:"id"`
	Description string  `json:"description"`
	TargetDate  *string `json:"targetDate"`
	Status      string  `json:"status"`
	Achievement *string `json:"achievement"`
	Priority    *string `json:"priority"`
}

type activityOut struct {
	Index         int     `json:"index"` // its place, from 0: PATCH …/activities/{index} names it
	Description   string  `json:"description"`
	Status        string  `json:"status"`
	ScheduledDate *string `json:"scheduledDate"`
	AssigneeID    *string `json:"assigneeId"`
	AssigneeName  *string `json:"assigneeName"`
}

// carePlanOut is a care plan as the product API tells it.
type carePlanOut struct {
	ID           string        `json:"id"`
	PatientID    *string       `json:"patientId"`
	PatientName  *string       `json:"patientName"`
	EncounterID  *string       `json:"encounterId"`
	AuthorID     *string       `json:"authorId"`
	AuthorName   *string       `json:"authorName"`
	Title        string        `json:"title"`
	Description  *string       `json:"description"`
	Status       string        `json:"status"`
	StartDate    *string       `json:"startDate"`
	EndDate      *string       `json:"endDate"`
	ConditionIDs []string      `json:"conditionIds"`
	Goals        []goalOut     `json:"goals"`
	Activities   []activityOut `json:"activities"`
	Notes        *string       `json:"notes"`
	Version      int64         `json:"version"`
	CreatedAt    string        `json:"createdAt"`
	UpdatedAt    string        `json:"updatedAt"`
}

type carePlanList struct {
	CarePlans []carePlanOut `json:"carePlans"`
}

func (s *Service) carePlanRoutes() []api.Route {
	base := "/api/v1/care-plans"
	filters := []api.Param{enumParam("status", "only these", planStatuses.names()...)}
	routes := []api.Route{
		listed(base, "records:read", "Care plans, the newest first", carePlanList{}, s.serveCarePlans, append(filters, textParam("patientId", "encounterId")...)...),
		listed("/api/v1/patients/{id}/care-plans", "records:read", "A patient's care plans", carePlanList{}, s.serveCarePlans, filters...),
		line("GET", base+"/{id}", "records:read", "One care plan", nil, carePlanOut{}, s.serveCarePlan),
		line("POST", base, "records:write", "Make a care plan, with goals and activities", carePlanIn{}, carePlanOut{}, s.createCarePlan),
		line("PUT", base+"/{id}", "records:write", "Change a care plan: the fields that are sent; activities takes the place of all", carePlanIn{}, carePlanOut{}, s.updateCarePlan),
		line("PATCH", base+"/{id}/status", "records:write", "Bring a care plan to another status", carePlanStatusIn{}, carePlanOut{}, s.moveCarePlan("")),
		line("PATCH", base+"/{id}/activities/{index}", "records:write", "Change an activity: the fields that are sent", activityIn{}, carePlanOut{}, s.changeActivity),
		line("DELETE", base+"/{id}", "records:write", "A care plan was entered in error", nil, carePlanOut{}, s.moveCarePlan("entered-in-error")),
	}
	for _, v := range []struct{ verb, to, summary string }{{"activate", "active", "A care plan holds"}, {"hold", "on-hold", "A care plan rests"},
		{"complete", "completed", "A care plan is done"}, {"cancel", "revoked", "A care plan is given up"}} {
		routes = append(routes, line("POST", base+"/{id}/"+v.verb, "records:write", v.summary, versionIn{}, carePlanOut{}, s.moveCarePlan(v.to)))
	}
	return routes
}

func (s *Service) tellCarePlans(ctx context.Context, records []*flat.Record) ([]carePlanOut, error) {
	k := s.lookup(ctx, records, "Patient", "Practitioner", "Goal")
	if k.err != nil {
		return nil, k.err
	}
	out := make([]carePlanOut, 0, len(records))
	for _, one := range records {
		out = append(out, k.carePlan(one))
	}
	return out, k.err
}

func (k *known) carePlan(one *flat.Record) carePlanOut {
	p := one.Res
	patient, by := flat.RefOf(p.Get("subject")), flat.RefOf(p.Get("author"))
	out := carePlanOut{
		ID: one.Key(), PatientID: opt(k.id(patient)), PatientName: opt(k.name(patient)), EncounterID: opt(k.id(flat.RefOf(p.Get("encounter")))), AuthorID: opt(k.id(by)), AuthorName: opt(k.name(by)),
		Title: p.Str("title"), Description: opt(p.Str("description")), Status: planStatuses.name(p.Str("status")), ConditionIDs: []string{}, Goals: []goalOut{}, Activities: []activityOut{},
		Notes: opt(notesOf(p.Get("note"))), Version: one.VID, CreatedAt: flat.Created(one), UpdatedAt: flat.Stamp(one),
	}
	out.StartDate, out.EndDate = ends(p.Get("period"))
	for _, a := range flat.Items(p.Get("addresses")) {
		out.ConditionIDs = append(out.ConditionIDs, k.id(flat.RefOf(a)))
	}
	for _, g := range flat.Items(p.Get("goal")) {
		ref := flat.RefOf(g)
		goal := goalOut{ID: k.id(ref)}
		if one := k.got[k.local(ref)]; one != nil {
			goal.Description, goal.Status = flat.Text(one.Res.Get("description")), one.Res.Str("lifecycleStatus")
			goal.Achievement, goal.Priority = opt(flat.Code(one.Res.Get("achievementStatus"), "")), opt(goalPriorities.name(flat.Code(one.Res.Get("priority"), "")))
			if t := flat.Items(one.Res.Get("target")); len(t) > 0 {
				goal.TargetDate = opt(t[0].Str("dueDate"))
			}
		}
		out.Goals = append(out.Goals, goal)
	}
	for i, a := range flat.Items(p.Get("activity")) {
		d := a.Get("detail")
		if d == nil {
			out.Activities = append(out.Activities, activityOut{Index: i, Status: "unknown"})
			continue
		}
		one := activityOut{Index: i, Description: d.Str("description"), Status: activityStatuses.name(d.Str("status")), ScheduledDate: opt(d.Str("scheduledString"))}
		if t := d.Path("scheduledPeriod"); t != nil {
			one.ScheduledDate = opt(t.Str("start"))
		}
		if who := flat.Items(d.Get("performer")); len(who) > 0 {
			ref := flat.RefOf(who[0])
			one.AssigneeID, one.AssigneeName = opt(k.id(ref)), opt(k.name(ref))
		}
		out.Activities = append(out.Activities, one)
	}
	return out
}

func (s *Service) serveCarePlans(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	q, err := flat.QueryOf(r, "CarePlan")
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
	if err := s.refTo(ctx, &q, "encounter", "Encounter", r.URL.Query().Get("encounterId")); err != nil {
		return err
	}
	var statuses []string
	for _, name := range split(r, "status") {
		statuses = append(statuses, planStatuses[name])
	}
	anyOf(&q, "status", "", statuses...)
	if len(statuses) == 0 {
		q.With("status:not", "entered-in-error")
	}
	q.Sort = "-_lastUpdated"
	return listing(s, w, r, "carePlans", q, s.tellCarePlans)
}

func (s *Service) serveCarePlan(w http.ResponseWriter, r *http.Request) error {
	one, err := s.Records.Read(r.Context(), "CarePlan", r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerCarePlan(w, r, http.StatusOK, one)
}

func (s *Service) answerCarePlan(w http.ResponseWriter, r *http.Request, status int, one *flat.Record) error {
	return answer(w, r, status, "carePlan", one, s.tellCarePlans)
}

func (s *Service) createCarePlan(w http.ResponseWriter, r *http.Request) error {
	var in carePlanIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	patient, err := s.Records.Ref(ctx, "patientId", "Patient", said(in.PatientID))
	if err != nil {
		return err
	}
	if said(in.Title) == "" {
		return missing("title")
	}
	status := "active"
	if in.Status != nil {
		if status, err = planStatuses.code("status", *in.Status); err != nil {
			return err
		}
		if err := oneOf("status", status, "draft", "active"); err != nil {
			return err
		}
	}
	_, now := s.now()
	p, err := flat.Make("CarePlan", obj{"status": status, "intent": "plan", "subject": reference(patient), "created": now, "author": reference(self(ctx, "Practitioner"))})
	if err != nil {
		return err
	}
	if id := said(in.EncounterID); id != "" {
		ref, err := s.samePatient(ctx, "encounterId", "Encounter", id, patient, "subject")
		if err == nil {
			err = flat.Set(p.Node, "encounter", reference(ref))
		}
		if err != nil {
			return err
		}
	}
	for _, g := range in.Goals {
		if g.ID != nil {
			return fault.At(fault.Invalid, "goals.id", "is given by the server").WithCode("value")
		}
	}
	more, err := s.fillCarePlan(ctx, p, &in, patient)
	if err != nil {
		return err
	}
	written, err := s.Records.Write(ctx, append([]record.Change{{Op: record.Create, Type: "CarePlan", Resource: p}}, more...)...)
	if err != nil {
		return err
	}
	return s.answerCarePlan(w, r, http.StatusCreated, written[0])
}

// fillCarePlan enters the fields that the request has, and returns the changes of goals that go with them.
func (s *Service) fillCarePlan(ctx context.Context, p *fhir.Resource, in *carePlanIn, patient string) ([]record.Change, error) {
	for _, f := range []struct {
		name  string
		value *string
		most  int
	}{{"title", in.Title, maxLine}, {"description", in.Description, maxText}} {
		if f.value == nil {
			continue
		}
		text, err := plainText(f.name, said(f.value), f.most)
		if err == nil {
			err = flat.Set(p.Node, f.name, text)
		}
		if err != nil {
			return nil, err
		}
	}
	if given(in.StartDate, in.EndDate) {
		if err := setPeriod(p, &encounterIn{StartDate: in.StartDate, EndDate: in.EndDate}); err != nil {
			return nil, err
		}
	}
	if in.ConditionIDs != nil {
		var all []any
		for _, id := range in.ConditionIDs {
			ref, err := s.samePatient(ctx, "conditionIds", "Condition", id, patient, "subject")
			if err != nil {
				return nil, err
			}
			all = append(all, reference(ref))
		}
		if err := flat.Set(p.Node, "addresses", all); err != nil {
			return nil, err
		}
	}
	if in.Activities != nil {
		var all []any
		for i := range in.Activities {
			one, err := s.activity(ctx, nil, &in.Activities[i])
			if err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		if err := setNodesOrNone(p.Node, "activity", all); err != nil {
			return nil, err
		}
	}
	if in.Notes != nil {
		text, err := plainText("notes", said(in.Notes), maxText)
		if err == nil && text != notesOf(p.Get("note")) {
			err = flat.Set(p.Node, "note", []any{emptyWithout(text, annotation(ctx, text, s.Records.Now()))})
		}
		if err != nil {
			return nil, err
		}
	}
	return s.fillGoals(ctx, p, in.Goals, patient)
}

func setNodesOrNone(n *fhir.Node, name string, all []any) error {
	if len(all) == 0 {
		n.Delete(name)
		return nil
	}
	return setNodes(n, name, all)
}

// fillGoals changes goals that are known and adds new ones; those that are not named stay.
func (s *Service) fillGoals(ctx context.Context, p *fhir.Resource, goals []goalIn, patient string) ([]record.Change, error) {
	var changes []record.Change
	for i := range goals {
		g := &goals[i]
		if id := said(g.ID); id != "" {
			ref, err := s.Records.Ref(ctx, "goals.id", "Goal", id)
			if err != nil {
				return nil, err
			}
			if !slices.ContainsFunc(flat.Items(p.Get("goal")), func(n *fhir.Node) bool { return flat.RefOf(n) == ref }) {
				return nil, fault.At(fault.Unprocessable, "goals.id", "is no goal of this care plan")
			}
			c, err := s.Records.Changing(ctx, "Goal", id, func(n *fhir.Resource) error { return fillGoal(n, g) })
			if err != nil {
				return nil, err
			}
			changes = append(changes, c)
			continue
		}
		if said(g.Description) == "" {
			return nil, missing("goals.description")
		}
		n, err := flat.Make("Goal", obj{"lifecycleStatus": "active", "subject": reference(patient), "expressedBy": reference(self(ctx, "Practitioner"))})
		if err == nil {
			err = fillGoal(n, g)
		}
		if err == nil {
			err = appendTo(p.Node, "goal", reference(placeholder(100+i)))
		}
		if err != nil {
			return nil, err
		}
		changes = append(changes, record.Change{Op: record.Create, Type: "Goal", Resource: n, FullURL: placeholder(100 + i)})
	}
	return changes, nil
}

func fillGoal(n *fhir.Resource, g *goalIn) error {
	if g.Description != nil {
		text, err := plainText("goals.description", said(g.Description), maxText)
		if err != nil {
			return err
		}
		if text == "" {
			return missing("goals.description")
		}
		if err := flat.Set(n.Node, "description", concept("", "", "", text)); err != nil {
			return err
		}
	}
	if v := said(g.Status); v != "" {
		if err := oneOf("goals.status", v, goalStatuses...); err != nil {
			return err
		}
		n.Set("lifecycleStatus", fhir.NewString(v))
	}
	if g.Achievement != nil {
		if err := setCoded(n, "achievementStatus", "http://terminology.hl7.org/CodeSystem/goal-achievement", "goals.achievement", said(g.Achievement), achievements); err != nil {
			return err
		}
	}
	if g.Priority != nil {
		code := said(g.Priority)
		if code != "" {
			var err error
			if code, err = goalPriorities.code("goals.priority", code); err != nil {
				return err
			}
		}
		if err := setCoded(n, "priority", "http://terminology.hl7.org/CodeSystem/goal-priority", "goals.priority", code, []string{code}); err != nil {
			return err
		}
	}
	if g.TargetDate == nil {
		return nil
	}
	date := said(g.TargetDate)
	if date != "" {
		text, _, _, err := moment("goals.targetDate", date)
		if err != nil {
			return err
		}
		date = text[:10]
	}
	return flat.Set(n.Node, "target", []any{obj{"dueDate": date}})
}

// setCoded sets a concept of one code, or removes it where the code is "".
func setCoded(n *fhir.Resource, element, system, field, code string, allowed []string) error {
	if code == "" {
		n.Delete(element)
		return nil
	}
	if err := oneOf(field, code, allowed...); err != nil {
		return err
	}
	return flat.Set(n.Node, element, concept(system, code, "", ""))
}

// activity is an activity as it was, with the fields that the request has.
func (s *Service) activity(ctx context.Context, was *fhir.Node, in *activityIn) (*fhir.Node, error) {
	a := fhir.NewObject()
	d := fhir.NewObject()
	if was != nil {
		a = was.Clone()
		a.Name = ""
		if old := a.Get("detail"); old != nil {
			d = old.Clone()
		}
	}
	if in.Description != nil {
		text, err := plainText("activities.description", said(in.Description), maxText)
		if err != nil {
			return nil, err
		}
		if err := flat.Set(d, "description", text); err != nil {
			return nil, err
		}
	}
	if d.Str("description") == "" {
		return nil, missing("activities.description")
	}
	if d.Get("status") == nil {
		d.Set("status", fhir.NewString("not-started"))
	}
	if v := said(in.Status); v != "" {
		code, err := activityStatuses.code("activities.status", v)
		if err != nil {
			return nil, err
		}
		d.Set("status", fhir.NewString(code))
	}
	if in.ScheduledDate != nil {
		at := said(in.ScheduledDate)
		if at != "" {
			var err error
			if at, _, _, err = moment("activities.scheduledDate", at); err != nil {
				return nil, err
			}
		}
		d.Delete("scheduledString")
		d.Delete("scheduledTiming")
		if err := flat.Set(d, "scheduledPeriod", obj{"start": at}); err != nil {
			return nil, err
		}
	}
	if in.AssigneeID != nil {
		ref := ""
		if id := said(in.AssigneeID); id != "" {
			var err error
			if ref, err = s.Records.Ref(ctx, "activities.assigneeId", "Practitioner", id); err != nil {
				return nil, err
			}
		}
		if err := flat.Set(d, "performer", []any{reference(ref)}); err != nil {
			return nil, err
		}
	}
	a.Set("detail", d)
	return a, nil
}

// rewriteCarePlan reads a care plan, has f change it, and writes it with what goes along as one set. Where others were faster and the writer named no version, it is
// done anew.
func (s *Service) rewriteCarePlan(w http.ResponseWriter, r *http.Request, said *int64, f func(*fhir.Resource) ([]record.Change, error)) error {
	version, err := api.Version(r, said)
	if err != nil {
		return err
	}
	ctx := r.Context()
	for tries := 0; ; tries++ {
		one, err := s.Records.Read(ctx, "CarePlan", r.PathValue("id"))
		if err != nil {
			return err
		}
		if one.Res.Str("status") == "entered-in-error" {
			return fault.At(fault.Conflict, "status", "it was entered in error, and stays so").WithCode("INVALID_TRANSITION")
		}
		match := version
		if match == 0 {
			match = one.VID
		}
		more, err := f(one.Res)
		if err != nil {
			return err
		}
		change := record.Change{Op: record.Update, Type: "CarePlan", ID: one.Version.ID, Resource: one.Res, IfMatch: match}
		written, err := s.Records.Write(ctx, append([]record.Change{change}, more...)...)
		if fault.Is(err, fault.VersionConflict) && version == 0 && tries < 5 {
			continue
		}
		if err != nil {
			return err
		}
		return s.answerCarePlan(w, r, http.StatusOK, written[0])
	}
}

func (s *Service) updateCarePlan(w http.ResponseWriter, r *http.Request) error {
	var in carePlanIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	to := ""
	if in.Status != nil {
		var err error
		if to, err = planStatuses.code("status", *in.Status); err != nil {
			return err
		}
	}
	if in.Title != nil && said(in.Title) == "" {
		return missing("title")
	}
	return s.rewriteCarePlan(w, r, in.Version, func(p *fhir.Resource) ([]record.Change, error) {
		patient := flat.RefOf(p.Get("subject"))
		if id := said(in.PatientID); id != "" {
			if ref, err := s.Records.Ref(r.Context(), "patientId", "Patient", id); err != nil || ref != patient {
				return nil, fault.At(fault.Unprocessable, "patientId", "cannot be changed")
			}
		}
		if to != "" {
			p.Set("status", fhir.NewString(to))
		}
		return s.fillCarePlan(r.Context(), p, &in, patient)
	})
}

type carePlanStatusIn struct {
	Status  *string `json:"status"`
	Version *int64  `json:"version"`
}

func (s *Service) moveCarePlan(to string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in carePlanStatusIn
		if err := api.DecodeOptional(r, &in); err != nil {
			return err
		}
		target, err := planStatuses.asked(to, in.Status)
		if err != nil {
			return err
		}
		return s.rewriteCarePlan(w, r, in.Version, func(p *fhir.Resource) ([]record.Change, error) {
			if from := p.Str("status"); from == target {
				return nil, fault.At(fault.Conflict, "status", "the care plan is %s already", from).WithCode("INVALID_TRANSITION")
			}
			p.Set("status", fhir.NewString(target))
			return nil, nil
		})
	}
}

func (s *Service) changeActivity(w http.ResponseWriter, r *http.Request) error {
	var in activityIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	index, err := strconv.Atoi(r.PathValue("index"))
	if err != nil || index < 0 {
		return fault.New(fault.NotFound, "there is no such activity")
	}
	return s.rewriteCarePlan(w, r, nil, func(p *fhir.Resource) ([]record.Change, error) {
		all := flat.Items(p.Get("activity"))
		if index >= len(all) {
			return nil, fault.New(fault.NotFound, "there is no such activity")
		}
		one, err := s.activity(r.Context(), all[index], &in)
		if err != nil {
			return nil, err
		}
		if !p.Get("activity").Replace(all[index], one) {
			return nil, fault.New(fault.NotFound, "there is no such activity")
		}
		return nil, nil
	})
}
