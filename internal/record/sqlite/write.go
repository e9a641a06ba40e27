package sqlite

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// write writes a job's rows, value by value into prepared statements: this loop is most of what a commit costs.
func write(tx sqldb.Tx, r *record.Rows) error {
	w := &writer{tx: tx, tenant: int64(r.Tenant)}
	for i := range r.Keys {
		w.key(&r.Keys[i])
	}
	for i := range r.Records {
		w.record(&r.Records[i])
	}
	for i := range r.Versions {
		w.version(&r.Versions[i], r.Audit.ID)
	}
	if len(r.Versions) > 0 {
		w.audit(&r.Audit)
	}
	w.index(&r.Del, deletes)
	w.index(&r.Add, inserts)
	return w.err
}

type writer struct {
	tx     sqldb.Tx
	tenant int64
	st     *sqlite3.Stmt
	at     int
	err    error
}

// begin takes up the statement of that text.
func (w *writer) begin(sql string) {
	if w.err != nil {
		return
	}
	w.at = 0
	w.st, w.err = sqldb.Native(w.tx, sql)
}

func (w *writer) int(v int64) {
	w.at++
	if w.err == nil {
		w.err = w.st.BindInt64(w.at, v)
	}
}

func (w *writer) float(v float64) {
	w.at++
	if w.err == nil {
		w.err = w.st.BindFloat(w.at, v)
	}
}

func (w *writer) blob(v []byte) {
	w.at++
	if w.err != nil {
		return
	}
	if v == nil {
		w.err = w.st.BindNull(w.at)
	} else {
		w.err = w.st.BindBlob(w.at, v)
	}
}

// text binds NULL for the empty text.
func (w *writer) text(v string) {
	w.at++
	if w.err != nil {
		return
	}
	if v == "" {
		w.err = w.st.BindNull(w.at)
	} else {
		w.err = w.st.BindText(w.at, v)
	}
}

func (w *writer) bool(v bool) {
	if v {
		w.int(1)
	} else {
		w.int(0)
	}
}

func (w *writer) exec() {
	if w.err == nil {
		if err := w.st.Exec(); err != nil {
			w.err = fmt.Errorf("record: sqlite: %w", err)
		}
	}
}

func (w *writer) key(k *record.KeyRow) {
	w.begin("INSERT INTO seal_key (tenant, num, parent, wrapped, created_at) VALUES ($1, $2, $3, $4, $5)")
	w.int(w.tenant)
	w.int(k.Num)
	w.int(k.Parent)
	w.blob(k.Wrapped)
	w.int(k.CreatedAt)
	w.exec()
}

func (w *writer) record(r *record.RecordRow) {
	if r.New {
		w.begin("INSERT INTO record (seq, vid, deleted, tenant, type, num, fid) VALUES ($1, $2, $3, $4, $5, $6, $7)")
	} else {
		w.begin("UPDATE record SET seq = $1, vid = $2, deleted = $3 WHERE tenant = $4 AND type = $5 AND num = $6")
	}
	w.int(r.Seq)
	w.int(r.VID)
	w.bool(r.Deleted)
	w.int(w.tenant)
	w.int(int64(r.Type))
	w.int(r.Num)
	if r.New {
		w.text(r.FID)
	}
	w.exec()
}

func (w *writer) version(v *record.VersionRow, entry int64) {
	w.begin("INSERT INTO version (seq, tenant, type, num, vid, op, keynum, body, audit) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nullif($9, $1))")
	w.int(v.Seq)
	w.int(w.tenant)
	w.int(int64(v.Type))
	w.int(v.Num)
	w.int(v.VID)
	w.int(int64(v.Op))
	w.int(v.KeyNum)
	w.blob(v.Body)
	w.int(entry)
	w.exec()
	w.begin("INSERT INTO event (tenant, type, num, vid, op) VALUES ($1, $2, $3, $4, $5)")
	w.int(w.tenant)
	w.int(int64(v.Type))
	w.int(v.Num)
	w.int(v.VID)
	w.int(int64(v.Op))
	w.exec()
}

func (w *writer) audit(a *record.AuditRow) {
	if w.err == nil {
		w.err = audit.InsertSQLite(w.tx, int32(w.tenant), []audit.Row{*a})
	}
}

// indexSQL is the statements on index rows, with the columns in one order.
type indexSQL struct{ text, ref, date, num string }

var inserts = indexSQL{
	"INSERT OR IGNORE INTO idx_text (tenant, atom, val, num, sub) VALUES ($1, $2, $3, $4, $5)",
	"INSERT OR IGNORE INTO idx_ref (tenant, target, atom, num) VALUES ($1, $2, $3, $4)",
	"INSERT OR IGNORE INTO idx_date (tenant, atom, wide, lo, hi, num) VALUES ($1, $2, $3, $4, $5, $6)",
	"INSERT OR IGNORE INTO idx_num (tenant, atom, wide, lo, hi, num, system, code) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
}

var deletes = indexSQL{
	"DELETE FROM idx_text WHERE tenant = $1 AND atom = $2 AND val = $3 AND num = $4 AND sub = $5",
	"DELETE FROM idx_ref WHERE tenant = $1 AND target = $2 AND atom = $3 AND num = $4",
	"DELETE FROM idx_date WHERE tenant = $1 AND atom = $2 AND wide = $3 AND lo = $4 AND hi = $5 AND num = $6",
	"DELETE FROM idx_num WHERE tenant = $1 AND atom = $2 AND wide = $3 AND lo = $4 AND hi = $5 AND num = $6 AND system = $7 AND code = $8",
}

func (w *writer) index(x *record.Index, sql indexSQL) {
	for i := range x.Text {
		r := &x.Text[i]
		w.begin(sql.text)
		w.int(w.tenant)
		w.int(int64(r.Atom))
		w.at++
		if w.err == nil {
			w.err = w.st.BindBlob(w.at, []byte(r.Val))
		}
		w.int(r.Num)
		w.int(r.Sub)
		w.exec()
	}
	for i := range x.Ref {
		r := &x.Ref[i]
		w.begin(sql.ref)
		w.int(w.tenant)
		w.int(r.Target)
		w.int(int64(r.Atom))
		w.int(r.Num)
		w.exec()
	}
	for i := range x.Date {
		r := &x.Date[i]
		w.begin(sql.date)
		w.int(w.tenant)
		w.int(int64(r.Atom))
		w.bool(r.Wide)
		w.int(r.Lo)
		w.int(r.Hi)
		w.int(r.Num)
		w.exec()
	}
	for i := range x.Num {
		r := &x.Num[i]
		w.begin(sql.num)
		w.int(w.tenant)
		w.int(int64(r.Atom))
		w.bool(r.Wide)
		w.float(r.Lo)
		w.float(r.Hi)
		w.int(r.Num)
		w.int(r.System)
		w.int(r.Code)
		w.exec()
	}
}
