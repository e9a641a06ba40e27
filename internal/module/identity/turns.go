package identity

import (
	"context"
	"sync"

	"github.com/nilecare/nilecare/internal/fault"
)

// turns let tries at one account go one after the other in this process, so that each is counted before the next begins.
type turns struct {
	mu sync.Mutex
	m  map[string]*turn
}

type turn struct {
	place chan struct{}
	users int
}

// take waits for the account's turn and returns how it ends. Too many that wait are TooMany.
func (t *turns) take(ctx context.Context, account string) (func(), error) {
	t.mu.Lock()
	if t.m == nil {
		t.m = map[string]*turn{}
	}
	one := t.m[account]
	if one == nil {
		one = &turn{place: make(chan struct{}, 1)}
		t.m[account] = one
	}
	if one.users >= waiting {
		t.mu.Unlock()
		return nil, fault.New(fault.TooMany, "too many tries at once: wait a while")
	}
	one.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(t.m, account)
		}
	}
	select {
	case one.place <- struct{}{}:
		return func() { <-one.place; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fault.New(fault.Unavailable, "too many sign-ins at once: try again").Because(ctx.Err())
	}
}
