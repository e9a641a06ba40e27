package identity

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nilecare/nilecare/internal/access"
)

// lifeOfCached is how long a credential is taken on what was found before: what another process changes is heard by then.
const lifeOfCached = 2 * time.Second

// maxCached bounds the credentials that are remembered, in each part.
const (
	maxCached = 8192
	parts     = 16
)

// cached is what was found of a credential. It is never changed.
type cached struct {
	caller  access.Caller
	session int64 // that it hangs by; 0: none
	key     int64
	until   time.Time      // by the service's clock
	from    []netip.Prefix // where it may come from; none: everywhere
}

// cacheKey tells credentials apart without keeping them.
type cacheKey struct {
	sum     [sha256.Size]byte
	kind    byte
	tenant  int32
	purpose string
}

// cache remembers the callers of credentials.
type cache struct {
	changes atomic.Uint64 // grows with every change: what was found before one is not remembered after it
	parts   [parts]struct {
		sync.RWMutex
		m map[cacheKey]*cached
	}
}

func newCache() *cache {
	c := &cache{}
	for i := range c.parts {
		c.parts[i].m = map[cacheKey]*cached{}
	}
	return c
}

func (c *cache) get(k *cacheKey, now time.Time) *cached {
	p := &c.parts[k.sum[0]%parts]
	p.RLock()
	e := p.m[*k]
	p.RUnlock()
	if e == nil || !now.Before(e.until) {
		return nil
	}
	return e
}

// put remembers an entry that was found after the change of that number, unless there was another since.
func (c *cache) put(k cacheKey, e *cached, change uint64) {
	p := &c.parts[k.sum[0]%parts]
	p.Lock()
	defer p.Unlock()
	if c.changes.Load() != change {
		return
	}
	if len(p.m) >= maxCached {
		clear(p.m)
	}
	p.m[k] = e
}

// forget drops the entries that match.
func (c *cache) forget(match func(*cached) bool) {
	c.changes.Add(1)
	for i := range c.parts {
		p := &c.parts[i]
		p.Lock()
		for k, e := range p.m {
			if match(e) {
				delete(p.m, k)
			}
		}
		p.Unlock()
	}
}

// forgetUser forgets, in this process, all that was remembered of a user's credentials. Call it after a change of what the user may do.
func (s *Service) forgetUser(tenant int32, user int64) {
	s.cache.forget(func(e *cached) bool { return e.caller.Tenant == tenant && e.caller.User == user })
}

func (s *Service) forgetSession(tenant int32, session int64) {
	s.cache.forget(func(e *cached) bool { return e.caller.Tenant == tenant && e.session == session })
}

func (s *Service) forgetKey(tenant int32, key int64) {
	s.cache.forget(func(e *cached) bool { return e.caller.Tenant == tenant && e.key == key })
}

// Forget forgets, in this process, all that was remembered of a tenant's credentials: after it was suspended, or an app's sessions ended.
func (s *Service) Forget(tenant int32) {
	s.rolesMu.Lock()
	delete(s.roleSets, tenant)
	s.rolesMu.Unlock()
	s.cache.forget(func(e *cached) bool { return e.caller.Tenant == tenant })
}
