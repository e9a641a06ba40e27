package audit

import (
	"context"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Event is a security event: an entry of the ledger, and who has looked at it.
type Event struct {
	Log
	ReviewedBy string // "": nobody yet
	ReviewedAt time.Time
	Note       string
}

// EventFilter is which security events are wanted.
type EventFilter struct {
	Severities, Types []string
	From, To          time.Time
	Before            int64
	Limit             int
	Reviewed          *bool
}

// Events returns security events, the newest first, and the cursor of the next page, 0 for none.
func (s *Service) Events(ctx context.Context, f EventFilter) ([]Event, int64, error) {
	tenant := access.From(ctx).Tenant
	lf := ledger.Filter{Kinds: []ledger.Kind{ledger.Security}, Actions: f.Types, From: f.From, To: f.To, Before: f.Before, Limit: max(f.Limit, 200)}
	var out []Event
	for { // the severity is sealed, so it is looked at once the rows are open
		rows, err := s.find(ctx, tenant, lf, nil)
		if err != nil {
			return nil, 0, err
		}
		events, err := s.reviewed(ctx, tenant, s.open(ctx, tenant, rows))
		if err != nil {
			return nil, 0, err
		}
		for i := range events {
			e := &events[i]
			if len(f.Severities) > 0 && !slices.Contains(f.Severities, e.Severity) || f.Reviewed != nil && *f.Reviewed != (e.ReviewedBy != "") {
				continue
			}
			if out = append(out, *e); len(out) == f.Limit {
				return out, e.ID, nil
			}
		}
		if len(rows) < lf.Limit {
			return out, 0, nil
		}
		lf.Before = rows[len(rows)-1].ID
	}
}

// reviewed adds who has looked at the events.
func (s *Service) reviewed(ctx context.Context, tenant int32, logs []Log) ([]Event, error) {
	out := make([]Event, len(logs))
	notes := make([][]byte, len(logs))
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		for i := range logs {
			out[i] = Event{Log: logs[i]}
			var by string
			var at int64
			var note []byte
			found, err := sqldb.QueryRow(ctx, q, []any{&by, &at, &note}, "SELECT created_by, created_at, note FROM security_review WHERE tenant = $1 AND event = $2 AND deleted_at IS NULL", tenant, logs[i].ID)
			if err != nil {
				return err
			}
			if found {
				out[i].ReviewedBy, out[i].ReviewedAt, notes[i] = by, time.UnixMicro(at).UTC(), note
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, sealed := range notes {
		if len(sealed) > 0 {
			plain, err := s.ledger.Open(ctx, tenant, notePlace, sealed)
			if err != nil {
				return nil, err
			}
			out[i].Note = string(plain)
		}
	}
	return out, nil
}

const notePlace = "security_review.note"

// MaxNote is how long a note on an event is at most, in bytes.
const MaxNote = 4000

// Acknowledge records that the caller has looked at a security event. Who did so first stays; Conflict for a second time.
func (s *Service) Acknowledge(ctx context.Context, id int64, note string) (Event, error) {
	c := access.From(ctx)
	if len(note) > MaxNote {
		return Event{}, fault.At(fault.Invalid, "note", "must be %d bytes at most", MaxNote)
	}
	l, err := s.Get(ctx, id)
	if err == nil && l.Kind != ledger.Security {
		err = fault.New(fault.NotFound, "there is no security event with this id")
	}
	if err != nil {
		return Event{}, err
	}
	var sealed []byte
	if note != "" {
		if sealed, err = s.ledger.Seal(ctx, c.Tenant, notePlace, []byte(note)); err != nil {
			return Event{}, err
		}
	}
	var n int64
	if err := s.ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "INSERT INTO security_review (tenant, event, note, created_by, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING", c.Tenant, id, sealed, c.Who, s.clock().UnixMicro())
		return err
	}); err != nil {
		return Event{}, err
	}
	if n == 0 {
		return Event{}, fault.New(fault.Conflict, "the event was acknowledged already")
	}
	s.note(ctx, ledger.Entry{Kind: ledger.Admin, Action: "acknowledge", Type: "SecurityEvent", Num: id})
	events, err := s.reviewed(ctx, c.Tenant, []Log{l})
	if err != nil {
		return Event{}, err
	}
	return events[0], nil
}

// overlap is how far back a live stream looks again: entries are written a little after they get their ids.
const overlap = 5 * time.Second

// stream calls f for every security event behind after (0: from now on) as they come, until ctx ends or f fails; beat is called when nothing
// came for a while.
func (s *Service) stream(ctx context.Context, after int64, f func(Event) error, beat func() error) error {
	tenant := access.From(ctx).Tenant
	start := s.clock()
	floor := after
	sent := map[int64]bool{}
	tick := time.NewTicker(s.poll)
	defer tick.Stop()
	quiet := time.Now()
	lf := ledger.Filter{Kinds: []ledger.Kind{ledger.Security}, Oldest: true, Limit: 500, After: after}
	if after == 0 {
		lf.From = start
	}
	for {
		rows, err := s.find(ctx, tenant, lf, nil)
		if err != nil {
			return err
		}
		events, err := s.reviewed(ctx, tenant, s.open(ctx, tenant, rows))
		if err != nil {
			return err
		}
		for i := range events {
			if id := events[i].ID; id > floor && !sent[id] {
				if err := f(events[i]); err != nil {
					return err
				}
				sent[id], quiet = true, time.Now()
			}
		}
		if len(rows) == lf.Limit {
			lf.After = rows[len(rows)-1].ID
			continue
		}
		// What is older than the overlap cannot come any more.
		lf.From = later(lf.From, s.clock().Add(-overlap))
		lf.After = floor
		if len(sent) > 10_000 {
			clear(sent) // some may be told twice: they bear their ids
		}
		if time.Since(quiet) >= s.beat {
			if err := beat(); err != nil {
				return err
			}
			quiet = time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
