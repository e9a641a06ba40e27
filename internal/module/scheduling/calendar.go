package scheduling

import (
	"context"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// calendar is all that is known of an actor's time between two instants.
type calendar struct {
	actor
	*kept
	source   string // whose hours they are: sourceOwn …
	from, to int64
	absences []absence
	away     []interval.Span // time off, and what roles and Slots say
	claims   []claim
}

// Whose hours a calendar has.
const (
	sourceOwn    = "provider"
	sourceRoles  = "roles"
	sourceTenant = "default"
)

// calendar reads the calendar of an actor from one instant up to another, on a snapshot or in a transaction.
func (b books) calendar(ctx context.Context, q sqldb.Querier, tenant int32, a actor, from, to int64) (*calendar, error) {
	all, err := b.entries(ctx, q, tenant, a)
	if err != nil {
		return nil, err
	}
	whole, own, err := planOf(all, a)
	if err != nil {
		return nil, err
	}
	c := &calendar{actor: a, kept: whole, source: sourceTenant, from: from, to: to}
	if whole.own {
		c.source = sourceOwn
	}
	if a.typ == "Practitioner" {
		roles, err := b.rolesOf(ctx, q, tenant, a.num)
		if err != nil {
			return nil, err
		}
		c.hear(roles, own)
	}
	if c.absences, err = b.absences(ctx, q, tenant, a, from); err != nil {
		return nil, err
	}
	for _, x := range c.absences {
		if !x.holiday() {
			c.away = append(c.away, x.span(c.zone))
		}
	}
	blocked, err := b.blocked(ctx, q, tenant, a, from, to)
	if err != nil {
		return nil, err
	}
	c.away = append(c.away, blocked...)
	day := 26 * time.Hour.Microseconds() // what is counted by the day looks at whole days
	c.claims, err = b.claimsIn(ctx, q, tenant, a, from-day, to+day, spanOf(all, a))
	return c, err
}

// hear takes up what a practitioner's roles say: their hours where there is no plan of the practitioner's own, and in any case when they are away.
func (c *calendar) hear(roles []role, own Plan) {
	var said []window
	organizations := map[int64]bool{}
	for _, r := range roles {
		organizations[r.organization] = true
		for _, t := range r.hours.Available {
			w, why := Hours(t).window()
			if why != "" {
				continue
			}
			w.organization, w.first, w.last = r.organization, r.hours.From, r.hours.To
			said = append(said, w)
		}
		for _, n := range r.hours.Not {
			c.away = append(c.away, spanOfDays(n[0], n[1], c.zone))
		}
	}
	if c.own {
		if len(organizations) == 1 { // then that is where the hours are
			for i := range c.hours {
				c.hours[i].organization = roles[0].organization
			}
		}
		return
	}
	if said != nil {
		c.hours, c.breaks, c.source = said, windows(own.Breaks), sourceRoles
	}
}

// open is when there is work: hours less breaks, holidays and time off, whatever is booked.
func (c *calendar) open() interval.Set {
	var work, rest, closed []interval.Span
	span := interval.Span{From: c.from, To: c.to}
	first, last := interval.DateOf(time.UnixMicro(c.from).In(c.zone)), interval.DateOf(time.UnixMicro(c.to).In(c.zone))
	for d := first.Add(-1); !last.Before(d); d = d.Add(1) { // the day before, for what goes on after midnight
		everywhere, at := c.holidays(d)
		if everywhere {
			closed = append(closed, interval.Day(d, c.zone)...)
		}
		for _, w := range c.hours {
			if w.days[d.Weekday()] && !at[w.organization] {
				for _, s := range interval.Wall(d, w.from, w.to, c.zone) {
					if m := s.Meet(spanOfDays(w.first, w.last, c.zone)); !m.Empty() {
						work = append(work, m)
					}
				}
			}
		}
		for _, w := range c.breaks {
			if w.days[d.Weekday()] {
				rest = append(rest, interval.Wall(d, w.from, w.to, c.zone)...)
			}
		}
	}
	return interval.Of(work...).Within(span).Minus(interval.Of(rest...)).Minus(interval.Of(closed...)).Minus(interval.Of(c.away...))
}

// holidays says whether a day is a holiday of all, and of which facilities it is one.
func (c *calendar) holidays(d interval.Date) (everywhere bool, at map[int64]bool) {
	for _, x := range c.absences {
		if !x.holiday() || !x.on(d) {
			continue
		}
		if x.organization == 0 {
			everywhere = true
			continue
		}
		if at == nil {
			at = map[int64]bool{}
		}
		at[x.organization] = true
	}
	return everywhere, at
}

// visit is what somebody wants to come for: how long, and what kind of visit it is.
type visit struct {
	length int64
	kinds  []string
}

// length is how long a visit takes where nothing is said.
func (c *calendar) usual() int64 {
	if c.step > 0 {
		return c.step
	}
	return minutes(defaultMinutes)
}

// defaultMinutes is how long a visit takes where neither its writer nor the plan says.
const defaultMinutes = 30

// starts are when a visit may begin, not before now and the notice that the plan wants: where there is work all the time, and where, with the pause after it, fewer
// appointments than the capacity are at any moment.
func (c *calendar) starts(v visit, now time.Time) []int64 {
	if v.length <= 0 || len(v.kinds) > 0 && !takes(c.VisitTypes, v.kinds) {
		return nil
	}
	step := c.step
	if step <= 0 {
		step = v.length + c.buffer
	}
	earliest := now.Add(time.Duration(*c.AdvanceMinutes) * time.Minute).UnixMicro()
	latest := now.AddDate(0, 0, *c.HorizonDays).UnixMicro()
	busy := interval.Full(spansOf(c.claims), c.capacity)
	full := c.fullDays()
	var out []int64
	for _, at := range c.open().Starts(v.length, step) {
		if at < earliest || at >= latest || len(busy.Within(interval.Span{From: at, To: at + v.length + c.buffer})) > 0 {
			continue
		}
		if full[c.day(at)] {
			continue
		}
		out = append(out, at)
	}
	return out
}

// day is the day of an instant in the calendar's zone.
func (c *kept) day(at int64) interval.Date { return interval.DateOf(time.UnixMicro(at).In(c.zone)) }

// fullDays are the days that have as many appointments as they may have.
func (c *calendar) fullDays() map[interval.Date]bool {
	most := *c.MaxPerDay
	if most == 0 {
		return nil
	}
	counts, full := map[interval.Date]int{}, map[interval.Date]bool{}
	for _, one := range c.claims {
		d := c.day(one.starts)
		if counts[d]++; counts[d] >= most {
			full[d] = true
		}
	}
	return full
}

// blocked are the times that Slots of the actor's Schedules say are not to be had.
func (b books) blocked(ctx context.Context, q sqldb.Querier, tenant int32, a actor, from, to int64) ([]interval.Span, error) {
	var out []interval.Span
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var s interval.Span
		err := rows.Scan(&s.From, &s.To)
		out = append(out, s)
		return err
	}, `SELECT s.starts, s.ends FROM scheduling_schedule a JOIN scheduling_slot s ON s.tenant = a.tenant AND s.schedule = a.num
		WHERE a.tenant = $1 AND a.type = $2 AND a.actor = $3 AND s.status = 'busy-unavailable' AND s.starts < $4 AND s.ends > $5 AND s.deleted_at = 0`, tenant, a.typ, a.num, to, from)
	return out, err
}

// absence is a row of scheduling_absence.
type absence struct {
	id           int64
	actor        // whose; nobody: a holiday
	organization int64
	first, last  string
	yearly       bool
	starts, ends int64
	note         []byte
}

func (x *absence) holiday() bool { return x.actor == nobody }

// on reports that a holiday is on the day.
func (x *absence) on(d interval.Date) bool {
	day := d.String()
	if !x.yearly {
		return x.first <= day && day <= x.last
	}
	first, last, day := x.first[5:], x.last[5:], day[5:]
	if first <= last {
		return first <= day && day <= last
	}
	return day >= first || day <= last // over the turn of the year
}

// span is the time of somebody's absence; whole days are those of the zone.
func (x *absence) span(zone *time.Location) interval.Span {
	if x.first == "" {
		return interval.Span{From: x.starts, To: x.ends}
	}
	return spanOfDays(x.first, x.last, zone)
}

const (
	absenceColumns = "id, type, num, organization, first_day, last_day, yearly, starts, ends, note"
	absenceValues  = "id, type, num, organization, first_day, last_day, yearly <> 0, starts, ends, note"
)

func (b books) scanAbsences(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]absence, error) {
	var out []absence
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var x absence
		err := rows.Scan(&x.id, &x.typ, &x.num, &x.organization, &x.first, &x.last, &x.yearly, &x.starts, &x.ends, &x.note)
		x.note = slices.Clone(x.note)
		out = append(out, x)
		return err
	}, "SELECT "+absenceValues+" FROM scheduling_absence WHERE "+sql, args...)
	return out, err
}

// absences are the holidays, and the actor's own time off, that are not over before the instant.
func (b books) absences(ctx context.Context, q sqldb.Querier, tenant int32, a actor, from int64) ([]absence, error) {
	day := interval.DateOf(time.UnixMicro(from).UTC()).Add(-2).String() // no zone is farther from UTC
	const live = " AND deleted_at = 0 AND (yearly = 1 OR last_day >= $4 OR ends > $5)"
	return b.scanAbsences(ctx, q, "tenant = $1 AND type = '' AND num = 0"+live+" UNION ALL SELECT "+absenceValues+
		" FROM scheduling_absence WHERE tenant = $1 AND type = $2 AND num = $3"+live, tenant, a.typ, a.num, day, from)
}
