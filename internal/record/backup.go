package record

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// A backup is one zstd stream: a line that says what it is, a line of JSON (backupHead), then for each table of the head its
// rows, each a byte 1 and its values, and a byte 0 at the end; last the SHA-256 of all before it. A value is a byte for its kind
// and what it takes. Bodies and keys are in it as they are in the database, sealed: without the root key a backup
// tells no more than the database file does. It can be restored on either engine. Tables and columns that came later than the backup
// stay empty when it is restored.

const backupMagic = "nilecare backup 1\n"

type backupHead struct {
	Created time.Time `json:"created"`
	Tenant  int32     `json:"tenant"`
	Tables  []Table   `json:"tables"`
}

// Table is a table that a backup holds, with the columns that it keeps, tenant first.
type Table struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

// backupTables are the record's own tables, in the order in which they are restored.
func backupTables() []Table {
	return []Table{
		{"seal_key", []string{"tenant", "num", "parent", "wrapped", "created_at", "destroyed_at"}},
		{"alias", []string{"tenant", "type", "fid", "num"}},
		{"record", []string{"tenant", "type", "num", "seq", "vid", "deleted", "fid"}},
		{"version", []string{"tenant", "seq", "type", "num", "vid", "op", "keynum", "audit", "body"}},
		{"event", []string{"tenant", "id", "type", "num", "vid", "op"}},
		{"audit_entry", []string{"tenant", "pos", "id", "kind", "outcome", "action", "who", "type", "num", "vid", "patient", "patients", "count", "body"}},
		{"audit_patient", []string{"tenant", "patient", "id"}},
		{"audit_block", []string{"tenant", "num", "pos", "id", "count", "total", "made_at", "keynum", "prev", "leaves", "hash", "signature"}},
		{"audit_key", []string{"tenant", "num", "public", "proof", "secret", "created_at"}},
		{"consent_rule", []string{"tenant", "patient", "consent", "seq", "kind", "part", "actor", "purpose", "class", "label", "valid_from", "valid_to", "created_by", "created_at"}},
		{"idx_text", []string{"tenant", "atom", "val", "num", "sub"}},
		{"idx_ref", []string{"tenant", "target", "atom", "num"}},
		{"idx_date", []string{"tenant", "atom", "wide", "lo", "hi", "num"}},
		{"idx_num", []string{"tenant", "atom", "wide", "lo", "hi", "num", "system", "code"}},
	}
}

// firstTables are what every backup holds; later ones may be absent from it.
var firstTables = [...]string{"seal_key", "alias", "record", "version", "event", "idx_text", "idx_ref", "idx_date", "idx_num"}

// lateColumns are the columns of the record's tables that older backups do not have. The database gives them a value.
var lateColumns = map[string][]string{"seal_key": {"parent"}}

// checkTables refuses modules' tables that cannot be backed up as they are declared: a mistake of the program.
func checkTables(modules []Table) error {
	seen := map[string]bool{}
	for _, t := range backupTables() {
		seen[t.Name] = true
	}
	for _, t := range modules {
		if seen[t.Name] || len(t.Columns) == 0 || t.Columns[0] != "tenant" {
			return fmt.Errorf("record: table %s is declared twice, or without tenant as its first column", t.Name)
		}
		seen[t.Name] = true
	}
	return nil
}

// Backup writes a consistent copy of the caller's tenant to w while others read and write, and returns how many rows it has.
func (s *Store) Backup(ctx context.Context, w io.Writer) (int64, error) {
	tenant := access.From(ctx).Tenant
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return 0, fmt.Errorf("record: backup: %w", err)
	}
	sum := sha256.New()
	b := &backupWriter{w: bufio.NewWriterSize(io.MultiWriter(z, sum), 1<<16)}
	err = s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		return b.all(ctx, q, backupHead{Created: s.clock().UTC(), Tenant: tenant, Tables: append(backupTables(), s.tables...)})
	})
	if err == nil {
		err = b.w.Flush()
	}
	if err == nil {
		_, err = z.Write(sum.Sum(nil))
	}
	if e := z.Close(); err == nil {
		err = e
	}
	return b.rows, err
}

type backupWriter struct {
	w    *bufio.Writer
	rows int64
	buf  []byte
}

func (b *backupWriter) all(ctx context.Context, q sqldb.Querier, head backupHead) error {
	line, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("record: backup: %w", err)
	}
	if _, err := b.w.WriteString(backupMagic + string(line) + "\n"); err != nil {
		return fmt.Errorf("record: backup: %w", err)
	}
	for _, t := range head.Tables {
		if err := b.table(ctx, q, t, head.Tenant); err != nil {
			return err
		}
	}
	return nil
}

func (b *backupWriter) table(ctx context.Context, q sqldb.Querier, t Table, tenant int32) error {
	values := make([]any, len(t.Columns))
	dest := make([]any, len(t.Columns))
	for i := range values {
		dest[i] = &values[i]
	}
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		b.rows++
		b.buf = append(b.buf[:0], 1)
		for _, v := range values {
			b.buf = appendValue(b.buf, v)
		}
		_, err := b.w.Write(b.buf)
		return err
	}, "SELECT "+join(t.Columns)+" FROM "+t.Name+" WHERE tenant = $1", tenant)
	if err != nil {
		return err
	}
	return b.w.WriteByte(0)
}

func join(columns []string) string {
	var b []byte
	for i, c := range columns {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, c...)
	}
	return string(b)
}

func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case int64:
		return binary.AppendVarint(append(b, 'i'), v)
	case int32:
		return binary.AppendVarint(append(b, 'i'), int64(v))
	case int16:
		return binary.AppendVarint(append(b, 'i'), int64(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'f'), math.Float64bits(v))
	case string:
		return append(binary.AppendUvarint(append(b, 's'), uint64(len(v))), v...)
	case []byte:
		return append(binary.AppendUvarint(append(b, 'b'), uint64(len(v))), v...)
	}
	return append(b, 'n')
}

// errBackup is what a file that is no whole backup gets.
func errBackup(why string) error {
	return fault.New(fault.Invalid, "this is no whole backup of nilecare: %s", why)
}

// Restore fills an empty database from a backup: all of it or, where the file is not whole, nothing. It takes an engine on
// which no store was opened yet, since a store makes keys, and the tables of all modules, which must stand already ([Engine.Migrate]). Those
// that the backup does not have stay empty; one that it has and nobody declares is refused by its name. It returns how many rows it wrote.
func Restore(ctx context.Context, e Engine, r io.Reader, modules ...Table) (int64, error) {
	if err := checkTables(modules); err != nil {
		return 0, err
	}
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return 0, errBackup("it cannot be read")
	}
	defer z.Close()
	in := &backupReader{r: bufio.NewReaderSize(z, 1<<16), sum: sha256.New()}
	head, err := in.head()
	if err != nil {
		return 0, err
	}
	if err := restorable(head.Tables, modules); err != nil {
		return 0, err
	}
	job := &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		if in.used {
			return nil, errors.New("record: restore: the database asked for a second try: begin anew")
		}
		in.used = true
		if err := in.fill(ctx, tx, head, modules); err != nil {
			return nil, err
		}
		for _, sql := range e.Dialect().AfterRestore {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}}
	err = e.Commit(ctx, head.Tenant, job)
	return in.rows, err
}

type backupReader struct {
	r    *bufio.Reader
	sum  hash.Hash
	rows int64
	used bool
}

// take reads n bytes and adds them to the digest.
func (b *backupReader) take(n uint64) ([]byte, error) {
	if n > 1<<30 {
		return nil, errBackup("a value is too long")
	}
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, b.r, int64(n)); err != nil {
		return nil, errBackup("it ends early or was changed")
	}
	_, _ = b.sum.Write(buf.Bytes())
	return buf.Bytes(), nil
}

func (b *backupReader) byte() (byte, error) {
	c, err := b.r.ReadByte()
	if err != nil {
		return 0, errBackup("it ends early or was changed")
	}
	_, _ = b.sum.Write([]byte{c})
	return c, nil
}

// ReadByte implements io.ByteReader for varints.
func (b *backupReader) ReadByte() (byte, error) { return b.byte() }

func (b *backupReader) line() (string, error) {
	var out []byte
	for len(out) < 1<<20 {
		c, err := b.byte()
		if err != nil {
			return "", err
		}
		out = append(out, c)
		if c == '\n' {
			return string(out), nil
		}
	}
	return "", errBackup("its head is too long")
}

func (b *backupReader) head() (backupHead, error) {
	var head backupHead
	magic, err := b.line()
	if err != nil || magic != backupMagic {
		return head, errBackup("it does not begin as one")
	}
	line, err := b.line()
	if err != nil {
		return head, err
	}
	if err := json.Unmarshal([]byte(line), &head); err != nil {
		return head, errBackup("its head cannot be read")
	}
	return head, nil
}

// restorable reports whether this program has all that the backup holds, and the backup what it must hold.
func restorable(tables, modules []Table) error {
	known := map[string]Table{oldAudit.Name: oldAudit}
	for _, t := range append(backupTables(), modules...) {
		known[t.Name] = t
	}
	has := map[string]bool{}
	for _, t := range tables {
		mine, ok := known[t.Name]
		if !ok {
			return fault.New(fault.Invalid, "the backup holds the table %.64q, which this program does not have", t.Name)
		}
		if has[t.Name] {
			return errBackup("a table is in it twice")
		}
		has[t.Name] = true
		if err := sameColumns(t, mine); err != nil {
			return err
		}
		if !slices.ContainsFunc(modules, func(m Table) bool { return m.Name == t.Name }) {
			for _, c := range mine.Columns {
				if !slices.Contains(t.Columns, c) && !slices.Contains(lateColumns[t.Name], c) {
					return fault.New(fault.Invalid, "the backup's table %s has no column %s", t.Name, c)
				}
			}
		}
	}
	for _, name := range firstTables {
		if !has[name] {
			return errBackup("it has no table " + name)
		}
	}
	return nil
}

// sameColumns refuses columns that this program does not have.
func sameColumns(t, mine Table) error {
	seen := map[string]bool{}
	for _, c := range t.Columns {
		if !slices.Contains(mine.Columns, c) {
			return fault.New(fault.Invalid, "the backup's table %s has the column %.64q, which this program does not have", t.Name, c)
		}
		if seen[c] {
			return errBackup("a column is in it twice")
		}
		seen[c] = true
	}
	if !seen["tenant"] {
		return errBackup("a table has no tenant")
	}
	return nil
}

func (b *backupReader) fill(ctx context.Context, tx Tx, head backupHead, modules []Table) error {
	empty := []string{"version", "record", "seal_key"}
	for _, m := range modules {
		empty = append(empty, m.Name)
	}
	for _, table := range empty {
		var n int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&n}, "SELECT count(*) FROM "+table); err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "the database is not empty (%s has rows): restore into a new one", table)
		}
	}
	for _, t := range head.Tables {
		if err := b.fillTable(ctx, tx, t); err != nil {
			return err
		}
	}
	want := b.sum.Sum(nil)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(b.r, got); err != nil || !bytes.Equal(got, want) {
		return errBackup("its digest does not match: it was changed or cut off")
	}
	return nil
}

// restoreBatch is how many rows are sent to the database at a time.
const restoreBatch = 1000

func (b *backupReader) fillTable(ctx context.Context, tx Tx, t Table) error {
	sql := insertSQL(t)
	var rows [][]any
	for {
		more, err := b.byte()
		if err != nil {
			return err
		}
		if more == 1 {
			row, err := b.row(len(t.Columns))
			if err != nil {
				return err
			}
			if t.Name == oldAudit.Name {
				row = fromOldAudit(t, row)
			}
			rows = append(rows, row)
		} else if more != 0 {
			return errBackup("it was changed")
		}
		if len(rows) == restoreBatch || more == 0 {
			if err := sqldb.ExecMany(ctx, tx, sql, rows); err != nil {
				return err
			}
			b.rows += int64(len(rows))
			rows = rows[:0]
		}
		if more == 0 {
			return nil
		}
	}
}

func insertSQL(t Table) string {
	if t.Name == oldAudit.Name {
		return insertOldAudit
	}
	b := &sqldb.Builder{}
	b.SQL("INSERT INTO " + t.Name + " (" + join(t.Columns) + ") ")
	b.SQL("VALUES (")
	for i := range t.Columns {
		if i > 0 {
			b.SQL(", ")
		}
		b.Arg(nil)
	}
	return b.SQL(")").String()
}

func (b *backupReader) row(columns int) ([]any, error) {
	row := make([]any, columns)
	for i := range row {
		v, err := b.value()
		if err != nil {
			return nil, err
		}
		row[i] = v
	}
	return row, nil
}

func (b *backupReader) value() (any, error) {
	kind, err := b.byte()
	if err != nil {
		return nil, err
	}
	switch kind {
	case 'n':
		return nil, nil
	case 'i':
		return binary.ReadVarint(b)
	case 'f':
		bits, err := b.take(8)
		if err != nil {
			return nil, err
		}
		return math.Float64frombits(binary.BigEndian.Uint64(bits)), nil
	case 's', 'b':
		n, err := binary.ReadUvarint(b)
		if err != nil {
			return nil, errBackup("it was changed")
		}
		text, err := b.take(n)
		if err != nil {
			return nil, err
		}
		if kind == 's' {
			return string(text), nil
		}
		if text == nil {
			text = []byte{}
		}
		return text, nil
	}
	return nil, errBackup("it was changed")
}
