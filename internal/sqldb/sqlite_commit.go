package sqldb

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// update is one caller's wish to write.
type update struct {
	ctx    context.Context
	run    func(Tx) error
	write  func(Tx) error    // behind run, which only reads then
	alone  func(*conn) error // instead of run: outside of any transaction
	answer chan error
}

// What one commit takes at most: a batch ends at whichever comes first. The time bounds how long the first caller waits for
// the work of those behind it.
const (
	batchUpdates = 256
	batchTime    = 15 * time.Millisecond
)

// Update runs f in a transaction and returns after it is durable. f's error rolls its own changes back and no others'. The commit
// is shared with whoever writes at the same time; where one of them loses the transaction for all (an interrupted write), f is
// run again, in one of its own.
func (s *SQLite) Update(ctx context.Context, f func(Tx) error) error {
	return s.enqueue(&update{ctx: ctx, run: f, answer: make(chan error, 1)})
}

// Share is Update for a caller who looks first and then writes what cannot fail but for a defect: check reads, and its error is
// the caller's alone; write writes. It saves the savepoint, which copies every page that is written. Where a write does fail, the
// whole batch is undone and each of its members is run again by itself, so both may run twice.
func (s *SQLite) Share(ctx context.Context, check, write func(Tx) error) error {
	return s.enqueue(&update{ctx: ctx, run: check, write: write, answer: make(chan error, 1)})
}

func (s *SQLite) exclusive(ctx context.Context, f func(*conn) error) error {
	return s.enqueue(&update{ctx: ctx, alone: f, answer: make(chan error, 1)})
}

func (s *SQLite) enqueue(u *update) error {
	select {
	case <-s.closed:
		return errClosed
	default:
	}
	select {
	case s.queue <- u:
	case <-u.ctx.Done():
		return u.ctx.Err()
	case <-s.closed:
		return errClosed
	}
	// Once queued the outcome is awaited whatever becomes of the caller: an answer "cancelled" would hide a commit.
	select {
	case err := <-u.answer:
		return err
	case <-s.done:
		select {
		case err := <-u.answer:
			return err
		default:
			return errClosed
		}
	}
}

func (s *SQLite) commitLoop() {
	defer close(s.done)
	for {
		select {
		case u := <-s.queue:
			s.batch(u)
		case <-s.closed:
			for {
				select {
				case u := <-s.queue:
					s.batch(u)
				default:
					return
				}
			}
		}
	}
}

// batch runs u and those that wait behind it, commits once, and answers all.
func (s *SQLite) batch(u *update) {
	if u.alone != nil {
		u.answer <- s.outside(u)
		return
	}
	tx := sqliteTx{s.writer}
	background := context.Background()
	if err := s.begin(tx); err != nil {
		u.answer <- err
		return
	}
	good, last, err := s.gather(tx, u)
	if err == nil {
		start := time.Now()
		if _, err = tx.Exec(background, "COMMIT"); err != nil {
			err = fmt.Errorf("sqlite: commit: %w", err)
		}
		s.pace.Committed(len(good), time.Since(start))
	}
	if err != nil {
		s.rollback(tx)
	}
	if errors.Is(err, errWrite) {
		for _, g := range good {
			g.answer <- s.byItself(tx, g)
		}
	} else {
		for _, g := range good {
			g.answer <- err
		}
	}
	if last != nil {
		last.answer <- s.outside(last)
	}
}

// outside runs what wants no transaction.
func (s *SQLite) outside(u *update) error {
	if err := s.renew(s.writer); err != nil {
		return err
	}
	return u.alone(s.writer)
}

// errWrite says that a write failed which must not, so that the transaction holds half of it.
var errWrite = errors.New("sqlite: a shared transaction broke off")

// begin opens a transaction, on a new connection where the old one is broken.
func (s *SQLite) begin(tx sqliteTx) error {
	if err := s.renew(s.writer); err != nil {
		return err
	}
	_, err := tx.Exec(context.Background(), "BEGIN IMMEDIATE")
	return err
}

// rollback ends a transaction. A broken connection takes its own with it.
func (s *SQLite) rollback(tx sqliteTx) {
	if !s.writer.broken {
		_, _ = tx.Exec(context.Background(), "ROLLBACK")
	}
}

// gather runs u and those that wait behind it; those whose function failed have their answer. last is one that wants no
// transaction and came in between.
func (s *SQLite) gather(tx sqliteTx, u *update) (good []*update, last *update, err error) {
	start := time.Now()
	for n := 0; u != nil; n++ {
		if u.alone != nil {
			return good, u, nil
		}
		failed := s.one(tx, u)
		if failed == nil || errors.Is(failed, errWrite) {
			good = append(good, u)
		} else {
			u.answer <- failed
		}
		if errors.Is(failed, errWrite) {
			return good, nil, failed
		}
		// A write that is interrupted, or finds the disk full, undoes the whole transaction, savepoints or not; so does a panic.
		if failed != nil && (s.writer.broken || s.writer.GetAutocommit()) {
			return good, nil, errWrite
		}
		if n >= batchUpdates || time.Since(start) > batchTime {
			return good, nil, nil
		}
		u = Next(&s.pace, s.queue, n+1, start)
	}
	return good, nil, nil
}

// byItself runs one caller in a transaction of its own.
func (s *SQLite) byItself(tx sqliteTx, u *update) error {
	if err := s.begin(tx); err != nil {
		return err
	}
	err := s.guarded(u, func() error {
		if err := u.run(tx); err != nil || u.write == nil {
			return err
		}
		return u.write(tx)
	})
	if err == nil {
		_, err = tx.Exec(context.Background(), "COMMIT")
	}
	if err != nil {
		s.rollback(tx)
	}
	return err
}

// one runs a caller's function: one that may fail after it wrote in a savepoint.
func (s *SQLite) one(tx sqliteTx, u *update) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if u.write == nil {
		return s.inSavepoint(tx, u)
	}
	if err := s.guarded(u, func() error { return u.run(tx) }); err != nil {
		return err
	}
	err := s.guarded(u, func() error { return u.write(tx) })
	if err != nil && !s.writer.broken {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	return err
}

func (s *SQLite) inSavepoint(tx sqliteTx, u *update) error {
	background := context.Background()
	if _, err := tx.Exec(background, "SAVEPOINT one"); err != nil {
		return err
	}
	err := s.guarded(u, func() error { return u.run(tx) })
	if s.writer.broken {
		return err
	}
	if err != nil {
		_, _ = tx.Exec(background, "ROLLBACK TO one")
	}
	if _, e := tx.Exec(background, "RELEASE one"); err == nil {
		err = e
	}
	return err
}

// guarded runs f with the caller's context on the connection. A panic becomes an error, and the connection is not used again: it
// may have come from within SQLite.
func (s *SQLite) guarded(u *update, f func() error) (err error) {
	s.writer.SetInterrupt(u.ctx)
	defer func() {
		if p := recover(); p != nil {
			s.writer.broken = true
			err = fmt.Errorf("sqlite: panic in a transaction: %v", p)
			return
		}
		s.writer.SetInterrupt(context.Background())
	}()
	return f()
}
