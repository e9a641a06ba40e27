package record

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Keys are rotated while others read and write, in this process and in others. Nothing waits and nothing fails: what an older key
// sealed or wrapped opens until it is sealed or wrapped anew, and a process that does not know the newest key yet goes on with the
// one before.

// rotatingRoot is a root key that can change under a running process, as [seal.RootFile] can.
type rotatingRoot interface {
	Rotate() error
	Reload() error
	Keys() []uint32
	WrappedBy(wrapped []byte) (uint32, bool)
	Newest(wrapped []byte) bool
	Retire(now time.Time, inUse func(id uint32) (bool, error)) ([]uint32, error)
}

var errFixedRoot = fault.New(fault.Conflict, "the root key is not a file of this program's: rotate it where it is kept")

// ReloadKeys reads the root key again where it may have changed, and looks for newer versions of the keys of all tenants that are
// in memory. Both happen by themselves too: the one when it is needed, the other within a minute.
func (s *Store) ReloadKeys(ctx context.Context) error {
	var errs []error
	if r, ok := s.keys.root.(rotatingRoot); ok {
		errs = append(errs, r.Reload())
	}
	s.keys.mu.RLock()
	all := make([]*tenantKeys, 0, len(s.keys.tenants))
	for _, k := range s.keys.tenants {
		all = append(all, k)
	}
	s.keys.mu.RUnlock()
	for _, k := range all {
		errs = append(errs, s.lookForNewer(ctx, k))
	}
	return errors.Join(errs...)
}

// RotateRoot adds a key to the root key file and wraps the standing keys of all tenants by it. The older keys stay in the file, for
// older backups and for processes that have not read the new file yet: [Store.RetireRoot] takes them out. progress is told how many
// keys were wrapped anew; it may be nil. One that was interrupted is finished by [Store.RewrapRoot].
func (s *Store) RotateRoot(ctx context.Context, progress func(int)) (int, error) {
	r, ok := s.keys.root.(rotatingRoot)
	if !ok {
		return 0, errFixedRoot
	}
	if err := r.Rotate(); err != nil {
		return 0, err
	}
	s.noteKeys(ctx, "rotate", "root", "")
	return s.RewrapRoot(ctx, progress)
}

// RewrapRoot wraps the standing keys of all tenants by the newest root key, as far as they are not, and returns how many it wrapped.
func (s *Store) RewrapRoot(ctx context.Context, progress func(int)) (int, error) {
	if r, ok := s.keys.root.(rotatingRoot); ok {
		if err := r.Reload(); err != nil {
			return 0, err
		}
	}
	tenants, err := s.KeyedTenants(ctx)
	if err != nil {
		return 0, err
	}
	done := 0
	for _, tenant := range tenants {
		n, err := s.rewrapStanding(ctx, tenant)
		done += n
		if err != nil {
			return done, fmt.Errorf("record: the keys of tenant %d: %w", tenant, err)
		}
		tell(progress, done)
	}
	return done, nil
}

func tell(progress func(int), n int) {
	if progress != nil {
		progress(n)
	}
}

// rewrapStanding wraps all versions of a tenant's key by the newest root key.
func (s *Store) rewrapStanding(ctx context.Context, tenant int32) (int, error) {
	var rows *standingRows
	if err := s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		rows, err = readStanding(ctx, q, tenant)
		return err
	}); err != nil {
		return 0, err
	}
	root, _ := s.keys.root.(rotatingRoot)
	done := 0
	for num, row := range rows.keys {
		if !isTop(num) || row.wrapped == nil || root != nil && root.Newest(row.wrapped) {
			continue
		}
		key, err := seal.Unwrap(s.keys.root, row.wrapped, keyData(tenant, num))
		if err != nil {
			return done, err
		}
		fresh, err := key.Wrap(s.keys.root, keyData(tenant, num))
		if err != nil {
			return done, err
		}
		n, err := s.execute(ctx, tenant, "UPDATE seal_key SET wrapped = $3 WHERE tenant = $1 AND num = $2 AND wrapped = $4", tenant, num, fresh, row.wrapped)
		if err != nil {
			return done, err
		}
		done += int(n)
	}
	return done, nil
}

// execute runs one statement in a transaction.
func (s *Store) execute(ctx context.Context, tenant int32, sql string, args ...any) (n int64, err error) {
	err = s.engine.Commit(ctx, tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		n, err = tx.Exec(ctx, sql, args...)
		return nil, err
	}})
	return n, err
}

// RetireRoot takes all root keys but the newest out of the key file. It is a Conflict where one of them still wraps a standing key of
// any tenant, or one of others, which the caller knows of (the key of the database file); and within a minute of a rotation. It
// returns the ids that went. Backups that were made before the keys were wrapped anew need a copy of the file as it was.
func (s *Store) RetireRoot(ctx context.Context, others ...[]byte) ([]uint32, error) {
	r, ok := s.keys.root.(rotatingRoot)
	if !ok {
		return nil, errFixedRoot
	}
	gone, err := r.Retire(s.clock(), func(id uint32) (bool, error) {
		for _, w := range others {
			if by, ok := r.WrappedBy(w); ok && by == id {
				return true, nil
			}
		}
		counts, err := s.rootCounts(ctx, r)
		return counts[id] > 0, err
	})
	if err == nil && len(gone) > 0 {
		s.noteKeys(ctx, "retire", "root", fmt.Sprintf("%d keys", len(gone)))
	}
	return gone, err
}

// rootCounts counts the standing keys of all tenants by the root key that wraps them.
func (s *Store) rootCounts(ctx context.Context, r rotatingRoot) (map[uint32]int64, error) {
	tenants, err := s.KeyedTenants(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[uint32]int64{}
	for _, tenant := range tenants {
		var rows *standingRows
		if err := s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
			rows, err = readStanding(ctx, q, tenant)
			return err
		}); err != nil {
			return nil, err
		}
		for num, row := range rows.keys {
			if id, ok := r.WrappedBy(row.wrapped); ok && isTop(num) {
				counts[id]++
			}
		}
	}
	return counts, nil
}

// RotateTenant makes a new version of the key of the caller's tenant, which wraps and seals from now on, and wraps the patients' keys and
// the blind indexes' by it. The older versions stay, for the bodies and the modules' rows that they sealed. progress is told how many
// keys were wrapped anew; it may be nil. It is a Conflict where another process rotates. One that was interrupted, and
// what other processes wrapped by the older version before they knew of the new one (for a minute at most), is finished by
// [Store.RewrapTenant].
func (s *Store) RotateTenant(ctx context.Context, progress func(int)) (int, error) {
	tenant := access.From(ctx).Tenant
	k, err := s.forTenant(ctx, tenant)
	if err != nil {
		return 0, err
	}
	if err := s.lookForNewer(ctx, k); err != nil {
		return 0, err
	}
	was, _ := k.newest()
	num, key := topNum(keyVersion(was)+1), seal.NewKey()
	wrapped, err := key.Wrap(s.keys.root, keyData(tenant, num))
	if err != nil {
		return 0, err
	}
	n, err := s.execute(ctx, tenant, "INSERT INTO seal_key (tenant, num, parent, wrapped, created_at) VALUES ($1, $2, 0, $3, $4) ON CONFLICT DO NOTHING",
		tenant, num, wrapped, s.clock().UnixMicro())
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, fault.New(fault.Conflict, "the tenant's key is being rotated already")
	}
	k.learn(num, key)
	s.noteKeys(ctx, "rotate", "tenant", "version "+strconv.FormatInt(keyVersion(num), 10))
	return s.RewrapTenant(ctx, progress)
}

// rewrapSet is how many keys one transaction wraps anew.
const rewrapSet = 500

// RewrapTenant wraps the patients' keys and the blind indexes' key of the caller's tenant by the newest version of its key, as far as they
// are not, and returns how many it wrapped. It is cheap where there is nothing to do: call it now and then.
func (s *Store) RewrapTenant(ctx context.Context, progress func(int)) (int, error) {
	k, err := s.forTenant(ctx, access.From(ctx).Tenant)
	if err != nil {
		return 0, err
	}
	if err := s.lookForNewer(ctx, k); err != nil {
		return 0, err
	}
	done := 0
	for {
		n, err := s.rewrapPass(ctx, k, func(n int) { tell(progress, done+n) })
		done += n
		if err != nil || n == 0 {
			return done, err
		}
	}
}

// TendKeys finishes, for all tenants, what [Store.RotateTenant] left: a process that serves calls it every few minutes.
func (s *Store) TendKeys(ctx context.Context) error {
	tenants, err := s.KeyedTenants(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, tenant := range tenants {
		if _, err := s.RewrapTenant(access.With(ctx, access.System(tenant)), nil); err != nil {
			errs = append(errs, fmt.Errorf("record: the keys of tenant %d: %w", tenant, err))
		}
	}
	return errors.Join(errs...)
}

// wrappedKey is a key below the tenant's.
type wrappedKey struct {
	num, parent int64
	wrapped     []byte
}

// rewrapPass goes through all keys below the tenant's once, in the order in which writers lock them.
func (s *Store) rewrapPass(ctx context.Context, k *tenantKeys, progress func(int)) (int, error) {
	newest, top := k.newest()
	done := 0
	for last := blindKey - 1; ; {
		var set []wrappedKey
		err := s.engine.Read(ctx, k.num, func(q sqldb.Querier) error {
			set = set[:0]
			return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
				var w wrappedKey
				err := rows.Scan(&w.num, &w.parent, &w.wrapped)
				set = append(set, w)
				return err
			}, "SELECT num, parent, wrapped FROM seal_key WHERE tenant = $1 AND num > $2 AND num <> 0 AND parent <> $3 AND wrapped IS NOT NULL ORDER BY num LIMIT $4",
				k.num, last, newest, rewrapSet)
		})
		if err != nil {
			return done, err
		}
		if len(set) == 0 {
			return done, nil
		}
		last = set[len(set)-1].num
		n, err := s.rewrapKeys(ctx, k, set, newest, top)
		done += n
		if err != nil {
			return done, err
		}
		progress(done)
	}
}

// rewrapKeys wraps keys by the version of the tenant's key. A key that was destroyed meanwhile stays destroyed.
func (s *Store) rewrapKeys(ctx context.Context, k *tenantKeys, set []wrappedKey, newest int64, top *seal.Key) (int, error) {
	fresh := make([][]byte, len(set))
	for i, w := range set {
		above, err := s.topKey(ctx, nil, k, w.parent)
		if err != nil {
			return 0, err
		}
		key, err := seal.Unwrap(above, w.wrapped, keyData(k.num, w.num))
		if err != nil {
			return 0, fmt.Errorf("record: key %d of tenant %d: %w", w.num, k.num, err)
		}
		if fresh[i], err = key.Wrap(top, keyData(k.num, w.num)); err != nil {
			return 0, err
		}
	}
	done := 0
	err := s.engine.Commit(ctx, k.num, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		done = 0
		for i, w := range set {
			n, err := tx.Exec(ctx, "UPDATE seal_key SET wrapped = $3, parent = $4 WHERE tenant = $1 AND num = $2 AND parent = $5 AND wrapped IS NOT NULL",
				k.num, w.num, fresh[i], newest, w.parent)
			if err != nil {
				return nil, err
			}
			done += int(n)
		}
		return nil, nil
	}})
	if err != nil {
		return 0, err
	}
	return done, nil
}

// resealSet is how many bodies one transaction seals anew.
const resealSet = 100

// ResealTenant seals anew, by the newest version of the tenant's key, the bodies that an older version sealed: those that belong to no
// patient. It reads all versions once. What modules sealed in their own tables is theirs to seal anew ([Ledger.Stale]). It
// returns how many bodies it sealed.
func (s *Store) ResealTenant(ctx context.Context, progress func(int)) (int, error) {
	k, err := s.forTenant(ctx, access.From(ctx).Tenant)
	if err != nil {
		return 0, err
	}
	if err := s.lookForNewer(ctx, k); err != nil {
		return 0, err
	}
	newest, top := k.newest()
	done := 0
	for last := int64(0); ; {
		var set []sealedVersion
		err := s.engine.Read(ctx, k.num, func(q sqldb.Querier) error {
			set = set[:0]
			return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
				var v sealedVersion
				err := rows.Scan(&v.num, &v.seq, &v.vid, &v.typ, &v.keynum, &v.body)
				set = append(set, v)
				return err
			}, "SELECT num, seq, vid, type, keynum, body FROM version WHERE tenant = $1 AND seq > $2 AND keynum <= 0 AND keynum <> $3 AND body IS NOT NULL ORDER BY seq LIMIT $4",
				k.num, last, newest, resealSet)
		})
		if err != nil || len(set) == 0 {
			return done, err
		}
		last = set[len(set)-1].seq
		n, err := s.resealBodies(ctx, k, set, newest, top)
		done += n
		if err != nil {
			return done, err
		}
		tell(progress, done)
	}
}

func (s *Store) resealBodies(ctx context.Context, k *tenantKeys, set []sealedVersion, newest int64, top *seal.Key) (int, error) {
	fresh := make([][]byte, len(set))
	for i := range set {
		v := &set[i]
		old, err := s.topKey(ctx, nil, k, v.keynum)
		if err != nil {
			return 0, err
		}
		place := bodyData(k.num, v.typ, v.num, v.vid)
		packed, err := old.Open(nil, v.body, place)
		if err != nil {
			return 0, fmt.Errorf("record: version %d of tenant %d: %w", v.seq, k.num, err)
		}
		fresh[i] = top.Seal(make([]byte, 0, len(packed)+seal.Overhead), packed, place)
	}
	done := 0
	err := s.engine.Commit(ctx, k.num, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		done = 0
		for i := range set {
			n, err := tx.Exec(ctx, "UPDATE version SET keynum = $3, body = $4 WHERE tenant = $1 AND seq = $2 AND keynum = $5 AND body IS NOT NULL",
				k.num, set[i].seq, newest, fresh[i], set[i].keynum)
			if err != nil {
				return nil, err
			}
			done += int(n)
		}
		return nil, nil
	}})
	if err != nil {
		return 0, err
	}
	return done, nil
}

// KeyState is what is known of a key, or of a kind of keys: nothing secret.
type KeyState struct {
	Kind   string    // "root", "tenant", "blind", "patients"
	ID     string    // a root key's id; "version 2" of the tenant's key
	State  string    // "current": wraps and seals; "standing": opens only; "destroyed"
	Made   time.Time // zero: not known
	Wraps  int64     // how many keys it wraps: a root key the tenants', a tenant's the patients'; of "patients", how many there are
	Parent string    // the id of the key that wraps it, "" where none does
}

// KeyStates returns the root keys with how many keys of all tenants each wraps, the versions of the key of the caller's tenant, the
// key of its blind indexes, and how many patients' keys each version wraps, and how many were destroyed.
func (s *Store) KeyStates(ctx context.Context) ([]KeyState, error) {
	tenant := access.From(ctx).Tenant
	if _, err := s.forTenant(ctx, tenant); err != nil {
		return nil, err
	}
	root, _ := s.keys.root.(rotatingRoot)
	out, err := s.rootStates(ctx, root)
	if err != nil {
		return nil, err
	}
	var below []KeyState
	err = s.engine.View(ctx, tenant, func(q sqldb.Querier) error {
		counts, destroyed, err := countKeys(ctx, q, tenant)
		if err != nil {
			return err
		}
		current := true
		err = sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var num, parent, made int64
			var wrapped []byte
			if err := rows.Scan(&num, &parent, &made, &wrapped); err != nil {
				return err
			}
			st := KeyState{Kind: "tenant", ID: versionID(num), State: "standing", Made: time.UnixMicro(made), Wraps: counts[num]}
			switch {
			case num == blindKey:
				st = KeyState{Kind: "blind", State: "current", Made: st.Made, Parent: versionID(parent)}
			case current:
				st.State, current = "current", false
			}
			if wrapped == nil {
				st.State = "destroyed"
			}
			if id, ok := wrappedBy(root, wrapped); ok && num != blindKey {
				st.Parent = rootID(id)
			}
			below = append(below, st)
			return nil
		}, "SELECT num, parent, created_at, wrapped FROM seal_key WHERE tenant = $1 AND num <= 0 ORDER BY CASE WHEN num = -1 THEN 1 ELSE num END", tenant)
		if destroyed > 0 {
			below = append(below, KeyState{Kind: "patients", State: "destroyed", Wraps: destroyed})
		}
		return err
	})
	return append(out, below...), err
}

func versionID(num int64) string { return "version " + strconv.FormatInt(keyVersion(num), 10) }

func rootID(id uint32) string { return strconv.FormatUint(uint64(id), 10) }

func wrappedBy(root rotatingRoot, wrapped []byte) (uint32, bool) {
	if root == nil || wrapped == nil {
		return 0, false
	}
	return root.WrappedBy(wrapped)
}

func (s *Store) rootStates(ctx context.Context, root rotatingRoot) ([]KeyState, error) {
	if root == nil {
		return []KeyState{{Kind: "root", State: "current"}}, nil
	}
	counts, err := s.rootCounts(ctx, root)
	if err != nil {
		return nil, err
	}
	var out []KeyState
	for i, id := range root.Keys() {
		st := KeyState{Kind: "root", ID: rootID(id), State: "standing", Wraps: counts[id]}
		if i == 0 {
			st.State = "current"
		}
		out = append(out, st)
	}
	return out, nil
}

// countKeys counts the keys below the tenant's by the version that wraps them, and those that were destroyed.
func countKeys(ctx context.Context, q sqldb.Querier, tenant int32) (counts map[int64]int64, destroyed int64, err error) {
	counts = map[int64]int64{}
	err = sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var parent, n int64
		err := rows.Scan(&parent, &n)
		counts[parent] = n
		return err
	}, "SELECT parent, count(*) FROM seal_key WHERE tenant = $1 AND num > 0 AND wrapped IS NOT NULL GROUP BY parent", tenant)
	if err != nil {
		return nil, 0, err
	}
	_, err = sqldb.QueryRow(ctx, q, []any{&destroyed}, "SELECT count(*) FROM seal_key WHERE tenant = $1 AND num > 0 AND wrapped IS NULL", tenant)
	return counts, destroyed, err
}

// noteKeys has what was done to keys audited.
func (s *Store) noteKeys(ctx context.Context, action, kind, detail string) {
	caller := access.From(ctx)
	s.note(audit.Entry{Tenant: caller.Tenant, Kind: audit.Admin, Action: action, Type: "Key", Who: caller.Who, Name: caller.Name, Client: caller.Client,
		Session: caller.Session, Purpose: caller.Purpose, Address: caller.Address, Request: caller.RequestID, Detail: kind + " key " + detail})
}

var _ rotatingRoot = (*seal.RootFile)(nil)
