package scheduling

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
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

// scheduleSystem is the system of the identifier by which the Schedule of somebody's plan is found: the value is the actor's type and number.
const scheduleSystem = "urn:x-nilecare:schedule"

// SetPlan says how somebody's calendar is kept: it is written on the actor's Schedule, as the caller, and the ledger follows by that type's rule. version is that of the
// Schedule which must be current; 0: any.
func (s *Service) SetPlan(ctx context.Context, a *flat.Record, version int64, p Plan) (*flat.Record, error) {
	if err := p.check("", false); err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	key := a.Type + "/" + decimal(a.Num)
	match, err := search.Parse("Schedule", []search.Param{{Name: "identifier", Value: search.Escape(scheduleSystem) + "|" + search.Escape(key)}}, search.Options{Base: s.Records.Base, Now: s.Clock()})
	if err != nil {
		return nil, err
	}
	members := map[string]any{
		"identifier": []any{map[string]any{"system": scheduleSystem, "value": key}}, "active": true, "actor": []any{map[string]any{"reference": a.Ref()}},
		"extension": []any{map[string]any{"url": PlanExtension, "valueString": string(text)}},
	}
	if p.HorizonDays != nil {
		now := s.Clock().UTC()
		members["planningHorizon"] = map[string]any{"start": now.Format(time.DateOnly), "end": now.AddDate(0, 0, *p.HorizonDays).Format(time.DateOnly)}
	}
	r, err := flat.Make("Schedule", members)
	if err != nil {
		return nil, err
	}
	all, err := s.Records.Write(ctx, record.Change{Op: record.Update, Type: "Schedule", Resource: r, Match: match, IfMatch: version})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// DropPlan takes back what somebody's Schedule says of how the calendar is kept. The Schedule stays, without a plan: who keeps calendars may not delete. NotFound where there is none.
func (s *Service) DropPlan(ctx context.Context, a *flat.Record) error {
	e, err := s.entryOf(ctx, actor{a.Type, a.Num})
	if err != nil {
		return err
	}
	if e == nil || e.schedule == 0 {
		return fault.New(fault.NotFound, "there is no plan of this provider's own")
	}
	_, err = s.Records.Update(ctx, "Schedule", decimal(e.schedule), 0, func(r *fhir.Resource) error {
		var kept []any
		for _, x := range flat.Items(r.Get("extension")) {
			if x.Str("url") != PlanExtension {
				kept = append(kept, json.RawMessage(x.AppendJSON(nil)))
			}
		}
		return flat.Set(r.Node, "extension", kept)
	})
	return err
}

// entryOf is the row of an actor; nil where there is none.
func (s *Service) entryOf(ctx context.Context, a actor) (e *entry, err error) {
	tenant := access.From(ctx).Tenant
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		all, err := s.books.entries(ctx, q, tenant, a)
		e = all[a]
		return err
	})
	return e, err
}

// SetTenantPlan says what holds for calendars that do not say otherwise. The caller's permission was checked.
func (s *Service) SetTenantPlan(ctx context.Context, p Plan) error {
	if err := p.check("", true); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tenant := access.From(ctx).Tenant
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error { return s.books.setPlan(ctx, tx, tenant, nobody, 0, string(text)) })
}

// day is the free times of one day.
type day struct {
	date   interval.Date
	starts []int64
}

// free are the free times of an actor on the days, for a visit of that length (0: as long as the actor's usually take), with the calendar that they come from.
func (s *Service) free(ctx context.Context, a actor, first, last interval.Date, v visit) ([]day, visit, *calendar, error) {
	noon := func(d interval.Date) int64 {
		return time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC).UnixMicro()
	}
	span := 38 * time.Hour.Microseconds() // no day of any zone is farther from noon
	c, err := s.calendarOf(ctx, a, noon(first)-span, noon(last)+span)
	if err != nil {
		return nil, v, nil, err
	}
	if v.length == 0 {
		v.length = c.usual()
	}
	days := make([]day, first.Days(last)+1)
	for i := range days {
		days[i].date = first.Add(i)
	}
	for _, at := range c.starts(v, s.Clock()) {
		if i := first.Days(c.day(at)); i >= 0 && i < len(days) {
			days[i].starts = append(days[i].starts, at)
		}
	}
	return days, v, c, nil
}

// Absence is somebody's time off, or a holiday. Days are dates, both included; a time off may be between two moments instead.
type Absence struct {
	ID       string `json:"id"`
	From     string `json:"from" doc:"a date, or of a time off a moment on the wall: 2026-12-01T12:00"`
	To       string `json:"to,omitempty" doc:"the last day, itself included, or the moment of its end; the same day where it is not said"`
	Name     string `json:"name,omitempty" doc:"of a holiday"`
	Reason   string `json:"reason,omitempty" doc:"of a time off; for those who keep schedules"`
	Yearly   bool   `json:"yearly,omitempty" doc:"of a holiday: on these days of every year"`
	Facility string `json:"facilityId,omitempty" doc:"of a holiday: of this facility alone"`

	Affected []string `json:"affectedAppointments,omitempty" doc:"appointments that are at that time already"`
}

// noteOf names the place that the note of an absence stands in.
func noteOf(id int64) string { return "scheduling_absence.note/" + decimal(id) }

// absenceFrom makes a row of what the caller says.
func (s *Service) absenceFrom(ctx context.Context, id int64, a actor, in Absence) (absence, error) {
	x := absence{id: id, actor: a, yearly: in.Yearly}
	if in.To == "" {
		in.To = in.From
	}
	first, ok1 := interval.ParseDate(in.From)
	last, ok2 := interval.ParseDate(in.To)
	note := in.Reason
	switch {
	case x.holiday():
		note = in.Name
		if note == "" {
			return x, fault.At(fault.Invalid, "name", "is missing").WithCode("required")
		}
		if !ok1 || !ok2 {
			return x, fault.At(fault.Invalid, "from", "and to must be dates such as 2026-01-31").WithCode("value")
		}
		if in.Facility != "" {
			f, err := s.refer(ctx, "facilityId", "Organization", in.Facility)
			if err != nil {
				return x, err
			}
			x.organization = f.Num
		}
	case in.Yearly || in.Facility != "":
		return x, fault.At(fault.Invalid, "yearly", "and facilityId are of holidays").WithCode("value")
	}
	if len(note) > maxReason {
		return x, fault.At(fault.Invalid, "reason", "is longer than %d bytes", maxReason).WithCode("too-long")
	}
	if ok1 != ok2 {
		return x, fault.At(fault.Invalid, "to", "is a date where from is one, and a moment where that is one").WithCode("value")
	}
	if ok1 {
		if last.Before(first) || first.Days(last) > 3660 {
			return x, fault.At(fault.Invalid, "to", "must not be before from, nor ten years after it").WithCode("value")
		}
		x.first, x.last = first.String(), last.String()
	} else if err := s.momentsOf(ctx, &x, in); err != nil {
		return x, err
	}
	var err error
	x.note, err = s.Ledger.Seal(ctx, access.From(ctx).Tenant, noteOf(id), []byte(note))
	return x, err
}

// momentsOf reads a time off that is not of whole days.
func (s *Service) momentsOf(ctx context.Context, x *absence, in Absence) error {
	c, err := s.calendarOf(ctx, x.actor, 0, 0)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, value string
		to          *int64
	}{{"from", in.From, &x.starts}, {"to", in.To, &x.ends}} {
		t, err := time.Parse(time.RFC3339, f.value)
		if err != nil {
			t, err = time.ParseInLocation("2006-01-02T15:04", f.value, c.zone)
		}
		if err != nil {
			return fault.At(fault.Invalid, f.name, "must be a date, or a moment such as 2026-12-01T12:00").WithCode("value")
		}
		*f.to = t.UnixMicro()
	}
	if x.ends <= x.starts {
		return fault.At(fault.Invalid, "to", "is not after from").WithCode("value")
	}
	return nil
}

// putAbsence writes a new absence, or over one that stands.
func (s *Service) putAbsence(ctx context.Context, x absence) error {
	tenant := access.From(ctx).Tenant
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		who, at := s.books.stamps(ctx)
		_, err := tx.Exec(ctx, `INSERT INTO scheduling_absence (tenant, `+absenceColumns+`, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $12, $13, 0)
			ON CONFLICT (tenant, id) DO UPDATE SET organization = excluded.organization, first_day = excluded.first_day, last_day = excluded.last_day, yearly = excluded.yearly,
				starts = excluded.starts, ends = excluded.ends, note = excluded.note, updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
			tenant, x.id, x.typ, x.num, x.organization, x.first, x.last, bit(x.yearly), x.starts, x.ends, x.note, who, at)
		return err
	})
}

// absenceOf reads one of an actor's absences; NotFound.
func (s *Service) absenceOf(ctx context.Context, a actor, id string) (absence, error) {
	n, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		n = 0
	}
	tenant := access.From(ctx).Tenant
	var all []absence
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanAbsences(ctx, q, "tenant = $1 AND id = $2 AND type = $3 AND num = $4 AND deleted_at = 0", tenant, n, a.typ, a.num)
		return err
	})
	if err != nil {
		return absence{}, err
	}
	if len(all) == 0 {
		return absence{}, fault.New(fault.NotFound, "there is no such entry")
	}
	return all[0], nil
}

// dropAbsence takes an absence back.
func (s *Service) dropAbsence(ctx context.Context, a actor, id string) error {
	x, err := s.absenceOf(ctx, a, id)
	if err != nil {
		return err
	}
	tenant := access.From(ctx).Tenant
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		who, at := s.books.stamps(ctx)
		_, err := tx.Exec(ctx, "UPDATE scheduling_absence SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND id = $2", tenant, x.id, at, who)
		return err
	})
}

// absencesOf are the absences of an actor that are not over, or all holidays.
func (s *Service) absencesOf(ctx context.Context, a actor) ([]Absence, error) {
	tenant := access.From(ctx).Tenant
	var all []absence
	sql, args := "tenant = $1 AND type = '' AND num = 0 AND deleted_at = 0 ORDER BY first_day, id", []any{tenant}
	if a != nobody {
		now := s.Clock()
		sql = "tenant = $1 AND type = $2 AND num = $3 AND deleted_at = 0 AND (last_day >= $4 OR ends > $5) ORDER BY first_day, starts, id"
		args = append(args, a.typ, a.num, interval.DateOf(now.UTC()).Add(-1).String(), now.UnixMicro())
	}
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		all, err = s.books.scanAbsences(ctx, q, sql, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	c, err := s.calendarOf(ctx, a, 0, 0)
	if err != nil {
		return nil, err
	}
	out := make([]Absence, 0, len(all))
	for _, x := range all {
		one, err := s.showAbsence(ctx, x, c.zone)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Absence) int { return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.ID, b.ID)) })
	return out, nil
}

// showAbsence tells an absence; the reason of a time off is for those who keep schedules.
func (s *Service) showAbsence(ctx context.Context, x absence, zone *time.Location) (Absence, error) {
	caller := access.From(ctx)
	out := Absence{ID: decimal(x.id), From: x.first, To: x.last, Yearly: x.yearly}
	if x.first == "" {
		out.From, out.To = local(x.starts, zone), local(x.ends, zone)
	}
	if x.holiday() || caller.Permits("scheduling:update") {
		note, err := s.Ledger.Open(ctx, caller.Tenant, noteOf(x.id), x.note)
		if err != nil {
			return out, err
		}
		if x.holiday() {
			out.Name = string(note)
		} else {
			out.Reason = string(note)
		}
	}
	if x.organization != 0 {
		id, err := s.Records.Store.Named(ctx, "Organization", x.organization)
		if err != nil {
			return out, err
		}
		if out.Facility, err = s.Records.IDOf(ctx, "Organization", id); err != nil {
			return out, err
		}
	}
	return out, nil
}

// affected are the ids of the appointments that an absence would be in the way of, as far as the caller may see them.
func (s *Service) affected(ctx context.Context, x absence) ([]string, error) {
	c, err := s.calendarOf(ctx, x.actor, 0, 0)
	if err != nil {
		return nil, err
	}
	span := x.span(c.zone)
	tenant := access.From(ctx).Tenant
	var refs []string
	var claims []claim
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		all, err := s.books.entries(ctx, q, tenant, x.actor)
		if err == nil {
			claims, err = s.books.claimsIn(ctx, q, tenant, x.actor, span.From, span.To, spanOf(all, x.actor))
		}
		return err
	})
	for _, one := range claims {
		if err != nil {
			break
		}
		var id string
		if id, err = s.Records.Store.Named(ctx, "Appointment", one.appointment); id != "" {
			refs = append(refs, "Appointment/"+id)
		}
	}
	if err != nil || len(refs) == 0 {
		return nil, err
	}
	seen, err := s.Records.Get(ctx, refs...)
	var out []string
	for _, ref := range refs {
		if r := seen[ref]; r != nil {
			out = append(out, r.Key())
		}
	}
	return out, err
}

// Preference is what a patient likes.
type Preference struct {
	ProviderID string   `json:"preferredProviderId,omitempty"`
	Days       []string `json:"preferredDays,omitempty" doc:"sunday … saturday"`
	From       string   `json:"preferredFrom,omitempty" doc:"HH:MM"`
	To         string   `json:"preferredTo,omitempty" doc:"HH:MM"`
	Language   string   `json:"language,omitempty" doc:"a BCP 47 tag, such as ar or en"`
	Note       string   `json:"note,omitempty"`
}

// check refuses what a preference cannot say.
func (p *Preference) check() error {
	if p.From != "" || p.To != "" || len(p.Days) > 0 {
		if _, why := p.hours().window(); why != "" {
			return fault.At(fault.Invalid, "preferredFrom", "preferredTo and preferredDays: %s", why).WithCode("value")
		}
	}
	if len(p.Language) > 35 || len(p.Note) > maxReason {
		return fault.At(fault.Invalid, "note", "and language: too long").WithCode("too-long")
	}
	return nil
}

// hours are the liked times; what is not said is any.
func (p *Preference) hours() Hours {
	h := Hours{Days: p.Days, From: p.From, To: p.To}
	if len(h.Days) == 0 {
		h.Days = weekdays[:]
	}
	if h.From == "" {
		h.From = "00:00"
	}
	if h.To == "" {
		h.To = "24:00"
	}
	return h
}

// likes reports that the patient likes the time.
func (p *Preference) likes(at int64, zone *time.Location) bool {
	w, why := p.hours().window()
	if why != "" {
		return false
	}
	t := time.UnixMicro(at).In(zone)
	wall := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute
	return w.days[t.Weekday()] && wall >= w.from && wall < w.to
}

func preferenceOf(patient int64) string { return "scheduling_preference/" + decimal(patient) }

// preference reads what a patient likes; nothing where nobody said. The caller may read the patient.
func (s *Service) preference(ctx context.Context, patient int64) (p Preference, version int64, err error) {
	tenant := access.From(ctx).Tenant
	var sealed []byte
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&sealed, &version}, "SELECT preference, version FROM scheduling_preference WHERE tenant = $1 AND patient = $2 AND deleted_at = 0", tenant, patient)
		return err
	})
	if err != nil || len(sealed) == 0 {
		return p, version, err
	}
	text, err := s.Ledger.Open(ctx, tenant, preferenceOf(patient), sealed)
	if err != nil {
		return p, version, err
	}
	return p, version, json.Unmarshal(text, &p)
}

// setPreference writes what a patient likes. The caller may change the patient's appointments.
func (s *Service) setPreference(ctx context.Context, patient int64, p Preference) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	tenant := access.From(ctx).Tenant
	sealed, err := s.Ledger.Seal(ctx, tenant, preferenceOf(patient), text)
	if err != nil {
		return err
	}
	return s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		who, at := s.books.stamps(ctx)
		_, err := tx.Exec(ctx, `INSERT INTO scheduling_preference (tenant, patient, preference, version, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, 1, $4, $5, $4, $5, 0)
			ON CONFLICT (tenant, patient) DO UPDATE SET preference = excluded.preference, version = scheduling_preference.version + 1, updated_by = excluded.updated_by,
				updated_at = excluded.updated_at, deleted_at = 0`, tenant, patient, sealed, who, at)
		return err
	})
}

// Forget deletes what a patient likes, who is being erased ("Patient/1"). Appointments go with the record.
func Forget(ctx context.Context, l *record.Ledger, tenant int32, patient string) error {
	return l.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, num, ok, err := l.Meant(ctx, tx, tenant, patient)
		if err != nil || !ok {
			return err
		}
		_, err = tx.Exec(ctx, "DELETE FROM scheduling_preference WHERE tenant = $1 AND patient = $2", tenant, num)
		return err
	})
}
