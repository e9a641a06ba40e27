// Package ident makes the numbers of records and versions: 53 bits, so that JavaScript holds them exactly, and ordered by
// time.
//
// A number is 41 bits of milliseconds since 2020-01-01 (until 2089), 6 bits of node, and 6 bits that count within the
// millisecond. Nodes are processes that write to one database; whoever makes a [Source] sees to it that no two hold one
// node at a time. A source never gives a number twice, nor a smaller one than before: where more than 64 are asked for in a
// millisecond, or the clock steps back, it runs ahead of the clock.
package ident

import (
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
)

const (
	nodeBits  = 6
	countBits = 6
	// Nodes is how many sources may work on one database at a time.
	Nodes = 1 << nodeBits
	// Max is the largest number.
	Max = 1<<53 - 1
)

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// Source gives out numbers. It is safe for concurrent use.
type Source struct {
	mu    sync.Mutex
	clock clock.Clock
	node  int64
	ms    int64 // of the last number, since epoch
	count int64
}

// NewSource returns a source for the node (0 … Nodes-1) whose numbers are larger than last.
func NewSource(c clock.Clock, node int, last int64) *Source {
	s := &Source{clock: c, node: int64(node), ms: -1}
	s.skip(last)
	return s
}

// Next returns a new number.
func (s *Source) Next() int64 { return s.After(0) }

// After returns a new number that is larger than n.
func (s *Source) After(n int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skip(n)
	if now := s.clock().UnixMilli() - epoch; now > s.ms {
		s.ms, s.count = now, 0
	} else if s.count++; s.count >= 1<<countBits {
		s.ms, s.count = s.ms+1, 0
	}
	return s.ms<<(nodeBits+countBits) | s.node<<countBits | s.count
}

// skip moves the source past n.
func (s *Source) skip(n int64) {
	if ms := n >> (nodeBits + countBits); n > 0 && ms >= s.ms {
		if last := s.ms<<(nodeBits+countBits) | s.node<<countBits | s.count; ms > s.ms || n > last {
			s.ms, s.count = ms, 1<<countBits-1
		}
	}
}

// Time returns when the number was made, to the millisecond.
func Time(n int64) time.Time {
	return time.UnixMilli(n>>(nodeBits+countBits) + epoch).UTC()
}

// Node returns the node of the source that made the number.
func Node(n int64) int { return int(n>>countBits) & (Nodes - 1) }

// FirstAt returns the smallest number of that millisecond, for ranges over time; 0 before the first.
func FirstAt(t time.Time) int64 {
	return max(0, t.UnixMilli()-epoch) << (nodeBits + countBits)
}
