package audit

import (
	"context"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// Store is the database that holds the audit, and the tenant's key: the record's ledger.
type Store interface {
	View(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error
	Read(ctx context.Context, tenant int32, f func(sqldb.Querier) error) error
	Update(ctx context.Context, tenant int32, f func(sqldb.Tx) error) error
	Seal(ctx context.Context, tenant int32, what string, plain []byte) ([]byte, error)
	Open(ctx context.Context, tenant int32, what string, sealed []byte) ([]byte, error)
	Next() int64
}

// scanRow reads the columns of a row.
func scanRow(rows sqldb.Rows, tenant int32, r *Row) error {
	*r = Row{Tenant: tenant, Patients: r.Patients[:0], Body: r.Body[:0]}
	var kind, outcome int64
	err := rows.Scan(&r.Pos, &r.ID, &kind, &outcome, &r.Action, &r.Who, &r.Type, &r.Num, &r.VID, &r.Patient, &r.Patients, &r.Count, &r.Body)
	r.Kind, r.Outcome = Kind(kind), Outcome(outcome)
	if len(r.Patients) == 0 {
		r.Patients = nil
	}
	return err
}

// mark is a place in the order of commits.
type mark struct{ pos, id int64 }

func (m mark) before(o mark) bool { return m.pos < o.pos || m.pos == o.pos && m.id < o.id }

// rowsAfter reads up to limit rows behind the mark, with positions below the ceiling, in the order of commits.
func rowsAfter(ctx context.Context, q sqldb.Querier, tenant int32, after mark, ceiling int64, limit int, out []Row) ([]Row, error) {
	out = out[:0]
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var r Row
		err := scanRow(rows, tenant, &r)
		out = append(out, r)
		return err
	}, "SELECT "+columns+" FROM audit_entry WHERE tenant = $1 AND (pos, id) > ($2, $3) AND pos < $4 ORDER BY tenant, pos, id LIMIT $5", tenant, after.pos, after.id, ceiling, limit)
	return out, err
}

// noCeiling is above every position.
const noCeiling = 1<<62 - 1

// ceiling is the position below which no more entries can come: on PostgreSQL that of the oldest running transaction, on SQLite there
// is none, since writers are serial.
func ceiling(ctx context.Context, q sqldb.Querier, tenant int32) (int64, error) {
	if sqldb.PgConn(q) == nil {
		return noCeiling, nil
	}
	var n int64
	_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT "+basePostgres+" + pg_snapshot_xmin(pg_current_snapshot())::text::bigint", baseSetting(tenant))
	return n, err
}

// keyedTenants are all tenants that have keys, and so may have entries: the record lists them in its settings.
func keyedTenants(ctx context.Context, s Store) ([]int32, error) {
	var out []int32
	err := s.Read(ctx, 1, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			if n, err := strconv.ParseInt(strings.TrimPrefix(name, "tenant."), 10, 32); err == nil {
				out = append(out, int32(n))
			}
			return nil
		}, "SELECT name FROM setting WHERE name LIKE 'tenant.%'")
	})
	return out, err
}
