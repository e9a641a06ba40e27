package scheduling

import (
	"context"
	"slices"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// onSlot is the rule of Slot: the ledger follows it.
func (b books) onSlot(ctx context.Context, tx record.Tx, old, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	one := r
	if one == nil {
		one = old
	}
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Slot/"+one.ID())
	if err != nil || !ok {
		return err
	}
	who, at := b.stamps(ctx)
	if r == nil {
		_, err := tx.Exec(ctx, "UPDATE scheduling_slot SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND num = $2", tenant, num, at, who)
		return err
	}
	schedule, err := b.meant(ctx, tx, tenant, flat.RefOf(r.Get("schedule")), "Schedule")
	if err != nil {
		return err
	}
	from, _ := instant(r.Str("start"))
	to, _ := instant(r.Str("end"))
	if to <= from {
		return fault.At(fault.Unprocessable, "Slot.end", "the end is not after the start").WithCode("invariant")
	}
	_, err = tx.Exec(ctx, `INSERT INTO scheduling_slot (tenant, num, schedule, starts, ends, status, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $8, 0)
		ON CONFLICT (tenant, num) DO UPDATE SET schedule = excluded.schedule, starts = excluded.starts, ends = excluded.ends, status = excluded.status,
			updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = 0`, tenant, num, schedule, from, to, r.Str("status"), who, at)
	return err
}

// ownersOf are whose Schedule the Slot belongs to: their time is what it is.
func (b books) ownersOf(ctx context.Context, q sqldb.Querier, tenant int32, ref string) ([]actor, error) {
	slot, err := b.meant(ctx, q, tenant, ref, "Slot")
	if err != nil || slot == 0 {
		return nil, err
	}
	var out []actor
	err = sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var x actor
		err := rows.Scan(&x.typ, &x.num)
		out = append(out, x)
		return err
	}, "SELECT a.type, a.actor FROM scheduling_slot s JOIN scheduling_schedule a ON a.tenant = s.tenant AND a.num = s.schedule WHERE s.tenant = $1 AND s.num = $2", tenant, slot)
	return out, err
}

// wantedSlots are the Slots that the appointment must be in.
func (b books) wantedSlots(ctx context.Context, q sqldb.Querier, tenant int32, a *appointment) ([]int64, error) {
	var want []int64
	if !holds(a.status) {
		return nil, nil
	}
	for _, ref := range a.slots {
		n, err := b.meant(ctx, q, tenant, ref, "Slot")
		if err != nil {
			return nil, err
		}
		if n != 0 && !slices.Contains(want, n) {
			want = append(want, n)
		}
	}
	slices.Sort(want)
	return want, nil
}

// slotsOf are the Slots that the appointment is in, and whether it is held.
func (b books) slotsOf(ctx context.Context, q sqldb.Querier, tenant int32, appointment int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var n int64
		var held bool
		err := rows.Scan(&n, &held)
		out[n] = held
		return err
	}, "SELECT slot, held <> 0 FROM scheduling_slot_claim WHERE tenant = $1 AND appointment = $2", tenant, appointment)
	return out, err
}

// leaveSlots has the appointment leave the Slots that it is in no more. A Slot's own status follows later, as it was.
func (b books) leaveSlots(ctx context.Context, tx record.Tx, tenant int32, a *appointment) error {
	want, err := b.wantedSlots(ctx, tx, tenant, a)
	if err != nil {
		return err
	}
	was, err := b.slotsOf(ctx, tx, tenant, a.num)
	if err != nil {
		return err
	}
	for n := range was {
		if slices.Contains(want, n) {
			continue
		}
		if _, err := tx.Exec(ctx, "DELETE FROM scheduling_slot_claim WHERE tenant = $1 AND slot = $2 AND appointment = $3", tenant, n, a.num); err != nil {
			return err
		}
		if err := b.tellSlot(ctx, tx, tenant, n); err != nil {
			return err
		}
	}
	return nil
}

// takeSlots has the appointment be in the Slots that it names. A Slot is in one active appointment.
func (b books) takeSlots(ctx context.Context, tx record.Tx, tenant int32, a *appointment) error {
	want, err := b.wantedSlots(ctx, tx, tenant, a)
	if err != nil || len(want) == 0 {
		return err
	}
	was, err := b.slotsOf(ctx, tx, tenant, a.num)
	if err != nil {
		return err
	}
	pending := a.status == "pending"
	for _, n := range want {
		held, mine := was[n]
		switch {
		case !mine:
			err = b.takeSlot(ctx, tx, tenant, a, n)
		case held != pending:
			_, err = tx.Exec(ctx, "UPDATE scheduling_slot_claim SET held = $4 WHERE tenant = $1 AND slot = $2 AND appointment = $3", tenant, n, a.num, bit(pending))
		default:
			continue
		}
		if err == nil {
			err = b.tellSlot(ctx, tx, tenant, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b books) takeSlot(ctx context.Context, tx record.Tx, tenant int32, a *appointment, slot int64) error {
	if err := b.lock(ctx, tx, tenant, []actor{{"Slot", slot}}); err != nil {
		return err
	}
	var other int64
	found, err := sqldb.QueryRow(ctx, tx, []any{&other}, "SELECT appointment FROM scheduling_slot_claim WHERE tenant = $1 AND slot = $2", tenant, slot)
	if err != nil {
		return err
	}
	if found {
		return fault.At(fault.Conflict, "Appointment.slot", "the slot is taken").WithCode(conflictCode)
	}
	var status string
	if _, err := sqldb.QueryRow(ctx, tx, []any{&status}, "SELECT status FROM scheduling_slot WHERE tenant = $1 AND num = $2 AND deleted_at = 0", tenant, slot); err != nil {
		return err
	}
	if status == "busy-unavailable" || status == "entered-in-error" {
		return fault.At(fault.Conflict, "Appointment.slot", "the slot is %s", status).WithCode(conflictCode)
	}
	who, at := b.stamps(ctx)
	_, err = tx.Exec(ctx, "INSERT INTO scheduling_slot_claim (tenant, slot, appointment, held, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
		tenant, slot, a.num, bit(a.status == "pending"), who, at)
	return err
}

// tellSlot has the Slot's own status brought in line with the ledger, soon after the commit.
func (b books) tellSlot(ctx context.Context, tx record.Tx, tenant int32, slot int64) error {
	id := b.l.Next()
	return job.Put(ctx, tx, tenant, job.Job{ID: id, Kind: slotJob, Key: decimal(slot) + "/" + decimal(id), Data: []byte(decimal(slot))})
}

// onSchedule is the rule of Schedule: whose calendar it is, and how that is kept.
func (b books) onSchedule(ctx context.Context, tx record.Tx, old, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	one := r
	if one == nil {
		one = old
	}
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Schedule/"+one.ID())
	if err != nil || !ok {
		return err
	}
	actors, err := b.enterSchedule(ctx, tx, tenant, num, r)
	if err != nil {
		return err
	}
	text := planText(r)
	if old != nil && planText(old) != "" && (text == "" || text != planText(old)) {
		if err := b.dropPlan(ctx, tx, tenant, num); err != nil {
			return err
		}
	}
	if text == "" {
		return nil
	}
	if _, err := readPlan(text, "Schedule.extension", false); err != nil {
		return err
	}
	if len(actors) != 1 {
		return fault.At(fault.Unprocessable, "Schedule.actor", "a Schedule with a plan is of one actor, known here")
	}
	all, err := b.entries(ctx, tx, tenant, actors[0])
	if err != nil {
		return err
	}
	if e := all[actors[0]]; e != nil && e.plan != "" && e.schedule != num {
		return fault.At(fault.Conflict, "Schedule.extension", "another Schedule says how this actor's calendar is kept")
	}
	return b.setPlan(ctx, tx, tenant, actors[0], num, text)
}

// adoptSchedule enters a Schedule of before; a plan that cannot be read is left out, since nobody can be told.
func (b books) adoptSchedule(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	tenant := access.From(ctx).Tenant
	_, num, ok, err := b.l.Meant(ctx, tx, tenant, "Schedule/"+r.ID())
	if err != nil || !ok {
		return err
	}
	actors, err := b.enterSchedule(ctx, tx, tenant, num, r)
	if err != nil || len(actors) != 1 || planText(r) == "" {
		return err
	}
	if _, wrong := readPlan(planText(r), "", false); wrong != nil {
		return nil //nolint:nilerr // see above
	}
	return b.setPlan(ctx, tx, tenant, actors[0], num, planText(r))
}

// enterSchedule notes whose calendar a Schedule is; r nil: nobody's any more. A PractitionerRole's is its practitioner's.
func (b books) enterSchedule(ctx context.Context, tx record.Tx, tenant int32, num int64, r *fhir.Resource) ([]actor, error) {
	if _, err := tx.Exec(ctx, "DELETE FROM scheduling_schedule WHERE tenant = $1 AND num = $2", tenant, num); err != nil || r == nil {
		return nil, err
	}
	var actors []actor
	for _, n := range flat.Items(r.Get("actor")) {
		typ, id, ok, err := b.l.Meant(ctx, tx, tenant, flat.RefOf(n))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if err := b.addActor(ctx, tx, tenant, actor{typ, id}, func(x actor, _ int64) {
			if x.typ != "Patient" && !slices.Contains(actors, x) {
				actors = append(actors, x)
			}
		}); err != nil {
			return nil, err
		}
	}
	rows := make([][]any, len(actors))
	for i, x := range actors {
		rows[i] = []any{tenant, num, x.typ, x.num}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return actors, sqldb.ExecMany(ctx, tx, "INSERT INTO scheduling_schedule (tenant, num, type, actor) VALUES ($1, $2, $3, $4)", rows)
}

// planText is the plan that a Schedule bears, as JSON; "" where it bears none.
func planText(r *fhir.Resource) string {
	if r == nil {
		return ""
	}
	for _, x := range flat.Items(r.Get("extension")) {
		if x.Str("url") == PlanExtension {
			return x.Str("valueString")
		}
	}
	return ""
}

// dropPlan takes back the plan that a Schedule said.
func (b books) dropPlan(ctx context.Context, tx record.Tx, tenant int32, schedule int64) error {
	who, at := b.stamps(ctx)
	_, err := tx.Exec(ctx, "UPDATE scheduling_actor SET plan = '', schedule = 0, version = version + 1, updated_by = $3, updated_at = $4 WHERE tenant = $1 AND schedule = $2",
		tenant, schedule, who, at)
	return err
}
