package web

import (
	"log/slog"
	"net/http"
	"time"
)

// MaxHeader is how many bytes a request's line and headers may have: a long search still fits a GET.
const MaxHeader = 64 << 10

// NewServer returns an http.Server for h with bounds on every phase of a connection: headers within 10 s, a body within
// 5 minutes, the answer within another 5 beside the request's own deadline, 2 minutes idle. log may be nil.
func NewServer(addr string, h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       5 * time.Minute,
		WriteTimeout:      10 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    MaxHeader,
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	}
	return s
}
