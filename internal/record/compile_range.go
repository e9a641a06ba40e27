package record

import (
	"math"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fhir/search"
)

func placeholder(i int) string { return "$" + strconv.Itoa(i) }

func microTime(micros int64) time.Time { return time.UnixMicro(micros) }

// bounds writes how the range of a row lies to that of a query.
type bounds struct {
	c      *compiler
	a      string
	end    string // the column of the end
	lo, hi func() // write the query's bounds
}

func (b bounds) cmp(column, op string, value func()) {
	b.c.sql(b.a, ".", column, " ", op, " ")
	value()
}

func (b bounds) and(column1, op1 string, v1 func(), column2, op2 string, v2 func()) {
	b.c.sql("(")
	b.cmp(column1, op1, v1)
	b.c.sql(" AND ")
	b.cmp(column2, op2, v2)
	b.c.sql(")")
}

// write writes how a row's [lo, hi] must lie to the query's, as search.DateCmp says.
func (b bounds) write(op string) {
	switch op {
	case "ne":
		b.c.sql("NOT ")
		b.and("lo", ">=", b.lo, b.end, "<=", b.hi)
	case "lt":
		b.cmp("lo", "<", b.lo)
	case "gt":
		b.cmp(b.end, ">", b.hi)
	case "le":
		b.cmp("lo", "<=", b.hi)
	case "ge":
		b.cmp(b.end, ">=", b.lo)
	case "sa":
		b.cmp("lo", ">", b.hi)
	case "eb":
		b.cmp(b.end, "<", b.lo)
	case "ap":
		b.and("lo", "<=", b.hi, b.end, ">=", b.lo)
	default: // eq
		b.and("lo", ">=", b.lo, b.end, "<=", b.hi)
	}
}

func (c *compiler) dateBounds(p search.DateCmp, a string) bounds {
	return bounds{c, a, "hi", func() { c.b.Arg(p.Lo) }, func() { c.b.Arg(p.Hi) }}
}

// dateCmp writes the comparison of a row at hand.
func (c *compiler) dateCmp(p search.DateCmp, a string) {
	c.sql(" AND ")
	c.dateBounds(p, a).write(p.Op)
}

// dateSource writes the rows that satisfy p, found by their beginnings: narrow ones end at most a month after they begin,
// so a bound on the end is one on the beginning as well.
func (c *compiler) dateSource(p search.DateCmp) {
	for wide := range 2 {
		if wide == 1 {
			c.sql(" UNION ALL ")
		}
		a := c.alias()
		c.sql("SELECT ", a, ".num FROM ")
		c.head("idx_date", a, p.Atom.ID)
		c.sql(" AND ", a, ".wide = ").b.Int(int64(wide))
		if lo := earliest(p); wide == 0 && lo > math.MinInt64+monthMicros {
			c.sql(" AND ", a, ".lo >= ").b.Arg(lo - monthMicros)
		}
		if p.Op == "eb" && wide == 0 { // hi < Lo, so lo < Lo
			c.sql(" AND ", a, ".lo < ").b.Arg(p.Lo)
		}
		if p.Op == "eq" {
			c.sql(" AND ", a, ".lo <= ").b.Arg(p.Hi)
		}
		c.dateCmp(p, a)
	}
}

// earliest is the earliest end that a row of p may have.
func earliest(p search.DateCmp) int64 {
	switch p.Op {
	case "gt":
		return p.Hi
	case "ge", "ap":
		return p.Lo
	}
	return math.MinInt64
}

// numCmp writes the comparison of a row at hand.
func (c *compiler) numCmp(p search.NumCmp, a string) { c.numCmpOn(p, a, "hi") }

func (c *compiler) numCmpOn(p search.NumCmp, a, end string) {
	c.sql(" AND ")
	bounds{c, a, end, func() { c.b.Arg(p.Lo) }, func() { c.b.Arg(p.Hi) }}.write(p.Op)
	if p.System != nil {
		c.sql(" AND ", a, ".system = ").b.Arg(*p.System)
	}
	if p.Code != nil {
		c.sql(" AND ", a, ".code = ").b.Arg(*p.Code)
	}
}

// numSource writes the rows that satisfy p. Most are single numbers, found by their value; ranges are few.
func (c *compiler) numSource(p search.NumCmp) {
	for wide, hi := range []string{"lo", "hi"} {
		if wide == 1 {
			c.sql(" UNION ALL ")
		}
		a := c.alias()
		c.sql("SELECT ", a, ".num FROM ")
		c.head("idx_num", a, p.Atom.ID)
		c.sql(" AND ", a, ".wide = ").b.Int(int64(wide))
		c.numCmpOn(p, a, hi)
	}
}
