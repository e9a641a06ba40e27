package live

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/module/live/socketio"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Credential is what a client shows of itself. One of Token, APIKey, Cookie and Certificate counts, in this order.
type Credential struct {
	Tenant                             int32
	Token, APIKey, Cookie, Certificate string
	Address, Agent                     string
	Quiet                              bool // it is no act of the user, but looked at again
}

// Options says what the service works with.
type Options struct {
	Hub     *event.Hub
	Records *flat.Records
	Log     *slog.Logger
	Clock   clock.Clock // nil: the system's
	// Tenant says which tenant a request is for, by its address; 0: it does not say.
	Tenant func(ctx context.Context, r *http.Request) (int32, error)
	// Authenticate says who shows a credential: Unauthenticated where it is not valid now.
	Authenticate func(ctx context.Context, c Credential) (access.Caller, error)
	// SameOrigin says whether a page of the request's origin may connect. It is asked where a browser says one, and always where a cookie is the credential.
	SameOrigin func(r *http.Request) error
	Check      time.Duration // how often credentials are looked at again; 0: every 15 seconds
	Sight      time.Duration // how often it is looked again whether the patients of rooms may be seen; 0: every five minutes
	Ping       time.Duration // of Socket.IO; 0: every 25 seconds
	PingWait   time.Duration // how long an answer to it may take; 0: 20 seconds
}

// The times that hold where Options does not say otherwise.
const (
	defaultCheck = 15 * time.Second
	defaultSight = 5 * time.Minute
	beat         = 15 * time.Second // of a stream in which nothing happens
)

// Service is the live connections.
type Service struct {
	Options
	sockets *socketio.Server

	mu      sync.RWMutex
	clients map[*client]struct{}
	rooms   map[place]map[*client]struct{}
	closed  bool

	order sync.Mutex // of what is told
	held  map[int32]*holding
	last  map[int32]lastChange
}

// New returns the service. It follows the hub from then on.
func New(_ context.Context, o Options) (*Service, error) {
	if o.Hub == nil || o.Records == nil || o.Tenant == nil || o.Authenticate == nil || o.SameOrigin == nil {
		return nil, errors.New("live: a hub, the record, and who is who are needed")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Check <= 0 {
		o.Check = defaultCheck
	}
	if o.Sight <= 0 {
		o.Sight = defaultSight
	}
	s := &Service{Options: o, clients: map[*client]struct{}{}, rooms: map[place]map[*client]struct{}{}, held: map[int32]*holding{}, last: map[int32]lastChange{}}
	s.sockets = socketio.New(socketio.Options{Allow: s.allow, Connect: s.connect, Code: codeOf, PingInterval: o.Ping, PingTimeout: o.PingWait, Log: o.Log})
	o.Hub.Tail(s.told)
	return s, nil
}

// Handler serves /socket.io/.
func (s *Service) Handler() http.Handler { return http.HandlerFunc(s.serveSockets) }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	return []api.Route{{Method: http.MethodGet, Path: "/api/v1/events/stream", Need: api.Known(), Summary: "What happens, as it happens: Server-Sent Events", Bare: true,
		Params: []api.Param{{Name: "rooms", Many: true, Help: "rooms beside the caller's own: patient:12, facility:3, clinical-team"},
			{Name: "lastEventId", Help: "the last event that the client has seen, where it cannot send the header Last-Event-ID"}},
		Serve: s.serveStream}}
}

// Run looks after the connections until ctx ends; then it ends them.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(s.Check)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.Close()
			return
		case <-tick.C:
			s.check(ctx)
		}
	}
}

// Close ends all connections, and lets no more in.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	all := make([]*client, 0, len(s.clients))
	for c := range s.clients {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.end("the server stops", "SERVICE_UNAVAILABLE")
	}
	s.sockets.Close()
}

// Connections is how many clients are connected, by whatever means.
func (s *Service) Connections() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.clients)
}

// Notify tells a user's clients of this process something: "notification:new", with data in JSON.
func (s *Service) Notify(tenant int32, user int64, name string, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		s.Log.Error("live: what a user is to be told cannot be said", "event", name, "error", err.Error())
		return
	}
	m := &message{name: name, data: text}
	s.order.Lock()
	defer s.order.Unlock()
	s.mu.RLock()
	defer s.mu.RUnlock()
	for c := range s.rooms[place{tenant, userRoom(user)}] {
		c.deliver(m)
	}
}
