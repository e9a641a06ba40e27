package event

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// What was handled is kept soon, and then not again for a while, so that many events share a commit: at most that much is handled again after a
// crash. Places that moved over changes which meant nothing wait longer.
const (
	keepSoon  = 5 * time.Millisecond
	keepEvery = 100 * time.Millisecond
	keepIdle  = 5 * time.Second
)

// begin gives readers that nobody has heard of before their places. The first tenant's row comes last: where it stands the reader is known, and
// tenants that have no row came after it.
func (h *Hub) begin(ctx context.Context) error {
	known := map[string]bool{}
	err := h.o.Store.Ledger().Read(ctx, 1, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var name string
			err := rows.Scan(&name)
			known[strings.Clone(name)] = true
			return err
		}, "SELECT name FROM event_reader WHERE tenant = 1")
	})
	if err != nil {
		return err
	}
	var fresh []*reader
	for _, r := range h.readers {
		if !known[r.name] {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	tenants, err := h.o.Store.KeyedTenants(ctx)
	if err != nil {
		return err
	}
	tenants = slices.DeleteFunc(tenants, func(t int32) bool { return t == 1 })
	for _, tenant := range append(tenants, 1) {
		err := h.o.Store.Ledger().Update(ctx, tenant, func(tx sqldb.Tx) error {
			for _, r := range fresh {
				at := h.started
				if r.from == FromBeginning {
					at = 0
				}
				if err := h.insertReader(ctx, tx, tenant, r.name, at, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) insertReader(ctx context.Context, tx sqldb.Tx, tenant int32, name string, at, owner int64) error {
	now := h.o.Clock().UnixMicro()
	_, err := tx.Exec(ctx, "INSERT INTO event_reader (tenant, name, position, owner, epoch, tries, failing_at, created_by, created_at, updated_by, updated_at, deleted_at)"+
		" VALUES ($1, $2, $3, $4, 1, 0, 0, 'system', $5, 'system', $5, 0) ON CONFLICT (tenant, name) DO NOTHING", tenant, name, at, owner, now)
	return err
}

// place is a reader's row, as far as those who read go.
type place struct {
	name                   string
	position, owner, epoch int64
}

// keep looks after the rows of readers until the room's context ends.
func (r *room) keep() {
	signal(r.look)
	flush := time.NewTimer(keepIdle)
	defer flush.Stop()
	due := false
	var kept time.Time
	idle := time.NewTicker(keepIdle)
	defer idle.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.look:
			if err := r.hold(); err != nil {
				r.failed("places of readers", err)
				time.AfterFunc(time.Second, func() { signal(r.look) })
			}
		case <-r.dirty:
			if !due {
				due = true
				flush.Reset(max(keepSoon, keepEvery-time.Since(kept)))
			}
		case <-flush.C:
			due = false
			r.flush(r.ctx)
			kept = time.Now()
		case <-idle.C:
			r.flush(r.ctx)
		}
	}
}

// hold takes over readers that are free, begins anew with those that were sent elsewhere, and lets go of what others have taken.
func (r *room) hold() error {
	if r.hub.processes.silent() || len(r.hub.readers) == 0 {
		return nil
	}
	places, again, err := r.places()
	if err != nil {
		return err
	}
	for _, one := range r.hub.readers {
		p, stands := places[one.name]
		r.mu.Lock()
		c := r.cursors[one.name]
		r.mu.Unlock()
		me := r.hub.processes.me
		switch {
		case !stands || p.owner != me && r.hub.processes.dead(p.owner):
			r.end(c)
			if p, err = r.take(one, p, stands); err != nil {
				return err
			}
			if p.owner == me {
				r.start(one, p)
			}
		case p.owner == me && (c == nil || c.epoch != p.epoch || c.ctx.Err() != nil):
			r.end(c)
			r.start(one, p)
		case p.owner != me:
			r.end(c)
		}
	}
	for _, name := range again {
		r.mu.Lock()
		if c := r.cursors[name]; c != nil {
			signal(c.again)
		}
		r.mu.Unlock()
	}
	return nil
}

// places reads the rows of readers, and which of them have dead letters that are to be handled again.
func (r *room) places() (map[string]place, []string, error) {
	places := map[string]place{}
	var again []string
	err := r.hub.o.Store.Ledger().View(r.ctx, r.tenant, func(q sqldb.Querier) error {
		clear(places)
		again = nil
		err := sqldb.Each(r.ctx, q, func(rows sqldb.Rows) error {
			var p place
			err := rows.Scan(&p.name, &p.position, &p.owner, &p.epoch)
			p.name = strings.Clone(p.name)
			places[p.name] = p
			return err
		}, "SELECT name, position, owner, epoch FROM event_reader WHERE tenant = $1 AND deleted_at = 0", r.tenant)
		if err != nil {
			return err
		}
		return sqldb.Each(r.ctx, q, func(rows sqldb.Rows) error {
			var name string
			err := rows.Scan(&name)
			again = append(again, strings.Clone(name))
			return err
		}, "SELECT DISTINCT reader FROM event_dead WHERE tenant = $1 AND deleted_at = 0 AND state = 'again'", r.tenant)
	})
	return places, again, err
}

// take makes this process the owner of a reader that is free, unless another is faster.
func (r *room) take(one *reader, was place, stands bool) (place, error) {
	me, now := r.hub.processes.me, r.hub.o.Clock().UnixMicro()
	var is place
	err := r.hub.o.Store.Ledger().Update(r.ctx, r.tenant, func(tx sqldb.Tx) error {
		if !stands {
			// The tenant is younger than the reader: all that it has is to be read.
			if err := r.hub.insertReader(r.ctx, tx, r.tenant, one.name, 0, me); err != nil {
				return err
			}
		} else if _, err := tx.Exec(r.ctx, "UPDATE event_reader SET owner = $3, epoch = epoch + 1, updated_by = 'system', updated_at = $6"+
			" WHERE tenant = $1 AND name = $2 AND owner = $4 AND epoch = $5", r.tenant, one.name, me, was.owner, was.epoch, now); err != nil {
			return err
		}
		is = place{name: one.name}
		_, err := sqldb.QueryRow(r.ctx, tx, []any{&is.position, &is.owner, &is.epoch}, "SELECT position, owner, epoch FROM event_reader WHERE tenant = $1 AND name = $2", r.tenant, one.name)
		return err
	})
	return is, err
}

func (r *room) start(one *reader, p place) {
	c := newCursor(r, one, p)
	r.mu.Lock()
	r.cursors[one.name] = c
	r.mu.Unlock()
	signal(r.wake) // the window may have stood still while nobody listened
	r.wg.Go(c.run)
}

// end ends a cursor and waits for its handler. nil: there is none.
func (r *room) end(c *cursor) {
	if c == nil {
		return
	}
	c.cancel()
	<-c.done
	r.mu.Lock()
	if r.cursors[c.reader.name] == c {
		delete(r.cursors, c.reader.name)
	}
	r.mu.Unlock()
}

// giveUp ends all cursors: others may read in this process's place.
func (r *room) giveUp() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.cursors {
		c.cancel()
	}
}

// flush keeps the places of all cursors that moved. A cursor whose row is not this process's any more ends.
func (r *room) flush(ctx context.Context) {
	r.mu.Lock()
	var moved []*cursor
	for _, c := range r.cursors {
		if c.moved() {
			moved = append(moved, c)
		}
	}
	r.mu.Unlock()
	if len(moved) == 0 {
		return
	}
	states := make([]state, len(moved))
	for i, c := range moved {
		states[i] = c.state()
	}
	var lost []*cursor
	err := r.hub.o.Store.Ledger().Update(ctx, r.tenant, func(tx sqldb.Tx) error {
		lost = nil
		for i, c := range moved {
			s := &states[i]
			n, err := tx.Exec(ctx, "UPDATE event_reader SET position = $5, tries = $6, failing_at = $7, problem = $8, updated_at = $9 WHERE tenant = $1 AND name = $2 AND owner = $3 AND epoch = $4",
				r.tenant, c.reader.name, r.hub.processes.me, c.epoch, s.position, s.tries, s.failingAt, s.problem, r.hub.o.Clock().UnixMicro())
			if err != nil {
				return err
			}
			if n == 0 {
				lost = append(lost, c)
			}
		}
		return nil
	})
	if err != nil {
		r.failed("keeping places of readers", err)
		signal(r.dirty)
		return
	}
	for i, c := range moved {
		c.kept(&states[i])
	}
	for _, c := range lost {
		c.cancel()
	}
	if len(lost) > 0 {
		signal(r.look)
	}
}

// leave keeps the last places and lets go of the rows, so that others need not wait for this process to be taken for dead.
func (r *room) leave() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), 5*time.Second)
	defer cancel()
	r.flush(ctx)
	r.mu.Lock()
	n := len(r.cursors)
	r.mu.Unlock()
	if n == 0 {
		return
	}
	err := r.hub.o.Store.Ledger().Update(ctx, r.tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE event_reader SET owner = 0, epoch = epoch + 1 WHERE tenant = $1 AND owner = $2", r.tenant, r.hub.processes.me)
		return err
	})
	if err != nil {
		r.hub.o.Log.Warn("events: readers stay this process's until it is taken for dead", "tenant", r.tenant, "error", err.Error())
	}
}
