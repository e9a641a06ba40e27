package sqldb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Postgres is a pool of connections to a PostgreSQL server (13 or newer).
type Postgres struct {
	pool *pgxpool.Pool
	role atomic.Pointer[string] // what connections serve as; nil: as they logged in
}

// OpenPostgres connects to the server of the URL (postgres://user:password@host:port/database?…).
func OpenPostgres(ctx context.Context, url string) (*Postgres, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser's error may quote the URL, password included.
		return nil, errors.New("postgres: the database URL cannot be read")
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = 16
	}
	config.ConnConfig.RuntimeParams["application_name"] = "nilecare"
	// Compiling a plan takes longer than any of these queries should.
	config.ConnConfig.RuntimeParams["jit"] = "off"
	config.ConnConfig.StatementCacheCapacity = statementsKept
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return &Postgres{pool: pool}, nil
}

// Close closes the pool once what it lent is back.
func (p *Postgres) Close() { p.pool.Close() }

// Migrate brings the schema forward with the numbered files of fsys, one process at a time.
func (p *Postgres) Migrate(ctx context.Context, fsys fs.FS, table string) (int, error) {
	// Connections of its own, which have the rights of the login role.
	db := stdlib.OpenDB(*p.pool.Config().ConnConfig)
	defer db.Close()
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return 0, fmt.Errorf("postgres: migrate: %w", err)
	}
	return migrate(ctx, goose.DialectPostgres, db, fsys, table, goose.WithSessionLocker(locker))
}

// Acquire lends a connection of the pool whose session belongs to the tenant.
func (p *Postgres) Acquire(ctx context.Context, tenant int32) (*pgxpool.Conn, error) {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if err := p.setRole(ctx, c.Conn()); err != nil {
		c.Release()
		return nil, err
	}
	if err := setTenant(ctx, c.Conn(), tenant); err != nil {
		c.Release()
		return nil, err
	}
	return c, nil
}

// setTenant tells row-level security whose session this is; the last setting is remembered with the connection.
func setTenant(ctx context.Context, c *pgx.Conn, tenant int32) error {
	data := c.PgConn().CustomData()
	if was, ok := data["tenant"].(int32); ok && was == tenant {
		return nil
	}
	delete(data, "tenant")
	if _, err := c.Exec(ctx, "SELECT set_config('nilecare.tenant', $1, false)", strconv.Itoa(int(tenant))); err != nil {
		return fmt.Errorf("postgres: tenant: %w", err)
	}
	data["tenant"] = tenant
	return nil
}

// View runs f on one consistent snapshot.
func (p *Postgres) View(ctx context.Context, tenant int32, f func(Querier) error) error {
	return p.within(ctx, tenant, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx Tx) error { return f(tx) })
}

// Read runs f outside of a transaction: each of its statements sees the last commit.
func (p *Postgres) Read(ctx context.Context, tenant int32, f func(Querier) error) error {
	c, err := p.Acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(pgTx{c.Conn()})
}

// Update runs f in a transaction of its own. A deadlock or a serialization failure is tried again, so f may run several times.
func (p *Postgres) Update(ctx context.Context, tenant int32, f func(Tx) error) error {
	const tries = 8
	for i := 1; ; i++ {
		err := p.within(ctx, tenant, pgx.TxOptions{}, f)
		if err == nil || i == tries || !Transient(err) {
			return err
		}
	}
}

// Transient reports whether PostgreSQL said that the same transaction may succeed when tried again.
func Transient(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

// Duplicate reports whether PostgreSQL refused a row because its key is taken.
func Duplicate(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505"
}

func (p *Postgres) within(ctx context.Context, tenant int32, o pgx.TxOptions, f func(Tx) error) error {
	c, err := p.Acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer c.Release()
	if err := pgx.BeginTxFunc(ctx, c, o, func(tx pgx.Tx) error { return f(pgTx{tx.Conn()}) }); err != nil {
		return err
	}
	return nil
}

// PgConn returns the connection under a Querier that a Postgres handed out, for pipelines and COPY; nil otherwise.
func PgConn(q Querier) *pgx.Conn {
	if t, ok := q.(pgTx); ok {
		return t.c
	}
	return nil
}

// Within makes a Tx of a connection on which a transaction is open.
func Within(c *pgx.Conn) Tx { return pgTx{c} }

type pgTx struct{ c *pgx.Conn }

// Lock implements Tx.
func (t pgTx) Lock(ctx context.Context, key int64) error {
	_, err := t.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", key)
	return err
}

// Exec implements Querier.
func (t pgTx) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	tag, err := t.c.Exec(ctx, sql, args...)
	if err != nil {
		return 0, fmt.Errorf("postgres: %w", err)
	}
	return tag.RowsAffected(), nil
}

func (t pgTx) execMany(ctx context.Context, sql string, rows [][]any) error {
	batch := &pgx.Batch{}
	for _, args := range rows {
		batch.Queue(sql, args...)
	}
	if err := t.c.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// Query implements Querier.
func (t pgTx) Query(ctx context.Context, sql string, args ...any) (Rows, error) {
	rows, err := t.c.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return pgRows{rows}, nil
}

type pgRows struct{ rows pgx.Rows }

func (r pgRows) Next() bool { return r.rows.Next() }

func (r pgRows) Scan(dest ...any) error {
	if err := r.rows.Scan(wrapNulls(dest)...); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

func (r pgRows) Close() error {
	r.rows.Close()
	if err := r.rows.Err(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	return nil
}

// DividedByZero reports whether a statement divided by zero.
func DividedByZero(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "22012"
}

// FromServer reports whether the error came from the server or the connection, so that the transaction cannot go on.
func FromServer(err error) bool {
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	return errors.As(err, &pg) || errors.As(err, &connect) || pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}
