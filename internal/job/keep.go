package job

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// How long jobs are kept after their end, how often old ones are looked for, and how many go in one transaction.
const (
	keptDone    = 30 * 24 * time.Hour
	keptFailed  = 90 * 24 * time.Hour
	sweepEvery  = time.Hour
	sweepAtOnce = 1000
)

// sweep deletes old jobs, now and then.
func (r *Runner) sweep(ctx context.Context, tenants []int32) {
	now := r.o.Clock()
	r.mu.Lock()
	due := now.Sub(r.swept) >= sweepEvery && len(tenants) > 0
	if due {
		r.swept = now
	}
	r.mu.Unlock()
	if !due {
		return
	}
	for _, tenant := range tenants {
		for state, kept := range map[string]time.Duration{"done": keptDone, "failed": keptFailed} {
			if err := r.sweepState(ctx, tenant, state, now.Add(-kept)); err != nil && ctx.Err() == nil {
				r.o.Log.WarnContext(ctx, "old jobs are not deleted", "tenant", tenant, "error", err.Error())
			}
		}
	}
}

func (r *Runner) sweepState(ctx context.Context, tenant int32, state string, before time.Time) error {
	for {
		// Looking is cheaper than a transaction that deletes nothing.
		var oldest int64
		err := r.o.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
			oldest = 0
			_, err := sqldb.QueryRow(ctx, q, []any{&oldest}, "SELECT coalesce(min(ended_at), 0) FROM job_task WHERE tenant = $1 AND state = $2", tenant, state)
			return err
		})
		if err != nil || oldest == 0 || oldest >= before.UnixMicro() {
			return err
		}
		var n int64
		err = r.o.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
			n, err = tx.Exec(ctx, `DELETE FROM job_task WHERE tenant = $1 AND id IN
				(SELECT id FROM job_task WHERE tenant = $1 AND state = $2 AND ended_at < $3 ORDER BY ended_at LIMIT $4)`, tenant, state, before.UnixMicro(), sweepAtOnce)
			return err
		})
		if err != nil || n < sweepAtOnce {
			return err
		}
	}
}

// The states of a job.
const (
	Waiting = "waiting"
	Done    = "done"
	Failed  = "failed"
)

// Status is a job as an operator sees it.
type Status struct {
	Job              // Attempt: how many were begun; Data is left out
	State     string // Waiting, Done, Failed
	Due       time.Time
	Running   bool   // somebody is at it, or was when the program stopped
	Handled   bool   // this process does jobs of the kind
	Error     string // why the last attempt failed
	Created   time.Time
	Ended     time.Time // zero: it has not
	CreatedBy string
}

// Filter says which jobs are wanted.
type Filter struct {
	State, Kind   string // "": any
	Limit, Offset int
}

// List returns jobs of the caller's tenant, the newest first, and how many there are. Callers need the permission system:admin.
func (r *Runner) List(ctx context.Context, f Filter) (out []Status, total int, err error) {
	c := access.From(ctx)
	if err := mayOperate(&c); err != nil {
		return nil, 0, err
	}
	where, args := " FROM job_task WHERE tenant = $1 AND ($2 = '' OR state = $2) AND ($3 = '' OR kind = $3)", []any{c.Tenant, f.State, f.Kind}
	err = r.o.Ledger.View(ctx, c.Tenant, func(q sqldb.Querier) error {
		out = nil
		if _, err := sqldb.QueryRow(ctx, q, []any{&total}, "SELECT count(*)"+where, args...); err != nil {
			return err
		}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			s := Status{}
			var at, due, lease, attempts, created, ended int64
			err := rows.Scan(&s.ID, &s.Kind, &s.Key, &at, &due, &attempts, &lease, &s.State, &s.Error, &created, &ended, &s.CreatedBy)
			s.Tenant, s.At, s.Due, s.Attempt, s.Running, s.Created, s.Ended = c.Tenant, moment(at), moment(due), int(attempts), lease != 0, moment(created), moment(ended)
			_, s.Handled = r.handlers[s.Kind]
			out = append(out, s)
			return err
		}, "SELECT id, kind, key, at, due_at, attempts, lease, state, error, created_at, ended_at, created_by"+where+" ORDER BY id DESC LIMIT $4 OFFSET $5",
			append(args, f.Limit, f.Offset)...)
	})
	return out, total, err
}

// Again has a failed job of the caller's tenant done anew, at once. NotFound, or Conflict where it did not fail. Callers need the permission system:admin.
func (r *Runner) Again(ctx context.Context, id int64) error {
	c := access.From(ctx)
	if err := mayOperate(&c); err != nil {
		return err
	}
	now := r.o.Clock().UnixMicro()
	err := r.o.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE job_task SET state = 'waiting', due_at = $3, attempts = 0, begun_at = 0, ended_at = 0, updated_by = $4, updated_at = $3
			WHERE tenant = $1 AND id = $2 AND state = 'failed'`, c.Tenant, id, now, c.Who)
		if err != nil || n == 1 {
			return err
		}
		found, err := sqldb.QueryRow(ctx, tx, []any{new(string)}, "SELECT state FROM job_task WHERE tenant = $1 AND id = $2", c.Tenant, id)
		switch {
		case err != nil:
			return err
		case !found:
			return fault.New(fault.NotFound, "there is no job with this id")
		}
		return fault.New(fault.Conflict, "only a job that failed can be tried again")
	})
	if err == nil {
		r.Wake()
	}
	return err
}

func mayOperate(c *access.Caller) error {
	if !c.Permits("system:admin") {
		return fault.New(fault.Forbidden, "this needs the permission system:admin")
	}
	return nil
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
