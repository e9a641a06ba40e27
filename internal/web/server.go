package web

import (
	"context"
	stdlog "log"
	"log/slog"
	"net/http"
	"strings"
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
		s.ErrorLog = stdlog.New(connectionLog{log}, "", 0)
	}
	return s
}

// connectionLog takes what net/http has to say of connections: without the peer's address, and what scanners cause by the dozen (handshakes
// that fail) only where details are asked for.
type connectionLog struct{ log *slog.Logger }

// Write implements io.Writer.
func (c connectionLog) Write(p []byte) (int, error) {
	text, level := strings.TrimSpace(string(p)), slog.LevelWarn
	const handshake = "http: TLS handshake error from "
	if rest, ok := strings.CutPrefix(text, handshake); ok {
		level = slog.LevelDebug
		_, why, _ := strings.Cut(rest, ": ")
		text = "TLS handshake error: " + why
	}
	c.log.Log(context.Background(), level, text)
	return len(p), nil
}
