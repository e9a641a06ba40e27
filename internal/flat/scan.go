package flat

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
)

// MaxScanned is how many records [Walk] goes through at most.
const MaxScanned = 10_000

// A walk's findings are used again for this long, or for so many times as long as the walk took, where that is longer: figures that many screens ask for
// twice a minute must not keep a server busy.
const (
	scanKept  = 10 * time.Second
	scanShare = 50
)

// Scan finds what no search parameter can tell of many records, such as a sum of amounts, and remembers it for a short while. The walk is the program's own:
// it sees every record of the tenant and leaves no trace in the audit. So nothing of what it finds may be told to a caller before it was
// held against what that caller may see: by [Records.CountOf], or by the caller's extent being the whole.
type Scan[T any] struct {
	mu    sync.Mutex
	found map[string]*scanned[T]
}

type scanned[T any] struct {
	mu    sync.Mutex
	until time.Time
	all   []T
}

// Get returns what find finds, as the program in the caller's tenant; what was found under the name a moment ago is returned again.
func (s *Scan[T]) Get(ctx context.Context, r *Records, name string, find func(ctx context.Context) ([]T, error)) ([]T, error) {
	tenant := access.From(ctx).Tenant
	at := s.at(strconv.Itoa(int(tenant))+" "+name, r.Now())
	at.mu.Lock()
	defer at.mu.Unlock()
	now := r.Now()
	if now.Before(at.until) {
		return at.all, nil
	}
	begun := time.Now()
	all, err := find(access.With(ctx, access.System(tenant)))
	if err != nil {
		return nil, err
	}
	at.all, at.until = all, now.Add(max(scanKept, scanShare*time.Since(begun)))
	return all, nil
}

// Walk returns what keep made of the records that the query finds; those that it refuses are left out. [Unknown] where there are more than [MaxScanned].
func Walk[T any](ctx context.Context, r *Records, q Query, keep func(*Record) (T, bool)) ([]T, error) {
	var all []T
	seen := 0
	err := r.Each(ctx, q, func(one *Record) error {
		if seen++; seen > MaxScanned {
			return Unknown("there are more than " + strconv.Itoa(MaxScanned) + " records to go through")
		}
		if v, ok := keep(one); ok {
			all = append(all, v)
		}
		return nil
	})
	return all, err
}

// at is the place of a name; those whose time is long over are forgotten.
func (s *Scan[T]) at(key string, now time.Time) *scanned[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.found[key]; one != nil {
		return one
	}
	if s.found == nil {
		s.found = map[string]*scanned[T]{}
	}
	for k, one := range s.found {
		if one.mu.TryLock() {
			if !one.until.IsZero() && now.After(one.until.Add(time.Hour)) {
				delete(s.found, k)
			}
			one.mu.Unlock()
		}
	}
	one := &scanned[T]{}
	s.found[key] = one
	return one
}

// CountOf counts those of the FHIR ids that the caller may see and that satisfy the parameters.
func (r *Records) CountOf(ctx context.Context, typ string, ids []string, params ...string) (int, error) {
	if caller := access.From(ctx); caller.Extent(access.Search, typ).IsNone() {
		return 0, fault.New(fault.Forbidden, "searching for %s is not permitted", typ)
	}
	total := 0
	for len(ids) > 0 {
		n := min(len(ids), 500)
		count, err := r.Count(ctx, typ, append(params[:len(params):len(params)], "_id", strings.Join(ids[:n], ","))...)
		if err != nil {
			return 0, err
		}
		total += count
		ids = ids[n:]
	}
	return total, nil
}

// SeesAll reports whether the caller may see all that the parameters find: then a figure that the program worked out of all of them may be told.
func (r *Records) SeesAll(ctx context.Context, typ string, params ...string) (bool, error) {
	caller := access.From(ctx)
	switch extent := caller.Extent(access.Search, typ); {
	case extent.IsNone():
		return false, nil
	case caller.Internal():
		return true, nil
	}
	seen, err := r.Count(ctx, typ, params...)
	if err != nil {
		return false, err
	}
	all, err := r.Count(access.With(ctx, access.System(caller.Tenant)), typ, params...)
	return seen == all, err
}
