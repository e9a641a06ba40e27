package app

import (
	"context"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/module/clinical"
	"github.com/nilecare/nilecare/internal/module/facility"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/record"
)

// owner is a module that owns types: what must hold of them, and how its ledger learns of records of before.
type owner struct {
	module string
	rules  func(*record.Ledger) map[string]record.Rule
	states func() map[string]record.Rule // need nothing but the resource before and after; nil: there are none
	judges func() []string               // the types whose changes it judges a set at a time; nil: of none
	set    func(*record.Ledger) record.SetRule
	guard  func(*record.Ledger) ([]string, record.Rule)
	adopts func() []string
	adopt  func(*record.Ledger) func(context.Context, record.Tx, *fhir.Resource) error
}

// owners is the one table from types to those who decide on them. Of several rules for a type each is asked, in this order; those for whole sets after
// all others.
func owners() []owner {
	return []owner{
		{module: clinical.Module, rules: clinical.Rules, states: clinical.Guards, guard: clinical.GuardMerged, adopts: clinical.Adopts, adopt: clinical.Adopt},
		{module: facility.Module, judges: facility.Types, set: facility.SetRule, adopts: facility.Adopts, adopt: facility.Adopt},
		{module: scheduling.Module, judges: scheduling.Types, set: scheduling.SetRule, adopts: scheduling.Adopts, adopt: scheduling.Adopt},
	}
}

// govern gives the store its rules, whoever writes to it, and has ledgers that came later than the records catch up.
func govern(ctx context.Context, s *record.Store) error {
	l := s.Ledger()
	for _, o := range owners() {
		if o.rules != nil {
			s.Govern(o.rules(l))
		}
		if o.states != nil {
			for typ, rule := range o.states() {
				s.Guard([]string{typ}, rule)
			}
		}
		if o.guard != nil {
			s.Guard(o.guard(l))
		}
		if o.judges != nil {
			s.GovernSets(o.judges(), o.set(l))
		}
	}
	tenants, err := s.KeyedTenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		ctx := access.With(ctx, access.System(t))
		for _, o := range owners() {
			types := o.adopts()
			if len(types) == 0 {
				continue
			}
			if err := s.Adopt(ctx, o.module, types, o.adopt(l)); err != nil {
				return err
			}
		}
	}
	return nil
}
