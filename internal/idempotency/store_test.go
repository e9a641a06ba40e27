package idempotency_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/idempotency"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// world is the product API with some routes, on an empty record.
type world struct {
	t     *testing.T
	store *record.Store
	uses  *idempotency.Store
	now   atomic.Int64 // microseconds
	done  atomic.Int64 // how often /things was served
	hold  chan struct{}
	base  string
}

// allow permits everything, as an operator's grant does.
type allow struct{}

func (allow) Extent(access.Action, string) access.Extent { return access.All() }
func (allow) Permits(string) bool                        { return true }
func (allow) Masked(string) []string                     { return nil }

const secret = "the answer's secret"

func each(t *testing.T, f func(w *world)) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		w := &world{t: t, store: s, hold: make(chan struct{})}
		w.now.Store(time.Now().UnixMicro())
		if err := s.Ledger().Migrate(t.Context(), idempotency.Module, idempotency.Migrations()); err != nil {
			t.Fatal(err)
		}
		w.uses = idempotency.New(idempotency.Options{Ledger: s.Ledger(), Clock: func() time.Time { return time.UnixMicro(w.now.Load()) }})
		w.base = w.serve()
		f(w)
	})
}

func (w *world) serve() string {
	post := func(path string, once api.Once, serve func(http.ResponseWriter, *http.Request) error) api.Route {
		return api.Route{Method: "POST", Path: path, Need: api.Known(), Summary: "x", Once: once, Serve: serve}
	}
	thing := func(rw http.ResponseWriter, r *http.Request) error {
		var in struct{ Name string }
		if err := api.Decode(r, &in); err != nil {
			return err
		}
		n := w.done.Add(1)
		rw.Header().Set("Location", fmt.Sprintf("/api/v1/things/%d", n))
		return api.Answer(rw, r, http.StatusCreated, map[string]any{"n": n, "name": in.Name, "of": secret})
	}
	fails := func(status fault.Kind) func(http.ResponseWriter, *http.Request) error {
		return func(rw http.ResponseWriter, _ *http.Request) error {
			rw.Header().Set("Location", "/nowhere")
			return fault.New(status, "attempt %d", w.done.Add(1))
		}
	}
	public := post("/public", api.Kept, thing)
	public.Need = api.Public()
	put := post("/things", api.Kept, thing)
	put.Method = "PUT"
	h, err := api.New([]api.Route{post("/things", api.Kept, thing), post("/others/{id}", api.Kept, thing), post("/secrets", api.Secret, thing), post("/unkeyed", api.Unkeyed, thing), public, put,
		post("/broken", api.Kept, func(http.ResponseWriter, *http.Request) error {
			w.done.Add(1)
			return fmt.Errorf("the disk")
		}),
		post("/panics", api.Kept, func(http.ResponseWriter, *http.Request) error { w.done.Add(1); panic("x") }),
		post("/conflicts", api.Kept, fails(fault.Conflict)), post("/forbids", api.Kept, fails(fault.Forbidden)), post("/busy", api.Kept, fails(fault.TooMany)),
		post("/large", api.Kept, func(rw http.ResponseWriter, r *http.Request) error {
			w.done.Add(1)
			return api.Answer(rw, r, http.StatusOK, strings.Repeat("x", api.MaxKept))
		}),
		post("/slow", api.Kept, func(rw http.ResponseWriter, r *http.Request) error {
			w.done.Add(1)
			<-w.hold
			return api.Answer(rw, r, http.StatusOK, w.done.Load())
		})}, api.Remember(w.uses))
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		var who, tenant int
		if n, _ := fmt.Sscanf(web.Bearer(r), "%d/%d", &tenant, &who); n != 2 {
			return access.Anonymous(), nil
		}
		return access.Caller{Tenant: int32(tenant), Who: fmt.Sprintf("User/%d", who), User: int64(who), Grant: allow{}}, nil // #nosec G115 -- a test's own
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(e.Wrap(h))
	w.t.Cleanup(srv.Close)
	return srv.URL
}

type answer struct {
	*http.Response
	body string
}

func (w *world) ask(method, path, who, key, body string) answer {
	w.t.Helper()
	req, err := http.NewRequest(method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Error(err)
		return answer{&http.Response{Header: http.Header{}}, ""}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Error(err)
	}
	return answer{res, string(text)}
}

func (a answer) replayed() bool { return a.Header.Get("Idempotency-Replayed") == "true" }

func (a answer) code() string {
	var e struct{ Error struct{ Code string } }
	_ = json.Unmarshal([]byte(a.body), &e)
	return e.Error.Code
}

func TestARepetitionGetsTheSameAnswer(t *testing.T) {
	each(t, func(w *world) {
		first := w.ask("POST", "/things", "1/1", `"k-1"`, `{"name":"a"}`)
		for _, key := range []string{`"k-1"`, "k-1", ` "k-1" `} {
			again := w.ask("POST", "/things", "1/1", key, `{"name":"a"}`)
			if again.StatusCode != 201 || again.body != first.body || !again.replayed() || again.Header.Get("Location") != "/api/v1/things/1" || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") ||
				again.Header.Get("X-Request-Id") == first.Header.Get("X-Request-Id") {
				w.t.Errorf("%s: %d %v\n%s\n%s", key, again.StatusCode, again.Header, again.body, first.body)
			}
		}
		if first.replayed() || w.done.Load() != 1 {
			w.t.Errorf("%v, done %d times", first.Header, w.done.Load())
		}
	})
}

func TestWhatAKeyBelongsTo(t *testing.T) {
	each(t, func(w *world) {
		w.ask("POST", "/things", "1/1", "k", `{"name":"a"}`)
		for i, x := range []struct {
			method, path, who string
			status            int
		}{{"POST", "/others/1", "1/1", 201}, {"POST", "/others/2", "1/1", 201}, {"POST", "/things", "1/2", 201}, {"PUT", "/things", "1/1", 201}, {"POST", "/unkeyed", "1/1", 201},
			{"POST", "/unkeyed", "1/1", 201}, {"POST", "/public", "", 201}, {"POST", "/public", "", 201}, {"POST", "/public", "1/1", 201}, {"POST", "/things", "", 401}} {
			if a := w.ask(x.method, x.path, x.who, "k", `{"name":"a"}`); a.StatusCode != x.status || a.replayed() {
				w.t.Errorf("%d: %d %s", i, a.StatusCode, a.body)
			}
		}
		if w.done.Load() != 10 {
			w.t.Error(w.done.Load())
		}
		for _, x := range [][2]string{{"/things", `{"name":"b"}`}, {"/things?x=1", `{"name":"a"}`}, {"/things", ``}} {
			if a := w.ask("POST", x[0], "1/1", "k", x[1]); a.StatusCode != 422 || a.code() != "IDEMPOTENCY_KEY_REUSED" {
				w.t.Errorf("%v: %d %s", x, a.StatusCode, a.body)
			}
		}
		for _, key := range []string{`""`, strings.Repeat("k", 256), "ключ"} {
			if a := w.ask("POST", "/things", "1/1", key, `{}`); a.StatusCode != 400 || !strings.Contains(a.body, `"field":"Idempotency-Key"`) {
				w.t.Errorf("%q: %d %s", key, a.StatusCode, a.body)
			}
		}
	})
}

func TestWhichAnswersAreKept(t *testing.T) {
	each(t, func(w *world) {
		for _, x := range []struct {
			path, body string
			first      int
			second     int
			code       string // of the second
			times      int64
		}{
			{"/conflicts", `{}`, 409, 409, "CONFLICT", 1}, {"/things", `{"name":5}`, 400, 400, "VALIDATION_ERROR", 0},
			{"/forbids", `{}`, 403, 403, "PERMISSION_DENIED", 2}, {"/busy", `{}`, 429, 429, "RATE_LIMIT_EXCEEDED", 2}, {"/broken", `{}`, 500, 500, "INTERNAL_ERROR", 2}, {"/panics", `{}`, 500, 500, "", 2},
			{"/secrets", `{}`, 201, 409, "IDEMPOTENCY_ANSWER_NOT_KEPT", 1}, {"/large", `{}`, 200, 409, "IDEMPOTENCY_ANSWER_NOT_KEPT", 1},
		} {
			w.done.Store(0)
			a, b := w.ask("POST", x.path, "1/1", "k", x.body), w.ask("POST", x.path, "1/1", "k", x.body)
			if a.StatusCode != x.first || b.StatusCode != x.second || b.code() != x.code || w.done.Load() != x.times {
				w.t.Errorf("%s: %d, then %d %.300s, done %d times", x.path, a.StatusCode, b.StatusCode, b.body, w.done.Load())
			}
			if x.first >= 400 && x.first < 500 && (a.Header.Get("Location") != "" || b.Header.Get("Location") != "") {
				w.t.Errorf("%s: a failure has a Location", x.path)
			}
		}
		if a := w.ask("POST", "/secrets", "1/1", "k2", `{"name":5}`); a.StatusCode != 400 {
			w.t.Error(a.body)
		}
		if a := w.ask("POST", "/secrets", "1/1", "k2", `{"name":5}`); a.StatusCode != 400 || !a.replayed() { // a refusal bears no secret
			w.t.Error(a.StatusCode, a.body)
		}
	})
}

func TestOfManyAtOnceOneIsDone(t *testing.T) {
	each(t, func(w *world) {
		const many = 12
		statuses := make(chan answer, many)
		var all sync.WaitGroup
		for range many {
			all.Go(func() { statuses <- w.ask("POST", "/slow", "1/1", "k", `{}`) })
		}
		for range many - 1 {
			if a := <-statuses; a.StatusCode != 409 || a.code() != "IDEMPOTENCY_IN_PROGRESS" || a.Header.Get("Retry-After") == "" {
				w.t.Errorf("%d %s", a.StatusCode, a.body)
			}
		}
		close(w.hold)
		if a := <-statuses; a.StatusCode != 200 || a.replayed() {
			w.t.Errorf("%d %s", a.StatusCode, a.body)
		}
		all.Wait()
		if a := w.ask("POST", "/slow", "1/1", "k", `{}`); a.StatusCode != 200 || !a.replayed() || w.done.Load() != 1 {
			w.t.Errorf("%d %s, done %d times", a.StatusCode, a.body, w.done.Load())
		}
	})
}

func TestKeysAreForgottenAfterADay(t *testing.T) {
	each(t, func(w *world) {
		w.ask("POST", "/things", "1/1", "k", `{"name":"a"}`)
		w.ask("POST", "/things", "1/1", "other", `{"name":"a"}`)
		w.now.Add((idempotency.Kept - time.Second).Microseconds())
		if n, err := w.uses.Sweep(t.Context(), 1); n != 0 || err != nil {
			w.t.Error(n, err)
		}
		if a := w.ask("POST", "/things", "1/1", "k", `{"name":"a"}`); !a.replayed() {
			w.t.Error(a.body)
		}
		w.now.Add((2 * time.Second).Microseconds())
		// Whether they have been swept away yet makes no difference.
		if a := w.ask("POST", "/things", "1/1", "k", `{"name":"b"}`); a.replayed() || a.StatusCode != 201 {
			w.t.Errorf("%d %s", a.StatusCode, a.body)
		}
		if n, err := w.uses.Sweep(t.Context(), 1); n != 1 || err != nil {
			w.t.Error(n, err)
		}
		if a := w.ask("POST", "/things", "1/1", "k", `{"name":"b"}`); !a.replayed() || w.done.Load() != 3 {
			w.t.Error(a.body, w.done.Load())
		}
	})
}

func TestNothingStandsInClear(t *testing.T) {
	each(t, func(w *world) {
		w.ask("POST", "/things", "1/1", "key-of-omar", `{"name":"omar"}`)
		var all strings.Builder
		if err := w.store.Ledger().Read(t.Context(), 1, func(q sqldb.Querier) error {
			return sqldb.Each(t.Context(), q, func(r sqldb.Rows) error {
				var v [7]any
				if err := r.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]); err != nil {
					return err
				}
				for _, one := range v {
					if b, ok := one.([]byte); ok {
						one = string(b)
					}
					fmt.Fprintln(&all, one)
				}
				return nil
			}, "SELECT name, digest, who, request, state, answer, status FROM idempotency_use")
		}); err != nil {
			t.Fatal(err)
		}
		for _, no := range []string{"omar", secret, "things", "key-of"} {
			if strings.Contains(all.String(), no) {
				w.t.Errorf("%q stands in the table", no)
			}
		}
		if !strings.Contains(all.String(), "User/1") {
			w.t.Error(all.String())
		}
	})
}

// TestAfterACrash has an attempt begin as the frame does, change something or not, and die.
func TestAfterACrash(t *testing.T) {
	each(t, func(w *world) {
		if err := w.store.Ledger().Update(t.Context(), 1, func(sqldb.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		records := flat.New(w.store, nil, "")
		caller := func(request string) access.Caller {
			return access.Caller{Tenant: 1, Who: "User/1", User: 1, RequestID: request, Grant: allow{}}
		}
		use := func(key, request string) api.Use {
			return api.Use{Caller: caller(request), Method: "POST", Path: "/things", Key: key, Digest: [32]byte{1}}
		}
		begin := func(key, request string) (int64, *api.KeptAnswer, error) {
			return w.uses.Begin(access.With(t.Context(), caller(request)), use(key, request))
		}
		patient := func() *fhir.Resource {
			res, err := flat.Make("Patient", map[string]any{"active": true})
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		old, _, err := begin("changed", "req-1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := records.Create(access.With(t.Context(), caller("req-1")), patient()); err != nil {
			t.Fatal(err)
		}
		lost, _, err := begin("unchanged", "req-2")
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"changed", "unchanged"} {
			if _, _, err := begin(key, "req-3"); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s: %v", key, err)
			}
		}
		w.now.Add((web.DefaultTimeout + idempotency.Slack + time.Second).Microseconds())
		for range 2 {
			if _, _, err := begin("changed", "req-4"); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "changed records") {
				t.Errorf("%v", err)
			}
		}
		// One of those who come takes it over.
		var took atomic.Int64
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				switch attempt, _, err := begin("unchanged", fmt.Sprintf("req-5-%d", i)); {
				case err == nil:
					took.Store(attempt)
				case !fault.Is(err, fault.Conflict):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took.Load() == 0 {
			t.Error("nobody took it over")
		}
		// The attempt of before can end neither its own nor the other's.
		for _, attempt := range []int64{old, lost} {
			for _, key := range []string{"changed", "unchanged"} {
				if err := w.uses.End(t.Context(), use(key, "x"), attempt, &api.KeptAnswer{Status: 200}); err == nil {
					t.Errorf("%s was ended", key)
				}
			}
		}
		if err := w.uses.Drop(t.Context(), use("unchanged", "x"), lost); err != nil {
			t.Error(err)
		}
		if err := w.uses.End(t.Context(), use("unchanged", "x"), took.Load(), &api.KeptAnswer{Status: 201, Body: []byte("b")}); err != nil {
			t.Error(err)
		}
		if _, again, err := begin("unchanged", "req-6"); err != nil || again == nil || again.Status != 201 || string(again.Body) != "b" {
			t.Errorf("%v %v", again, err)
		}
	})
}
