package web

import (
	"context"
	"net/http"
	"time"
)

// readyTimeout bounds a readiness check, so that a probe gets an answer.
const readyTimeout = 2 * time.Second

// Alive answers /healthz: the process runs and serves.
func Alive() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { health(w, http.StatusOK, "alive") })
}

// Ready answers /readyz: 200 when check returns nil within two seconds, else 503. The reason is left to the check to log.
func Ready(check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if err := check(ctx); err != nil {
			health(w, http.StatusServiceUnavailable, "not ready")
			return
		}
		health(w, http.StatusOK, "ready")
	})
}

func health(w http.ResponseWriter, status int, word string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A probe that has gone away cannot be told so.
	_, _ = w.Write([]byte(`{"status":"` + word + `"}` + "\n"))
}
