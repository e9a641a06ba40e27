package record

import (
	"context"
	"errors"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// eraseSet is how many resources one transaction of an erasure removes.
const eraseSet = 200

// Erase makes a patient's record unreadable for ever, in this database and in every backup of it: all resources that the
// patient's key seals are deleted with their index rows, and then the key is destroyed. Tombstones stay, which tell nothing but that
// there was something. It returns how many resources went. An erasure that was interrupted is finished by calling it again.
//
// Other processes on the same database may keep an opened key in memory for [keyLife].
func (s *Store) Erase(ctx context.Context, patientID string) (int, error) {
	tenant := access.From(ctx).Tenant
	v, err := s.Current(ctx, "Patient", patientID)
	if err != nil {
		return 0, err
	}
	gone := 0
	for {
		changes, err := s.sealedBy(ctx, tenant, v)
		if err != nil {
			return gone, err
		}
		if len(changes) == 0 {
			break
		}
		if _, err := s.Write(ctx, changes); err != nil {
			return gone, err
		}
		gone += len(changes)
	}
	if !v.Deleted {
		if _, err := s.Write(ctx, []Change{{Op: Delete, Type: "Patient", ID: patientID}}); err != nil {
			return gone, err
		}
		gone++
	}
	if err := s.destroyKey(ctx, tenant, v.Num); err != nil {
		return gone, err
	}
	return gone, s.engine.Scrub(ctx)
}

// sealedBy returns deletions of the resources that the patient's key seals, other than the patient.
func (s *Store) sealedBy(ctx context.Context, tenant int32, patient *Version) ([]Change, error) {
	var changes []Change
	err := s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		members, err := s.referrers(ctx, q, tenant, refKey(typeNum("Patient"), patient.Num))
		if err != nil {
			return err
		}
		for _, m := range members {
			v, err := s.current(ctx, q, tenant, m.typ, m.num)
			if err != nil {
				return err
			}
			if v != nil && !v.deleted() && v.keynum == patient.Num {
				changes = append(changes, Change{Op: Delete, Type: typeName(v.typ), ID: fhirID(v.num, v.fid)})
			}
			if len(changes) == eraseSet {
				return nil
			}
		}
		return nil
	})
	return changes, err
}

// referrers returns the records that point to the target.
func (s *Store) referrers(ctx context.Context, q sqldb.Querier, tenant int32, target int64) ([]recordKey, error) {
	var keys []recordKey
	seen := map[recordKey]bool{}
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var atom, num int64
		err := rows.Scan(&atom, &num)
		k := recordKey{typeNum(atomTypes()[uint32(atom)]), num}
		if k.typ != 0 && !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
		return err
	}, "SELECT atom, num FROM idx_ref WHERE tenant = $1 AND target = $2", tenant, target)
	return keys, err
}

func (s *Store) destroyKey(ctx context.Context, tenant int32, num int64) error {
	keys, err := s.forTenant(ctx, tenant)
	if err != nil {
		return err
	}
	job := &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		_, err := tx.Exec(ctx, "UPDATE seal_key SET wrapped = NULL, destroyed_at = $1 WHERE tenant = $2 AND num = $3 AND destroyed_at IS NULL",
			s.clock().UnixMicro(), tenant, num)
		return nil, err
	}}
	if err := s.engine.Commit(ctx, tenant, job); err != nil {
		return err
	}
	keys.drop(num)
	return nil
}

// erased reports whether err says that a patient's key was destroyed.
func erased(err error) bool { return errors.Is(err, errErased) || fault.Is(err, fault.Gone) }
