package notification_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/notification"
)

// gateway is a provider that keeps the last request.
type gateway struct {
	*httptest.Server
	status  atomic.Int64
	body    atomic.Value
	header  atomic.Value
	visited atomic.Int64
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{}
	g.status.Store(200)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		g.body.Store(string(b))
		g.header.Store(r.Header.Clone())
		g.visited.Add(1)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(g.status.Load()))
		_, _ = w.Write([]byte("+249912345678 is unknown"))
	}))
	t.Cleanup(g.Close)
	return g
}

func TestTextMessagesAreHandedToTheGatewayAsItWantsThem(t *testing.T) {
	g := newGateway(t)
	const text = `ø "quoted" & {to} سلام`
	for name, c := range map[string]struct {
		o     notification.Gateway
		check func(t *testing.T, body string, h http.Header)
	}{
		"JSON by itself": {notification.Gateway{From: "Clinic", Token: "s3cret"}, func(t *testing.T, body string, h http.Header) {
			var got map[string]string
			if err := json.Unmarshal([]byte(body), &got); err != nil || got["to"] != "+249912345678" || got["text"] != text || got["from"] != "Clinic" || len(got) != 3 {
				t.Errorf("%s", body)
			}
			if h.Get("Authorization") != "Bearer s3cret" || h.Get("Content-Type") != "application/json" {
				t.Errorf("%v", h)
			}
		}},
		"JSON with depth": {notification.Gateway{Body: `{"messages":[{"destinations":[{"to":"{to}"}],"text":"{text}"}],"flash":false,"n":1}`, Token: "s3cret", Header: "apiKey"}, func(t *testing.T, body string, h http.Header) {
			if !strings.Contains(body, `{"flash":false,"messages":[{"destinations":[{"to":"+249912345678"}]`) || h.Get("apiKey") != "s3cret" || h.Get("Authorization") != "" {
				t.Errorf("%s %v", body, h)
			}
		}},
		"form": {notification.Gateway{Body: "To={to}&From={from}&Body={text}", From: "+1", User: "account", Password: "pass"}, func(t *testing.T, body string, h http.Header) {
			got, err := url.ParseQuery(body)
			if err != nil || got.Get("To") != "+249912345678" || got.Get("Body") != text || got.Get("From") != "+1" {
				t.Errorf("%s", body)
			}
			r := http.Request{Header: h}
			if user, pass, ok := r.BasicAuth(); !ok || user != "account" || pass != "pass" {
				t.Errorf("%v", h)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.URL = g.URL
			s, err := notification.NewTexts(c.o)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Text(context.Background(), "0912 345-678", text); err != nil {
				t.Fatal(err)
			}
			c.check(t, g.body.Load().(string), g.header.Load().(http.Header))
		})
	}
}

func TestWhatTheGatewayAnswersDecidesAndIsNotTold(t *testing.T) {
	g := newGateway(t)
	s, err := notification.NewTexts(notification.Gateway{URL: g.URL, From: "x"})
	if err != nil {
		t.Fatal(err)
	}
	for status, kind := range map[int]fault.Kind{400: fault.Invalid, 422: fault.Invalid, 401: fault.Unavailable, 302: fault.Unavailable, 429: fault.Unavailable, 500: fault.Unavailable} {
		g.status.Store(int64(status))
		before := g.visited.Load()
		err := s.Text(context.Background(), "+249912345678", "text")
		if fault.KindOf(err) != kind || strings.Contains(err.Error(), "249") || g.visited.Load() != before+1 {
			t.Errorf("%d: %v", status, err)
		}
	}
	if err := s.Text(context.Background(), "nobody", "text"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	g.Close()
	if err := s.Text(context.Background(), "+249912345678", "text"); !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "127.0.0.1") {
		t.Error(err)
	}
}

func TestAGatewayThatIsNotUsableIsRefused(t *testing.T) {
	for field, o := range map[string]notification.Gateway{
		"url":  {URL: "http://sms.example.org", From: "x"},
		"body": {URL: "https://sms.example.org", Body: `{"to":"{to}"}`, From: "x"},
		"from": {URL: "https://sms.example.org"},
	} {
		if _, err := notification.NewTexts(o); !fault.Is(err, fault.Invalid) || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
