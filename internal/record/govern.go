package record

import (
	"context"
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Govern adds rules to those that are asked: of several for one type each is asked, in the order in which they came. It is for the time before
// the first change: rules keep ledgers, which a change without them would leave behind.
func (s *Store) Govern(rules map[string]Rule) {
	for typ, rule := range rules {
		s.rules[typ] = append(s.rules[typ], rule)
	}
}

// adoptedSetting is the setting that says that a module's ledger holds what the tenant's records of before it say.
func adoptedSetting(module string, tenant int32) string {
	return "adopted/" + module + "/" + strconv.Itoa(int(tenant))
}

// Adopt calls f once, ever, for every current resource of the types in the caller's tenant, so that a ledger which came later than the
// records holds what they say. It is for the time before anybody is served. All of it is one transaction; f sees each resource with its id. What was
// adopted already is left alone; new tenants have nothing to adopt.
func (s *Store) Adopt(ctx context.Context, module string, types []string, f func(ctx context.Context, tx Tx, r *fhir.Resource) error) error {
	tenant := access.From(ctx).Tenant
	name := adoptedSetting(module, tenant)
	var done bool
	err := s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		var value string
		done, err = sqldb.QueryRow(ctx, q, []any{&value}, "SELECT value FROM setting WHERE name = $1", name)
		return err
	})
	if err != nil || done {
		return err
	}
	var found []*Version
	if err := s.Export(ctx, types, func(v *Version) error { found = append(found, v); return nil }); err != nil {
		return err
	}
	return s.engine.Commit(ctx, tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		for _, v := range found {
			r, err := v.Resource()
			if err == nil {
				err = f(ctx, tx, r)
			}
			if err != nil {
				return nil, err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO setting (name, value) VALUES ($1, 'yes') ON CONFLICT (name) DO NOTHING", name)
		return nil, err
	}})
}

// Number returns the number of the record that a FHIR id of the type stands for; false where nothing ever bore it or referred to it. Whether
// the caller may see the record is not asked: a number tells nothing.
func (s *Store) Number(ctx context.Context, typ, id string) (int64, bool, error) {
	t, err := resourceType(typ)
	if err != nil {
		return 0, false, err
	}
	if n, ok := numberOf(id); ok {
		return n, true, nil
	}
	tenant := access.From(ctx).Tenant
	if n, ok := s.aliases.get(aliasKey{tenant, t.Num, id}); ok {
		return n, true, nil
	}
	var num int64
	var known bool
	err = s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		num, known, err = s.numOf(ctx, q, true, tenant, t.Num, id)
		return err
	})
	return num, known, err
}

// Named returns the FHIR id of the record with that number; "" where there is no such record.
func (s *Store) Named(ctx context.Context, typ string, num int64) (string, error) {
	t, err := resourceType(typ)
	if err != nil {
		return "", err
	}
	tenant := access.From(ctx).Tenant
	var fid string
	var found bool
	err = s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		found, err = sqldb.QueryRow(ctx, q, []any{&fid}, "SELECT coalesce(fid, '') FROM record WHERE tenant = $1 AND type = $2 AND num = $3", tenant, t.Num, num)
		return err
	})
	if err != nil || !found {
		return "", err
	}
	return fhirID(num, fid), nil
}

// Changed is one change, as those who follow the record see it.
type Changed struct {
	ID      int64 // of the event: grows with every change of the tenant, in an order that all readers see alike
	Op      Op
	Version *Version // the new one; its body is nil after a delete
	Before  *Version // the one before it that had a body; nil for the first
	Who     string   // who made it, as the audit names them
}

// changesAtATime bounds one reading of changes.
const changesAtATime = 500

// Changes returns up to limit changes of the types (none: all) in the caller's tenant behind the event after, in order, and the place to go on from: up to
// there everything was looked at. On a server whose transactions commit in another order than that of their events, what a running one may still come
// between is left for later: no change is ever passed over. A change whose patient was erased since then is not told.
func (s *Store) Changes(ctx context.Context, after int64, types []string, limit int) (changes []Changed, next int64, err error) {
	tenant := access.From(ctx).Tenant
	if _, err := s.forTenant(ctx, tenant); err != nil {
		return nil, after, err
	}
	limit = min(max(limit, 1), changesAtATime)
	settled, _, err := s.engine.Settled(ctx)
	if err != nil || settled <= after {
		return nil, after, err
	}
	err = s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		changes, next = nil, after
		rows, err := s.eventsBehind(ctx, q, tenant, after, settled, limit)
		if err != nil {
			return err
		}
		for _, e := range rows {
			next = e.id
			if len(types) > 0 && !slices.Contains(types, def.ByNum(e.typ).Name) {
				continue
			}
			c, err := s.changeOf(ctx, q, tenant, e)
			if err != nil {
				return err
			}
			if c != nil {
				changes = append(changes, *c)
			}
		}
		if len(rows) < limit {
			next = settled // the rest are other tenants': whoever goes on from here need not pass over them again
		}
		return nil
	})
	if err != nil {
		return nil, after, err
	}
	return changes, next, nil
}

// Settled returns the event up to which [Store.Changes] tells of everything, in any tenant, and the newest that was given out: where that is larger, changes
// are committed or under way that are not told of yet.
func (s *Store) Settled(ctx context.Context) (settled, last int64, err error) {
	return s.engine.Settled(ctx)
}

// Shared reports that other processes may use the database at the same time.
func (s *Store) Shared() bool { return s.engine.Dialect().Shared }

// LastChange returns the newest event of the caller's tenant that [Store.Changes] would tell of; 0 where there is none.
func (s *Store) LastChange(ctx context.Context) (int64, error) {
	tenant := access.From(ctx).Tenant
	settled, _, err := s.engine.Settled(ctx)
	if err != nil {
		return 0, err
	}
	var last int64
	err = s.engine.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&last}, "SELECT id FROM event WHERE tenant = $1 AND id <= $2 ORDER BY id DESC LIMIT 1", tenant, settled)
		return err
	})
	return last, err
}

// Behind counts the changes of the caller's tenant behind the event after, as far as [Store.Changes] would tell of them; most bounds the count.
func (s *Store) Behind(ctx context.Context, after int64, most int) (int, error) {
	tenant := access.From(ctx).Tenant
	settled, _, err := s.engine.Settled(ctx)
	if err != nil || settled <= after {
		return 0, err
	}
	var n int
	err = s.engine.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT count(*) FROM (SELECT 1 FROM event WHERE tenant = $1 AND id > $2 AND id <= $3 LIMIT $4) b", tenant, after, settled, most)
		return err
	})
	return n, err
}

type eventRow struct {
	id, num, vid int64
	typ, op      int
}

func (s *Store) eventsBehind(ctx context.Context, q sqldb.Querier, tenant int32, after, settled int64, limit int) ([]eventRow, error) {
	var out []eventRow
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var e eventRow
		err := rows.Scan(&e.id, &e.typ, &e.num, &e.vid, &e.op)
		out = append(out, e)
		return err
	}, "SELECT id, type, num, vid, op FROM event WHERE tenant = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4", tenant, after, settled, limit)
	return out, err
}

const selectAt = "SELECT " + versionColumns + ", coalesce(a.who, '') FROM record r JOIN version v ON v.num = r.num AND v.type = r.type" +
	" LEFT JOIN audit_entry a ON a.tenant = v.tenant AND a.id = coalesce(v.audit, v.seq)" +
	" WHERE r.tenant = $1 AND r.type = $2 AND r.num = $3 AND v.tenant = $1 AND v.vid = $4 AND "

// changeOf opens what an event tells of; nil where it cannot be read any more.
func (s *Store) changeOf(ctx context.Context, q sqldb.Querier, tenant int32, e eventRow) (*Changed, error) {
	var v *sealedVersion
	var who string
	where := []string{"v.seq <> v.num", "v.seq = r.num"}
	if e.vid == 1 { // a record's number is mostly its first version's
		slices.Reverse(where)
	}
	for _, where := range where {
		err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error { v = &sealedVersion{}; return scanVersion(rows, v, &who) }, selectAt+where, tenant, e.typ, e.num, e.vid)
		if err != nil {
			return nil, err
		}
		if v != nil {
			break
		}
	}
	if v == nil {
		return nil, nil
	}
	c := &Changed{ID: e.id, Op: Op(e.op), Who: who}
	var err error
	if c.Version, err = s.open(ctx, q, tenant, v); err != nil {
		return nil, gone(err)
	}
	if v.vid == 1 {
		return c, nil
	}
	before, err := s.versionBefore(ctx, q, tenant, v)
	if err == nil && before != nil {
		c.Before, err = s.open(ctx, q, tenant, before)
	}
	if err != nil {
		return nil, gone(err)
	}
	return c, nil
}

// gone takes the erasure of a patient for nothing to tell of.
func gone(err error) error {
	if fault.Is(err, fault.Gone) {
		return nil
	}
	return err
}

// OnCommit has f called after each commit of this process that changed the record, with the tenant. f must return at once.
func (s *Store) OnCommit(f func(tenant int32)) { s.onCommit.Store(&f) }
