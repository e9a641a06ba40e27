package scheduling

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// books are the module's ledgers.
type books struct{ l *record.Ledger }

// actor is who or what has a calendar: a record by its number, since one record can be meant by two ids.
type actor struct {
	typ string
	num int64
}

// nobody is the actor whose plan is the tenant's.
var nobody = actor{}

// now is the time, in a rule that has no clock but new numbers: for what is written beside a row, and for what a refusal offers.
func (b books) now() time.Time { return ident.Time(b.l.Next()) }

// stamps are who writes, and when: the values of created_by and created_at.
func (b books) stamps(ctx context.Context) (who string, at int64) {
	return access.From(ctx).Who, b.now().UnixMicro()
}

// lockKey is the number of the lock of a calendar.
func lockKey(tenant int32, a actor) int64 {
	h := fnv.New64a()
	// A hash never fails to take bytes.
	_, _ = h.Write([]byte(Module + "\x00" + a.typ + "\x00"))
	_, _ = h.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(tenant)), uint64(a.num)))
	return int64(h.Sum64())
}

// lock waits for the calendars, in the one order in which all writers take them.
func (b books) lock(ctx context.Context, tx record.Tx, tenant int32, actors []actor) error {
	keys := make([]int64, len(actors))
	for i, a := range actors {
		keys[i] = lockKey(tenant, a)
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if err := tx.Lock(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// entry is a row of scheduling_actor.
type entry struct {
	actor
	plan     string
	schedule int64
	kind     string
	span     int64
	version  int64
}

// atATime is how many actors one statement asks for.
const atATime = 100

// entries reads the rows of the actors that have one, and the tenant's.
func (b books) entries(ctx context.Context, q sqldb.Querier, tenant int32, actors ...actor) (map[actor]*entry, error) {
	out := map[actor]*entry{}
	for first := true; first || len(actors) > 0; first = false {
		n := min(len(actors), atATime)
		w := &sqldb.Builder{}
		w.SQL("SELECT type, num, plan, schedule, kind, span, version FROM scheduling_actor WHERE tenant = ").Arg(tenant).SQL(" AND num IN (0")
		for _, a := range actors[:n] {
			w.SQL(", ").Arg(a.num)
		}
		w.SQL(") AND deleted_at = 0")
		err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			e := &entry{}
			err := rows.Scan(&e.typ, &e.num, &e.plan, &e.schedule, &e.kind, &e.span, &e.version)
			out[e.actor] = e
			return err
		}, w.String(), w.Args...)
		if err != nil {
			return nil, err
		}
		actors = actors[n:]
	}
	return out, nil
}

// planOf is the plan of an actor among the entries, made whole, and what it says itself.
func planOf(all map[actor]*entry, a actor) (whole *kept, own Plan, err error) {
	var tenant Plan
	if e := all[nobody]; e != nil && e.plan != "" {
		if tenant, err = readPlan(e.plan, "", true); err != nil {
			return nil, own, err
		}
	}
	if e := all[a]; e != nil && a != nobody && e.plan != "" {
		if own, err = readPlan(e.plan, "", false); err != nil {
			return nil, own, err
		}
	}
	return resolve(own, tenant), own, nil
}

// claim is a row of scheduling_claim.
type claim struct {
	actor
	starts, ends int64
	until        int64
	appointment  int64
	role         int64
	extra, held  bool
}

// same reports that two claims take the same time of the same actor.
func (c claim) same(o claim) bool {
	return c.actor == o.actor && c.starts == o.starts && c.ends == o.ends && c.role == o.role
}

func orderClaims(all []claim) {
	slices.SortFunc(all, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.num, b.num), cmp.Compare(a.starts, b.starts), cmp.Compare(a.appointment, b.appointment))
	})
}

const claimColumns = "type, num, starts, ends, until, appointment, role, extra, held"

func (b books) claims(ctx context.Context, q sqldb.Querier, sql string, args ...any) ([]claim, error) {
	var out []claim
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var c claim
		err := rows.Scan(&c.typ, &c.num, &c.starts, &c.ends, &c.until, &c.appointment, &c.role, &c.extra, &c.held)
		out = append(out, c)
		return err
	}, "SELECT type, num, starts, ends, until, appointment, role, extra <> 0, held <> 0 FROM scheduling_claim WHERE "+sql, args...)
	return out, err
}

// claimsOf are the claims of an appointment.
func (b books) claimsOf(ctx context.Context, q sqldb.Querier, tenant int32, appointment int64) ([]claim, error) {
	return b.claims(ctx, q, "tenant = $1 AND appointment = $2 ORDER BY type, num, starts", tenant, appointment)
}

// shortSpan is how long a claim is taken to be where no longer one was ever made of the calendar.
const shortSpan = int64(4 * time.Hour / time.Microsecond)

// claimsIn are the claims of an actor that hold any instant of the time; span is the longest that one of them takes, so that what is looked through ends.
func (b books) claimsIn(ctx context.Context, q sqldb.Querier, tenant int32, a actor, from, to, span int64) ([]claim, error) {
	return b.claims(ctx, q, "tenant = $1 AND type = $2 AND num = $3 AND starts < $4 AND starts > $5 AND until > $6 ORDER BY starts, appointment",
		tenant, a.typ, a.num, to, from-max(span, shortSpan), from)
}

// spanOf is the longest time that a claim of the actor ever took.
func spanOf(all map[actor]*entry, a actor) int64 {
	if e := all[a]; e != nil {
		return e.span
	}
	return 0
}

// enter writes claims, and notes, in the ledger and in all, where one is longer than any before it.
func (b books) enter(ctx context.Context, tx record.Tx, tenant int32, all map[actor]*entry, claims []claim) error {
	if len(claims) == 0 {
		return nil
	}
	who, at := b.stamps(ctx)
	rows := make([][]any, len(claims))
	for i, c := range claims {
		rows[i] = []any{tenant, c.typ, c.num, c.starts, c.ends, c.until, c.appointment, c.role, bit(c.extra), bit(c.held), who, at}
		if length := c.until - c.starts; length > max(shortSpan, spanOf(all, c.actor)) {
			if err := b.stretch(ctx, tx, tenant, c.actor, length); err != nil {
				return err
			}
			if all[c.actor] == nil {
				all[c.actor] = &entry{actor: c.actor}
			}
			all[c.actor].span = length // for what is looked for next
		}
	}
	return sqldb.ExecMany(ctx, tx, "INSERT INTO scheduling_claim (tenant, "+claimColumns+", created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)", rows)
}

// stretch notes the longest claim of an actor.
func (b books) stretch(ctx context.Context, tx record.Tx, tenant int32, a actor, length int64) error {
	who, at := b.stamps(ctx)
	_, err := tx.Exec(ctx, `INSERT INTO scheduling_actor (tenant, type, num, plan, schedule, kind, span, version, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, '', 0, '', $4, 0, $5, $6, $5, $6, 0)
		ON CONFLICT (tenant, type, num) DO UPDATE SET span = excluded.span, updated_by = excluded.updated_by, updated_at = excluded.updated_at WHERE scheduling_actor.span < excluded.span`,
		tenant, a.typ, a.num, length, who, at)
	return err
}

// release takes back the claims of an appointment.
func (b books) release(ctx context.Context, tx record.Tx, tenant int32, appointment int64) error {
	_, err := tx.Exec(ctx, "DELETE FROM scheduling_claim WHERE tenant = $1 AND appointment = $2", tenant, appointment)
	return err
}

// setPlan writes the plan of an actor, or of the tenant; "" takes it back.
func (b books) setPlan(ctx context.Context, tx record.Tx, tenant int32, a actor, schedule int64, plan string) error {
	who, at := b.stamps(ctx)
	_, err := tx.Exec(ctx, `INSERT INTO scheduling_actor (tenant, type, num, plan, schedule, kind, span, version, created_by, created_at, updated_by, updated_at, deleted_at)
		VALUES ($1, $2, $3, $4, $5, '', 0, 1, $6, $7, $6, $7, 0)
		ON CONFLICT (tenant, type, num) DO UPDATE SET plan = excluded.plan, schedule = excluded.schedule, version = scheduling_actor.version + 1,
			updated_by = excluded.updated_by, updated_at = excluded.updated_at`,
		tenant, a.typ, a.num, plan, schedule, who, at)
	return err
}

// decimal is a number in decimal.
func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// bit is a flag as the databases keep it.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
