package fhirrest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/fhirrest/resttest"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
)

func TestOnSQLite(t *testing.T) {
	resttest.Run(t, func(t *testing.T) string { return resttest.Serve(t, onSQLite(t)) })
}

func TestOnPostgres(t *testing.T) {
	server := os.Getenv("NILECARE_TEST_POSTGRES")
	if server == "" {
		t.Skip("NILECARE_TEST_POSTGRES is not set (scripts/with-postgres sets it)")
	}
	resttest.Run(t, func(t *testing.T) string { return resttest.Serve(t, onPostgres(t, server)) })
}

// onSQLite is an empty record on SQLite.
func onSQLite(t testing.TB) *record.Store {
	t.Helper()
	dir := t.TempDir()
	e, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	return store(t, dir, e, err)
}

// onPostgres is an empty record in a database of its own on the server.
func onPostgres(t testing.TB, server string) *record.Store {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("NILECARE_TEST_POSTGRES is no URL")
	}
	name := fmt.Sprintf("nilecare_rest_%d", os.Getpid())
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	e, err := postgres.Open(context.Background(), u.String())
	return store(t, t.TempDir(), e, err)
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Error(err)
	}
	if err := c.Close(ctx); err != nil {
		t.Error(err)
	}
}

// store is the record on an engine that was just opened.
func store(t testing.TB, dir string, e record.Engine, err error) *record.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	s, err := record.New(context.Background(), e, record.Options{Root: root})
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
