package peer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/peer"
)

// at is a server that counts what it is asked.
type at struct {
	*httptest.Server
	asked atomic.Int64
	said  atomic.Int64 // the status that it answers with
	ready atomic.Bool
	last  atomic.Pointer[http.Request]
}

func server(t *testing.T, status int) *at {
	t.Helper()
	a := &at{}
	a.said.Store(int64(status))
	a.ready.Store(true)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			if !a.ready.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		a.asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		a.last.Store(r)
		w.WriteHeader(int(a.said.Load()))
		_, _ = w.Write(body)
	}))
	t.Cleanup(a.Close)
	return a
}

// nowhere is the URL of an address at which nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func owner(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, "/nobody") {
		return ""
	}
	return "s"
}

func client(t *testing.T, o peer.Options, urls ...string) *peer.Client {
	t.Helper()
	o.Services, o.Owner = map[string][]string{"s": urls}, owner
	c, err := peer.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func request(ctx context.Context, method, body string, headers ...string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, "/x?a=b", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// status is the answer's status, 0 for an error, and its body.
func status(t *testing.T, c *peer.Client, r *http.Request) (int, string, error) {
	t.Helper()
	res, err := c.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Error(err)
	}
	return res.StatusCode, string(text), nil
}

func TestWhatIsRepeated(t *testing.T) {
	for _, x := range []struct {
		name, method, body string
		headers            []string
		status             int
		attempts           int64
	}{
		{"a read", "GET", "", nil, 503, 3},
		{"a read, of a proxy's statuses", "HEAD", "", nil, 502, 3},
		{"a timeout", "GET", "", nil, 504, 3},
		{"a replacement", "PUT", "body", nil, 503, 3},
		{"a deletion", "DELETE", "", nil, 503, 3},
		{"a creation", "POST", "body", nil, 503, 1},
		{"a creation with a key", "POST", "body", []string{"Idempotency-Key", "k"}, 503, 3},
		{"a patch", "PATCH", "body", nil, 503, 1},
		{"a failure of the program", "GET", "", nil, 500, 1},
		{"a refusal", "GET", "", nil, 404, 1},
		{"a success", "GET", "", nil, 200, 1},
		{"a large body", "PUT", strings.Repeat("x", 2<<20), nil, 503, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			s := server(t, x.status)
			c := client(t, peer.Options{}, s.URL)
			got, body, err := status(t, c, request(t.Context(), x.method, x.body, x.headers...))
			if err != nil || got != x.status || s.asked.Load() != x.attempts || x.method != "HEAD" && body != x.body {
				t.Errorf("%d %v after %d attempts, %d bytes", got, err, s.asked.Load(), len(body))
			}
		})
	}
}

func TestAnAddressThatIsAwayIsNotNoticed(t *testing.T) {
	a, away := server(t, 200), nowhere(t)
	c := client(t, peer.Options{}, away, a.URL)
	for i := range 20 {
		method := []string{"GET", "POST"}[i%2] // nobody has seen the creation either: there was no connection
		if got, body, err := status(t, c, request(t.Context(), method, "body")); got != 200 || body != "body" || err != nil {
			t.Fatalf("%s: %d %v", method, got, err)
		}
	}
	if a.asked.Load() != 20 {
		t.Error(a.asked.Load())
	}
	for _, urls := range [][]string{{away}, {away, nowhere(t)}} {
		if _, _, err := status(t, client(t, peer.Options{}, urls...), request(t.Context(), "GET", "")); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%v", err)
		}
	}
	if _, err := c.RoundTrip(httptest.NewRequest("GET", "/nobody", nil)); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

// hand is a clock that is set by hand.
type hand struct{ micros atomic.Int64 }

func (h *hand) now() time.Time { return time.UnixMicro(h.micros.Load()) }

func TestBreaker(t *testing.T) {
	clock := &hand{}
	clock.micros.Store(time.Now().UnixMicro())
	s := server(t, 503)
	c := client(t, peer.Options{Clock: clock.now}, s.URL)
	post := func() (int, error) {
		got, _, err := status(t, c, request(t.Context(), "POST", "")) // which is sent once
		return got, err
	}
	for range 5 {
		if got, err := post(); got != 503 || err != nil {
			t.Fatal(got, err)
		}
	}
	for range 3 {
		if _, err := post(); !fault.Is(err, fault.Unavailable) || s.asked.Load() != 5 {
			t.Fatal(err, s.asked.Load())
		}
	}
	// Half open: one tries, and it is open again, for longer.
	clock.micros.Add(1_300_000)
	if got, err := post(); got != 503 || err != nil {
		t.Fatal(got, err)
	}
	clock.micros.Add(1_300_000)
	if _, err := post(); !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	clock.micros.Add(1_300_000)
	s.said.Store(200)
	for range 3 {
		if got, err := post(); got != 200 || err != nil {
			t.Fatal(got, err)
		}
	}
	if s.asked.Load() != 9 {
		t.Error(s.asked.Load())
	}
}

func TestHalfOpenLetsOneTry(t *testing.T) {
	clock := &hand{}
	clock.micros.Store(time.Now().UnixMicro())
	hold, arrived := make(chan struct{}), make(chan struct{})
	var slow atomic.Bool
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if slow.Load() {
			arrived <- struct{}{}
			<-hold
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	defer s.Close()
	c := client(t, peer.Options{Clock: clock.now}, s.URL)
	for range 5 {
		_, _, _ = status(t, c, request(t.Context(), "POST", ""))
	}
	slow.Store(true)
	clock.micros.Add(1_300_000)
	var all sync.WaitGroup
	all.Go(func() {
		if got, _, err := status(t, c, request(t.Context(), "GET", "")); got != 200 {
			t.Error(got, err)
		}
	})
	<-arrived
	if _, _, err := status(t, c, request(t.Context(), "GET", "")); !fault.Is(err, fault.Unavailable) || asked.Load() != 6 {
		t.Error(err, asked.Load())
	}
	close(hold)
	all.Wait()
}

func TestRepetitionsHaveABudget(t *testing.T) {
	clock := &hand{}
	clock.micros.Store(time.Now().UnixMicro())
	urls, servers := []string{}, []*at{}
	for range 40 { // enough that breakers do not hide the budget
		s := server(t, 503)
		servers, urls = append(servers, s), append(urls, s.URL)
	}
	c := client(t, peer.Options{Clock: clock.now}, urls...)
	const requests = 60
	for range requests {
		_, _, _ = status(t, c, request(t.Context(), "GET", ""))
	}
	attempts := int64(0)
	for _, s := range servers {
		attempts += s.asked.Load()
	}
	if most := int64(requests + 10 + requests/5); attempts > most || attempts < requests+10 {
		t.Errorf("%d requests made %d attempts, want %d at most", requests, attempts, most)
	}
}

func TestWhatGoesAlong(t *testing.T) {
	s := server(t, 200)
	c := client(t, peer.Options{}, s.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	ctx = access.With(ctx, access.Caller{RequestID: "req-1"})
	in := http.Header{"Authorization": {"Bearer x"}, "Cookie": {"__Host-session=1"}, "X-Purpose-Of-Use": {"ETREAT"}, "X-Tenant-Id": {"2"}, "X-Other": {"no"}, "Accept-Language": {"ar"}}
	ctx = peer.With(ctx, peer.Inbound{Header: in, Host: "clinic.example", Prefix: "/t/2"})
	if got, _, err := status(t, c, request(ctx, "GET", "")); got != 200 {
		t.Fatal(err)
	}
	r := s.last.Load()
	ms, err := strconv.Atoi(r.Header.Get("X-Request-Timeout-Ms"))
	if err != nil || ms <= 0 || ms > 5000 || r.Host != "clinic.example" || r.URL.String() != "/t/2/x?a=b" || r.Header.Get("X-Request-Id") != "req-1" || r.Header.Get("X-Other") != "" {
		t.Errorf("%s %s %v", r.Host, r.URL, r.Header)
	}
	for _, name := range []string{"Authorization", "Cookie", "X-Purpose-Of-Use", "X-Tenant-Id", "Accept-Language"} {
		if r.Header.Get(name) != in.Get(name) {
			t.Errorf("%s: %q", name, r.Header.Get(name))
		}
	}
	// Credentials of its own are not mixed with the caller's.
	_, _, _ = status(t, c, request(ctx, "GET", "", "X-API-Key", "own"))
	if r := s.last.Load(); r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "own" {
		t.Errorf("%v", r.Header)
	}
}

func TestWhoGivesUpIsNotAnsweredAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var waits atomic.Bool
	waits.Store(true)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if waits.Load() {
			cancel()
			<-r.Context().Done()
		}
	}))
	defer s.Close()
	c := client(t, peer.Options{}, s.URL)
	if _, _, err := status(t, c, request(ctx, "GET", "")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// The address is not blamed, however often.
	waits.Store(false)
	for range 6 {
		_, _, _ = status(t, c, request(ctx, "GET", ""))
	}
	if got, _, err := status(t, c, request(t.Context(), "GET", "")); got != 200 {
		t.Error(got, err)
	}
}

func TestAddressesThatAreNotReadyAreLeftAlone(t *testing.T) {
	a, b := server(t, 200), server(t, 200)
	b.ready.Store(false)
	reg := prometheus.NewRegistry()
	c := client(t, peer.Options{Probe: 5 * time.Millisecond, Metrics: reg}, a.URL, b.URL)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { c.Run(ctx) })
	defer func() { cancel(); all.Wait() }()
	until(t, func() bool { return c.Ready()["s"] == 1 })
	for range 30 {
		_, _, _ = status(t, c, request(t.Context(), "GET", ""))
	}
	if b.asked.Load() != 0 || a.asked.Load() != 30 {
		t.Error(a.asked.Load(), b.asked.Load())
	}
	b.ready.Store(true)
	until(t, func() bool { return c.Ready()["s"] == 2 })
	for range 100 {
		_, _, _ = status(t, c, request(t.Context(), "GET", ""))
	}
	if b.asked.Load() == 0 {
		t.Error("the second is not asked, though it is ready")
	}
	// None is ready: better to try than to refuse.
	a.ready.Store(false)
	b.ready.Store(false)
	until(t, func() bool { return c.Ready()["s"] == 0 })
	if got, _, err := status(t, c, request(t.Context(), "GET", "")); got != 200 {
		t.Error(err)
	}
	told := map[string]int{}
	families, err := reg.Gather()
	for _, f := range families {
		told[f.GetName()] = len(f.GetMetric())
	}
	if err != nil || told["nilecare_peer_ready"] != 2 || told["nilecare_peer_breaker"] != 2 || told["nilecare_peer_requests_total"] != 1 {
		t.Error(told, err)
	}
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come to be so")
		}
	}
}

func TestStickyRequestsStayAtTheirAddress(t *testing.T) {
	servers, urls := []*at{}, []string{}
	for range 4 {
		s := server(t, 200)
		servers, urls = append(servers, s), append(urls, s.URL)
	}
	c := client(t, peer.Options{}, urls...)
	used := map[int]bool{}
	for key := range 20 {
		before := make([]int64, len(servers))
		for i, s := range servers {
			before[i] = s.asked.Load()
		}
		for range 5 {
			_, _, _ = status(t, c, request(peer.Sticky(t.Context(), fmt.Sprint(key)), "GET", ""))
		}
		for i, s := range servers {
			switch s.asked.Load() - before[i] {
			case 0:
			case 5:
				used[i] = true
			default:
				t.Errorf("key %d moved", key)
			}
		}
	}
	if len(used) < 2 {
		t.Errorf("all keys are at %v", used)
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, urls := range [][]string{{}, {"ftp://x"}, {"http://"}, {"x:7001"}, {"http://x/path"}, {"http://u:p@x"}, {"http://x?a=b"}, {"://"}} {
		if _, err := peer.New(peer.Options{Services: map[string][]string{"s": urls}, Owner: owner}); err == nil {
			t.Errorf("%v is taken", urls)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Error(err)
		}
	}
}

// TestFailuresSurviveTheHop: what a service fails with, whoever asks it for its own purpose gets.
func TestFailuresSurviveTheHop(t *testing.T) {
	for kind := fault.Internal; kind <= fault.Unavailable; kind++ {
		for form, fail := range map[string]func(http.ResponseWriter, error){"product": web.FailAPI, "fhir": web.Fail} {
			w := httptest.NewRecorder()
			fail(w, fault.At(kind, "where", "why"))
			err := peer.Fault(w.Result())
			want := kind
			if form == "product" { // one status stands for both there
				want = map[fault.Kind]fault.Kind{fault.VersionConflict: fault.PreconditionFailed, fault.TooCostly: fault.Invalid}[kind]
				if want == fault.Internal {
					want = kind
				}
			}
			if !fault.Is(err, want) {
				t.Errorf("%s in %s: %v", kind, form, fault.KindOf(err))
			}
			var f *fault.Error
			if errors.As(err, &f); kind != fault.Internal && (f.Issues[0].Expression != "where" || f.Issues[0].Diagnostics != "why") {
				t.Errorf("%s in %s: %+v", kind, form, f.Issues)
			}
			// And it can be told on, as it was.
			again := httptest.NewRecorder()
			fail(again, err)
			if again.Code != w.Code {
				t.Errorf("%s in %s: %d, then %d", kind, form, w.Code, again.Code)
			}
		}
	}
	w := httptest.NewRecorder()
	web.FailAPI(w, web.Later(fault.New(fault.Conflict, "x").WithCode("APPOINTMENT_CONFLICT"), 7*time.Second))
	err := peer.Fault(w.Result())
	again := httptest.NewRecorder()
	web.FailAPI(again, err)
	if again.Header().Get("Retry-After") != "7" || !strings.Contains(again.Body.String(), `"code":"APPOINTMENT_CONFLICT"`) {
		t.Error(again.Header(), again.Body.String())
	}
	if err := peer.Fault(&http.Response{StatusCode: 200}); err != nil {
		t.Error(err)
	}
	if err := peer.Fault(&http.Response{StatusCode: 502, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<html>"))}); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}
