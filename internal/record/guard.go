package record

import (
	"context"
	"maps"
	"slices"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/sqldb"
)

type guarded struct {
	types []string
	rule  Rule
}

// Guard adds a rule that only reads, of rows that its own module writes in transactions of their own. It is asked before the rules of [Store.Govern], and unlike
// those it does not keep changes of its types from sharing a commit: where many write at once that is most of their speed. Like Govern it is for the time
// before the first change.
func (s *Store) Guard(types []string, rule Rule) {
	s.guards = append(s.guards, guarded{types, rule})
}

// askGuards lets rules that only read refuse a change.
func (p *plan) askGuards(ctx context.Context, tx Tx) error {
	if len(p.s.guards) == 0 {
		return nil
	}
	ctx = access.With(ctx, p.caller) // changes that share a commit share its context too
	for _, g := range p.s.guards {
		for _, it := range p.items {
			if !it.writes() || !slices.Contains(g.types, it.typ.Name) {
				continue
			}
			var old *fhir.Resource
			if it.old != nil {
				old = it.old.res
			}
			if err := g.rule(ctx, tx, old, it.res); err != nil {
				return entry(it.change, err)
			}
		}
	}
	return nil
}

// Referrer is a current resource that points to another.
type Referrer struct {
	Type, ID string
	VID      int64 // its current version
}

// Referrers returns the current resources that point to the record, by any reference that a search parameter knows, up to limit, in no order. It asks
// nobody's leave: what it tells is for the program.
func (l *Ledger) Referrers(ctx context.Context, q sqldb.Querier, tenant int32, typ, id string, limit int) ([]Referrer, error) {
	t := def.Lookup(typ)
	if t == nil || t.Num == 0 {
		return nil, nil
	}
	num, known, err := l.s.numOf(ctx, q, false, tenant, t.Num, id)
	if err != nil || !known {
		return nil, err
	}
	found, err := l.s.referrers(ctx, q, tenant, refKey(t.Num, num))
	if err != nil {
		return nil, err
	}
	byType := map[int][]int64{}
	for _, k := range found {
		byType[k.typ] = append(byType[k.typ], k.num)
	}
	var out []Referrer
	for _, typ := range slices.Sorted(maps.Keys(byType)) {
		for nums := byType[typ]; len(nums) > 0 && len(out) < limit; {
			n := min(len(nums), idsAtATime)
			if err := l.standing(ctx, q, tenant, typ, nums[:n], &out); err != nil {
				return nil, err
			}
			nums = nums[n:]
		}
	}
	return out[:min(len(out), limit)], nil
}

// standing appends those of the records of a type that are not deleted.
func (l *Ledger) standing(ctx context.Context, q sqldb.Querier, tenant int32, typ int, nums []int64, out *[]Referrer) error {
	b := (&sqldb.Builder{}).SQL("SELECT num, coalesce(fid, ''), vid FROM record WHERE tenant = ").Arg(tenant).SQL(" AND type = ").Int(int64(typ)).SQL(" AND deleted = 0 AND num IN (")
	for i, n := range nums {
		if i > 0 {
			b.SQL(",")
		}
		b.Arg(n)
	}
	return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var num, vid int64
		var fid string
		err := rows.Scan(&num, &fid, &vid)
		*out = append(*out, Referrer{Type: typeName(typ), ID: fhirID(num, fid), VID: vid})
		return err
	}, b.SQL(")").String(), b.Args...)
}
