// Package storetest opens empty records on both engines for the tests of what stands on them.
package storetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
)

// Each runs f on an empty record on SQLite and, where NILECARE_TEST_POSTGRES names a server, on PostgreSQL.
func Each(t *testing.T, o record.Options, f func(t *testing.T, s *record.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t, o)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t, o)) })
}

// SQLite is an empty record on SQLite, closed at the test's end. A root key is made where o has none.
func SQLite(t testing.TB, o record.Options) *record.Store {
	t.Helper()
	e, err := sqlite.Open(context.Background(), sqlite.Options{Dir: t.TempDir()})
	return store(t, e, err, o)
}

// Postgres is SQLite on PostgreSQL, in a database of its own; where no server is named the test is skipped.
func Postgres(t testing.TB, o record.Options) *record.Store {
	t.Helper()
	e, err := postgres.Open(context.Background(), Database(t))
	return store(t, e, err, o)
}

// Database makes an empty database on the server that NILECARE_TEST_POSTGRES names, dropped at the test's end, and returns its URL.
func Database(t testing.TB) string {
	t.Helper()
	server := os.Getenv("NILECARE_TEST_POSTGRES")
	if server == "" {
		t.Skip("NILECARE_TEST_POSTGRES is not set (scripts/with-postgres sets it)")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("NILECARE_TEST_POSTGRES is no URL")
	}
	name := fmt.Sprintf("nilecare_%d_%d_%d", os.Getpid(), time.Now().UnixNano()%1e9, databases.Add(1))
	run(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { drop(t, server, name) })
	u.Path = "/" + name
	return u.String()
}

var databases atomic.Int64

// drop drops a database. A vacuum that the server runs in it by itself may stand in the way for a moment: nobody but the superuser ends that.
func drop(t testing.TB, server, name string) {
	t.Helper()
	ctx := context.Background()
	var err error
	for try := 0; try < 60; try++ {
		var c *pgx.Conn
		if c, err = pgx.Connect(ctx, server); err == nil {
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

func run(t testing.TB, server, sql string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Errorf("%s: %v", sql, err)
	}
}

func store(t testing.TB, e record.Engine, err error, o record.Options) *record.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if o.Root == nil {
		if o.Root, err = seal.FileRoot(filepath.Join(t.TempDir(), "root.key"), true); err != nil {
			t.Fatal(err)
		}
	}
	s, err := record.New(context.Background(), e, o)
	if err != nil {
		_ = e.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
