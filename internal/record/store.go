package record

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/pack"
	"github.com/nilecare/nilecare/internal/seal"
)

// Options says how a store works.
type Options struct {
	Root   seal.Root       // wraps the tenants' keys
	Clock  clock.Clock     // nil: the system's
	Base   string          // the server's own base URL: absolute references to it are taken as relative; may be ""
	Rules  map[string]Rule // by resource type
	Audit  audit.Sink      // takes what is read; nil: nobody is told
	Tables []Table         // of modules, for backups
}

// Store is the record. It is safe for concurrent use.
type Store struct {
	engine   Engine
	clock    clock.Clock
	base     string
	rules    map[string][]Rule
	setRules []governed
	guards   []guarded
	onCommit atomic.Pointer[func(tenant int32)]
	numbers  *ident.Source
	codec    *pack.Codec
	keys     keyring
	aliases  aliasCache
	sink     audit.Sink
	consents consentTenants
	tables   []Table // of modules
}

// New returns a store on an open engine, which it owns from then on.
func New(ctx context.Context, e Engine, o Options) (*Store, error) {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if err := checkTables(o.Tables); err != nil {
		return nil, err
	}
	codec, err := pack.New()
	if err != nil {
		return nil, err
	}
	s := &Store{
		codec: codec, engine: e, clock: o.Clock, base: o.Base, rules: map[string][]Rule{},
		numbers: ident.NewSource(o.Clock, e.Node(), e.Last()),
		keys:    keyring{root: o.Root, tenants: map[int32]*tenantKeys{}},
		aliases: aliasCache{nums: map[aliasKey]int64{}},
		sink:    o.Audit,
		tables:  o.Tables,
	}
	s.Govern(o.Rules)
	// A wrong root key is found now, not at the first request.
	if _, err := s.forTenant(ctx, access.From(ctx).Tenant); err != nil {
		return nil, err
	}
	return s, nil
}

// note hands an entry to whoever keeps the audit.
func (s *Store) note(e audit.Entry) {
	if s.sink != nil {
		s.sink.Note(e)
	}
}

// Close closes the engine after what it accepted is done.
func (s *Store) Close() error {
	s.keys.close()
	return s.engine.Close()
}

// Ready reports whether the database answers.
func (s *Store) Ready(ctx context.Context) error {
	return s.keysStand(ctx, access.From(ctx).Tenant)
}

// Size returns the bytes that the database takes on disk.
func (s *Store) Size(ctx context.Context) (int64, error) { return s.engine.Size(ctx) }

// resourceType returns the definition of a concrete resource type.
func resourceType(name string) (*def.Type, error) {
	t := def.Lookup(name)
	if t == nil || t.Num == 0 {
		return nil, fault.New(fault.NotFound, "%.64q is no resource type of FHIR R4", name).WithCode("not-supported")
	}
	return t, nil
}

// aliasKey is a FHIR id that is no number.
type aliasKey struct {
	tenant int32
	typ    int
	fid    string
}

// aliasCache remembers which record a FHIR id stands for. An alias never changes, so the cache is never wrong.
type aliasCache struct {
	mu   sync.RWMutex
	nums map[aliasKey]int64
}

const aliasesKept = 100_000

func (c *aliasCache) get(k aliasKey) (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, ok := c.nums[k]
	return n, ok
}

func (c *aliasCache) put(k aliasKey, num int64) {
	k.fid = strings.Clone(k.fid) // a part of a parsed body, as most ids here are, would keep the whole body in memory
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.nums) >= aliasesKept {
		for other := range c.nums {
			delete(c.nums, other)
			break
		}
	}
	c.nums[k] = num
}
