package record

import (
	"context"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Export calls f for every current resource of the types, in the order of types and numbers, on one snapshot; nil: all types.
func (s *Store) Export(ctx context.Context, types []string, f func(*Version) error) error {
	tenant := access.From(ctx).Tenant
	nums, err := typeNums(types)
	if err != nil {
		return err
	}
	if _, err := s.forTenant(ctx, tenant); err != nil {
		return err
	}
	return s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		for _, typ := range nums {
			if err := s.exportType(ctx, q, tenant, typ, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func typeNums(types []string) ([]int, error) {
	var nums []int
	if types == nil {
		for _, t := range def.ResourceTypes() {
			nums = append(nums, t.Num)
		}
	}
	for _, name := range types {
		t, err := resourceType(name)
		if err != nil {
			return nil, err
		}
		nums = append(nums, t.Num)
	}
	return nums, nil
}

// exportBatch is how many versions an export reads at a time.
const exportBatch = 500

func (s *Store) exportType(ctx context.Context, q sqldb.Querier, tenant int32, typ int, f func(*Version) error) error {
	for last := int64(0); ; {
		var batch []sealedVersion
		err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var v sealedVersion
			err := scanVersion(rows, &v)
			batch = append(batch, v)
			return err
		}, "SELECT "+versionColumns+" FROM record r JOIN version v ON v.seq = r.seq WHERE r.tenant = $1 AND r.type = $2 AND r.deleted = 0 AND r.num > $3 ORDER BY r.num LIMIT $4",
			tenant, typ, last, exportBatch)
		if err != nil {
			return err
		}
		for i := range batch {
			v, err := s.open(ctx, q, tenant, &batch[i])
			if erased(err) {
				continue
			}
			if err != nil {
				return err
			}
			if err := f(v); err != nil {
				return err
			}
		}
		if len(batch) < exportBatch {
			return nil
		}
		last = batch[len(batch)-1].num
	}
}
