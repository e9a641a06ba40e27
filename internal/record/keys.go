package record

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The two keys of a tenant that are no patient's. Later versions of the tenant's key have the numbers below blindKey, the newest
// the lowest; see [keyVersion].
const (
	tenantKey int64 = 0
	blindKey  int64 = -1
)

// isTop reports whether the number is that of a version of the tenant's key.
func isTop(num int64) bool { return num == tenantKey || num < blindKey }

// keyVersion counts the versions of the tenant's key from 1.
func keyVersion(num int64) int64 {
	if num == tenantKey {
		return 1
	}
	return -num
}

// topNum undoes keyVersion.
func topNum(version int64) int64 {
	if version == 1 {
		return tenantKey
	}
	return -version
}

// keysKept is how many opened patient keys stay in memory.
const keysKept = 20_000

// keyring opens the data keys of all tenants.
type keyring struct {
	root    seal.Root
	mu      sync.RWMutex
	tenants map[int32]*tenantKeys
	looking sync.WaitGroup // looks for newer versions
	closed  bool
}

// close waits for what looks for newer versions, and lets nobody look any more.
func (r *keyring) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.looking.Wait()
}

// tenantKeys is one tenant's keys.
type tenantKeys struct {
	num   int32
	base  *seal.Key // of the blind indexes; what must not change with a new version hangs on it
	blind *seal.Blinder
	marks atomic.Pointer[dayKey]

	mu      sync.RWMutex
	tops    map[int64]*seal.Key // versions of the tenant's key that are open
	current int64               // the newest of them
	look    time.Time           // when to look for a newer one
	open    map[int64]openKey   // patients
}

// openKey is a patient's key in memory. It is read again after keyLife, so that a key destroyed by another process is
// forgotten by this one.
type openKey struct {
	key   *seal.Key
	until time.Time
}

// keyLife is how long a patient's key is kept in memory before it is read again, and how long a new version of the tenant's key may
// stay unknown to another process, which goes on with the older one meanwhile.
const keyLife = time.Minute

func keyData(tenant int32, num int64) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(tenant))
	return binary.BigEndian.AppendUint64(b, uint64(num))
}

// forTenant returns the tenant's keys, making them the first time. Where they are in memory it asks nobody.
func (s *Store) forTenant(ctx context.Context, tenant int32) (*tenantKeys, error) {
	s.keys.mu.RLock()
	k := s.keys.tenants[tenant]
	s.keys.mu.RUnlock()
	if k != nil {
		if k.due() {
			s.lookLater(k)
		}
		return k, nil
	}
	k, err := s.loadKeys(ctx, tenant)
	if err != nil {
		return nil, err
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if other := s.keys.tenants[tenant]; other != nil {
		return other, nil
	}
	s.keys.tenants[tenant] = k
	return k, nil
}

// loadKeys opens the newest version of the tenant's key and the key of its blind indexes, and makes what is not there.
func (s *Store) loadKeys(ctx context.Context, tenant int32) (*tenantKeys, error) {
	rows, err := s.standing(ctx, tenant)
	if err != nil {
		return nil, err
	}
	k := &tenantKeys{num: tenant, look: time.Now().Add(keyLife), tops: map[int64]*seal.Key{}, open: map[int64]openKey{}}
	if err := k.openTop(s.keys.root, rows.newest, rows.keys[rows.newest]); err != nil {
		return nil, err
	}
	blind := rows.keys[blindKey]
	if isTop(blind.parent) && k.tops[blind.parent] == nil {
		if err := k.openTop(s.keys.root, blind.parent, rows.keys[blind.parent]); err != nil {
			return nil, err
		}
	}
	if k.base, err = seal.Unwrap(k.tops[blind.parent], blind.wrapped, keyData(tenant, blindKey)); err != nil {
		return nil, err
	}
	k.blind = seal.NewBlinder(k.base)
	return k, nil
}

// openTop unwraps a version of the tenant's key and takes it up.
func (k *tenantKeys) openTop(root seal.Root, num int64, row keyRow) error {
	if row.destroyed {
		return ErrErased
	}
	key, err := seal.Unwrap(root, row.wrapped, keyData(k.num, num))
	if err == nil {
		k.learn(num, key)
	}
	return err
}

// keyRow is a row of seal_key.
type keyRow struct {
	wrapped   []byte
	parent    int64
	destroyed bool
}

// standingRows are a tenant's keys that are no patient's.
type standingRows struct {
	keys   map[int64]keyRow
	newest int64
	listed bool
}

// tenantSetting is the name of the setting that says that a tenant has keys.
func tenantSetting(tenant int32) string { return tenantSettings + strconv.Itoa(int(tenant)) }

const tenantSettings = "tenant."

func readStanding(ctx context.Context, q sqldb.Querier, tenant int32) (*standingRows, error) {
	out := &standingRows{keys: map[int64]keyRow{}}
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var num int64
		var r keyRow
		err := rows.Scan(&num, &r.wrapped, &r.parent, &r.destroyed)
		out.keys[num] = r
		if num < blindKey && num < out.newest {
			out.newest = num
		}
		return err
	}, "SELECT num, wrapped, parent, destroyed_at IS NOT NULL FROM seal_key WHERE tenant = $1 AND num <= 0", tenant)
	if err != nil {
		return nil, err
	}
	var name string
	out.listed, err = sqldb.QueryRow(ctx, q, []any{&name}, "SELECT name FROM setting WHERE name = $1", tenantSetting(tenant))
	return out, err
}

// standing reads the tenant's keys that are no patient's, and makes them where there are none. Of two processes that make them, one wins.
func (s *Store) standing(ctx context.Context, tenant int32) (rows *standingRows, err error) {
	if err := s.engine.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		rows, err = readStanding(ctx, q, tenant)
		return err
	}); err != nil {
		return nil, err
	}
	_, hasTop := rows.keys[tenantKey]
	_, hasBlind := rows.keys[blindKey]
	if hasTop && hasBlind && rows.listed {
		return rows, nil
	}
	top := seal.NewKey()
	if hasTop { // a process of an older program was cut off between the two
		if top, err = seal.Unwrap(s.keys.root, rows.keys[tenantKey].wrapped, keyData(tenant, tenantKey)); err != nil {
			return nil, err
		}
	}
	wrapped, err := top.Wrap(s.keys.root, keyData(tenant, tenantKey))
	if err != nil {
		return nil, err
	}
	blind, err := seal.NewKey().Wrap(top, keyData(tenant, blindKey))
	if err != nil {
		return nil, err
	}
	const insert = "INSERT INTO seal_key (tenant, num, parent, wrapped, created_at) VALUES ($1, $2, 0, $3, $4) ON CONFLICT DO NOTHING"
	err = s.engine.Commit(ctx, tenant, &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
		now := s.clock().UnixMicro()
		n, err := tx.Exec(ctx, insert, tenant, tenantKey, wrapped, now)
		if err == nil && (n == 1 || hasTop) { // whoever makes the first makes the second
			_, err = tx.Exec(ctx, insert, tenant, blindKey, blind, now)
		}
		if err == nil {
			_, err = tx.Exec(ctx, "INSERT INTO setting (name, value) VALUES ($1, '') ON CONFLICT DO NOTHING", tenantSetting(tenant))
		}
		if err == nil {
			rows, err = readStanding(ctx, tx, tenant)
		}
		return nil, err
	}})
	if err == nil && rows.keys[blindKey].wrapped == nil {
		err = fmt.Errorf("record: the key of tenant %d's blind indexes is missing", tenant)
	}
	return rows, err
}

// keysStand fails where the database does not answer, or the root key does not open the tenant's.
func (s *Store) keysStand(ctx context.Context, tenant int32) error {
	rows, err := s.standing(ctx, tenant)
	if err != nil {
		return err
	}
	_, err = seal.Unwrap(s.keys.root, rows.keys[rows.newest].wrapped, keyData(tenant, rows.newest))
	return err
}

// KeyedTenants returns all tenants that have keys: those that ever used the store.
func (s *Store) KeyedTenants(ctx context.Context) ([]int32, error) {
	var tenants []int32
	err := s.engine.Read(ctx, 1, func(q sqldb.Querier) error {
		tenants = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			n, err := strconv.ParseInt(strings.TrimPrefix(name, tenantSettings), 10, 32)
			tenants = append(tenants, int32(n))
			return err
		}, "SELECT name FROM setting WHERE name LIKE '"+tenantSettings+"%'")
	})
	return tenants, err
}

// newest returns the version of the tenant's key that wraps and seals, with its number.
func (k *tenantKeys) newest() (int64, *seal.Key) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.current, k.tops[k.current]
}

// learn takes up a version of the tenant's key.
func (k *tenantKeys) learn(num int64, key *seal.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tops) == 0 || keyVersion(num) > keyVersion(k.current) {
		k.current = num
	}
	k.tops[num] = key
}

// due reports, to one caller, that it is time to look for a newer version.
func (k *tenantKeys) due() bool {
	now := time.Now()
	k.mu.RLock()
	due := now.After(k.look)
	k.mu.RUnlock()
	if !due {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if due = now.After(k.look); due {
		k.look = now.Add(keyLife)
	}
	return due
}

// lookLater looks for a newer version without making the caller wait, who may hold a connection.
func (s *Store) lookLater(k *tenantKeys) {
	s.keys.mu.RLock()
	defer s.keys.mu.RUnlock()
	if s.keys.closed {
		return
	}
	s.keys.looking.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = s.lookForNewer(ctx, k) // the version at hand is good until the next look
	})
}

// lookForNewer takes up the newest version of the tenant's key.
func (s *Store) lookForNewer(ctx context.Context, k *tenantKeys) error {
	var num int64
	err := s.engine.Read(ctx, k.num, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&num}, "SELECT num FROM seal_key WHERE tenant = $1 AND num <= 0 AND num <> -1 ORDER BY num LIMIT 1", k.num)
		return err
	})
	if err != nil {
		return err
	}
	_, err = s.topKey(ctx, nil, k, num)
	return err
}

const selectKey = "SELECT wrapped, parent, coalesce(destroyed_at, 0) FROM seal_key WHERE tenant = $1 AND num = $2"

// topKey returns a version of the tenant's key. q reads one that is not in memory; nil where the caller holds no connection.
func (s *Store) topKey(ctx context.Context, q sqldb.Querier, k *tenantKeys, num int64) (*seal.Key, error) {
	if key := k.cached(num); key != nil {
		return key, nil
	}
	var row keyRow
	var destroyed int64
	found := false
	read := func(q sqldb.Querier) (err error) {
		found, err = sqldb.QueryRow(ctx, q, []any{&row.wrapped, &row.parent, &destroyed}, selectKey, k.num, num)
		return err
	}
	var err error
	if q != nil {
		err = read(q)
	} else {
		err = s.engine.Read(ctx, k.num, read)
	}
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("record: version %d of tenant %d's key is missing", keyVersion(num), k.num)
	}
	row.destroyed = destroyed != 0
	if err := k.openTop(s.keys.root, num, row); err != nil {
		return nil, err
	}
	return k.cached(num), nil
}

// ErrErased is what a write to, or a read of, a patient gets whose key is destroyed, or is about to be.
var ErrErased = fault.New(fault.Gone, "the patient's record was erased")

// patientKey returns the key of that number, a patient's or a version of the tenant's; nil where there is none, ErrErased where it
// was destroyed.
func (s *Store) patientKey(ctx context.Context, q sqldb.Querier, tenant int32, num int64) (*seal.Key, error) {
	k, err := s.forTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if isTop(num) {
		return s.topKey(ctx, q, k, num)
	}
	if key := k.cached(num); key != nil {
		return key, nil
	}
	var wrapped []byte
	var parent, destroyed int64
	found, err := sqldb.QueryRow(ctx, q, []any{&wrapped, &parent, &destroyed}, selectKey, tenant, num)
	if err != nil || !found {
		return nil, err
	}
	if destroyed != 0 {
		return nil, ErrErased
	}
	above, err := s.topKey(ctx, q, k, parent)
	if err != nil {
		return nil, err
	}
	return seal.Unwrap(above, wrapped, keyData(tenant, num))
}

// readingKey is patientKey for reading what is committed: a key that is not there is a defect, one that is stays in the cache.
func (s *Store) readingKey(ctx context.Context, q sqldb.Querier, tenant int32, num int64) (*seal.Key, error) {
	k, err := s.forTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if key := k.cached(num); key != nil {
		return key, nil
	}
	var key *seal.Key
	read := func(q sqldb.Querier) (err error) {
		key, err = s.patientKey(ctx, q, tenant, num)
		return err
	}
	if q != nil {
		err = read(q)
	} else {
		err = s.engine.Read(ctx, tenant, read)
	}
	if err == nil && key == nil {
		err = fmt.Errorf("record: key %d of tenant %d is missing", num, tenant)
	}
	if err == nil {
		k.keep(num, key)
	}
	return key, err
}

// cached returns the key where it is in memory; else nil.
func (k *tenantKeys) cached(num int64) *seal.Key {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if isTop(num) {
		return k.tops[num]
	}
	if o, ok := k.open[num]; ok && time.Now().Before(o.until) {
		return o.key
	}
	return nil
}

// keep keeps a patient's key in memory.
func (k *tenantKeys) keep(num int64, key *seal.Key) {
	if isTop(num) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.open) >= keysKept {
		for other := range k.open { // any one: a map's order is as good as random
			delete(k.open, other)
			break
		}
	}
	k.open[num] = openKey{key, time.Now().Add(keyLife)}
}

func (k *tenantKeys) drop(num int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, num)
}

// blindRow returns the row that stands for a text of a blind atom: for a string its chain, else one keyed hash. The system
// of an identifier is no secret and stays; search makes no Sub for blind strings.
func (k *tenantKeys) blindRow(r search.TextRow, num int64) IdxText {
	if blindStrings()[r.Atom] {
		return IdxText{r.Atom, string(k.blind.Chain(r.Atom, r.Val)), num, r.Sub}
	}
	return IdxText{r.Atom, string(k.blind.Blind(r.Atom, r.Val)), num, r.Sub}
}
