package web_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// slowly serves the edge on a real connection, sends a head whose body never comes whole, and returns the answer, how long it
// took, and how long until the server closed the connection.
func slowly(t *testing.T, timeout time.Duration, head string, h http.Handler) (res *http.Response, answered, closed time.Duration) {
	t.Helper()
	e, err := web.NewEdge(web.Options{Timeout: timeout, MaxBody: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := web.NewServer("", e.Wrap(h), timeout, nil)
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	begun := time.Now()
	if err := c.SetDeadline(begun.Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, head+"Host: x\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if res, err = http.ReadResponse(r, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	answered = time.Since(begun)
	if _, err := r.ReadByte(); err == nil {
		t.Error("more than one answer")
	}
	return res, answered, time.Since(begun)
}

func TestSlowBodyIsBoundedByTheRequestsTime(t *testing.T) {
	res, answered, closed := slowly(t, 300*time.Millisecond, "POST / HTTP/1.1\r\nContent-Length: 1000\r\n", web.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		_, err := web.ReadBody(r)
		return err
	}))
	if res.StatusCode != http.StatusServiceUnavailable || answered > 5*time.Second || closed > 8*time.Second {
		t.Errorf("%d after %s, closed after %s", res.StatusCode, answered, closed)
	}
}

func TestEarlyRefusalDoesNotWaitForTheBody(t *testing.T) {
	refuse := web.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return fault.New(fault.NotFound, "nothing here") })
	for name, head := range map[string]string{
		"announced":   "POST / HTTP/1.1\r\nContent-Length: 1000\r\n",
		"chunked":     "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
		"larger":      "POST / HTTP/1.1\r\nContent-Length: 900000\r\n",
		"too large":   "POST / HTTP/1.1\r\nContent-Length: 9000000\r\n",
		"odd coding":  "POST / HTTP/1.1\r\nContent-Length: 1000\r\nContent-Encoding: odd\r\n",
		"it expects":  "POST / HTTP/1.1\r\nContent-Length: 9000000\r\nExpect: 100-continue\r\n",
		"a large one": "POST / HTTP/1.1\r\nContent-Length: 1048576\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, answered, closed := slowly(t, 15*time.Second, head, refuse)
			if res.StatusCode < 400 || res.StatusCode > 499 || !res.Close {
				t.Errorf("%d, close %v", res.StatusCode, res.Close)
			}
			if answered > 4*time.Second || closed > 8*time.Second {
				t.Errorf("answered after %s, closed after %s", answered, closed)
			}
		})
	}
}

func TestConnectionStaysWhereTheBodyWasRead(t *testing.T) {
	s := edge(t, web.Options{}, web.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		if _, err := web.ReadBody(r); err != nil {
			return err
		}
		return fault.New(fault.NotFound, "nothing here")
	}))
	for _, body := range []string{"{}", strings.Repeat("x", 100_000)} {
		res, err := s.Client().Post(s.URL, "application/fhir+json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if res.Close {
			t.Errorf("%d bytes: the connection is closed", len(body))
		}
	}
}
