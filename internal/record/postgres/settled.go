package postgres

import (
	"context"
	"sync"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// settled knows up to which event nothing can come any more. Ids are given out before their transactions commit, and those commit in any order:
// whoever reads behind the last id that was seen would pass over what commits late.
//
// A mark is an id that was given out already, and a transaction number that was taken after it: whoever holds an id up to the mark's holds a smaller
// transaction number. Once all those have ended, every event up to the mark is committed or never will be, and the ids, which
// follow the locks on records, give the order.
type settled struct {
	mu    sync.Mutex
	bound int64 // nothing can come any more up to here
	mark  int64 // 0: none is waited for
	txid  int64
}

// Settled implements record.Engine.
func (e *Engine) Settled(ctx context.Context) (upTo, last int64, err error) {
	s := &e.settled
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := e.one(ctx, &last, "SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('event', 'id')::regclass), 0)"); err != nil {
		return s.bound, last, err
	}
	for s.bound < last {
		if s.mark == 0 {
			if err := e.takeMark(ctx, last); err != nil {
				return s.bound, last, err
			}
		}
		var oldest int64
		if err := e.one(ctx, &oldest, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"); err != nil {
			return s.bound, last, err
		}
		if oldest < s.txid {
			break
		}
		s.bound, s.mark = s.mark, 0
	}
	return s.bound, last, nil
}

// takeMark takes a transaction number after the id. That transaction has ended before anybody looks: it holds nothing up.
func (e *Engine) takeMark(ctx context.Context, id int64) error {
	s := &e.settled
	err := e.db.Update(ctx, 1, func(tx sqldb.Tx) error {
		_, err := sqldb.QueryRow(ctx, tx, []any{&s.txid}, "SELECT pg_current_xact_id()::text::bigint")
		return err
	})
	if err == nil {
		s.mark = id
	}
	return err
}

func (e *Engine) one(ctx context.Context, dest *int64, sql string) error {
	return e.db.Read(ctx, 1, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{dest}, sql)
		return err
	})
}
