package record

import (
	"context"
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
	var out []Referrer
	for _, k := range found {
		var fid string
		var vid int64
		var deleted bool
		stands, err := sqldb.QueryRow(ctx, q, []any{&fid, &vid, &deleted}, "SELECT coalesce(fid, ''), vid, deleted <> 0 FROM record WHERE tenant = $1 AND type = $2 AND num = $3", tenant, k.typ, k.num)
		if err != nil {
			return nil, err
		}
		if !stands || deleted {
			continue
		}
		if out = append(out, Referrer{Type: typeName(k.typ), ID: fhirID(k.num, fid), VID: vid}); len(out) == limit {
			break
		}
	}
	return out, nil
}
