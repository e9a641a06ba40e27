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
	adopts func() []string
	adopt  func(*record.Ledger) func(context.Context, record.Tx, *fhir.Resource) error
}

// owners is the one table from types to those who decide on them. Of several rules for a type each is asked, in this order.
func owners() []owner {
	return []owner{
		{clinical.Module, clinical.Rules, clinical.Adopts, clinical.Adopt},
		{facility.Module, facility.Rules, facility.Adopts, facility.Adopt},
		{scheduling.Module, scheduling.Rules, scheduling.Adopts, scheduling.Adopt},
	}
}

// govern gives the store its rules, whoever writes to it, and has ledgers that came later than the records catch up.
func govern(ctx context.Context, s *record.Store) error {
	l := s.Ledger()
	for _, o := range owners() {
		s.Govern(o.rules(l))
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
