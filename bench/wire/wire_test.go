package wire

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T) *Conn {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /made", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Location", "/made/1")
		w.WriteHeader(201)
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /chunked", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	mux.HandleFunc("GET /closes", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		_, _ = io.WriteString(w, "bye")
	})
	mux.HandleFunc("GET /early", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "hello")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c := &Conn{Addr: strings.TrimPrefix(s.URL, "http://"), Timeout: 5 * time.Second, Locations: true, Bodies: true}
	t.Cleanup(c.Close)
	return c
}

func get(path string) []byte { return []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n") }

func TestAnswers(t *testing.T) {
	c := serve(t)
	for range 2 { // twice on one connection: nothing of an answer is left over
		for _, x := range []struct {
			request          []byte
			status           int
			body, locationIs string
		}{
			{[]byte("POST /made HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"), 201, "hello", "/made/1"},
			{get("/chunked"), 200, strings.Repeat("x", 15000), ""},
			{get("/empty"), 204, "", ""},
			{get("/absent"), 404, "404 page not found\n", ""},
			{[]byte("HEAD /chunked HTTP/1.1\r\nHost: x\r\n\r\n"), 200, "", ""},
			{get("/early"), 200, "hello", ""},
			{get("/closes"), 200, "bye", ""},
		} {
			a, err := c.Do(x.request)
			if err != nil || a.Status != x.status || string(a.Body) != x.body || a.Size != len(x.body) || a.Location != x.locationIs {
				t.Fatalf("%.20q: %d, %d bytes, %q, %v", x.request, a.Status, a.Size, a.Location, err)
			}
		}
	}
	c.Bodies = false
	if a, err := c.Do(get("/chunked")); err != nil || a.Size != 15000 || len(a.Body) != 0 {
		t.Fatalf("without bodies: %d bytes, %d kept, %v", a.Size, len(a.Body), err)
	}
}

func TestDialsAgain(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	defer s.Close()
	c := &Conn{Addr: strings.TrimPrefix(s.URL, "http://"), Timeout: time.Second}
	if _, err := c.Do(get("/")); err != nil {
		t.Fatal(err)
	}
	s.CloseClientConnections()
	if _, err := c.Do(get("/")); err == nil {
		t.Fatal("a broken connection gave an answer")
	}
	if a, err := c.Do(get("/")); err != nil || a.Status != 200 {
		t.Fatalf("the next: %v", err)
	}
}
