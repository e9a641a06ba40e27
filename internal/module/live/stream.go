package live

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
)

// The bounds of a stream.
const (
	streamQueue = 512    // messages that wait for a client
	maxReplay   = 20_000 // events that are looked through for a client that comes back
	replayPage  = 200
)

// stream is a client of Server-Sent Events.
type stream struct {
	*client
	queue chan *message
	over  chan struct{}
	once  sync.Once
	why   string
	code  string
}

func newStream(caller *access.Caller, cred *Credential) *stream {
	st := &stream{client: &client{tenant: caller.Tenant, cred: cred}, queue: make(chan *message, streamQueue), over: make(chan struct{})}
	st.caller.Store(caller)
	st.deliver = func(m *message) {
		select {
		case st.queue <- m:
		default: // it comes back, and says what it has seen
			st.end("the client is too slow", "RATE_LIMIT_EXCEEDED")
		}
	}
	st.end = func(why, code string) {
		st.once.Do(func() {
			st.why, st.code = why, code
			close(st.over)
		})
	}
	return st
}

// position is where a client has come to: the change, and how many of its facts it has seen.
type position struct {
	id   int64
	part int
}

func readPosition(text string) (position, error) {
	id, part, _ := strings.Cut(text, "-")
	n, err := strconv.ParseInt(id, 10, 64)
	p, err2 := strconv.Atoi(part)
	if err != nil || err2 != nil || n < 0 || p < 0 {
		return position{}, fault.At(fault.Invalid, "Last-Event-ID", "is none that this stream gave").WithCode("value")
	}
	return position{n, p}, nil
}

func (p position) behind(id int64, part int) bool { return id < p.id || id == p.id && part <= p.part }

// roomsOf are the rooms that a request asks for.
func roomsOf(r *http.Request) []string {
	var out []string
	for _, list := range r.URL.Query()["rooms"] {
		for room := range strings.SplitSeq(list, ",") {
			if room = strings.TrimSpace(room); room != "" {
				out = append(out, room)
			}
		}
	}
	return out
}

// serveStream answers GET /api/v1/events/stream. The stream ends with the request's time limit; the client comes back with Last-Event-ID, and is told what was
// committed meanwhile, as far as it is kept.
func (s *Service) serveStream(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	caller := access.From(ctx)
	said := r.Header.Get("Last-Event-ID")
	if said == "" {
		said = r.URL.Query().Get("lastEventId")
	}
	var from position
	if said != "" {
		var err error
		if from, err = readPosition(said); err != nil {
			return err
		}
	}
	cred, err := s.credential(r, json.RawMessage("null"))
	if err != nil {
		return err
	}
	st := newStream(&caller, cred)
	if err := s.add(st.client); err != nil {
		return err
	}
	defer s.remove(st.client)
	for _, room := range roomsOf(r) {
		if _, err := s.join(ctx, st.client, room); err != nil {
			if fault.Is(err, fault.Forbidden) || fault.Is(err, fault.NotFound) {
				return fault.At(fault.KindOf(err), "rooms", "%s: %s", room, err.Error())
			}
			return err
		}
	}
	begin := from
	if said == "" {
		// Where nothing happens the client has a place to come back to all the same.
		if begin.id, err = s.Records.Store.LastChange(ctx); err != nil {
			return err
		}
		begin.part = math.MaxInt32
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy in between is not to hold it back
	out := &sse{w: w, flush: http.NewResponseController(w).Flush}
	if err := out.say(fmt.Sprintf("retry: 2000\nid: %d-%d\n\n", begin.id, begin.part)); err != nil {
		return nil //nolint:nilerr // the client has gone
	}
	if said != "" {
		if from, err = s.replay(ctx, st, from, out); err != nil {
			if ctx.Err() == nil {
				s.Log.Error("live: telling again", "request_id", caller.RequestID, "error", err.Error())
			}
			return nil // the answer has begun: the client comes back
		}
	}
	s.follow(ctx, st, from, out)
	return nil
}

// sse writes Server-Sent Events.
type sse struct {
	w     io.Writer
	flush func() error
}

func (o *sse) say(text string) error {
	if _, err := io.WriteString(o.w, text); err != nil {
		return err
	}
	return o.flush()
}

func (o *sse) tell(m *message) error {
	var b bytes.Buffer
	if m.id != "" {
		fmt.Fprintf(&b, "id: %s\n", m.id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", m.name, m.data) // JSON in one line
	return o.say(b.String())
}

// follow tells what happens until the request or the client's right to it ends.
func (s *Service) follow(ctx context.Context, st *stream, from position, out *sse) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-st.over:
			text, _ := json.Marshal(map[string]string{"message": st.why, "code": st.code}) // texts can always be said
			_ = out.tell(&message{name: "session:ended", data: text})
			return
		case <-tick.C:
			err = out.say(": alive\n\n")
		case m := <-st.queue:
			if m.id != "" && from.id > 0 {
				if at, e := readPosition(m.id); e == nil && from.behind(at.id, at.part) {
					continue // it was told again already
				}
			}
			err = out.tell(m)
		}
		if err != nil {
			return
		}
	}
}

// replay tells a client that comes back what it has missed, and returns where that ends.
func (s *Service) replay(ctx context.Context, st *stream, from position, out *sse) (position, error) {
	after, looked := from.id-1, 0
	at := from
	var last lastChange
	for {
		events, next, more, err := s.Hub.Log(system(ctx, st.tenant), after, event.Filter{}, replayPage)
		if err != nil {
			return at, err
		}
		for i := range events {
			e := &events[i]
			names := last.names(e)
			if from.behind(e.ID, e.Part) {
				continue
			}
			if err := s.again(e, names, st.client, out); err != nil {
				return at, err
			}
			at = position{e.ID, e.Part}
		}
		if looked += len(events); looked >= maxReplay && more {
			text := `{"message":"too much has happened meanwhile: read anew what you show"}`
			if err := out.tell(&message{name: "stream:reset", data: []byte(text)}); err != nil {
				return at, err
			}
			return at, nil
		}
		if !more {
			return at, nil
		}
		after = next
	}
}

// again tells one client an event, where it is among those who are told.
func (s *Service) again(e *event.Event, names []string, c *client, out *sse) error {
	s.mu.RLock()
	t := s.targets(e)
	s.mu.RUnlock()
	s.shown(e, &t, c)
	_, whole := t.whole[c]
	_, brief := t.brief[c]
	if !whole && !brief {
		return nil
	}
	data := []byte(e.Data)
	if e.Kind.Name == vitalsKind {
		var v VitalSigns
		if err := json.Unmarshal(e.Data, &v); err != nil {
			return err
		}
		data, _ = json.Marshal(readingOf(&v, []string{v.ObservationID})) // texts and finite numbers
		names = vitalsNames(&v)
	}
	full, short := payloads(e, data)
	if !whole {
		full = short
	}
	for _, name := range names {
		if err := out.tell(&message{name: name, data: full, id: idOf(e)}); err != nil {
			return err
		}
	}
	return nil
}
