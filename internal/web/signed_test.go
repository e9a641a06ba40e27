package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

var secret = []byte("a secret of a service")

func signatures(at *hand) *web.Signatures {
	return &web.Signatures{Clock: at.clock, Replays: web.NewMemoryReplays(0, at.clock), Secrets: func(_ context.Context, id string) ([][]byte, error) {
		switch id {
		case "lab":
			return [][]byte{[]byte("the next one"), secret}, nil
		case "down":
			return nil, errors.New("the database is away")
		}
		return nil, nil
	}}
}

// signedServer authenticates by signature, and answers with key and body.
func signedServer(t *testing.T, at *hand) *httptest.Server {
	sigs := signatures(at)
	return edge(t, web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		key, err := sigs.Verify(r)
		return access.Caller{Tenant: 1, Who: "Key/" + key, Client: key}, err
	}}, web.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		body, err := web.ReadBody(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s %s", access.From(r.Context()).Who, body)
		return err
	}))
}

func TestSignedRequests(t *testing.T) {
	at := newHand()
	s := signedServer(t, at)
	// send signs a request, lets change spoil it, sends it, and returns the status and the answer.
	send := func(method, path, body string, change func(*http.Request)) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		web.Sign(req, []byte(body), "lab", secret, at.now)
		if change != nil {
			change(req)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		out, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		return res.StatusCode, string(out)
	}
	for _, x := range [][3]string{{"POST", "/fhir/R4/Patient?a=1&b=%20x", `{"a":1}`}, {"GET", "/", ""}, {"PUT", "/x", strings.Repeat("large", 300_000)}} {
		if status, out := send(x[0], x[1], x[2], nil); status != 200 || out != "Key/lab "+x[2] {
			t.Errorf("%s %s: %d %.100s", x[0], x[1], status, out)
		}
	}
	body := func(s string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s))
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, change := range map[string]func(*http.Request){
		"another path":          func(r *http.Request) { r.URL.Path = "/fhir/R4/y" },
		"another query":         func(r *http.Request) { r.URL.RawQuery = "a=2" },
		"another method":        func(r *http.Request) { r.Method = "PUT" },
		"another body":          body(`{"a":2}`),
		"a longer body":         body(`{"a":1} `),
		"no body":               func(r *http.Request) { r.Body, r.ContentLength = nil, 0 },
		"a chunked, other body": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(`{"a":3}`)), -1 },
		"another hash":          header(web.HeaderContentHash, strings.Repeat("0", 64)),
		"a hash in capitals": func(r *http.Request) {
			r.Header.Set(web.HeaderContentHash, strings.ToUpper(r.Header.Get(web.HeaderContentHash)))
		},
		"no hash":              func(r *http.Request) { r.Header.Del(web.HeaderContentHash) },
		"another time":         header(web.HeaderTimestamp, fmt.Sprint(at.now.Unix()+1)),
		"the time with a plus": header(web.HeaderTimestamp, "+"+fmt.Sprint(at.now.Unix())),
		"another nonce":        header(web.HeaderNonce, "0123456789abcdef"),
		"a short nonce":        header(web.HeaderNonce, "x"),
		"a key nobody knows":   header(web.HeaderKeyID, "nobody"),
		"no version": func(r *http.Request) {
			r.Header.Set(web.HeaderSignature, strings.TrimPrefix(r.Header.Get(web.HeaderSignature), "v1="))
		},
		"a short signature": func(r *http.Request) { r.Header.Set(web.HeaderSignature, r.Header.Get(web.HeaderSignature)[:10]) },
		"two signatures":    func(r *http.Request) { r.Header.Add(web.HeaderSignature, "v1=00") },
		"too old": func(r *http.Request) {
			web.Sign(r, []byte(`{"a":1}`), "lab", secret, at.now.Add(-web.SignatureWindow-time.Second))
		},
		"too new": func(r *http.Request) {
			web.Sign(r, []byte(`{"a":1}`), "lab", secret, at.now.Add(web.SignatureWindow+time.Second))
		},
		"another secret": func(r *http.Request) { web.Sign(r, []byte(`{"a":1}`), "lab", []byte("x"), at.now) },
	} {
		status, out := send("POST", "/fhir/R4/x", `{"a":1}`, change)
		if status != 401 || !strings.Contains(out, `"diagnostics":"the signature is not valid"`) {
			t.Errorf("%s: %d %s", name, status, out)
		}
	}
	if status, out := send("POST", "/", "", func(r *http.Request) { web.Sign(r, nil, "down", secret, at.now) }); status != 500 || strings.Contains(out, "database") {
		t.Errorf("%d %s", status, out)
	}
}

func TestSignedRequestIsGoodOnce(t *testing.T) {
	at := newHand()
	s := signedServer(t, at)
	for _, ahead := range []time.Duration{-web.SignatureWindow, 0, web.SignatureWindow} {
		req, _ := http.NewRequest("POST", s.URL+"/x", nil)
		signed := at.now.Add(ahead)
		web.Sign(req, []byte("x"), "lab", secret, signed)
		statuses := map[int]int{}
		start := at.now
		// Again and again, for as long as its time is in the window and beyond.
		for step := time.Duration(0); step <= 2*web.SignatureWindow+10*time.Second; step += 10 * time.Second {
			at.now = start.Add(step)
			req.Body, _ = req.GetBody()
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			statuses[res.StatusCode]++
		}
		if statuses[200] != 1 || statuses[401] == 0 || len(statuses) != 2 {
			t.Errorf("signed %s ahead: %v", ahead, statuses)
		}
	}
}

// TestSignedCompressedBody: the hash is that of the bytes that are sent.
func TestSignedCompressedBody(t *testing.T) {
	at := newHand()
	s := signedServer(t, at)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("opened"))
	_ = z.Close()
	req, _ := http.NewRequest("POST", s.URL+"/x", nil)
	req.Header.Set("Content-Encoding", "gzip")
	web.Sign(req, packed.Bytes(), "lab", secret, at.now)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != 200 || string(out) != "Key/lab opened" {
		t.Errorf("%d %s", res.StatusCode, out)
	}
}

func TestSignedMiddleware(t *testing.T) {
	at := newHand()
	h := signatures(at).Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, web.SignedBy(r.Context())) }))
	r := httptest.NewRequest("GET", "/api/v1/x?y=1", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 401 || web.Signed(r) {
		t.Errorf("unsigned: %d %s", w.Code, w.Body)
	}
	web.Sign(r, nil, "lab", secret, at.now)
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 200 || w.Body.String() != "lab" || !web.Signed(r) {
		t.Errorf("signed: %d %s", w.Code, w.Body)
	}
}

func TestWebhooks(t *testing.T) {
	at := newHand()
	sigs := signatures(at)
	body := []byte(`{"transaction_id":"1"}`)
	ours := func(id string) *http.Request {
		r := httptest.NewRequest("POST", "/hook", nil)
		web.SignWebhook(r.Header, id, body, secret, at.now)
		return r
	}
	d, err := sigs.Webhook(ours("1"), "lab", body, false)
	if err != nil || d.ID != "1" {
		t.Fatal(d, err)
	}
	if _, err := sigs.Webhook(ours("1"), "lab", body, false); !web.Replayed(err) || !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("a second time: %v", err)
	}
	if err := sigs.Undo(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := sigs.Webhook(ours("1"), "lab", body, false); err != nil {
		t.Errorf("again, after it failed: %v", err)
	}
	for name, change := range map[string]func(*http.Request){
		"another id":     func(r *http.Request) { r.Header.Set(web.WebhookID, "3") },
		"another time":   func(r *http.Request) { r.Header.Set(web.WebhookTimestamp, fmt.Sprint(at.now.Unix()-1)) },
		"no time":        func(r *http.Request) { r.Header.Del(web.WebhookTimestamp) },
		"no signature":   func(r *http.Request) { r.Header.Del(web.WebhookSignature) },
		"old":            func(r *http.Request) { web.SignWebhook(r.Header, "2", body, secret, at.now.Add(-301*time.Second)) },
		"another's body": func(r *http.Request) { web.SignWebhook(r.Header, "2", []byte("{}"), secret, at.now) },
	} {
		r := ours("2")
		change(r)
		if _, err := sigs.Webhook(r, "lab", body, false); !fault.Is(err, fault.Unauthenticated) || web.Replayed(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// While a secret is being replaced, whoever knows the old one or the new one is served.
	rotated := httptest.NewRequest("POST", "/hook", nil)
	web.SignWebhook(rotated.Header, "4", body, []byte("the new one"), at.now, secret)
	if _, err := sigs.Webhook(rotated, "lab", body, false); err != nil {
		t.Errorf("two signatures: %v", err)
	}
	web.SignWebhook(rotated.Header, "5", body, []byte("a"), at.now, []byte("b"), []byte("c"), secret)
	if _, err := sigs.Webhook(rotated, "lab", body, false); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("more signatures than there may be: %v", err)
	}
	// A provider signs the raw body alone.
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	provider := func(id, prefix string) *http.Request {
		r := httptest.NewRequest("POST", "/hook", nil)
		r.Header.Set("X-Signature", prefix+hex.EncodeToString(mac.Sum(nil)))
		r.Header.Set("X-Timestamp", fmt.Sprint(at.now.Unix()))
		r.Header.Set("X-Event-Id", id)
		return r
	}
	if _, err := sigs.Webhook(provider("7", ""), "lab", body, false); err == nil {
		t.Error("the raw body's signature passes where id and time are to be signed")
	}
	if d, err = sigs.Webhook(provider("7", "sha256="), "lab", body, true); err != nil || d.ID != "7" {
		t.Error(err)
	}
	if _, err := sigs.Webhook(provider("8", ""), "lab", body, true); !web.Replayed(err) {
		t.Errorf("the same body under another id: %v", err)
	}
	if err := sigs.Undo(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if _, err := sigs.Webhook(provider("8", ""), "lab", body, true); err != nil {
		t.Error(err)
	}
}

// TestReplaysAreExact: against a plain map, whatever the order of times.
func TestReplaysAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := newHand()
		m := web.NewMemoryReplays(1000, at.clock)
		want := map[string]time.Time{}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			at.now = at.now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "wait")) * time.Second)
			name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "name")
			if rapid.IntRange(0, 5).Draw(t, "forget") == 0 {
				delete(want, name)
				if err := m.Forget(context.Background(), name); err != nil {
					t.Fatal(err)
				}
				continue
			}
			until := at.now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "until")) * time.Second)
			first := !want[name].After(at.now)
			if first {
				want[name] = until
			}
			got, err := m.First(context.Background(), name, until)
			if err != nil || got != first {
				t.Fatalf("%s: first %v, want %v, %v", name, got, first, err)
			}
		}
	})
}

func TestReplaysAreBounded(t *testing.T) {
	at := newHand()
	m := web.NewMemoryReplays(3, at.clock)
	for i := range 3 {
		if first, err := m.First(t.Context(), fmt.Sprint(i), at.now.Add(time.Minute)); !first || err != nil {
			t.Fatal(first, err)
		}
	}
	if _, err := m.First(t.Context(), "3", at.now.Add(time.Minute)); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a full memory: %v", err)
	}
	if first, err := m.First(t.Context(), "0", at.now.Add(time.Minute)); first || err != nil {
		t.Error("a full memory forgets")
	}
	at.now = at.now.Add(time.Minute)
	if first, err := m.First(t.Context(), "3", at.now.Add(time.Minute)); !first || err != nil {
		t.Error("it does not get empty again")
	}
}
