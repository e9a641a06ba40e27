package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// within is the ledger as a transaction sees it that will be undone.
type within struct {
	*record.Ledger
	tx sqldb.Tx
}

func (w within) View(_ context.Context, _ int32, f func(sqldb.Querier) error) error { return f(w.tx) }

var errUndo = errors.New("undo")

// attacker changes rows as somebody with the rights of the tables' owner can, its triggers dropped.
type attacker struct {
	*rand.Rand
	tx       sqldb.Tx
	postgres bool
}

func (a *attacker) exec(sql string, args ...any) int64 {
	n, err := a.tx.Exec(ctx, sql, args...)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", sql, err))
	}
	return n
}

func (a *attacker) one(sql string, args ...any) (int64, int64) {
	var x, y int64
	if _, err := sqldb.QueryRow(ctx, a.tx, []any{&x, &y}, sql, args...); err != nil {
		panic(err)
	}
	return x, y
}

func (a *attacker) disarm() {
	if a.postgres {
		a.exec("RESET ROLE")
	}
	for _, t := range []string{"audit_entry", "audit_patient", "audit_block"} {
		if a.postgres {
			a.exec("ALTER TABLE " + t + " DISABLE TRIGGER USER")
		} else {
			a.exec("DROP TRIGGER " + t + "_kept")
			a.exec("DROP TRIGGER " + t + "_stays")
		}
	}
}

// row picks an entry.
func (a *attacker) row() (pos, id int64) {
	n, _ := a.one("SELECT count(*), 0 FROM audit_entry WHERE tenant = 1")
	return a.one("SELECT pos, id FROM audit_entry WHERE tenant = 1 ORDER BY id LIMIT 1 OFFSET $1", a.Int64N(n))
}

func (a *attacker) blocks() int64 {
	n, _ := a.one("SELECT count(*), 0 FROM audit_block WHERE tenant = 1")
	return n
}

// bytes is the expression of a blob that differs from the column's.
func (a *attacker) bytes(column string) string {
	if a.postgres {
		return fmt.Sprintf("set_byte(%s, %d, (get_byte(%[1]s, %[2]d) + 1) %% 256)", column, a.IntN(8))
	}
	return "CAST(" + column + " || X'00' AS BLOB)"
}

// mutate makes one change, and says what, and of which entry (0: not of one).
func (a *attacker) mutate() (what string, id int64) {
	switch a.IntN(9) {
	case 0, 1, 2:
		return a.column()
	case 3:
		_, id = a.row()
		a.exec("DELETE FROM audit_entry WHERE tenant = 1 AND id = $1", id)
		return "an entry deleted", id
	case 4:
		return a.swap()
	case 5:
		return a.insert()
	case 6:
		return a.truncate(), 0
	case 7:
		return a.patients()
	}
	return a.block(), 0
}

func (a *attacker) column() (string, int64) {
	_, id := a.row()
	columns := []string{"pos", "id", "kind", "outcome", "action", "who", "type", "num", "vid", "patient", "patients", "count", "body"}
	c := columns[a.IntN(len(columns))]
	value := c + " + " + strconv.Itoa(1+a.IntN(100))
	switch c {
	case "id":
		value = "id + 1"
		if other, _ := a.one("SELECT id, 0 FROM audit_entry WHERE tenant = 1 AND id = $1", id+1); other != 0 {
			value = "id + 1000000007"
		}
	case "action", "who":
		value = c + " || 'x'"
	case "type":
		value = "coalesce(type, '') || 'x'"
	case "patient":
		value = "coalesce(patient, 0) + 1"
	case "patients":
		value = "'12345678'"
		if a.postgres {
			value += "::bytea"
		}
	case "body":
		value = a.bytes("body")
	}
	a.exec("UPDATE audit_entry SET "+c+" = "+value+" WHERE tenant = 1 AND id = $1", id)
	return "column " + c + " changed", id
}

func (a *attacker) swap() (string, int64) {
	_, x := a.row()
	_, y := a.row()
	for y == x {
		_, y = a.row()
	}
	switch a.IntN(3) {
	case 0:
		a.exec("UPDATE audit_entry SET id = -1 WHERE tenant = 1 AND id = $1", x)
		a.exec("UPDATE audit_entry SET id = $1 WHERE tenant = 1 AND id = $2", x, y)
		a.exec("UPDATE audit_entry SET id = $1 WHERE tenant = 1 AND id = -1", y)
		return "two ids swapped", 0
	case 1:
		var bx, by []byte
		for id, b := range map[int64]*[]byte{x: &bx, y: &by} {
			if _, err := sqldb.QueryRow(ctx, a.tx, []any{b}, "SELECT body FROM audit_entry WHERE tenant = 1 AND id = $1", id); err != nil {
				panic(err)
			}
		}
		a.exec("UPDATE audit_entry SET body = $1 WHERE tenant = 1 AND id = $2", bx, y)
		a.exec("UPDATE audit_entry SET body = $1 WHERE tenant = 1 AND id = $2", by, x)
		return "two bodies swapped", x
	}
	px, _ := a.one("SELECT pos, 0 FROM audit_entry WHERE tenant = 1 AND id = $1", x)
	py, _ := a.one("SELECT pos, 0 FROM audit_entry WHERE tenant = 1 AND id = $1", y)
	if px == py {
		py += 1000
	}
	a.exec("UPDATE audit_entry SET pos = $1 WHERE tenant = 1 AND id = $2", py, x)
	a.exec("UPDATE audit_entry SET pos = $1 WHERE tenant = 1 AND id = $2", px, y)
	return "two positions swapped", x
}

func (a *attacker) insert() (string, int64) {
	pos, id := a.row()
	if a.IntN(3) == 0 {
		pos += 1 << 40 // behind all
	}
	fresh := id + 1
	for {
		if other, _ := a.one("SELECT id, 0 FROM audit_entry WHERE tenant = 1 AND id = $1", fresh); other == 0 {
			break
		}
		fresh++
	}
	a.exec("INSERT INTO audit_entry (tenant, pos, id, kind, outcome, action, who, type, num, vid, patient, patients, count, body) SELECT tenant, $1, $2, kind, outcome, action, who, type, num, vid, patient, patients, count, body FROM audit_entry WHERE tenant = 1 AND id = $3",
		pos, fresh, id)
	return "an entry inserted", fresh
}

func (a *attacker) truncate() string {
	n := a.blocks()
	keep := a.Int64N(n)
	switch a.IntN(3) {
	case 0:
		a.exec("DELETE FROM audit_block WHERE tenant = 1 AND num > $1", keep)
		return "the last blocks deleted"
	case 1:
		pos, id := a.one("SELECT coalesce(max(pos), -1), coalesce(max(id), -1) FROM audit_block WHERE tenant = 1 AND num <= $1", keep)
		a.exec("DELETE FROM audit_block WHERE tenant = 1 AND num > $1", keep)
		a.exec("DELETE FROM audit_entry WHERE tenant = 1 AND (pos, id) > ($1, $2)", pos, id)
		a.exec("DELETE FROM audit_patient WHERE tenant = 1 AND NOT EXISTS (SELECT 1 FROM audit_entry e WHERE e.tenant = 1 AND e.id = audit_patient.id)")
		return "the end of the chain cut off, blocks and all"
	}
	pos, _ := a.one("SELECT pos, id FROM audit_entry WHERE tenant = 1 ORDER BY pos DESC, id DESC LIMIT 1 OFFSET $1", a.IntN(5))
	a.exec("DELETE FROM audit_entry WHERE tenant = 1 AND pos >= $1", pos)
	return "the last entries deleted"
}

func (a *attacker) patients() (string, int64) {
	n, _ := a.one("SELECT count(*), 0 FROM audit_patient WHERE tenant = 1")
	patient, id := a.one("SELECT patient, id FROM audit_patient WHERE tenant = 1 ORDER BY patient, id LIMIT 1 OFFSET $1", a.Int64N(n))
	switch a.IntN(3) {
	case 0:
		a.exec("DELETE FROM audit_patient WHERE tenant = 1 AND patient = $1 AND id = $2", patient, id)
		return "a row of audit_patient deleted", id
	case 1:
		a.exec("UPDATE audit_patient SET patient = 987654 WHERE tenant = 1 AND patient = $1 AND id = $2", patient, id)
		return "a row of audit_patient changed", id
	}
	_, id = a.row()
	a.exec("INSERT INTO audit_patient (tenant, patient, id) VALUES (1, 987654, $1)", id)
	return "a row of audit_patient inserted", id
}

func (a *attacker) block() string {
	num := 1 + a.Int64N(a.blocks())
	if a.IntN(5) == 0 {
		a.exec("DELETE FROM audit_block WHERE tenant = 1 AND num = $1", num)
		return "a block deleted"
	}
	numbers := []string{"pos", "id", "count", "total", "made_at", "keynum"}
	blobs := []string{"prev", "leaves", "hash", "signature"}
	i := a.IntN(len(numbers) + len(blobs))
	if i < len(numbers) {
		a.exec("UPDATE audit_block SET "+numbers[i]+" = "+numbers[i]+" + 1 WHERE tenant = 1 AND num = $1", num)
		return "a block's " + numbers[i] + " changed"
	}
	c := blobs[i-len(numbers)]
	a.exec("UPDATE audit_block SET "+c+" = "+a.bytes(c)+" WHERE tenant = 1 AND num = $1", num)
	return "a block's " + c + " changed"
}

// mutations is how many changes TestMutations tries on each engine.
func mutations() int {
	if n, err := strconv.Atoi(os.Getenv("NILECARE_AUDIT_MUTATIONS")); err == nil {
		return n
	}
	return 1000
}

// TestMutations changes the ledger by SQL in a thousand ways, one at a time, and demands that each is found, and where it is.
func TestMutations(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		w := begin(t, s, ledger.Options{AnchorBlocks: 1})
		for i := range 8 {
			w.patient()
			w.acts(40)
			w.flush()
			if i == 4 {
				if err := w.log.Rotate(ctx, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.whole()
		anchors, _, err := ledger.ReadAnchors(w.anchors, 1)
		if err != nil || len(anchors) < 8 {
			t.Fatalf("%d anchors, %v", len(anchors), err)
		}
		kinds := map[string]int{}
		random := rand.New(rand.NewPCG(20, 26))
		for i := range mutations() {
			var report ledger.Report
			var what string
			var id int64
			err := w.ledger.Update(ctx, 1, func(tx sqldb.Tx) (err error) {
				a := &attacker{random, tx, sqldb.PgConn(tx) != nil}
				a.disarm()
				what, id = a.mutate()
				if report, err = ledger.Verify(ctx, within{w.ledger, tx}, 1, anchors); err != nil {
					return err
				}
				return errUndo
			})
			if !errors.Is(err, errUndo) {
				t.Fatal(what, err)
			}
			kinds[what]++
			if report.OK() {
				t.Errorf("%d: %s (entry %d): not found", i, what, id)
			} else if id != 0 && !names(report, id) {
				t.Errorf("%d: %s (entry %d): the report names others: %v", i, what, id, report.Problems)
			}
		}
		t.Logf("%v", kinds)
		w.whole()
	})
}

// names reports whether a report names the entry.
func names(r ledger.Report, id int64) bool {
	for _, p := range r.Problems {
		if p.ID == id {
			return true
		}
	}
	return false
}

// TestAppendOnly demands that the engine refuses to change or remove what is in the ledger, to the program itself.
func TestAppendOnly(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		w := begin(t, s, ledger.Options{})
		w.acts(20)
		w.flush()
		for _, table := range []string{"audit_entry", "audit_patient", "audit_block"} {
			for _, sql := range []string{"UPDATE " + table + " SET tenant = 1", "DELETE FROM " + table, "TRUNCATE " + table} {
				err := w.ledger.Update(ctx, 1, func(tx sqldb.Tx) error {
					_, err := tx.Exec(ctx, sql)
					return err
				})
				if err == nil {
					t.Errorf("%s went through", sql)
				}
			}
		}
		w.whole()
	})
}
