package job_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// The test binary is a runner to be killed where this names a folder; a PostgreSQL server's URL may stand beside it.
const (
	childDir = "NILECARE_JOB_CHILD"
	childURL = "NILECARE_JOB_CHILD_DATABASE"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childURL)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// effects is a table that takes every effect: nothing keeps one from being written twice.
func effects() fstest.MapFS {
	const sql = "-- +goose Up\nCREATE TABLE job_effect (tenant %s NOT NULL, key text NOT NULL, at bigint NOT NULL);\n"
	return fstest.MapFS{
		"sqlite/00001_effect.sql":   {Data: fmt.Appendf(nil, sql, "INTEGER")},
		"postgres/00001_effect.sql": {Data: fmt.Appendf(nil, sql, "integer")},
	}
}

func migrate(l *record.Ledger) error {
	ctx := context.Background()
	return errors.Join(l.Migrate(ctx, job.Module, job.Migrations()), l.Migrate(ctx, "effect", effects()))
}

// open opens the record of a folder, or of a server, with a key in the folder.
func open(dir, url string) (*record.Store, error) {
	ctx := context.Background()
	var e record.Engine
	var err error
	if url == "" {
		e, err = sqlite.Open(ctx, sqlite.Options{Dir: dir})
	} else {
		e, err = postgres.Open(ctx, url)
	}
	if err != nil {
		return nil, err
	}
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err == nil {
		var s *record.Store
		if s, err = record.New(ctx, e, record.Options{Root: root}); err == nil {
			if err = migrate(s.Ledger()); err == nil {
				return s, nil
			}
		}
	}
	return nil, errors.Join(err, e.Close())
}

// effect is a handler's step within the transaction: it notes that the job was done.
func effect(ctx context.Context, tx sqldb.Tx, j job.Job, _ any) error {
	_, err := tx.Exec(ctx, "INSERT INTO job_effect (tenant, key, at) VALUES ($1, $2, $3)", j.Tenant, j.Kind+"/"+j.Key, j.At.UnixMicro())
	return err
}

// hand is a clock that tests move.
type hand struct{ micros atomic.Int64 }

func newHand() *hand {
	h := &hand{}
	h.micros.Store(time.Now().UnixMicro())
	return h
}

func (h *hand) now() time.Time      { return time.UnixMicro(h.micros.Load()).UTC() }
func (h *hand) add(d time.Duration) { h.micros.Add(d.Microseconds()) }

type world struct {
	t     testing.TB
	store *record.Store
	l     *record.Ledger
	clock *hand
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		if err := migrate(s.Ledger()); err != nil {
			t.Fatal(err)
		}
		f(t, &world{t: t, store: s, l: s.Ledger(), clock: newHand()})
	})
}

func (w *world) runner(tenants ...int32) *job.Runner {
	if tenants == nil {
		tenants = []int32{1}
	}
	return job.New(job.Options{Ledger: w.l, Clock: w.clock.now, Poll: 5 * time.Millisecond, Tenants: func(context.Context) ([]int32, error) { return tenants, nil }})
}

// run runs a runner until the test, or stop, ends it.
func (w *world) run(r *job.Runner) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	return stop
}

func (w *world) update(tenant int32, f func(ctx context.Context, tx sqldb.Tx) error) {
	w.t.Helper()
	ctx := access.With(context.Background(), access.System(tenant))
	if err := w.l.Update(ctx, tenant, func(tx sqldb.Tx) error { return f(ctx, tx) }); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) put(tenant int32, kind, key string, at time.Time, data string) {
	w.t.Helper()
	id := w.l.Next()
	w.update(tenant, func(ctx context.Context, tx sqldb.Tx) error {
		return job.Put(ctx, tx, tenant, job.Job{ID: id, Kind: kind, Key: key, At: at, Data: []byte(data)})
	})
}

func (w *world) drop(kind, key string) {
	w.t.Helper()
	w.update(1, func(ctx context.Context, tx sqldb.Tx) error { return job.Drop(ctx, tx, 1, kind, key) })
}

// number reads one number.
func (w *world) number(tenant int32, sql string, args ...any) int64 {
	w.t.Helper()
	var n int64
	if err := w.l.Read(context.Background(), tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(context.Background(), q, []any{&n}, sql, args...)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) effects(tenant int32, key string) int64 {
	w.t.Helper()
	return w.number(tenant, "SELECT count(*) FROM job_effect WHERE tenant = $1 AND key = $2", tenant, key)
}

func (w *world) count(tenant int32, state string) int64 {
	w.t.Helper()
	return w.number(tenant, "SELECT count(*) FROM job_task WHERE tenant = $1 AND state = $2", tenant, state)
}

// until waits for something that comes by itself.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// all lists the jobs of a tenant.
func (w *world) all(r *job.Runner, tenant int32) []job.Status {
	w.t.Helper()
	out, _, err := r.List(access.With(context.Background(), access.System(tenant)), job.Filter{Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}
