package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/recordtest"
)

// tenantTables are the tables whose rows belong to a tenant.
func tenantTables(t testing.TB, c *pgx.Conn) []string {
	t.Helper()
	rows, err := c.Query(context.Background(), "SELECT DISTINCT quote_ident(table_name) FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 10 {
		t.Fatalf("only %q have a tenant", names)
	}
	return names
}

// TestRowsOfOtherTenants demands that the server itself keeps tenants apart: a session of another tenant, or of none, sees and
// changes no row, whatever statement it sends.
func TestRowsOfOtherTenants(t *testing.T) {
	p := place(t)
	u := strings.TrimPrefix(p.Env[0], childURL+"=")
	s := recordtest.Open(t, p.Open, p.Dir, record.Options{})
	r, err := fhir.ParseResource([]byte(`{"resourceType":"Patient","name":[{"family":"Own"}],"birthDate":"1980-01-01","multipleBirthInteger":2,"managingOrganization":{"reference":"Organization/o"}}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := s.Write(ctx, []record.Change{{Op: record.Update, Type: "Patient", ID: "own", Resource: r}}); err != nil {
		t.Fatal(err)
	}
	count := func(c *pgx.Conn, table string) (n int) {
		t.Helper()
		if err := c.QueryRow(ctx, "SELECT count(*) FROM "+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	own := connect(t, u)
	if _, err := own.Exec(ctx, "SELECT set_config('nilecare.tenant', '1', false)"); err != nil {
		t.Fatal(err)
	}
	before := map[string]int{}
	for _, table := range tenantTables(t, own) {
		before[table] = count(own, table)
	}
	if before["version"] != 1 || before["idx_text"] == 0 || before["idx_date"] == 0 || before["idx_ref"] == 0 {
		t.Fatalf("too few rows to tell: %v", before)
	}
	for name, setting := range map[string]string{"another tenant": "SELECT set_config('nilecare.tenant', '2', false)", "no tenant": "SELECT 1", "tenant 0": "SELECT set_config('nilecare.tenant', '0', false)"} {
		c := connect(t, u)
		if _, err := c.Exec(ctx, setting); err != nil {
			t.Fatal(err)
		}
		for table := range before {
			if n := count(c, table); n != 0 {
				t.Errorf("%s sees %d rows of %s", name, n, table)
			}
			for _, sql := range []string{"DELETE FROM " + table, "UPDATE " + table + " SET tenant = tenant"} {
				tag, err := c.Exec(ctx, sql)
				if err != nil {
					t.Errorf("%s: %s: %v", name, sql, err)
				} else if tag.RowsAffected() != 0 {
					t.Errorf("%s: %s changed %d rows", name, sql, tag.RowsAffected())
				}
			}
		}
		for _, sql := range []string{
			"INSERT INTO alias (num, tenant, type, fid) VALUES (7, 1, 1, 'intruder')",
			"INSERT INTO idx_ref (target, num, tenant, atom) VALUES (7, 7, 1, 7)",
			"INSERT INTO seal_key (num, created_at, tenant, wrapped) VALUES (7, 7, 1, '')",
		} {
			if _, err := c.Exec(ctx, sql); err == nil {
				t.Errorf("%s: %s went through", name, sql)
			}
		}
	}
	if _, err := own.Exec(ctx, "UPDATE record SET tenant = 2"); err == nil {
		t.Error("a row was given to another tenant")
	}
	for table, n := range before {
		if got := count(own, table); got != n {
			t.Errorf("%s had %d rows and has %d", table, n, got)
		}
	}
}
