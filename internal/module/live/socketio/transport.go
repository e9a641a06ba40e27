package socketio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// beginPolling makes a connection, whose first packet is the answer.
func (s *Server) beginPolling(w http.ResponseWriter, r *http.Request) {
	c := s.begin(r)
	if c == nil {
		refuseWith(w, http.StatusServiceUnavailable, badRequest, "there are too many connections: try again later")
		return
	}
	c.servePoll(w, r)
}

// servePoll answers with what waits for the client, or waits for it.
func (c *Conn) servePoll(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	switch {
	case c.ws != nil:
		c.mu.Unlock()
		refuse(w, badRequest, "")
		return
	case c.polled:
		c.mu.Unlock()
		c.end("overlapping polls")
		refuse(w, badRequest, "")
		return
	}
	c.polled = true
	c.mu.Unlock()
	packets, alive := c.await(r.Context())
	c.mu.Lock()
	c.polled = false
	c.mu.Unlock()
	if !alive {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-store")
	if _, err := w.Write(bytes.Join(packets, []byte{separator})); err != nil {
		c.end("transport error") // what was in it is lost: the client is to begin anew
	}
}

// await waits for packets. false where the client has gone away meanwhile.
func (c *Conn) await(ctx context.Context) ([][]byte, bool) {
	for {
		c.mu.Lock()
		if c.ws != nil { // the change was made while the poll came in: what there is goes by the WebSocket
			c.mu.Unlock()
			return [][]byte{[]byte(noop)}, true
		}
		packets, ended, now := c.take(), c.ended, c.upgrading
		if ended && c.linger != nil {
			c.linger.Stop()
		}
		c.mu.Unlock()
		switch {
		case ended:
			c.s.forget(c)
			return append(packets, []byte{closePacket}), true
		case len(packets) > 0:
			return packets, true
		case now: // the client waits for this poll's end before it changes over
			return [][]byte{[]byte(noop)}, true
		}
		select {
		case <-c.wake:
		case <-c.over:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) { // the server's own limit for a request
				return [][]byte{[]byte(noop)}, true
			}
			c.end("transport close")
			return nil, false
		}
	}
}

// servePost reads packets of the client.
func (c *Conn) servePost(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	wrong := c.ws != nil || c.ended
	overlap := c.posted && !wrong
	c.posted = c.posted || !wrong
	c.mu.Unlock()
	if overlap {
		c.end("overlapping posts")
	}
	if wrong || overlap {
		refuse(w, badRequest, "")
		return
	}
	defer func() {
		c.mu.Lock()
		c.posted = false
		c.mu.Unlock()
	}()
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(c.s.o.MaxPayload)+1))
	if err != nil || len(body) > c.s.o.MaxPayload {
		c.end("transport error")
		status := http.StatusBadRequest
		if err == nil {
			status = http.StatusRequestEntityTooLarge
		}
		refuseWith(w, status, badRequest, "")
		return
	}
	c.in.Lock()
	for packet := range bytes.SplitSeq(body, []byte{separator}) {
		if !c.got(packet) {
			break
		}
	}
	c.in.Unlock()
	h := w.Header()
	h.Set("Content-Type", "text/html")
	h.Set("Cache-Control", "no-store")
	// A client that has gone away cannot be told so.
	_, _ = io.WriteString(w, "ok")
}

// serveWebSocket begins a connection with a WebSocket, or changes one over to it that polls.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, c *Conn) {
	if c != nil {
		c.mu.Lock()
		wrong := c.ws != nil || c.upgrading || c.ended
		c.mu.Unlock()
		if wrong {
			refuse(w, badRequest, "")
			return
		}
	}
	// The origin was looked at. What is sent is small, and compression would keep memory for each connection.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // it has answered
	}
	ws.SetReadLimit(int64(s.o.MaxPayload))
	if c != nil {
		s.run("upgrade", func() { c.upgrade(ws) })
		return
	}
	if c = s.begin(r); c == nil {
		_ = ws.Close(websocket.StatusTryAgainLater, "there are too many connections")
		return
	}
	c.mu.Lock()
	c.ws = ws
	c.deliver()
	c.mu.Unlock()
	s.run("reading", c.read)
}

// upgrade changes over from polling: a ping with "probe" is answered, and the client's upgrade packet, which it sends when no poll is under way, is the moment.
func (c *Conn) upgrade(ws *websocket.Conn) {
	ctx, cancel := context.WithTimeout(c.ctx, c.s.o.UpgradeTimeout)
	defer cancel()
	failed := func() {
		c.mu.Lock()
		c.upgrading = false
		c.mu.Unlock()
		_ = ws.CloseNow() // the client goes on polling
	}
	if _, packet, err := ws.Read(ctx); err != nil || string(packet) != string(pingPacket)+"probe" {
		failed()
		return
	}
	if err := ws.Write(ctx, websocket.MessageText, []byte(string(pongPacket)+"probe")); err != nil {
		failed()
		return
	}
	c.mu.Lock()
	c.upgrading = true
	c.deliver()
	c.mu.Unlock()
	_, packet, err := ws.Read(ctx)
	if err != nil || string(packet) != string(upgradePacket) {
		failed()
		return
	}
	c.mu.Lock()
	if c.ended || c.ws != nil {
		c.mu.Unlock()
		_ = ws.CloseNow()
		return
	}
	c.ws, c.upgrading = ws, false
	c.deliver()
	c.mu.Unlock()
	c.read()
}

// read reads the WebSocket until it or the connection ends. Its context has no end: the end of that would cut off the last words.
func (c *Conn) read() {
	ctx := context.WithoutCancel(c.ctx)
	for {
		kind, packet, err := c.ws.Read(ctx)
		switch {
		case err != nil && websocket.CloseStatus(err) >= 0:
			c.end("transport close")
		case err != nil:
			c.end("transport error")
		case kind != websocket.MessageText:
			c.end("parse error")
		default:
			c.in.Lock()
			more := c.got(packet)
			c.in.Unlock()
			if more {
				continue
			}
		}
		break
	}
	select {
	case <-c.said:
	case <-time.After(writeTime):
	}
	_ = c.ws.CloseNow()
}
