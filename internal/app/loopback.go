package app

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// loopback reports whether nobody but this machine can reach HOST:PORT. A name is looked up: all its addresses must be of
// the loopback.
func loopback(ctx context.Context, listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || host == "" {
		return false
	}
	if local(host) {
		return true
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, a := range found {
		if !a.Unmap().IsLoopback() {
			return false
		}
	}
	return err == nil && len(found) > 0
}

// local reports a name or address that always means this machine.
func local(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}

// sameMachine lets only requests through that were sent to this machine by a name of its own. A page from elsewhere whose
// name was made to point to 127.0.0.1 (DNS rebinding) would otherwise read records through its visitor's browser.
func sameMachine(next http.Handler, baseURL string) http.Handler {
	own := ""
	if u, err := url.Parse(baseURL); err == nil {
		own = u.Hostname()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if local(host) || own != "" && strings.EqualFold(host, own) {
			next.ServeHTTP(w, r)
			return
		}
		web.LeaveBody(w, r)
		web.Fail(w, fault.New(fault.Forbidden, "this server answers to localhost and to the host of base-url alone"))
	})
}
