package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/bench/wire"
	"github.com/nilecare/nilecare/internal/fhir"
)

// target is the server, with what every request to it begins with.
type target struct {
	addr  string
	tls   bool
	path  string // of the base, without a slash at its end
	heads string // headers of every request
}

func newTarget(ctx context.Context, server, header string, allowRemote bool) (*target, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("-server: %q is no http URL", server)
	}
	t := &target{addr: u.Host, tls: u.Scheme == "https", path: strings.TrimSuffix(u.Path, "/")}
	if u.Port() == "" {
		t.addr = net.JoinHostPort(u.Hostname(), map[bool]string{false: "80", true: "443"}[t.tls])
	}
	if !allowRemote {
		if err := loopback(ctx, u.Hostname()); err != nil {
			return nil, err
		}
	}
	if strings.ContainsAny(header, "\r\n") {
		return nil, errors.New("-header: one line")
	}
	t.heads = " HTTP/1.1\r\nHost: " + u.Host + "\r\nAccept: application/fhir+json\r\n"
	if header != "" {
		t.heads += header + "\r\n"
	}
	return t, nil
}

func loopback(ctx context.Context, host string) error {
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return fmt.Errorf("-server: %w", err)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return fmt.Errorf("-server: %s is another machine; -allow-remote admits it", host)
		}
	}
	return nil
}

func (t *target) conn() *wire.Conn {
	return &wire.Conn{Addr: t.addr, TLS: t.tls, Timeout: 2 * time.Minute}
}

// get appends a whole GET request for what stands below the base.
func (t *target) get(b []byte, parts ...string) []byte {
	b = t.start(b, "GET ", parts)
	return append(b, "\r\n"...)
}

// send appends a whole request with a body of the given parts.
func (t *target) send(b []byte, method, path string, body ...[]byte) []byte {
	n := 0
	for _, p := range body {
		n += len(p)
	}
	b = t.start(b, method, []string{path})
	b = append(b, "Content-Type: application/fhir+json\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, "\r\n\r\n"...)
	for _, p := range body {
		b = append(b, p...)
	}
	return b
}

func (t *target) start(b []byte, method string, parts []string) []byte {
	b = append(b, method...)
	b = append(b, t.path...)
	for _, p := range parts {
		b = append(b, p...)
	}
	return append(b, t.heads...)
}

// resource asks and reads the resource in the answer; for preparations, not for measuring.
func (t *target) resource(c *wire.Conn, request []byte) (*fhir.Resource, error) {
	c.Bodies = true
	a, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	if a.Status/100 != 2 {
		return nil, refused(a)
	}
	return fhir.ParseResource(append([]byte(nil), a.Body...))
}

func refused(a wire.Answer) error {
	return fmt.Errorf("status %d: %.300s", a.Status, a.Body)
}

// below returns what of an absolute URL on this server stands below the base: a page's next link.
func (t *target) below(link string) (string, error) {
	u, err := url.Parse(link)
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(u.RequestURI(), t.path)
	if !ok {
		return "", fmt.Errorf("the link %.100q leads elsewhere", link)
	}
	return rest, nil
}
