package scheduling

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
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// OfferExtension (valueBoolean true) says that a pending appointment is an offer to somebody on the waiting list: where it is not claimed in time it goes back there.
const OfferExtension = "urn:x-nilecare:waitlist-offer"

// offerJob offers time that has come free. Its data is the practitioner's number, and the beginning and end of the time, with slashes between them.
const offerJob = "scheduling.offer"

// claimWindow is how long an offer stands, unless the visit is sooner.
const claimWindow = 2 * time.Hour

// The states of a place on the waiting list.
const (
	waitingState   = "waiting"
	contactedState = "contacted" // somebody spoke to the patient; offers go on
	offeredState   = "offered"
	placedState    = "scheduled"
	withdrawnState = "cancelled"
)

// waiting is a row of scheduling_waiting.
type waiting struct {
	appointment, patient int64
	provider             actor
	minutes              int
	from, to             int64
	urgency              int
	state                string
	passed               []int64
	offered              int64 // the start that was offered last
	until                int64
	contacted, since     int64
}

const waitingColumns = "appointment, patient, type, num, minutes, from_at, to_at, urgency, state, passed, offered_at, offer_until, contacted_at, created_at"

func (b books) scanWaiting(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]*waiting, error) {
	var out []*waiting
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		x := &waiting{}
		var passed string
		err := rows.Scan(&x.appointment, &x.patient, &x.provider.typ, &x.provider.num, &x.minutes, &x.from, &x.to, &x.urgency, &x.state, &passed, &x.offered, &x.until, &x.contacted, &x.since)
		if err == nil && passed != "" {
			err = json.Unmarshal([]byte(passed), &x.passed)
		}
		out = append(out, x)
		return err
	}, "SELECT "+waitingColumns+" FROM scheduling_waiting WHERE "+sql, args...)
	return out, err
}

// isOffer reports that a pending appointment is an offer.
func isOffer(r *fhir.Resource) bool {
	for _, x := range flat.Items(r.Get("extension")) {
		if x.Str("url") == OfferExtension {
			v := x.Get("valueBoolean")
			return v != nil && v.Text == "true"
		}
	}
	return false
}

// wait has the waiting list follow an appointment, whoever wrote it.
func (b books) wait(ctx context.Context, tx record.Tx, tenant int32, a *appointment, r *fhir.Resource) error {
	all, err := b.scanWaiting(ctx, tx, "tenant = $1 AND appointment = $2", tenant, a.num)
	if err != nil {
		return err
	}
	if a.status == "waitlist" && r != nil {
		return b.waits(ctx, tx, tenant, a, r, all)
	}
	if len(all) == 0 {
		return nil
	}
	state, until := withdrawnState, int64(0)
	switch {
	case a.status == "pending" && r != nil && isOffer(r):
		state, until = offeredState, a.until.UnixMicro()
	case holds(a.status) || a.status == "fulfilled":
		state = placedState
	}
	if all[0].state == state && all[0].until == until {
		return nil
	}
	who, now := b.stamps(ctx)
	_, err = tx.Exec(ctx, "UPDATE scheduling_waiting SET state = $3, offer_until = $4, updated_by = $5, updated_at = $6 WHERE tenant = $1 AND appointment = $2", tenant, a.num, state, until, who, now)
	return err
}

// waits enters an appointment on the waiting list, or lets it keep its place there. An offer that was not claimed is remembered: it is not made again.
func (b books) waits(ctx context.Context, tx record.Tx, tenant int32, a *appointment, r *fhir.Resource, was []*waiting) error {
	x := &waiting{appointment: a.num, minutes: defaultMinutes, urgency: urgencyOf(r), state: waitingState}
	for _, ref := range a.refs {
		typ, num, ok, err := b.l.Meant(ctx, tx, tenant, ref)
		if err != nil {
			return err
		}
		switch {
		case ok && typ == "Patient":
			x.patient = num
		case ok && x.provider == nobody:
			if err := b.addActor(ctx, tx, tenant, actor{typ, num}, func(one actor, _ int64) { x.provider = one }); err != nil {
				return err
			}
		}
	}
	if n := r.Get("minutesDuration"); n != nil {
		if m, err := strconv.Atoi(n.Text); err == nil && m > 0 {
			x.minutes = m
		}
	}
	if p := r.Get("requestedPeriod").First(); p != nil {
		x.from, _ = instant(p.Str("start"))
		x.to, _ = endOf(p.Str("end"))
	}
	if len(was) > 0 {
		x.passed = was[0].passed
		if was[0].state == offeredState {
			x.passed = append(x.passed, was[0].offered)
		}
		if was[0].state == contactedState {
			x.state = contactedState
		}
	}
	passed, err := json.Marshal(x.passed)
	if err != nil {
		return err
	}
	who, now := b.stamps(ctx)
	_, err = tx.Exec(ctx, `INSERT INTO scheduling_waiting (tenant, appointment, patient, type, num, minutes, from_at, to_at, urgency, state, passed, offer_until, contacted_at, created_by, created_at, updated_by, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, $12, $13, $12, $13) ON CONFLICT (tenant, appointment) DO UPDATE SET patient = excluded.patient, type = excluded.type,
		num = excluded.num, minutes = excluded.minutes, from_at = excluded.from_at, to_at = excluded.to_at, urgency = excluded.urgency, state = excluded.state, passed = excluded.passed,
		offer_until = 0, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
		tenant, x.appointment, x.patient, x.provider.typ, x.provider.num, x.minutes, x.from, x.to, x.urgency, x.state, string(passed), who, now)
	if err != nil || len(was) > 0 || x.to == 0 || x.provider.typ != "Practitioner" {
		return err
	}
	// There may be time already in the days that the patient can come.
	return b.putOffer(ctx, tx, tenant, x.provider.num, x.from, x.to)
}

// endOf is the last instant of a date or time.
func endOf(s string) (int64, bool) {
	from, ok := instant(s)
	if ok && len(s) == len(time.DateOnly) {
		from += 24*time.Hour.Microseconds() - 1
	}
	return from, ok
}

// urgencyOf orders the waiting list: Appointment.priority, where 0 and absent are routine.
func urgencyOf(r *fhir.Resource) int {
	n := r.Get("priority")
	if n == nil || n.Text == "0" {
		return priorities["routine"]
	}
	v, err := strconv.Atoi(n.Text)
	if err != nil {
		return priorities["routine"]
	}
	return v
}

// freed has the time that an appointment gave up offered to those who wait for it.
func (b books) freed(ctx context.Context, tx record.Tx, tenant int32, a *appointment, was []claim) error {
	if len(was) == 0 {
		return nil
	}
	now, err := b.claimsOf(ctx, tx, tenant, a.num)
	if err != nil {
		return err
	}
	for _, c := range was {
		if c.typ != "Practitioner" || slices.ContainsFunc(now, c.same) {
			continue
		}
		var n int
		if _, err := sqldb.QueryRow(ctx, tx, []any{&n}, "SELECT count(*) FROM scheduling_waiting WHERE tenant = $1 AND type = $2 AND num = $3 AND state IN ('waiting', 'contacted')", tenant, c.typ, c.num); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := b.putOffer(ctx, tx, tenant, c.num, c.starts, c.ends); err != nil {
			return err
		}
	}
	return nil
}

func (b books) putOffer(ctx context.Context, tx record.Tx, tenant int32, practitioner, from, to int64) error {
	id := b.l.Next()
	data := decimal(practitioner) + "/" + decimal(from) + "/" + decimal(to)
	return job.Put(ctx, tx, tenant, job.Job{ID: id, Kind: offerJob, Key: decimal(id), Data: []byte(data)})
}

// offer offers time that has come free to those who wait, the most urgent and then the longest waiting first, until nothing or nobody is left.
func (s *Service) offer(ctx context.Context, j job.Job) (any, error) {
	part := strings.Split(string(j.Data), "/")
	var n [3]int64
	for i := range n {
		var err error
		if len(part) != 3 {
			return nil, job.Never(strconv.ErrSyntax)
		}
		if n[i], err = strconv.ParseInt(part[i], 10, 64); err != nil {
			return nil, job.Never(err)
		}
	}
	provider, span := actor{"Practitioner", n[0]}, interval.Span{From: n[1], To: n[2]}
	var all []*waiting
	err := s.Ledger.Read(ctx, j.Tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanWaiting(ctx, q, `tenant = $1 AND type = $2 AND num = $3 AND state IN ('waiting', 'contacted') AND (to_at = 0 OR to_at > $4) AND from_at < $5
			ORDER BY urgency, created_at, appointment LIMIT 100`, j.Tenant, provider.typ, provider.num, span.From, span.To)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		if err := s.offerTo(ctx, x, span); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// offerTo offers the first time within the span that fits to one who waits; where there is none it does nothing.
func (s *Service) offerTo(ctx context.Context, x *waiting, span interval.Span) error {
	within := span
	within.From = max(within.From, x.from)
	if x.to != 0 {
		within.To = min(within.To, x.to)
	}
	c, err := s.calendarOf(ctx, x.provider, within.From, within.To)
	if err != nil {
		return err
	}
	for _, at := range c.starts(visit{length: minutes(x.minutes)}, s.Clock()) {
		if at < within.From || at+minutes(x.minutes) > within.To || slices.Contains(x.passed, at) {
			continue
		}
		err := s.makeOffer(ctx, x, at, c.zone)
		if fault.Is(err, fault.Conflict) { // somebody was faster, or it does not suit the patient's other appointments
			continue
		}
		return goneIsDone(err)
	}
	return nil
}

// makeOffer turns a place on the waiting list into a pending appointment that ends by itself, and tells the patient.
func (s *Service) makeOffer(ctx context.Context, x *waiting, at int64, zone *time.Location) error {
	id, err := s.Records.Store.Named(ctx, "Appointment", x.appointment)
	if err != nil {
		return err
	}
	until := s.Clock().Add(claimWindow).Truncate(time.Second)
	if start := time.UnixMicro(at); start.Before(until) {
		until = start
	}
	tenant := access.From(ctx).Tenant
	err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE scheduling_waiting SET offered_at = $3 WHERE tenant = $1 AND appointment = $2", tenant, x.appointment, at)
		return err
	})
	if err != nil {
		return err
	}
	made, err := s.Records.Update(ctx, "Appointment", id, 0, func(r *fhir.Resource) error {
		if r.Str("status") != "waitlist" {
			return fault.New(fault.Conflict, "the appointment waits no more")
		}
		return setOffer(r, at, at+minutes(x.minutes), until, zone)
	})
	if err != nil {
		return err
	}
	return s.tellOffer(ctx, made, until)
}

func setOffer(r *fhir.Resource, from, to int64, until time.Time, zone *time.Location) error {
	kept := append(otherExtensions(r, HoldExtension, OfferExtension), map[string]any{"url": HoldExtension, "valueInstant": until.UTC().Format(time.RFC3339)}, map[string]any{"url": OfferExtension, "valueBoolean": true})
	for _, m := range []struct {
		name  string
		value any
	}{{"extension", kept}, {"status", "pending"}, {"start", local(from, zone)}, {"end", local(to, zone)}} {
		if err := flat.Set(r.Node, m.name, m.value); err != nil {
			return err
		}
	}
	return nil
}

// otherExtensions are a resource's extensions but for those of the URLs, to be set again.
func otherExtensions(r *fhir.Resource, urls ...string) []any {
	var kept []any
	for _, x := range flat.Items(r.Get("extension")) {
		if !slices.Contains(urls, x.Str("url")) {
			kept = append(kept, json.RawMessage(x.AppendJSON(nil)))
		}
	}
	return kept
}

// dropExtensions takes extensions off a resource.
func dropExtensions(r *fhir.Resource, urls ...string) error {
	return flat.Set(r.Node, "extension", otherExtensions(r, urls...))
}

// backToList takes an offer back: the appointment waits again.
func backToList(r *fhir.Resource) error {
	r.Delete("start")
	r.Delete("end")
	if err := dropExtensions(r, HoldExtension, OfferExtension); err != nil {
		return err
	}
	return flat.Set(r.Node, "status", "waitlist")
}

// tellOffer tells the patient of an offer, by mail and text message.
func (s *Service) tellOffer(ctx context.Context, r *flat.Record, until time.Time) error {
	if s.Messages == nil {
		return nil
	}
	t, err := s.telling(ctx, r)
	if err != nil || t == nil {
		return err
	}
	with, withAr := t.with()
	tenant, by := access.From(ctx).Tenant, until.In(t.at.Location()).Format("15:04")
	var all []any
	for _, channel := range []string{"email", "sms"} {
		p, err := s.Messages.Prepare(ctx, tenant, Message{
			Key: "offer/" + r.Version.ID + "/" + channel + "/" + decimal(t.at.UnixMicro()), Channel: channel, Patient: t.patient, Type: "waitlist.offer",
			Title: "An earlier time is free", Body: "A time" + with + " has come free: " + t.day + " at " + t.at.Format("15:04") + ". It is kept for you until " + by + ".",
			TitleAr: "موعد أقرب متاح", BodyAr: "أصبح موعد" + withAr + " متاحا: " + t.dayAr + " الساعة " + t.at.Format("15:04") + ". محجوز لك حتى الساعة " + by + ".",
			Link: r.Ref(), Until: until,
		})
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		for _, p := range all {
			if err := s.Messages.Put(ctx, tx, tenant, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// waitingIn is the body of a new place on the waiting list.
type waitingIn struct {
	PatientID  *api.StringOrNumber `json:"patientId"`
	ProviderID *api.StringOrNumber `json:"providerId"`
	Date       *string             `json:"preferredDate,omitempty" doc:"YYYY-MM-DD; none: offers are made as time comes free"`
	From       *string             `json:"preferredFrom,omitempty" doc:"YYYY-MM-DD, the first of several days"`
	To         *string             `json:"preferredTo,omitempty"`
	Duration   *whole              `json:"duration,omitempty" doc:"minutes; 30 where nothing is said"`
	Reason     *string             `json:"reason,omitempty"`
	Priority   *string             `json:"priority,omitempty" doc:"routine, urgent or emergency"`
}

// waitingJSON is a place on the waiting list.
type waitingJSON struct {
	ID            string `json:"id" doc:"the appointment's"`
	PatientID     string `json:"patientId"`
	ProviderID    string `json:"providerId"`
	PreferredFrom string `json:"preferredFrom,omitempty"`
	PreferredTo   string `json:"preferredTo,omitempty"`
	Reason        string `json:"reason"`
	Status        string `json:"status" doc:"waiting, contacted, offered, scheduled, cancelled"`
	Priority      string `json:"priority,omitempty"`
	Duration      int    `json:"duration"`
	OfferedStart  string `json:"offeredStart,omitempty"`
	OfferUntil    string `json:"offerUntil,omitempty"`
	ContactedAt   string `json:"contactedAt,omitempty"`
	CreatedAt     string `json:"createdAt"`
	FirstName     string `json:"first_name"`
	LastName      string `json:"last_name"`
	Phone         string `json:"phone,omitempty"`
	Email         string `json:"email,omitempty"`

	PatientIDTwin  string `json:"patient_id"`
	ProviderIDTwin string `json:"provider_id"`
	PreferredTwin  string `json:"preferred_date,omitempty"`
	ContactedTwin  string `json:"contacted_at,omitempty"`
	CreatedTwin    string `json:"created_at"`
}

type waitingList struct {
	Waitlist []waitingJSON `json:"waitlist"`
}

func (s *Service) waitlistRoutes() []api.Route {
	read, create, update, cancel := api.Permission("appointments:read"), api.Permission("appointments:create"), api.Permission("appointments:update"), api.Permission("appointments:cancel")
	const path = "/api/v1/waitlist"
	states := []string{waitingState, contactedState, offeredState, placedState, withdrawnState, "all"}
	return []api.Route{
		{Method: "GET", Path: path, Need: read, Summary: "Who waits for an appointment: the most urgent, then the longest waiting first", Out: waitingList{},
			Params: []api.Param{{Name: "providerId"}, {Name: "status", Enum: states, Help: "waiting, contacted and offered where nothing is said"}}, Serve: s.serveWaitlist},
		{Method: "POST", Path: path, Need: create, Summary: "Put a patient on the waiting list of a provider; time that comes free is offered by itself", In: waitingIn{}, Out: waitingJSON{}, Serve: s.serveWait},
		{Method: "PATCH", Path: path + "/{id}/contacted", Need: api.Permission(desk), Summary: "Somebody has spoken to the patient", Out: waitingJSON{}, Serve: s.serveContacted},
		{Method: "POST", Path: path + "/{id}/claim", Need: update, Summary: "Take the time that is offered", Out: appointmentJSON{}, Serve: s.serveClaim},
		{Method: "POST", Path: path + "/{id}/decline", Need: update, Summary: "Leave the time that is offered to the next; the place on the list is kept", Out: waitingJSON{}, Serve: s.serveDecline},
		{Method: "DELETE", Path: path + "/{id}", Need: cancel, Summary: "Take a patient off the waiting list", Out: waitingJSON{}, Serve: s.serveUnwait},
	}
}

// period reads the days that a patient can come, in the zone: zero for any.
func (in *waitingIn) period(zone *time.Location) (from, to time.Time, err error) {
	first, last := value(in.From), value(in.To)
	if d := value(in.Date); d != "" {
		if first != "" || last != "" {
			return from, to, fault.At(fault.Invalid, "preferredDate", "stands alone: preferredFrom and preferredTo name a range").WithCode("value")
		}
		first, last = d, d
	}
	for _, f := range []struct {
		name, value string
		to          *time.Time
		end         bool
	}{{"preferredFrom", first, &from, false}, {"preferredTo", last, &to, true}} {
		if f.value == "" {
			continue
		}
		d, ok := interval.ParseDate(f.value)
		if !ok {
			return from, to, fault.At(fault.Invalid, f.name, "must be a date such as 2026-01-31").WithCode("value")
		}
		begin, end := dayOf(d, zone)
		if *f.to = begin; f.end {
			*f.to = end.Add(-time.Second)
		}
	}
	if !from.IsZero() && !to.IsZero() && to.Before(from) {
		err = fault.At(fault.Invalid, "preferredTo", "is before preferredFrom").WithCode("value")
	}
	return from, to, err
}

func (s *Service) serveWait(w http.ResponseWriter, r *http.Request) error {
	var in waitingIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	made, err := s.Wait(r.Context(), &in)
	if err != nil {
		return said(err)
	}
	return s.tellWaiting(w, r, http.StatusCreated, made)
}

// Wait puts a patient on the waiting list.
func (s *Service) Wait(ctx context.Context, in *waitingIn) (*flat.Record, error) {
	b := Booking{PatientID: string(value(in.PatientID)), ProviderID: string(value(in.ProviderID)), Minutes: int(value(in.Duration)), Reason: value(in.Reason), Priority: value(in.Priority)}
	if err := s.forSelf(ctx, &b); err != nil {
		return nil, err
	}
	if b.Minutes < 0 || b.Minutes > longest {
		return nil, fault.At(fault.Invalid, "duration", "must be from 1 to %d minutes", longest).WithCode("value")
	}
	if b.Minutes == 0 {
		b.Minutes = defaultMinutes
	}
	if err := b.bounds(); err != nil {
		return nil, err
	}
	patient, err := s.refer(ctx, "patientId", "Patient", b.PatientID)
	if err != nil {
		return nil, err
	}
	provider, err := s.refer(ctx, "providerId", "Practitioner", b.ProviderID)
	if err != nil {
		return nil, err
	}
	zone, err := s.zoneOf(ctx, provider.Ref())
	if err != nil {
		return nil, err
	}
	from, to, err := in.period(zone)
	if err != nil {
		return nil, err
	}
	if !to.IsZero() && to.Before(s.Clock()) {
		return nil, fault.At(fault.Unprocessable, "preferredDate", "that day is over")
	}
	period := map[string]any{}
	for name, t := range map[string]time.Time{"start": from, "end": to} {
		if !t.IsZero() {
			period[name] = t.Format(time.RFC3339)
		}
	}
	priority, known := priorities[b.Priority]
	if !known && b.Priority != "" {
		return nil, fault.At(fault.Invalid, "priority", "must be routine, urgent or emergency").WithCode("value")
	}
	members := map[string]any{"status": "waitlist", "minutesDuration": b.Minutes, "created": s.Clock().UTC().Format("2006-01-02T15:04:05Z"), "reasonCode": texts(b.Reason),
		"participant": []any{participant(patient.Ref(), "needs-action"), participant(provider.Ref(), "needs-action")}, "requestedPeriod": []any{period}}
	if known {
		members["priority"] = priority
	}
	res, err := flat.Make("Appointment", members)
	if err != nil {
		return nil, err
	}
	made, err := s.Records.Create(ctx, res)
	if err == nil && s.Jobs != nil {
		s.Jobs.Wake()
	}
	return made, err
}

// shownWaiting are places on the list, of appointments that the caller may see.
func (s *Service) shownWaiting(ctx context.Context, all []*waiting) ([]waitingJSON, error) {
	refs := make([]string, len(all))
	for i, x := range all {
		id, err := s.Records.Store.Named(ctx, "Appointment", x.appointment)
		if err != nil {
			return nil, err
		}
		refs[i] = "Appointment/" + id
	}
	seen, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	var records []*flat.Record
	var rows []*waiting
	for i, x := range all {
		if r := seen[refs[i]]; r != nil {
			records, rows = append(records, r), append(rows, x)
		}
	}
	shown, err := s.show(ctx, records, true)
	if err != nil {
		return nil, err
	}
	out := make([]waitingJSON, len(rows))
	for i, x := range rows {
		a := &shown[i]
		out[i] = waitingJSON{ID: a.ID, PatientID: a.PatientID, ProviderID: a.ProviderID, Reason: a.Reason, Status: x.state, Priority: a.Priority, Duration: x.minutes, CreatedAt: a.CreatedAt,
			FirstName: a.PatientFirstName, LastName: a.PatientLastName, Phone: a.PatientPhone, Email: a.PatientEmail}
		o := &out[i]
		zone, err := time.LoadLocation(a.TimeZone)
		if err != nil {
			zone = flat.DefaultZone()
		}
		day := func(at int64) string {
			if at == 0 {
				return ""
			}
			return time.UnixMicro(at).In(zone).Format(time.DateOnly)
		}
		stamp := func(at int64) string {
			if at == 0 {
				return ""
			}
			return flat.StampOf(time.UnixMicro(at))
		}
		o.PreferredFrom, o.PreferredTo, o.ContactedAt = day(x.from), day(x.to), stamp(x.contacted)
		if x.state == offeredState {
			o.OfferUntil, o.OfferedStart = stamp(x.until), value(a.Start)
		}
		o.PatientIDTwin, o.ProviderIDTwin, o.PreferredTwin, o.ContactedTwin, o.CreatedTwin = o.PatientID, o.ProviderID, o.PreferredFrom, o.ContactedAt, o.CreatedAt
	}
	return out, nil
}

// mostWaiting bounds one answer of the waiting list.
const mostWaiting = 1000

func (s *Service) serveWaitlist(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), r.URL.Query()
	tenant := access.From(ctx).Tenant
	b := &sqldb.Builder{}
	b.SQL("tenant = ").Arg(tenant)
	switch state := v.Get("status"); state {
	case "":
		b.SQL(" AND state IN ('waiting', 'contacted', 'offered')")
	case "all":
	default:
		b.SQL(" AND state = ").Arg(state)
	}
	if id := v.Get("providerId"); id != "" {
		name, err := s.Records.FHIRID(ctx, "Practitioner", id)
		if err != nil {
			return err
		}
		num, _, err := s.Records.Store.Number(ctx, "Practitioner", name)
		if err != nil {
			return err
		}
		b.SQL(" AND type = 'Practitioner' AND num = ").Arg(num)
	}
	b.SQL(" ORDER BY urgency, created_at, appointment LIMIT ").Arg(mostWaiting)
	var all []*waiting
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanWaiting(ctx, q, b.String(), b.Args...)
		return err
	})
	if err != nil {
		return err
	}
	shown, err := s.shownWaiting(ctx, all)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, waitingList{shown})
}

// tellWaiting answers with one place on the list.
func (s *Service) tellWaiting(w http.ResponseWriter, r *http.Request, status int, v *flat.Record) error {
	ctx := r.Context()
	tenant := access.From(ctx).Tenant
	var all []*waiting
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanWaiting(ctx, q, "tenant = $1 AND appointment = $2", tenant, v.Num)
		return err
	})
	if err != nil {
		return err
	}
	shown, err := s.shownWaiting(ctx, all)
	if err != nil {
		return err
	}
	if len(shown) == 0 {
		return fault.New(fault.NotFound, "the appointment is not on the waiting list")
	}
	return api.AnswerOne(w, r, status, "entry", shown[0])
}

func (s *Service) serveContacted(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.Records.Read(ctx, "Appointment", r.PathValue("id"))
	if err != nil {
		return err
	}
	tenant := access.From(ctx).Tenant
	var n int64
	err = s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE scheduling_waiting SET state = 'contacted', contacted_at = $3, updated_by = $4, updated_at = $3 WHERE tenant = $1 AND appointment = $2 AND state IN ('waiting', 'contacted')",
			tenant, v.Num, s.Clock().UnixMicro(), access.From(ctx).Who)
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "the patient does not wait any more")
	}
	return s.tellWaiting(w, r, http.StatusOK, v)
}

// offered reads an appointment that is offered, for its patient or for staff.
func (s *Service) offeredTo(ctx context.Context, id string) (*flat.Record, error) {
	v, err := s.Records.Read(ctx, "Appointment", id)
	if err != nil {
		return nil, err
	}
	if v.Res.Str("status") != "pending" || !isOffer(v.Res) {
		return nil, fault.New(fault.Conflict, "no time is offered any more")
	}
	return v, nil
}

func (s *Service) serveClaim(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.offeredTo(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	made, err := s.Records.Update(ctx, "Appointment", v.Key(), v.VID, func(res *fhir.Resource) error {
		if until := readAppointment(res).until; !until.After(s.Clock()) {
			return fault.New(fault.Conflict, "the offer has ended")
		}
		if err := dropExtensions(res, HoldExtension, OfferExtension); err != nil {
			return err
		}
		return s.setStatus(res, confirmed, Reason{})
	})
	if err != nil {
		return said(err)
	}
	return s.tell(w, r, http.StatusOK, made, false)
}

func (s *Service) serveDecline(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.offeredTo(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	made, err := s.Records.Update(ctx, "Appointment", v.Key(), v.VID, backToList)
	if err != nil {
		return said(err)
	}
	if s.Jobs != nil {
		s.Jobs.Wake()
	}
	return s.tellWaiting(w, r, http.StatusOK, made)
}

func (s *Service) serveUnwait(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.Records.Read(ctx, "Appointment", r.PathValue("id"))
	if err != nil {
		return err
	}
	if v.Res.Str("status") != "waitlist" && !isOffer(v.Res) {
		return fault.New(fault.Conflict, "the appointment is not on the waiting list")
	}
	made, err := s.Cancel(ctx, v.Key(), 0, Reason{})
	if err != nil {
		return said(err)
	}
	return s.tellWaiting(w, r, http.StatusOK, made)
}
