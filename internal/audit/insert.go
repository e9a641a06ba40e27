package audit

import (
	"context"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// columns are those of audit_entry, in the order of every statement here.
const columns = "pos, id, kind, outcome, action, who, type, num, vid, patient, patients, count, body"

// Insert writes rows of one tenant in the caller's transaction. All get one position, behind everything that is committed.
func Insert(ctx context.Context, tx sqldb.Tx, tenant int32, rows []Row) error {
	if len(rows) == 0 {
		return nil
	}
	if c := sqldb.PgConn(tx); c != nil {
		batch := &pgx.Batch{}
		QueuePostgres(batch, tenant, rows)
		if err := c.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("audit: postgres: %w", err)
		}
		return nil
	}
	return InsertSQLite(tx, tenant, rows)
}

// nextSQLite is the next position of a tenant: writers are serial there, so a counter is the order of commits. It goes on behind what
// is sealed even where entries were taken away.
const nextSQLite = "SELECT max(coalesce((SELECT max(pos) FROM audit_entry WHERE tenant = $1), 0), coalesce((SELECT pos FROM audit_block WHERE tenant = $1 ORDER BY num DESC LIMIT 1), 0)) + 1"

const insertSQLite = "INSERT INTO audit_entry (tenant, " + columns + ") VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''), $9, $10, nullif($11, 0), $12, $13, $14)"

// InsertSQLite is Insert on SQLite, value by value into prepared statements.
func InsertSQLite(tx sqldb.Querier, tenant int32, rows []Row) error {
	next, err := sqldb.Native(tx, nextSQLite)
	if err != nil {
		return err
	}
	if err := next.BindInt64(1, int64(tenant)); err != nil {
		return fmt.Errorf("audit: sqlite: %w", err)
	}
	var pos int64
	if next.Step() {
		pos = next.ColumnInt64(0)
	}
	if err := next.Reset(); err != nil {
		return fmt.Errorf("audit: sqlite: %w", err)
	}
	for i := range rows {
		if err := insertOneSQLite(tx, int64(tenant), pos, &rows[i]); err != nil {
			return fmt.Errorf("audit: sqlite: %w", err)
		}
	}
	return nil
}

func insertOneSQLite(tx sqldb.Querier, tenant, pos int64, r *Row) error {
	st, err := sqldb.Native(tx, insertSQLite)
	if err != nil {
		return err
	}
	at := 0
	num := func(v int64) {
		at++
		if err == nil {
			err = st.BindInt64(at, v)
		}
	}
	text := func(v string) {
		at++
		if err == nil {
			err = st.BindText(at, v)
		}
	}
	blob := func(v []byte) {
		at++
		if err != nil {
			return
		}
		if v == nil {
			err = st.BindNull(at)
		} else {
			err = st.BindBlob(at, v)
		}
	}
	num(tenant)
	num(pos)
	num(r.ID)
	num(int64(r.Kind))
	num(int64(r.Outcome))
	text(r.Action)
	text(r.Who)
	text(r.Type)
	num(r.Num)
	num(r.VID)
	num(r.Patient)
	blob(r.Patients)
	num(r.Count)
	blob(r.Body)
	if err == nil {
		err = st.Exec()
	}
	if err != nil || r.Patients == nil {
		return err
	}
	if st, err = sqldb.Native(tx, "INSERT INTO audit_patient (tenant, patient, id) VALUES ($1, $2, $3)"); err != nil {
		return err
	}
	r.EachPatient(func(patient int64) {
		at = 0
		num(tenant)
		num(patient)
		num(r.ID)
		if err == nil {
			err = st.Exec()
		}
	})
	return err
}

// baseSetting names the setting that is added to a transaction's number to make a position, after a restore on a server whose
// numbers are smaller.
func baseSetting(tenant int32) string { return "audit.base." + strconv.Itoa(int(tenant)) }

// basePostgres is the value of that setting, $1.
const basePostgres = "coalesce((SELECT max(value::bigint) FROM setting WHERE name = $1), 0)"

const insertPostgres = "INSERT INTO audit_entry (tenant, " + columns + ") SELECT $2, (SELECT " + basePostgres + " + pg_current_xact_id()::text::bigint)," +
	" i, k, o, a, w, nullif(t, ''), n, v, nullif(p, 0), ps, c, b FROM unnest($3::bigint[], $4::smallint[], $5::smallint[], $6::text[], $7::text[], $8::text[]," +
	" $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[], $13::bigint[], $14::bytea[]) AS u(i, k, o, a, w, t, n, v, p, ps, c, b)"

// QueuePostgres is Insert as statements of a batch: positions are numbers of transactions there.
func QueuePostgres(batch *pgx.Batch, tenant int32, rows []Row) {
	if len(rows) == 0 {
		return
	}
	batch.Queue(insertPostgres, baseSetting(tenant), tenant,
		column(rows, func(r *Row) int64 { return r.ID }),
		column(rows, func(r *Row) int16 { return int16(r.Kind) }),
		column(rows, func(r *Row) int16 { return int16(r.Outcome) }),
		column(rows, func(r *Row) string { return r.Action }),
		column(rows, func(r *Row) string { return r.Who }),
		column(rows, func(r *Row) string { return r.Type }),
		column(rows, func(r *Row) int64 { return r.Num }),
		column(rows, func(r *Row) int64 { return r.VID }),
		column(rows, func(r *Row) int64 { return r.Patient }),
		column(rows, func(r *Row) []byte { return r.Patients }),
		column(rows, func(r *Row) int64 { return r.Count }),
		column(rows, func(r *Row) []byte { return r.Body }))
	var patients, ids []int64
	for i := range rows {
		rows[i].EachPatient(func(n int64) { patients, ids = append(patients, n), append(ids, rows[i].ID) })
	}
	if len(ids) > 0 {
		batch.Queue("INSERT INTO audit_patient (tenant, patient, id) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[])", tenant, patients, ids)
	}
}

// column makes an array of one column's values.
func column[V any](rows []Row, value func(*Row) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = value(&rows[i])
	}
	return out
}

// AfterRestorePostgres has positions go on behind those that a backup brought from another server.
const AfterRestorePostgres = "INSERT INTO setting (name, value) SELECT 'audit.base.' || current_setting('nilecare.tenant'), greatest(0, coalesce(max(pos), 0) + 1 - pg_current_xact_id()::text::bigint)::text FROM audit_entry" +
	" ON CONFLICT (name) DO UPDATE SET value = excluded.value"

// BehindPostgres tells whether the next position of tenant $1 would stand before one that is there.
const BehindPostgres = "SELECT coalesce((SELECT max(pos) FROM audit_entry WHERE tenant = $1), 0) >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint + coalesce((SELECT max(value::bigint) FROM setting WHERE name = 'audit.base.' || $1::bigint::text), 0)"
