package live

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/live/socketio"
)

// message is something to tell, made ready once for all who are told.
type message struct {
	name string
	data []byte // JSON
	id   string // of the event, for streams; "": it cannot be told again
	once sync.Once
	sent socketio.Message
}

// frame is the message as Socket.IO sends it.
func (m *message) frame() socketio.Message {
	m.once.Do(func() { m.sent = socketio.Encode(m.name, m.data) })
	return m.sent
}

// place is a room of a tenant.
type place struct {
	tenant int32
	room   string
}

// client is a connection, by whatever means.
type client struct {
	tenant  int32
	caller  atomic.Pointer[access.Caller]
	cred    *Credential            // nil: there is nothing that could be looked at again
	deliver func(*message)         // must not wait
	end     func(why, code string) // ends the connection, and says why; may be called several times
	rooms   map[string]string      // the rooms that it is in, and what they were asked for as; the service's mutex guards it
	held    atomic.Int64           // when the credential was valid last, in nanoseconds
	seen    atomic.Int64           // when it was looked at last whether the rooms' patients may be seen
	budget  budget                 // of what the client asks for
}

// maxRooms is how many rooms a client may ask for.
const maxRooms = 200

// context is what is done for the client in.
func (c *client) context(ctx context.Context) context.Context {
	return access.With(ctx, *c.caller.Load())
}

// own are the rooms that a caller is in without asking.
func own(c *access.Caller) []string {
	var out []string
	if c.User != 0 {
		out = append(out, userRoom(c.User))
	}
	for _, r := range c.Roles {
		out = append(out, roleRoom(r))
	}
	for _, ref := range c.Self {
		out = append(out, selfRoom(ref))
	}
	return out
}

// asOwn marks in client.rooms a room that the client is in without asking.
const asOwn = "\x00own"

func userRoom(id int64) string     { return "user:" + strconv.FormatInt(id, 10) }
func roleRoom(role string) string  { return "role:" + access.CanonicalRole(role) }
func selfRoom(ref string) string   { return "self:" + ref }
func patientRoom(id string) string { return "patient:" + id }

// add enters a client with its own rooms. Unavailable where the server stops.
func (s *Service) add(c *client) error {
	caller := c.caller.Load()
	now := s.Clock().UnixNano()
	c.held.Store(now)
	c.seen.Store(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fault.New(fault.Unavailable, "the server stops")
	}
	s.clients[c] = struct{}{}
	c.rooms = map[string]string{}
	for _, room := range own(caller) {
		s.enter(c, room, asOwn)
	}
	return nil
}

// enter puts a client into a room; the mutex is held.
func (s *Service) enter(c *client, room, as string) {
	at := place{c.tenant, room}
	if s.rooms[at] == nil {
		s.rooms[at] = map[*client]struct{}{}
	}
	s.rooms[at][c] = struct{}{}
	c.rooms[room] = as
}

// leave takes a client out of a room; the mutex is held.
func (s *Service) leave(c *client, room string) {
	at := place{c.tenant, room}
	delete(s.rooms[at], c)
	if len(s.rooms[at]) == 0 {
		delete(s.rooms, at)
	}
	delete(c.rooms, room)
}

// remove forgets a client.
func (s *Service) remove(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for room := range c.rooms {
		s.leave(c, room)
	}
	delete(s.clients, c)
}

// budget bounds how often a client asks: a full one may be spent at once, and comes back evenly.
type budget struct {
	mu    sync.Mutex
	empty time.Time // when all of it is back
}

// The budget of a client: 200 questions, of which 20 come back each second.
const (
	budgetSize  = 200
	budgetEvery = 50 * time.Millisecond
)

func (b *budget) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.empty.Before(now) {
		b.empty = now
	}
	next := b.empty.Add(budgetEvery)
	if next.Sub(now) > budgetSize*budgetEvery {
		return false
	}
	b.empty = next
	return true
}
