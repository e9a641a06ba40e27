package record

import (
	"errors"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// hit is one match: its current version, sealed, and its sort keys.
type hit struct {
	sealed sealedVersion
	keys   []any
}

// hits returns up to limit matches behind the cursor, in order.
func (r *searching) hits(plan *searchPlan, cur *cursor, limit int) ([]hit, error) {
	if plan.opened {
		return r.openedHits(plan, cur, limit)
	}
	if len(plan.sort) == 0 {
		return r.numberedHits(plan, cur, limit)
	}
	if hits, ok, err := r.datedHits(plan, cur, limit); ok || err != nil {
		return hits, err
	}
	return r.sortedHits(plan, cur, limit)
}

// fetchHead begins a statement that reads versions.
const fetchHead = "SELECT " + versionColumns

// fetchJoin joins the records that m (type, num) names, and their current versions.
func (c *compiler) fetchJoin(m string) {
	join := c.s.engine.Dialect().Join
	c.sql(") ", m, join, "record r ON r.type = ", m, ".type AND r.num = ", m, ".num AND r.tenant = ").b.Arg(c.tenant)
	c.sql(join, "version v ON v.seq = r.seq WHERE r.deleted = 0")
}

// numberedHits are hits in the order of record numbers: each type's first ones, merged.
func (r *searching) numberedHits(plan *searchPlan, cur *cursor, limit int) ([]hit, error) {
	c := r.compiler()
	c.sql(fetchHead, " FROM (")
	for i, t := range plan.types {
		if i > 0 {
			c.sql(" UNION ALL ")
		}
		c.sql("SELECT ").b.Int(int64(t.num))
		c.sql(" AS type, num FROM (")
		if err := c.matches(drive(conjuncts(t.pred)), t.num, cur); err != nil {
			return nil, err
		}
		c.sql(" ORDER BY x.num LIMIT ").b.Arg(limit)
		c.sql(") AS ", c.alias())
	}
	c.fetchJoin("m")
	c.sql(" ORDER BY m.num, m.type LIMIT ").b.Arg(limit)
	return r.scan(c, 0)
}

// sortedHits are hits in the order of sort keys; the number decides between equals. Missing values come last.
func (r *searching) sortedHits(plan *searchPlan, cur *cursor, limit int) ([]hit, error) {
	c := r.compiler()
	c.sql(fetchHead)
	for i := range plan.sort {
		c.sql(", s.k", digit(i))
	}
	c.sql(" FROM (SELECT * FROM (")
	for i, t := range plan.types {
		if i > 0 {
			c.sql(" UNION ALL ")
		}
		if err := c.keyed(t, plan.sort, cur, limit); err != nil {
			return nil, err
		}
	}
	c.sql(") AS q")
	c.order(plan.sort, "")
	c.sql(" LIMIT ").b.Arg(limit)
	c.fetchJoin("s")
	c.order(plan.sort, "s.")
	return r.scan(c, len(plan.sort))
}

func digit(i int) string { return string(rune('0' + i)) }

// MaxSort is how many keys a search may be sorted by.
const MaxSort = 9

// keyed writes the matches of one type with their sort keys, those behind the cursor.
func (c *compiler) keyed(t typePlan, keys []search.SortKey, cur *cursor, limit int) error {
	d := drive(conjuncts(t.pred))
	if d.driver == nil && len(keys) == 1 && keys[0].Special == "_lastUpdated" {
		return c.keyedByTime(t, d, keys, cur, limit)
	}
	c.sql("SELECT * FROM (SELECT ").b.Int(int64(t.num))
	c.sql(" AS type, m.num AS num")
	for i, k := range keys {
		c.sql(", ")
		c.sortKey(k, t, i)
		c.sql(" AS k", digit(i))
	}
	c.sql(" FROM (")
	if err := c.matches(d, t.num, nil); err != nil {
		return err
	}
	c.sql(") m")
	if slices.ContainsFunc(keys, func(k search.SortKey) bool { return k.Special != "" }) {
		c.sql(" JOIN record o ON o.type = ").b.Int(int64(t.num))
		c.sql(" AND o.num = m.num AND o.tenant = ").b.Arg(c.tenant)
	}
	for i, k := range keys {
		c.sortJoin(k, t, i)
	}
	c.sql(") AS ", c.alias())
	c.behind(keys, cur, t.num)
	return nil
}

// keyedByTime is keyed for a type's records by _lastUpdated: its versions are in that order, and of each record the current one
// counts.
func (c *compiler) keyedByTime(t typePlan, d driven, keys []search.SortKey, cur *cursor, limit int) error {
	c.sql("SELECT * FROM (SELECT ").b.Int(int64(t.num))
	c.sql(" AS type, x.num AS num, x.seq AS k0 FROM ")
	c.currentVersions(t.num)
	way := ""
	op := " > "
	if keys[0].Desc {
		way, op = " DESC", " < "
	}
	if cur != nil {
		if at, ok := cur.keys[0].(int64); ok {
			c.sql(" AND x.seq", op).b.Arg(at)
		}
	}
	c.sql(" AND ")
	if err := c.join(d.rest, " AND ", "1=1", t.num, "x.num"); err != nil {
		return err
	}
	c.sql(" ORDER BY x.seq", way, " LIMIT ").b.Arg(limit)
	c.sql(") AS ", c.alias())
	return nil
}

// currentVersions writes the versions x of the type that are current and no deletions.
func (c *compiler) currentVersions(typ int) {
	c.sql("version x", c.s.engine.Dialect().Join, "record o ON o.tenant = x.tenant AND o.type = x.type AND o.num = x.num AND o.seq = x.seq WHERE x.tenant = ").b.Arg(c.tenant)
	c.sql(" AND x.type = ").b.Int(int64(typ))
	c.sql(" AND o.deleted = 0")
}

// sortKey writes the expression of a key.
func (c *compiler) sortKey(k search.SortKey, t typePlan, i int) {
	switch {
	case k.Special == "_lastUpdated":
		c.sql("o.seq")
		return
	case k.Special == "_id":
		c.sql("coalesce(o.fid, cast(o.num AS text))")
		return
	}
	atoms := atomsFor(k, t.name)
	if len(atoms) == 0 {
		c.sql("NULL")
		return
	}
	switch table := tableOf(atoms[0].Kind); table {
	case "idx_date", "idx_num":
		column := "min(d.lo)"
		if k.Desc {
			column = "max(d.lo)"
		}
		c.sql("(SELECT ", column, " FROM ", table, " d WHERE d.tenant = ").b.Arg(c.tenant)
		c.sql(" AND d.num = m.num AND d.atom IN (")
		c.atomList(atoms)
		c.sql("))")
	default:
		c.sql("j", digit(i), ".k")
	}
}

// sortJoin joins the keys that have to be gathered first: texts and references have no index by record.
func (c *compiler) sortJoin(k search.SortKey, t typePlan, i int) {
	atoms := atomsFor(k, t.name)
	if len(atoms) == 0 {
		return
	}
	table, column := tableOf(atoms[0].Kind), "val"
	switch table {
	case "idx_date", "idx_num":
		return
	case "idx_ref":
		column = "target"
	}
	if column == "val" {
		column = c.s.engine.Dialect().Ordered(column)
	}
	least := "min("
	if k.Desc {
		least = "max("
	}
	c.sql(" LEFT JOIN (SELECT num, ", least, column, ") AS k FROM ", table, " WHERE tenant = ").b.Arg(c.tenant)
	c.sql(" AND atom IN (")
	c.atomList(atoms)
	c.sql(") GROUP BY num) j", digit(i), " ON j", digit(i), ".num = m.num")
}

func atomsFor(k search.SortKey, typ string) []search.AtomRef {
	var out []search.AtomRef
	for _, a := range k.Atoms {
		if a.Type == typ && (len(out) == 0 || tableOf(out[0].Kind) == tableOf(a.Kind)) {
			out = append(out, a)
		}
	}
	return out
}

func (c *compiler) order(keys []search.SortKey, a string) {
	c.sql(" ORDER BY ")
	for i, k := range keys {
		column := a + "k" + digit(i)
		c.sql("(", column, " IS NULL), ", column)
		if k.Desc {
			c.sql(" DESC")
		}
		c.sql(", ")
	}
	c.sql(a, "num, ", a, "type")
}

// behind writes the condition that a row comes after the cursor.
func (c *compiler) behind(keys []search.SortKey, cur *cursor, typ int) {
	if cur == nil {
		return
	}
	c.sql(" WHERE ")
	var close int
	for i, k := range keys {
		column := "k" + digit(i)
		v := cur.keys[i]
		if v == nil { // nothing comes after a missing value but more of them
			c.sql("(", column, " IS NULL AND ")
			close++
			continue
		}
		op := " > "
		if k.Desc {
			op = " < "
		}
		c.sql("(", column, " IS NULL OR ", column, op).b.Arg(v)
		c.sql(" OR ", column, " = ").b.Arg(v)
		c.sql(" AND ")
		close++
	}
	c.sql("num", cur.behind(typ)).b.Arg(cur.num)
	c.sql(strings.Repeat(")", close))
}

// MaxPageBytes is how many bytes of stored bodies, packed, a page gathers at most. A page that comes to it ends there, and the next
// one goes on.
const MaxPageBytes = 8 << 20

// scan reads hits. Where they come to MaxPageBytes it stops, and says so in r.cut.
func (r *searching) scan(c *compiler, keys int) ([]hit, error) {
	var out []hit
	size := 0
	r.cut = false
	err := sqldb.Each(r.ctx, r.q, func(rows sqldb.Rows) error {
		if size > MaxPageBytes && len(out) > r.skip {
			r.cut = true
			return errCut
		}
		h := hit{keys: make([]any, keys)}
		more := make([]any, keys)
		for i := range more {
			more[i] = &h.keys[i]
		}
		err := scanVersion(rows, &h.sealed, more...)
		if size += len(h.sealed.body); len(out) < r.skip {
			h.sealed.body, size = nil, 0
		}
		out = append(out, h)
		return err
	}, c.b.String(), c.b.Args...)
	if r.cut {
		err = nil
	}
	return out, err
}

// errCut ends the reading of a page that is full.
var errCut = errors.New("record: the page is full")
