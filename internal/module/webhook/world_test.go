package webhook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/webhook"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// hand is a clock that tests move.
type hand struct{ micros atomic.Int64 }

func (h *hand) now() time.Time      { return time.UnixMicro(h.micros.Load()).UTC() }
func (h *hand) add(d time.Duration) { h.micros.Add(d.Microseconds()) }

// data is what the tests' events say.
type data struct {
	ID string `json:"id"`
}

var (
	created   = event.Kind{Name: "patient.created", Topic: event.PatientEvents, Version: 1, Summary: "a patient was registered", Data: data{}}
	updated   = event.Kind{Name: "patient.updated", Topic: event.PatientEvents, Version: 1, Summary: "a patient was changed", Data: data{}}
	assigned  = event.Kind{Name: "bed.assigned", Topic: event.FacilityEvents, Version: 1, Summary: "a bed was assigned", Data: data{}}
	testKinds = []event.Kind{created, updated, assigned}
)

// source makes facts of patients.
func source() event.Source {
	return event.Source{Kinds: testKinds, Types: []string{"Patient"}, Tell: func(c event.Change) []event.Fact {
		kind := updated.Name
		if c.Old == nil {
			kind = created.Name
		}
		return []event.Fact{{Kind: kind, Patient: c.Type + "/" + c.ID, Data: data{ID: c.Self()}}}
	}}
}

type world struct {
	t     testing.TB
	store *record.Store
	s     *webhook.Service
	jobs  *job.Runner
	hub   *event.Hub
	clock *hand
	base  string

	mu       sync.Mutex
	disabled []webhook.Disabled
	lastID   int64
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func each(t *testing.T, change func(*webhook.Options), f func(t *testing.T, w *world)) {
	t.Helper()
	tables := append(append(job.Tables(), webhook.Tables()...), event.Tables()...)
	storetest.Each(t, record.Options{Tables: tables}, func(t *testing.T, store *record.Store) {
		ctx := context.Background()
		l := store.Ledger()
		for _, err := range []error{l.Migrate(ctx, job.Module, job.Migrations()), l.Migrate(ctx, webhook.Module, webhook.Migrations()), l.Migrate(ctx, event.Module, event.Migrations())} {
			if err != nil {
				t.Fatal(err)
			}
		}
		w := &world{t: t, store: store, clock: &hand{}}
		w.clock.micros.Store(time.Now().UnixMicro())
		quiet := slog.New(slog.DiscardHandler)
		var err error
		if w.hub, err = event.New(ctx, event.Options{Store: store, Sources: []event.Source{source()}, Log: quiet}); err != nil {
			t.Fatal(err)
		}
		w.jobs = job.New(job.Options{Ledger: l, Log: quiet, Clock: w.clock.now, Poll: 5 * time.Millisecond, Tenants: func(context.Context) ([]int32, error) { return []int32{1, 2}, nil }})
		o := webhook.Options{Ledger: l, Jobs: w.jobs, Hub: w.hub, Log: quiet, Clock: w.clock.now, Networks: loopback, Disabled: func(_ context.Context, d webhook.Disabled) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.disabled = append(w.disabled, d)
		}}
		if change != nil {
			change(&o)
		}
		if w.s, err = webhook.New(ctx, o); err != nil {
			t.Fatal(err)
		}
		w.run(w.jobs.Run)
		w.base = w.serve()
		f(t, w)
	})
}

// run runs something until the test ends.
func (w *world) run(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

var policies = func() *access.Policies {
	p, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		panic(err)
	}
	return p
}()

// caller is a user of the role: "admin" of the first tenant, "admin@2" of the second.
func caller(name string) access.Caller {
	role, tenant, _ := strings.Cut(name, "@")
	c := access.Caller{Tenant: 1, User: 7, Who: "User/7", Roles: []string{role}}
	if tenant == "2" {
		c.Tenant = 2
	}
	p := access.Principal{Tenant: c.Tenant, User: 7, Roles: c.Roles}
	for _, r := range access.DefaultRoles() {
		if r.Name == role {
			p.Permissions = r.Permissions
		}
	}
	var err error
	if c.Grant, err = policies.Grant(p); err != nil {
		panic(err)
	}
	return c
}

func (w *world) serve() string {
	w.t.Helper()
	h, err := api.New(w.s.Routes())
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := web.NewEdge(web.Options{Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) {
		if web.Bearer(r) == "" {
			return access.Anonymous(), nil
		}
		return caller(web.Bearer(r)), nil
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	srv := httptest.NewServer(e.Wrap(h))
	w.t.Cleanup(srv.Close)
	return srv.URL
}

type m = map[string]any

// answer is what came back.
type answer struct {
	status int
	raw    []byte
	body   m
}

// at walks into the answer: "data.deliveries.0.status".
func (a *answer) at(path string) any {
	var v any = a.body
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case m:
			v = x[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (a *answer) text(path string) string {
	v, _ := a.at(path).(string)
	return v
}

func (w *world) do(who, method, path string, body any) *answer {
	w.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, w.base+path, in)
	if err != nil {
		w.t.Fatal(err)
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := &answer{status: res.StatusCode}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		w.t.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// want is do, and fails where the status is another.
func (w *world) want(status int, who, method, path string, body any) *answer {
	w.t.Helper()
	a := w.do(who, method, path, body)
	if a.status != status {
		w.t.Errorf("%s %s: %d, want %d: %s", method, path, a.status, status, a.raw)
	}
	return a
}

// until waits for something that comes by itself.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// jobsThat counts jobs of the first tenant.
func (w *world) jobsThat(where string) (n int64) {
	w.t.Helper()
	if err := w.store.Ledger().Read(context.Background(), 1, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(context.Background(), q, []any{&n}, "SELECT count(*) FROM job_task WHERE "+where)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// idle waits until no job is running and none is due: a clock that is moved under a running one ends its lease.
func (w *world) idle() {
	w.t.Helper()
	w.until("no job is running", func() bool {
		return w.jobsThat(fmt.Sprintf("state = 'waiting' AND (lease <> 0 OR due_at <= %d)", w.clock.now().UnixMicro())) == 0
	})
}

// hook makes a webhook and returns its id and secret.
func (w *world) hook(url string, events ...string) (id, secret string) {
	w.t.Helper()
	a := w.want(201, "admin", "POST", "/api/v1/webhooks", m{"url": url, "events": events})
	return a.text("data.webhook.id"), a.text("data.secret")
}

// tell has events of the kind happen.
func (w *world) tell(tenant int32, k event.Kind, patient string) event.Event {
	w.t.Helper()
	w.lastID++
	e := event.Event{ID: w.lastID, Kind: k, Tenant: tenant, Time: w.clock.now(), Subject: patient, Patient: patient, Who: "User/3", Data: json.RawMessage(`{"id":"1"}`)}
	if err := w.s.Receive(access.With(context.Background(), access.System(tenant)), []event.Event{e}); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// last waits until the newest delivery of a webhook satisfies f, and returns it.
func (w *world) last(hook, what string, f func(a *answer) bool) *answer {
	w.t.Helper()
	var a *answer
	w.until(what, func() bool {
		a = w.do("admin", "GET", "/api/v1/webhooks/"+hook+"/deliveries", nil)
		return f(a)
	})
	return a
}

func status(s string) func(a *answer) bool {
	return func(a *answer) bool { return a.text("data.deliveries.0.status") == s }
}

// got is a request that a receiver was sent.
type got struct {
	header http.Header
	body   []byte
}

// receiver answers as it is told to, and keeps what it was sent.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	all    []got
	status int
	header http.Header
}

func newReceiver(t testing.TB, secure bool) *receiver {
	x := &receiver{status: 204, header: http.Header{}}
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.all = append(x.all, got{r.Header.Clone(), b})
		for k, v := range x.header {
			w.Header()[k] = v
		}
		w.WriteHeader(x.status)
		_, _ = io.WriteString(w, strings.Repeat("a secret of the receiver's ", 1000))
	})
	if secure {
		x.Server = httptest.NewTLSServer(serve)
	} else {
		x.Server = httptest.NewServer(serve)
	}
	t.Cleanup(x.Close)
	return x
}

func (x *receiver) answer(status int, header ...string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.status, x.header = status, http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		x.header.Set(header[i], header[i+1])
	}
}

func (x *receiver) requests() []got {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]got(nil), x.all...)
}
