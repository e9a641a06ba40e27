package scheduling_test

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
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// hand is a clock that tests move. It begins on Wednesday 25 November 2026, 06:00 in Khartoum.
type hand struct{ micros atomic.Int64 }

func (h *hand) now() time.Time      { return time.UnixMicro(h.micros.Load()).UTC() }
func (h *hand) add(d time.Duration) { h.micros.Add(d.Microseconds()) }

func newHand() *hand {
	h := &hand{}
	h.micros.Store(time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC).UnixMicro())
	return h
}

// sunday is the first working day after the clock's beginning.
const sunday = "2026-11-29"

type world struct {
	t     testing.TB
	store *record.Store
	s     *scheduling.Service
	clock *hand
	base  string
	roles map[string]access.Role
	rules *access.Policies

	mu     sync.Mutex
	users  []string // tokens, by the numbers of their users
	closed string   // the token whose account is closed
}

// options are a store's, with the module's rules and tables.
func options(h *hand) record.Options {
	return record.Options{Clock: h.now, Tables: append(scheduling.Tables(), job.Tables()...)}
}

// newWorld opens the module on a store, behind a real edge.
func newWorld(t testing.TB, store *record.Store, h *hand) *world {
	t.Helper()
	ctx := context.Background()
	l := store.Ledger()
	for _, err := range []error{l.Migrate(ctx, job.Module, job.Migrations()), l.Migrate(ctx, scheduling.Module, scheduling.Migrations())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	store.GovernSets(scheduling.Types(), scheduling.SetRule(l))
	w := &world{t: t, store: store, clock: h, roles: map[string]access.Role{}}
	for _, r := range access.DefaultRoles() {
		w.roles[r.Name] = r
	}
	var err error
	if w.rules, err = access.Compile(access.DefaultPolicies()); err != nil {
		t.Fatal(err)
	}
	if w.s, err = scheduling.New(ctx, scheduling.Options{Records: flat.New(store, h.now, ""), Ledger: l, Maker: w.maker}); err != nil {
		t.Fatal(err)
	}
	routes, err := api.New(w.s.Routes())
	if err != nil {
		t.Fatal(err)
	}
	edge, err := web.NewEdge(web.Options{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Authenticate: func(_ context.Context, r *http.Request) (access.Caller, error) { return w.caller(web.Bearer(r)), nil }})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(edge.Wrap(routes))
	t.Cleanup(srv.Close)
	w.base = srv.URL
	return w
}

func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	h := newHand()
	storetest.Each(t, options(h), func(t *testing.T, store *record.Store) { f(t, newWorld(t, store, newHandOf(h))) })
}

// newHandOf puts a clock back to its beginning for the next engine.
func newHandOf(h *hand) *hand {
	h.micros.Store(newHand().micros.Load())
	return h
}

// caller is who a test's token names: "receptionist", or "patient Patient/12", "doctor Practitioner/1".
func (w *world) caller(token string) access.Caller {
	name, self, _ := strings.Cut(token, " ")
	r, ok := w.roles[name]
	if !ok {
		return access.Anonymous()
	}
	user := w.numberOf(token)
	p := access.Principal{Tenant: 1, User: user, Kind: "user", Roles: []string{name}, Permissions: r.Permissions}
	if self != "" {
		p.Self = []string{self}
		if strings.HasPrefix(self, "Patient/") {
			p.Patients = p.Self
		} else {
			p.Practitioner = self
		}
	}
	grant, err := w.rules.Grant(p)
	if err != nil {
		w.t.Error(err)
	}
	return access.Caller{Tenant: 1, Who: fmt.Sprintf("User/%d", user), User: user, Roles: p.Roles, Self: p.Self, Purpose: "TREAT", Grant: grant}
}

// numberOf is the number of the user whom a token names: 7 and on.
func (w *world) numberOf(token string) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := slices.Index(w.users, token)
	if at < 0 {
		at = len(w.users)
		w.users = append(w.users, token)
	}
	return int64(at) + 7
}

// maker is who a user is today.
func (w *world) maker(_ context.Context, _ int32, user int64) (access.Caller, error) {
	w.mu.Lock()
	token := w.users[user-7]
	closed := w.closed == token
	w.mu.Unlock()
	if closed {
		return access.Caller{}, fault.New(fault.Unauthenticated, "the account is closed")
	}
	return w.caller(token), nil
}

// as is the context of a caller.
func (w *world) as(token string) context.Context {
	return access.With(context.Background(), w.caller(token))
}

func system() context.Context { return access.With(context.Background(), access.System(1)) }

type m = map[string]any
type list = []any

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	body   m
}

// at reads a member by its path: "data.appointment.id", "data.days.0.date".
func (a *answer) at(path string) any {
	var v any = a.body
	for _, name := range strings.Split(path, ".") {
		switch now := v.(type) {
		case m:
			v = now[name]
		case list:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(now) {
				return nil
			}
			v = now[i]
		default:
			return nil
		}
	}
	return v
}

func (a *answer) text(path string) string {
	s, _ := a.at(path).(string)
	return s
}

func (a *answer) number(path string) int {
	n, _ := a.at(path).(float64)
	return int(n)
}

func (a *answer) strings(path string) []string {
	var out []string
	l, _ := a.at(path).(list)
	for _, v := range l {
		s, _ := v.(string)
		out = append(out, s)
	}
	return out
}

func (w *world) do(method, path, token string, body any, headers ...string) *answer {
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
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := &answer{status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		w.t.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.body)
	return a
}

// want fails where an answer has another status, and returns the answer.
func (w *world) want(status int, a *answer) *answer {
	w.t.Helper()
	if a.status != status {
		w.t.Fatalf("%d, want %d: %s", a.status, status, a.raw)
	}
	return a
}

// put writes a resource as the program and returns its FHIR id.
func (w *world) put(text string) string {
	w.t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	c := record.Change{Op: record.Create, Type: r.Type(), Resource: r}
	if id := r.ID(); id != "" {
		c.Op, c.ID = record.Update, id
	}
	out, err := w.store.Write(system(), []record.Change{c})
	if err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	return out[0].Version.ID
}

// provider makes a practitioner, patient a patient; both return their ids.
func (w *world) provider(family string) string {
	return w.put(`{"resourceType":"Practitioner","name":[{"family":"` + family + `","given":["Amal"]}]}`)
}

func (w *world) patient(family string) string {
	return w.put(`{"resourceType":"Patient","name":[{"family":"` + family + `","given":["Omer"]}],"telecom":[{"system":"phone","value":"+249912345678"}]}`)
}

// booking is a body that books half an hour.
func booking(patient, provider, date, at string) m {
	return m{"patientId": patient, "providerId": provider, "appointmentDate": date, "appointmentTime": at, "duration": 30, "reason": "a cough for a week"}
}

// book books as the receptionist and returns the appointment's id.
func (w *world) book(patient, provider, date, at string) string {
	w.t.Helper()
	return w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", booking(patient, provider, date, at))).text("data.appointment.id")
}

// free are the free times of a day, for half an hour.
func (w *world) free(provider, date string) []string {
	w.t.Helper()
	return w.want(200, w.do("GET", "/api/v1/schedules/available-slots?providerId="+provider+"&date="+date+"&duration=30", "receptionist", nil)).strings("data.availableSlots")
}

// fhirAppointment is a booked Appointment as a FHIR client writes it.
func fhirAppointment(patient, provider, start, end, status string) string {
	return fmt.Sprintf(`{"resourceType":"Appointment","status":%q,"start":%q,"end":%q,"participant":[{"actor":{"reference":"Patient/%s"},"status":"accepted"},{"actor":{"reference":"Practitioner/%s"},"status":"accepted"}]}`,
		status, start, end, patient, provider)
}

// write writes a FHIR resource as a caller, as an entry of a transaction would.
func (w *world) write(token, text string, more ...record.Change) (*record.Version, error) {
	w.t.Helper()
	r, err := fhir.ParseResource([]byte(text))
	if err != nil {
		w.t.Fatalf("%v: %s", err, text)
	}
	c := record.Change{Op: record.Create, Type: r.Type(), Resource: r, FullURL: "urn:uuid:5b1f7a8e-0000-4000-8000-000000000001"}
	if id := r.ID(); id != "" {
		c.Op, c.ID = record.Update, id
	}
	ctx := system()
	if token != "" {
		ctx = w.as(token)
	}
	out, err := w.store.Write(ctx, append([]record.Change{c}, more...))
	if err != nil {
		return nil, flat.Plain(err)
	}
	return out[0].Version, nil
}

// refused fails where an error is not a Conflict.
func refused(t testing.TB, err error) *fault.Error {
	t.Helper()
	if !fault.Is(err, fault.Conflict) {
		t.Fatalf("not a conflict: %v", err)
	}
	e, _ := err.(*fault.Error)
	return e
}

func decimal(n int64) string { return fmt.Sprint(n) }
