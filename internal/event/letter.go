package event

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// LetterState is what is to become of a dead letter.
type LetterState string

// The states. Those behind Again are ends: such letters are kept as a trace.
const (
	Dead      LetterState = "dead"      // it waits for an operator
	Again     LetterState = "again"     // it is to be handled once more
	Handled   LetterState = "handled"   // it was, and its handler took it
	Discarded LetterState = "discarded" // an operator did not want it handled
	Lost      LetterState = "gone"      // the change cannot be read any more, since its patient was erased, or means nothing any more
)

// Letter is an event that a reader could not handle.
type Letter struct {
	ID       int64
	Reader   string
	Event    int64 // of the change
	Part     int   // which of its facts; -1: none of them could be told
	Kind     string
	Version  int // of the kind's schema
	Subject  string
	Happened time.Time
	Tries    int
	Problem  string // why, as the handler said last
	State    LetterState
	Made     time.Time
	Changed  time.Time
	By       string // who changed it last
}

// letterPlace binds a sealed text to where it stands.
const letterPlace = "event_dead.problem"

// problemOf is what a failure says, within bounds.
func problemOf(err error) string {
	const most = 2000
	text := err.Error()
	if len(text) > most {
		text = text[:most]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}

// sealed seals a text, since what a handler says may be of a patient; nil where that fails.
func (h *Hub) sealed(ctx context.Context, tenant int32, what, text string) []byte {
	out, err := h.o.Store.Ledger().Seal(ctx, tenant, what, []byte(text))
	if err != nil {
		h.o.Log.Error("events: a problem cannot be sealed", "error", err.Error())
		return nil
	}
	return out
}

func (h *Hub) unsealed(ctx context.Context, tenant int32, what string, sealed []byte) string {
	if len(sealed) == 0 {
		return ""
	}
	out, err := h.o.Store.Ledger().Open(ctx, tenant, what, sealed)
	if err != nil {
		return "(it cannot be opened)"
	}
	return string(out)
}

// bury lays an event aside as a dead letter. Of one reader's failures on one event there is one letter.
func (h *Hub) bury(ctx context.Context, reader string, e *Event, tries int, why error) error {
	now := h.o.Clock().UnixMicro()
	id := h.o.Store.Ledger().Next()
	problem := h.sealed(ctx, e.Tenant, letterPlace, problemOf(why))
	return h.o.Store.Ledger().Update(ctx, e.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO event_dead (tenant, id, reader, event, part, kind, version, subject, happened_at, tries, problem, state, created_by, created_at, updated_by, updated_at, deleted_at)"+
			" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'dead', 'system', $12, 'system', $12, 0)"+
			" ON CONFLICT (tenant, reader, event, part) WHERE deleted_at = 0 DO UPDATE SET tries = event_dead.tries + excluded.tries, problem = excluded.problem, state = 'dead', updated_by = 'system', updated_at = excluded.updated_at",
			e.Tenant, id, reader, e.ID, e.Part, e.Kind.Name, e.Kind.Version, e.Subject, e.Time.UnixMicro(), tries, problem, now)
		return err
	})
}

// LetterQuery selects dead letters, the oldest first.
type LetterQuery struct {
	ID     int64       // 0: any
	Reader string      // "": of all
	State  LetterState // "": those that are not at an end
	After  int64       // the last of the page before
	Limit  int
}

// Letters returns dead letters of the caller's tenant.
func (h *Hub) Letters(ctx context.Context, q LetterQuery) ([]Letter, error) {
	tenant := access.From(ctx).Tenant
	var b sqldb.Builder
	b.SQL("SELECT id, reader, event, part, kind, version, subject, happened_at, tries, problem, state, created_at, updated_at, updated_by FROM event_dead WHERE tenant = ").Arg(tenant)
	h.where(&b, q)
	b.SQL(" AND id > ").Arg(q.After).SQL(" ORDER BY id LIMIT ").Arg(max(q.Limit, 1))
	var out []Letter
	var problems [][]byte
	err := h.o.Store.Ledger().Read(ctx, tenant, func(tx sqldb.Querier) error {
		out, problems = nil, nil
		return sqldb.Each(ctx, tx, func(rows sqldb.Rows) error {
			var l Letter
			var state string
			var problem []byte
			var happened, made, changed int64
			err := rows.Scan(&l.ID, &l.Reader, &l.Event, &l.Part, &l.Kind, &l.Version, &l.Subject, &happened, &l.Tries, &problem, &state, &made, &changed, &l.By)
			l.Reader, l.Kind, l.Subject, l.By, l.State = strings.Clone(l.Reader), strings.Clone(l.Kind), strings.Clone(l.Subject), strings.Clone(l.By), LetterState(strings.Clone(state))
			l.Happened, l.Made, l.Changed = time.UnixMicro(happened).UTC(), time.UnixMicro(made).UTC(), time.UnixMicro(changed).UTC()
			out, problems = append(out, l), append(problems, problem)
			return err
		}, b.String(), b.Args...)
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		out[i].Problem = h.unsealed(ctx, tenant, letterPlace, problems[i])
	}
	return out, nil
}

func (h *Hub) where(b *sqldb.Builder, q LetterQuery) {
	if q.ID != 0 {
		b.SQL(" AND id = ").Arg(q.ID)
	}
	if q.Reader != "" {
		b.SQL(" AND reader = ").Arg(q.Reader)
	}
	switch {
	case q.State != "":
		b.SQL(" AND state = ").Arg(string(q.State))
	case q.ID == 0:
		b.SQL(" AND deleted_at = 0")
	}
}

// Letter returns a dead letter and the events that it stands for, told anew from the record; none where the change cannot be read any more. NotFound.
func (h *Hub) Letter(ctx context.Context, id int64) (Letter, []Event, error) {
	found, err := h.Letters(ctx, LetterQuery{ID: id, Limit: 1})
	if err != nil {
		return Letter{}, nil, err
	}
	if len(found) == 0 {
		return Letter{}, nil, fault.New(fault.NotFound, "there is no dead letter with this id")
	}
	events, err := h.eventsOf(system(ctx, access.From(ctx).Tenant), &found[0])
	return found[0], events, err
}

// eventsOf tells a letter's events anew.
func (h *Hub) eventsOf(ctx context.Context, l *Letter) ([]Event, error) {
	t, err := h.telling.one(ctx, l.Event)
	switch {
	case err != nil:
		return nil, err
	case t.err != nil:
		return nil, nil //nolint:nilerr // it cannot be told still: there are no events
	case l.Part < 0:
		return t.events, nil
	case l.Part < len(t.events) && t.events[l.Part].Kind.Name == l.Kind:
		return t.events[l.Part : l.Part+1], nil
	}
	return nil, nil
}

// HandleAgain has dead letters of the caller's tenant handled once more, by the process that reads for their reader, and returns how many there are. One
// that fails again stays a dead letter.
func (h *Hub) HandleAgain(ctx context.Context, q LetterQuery) (int, error) {
	n, err := h.letters(ctx, q, Again, false)
	if err == nil && n > 0 {
		h.lookAt(access.From(ctx).Tenant)
	}
	return n, err
}

// Discard gives dead letters of the caller's tenant up, and returns how many there are.
func (h *Hub) Discard(ctx context.Context, q LetterQuery) (int, error) {
	return h.letters(ctx, q, Discarded, true)
}

// letters has an operator set the state of letters that are dead.
func (h *Hub) letters(ctx context.Context, q LetterQuery, to LetterState, end bool) (int, error) {
	caller, now := access.From(ctx), h.o.Clock().UnixMicro()
	deleted := int64(0)
	if end {
		deleted = now
	}
	var b sqldb.Builder
	b.SQL("UPDATE event_dead SET state = ").Arg(string(to)).SQL(", updated_by = ").Arg(caller.Who).SQL(", updated_at = ").Arg(now).SQL(", deleted_at = ").Arg(deleted).
		SQL(" WHERE tenant = ").Arg(caller.Tenant).SQL(" AND deleted_at = 0")
	q.State = ""
	h.where(&b, q)
	var n int64
	err := h.o.Store.Ledger().Update(ctx, caller.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, b.String(), b.Args...)
		return err
	})
	return int(n), err
}

// lookAt has this process look at the rows of a tenant's readers now; others do so in their own time.
func (h *Hub) lookAt(tenant int32) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if r := h.rooms[tenant]; r != nil {
		signal(r.look)
	}
}

// handleAgain handles the reader's letters that an operator wants handled once more.
func (c *cursor) handleAgain() {
	h := c.room.hub
	for after := int64(0); c.ctx.Err() == nil; {
		found, err := h.Letters(c.ctx, LetterQuery{Reader: c.reader.name, State: Again, After: after, Limit: 100})
		if err != nil {
			c.room.failed("reading dead letters", err)
			return
		}
		for i := range found {
			if err := c.resolve(&found[i]); err != nil {
				c.room.failed("dead letters", err)
				return
			}
			after = found[i].ID
		}
		if len(found) < 100 {
			return
		}
	}
}

// resolve handles a letter once more and keeps what became of it.
func (c *cursor) resolve(l *Letter) error {
	h := c.room.hub
	t, err := h.telling.one(c.ctx, l.Event)
	if err != nil {
		return err
	}
	if t.err != nil { // it still cannot be told
		return c.failedAgain(l, t.err)
	}
	events, err := h.eventsOf(c.ctx, l)
	if err != nil {
		return err
	}
	to := Handled
	if len(events) == 0 {
		to = Lost
	}
	for i := range events {
		if err := c.call(events[i : i+1]); err != nil {
			if c.ctx.Err() != nil {
				return c.ctx.Err()
			}
			return c.failedAgain(l, err)
		}
	}
	now := h.o.Clock().UnixMicro()
	return h.o.Store.Ledger().Update(c.ctx, c.room.tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(c.ctx, "UPDATE event_dead SET state = $3, updated_at = $4, deleted_at = $4 WHERE tenant = $1 AND id = $2 AND deleted_at = 0", c.room.tenant, l.ID, string(to), now)
		return err
	})
}

// failedAgain keeps that a letter is as dead as before, and why.
func (c *cursor) failedAgain(l *Letter, why error) error {
	h := c.room.hub
	problem, now := h.sealed(c.ctx, c.room.tenant, letterPlace, problemOf(why)), h.o.Clock().UnixMicro()
	return h.o.Store.Ledger().Update(c.ctx, c.room.tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(c.ctx, "UPDATE event_dead SET state = 'dead', tries = tries + 1, problem = $3, updated_at = $4 WHERE tenant = $1 AND id = $2 AND deleted_at = 0", c.room.tenant, l.ID, problem, now)
		return err
	})
}
