package event

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// The bounds of what a room keeps in memory for those who read at the end of its changes, and of one reading.
const (
	windowChanges = 512
	windowBytes   = 256 << 10
	atATime       = 200
)

// room is a tenant's part of a hub: the newest changes, told once for all who read there, and the readers that this process holds.
type room struct {
	hub    *Hub
	tenant int32
	ctx    context.Context // the program's own, in the tenant
	wake   chan struct{}   // something was committed
	look   chan struct{}   // the rows of readers are to be looked at
	dirty  chan struct{}   // places are to be kept

	window window
	wg     sync.WaitGroup // of cursors

	mu      sync.Mutex
	cursors map[string]*cursor // of durable readers that this process holds
	quiet   time.Time          // until when failures are not logged again
}

func newRoom(ctx context.Context, h *Hub, tenant int32) *room {
	r := &room{
		hub: h, tenant: tenant, ctx: system(ctx, tenant), wake: make(chan struct{}, 1), look: make(chan struct{}, 1), dirty: make(chan struct{}, 1),
		cursors: map[string]*cursor{},
	}
	r.window.begin(h.started)
	return r
}

// run reads and has read until the room's context ends.
func (r *room) run() {
	var wg sync.WaitGroup
	for _, t := range r.hub.tails {
		wg.Go(func() { r.follow(t) })
	}
	wg.Go(r.feed)
	r.keep()
	r.wg.Wait() // of handlers, which have seen the end
	r.leave()
	wg.Wait()
}

// failed logs what went wrong, once a minute.
func (r *room) failed(what string, err error) {
	if r.ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	now := time.Now()
	say := now.After(r.quiet)
	if say {
		r.quiet = now.Add(time.Minute)
	}
	r.mu.Unlock()
	if say && !fault.Is(err, fault.Gone) { // the keys of a tenant that was deleted are destroyed: nothing is to be read
		r.hub.o.Log.Error("events: "+what, "tenant", r.tenant, "error", err.Error())
	}
}

// pauseAfter is how long to wait before reading is tried again. Where a tenant was deleted its keys are destroyed, and there is nothing to try.
func pauseAfter(err error) time.Duration {
	if fault.Is(err, fault.Gone) {
		return time.Hour
	}
	return time.Second
}

// listening reports that somebody here reads at the end.
func (r *room) listening() bool {
	if len(r.hub.tails) > 0 {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.cursors) > 0
}

// feed takes new changes into the window.
func (r *room) feed() {
	signal(r.wake)
	for {
		select {
		case <-r.wake:
		case <-r.ctx.Done():
			return
		}
		if !r.listening() {
			continue
		}
		for r.ctx.Err() == nil {
			head := r.window.end()
			items, next, err := r.hub.telling.behind(r.ctx, head, atATime)
			if err != nil {
				r.failed("reading changes", err)
				time.AfterFunc(pauseAfter(err), func() { signal(r.wake) })
				break
			}
			if next == head {
				signal(r.hub.unsettled) // it was woken for something: unless that was seen before, it is not settled yet
				break
			}
			r.window.append(items, next)
		}
	}
}

// next waits for events behind a place and returns them and how far they go: from the window for those who read at the end, else from the record. more
// ends the waiting: then it returns the place itself.
func (r *room) next(ctx context.Context, after int64, more <-chan struct{}) (items []told, next int64, err error) {
	for {
		items, next, grown := r.window.behind(after)
		var later <-chan time.Time
		if grown == nil {
			if items, next, err = r.hub.telling.behind(ctx, after, atATime); err != nil {
				return nil, after, err
			}
			later = time.After(r.hub.o.Poll) // what was committed before this process came has not settled yet
		}
		if next > after {
			return items, next, nil
		}
		select {
		case <-grown:
		case <-later:
		case <-more:
			return nil, after, nil
		case <-ctx.Done():
			return nil, after, ctx.Err()
		}
	}
}

// window is the newest changes of a tenant that mean something: those behind from, up to to.
type window struct {
	mu       sync.Mutex
	from, to int64
	items    []told
	bytes    int
	grown    chan struct{} // closed when to moves
}

func (w *window) begin(at int64) {
	w.from, w.to, w.grown = at, at, make(chan struct{})
}

func (w *window) end() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to
}

func (t *told) size() int {
	n := 200
	for i := range t.events {
		n += 300 + len(t.events[i].Data)
	}
	return n
}

// append takes in what was told up to next, and lets go of the oldest beyond its bounds.
func (w *window) append(items []told, next int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.items, w.to = append(w.items, items...), next
	for i := range items {
		w.bytes += items[i].size()
	}
	drop := 0
	for drop < len(w.items) && (len(w.items)-drop > windowChanges || w.bytes > windowBytes) {
		w.bytes -= w.items[drop].size()
		w.from = w.items[drop].id
		drop++
	}
	if drop > 0 { // into new memory: readers may still hold the old
		w.items = append([]told(nil), w.items[drop:]...)
	}
	close(w.grown)
	w.grown = make(chan struct{})
}

// behind returns what the window holds behind a place; grown nil where the place lies before it.
func (w *window) behind(after int64) (items []told, next int64, grown <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if after < w.from {
		return nil, after, nil
	}
	i := sort.Search(len(w.items), func(i int) bool { return w.items[i].id > after })
	end := min(len(w.items), i+atATime)
	if end < len(w.items) {
		return w.items[i:end:end], w.items[end-1].id, w.grown
	}
	return w.items[i:end:end], max(w.to, after), w.grown
}

// follow has a tail see everything from the hub's making on.
func (r *room) follow(t *tail) {
	at := r.hub.started
	for r.ctx.Err() == nil {
		items, next, err := r.next(r.ctx, at, nil)
		if err != nil {
			r.failed("reading changes", err)
			sleep(r.ctx, pauseAfter(err))
			continue
		}
		for i := range items {
			if items[i].err != nil {
				r.hub.o.Log.Error("events: a change cannot be told", "tenant", r.tenant, "event", items[i].id, "error", items[i].err.Error())
			}
			for _, e := range items[i].events {
				r.call(t, e)
			}
		}
		at = next
	}
}

func (r *room) call(t *tail, e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			r.hub.o.Log.Error("events: a reader panicked", "tenant", e.Tenant, "event", e.Key(), "kind", e.Kind.Name)
		}
	}()
	t.f(e)
}
