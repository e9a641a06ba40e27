package record

import (
	"cmp"
	"context"
	"errors"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// eraseSet is how many resources one transaction of an erasure removes.
const eraseSet = 200

// Erase makes a patient's record unreadable for ever in this database. First the key is marked, so that from then on nobody, in any
// process, can write what it would seal. Then all resources that it seals are deleted with their index rows, and at last the key is
// destroyed. Tombstones stay, which tell nothing but that there was something. It returns how many resources went. An erasure that was
// interrupted is finished by calling it again. NotFound where there never was such a patient.
//
// Backups that were made before hold the key, sealed by the root key: they must be destroyed as well. Other processes on the same database
// may keep the opened key in memory for [keyLife]; what they could read with it is deleted.
func (s *Store) Erase(ctx context.Context, patientID string) (int, error) {
	tenant := access.From(ctx).Tenant
	keys, err := s.forTenant(ctx, tenant)
	if err != nil {
		return 0, err
	}
	e := &erasure{s: s, tenant: tenant, keys: keys, id: patientID}
	if err := e.begin(ctx); err != nil {
		return 0, err
	}
	if err := e.deleteAll(ctx); err != nil {
		return e.gone, err
	}
	if err := e.mark(ctx, "UPDATE seal_key SET wrapped = NULL WHERE tenant = $1 AND num = $2 AND destroyed_at IS NOT NULL", tenant, e.num); err != nil {
		return e.gone, err
	}
	return e.gone, s.engine.Scrub(ctx)
}

// erasure is one under way.
type erasure struct {
	s      *Store
	tenant int32
	keys   *tenantKeys
	id     string
	num    int64
	key    *seal.Key // nil: it is destroyed already
	gone   int
}

// begin finds the patient and takes the key out of use.
func (e *erasure) begin(ctx context.Context) error {
	typ := typeNum("Patient")
	var wrapped []byte
	var parent int64
	err := e.s.engine.View(ctx, e.tenant, func(q sqldb.Querier) error {
		num, known, err := e.s.numOf(ctx, q, false, e.tenant, typ, e.id)
		if err != nil || !known {
			return cmp.Or(err, notFound("Patient"))
		}
		v, err := e.s.current(ctx, q, e.tenant, typ, num)
		if err != nil || v == nil || fhirID(v.num, v.fid) != e.id {
			return cmp.Or(err, notFound("Patient"))
		}
		e.num = num
		_, err = sqldb.QueryRow(ctx, q, []any{&wrapped, &parent}, "SELECT wrapped, parent FROM seal_key WHERE tenant = $1 AND num = $2", e.tenant, num)
		return err
	})
	if err != nil || len(wrapped) == 0 {
		return err
	}
	above, err := e.s.topKey(ctx, nil, e.keys, parent)
	if err != nil {
		return err
	}
	if e.key, err = seal.Unwrap(above, wrapped, keyData(e.tenant, e.num)); err != nil {
		return err
	}
	err = e.mark(ctx, "UPDATE seal_key SET destroyed_at = $3 WHERE tenant = $1 AND num = $2 AND destroyed_at IS NULL", e.tenant, e.num, e.s.clock().UnixMicro())
	e.keys.drop(e.num)
	return err
}

func (e *erasure) mark(ctx context.Context, sql string, args ...any) error {
	return e.s.engine.Commit(ctx, e.tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		_, err := tx.Exec(ctx, sql, args...)
		return nil, err
	}})
}

// deleteAll deletes what the key seals, the patient last.
func (e *erasure) deleteAll(ctx context.Context) error {
	if e.key == nil {
		return nil
	}
	for {
		changes, err := e.s.sealedBy(ctx, e.tenant, e.num)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			break
		}
		if err := e.delete(ctx, changes); err != nil {
			return err
		}
	}
	return e.delete(ctx, []Change{{Op: Delete, Type: "Patient", ID: e.id}})
}

func (e *erasure) delete(ctx context.Context, changes []Change) error {
	outcomes, err := e.s.write(ctx, changes, map[int64]*seal.Key{e.num: e.key})
	for _, o := range outcomes {
		e.gone += o.Count
	}
	return err
}

// sealedBy returns deletions of the resources that the patient's key seals, other than the patient.
func (s *Store) sealedBy(ctx context.Context, tenant int32, patient int64) ([]Change, error) {
	var changes []Change
	err := s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		members, err := s.referrers(ctx, q, tenant, refKey(typeNum("Patient"), patient))
		if err != nil {
			return err
		}
		for _, m := range members {
			v, err := s.current(ctx, q, tenant, m.typ, m.num)
			if err != nil {
				return err
			}
			if v != nil && !v.deleted() && v.keynum == patient {
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

// erased reports whether err says that a patient's key was destroyed.
func erased(err error) bool { return errors.Is(err, ErrErased) || fault.Is(err, fault.Gone) }
