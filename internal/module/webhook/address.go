package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// metadata are where clouds tell machines their secrets, and the like: they are never called, whatever is admitted.
var metadata = prefixes("169.254.169.254/32", "169.254.170.2/32", "fd00:ec2::254/128", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32")

// notPublic are the networks of IPv4 that nobody on the Internet has (IANA's registry of special-purpose addresses), and multicast.
var notPublic = prefixes("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
	"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4")

// public6 is where public addresses of IPv6 are; notPublic6 what of it is not: Teredo and other uses of 2001::/23, documentation, 6to4, which wraps IPv4. NAT64, mapped and
// local addresses are outside of it.
var (
	public6    = netip.MustParsePrefix("2000::/3")
	notPublic6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func within(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// refusal says why no request goes to an address; "" where one may. plain: by http, which is for admitted networks alone.
func (s *Service) refusal(a netip.Addr, plain bool) string {
	zoned := a.Zone() != ""
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid():
		return "it is no address"
	case within(metadata, a):
		return "the address is one of a cloud's own services"
	case within(s.Networks, a):
		return ""
	case plain:
		return "http is for networks that the operator admitted"
	case zoned, a.Is4() && within(notPublic, a), a.Is6() && (!public6.Contains(a) || within(notPublic6, a)):
		return "the address is not public"
	}
	return ""
}

// refusedError is why a connection was not made.
type refusedError struct{ why string }

func (e *refusedError) Error() string { return e.why }

// Bounds of a request: how long it may take, and what is read of an answer.
const (
	requestWithin = 15 * time.Second
	connectWithin = 5 * time.Second
	answerReads   = 4 << 10
	headerReads   = 16 << 10
)

// client makes requests to addresses that are not refused. The judgement is made on the address of each connection, which the system is about to open.
func (s *Service) client(plain bool) *http.Client {
	dialer := &net.Dialer{Timeout: connectWithin, Resolver: s.Resolver, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return &refusedError{"it is no address"}
		}
		if why := s.refusal(a.Addr(), plain); why != "" {
			return &refusedError{why}
		}
		return nil
	}}
	return &http.Client{
		Timeout:       requestWithin,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, TLSHandshakeTimeout: connectWithin, ResponseHeaderTimeout: requestWithin, MaxResponseHeaderBytes: headerReads,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.Roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
			DisableCompression: true,
		},
	}
}

// checkURL refuses addresses that no request will ever go to; what a name means is judged when it is called.
func (s *Service) checkURL(text string) error {
	u, err := url.Parse(text)
	bad := func(format string, args ...any) error { return fault.At(fault.Invalid, "url", format, args...) }
	switch {
	case text == "":
		return bad("is missing")
	case err != nil || u.Host == "" || u.Hostname() == "" || len(text) > 2048:
		return bad("must be an address such as https://example.org/hook")
	case u.User != nil:
		return bad("must not hold a user or password: requests are signed")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return bad("must not have a fragment")
	case u.Scheme == "http" && len(s.Networks) == 0, u.Scheme != "http" && u.Scheme != "https":
		return bad("must be https")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if why := s.refusal(a, u.Scheme == "http"); why != "" {
			return bad("%s", why)
		}
	}
	return nil
}

// failed says in words that may be shown why a request got no answer.
func failed(err error) error {
	var refused *refusedError
	var dns *net.DNSError
	var slow net.Error
	var unknown *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		return fault.New(fault.Forbidden, "%s", refused.why)
	case errors.As(err, &slow) && slow.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "the receiver did not answer in time")
	case errors.As(err, &dns):
		return fault.New(fault.Unavailable, "the receiver's name is not known")
	case errors.As(err, &unknown):
		return fault.New(fault.Unavailable, "the receiver's certificate is not good")
	}
	return fault.New(fault.Unavailable, "the receiver cannot be reached")
}
