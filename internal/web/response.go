package web

import (
	"bufio"
	"net"
	"net/http"
	"strings"
)

// response is the writer that handlers see: it remembers what the log and the metrics tell, and compresses.
type response struct {
	http.ResponseWriter
	edge   *Edge
	coding coding // what the client accepts and we prefer
	status int    // 0: not said yet
	bytes  int64  // of the body, as the handler wrote it
	route  string
	err    error  // what Fail answered
	noted  error  // what went wrong beside a success
	sent   bool   // the header has been passed on
	held   []byte // a small body's beginning, while it is not known whether it is worth compressing
	enc    encoder
	head   bool
	body   *wanted // the request's; nil: there is none
	taken  bool    // the handler has taken the connection over
}

func (w *response) reset(e *Edge, inner http.ResponseWriter, r *http.Request) {
	w.ResponseWriter, w.edge = inner, e
	w.head = r.Method == http.MethodHead
	w.coding = acceptedCoding(r.Header["Accept-Encoding"])
}

// release forgets the request, and keeps the memory.
func (w *response) release() { *w = response{held: w.held[:0]} }

// find returns the edge's writer within w, or nil where there is no edge (in a test of a handler alone).
func find(w http.ResponseWriter) *response {
	for w != nil {
		if res, ok := w.(*response); ok {
			return res
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
	}
	return nil
}

// SetRoute names the route pattern that serves this request, for log, metrics and span: "/fhir/R4/{type}/{id}", never a
// path with ids. Routes of an http.ServeMux need it not.
func SetRoute(w http.ResponseWriter, pattern string) {
	if res := find(w); res != nil {
		res.route = pattern
	}
}

func (w *response) routeOf(r *http.Request) string {
	if w.route != "" {
		return w.route
	}
	if _, path, ok := strings.Cut(r.Pattern, " "); ok {
		return path
	}
	if r.Pattern != "" {
		return r.Pattern
	}
	return "unmatched"
}

// Unwrap serves http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// takeBack forgets what a handler wrote, where none of it has left yet.
func (w *response) takeBack() {
	if !w.sent {
		w.held, w.status, w.bytes = w.held[:0], 0, 0
	}
}

// begun reports whether any of the answer may have reached the client.
func (w *response) begun() bool { return w.sent }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if status < 200 {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.bytes += int64(len(p))
	if !w.sent {
		if w.mayCompress() && !w.sized() && len(w.held)+len(p) < w.edge.minCompress {
			w.held = append(w.held, p...)
			return len(p), nil
		}
		w.send(len(w.held) + len(p))
		if err := w.unhold(); err != nil {
			return 0, err
		}
	}
	return w.pass(p)
}

func (w *response) unhold() error {
	if len(w.held) == 0 {
		return nil
	}
	_, err := w.pass(w.held)
	w.held = w.held[:0]
	return err
}

func (w *response) pass(p []byte) (int, error) {
	if w.enc != nil {
		return w.enc.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

func (w *response) sized() bool { return len(w.Header()["Content-Length"]) > 0 }

// mayCompress reports whether this answer is of a sort that is compressed when it is large enough.
func (w *response) mayCompress() bool {
	if w.coding == identity || w.head || w.status == http.StatusNoContent || w.status == http.StatusNotModified {
		return false
	}
	h := w.Header()
	return len(h["Content-Encoding"]) == 0 && compressible(h.Get("Content-Type"))
}

// send passes the header on; size is how much of the body is known.
func (w *response) send(size int) {
	w.sent = true
	h := w.Header()
	if w.status >= http.StatusBadRequest && w.body != nil && !w.body.ended {
		LeaveBody(w.ResponseWriter, &http.Request{Body: w.body})
	}
	h["Vary"] = append(h["Vary"], "Accept-Encoding")
	if w.mayCompress() && size >= w.edge.minCompress {
		delete(h, "Content-Length")
		h["Content-Encoding"] = []string{w.coding.String()}
		w.enc = w.edge.codecs.encoder(w.coding, w.ResponseWriter)
	}
	w.ResponseWriter.WriteHeader(w.status)
}

// Hijack implements http.Hijacker, for WebSockets: the connection is the handler's from now on, without the server's time limits, and nothing more is written to it
// from here. The request counts as answered, with status 101.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.taken, w.sent, w.status = true, true, http.StatusSwitchingProtocols
		w.held = w.held[:0]
	}
	return conn, rw, err
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what has been written so far; http.ResponseController calls it.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if !w.sent {
		// A handler that flushes streams: more will come, so size is no reason against compression.
		w.send(w.edge.minCompress)
		if err := w.unhold(); err != nil {
			return err
		}
	}
	if w.enc != nil {
		if err := w.enc.Flush(); err != nil {
			return err
		}
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// finish ends the answer after the handler. Its errors mean that the client has gone: there is nobody to tell.
func (w *response) finish() {
	if w.taken {
		return
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if !w.sent {
		w.send(len(w.held))
		_ = w.unhold()
	}
	if w.enc != nil {
		_ = w.enc.Close()
		w.edge.codecs.recycle(w.coding, w.enc)
		w.enc = nil
	}
}
