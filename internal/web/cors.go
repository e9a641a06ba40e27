package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// CORS says which pages of other origins may call (Fetch standard, section 3.2). The zero CORS admits none.
type CORS struct {
	Origins []string      // exact: "https://app.example.org"; neither "*" nor "null" is taken, since callers bring credentials
	Headers []string      // that a page may send, beside those that every client of ours may need
	MaxAge  time.Duration // for how long a browser may remember a preflight's answer; 0: ten minutes
}

const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
	corsHeaders = "Accept, Authorization, Content-Type, Content-Encoding, If-Match, If-Modified-Since, If-None-Exist, If-None-Match, Prefer, Range, " +
		"X-API-Key, X-CSRF-Token, X-Request-Id, X-Requested-With, X-Purpose-Of-Use, Idempotency-Key, traceparent, tracestate"
	corsExposed = "Content-Disposition, Content-Location, Deprecation, ETag, Idempotency-Replayed, Last-Modified, Link, Location, RateLimit, RateLimit-Limit, RateLimit-Policy, " +
		"RateLimit-Remaining, RateLimit-Reset, Retry-After, Sunset, WWW-Authenticate, X-API-Version, X-RateLimit-Limit, X-RateLimit-Remaining, " +
		"X-RateLimit-Reset, X-Request-Id"
)

// cors is CORS made ready: an origin's answer is its own value, made once.
type cors struct {
	origins                           map[string][]string
	yes, vary, preflightVary          []string
	methods, headers, exposed, maxAge []string
}

func newCORS(c CORS) (*cors, error) {
	if len(c.Origins) == 0 {
		return nil, nil
	}
	out := &cors{origins: map[string][]string{}, yes: []string{"true"}, vary: []string{"Origin"},
		preflightVary: []string{"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"},
		methods:       []string{corsMethods}, exposed: []string{corsExposed},
		headers: []string{strings.Join(append([]string{corsHeaders}, c.Headers...), ", ")}}
	for _, o := range c.Origins {
		o = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(o), "/"))
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || o != u.Scheme+"://"+u.Host || strings.Contains(o, "*") {
			return nil, fmt.Errorf("web: %q is no origin, such as https://app.example.org", o)
		}
		out.origins[o] = []string{o}
	}
	age := c.MaxAge
	if age <= 0 {
		age = 10 * time.Minute
	}
	out.maxAge = []string{strconv.Itoa(int(age / time.Second))}
	return out, nil
}

// allow sets the headers of an answer, and reports whether the request was a preflight, which is thereby answered.
func (c *cors) allow(w http.ResponseWriter, r *http.Request) (answered bool) {
	h := w.Header()
	origin := r.Header["Origin"]
	preflight := r.Method == http.MethodOptions && len(origin) == 1 && len(r.Header["Access-Control-Request-Method"]) > 0
	h["Vary"] = c.vary
	if len(origin) == 1 {
		if value, ok := c.origins[origin[0]]; ok {
			h["Access-Control-Allow-Origin"] = value
			h["Access-Control-Allow-Credentials"] = c.yes
			if preflight {
				h["Access-Control-Allow-Methods"], h["Access-Control-Allow-Headers"], h["Access-Control-Max-Age"] = c.methods, c.headers, c.maxAge
			} else {
				h["Access-Control-Expose-Headers"] = c.exposed
			}
		}
	}
	if preflight {
		h["Vary"] = c.preflightVary
		SetRoute(w, "preflight")
		w.WriteHeader(http.StatusNoContent)
	}
	return preflight
}
