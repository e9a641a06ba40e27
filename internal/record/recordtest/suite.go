package recordtest

import (
	"context"
	"testing"

	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Place is one database, empty at first, and what a test may do around the engine.
type Place struct {
	// Dir holds the root key, and what the engine keeps on disk. It is removed at the end of the test.
	Dir string
	// Open opens an engine on the database.
	Open Opener
	// Shared says that several engines may have the database open at a time.
	Shared bool
	// Bytes returns everything that the database holds, as it holds it, for a scan. The store may be open.
	Bytes func(t testing.TB) []byte
	// Env tells a helper process where the database is; see [Main].
	Env []string
}

// Harness makes places for tests.
type Harness struct {
	New func(t testing.TB) Place
}

// Run judges an engine.
func Run(t *testing.T, h Harness) {
	t.Run("verbs", func(t *testing.T) { testVerbs(t, h) })
	t.Run("sets", func(t *testing.T) { testSets(t, h) })
	t.Run("rules", func(t *testing.T) { testRules(t, h) })
	t.Run("set rules", func(t *testing.T) { testSetRules(t, h) })
	t.Run("guards", func(t *testing.T) { testGuards(t, h) })
	t.Run("referrers", func(t *testing.T) { testReferrers(t, h) })
	t.Run("history", func(t *testing.T) { testHistory(t, h) })
	t.Run("tenants", func(t *testing.T) { testTenants(t, h) })
	t.Run("search", func(t *testing.T) { testSearch(t, h) })
	t.Run("oracle", func(t *testing.T) { testOracle(t, h) })
	t.Run("concurrency", func(t *testing.T) { testConcurrency(t, h) })
	t.Run("upkeep", func(t *testing.T) { testUpkeep(t, h) })
	t.Run("rotation", func(t *testing.T) { testRotation(t, h) })
	t.Run("secrecy", func(t *testing.T) { testSecrecy(t, h) })
	t.Run("sight", func(t *testing.T) { testSight(t, h) })
	t.Run("changes", func(t *testing.T) { testChanges(t, h) })
	t.Run("durability", func(t *testing.T) { testDurability(t, h) })
}

// tables are all that hold a tenant's rows.
var tables = [...]string{"record", "alias", "version", "event", "audit_entry", "seal_key", "idx_text", "idx_ref", "idx_date", "idx_num"}

// bench is an open store on a place.
type bench struct {
	testing.TB
	place  Place
	engine record.Engine
	store  *record.Store
	ctx    context.Context
}

// setUp opens a store on a new place.
func setUp(t testing.TB, h Harness, o record.Options) *bench {
	t.Helper()
	return openBench(t, h.New(t), o)
}

// openBench opens a store on the place, closed at the end of the test.
func openBench(t testing.TB, p Place, o record.Options) *bench {
	t.Helper()
	b := &bench{TB: t, place: p, ctx: context.Background()}
	b.store = Open(t, func() (e record.Engine, err error) {
		e, err = p.Open()
		b.engine = e
		return e, err
	}, p.Dir, o)
	return b
}

// with is b seen by another test.
func (b *bench) with(t testing.TB) *bench {
	c := *b
	c.TB = t
	return &c
}

// counts returns how many rows of the first tenant each table holds.
func (b *bench) counts() map[string]int {
	b.Helper()
	out := map[string]int{}
	err := b.engine.View(b.ctx, 1, func(q sqldb.Querier) error {
		for _, table := range tables {
			var n int
			if _, err := sqldb.QueryRow(b.ctx, q, []any{&n}, "SELECT count(*) FROM "+table+" WHERE tenant = 1"); err != nil {
				return err
			}
			out[table] = n
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// settings names all settings.
func (b *bench) settings(f func(name string)) {
	b.Helper()
	err := b.engine.View(b.ctx, 1, func(q sqldb.Querier) error {
		return sqldb.Each(b.ctx, q, func(rows sqldb.Rows) error {
			var name string
			err := rows.Scan(&name)
			f(name)
			return err
		}, "SELECT name FROM setting")
	})
	if err != nil {
		b.Fatal(err)
	}
}
