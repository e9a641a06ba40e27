package record

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The two keys of a tenant that are no patient's.
const (
	tenantKey int64 = 0
	blindKey  int64 = -1
)

// keysKept is how many opened patient keys stay in memory.
const keysKept = 20_000

// keyring opens the data keys of all tenants.
type keyring struct {
	root    seal.Root
	mu      sync.RWMutex
	tenants map[int32]*tenantKeys
}

// tenantKeys is one tenant's keys.
type tenantKeys struct {
	tenant *seal.Key
	blind  *seal.Blinder
	mu     sync.RWMutex
	open   map[int64]openKey // patients
}

// openKey is a patient's key in memory. It is read again after keyLife, so that a key destroyed by another process is
// forgotten by this one.
type openKey struct {
	key   *seal.Key
	until time.Time
}

// keyLife is how long a patient's key is kept in memory before it is read again.
const keyLife = time.Minute

func keyData(tenant int32, num int64) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(tenant))
	return binary.BigEndian.AppendUint64(b, uint64(num))
}

// forTenant returns the tenant's keys, making them the first time.
func (s *Store) forTenant(ctx context.Context, tenant int32) (*tenantKeys, error) {
	s.keys.mu.RLock()
	k := s.keys.tenants[tenant]
	s.keys.mu.RUnlock()
	if k != nil {
		return k, nil
	}
	top, err := s.standingKey(ctx, tenant, tenantKey, s.keys.root)
	if err != nil {
		return nil, err
	}
	blind, err := s.standingKey(ctx, tenant, blindKey, top)
	if err != nil {
		return nil, err
	}
	k = &tenantKeys{tenant: top, blind: seal.NewBlinder(blind), open: map[int64]openKey{}}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if other := s.keys.tenants[tenant]; other != nil {
		return other, nil
	}
	s.keys.tenants[tenant] = k
	return k, nil
}

const selectKey = "SELECT wrapped, coalesce(destroyed_at, 0) FROM seal_key WHERE tenant = $1 AND num = $2"

// standingKey reads the key of that number and makes it where there is none. Of two processes that make it, one wins.
func (s *Store) standingKey(ctx context.Context, tenant int32, num int64, parent seal.Wrapper) (*seal.Key, error) {
	var wrapped []byte
	var destroyed int64
	read := func(q sqldb.Querier) error {
		found, err := sqldb.QueryRow(ctx, q, []any{&wrapped, &destroyed}, selectKey, tenant, num)
		if err == nil && !found {
			wrapped = nil
		}
		return err
	}
	if err := s.engine.Read(ctx, tenant, read); err != nil {
		return nil, err
	}
	if wrapped == nil && destroyed == 0 {
		fresh, err := seal.NewKey().Wrap(parent, keyData(tenant, num))
		if err != nil {
			return nil, err
		}
		job := &Job{Solo: true, Run: func(ctx context.Context, tx Tx) (*Rows, error) {
			if _, err := tx.Exec(ctx, "INSERT INTO seal_key (tenant, num, wrapped, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
				tenant, num, fresh, s.clock().UnixMicro()); err != nil {
				return nil, err
			}
			return nil, read(tx)
		}}
		if err := s.engine.Commit(ctx, tenant, job); err != nil {
			return nil, err
		}
	}
	if destroyed != 0 {
		return nil, ErrErased
	}
	return seal.Unwrap(parent, wrapped, keyData(tenant, num))
}

// ErrErased is what a write to, or a read of, a patient gets whose key is destroyed, or is about to be.
var ErrErased = fault.New(fault.Gone, "the patient's record was erased")

// patientKey returns the key of that number, 0 being the tenant's; nil where there is none, ErrErased where it was destroyed.
func (s *Store) patientKey(ctx context.Context, q sqldb.Querier, tenant int32, num int64) (*seal.Key, error) {
	k, err := s.forTenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if key := k.cached(num); key != nil {
		return key, nil
	}
	var wrapped []byte
	var destroyed int64
	found, err := sqldb.QueryRow(ctx, q, []any{&wrapped, &destroyed}, selectKey, tenant, num)
	if err != nil || !found {
		return nil, err
	}
	if destroyed != 0 {
		return nil, ErrErased
	}
	return seal.Unwrap(k.tenant, wrapped, keyData(tenant, num))
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

// cached returns the key where it is in memory, as the tenant's own always is; else nil.
func (k *tenantKeys) cached(num int64) *seal.Key {
	if num == tenantKey {
		return k.tenant
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if o, ok := k.open[num]; ok && time.Now().Before(o.until) {
		return o.key
	}
	return nil
}

func (k *tenantKeys) keep(num int64, key *seal.Key) {
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
