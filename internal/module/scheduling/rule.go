package scheduling

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Extensions of an Appointment.
const (
	// OverbookExtension (valueBoolean true) asks for a place beyond the capacity.
	OverbookExtension = "urn:x-nilecare:overbook"
	// HoldExtension (valueInstant) is when a pending appointment ends by itself.
	HoldExtension = "urn:x-nilecare:hold-until"
)

// overbookPermission lets its holder ask for a place beyond the capacity, and book outside of working hours and notice.
const overbookPermission = "appointments:overbook"

// conflictCode is the product API's code of a refusal because time is taken.
const conflictCode = "APPOINTMENT_CONFLICT"

// appointment is what the ledger reads of an Appointment.
type appointment struct {
	num      int64
	status   string
	at       interval.Span
	timed    bool
	refs     []string // of those who take part, in their order
	slots    []string
	kinds    []string
	overbook bool
	until    time.Time // of a hold
}

// instant reads an instant of FHIR.
func instant(s string) (int64, bool) {
	lo, _, ok := search.DateSpan(s)
	return lo, ok
}

// readAppointment takes an Appointment apart.
func readAppointment(r *fhir.Resource) *appointment {
	a := &appointment{status: r.Str("status")}
	from, ok1 := instant(r.Str("start"))
	to, ok2 := instant(r.Str("end"))
	a.at, a.timed = interval.Span{From: from, To: to}, ok1 && ok2
	for _, p := range flat.Items(r.Get("participant")) {
		if ref := flat.RefOf(p.Get("actor")); ref != "" && p.Str("status") != "declined" && p.Str("required") != "information-only" {
			a.refs = append(a.refs, ref)
		}
	}
	for _, s := range flat.Items(r.Get("slot")) {
		a.slots = append(a.slots, flat.RefOf(s))
	}
	a.kinds = kindsOf(r)
	for _, x := range flat.Items(r.Get("extension")) {
		switch x.Str("url") {
		case OverbookExtension:
			v := x.Get("valueBoolean")
			a.overbook = v != nil && v.Text == "true"
		case HoldExtension:
			if at, ok := instant(x.Str("valueInstant")); ok {
				a.until = time.UnixMicro(at)
			}
		}
	}
	return a
}

// kindsOf are the names of the kind of visit: the codes and texts of appointmentType and serviceType.
func kindsOf(r *fhir.Resource) []string {
	var out []string
	add := func(concept *fhir.Node) {
		if concept == nil {
			return
		}
		for _, c := range flat.Items(concept.Get("coding")) {
			if code := c.Str("code"); code != "" {
				out = append(out, code)
			}
		}
		if t := concept.Str("text"); t != "" {
			out = append(out, t)
		}
	}
	add(r.Get("appointmentType"))
	for _, t := range flat.Items(r.Get("serviceType")) {
		add(t)
	}
	return out
}

// check refuses what an appointment cannot be: R4 demands times of all but proposed, cancelled and waiting ones (app-2, app-3).
func (a *appointment) check(r *fhir.Resource) error {
	switch {
	case (r.Get("start") == nil) != (r.Get("end") == nil):
		return fault.At(fault.Unprocessable, "Appointment.end", "start and end stand together or not at all (app-2)").WithCode("invariant")
	case !a.timed && a.status != "proposed" && a.status != "cancelled" && a.status != "waitlist" && a.status != "entered-in-error":
		return fault.At(fault.Unprocessable, "Appointment.start", "an appointment that is %s has a start and an end (app-3)", a.status).WithCode("invariant")
	case a.timed && a.at.Empty():
		return fault.At(fault.Unprocessable, "Appointment.end", "the end is not after the start").WithCode("invariant")
	}
	return nil
}

// onAppointment is the rule of Appointment: the order of statuses, and whose time it takes.
func (b books) onAppointment(ctx context.Context, tx record.Tx, old, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	one := r
	if one == nil {
		one = old
	}
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Appointment/"+one.ID())
	if err != nil || !ok {
		return err
	}
	var was []claim
	if old != nil {
		if was, err = b.claimsOf(ctx, tx, tenant, num); err != nil {
			return err
		}
	}
	if r == nil {
		if err := b.release(ctx, tx, tenant, num); err != nil {
			return err
		}
		gone := &appointment{num: num, status: "cancelled"}
		if err := b.takeSlots(ctx, tx, tenant, gone); err != nil {
			return err
		}
		return b.follow(ctx, tx, tenant, gone, nil, was)
	}
	a := readAppointment(r)
	a.num = num
	if err := a.check(r); err != nil {
		return err
	}
	if old != nil {
		if err := mayFollow(old.Str("status"), a.status); err != nil {
			return err
		}
		if err := settled(old, r); err != nil {
			return err
		}
	}
	if err := b.take(ctx, tx, tenant, a, was, true); err != nil {
		return err
	}
	if err := b.takeSlots(ctx, tx, tenant, a); err != nil {
		return err
	}
	if err := b.endHold(ctx, tx, tenant, a); err != nil {
		return err
	}
	return b.follow(ctx, tx, tenant, a, r, was)
}

// settled refuses to move what is over: when it was stands.
func settled(old, r *fhir.Resource) error {
	was := old.Str("status")
	if len(transitions[was]) > 0 || r.Str("status") == mistaken || old.Str("start") == r.Str("start") && old.Str("end") == r.Str("end") {
		return nil
	}
	return fault.At(fault.Conflict, "Appointment.start", "the appointment is %s: it cannot be moved", was)
}

// adoptAppointment enters an appointment of before.
func (b books) adoptAppointment(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Appointment/"+r.ID())
	if err != nil || !ok {
		return err
	}
	a := readAppointment(r)
	a.num = num
	if !a.timed || a.at.Empty() {
		return nil
	}
	if err := b.take(ctx, tx, tenant, a, nil, false); err != nil {
		return err
	}
	return b.follow(ctx, tx, tenant, a, r, nil)
}

// take has the ledger say whose time the appointment takes now; was is what it took before. refuse: it may be refused.
func (b books) take(ctx context.Context, tx record.Tx, tenant int32, a *appointment, was []claim, refuse bool) error {
	want, all, err := b.wanted(ctx, tx, tenant, a)
	if err != nil {
		return err
	}
	if sameClaims(was, want) {
		if len(was) > 0 && was[0].held != (a.status == "pending") {
			_, err = tx.Exec(ctx, "UPDATE scheduling_claim SET held = $3 WHERE tenant = $1 AND appointment = $2", tenant, a.num, bit(a.status == "pending"))
		}
		return err
	}
	if want, all, err = b.lockWanted(ctx, tx, tenant, a, want, all); err != nil {
		return err
	}
	if len(was) > 0 {
		if err := b.release(ctx, tx, tenant, a.num); err != nil {
			return err
		}
	}
	for i := range want {
		whole, _, err := planOf(all, want[i].actor)
		if err != nil {
			return err
		}
		c := &want[i]
		if c.typ != "Patient" {
			c.until += whole.buffer
		}
		if refuse && exclusive(all, c.actor) {
			if err := b.admit(ctx, tx, tenant, a, c, whole, spanOf(all, c.actor)); err != nil {
				return err
			}
		}
	}
	return b.enter(ctx, tx, tenant, all, want)
}

// lockWanted waits for the calendars of the claims. Where it waited for that of a role whose practitioner was not known, somebody may have said so meanwhile.
func (b books) lockWanted(ctx context.Context, tx record.Tx, tenant int32, a *appointment, want []claim, all map[actor]*entry) ([]claim, map[actor]*entry, error) {
	for {
		var calendars []actor
		byRole := false
		for _, c := range want {
			byRole = byRole || c.typ == "PractitionerRole"
			if exclusive(all, c.actor) {
				calendars = append(calendars, c.actor)
			}
		}
		if err := b.lock(ctx, tx, tenant, calendars); err != nil || !byRole {
			return want, all, err
		}
		again, rows, err := b.wanted(ctx, tx, tenant, a)
		if err != nil || sameClaims(again, want) {
			return want, all, err
		}
		want, all = again, rows
	}
}

func sameClaims(a, b []claim) bool {
	return len(a) == len(b) && slices.EqualFunc(a, b, claim.same)
}

// wanted are the claims that the appointment must have, in order, and the rows of those who take part.
func (b books) wanted(ctx context.Context, tx record.Tx, tenant int32, a *appointment) ([]claim, map[actor]*entry, error) {
	if !holds(a.status) {
		return nil, nil, nil
	}
	var out []claim
	add := func(x actor, role int64) {
		if !slices.ContainsFunc(out, func(c claim) bool { return c.actor == x }) {
			out = append(out, claim{actor: x, starts: a.at.From, ends: a.at.To, until: a.at.To, appointment: a.num, role: role, held: a.status == "pending"})
		}
	}
	for _, ref := range a.refs {
		typ, num, ok, err := b.l.Meant(ctx, tx, tenant, ref)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			continue
		}
		if err := b.addActor(ctx, tx, tenant, actor{typ, num}, add); err != nil {
			return nil, nil, err
		}
	}
	for _, ref := range a.slots {
		owners, err := b.ownersOf(ctx, tx, tenant, ref)
		if err != nil {
			return nil, nil, err
		}
		for _, x := range owners {
			if err := b.addActor(ctx, tx, tenant, x, add); err != nil {
				return nil, nil, err
			}
		}
	}
	orderClaims(out)
	actors := make([]actor, len(out))
	for i, c := range out {
		actors[i] = c.actor
	}
	all, err := b.entries(ctx, tx, tenant, actors...)
	return out, all, err
}

// addActor adds an actor that has a calendar; a PractitionerRole counts as its Practitioner.
func (b books) addActor(ctx context.Context, tx record.Tx, tenant int32, x actor, add func(actor, int64)) error {
	switch x.typ {
	case "Patient", "Practitioner", "Location", "Device":
		add(x, 0)
	case "PractitionerRole":
		r, _, err := b.roleOf(ctx, tx, tenant, x.num)
		if err != nil {
			return err
		}
		if r.practitioner != 0 {
			add(actor{"Practitioner", r.practitioner}, x.num)
			return nil
		}
		add(x, x.num)
	}
	return nil
}

// admit refuses a claim for which there is no place, and says in it whether the place is beyond the capacity. The calendar is locked.
func (b books) admit(ctx context.Context, tx record.Tx, tenant int32, a *appointment, c *claim, whole *kept, span int64) error {
	there, err := b.claimsIn(ctx, tx, tenant, c.actor, c.starts, c.until, span)
	if err != nil {
		return err
	}
	most := interval.Most(spansOf(there), interval.Span{From: c.starts, To: c.until})
	if c.typ == "Patient" {
		if most > 0 && whole.PatientOverlap == refuseOverlap {
			return fault.At(fault.Conflict, "Appointment.participant", "the patient has another appointment at that time").WithCode(conflictCode)
		}
		return nil
	}
	caller := access.From(ctx)
	may := caller.Permits(overbookPermission)
	if most >= whole.capacity {
		if c.extra, err = b.mayOverbook(ctx, tx, tenant, a, c, whole, most, may, span); err != nil {
			return err
		}
		if !c.extra {
			return b.taken(ctx, tx, tenant, a, c, "that time is taken")
		}
	}
	if bound := *whole.MaxPerDay; bound > 0 && !(may && a.overbook) {
		n, err := b.countOfDay(ctx, tx, tenant, c, whole, span, func(claim) bool { return true })
		if err != nil {
			return err
		}
		if n >= bound {
			return b.taken(ctx, tx, tenant, a, c, "no more appointments are taken on that day")
		}
	}
	if may || c.typ != "Practitioner" && c.typ != "PractitionerRole" {
		return nil
	}
	return b.offered(ctx, tx, tenant, a, c)
}

// mayOverbook reports that there is a place beyond the capacity for the appointment.
func (b books) mayOverbook(ctx context.Context, tx record.Tx, tenant int32, a *appointment, c *claim, whole *kept, most int, may bool, span int64) (bool, error) {
	o := whole.Overbooking
	if most >= whole.capacity+o.PerSlot || !takes(o.VisitTypes, a.kinds) || !o.Automatic && !(a.overbook && may) {
		return false, nil
	}
	if o.PerDay == 0 {
		return true, nil
	}
	n, err := b.countOfDay(ctx, tx, tenant, c, whole, span, func(o claim) bool { return o.extra })
	return n < o.PerDay, err
}

// countOfDay counts the claims of the calendar that begin on the claim's day.
func (b books) countOfDay(ctx context.Context, q sqldb.Querier, tenant int32, c *claim, whole *kept, span int64, which func(claim) bool) (int, error) {
	day := interval.Day(whole.day(c.starts), whole.zone)
	from, to := day[0].From, day[len(day)-1].To
	all, err := b.claimsIn(ctx, q, tenant, c.actor, from, to, span)
	n := 0
	for _, one := range all {
		if one.starts >= from && one.starts < to && which(one) {
			n++
		}
	}
	return n, err
}

// offered refuses to callers who may not overbook a time that would not be offered: outside of working hours, too soon, too far ahead, or of a kind of visit that is not taken.
func (b books) offered(ctx context.Context, tx record.Tx, tenant int32, a *appointment, c *claim) error {
	cal, err := b.calendar(ctx, tx, tenant, c.actor, c.starts, c.ends)
	if err != nil {
		return err
	}
	if why := cal.refuses(a.at, a.kinds, b.now()); why != "" {
		return b.taken(ctx, tx, tenant, a, c, why)
	}
	return nil
}

// refuses says why a time would not be offered, whatever is booked; "" where it would.
func (c *calendar) refuses(at interval.Span, kinds []string, now time.Time) string {
	switch {
	case len(c.VisitTypes) > 0 && !takes(c.VisitTypes, kinds):
		return "visits of that kind are not taken: " + strings.Join(c.VisitTypes, ", ") + " are"
	case at.From < now.Add(time.Duration(*c.AdvanceMinutes)*time.Minute).UnixMicro():
		return "that time is over or too soon"
	case at.From >= now.AddDate(0, 0, *c.HorizonDays).UnixMicro():
		return "that time is too far ahead"
	case !c.open().Holds(at):
		return "that time is outside of working hours"
	}
	return ""
}

// endHold has a pending appointment end by itself, where it says when.
func (b books) endHold(ctx context.Context, tx record.Tx, tenant int32, a *appointment) error {
	if a.status != "pending" || a.until.IsZero() {
		return nil
	}
	// A job that is done is never done again: a hold that was made longer is another job.
	return job.Put(ctx, tx, tenant, job.Job{ID: b.l.Next(), Kind: holdJob, Key: decimal(a.num) + "/" + decimal(a.until.UnixMicro()), At: a.until, Data: []byte(decimal(a.num))})
}
