package federation

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/nilecare/nilecare/internal/web"
)

// The cookie that binds a sign-in to the browser that began it. It says nothing; with TLS no neighbour can plant it.
const (
	browserCookie      = "__Host-federation"
	browserCookiePlain = "federation"
)

func cookieName(r *http.Request) string {
	if web.Secure(r) {
		return browserCookie
	}
	return browserCookiePlain
}

// giveBrowser returns the browser's cookie, a new one where it has none.
func giveBrowser(w http.ResponseWriter, r *http.Request) string {
	value := browserOf(r)
	if value == "" {
		value = random()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName(r), Value: value, Path: "/", Secure: web.Secure(r), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		MaxAge: int(flowLife.Seconds())})
	return value
}

func browserOf(r *http.Request) string {
	found := r.CookiesNamed(cookieName(r))
	if len(found) != 1 || len(found[0].Value) != len(random()) {
		return ""
	}
	return found[0].Value
}

func sameBrowser(r *http.Request, want []byte) bool {
	value := browserOf(r)
	return value != "" && subtle.ConstantTimeCompare(hash(value), want) == 1
}

func forgetBrowser(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookieName(r), Path: "/", Secure: web.Secure(r), HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}

// lead sends the browser on. What stands in the address is for it alone.
func lead(w http.ResponseWriter, r *http.Request, to string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// isPage reports a request of a browser that shows what is answered.
func isPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
