package web

import "net/http"

// DefaultPagePolicy is the Content-Security-Policy of pages, where Options does not say otherwise: everything from this server, nothing
// inline, no frame around it.
const DefaultPagePolicy = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; " +
	"connect-src 'self'"

// answerPolicy is the policy of what is no page: should a browser be made to show it, it may do nothing.
const answerPolicy = "default-src 'none'; frame-ancestors 'none'"

// hsts has browsers come by TLS alone for two years.
const hsts = "max-age=63072000; includeSubDomains"

// protection are the header values that every answer shares; nothing changes them.
type protection struct {
	nosniff, noReferrer, sameOrigin, hsts, noStore, answer, page, features, deny []string
}

func newProtection(pagePolicy string) protection {
	if pagePolicy == "" {
		pagePolicy = DefaultPagePolicy
	}
	return protection{nosniff: []string{"nosniff"}, noReferrer: []string{"no-referrer"}, sameOrigin: []string{"same-origin"}, hsts: []string{hsts},
		noStore: []string{"no-store"}, answer: []string{answerPolicy}, page: []string{pagePolicy}, deny: []string{"DENY"},
		features: []string{"accelerometer=(), browsing-topics=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=()"}}
}

// set puts the headers that protect whoever reads the answer. A handler that knows better sets its own in their place.
func (p *protection) set(h http.Header, r *http.Request) {
	h["X-Content-Type-Options"] = p.nosniff
	h["Referrer-Policy"] = p.noReferrer
	h["Cross-Origin-Resource-Policy"] = p.sameOrigin
	h["Cache-Control"] = p.noStore
	if Secure(r) {
		h["Strict-Transport-Security"] = p.hsts
	}
	if isData(r.URL.Path) {
		h["Content-Security-Policy"] = p.answer
		return
	}
	h["Content-Security-Policy"] = p.page
	h["Permissions-Policy"] = p.features
	h["Cross-Origin-Opener-Policy"] = p.sameOrigin
	h["X-Frame-Options"] = p.deny
}

// isData reports a path of one of the two APIs, which answer data and no pages.
func isData(path string) bool { return below(path, "/fhir") || below(path, "/api") }
