package live_test

import (
	"bufio"
	"bytes"
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

	"github.com/coder/websocket"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/module/live"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// wait is how long a test waits for what must come.
const wait = 20 * time.Second

// visit is the data of the tests' own events: it has a name in it, which not everybody is to be told.
type visit struct {
	AppointmentID string `json:"appointmentId"`
	PatientID     string `json:"patientId"`
	Status        string `json:"status"`
	PatientName   string `json:"patientName"`
}

// appointments tells of Appointments as the calendar does: one that is cancelled is updated, too.
func appointments() event.Source {
	kind := func(name string) event.Kind {
		return event.Kind{Name: name, Topic: event.AppointmentEvents, Version: 1, Summary: "x", Data: visit{}}
	}
	return event.Source{
		Kinds: []event.Kind{kind("appointment.created"), kind("appointment.updated"), kind("appointment.cancelled"), kind("appointment.checked_in")},
		Types: []string{"Appointment"},
		Tell: func(c event.Change) []event.Fact {
			if c.New == nil {
				return nil
			}
			patient, staff := "", []string(nil)
			for _, p := range flat.Items(c.New.Get("participant")) {
				ref := flat.RefOf(p.Get("actor"))
				if strings.HasPrefix(ref, "Patient/") {
					patient = ref
				} else {
					staff = append(staff, ref)
				}
			}
			fact := func(kind string) event.Fact {
				return event.Fact{Kind: kind, Patient: patient, Staff: staff, Data: visit{c.Self(), c.Key(patient), c.New.Str("status"), "Amina"}}
			}
			switch {
			case c.Old == nil:
				return []event.Fact{fact("appointment.created")}
			case c.New.Str("status") == "cancelled":
				return []event.Fact{fact("appointment.cancelled"), fact("appointment.updated")}
			case c.New.Str("status") == "arrived":
				return []event.Fact{fact("appointment.checked_in")}
			}
			return []event.Fact{fact("appointment.updated")}
		},
	}
}

// person is who a token is.
type person struct {
	roles []string
	self  []string
	user  int64
}

type world struct {
	t        *testing.T
	store    *record.Store
	records  *flat.Records
	live     *live.Service
	base     string
	policies *access.Policies

	mu      sync.Mutex
	tokens  map[string]person
	looked  atomic.Int64
	dead    bool
	skipped atomic.Int64 // nanoseconds by which the service's clock is ahead
}

const origin = "https://app.example.org"

func newWorld(t *testing.T, store *record.Store, change func(*live.Options)) *world {
	t.Helper()
	w := &world{t: t, store: store, records: flat.New(store, nil, ""), tokens: map[string]person{}}
	var err error
	if w.policies, err = access.Compile(access.DefaultPolicies()); err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]person{
		"doctor": {[]string{"doctor"}, []string{"Practitioner/d1"}, 1}, "doctor2": {[]string{"doctor"}, nil, 2}, "nurse": {[]string{"nurse"}, nil, 3}, "receptionist": {[]string{"receptionist"}, nil, 4},
		"lab": {[]string{"lab_technician"}, nil, 5}, "pharmacist": {[]string{"pharmacist"}, nil, 6}, "admin": {[]string{"admin"}, nil, 7}, "super": {[]string{"super_admin"}, nil, 8},
		"amina": {[]string{"patient"}, []string{"Patient/amina"}, 9}, "bakri": {[]string{"patient"}, []string{"Patient/bakri"}, 10},
	} {
		w.tokens[name] = p
	}
	for _, text := range []string{`{"resourceType":"Patient","id":"amina"}`, `{"resourceType":"Patient","id":"bakri"}`, `{"resourceType":"Practitioner","id":"d1"}`,
		`{"resourceType":"Organization","id":"77","name":"x"}`} {
		w.put(text)
	}
	ctx, cancel := context.WithCancel(context.Background())
	hub, err := event.New(ctx, event.Options{Store: store, Sources: []event.Source{appointments(), live.Source()}, Poll: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := web.NewCSRF(bytes.Repeat([]byte{7}, 32), origin)
	if err != nil {
		t.Fatal(err)
	}
	o := live.Options{Hub: hub, Records: w.records, SameOrigin: guard.SameOrigin, Authenticate: w.authenticate, Check: 20 * time.Millisecond,
		Tenant: func(context.Context, *http.Request) (int32, error) { return 1, nil },
		Clock:  func() time.Time { return time.Now().Add(time.Duration(w.skipped.Load())) }}
	if change != nil {
		change(&o)
	}
	if w.live, err = live.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { hub.Run(ctx) })
	wg.Go(func() { w.live.Run(ctx) })
	h, err := api.New(w.live.Routes())
	if err != nil {
		t.Fatal(err)
	}
	edge, err := web.NewEdge(web.Options{CORS: web.CORS{Origins: []string{origin}}, Authenticate: func(ctx context.Context, r *http.Request) (access.Caller, error) {
		token := web.Bearer(r)
		if token == "" {
			return access.Anonymous(), nil
		}
		c, err := w.authenticate(ctx, live.Credential{Token: token})
		if err != nil && strings.HasPrefix(r.URL.Path, "/socket.io/") {
			return access.Anonymous(), nil
		}
		return c, err
	}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(edge.Wrap(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/socket.io/") {
			w.live.Handler().ServeHTTP(rw, r)
			return
		}
		h.ServeHTTP(rw, r)
	})))
	w.base = srv.URL
	t.Cleanup(func() { cancel(); wg.Wait(); srv.Close() })
	return w
}

func each(t *testing.T, change func(*live.Options), f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: event.Tables()}, func(t *testing.T, store *record.Store) {
		if err := store.Ledger().Migrate(context.Background(), event.Module, event.Migrations()); err != nil {
			t.Fatal(err)
		}
		f(t, newWorld(t, store, change))
	})
}

func (w *world) authenticate(_ context.Context, c live.Credential) (access.Caller, error) {
	w.looked.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return access.Caller{}, fault.New(fault.Unavailable, "no database")
	}
	token := c.Token
	if token == "" {
		token = c.Cookie
	}
	p, ok := w.tokens[token]
	if !ok {
		return access.Caller{}, fault.New(fault.Unauthenticated, "the credentials are not valid").WithCode("INVALID_TOKEN")
	}
	pr := access.Principal{Tenant: 1, User: p.user, Roles: p.roles, Self: p.self}
	for _, ref := range p.self {
		if strings.HasPrefix(ref, "Patient/") {
			pr.Patients = append(pr.Patients, ref)
		}
	}
	for _, known := range access.DefaultRoles() {
		for _, role := range p.roles {
			if known.Name == role {
				pr.Permissions = append(pr.Permissions, known.Permissions...)
			}
		}
	}
	g, err := w.policies.Grant(pr)
	return access.Caller{Tenant: 1, Who: fmt.Sprintf("User/%d", p.user), User: p.user, Roles: p.roles, Self: p.self, Purpose: "TREAT", Grant: g}, err
}

func (w *world) set(token string, p *person) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p == nil {
		delete(w.tokens, token)
		return
	}
	w.tokens[token] = *p
}

func (w *world) put(texts ...string) {
	w.t.Helper()
	var changes []record.Change
	for _, text := range texts {
		res, err := fhir.ParseResource([]byte(text))
		if err != nil {
			w.t.Fatalf("%v: %s", err, text)
		}
		changes = append(changes, record.Change{Op: record.Update, Type: res.Type(), ID: res.ID(), Resource: res})
	}
	if _, err := w.records.Write(access.With(context.Background(), access.System(1)), changes...); err != nil {
		w.t.Fatalf("%v: %v", err, texts)
	}
}

func appointment(id, status string, actors ...string) string {
	var list []string
	for _, a := range actors {
		list = append(list, fmt.Sprintf(`{"actor":{"reference":%q},"status":"accepted"}`, a))
	}
	return fmt.Sprintf(`{"resourceType":"Appointment","id":%q,"status":%q,"start":"2026-03-10T10:00:00+02:00","end":"2026-03-10T10:30:00+02:00","participant":[%s]}`, id, status, strings.Join(list, ","))
}

// socket is a client of Socket.IO by WebSocket, as far as the tests need one.
type socket struct {
	t   *testing.T
	ws  *websocket.Conn
	ids int
	in  chan string // what came, without Engine.IO's own packets
	end error
}

func (w *world) dial(token string, headers ...string) *socket {
	w.t.Helper()
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	ws, _, err := websocket.Dial(w.t.Context(), "ws"+strings.TrimPrefix(w.base, "http")+"/socket.io/?EIO=4&transport=websocket", &websocket.DialOptions{HTTPHeader: h})
	if err != nil {
		w.t.Fatal(err)
	}
	s := &socket{t: w.t, ws: ws, in: make(chan string, 1000)}
	w.t.Cleanup(func() { _ = ws.CloseNow() })
	go func() {
		defer close(s.in)
		for {
			_, b, err := ws.Read(context.Background())
			if err != nil {
				s.end = err
				return
			}
			switch b[0] {
			case '2':
				_ = ws.Write(context.Background(), websocket.MessageText, []byte("3"))
			case '4':
				s.in <- string(b[1:])
			}
		}
	}()
	auth := ""
	if token != "" {
		auth = fmt.Sprintf(`{"token":%q}`, token)
	}
	s.write("40" + auth)
	return s
}

func (s *socket) write(text string) {
	s.t.Helper()
	if err := s.ws.Write(s.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// next is the next packet; "" where the connection has ended.
func (s *socket) next() string {
	s.t.Helper()
	select {
	case text := <-s.in:
		return text
	case <-time.After(wait):
		s.t.Fatal("nothing came")
		return ""
	}
}

// connect dials, and expects to be let in.
func (w *world) connect(token string, headers ...string) *socket {
	w.t.Helper()
	s := w.dial(token, headers...)
	if got := s.next(); !strings.HasPrefix(got, `0{"sid":`) {
		w.t.Fatalf("%s: %s", token, got)
	}
	return s
}

// ask emits an event and returns the acknowledgement, passing over what comes before it.
func (s *socket) ask(name string, args ...any) map[string]any {
	s.t.Helper()
	s.ids++
	text, err := json.Marshal(append([]any{name}, args...))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(fmt.Sprintf("42%d%s", s.ids, text))
	for {
		got := s.next()
		if rest, ok := strings.CutPrefix(got, fmt.Sprintf("3%d", s.ids)); ok {
			var out []map[string]any
			if err := json.Unmarshal([]byte(rest), &out); err != nil || len(out) != 1 {
				s.t.Fatalf("%s: %v", rest, err)
			}
			return out[0]
		}
		if got == "" {
			s.t.Fatalf("%s: the connection has ended: %v", name, s.end)
		}
	}
}

// told is an event that came.
type told struct {
	name string
	data map[string]any
}

func (s *socket) event() told {
	s.t.Helper()
	text := s.next()
	var all []json.RawMessage
	var out told
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "2")), &all); err != nil || len(all) != 2 || json.Unmarshal(all[0], &out.name) != nil || json.Unmarshal(all[1], &out.data) != nil {
		s.t.Fatalf("%q is no event: %v", text, err)
	}
	return out
}

// names are the names of the next events.
func (s *socket) names(n int) string {
	s.t.Helper()
	var out []string
	for range n {
		out = append(out, s.event().name)
	}
	return strings.Join(out, " ")
}

// events is a client of Server-Sent Events.
type events struct {
	t      *testing.T
	res    *http.Response
	in     *bufio.Reader
	cancel context.CancelFunc
	last   string
}

func (w *world) stream(token, query, last string) *events {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/api/v1/events/stream"+query, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cancel(); _ = res.Body.Close() })
	return &events{t: w.t, res: res, in: bufio.NewReader(res.Body), cancel: cancel}
}

// next is the next event's name and data; "" where the stream has ended.
func (e *events) next() (name string, data map[string]any) {
	e.t.Helper()
	for {
		line, err := e.in.ReadString('\n')
		if err == io.EOF || err != nil {
			return "", nil
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			e.last = value
		case "event":
			name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				e.t.Fatal(err)
			}
			return name, data
		}
	}
}

func system() context.Context { return access.With(context.Background(), access.System(1)) }

// handshake begins a connection by polling and returns its name.
func handshake(t *testing.T, r *http.Request) string {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var open struct{ SID string }
	if err := json.Unmarshal(bytes.TrimPrefix(b, []byte("0")), &open); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return open.SID
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
