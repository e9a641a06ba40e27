package event

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/record"
)

// Options says how a hub works.
type Options struct {
	Store   *record.Store
	Sources []Source // new ones at the end: the parts of a change are counted through all of them
	Log     *slog.Logger
	Clock   clock.Clock   // nil: the system's
	Poll    time.Duration // how often changes of other processes are looked for; 0: 50 ms on a server's database, a second on the embedded one

	Base     string // the server's own FHIR base URL: absolute references below it are local; may be ""
	Instance string // what events name as their source: the server's address; "" is urn:x-nilecare:server
	// Retry is the pauses before an event that a handler fails on is tried again; after the last one it is a dead letter. nil: 1, 5 and 30 seconds.
	Retry []time.Duration
	// Beat is how often a process on a server's database says that it is there; what one that is silent for five of them reads, another takes over.
	// 0: 2 seconds.
	Beat time.Duration
}

// Start says where a durable reader begins when it is new.
type Start int

// The places to begin at. Tenants that come later than the reader are read from their first change either way.
const (
	FromNow Start = iota
	FromBeginning
)

// Handler handles an event. Its context is the program's own, in the event's tenant, and ends when the process loses the right to read. It is called for
// one event of a tenant at a time, and for several tenants at once. A failure of the kind [fault.Unavailable] says that it is not the event's fault (a
// server that is away): it is tried until it works, and holds the reader up meanwhile. Any other one makes the event a dead letter in the end.
type Handler func(ctx context.Context, e Event) error

// Batch handles several events of a tenant at once, in order: all of them, or it fails. After a failure that is not fault.Unavailable they are handed to it
// one by one. It may be called again for events that it has handled.
type Batch func(ctx context.Context, events []Event) error

// reader is a durable reader.
type reader struct {
	name   string
	from   Start
	handle Batch
	single bool // handle is called for one event at a time
}

// tail is a reader of this process alone.
type tail struct {
	mu sync.Mutex // f is called for one tenant at a time
	f  func(e Event)
}

// Hub reads the changes and gives their facts to those who asked.
type Hub struct {
	o         Options
	telling   *telling
	started   int64 // the newest event of all tenants when the hub was made
	readers   []*reader
	tails     []*tail
	processes *processes
	look      chan struct{} // tenants are to be looked for
	unsettled chan struct{} // something was committed

	mu    sync.RWMutex
	rooms map[int32]*room
}

// New returns a hub. It refuses sources with a kind of no name, topic, version or data, or with two of one name. What is committed from now on
// reaches its readers, whenever [Hub.Run] begins.
func New(ctx context.Context, o Options) (*Hub, error) {
	if o.Store == nil {
		return nil, errors.New("event: there is no store to read")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Poll <= 0 {
		if o.Poll = time.Second; o.Store.Shared() {
			o.Poll = 50 * time.Millisecond
		}
	}
	if o.Retry == nil {
		o.Retry = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}
	}
	if o.Beat <= 0 {
		o.Beat = 2 * time.Second
	}
	t, err := newTelling(&o)
	if err != nil {
		return nil, err
	}
	h := &Hub{o: o, telling: t, look: make(chan struct{}, 1), unsettled: make(chan struct{}, 1), rooms: map[int32]*room{}}
	h.processes = newProcesses(o.Store, o.Clock, o.Beat)
	if _, h.started, err = o.Store.Settled(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

// Kinds are all kinds, in the order of their names.
func (h *Hub) Kinds() []Kind {
	out := make([]Kind, 0, len(h.telling.kinds))
	for _, k := range h.telling.kinds {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b Kind) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Read has a durable reader read. It is for the time before [Hub.Run]. The name is kept in the database: it must not be that of another reader, nor change.
func (h *Hub) Read(name string, from Start, f Handler) {
	h.add(&reader{name: name, from: from, single: true, handle: func(ctx context.Context, events []Event) error { return f(ctx, events[0]) }})
}

// ReadBatch is Read for a handler that takes several events at once.
func (h *Hub) ReadBatch(name string, from Start, f Batch) {
	h.add(&reader{name: name, from: from, handle: f})
}

func (h *Hub) add(r *reader) {
	if r.name == "" || slices.ContainsFunc(h.readers, func(o *reader) bool { return o.name == r.name }) {
		panic("event: the reader " + r.name + " has no name of its own") // a defect of the program, found at its start
	}
	h.readers = append(h.readers, r)
}

// Tail calls f for each event that is committed after the hub was made, in this process alone, in the order of each tenant. It is for the time before [Hub.Run].
// f is not called again before it has returned; one that is slow holds up nobody else, and misses nothing.
func (h *Hub) Tail(f func(e Event)) { h.tails = append(h.tails, &tail{f: f}) }

// system is the program itself in a tenant.
func system(ctx context.Context, tenant int32) context.Context {
	return access.With(ctx, access.System(tenant))
}

// Run reads until ctx ends, and returns when the last handler has.
func (h *Hub) Run(ctx context.Context) {
	if len(h.readers) == 0 && len(h.tails) == 0 {
		<-ctx.Done()
		return
	}
	h.patiently(ctx, "places of readers", h.begin)
	h.o.Store.OnCommit(h.committed)
	var wg sync.WaitGroup
	if h.o.Store.Shared() && ctx.Err() == nil {
		h.patiently(ctx, "saying that this process reads", h.processes.say)
		wg.Go(func() { h.beat(ctx) })
	}
	wg.Go(func() { h.poll(ctx) })
	h.tenants(ctx, &wg)
	wg.Wait()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := h.processes.leave(end); err != nil {
		h.o.Log.Warn("events: this process's row stays", "error", err.Error())
	}
}

// patiently tries until f works, or ctx ends.
func (h *Hub) patiently(ctx context.Context, what string, f func(context.Context) error) {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, 10*time.Second) {
		err := f(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil {
			h.o.Log.Error("events: "+what, "error", err.Error())
		}
		sleep(ctx, pause)
	}
}

// sleep waits; false where ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// signal wakes whoever waits on the channel, now or next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// committed is told of each commit of this process.
func (h *Hub) committed(tenant int32) {
	h.mu.RLock()
	r := h.rooms[tenant]
	h.mu.RUnlock()
	if r == nil {
		signal(h.look)
		return
	}
	signal(r.wake)
}

// tenants keeps a room for every tenant until ctx ends.
func (h *Hub) tenants(ctx context.Context, wg *sync.WaitGroup) {
	for ctx.Err() == nil {
		found, err := h.o.Store.KeyedTenants(ctx)
		if err != nil && ctx.Err() == nil {
			h.o.Log.Error("events: tenants", "error", err.Error())
		}
		for _, t := range found {
			h.mu.Lock()
			if h.rooms[t] == nil {
				r := newRoom(ctx, h, t)
				h.rooms[t] = r
				wg.Go(r.run)
			}
			h.mu.Unlock()
		}
		every := 30 * time.Second // on the embedded database a new tenant's first commit tells of it
		if h.o.Store.Shared() {
			every = h.o.Beat
		}
		t := time.NewTimer(every)
		select {
		case <-t.C:
		case <-h.look:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// all returns the rooms of all tenants.
func (h *Hub) all() []*room {
	h.mu.RLock()
	defer h.mu.RUnlock()
	out := make([]*room, 0, len(h.rooms))
	for _, r := range h.rooms {
		out = append(out, r)
	}
	return out
}

// poll looks for changes of other processes, and, after a commit that could not be told at once since others were under way, for the end of those.
func (h *Hub) poll(ctx context.Context) {
	var seen int64
	pause := h.o.Poll
	for ctx.Err() == nil {
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-h.unsettled:
			pause = time.Millisecond
		case <-ctx.Done():
		}
		t.Stop()
		settled, last, err := h.o.Store.Settled(ctx)
		if err != nil {
			if ctx.Err() == nil {
				h.o.Log.Error("events: looking for changes", "error", err.Error())
			}
			pause = max(h.o.Poll, time.Second)
			continue
		}
		if pause = min(2*pause, h.o.Poll); settled == last {
			pause = h.o.Poll
		}
		if settled > seen {
			seen = settled
			for _, r := range h.all() {
				signal(r.wake)
			}
		}
	}
}

// beat says that this process is there, until ctx ends. One that could not say so for long gives up what it reads: others have taken it over.
func (h *Hub) beat(ctx context.Context) {
	for sleep(ctx, h.o.Beat) {
		say, cancel := context.WithTimeout(ctx, 2*h.o.Beat) // a database that does not answer is as one that is away
		err := h.processes.say(say)
		cancel()
		if err != nil && ctx.Err() == nil {
			h.o.Log.Error("events: saying that this process reads", "error", err.Error())
		}
		if h.processes.silent() {
			for _, r := range h.all() {
				r.giveUp()
			}
		}
		for _, r := range h.all() {
			signal(r.look)
		}
	}
}
