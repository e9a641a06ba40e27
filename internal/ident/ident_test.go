package ident_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/ident"
	"pgregory.net/rapid"
)

func TestNumbersGrowWhateverTheClockDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		s := ident.NewSource(func() time.Time { return now }, rapid.IntRange(0, ident.Nodes-1).Draw(t, "node"), 0)
		last := int64(0)
		for range rapid.IntRange(1, 300).Draw(t, "n") {
			now = now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "step")) * time.Millisecond)
			floor := int64(0)
			if rapid.Bool().Draw(t, "after") {
				floor = last + int64(rapid.IntRange(-10, 100_000).Draw(t, "ahead"))
			}
			n := s.After(floor)
			if n <= last || n <= floor || n > ident.Max {
				t.Fatalf("%d after %d (at least above %d)", n, last, floor)
			}
			last = n
		}
	})
}

func TestNodesNeverMeet(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	seen := map[int64]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for node := range 4 {
		s := ident.NewSource(func() time.Time { return now }, node, 0)
		for range 2 {
			wg.Go(func() {
				for range 2000 {
					n := s.Next()
					mu.Lock()
					if seen[n] {
						t.Errorf("%d twice", n)
					}
					seen[n] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
}

func TestTimeOfANumber(t *testing.T) {
	at := time.Date(2026, 11, 22, 8, 0, 0, int(123*time.Millisecond), time.UTC)
	s := ident.NewSource(func() time.Time { return at }, 3, 0)
	n := s.Next()
	if got := ident.Time(n); !got.Equal(at) {
		t.Errorf("Time = %v, want %v", got, at)
	}
	if first := ident.FirstAt(at); first > n || ident.Time(first) != ident.Time(n) {
		t.Errorf("FirstAt = %d for %d", first, n)
	}
	if later := ident.NewSource(func() time.Time { return at }, 3, n).Next(); later <= n {
		t.Errorf("a source after %d gave %d", n, later)
	}
}
