// Package sqlite is the record on an embedded SQLite file.
package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration/*.sql
var migrations embed.FS

// FileName is the database's name in its folder.
const FileName = "nilecare.db"

// Options says where the database is.
type Options struct {
	Dir string // made where there is none, readable by its owner alone
	Key []byte // 32 bytes: the whole file is sealed with it; nil: it is not
}

// Engine is an open database.
type Engine struct {
	db   *sqldb.SQLite
	path string
	last int64
	ran  int
}

var _ record.Engine = (*Engine)(nil)

// Open opens the database of the folder, and brings its schema forward.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	path := filepath.Join(o.Dir, FileName)
	if f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	} else if err := f.Close(); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	db, err := sqldb.OpenSQLite(ctx, sqldb.SQLiteOptions{Path: path, Key: o.Key})
	if err != nil {
		return nil, err
	}
	e := &Engine{db: db, path: path}
	if err := e.prepare(ctx); err != nil {
		_ = db.Close()
		return nil, err
	}
	return e, nil
}

func (e *Engine) prepare(ctx context.Context) error {
	sub, err := fs.Sub(migrations, "migration")
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if e.ran, err = e.db.Migrate(ctx, sub, "migration_record"); err != nil {
		return err
	}
	return e.db.Read(ctx, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&e.last}, "SELECT max(coalesce((SELECT max(seq) FROM version), 0), coalesce((SELECT max(num) FROM alias), 0), "+lastNoted+")")
		return err
	})
}

// lastNoted is the largest id of an audit entry: a look at the end of each tenant's part of an index.
const lastNoted = "coalesce((SELECT max((SELECT max(id) FROM audit_entry WHERE tenant = t.tenant)) FROM (SELECT CAST(substr(name, 8) AS INTEGER) AS tenant FROM setting WHERE name LIKE 'tenant.%') t), 0)"

// Migrated returns how many migrations Open ran.
func (e *Engine) Migrated() int { return e.ran }

// Migrate implements record.Engine.
func (e *Engine) Migrate(ctx context.Context, module string, fsys fs.FS) error {
	sub, err := fs.Sub(fsys, "sqlite")
	if err != nil {
		return fmt.Errorf("%s: %w", module, err)
	}
	ran, err := e.db.Migrate(ctx, sub, "migration_"+module)
	e.ran += ran
	return err
}

// Dialect implements record.Engine.
func (e *Engine) Dialect() record.Dialect {
	return record.Dialect{
		Contains: func(haystack, needle string) string { return "instr(" + haystack + ", " + needle + ") > 0" },
		Join:     " CROSS JOIN ",
		Bytes:    func(text string) string { return "cast(" + text + " AS blob)" },
		Ordered:  func(bytes string) string { return bytes },
	}
}

// Node implements record.Engine: this process is alone.
func (e *Engine) Node() int { return 0 }

// Last implements record.Engine.
func (e *Engine) Last() int64 { return e.last }

// View implements record.Engine.
func (e *Engine) View(ctx context.Context, _ int32, f func(sqldb.Querier) error) error {
	return e.db.View(ctx, f)
}

// Read implements record.Engine.
func (e *Engine) Read(ctx context.Context, _ int32, f func(sqldb.Querier) error) error {
	return e.db.Read(ctx, f)
}

// Commit implements record.Engine. Jobs that come at the same time share a commit. A solo job may write while it runs, so it
// gets a savepoint.
func (e *Engine) Commit(ctx context.Context, _ int32, job *record.Job) error {
	var rows *record.Rows
	run := func(tx sqldb.Tx) (err error) {
		if rows, err = job.Run(ctx, tx); err == nil && rows != nil {
			err = refuseErased(ctx, tx, rows)
		}
		return err
	}
	flush := func(tx sqldb.Tx) error {
		if rows == nil {
			return nil
		}
		return write(tx, rows)
	}
	if !job.Solo {
		return e.db.Share(ctx, run, flush)
	}
	return e.db.Update(ctx, func(tx sqldb.Tx) error {
		if err := run(tx); err != nil {
			return err
		}
		return flush(tx)
	})
}

// refuseErased refuses bodies that a key would seal which is marked as destroyed.
func refuseErased(ctx context.Context, tx sqldb.Tx, rows *record.Rows) error {
	for _, num := range rows.SealedBy() {
		var marked bool
		_, err := sqldb.QueryRow(ctx, tx, []any{&marked}, "SELECT destroyed_at IS NOT NULL FROM seal_key WHERE tenant = $1 AND num = $2", rows.Tenant, num)
		if err != nil {
			return err
		}
		if marked {
			return record.ErrErased
		}
	}
	return nil
}

// Settled implements record.Engine: events get their ids in the order of commits.
func (e *Engine) Settled(ctx context.Context) (settled, last int64, err error) {
	err = e.db.Read(ctx, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&last}, "SELECT coalesce(max(id), 0) FROM event")
		return err
	})
	return last, last, err
}

// Scrub implements record.Engine: deleted rows are overwritten as they are deleted; the log is what may still hold them.
func (e *Engine) Scrub(ctx context.Context) error { return e.db.Checkpoint(ctx) }

// Size implements record.Engine.
func (e *Engine) Size(context.Context) (int64, error) {
	var sum int64
	for _, suffix := range []string{"", "-wal"} {
		info, err := os.Stat(e.path + suffix)
		if err != nil && !os.IsNotExist(err) {
			return 0, fmt.Errorf("record: %w", err)
		}
		if err == nil {
			sum += info.Size()
		}
	}
	return sum, nil
}

// Close implements record.Engine.
func (e *Engine) Close() error { return e.db.Close() }
