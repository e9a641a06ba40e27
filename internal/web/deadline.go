package web

import (
	"net/http"
	"strconv"
	"time"
)

// TimeoutHeader is the header by which a caller says how many milliseconds it will wait. It only ever shortens the time that a request has, so anybody may
// say it; what is no number is passed over.
const TimeoutHeader = "X-Request-Timeout-Ms"

// TimeoutOf is how long a request may take: as long as its caller says to wait, and never longer than most.
func TimeoutOf(h http.Header, most time.Duration) time.Duration { return timeoutOf(h, most) }

// timeoutOf is how long a request may take: as long as the caller waits, and never longer than most.
func timeoutOf(h http.Header, most time.Duration) time.Duration {
	v := h[http.CanonicalHeaderKey(TimeoutHeader)]
	if len(v) != 1 {
		return most
	}
	ms, err := strconv.ParseInt(v[0], 10, 64)
	if err != nil || ms <= 0 || ms >= most.Milliseconds() {
		return most
	}
	return time.Duration(ms) * time.Millisecond
}
