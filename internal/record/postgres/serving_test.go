package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/recordtest"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// TestServingRole demands that the role which connections serve as may neither change nor remove what is in the audit, by its rights alone: the
// triggers are taken away first. All else it may.
func TestServingRole(t *testing.T) {
	p := place(t)
	u := strings.TrimPrefix(p.Env[0], childURL+"=")
	s := recordtest.Open(t, p.Open, p.Dir, record.Options{})
	ctx := context.Background()
	owner := connect(t, u)
	for _, table := range []string{"audit_entry", "audit_patient", "audit_block"} {
		if _, err := owner.Exec(ctx, "ALTER TABLE "+table+" DISABLE TRIGGER USER"); err != nil {
			t.Fatal(err)
		}
	}
	var role string
	err := s.Ledger().Read(ctx, 1, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&role}, "SELECT current_user::text")
		return err
	})
	if err != nil || role != sqldb.ServingRole {
		t.Fatalf("connections serve as %q: %v", role, err)
	}
	c := connect(t, u)
	if _, err := c.Exec(ctx, "SET ROLE "+sqldb.ServingRole); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, "SELECT set_config('nilecare.tenant', '1', false)"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"audit_entry", "audit_patient", "audit_block"} {
		for _, sql := range []string{"UPDATE " + table + " SET tenant = 1", "DELETE FROM " + table, "TRUNCATE " + table, "DROP TABLE " + table, "ALTER TABLE " + table + " ADD COLUMN x int"} {
			_, err := c.Exec(ctx, sql)
			var pg *pgconn.PgError
			if !errors.As(err, &pg) || pg.Code != "42501" {
				t.Errorf("%s: %v", sql, err)
			}
		}
		if _, err := c.Exec(ctx, "SELECT * FROM "+table); err != nil {
			t.Error(err)
		}
	}
	for _, sql := range []string{
		"INSERT INTO audit_patient (tenant, patient, id) VALUES (1, 1, 1)",
		"INSERT INTO alias (num, tenant, type, fid) VALUES (7, 1, 1, 'own')", "UPDATE alias SET num = 8 WHERE fid = 'own'", "DELETE FROM alias WHERE fid = 'own'",
		"SELECT setval(pg_get_serial_sequence('event', 'id'), 1000)",
	} {
		if _, err := c.Exec(ctx, sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	// A second process finds the rights as they are; one that was given more takes it away.
	if _, err := owner.Exec(ctx, "GRANT UPDATE ON audit_entry TO "+sqldb.ServingRole); err != nil {
		t.Fatal(err)
	}
	recordtest.Open(t, p.Open, p.Dir, record.Options{})
	if _, err := c.Exec(ctx, "UPDATE audit_entry SET tenant = 1"); err == nil {
		t.Error("a right that was given by hand stays")
	}
}

// TestWithoutServingRole demands that a login role which may not make roles serves on, with the triggers alone, and that the engine says so.
func TestWithoutServingRole(t *testing.T) {
	admin := os.Getenv("NILECARE_TEST_POSTGRES_ADMIN")
	if admin == "" {
		t.Skip("NILECARE_TEST_POSTGRES_ADMIN names no superuser (scripts/with-postgres does)")
	}
	u, err := url.Parse(database(t))
	if err != nil {
		t.Fatal("the database's URL")
	}
	owner := u.User.Username()
	name := fmt.Sprintf("poor_%d_%d", os.Getpid(), databases.Add(1))
	execOn(t, admin, "CREATE ROLE "+name+" LOGIN PASSWORD 'poor'")
	execOn(t, admin, "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" OWNER TO "+name)
	in, err := url.Parse(admin)
	if err != nil {
		t.Fatal("the superuser's URL")
	}
	in.Path = u.Path
	execOn(t, in.String(), "ALTER SCHEMA public OWNER TO "+name)
	t.Cleanup(func() {
		execOn(t, in.String(), "DROP OWNED BY "+name+" CASCADE")
		execOn(t, in.String(), "REASSIGN OWNED BY "+name+" TO CURRENT_USER")
		execOn(t, admin, "ALTER DATABASE "+strings.TrimPrefix(u.Path, "/")+" OWNER TO "+owner)
		execOn(t, admin, "DROP ROLE "+name)
	})
	u.User = url.UserPassword(name, "poor")
	dir := t.TempDir()
	var e *postgres.Engine
	s := recordtest.Open(t, func() (record.Engine, error) {
		e, err = postgres.Open(context.Background(), u.String())
		return e, err
	}, dir, record.Options{})
	if e.Unserved() == "" {
		t.Error("it says that it serves as another role")
	}
	ctx := context.Background()
	err = s.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO audit_entry (tenant, pos, id, kind, outcome, action, who, num, vid, count, body) VALUES (1, 1, 1, 1, 0, 'read', 'x', 0, 0, 0, 'x')"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM audit_entry")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "append-only") {
		t.Errorf("a trigger lets it go: %v", err)
	}
}
