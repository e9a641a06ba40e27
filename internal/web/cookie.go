package web

import (
	"net/http"
	"time"
)

// The names of cookies. With TLS they bear the prefix __Host-: a browser takes such a cookie only from this very host, by TLS, for all its
// paths, so that no neighbour can plant one. Without TLS, which is for the loopback alone, no browser would keep them.
const (
	SessionCookie      = "__Host-session"
	SessionCookiePlain = "session"
	RefreshCookie      = "__Host-refresh"
	RefreshCookiePlain = "refresh"
	CSRFCookie         = "__Host-csrf"
	CSRFCookiePlain    = "csrf"
)

// nameFor is the cookie's name for the connection that the request came by.
func nameFor(r *http.Request, name, plain string) string {
	if Secure(r) {
		return name
	}
	return plain
}

// cookie returns a cookie's value, or "" where there is none, or more than one.
func cookie(r *http.Request, name, plain string) string {
	found := r.CookiesNamed(nameFor(r, name, plain))
	if len(found) != 1 {
		return ""
	}
	return found[0].Value
}

// setCookie sets a cookie until it expires; the zero time ends it with the browser, a past one at once.
func setCookie(w http.ResponseWriter, r *http.Request, name, plain, value string, expires time.Time, readable bool) {
	c := &http.Cookie{Name: nameFor(r, name, plain), Value: value, Path: "/", Secure: Secure(r), HttpOnly: !readable, SameSite: http.SameSiteLaxMode}
	switch {
	case value == "":
		c.MaxAge = -1
	case !expires.IsZero():
		c.Expires = expires
	}
	http.SetCookie(w, c)
}

// Session returns the value of the session's cookie, "" where there is none. Whoever it authenticates must also pass [CSRF.Check].
func Session(r *http.Request) string { return cookie(r, SessionCookie, SessionCookiePlain) }

// SetSession gives the browser a session: HttpOnly, SameSite=Lax, Secure where the client came by TLS. The zero time ends it with the browser.
func SetSession(w http.ResponseWriter, r *http.Request, value string, expires time.Time) {
	setCookie(w, r, SessionCookie, SessionCookiePlain, value, expires, false)
}

// ClearSession takes the session's, the refresh token's and the CSRF token's cookies back.
func ClearSession(w http.ResponseWriter, r *http.Request) {
	setCookie(w, r, SessionCookie, SessionCookiePlain, "", time.Time{}, false)
	setCookie(w, r, RefreshCookie, RefreshCookiePlain, "", time.Time{}, false)
	setCookie(w, r, CSRFCookie, CSRFCookiePlain, "", time.Time{}, true)
}

// Refresh returns the value of the refresh token's cookie, "" where there is none.
func Refresh(r *http.Request) string { return cookie(r, RefreshCookie, RefreshCookiePlain) }

// SetRefresh gives the browser a refresh token that no script can read.
func SetRefresh(w http.ResponseWriter, r *http.Request, value string, expires time.Time) {
	setCookie(w, r, RefreshCookie, RefreshCookiePlain, value, expires, false)
}
