package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/recordtest"
	"github.com/nilecare/nilecare/internal/record/sqlite"
)

// childURL tells the helper process which database it writes to.
const childURL = "NILECARE_RECORDTEST_URL"

func TestMain(m *testing.M) {
	recordtest.Main(m, func(string) (record.Engine, error) { return postgres.Open(context.Background(), os.Getenv(childURL)) })
}

// server returns the URL of the server's own database, or skips the test.
func server(t testing.TB) string {
	t.Helper()
	u := os.Getenv("NILECARE_TEST_POSTGRES")
	if u == "" {
		t.Skip("NILECARE_TEST_POSTGRES names no server (scripts/with-postgres starts one)")
	}
	return u
}

var databases atomic.Int64

// database makes an empty database, dropped at the end of the test, and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	base := server(t)
	name := fmt.Sprintf("nilecare_%d_%d_%d", os.Getpid(), time.Now().UnixNano()%1e9, databases.Add(1))
	execOn(t, base, "CREATE DATABASE "+name)
	t.Cleanup(func() { drop(t, base, name) })
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal("NILECARE_TEST_POSTGRES is no URL")
	}
	u.Path = "/" + name
	return u.String()
}

// drop drops a database. A vacuum that the server runs in it by itself may stand in the way for a moment: nobody but the superuser ends that.
func drop(t testing.TB, base, name string) {
	t.Helper()
	ctx := context.Background()
	var err error
	for try := 0; try < 60; try++ {
		var c *pgx.Conn
		if c, err = pgx.Connect(ctx, base); err == nil {
			_, err = c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			_ = c.Close(ctx)
		}
		if err == nil {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	t.Error(err)
}

func connect(t testing.TB, u string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), u)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func execOn(t testing.TB, u, sql string) {
	t.Helper()
	c, err := pgx.Connect(context.Background(), u)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(context.Background(), sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func place(t testing.TB) recordtest.Place {
	u := database(t)
	return recordtest.Place{
		Dir: t.TempDir(), Shared: true, Env: []string{childURL + "=" + u},
		Open:  func() (record.Engine, error) { return postgres.Open(context.Background(), u) },
		Bytes: func(t testing.TB) []byte { return dump(t, u) },
	}
}

func tablesOf(t testing.TB, c *pgx.Conn) []string {
	t.Helper()
	rows, err := c.Query(context.Background(), "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// dump returns the rows of all tables of the first two tenants, with bytes as they are.
func dump(t testing.TB, u string) []byte {
	t.Helper()
	c := connect(t, u)
	var all bytes.Buffer
	for _, tenant := range []string{"1", "2"} {
		if _, err := c.Exec(context.Background(), "SELECT set_config('nilecare.tenant', $1, false)", tenant); err != nil {
			t.Fatal(err)
		}
		for _, table := range tablesOf(t, c) {
			if _, err := c.PgConn().CopyTo(context.Background(), &all, "COPY (SELECT * FROM "+table+") TO STDOUT (FORMAT binary)"); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all.Bytes()
}

func TestRecord(t *testing.T) {
	server(t)
	recordtest.Run(t, recordtest.Harness{New: place})
}

// TestBackupBetweenEngines restores a backup of each engine on the other.
func TestBackupBetweenEngines(t *testing.T) {
	server(t)
	here := recordtest.Harness{New: place}
	embedded := recordtest.Harness{New: func(t testing.TB) recordtest.Place {
		dir := t.TempDir()
		return recordtest.Place{Dir: dir, Open: func() (record.Engine, error) {
			return sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
		}}
	}}
	t.Run("to SQLite", func(t *testing.T) { recordtest.BackupBetween(t, here, embedded) })
	t.Run("to PostgreSQL", func(t *testing.T) { recordtest.BackupBetween(t, embedded, here) })
}
