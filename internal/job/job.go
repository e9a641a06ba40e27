package job

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration
var migrations embed.FS

// Module is the name that the tables' migrations are kept under.
const Module = "job"

// Migrations are the tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the tables, for backups.
func Tables() []record.Table {
	return []record.Table{{Name: "job_task", Columns: []string{"tenant", "id", "kind", "key", "at", "due_at", "data", "attempts", "begun_at", "lease", "state", "error",
		"ended_at", "created_by", "created_at", "updated_by", "updated_at"}}}
}

// Job is something to be done.
type Job struct {
	ID      int64     // from record.Ledger.Next
	Kind    string    // who does it: "appointment.reminder"
	Key     string    // one job a kind and key: "123/email"
	At      time.Time // not before; zero: at once
	Data    []byte    // for the handler; no personal data: it stands in clear
	Attempt int       // from 1, when it is handled
	Tenant  int32     // when it is handled
}

// most bounds a job's data: it names things, and does not carry them.
const most = 64 << 10

// Put puts a job, in a transaction of its caller's tenant. One of the same kind and key that is not done takes on the new time and data, and begins anew,
// unless it has them already; an attempt that is running then comes to nothing. Whoever wants a job done at once calls [Runner.Wake] after the commit.
func Put(ctx context.Context, tx sqldb.Tx, tenant int32, j Job) error {
	switch {
	case j.ID <= 0 || j.Kind == "" || j.Key == "":
		return errors.New("job: it needs an id, a kind and a key")
	case len(j.Data) > most:
		return fmt.Errorf("job: %s: %d bytes of data are too many", j.Kind, len(j.Data))
	}
	made := ident.Time(j.ID).UnixMicro()
	at := made
	if !j.At.IsZero() {
		at = j.At.UnixMicro()
	}
	data := j.Data
	if data == nil {
		data = []byte{}
	}
	_, err := tx.Exec(ctx, `INSERT INTO job_task (tenant, id, kind, key, at, due_at, data, attempts, begun_at, lease, state, error, ended_at,
			created_by, created_at, updated_by, updated_at) VALUES ($1, $2, $3, $4, $5, $5, $6, 0, 0, 0, 'waiting', '', 0, $7, $8, $7, $8)
		ON CONFLICT (tenant, kind, key) DO UPDATE SET at = excluded.at, due_at = excluded.at, data = excluded.data, attempts = 0, begun_at = 0, lease = 0,
			state = 'waiting', error = '', ended_at = 0, updated_by = excluded.updated_by, updated_at = excluded.updated_at
		WHERE job_task.state <> 'done' AND (job_task.at <> excluded.at OR job_task.data <> excluded.data)`,
		tenant, j.ID, j.Kind, j.Key, at, data, access.From(ctx).Who, made)
	if err != nil {
		return fmt.Errorf("job: %s: %w", j.Kind, err)
	}
	return nil
}

// Drop takes back a job that is not done; there may be none. An attempt that is running comes to nothing.
func Drop(ctx context.Context, tx sqldb.Tx, tenant int32, kind, key string) error {
	_, err := tx.Exec(ctx, "DELETE FROM job_task WHERE tenant = $1 AND kind = $2 AND key = $3 AND state <> 'done'", tenant, kind, key)
	if err != nil {
		return fmt.Errorf("job: %s: %w", kind, err)
	}
	return nil
}
