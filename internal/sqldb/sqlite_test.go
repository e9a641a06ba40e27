package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// open opens a new database with a table "kept (k, v)".
func open(t testing.TB, readers int) *sqldb.SQLite {
	t.Helper()
	db, err := sqldb.OpenSQLite(context.Background(), sqldb.SQLiteOptions{Path: filepath.Join(t.TempDir(), "a.db"), Readers: readers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Update(context.Background(), func(tx sqldb.Tx) error {
		_, err := tx.Exec(context.Background(), "CREATE TABLE kept (k TEXT PRIMARY KEY, v INTEGER)")
		return err
	}))
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func insert(ctx context.Context, tx sqldb.Querier, k string, v int) error {
	_, err := tx.Exec(ctx, "INSERT INTO kept (k, v) VALUES ($1, $2)", k, v)
	return err
}

func put(db *sqldb.SQLite, k string, v int) error {
	ctx := context.Background()
	return db.Update(ctx, func(tx sqldb.Tx) error { return insert(ctx, tx, k, v) })
}

// keys returns what stands in the table, as the last commit left it.
func keys(t testing.TB, db *sqldb.SQLite) map[string]int {
	t.Helper()
	out := map[string]int{}
	must(t, db.View(context.Background(), func(q sqldb.Querier) error { return readKeys(q, out) }))
	return out
}

func readKeys(q sqldb.Querier, out map[string]int) error {
	return sqldb.Each(context.Background(), q, func(rows sqldb.Rows) error {
		var k string
		var v int
		err := rows.Scan(&k, &v)
		out[k] = v
		return err
	}, "SELECT k, v FROM kept")
}

// together runs the functions so that they are likely to share a commit: a first one holds the writer until all others wait.
func together(db *sqldb.SQLite, fs ...func() error) []error {
	errs := make([]error, len(fs))
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = db.Update(context.Background(), func(sqldb.Tx) error { close(held); <-hold; return nil })
	})
	<-held
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
		time.Sleep(5 * time.Millisecond) // in this order
	}
	close(hold)
	wg.Wait()
	return errs
}

var errMine = errors.New("mine")

// TestOutcomesAreEachCallersOwn demands that of callers who share a commit each gets its own outcome, and that one who fails, in
// whatever way, takes nothing of the others with it.
func TestOutcomesAreEachCallersOwn(t *testing.T) {
	ctx := context.Background()
	for name, bad := range map[string]func(db *sqldb.SQLite) error{
		"refuses": func(db *sqldb.SQLite) error {
			return db.Update(ctx, func(tx sqldb.Tx) error {
				if err := insert(ctx, tx, "bad", 1); err != nil {
					return err
				}
				return errMine
			})
		},
		"panics": func(db *sqldb.SQLite) error {
			return db.Update(ctx, func(tx sqldb.Tx) error {
				if err := insert(ctx, tx, "bad", 1); err != nil {
					return err
				}
				panic("a defect")
			})
		},
		"panics while reading": func(db *sqldb.SQLite) error {
			return db.Update(ctx, func(tx sqldb.Tx) error {
				if err := insert(ctx, tx, "bad", 1); err != nil {
					return err
				}
				return sqldb.Each(ctx, tx, func(sqldb.Rows) error { panic("a defect") }, "SELECT k FROM kept")
			})
		},
		"breaks a constraint": func(db *sqldb.SQLite) error {
			return db.Update(ctx, func(tx sqldb.Tx) error {
				if err := insert(ctx, tx, "bad", 1); err != nil {
					return err
				}
				return insert(ctx, tx, "bad", 2)
			})
		},
		"is cancelled before": func(db *sqldb.SQLite) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return db.Update(ctx, func(tx sqldb.Tx) error { return insert(ctx, tx, "bad", 1) })
		},
		"is cancelled while writing": func(db *sqldb.SQLite) error {
			ctx, cancel := context.WithCancel(ctx)
			return db.Update(ctx, func(tx sqldb.Tx) error {
				if err := insert(ctx, tx, "bad", 1); err != nil {
					return err
				}
				time.AfterFunc(5*time.Millisecond, cancel)
				_, err := tx.Exec(ctx, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000) INSERT INTO kept SELECT 'bad' || i, i FROM n")
				if err == nil {
					err = ctx.Err()
				}
				return err
			})
		},
		"is cancelled while reading": func(db *sqldb.SQLite) error {
			ctx, cancel := context.WithCancel(ctx)
			return db.Update(ctx, func(tx sqldb.Tx) error {
				if err := insert(ctx, tx, "bad", 1); err != nil {
					return err
				}
				time.AfterFunc(5*time.Millisecond, cancel)
				var n int
				_, err := sqldb.QueryRow(ctx, tx, []any{&n}, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000000) SELECT count(*) FROM n")
				if err == nil {
					err = ctx.Err()
				}
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, 2)
			errs := together(db,
				func() error { return put(db, "before", 1) },
				func() error { return bad(db) },
				func() error { return put(db, "after", 2) },
			)
			if errs[0] != nil || errs[2] != nil {
				t.Errorf("the others failed: %v, %v", errs[0], errs[2])
			}
			if errs[1] == nil {
				t.Error("it did not fail")
			}
			if got := fmt.Sprint(keys(t, db)); got != "map[after:2 before:1]" {
				t.Errorf("there stands %s", got)
			}
			must(t, put(db, "later", 3))
			if n := len(keys(t, db)); n != 3 {
				t.Errorf("%d rows after a later write", n)
			}
		})
	}
}

func TestManyWriters(t *testing.T) {
	db := open(t, 2)
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 20 {
				k := fmt.Sprintf("%d-%d", w, i)
				err := db.Update(context.Background(), func(tx sqldb.Tx) error {
					if err := insert(context.Background(), tx, k, i); err != nil {
						return err
					}
					if i%3 == 0 {
						return errMine
					}
					return nil
				})
				if (i%3 == 0) != errors.Is(err, errMine) {
					t.Errorf("%s: %v", k, err)
				}
				if err != nil {
					continue
				}
				// What is acknowledged is seen at once.
				var v int
				found := false
				err = db.Read(context.Background(), func(q sqldb.Querier) (err error) {
					found, err = sqldb.QueryRow(context.Background(), q, []any{&v}, "SELECT v FROM kept WHERE k = $1", k)
					return err
				})
				if err != nil || !found || v != i {
					t.Errorf("%s is not seen: %v", k, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(keys(t, db)); n != 32*13 {
		t.Errorf("%d rows", n)
	}
}

func TestViewIsASnapshot(t *testing.T) {
	db := open(t, 2)
	must(t, put(db, "a", 1))
	must(t, db.View(context.Background(), func(q sqldb.Querier) error {
		for i := range 3 {
			got := map[string]int{}
			if err := readKeys(q, got); err != nil {
				return err
			}
			if len(got) != 1 {
				t.Errorf("the snapshot became %v", got)
			}
			must(t, put(db, fmt.Sprint("b", i), i))
		}
		if err := insert(context.Background(), q, "c", 1); err == nil {
			t.Error("a reader wrote")
		}
		return nil
	}))
	if n := len(keys(t, db)); n != 4 {
		t.Errorf("%d rows", n)
	}
}

// TestReaderThatPanics demands that the connection it used sees later commits.
func TestReaderThatPanics(t *testing.T) {
	ctx := context.Background()
	for name, read := range map[string]func(*sqldb.SQLite, func(sqldb.Querier) error) error{
		"View": func(db *sqldb.SQLite, f func(sqldb.Querier) error) error { return db.View(ctx, f) },
		"Read": func(db *sqldb.SQLite, f func(sqldb.Querier) error) error { return db.Read(ctx, f) },
	} {
		t.Run(name, func(t *testing.T) {
			db := open(t, 1)
			must(t, put(db, "a", 1))
			must(t, put(db, "b", 1))
			func() {
				defer func() { _ = recover() }()
				_ = read(db, func(q sqldb.Querier) error {
					return sqldb.Each(ctx, q, func(sqldb.Rows) error { panic("a defect") }, "SELECT k, v FROM kept")
				})
			}()
			must(t, put(db, "c", 1))
			if n := len(keys(t, db)); n != 3 {
				t.Errorf("%d rows", n)
			}
			must(t, db.Checkpoint(ctx))
		})
	}
}

func TestCancelledReader(t *testing.T) {
	db := open(t, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	err := db.View(ctx, func(q sqldb.Querier) error {
		var n int
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
		return err
	})
	if err == nil {
		t.Error("an endless search ended")
	}
	must(t, put(db, "a", 1))
	if n := len(keys(t, db)); n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestSecondOpeningIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	o := sqldb.SQLiteOptions{Path: path}
	db, err := sqldb.OpenSQLite(context.Background(), o)
	must(t, err)
	if second, err := sqldb.OpenSQLite(context.Background(), o); err == nil {
		_ = second.Close()
		t.Error("it opened twice")
	} else if !strings.Contains(err.Error(), "another process") {
		t.Errorf("the error does not say why: %v", err)
	}
	must(t, db.Close())
	must(t, db.Close())
	db, err = sqldb.OpenSQLite(context.Background(), o)
	must(t, err)
	must(t, db.Close())
	for name, f := range map[string]func() error{
		"Update": func() error { return db.Update(context.Background(), func(sqldb.Tx) error { return nil }) },
		"View":   func() error { return db.View(context.Background(), func(sqldb.Querier) error { return nil }) },
	} {
		done := make(chan error, 1)
		go func() { done <- f() }()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%s of a closed database succeeded", name)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s of a closed database hangs", name)
		}
	}
}

// TestValues demands that each kind of value comes back as it was, by its placeholder and not by the order of the arguments.
func TestValues(t *testing.T) {
	db := open(t, 1)
	ctx := context.Background()
	must(t, db.View(ctx, func(q sqldb.Querier) error {
		var i int64
		var n int
		var f float64
		var s, null string
		var b []byte
		var yes bool
		var x any
		found, err := sqldb.QueryRow(ctx, q, []any{&s, &i, &n, &f, &b, &yes, &null, &x}, "SELECT $2, $1, $3, $4, $5, $6, $7, $2",
			int64(-1)<<62, "text $1 ü", uint32(7), 1.5, []byte{0, 255}, true, nil)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if i != -1<<62 || s != "text $1 ü" || n != 7 || f != 1.5 || string(b) != "\x00\xff" || !yes || null != "" || x != "text $1 ü" {
			t.Errorf("%v %v %v %v %v %v %q %v", i, s, n, f, b, yes, null, x)
		}
		if _, err := q.Exec(ctx, "SELECT $1", struct{}{}); err == nil {
			t.Error("a value of no kind was taken")
		}
		if _, err := q.Exec(ctx, "SELECT 1; SELECT 2"); err == nil {
			t.Error("two statements were taken")
		}
		found, err = sqldb.QueryRow(ctx, q, []any{&s}, "SELECT k FROM kept WHERE k = $1", "none")
		if found || err != nil {
			t.Errorf("nothing was found: %v, %v", found, err)
		}
		return nil
	}))
}

func TestBuilder(t *testing.T) {
	b := &sqldb.Builder{}
	b.SQL("SELECT * FROM t WHERE a = ").Arg("x").SQL(" AND b = ").Int(7).SQL(" AND c = ").Arg(int64(3))
	if got, want := b.String(), "SELECT * FROM t WHERE a = $1 AND b = 7 AND c = $2"; got != want || len(b.Args) != 2 {
		t.Errorf("%s with %v", got, b.Args)
	}
}

// TestManyStatements goes past what a connection keeps prepared, some of them in use.
func TestManyStatements(t *testing.T) {
	db := open(t, 1)
	ctx := context.Background()
	for i := range 5 {
		must(t, put(db, fmt.Sprint(i), i))
	}
	must(t, db.View(ctx, func(q sqldb.Querier) error {
		outer := 0
		err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			outer++
			for i := range 300 {
				var n int
				if _, err := sqldb.QueryRow(ctx, q, []any{&n}, fmt.Sprintf("SELECT %d + $1", i+outer*1000), 1); err != nil || n != i+outer*1000+1 {
					return errors.Join(fmt.Errorf("statement %d gave %d", i, n), err)
				}
			}
			// The text that is being read, within itself.
			inner := 0
			err := sqldb.Each(ctx, q, func(sqldb.Rows) error { inner++; return nil }, "SELECT k FROM kept")
			if inner != 5 {
				t.Errorf("%d rows within", inner)
			}
			return err
		}, "SELECT k FROM kept")
		if outer != 5 {
			t.Errorf("%d rows", outer)
		}
		return err
	}))
}

func TestMigrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	file := func(sql string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql + ";\n")} }
	one := fstest.MapFS{"00001_a.sql": file("CREATE TABLE a (x INTEGER)")}
	two := fstest.MapFS{"00001_a.sql": one["00001_a.sql"], "00002_b.sql": file("ALTER TABLE a ADD COLUMN y INTEGER")}
	broken := fstest.MapFS{"00001_a.sql": one["00001_a.sql"], "00002_b.sql": two["00002_b.sql"], "00003_c.sql": file("CREATE TABLE c (x INTEGER);\nNONSENSE")}
	run := func(fsys fstest.MapFS) (int, error) {
		t.Helper()
		db, err := sqldb.OpenSQLite(context.Background(), sqldb.SQLiteOptions{Path: path})
		must(t, err)
		defer func() { must(t, db.Close()) }()
		return db.Migrate(context.Background(), fsys, "migration_test")
	}
	for i, c := range []struct {
		fsys fstest.MapFS
		ran  int
		err  string
	}{{one, 1, ""}, {one, 0, ""}, {two, 1, ""}, {two, 0, ""}, {one, 0, "newer nilecare"}, {broken, 0, "migration_test"}, {two, 0, ""}} {
		ran, err := run(c.fsys)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("step %d: %v", i, err)
		} else if ran != c.ran {
			t.Errorf("step %d ran %d migrations, want %d", i, ran, c.ran)
		}
	}
}

// TestTheLogIsTheOwnersAlone: in a folder that others may enter too, from the first write on and after the database was opened again.
func TestTheLogIsTheOwnersAlone(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": make([]byte, 32)} {
		path := filepath.Join(t.TempDir(), "a.db")
		for _, table := range []string{"first", "second"} {
			db, err := sqldb.OpenSQLite(context.Background(), sqldb.SQLiteOptions{Path: path, Key: key})
			must(t, err)
			must(t, db.Update(context.Background(), func(tx sqldb.Tx) error {
				_, err := tx.Exec(context.Background(), "CREATE TABLE "+table+" (k TEXT PRIMARY KEY)")
				return err
			}))
			for _, suffix := range []string{"-wal", "-shm"} {
				info, err := os.Stat(path + suffix)
				must(t, err)
				if info.Mode().Perm() != 0o600 {
					t.Errorf("%s, %s: %s has mode %v", name, table, suffix, info.Mode())
				}
			}
			must(t, db.Close())
		}
	}
}
