package socketio_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/nilecare/nilecare/internal/module/live/socketio"
)

// echo answers what it is asked, and counts its life.
type echo struct {
	c      *socketio.Conn
	opened chan struct{}
	closed chan string
}

func (e *echo) Open() { close(e.opened) }
func (e *echo) Event(name string, args []json.RawMessage) any {
	if name == "say" {
		e.c.Send(socketio.Encode("said", args[0]))
	}
	return map[string]any{"name": name, "args": len(args)}
}
func (e *echo) Closed(why string) { e.closed <- why }

type world struct {
	t     *testing.T
	s     *socketio.Server
	base  string
	mu    sync.Mutex
	peers []*echo
}

func newWorld(t *testing.T, o socketio.Options) *world {
	t.Helper()
	w := &world{t: t}
	o.Connect = func(_ context.Context, c *socketio.Conn, r *http.Request, auth json.RawMessage) (socketio.Peer, error) {
		if string(auth) == `{"token":"no"}` {
			return nil, errors.New("not you")
		}
		e := &echo{c, make(chan struct{}), make(chan string, 2)}
		w.mu.Lock()
		w.peers = append(w.peers, e)
		w.mu.Unlock()
		return e, nil
	}
	o.Code = func(error) string { return "CODE" }
	w.s = socketio.New(o)
	srv := httptest.NewServer(w.s)
	w.base = srv.URL + "/socket.io/?EIO=4&transport="
	t.Cleanup(func() { w.s.Close(); srv.Close() })
	return w
}

func (w *world) peer(i int) *echo {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peers[i]
}

func (w *world) send(method, url, body string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// open begins to poll, and returns the URL that goes on.
func (w *world) open() string {
	w.t.Helper()
	status, text := w.send("GET", w.base+"polling", "")
	var open struct {
		SID          string
		Upgrades     []string
		PingInterval int
		PingTimeout  int
		MaxPayload   int
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "0")), &open); err != nil || status != 200 || len(open.Upgrades) != 1 || open.PingInterval <= 0 || open.PingTimeout <= 0 || open.MaxPayload <= 0 {
		w.t.Fatalf("%d %s", status, text)
	}
	return w.base + "polling&sid=" + open.SID
}

func (w *world) dial(url string) *websocket.Conn {
	w.t.Helper()
	ws, res, err := websocket.Dial(w.t.Context(), strings.Replace(strings.Replace(url, "http", "ws", 1), "polling", "websocket", 1), nil)
	if err != nil {
		w.t.Fatalf("%v %v", err, res)
	}
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	return ws
}

func say(t *testing.T, ws *websocket.Conn, text string) {
	t.Helper()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func hear(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, b, err := ws.Read(ctx)
	if err != nil {
		return ""
	}
	return string(b)
}

const ok = `40{"sid":`

func TestPolling(t *testing.T) {
	w := newWorld(t, socketio.Options{})
	url := w.open()
	if status, text := w.send("POST", url, "40"); status != 200 || text != "ok" {
		t.Fatalf("%d %s", status, text)
	}
	if _, text := w.send("GET", url, ""); !strings.HasPrefix(text, ok) {
		t.Fatal(text)
	}
	w.send("POST", url, "420[\"a\"]\x1e421[\"b\",1,{}]\x1e42[\"say\",[1]]")
	if _, text := w.send("GET", url, ""); text != "430[{\"args\":0,\"name\":\"a\"}]\x1e431[{\"args\":2,\"name\":\"b\"}]\x1e42[\"said\",[1]]" {
		t.Fatalf("%q", text)
	}
	got := make(chan string)
	go func() {
		_, text := w.send("GET", url, "")
		got <- text
	}()
	w.peer(0).c.Send(socketio.Encode("later", []byte(`{"x":1}`)))
	if text := <-got; text != `42["later",{"x":1}]` {
		t.Fatal(text)
	}
	w.send("POST", url, "41")
	if why := <-w.peer(0).closed; why != "client namespace disconnect" {
		t.Error(why)
	}
	if _, text := w.send("GET", url, ""); text != "1" {
		t.Errorf("the end is %q", text)
	}
	if status, text := w.send("GET", url, ""); status != 400 || text != `{"code":1,"message":"Session ID unknown"}` {
		t.Errorf("%d %s", status, text)
	}
}

func TestWebSocket(t *testing.T) {
	w := newWorld(t, socketio.Options{})
	ws := w.dial(w.base + "polling")
	if text := hear(t, ws); !strings.HasPrefix(text, `0{"maxPayload":`) && !strings.HasPrefix(text, `0{`) {
		t.Fatal(text)
	}
	say(t, ws, `40{"token":"yes"}`)
	if text := hear(t, ws); !strings.HasPrefix(text, ok) {
		t.Fatal(text)
	}
	for i := range 100 {
		say(t, ws, fmt.Sprintf(`42["say",%d]`, i))
	}
	for i := range 100 {
		if text := hear(t, ws); text != fmt.Sprintf(`42["said",%d]`, i) {
			t.Fatalf("%d: %s", i, text)
		}
	}
	w.peer(0).c.End("enough")
	if text := hear(t, ws); text != "41" {
		t.Errorf("%q", text)
	}
	if text := hear(t, ws); text != "" {
		t.Errorf("behind the end: %q", text)
	}
	if why := <-w.peer(0).closed; why != "enough" {
		t.Error(why)
	}
	for w.s.Conns() != 0 {
		time.Sleep(time.Millisecond)
	}
}

// Nothing that is sent while the transport changes is lost, told twice, or out of order.
func TestUpgradeLosesNothing(t *testing.T) {
	w := newWorld(t, socketio.Options{})
	url := w.open()
	w.send("POST", url, "40")
	w.send("GET", url, "")
	<-w.peer(0).opened
	const all = 2000
	go func() {
		for i := range all {
			w.peer(0).c.Send(socketio.Encode("n", fmt.Appendf(nil, "%d", i)))
			if i%50 == 0 {
				runtime.Gosched()
			}
		}
	}()
	var got []string
	take := func(text string) {
		for packet := range strings.SplitSeq(text, "\x1e") {
			if packet != "6" && packet != "2" {
				got = append(got, packet)
			}
		}
	}
	_, text := w.send("GET", url, "")
	take(text)
	ws := w.dial(url)
	say(t, ws, "2probe")
	if text := hear(t, ws); text != "3probe" {
		t.Fatal(text)
	}
	_, text = w.send("GET", url, "") // the one that the client waits for before it changes over
	take(text)
	say(t, ws, "5")
	for len(got) < all {
		text := hear(t, ws)
		if text == "" {
			t.Fatalf("the connection ended behind %d", len(got))
		}
		take(text)
	}
	for i, text := range got {
		if text != fmt.Sprintf(`42["n",%d]`, i) {
			t.Fatalf("%d: %s", i, text)
		}
	}
	// Where everything came by polls the upgrade may still be under way: a poll that it overtakes is let go without anything.
	status, text := w.send("GET", url, "")
	for end := time.Now().Add(20 * time.Second); status == 200 && text == "6" && time.Now().Before(end); time.Sleep(time.Millisecond) {
		status, text = w.send("GET", url, "")
	}
	if status != 400 {
		t.Errorf("a poll behind the upgrade: %d %q", status, text)
	}
}

func TestAnUpgradeThatFailsLeavesPolling(t *testing.T) {
	w := newWorld(t, socketio.Options{})
	url := w.open()
	w.send("POST", url, "40")
	w.send("GET", url, "")
	ws := w.dial(url)
	say(t, ws, "2probe")
	hear(t, ws)
	_ = ws.CloseNow()
	w.peer(0).c.Send(socketio.Encode("x", []byte("1")))
	for text := ""; text != `42["x",1]`; {
		if _, text = w.send("GET", url, ""); text != "6" && text != `42["x",1]` {
			t.Fatal(text)
		}
	}
	ws = w.dial(url) // and it can be tried again, once the first attempt is given up
	say(t, ws, "nonsense")
	if text := hear(t, ws); text != "" {
		t.Error(text)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t, socketio.Options{Allow: func(r *http.Request) error {
		if r.Header.Get("Origin") != "" {
			return errors.New("no")
		}
		return nil
	}})
	root := strings.TrimSuffix(w.base, "?EIO=4&transport=")
	for _, c := range []struct {
		method, query, body string
		status              int
	}{
		{"GET", "?EIO=3&transport=polling", `{"code":5,"message":"Unsupported protocol version"}`, 400}, {"GET", "", `{"code":5,"message":"Unsupported protocol version"}`, 400},
		{"GET", "?EIO=4&transport=pigeon", `{"code":0,"message":"Transport unknown"}`, 400}, {"GET", "?EIO=4&transport=polling&j=1", `{"code":0,"message":"Transport unknown"}`, 400},
		{"POST", "?EIO=4&transport=polling", `{"code":2,"message":"Bad handshake method"}`, 400}, {"GET", "?EIO=4&transport=polling&sid=x", `{"code":1,"message":"Session ID unknown"}`, 400},
	} {
		if status, text := w.send(c.method, root+c.query, ""); status != c.status || text != c.body {
			t.Errorf("%s: %d %s", c.query, status, text)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"polling", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", "https://evil.example")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 403 {
		t.Errorf("another origin: %d", res.StatusCode)
	}
	url := w.open()
	if status, _ := w.send("PUT", url, ""); status != 400 {
		t.Errorf("PUT: %d", status)
	}
	w.send("POST", url, `40/admin,{"token":"x"}`)
	if _, text := w.send("GET", url, ""); text != `44/admin,{"message":"Invalid namespace"}` {
		t.Error(text)
	}
	w.send("POST", url, `40{"token":"no"}`)
	if _, text := w.send("GET", url, ""); text != `44{"data":{"code":"CODE"},"message":"not you"}` {
		t.Error(text)
	}
}

// What is no packet ends the connection, and nothing else.
func TestNonsenseEndsTheConnection(t *testing.T) {
	w := newWorld(t, socketio.Options{MaxPayload: 1000})
	for _, packets := range []string{"", "9", "4", "42[]", `42["a"]`, "40{", "40\x1e40", "40\x1e42", "40\x1e42{}", "40\x1e42[1]", `40` + "\x1e" + `42["a"`, "40\x1e45", "40\x1e451-[\"x\",{\"_placeholder\":true,\"num\":0}]", "40\x1ebAAA",
		"40\x1e42" + strings.Repeat("1", 30) + `["a"]`, "40\x1e5", "40\x1e2"} {
		url := w.open()
		w.send("POST", url, packets)
		ended := false
		for range 3 {
			status, text := w.send("GET", url, "")
			if ended = status == 400 || strings.HasSuffix(text, "1") && strings.Trim(text[max(0, len(text)-2):], "\x1e") == "1"; ended {
				break
			}
		}
		if !ended {
			t.Errorf("%q: the connection goes on", packets)
		}
	}
	url := w.open()
	if status, _ := w.send("POST", url, "42"+strings.Repeat("x", 2000)); status != 413 {
		t.Errorf("a body that is too large: %d", status)
	}
	ws := w.dial(w.base + "polling")
	hear(t, ws)
	_ = ws.Write(t.Context(), websocket.MessageBinary, []byte("40"))
	for text := hear(t, ws); text != ""; text = hear(t, ws) {
		t.Errorf("behind binary data: %s", text)
	}
	for w.s.Conns() > 20 { // those that polled linger a moment
		time.Sleep(time.Millisecond)
	}
}

func TestWhoDoesNotAnswerIsGone(t *testing.T) {
	w := newWorld(t, socketio.Options{PingInterval: 20 * time.Millisecond, PingTimeout: 50 * time.Millisecond})
	ws := w.dial(w.base + "polling")
	hear(t, ws)
	say(t, ws, "40")
	hear(t, ws)
	for range 5 {
		if text := hear(t, ws); text != "2" {
			t.Fatal(text)
		}
		say(t, ws, "3")
	}
	for text := hear(t, ws); text != ""; text = hear(t, ws) {
	}
	if why := <-w.peer(0).closed; why != "ping timeout" {
		t.Error(why)
	}
}

func TestWhoDoesNotConnectIsGone(t *testing.T) {
	w := newWorld(t, socketio.Options{ConnectTimeout: 20 * time.Millisecond})
	ws := w.dial(w.base + "polling")
	hear(t, ws)
	if text := hear(t, ws); text != "" {
		t.Error(text)
	}
}

func TestThereAreOnlySoMany(t *testing.T) {
	w := newWorld(t, socketio.Options{MaxConns: 2})
	w.open()
	w.open()
	if status, _ := w.send("GET", w.base+"polling", ""); status != http.StatusServiceUnavailable {
		t.Errorf("%d", status)
	}
}

// A connection ends in many ways at once, and its peer hears of it once.
func TestTheEndComesOnce(t *testing.T) {
	w := newWorld(t, socketio.Options{})
	for i := range 50 {
		ws := w.dial(w.base + "polling")
		hear(t, ws)
		say(t, ws, "40")
		hear(t, ws)
		p := w.peer(i)
		<-p.opened
		var wg sync.WaitGroup
		for _, f := range []func(){func() { p.c.End("a") }, func() { p.c.End("b") }, func() { _ = ws.CloseNow() }, func() { p.c.Send(socketio.Encode("x", []byte("1"))) }} {
			wg.Go(f)
		}
		wg.Wait()
		<-p.closed
		select {
		case why := <-p.closed:
			t.Fatalf("a second end: %s", why)
		default:
		}
	}
	for w.s.Conns() != 0 {
		time.Sleep(time.Millisecond)
	}
}

// FuzzPackets: no text of a client's brings the server down, and a connection that goes on still answers.
func FuzzPackets(f *testing.F) {
	for _, seed := range []string{"40", "42[\"a\"]", "40\x1e420[\"a\",{}]", "41", "3", "1", "2probe", "44", "40/x,{}", "42/x,1[\"a\"]"} {
		f.Add([]byte(seed))
	}
	s := socketio.New(socketio.Options{Connect: func(_ context.Context, c *socketio.Conn, _ *http.Request, _ json.RawMessage) (socketio.Peer, error) {
		return &echo{c, make(chan struct{}), make(chan string, 2)}, nil
	}})
	f.Cleanup(s.Close)
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/socket.io/?EIO=4&transport=polling", http.NoBody))
		var open struct{ SID string }
		if err := json.Unmarshal(rec.Body.Bytes()[1:], &open); err != nil {
			t.Fatal(err)
		}
		url := "/socket.io/?EIO=4&transport=polling&sid=" + open.SID
		post := httptest.NewRecorder()
		s.ServeHTTP(post, httptest.NewRequest(http.MethodPost, url, bytes.NewReader(body)))
		if post.Code != 200 {
			t.Fatalf("%d", post.Code)
		}
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, url, strings.NewReader("1")))
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, url, http.NoBody))
	})
}
