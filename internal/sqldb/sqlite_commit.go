package sqldb

import (
	"context"
	"fmt"
	"time"
)

// update is one caller's wish to write.
type update struct {
	ctx    context.Context
	run    func(Tx) error
	alone  func(*conn) error // instead of run: outside of any transaction
	answer chan error
}

// What one commit takes at most: a batch ends at whichever comes first. The time bounds how long the first caller waits for
// the work of those behind it.
const (
	batchUpdates = 256
	batchTime    = 15 * time.Millisecond
)

// Update runs f in a transaction and returns after it is durable. f's error rolls its own changes back and no others'; f
// may be run once only. The commit is shared with whoever writes at the same time.
func (s *SQLite) Update(ctx context.Context, f func(Tx) error) error {
	return s.enqueue(&update{ctx: ctx, run: f, answer: make(chan error, 1)})
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
		u.answer <- u.alone(s.writer)
		return
	}
	tx := sqliteTx{s.writer}
	background := context.Background()
	if _, err := tx.Exec(background, "BEGIN IMMEDIATE"); err != nil {
		u.answer <- err
		return
	}
	start := time.Now()
	good := make([]*update, 0, 16)
	var last *update
	for n := 0; u != nil; n++ {
		if u.alone != nil {
			last = u
			break
		}
		if err := s.one(tx, u); err != nil {
			u.answer <- err
		} else {
			good = append(good, u)
		}
		if n >= batchUpdates || time.Since(start) > batchTime {
			break
		}
		select {
		case u = <-s.queue:
		default:
			u = nil
		}
	}
	_, err := tx.Exec(background, "COMMIT")
	if err != nil {
		err = fmt.Errorf("sqlite: commit: %w", err)
		_, _ = tx.Exec(background, "ROLLBACK")
	}
	for _, g := range good {
		g.answer <- err
	}
	if last != nil {
		last.answer <- last.alone(s.writer)
	}
}

// one runs a caller's function in a savepoint.
func (s *SQLite) one(tx sqliteTx, u *update) (err error) {
	background := context.Background()
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if _, err := tx.Exec(background, "SAVEPOINT one"); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("sqlite: panic in a transaction: %v", p)
		}
		s.writer.SetInterrupt(background)
		if err != nil {
			_, _ = tx.Exec(background, "ROLLBACK TO one")
		}
		if _, e := tx.Exec(background, "RELEASE one"); err == nil {
			err = e
		}
	}()
	s.writer.SetInterrupt(u.ctx)
	return u.run(tx)
}
