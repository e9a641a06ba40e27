package job

import (
	"context"
	"io/fs"
	"log/slog"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Job is something to be done.
type Job struct {
	ID      int64     // from record.Ledger.Next
	Kind    string    // who does it: "appointment.reminder"
	Key     string    // one job a kind and key: "123/email"
	At      time.Time // not before
	Data    []byte    // for the handler; no personal data: it stands in clear
	Attempt int       // from 1, when it is handled
	Tenant  int32     // when it is handled
}

// Put puts a job, in a transaction of its caller's tenant. One of the same kind and key that is not done takes on the new time and data.
func Put(ctx context.Context, tx sqldb.Tx, tenant int32, j Job) error { return nil }

// Drop takes back a job that is not done; there may be none.
func Drop(ctx context.Context, tx sqldb.Tx, tenant int32, kind, key string) error { return nil }

// Handler does a job: before in the open, then in the transaction that marks it as done.
type Handler struct {
	// Before may be nil. It may read the record and reach other servers; what it returns is handed on.
	Before func(ctx context.Context, j Job) (any, error)
	// Within may be nil. It must not call the store or the ledger.
	Within func(ctx context.Context, tx sqldb.Tx, j Job, before any) error
}

// Options says how a runner works.
type Options struct {
	Ledger  *record.Ledger
	Tenants func(ctx context.Context) ([]int32, error)
	Log     *slog.Logger
	Clock   clock.Clock
}

// Runner does jobs.
type Runner struct{ o Options }

// Module is the name that the tables' migrations are kept under.
const Module = "job"

// Migrations are the tables.
func Migrations() fs.FS { return nil }

// Tables are the tables, for backups.
func Tables() []record.Table { return nil }

// New returns a runner.
func New(o Options) *Runner { return &Runner{o: o} }

// Handle has jobs of the kind done by h. It is for the time before [Runner.Run].
func (r *Runner) Handle(kind string, h Handler) {}

// Run does jobs until ctx ends.
func (r *Runner) Run(ctx context.Context) { <-ctx.Done() }

// Wake has the runner look now: after a job that is due at once was put.
func (r *Runner) Wake() {}
