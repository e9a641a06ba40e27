package peer

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	failuresToOpen = 5
	shortestOpen   = time.Second
	longestOpen    = 30 * time.Second
)

// breaker keeps requests away from an address that fails. It is closed, open until a time, or half open: then one request tries the address.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	opened   int // how often in a row
	until    time.Time
	trying   bool
}

// state is a breaker's state, for metrics: 0 closed, 1 half open, 2 open.
func (b *breaker) state(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.opened == 0:
		return 0
	case now.Before(b.until):
		return 2
	}
	return 1
}

// allow admits a request, whose outcome must be told by done or undecided.
func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.opened == 0:
		return true
	case now.Before(b.until) || b.trying:
		return false
	}
	b.trying = true
	return true
}

// done tells how an admitted request ended.
func (b *breaker) done(ok bool, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	if ok {
		b.failures, b.opened = 0, 0
		return
	}
	b.failures++
	switch {
	case b.opened > 0 && now.Before(b.until): // it was admitted before the breaker opened
		return
	case b.opened > 0 || b.failures >= failuresToOpen:
		open := min(shortestOpen<<min(b.opened, 10), longestOpen)
		b.opened++
		b.until = now.Add(open + rand.N(open/4)) // #nosec G404 -- it spreads, it does not protect
	}
}

// undecided tells that an admitted request says nothing of the address: its caller gave up.
func (b *breaker) undecided() {
	b.mu.Lock()
	b.trying = false
	b.mu.Unlock()
}

// heal lets a request try the address now: it has said that it is ready.
func (b *breaker) heal(now time.Time) {
	b.mu.Lock()
	if b.opened > 0 && b.until.After(now) {
		b.until = now
	}
	b.mu.Unlock()
}

// budget is how many requests may be repeated: a fifth of all, and one a second.
type budget struct {
	mu   sync.Mutex
	left float64
	last time.Time
}

const (
	budgetShare = 0.2
	budgetMost  = 50
)

func (b *budget) earn(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last.IsZero() {
		b.left = budgetMost / 5
	} else if since := now.Sub(b.last); since > 0 {
		b.left += since.Seconds()
	}
	b.last = now
	b.left = min(b.left+budgetShare, budgetMost)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
