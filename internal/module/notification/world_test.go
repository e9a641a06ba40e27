package notification_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/notification"
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

// The users of the tests.
const (
	admin = int64(101) + iota
	doctor
	nurse
	mother // of a patient: the account of patient/2
)

var roleOf = map[int64]string{admin: "admin", doctor: "doctor", nurse: "nurse", mother: "patient"}

// people are the users.
type people struct {
	mu       sync.Mutex
	contacts map[int64]notification.Contact
	persons  map[string]int64
}

func (p *people) Contact(_ context.Context, tenant int32, user int64) (notification.Contact, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.contacts[user]
	if !ok || tenant != 1 {
		return c, fault.New(fault.NotFound, "no such user")
	}
	return c, nil
}

func (p *people) UserOf(_ context.Context, _ int32, patient string) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.persons[patient], nil
}

// post is a carrier that keeps what it is given, and fails as it is told to.
type post struct {
	mu    sync.Mutex
	got   []string
	err   error
	tries int
}

func (p *post) Send(_ context.Context, to, title, body string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.err != nil {
		return p.err
	}
	p.got = append(p.got, to+"|"+title+"|"+body)
	return nil
}

func (p *post) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *post) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func (p *post) tried() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries
}

type world struct {
	t       testing.TB
	store   *record.Store
	records *flat.Records
	s       *notification.Service
	jobs    *job.Runner
	people  *people
	mail    *post
	sms     *post
	clock   *hand
	base    string
}

// each runs f on both engines, with carriers, or without.
func each(t *testing.T, carriers bool, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: append(job.Tables(), notification.Tables()...)}, func(t *testing.T, store *record.Store) {
		ctx := context.Background()
		l := store.Ledger()
		for name, files := range map[string]func() error{"job": func() error { return l.Migrate(ctx, job.Module, job.Migrations()) },
			"notification": func() error { return l.Migrate(ctx, notification.Module, notification.Migrations()) }} {
			if err := files(); err != nil {
				t.Fatal(name, err)
			}
		}
		w := &world{t: t, store: store, clock: &hand{}, mail: &post{}, sms: &post{}, people: &people{persons: map[string]int64{}, contacts: map[int64]notification.Contact{
			admin:  {Active: true, Email: "admin@example.org"},
			doctor: {Active: true, Email: "doctor@example.org", Phone: "0912345678", Language: "ar-SD"},
			nurse:  {Active: false, Email: "nurse@example.org"},
			mother: {Active: true, Email: "mother@example.org", Language: "en"},
		}}}
		w.clock.micros.Store(time.Now().UnixMicro())
		w.records = flat.New(store, w.clock.now, "")
		w.s, w.jobs = w.service(carriers)
		w.run(w.jobs.Run)
		w.base = w.serve()
		f(t, w)
	})
}

// service is another process' service on the same record.
func (w *world) service(carriers bool) (*notification.Service, *job.Runner) {
	w.t.Helper()
	one := func(context.Context) ([]int32, error) { return []int32{1}, nil }
	quiet := slog.New(slog.DiscardHandler)
	jobs := job.New(job.Options{Log: quiet, Ledger: w.store.Ledger(), Tenants: one, Clock: w.clock.now, Poll: 5 * time.Millisecond})
	o := notification.Options{Log: quiet, Records: w.records, Ledger: w.store.Ledger(), Jobs: jobs, People: w.people, Clock: w.clock.now, Tenants: one, Poll: 5 * time.Millisecond}
	if carriers {
		o.Mail, o.SMS = w.mail, w.sms
	}
	s, err := notification.New(context.Background(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return s, jobs
}

// run runs something until the test ends.
func (w *world) run(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

func caller(user int64) access.Caller {
	c := access.Caller{Tenant: 1, User: user, Who: fmt.Sprint("User/", user), Roles: []string{roleOf[user]}}
	p := access.Principal{Tenant: 1, User: user, Roles: c.Roles}
	for _, r := range access.DefaultRoles() {
		if r.Name == roleOf[user] {
			p.Permissions = r.Permissions
		}
	}
	if user == mother {
		p.Self, p.Patients = []string{"Patient/2"}, []string{"Patient/2"}
	}
	var err error
	if c.Grant, err = policies.Grant(p); err != nil {
		panic(err)
	}
	return c
}

var policies = func() *access.Policies {
	p, err := access.Compile(access.DefaultPolicies())
	if err != nil {
		panic(err)
	}
	return p
}()

// serve serves the routes behind a real edge; the bearer token is the user's number.
func (w *world) serve() string {
	w.t.Helper()
	h, err := api.New(w.s.Routes())
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := web.NewEdge(web.Options{Authenticate: func(ctx context.Context, r *http.Request) (access.Caller, error) {
		c := access.From(ctx)
		var user int64
		if _, err := fmt.Sscan(web.Bearer(r), &user); err != nil {
			return access.Anonymous(), nil //nolint:nilerr // nobody is signed in
		}
		known := caller(user)
		known.RequestID, known.Address = c.RequestID, c.Address
		return known, nil
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

// at walks into the answer: "data.notifications.0.title".
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

func (w *world) do(user int64, method, path string, body any) *answer {
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
	if user != 0 {
		r.Header.Set("Authorization", fmt.Sprint("Bearer ", user))
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
func (w *world) want(status int, user int64, method, path string, body any) *answer {
	w.t.Helper()
	a := w.do(user, method, path, body)
	if a.status != status {
		w.t.Errorf("%s %s: %d, want %d: %s", method, path, a.status, status, a.raw)
	}
	return a
}

// until waits for something that comes by itself.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

// becomes waits until the message has the status, and returns it.
func (w *world) becomes(user int64, id, status string) *answer {
	w.t.Helper()
	var a *answer
	w.until(id+" becomes "+status, func() bool {
		a = w.do(user, "GET", "/api/v1/notifications/"+id, nil)
		return a.text("data.status") == status
	})
	return a
}

// patient writes a patient.
func (w *world) patient(id, text string) {
	w.t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.Write(access.With(context.Background(), access.System(1)), []record.Change{{Op: record.Update, Type: "Patient", ID: id, Resource: r}}); err != nil {
		w.t.Fatal(err)
	}
}

// put prepares and puts a message as a module does.
func (w *world) put(msg notification.Message) notification.Prepared {
	w.t.Helper()
	ctx := access.With(context.Background(), access.System(1))
	p, err := w.s.Prepare(ctx, 1, msg)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error { return w.s.Put(ctx, tx, 1, p) }); err != nil {
		w.t.Fatal(err)
	}
	return p
}
