package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// committers is how many transactions write at a time. Each takes up what has queued while the ones before it were at
// work, so that many small jobs share one round trip and one flush of the log; more of them would share less.
const committers = 2

// What one transaction takes up at most.
const (
	batchJobs = 64
)

// waiting is a job that waits for its outcome.
type waiting struct {
	ctx    context.Context
	tenant int32
	job    *record.Job
	answer chan error
}

// queues hands jobs to the committers.
type queues struct {
	jobs   chan *waiting
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

func (q *queues) start(e *Engine) {
	q.jobs, q.closed = make(chan *waiting, 1024), make(chan struct{})
	for range committers {
		q.wg.Go(func() { e.commitLoop() })
	}
}

func (q *queues) stop() {
	if q.jobs == nil {
		return
	}
	q.once.Do(func() { close(q.closed) })
	q.wg.Wait()
}

// Commit implements record.Engine. Jobs of one tenant that come at the same time share a transaction, unless they are
// solo. Where a shared one fails, each of its jobs is tried on its own.
func (e *Engine) Commit(ctx context.Context, tenant int32, job *record.Job) error {
	if job.Solo {
		return e.alone(ctx, tenant, job)
	}
	w := &waiting{ctx, tenant, job, make(chan error, 1)}
	select {
	case <-e.queues.closed:
		return errClosed
	default:
	}
	select {
	case e.queues.jobs <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.queues.closed:
		return errClosed
	}
	// Once queued, the outcome is awaited whatever becomes of the caller: "cancelled" would hide a commit.
	return <-w.answer
}

func (e *Engine) commitLoop() {
	for {
		select {
		case w := <-e.queues.jobs:
			e.share(w)
		case <-e.queues.closed:
			for {
				select {
				case w := <-e.queues.jobs:
					e.share(w)
				default:
					return
				}
			}
		}
	}
}

// share takes up the jobs that wait behind w, as far as they are of its tenant, and commits them together.
func (e *Engine) share(w *waiting) {
	batch := []*waiting{w}
	var other *waiting
fill:
	for len(batch) < batchJobs {
		select {
		case next := <-e.queues.jobs:
			if next.tenant != w.tenant {
				other = next
				break fill
			}
			batch = append(batch, next)
		default:
			break fill
		}
	}
	e.commit(batch)
	if other != nil {
		e.share(other)
	}
}

func (e *Engine) commit(batch []*waiting) {
	slices.SortStableFunc(batch, func(a, b *waiting) int { return cmp.Compare(a.job.First, b.job.First) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if len(batch) > 1 {
		failed, err := e.together(ctx, batch)
		if err == nil {
			for i, w := range batch {
				w.answer <- failed[i]
			}
			return
		}
	}
	for _, w := range batch {
		w.answer <- e.alone(w.ctx, w.tenant, w.job)
	}
}

// together runs all jobs in one transaction. A job that refuses leaves nothing behind, since it has written nothing yet; err
// is for the whole.
func (e *Engine) together(ctx context.Context, batch []*waiting) (failed []error, err error) {
	failed = make([]error, len(batch))
	c, err := e.db.Acquire(ctx, batch[0].tenant)
	if err != nil {
		return nil, err
	}
	defer c.Release()
	all := &bulk{tenant: batch[0].tenant}
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		q := sqldb.Within(tx.Conn())
		for i, w := range batch {
			if failed[i] = w.ctx.Err(); failed[i] != nil {
				continue
			}
			rows, err := w.job.Run(ctx, q)
			if err != nil {
				if isDatabase(err) {
					return err
				}
				failed[i] = err
				continue
			}
			if rows != nil && !all.add(rows) {
				return errMeet
			}
		}
		return all.write(ctx, tx.Conn())
	})
	if err == nil {
		e.grew(all)
	}
	return failed, err
}

// errMeet says that two jobs of a batch change one record: the second must see what the first wrote.
var errMeet = errors.New("record: jobs meet")

// tries is how often a job is run again after another process was faster.
const tries = 10

// alone runs a job in a transaction of its own.
func (e *Engine) alone(ctx context.Context, tenant int32, job *record.Job) error {
	for try := 1; ; try++ {
		err := e.once(ctx, tenant, job)
		if err == nil || try == tries || !sqldb.Transient(err) && !sqldb.Duplicate(err) {
			return err
		}
	}
}

func (e *Engine) once(ctx context.Context, tenant int32, job *record.Job) error {
	c, err := e.db.Acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer c.Release()
	all := &bulk{tenant: tenant}
	err = pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		rows, err := job.Run(ctx, sqldb.Within(tx.Conn()))
		if err != nil || rows == nil {
			return err
		}
		if !all.add(rows) {
			return fmt.Errorf("record: a job changes one record twice")
		}
		return all.write(ctx, tx.Conn())
	})
	if err == nil {
		e.grew(all)
	}
	return err
}

// isDatabase tells an error after which the transaction is dead from a job's own refusal.
func isDatabase(err error) bool { return sqldb.FromServer(err) }
