package record

import (
	"context"
	"slices"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Turn is what one resource undergoes in a set of changes.
type Turn struct {
	Type, ID string
	Old, New *fhir.Resource // nil: there was none before, it is deleted
}

// SetRule is what must be true of several resources together, where the order of a set's changes must not matter: two patients change beds in one
// set, and neither order of the two would pass a [Rule]. It is asked once for a set, inside its transaction, after the rules of the single changes, with what
// happens to resources of its types. Where it refuses, at says which turn the error is about.
type SetRule func(ctx context.Context, tx Tx, set []Turn) (at int, err error)

type governed struct {
	types []string
	rule  SetRule
}

// GovernSets adds a rule for sets. Like [Store.Govern] it is for the time before the first change.
func (s *Store) GovernSets(types []string, rule SetRule) {
	s.setRules = append(s.setRules, governed{types, rule})
}

// rulesFor reports whether any rule is asked of changes of the type.
func (s *Store) rulesFor(typ string) bool {
	return len(s.rules[typ]) > 0 || slices.ContainsFunc(s.setRules, func(g governed) bool { return slices.Contains(g.types, typ) })
}

// askSetRules asks the rules that judge a set as a whole.
func (p *plan) askSetRules(ctx context.Context, tx Tx) error {
	for _, g := range p.s.setRules {
		var set []Turn
		var from []int
		for _, it := range p.items {
			if !it.writes() || !slices.Contains(g.types, it.typ.Name) {
				continue
			}
			t := Turn{Type: it.typ.Name, ID: fhirID(it.num, it.fid), New: it.res}
			if it.old != nil {
				t.Old = it.old.res
			}
			set, from = append(set, t), append(from, it.change)
		}
		if len(set) == 0 {
			continue
		}
		if at, err := g.rule(ctx, tx, set); err != nil {
			return entry(from[at], err)
		}
	}
	return nil
}

// Base is the server's own base URL: absolute references below it are local. It may be "".
func (l *Ledger) Base() string { return l.s.base }
