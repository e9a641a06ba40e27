package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// A new database, or one that an import has just filled, has no statistics until autovacuum comes by, and without them the
// planner takes millions of rows for a few. So each process asks for statistics itself whenever it has written as much as
// there was before.

// statistics counts what was written since the tables were last analyzed.
type statistics struct {
	mu      sync.Mutex
	written int
	next    int
	running bool
	closed  bool
	wg      sync.WaitGroup
}

// stop waits for what runs, and lets nothing more begin.
func (s *statistics) stop() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.wg.Wait()
}

// firstAnalyze is after how many versions the first statistics are made.
const firstAnalyze = 1000

// grew notes what a transaction wrote.
func (e *Engine) grew(b *bulk) {
	s := &e.fresh
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written += len(b.rows.Versions)
	if s.next == 0 {
		s.next = firstAnalyze
	}
	if s.written < s.next || s.running || s.closed {
		return
	}
	s.running = true
	s.next = 2 * s.written
	s.wg.Go(e.analyze)
}

// analyze makes statistics. That it fails costs speed alone, and autovacuum comes by some day.
func (e *Engine) analyze() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = e.db.Maintain(ctx, 1, func(q sqldb.Querier) error {
		_, err := q.Exec(ctx, "ANALYZE record, version, alias, idx_text, idx_ref, idx_date, idx_num")
		return err
	})
	e.fresh.mu.Lock()
	e.fresh.running = false
	e.fresh.mu.Unlock()
}
