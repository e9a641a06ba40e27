package record

import (
	"context"
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// refKey is how idx_ref names a resource: its number and, in the lowest byte, its type. So a reference to Patient/7 is none
// to Group/7.
func refKey(typ int, num int64) int64 { return num<<8 | int64(typ) }

// compiler turns predicates over atoms into SQL over index rows.
//
// A predicate can be had in two forms. As a source it is a SELECT of the numbers that satisfy it, which can drive a search. As a
// condition it is a boolean expression on the number of a row at hand, which costs a look-up or two in an index and is
// what the other parts of an AND become.
type compiler struct {
	s      *Store
	ctx    context.Context
	q      sqldb.Querier
	tenant int32
	keys   *tenantKeys
	b      *sqldb.Builder
	names  int
}

// numSet is a set of records of one type, known by number.
type numSet struct {
	search.Pred
	nums []int64
}

func (c *compiler) alias() string {
	c.names++
	return "t" + string(rune('a'+c.names%26)) + string(rune('a'+c.names/26%26))
}

func (c *compiler) sql(parts ...string) *compiler {
	for _, p := range parts {
		c.b.SQL(p)
	}
	return c
}

// head opens the rows of one atom in an index table.
func (c *compiler) head(table, a string, atom uint32) {
	c.sql(table, " ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
	c.sql(" AND ", a, ".atom = ").b.Int(int64(atom))
}

// cond writes the condition p on x, an expression for a record's number; typ is the record's type.
func (c *compiler) cond(p search.Pred, typ int, x string) error {
	switch p := p.(type) {
	case search.And:
		return c.join([]search.Pred(p), " AND ", "1=1", typ, x)
	case search.Or:
		return c.join([]search.Pred(p), " OR ", "1=0", typ, x)
	case search.Not:
		c.sql("NOT (")
		err := c.cond(p.Pred, typ, x)
		c.sql(")")
		return err
	case search.TextEq:
		return c.exists("idx_text", p.Atom.ID, x, func(a string) error { return c.textEq(p, a) })
	case textIn:
		return c.exists("idx_text", p.atom.ID, x, func(a string) error { c.textIn(p, a); return nil })
	case refIn:
		return c.refIn(p, x)
	case search.DateCmp:
		return c.exists("idx_date", p.Atom.ID, x, func(a string) error { c.dateCmp(p, a); return nil })
	case search.NumCmp:
		return c.exists("idx_num", p.Atom.ID, x, func(a string) error { c.numCmp(p, a); return nil })
	case search.RefTo:
		return c.refTo(p, x)
	case search.LastUpdated:
		c.sql("EXISTS (SELECT 1 FROM record lu WHERE lu.tenant = ").b.Arg(c.tenant)
		c.sql(" AND lu.type = ").b.Int(int64(typ))
		c.sql(" AND lu.num = ", x, " AND ")
		c.lastUpdated(p, "lu")
		c.sql(c.s.engine.Dialect().Probe, ")")
		return nil
	case search.ReverseChain:
		return c.reverseChain(p, typ, x)
	case search.Present:
		return c.present(p, x)
	case denied:
		c.notDenied(p, typ, x)
		return nil
	}
	c.sql(x, " IN (")
	err := c.source(p, typ)
	c.sql(")")
	return err
}

// join writes the conditions with an operator between them, as a balanced tree: the depth of an expression is bounded.
func (c *compiler) join(ps []search.Pred, with, none string, typ int, x string) error {
	switch len(ps) {
	case 0:
		c.sql(none)
		return nil
	case 1:
		return c.cond(ps[0], typ, x)
	}
	c.sql("(")
	if err := c.join(ps[:len(ps)/2], with, none, typ, x); err != nil {
		return err
	}
	c.sql(with)
	err := c.join(ps[len(ps)/2:], with, none, typ, x)
	c.sql(")")
	return err
}

// exists asks for a row of the atom and the number that satisfies what f writes.
func (c *compiler) exists(table string, atom uint32, x string, f func(a string) error) error {
	a := c.alias()
	c.sql("EXISTS (SELECT 1 FROM ")
	c.head(table, a, atom)
	c.sql(" AND ", a, ".num = ", x)
	err := f(a)
	c.sql(c.s.engine.Dialect().Probe, ")")
	return err
}

// textValue is how rows of the atom hold a value.
func (c *compiler) textValue(atom *search.Atom, val string) []byte {
	switch {
	case blindStrings()[atom.ID]:
		return append([]byte{}, c.keys.blind.Chain(atom.ID, val)...)
	case atom.Blind:
		return c.keys.blind.Blind(atom.ID, val)
	}
	return append([]byte{}, val...) // an empty text is a row like any other; nil would be NULL
}

// textEq writes what a row of idx_text must have besides its atom.
func (c *compiler) textEq(p search.TextEq, a string) error {
	c.sql(" AND ", a, ".val = ").b.Arg(c.textValue(p.Atom, p.Val))
	c.sub(p.Sub, a)
	return nil
}

// textIn is textEq for a list.
func (c *compiler) textIn(p textIn, a string) {
	c.sql(" AND ", a, ".val IN (")
	for i, v := range p.vals {
		if i > 0 {
			c.sql(",")
		}
		c.b.Arg(c.textValue(p.atom, v))
	}
	c.sql(")")
	c.sub(p.sub, a)
}

func (c *compiler) sub(sub *int64, a string) {
	if sub != nil {
		c.sql(" AND ", a, ".sub = ").b.Arg(*sub)
	}
}

// textPrefix writes the range of rows that begin with the text. A blind index may answer with more than asked for; see opening.
func (c *compiler) textPrefix(p search.TextPrefix, a string) {
	start := p.Val
	switch {
	case p.Atom.Blind && !blindStrings()[p.Atom.ID]:
		return // its rows tell nothing of beginnings
	case p.Atom.Blind:
		chain, _ := c.keys.blind.ChainStart(p.Atom.ID, p.Val)
		start = string(chain)
	}
	c.sql(" AND ", a, ".val >= ").b.Arg(append([]byte{}, start...))
	if end := after(start); end != nil {
		c.sql(" AND ", a, ".val < ").b.Arg(end)
	}
}

// after returns the first text that comes behind all that begin with s; nil where there is none.
func after(s string) []byte {
	b := []byte(s)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) == 0 {
		return nil
	}
	b[len(b)-1]++
	return b
}

// source writes a SELECT of the numbers of the type's records that satisfy p; they may repeat.
func (c *compiler) source(p search.Pred, typ int) error {
	a := c.alias()
	from := func(table string, atom uint32) {
		c.sql("SELECT ", a, ".num FROM ")
		c.head(table, a, atom)
	}
	switch p := p.(type) {
	case numSet:
		c.sql("SELECT ", a, ".num FROM record ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
		c.sql(" AND ", a, ".type = ").b.Int(int64(typ))
		c.sql(" AND ", a, ".deleted = 0 AND ", a, ".num IN (")
		c.numbers(p.nums)
		c.sql(")")
	case search.IDs:
		return c.ids(p, typ, a)
	case search.TextEq:
		from("idx_text", p.Atom.ID)
		return c.textEq(p, a)
	case textIn:
		from("idx_text", p.atom.ID)
		c.textIn(p, a)
	case refIn:
		return c.refInSource(p, a)
	case search.TextPrefix:
		from("idx_text", p.Atom.ID)
		c.textPrefix(p, a)
	case search.TextContains:
		from("idx_text", p.Atom.ID)
		if !p.Atom.Blind {
			c.sql(" AND ")
			mark := len(c.b.Args)
			c.b.Args = append(c.b.Args, []byte(p.Val))
			c.sql(c.s.engine.Dialect().Contains(a+".val", placeholder(mark+1)))
		}
	case search.TextSub:
		from("idx_text", p.Atom.ID)
		c.sql(" AND ", a, ".sub = ").b.Arg(p.Sub)
	case search.RefTo:
		return c.refToSource(p, a)
	case search.InCompartment:
		return c.inCompartmentSource(p, typ, a)
	case search.RefType:
		from("idx_ref", p.Atom.ID)
		c.sql(" AND (", a, ".target & 255) = ").b.Int(int64(typeNum(p.Type)))
	case search.DateCmp:
		c.dateSource(p)
	case search.NumCmp:
		c.numSource(p)
	case search.Present:
		return c.presentSource(p)
	case search.Chain:
		return c.chainSource(p, a)
	case search.Or:
		return c.union(p, typ)
	default:
		return c.scan(p, typ, a)
	}
	return nil
}

// ids are the records that bear one of the FHIR ids.
func (c *compiler) ids(p search.IDs, typ int, a string) error {
	var numbers, aliases []int64
	nums, err := c.s.numsOf(c.ctx, c.q, c.tenant, typ, p)
	if err != nil {
		return err
	}
	for id, num := range nums {
		if _, isNumber := numberOf(id); isNumber {
			numbers = append(numbers, num)
		} else {
			aliases = append(aliases, num)
		}
	}
	slices.Sort(numbers)
	slices.Sort(aliases)
	c.sql("SELECT ", a, ".num FROM record ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
	c.sql(" AND ", a, ".type = ").b.Int(int64(typ))
	// One list, and what narrows it behind it: an OR of two lists would have the planner go through all records of the type.
	c.sql(" AND ", a, ".deleted = 0 AND ", a, ".num IN (")
	c.numbers(append(slices.Clone(numbers), aliases...))
	c.sql(") AND (", a, ".fid IS NULL")
	if len(aliases) > 0 {
		c.sql(" OR ", a, ".num IN (")
		c.numbers(aliases)
		c.sql(")")
	}
	c.sql(")")
	return nil
}

// scan is the source of last resort: all records of the type, each asked.
func (c *compiler) scan(p search.Pred, typ int, a string) error {
	if lu, ok := p.(search.LastUpdated); ok {
		c.sql("SELECT x.num FROM ")
		c.currentVersions(typ)
		c.sql(" AND ")
		c.lastUpdated(lu, "x")
		return nil
	}
	c.sql("SELECT ", a, ".num FROM record ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
	c.sql(" AND ", a, ".type = ").b.Int(int64(typ))
	c.sql(" AND ", a, ".deleted = 0 AND ")
	return c.cond(p, typ, a+".num")
}

func (c *compiler) union(p search.Or, typ int) error {
	if len(p) == 0 {
		c.sql("SELECT 0 AS num WHERE 1=0")
		return nil
	}
	for i, q := range p {
		if i > 0 {
			c.sql(" UNION ALL ")
		}
		if _, nested := q.(search.Or); nested {
			c.sql("SELECT num FROM (")
		}
		if err := c.source(q, typ); err != nil {
			return err
		}
		if _, nested := q.(search.Or); nested {
			c.sql(") AS ", c.alias())
		}
	}
	return nil
}

// numbers writes a list. A short one is arguments, so that the statement is the same for all records and prepared once.
func (c *compiler) numbers(nums []int64) {
	if len(nums) == 0 {
		c.sql("0")
	}
	for i, n := range nums {
		if i > 0 {
			c.sql(",")
		}
		if len(nums) <= 8 {
			c.b.Arg(n)
		} else {
			c.b.Int(n)
		}
	}
}

// targets resolves references to record keys: one each, or one a type where the type is not said.
func (c *compiler) targets(refs []search.RefTo) ([]int64, error) {
	ids := map[int][]string{}
	for _, p := range refs {
		types := []string{p.Type}
		if p.Type == "" {
			types = referenceTargets(p.Atom)
		}
		for _, t := range types {
			if typ := typeNum(t); typ != 0 {
				ids[typ] = append(ids[typ], p.ID)
			}
		}
	}
	var keys []int64
	for typ, of := range ids {
		nums, err := c.s.numsOf(c.ctx, c.q, c.tenant, typ, of)
		if err != nil {
			return nil, err
		}
		for _, num := range nums {
			keys = append(keys, refKey(typ, num))
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func typeNum(name string) int {
	if t := def.Lookup(name); t != nil {
		return t.Num
	}
	return 0
}

func (c *compiler) refTo(p search.RefTo, x string) error {
	return c.refIn(refIn{atom: p.Atom, refs: []search.RefTo{p}}, x)
}

func (c *compiler) refIn(p refIn, x string) error {
	return c.exists("idx_ref", p.atom.ID, x, func(a string) error { return c.refTargets(p, a) })
}

func (c *compiler) refToSource(p search.RefTo, a string) error {
	return c.refInSource(refIn{atom: p.Atom, refs: []search.RefTo{p}}, a)
}

func (c *compiler) refInSource(p refIn, a string) error {
	c.sql("SELECT ", a, ".num FROM ")
	c.head("idx_ref", a, p.atom.ID)
	return c.refTargets(p, a)
}

// refTargets writes that a row of idx_ref points to one of the references.
func (c *compiler) refTargets(p refIn, a string) error {
	keys, err := c.targets(p.refs)
	if err != nil {
		return err
	}
	c.sql(" AND ", a, ".target IN (")
	c.numbers(keys)
	c.sql(")")
	return nil
}

// inCompartmentSource writes the members of the compartment: what points to its focus by one of the atoms, and itself.
func (c *compiler) inCompartmentSource(p search.InCompartment, typ int, a string) error {
	of := typeNum(p.Type)
	num, known, err := c.s.numOf(c.ctx, c.q, false, c.tenant, of, p.ID)
	if err != nil {
		return err
	}
	if !known {
		c.sql("SELECT 0 AS num WHERE 1=0")
		return nil
	}
	if p.Self && of == typ {
		c.sql("SELECT ", a, ".num FROM record ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
		c.sql(" AND ", a, ".type = ").b.Int(int64(typ))
		c.sql(" AND ", a, ".num = ").b.Arg(num)
		c.sql(" AND ", a, ".deleted = 0")
		if len(p.Atoms) == 0 {
			return nil
		}
		c.sql(" UNION ALL ")
	}
	if len(p.Atoms) == 0 {
		c.sql("SELECT 0 AS num WHERE 1=0")
		return nil
	}
	c.compartmentRefs(p, refKey(of, num))
	return nil
}

func (c *compiler) compartmentRefs(p search.InCompartment, key int64) {
	a := c.alias()
	c.sql("SELECT ", a, ".num FROM idx_ref ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
	c.sql(" AND ", a, ".target = ").b.Arg(key)
	c.sql(" AND ", a, ".atom IN (")
	c.atomList(p.Atoms)
	c.sql(")")
}

func (c *compiler) atomList(refs []search.AtomRef) {
	for i, r := range refs {
		if i > 0 {
			c.sql(",")
		}
		c.b.Int(int64(r.ID))
	}
}

// present writes the condition that a row of one of the atoms is there.
func (c *compiler) present(p search.Present, x string) error {
	c.sql("(1=0")
	var rest search.Present
	for _, r := range p.Atoms {
		switch table := tableOf(r.Kind); {
		case (table == "idx_date" || table == "idx_num") && r.Target == "":
			c.sql(" OR ")
			if err := c.exists(table, r.ID, x, func(string) error { return nil }); err != nil {
				return err
			}
		default:
			rest.Atoms = append(rest.Atoms, r)
		}
	}
	if len(rest.Atoms) > 0 {
		c.sql(" OR ", x, " IN (")
		if err := c.presentSource(rest); err != nil {
			return err
		}
		c.sql(")")
	}
	c.sql(")")
	return nil
}

func (c *compiler) presentSource(p search.Present) error {
	if len(p.Atoms) == 0 {
		c.sql("SELECT 0 AS num WHERE 1=0")
	}
	for i, r := range p.Atoms {
		if i > 0 {
			c.sql(" UNION ALL ")
		}
		a := c.alias()
		c.sql("SELECT ", a, ".num FROM ")
		c.head(tableOf(r.Kind), a, r.ID)
		if r.Kind != search.Reference {
			continue
		}
		if r.Target != "" {
			c.sql(" AND (", a, ".target & 255) = ").b.Int(int64(typeNum(r.Target)))
			continue
		}
		// References that are no literal ones of this server are texts of the same atom.
		b := c.alias()
		c.sql(" UNION ALL SELECT ", b, ".num FROM ")
		c.head("idx_text", b, r.ID)
	}
	return nil
}

// tableOf names the table that holds an atom's rows.
func tableOf(k search.Kind) string {
	switch k {
	case search.Reference:
		return "idx_ref"
	case search.Date:
		return "idx_date"
	case search.Number, search.Quantity:
		return "idx_num"
	}
	return "idx_text"
}

// chainSource: the rows of the atoms that point to what the inner search finds.
func (c *compiler) chainSource(p search.Chain, a string) error {
	in := c.alias()
	typ := typeNum(p.Type)
	c.sql("SELECT ", a, ".num FROM (")
	if err := c.nums(p.Pred, typ); err != nil {
		return err
	}
	c.sql(") ", in, c.s.engine.Dialect().Join, "idx_ref ", a, " ON ", a, ".tenant = ").b.Arg(c.tenant)
	c.sql(" AND ", a, ".target = (", in, ".num << 8) + ").b.Int(int64(typ))
	c.sql(" AND ", a, ".atom IN (")
	c.atomList(p.Atoms)
	c.sql(")")
	return nil
}

// reverseChain: a row points here, from a record of the type that satisfies the inner predicate.
func (c *compiler) reverseChain(p search.ReverseChain, typ int, x string) error {
	a := c.alias()
	c.sql("EXISTS (SELECT 1 FROM idx_ref ", a, " WHERE ", a, ".tenant = ").b.Arg(c.tenant)
	c.sql(" AND ", a, ".target = (", x, " << 8) + ").b.Int(int64(typ))
	c.sql(" AND ", a, ".atom IN (")
	c.atomList(p.Atoms)
	c.sql(") AND ")
	err := c.cond(p.Pred, typeNum(p.Type), a+".num")
	c.sql(c.s.engine.Dialect().Probe, ")")
	return err
}

// nums writes a SELECT of the distinct numbers of the type that satisfy p, from its best driver.
func (c *compiler) nums(p search.Pred, typ int) error {
	return c.matches(drive(conjuncts(p)), typ, nil)
}

// matches writes the SELECT DISTINCT of a driven search, behind the cursor where there is one.
func (c *compiler) matches(d driven, typ int, cur *cursor) error {
	if d.driver == nil {
		c.sql("SELECT x.num FROM record x WHERE x.tenant = ").b.Arg(c.tenant)
		c.sql(" AND x.type = ").b.Int(int64(typ))
		c.sql(" AND x.deleted = 0")
	} else {
		c.sql("SELECT DISTINCT x.num FROM (")
		if err := c.source(d.driver, typ); err != nil {
			return err
		}
		c.sql(") x WHERE 1=1")
	}
	if cur != nil {
		c.sql(" AND x.num", cur.behind(typ)).b.Arg(cur.num)
	}
	c.sql(" AND ")
	return c.join(d.rest, " AND ", "1=1", typ, "x.num")
}

func (c *compiler) lastUpdated(p search.LastUpdated, a string) {
	// A seq holds its time to the millisecond: [lo, hi] in microseconds is [first, end) in seqs.
	first, end := seqAt(p.Lo), seqAt(p.Hi+1)
	switch p.Op {
	case "ne":
		c.sql("(", a, ".seq < ").b.Int(first)
		c.sql(" OR ", a, ".seq >= ").b.Int(end)
		c.sql(")")
	case "lt", "eb":
		c.sql(a, ".seq < ").b.Int(first)
	case "le":
		c.sql(a, ".seq < ").b.Int(end)
	case "gt", "sa":
		c.sql(a, ".seq >= ").b.Int(end)
	case "ge":
		c.sql(a, ".seq >= ").b.Int(first)
	default:
		c.sql("(", a, ".seq >= ").b.Int(first)
		c.sql(" AND ", a, ".seq < ").b.Int(end)
		c.sql(")")
	}
}

// seqAt returns the first seq of the millisecond that holds, or follows, the microsecond.
func seqAt(micros int64) int64 {
	if micros > ident.Time(ident.Max).UnixMicro() {
		return ident.Max + 1
	}
	if micros <= 0 {
		return 0
	}
	return ident.FirstAt(microTime(ceilMilli(micros)))
}

func ceilMilli(micros int64) int64 { return (micros + 999) / 1000 * 1000 }

// tooCostly names what an index cannot answer within the bound.
func tooCostly(what string) error {
	return fault.New(fault.TooCostly, "%s is answered by opening records, and more than %d would have to be opened: narrow the search by other parameters", what, MaxOpened)
}
