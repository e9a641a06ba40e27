package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// bulk is the rows of several jobs, column by column, as the bulk statements take them.
type bulk struct {
	tenant int32
	rows   record.Rows
	audits []record.AuditRow
	seen   map[[2]int64]bool // records by type and number
}

// add takes up a job's rows; false, with nothing taken up, where they change a record that the bulk changes already.
func (b *bulk) add(r *record.Rows) bool {
	if b.seen == nil {
		b.seen = make(map[[2]int64]bool, len(r.Records))
	}
	for i := range r.Records {
		if b.seen[[2]int64{int64(r.Records[i].Type), r.Records[i].Num}] {
			return false
		}
	}
	for i := range r.Records {
		b.seen[[2]int64{int64(r.Records[i].Type), r.Records[i].Num}] = true
	}
	b.rows.Merge(r)
	if len(r.Versions) > 0 {
		b.audits = append(b.audits, r.Audit)
		first := len(b.rows.Versions) - len(r.Versions)
		for i := first; i < len(b.rows.Versions); i++ {
			b.rows.Versions[i].Audit = r.Audit.ID
		}
	}
	return true
}

// write sends all rows in one round trip: a statement a table, each with arrays of its columns.
func (b *bulk) write(ctx context.Context, c *pgx.Conn) error {
	batch := &pgx.Batch{}
	b.refuseErased(batch)
	b.keys(batch)
	b.records(batch)
	b.versions(batch)
	audit.QueuePostgres(batch, b.tenant, b.audits)
	b.index(batch, &b.rows.Del, deletes)
	b.index(batch, &b.rows.Add, inserts)
	if batch.Len() == 0 {
		return nil
	}
	if err := c.SendBatch(ctx, batch).Close(); err != nil {
		if sqldb.DividedByZero(err) {
			return record.ErrErased
		}
		return fmt.Errorf("record: postgres: %w", err)
	}
	return nil
}

// refuseErased makes the transaction fail where a body is sealed by a key that is marked as destroyed, and keeps the keys from being
// marked before it ends. It divides by zero: the statements of a batch are sent together, and this is how one of them can stop
// the others.
func (b *bulk) refuseErased(batch *pgx.Batch) {
	if nums := b.rows.SealedBy(); len(nums) > 0 {
		batch.Queue("SELECT 1 / CASE WHEN bool_or(k.marked) THEN 0 ELSE 1 END FROM (SELECT destroyed_at IS NOT NULL AS marked FROM seal_key WHERE tenant = $1 AND num = ANY($2::bigint[]) ORDER BY num FOR SHARE) k",
			b.tenant, nums)
	}
}

// column makes an array of one column's values.
func column[R, V any](rows []R, value func(*R) V) []V {
	out := make([]V, len(rows))
	for i := range rows {
		out[i] = value(&rows[i])
	}
	return out
}

func (b *bulk) keys(batch *pgx.Batch) {
	if k := b.rows.Keys; len(k) > 0 {
		batch.Queue("INSERT INTO seal_key (tenant, num, parent, wrapped, created_at) SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[])", b.tenant,
			column(k, func(r *record.KeyRow) int64 { return r.Num }),
			column(k, func(r *record.KeyRow) int64 { return r.Parent }),
			column(k, func(r *record.KeyRow) []byte { return r.Wrapped }),
			column(k, func(r *record.KeyRow) int64 { return r.CreatedAt }))
	}
}

func (b *bulk) records(batch *pgx.Batch) {
	var fresh, changed []record.RecordRow
	for _, r := range b.rows.Records {
		if r.New {
			fresh = append(fresh, r)
		} else {
			changed = append(changed, r)
		}
	}
	if len(fresh) > 0 {
		batch.Queue("INSERT INTO record (tenant, type, num, seq, vid, deleted, fid) SELECT $1, t, n, s, v, d, nullif(f, '') FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::int[], $6::smallint[], $7::text[]) AS u(t, n, s, v, d, f)",
			append([]any{b.tenant}, append(recordColumns(fresh), column(fresh, func(r *record.RecordRow) string { return r.FID }))...)...)
	}
	if len(changed) > 0 {
		batch.Queue("UPDATE record r SET seq = u.s, vid = u.v, deleted = u.d FROM unnest($2::smallint[], $3::bigint[], $4::bigint[], $5::int[], $6::smallint[]) AS u(t, n, s, v, d) WHERE r.tenant = $1 AND r.type = u.t AND r.num = u.n",
			append([]any{b.tenant}, recordColumns(changed)...)...)
	}
}

func recordColumns(rows []record.RecordRow) []any {
	return []any{
		column(rows, func(r *record.RecordRow) int16 { return int16(r.Type) }),
		column(rows, func(r *record.RecordRow) int64 { return r.Num }),
		column(rows, func(r *record.RecordRow) int64 { return r.Seq }),
		column(rows, func(r *record.RecordRow) int32 { return int32(r.VID) }),
		column(rows, func(r *record.RecordRow) int16 { return small(r.Deleted) }),
	}
}

func small(b bool) int16 {
	if b {
		return 1
	}
	return 0
}

func (b *bulk) versions(batch *pgx.Batch) {
	v := b.rows.Versions
	if len(v) == 0 {
		return
	}
	num := column(v, func(r *record.VersionRow) int64 { return r.Num })
	vid := column(v, func(r *record.VersionRow) int32 { return int32(r.VID) })
	typ := column(v, func(r *record.VersionRow) int16 { return int16(r.Type) })
	op := column(v, func(r *record.VersionRow) int16 { return int16(r.Op) })
	batch.Queue("INSERT INTO version (tenant, seq, num, keynum, audit, vid, type, op, body) SELECT $1, s, n, k, nullif(a, s), v, t, o, b FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::smallint[], $8::smallint[], $9::bytea[]) AS u(s, n, k, a, v, t, o, b)",
		b.tenant, column(v, func(r *record.VersionRow) int64 { return r.Seq }), num,
		column(v, func(r *record.VersionRow) int64 { return r.KeyNum }),
		column(v, func(r *record.VersionRow) int64 { return r.Audit }), vid, typ, op,
		column(v, func(r *record.VersionRow) []byte { return r.Body }))
	batch.Queue("INSERT INTO event (tenant, num, vid, type, op) SELECT $1, * FROM unnest($2::bigint[], $3::int[], $4::smallint[], $5::smallint[])", b.tenant, num, vid, typ, op)
}

// indexSQL is the statements on index rows, with the columns in one order.
type indexSQL struct{ text, ref, date, num string }

var inserts = indexSQL{
	"INSERT INTO idx_text (tenant, atom, val, num, sub) SELECT $1, * FROM unnest($2::int[], $3::bytea[], $4::bigint[], $5::bigint[])",
	"INSERT INTO idx_ref (tenant, target, atom, num) SELECT $1, * FROM unnest($2::bigint[], $3::int[], $4::bigint[])",
	"INSERT INTO idx_date (tenant, atom, wide, lo, hi, num) SELECT $1, * FROM unnest($2::int[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[])",
	"INSERT INTO idx_num (tenant, atom, wide, lo, hi, num, system, code) SELECT $1, * FROM unnest($2::int[], $3::smallint[], $4::float8[], $5::float8[], $6::bigint[], $7::bigint[], $8::bigint[])",
}

var deletes = indexSQL{
	"DELETE FROM idx_text x USING unnest($2::int[], $3::bytea[], $4::bigint[], $5::bigint[]) AS u(a, v, n, s) WHERE x.tenant = $1 AND x.atom = u.a AND x.val = u.v AND x.num = u.n AND x.sub = u.s",
	"DELETE FROM idx_ref x USING unnest($2::bigint[], $3::int[], $4::bigint[]) AS u(t, a, n) WHERE x.tenant = $1 AND x.target = u.t AND x.atom = u.a AND x.num = u.n",
	"DELETE FROM idx_date x USING unnest($2::int[], $3::smallint[], $4::bigint[], $5::bigint[], $6::bigint[]) AS u(a, w, l, h, n) WHERE x.tenant = $1 AND x.atom = u.a AND x.wide = u.w AND x.lo = u.l AND x.hi = u.h AND x.num = u.n",
	"DELETE FROM idx_num x USING unnest($2::int[], $3::smallint[], $4::float8[], $5::float8[], $6::bigint[], $7::bigint[], $8::bigint[]) AS u(a, w, l, h, n, s, c) WHERE x.tenant = $1 AND x.atom = u.a AND x.wide = u.w AND x.lo = u.l AND x.hi = u.h AND x.num = u.n AND x.system = u.s AND x.code = u.c",
}

func (b *bulk) index(batch *pgx.Batch, x *record.Index, sql indexSQL) {
	if r := x.Text; len(r) > 0 {
		batch.Queue(sql.text, b.tenant,
			column(r, func(r *record.IdxText) int32 { return int32(r.Atom) }),
			column(r, func(r *record.IdxText) []byte { return append([]byte{}, r.Val...) }),
			column(r, func(r *record.IdxText) int64 { return r.Num }),
			column(r, func(r *record.IdxText) int64 { return r.Sub }))
	}
	if r := x.Ref; len(r) > 0 {
		batch.Queue(sql.ref, b.tenant,
			column(r, func(r *record.IdxRef) int64 { return r.Target }),
			column(r, func(r *record.IdxRef) int32 { return int32(r.Atom) }),
			column(r, func(r *record.IdxRef) int64 { return r.Num }))
	}
	if r := x.Date; len(r) > 0 {
		batch.Queue(sql.date, b.tenant,
			column(r, func(r *record.IdxDate) int32 { return int32(r.Atom) }),
			column(r, func(r *record.IdxDate) int16 { return small(r.Wide) }),
			column(r, func(r *record.IdxDate) int64 { return r.Lo }),
			column(r, func(r *record.IdxDate) int64 { return r.Hi }),
			column(r, func(r *record.IdxDate) int64 { return r.Num }))
	}
	if r := x.Num; len(r) > 0 {
		batch.Queue(sql.num, b.tenant,
			column(r, func(r *record.IdxNum) int32 { return int32(r.Atom) }),
			column(r, func(r *record.IdxNum) int16 { return small(r.Wide) }),
			column(r, func(r *record.IdxNum) float64 { return r.Lo }),
			column(r, func(r *record.IdxNum) float64 { return r.Hi }),
			column(r, func(r *record.IdxNum) int64 { return r.Num }),
			column(r, func(r *record.IdxNum) int64 { return r.System }),
			column(r, func(r *record.IdxNum) int64 { return r.Code }))
	}
}
