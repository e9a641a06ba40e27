package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// The times and bounds that hold where Options does not say otherwise; the first two are what the protocol's own server has.
const (
	DefaultPingInterval   = 25 * time.Second
	DefaultPingTimeout    = 20 * time.Second
	DefaultUpgradeTimeout = 10 * time.Second
	DefaultConnectTimeout = 20 * time.Second
	DefaultMaxPayload     = 64 << 10 // bytes
	DefaultMaxQueued      = 1 << 20  // bytes
	DefaultMaxConns       = 20_000
)

// Peer is what stands behind a connection. Its methods are called one at a time, but for Closed, which may come at any time after Open has returned.
type Peer interface {
	// Open is called once, after the client was told that it is connected; what is sent to it from then on reaches it behind that.
	Open()
	// Event is called for each event that the client emits, with the arguments behind its name. What it returns is sent where the client asked for an
	// acknowledgement.
	Event(name string, args []json.RawMessage) any
	// Closed is called once, when the connection is over.
	Closed(why string)
}

// Options says how a server works.
type Options struct {
	// Allow is asked for each request that begins a connection or changes its transport: whether a page of that origin may. An error is answered with 403.
	Allow func(r *http.Request) error
	// Connect is asked when the client wants to be connected: r is the request that the connection began with, its context without an end, auth what the client sends
	// for its authentication (null where nothing). An error refuses it: the client gets a connect_error with its text and its code.
	Connect func(ctx context.Context, c *Conn, r *http.Request, auth json.RawMessage) (Peer, error)
	// Code is what a refusal's data has as its code; nil: none.
	Code func(error) string

	PingInterval, PingTimeout, UpgradeTimeout, ConnectTimeout time.Duration

	MaxPayload int // bytes of one message of a client
	MaxQueued  int // bytes that wait for a client
	MaxConns   int
	Log        *slog.Logger
}

// Server is an http.Handler for /socket.io/.
type Server struct {
	o     Options
	mu    sync.Mutex
	conns map[string]*Conn
	over  bool
	work  sync.WaitGroup // goroutines of connections
}

// New returns a server.
func New(o Options) *Server {
	def := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	def(&o.PingInterval, DefaultPingInterval)
	def(&o.PingTimeout, DefaultPingTimeout)
	def(&o.UpgradeTimeout, DefaultUpgradeTimeout)
	def(&o.ConnectTimeout, DefaultConnectTimeout)
	if o.MaxPayload <= 0 {
		o.MaxPayload = DefaultMaxPayload
	}
	if o.MaxQueued <= 0 {
		o.MaxQueued = DefaultMaxQueued
	}
	if o.MaxConns <= 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.Allow == nil {
		o.Allow = func(*http.Request) error { return nil }
	}
	if o.Code == nil {
		o.Code = func(error) string { return "" }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o: o, conns: map[string]*Conn{}}
}

// The errors of the Engine.IO protocol, by their numbers.
const (
	unknownTransport = 0
	unknownSID       = 1
	badMethod        = 2
	badRequest       = 3
	forbidden        = 4
	wrongVersion     = 5
)

var refusals = [...]string{"Transport unknown", "Session ID unknown", "Bad handshake method", "Bad request", "Forbidden", "Unsupported protocol version"}

func refuse(w http.ResponseWriter, code int, message string) {
	status := http.StatusBadRequest
	if code == forbidden {
		status = http.StatusForbidden
	}
	refuseWith(w, status, code, message)
}

func refuseWith(w http.ResponseWriter, status, code int, message string) {
	if message == "" {
		message = refusals[code]
	}
	text, _ := json.Marshal(map[string]any{"code": code, "message": message}) // a number and a text can always be said
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that has gone away cannot be told so.
	_, _ = w.Write(text)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	transport, sid := q.Get("transport"), q.Get("sid")
	switch {
	case q.Get("EIO") != "4":
		refuse(w, wrongVersion, "")
		return
	case transport != "polling" && transport != "websocket" || q.Has("j"):
		refuse(w, unknownTransport, "")
		return
	}
	var c *Conn
	if sid != "" {
		if c = s.conn(sid); c == nil {
			refuse(w, unknownSID, "")
			return
		}
	} else if r.Method != http.MethodGet {
		refuse(w, badMethod, "")
		return
	}
	if c == nil || transport == "websocket" {
		if err := s.o.Allow(r); err != nil {
			refuse(w, forbidden, fault.New(fault.Forbidden, "pages of this origin may not connect").Error())
			return
		}
	}
	switch {
	case transport == "websocket":
		s.serveWebSocket(w, r, c)
	case c == nil:
		s.beginPolling(w, r)
	case r.Method == http.MethodGet:
		c.servePoll(w, r)
	case r.Method == http.MethodPost:
		c.servePost(w, r)
	default:
		refuse(w, badMethod, "")
	}
}

func (s *Server) conn(sid string) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conns[sid]
}

// newID is a name that nobody guesses.
func newID() string {
	var b [18]byte
	_, _ = rand.Read(b[:]) // it never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// begin makes a connection; nil where there are too many, or the server stops.
func (s *Server) begin(r *http.Request) *Conn {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	c := &Conn{s: s, sid: newID(), ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), over: make(chan struct{}), said: make(chan struct{})}
	c.request = r.Clone(ctx)
	c.request.Body = http.NoBody
	s.mu.Lock()
	if s.over || len(s.conns) >= s.o.MaxConns {
		s.mu.Unlock()
		cancel()
		return nil
	}
	s.conns[c.sid] = c
	s.mu.Unlock()
	c.start()
	return c
}

func (s *Server) forget(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c.sid)
	s.mu.Unlock()
}

// Conns is how many connections there are.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close ends all connections, begins no more, and waits until their goroutines have ended.
func (s *Server) Close() {
	s.mu.Lock()
	s.over = true
	all := make([]*Conn, 0, len(s.conns))
	for _, c := range s.conns {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.End("server shutting down")
	}
	s.work.Wait()
}

// run runs f beside the requests, and has a panic end no more than that.
func (s *Server) run(what string, f func()) {
	s.work.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				s.o.Log.Error("socket.io: panic", "in", what, "panic", v)
			}
		}()
		f()
	})
}
