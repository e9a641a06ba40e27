package peer_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/peer"
)

// proxied is a proxy before a handler, with nobody behind it where h is nil.
func proxied(t *testing.T, h http.Handler, change func(*peer.Door)) *httptest.Server {
	t.Helper()
	at := nowhere(t)
	if h != nil {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		at = s.URL
	}
	d := peer.Door{Client: client(t, peer.Options{}, at), Owner: owner}
	if change != nil {
		change(&d)
	}
	s := httptest.NewServer(peer.NewProxy(d))
	t.Cleanup(s.Close)
	return s
}

func TestTheProxyChangesNothingOfARequest(t *testing.T) {
	s := proxied(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Request-Id", r.Header.Get("X-Request-Id"))
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Encoding", "zstd")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s|%s|%s|%s|%s", r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery, body, r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-For"), r.Header.Get("Accept-Encoding"))
	}), nil)
	req, err := http.NewRequest("POST", s.URL+"/t/2/x%2Fy/z?a=%20b&c", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "clinic.example"
	for name, v := range map[string]string{"Authorization": "Bearer x", "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Request-Id": "mine", "Accept-Encoding": "zstd"} {
		req.Header.Set(name, v)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	want := "POST clinic.example /t/2/x%2Fy/z a=%20b&c|body|Bearer x|127.0.0.1|zstd"
	if err != nil || res.StatusCode != 418 || string(text) != want || len(res.Header["X-Request-Id"]) != 1 || res.Header.Get("X-Request-Id") != "mine" || res.Header.Get("Set-Cookie") != "a=b" || res.Header.Get("Content-Encoding") != "zstd" {
		t.Errorf("%v %d %s\nwant %s\n%v", err, res.StatusCode, text, want, res.Header)
	}
}

func TestTheClientsAddressIsBelievedOfProxiesAlone(t *testing.T) {
	seen := make(chan http.Header, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.Header })
	trusted := func(d *peer.Door) { d.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	for _, x := range []struct {
		change     func(*peer.Door)
		for_, from string
		proto      string
	}{{nil, "6.6.6.6", "127.0.0.1", "http"}, {trusted, "6.6.6.6", "6.6.6.6, 127.0.0.1", "https"}, {trusted, "", "127.0.0.1", "https"}} {
		s := proxied(t, h, x.change)
		req, _ := http.NewRequest("GET", s.URL+"/x", nil)
		if x.for_ != "" {
			req.Header.Set("X-Forwarded-For", x.for_)
		}
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("Forwarded", "for=6.6.6.6")
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		got := <-seen
		if got.Get("X-Forwarded-For") != x.from || got.Get("X-Forwarded-Proto") != x.proto || got.Get("Forwarded") != "" || got.Get("X-Request-Id") != res.Header.Get("X-Request-Id") || got.Get("X-Request-Id") == "" {
			t.Errorf("%q: %v", x.for_, got)
		}
	}
	s := proxied(t, h, func(d *peer.Door) { d.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	if res, err := http.Get(s.URL + "/x"); err != nil || res.StatusCode != 403 {
		t.Error(res, err)
	}
}

func TestWhereNobodyAnswers(t *testing.T) {
	s := proxied(t, nil, nil)
	for path, want := range map[string]struct {
		status int
		form   string
	}{"/api/v1/x": {503, `{"success":false`}, "/fhir/R4/Patient": {503, `{"resourceType":"OperationOutcome"`}, "/nobody": {404, `{"error":"not-found"`}} {
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != want.status || !strings.HasPrefix(string(text), want.form) || res.Header.Get("X-Request-Id") == "" || (want.status == 503) != (res.Header.Get("Retry-After") != "") {
			t.Errorf("%s: %d %s %v", path, res.StatusCode, text, res.Header)
		}
	}
}

func TestASlowServiceIsNotWaitedForForever(t *testing.T) {
	left := make(chan string, 1)
	s := proxied(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		left <- r.Header.Get(web.TimeoutHeader)
		<-r.Context().Done()
	}), nil)
	req, _ := http.NewRequest("POST", s.URL+"/api/v1/x", nil)
	req.Header.Set(web.TimeoutHeader, "50")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if ms := <-left; res.StatusCode != 503 || ms == "" || len(ms) > 2 {
		t.Errorf("%d, and the service was told %q", res.StatusCode, ms)
	}
}

func TestEventsComeAsTheyHappen(t *testing.T) {
	next := make(chan struct{})
	s := proxied(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(web.TimeoutHeader) != "" {
			t.Error("a stream has a deadline")
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	}), nil)
	req, _ := http.NewRequest("GET", s.URL+"/api/v1/stream", nil)
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for range 3 { // each is read before the next is made
		if !lines.Scan() || lines.Text() != "data: x" || !lines.Scan() {
			t.Fatal(lines.Err())
		}
		next <- struct{}{}
	}
}

func TestAConnectionIsUpgradedThroughTheProxy(t *testing.T) {
	s := proxied(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow() //nolint:errcheck // it is over
		for {
			kind, text, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte("you said "), text...)); err != nil {
				return
			}
		}
	}), func(d *peer.Door) { d.Timeout = time.Nanosecond }) // which binds requests alone
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.URL, "http")+"/socket.io/?transport=websocket", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow() //nolint:errcheck // it is over
	for _, word := range []string{"one", "two"} {
		if err := c.Write(ctx, websocket.MessageText, []byte(word)); err != nil {
			t.Fatal(err)
		}
		if _, text, err := c.Read(ctx); err != nil || string(text) != "you said "+word {
			t.Fatalf("%s %v", text, err)
		}
	}
}

func TestAnAnswerThatBreaksOffBreaksOff(t *testing.T) {
	s := proxied(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		_ = rw.Flush()
		_ = c.(*net.TCPConn).CloseWrite()
		_ = c.Close()
	}), nil)
	res, err := http.Get(s.URL + "/x")
	if err != nil {
		return
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("%q was given for the whole", text)
	}
}
