package web

import (
	"io"
	"net/http"
	"time"
)

// patience is how long the rest of a body is waited for that nobody wants any more.
const patience = time.Second

// wanted is a request's body that knows whether it was read to its end.
type wanted struct {
	io.ReadCloser
	left  int64 // bytes that are still to come; below 0: unknown
	ended bool
}

// Read implements io.Reader.
func (b *wanted) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == io.EOF || b.left == 0 {
		b.ended = true
	}
	return n, err
}

// LeaveBody is for a refusal that comes before the body was read: the answer leaves at once, and the connection is closed
// behind it. Otherwise the server would wait for the rest of the body first, as long as the client likes to take.
func LeaveBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	w.Header().Set("Connection", "close")
	// A writer without a connection, as in tests of a handler alone, has nothing to wait for.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
}
