package sqldb

import (
	"context"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// sqliteTx runs statements on one connection.
type sqliteTx struct{ c *conn }

// Native gives an engine the connection's own prepared statement, for inner loops where a value a call counts. tx must be one
// that a SQLite handed out; nil otherwise. The statement is of tx's connection: bind all, Step or Exec, Reset.
func Native(tx Querier, sql string) (*sqlite3.Stmt, error) {
	t, ok := tx.(sqliteTx)
	if !ok {
		return nil, fmt.Errorf("sqlite: a transaction of another database")
	}
	return t.c.prepare(sql)
}

// Lock implements Tx: writers are serial.
func (t sqliteTx) Lock(context.Context, int64) error { return nil }

func (t sqliteTx) bound(sql string, args []any) (*sqlite3.Stmt, error) {
	st, err := t.c.prepare(sql)
	if err != nil {
		return nil, err
	}
	for i, a := range args {
		if err := bind(st, i+1, a); err != nil {
			return nil, fmt.Errorf("sqlite: argument %d: %w", i+1, err)
		}
	}
	return st, nil
}

func bind(st *sqlite3.Stmt, i int, v any) error {
	switch v := v.(type) {
	case int64:
		return st.BindInt64(i, v)
	case int:
		return st.BindInt64(i, int64(v))
	case int32:
		return st.BindInt64(i, int64(v))
	case uint32:
		return st.BindInt64(i, int64(v))
	case string:
		return st.BindText(i, v)
	case []byte:
		if v == nil {
			return st.BindNull(i)
		}
		return st.BindBlob(i, v)
	case float64:
		return st.BindFloat(i, v)
	case bool:
		return st.BindBool(i, v)
	case nil:
		return st.BindNull(i)
	}
	return fmt.Errorf("no SQL value: %T", v)
}

// Exec implements Querier.
func (t sqliteTx) Exec(_ context.Context, sql string, args ...any) (int64, error) {
	st, err := t.bound(sql, args)
	if err != nil {
		return 0, err
	}
	if err := st.Exec(); err != nil {
		return 0, fmt.Errorf("sqlite: %w", err)
	}
	return t.c.Changes(), nil
}

// Query implements Querier. A statement text that is being read already is prepared a second time.
func (t sqliteTx) Query(_ context.Context, sql string, args ...any) (Rows, error) {
	if st := t.c.stmts[sql]; st != nil && st.Busy() {
		sql += " "
	}
	st, err := t.bound(sql, args)
	if err != nil {
		return nil, err
	}
	return &sqliteRows{st}, nil
}

type sqliteRows struct{ st *sqlite3.Stmt }

func (r *sqliteRows) Next() bool { return r.st.Step() }

func (r *sqliteRows) Scan(dest ...any) error {
	for i, d := range dest {
		switch d := d.(type) {
		case *int64:
			*d = r.st.ColumnInt64(i)
		case *int:
			*d = r.st.ColumnInt(i)
		case *float64:
			*d = r.st.ColumnFloat(i)
		case *string:
			*d = r.st.ColumnText(i)
		case *[]byte:
			*d = r.st.ColumnBlob(i, (*d)[:0])
		case *bool:
			*d = r.st.ColumnBool(i)
		case *any:
			*d = r.any(i)
		default:
			return fmt.Errorf("sqlite: column %d: no place for a value: %T", i, d)
		}
	}
	return nil
}

func (r *sqliteRows) any(i int) any {
	switch r.st.ColumnType(i) {
	case sqlite3.INTEGER:
		return r.st.ColumnInt64(i)
	case sqlite3.FLOAT:
		return r.st.ColumnFloat(i)
	case sqlite3.TEXT:
		return r.st.ColumnText(i)
	case sqlite3.BLOB:
		return r.st.ColumnBlob(i, nil)
	}
	return nil
}

func (r *sqliteRows) Close() error {
	if err := r.st.Reset(); err != nil {
		return fmt.Errorf("sqlite: %w", err)
	}
	return nil
}
