package oauth

import (
	"net/http"
	"slices"
	"strings"
)

// cross lets the pages of any origin call an endpoint, for apps run in browsers (SMART App Launch 2.2, "Considerations for Cross-Origin
// Resource Sharing (CORS) support"). No cookie counts at these endpoints, and none is allowed along. Where the edge has decided about
// the origin already, that stands.
func cross(methods string, next http.Handler) http.Handler {
	allowed := strings.Split(methods, ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Header.Get("Origin") != "" && h.Get("Access-Control-Allow-Origin") == "" {
			h.Set("Access-Control-Allow-Origin", "*")
			h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
		}
		if r.Method == http.MethodOptions {
			h.Set("Allow", methods+", OPTIONS")
			h.Set("Access-Control-Allow-Methods", methods)
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept")
			h.Set("Access-Control-Max-Age", "3600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if !slices.Contains(allowed, method) {
			h.Set("Allow", methods+", OPTIONS")
			answer(w, http.StatusMethodNotAllowed, map[string]string{"error": "invalid_request", "error_description": "this endpoint takes " + methods})
			return
		}
		next.ServeHTTP(w, r)
	})
}
