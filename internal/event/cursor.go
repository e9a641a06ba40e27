package event

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// cursor is a durable reader at work in a tenant.
type cursor struct {
	room   *room
	reader *reader
	epoch  int64
	ctx    context.Context // of handlers: ends when this process may not read any more
	cancel context.CancelFunc
	done   chan struct{}
	again  chan struct{} // dead letters are to be handled once more

	mu      sync.Mutex
	at      int64 // everything up to here was handled
	saved   int64
	trouble trouble
	told    trouble // the trouble that was saved
}

// trouble is why a reader stands still.
type trouble struct {
	tries int
	since int64
	text  string
}

// state is what is kept of a cursor.
type state struct {
	position  int64
	trouble   trouble
	tries     int
	failingAt int64
	problem   []byte
}

func newCursor(r *room, one *reader, p place) *cursor {
	c := &cursor{room: r, reader: one, epoch: p.epoch, done: make(chan struct{}), again: make(chan struct{}, 1), at: p.position, saved: p.position}
	c.ctx, c.cancel = context.WithCancel(r.ctx)
	signal(c.again) // what was to be handled again when another process held it
	return c
}

// moved reports that there is something to keep.
func (c *cursor) moved() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at != c.saved || c.trouble != c.told
}

func (c *cursor) state() state {
	c.mu.Lock()
	s := state{position: c.at, trouble: c.trouble, tries: c.trouble.tries, failingAt: c.trouble.since}
	c.mu.Unlock()
	if s.trouble.text != "" {
		s.problem = c.room.hub.sealed(c.room.ctx, c.room.tenant, "event_reader.problem/"+c.reader.name, s.trouble.text)
	}
	return s
}

func (c *cursor) kept(s *state) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saved, c.told = s.position, s.trouble
}

// move says that everything up to the place was handled; some says that there was something to handle.
func (c *cursor) move(to int64, some bool) {
	c.mu.Lock()
	healed := c.trouble != trouble{}
	c.at, c.trouble = to, trouble{}
	c.mu.Unlock()
	if some || healed {
		signal(c.room.dirty)
	}
}

func (c *cursor) failing(tries int, err error) {
	c.mu.Lock()
	if c.trouble.since == 0 {
		c.trouble.since = c.room.hub.o.Clock().UnixMicro()
	}
	c.trouble.tries, c.trouble.text = tries, problemOf(err)
	c.mu.Unlock()
	signal(c.room.dirty)
}

// run reads until the context ends.
func (c *cursor) run() {
	defer close(c.done)
	for c.ctx.Err() == nil {
		select {
		case <-c.again:
			c.handleAgain()
		default:
		}
		items, next, err := c.room.next(c.ctx, c.at, c.again)
		if err != nil {
			c.room.failed("reading changes", err)
			sleep(c.ctx, pauseAfter(err))
			continue
		}
		if next == c.at { // somebody wants dead letters handled
			signal(c.again)
			continue
		}
		if c.batch(items, next) {
			continue
		}
		for i := range items {
			if !c.item(&items[i]) {
				return
			}
			c.move(items[i].id, true)
		}
		c.move(next, false)
	}
}

// batch hands all to a handler that takes several at once; false where they are to be handed over one by one, or the context has ended.
func (c *cursor) batch(items []told, next int64) bool {
	if c.reader.single || len(items) == 0 {
		return false
	}
	var all []Event
	for i := range items {
		if items[i].err != nil {
			return false
		}
		all = append(all, items[i].events...)
	}
	for try := 1; ; try++ {
		err := c.call(all)
		if err == nil {
			c.move(next, true)
			return true
		}
		if c.ctx.Err() != nil || !fault.Is(err, fault.Unavailable) {
			return false
		}
		c.failing(try, err)
		c.pauseFor(try)
	}
}

// item has all events of a change handled, or lays them aside; false where the context ended before.
func (c *cursor) item(t *told) bool {
	if t.err != nil {
		return c.bury(&t.stub, 0, t.err)
	}
	for i := range t.events {
		e := &t.events[i]
		vain := 0
		for try := 1; ; try++ {
			err := c.call([]Event{*e})
			if err == nil {
				break
			}
			if c.ctx.Err() != nil {
				return false
			}
			if !fault.Is(err, fault.Unavailable) {
				if vain++; vain > len(c.room.hub.o.Retry) {
					if !c.bury(e, vain, err) {
						return false
					}
					break
				}
			}
			c.failing(try, err)
			if !c.pauseFor(try) {
				return false
			}
		}
	}
	return true
}

// waits is the longest pause for what is away.
const waits = time.Minute

// pauseFor waits before the next try; false where the context ended.
func (c *cursor) pauseFor(try int) bool {
	pauses := c.room.hub.o.Retry
	if len(pauses) == 0 {
		return sleep(c.ctx, time.Second)
	}
	pause := pauses[min(try, len(pauses))-1]
	for i := len(pauses); i < try; i++ {
		pause = min(2*pause, waits)
	}
	return sleep(c.ctx, pause)
}

// call calls the handler. A panic is a failure like another.
func (c *cursor) call(events []Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the handler panicked (%T)", p) // what it said may be of a patient
		}
	}()
	return c.reader.handle(c.ctx, events)
}

// bury makes an event a dead letter; false where the context ended before that was possible.
func (c *cursor) bury(e *Event, tries int, err error) bool {
	log := c.room.hub.o.Log
	for {
		e2 := c.room.hub.bury(c.ctx, c.reader.name, e, tries, err)
		if e2 == nil {
			log.Error("events: a dead letter", "reader", c.reader.name, "tenant", e.Tenant, "event", e.Key(), "kind", e.Kind.Name, "tries", tries)
			return true
		}
		c.room.failed("laying aside what could not be handled", e2)
		if !sleep(c.ctx, time.Second) {
			return false
		}
	}
}
