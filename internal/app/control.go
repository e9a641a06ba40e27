package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
)

// An embedded database belongs to one process. So that a backup can be made while it serves, a server listens on a socket in its
// data folder, which only the folder's owner may use, and runs the operations of operate.go for whoever asks.

// controlSocket is the socket's name in the data folder.
const controlSocket = "control.sock"

// The trailers that tell, after the last byte, how an operation ended: done, findings, or why it failed.
const (
	trailerEnd    = "Nilecare-End"
	trailerReason = "Nilecare-Reason"
	endDone       = "done"
	endFindings   = "findings"
	endFailed     = "failed"
)

// longestSocket is how long a socket's path may be on Linux, with a margin.
const longestSocket = 100

// socketPath returns a path that reaches the socket, and what keeps it valid. A path that is too long for a socket is replaced by one
// through the open folder.
func socketPath(data string) (string, io.Closer, error) {
	path := filepath.Join(data, controlSocket)
	d, err := os.Open(data)
	if err != nil {
		return "", nil, err
	}
	if len(path) > longestSocket {
		path = fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), controlSocket)
	}
	return path, d, nil
}

// listenControl opens the socket. The database must be open: then no other server can be listening.
func listenControl(ctx context.Context, data string) (net.Listener, error) {
	path, folder, err := socketPath(data)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// The folder is closed to others already; the socket is on top of that.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// control answers on the socket: POST /NAME with a form runs the operation of that name and streams its result.
func (s *server) control() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		_, ok := operations()[name]
		if !ok || r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		s.log.Info("operation begins", "operation", name)
		w.Header().Set("Trailer", trailerEnd+", "+trailerReason)
		w.WriteHeader(http.StatusOK)
		err := r.ParseForm() // what an operation is told may be a secret: it stands in no URL
		if err == nil {
			err = runOperation(r.Context(), name, s.store, r.PostForm, w)
		}
		end := endDone
		switch {
		case errors.Is(err, errFindings):
			end = endFindings
		case err != nil:
			end = endFailed
			s.log.Error("operation failed", "operation", name, "error", err.Error())
			w.Header().Set(trailerReason, strconv.QuoteToASCII(reason(err)))
		default:
			s.log.Info("operation ended", "operation", name)
		}
		w.Header().Set(trailerEnd, end)
	})
}

// reason is what the operator is told: who may use the socket may read the log, too.
func reason(err error) string {
	var f *fault.Error
	if errors.As(err, &f) && f.Err != nil {
		return f.Error() + " (" + f.Err.Error() + ")"
	}
	return err.Error()
}

// serverRuns reports whether a server has the data folder's database open.
func serverRuns(ctx context.Context, data string) bool {
	path, folder, err := socketPath(data)
	if err != nil {
		return false
	}
	defer folder.Close()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	return c.Close() == nil
}

// askServer lets the server that has the data folder's database open run an operation. asked is false where none listens.
func askServer(ctx context.Context, data, name string, params url.Values, out io.Writer) (asked bool, err error) {
	path, folder, err := socketPath(data)
	if err != nil {
		return false, nil //nolint:nilerr // without the folder no server listens in it
	}
	defer folder.Close()
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer t.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/"+name, strings.NewReader(params.Encode()))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := t.RoundTrip(r)
	if err != nil {
		return false, ctx.Err()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return true, fmt.Errorf("%s: the running server does not know it: is it of another version?", name)
	}
	if _, err := io.Copy(out, resp.Body); err != nil {
		return true, fmt.Errorf("%s: the running server broke off: %w", name, err)
	}
	switch resp.Trailer.Get(trailerEnd) {
	case endDone:
		return true, nil
	case endFindings:
		return true, errFindings
	}
	why, err := strconv.Unquote(resp.Trailer.Get(trailerReason))
	if err != nil {
		why = "the running server broke off"
	}
	return true, fmt.Errorf("%s: %s", name, why)
}
