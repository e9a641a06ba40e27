package federation

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The bounds of what is asked of providers.
const (
	askTime  = 10 * time.Second
	askBytes = 1 << 20
	cacheAge = time.Hour
	cacheMax = 256
)

var (
	errURL  = errors.New("federation: an address must be https, or http on the loopback")
	errSize = errors.New("federation: the provider's answer is too large")
	errDial = errors.New("federation: this address is not asked")
)

// permittedURL says why an address is not asked.
func permittedURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return errURL
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return errURL
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// boundedClient asks providers: over TLS but on the loopback, within bounds, and never the addresses that clouds keep their secrets at.
func boundedClient() *http.Client {
	d := &net.Dialer{Timeout: askTime, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return errDial
		}
		if ip := at.Addr().Unmap(); ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
			return errDial
		}
		return nil
	}}
	t := &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: d.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2,
		IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: askTime, ResponseHeaderTimeout: askTime, MaxResponseHeaderBytes: 64 << 10}
	return &http.Client{Timeout: askTime, Transport: bounded{t}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) >= 3 {
			return errors.New("federation: too many redirects")
		}
		return permittedURL(r.URL.String())
	}}
}

type bounded struct{ next http.RoundTripper }

// RoundTrip refuses addresses that are not permitted, and cuts off what is too large.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := permittedURL(r.URL.String()); err != nil {
		return nil, err
	}
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &limited{resp.Body, askBytes}
	}
	return resp, err
}

type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.left -= n; l.left < 0 {
		return 0, errSize
	}
	return n, err
}

// cache keeps what providers said of themselves, for an hour. What is kept belongs to one version of a provider's row.
type cache struct {
	mu   sync.Mutex
	kept map[cacheKey]cached
}

type cacheKey struct {
	tenant  int32
	id      string
	updated int64
}

type cached struct {
	v     any
	until time.Time
}

func newCache() *cache { return &cache{kept: map[cacheKey]cached{}} }

func keyOf(p *Provider) cacheKey { return cacheKey{p.tenant, p.ID, p.Updated.UnixMicro()} }

func (c *cache) get(p *Provider, now time.Time) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.kept[keyOf(p)]; ok && now.Before(e.until) {
		return e.v
	}
	return nil
}

func (c *cache) put(p *Provider, v any, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= cacheMax {
		clear(c.kept)
	}
	c.kept[keyOf(p)] = cached{v, now.Add(cacheAge)}
}

func (c *cache) drop(p *Provider) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, keyOf(p))
}
