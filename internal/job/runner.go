package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Handler does a job: before in the open, then in the transaction that marks it as done. Its contexts are the program's own, in the job's tenant.
type Handler struct {
	// Before may be nil. It may read the record and reach other servers; what it returns is handed on.
	Before func(ctx context.Context, j Job) (any, error)
	// Within may be nil. It must not call the store or the ledger. It can be called again, in a transaction that has seen nothing of the time before.
	Within func(ctx context.Context, tx sqldb.Tx, j Job, before any) error
	// Missed may be nil. It is called in the transaction that notes a failed attempt; again is the time of the next one, zero where there is none.
	// It is bound as Within is.
	Missed func(ctx context.Context, tx sqldb.Tx, j Job, failure error, again time.Time) error

	Retry    Retry         // when it is tried again
	Timeout  time.Duration // how long Before may take; 0: a minute
	Parallel int           // how many of the kind a process does at a time; 0: 4
}

// Options says how a runner works.
type Options struct {
	Ledger  *record.Ledger
	Tenants func(ctx context.Context) ([]int32, error)
	Log     *slog.Logger  // nil: the default
	Clock   clock.Clock   // nil: the machine's
	Poll    time.Duration // the longest sleep; 0: a second, or 20 ms a tenant where that is more
}

// Runner does jobs.
type Runner struct {
	o        Options
	handlers map[string]Handler
	woken    chan struct{}

	mu     sync.Mutex
	busy   map[string]int // by kind
	turn   int            // whose tenant's jobs are looked at first
	list   []int32
	listed time.Time // of the machine's clock
	swept  time.Time
}

const (
	defaultTimeout  = time.Minute
	withinTimeout   = 30 * time.Second
	leaseAfter      = time.Minute // the lease's length beyond an attempt's longest
	defaultParallel = 4
	tenantsFresh    = 10 * time.Second
)

// New returns a runner.
func New(o Options) *Runner {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	return &Runner{o: o, handlers: map[string]Handler{}, busy: map[string]int{}, woken: make(chan struct{}, 1)}
}

// Handle has jobs of the kind done by h. It is for the time before [Runner.Run].
func (r *Runner) Handle(kind string, h Handler) {
	if h.Timeout <= 0 {
		h.Timeout = defaultTimeout
	}
	if h.Parallel <= 0 {
		h.Parallel = defaultParallel
	}
	r.handlers[kind] = h
}

// Wake has the runner look now: after a job that is due at once was put. A nil runner has nothing to look for.
func (r *Runner) Wake() {
	if r == nil {
		return
	}
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

// Run does jobs until ctx ends, and returns when those that it began have ended too: what was not done by then is given back.
func (r *Runner) Run(ctx context.Context) {
	if len(r.handlers) == 0 {
		<-ctx.Done()
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		wait := r.look(ctx, &wg)
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-r.woken:
			t.Stop()
		case <-t.C:
		}
	}
}

// look begins what is due and returns how long there is nothing to do.
func (r *Runner) look(ctx context.Context, wg *sync.WaitGroup) time.Duration {
	tenants := r.tenants(ctx)
	wait := r.o.Poll
	if wait <= 0 {
		wait = max(time.Second, time.Duration(len(tenants))*20*time.Millisecond)
	}
	for _, tenant := range tenants {
		next, err := r.lookAt(ctx, tenant, wg)
		switch {
		case ctx.Err() != nil:
			return wait
		case err != nil:
			r.o.Log.ErrorContext(ctx, "jobs cannot be read", "tenant", tenant, "error", err.Error())
		case !next.IsZero():
			wait = min(wait, max(next.Sub(r.o.Clock()), time.Millisecond))
		}
	}
	r.sweep(ctx, tenants)
	return wait
}

// tenants are those that there are, beginning with another one each time.
func (r *Runner) tenants(ctx context.Context) []int32 {
	r.mu.Lock()
	list, fresh := r.list, time.Since(r.listed) < tenantsFresh
	r.mu.Unlock()
	if !fresh {
		all, err := r.o.Tenants(ctx)
		if err != nil && ctx.Err() == nil {
			r.o.Log.ErrorContext(ctx, "the tenants cannot be read: jobs of those known before are done", "error", err.Error())
		}
		if err == nil {
			list = all
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
	if !fresh {
		r.listed = time.Now()
	}
	if len(list) == 0 {
		return nil
	}
	r.turn = (r.turn + 1) % len(list)
	return append(slices.Clone(list[r.turn:]), list[:r.turn]...)
}

// free are the kinds that more can be done of, with how many.
func (r *Runner) free() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]int{}
	for kind, h := range r.handlers {
		if n := h.Parallel - r.busy[kind]; n > 0 {
			out[kind] = n
		}
	}
	return out
}

// candidate is a job that may be due.
type candidate struct {
	id, due int64
	kind    string
}

// claimed is a job that this runner holds.
type claimed struct {
	Job
	lease int64
	begun int64
}

// lookAt begins what is due of a tenant and returns when more will be; zero: not known to be.
func (r *Runner) lookAt(ctx context.Context, tenant int32, wg *sync.WaitGroup) (next time.Time, err error) {
	free := r.free()
	if len(free) == 0 {
		return next, nil // the end of one of them wakes the runner
	}
	found, err := r.candidates(ctx, tenant, free)
	if err != nil {
		return next, err
	}
	now := r.o.Clock()
	var due []candidate
	for _, c := range found {
		switch at := time.UnixMicro(c.due); {
		case at.After(now):
			if next.IsZero() || at.Before(next) {
				next = at
			}
		case free[c.kind] > 0:
			free[c.kind]--
			due = append(due, c)
		}
	}
	if len(due) == 0 {
		return next, nil
	}
	mine, err := r.claim(ctx, tenant, due, now)
	if err != nil {
		return next, err
	}
	for _, c := range mine {
		r.mu.Lock()
		r.busy[c.Kind]++
		r.mu.Unlock()
		wg.Go(func() {
			defer func() {
				r.mu.Lock()
				r.busy[c.Kind]--
				r.mu.Unlock()
				r.Wake()
			}()
			r.do(ctx, c)
		})
	}
	return next, nil
}

// candidates reads the first jobs of each kind that there is room for.
func (r *Runner) candidates(ctx context.Context, tenant int32, free map[string]int) (out []candidate, err error) {
	var b sqldb.Builder
	for i, kind := range slices.Sorted(maps.Keys(free)) {
		if i > 0 {
			b.SQL(" UNION ALL ")
		}
		b.SQL("SELECT * FROM (SELECT id, kind, due_at FROM job_task WHERE tenant = ").Arg(tenant).SQL(" AND kind = ").Arg(kind).
			SQL(" AND state = 'waiting' ORDER BY due_at LIMIT ").Int(int64(free[kind] + 1)).SQL(fmt.Sprintf(") AS k%d", i))
	}
	err = r.o.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var c candidate
			err := rows.Scan(&c.id, &c.kind, &c.due)
			out = append(out, c)
			return err
		}, b.String(), b.Args...)
	})
	return out, err
}

// claim takes those of the jobs that nobody else has taken meanwhile.
func (r *Runner) claim(ctx context.Context, tenant int32, due []candidate, now time.Time) (mine []claimed, err error) {
	slices.SortFunc(due, func(a, b candidate) int { return int(a.id - b.id) }) // runners lock in one order
	lease := r.o.Ledger.Next()
	err = r.o.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		mine = nil
		for _, c := range due {
			until := now.Add(r.handlers[c.kind].Timeout + withinTimeout + leaseAfter)
			n, err := tx.Exec(ctx, `UPDATE job_task SET lease = $3, due_at = $4, attempts = attempts + 1, begun_at = CASE WHEN begun_at = 0 THEN $5 ELSE begun_at END
				WHERE tenant = $1 AND id = $2 AND state = 'waiting' AND due_at <= $5`, tenant, c.id, lease, until.UnixMicro(), now.UnixMicro())
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			var at, begun, attempts int64
			one := claimed{Job: Job{ID: c.id, Tenant: tenant}, lease: lease}
			var data []byte
			if _, err := sqldb.QueryRow(ctx, tx, []any{&one.Kind, &one.Key, &at, &data, &attempts, &begun},
				"SELECT kind, key, at, data, attempts, begun_at FROM job_task WHERE tenant = $1 AND id = $2", tenant, c.id); err != nil {
				return err
			}
			one.At, one.Data, one.Attempt, one.begun = time.UnixMicro(at).UTC(), slices.Clone(data), int(attempts), begun
			mine = append(mine, one)
		}
		return nil
	})
	return mine, err
}

// errLost says that a job is not this attempt's any more: it was moved, taken back, or its lease ran out.
var errLost = errors.New("job: it is not this attempt's any more")

// errAbandoned is the failure of a job whose attempts never ended.
var errAbandoned = fault.New(fault.Internal, "its attempts never ended: the program stopped in each")

// do does one attempt, and notes what became of it.
func (r *Runner) do(ctx context.Context, c claimed) {
	h := r.handlers[c.Kind]
	of := access.With(ctx, access.System(c.Tenant))
	err := r.attempt(of, h, c)
	var later *laterError
	switch {
	case err == nil, errors.Is(err, errLost):
		return
	case errors.As(err, &later):
		err = r.giveBack(context.WithoutCancel(of), c, later.at)
	case ctx.Err() != nil:
		err = r.giveBack(context.WithoutCancel(of), c, r.o.Clock())
	default:
		err = r.missed(of, h, c, err)
	}
	if err != nil && !errors.Is(err, errLost) {
		// Its lease will run out.
		r.o.Log.ErrorContext(of, "what became of a job cannot be noted", "kind", c.Kind, "job", c.ID, "tenant", c.Tenant, "error", err.Error())
	}
}

func (r *Runner) attempt(ctx context.Context, h Handler, c claimed) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Log.ErrorContext(ctx, "a job panicked", "kind", c.Kind, "job", c.ID, "tenant", c.Tenant, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "the program has a defect: the log has it")
		}
	}()
	if most := h.Retry.most(); most > 0 && c.Attempt > most {
		return Never(errAbandoned)
	}
	var before any
	if h.Before != nil {
		within, cancel := context.WithTimeout(ctx, h.Timeout)
		defer cancel()
		if before, err = h.Before(within, c.Job); err != nil {
			return err
		}
	}
	within, cancel := context.WithTimeout(ctx, withinTimeout)
	defer cancel()
	return r.o.Ledger.Update(within, c.Tenant, func(tx sqldb.Tx) error {
		now := r.o.Clock().UnixMicro()
		if err := mine(within, tx, c, "state = 'done', lease = 0, error = '', ended_at = $4, updated_at = $4", now); err != nil {
			return err
		}
		if h.Within == nil {
			return nil
		}
		return h.Within(within, tx, c.Job, before)
	})
}

// mine changes the job where it still is this attempt's; errLost where it is not.
func mine(ctx context.Context, tx sqldb.Tx, c claimed, set string, args ...any) error {
	n, err := tx.Exec(ctx, "UPDATE job_task SET "+set+" WHERE tenant = $1 AND id = $2 AND lease = $3 AND state = 'waiting'",
		append([]any{c.Tenant, c.ID, c.lease}, args...)...)
	if err == nil && n == 0 {
		err = errLost
	}
	return err
}

// giveBack lets go of a job whose attempt does not count: the program's stop broke it off, or its time has not come.
func (r *Runner) giveBack(ctx context.Context, c claimed, due time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, withinTimeout)
	defer cancel()
	return r.o.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		return mine(ctx, tx, c, "lease = 0, attempts = attempts - 1, due_at = $4", due.UnixMicro())
	})
}

// missed notes a failed attempt.
func (r *Runner) missed(ctx context.Context, h Handler, c claimed, failure error) error {
	now := r.o.Clock()
	again, more := h.Retry.next(c.ID, c.Attempt, time.UnixMicro(c.begun), now, failure)
	said := reason(failure)
	level, message := slog.LevelInfo, "a job failed and is tried again"
	if !more {
		level, message = slog.LevelWarn, "a job failed"
	}
	about := []any{"kind", c.Kind, "job", c.ID, "tenant", c.Tenant, "attempt", c.Attempt, "reason", said}
	if fault.KindOf(failure) == fault.Internal {
		about = append(about, "error", failure.Error())
	}
	r.o.Log.Log(ctx, level, message, about...)
	return r.o.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		var err error
		if more {
			err = mine(ctx, tx, c, "lease = 0, error = $4, due_at = $5, updated_at = $6", said, again.UnixMicro(), now.UnixMicro())
		} else {
			err = mine(ctx, tx, c, "lease = 0, error = $4, state = 'failed', ended_at = $5, updated_at = $5", said, now.UnixMicro())
		}
		if err != nil || h.Missed == nil {
			return err
		}
		return h.Missed(ctx, tx, c.Job, failure, again)
	})
}
