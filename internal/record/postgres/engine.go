// Package postgres is the record on a PostgreSQL server, which several processes may serve at the same time.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration/*.sql
var migrations embed.FS

// Engine is an open database.
type Engine struct {
	settled settled
	db      *sqldb.Postgres
	node    int
	held    *pgxpool.Conn // its session holds the node's lock
	last    int64
	ran     int
	// unserved says why the connections keep the role that they log in as; "" where they do not.
	unserved string
	queues   queues
	fresh    statistics
}

var _ record.Engine = (*Engine)(nil)

// nodeLocks is where the advisory locks of nodes begin. Locks of transactions are hashes and may be any number; two
// keys, as nodes use, are another space.
const nodeLocks = 0x6e696c65 // "nile"

// Open connects to the database of the URL, and brings its schema forward.
func Open(ctx context.Context, url string) (*Engine, error) {
	db, err := sqldb.OpenPostgres(ctx, url)
	if err != nil {
		return nil, err
	}
	e := &Engine{db: db}
	if err := e.prepare(ctx); err != nil {
		e.release()
		db.Close()
		return nil, err
	}
	e.queues.start(e)
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
	if e.unserved, err = e.db.Serve(ctx, appendOnly); err != nil {
		return err
	}
	if e.unserved != "" {
		slog.WarnContext(ctx, "the audit's tables are kept by their triggers alone: "+e.unserved)
	}
	if err := e.takeNode(ctx); err != nil {
		return err
	}
	if err := e.rebase(ctx); err != nil {
		return err
	}
	return e.db.Read(ctx, 1, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&e.last}, "SELECT greatest(coalesce((SELECT max(seq) FROM version), 0), coalesce((SELECT max(num) FROM alias), 0), coalesce((SELECT max(id) FROM audit_entry WHERE tenant = 1), 0))")
		return err
	})
}

// rebase has the positions of the audit go on behind those that are there: after a dump was loaded into another server, whose
// transactions have smaller numbers.
func (e *Engine) rebase(ctx context.Context) error {
	var tenants []int64
	if err := e.db.Read(ctx, 1, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var n int64
			err := rows.Scan(&n)
			tenants = append(tenants, n)
			return err
		}, "SELECT substr(name, 8)::bigint FROM setting WHERE name ~ '^tenant[.][0-9]+$'")
	}); err != nil {
		return err
	}
	for _, tenant := range tenants {
		var behind bool
		err := e.db.Read(ctx, int32(tenant), func(q sqldb.Querier) error {
			_, err := sqldb.QueryRow(ctx, q, []any{&behind}, audit.BehindPostgres, tenant)
			return err
		})
		if err == nil && behind {
			err = e.db.Update(ctx, int32(tenant), func(tx sqldb.Tx) error {
				_, err := tx.Exec(ctx, audit.AfterRestorePostgres)
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeNode finds a node number that no other process on this database holds, and holds it while the session lives.
func (e *Engine) takeNode(ctx context.Context) error {
	c, err := e.db.Acquire(ctx, 1)
	if err != nil {
		return err
	}
	e.held = c
	for node := range ident.Nodes {
		var got bool
		if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock($1, $2)", nodeLocks, node).Scan(&got); err != nil {
			return fmt.Errorf("record: node number: %w", err)
		}
		if got {
			e.node = node
			return nil
		}
	}
	return fmt.Errorf("record: %d processes write to this database already", ident.Nodes)
}

func (e *Engine) release() {
	held := e.held
	if held == nil {
		return
	}
	e.held = nil
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, _ = held.Exec(ctx, "SELECT pg_advisory_unlock($1, $2)", nodeLocks, e.node)
	held.Release()
}

// appendOnly are the tables whose rows the serving role may neither change nor remove.
var appendOnly = []string{"audit_entry", "audit_patient", "audit_block"}

// Unserved says why this process could not give up the rights to change the audit's tables, "" where it could: then the tables' triggers
// alone stand in the way.
func (e *Engine) Unserved() string { return e.unserved }

// Migrated returns how many migrations Open ran.
func (e *Engine) Migrated() int { return e.ran }

// Migrate implements record.Engine.
func (e *Engine) Migrate(ctx context.Context, module string, fsys fs.FS) error {
	sub, err := fs.Sub(fsys, "postgres")
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
		Contains:     func(haystack, needle string) string { return "position(" + needle + " IN " + haystack + ") > 0" },
		Ordered:      func(bytes string) string { return "encode(" + bytes + ", 'hex') COLLATE \"C\"" },
		Join:         " JOIN ",
		Bytes:        func(text string) string { return "convert_to(" + text + ", 'UTF8')" },
		Probe:        " OFFSET 0",
		ForUpdate:    " FOR UPDATE",
		Shared:       true,
		AfterRestore: []string{"SELECT setval(pg_get_serial_sequence('event', 'id'), coalesce((SELECT max(id) FROM event), 0) + 1, false)", audit.AfterRestorePostgres},
	}
}

// Node implements record.Engine.
func (e *Engine) Node() int { return e.node }

// Last implements record.Engine.
func (e *Engine) Last() int64 { return e.last }

// View implements record.Engine.
func (e *Engine) View(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error {
	return e.db.View(ctx, tenant, f)
}

// Read implements record.Engine.
func (e *Engine) Read(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error {
	return e.db.Read(ctx, tenant, f)
}

// Scrub implements record.Engine: vacuuming makes the space of deleted rows free to be written over.
func (e *Engine) Scrub(ctx context.Context) error {
	return e.db.Maintain(ctx, 1, func(q sqldb.Querier) error {
		for _, table := range []string{"idx_text", "idx_ref", "idx_date", "idx_num", "seal_key", "version"} {
			if _, err := q.Exec(ctx, "VACUUM "+table); err != nil {
				return err
			}
		}
		return nil
	})
}

// Size implements record.Engine.
func (e *Engine) Size(ctx context.Context) (int64, error) {
	var n int64
	err := e.db.Read(ctx, 1, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT pg_database_size(current_database())")
		return err
	})
	return n, err
}

// Close implements record.Engine.
func (e *Engine) Close() error {
	e.queues.stop()
	e.fresh.stop()
	e.release()
	e.db.Close()
	return nil
}

var errClosed = errors.New("record: the store is closed")
