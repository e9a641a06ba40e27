package record

import (
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// A search that sorts by a date, and whose other conditions leave many records, is driven by the dates' own index: it reads
// from the first date on until the page is full, instead of gathering all matches to sort them.

// fewMatches is how many matches are gathered and sorted rather than read in the order of an index.
const fewMatches = 3000

// datedHits answers such a search; ok is false where it is none, or where the index has run out: the matches without a date
// come last, and sortedHits finds them.
func (r *searching) datedHits(plan *searchPlan, cur *cursor, limit int) (hits []hit, ok bool, err error) {
	if len(plan.types) != 1 || len(plan.sort) != 1 || cur != nil && cur.keys[0] == nil {
		return nil, false, nil
	}
	t, key := plan.types[0], plan.sort[0]
	atoms := atomsFor(key, t.name)
	if len(atoms) != 1 || atoms[0].Kind != search.Date {
		return nil, false, nil
	}
	d := drive(conjuncts(t.pred))
	if few, err := r.few(d, t.num); few || err != nil {
		return nil, false, err
	}
	c := r.compiler()
	c.sql(fetchHead, ", m.k0 FROM (SELECT num, k0, ").b.Int(int64(t.num))
	c.sql(" AS type FROM (")
	for wide := range 2 {
		if wide == 1 {
			c.sql(" UNION ALL ")
		}
		if err := c.dated(d, t.num, atoms[0].ID, wide, key.Desc, cur, limit); err != nil {
			return nil, false, err
		}
	}
	c.sql(") AS q")
	c.order(plan.sort, "")
	c.sql(" LIMIT ").b.Arg(limit)
	c.fetchJoin("m")
	c.order(plan.sort, "m.")
	hits, err = r.scan(c, 1)
	return hits, len(hits) == limit || r.cut, err
}

// few reports whether the driver finds few records.
func (r *searching) few(d driven, typ int) (bool, error) {
	if d.driver == nil {
		return false, nil
	}
	c := r.compiler()
	c.sql("SELECT count(*) FROM (")
	if err := c.source(d.driver, typ); err != nil {
		return false, err
	}
	c.sql(" LIMIT ").b.Arg(fewMatches)
	c.sql(") AS a")
	var n int
	_, err := sqldb.QueryRow(r.ctx, r.q, []any{&n}, c.b.String(), c.b.Args...)
	return n < fewMatches, err
}

// dated writes the first records behind the cursor, in the order of the atom's dates, that satisfy all conditions. Of a record's
// several dates the first one in that order counts.
func (c *compiler) dated(d driven, typ int, atom uint32, wide int, desc bool, cur *cursor, limit int) error {
	a, e := c.alias(), c.alias()
	op, way := " < ", ""
	if desc {
		op, way = " > ", " DESC"
	}
	c.sql("SELECT * FROM (SELECT ", a, ".num AS num, ", a, ".lo AS k0 FROM ")
	c.head("idx_date", a, atom)
	c.sql(" AND ", a, ".wide = ").b.Int(int64(wide))
	if cur != nil {
		behind := " >"
		if desc {
			behind = " <"
		}
		c.sql(" AND ", a, ".lo", behind, "= ").b.Arg(cur.keys[0])
		c.sql(" AND (", a, ".lo", behind, " ").b.Arg(cur.keys[0])
		c.sql(" OR ", a, ".num > ").b.Arg(cur.num)
		c.sql(")")
	}
	c.sql(" AND NOT EXISTS (SELECT 1 FROM ")
	c.head("idx_date", e, atom)
	c.sql(" AND ", e, ".num = ", a, ".num AND (", e, ".lo", op, a, ".lo OR ", e, ".lo = ", a, ".lo AND ", e, ".hi < ", a, ".hi)")
	c.sql(c.s.engine.Dialect().Probe, ")")
	conditions := d.rest
	if d.driver != nil {
		conditions = append([]search.Pred{d.driver}, d.rest...)
	}
	c.sql(" AND ")
	if err := c.join(conditions, " AND ", "1=1", typ, a+".num"); err != nil {
		return err
	}
	c.sql(" ORDER BY ", a, ".lo", way, ", ", a, ".num LIMIT ").b.Arg(limit)
	c.sql(") AS ", c.alias())
	return nil
}
