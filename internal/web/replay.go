package web

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
)

// MemoryReplays remembers in this process what has been seen: exactly, until its time is over. It holds no more than a stated number; where
// all are taken, it refuses rather than forget.
type MemoryReplays struct {
	clock clock.Clock
	most  int

	mu    sync.Mutex
	seen  map[[sha256.Size]byte]int64 // until when, in nanoseconds since 1970
	order []remembered                // a heap by until: the first to be forgotten stands in front
}

type remembered struct {
	name  [sha256.Size]byte
	until int64
}

const defaultReplays = 1 << 18

// NewMemoryReplays returns an empty memory for at most so many names (0: 262,144, which is about 30 MB when full). c may be nil.
func NewMemoryReplays(most int, c clock.Clock) *MemoryReplays {
	if most <= 0 {
		most = defaultReplays
	}
	if c == nil {
		c = clock.System
	}
	return &MemoryReplays{clock: c, most: most, seen: map[[sha256.Size]byte]int64{}}
}

// First implements [Replays]. The error is Unavailable where the memory is full.
func (m *MemoryReplays) First(_ context.Context, name string, until time.Time) (bool, error) {
	key := sha256.Sum256([]byte(name))
	now := m.clock().UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.order) > 0 && m.order[0].until <= now {
		// One that was forgotten and came again has a later time.
		if old := m.order[0]; m.seen[old.name] == old.until {
			delete(m.seen, old.name)
		}
		m.pop()
	}
	if _, ok := m.seen[key]; ok {
		return false, nil
	}
	if len(m.order) >= m.most {
		return false, fault.New(fault.Unavailable, "too many signed requests at a time: try again")
	}
	m.seen[key] = until.UnixNano()
	m.push(remembered{key, until.UnixNano()})
	return true, nil
}

// Forget implements [Replays].
func (m *MemoryReplays) Forget(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, sha256.Sum256([]byte(name)))
	return nil
}

func (m *MemoryReplays) push(r remembered) {
	m.order = append(m.order, r)
	for i := len(m.order) - 1; i > 0; {
		up := (i - 1) / 2
		if m.order[up].until <= m.order[i].until {
			return
		}
		m.order[up], m.order[i] = m.order[i], m.order[up]
		i = up
	}
}

func (m *MemoryReplays) pop() {
	last := len(m.order) - 1
	m.order[0] = m.order[last]
	m.order = m.order[:last]
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < last; c++ {
			if m.order[c].until < m.order[least].until {
				least = c
			}
		}
		if least == i {
			return
		}
		m.order[least], m.order[i] = m.order[i], m.order[least]
		i = least
	}
}
