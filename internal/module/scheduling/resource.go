package scheduling

import (
	"cmp"
	"context"
	"slices"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// placesOf are the Locations of the kinds that the caller may see.
func (s *Service) placesOf(ctx context.Context, kinds []string) ([]*flat.Record, error) {
	tenant := access.From(ctx).Tenant
	var nums []int64
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		nums = nil
		w := &sqldb.Builder{}
		w.SQL("SELECT num FROM scheduling_actor WHERE tenant = ").Arg(tenant).SQL(" AND type = 'Location' AND deleted_at = 0 AND kind IN (")
		for i, k := range kinds {
			if i > 0 {
				w.SQL(", ")
			}
			w.Arg(k)
		}
		w.SQL(") ORDER BY num")
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var n int64
			err := rows.Scan(&n)
			nums = append(nums, n)
			return err
		}, w.String(), w.Args...)
	})
	if err != nil {
		return nil, err
	}
	refs := make([]string, 0, len(nums))
	for _, n := range nums {
		id, err := s.Records.Store.Named(ctx, "Location", n)
		if err != nil {
			return nil, err
		}
		if id != "" {
			refs = append(refs, "Location/"+id)
		}
	}
	seen, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	out := make([]*flat.Record, 0, len(seen))
	for _, ref := range refs {
		if one := seen[ref]; one != nil {
			out = append(out, one)
		}
	}
	return out, nil
}

// calendarType is the type of the record that a resource is.
func (r *resourceJSON) calendarType() string {
	if r.Type == "equipment" {
		return "Device"
	}
	return "Location"
}

// markOccupied marks those of the resources as occupied that an appointment takes now. That a facility is visited does not occupy it.
func (s *Service) markOccupied(ctx context.Context, all []resourceJSON) error {
	tenant, now := access.From(ctx).Tenant, s.Clock().UnixMicro()
	return s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		for i := range all {
			one := &all[i]
			if one.Type == "facility" || one.Status != statusAvailable {
				continue
			}
			typ, num, ok, err := s.Ledger.Meant(ctx, q, tenant, one.calendarType()+"/"+one.ID)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			a := actor{typ, num}
			rows, err := s.books.entries(ctx, q, tenant, a)
			if err != nil {
				return err
			}
			claims, err := s.books.claimsIn(ctx, q, tenant, a, now, now+1, spanOf(rows, a))
			if err != nil {
				return err
			}
			if len(claims) > 0 {
				one.Status = statusOccupied
			}
		}
		return nil
	})
}

func sortResources(all []resourceJSON) {
	slices.SortFunc(all, func(a, b resourceJSON) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
}
