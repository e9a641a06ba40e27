package sqldb_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/sqldb"
)

// newPostgres makes a database, dropped at the end of the test, with a table "kept (k, v)"; it skips the test without a server.
func newPostgres(t testing.TB) (db *sqldb.Postgres, at string) {
	t.Helper()
	base := os.Getenv("NILECARE_TEST_POSTGRES")
	if base == "" {
		t.Skip("NILECARE_TEST_POSTGRES names no server (scripts/with-postgres starts one)")
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, base)
	must(t, err)
	name := fmt.Sprintf("sqldb_%d_%d", os.Getpid(), time.Now().UnixNano())
	_, err = admin.Exec(ctx, "CREATE DATABASE "+name)
	must(t, err)
	t.Cleanup(func() {
		if _, err := admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
		_ = admin.Close(ctx)
	})
	u, err := url.Parse(base)
	must(t, err)
	u.Path = "/" + name
	db, err = sqldb.OpenPostgres(ctx, u.String())
	must(t, err)
	t.Cleanup(db.Close)
	must(t, db.Update(ctx, 1, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "CREATE TABLE kept (k text PRIMARY KEY, v int)")
		return err
	}))
	return db, u.String()
}

func postgresKeys(t testing.TB, db *sqldb.Postgres) map[string]int {
	t.Helper()
	out := map[string]int{}
	must(t, db.View(context.Background(), 1, func(q sqldb.Querier) error { return readKeys(q, out) }))
	return out
}

func TestPostgresTransactions(t *testing.T) {
	db, _ := newPostgres(t)
	ctx := context.Background()
	put := func(k string, end error) error {
		return db.Update(ctx, 1, func(tx sqldb.Tx) error {
			if err := insert(ctx, tx, k, 1); err != nil {
				return err
			}
			return end
		})
	}
	must(t, put("a", nil))
	if err := put("b", errMine); !errors.Is(err, errMine) {
		t.Error(err)
	}
	if err := put("a", nil); !sqldb.Duplicate(err) || !sqldb.FromServer(err) || sqldb.Transient(err) {
		t.Errorf("a duplicate is %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = db.Update(ctx, 1, func(tx sqldb.Tx) error {
			_ = insert(ctx, tx, "c", 1)
			panic("a defect")
		})
	}()
	if got := fmt.Sprint(postgresKeys(t, db)); got != "map[a:1]" {
		t.Errorf("there stands %s", got)
	}
	must(t, db.View(ctx, 1, func(q sqldb.Querier) error {
		for i := range 2 {
			got := map[string]int{}
			if err := readKeys(q, got); err != nil {
				return err
			}
			if len(got) != 1 {
				t.Errorf("the snapshot became %v", got)
			}
			must(t, put(fmt.Sprint("d", i), nil))
		}
		return nil
	}))
	if err := db.View(ctx, 1, func(q sqldb.Querier) error { return insert(ctx, q, "e", 1) }); err == nil {
		t.Error("a reader wrote")
	}
}

func TestPostgresValues(t *testing.T) {
	db, _ := newPostgres(t)
	ctx := context.Background()
	must(t, db.Read(ctx, 1, func(q sqldb.Querier) error {
		var i int64
		var f float64
		var s, null string
		var b []byte
		var x any
		found, err := sqldb.QueryRow(ctx, q, []any{&s, &i, &f, &b, &null, &x}, "SELECT $2::text, $1::bigint, $3::float8, $4::bytea, $5::text, $1::bigint",
			int64(-1)<<62, "text $1 ü", 1.5, []byte{0, 255}, nil)
		if err != nil || !found {
			t.Fatal(found, err)
		}
		if i != -1<<62 || s != "text $1 ü" || f != 1.5 || string(b) != "\x00\xff" || null != "" || x != int64(-1)<<62 {
			t.Errorf("%v %v %v %v %q %v", i, s, f, b, null, x)
		}
		return nil
	}))
}

// TestPostgresTenants demands that a connection that was lent before belongs to whom it is lent to now.
func TestPostgresTenants(t *testing.T) {
	db, _ := newPostgres(t)
	ctx := context.Background()
	var wg sync.WaitGroup
	for w := range 24 {
		wg.Go(func() {
			for i := range 20 {
				tenant := int32((w+i)%3 + 1)
				var got string
				err := db.Read(ctx, tenant, func(q sqldb.Querier) error {
					_, err := sqldb.QueryRow(ctx, q, []any{&got}, "SELECT current_setting('nilecare.tenant')")
					return err
				})
				if err != nil || got != fmt.Sprint(tenant) {
					t.Errorf("tenant %d has a session of %q, %v", tenant, got, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestPostgresLock(t *testing.T) {
	db, _ := newPostgres(t)
	ctx := context.Background()
	inside, most := 0, 0
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			must(t, db.Update(ctx, 1, func(tx sqldb.Tx) error {
				if err := tx.Lock(ctx, 42); err != nil {
					return err
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
				mu.Lock()
				inside--
				mu.Unlock()
				return nil
			}))
		})
	}
	wg.Wait()
	if most != 1 {
		t.Errorf("%d held one lock", most)
	}
}

// TestPostgresDeadlock demands that two who wait for each other both end.
func TestPostgresDeadlock(t *testing.T) {
	db, _ := newPostgres(t)
	ctx := context.Background()
	must(t, db.Update(ctx, 1, func(tx sqldb.Tx) error {
		return errors.Join(insert(ctx, tx, "a", 0), insert(ctx, tx, "b", 0))
	}))
	var wg sync.WaitGroup
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		wg.Go(func() {
			err := db.Update(ctx, 1, func(tx sqldb.Tx) error {
				for _, k := range order {
					if _, err := tx.Exec(ctx, "UPDATE kept SET v = v + 1 WHERE k = $1", k); err != nil {
						return err
					}
					time.Sleep(50 * time.Millisecond)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := fmt.Sprint(postgresKeys(t, db)); got != "map[a:2 b:2]" {
		t.Errorf("there stands %s", got)
	}
}

func TestPostgresMigrations(t *testing.T) {
	db, _ := newPostgres(t)
	ctx := context.Background()
	one := fstest.MapFS{"00001_a.sql": &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE a (x int);\n")}}
	two := fstest.MapFS{"00001_a.sql": one["00001_a.sql"], "00002_b.sql": &fstest.MapFile{Data: []byte("-- +goose Up\nALTER TABLE a ADD COLUMN y int;\n")}}
	var wg sync.WaitGroup
	ran := make([]int, 3)
	for i := range ran { // processes that start together
		wg.Go(func() {
			var err error
			if ran[i], err = db.Migrate(ctx, two, "migration_test"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if ran[0]+ran[1]+ran[2] != 2 {
		t.Errorf("%v migrations ran", ran)
	}
	if _, err := db.Migrate(ctx, one, "migration_test"); err == nil || !strings.Contains(err.Error(), "newer nilecare") {
		t.Errorf("a newer database: %v", err)
	}
}

// TestPostgresErrorsKeepTheSecret demands that no error of opening tells the password.
func TestPostgresErrorsKeepTheSecret(t *testing.T) {
	for _, u := range []string{"postgres://u:geheim@127.0.0.1:1/x?connect_timeout=1", "postgres://u:geheim@[::1/x", "postgres://u:geheim@127.0.0.1:1/x?sslmode=nonsense"} {
		db, err := sqldb.OpenPostgres(context.Background(), u)
		if err == nil {
			db.Close()
			t.Error("it opened")
		} else if strings.Contains(err.Error(), "geheim") {
			t.Error("the error tells the password")
		}
	}
}
