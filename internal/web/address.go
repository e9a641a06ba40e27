package web

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// peerOf is the address that a connection came from, without its port and zone. It is not valid for a socket of this machine's files.
func peerOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// Within reports whether any of the networks holds the address.
func Within(list []netip.Prefix, a netip.Addr) bool { return within(list, a) }

// within reports whether any of the prefixes holds the address.
func within(list []netip.Prefix, a netip.Addr) bool {
	if !a.IsValid() {
		return false
	}
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// clientOf is the address that a request came from. X-Forwarded-For is believed only as far as the proxies that wrote it are trusted: it
// is read from its end, and the first address that is no trusted proxy is the client. forwarded reports that the peer is such a proxy.
func (e *Edge) clientOf(r *http.Request) (client netip.Addr, forwarded bool) {
	return ClientOf(e.proxies, r)
}

// ClientOf is the address that a request came from, with the proxies that are trusted: see [Options.Proxies].
func ClientOf(proxies []netip.Prefix, r *http.Request) (client netip.Addr, forwarded bool) {
	client = peerOf(r)
	if len(proxies) == 0 || !within(proxies, client) {
		return client, false
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		for rest := lines[i]; rest != ""; {
			var last string
			if at := strings.LastIndexByte(rest, ','); at >= 0 {
				rest, last = rest[:at], rest[at+1:]
			} else {
				rest, last = "", rest
			}
			a, err := netip.ParseAddr(strings.TrimSpace(last))
			if err != nil {
				return client, true // what stands before it, nobody vouches for
			}
			client = a.Unmap().WithZone("")
			if !within(proxies, client) {
				return client, true
			}
		}
	}
	return client, true
}

type secureKey struct{}

// Secure reports that the client reached us by TLS: here, or at a trusted proxy that says so (X-Forwarded-Proto).
func Secure(r *http.Request) bool {
	return r.TLS != nil || r.Context().Value(secureKey{}) != nil
}

// markSecure notes in the request's context what a trusted proxy says of the client's connection.
func markSecure(r *http.Request) *http.Request {
	if v := r.Header["X-Forwarded-Proto"]; r.TLS == nil && len(v) == 1 && strings.EqualFold(v[0], "https") {
		return r.WithContext(context.WithValue(r.Context(), secureKey{}, true))
	}
	return r
}

// ParsePrefixes reads a list of networks ("10.0.0.0/8", "2001:db8::/32") and single addresses. The error names the first that is neither.
func ParsePrefixes(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, s := range list {
		s = strings.TrimSpace(s)
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, errNoNetwork(s)
		}
		a = a.Unmap().WithZone("")
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	}
	return out, nil
}

type errNoNetwork string

func (e errNoNetwork) Error() string {
	return "web: " + string(e) + " is neither an address nor a network such as 10.0.0.0/8"
}
