// Package wire is a small HTTP/1.1 client for load: it sends ready requests over one kept connection and reads of the answer what a
// measurement needs. It costs a few microseconds a request where net/http costs tens, which on a machine shared with the server would be
// measured as the server's. It follows no redirects, keeps no cookies and asks for no compression.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// Answer is what came back.
type Answer struct {
	Status   int
	Size     int    // bytes of the body
	Location string // of a Location header; where Conn.Locations is set
	Body     []byte // where Conn.Bodies is set; valid until the next call
}

// Conn is one connection to a server, dialled when needed. It is for one goroutine.
type Conn struct {
	Addr      string        // host:port
	TLS       bool          // speak https
	Timeout   time.Duration // for one request
	Locations bool          // keep the Location header
	Bodies    bool          // keep bodies

	conn net.Conn
	r    *bufio.Reader
	body []byte
}

// Close closes the connection.
func (c *Conn) Close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// Do sends the request, whole and with its Content-Length, and reads the answer to its end. After an error the next call dials anew.
func (c *Conn) Do(request []byte) (Answer, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return Answer{}, err
		}
	}
	a, err := c.exchange(request)
	if err != nil {
		c.Close()
	}
	return a, err
}

func (c *Conn) dial() error {
	var err error
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	if c.TLS {
		c.conn, err = (&tls.Dialer{NetDialer: &d}).DialContext(ctx, "tcp", c.Addr)
	} else {
		c.conn, err = d.DialContext(ctx, "tcp", c.Addr)
	}
	if err != nil {
		c.conn = nil
		return err
	}
	if c.r == nil {
		c.r = bufio.NewReaderSize(c.conn, 32<<10)
	} else {
		c.r.Reset(c.conn)
	}
	return nil
}

// head is what the headers say of the body.
type head struct {
	length  int // -1: not said
	chunked bool
	closes  bool
}

func (c *Conn) exchange(request []byte) (Answer, error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return Answer{}, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return Answer{}, err
	}
	var a Answer
	h := head{length: -1}
	for {
		if err := c.status(&a); err != nil {
			return a, err
		}
		if err := c.headers(&a, &h); err != nil {
			return a, err
		}
		if a.Status >= 200 { // what is below only announces the answer
			break
		}
	}
	c.body = c.body[:0]
	err := c.readBody(&a, h, bytes.HasPrefix(request, []byte("HEAD ")))
	a.Body = c.body
	if h.closes || h.length < 0 && !h.chunked {
		c.Close()
	}
	return a, err
}

func (c *Conn) line() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

func (c *Conn) status(a *Answer) error {
	line, err := c.line()
	if err != nil {
		return err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return fmt.Errorf("no HTTP/1 answer: %.40q", line)
	}
	a.Status, err = strconv.Atoi(string(line[9:12]))
	return err
}

func (c *Conn) headers(a *Answer, h *head) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return fmt.Errorf("a bad header: %.40q", line)
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.Atoi(string(value)); err != nil || h.length < 0 {
				return fmt.Errorf("a bad Content-Length: %.40q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			h.closes = bytes.EqualFold(value, []byte("close"))
		case c.Locations && bytes.EqualFold(name, []byte("Location")):
			a.Location = string(value)
		}
	}
}

func (c *Conn) readBody(a *Answer, h head, headOnly bool) error {
	switch {
	case headOnly || a.Status == 204 || a.Status == 304:
		return nil
	case h.chunked:
		return c.chunks(a)
	case h.length >= 0:
		return c.take(a, h.length)
	}
	// Without a length the body ends with the connection.
	for {
		n, err := c.r.ReadByte()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a.Size++
		if c.Bodies {
			c.body = append(c.body, n)
		}
	}
}

func (c *Conn) chunks(a *Answer) error {
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 31)
		if err != nil || n < 0 {
			return fmt.Errorf("a bad chunk: %.40q", line)
		}
		if n == 0 {
			break
		}
		if err := c.take(a, int(n)); err != nil {
			return err
		}
		if _, err := c.line(); err != nil {
			return err
		}
	}
	for { // trailers
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return err
		}
	}
}

func (c *Conn) take(a *Answer, n int) error {
	a.Size += n
	if !c.Bodies {
		_, err := c.r.Discard(n)
		return err
	}
	start := len(c.body)
	c.body = append(c.body, make([]byte, n)...)
	_, err := io.ReadFull(c.r, c.body[start:])
	return err
}
