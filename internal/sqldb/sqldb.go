package sqldb

import (
	"context"
	"strconv"
	"strings"
)

// Querier runs statements on a snapshot or in a transaction. It belongs to one goroutine.
type Querier interface {
	// Exec runs a statement and returns how many rows it changed.
	Exec(ctx context.Context, sql string, args ...any) (int64, error)
	// Query runs a statement; the caller closes the rows before it runs another.
	Query(ctx context.Context, sql string, args ...any) (Rows, error)
}

// Rows is the answer to a query. Scan takes *int64, *int, *float64, *string, *[]byte (appended to its [:0]), *bool and *any.
// NULL leaves the zero value. Close returns the first error met while reading.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Close() error
}

// Tx is a transaction: what it writes is seen by others all at once, or never.
type Tx interface {
	Querier
	// Lock waits until no other transaction, in any process on this database, holds the lock of that number, and holds it to
	// the end of the transaction. On SQLite writers are serial anyway and it does nothing.
	Lock(ctx context.Context, key int64) error
}

// QueryRow reads one row into dest; false where there is none.
func QueryRow(ctx context.Context, q Querier, dest []any, sql string, args ...any) (bool, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return false, err
	}
	found := rows.Next()
	if found {
		err = rows.Scan(dest...)
	}
	if e := rows.Close(); err == nil {
		err = e
	}
	return found && err == nil, err
}

// Each calls f for every row; f scans it.
func Each(ctx context.Context, q Querier, f func(Rows) error, sql string, args ...any) error {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err = f(rows); err != nil {
			break
		}
	}
	if e := rows.Close(); err == nil {
		err = e
	}
	return err
}

// ExecMany runs a statement once a row of arguments, without waiting for each answer where the database is far away.
func ExecMany(ctx context.Context, q Querier, sql string, rows [][]any) error {
	if p, ok := q.(pgTx); ok {
		return p.execMany(ctx, sql, rows)
	}
	for _, args := range rows {
		if _, err := q.Exec(ctx, sql, args...); err != nil {
			return err
		}
	}
	return nil
}

// Builder collects a statement's text and its arguments.
type Builder struct {
	text strings.Builder
	Args []any
}

// SQL appends text as it is and returns b.
func (b *Builder) SQL(s string) *Builder {
	b.text.WriteString(s)
	return b
}

// Arg appends a placeholder for v and returns b.
func (b *Builder) Arg(v any) *Builder {
	b.Args = append(b.Args, v)
	b.text.WriteByte('$')
	b.text.WriteString(strconv.Itoa(len(b.Args)))
	return b
}

// Int appends a number that the program itself chose (an atom, a type): it is part of the statement, so that a plan can know it.
func (b *Builder) Int(v int64) *Builder {
	b.text.WriteString(strconv.FormatInt(v, 10))
	return b
}

// String returns the statement.
func (b *Builder) String() string { return b.text.String() }
