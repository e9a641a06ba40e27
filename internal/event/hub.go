package event

import (
	"context"
	"log/slog"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/record"
)

// Options says how a hub works.
type Options struct {
	Store   *record.Store
	Sources []Source
	Log     *slog.Logger
	Clock   clock.Clock   // nil: the system's
	Poll    time.Duration // how often changes of other processes are looked for; 0: 50 ms on a server's database, a second on the embedded one
}

// Start says where a durable reader begins when it is new.
type Start int

// The places to begin at.
const (
	FromNow Start = iota
	FromBeginning
)

// Handler handles an event. Its context is the program's own, in the event's tenant, and ends when the process loses the right to read.
type Handler func(ctx context.Context, e Event) error

// Hub reads the changes and gives their facts to those who asked.
type Hub struct {
	o Options
}

// New returns a hub. It refuses sources with a kind of no name, topic or version, or with two of one name.
func New(ctx context.Context, o Options) (*Hub, error) { return &Hub{o: o}, nil }

// Kinds are all kinds, in the order of their names.
func (h *Hub) Kinds() []Kind { return nil }

// Read has a durable reader read. It is for the time before [Hub.Run].
func (h *Hub) Read(name string, from Start, f Handler) {}

// Tail calls f for each event from now on, in this process alone, in order. It is for the time before [Hub.Run]; f must be quick.
func (h *Hub) Tail(f func(e Event)) {}

// Run reads until ctx ends.
func (h *Hub) Run(ctx context.Context) { <-ctx.Done() }
