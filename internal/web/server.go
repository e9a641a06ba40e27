package web

import (
	"log/slog"
	"net/http"
	"time"
)

// MaxHeader is how many bytes a request's line and headers may have: a long search still fits a GET.
const MaxHeader = 64 << 10

// answerTime is what an answer has to reach its client, beside the request's own time.
const answerTime = 5 * time.Minute

// NewServer returns an http.Server for h with bounds on every phase of a connection: headers within 10 s, the whole request
// with its body within timeout (DefaultTimeout where it is 0), the answer within 5 minutes more, 2 minutes idle. log may be nil.
func NewServer(addr string, h http.Handler, timeout time.Duration, log *slog.Logger) *http.Server {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	s := &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: min(10*time.Second, timeout),
		ReadTimeout:       timeout,
		WriteTimeout:      timeout + answerTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHeader,
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	}
	return s
}
