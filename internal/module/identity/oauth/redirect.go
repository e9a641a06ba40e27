package oauth

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// checkRedirectURI says why a client may not register the URI; "" where it may. OAuth 2.1 section 2.3, RFC 8252 section 7.
func checkRedirectURI(raw string, public bool) string {
	if len(raw) > 2000 || strings.ContainsAny(raw, " \t\r\n\\*\"<>`{}|^") {
		return "it has characters that a redirect URI does not have, or is too long"
	}
	for i := range len(raw) {
		if raw[i] < 0x21 || raw[i] > 0x7e {
			return "it is not plain ASCII"
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || !u.IsAbs():
		return "it is not an absolute URI"
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return "it has a fragment"
	case u.User != nil:
		return "it has a user name"
	}
	if strings.Contains(u.Path, "/../") || strings.HasSuffix(u.Path, "/..") || strings.Contains(u.Path, "/./") {
		return "its path goes up or in place"
	}
	switch u.Scheme {
	case "https":
		if u.Hostname() == "" {
			return "it has no host"
		}
	case "http":
		if !isLoopbackHost(u.Hostname()) {
			return "http is for loopback addresses alone"
		}
	default: // of a native app: reverse domain names have a dot, javascript: and data: do not (RFC 8252 section 7.1)
		if !public {
			return "a scheme of one's own is for public clients"
		}
		if !strings.Contains(u.Scheme, ".") {
			return "a scheme of one's own must be a reversed domain name, with a dot"
		}
	}
	return ""
}

func isLoopbackHost(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// redirectMatches compares a URI of a request with the registered ones: byte by byte, but for the port of a loopback address, which a
// native app learns from its system at run time (RFC 8252 section 7.3).
func redirectMatches(registered []string, raw string) bool {
	if slices.Contains(registered, raw) {
		return true
	}
	got, ok := withoutLoopbackPort(raw)
	if !ok {
		return false
	}
	return slices.ContainsFunc(registered, func(r string) bool {
		want, ok := withoutLoopbackPort(r)
		return ok && want == got
	})
}

// withoutLoopbackPort returns an http URI of a loopback address without its port; false for all others. "localhost" is none: it may be
// resolved to elsewhere.
func withoutLoopbackPort(raw string) (string, bool) {
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		rest, ok := strings.CutPrefix(raw, "http://"+host)
		if !ok {
			continue
		}
		if port, ok := strings.CutPrefix(rest, ":"); ok {
			digits := strings.IndexFunc(port, func(r rune) bool { return r < '0' || r > '9' })
			if digits < 0 {
				digits = len(port)
			}
			if digits == 0 || digits > 5 {
				return "", false
			}
			rest = port[digits:]
		}
		if rest != "" && rest[0] != '/' && rest[0] != '?' || strings.Contains(rest, "#") {
			return "", false
		}
		return "http://" + host + rest, true
	}
	return "", false
}

// withQuery adds parameters to a redirect URI, keeping its own (RFC 6749 section 3.1.2).
func withQuery(uri string, params url.Values) string {
	sep := "?"
	if strings.Contains(uri, "?") {
		sep = "&"
		if strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&") {
			sep = ""
		}
	}
	return uri + sep + params.Encode()
}

// formTarget is what a page's form-action must name so that a browser follows its form's redirect to the URI.
func formTarget(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if u.Scheme == "https" || u.Scheme == "http" {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// claimed reports a URI that only its owner's server answers at, other than a loopback address or a scheme that any app can take.
func claimed(uri string) bool { return strings.HasPrefix(uri, "https://") }
