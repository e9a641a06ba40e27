package scheduling

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// roleHours is what a PractitionerRole says of time, as it says it.
type roleHours struct {
	From      string      `json:"from,omitempty"` // of the role's period
	To        string      `json:"to,omitempty"`
	Available []roleTime  `json:"available,omitempty"`
	Not       [][2]string `json:"not,omitempty"` // periods: a date or a moment each, "" is open
}

type roleTime struct {
	Days []string `json:"days"`
	From string   `json:"from"`
	To   string   `json:"to"`
}

// role is a row of scheduling_role.
type role struct {
	num, practitioner, organization int64
	active                          bool
	hours                           roleHours
}

// fhirDays are the codes of http://hl7.org/fhir/ValueSet/days-of-week, by time.Weekday.
var fhirDays = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// hoursOf reads when a PractitionerRole says that there is time. A time without days is on all days, one without bounds is all day.
func hoursOf(r *fhir.Resource) roleHours {
	var h roleHours
	if p := r.Get("period"); p != nil {
		h.From, h.To = p.Str("start"), p.Str("end")
	}
	for _, a := range flat.Items(r.Get("availableTime")) {
		t := roleTime{From: a.Str("availableStartTime"), To: a.Str("availableEndTime")}
		for _, d := range flat.Items(a.Get("daysOfWeek")) {
			t.Days = append(t.Days, d.Text)
		}
		if len(t.Days) == 0 {
			t.Days = fhirDays[:]
		}
		if all := a.Get("allDay"); all != nil && all.Text == "true" || t.From == "" && t.To == "" {
			t.From, t.To = "00:00", "24:00"
		}
		if t.From == "" {
			t.From = "00:00"
		}
		if t.To == "" {
			t.To = "24:00"
		}
		h.Available = append(h.Available, t)
	}
	for _, n := range flat.Items(r.Get("notAvailable")) {
		if during := n.Get("during"); during != nil {
			h.Not = append(h.Not, [2]string{during.Str("start"), during.Str("end")})
		}
	}
	return h
}

// onRole is the rule of PractitionerRole: the ledger follows what it says. Whose a role is cannot change while appointments are made by it.
func (b books) onRole(ctx context.Context, tx record.Tx, old, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	if r == nil {
		_, num, _, err := b.l.Meant(ctx, tx, tenant, "PractitionerRole/"+old.ID())
		if err != nil {
			return err
		}
		who, at := b.stamps(ctx)
		_, err = tx.Exec(ctx, "UPDATE scheduling_role SET active = 0, deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND num = $2", tenant, num, at, who)
		return err
	}
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "PractitionerRole/"+r.ID())
	if err != nil || !ok {
		return err
	}
	now := role{num: num, active: true, hours: hoursOf(r)}
	if a := r.Get("active"); a != nil {
		now.active = a.Text == "true"
	}
	if now.practitioner, err = b.meant(ctx, tx, tenant, flat.RefOf(r.Get("practitioner")), "Practitioner"); err != nil {
		return err
	}
	if now.organization, err = b.meant(ctx, tx, tenant, flat.RefOf(r.Get("organization")), "Organization"); err != nil {
		return err
	}
	was, _, err := b.roleOf(ctx, tx, tenant, num)
	if err != nil {
		return err
	}
	if was.practitioner != now.practitioner {
		if err := b.reassign(ctx, tx, tenant, was, now); err != nil {
			return err
		}
	}
	return b.putRole(ctx, tx, tenant, now)
}

// meant is the number of the record of the type that a reference means; 0 where it means none.
func (b books) meant(ctx context.Context, q sqldb.Querier, tenant int32, ref, typ string) (int64, error) {
	t, num, ok, err := b.l.Meant(ctx, q, tenant, ref)
	if err != nil || !ok || t != typ {
		return 0, err
	}
	return num, nil
}

func (b books) putRole(ctx context.Context, tx record.Tx, tenant int32, r role) error {
	text, err := json.Marshal(r.hours)
	if err != nil {
		return err
	}
	who, at := b.stamps(ctx)
	_, err = tx.Exec(ctx, `INSERT INTO scheduling_role (tenant, num, practitioner, organization, active, hours, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $8, 0)
		ON CONFLICT (tenant, num) DO UPDATE SET practitioner = excluded.practitioner, organization = excluded.organization, active = excluded.active, hours = excluded.hours,
			updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = 0`,
		tenant, r.num, r.practitioner, r.organization, bit(r.active), string(text), who, at)
	return err
}

func (b books) scanRoles(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]role, error) {
	var out []role
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var r role
		var text string
		if err := rows.Scan(&r.num, &r.practitioner, &r.organization, &r.active, &text); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(text), &r.hours); err != nil {
			return fmt.Errorf("scheduling: the hours of a role: %w", err)
		}
		out = append(out, r)
		return nil
	}, "SELECT num, practitioner, organization, active <> 0, hours FROM scheduling_role WHERE "+sql, args...)
	return out, err
}

// roleOf is the role of that number, also one that was deleted: appointments made by it are its practitioner's still.
func (b books) roleOf(ctx context.Context, q sqldb.Querier, tenant int32, num int64) (role, bool, error) {
	all, err := b.scanRoles(ctx, q, "tenant = $1 AND num = $2", tenant, num)
	if err != nil || len(all) == 0 {
		return role{num: num}, false, err
	}
	return all[0], true, nil
}

// rolesOf are the active roles of a practitioner.
func (b books) rolesOf(ctx context.Context, q sqldb.Querier, tenant int32, practitioner int64) ([]role, error) {
	return b.scanRoles(ctx, q, "tenant = $1 AND practitioner = $2 AND active = 1 AND deleted_at = 0 ORDER BY num", tenant, practitioner)
}

// reassign makes a role's appointments its practitioner's, who was not known while they were made. Where somebody else's they are already, the role cannot
// become another's.
func (b books) reassign(ctx context.Context, tx record.Tx, tenant int32, was, now role) error {
	if was.practitioner != 0 {
		made, err := b.claims(ctx, tx, "tenant = $1 AND type = 'Practitioner' AND num = $2 AND role = $3 LIMIT 1", tenant, was.practitioner, was.num)
		if err != nil || len(made) == 0 {
			return err
		}
		return fault.At(fault.Conflict, "PractitionerRole.practitioner", "appointments are made by this role: cancel or move them first")
	}
	own, others := actor{"PractitionerRole", now.num}, actor{"Practitioner", now.practitioner}
	if err := b.lock(ctx, tx, tenant, []actor{own, others}); err != nil {
		return err
	}
	made, err := b.claims(ctx, tx, "tenant = $1 AND type = $2 AND num = $3 ORDER BY starts", tenant, own.typ, own.num)
	if err != nil || len(made) == 0 {
		return err
	}
	all, err := b.entries(ctx, tx, tenant, own, others)
	if err != nil {
		return err
	}
	for _, c := range made {
		if _, err := tx.Exec(ctx, "DELETE FROM scheduling_claim WHERE tenant = $1 AND type = $2 AND num = $3 AND starts = $4 AND appointment = $5", tenant, c.typ, c.num, c.starts, c.appointment); err != nil {
			return err
		}
		there, err := b.claimsIn(ctx, tx, tenant, others, c.starts, c.until, spanOf(all, others))
		if err != nil {
			return err
		}
		if slices.ContainsFunc(there, func(o claim) bool { return o.appointment == c.appointment }) {
			continue // it names the practitioner as well
		}
		whole, _, err := planOf(all, others)
		if err != nil {
			return err
		}
		if !c.extra && interval.Most(spansOf(there), interval.Span{From: c.starts, To: c.until}) >= whole.capacity {
			return fault.At(fault.Conflict, "PractitionerRole.practitioner", "the practitioner has other appointments at times of those that are made by this role").WithCode(conflictCode)
		}
		c.actor, c.role = others, now.num
		if err := b.enter(ctx, tx, tenant, all, []claim{c}); err != nil {
			return err
		}
	}
	return nil
}

// spansOf are the times that claims take.
func spansOf(all []claim) []interval.Span {
	out := make([]interval.Span, len(all))
	for i, c := range all {
		out[i] = interval.Span{From: c.starts, To: c.until}
	}
	return out
}

// onLocation is the rule of Location: rooms, beds and vehicles are taken by one appointment at a time, sites and wards are not.
func (b books) onLocation(ctx context.Context, tx record.Tx, old, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	kind, id := "", ""
	if r != nil {
		kind, id = flat.Code(r.Get("physicalType"), ""), r.ID()
	} else {
		id = old.ID()
	}
	if old != nil && r != nil && flat.Code(old.Get("physicalType"), "") == kind {
		return nil
	}
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Location/"+id)
	if err != nil || !ok {
		return err
	}
	who, at := b.stamps(ctx)
	_, err = tx.Exec(ctx, `INSERT INTO scheduling_actor (tenant, type, num, plan, schedule, kind, span, version, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, 'Location', $2, '', 0, $3, 0, 0, $4, $5, $4, $5, 0)
		ON CONFLICT (tenant, type, num) DO UPDATE SET kind = excluded.kind, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
		tenant, num, kind, who, at)
	return err
}

// exclusiveKinds are the codes of a Location's physicalType that stand for what one appointment takes whole.
var exclusiveKinds = []string{"ro", "bd", "ve", "ca"}

// exclusive reports that the actor is taken by appointments: who is a person or a device, and of places those of certain kinds or with a capacity of their own.
func exclusive(all map[actor]*entry, a actor) bool {
	if a.typ != "Location" {
		return true
	}
	e := all[a]
	return e != nil && (slices.Contains(exclusiveKinds, e.kind) || e.plan != "")
}

// spanOfDays is the time that a period of FHIR names, whose ends may be dates of the zone; "" is open.
func spanOfDays(start, end string, zone *time.Location) interval.Span {
	s := interval.Span{From: minTime, To: maxTime}
	if from, _, ok := bounds(start, zone); ok {
		s.From = from
	}
	if _, to, ok := bounds(end, zone); ok {
		s.To = to
	}
	return s
}

// bounds are the first instant that a date or a moment of FHIR names, and the first behind it; a date is a day of the zone.
func bounds(s string, zone *time.Location) (from, to int64, ok bool) {
	if d, is := interval.ParseDate(s); is {
		if day := interval.Day(d, zone); len(day) > 0 {
			return day[0].From, day[len(day)-1].To, true
		}
		return 0, 0, false
	}
	from, to, ok = search.DateSpan(s)
	return from, to + 1, ok
}

// The ends of time, as far as calendars go.
const (
	minTime = int64(-1) << 60
	maxTime = int64(1) << 60
)
