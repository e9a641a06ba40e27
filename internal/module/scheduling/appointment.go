package scheduling

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Booking is what an appointment is made of. Ids are the product API's.
type Booking struct {
	PatientID  string
	ProviderID string
	LocationID string // a room; "" none
	FacilityID string // an Organization; "" none
	Date, Time string // on the wall of the provider's zone: 2026-11-29, 08:30 or 08:30:00
	Minutes    int    // 0: as long as the provider's visits take
	Reason     string
	Notes      string
	Type       string // the kind of visit
	Priority   string // routine, urgent, emergency; ""
	Confirmed  bool   // the patient has said so already
	Overbook   bool   // asks for a place beyond the capacity
	Outside    bool   // asks for a time outside of working hours
	Hold       bool   // held for a while, not booked; it may be nobody's yet
	start      *int64 // where it was: what Date and Time do not say
}

// The priorities of the product API, as Appointment.priority: 0 is undefined, 1 the highest (iCalendar).
var priorities = map[string]int{"routine": 5, "urgent": 3, "emergency": 1}

// planned is a Booking with what it refers to.
type planned struct {
	Booking
	patient, provider *flat.Record
	location          *flat.Record
	facility          string
	calendar          *calendar
	at                interval.Span
}

// Book makes an appointment as the caller. A time that is taken is a Conflict with the code APPOINTMENT_CONFLICT, which says what is free; so is one outside of working
// hours, unless the booking asks for it and the caller holds appointments:overbook.
func (s *Service) Book(ctx context.Context, b Booking) (*flat.Record, error) {
	made, _, err := s.book(ctx, b)
	return made, err
}

// book is Book that returns what it read as well.
func (s *Service) book(ctx context.Context, b Booking) (*flat.Record, *planned, error) {
	p, err := s.plan(ctx, b)
	if err != nil {
		return nil, nil, err
	}
	r, err := s.resource(p)
	if err != nil {
		return nil, nil, err
	}
	made, err := s.Records.Create(ctx, r)
	return made, p, err
}

// booking is the change that [Service.Book] writes, for sets of several.
func (s *Service) booking(ctx context.Context, b Booking) (record.Change, error) {
	p, err := s.plan(ctx, b)
	if err != nil {
		return record.Change{}, err
	}
	r, err := s.resource(p)
	return record.Change{Op: record.Create, Type: "Appointment", Resource: r}, err
}

// plan reads what a booking refers to, and works out when it is.
func (s *Service) plan(ctx context.Context, b Booking) (*planned, error) {
	p := &planned{Booking: b}
	var err error
	if b.PatientID != "" || !b.Hold {
		if p.patient, err = s.refer(ctx, "patientId", "Patient", b.PatientID); err != nil {
			return nil, err
		}
	}
	if p.provider, err = s.refer(ctx, "providerId", "Practitioner", b.ProviderID); err != nil {
		return nil, err
	}
	if b.LocationID != "" {
		if p.location, err = s.refer(ctx, "locationId", "Location", b.LocationID); err != nil {
			return nil, err
		}
	}
	if b.FacilityID != "" {
		if p.facility, err = s.Records.Ref(ctx, "facilityId", "Organization", b.FacilityID); err != nil {
			return nil, err
		}
	}
	if err := s.when(ctx, p); err != nil {
		return nil, err
	}
	return p, s.mayBook(ctx, p)
}

// refer reads what an id of a request means: Unprocessable where there is no such record that the caller may read.
func (s *Service) refer(ctx context.Context, field, typ, id string) (*flat.Record, error) {
	if id == "" {
		return nil, fault.At(fault.Invalid, field, "is missing").WithCode("required")
	}
	r, err := s.Records.Read(ctx, typ, id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) {
		return nil, fault.At(fault.Unprocessable, field, "there is no %s with this id", typ)
	}
	return r, err
}

// longest is how long an appointment of the product API takes at most, in minutes.
const longest = 24 * 60

// when works out the time of a booking, and reads the provider's calendar around it.
func (s *Service) when(ctx context.Context, p *planned) error {
	if p.Minutes < 0 || p.Minutes > longest {
		return fault.At(fault.Invalid, "duration", "must be from 1 to %d minutes", longest).WithCode("value")
	}
	if p.start != nil {
		if p.Date == "" && p.Time == "" {
			return s.whenAt(ctx, p, *p.start)
		}
		if err := s.fillIn(ctx, p, *p.start); err != nil {
			return err
		}
	}
	d, ok := interval.ParseDate(p.Date)
	if !ok {
		return fault.At(fault.Invalid, "appointmentDate", "must be a date such as 2026-01-31").WithCode("value")
	}
	t, ok := wallTime(p.Time)
	if !ok || t == 24*time.Hour {
		return fault.At(fault.Invalid, "appointmentTime", "must be a time such as 08:30 or 08:30:00").WithCode("value")
	}
	noon := time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC).UnixMicro()
	day := 24 * time.Hour.Microseconds()
	var err error
	if p.calendar, err = s.calendarOf(ctx, actor{"Practitioner", p.provider.Num}, noon-2*day, noon+2*day); err != nil {
		return err
	}
	shown := interval.Wall(d, t, t+time.Second, p.calendar.zone)
	if len(shown) == 0 {
		return fault.At(fault.Unprocessable, "appointmentTime", "there is no such time on that day: the clocks skip it")
	}
	p.span(shown[0].From)
	return nil
}

// fillIn takes the date or the time that a move does not say from where the appointment was.
func (s *Service) fillIn(ctx context.Context, p *planned, was int64) error {
	c, err := s.calendarOf(ctx, actor{"Practitioner", p.provider.Num}, 0, 0)
	if err != nil {
		return err
	}
	at := time.UnixMicro(was).In(c.zone)
	if p.Date == "" {
		p.Date = at.Format(time.DateOnly)
	}
	if p.Time == "" {
		p.Time = at.Format(time.TimeOnly)
	}
	return nil
}

// whenAt is when for an instant.
func (s *Service) whenAt(ctx context.Context, p *planned, at int64) (err error) {
	day := 24 * time.Hour.Microseconds()
	p.calendar, err = s.calendarOf(ctx, actor{"Practitioner", p.provider.Num}, at-2*day, at+2*day)
	if err == nil {
		p.span(at)
	}
	return err
}

// span sets the time of a booking that begins at the instant.
func (p *planned) span(at int64) {
	if p.Minutes == 0 {
		p.Minutes = int(p.calendar.usual() / minutes(1))
	}
	p.at = interval.Span{From: at, To: at + minutes(p.Minutes)}
}

// calendarOf reads a calendar on a snapshot.
func (s *Service) calendarOf(ctx context.Context, a actor, from, to int64) (c *calendar, err error) {
	tenant := access.From(ctx).Tenant
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		c, err = s.books.calendar(ctx, q, tenant, a, from, to)
		return err
	})
	return c, err
}

// mayBook refuses a time that would not be offered to the caller, whatever is booked. Who may not overbook is held to it by the rule itself, through either door.
func (s *Service) mayBook(ctx context.Context, p *planned) error {
	c := access.From(ctx)
	if (p.Overbook || p.Outside) && !c.Permits(overbookPermission) {
		return fault.New(fault.Forbidden, "overbooking, and booking outside of working hours, need the permission %s", overbookPermission)
	}
	now := s.Clock()
	today := interval.Day(p.calendar.day(now.UnixMicro()), p.calendar.zone)
	why := ""
	switch {
	case !c.Permits(overbookPermission):
		why = p.calendar.refuses(p.at, kindsOfType(p.Type), now)
	case len(today) > 0 && p.at.From < today[0].From: // who walks in may be booked into the hour that has begun
		return fault.At(fault.Unprocessable, "appointmentDate", "that day is over")
	case p.Outside:
	case len(p.calendar.VisitTypes) > 0 && !takes(p.calendar.VisitTypes, kindsOfType(p.Type)):
		return fault.At(fault.Unprocessable, "appointmentType", "the provider takes no such visits: %s are taken", strings.Join(p.calendar.VisitTypes, ", "))
	case !p.calendar.open().Holds(p.at):
		why = "that time is outside of working hours"
	}
	if why == "" {
		return nil
	}
	return s.insteadOf(ctx, p, why)
}

// insteadOf is the refusal of a time, with those that are free.
func (s *Service) insteadOf(ctx context.Context, p *planned, why string) error {
	tenant := access.From(ctx).Tenant
	var free []int64
	var zone *time.Location
	err := s.Ledger.View(ctx, tenant, func(q sqldb.Querier) (err error) {
		free, zone, err = s.books.instead(ctx, q, tenant, actor{"Practitioner", p.provider.Num}, visit{p.at.Len(), kindsOfType(p.Type)}, p.at.From)
		return err
	})
	if err != nil {
		return err
	}
	return refusal(why, free, zone)
}

func kindsOfType(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// local is an instant of the calendar, as FHIR's instant with the zone's offset.
func local(at int64, zone *time.Location) string {
	return time.UnixMicro(at).In(zone).Format("2006-01-02T15:04:05Z07:00")
}

// participant is a participant of an Appointment.
func participant(ref, status string) map[string]any {
	return map[string]any{"actor": map[string]any{"reference": ref}, "required": "required", "status": status}
}

// resource makes the Appointment of a booking.
func (s *Service) resource(p *planned) (*fhir.Resource, error) {
	status, answer := "booked", "needs-action"
	if p.Confirmed {
		answer = "accepted"
	}
	var parts, extensions []any
	if p.Hold {
		status = "pending"
		extensions = append(extensions, map[string]any{"url": HoldExtension, "valueInstant": s.holdUntil(p.calendar.kept).Format(time.RFC3339)})
	}
	if p.patient != nil {
		parts = append(parts, participant(p.patient.Ref(), answer))
	}
	parts = append(parts, participant(p.provider.Ref(), "accepted"))
	if p.location != nil {
		parts = append(parts, participant(p.location.Ref(), "accepted"))
	}
	if p.Overbook {
		extensions = append(extensions, map[string]any{"url": OverbookExtension, "valueBoolean": true})
	}
	members := map[string]any{
		"status": status, "start": local(p.at.From, p.calendar.zone), "end": local(p.at.To, p.calendar.zone), "minutesDuration": p.Minutes,
		"created": s.Clock().UTC().Format("2006-01-02T15:04:05Z"), "participant": parts, "extension": extensions,
		"comment": p.Notes, "reasonCode": texts(p.Reason),
	}
	if p.Type != "" {
		members["appointmentType"] = map[string]any{"text": p.Type}
	}
	if p.facility != "" {
		members["supportingInformation"] = []any{map[string]any{"reference": p.facility}}
	}
	if p.Priority != "" {
		n, ok := priorities[p.Priority]
		if !ok {
			return nil, fault.At(fault.Invalid, "priority", "must be routine, urgent or emergency").WithCode("value")
		}
		members["priority"] = n
	}
	return flat.Make("Appointment", members)
}

// texts is a list of one concept that says a text; nothing for none.
func texts(text string) []any {
	if text == "" {
		return nil
	}
	return []any{map[string]any{"text": text}}
}

// Change is what somebody wants to change of an appointment; nil is left as it is.
type Change struct {
	PatientID, ProviderID, LocationID, FacilityID *string
	Date, Time                                    *string
	Minutes                                       *int
	Reason, Notes, Type, Priority                 *string
	Overbook, Outside                             bool
}

// moves reports that a change is about whose time the appointment takes.
func (c *Change) moves() bool {
	return c.PatientID != nil || c.ProviderID != nil || c.LocationID != nil || c.Date != nil || c.Time != nil || c.Minutes != nil
}

// Edit changes an appointment that has not begun, in one transaction: a move frees the old time and takes the new one at once, and the old time is never in the way.
// version is the one that must be current; 0: any. A patient who had confirmed is asked again where somebody else moved the appointment.
func (s *Service) Edit(ctx context.Context, id string, version int64, c Change) (*flat.Record, error) {
	change, err := s.edit(ctx, id, version, c)
	if err != nil {
		return nil, err
	}
	all, err := s.Records.Write(ctx, change)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// edit is the change that [Service.Edit] writes, for sets of several.
func (s *Service) edit(ctx context.Context, id string, version int64, c Change) (record.Change, error) {
	before, err := s.Records.Read(ctx, "Appointment", id)
	if err != nil {
		return record.Change{}, err
	}
	if err := editable(before.Res); err != nil {
		return record.Change{}, err
	}
	b, err := s.bookingOf(ctx, before)
	if err != nil {
		return record.Change{}, err
	}
	c.lay(&b)
	var p *planned
	if c.moves() {
		if p, err = s.plan(ctx, b); err != nil {
			return record.Change{}, err
		}
		if version == 0 { // the new times rest on what was read
			version = before.VID
		}
	} else if p, err = s.unmoved(ctx, b); err != nil {
		return record.Change{}, err
	}
	change, err := s.Records.Changing(ctx, "Appointment", id, func(r *fhir.Resource) error {
		if err := editable(r); err != nil {
			return err
		}
		return s.lay(ctx, r, p, c)
	})
	change.IfMatch = version
	return change, err
}

// unmoved reads what a change without a move refers to.
func (s *Service) unmoved(ctx context.Context, b Booking) (*planned, error) {
	p := &planned{Booking: b}
	var err error
	if b.FacilityID != "" {
		p.facility, err = s.Records.Ref(ctx, "facilityId", "Organization", b.FacilityID)
	}
	return p, err
}

// editable refuses to edit what has begun or is over.
func editable(r *fhir.Resource) error {
	switch status := statusOf(r); status {
	case scheduled, confirmed, held, proposed, waitlisted:
		return nil
	default:
		return fault.At(fault.Conflict, "status", "the appointment is %s: one that is scheduled or confirmed can be edited", status)
	}
}

// lay lays the change over a booking.
func (c *Change) lay(b *Booking) {
	for _, f := range []struct {
		from *string
		to   *string
	}{{c.PatientID, &b.PatientID}, {c.ProviderID, &b.ProviderID}, {c.LocationID, &b.LocationID}, {c.FacilityID, &b.FacilityID}, {c.Date, &b.Date}, {c.Time, &b.Time},
		{c.Reason, &b.Reason}, {c.Notes, &b.Notes}, {c.Type, &b.Type}, {c.Priority, &b.Priority}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Minutes != nil {
		b.Minutes = *c.Minutes
	}
	b.Overbook, b.Outside = b.Overbook || c.Overbook, c.Outside
}

// lay lays a planned change over an Appointment.
func (s *Service) lay(ctx context.Context, r *fhir.Resource, p *planned, c Change) error {
	set := func(name string, value any) error { return flat.Set(r.Node, name, value) }
	if c.moves() {
		if err := s.layTime(ctx, r, p, c); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		wanted bool
		name   string
		value  any
	}{
		{c.Reason != nil, "reasonCode", texts(p.Reason)}, {c.Notes != nil, "comment", p.Notes},
		{c.Type != nil, "appointmentType", concept(p.Type)},
	} {
		if f.wanted {
			if err := set(f.name, f.value); err != nil {
				return err
			}
		}
	}
	if c.FacilityID != nil {
		if err := s.setFacility(r, p.facility); err != nil {
			return err
		}
	}
	if c.Priority != nil {
		n, ok := priorities[p.Priority]
		if !ok {
			return fault.At(fault.Invalid, "priority", "must be routine, urgent or emergency").WithCode("value")
		}
		return set("priority", n)
	}
	return nil
}

func concept(text string) any {
	if text == "" {
		return nil
	}
	return map[string]any{"text": text}
}

// setFacility has the appointment belong to a facility, an Organization among what it is informed by; "" to none.
func (s *Service) setFacility(r *fhir.Resource, ref string) error {
	var kept []any
	for _, n := range flat.Items(r.Get("supportingInformation")) {
		if typ, _, ok := fhir.SplitReference(flat.RefOf(n), s.Records.Base); !ok || typ != "Organization" {
			kept = append(kept, json.RawMessage(n.AppendJSON(nil)))
		}
	}
	if ref != "" {
		kept = append(kept, map[string]any{"reference": ref})
	}
	return flat.Set(r.Node, "supportingInformation", kept)
}

// layTime moves an Appointment: time, patient, provider and room. Slots that it was in are not those of the new time.
func (s *Service) layTime(ctx context.Context, r *fhir.Resource, p *planned, c Change) error {
	start, end := local(p.at.From, p.calendar.zone), local(p.at.To, p.calendar.zone)
	was, _ := instant(r.Str("start"))
	moved := was != p.at.From
	if moved || r.Str("end") != end {
		for name, value := range map[string]any{"start": start, "end": end, "minutesDuration": p.Minutes, "slot": nil} {
			if err := flat.Set(r.Node, name, value); err != nil {
				return err
			}
		}
	}
	for _, f := range []struct {
		changed bool
		typ     string
		now     *flat.Record
	}{{c.PatientID != nil, "Patient", p.patient}, {c.ProviderID != nil, "Practitioner", p.provider}, {c.LocationID != nil, "Location", p.location}} {
		if f.changed && f.now != nil {
			if err := s.replaceActor(r, f.typ, f.now.Ref()); err != nil {
				return err
			}
		}
	}
	if moved && p.patient != nil && !slices.Contains(access.From(ctx).Self, p.patient.Ref()) {
		if err := s.answer(r, "needs-action"); err != nil {
			return err
		}
	}
	if p.Overbook && !readAppointment(r).overbook {
		x := r.Get("extension")
		if x == nil {
			x = fhir.NewArray()
			r.Set("extension", x)
		}
		one := fhir.NewObject()
		one.Set("url", fhir.NewString(OverbookExtension))
		one.Set("valueBoolean", fhir.NewBool(true))
		x.Append(one)
	}
	return nil
}

// replaceActor has the first participant of the type be ref; a patient has to answer anew. A PractitionerRole counts as a Practitioner.
func (s *Service) replaceActor(r *fhir.Resource, typ, ref string) error {
	status := "accepted"
	if typ == "Patient" {
		status = "needs-action"
	}
	for _, part := range flat.Items(r.Get("participant")) {
		t, id, ok := fhir.SplitReference(flat.RefOf(part.Get("actor")), s.Records.Base)
		if !ok || t != typ && !(typ == "Practitioner" && t == "PractitionerRole") {
			continue
		}
		if t+"/"+id == ref {
			return nil
		}
		if err := flat.Set(part, "actor", map[string]any{"reference": ref}); err != nil {
			return err
		}
		return flat.Set(part, "status", status)
	}
	addParticipant(r, ref, status)
	return nil
}

// addParticipant adds a participant to an Appointment.
func addParticipant(r *fhir.Resource, ref, status string) {
	list := r.Get("participant")
	if list == nil {
		list = fhir.NewArray()
		r.Set("participant", list)
	}
	one := fhir.NewObject()
	one.Set("actor", fhir.NewObject().Set("reference", fhir.NewString(ref)))
	one.Set("required", fhir.NewString("required"))
	one.Set("status", fhir.NewString(status))
	list.Append(one)
}

// answer sets what the patients say to the appointment: accepted, needs-action.
func (s *Service) answer(r *fhir.Resource, status string) error {
	for _, part := range flat.Items(r.Get("participant")) {
		if typ, _, ok := fhir.SplitReference(flat.RefOf(part.Get("actor")), s.Records.Base); ok && typ == "Patient" && part.Str("status") != "declined" {
			if err := flat.Set(part, "status", status); err != nil {
				return err
			}
		}
	}
	return nil
}

// bookingOf is the booking that an Appointment came of.
func (s *Service) bookingOf(ctx context.Context, r *flat.Record) (Booking, error) {
	read := readAppointment(r.Res)
	b := Booking{Reason: reasonOf(r.Res), Notes: r.Res.Str("comment"), Type: typeOf(r.Res), Priority: priorityOf(r.Res), Overbook: read.overbook}
	if read.timed {
		b.start, b.Minutes = &read.at.From, int(read.at.Len()/minutes(1))
	}
	w := s.who(r.Res)
	var err error
	for _, f := range []struct {
		to  *string
		ref string
	}{{&b.PatientID, w.patient}, {&b.LocationID, w.location}, {&b.FacilityID, w.facility}} {
		if *f.to, err = s.Records.IDOfRef(ctx, f.ref); err != nil {
			return b, err
		}
	}
	practitioners, err := s.practitioners(ctx, []string{w.provider})
	if err != nil {
		return b, err
	}
	b.ProviderID, err = s.Records.IDOfRef(ctx, practitioners[w.provider])
	b.Hold = b.PatientID == ""
	return b, err
}
