package clinical

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/flat"
)

// A total that was counted quickly is counted anew each time. Among many patients counting takes longer than the page itself: such a total is told again for a
// while, to the same caller alone.
const (
	quickCount = 25 * time.Millisecond
	totalShare = 50               // it is kept for so many times as long as it took,
	totalKept  = 10 * time.Second // and for so long at most
	maxTotals  = 1000
)

// totals remembers how many patients listings have.
type totals struct {
	mu   sync.Mutex
	kept map[string]keptTotal
}

type keptTotal struct {
	n     int
	until time.Time
}

// of counts what the query finds for the caller.
func (t *totals) of(ctx context.Context, r *flat.Records, q flat.Query) (int, error) {
	c := access.From(ctx)
	var key strings.Builder
	fmt.Fprintf(&key, "%d %s %d %s %s %v", c.Tenant, c.Who, c.Session, c.Client, c.Purpose, c.Emergency)
	var pairs []string
	for _, p := range q.Params {
		pairs = append(pairs, p.Name, p.Value)
		fmt.Fprintf(&key, "\x00%s\x00%s", p.Name, p.Value)
	}
	now := time.Now()
	t.mu.Lock()
	had, ok := t.kept[key.String()]
	t.mu.Unlock()
	if ok && now.Before(had.until) {
		return had.n, nil
	}
	n, err := r.Count(ctx, q.Type, pairs...)
	took := time.Since(now)
	if err != nil || took < quickCount {
		return n, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil || len(t.kept) >= maxTotals {
		t.kept = map[string]keptTotal{}
	}
	t.kept[key.String()] = keptTotal{n, time.Now().Add(min(totalShare*took, totalKept))}
	return n, nil
}
