package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/nilecare/nilecare/internal/web"
)

// A WebSocket passes the edge, though its client accepts compressed answers, and outlives the request that it began with and its time limit.
func TestAWebSocketPassesTheEdge(t *testing.T) {
	registry := prometheus.NewRegistry()
	e, err := web.NewEdge(web.Options{Timeout: 50 * time.Millisecond, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	srv := httptest.NewServer(e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		web.SetRoute(w, "/ws")
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ended := r.Context()
		go func() {
			defer close(done)
			<-ended.Done()
			kind, text, err := ws.Read(context.Background())
			if err == nil {
				err = ws.Write(context.Background(), kind, text)
			}
			if err != nil {
				t.Error(err)
			}
			_, _, _ = ws.Read(context.Background()) // until the client closes it
		}()
	})))
	t.Cleanup(srv.Close)
	ws, res, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(srv.URL, "http"), &websocket.DialOptions{HTTPHeader: http.Header{"Accept-Encoding": {"gzip, br"}}})
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-Request-Id") == "" || res.Header.Get("Content-Encoding") != "" {
		t.Errorf("headers: %v", res.Header)
	}
	said := strings.Repeat("a long text ", 500)
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(said)); err != nil {
		t.Fatal(err)
	}
	if _, text, err := ws.Read(t.Context()); err != nil || string(text) != said {
		t.Fatalf("%d bytes came back: %v", len(text), err)
	}
	_ = ws.Close(websocket.StatusNormalClosure, "")
	<-done
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "nilecare_http_requests_total" {
			continue
		}
		for _, l := range f.GetMetric()[0].GetLabel() {
			if l.GetName() == "status" && l.GetValue() != "101" {
				t.Errorf("it is counted with the status %s", l.GetValue())
			}
		}
	}
}
