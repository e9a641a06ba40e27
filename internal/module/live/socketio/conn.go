package socketio

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Conn is a connection to a client.
type Conn struct {
	s       *Server
	sid     string // of the transport: whoever knows it can speak for the client
	request *http.Request
	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{} // a poll that waits is to look again
	over    chan struct{} // closed when the connection has ended
	said    chan struct{} // closed when the last words to a WebSocket have been written

	in sync.Mutex // one message of the client at a time

	mu        sync.Mutex
	out       [][]byte // packets for the client
	outBytes  int
	ws        *websocket.Conn // nil: polling
	upgrading bool
	polled    bool // a poll waits
	posted    bool // a post is being read
	draining  bool // a goroutine writes to ws
	ended     bool
	asked     bool // the client has asked to be connected
	connected bool // and is
	peer      Peer
	ping      *time.Timer
	pong      *time.Timer // runs while an answer to a ping is awaited
	unasked   *time.Timer // runs until the client is connected
	linger    *time.Timer // runs while a client that polls may fetch the last words
}

// The packets of Engine.IO.
const (
	openPacket    = '0'
	closePacket   = '1'
	pingPacket    = '2'
	pongPacket    = '3'
	messagePacket = '4'
	upgradePacket = '5'
	noop          = "6"
)

// The packets of Socket.IO, in messages.
const (
	connect      = '0'
	disconnect   = '1'
	event        = '2'
	ack          = '3'
	connectError = '4'
)

const separator = 0x1e // of packets in a poll

// writeTime is how long a client may take to accept one packet.
const writeTime = 15 * time.Second

// refusedTime is how long a client that was refused has to leave by itself: then it knows that it was not the line that broke.
const refusedTime = 5 * time.Second

// lingers is how long a client that polls has to fetch the last words.
const lingers = 10 * time.Second

// Request is the request that the connection began with. Its context has no end, and its body is gone.
func (c *Conn) Request() *http.Request { return c.request }

// Message is an event, ready to be sent to any number of clients.
type Message []byte

// Encode makes a message of an event's name and one argument in JSON.
func Encode(name string, data []byte) Message {
	said, _ := json.Marshal(name) // a text can always be said
	b := make([]byte, 0, len(said)+len(data)+5)
	b = append(b, messagePacket, event, '[')
	b = append(b, said...)
	b = append(b, ',')
	b = append(b, data...)
	return append(b, ']')
}

// Send puts a message into the client's queue. It never waits; where the queue is full the connection is ended. It may be called from anywhere but from the
// peer's Closed.
func (c *Conn) Send(m Message) { c.push(m) }

func (c *Conn) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.s.o
	said, _ := json.Marshal(map[string]any{"sid": c.sid, "upgrades": []string{"websocket"}, "pingInterval": o.PingInterval.Milliseconds(),
		"pingTimeout": o.PingTimeout.Milliseconds(), "maxPayload": o.MaxPayload}) // texts and numbers
	c.out = append(c.out, append([]byte{openPacket}, said...))
	c.ping = time.AfterFunc(o.PingInterval, c.sayPing)
	c.unasked = time.AfterFunc(o.ConnectTimeout, func() { c.end("not connected in time") })
}

func (c *Conn) sayPing() {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.pong = time.AfterFunc(c.s.o.PingTimeout, func() { c.end("ping timeout") })
	c.mu.Unlock()
	c.push([]byte{pingPacket})
}

func (c *Conn) gotPong() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.pong == nil {
		return
	}
	c.pong.Stop()
	c.pong = nil
	c.ping.Reset(c.s.o.PingInterval)
}

// push puts a packet into the queue.
func (c *Conn) push(packet []byte) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	if c.outBytes+len(packet) > c.s.o.MaxQueued {
		c.mu.Unlock()
		c.end("too slow")
		return
	}
	c.out, c.outBytes = append(c.out, packet), c.outBytes+len(packet)
	c.deliver()
	c.mu.Unlock()
}

// deliver has what waits be sent; the mutex is held.
func (c *Conn) deliver() {
	if c.ws == nil {
		select {
		case c.wake <- struct{}{}:
		default:
		}
		return
	}
	if !c.draining && (len(c.out) > 0 || c.ended) {
		c.draining = true
		c.s.run("writing", c.drain)
	}
}

// drain writes to the WebSocket until nothing waits; where the connection has ended it closes it after the last words.
func (c *Conn) drain() {
	for {
		c.mu.Lock()
		all := c.take()
		if len(all) == 0 {
			ended := c.ended
			c.draining = ended // once it has ended nothing is written any more
			c.mu.Unlock()
			if ended {
				_ = c.ws.Close(websocket.StatusNormalClosure, "") // where it is closed already that is fine
				close(c.said)
			}
			return
		}
		c.mu.Unlock()
		for _, packet := range all {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), writeTime)
			err := c.ws.Write(ctx, websocket.MessageText, packet)
			cancel()
			if err != nil {
				c.end("transport error")
				_ = c.ws.CloseNow()
				close(c.said)
				return // draining stays set: nothing can be written any more
			}
		}
	}
}

// take takes all that waits; the mutex is held.
func (c *Conn) take() [][]byte {
	all := c.out
	c.out, c.outBytes = nil, 0
	return all
}

// End ends the connection, with a word to the client that the server wants it so.
func (c *Conn) End(why string) {
	c.mu.Lock()
	if !c.ended && c.connected {
		c.out = append(c.out, []byte{messagePacket, disconnect})
	}
	c.mu.Unlock()
	c.end(why)
}

// end ends the connection: what waits is sent still.
func (c *Conn) end(why string) {
	c.mu.Lock()
	if c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	for _, t := range []*time.Timer{c.ping, c.pong, c.unasked} {
		if t != nil {
			t.Stop()
		}
	}
	peer, polling := c.peer, c.ws == nil
	c.deliver()
	c.mu.Unlock()
	close(c.over)
	if peer != nil {
		c.s.run("closing", func() { peer.Closed(why) })
	}
	c.cancel()
	if !polling {
		c.s.forget(c)
		return
	}
	c.mu.Lock()
	c.linger = time.AfterFunc(lingers, func() { c.s.forget(c) })
	c.mu.Unlock()
}

// got handles a packet of the client. false ends the reading.
func (c *Conn) got(packet []byte) bool {
	c.mu.Lock()
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return false
	}
	if len(packet) == 0 {
		c.end("parse error")
		return false
	}
	switch packet[0] {
	case pongPacket:
		c.gotPong()
	case closePacket:
		c.end("transport close")
		return false
	case messagePacket:
		return c.gotMessage(packet[1:])
	default:
		c.end("parse error")
		return false
	}
	return true
}

// parsed is a packet of Socket.IO.
type parsed struct {
	kind byte
	nsp  string
	id   string // digits, "" where no acknowledgement is asked for
	data []byte
}

func parse(b []byte) (p parsed, ok bool) {
	if len(b) == 0 {
		return p, false
	}
	p.kind, b = b[0], b[1:]
	p.nsp = "/"
	if len(b) > 0 && b[0] == '/' {
		nsp, rest, found := bytes.Cut(b, []byte{','})
		if p.nsp, b = string(nsp), rest; !found {
			b = nil
		}
	}
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	p.id, p.data = string(b[:n]), b[n:]
	return p, n <= 16 && len(p.nsp) <= 200
}

func (c *Conn) gotMessage(b []byte) bool {
	p, ok := parse(b)
	if !ok {
		c.end("parse error")
		return false
	}
	if p.nsp != "/" {
		if p.kind == connect {
			name, _, _ := bytes.Cut([]byte(p.nsp), []byte{'?'})
			c.push([]byte(string(messagePacket) + string(connectError) + string(name) + `,{"message":"Invalid namespace"}`))
		}
		return true
	}
	switch p.kind {
	case connect:
		return c.gotConnect(p.data)
	case event:
		return c.gotEvent(p)
	case disconnect:
		c.end("client namespace disconnect")
		return false
	case ack:
		return true // nothing is ever asked for
	}
	c.end("parse error")
	return false
}

func (c *Conn) gotConnect(auth []byte) bool {
	c.mu.Lock()
	again := c.asked
	c.asked = true
	c.mu.Unlock()
	if again || len(auth) > 0 && !json.Valid(auth) {
		c.end("parse error")
		return false
	}
	if len(auth) == 0 {
		auth = []byte("null")
	}
	peer, err := c.s.o.Connect(c.ctx, c, c.request, bytes.Clone(auth))
	if err != nil {
		refusal := map[string]any{"message": err.Error()}
		if code := c.s.o.Code(err); code != "" {
			refusal["data"] = map[string]string{"code": code}
		}
		text, _ := json.Marshal(refusal) // texts can always be said
		c.push(append([]byte{messagePacket, connectError}, text...))
		c.mu.Lock()
		if !c.ended {
			c.unasked.Reset(refusedTime)
		}
		c.mu.Unlock()
		return true
	}
	c.mu.Lock()
	c.unasked.Stop()
	if c.ended { // while it was being asked
		c.mu.Unlock()
		return false
	}
	c.connected = true
	c.out = append(c.out, []byte(string(messagePacket)+string(connect)+`{"sid":"`+newID()+`"}`))
	c.deliver()
	c.mu.Unlock()
	peer.Open()
	c.mu.Lock()
	ended := c.ended
	c.peer = peer
	c.mu.Unlock()
	if ended { // while it was being opened
		peer.Closed("transport close")
	}
	return !ended
}

func (c *Conn) gotEvent(p parsed) bool {
	c.mu.Lock()
	peer := c.peer
	c.mu.Unlock()
	var args []json.RawMessage
	var name string
	if peer == nil || json.Unmarshal(p.data, &args) != nil || len(args) == 0 || json.Unmarshal(args[0], &name) != nil {
		c.end("parse error")
		return false
	}
	answer := peer.Event(name, args[1:])
	if p.id == "" {
		return true
	}
	n, err := strconv.ParseUint(p.id, 10, 53)
	if err != nil {
		c.end("parse error")
		return false
	}
	text, err := json.Marshal([]any{answer})
	if err != nil {
		c.s.o.Log.Error("socket.io: an acknowledgement cannot be said", "event", name, "error", err.Error())
		return true
	}
	b := strconv.AppendUint([]byte{messagePacket, ack}, n, 10)
	c.push(append(b, text...))
	return true
}
