package web_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/web"
)

// edge serves h behind an edge.
func edge(t testing.TB, o web.Options, h http.Handler) *httptest.Server {
	t.Helper()
	e, err := web.NewEdge(o)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(e.Wrap(h))
	t.Cleanup(s.Close)
	return s
}

// do sends a request as it is: Go's own client would ask for gzip and open it.
func do(t testing.TB, s *httptest.Server, method, path string, body []byte, headers ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res, out
}

func TestStatusBothWays(t *testing.T) {
	codes := map[fault.Kind]string{}
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		e := fault.New(k, "x")
		codes[k] = e.Issues[0].Code
		if got := web.KindOf(web.StatusOf(k), e.Issues[0].Code); got != k {
			t.Errorf("%v becomes %d becomes %v", k, web.StatusOf(k), got)
		}
	}
	for status, want := range map[int]fault.Kind{418: fault.Invalid, 502: fault.Unavailable, 504: fault.Unavailable, 507: fault.Internal, 302: fault.Internal} {
		if got := web.KindOf(status, ""); got != want {
			t.Errorf("%d is %v, want %v", status, got, want)
		}
	}
}

func TestFailTellsOnlyWhatItMay(t *testing.T) {
	for _, x := range []struct {
		name   string
		err    error
		status int
		has    string
	}{
		{"a fault", fault.At(fault.Invalid, "Patient.name", "wrong"), 400, `"expression":["Patient.name"]`},
		{"a wrapped fault", fmt.Errorf("secret: %w", fault.New(fault.NotFound, "absent")), 404, "absent"},
		{"an error without kind", errors.New("secret"), 500, "internal error"},
		{"an internal fault", fault.New(fault.Internal, "secret"), 500, "internal error"},
		{"its cause", fault.New(fault.Conflict, "told").Because(errors.New("secret")), 409, "told"},
		{"a deadline", fmt.Errorf("secret: %w", context.DeadlineExceeded), 503, "timeout"},
		{"a large body", &http.MaxBytesError{Limit: 7}, 413, "7 bytes"},
	} {
		t.Run(x.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			web.Fail(rec, x.err)
			body := rec.Body.String()
			if rec.Code != x.status || !strings.Contains(body, x.has) || strings.Contains(body, "secret") {
				t.Errorf("%d %s", rec.Code, body)
			}
			if r, err := fhir.ParseResource([]byte(body)); err != nil || r.Type() != "OperationOutcome" {
				t.Errorf("no OperationOutcome: %s", body)
			}
		})
	}
}

func TestRequestIDAndCaller(t *testing.T) {
	var seen access.Caller
	s := edge(t, web.Options{}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = access.From(r.Context()) }))
	for id, kept := range map[string]bool{"abc-1": true, "": false, "a b": false, `a"b`: false, strings.Repeat("x", 129): false} {
		res, _ := do(t, s, "GET", "/", nil, "X-Request-Id", id)
		got := res.Header.Get("X-Request-Id")
		if got == "" || (got == id) != kept {
			t.Errorf("%q became %q", id, got)
		}
		if seen.RequestID != got || seen.Tenant != 1 || seen.Who != "anonymous" || seen.Address != "127.0.0.1" {
			t.Errorf("caller %+v", seen)
		}
	}
}

func TestPanic(t *testing.T) {
	var logged bytes.Buffer
	s := edge(t, web.Options{Log: slog.New(slog.NewJSONHandler(&logged, nil))}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", "x")
		if r.URL.Path == "/late" {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write(bytes.Repeat([]byte("x"), 4096))
			_ = http.NewResponseController(w).Flush()
		}
		panic("the secret")
	}))
	res, body := do(t, s, "GET", "/fhir/R4/Patient", nil, "X-Request-Id", "the-id")
	if res.StatusCode != 500 || !bytes.Contains(body, []byte("OperationOutcome")) || !bytes.Contains(body, []byte("the-id")) || bytes.Contains(body, []byte("secret")) ||
		res.Header.Get("Etag") != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if log := logged.String(); !strings.Contains(log, "the-id") || !strings.Contains(log, "web_test.go") {
		t.Errorf("log: %s", log)
	}
	late, err := http.Get(s.URL + "/late")
	if err == nil {
		_, err = io.ReadAll(late.Body)
		_ = late.Body.Close()
	}
	if err == nil {
		t.Error("a broken answer looked whole")
	}
}

func TestDeadline(t *testing.T) {
	s := edge(t, web.Options{Timeout: 10 * time.Millisecond}, web.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("store: %w", r.Context().Err())
	}))
	res, body := do(t, s, "GET", "/", nil)
	if res.StatusCode != 503 || !bytes.Contains(body, []byte("timeout")) || res.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestCompressionOfAnswers(t *testing.T) {
	text := bytes.Repeat([]byte(`{"resourceType":"Patient"}`), 100)
	s := edge(t, web.Options{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/small":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(text[:100])
		case "/pieces":
			w.Header().Set("Content-Type", "application/json")
			for i := 0; i < len(text); i += 100 {
				_, _ = w.Write(text[i : i+100])
			}
		case "/image":
			w.Header().Set("Content-Type", "image/png")
			_, _ = w.Write(text)
		case "/none":
			w.WriteHeader(204)
		default:
			w.Header().Set("Content-Type", "application/fhir+json")
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			_, _ = w.Write(text)
		}
	}))
	for _, x := range []struct {
		path, accept, coding string
	}{
		{"/", "", ""},
		{"/", "gzip", "gzip"},
		{"/", "br", "br"},
		{"/", "zstd", "zstd"},
		{"/", "gzip, deflate, br, zstd", "zstd"},
		{"/", "gzip;q=1, br;q=0.5", "gzip"},
		{"/", "gzip;q=0", ""},
		{"/", "gzip;q=nonsense", ""},
		{"/", "*", "gzip"},
		{"/", "identity", ""},
		{"/", "deflate", ""},
		{"/small", "gzip", ""},
		{"/pieces", "gzip", "gzip"},
		{"/pieces", "", ""},
		{"/image", "gzip", ""},
		{"/none", "gzip", ""},
	} {
		res, body := do(t, s, "GET", x.path, nil, "Accept-Encoding", x.accept)
		if got := res.Header.Get("Content-Encoding"); got != x.coding {
			t.Errorf("%s with %q: coding %q, want %q", x.path, x.accept, got, x.coding)
		}
		if res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: no Vary", x.path)
		}
		plain := opened(t, x.coding, body)
		want := text
		switch x.path {
		case "/small":
			want = text[:100]
		case "/none":
			want = nil
		}
		if !bytes.Equal(plain, want) {
			t.Errorf("%s with %q: %d bytes, want %d", x.path, x.accept, len(plain), len(want))
		}
	}
	res, body := do(t, s, "HEAD", "/", nil, "Accept-Encoding", "gzip")
	if res.ContentLength != int64(len(text)) || len(body) > 0 {
		t.Errorf("HEAD: %d", res.ContentLength)
	}
}

func opened(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	var err error
	switch coding {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brotli.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCompressedBodies(t *testing.T) {
	const limit = 10_000
	s := edge(t, web.Options{MaxBody: limit}, web.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := web.ReadBody(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(w, len(body))
		return err
	}))
	pack := func(coding string, n int) []byte {
		var b bytes.Buffer
		var w io.WriteCloser
		switch coding {
		case "gzip":
			w = gzip.NewWriter(&b)
		case "deflate":
			w = zlib.NewWriter(&b)
		case "bare":
			w, _ = flate.NewWriter(&b, 1)
		case "zstd":
			w, _ = zstd.NewWriter(&b)
		default:
			return bytes.Repeat([]byte("a"), n)
		}
		_, _ = w.Write(bytes.Repeat([]byte("a"), n))
		_ = w.Close()
		return b.Bytes()
	}
	for range 2 { // twice: the second round meets used decompressors
		for _, packing := range []string{"", "gzip", "deflate", "bare", "zstd"} {
			coding := strings.Replace(packing, "bare", "deflate", 1)
			for _, n := range []int{1, limit - 1, limit, limit + 1, 50 * limit} {
				res, body := do(t, s, "POST", "/", pack(packing, n), "Content-Encoding", coding)
				want := 200
				if n > limit {
					want = 413
				}
				if res.StatusCode != want || want == 200 && string(body) != fmt.Sprint(n) {
					t.Errorf("%q of %d: %d %s", packing, n, res.StatusCode, body)
				}
			}
			if coding == "" {
				continue
			}
			whole := pack(packing, 100)
			for _, broken := range [][]byte{[]byte("nonsense"), whole[:len(whole)/2]} {
				if res, body := do(t, s, "POST", "/", broken, "Content-Encoding", coding); res.StatusCode != 400 {
					t.Errorf("broken %q: %d %s", packing, res.StatusCode, body)
				}
			}
		}
	}
	if res, _ := do(t, s, "POST", "/", []byte("x"), "Content-Encoding", "compress"); res.StatusCode != 415 {
		t.Errorf("an unknown coding: %d", res.StatusCode)
	}
}

func TestMetricsAndLogNameNobody(t *testing.T) {
	var logged bytes.Buffer
	reg := prometheus.NewRegistry()
	mux := http.NewServeMux()
	mux.Handle("GET /things/{id}", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	mux.Handle("/fhir/", web.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		web.SetRoute(w, "/fhir/{type}/{id}")
		return fault.New(fault.NotFound, "absent")
	}))
	s := edge(t, web.Options{Metrics: reg, Log: slog.New(slog.NewJSONHandler(&logged, nil))}, mux)
	do(t, s, "GET", "/things/4711?ssn=4711", nil)
	do(t, s, "GET", "/fhir/Patient/4711", nil)
	do(t, s, "BREW", "/nowhere/4711", nil)
	if strings.Contains(logged.String(), "4711") {
		t.Errorf("the log: %s", logged.String())
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`nilecare_http_requests_total{method="GET",route="/fhir/{type}/{id}",status="404"} 1`,
		`nilecare_http_requests_total{method="GET",route="/things/{id}",status="200"} 1`,
		`nilecare_http_requests_total{method="other",route="unmatched",status="404"} 1`,
		`nilecare_http_request_duration_seconds_count{method="GET",route="/things/{id}"} 1`,
		`nilecare_http_requests_in_flight 0`,
	} {
		if !strings.Contains(rec.Body.String(), line+"\n") {
			t.Errorf("no %s in %s", line, rec.Body.String())
		}
	}
	if strings.Contains(rec.Body.String(), "4711") {
		t.Errorf("the metrics: %s", rec.Body.String())
	}
	if _, err := web.NewEdge(web.Options{Metrics: reg}); err == nil {
		t.Error("the same metrics were registered twice")
	}
}

func TestHealth(t *testing.T) {
	var broken error
	mux := http.NewServeMux()
	mux.Handle("/healthz", web.Alive())
	mux.Handle("/readyz", web.Ready(func(context.Context) error { return broken }))
	s := httptest.NewServer(mux)
	defer s.Close()
	if res, _ := do(t, s, "GET", "/healthz", nil); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	if res, _ := do(t, s, "GET", "/readyz", nil); res.StatusCode != 200 {
		t.Error(res.Status)
	}
	broken = errors.New("secret")
	if res, body := do(t, s, "GET", "/readyz", nil); res.StatusCode != 503 || bytes.Contains(body, []byte("secret")) {
		t.Error(res.Status)
	}
}

func BenchmarkEdge(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1500)
	e, err := web.NewEdge(web.Options{Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewJSONHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	h := e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		web.SetRoute(w, "/x")
		_, _ = w.Write(body)
	}))
	r := httptest.NewRequest("GET", "/fhir/R4/Patient/1", nil)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(&discard{h: http.Header{}}, r)
	}
}

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func TestReadBodyWholeOrNot(t *testing.T) {
	var got []byte
	var failed error
	s := edge(t, web.Options{MaxBody: 4 << 20}, web.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		got, failed = web.ReadBody(r)
		return failed
	}))
	for _, n := range []int{0, 1, 4 << 10, 1 << 20, 1<<20 + 1, 3 << 20} {
		body := bytes.Repeat([]byte("ab"), n/2+1)[:n]
		for _, chunked := range []bool{false, true} {
			var in io.Reader = bytes.NewReader(body)
			if chunked {
				in = struct{ io.Reader }{in}
			}
			res, err := http.Post(s.URL, "text/plain", in)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if failed != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, chunked %v: %d came, %v", n, chunked, len(got), failed)
			}
		}
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("half"))
	r.ContentLength = 8
	if _, err := web.ReadBody(r); !fault.Is(err, fault.Invalid) {
		t.Errorf("a body that broke off: %v", err)
	}
}
