package clinical

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// A referral is a ServiceRequest of the category "patient referral", which says what is asked for, and a Task whose focus it is, which says what became
// of it. One that came by the FHIR API without a Task has the state that its own status says.

const referralCode = "3457005" // Patient referral

func referralCategory() obj { return concept(snomed, referralCode, "Patient referral", "") }

func isReferral(sr *fhir.Resource) bool {
	return sr != nil && hasCode(sr.Get("category"), snomed, referralCode)
}

// referralMoves is the state machine of a referral's ServiceRequest.
var referralMoves = map[string][]string{
	"draft":            {"active", "on-hold", "revoked", "entered-in-error"},
	"active":           {"on-hold", "revoked", "completed", "entered-in-error"},
	"on-hold":          {"active", "revoked", "completed", "entered-in-error"},
	"unknown":          {"draft", "active", "on-hold", "revoked", "completed", "entered-in-error"},
	"revoked":          {"entered-in-error"},
	"completed":        {"entered-in-error"},
	"entered-in-error": {},
}

// referralRule holds it for referrals; other orders are others'.
func referralRule(_ context.Context, _ record.Tx, old, new *fhir.Resource) error {
	if old == nil || new == nil || !isReferral(old) {
		return nil
	}
	if !isReferral(new) {
		return fault.At(fault.Conflict, "category", "a referral stays a referral")
	}
	return mayMove(referralMoves, "a referral", old.Str("status"), new.Str("status"))
}

// taskMoves is the state machine of R4's Task (task.html#statemachine), as far as it goes for what one person asks of another.
var taskMoves = map[string][]string{
	"draft":            {"requested", "received", "accepted", "cancelled", "entered-in-error"},
	"requested":        {"received", "accepted", "rejected", "in-progress", "completed", "cancelled", "entered-in-error"},
	"received":         {"accepted", "rejected", "in-progress", "cancelled", "entered-in-error"},
	"accepted":         {"ready", "in-progress", "on-hold", "completed", "cancelled", "failed", "entered-in-error"},
	"ready":            {"in-progress", "on-hold", "cancelled", "failed", "entered-in-error"},
	"in-progress":      {"on-hold", "completed", "cancelled", "failed", "entered-in-error"},
	"on-hold":          {"in-progress", "accepted", "cancelled", "failed", "entered-in-error"},
	"rejected":         {"entered-in-error"},
	"cancelled":        {"entered-in-error"},
	"completed":        {"entered-in-error"},
	"failed":           {"entered-in-error"},
	"entered-in-error": {},
}

// taskRule holds it for the product's own tasks: referrals and second signatures.
func taskRule(_ context.Context, _ record.Tx, old, new *fhir.Resource) error {
	if old == nil || new == nil || !ownTask(old) {
		return nil
	}
	if flat.Code(old.Get("code"), taskSystem) != flat.Code(new.Get("code"), taskSystem) || flat.RefOf(old.Get("focus")) != flat.RefOf(new.Get("focus")) {
		return fault.At(fault.Conflict, "focus", "what a task is about does not change")
	}
	return mayMove(taskMoves, "a task", old.Str("status"), new.Str("status"))
}

func ownTask(t *fhir.Resource) bool {
	code := flat.Code(t.Get("code"), taskSystem)
	return code == "referral" || code == "cosign"
}

// stateOfTask is what the product API calls the statuses of a Task; stateOfOrder those of a ServiceRequest that has none.
var (
	stateOfTask = map[string]string{"draft": "requested", "requested": "requested", "received": "requested", "accepted": "accepted", "ready": "accepted", "rejected": "rejected",
		"in-progress": "in_progress", "on-hold": "in_progress", "completed": "completed", "cancelled": "cancelled", "failed": "cancelled", "entered-in-error": "entered_in_error"}
	stateOfOrder = map[string]string{"draft": "draft", "active": "requested", "on-hold": "requested", "revoked": "cancelled", "completed": "completed", "entered-in-error": "entered_in_error",
		"unknown": "unknown"}
	referralStates = []string{"requested", "accepted", "rejected", "in_progress", "completed", "cancelled"}
	urgencies      = []string{"routine", "urgent", "asap", "stat"}
)

// statusesOf are the statuses of a Task that are told as a state.
func statusesOf(state string) []string {
	var out []string
	for status, told := range stateOfTask {
		if told == state {
			out = append(out, status)
		}
	}
	slices.Sort(out)
	return out
}

// referralIn is the body of creating and changing a referral. It goes to a practitioner, an organization (a facility or a department), or to somebody
// outside, by name.
type referralIn struct {
	PatientID        *string `json:"patientId"`
	EncounterID      *string `json:"encounterId"`
	RequesterID      *string `json:"requesterId"` // the caller's own practitioner where it is absent
	ProviderID       *string `json:"providerId"`
	ReferredToID     *string `json:"referredToId"`
	OrganizationID   *string `json:"organizationId"`
	FacilityID       *string `json:"facilityId"`
	DepartmentID     *string `json:"departmentId"`
	ExternalProvider *string `json:"externalProvider"`
	Specialty        *string `json:"specialty"`
	Reason           *string `json:"reason"`
	Urgency          *string `json:"urgency"`
	Priority         *string `json:"priority"`
	Notes            *string `json:"notes"`
	RequestedDate    *string `json:"requestedDate"` // when it should take place
	Version          *int64  `json:"version"`
}

type replyOut struct {
	Text string  `json:"text"`
	At   *string `json:"at"`
	ByID *string `json:"byId"`
}

// referralOut is a referral as the product API tells it.
type referralOut struct {
	ID               string     `json:"id"`
	PatientID        *string    `json:"patientId"`
	PatientName      *string    `json:"patientName"`
	EncounterID      *string    `json:"encounterId"`
	RequesterID      *string    `json:"requesterId"`
	RequesterName    *string    `json:"requesterName"`
	ProviderID       *string    `json:"providerId"`
	ProviderName     *string    `json:"providerName"`
	OrganizationID   *string    `json:"organizationId"`
	OrganizationName *string    `json:"organizationName"`
	ExternalProvider *string    `json:"externalProvider"`
	Specialty        *string    `json:"specialty"`
	Reason           *string    `json:"reason"`
	Urgency          string     `json:"urgency"`
	Status           string     `json:"status"`
	StatusReason     *string    `json:"statusReason"`
	Notes            *string    `json:"notes"`
	Replies          []replyOut `json:"replies"`
	RequestedDate    *string    `json:"requestedDate"`
	AuthoredOn       *string    `json:"authoredOn"`
	Version          int64      `json:"version"`
	CreatedAt        string     `json:"createdAt"`
	UpdatedAt        string     `json:"updatedAt"`
}

type referralList struct {
	Referrals []referralOut `json:"referrals"`
}

func (s *Service) referralRoutes() []api.Route {
	base := "/api/v1/referrals"
	filters := []api.Param{enumParam("status", "only these", referralStates...), enumParam("urgency", "only these", urgencies...)}
	all := append(slices.Clone(filters), append(textParam("patientId", "providerId", "requesterId", "organizationId"),
		api.Param{Name: "direction", Enum: []string{"inbound", "outbound"}, Help: "inbound: to the caller or where they work; outbound: from the caller"})...)
	routes := []api.Route{
		listed(base, "referrals:read", "Referrals, the newest first", referralList{}, s.serveReferrals(""), all...),
		listed(base+"/inbound", "referrals:read", "Referrals to the caller, or to where they work", referralList{}, s.serveReferrals("inbound"), filters...),
		listed(base+"/outbound", "referrals:read", "Referrals that the caller made", referralList{}, s.serveReferrals("outbound"), filters...),
		line("GET", base+"/{id}", "referrals:read", "One referral", nil, referralOut{}, s.serveReferral),
		line("POST", base, "referrals:create", "Refer a patient", referralIn{}, referralOut{}, s.createReferral),
		line("PUT", base+"/{id}", "referrals:update", "Change a referral that nobody has taken up: the fields that are sent", referralIn{}, referralOut{}, s.updateReferral),
	}
	for _, v := range referralVerbs {
		routes = append(routes, line("POST", base+"/{id}/"+v.name, "referrals:update", v.summary, referralMoveIn{}, referralOut{}, s.moveReferral(v)))
	}
	return routes
}

// referralVerb brings a referral to a state: task and order are the statuses of its two resources; who says whose it is.
type referralVerb struct {
	name, task, order, who, summary string
	reason                          bool // is needed
}

var referralVerbs = []referralVerb{
	{"accept", "accepted", "active", "target", "Take up a referral", false},
	{"reject", "rejected", "revoked", "target", "Turn down a referral, with the reason", true},
	{"start", "in-progress", "active", "target", "Begin what a referral asks for", false},
	{"complete", "completed", "completed", "target", "A referral is done; note is the reply to who referred", false},
	{"cancel", "cancelled", "revoked", "requester", "Take back a referral", false},
}

// referral is a referral with its task, where it has one.
type referral struct {
	order, task *flat.Record
}

func (f *referral) state() string {
	if f.task != nil {
		return stateOfTask[f.task.Res.Str("status")]
	}
	return stateOfOrder[f.order.Res.Str("status")]
}

// withTasks finds the tasks of referrals: of several for one, the newest counts.
func (s *Service) withTasks(ctx context.Context, orders []*flat.Record) ([]referral, error) {
	out := make([]referral, len(orders))
	at := map[string]int{}
	var refs []string
	for i, o := range orders {
		out[i].order = o
		at[o.Ref()] = i
		refs = append(refs, o.Ref())
	}
	if len(refs) == 0 {
		return out, nil
	}
	q := flat.Query{Type: "Task"}
	q.With("focus", strings.Join(refs, ","))
	q.With("code", taskSystem+"|referral")
	q.With("status:not", "entered-in-error")
	err := s.Records.Each(ctx, q, func(t *flat.Record) error {
		if i, ok := at[flat.RefOf(t.Res.Get("focus"))]; ok && (out[i].task == nil || out[i].task.Num < t.Num) {
			out[i].task = t
		}
		return nil
	})
	if fault.Is(err, fault.Forbidden) {
		return out, nil
	}
	return out, err
}

func (s *Service) tellReferrals(ctx context.Context, orders []*flat.Record) ([]referralOut, error) {
	all, err := s.withTasks(ctx, orders)
	if err != nil {
		return nil, err
	}
	k := s.lookup(ctx, orders, "Patient", "Practitioner", "Organization")
	if k.err != nil {
		return nil, k.err
	}
	out := make([]referralOut, 0, len(all))
	for i := range all {
		out = append(out, k.referral(&all[i]))
	}
	return out, k.err
}

func (k *known) referral(f *referral) referralOut {
	o := f.order.Res
	patient, requester := flat.RefOf(o.Get("subject")), flat.RefOf(o.Get("requester"))
	out := referralOut{
		ID: f.order.Key(), PatientID: opt(k.id(patient)), PatientName: opt(k.name(patient)), EncounterID: opt(k.id(flat.RefOf(o.Get("encounter")))), RequesterID: opt(k.id(requester)),
		RequesterName: opt(k.name(requester)), Specialty: opt(flat.Text(o.Get("performerType"))), Urgency: o.Str("priority"), Status: f.state(), Notes: opt(notesOf(o.Get("note"))),
		Replies: []replyOut{}, RequestedDate: opt(o.Str("occurrenceDateTime")), AuthoredOn: opt(o.Str("authoredOn")), Version: f.order.VID, CreatedAt: flat.Created(f.order), UpdatedAt: flat.Stamp(f.order),
	}
	if out.Urgency == "" {
		out.Urgency = "routine"
	}
	if r := flat.Items(o.Get("reasonCode")); len(r) > 0 {
		out.Reason = opt(flat.Text(r[0]))
	}
	for _, p := range flat.Items(o.Get("performer")) {
		switch ref := flat.RefOf(p); {
		case strings.HasPrefix(ref, "Practitioner/"):
			out.ProviderID, out.ProviderName = opt(k.id(ref)), opt(k.name(ref))
		case strings.HasPrefix(ref, "Organization/"):
			out.OrganizationID, out.OrganizationName = opt(k.id(ref)), opt(k.name(ref))
		case ref == "":
			out.ExternalProvider = opt(p.Str("display"))
		}
	}
	if f.task == nil {
		return out
	}
	if f.task.Updated.After(f.order.Updated) {
		out.UpdatedAt = flat.Stamp(f.task)
	}
	out.StatusReason = opt(flat.Text(f.task.Res.Get("statusReason")))
	for _, n := range flat.Items(f.task.Res.Get("note")) {
		out.Replies = append(out.Replies, replyOut{n.Str("text"), opt(n.Str("time")), opt(k.id(flat.RefOf(n.Get("authorReference"))))})
	}
	return out
}

func (s *Service) serveReferrals(direction string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx, ask := r.Context(), r.URL.Query()
		q, err := flat.QueryOf(r, "ServiceRequest")
		if err != nil {
			return err
		}
		q.With("category", snomed+"|"+referralCode)
		q.With("status:not", "entered-in-error")
		for _, f := range []struct{ param, typ, id string }{{"patient", "Patient", ask.Get("patientId")}, {"performer", "Practitioner", ask.Get("providerId")},
			{"performer", "Organization", ask.Get("organizationId")}, {"requester", "Practitioner", ask.Get("requesterId")}} {
			if err := s.refTo(ctx, &q, f.param, f.typ, f.id); err != nil {
				return err
			}
		}
		anyOf(&q, "priority", "", split(r, "urgency")...)
		var statuses []string
		for _, state := range split(r, "status") {
			statuses = append(statuses, statusesOf(state)...)
		}
		if len(statuses) > 0 {
			anyOf(&q, "_has:Task:focus:status", "", statuses...)
		}
		if direction == "" {
			if err := directed(ctx, &q, ask.Get("direction")); err != nil {
				return err
			}
		} else if err := directed(ctx, &q, direction); err != nil {
			return err
		}
		q.Sort = "-authored"
		return listing(s, w, r, "referrals", q, s.tellReferrals)
	}
}

// directed narrows a query to what comes to the caller, or to what they sent.
func directed(ctx context.Context, q *flat.Query, direction string) error {
	if direction == "" {
		return nil
	}
	c := access.From(ctx)
	param, types := "performer", []string{"Practitioner/", "Organization/", "PractitionerRole/"}
	if direction == "outbound" {
		param, types = "requester", []string{"Practitioner/", "PractitionerRole/"}
	}
	var own []string
	for _, ref := range c.Self {
		if slices.ContainsFunc(types, func(t string) bool { return strings.HasPrefix(ref, t) }) {
			own = append(own, ref)
		}
	}
	if len(own) == 0 {
		return fault.At(fault.Unprocessable, "direction", "this account is linked to no practitioner and no organization").WithCode("NO_PRACTITIONER")
	}
	q.With(param, strings.Join(own, ","))
	return nil
}

// readReferral reads a referral with its task. What is no referral is NotFound.
func (s *Service) readReferral(ctx context.Context, id string) (*referral, error) {
	one, err := s.Records.Read(ctx, "ServiceRequest", id)
	if err != nil {
		return nil, err
	}
	if !isReferral(one.Res) {
		return nil, fault.New(fault.NotFound, "there is no such referral")
	}
	all, err := s.withTasks(ctx, []*flat.Record{one})
	if err != nil {
		return nil, err
	}
	return &all[0], nil
}

func (s *Service) serveReferral(w http.ResponseWriter, r *http.Request) error {
	f, err := s.readReferral(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerReferral(w, r, http.StatusOK, f.order)
}

func (s *Service) answerReferral(w http.ResponseWriter, r *http.Request, status int, order *flat.Record) error {
	return answer(w, r, status, "referral", order, s.tellReferrals)
}

func (s *Service) createReferral(w http.ResponseWriter, r *http.Request) error {
	var in referralIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	patient, err := s.Records.Ref(ctx, "patientId", "Patient", said(in.PatientID))
	if err != nil {
		return err
	}
	by, err := s.practitioner(ctx, "requesterId", said(in.RequesterID))
	if err != nil {
		return err
	}
	if said(in.Reason) == "" {
		return missing("reason")
	}
	_, now := s.now()
	o, err := flat.Make("ServiceRequest", obj{"status": "active", "intent": "order", "category": []any{referralCategory()}, "subject": reference(patient), "authoredOn": now,
		"requester": reference(by), "priority": "routine"})
	if err != nil {
		return err
	}
	if id := said(in.EncounterID); id != "" {
		ref, err := s.samePatient(ctx, "encounterId", "Encounter", id, patient, "subject")
		if err == nil {
			err = flat.Set(o.Node, "encounter", reference(ref))
		}
		if err != nil {
			return err
		}
	}
	to, err := s.performers(ctx, &in)
	if err != nil {
		return err
	}
	if len(to) == 0 && said(in.Specialty) == "" {
		return fault.At(fault.Invalid, "providerId", "is missing: a referral goes to a providerId, an organizationId, an externalProvider, or a specialty").WithCode("required")
	}
	if err := s.fillReferral(ctx, o, &in, to); err != nil {
		return err
	}
	task, err := newReferralTask(o, placeholder(0), "requested", now)
	if err != nil {
		return err
	}
	written, err := s.Records.Write(ctx, record.Change{Op: record.Create, Type: "ServiceRequest", Resource: o, FullURL: placeholder(0)},
		record.Change{Op: record.Create, Type: "Task", Resource: task})
	if err != nil {
		return err
	}
	return s.answerReferral(w, r, http.StatusCreated, written[0])
}

// newReferralTask is the Task of a referral.
func newReferralTask(o *fhir.Resource, focus, status, now string) (*fhir.Resource, error) {
	owner := ""
	for _, p := range flat.Items(o.Get("performer")) {
		if ref := flat.RefOf(p); ref != "" && owner == "" {
			owner = ref
		}
	}
	return flat.Make("Task", obj{"status": status, "intent": "order", "code": concept(taskSystem, "referral", "Take up a referral", ""), "focus": reference(focus), "for": reference(flat.RefOf(o.Get("subject"))),
		"encounter": reference(flat.RefOf(o.Get("encounter"))), "authoredOn": now, "lastModified": now, "requester": reference(flat.RefOf(o.Get("requester"))), "owner": reference(owner),
		"priority": o.Str("priority")})
}

// performers are whom the request sends the patient to; nil where it names nobody.
func (s *Service) performers(ctx context.Context, in *referralIn) ([]any, error) {
	var to []any
	if id := said(in.ProviderID, in.ReferredToID); id != "" {
		ref, err := s.Records.Ref(ctx, "providerId", "Practitioner", id)
		if err != nil {
			return nil, err
		}
		to = append(to, reference(ref))
	}
	if id := said(in.DepartmentID, in.OrganizationID, in.FacilityID); id != "" {
		ref, err := s.Records.Ref(ctx, "organizationId", "Organization", id)
		if err != nil {
			return nil, err
		}
		to = append(to, reference(ref))
	}
	if name := said(in.ExternalProvider); name != "" {
		name, err := plainText("externalProvider", name, 200)
		if err != nil {
			return nil, err
		}
		to = append(to, obj{"display": name})
	}
	return to, nil
}

// fillReferral enters the fields that the request has.
func (s *Service) fillReferral(ctx context.Context, o *fhir.Resource, in *referralIn, to []any) error {
	if to != nil {
		if err := flat.Set(o.Node, "performer", to); err != nil {
			return err
		}
	}
	if in.Specialty != nil {
		text, err := plainText("specialty", said(in.Specialty), 200)
		if err == nil {
			err = flat.Set(o.Node, "performerType", concept("", "", "", text))
		}
		if err == nil {
			err = flat.Set(o.Node, "code", concept("", "", "", text))
		}
		if err != nil {
			return err
		}
	}
	if in.Reason != nil {
		text, err := plainText("reason", said(in.Reason), maxText)
		if err != nil {
			return err
		}
		if text == "" {
			return missing("reason")
		}
		if err := flat.Set(o.Node, "reasonCode", []any{concept("", "", "", text)}); err != nil {
			return err
		}
	}
	if v := said(in.Urgency, in.Priority); v != "" {
		if err := oneOf("urgency", v, urgencies...); err != nil {
			return err
		}
		o.Set("priority", fhir.NewString(v))
	}
	if in.RequestedDate != nil {
		at := said(in.RequestedDate)
		if at != "" {
			var err error
			if at, _, _, err = moment("requestedDate", at); err != nil {
				return err
			}
		}
		if err := flat.Set(o.Node, "occurrenceDateTime", at); err != nil {
			return err
		}
	}
	if in.Notes != nil {
		text, err := plainText("notes", said(in.Notes), maxText)
		if err != nil || text == notesOf(o.Get("note")) {
			return err
		}
		return flat.Set(o.Node, "note", []any{emptyWithout(text, annotation(ctx, text, s.Records.Now()))})
	}
	return nil
}

func (s *Service) updateReferral(w http.ResponseWriter, r *http.Request) error {
	var in referralIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	version, err := api.Version(r, in.Version)
	if err != nil {
		return err
	}
	f, err := s.readReferral(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	if state := f.state(); state != "requested" && state != "draft" {
		return fault.At(fault.Conflict, "status", "the referral is %s: it does not change any more", state).WithCode("INVALID_TRANSITION")
	}
	to, err := s.performers(ctx, &in)
	if err != nil {
		return err
	}
	if given(in.PatientID, in.EncounterID, in.RequesterID) {
		if err := s.unmovedReferral(ctx, f, &in); err != nil {
			return err
		}
	}
	order, err := s.Records.Changing(ctx, "ServiceRequest", f.order.Version.ID, func(o *fhir.Resource) error { return s.fillReferral(ctx, o, &in, to) })
	if err != nil {
		return err
	}
	order.IfMatch = version
	set := []record.Change{order}
	if f.task != nil {
		probe := f.order.Res.Clone()
		if err := s.fillReferral(ctx, probe, &in, to); err != nil {
			return err
		}
		owner, err := newReferralTask(probe, f.order.Ref(), "requested", "")
		if err != nil {
			return err
		}
		task, err := s.Records.Changing(ctx, "Task", f.task.Version.ID, func(t *fhir.Resource) error {
			if told := stateOfTask[t.Str("status")]; told != "requested" {
				return fault.At(fault.Conflict, "status", "the referral is %s: it does not change any more", told).WithCode("INVALID_TRANSITION")
			}
			t.Set("lastModified", fhir.NewString(stamp(s.Records.Now())))
			t.Set("priority", fhir.NewString(probe.Str("priority")))
			return flat.Set(t.Node, "owner", reference(flat.RefOf(owner.Get("owner"))))
		})
		if err != nil {
			return err
		}
		set = append(set, task)
	}
	written, err := s.Records.Write(ctx, set...)
	if err != nil {
		return err
	}
	return s.answerReferral(w, r, http.StatusOK, written[0])
}

// unmovedReferral refuses to make a referral another patient's or another doctor's; forms send what they got back.
func (s *Service) unmovedReferral(ctx context.Context, f *referral, in *referralIn) error {
	all, err := s.tellReferrals(ctx, []*flat.Record{f.order})
	if err != nil {
		return err
	}
	for _, x := range []struct {
		field     string
		said, was *string
	}{{"patientId", in.PatientID, all[0].PatientID}, {"encounterId", in.EncounterID, all[0].EncounterID}, {"requesterId", in.RequesterID, all[0].RequesterID}} {
		if x.said != nil && said(x.said) != said(x.was) {
			return fault.At(fault.Unprocessable, x.field, "cannot be changed")
		}
	}
	return nil
}

type referralMoveIn struct {
	Note    *string `json:"note"` // the reply to who referred
	Reply   *string `json:"reply"`
	Reason  *string `json:"reason"`
	Version *int64  `json:"version"`
}

// mayAnswer admits whom a referral goes to, or comes from, and administrators.
func mayAnswer(ctx context.Context, o *fhir.Resource, who string) error {
	c := access.From(ctx)
	if c.User == 0 || c.Permits(access.AllPermissions) {
		return nil
	}
	var refs []string
	if who == "requester" {
		refs = []string{flat.RefOf(o.Get("requester"))}
	} else {
		for _, p := range flat.Items(o.Get("performer")) {
			if ref := flat.RefOf(p); ref != "" {
				refs = append(refs, ref)
			}
		}
		if len(refs) == 0 { // to a specialty, or to somebody outside: whoever handles referrals says what became of it
			return nil
		}
	}
	for _, ref := range refs {
		if slices.Contains(c.Self, ref) {
			return nil
		}
	}
	if who == "requester" {
		return fault.New(fault.Forbidden, "only who made the referral may take it back")
	}
	return fault.New(fault.Forbidden, "only whom the referral goes to may answer it")
}

// moveReferral serves a verb: both resources change as one set.
func (s *Service) moveReferral(v referralVerb) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in referralMoveIn
		if err := api.DecodeOptional(r, &in); err != nil {
			return err
		}
		ctx := r.Context()
		reason, err := plainText("reason", said(in.Reason), maxLine)
		if err != nil {
			return err
		}
		if reason == "" && v.reason {
			return missing("reason")
		}
		note, err := plainText("note", said(in.Note, in.Reply), maxText)
		if err != nil {
			return err
		}
		version, err := api.Version(r, in.Version)
		if err != nil {
			return err
		}
		f, err := s.readReferral(ctx, r.PathValue("id"))
		if err != nil {
			return err
		}
		if err := mayAnswer(ctx, f.order.Res, v.who); err != nil {
			return err
		}
		now := s.Records.Now()
		order, err := s.Records.Changing(ctx, "ServiceRequest", f.order.Version.ID, func(o *fhir.Resource) error {
			if err := mayMove(referralMoves, "a referral", o.Str("status"), v.order); err != nil {
				return err
			}
			o.Set("status", fhir.NewString(v.order))
			return nil
		})
		if err != nil {
			return err
		}
		order.IfMatch = version
		step := func(t *fhir.Resource) error {
			t.Set("status", fhir.NewString(v.task))
			t.Set("lastModified", fhir.NewString(stamp(now)))
			if err := flat.Set(t.Node, "statusReason", concept("", "", "", reason)); err != nil || note == "" {
				return err
			}
			return appendTo(t.Node, "note", annotation(ctx, note, now))
		}
		task, err := s.referralTask(ctx, f, v, stamp(now), step)
		if err != nil {
			return err
		}
		written, err := s.Records.Write(ctx, order, task)
		if err != nil {
			return err
		}
		return s.answerReferral(w, r, http.StatusOK, written[0])
	}
}

// referralTask is the change of the referral's Task, which is made where there is none yet.
func (s *Service) referralTask(ctx context.Context, f *referral, v referralVerb, now string, step func(*fhir.Resource) error) (record.Change, error) {
	if f.task == nil {
		t, err := newReferralTask(f.order.Res, f.order.Ref(), v.task, now)
		if err == nil {
			err = step(t)
		}
		return record.Change{Op: record.Create, Type: "Task", Resource: t}, err
	}
	return s.Records.Changing(ctx, "Task", f.task.Version.ID, func(t *fhir.Resource) error {
		if t.Str("status") == v.task {
			return fault.At(fault.Conflict, "status", "the referral is %s already", v.task).WithCode("INVALID_TRANSITION")
		}
		if err := mayMove(taskMoves, "a referral", t.Str("status"), v.task); err != nil {
			return err
		}
		return step(t)
	})
}
