package oauth

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
)

// failure is an error in the terms of RFC 6749 section 5.2 and those that build on it.
type failure struct {
	status int
	code   string
	text   string
	bearer bool   // the request is one of a protected resource (RFC 6750 section 3)
	cause  error  // for the log
	scope  string // for insufficient_scope
}

// Error implements error.
func (f *failure) Error() string { return f.code + ": " + f.text }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.cause }

func bad(code, text string) *failure {
	return &failure{status: http.StatusBadRequest, code: code, text: text}
}

func badClient(text string) *failure {
	return &failure{status: http.StatusUnauthorized, code: "invalid_client", text: text}
}

func badToken(text string) *failure {
	return &failure{status: http.StatusUnauthorized, code: "invalid_token", text: text, bearer: true}
}

// failureOf is any error as a failure: what is not one already is told by its kind alone.
func failureOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	switch fault.KindOf(err) {
	case fault.Invalid, fault.Unprocessable, fault.TooLarge, fault.UnsupportedMedia:
		return &failure{status: http.StatusBadRequest, code: "invalid_request", text: err.Error(), cause: err}
	case fault.Unauthenticated:
		return &failure{status: http.StatusUnauthorized, code: "invalid_token", text: err.Error(), bearer: true, cause: err}
	case fault.Forbidden, fault.NotFound, fault.Gone:
		return &failure{status: http.StatusForbidden, code: "access_denied", text: "this is not permitted", cause: err}
	case fault.TooMany, fault.Unavailable:
		return &failure{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", text: "try again later", cause: err}
	}
	return &failure{status: http.StatusInternalServerError, code: "server_error", text: "something went wrong here", cause: err}
}

// plain makes a handler of one that returns an error, answered as OAuth's JSON.
func (s *Server) plain(f func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.status >= http.StatusInternalServerError && f.cause != nil {
		s.o.Log.ErrorContext(r.Context(), "oauth", "path", r.URL.Path, "error", f.cause)
	}
	switch {
	case f.bearer:
		v := `Bearer error="` + f.code + `", error_description="` + f.text + `"`
		if f.scope != "" {
			v += `, scope="` + f.scope + `"`
		}
		w.Header().Set("WWW-Authenticate", v)
	case f.status == http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Basic realm="oauth2", charset="UTF-8"`)
	}
	answer(w, f.status, map[string]string{"error": f.code, "error_description": f.text})
}

// answer writes JSON that nobody keeps (RFC 6749 section 5.1).
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client went away: nobody is left to tell
}
