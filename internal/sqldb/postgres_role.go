package sqldb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ServingRole is what connections become once the schema is up to date: a role that nobody logs in as, which may read and write
// all tables but only read, and append to, those named to Serve.
const ServingRole = "nilecare_serving"

// Serve makes the serving role where there is none, gives it its rights in this database, and has every connection lent from
// then on serve as it. Roles belong to the whole cluster, so others may make it at the same time. Where the login role may not make or
// take it, connections stay what they are and why says the reason, for the log.
func (p *Postgres) Serve(ctx context.Context, appendOnly []string) (why string, err error) {
	for try := 1; ; try++ {
		err = p.grant(ctx, appendOnly)
		var pg *pgconn.PgError
		switch {
		case err == nil:
			role := ServingRole
			p.role.Store(&role)
			return "", nil
		case errors.As(err, &pg) && (pg.Code == "42501" || pg.Code == "0LP01"): // insufficient_privilege, invalid_grant_operation
			return "the login role may not use the role " + ServingRole + ": " + pg.Message, nil
		case try == 10 || !concurrent(err):
			return "", fmt.Errorf("postgres: serving role: %w", err)
		}
		select {
		case <-time.After(time.Duration(try) * 20 * time.Millisecond):
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// concurrent reports what a statement on roles and rights gets when another process runs the same in this moment.
func concurrent(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	// duplicate_object, unique_violation of a catalogue, deadlock, or "tuple concurrently updated", which has no code of its own
	return slices.Contains([]string{"42710", "23505", "40P01", "40001"}, pg.Code) || pg.Code == "XX000" && strings.Contains(pg.Message, "concurrently")
}

// grantLock is the advisory lock of those who give rights in one database.
const grantLock = 0x6e696c65_726f6c65 // "nilerole"

func (p *Postgres) grant(ctx context.Context, appendOnly []string) error {
	c, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(grantLock)); err != nil {
			return err
		}
		done, err := granted(ctx, tx, appendOnly)
		if err != nil || done {
			return err
		}
		return grantAll(ctx, tx, appendOnly)
	})
}

// granted reports whether the role is there and has exactly its rights: most starts find it so, and change nothing.
func granted(ctx context.Context, tx pgx.Tx, appendOnly []string) (bool, error) {
	var role bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1)", ServingRole).Scan(&role); err != nil || !role {
		return false, err
	}
	var ok bool
	err := tx.QueryRow(ctx, `SELECT pg_has_role(current_user, $1, 'MEMBER') AND has_schema_privilege($1, current_schema(), 'USAGE')
		AND NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
			AND CASE WHEN c.relname = ANY($2) THEN has_table_privilege($1, c.oid, 'UPDATE, DELETE, TRUNCATE') OR NOT (has_table_privilege($1, c.oid, 'SELECT') AND has_table_privilege($1, c.oid, 'INSERT'))
			ELSE NOT (has_table_privilege($1, c.oid, 'SELECT') AND has_table_privilege($1, c.oid, 'INSERT') AND has_table_privilege($1, c.oid, 'UPDATE') AND has_table_privilege($1, c.oid, 'DELETE')) END)
		AND NOT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND CASE WHEN c.relkind = 'S' THEN NOT has_sequence_privilege($1, c.oid, 'USAGE') ELSE false END)
		AND EXISTS (SELECT 1 FROM pg_default_acl d JOIN pg_namespace n ON n.oid = d.defaclnamespace WHERE n.nspname = current_schema() AND d.defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND d.defaclobjtype = 'r')`,
		ServingRole, appendOnly).Scan(&ok)
	return ok, err
}

func grantAll(ctx context.Context, tx pgx.Tx, appendOnly []string) error {
	// In a savepoint: that somebody else has just made it is no failure.
	if _, err := tx.Exec(ctx, `DO $$ BEGIN CREATE ROLE `+ServingRole+` NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`); err != nil {
		return err
	}
	var member bool
	if err := tx.QueryRow(ctx, "SELECT pg_has_role(current_user, $1, 'MEMBER') AND current_setting('server_version_num')::int < 160000", ServingRole).Scan(&member); err != nil {
		return err
	}
	var user, schema string
	if err := tx.QueryRow(ctx, "SELECT quote_ident(current_user), quote_ident(current_schema())").Scan(&user, &schema); err != nil {
		return err
	}
	var statements []string
	if !member { // from version 16 on, to be able to make a role is not yet to be able to become it
		statements = append(statements, "GRANT "+ServingRole+" TO "+user)
	}
	statements = append(statements,
		"GRANT USAGE ON SCHEMA "+schema+" TO "+ServingRole,
		"GRANT ALL ON ALL TABLES IN SCHEMA "+schema+" TO "+ServingRole,
		"GRANT ALL ON ALL SEQUENCES IN SCHEMA "+schema+" TO "+ServingRole,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA "+schema+" GRANT ALL ON TABLES TO "+ServingRole,
		"ALTER DEFAULT PRIVILEGES IN SCHEMA "+schema+" GRANT ALL ON SEQUENCES TO "+ServingRole)
	for _, t := range appendOnly {
		name := pgx.Identifier{t}.Sanitize()
		statements = append(statements, "REVOKE ALL ON "+name+" FROM "+ServingRole, "GRANT SELECT, INSERT ON "+name+" TO "+ServingRole)
	}
	for _, s := range statements {
		if _, err := tx.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// setRole has the connection serve; that it does is remembered with it.
func (p *Postgres) setRole(ctx context.Context, c *pgx.Conn) error {
	role := p.role.Load()
	if role == nil {
		return nil
	}
	data := c.PgConn().CustomData()
	if was, ok := data["role"].(string); ok && was == *role {
		return nil
	}
	if _, err := c.Exec(ctx, "SET ROLE "+*role); err != nil {
		return fmt.Errorf("postgres: role: %w", err)
	}
	data["role"] = *role
	return nil
}

// Maintain runs f outside of a transaction with the rights of the login role, for what the owner of tables alone may do: VACUUM, ANALYZE.
func (p *Postgres) Maintain(ctx context.Context, tenant int32, f func(Querier) error) error {
	c, err := p.Acquire(ctx, tenant)
	if err != nil {
		return err
	}
	defer c.Release()
	delete(c.Conn().PgConn().CustomData(), "role") // it is set again when the connection is lent next
	if _, err := c.Exec(ctx, "RESET ROLE"); err != nil {
		return fmt.Errorf("postgres: role: %w", err)
	}
	return f(pgTx{c.Conn()})
}
