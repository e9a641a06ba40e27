package api

import (
	"net/http"
	"net/netip"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/web"
)

type limits struct {
	Limits []web.Standing `json:"limits"`
}

// RateLimits returns the route by which callers see their own limits and what is left of them. l may be nil: then nobody has any.
func RateLimits(l *web.Limiter) []Route {
	return []Route{{Method: http.MethodGet, Path: "/api/v1/rate-limits", Need: Known(), Summary: "The caller's own rate limits, and what is left of them",
		Out: limits{}, Serve: func(w http.ResponseWriter, r *http.Request) error {
			out := limits{Limits: []web.Standing{}}
			if l != nil {
				caller := access.From(r.Context())
				// Whoever is known is not counted by address.
				out.Limits = l.Standings(&caller, netip.Addr{})
			}
			return Answer(w, r, http.StatusOK, out)
		}}}
}
