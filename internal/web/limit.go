package web

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
)

// Rate is how many requests are served in a time, all at once if need be. The zero Rate does not limit.
type Rate struct {
	Requests int
	Per      time.Duration
}

func (r Rate) limits() bool { return r.Requests > 0 && r.Per > 0 }

// Rates are a class's limits: of an API key or client, of a user, and of an address from which nobody known calls.
type Rates struct{ Key, User, Address Rate }

// Match is a set of requests. What is empty is not asked.
type Match struct {
	Method string
	Prefix string // the path, or a path that it stands below
	Suffix string // the path's end
}

func (m Match) holds(method, path string) bool {
	return (m.Method == "" || m.Method == method) && (m.Prefix == "" || below(path, m.Prefix)) && (m.Suffix == "" || strings.HasSuffix(path, m.Suffix))
}

// Class is requests that are counted together, apart from all others.
type Class struct {
	Name  string // of letters, digits and dashes
	Of    []Match
	Rates Rates
}

// DefaultClasses are the classes of the program's routes. The first that holds a request counts it; the last one holds all.
func DefaultClasses() []Class {
	post := func(paths ...string) (out []Match) {
		for _, p := range paths {
			out = append(out, Match{Method: http.MethodPost, Prefix: p})
		}
		return out
	}
	const quarter = 15 * time.Minute
	var writes []Match
	for _, m := range [...]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		writes = append(writes, Match{Method: m})
	}
	return []Class{
		{"login", post("/api/v1/auth/login"), Rates{Address: Rate{60, time.Minute}, User: Rate{60, time.Minute}}},
		{"register", post("/api/v1/auth/register"), Rates{Address: Rate{3, quarter}, User: Rate{3, quarter}}},
		{"reset", post("/api/v1/auth/password-reset/request"), Rates{Address: Rate{3, quarter}, User: Rate{3, quarter}}},
		{"reset-confirm", post("/api/v1/auth/password-reset/confirm"), Rates{Address: Rate{20, quarter}, User: Rate{10, quarter}}},
		// Everybody behind a hospital's one address signs in there at the change of shift, and refreshes four times an hour.
		{"mfa", post("/api/v1/auth/mfa"), Rates{Address: Rate{60, time.Minute}, User: Rate{5, quarter}}},
		{"refresh", post("/api/v1/auth/refresh", "/api/v1/auth/refresh-token"), Rates{Address: Rate{600, quarter}, User: Rate{20, quarter}}},
		// Other services ask this for each of their own requests.
		{"validate", post("/api/v1/auth/validate"), Rates{Key: Rate{120_000, time.Minute}, User: Rate{600, time.Minute}, Address: Rate{60, time.Minute}}},
		{"export", []Match{{Suffix: "/$export"}, {Suffix: "/export"}}, Rates{Key: Rate{20, time.Hour}, User: Rate{20, time.Hour}, Address: Rate{5, time.Hour}}},
		// The client of Socket.IO shows its token inside of the connection: to the edge it is an address, behind which a whole hospital may come back at once. What each
		// connection asks is bounded by itself.
		{"live", []Match{{Prefix: "/socket.io"}}, Rates{Key: Rate{30000, time.Minute}, User: Rate{6000, time.Minute}, Address: Rate{12000, time.Minute}}},
		{"write", writes, Rates{Key: Rate{6000, time.Minute}, User: Rate{1200, time.Minute}, Address: Rate{120, time.Minute}}},
		{"read", []Match{{}}, Rates{Key: Rate{30000, time.Minute}, User: Rate{6000, time.Minute}, Address: Rate{600, time.Minute}}},
	}
}

// LimiterOptions says how a Limiter works.
type LimiterOptions struct {
	Classes []Class     // nil: DefaultClasses
	Clock   clock.Clock // nil: the machine's
	Entries int         // how many counters are kept at most; 0: 262,144, which is about 30 MB when all are taken
	// Override returns a tenant's own rates of a class. It is asked for each request, so it answers from memory. nil: none has any.
	Override func(tenant int32, class string) (Rates, bool)
}

// Limiter counts requests by key, user and address, in memory: several processes count each for itself. It keeps no more than a stated
// number of counters, and forgets first those that have nothing to remember. It is safe for concurrent use.
//
// A counter is one moment (GCRA, the leaky bucket as a meter): a full quota may be spent at once, and comes back evenly.
type Limiter struct {
	classes  []Class
	clock    clock.Clock
	override func(int32, string) (Rates, bool)
	seed     maphash.Seed
	most     int // counters a shard
	shards   [64]shard
	usual    [][3]told // of each class: its key's, user's and address's
	policies sync.Map  // policyOf → *told: the overridden ones
}

type shard struct {
	sync.Mutex
	at map[bucket]int64 // when the counter is empty again, in nanoseconds since 1970
	_  [48]byte         // shards do not share a cache line
}

// bucket names what is counted.
type bucket struct {
	class  uint8
	kind   uint8 // 'k', 'u', 'a'
	tenant int32
	hi, lo uint64 // the user's number, or the address
	name   string // the client's or key's
}

const defaultEntries = 1 << 18

// NewLimiter returns a limiter. It fails where a class has no name, or one that a header cannot carry, or has the name of another.
func NewLimiter(o LimiterOptions) (*Limiter, error) {
	l := &Limiter{classes: o.Classes, clock: o.Clock, override: o.Override, seed: maphash.MakeSeed()}
	if l.classes == nil {
		l.classes = DefaultClasses()
	}
	if l.clock == nil {
		l.clock = clock.System
	}
	if o.Entries <= 0 {
		o.Entries = defaultEntries
	}
	if len(l.classes) > 255 {
		return nil, fmt.Errorf("web: %d classes of requests are too many", len(l.classes))
	}
	names := map[string]bool{}
	for _, c := range l.classes {
		if names[c.Name] || c.Name == "" || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return nil, fmt.Errorf("web: %q is no name for a class of requests, or is one twice", c.Name)
		}
		names[c.Name] = true
	}
	for i, c := range l.classes {
		l.usual = append(l.usual, [3]told{*l.newTold(i, c.Rates.Key), *l.newTold(i, c.Rates.User), *l.newTold(i, c.Rates.Address)})
	}
	l.most = max(1, o.Entries/len(l.shards))
	for i := range l.shards {
		l.shards[i].at = map[bucket]int64{}
	}
	return l, nil
}

// classOf returns the index of the first class that holds the request, or -1.
func (l *Limiter) classOf(method, path string) int {
	for i := range l.classes {
		for _, m := range l.classes[i].Of {
			if m.holds(method, path) {
				return i
			}
		}
	}
	return -1
}

// account is one counter with its limit.
type account struct {
	bucket
	rate Rate
}

// accountsOf returns the counters that a caller's request of a class is counted on: his key's and his user's, or else his address's.
func (l *Limiter) accountsOf(class int, c *access.Caller, from netip.Addr) (out [2]account, n int) {
	rates := l.classes[class].Rates
	if l.override != nil {
		if own, ok := l.override(c.Tenant, l.classes[class].Name); ok {
			rates = own
		}
	}
	base := bucket{class: uint8(class), tenant: c.Tenant} // #nosec G115 -- there are at most 255 classes
	if !c.Known() {
		if rates.Address.limits() {
			base.kind = 'a'
			base.hi, base.lo = network(from)
			out[0], n = account{base, rates.Address}, 1
		}
		return out, n
	}
	if rates.Key.limits() && (c.Client != "" || c.User == 0) {
		key := base
		key.kind, key.name = 'k', c.Client
		if key.name == "" {
			key.name = c.Who
		}
		out[n] = account{key, rates.Key}
		n++
	}
	if rates.User.limits() && c.User != 0 {
		user := base
		user.kind, user.lo = 'u', uint64(c.User) // #nosec G115 -- it names, it does not count
		out[n] = account{user, rates.User}
		n++
	}
	return out, n
}

// network is the address as two numbers; of an IPv6 address the network of 64 bits, which one subscriber has to himself.
func network(a netip.Addr) (hi, lo uint64) {
	if !a.IsValid() {
		return 0, 0
	}
	b := a.As16()
	hi, lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	if a.Is6() && !a.Is4In6() {
		lo = 0
	}
	return hi, lo
}

func (l *Limiter) shardOf(c *bucket) *shard {
	h := c.lo ^ c.hi*0x9e3779b97f4a7c15 ^ uint64(c.class)<<32 ^ uint64(uint32(c.tenant))<<40 // #nosec G115 -- a hash
	if c.name != "" {
		h ^= maphash.String(l.seed, c.name)
	}
	h *= 0x9e3779b97f4a7c15
	return &l.shards[h>>58]
}

// state is what became of one counter.
type state struct {
	ok    bool
	left  int           // requests that are left at once
	reset time.Duration // until all are back
	retry time.Duration // until one is back; where not ok
}

// take counts one request, or n = 0 to look only.
func (l *Limiter) take(a *account, now int64, n int64) state {
	each := int64(a.rate.Per) / int64(a.rate.Requests)
	quota := each * int64(a.rate.Requests)
	s := l.shardOf(&a.bucket)
	s.Lock()
	empty, found := s.at[a.bucket]
	if empty < now {
		empty = now
	} else if empty > now+quota {
		empty = now + quota // the clock was set back, or the rate was lowered
	}
	next := empty + n*each
	ok := next-now <= quota
	if ok && n > 0 {
		if !found && len(s.at) >= l.most {
			s.forget(now)
		}
		s.at[a.bucket] = next
	} else {
		next = empty
	}
	s.Unlock()
	st := state{ok: ok, left: int((quota - (next - now)) / each), reset: time.Duration(next - now)}
	if !ok {
		st.retry = time.Duration(empty + each - quota - now)
	}
	return st
}

// forget makes room: of a few counters anywhere, those that are empty, or else the one that will be first. That costs a caller nothing in
// the first case, and gives one back his quota too early in the second.
func (s *shard) forget(now int64) {
	const look = 16
	var first bucket
	soonest, seen, freed := int64(0), 0, false
	for c, at := range s.at {
		if at <= now {
			delete(s.at, c)
			freed = true
		} else if soonest == 0 || at < soonest {
			first, soonest = c, at
		}
		if seen++; seen >= look {
			break
		}
	}
	if !freed {
		delete(s.at, first)
	}
}

// Take counts a request for its caller and writes into h how much of the tightest limit is left. The error is TooMany and knows when to try
// again. The program itself is not limited.
func (l *Limiter) Take(h http.Header, c *access.Caller, from netip.Addr, method, path string) error {
	class := l.classOf(method, path)
	if class < 0 || c.Internal() {
		return nil
	}
	accounts, n := l.accountsOf(class, c, from)
	if n == 0 {
		return nil
	}
	now := l.clock().UnixNano()
	tightest, at := l.take(&accounts[0], now, 1), 0
	if n == 2 && tightest.ok {
		if other := l.take(&accounts[1], now, 1); !other.ok || other.left < tightest.left {
			tightest, at = other, 1
		}
	}
	l.tell(h, class, accounts[at].rate, tightest)
	if tightest.ok {
		return nil
	}
	return Later(fault.New(fault.TooMany, "too many requests: try again in %d s", ceilSeconds(tightest.retry)), tightest.retry)
}

// policyOf names a header value that is made once: a class's rate, in one of the two forms.
type policyOf struct {
	class int
	rate  Rate
}

// told are the parts of the headers that only the rate decides.
type told struct {
	policy, limit []string
	prefix        string // of RateLimit's value
}

// tell writes the headers: those of the IETF's current draft (draft-ietf-httpapi-ratelimit-headers-10), the three of its earlier ones, and
// the same three as X-.
func (l *Limiter) tell(h http.Header, class int, r Rate, s state) {
	t := l.toldOf(class, r)
	left := strconv.Itoa(s.left)
	reset := strconv.FormatInt(int64((s.reset+time.Second-1)/time.Second), 10)
	values := [3]string{left, reset, t.prefix + left + ";t=" + reset}
	remaining, resets := values[0:1:1], values[1:2:2]
	h["Ratelimit-Policy"], h["Ratelimit"] = t.policy, values[2:3:3]
	h["Ratelimit-Limit"], h["Ratelimit-Remaining"], h["Ratelimit-Reset"] = t.limit, remaining, resets
	h["X-Ratelimit-Limit"], h["X-Ratelimit-Remaining"], h["X-Ratelimit-Reset"] = t.limit, remaining, resets
}

func (l *Limiter) toldOf(class int, r Rate) *told {
	for i, usual := range [3]*Rate{&l.classes[class].Rates.Key, &l.classes[class].Rates.User, &l.classes[class].Rates.Address} {
		if *usual == r {
			return &l.usual[class][i]
		}
	}
	key := policyOf{class, r}
	if t, ok := l.policies.Load(key); ok {
		return t.(*told)
	}
	t := l.newTold(class, r)
	l.policies.Store(key, t)
	return t
}

func (l *Limiter) newTold(class int, r Rate) *told {
	name, q := l.classes[class].Name, strconv.Itoa(r.Requests)
	return &told{limit: []string{q}, prefix: `"` + name + `";r=`,
		policy: []string{`"` + name + `";q=` + q + `;w=` + strconv.FormatInt(ceilSeconds(r.Per), 10)}}
}

// Counters is how many counters are kept at the moment.
func (l *Limiter) Counters() int {
	n := 0
	for i := range l.shards {
		s := &l.shards[i]
		s.Lock()
		n += len(s.at)
		s.Unlock()
	}
	return n
}

// Standing is how a caller stands with one limit.
type Standing struct {
	Class     string `json:"class" doc:"the kind of requests"`
	By        string `json:"by" doc:"what is counted: key, user or address"`
	Limit     int    `json:"limit" doc:"requests in a window"`
	Window    int    `json:"windowSeconds"`
	Remaining int    `json:"remaining" doc:"requests that are left now"`
	Reset     int    `json:"resetSeconds" doc:"seconds until all are left again"`
}

// Standings returns how a caller stands with each of his limits, and counts nothing.
func (l *Limiter) Standings(c *access.Caller, from netip.Addr) []Standing {
	out := []Standing{}
	if c.Internal() {
		return out
	}
	now := l.clock().UnixNano()
	for class := range l.classes {
		accounts, n := l.accountsOf(class, c, from)
		for i := range accounts[:n] {
			a := &accounts[i]
			s := l.take(a, now, 0)
			by := map[uint8]string{'k': "key", 'u': "user", 'a': "address"}[a.kind]
			out = append(out, Standing{l.classes[class].Name, by, a.rate.Requests, int(ceilSeconds(a.rate.Per)), s.left,
				int((s.reset + time.Second - 1) / time.Second)})
		}
	}
	return out
}
