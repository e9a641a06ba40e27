package scheduling

import (
	"context"
	"errors"
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

// Types are the types whose changes the module judges, in the order in which they rest on each other.
func Types() []string {
	return []string{"Location", "PractitionerRole", "Schedule", "Slot", "Appointment"}
}

// SetRule holds the invariants of appointments, and has the ledgers follow all of [Types]. It judges a set of changes as a whole: two appointments may change times in
// one, and one may take the time that another gives up, in whatever order they stand.
func SetRule(l *record.Ledger) record.SetRule {
	b := books{l}
	follow := map[string]record.Rule{"Location": b.onLocation, "PractitionerRole": b.onRole, "Schedule": b.onSchedule, "Slot": b.onSlot}
	return func(ctx context.Context, tx record.Tx, set []record.Turn) (int, error) {
		for _, typ := range Types() {
			for i, t := range set {
				if f := follow[typ]; f != nil && t.Type == typ {
					if err := f(ctx, tx, t.Old, t.New); err != nil {
						return i, err
					}
				}
			}
		}
		return b.onAppointments(ctx, tx, set)
	}
}

// turn is what one Appointment of a set undergoes.
type turn struct {
	*appointment
	at        int // in the set
	old, r    *fhir.Resource
	was, want []claim
}

// moves reports that it takes other time than before.
func (t *turn) moves() bool {
	return len(t.was) != len(t.want) || !slices.EqualFunc(t.was, t.want, claim.same)
}

// onAppointments is the rule of Appointment, for those of a set: the order of statuses, and whose time they take. First all give up what they had, then each takes what it
// needs.
func (b books) onAppointments(ctx context.Context, tx record.Tx, set []record.Turn) (int, error) {
	tenant := access.From(ctx).Tenant
	var turns []*turn
	for i, one := range set {
		if one.Type != "Appointment" {
			continue
		}
		t, err := b.turnOf(ctx, tx, tenant, one)
		if err != nil {
			return i, err
		}
		t.at = i
		turns = append(turns, t)
	}
	if len(turns) == 0 {
		return 0, nil
	}
	all, err := b.lockAll(ctx, tx, tenant, turns)
	if err != nil {
		return turns[0].at, err
	}
	for _, step := range []func(*turn) error{
		func(t *turn) error { return b.giveUp(ctx, tx, tenant, t) },
		func(t *turn) error { return b.take(ctx, tx, tenant, t, all) },
		func(t *turn) error {
			if t.old == nil {
				return nil
			}
			return b.leaveSlots(ctx, tx, tenant, t.appointment)
		},
		func(t *turn) error { return b.takeSlots(ctx, tx, tenant, t.appointment) },
		func(t *turn) error { return b.endHold(ctx, tx, tenant, t.appointment) },
		func(t *turn) error { return b.follow(ctx, tx, tenant, t.appointment, t.r, t.was) },
	} {
		for _, t := range turns {
			if err := step(t); err != nil {
				return t.at, err
			}
		}
	}
	return 0, nil
}

// turnOf reads what one Appointment undergoes, and refuses what it cannot be.
func (b books) turnOf(ctx context.Context, tx record.Tx, tenant int32, one record.Turn) (*turn, error) {
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Appointment/"+one.ID)
	if err == nil && !ok {
		err = errors.New("scheduling: an appointment without a number")
	}
	if err != nil {
		return nil, err
	}
	t := &turn{appointment: &appointment{status: "cancelled"}, old: one.Old, r: one.New}
	if one.New != nil {
		t.appointment = readAppointment(one.New)
	}
	t.num = num
	if one.Old != nil {
		if t.was, err = b.claimsOf(ctx, tx, tenant, num); err != nil {
			return nil, err
		}
	}
	if one.New == nil {
		return t, nil
	}
	if err := t.check(one.New); err != nil {
		return nil, err
	}
	if one.Old != nil {
		if err := mayFollow(one.Old.Str("status"), t.status); err != nil {
			return nil, err
		}
		if err := settled(one.Old, one.New); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// lockAll works out what the turns must take, waits for the calendars of those that move, all at once and in one order, and returns the rows of all who take part. Where it waited
// for that of a role whose practitioner was not known, somebody may have said so meanwhile: then it begins anew.
func (b books) lockAll(ctx context.Context, tx record.Tx, tenant int32, turns []*turn) (map[actor]*entry, error) {
	var held []actor
	for {
		var actors, calendars []actor
		for _, t := range turns {
			var err error
			if t.want, err = b.wanted(ctx, tx, tenant, t.appointment); err != nil {
				return nil, err
			}
			for _, c := range t.want {
				actors = append(actors, c.actor)
			}
		}
		all, err := b.entries(ctx, tx, tenant, actors...)
		if err != nil {
			return nil, err
		}
		byRole := false
		for _, t := range turns {
			for _, c := range t.want {
				if t.moves() && exclusive(all, c.actor) && !slices.Contains(held, c.actor) {
					calendars = append(calendars, c.actor)
					byRole = byRole || c.typ == "PractitionerRole"
				}
			}
		}
		if err := b.lock(ctx, tx, tenant, calendars); err != nil || !byRole {
			return all, err
		}
		held = append(held, calendars...)
	}
}

// giveUp takes back what an appointment took before, where that is not what it takes now.
func (b books) giveUp(ctx context.Context, tx record.Tx, tenant int32, t *turn) error {
	switch {
	case t.moves() && len(t.was) > 0:
		return b.release(ctx, tx, tenant, t.num)
	case !t.moves() && len(t.was) > 0 && t.was[0].held != (t.status == "pending"):
		_, err := tx.Exec(ctx, "UPDATE scheduling_claim SET held = $3 WHERE tenant = $1 AND appointment = $2", tenant, t.num, bit(t.status == "pending"))
		return err
	}
	return nil
}

// take enters what an appointment takes now, or refuses it.
func (b books) take(ctx context.Context, tx record.Tx, tenant int32, t *turn, all map[actor]*entry) error {
	if !t.moves() {
		return nil
	}
	for i := range t.want {
		c := &t.want[i]
		whole, _, err := planOf(all, c.actor)
		if err != nil {
			return err
		}
		if c.typ != "Patient" {
			c.until += whole.buffer
		}
		if exclusive(all, c.actor) {
			if err := b.admit(ctx, tx, tenant, t.appointment, c, whole, spanOf(all, c.actor)); err != nil {
				return err
			}
		}
	}
	return b.enter(ctx, tx, tenant, all, t.want)
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
	want, err := b.wanted(ctx, tx, tenant, a)
	if err != nil {
		return err
	}
	actors := make([]actor, len(want))
	for i, c := range want {
		actors[i] = c.actor
	}
	all, err := b.entries(ctx, tx, tenant, actors...)
	if err != nil {
		return err
	}
	if err := b.enter(ctx, tx, tenant, all, want); err != nil {
		return err
	}
	if err := b.takeSlots(ctx, tx, tenant, a); err != nil && !fault.Is(err, fault.Conflict) { // another one has the Slot already
		return err
	}
	return b.follow(ctx, tx, tenant, a, r, nil)
}

// wanted are the claims that the appointment must have, in order.
func (b books) wanted(ctx context.Context, tx record.Tx, tenant int32, a *appointment) ([]claim, error) {
	if !holds(a.status) {
		return nil, nil
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
			return nil, err
		}
		if !ok {
			continue
		}
		if err := b.addActor(ctx, tx, tenant, actor{typ, num}, add); err != nil {
			return nil, err
		}
	}
	for _, ref := range a.slots {
		owners, err := b.ownersOf(ctx, tx, tenant, ref)
		if err != nil {
			return nil, err
		}
		for _, x := range owners {
			if err := b.addActor(ctx, tx, tenant, x, add); err != nil {
				return nil, err
			}
		}
	}
	orderClaims(out)
	return out, nil
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
