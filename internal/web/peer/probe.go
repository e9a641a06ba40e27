package peer

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Run asks every address now and then whether it is ready, until ctx ends.
func (c *Client) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range c.services {
		for _, a := range s.all {
			all.Go(func() { c.watch(ctx, s, a) })
		}
	}
	all.Wait()
	c.Close()
}

func (c *Client) watch(ctx context.Context, s *service, a *address) {
	tick := time.NewTicker(c.probe)
	defer tick.Stop()
	for {
		now := unready
		if c.isReady(ctx, a) {
			now = ready
		}
		if ctx.Err() != nil {
			return
		}
		if before := a.health.Swap(now); before != now {
			c.log.InfoContext(ctx, "peer: an address changed", "service", s.name, "address", a.at.Host, "ready", now == ready)
		}
		if now == ready {
			a.heal(c.clock())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *Client) isReady(ctx context.Context, a *address) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.at.String()+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	res, err := c.next.RoundTrip(r)
	if err != nil {
		return false
	}
	discard(res)
	return res.StatusCode == http.StatusOK
}

// Ready returns, for each service, how many of its addresses said at last that they are ready.
func (c *Client) Ready() map[string]int {
	out := map[string]int{}
	for name, s := range c.services {
		out[name] = 0
		for _, a := range s.all {
			if a.health.Load() == ready {
				out[name]++
			}
		}
	}
	return out
}
