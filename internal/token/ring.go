package token

import (
	"context"
	"crypto"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

//go:embed migration
var migrations embed.FS

// Module is the name that the package's tables are migrated under.
const Module = "token"

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// Tables are the package's tables, for backups.
func Tables() []record.Table {
	return []record.Table{{Name: "signing_key", Columns: []string{"tenant", "kid", "alg", "state", "public", "private", "activated_at", "retired_at",
		"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}}}
}

// Options says how a ring works. Zero values are the usual ones.
type Options struct {
	Clock clock.Clock   // nil: the system's
	Every time.Duration // how long a key signs; 30 days
	Life  time.Duration // the longest life of a token; 24 hours. Keep it where it was shorter: it decides how long a retired key is published
}

const (
	usualEvery = 30 * 24 * time.Hour
	usualLife  = 24 * time.Hour
	// leeway is how far clocks may be apart.
	leeway = 30 * time.Second
	// ringLife is how long a process goes by what it read of the ring.
	ringLife = 30 * time.Second
	// linger is how much longer than a token can live its key is published: for clocks, and for a process that has not heard yet.
	linger = 5 * time.Minute
	// usualPause is how far rereads of a ring for a key that is not known are apart.
	usualPause = time.Second
)

// Ring is the [Signer] whose keys lie in the database. It is safe for concurrent use, and several processes share one database.
// Its methods must not be called in a transaction of the ledger.
type Ring struct {
	ledger *record.Ledger
	clock  clock.Clock
	every  time.Duration
	life   time.Duration
	pause  time.Duration
	mu     sync.Mutex
	rings  map[int32]*tenantRing
}

var _ Signer = (*Ring)(nil)

// New returns the ring on the ledger's database, whose tables must stand ([Migrations]).
func New(l *record.Ledger, o Options) *Ring {
	r := &Ring{ledger: l, clock: o.Clock, every: o.Every, life: o.Life, pause: usualPause, rings: map[int32]*tenantRing{}}
	if r.clock == nil {
		r.clock = clock.System
	}
	if r.every <= 0 {
		r.every = usualEvery
	}
	if r.life <= 0 {
		r.life = usualLife
	}
	return r
}

// tenantRing is what a process knows of one tenant's keys.
type tenantRing struct {
	tenant  int32
	reading sync.Mutex // held by who reads
	last    time.Time  // when somebody last began to read, by the machine's clock
	seen    atomic.Pointer[snapshot]
	mu      sync.Mutex
	signers map[string]crypto.Signer
}

// snapshot is one reading of a ring. It is never changed.
type snapshot struct {
	at     time.Time // by the ring's clock
	began  time.Time // by the machine's
	keys   map[string]*key
	active map[string]*key // by algorithm
	jwks   []byte
}

func (r *Ring) of(tenant int32) *tenantRing {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.rings[tenant]
	if t == nil {
		t = &tenantRing{tenant: tenant, signers: map[string]crypto.Signer{}}
		r.rings[tenant] = t
	}
	return t
}

// Start makes sure that the tenant has keys for ES256, so that the first sign-in need not wait for them. Those for RS256 take longer to
// make, and are made when they are first asked for.
func (r *Ring) Start(ctx context.Context, tenant int32) error {
	_, err := r.signing(ctx, r.of(tenant), ES256)
	return err
}

// reread reads the ring. The caller holds t.reading.
func (r *Ring) reread(ctx context.Context, t *tenantRing) (*snapshot, error) {
	began, now := time.Now(), r.clock()
	t.last = began
	keys, err := r.readKeys(ctx, t.tenant)
	if err != nil {
		return nil, err
	}
	s, err := newSnapshot(now, keys)
	if err != nil {
		return nil, err
	}
	s.began = began
	t.mu.Lock()
	for kid := range t.signers {
		if k := s.keys[kid]; k == nil || k.state == gone {
			delete(t.signers, kid)
		}
	}
	t.mu.Unlock()
	t.seen.Store(s)
	return s, nil
}

func newSnapshot(now time.Time, keys []*key) (*snapshot, error) {
	s := &snapshot{at: now, keys: map[string]*key{}, active: map[string]*key{}}
	for _, k := range keys {
		s.keys[k.kid] = k
		if k.state == active {
			s.active[k.alg] = k
		}
	}
	var err error
	s.jwks, err = marshalJWKS(keys)
	return s, err
}

// stale reports that what was read should be read again.
func (s *snapshot) stale(now time.Time) bool {
	return s == nil || now.Before(s.at) || now.Sub(s.at) > ringLife
}

// fresh returns a reading that is at most ringLife old.
func (r *Ring) fresh(ctx context.Context, t *tenantRing) (*snapshot, error) {
	if s := t.seen.Load(); !s.stale(r.clock()) {
		return s, nil
	}
	t.reading.Lock()
	defer t.reading.Unlock()
	if s := t.seen.Load(); !s.stale(r.clock()) {
		return s, nil
	}
	return r.reread(ctx, t)
}

// atHand returns the last reading, and reads again where that is old and nobody else does; while the database is away the old one is good.
func (r *Ring) atHand(ctx context.Context, t *tenantRing) (*snapshot, error) {
	s := t.seen.Load()
	if s == nil {
		return r.fresh(ctx, t)
	}
	if s.stale(r.clock()) && t.reading.TryLock() {
		defer t.reading.Unlock()
		if newer, err := r.reread(ctx, t); err == nil {
			return newer, nil
		}
	}
	return s, nil
}

// known returns the key that an authentic kid names; nil where there is none. A kid that the last reading does not know is
// looked for anew, by one caller at a time and at most every second.
func (r *Ring) known(ctx context.Context, t *tenantRing, kid string) (*key, error) {
	s, err := r.atHand(ctx, t)
	if err != nil {
		return nil, err
	}
	if k := s.keys[kid]; k != nil {
		return k, nil
	}
	if ok, err := r.authentic(ctx, t.tenant, kid); err != nil || !ok {
		return nil, err
	}
	asked := time.Now()
	t.reading.Lock()
	defer t.reading.Unlock()
	s = t.seen.Load()
	if k := s.keys[kid]; k != nil || s.began.After(asked) { // somebody looked while this one waited for the lock
		return k, nil
	}
	if err := wait(ctx, r.pause-time.Since(t.last)); err != nil {
		return nil, err
	}
	if s, err = r.reread(ctx, t); err != nil {
		return nil, err
	}
	return s.keys[kid], nil
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signing returns the key that signs, with its private half; both it and the next one are made where there are none.
func (r *Ring) signing(ctx context.Context, t *tenantRing, alg string) (*signingKey, error) {
	if generators[alg] == nil {
		return nil, fault.New(fault.Internal, "tokens are not signed by %.16q", alg)
	}
	s, err := r.fresh(ctx, t)
	if err != nil {
		return nil, err
	}
	k, err := r.open(ctx, t, s, alg)
	if errors.Is(err, errGone) { // another process revoked it since this one looked
		t.reading.Lock()
		s, err = r.reread(ctx, t)
		t.reading.Unlock()
		if err == nil {
			k, err = r.open(ctx, t, s, alg)
		}
	}
	return k, err
}

// open returns the signing key of a reading, with its private half.
func (r *Ring) open(ctx context.Context, t *tenantRing, s *snapshot, alg string) (_ *signingKey, err error) {
	if s.active[alg] == nil {
		if s, err = r.begin(ctx, t, alg); err != nil {
			return nil, err
		}
	}
	k := s.active[alg]
	if k == nil {
		return nil, fmt.Errorf("token: there is no key for %s", alg)
	}
	t.mu.Lock()
	signer := t.signers[k.kid]
	t.mu.Unlock()
	if signer == nil {
		if signer, err = r.openPrivate(ctx, t.tenant, k); err != nil {
			return nil, err
		}
		t.mu.Lock()
		t.signers[k.kid] = signer
		t.mu.Unlock()
	}
	return &signingKey{k, signer}, nil
}

// begin makes the first keys of an algorithm, one caller at a time.
func (r *Ring) begin(ctx context.Context, t *tenantRing, alg string) (*snapshot, error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	if s := t.seen.Load(); s != nil && s.active[alg] != nil {
		return s, nil
	}
	if err := r.makeFirst(ctx, t.tenant, alg); err != nil {
		return nil, err
	}
	return r.reread(ctx, t)
}

// Rotate makes the next keys of the tenant the signing ones, at once, and publishes new next ones. What was signed before verifies
// until it expires. Where another process rotates at the same moment, one of the two does it.
func (r *Ring) Rotate(ctx context.Context, tenant int32) error {
	return r.renew(ctx, tenant, func(*key) bool { return true })
}

// Upkeep rotates the keys whose time to sign is over, publishes next ones where there are none, and lets those go that no valid
// token can need any more. Call it now and then, once a minute to once an hour, in every process.
func (r *Ring) Upkeep(ctx context.Context, tenant int32) error {
	now := r.clock()
	if err := r.bury(ctx, tenant, now.Add(-r.life-linger)); err != nil {
		return err
	}
	return r.renew(ctx, tenant, func(k *key) bool { return now.Sub(k.activated) >= r.every })
}

// renew rotates the active keys that are due, and makes next ones where there are none.
func (r *Ring) renew(ctx context.Context, tenant int32, due func(*key) bool) error {
	t := r.of(tenant)
	t.reading.Lock()
	defer t.reading.Unlock()
	s, err := r.reread(ctx, t)
	if err != nil {
		return err
	}
	var errs []error
	for alg, k := range s.active {
		if due(k) {
			errs = append(errs, r.advance(ctx, tenant, k))
		} else if !s.hasNext(alg) {
			errs = append(errs, r.insertFresh(ctx, tenant, alg, next))
		}
	}
	_, err = r.reread(ctx, t)
	return errors.Join(append(errs, err)...)
}

func (s *snapshot) hasNext(alg string) bool {
	for _, k := range s.keys {
		if k.alg == alg && k.state == next {
			return true
		}
	}
	return false
}

// Revoke lets a key go at once, as after its theft: what it signed is refused, by other processes within half a minute. Where it was
// signing, the next one signs. NotFound where there is no such key.
func (r *Ring) Revoke(ctx context.Context, tenant int32, kid string) error {
	t := r.of(tenant)
	t.reading.Lock()
	defer t.reading.Unlock()
	s, err := r.reread(ctx, t)
	if err != nil {
		return err
	}
	k := s.keys[kid]
	if k == nil || k.state == gone {
		return fault.New(fault.NotFound, "there is no signing key with this kid")
	}
	if k.state == active {
		if err := r.advance(ctx, tenant, k); err != nil {
			return err
		}
	}
	if err := r.remove(ctx, tenant, kid); err != nil {
		return err
	}
	if k.state == next {
		if err := r.insertFresh(ctx, tenant, k.alg, next); err != nil {
			return err
		}
	}
	_, err = r.reread(ctx, t)
	return err
}

// JWKS implements [Signer]: next, active and retired keys. Answers may be cached for as long as a next key is published before it
// signs, minutes in any case.
func (r *Ring) JWKS(ctx context.Context, tenant int32) ([]byte, error) {
	s, err := r.atHand(ctx, r.of(tenant))
	if err != nil {
		return nil, err
	}
	return s.jwks, nil
}

// KeyState is what is known of a signing key: nothing secret.
type KeyState struct {
	Kid, Alg, State          string
	Made, Activated, Retired time.Time // zero: not yet
	Until                    time.Time // of a retired key: until when it is published
}

// States returns the tenant's keys, those that are gone among them, as the database has them now, by algorithm and age.
func (r *Ring) States(ctx context.Context, tenant int32) ([]KeyState, error) {
	keys, err := r.readKeys(ctx, tenant)
	if err != nil {
		return nil, err
	}
	out := make([]KeyState, 0, len(keys))
	for _, k := range keys {
		st := KeyState{Kid: k.kid, Alg: k.alg, State: string(k.state), Made: k.made, Activated: k.activated, Retired: k.retired}
		if k.state == retired {
			st.Until = k.retired.Add(r.life + linger)
		}
		out = append(out, st)
	}
	return out, nil
}
