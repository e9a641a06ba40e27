package event

import (
	"context"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// lagCounted bounds the count of changes that a reader is behind.
const lagCounted = 100_000

// ReaderState is how a durable reader stands in a tenant.
type ReaderState struct {
	Name     string
	Position int64 // every change up to this was handled
	Behind   int   // changes that it has not looked at; 100000: that many or more
	Read     bool  // some process reads for it
	Known    bool  // this program has such a reader, as it is configured
	Tries    int   // how often the event behind Position was tried in vain
	Failing  time.Time
	Problem  string
	Letters  int // dead letters that are not at an end
	Changed  time.Time
}

// Readers returns how the readers stand in the caller's tenant, in the order of their names, and the newest change.
func (h *Hub) Readers(ctx context.Context) ([]ReaderState, int64, error) {
	tenant := access.From(ctx).Tenant
	last, err := h.o.Store.LastChange(ctx)
	if err != nil {
		return nil, 0, err
	}
	var out []ReaderState
	var problems [][]byte
	err = h.o.Store.Ledger().View(ctx, tenant, func(q sqldb.Querier) error {
		out, problems = nil, nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var s ReaderState
			var owner, failing, changed int64
			var problem []byte
			err := rows.Scan(&s.Name, &s.Position, &owner, &s.Tries, &failing, &problem, &changed, &s.Letters)
			s.Name, s.Read, s.Known, s.Changed = strings.Clone(s.Name), owner != 0, h.knows(s.Name), time.UnixMicro(changed).UTC()
			if failing != 0 {
				s.Failing = time.UnixMicro(failing).UTC()
			}
			out, problems = append(out, s), append(problems, problem)
			return err
		}, "SELECT name, position, owner, tries, failing_at, problem, updated_at, (SELECT count(*) FROM event_dead d WHERE d.tenant = r.tenant AND d.reader = r.name AND d.deleted_at = 0)"+
			" FROM event_reader r WHERE tenant = $1 AND deleted_at = 0 ORDER BY name", tenant)
	})
	if err != nil {
		return nil, 0, err
	}
	for i := range out {
		s := &out[i]
		s.Problem = h.unsealed(ctx, tenant, "event_reader.problem/"+s.Name, problems[i])
		if s.Position < last {
			if s.Behind, err = h.o.Store.Behind(ctx, s.Position, lagCounted); err != nil {
				return nil, 0, err
			}
		}
	}
	return out, last, nil
}

func (h *Hub) knows(name string) bool {
	for _, r := range h.readers {
		if r.name == name {
			return true
		}
	}
	return false
}

// Rewind has a reader of the caller's tenant go on behind a change: it handles everything after that again, or for the first time. NotFound; Unprocessable
// for a place that the tenant has not come to yet.
func (h *Hub) Rewind(ctx context.Context, name string, after int64) error {
	caller := access.From(ctx)
	settled, _, err := h.o.Store.Settled(ctx)
	if err != nil {
		return err
	}
	if after < 0 || after > settled {
		return fault.At(fault.Unprocessable, "from", "must be from 0 to %d, the newest change", settled)
	}
	var n int64
	err = h.o.Store.Ledger().Update(ctx, caller.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE event_reader SET position = $3, epoch = epoch + 1, tries = 0, failing_at = 0, problem = NULL, updated_by = $4, updated_at = $5 WHERE tenant = $1 AND name = $2 AND deleted_at = 0",
			caller.Tenant, name, after, caller.Who, h.o.Clock().UnixMicro())
		return err
	})
	if err == nil && n == 0 {
		err = fault.New(fault.NotFound, "there is no reader of this name")
	}
	if err == nil {
		h.lookAt(caller.Tenant)
	}
	return err
}

// around is how far the order of changes may differ from that of their times: as long as a transaction may take.
const around = time.Minute

// At returns a place in the caller's tenant behind which all changes of a time and later stand. A few older ones may stand there too, since changes are in
// the order in which they were committed.
func (h *Hub) At(ctx context.Context, t time.Time) (int64, error) {
	ctx = system(ctx, access.From(ctx).Tenant)
	last, err := h.o.Store.LastChange(ctx)
	if err != nil {
		return 0, err
	}
	t = t.Add(-around)
	lo, hi := int64(0), last // no change up to lo is as late as t; behind hi all are, or there are none
	for lo < hi {
		mid := lo + (hi-lo)/2
		changes, next, err := h.o.Store.Changes(ctx, mid, nil, 1)
		for err == nil && len(changes) == 0 && next < hi { // of erased patients nothing is told
			changes, next, err = h.o.Store.Changes(ctx, next, nil, 1)
		}
		switch {
		case err != nil:
			return 0, err
		case len(changes) == 0 || !changes[0].Version.Updated.Before(t):
			hi = mid
		default:
			lo = min(changes[0].ID, hi)
		}
	}
	return lo, nil
}

// Filter selects events.
type Filter struct {
	Topic string    // "": all
	Kind  string    // "appointment.created", or as CloudEvents name it; "": all
	From  time.Time // not before; zero: any
}

func (f *Filter) wants(e *Event) bool {
	return (f.Topic == "" || e.Kind.Topic == f.Topic) && (f.Kind == "" || e.Kind.Name == f.Kind || e.Type() == f.Kind) && !e.Time.Before(f.From)
}

// scanned bounds how many changes one reading of the log looks at.
const scanned = 5000

// Log returns events of the caller's tenant behind a change, in order, and the place to go on from; more reports that there may be something behind that. A page can be
// empty and have more behind it, since a reading is bounded. Events of one change are never on two pages: a page can be longer than limit by those. It does
// not ask what the caller may see: that is for who calls it.
func (h *Hub) Log(ctx context.Context, after int64, f Filter, limit int) (events []Event, next int64, more bool, err error) {
	ctx = system(ctx, access.From(ctx).Tenant)
	next = after
	for looked := 0; looked < scanned; looked += atATime {
		items, to, err := h.telling.behind(ctx, next, atATime)
		if err != nil {
			return nil, after, false, err
		}
		if to == next {
			return events, next, false, nil
		}
		for i := range items {
			for _, e := range items[i].events {
				if f.wants(&e) {
					events = append(events, e)
				}
			}
			if len(events) >= limit {
				return events, items[i].id, true, nil
			}
		}
		next = to
	}
	return events, next, true, nil
}
