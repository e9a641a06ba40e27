package events

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

const root = "/api/v1/events"

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	manage, read := api.Permission(Manage), api.Permission(Read)
	limit := api.Param{Name: "limit", Type: api.Whole, Least: 1, Most: api.MaxLimit, Help: "entries of a page; 20 where it is not said"}
	states := []string{string(event.Dead), string(event.Again), string(event.Handled), string(event.Discarded), string(event.Lost)}
	return []api.Route{
		{Method: http.MethodGet, Path: root, Need: read, Summary: "Events from a point on, oldest first, as CloudEvents", Out: eventList{}, Serve: s.serveLog, Params: []api.Param{
			{Name: "after", Help: "the place that the last page gave as next, or a time; the beginning where it is not said"},
			{Name: "topic", Help: "only those of a topic, such as appointment-events"},
			{Name: "type", Help: "only those of a kind: appointment.created, or nilecare.appointment.created.v1"}, limit}},
		{Method: http.MethodGet, Path: root + "/kinds", Need: api.Known(), Summary: "The kinds of events, their topics and schemas", Out: kindList{}, Serve: s.serveKinds, Params: []api.Param{}},
		{Method: http.MethodGet, Path: root + "/schemas/{name}/{version}", Need: api.Known(), Summary: "The JSON Schema of a kind's data, in its present version or an older one", Bare: true, Out: map[string]string{}, Serve: s.serveSchema},
		{Method: http.MethodGet, Path: root + "/readers", Need: manage, Summary: "The readers of events, how far behind they are, and what holds them up", Out: readerList{}, Serve: s.serveReaders, Params: []api.Param{}},
		{Method: http.MethodPost, Path: root + "/readers/{name}/replay", Need: manage, Summary: "Have a reader handle everything from a point on again", In: replayBody{}, Out: replayed{}, Serve: s.serveReplay},
		{Method: http.MethodGet, Path: root + "/dead-letters", Need: manage, Summary: "Events that a reader could not handle, oldest first", Out: letterList{}, Serve: s.serveLetters, Params: []api.Param{
			{Name: "reader", Help: "only those of a reader"}, {Name: "state", Enum: states, Help: "only those in a state; dead and again where it is not said"},
			{Name: "after", Type: api.Whole, Help: "the last id of the page before"}, limit}},
		{Method: http.MethodGet, Path: root + "/dead-letters/{id}", Need: manage, Summary: "A dead letter; with its events for those who may read events", Out: letterAnswer{}, Serve: s.serveLetter, Params: []api.Param{}},
		{Method: http.MethodPost, Path: root + "/dead-letters/{id}/replay", Need: manage, Summary: "Have a dead letter handled again", Out: counted{}, Serve: s.one(event.Again)},
		{Method: http.MethodPost, Path: root + "/dead-letters/{id}/discard", Need: manage, Summary: "Give a dead letter up", Out: counted{}, Serve: s.one(event.Discarded)},
		{Method: http.MethodPost, Path: root + "/dead-letters/replay", Need: manage, Summary: "Have all dead letters handled again, or those of a reader", In: lettersBody{}, Out: counted{}, Serve: s.all(event.Again)},
		{Method: http.MethodPost, Path: root + "/dead-letters/discard", Need: manage, Summary: "Give all dead letters up, or those of a reader", In: lettersBody{}, Out: counted{}, Serve: s.all(event.Discarded)},
	}
}

type eventList struct {
	Events []event.CloudEvent `json:"events"`
	Next   string             `json:"next"` // the place to go on from
	More   bool               `json:"more"` // there may be something behind it
}

type kindJSON struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Topic   string `json:"topic"`
	Version int    `json:"version"`
	Summary string `json:"summary"`
	Schema  string `json:"schema"`
}

type kindList struct {
	Kinds []kindJSON `json:"kinds"`
}

type readerJSON struct {
	Name         string `json:"name"`
	Position     string `json:"position"`
	Behind       int    `json:"behind"` // changes; 100000: that many or more
	Read         bool   `json:"read"`   // a process reads for it
	Here         bool   `json:"here"`   // this process has such a reader
	Tries        int    `json:"tries"`  // of the event that it stands at, in vain
	FailingSince string `json:"failingSince,omitempty"`
	Problem      string `json:"problem,omitempty"`
	DeadLetters  int    `json:"deadLetters"`
	UpdatedAt    string `json:"updatedAt"`
}

type readerList struct {
	Readers []readerJSON `json:"readers"`
	Last    string       `json:"last"` // the newest change
}

type replayBody struct {
	From json.RawMessage `json:"from"`
}

type replayed struct {
	Reader string `json:"reader"`
	From   string `json:"from"`
}

type letterJSON struct {
	ID        string `json:"id"`
	Reader    string `json:"reader"`
	EventID   string `json:"eventId"`
	Part      int    `json:"part"` // which of the change's facts; -1: none could be told
	Kind      string `json:"kind"`
	Version   int    `json:"version"`
	Subject   string `json:"subject"`
	Time      string `json:"time"`
	Tries     int    `json:"tries"`
	Problem   string `json:"problem"`
	State     string `json:"state"`
	CreatedAt string `json:"createdAt"`
	UpdatedAt string `json:"updatedAt"`
	UpdatedBy string `json:"updatedBy"`
}

type letterList struct {
	DeadLetters []letterJSON `json:"deadLetters"`
	Next        string       `json:"next"` // as after, for the next page; "": this is the last
}

type letterAnswer struct {
	letterJSON
	DeadLetter letterJSON         `json:"deadLetter"`
	Events     []event.CloudEvent `json:"events"` // null: the caller may not read events; empty: the change cannot be read any more
}

type lettersBody struct {
	Reader string `json:"reader"`
}

type counted struct {
	Count int `json:"count"`
}

const timeForm = "2006-01-02T15:04:05.000Z"

func text(n int64) string { return strconv.FormatInt(n, 10) }

func cloud(events []event.Event) []event.CloudEvent {
	out := make([]event.CloudEvent, len(events))
	for i := range events {
		out[i] = events[i].CloudEvent()
	}
	return out
}

// limitOf reads the limit, which the frame has looked at.
func limitOf(r *http.Request) (int, error) {
	_, limit, err := api.PageOf(r)
	return limit, err
}

// point reads a place in the log: a number, or a time.
func (s *Service) point(r *http.Request, field, v string) (after int64, since time.Time, err error) {
	if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
		return n, since, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return 0, since, fault.At(fault.Invalid, field, "must be a place that was given before, or a time such as 2026-01-31T10:00:00Z")
	}
	after, err = s.hub.At(r.Context(), t)
	return after, t, err
}

func (s *Service) serveLog(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := event.Filter{Topic: q.Get("topic"), Kind: q.Get("type")}
	if err := s.known(f); err != nil {
		return err
	}
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	var after int64
	if v := q.Get("after"); v != "" {
		if after, f.From, err = s.point(r, "after", v); err != nil {
			return err
		}
	}
	events, next, more, err := s.hub.Log(r.Context(), after, f, limit)
	if err != nil {
		return err
	}
	if err := s.shown(r.Context(), "events-read", events); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, eventList{cloud(events), text(next), more})
}

// known refuses a topic or kind that nobody tells of.
func (s *Service) known(f event.Filter) error {
	topic, kind := f.Topic == "", f.Kind == ""
	for _, k := range s.hub.Kinds() {
		e := event.Event{Kind: k}
		topic = topic || k.Topic == f.Topic
		kind = kind || k.Name == f.Kind || e.Type() == f.Kind
	}
	if !topic {
		return fault.At(fault.Invalid, "topic", "there is no such topic: %s/kinds names them", root)
	}
	if !kind {
		return fault.At(fault.Invalid, "type", "there is no such kind of event: %s/kinds names them", root)
	}
	return nil
}

func (s *Service) serveKinds(w http.ResponseWriter, r *http.Request) error {
	out := kindList{}
	for _, k := range s.hub.Kinds() {
		e := event.Event{Kind: k}
		out.Kinds = append(out.Kinds, kindJSON{k.Name, e.Type(), k.Topic, k.Version, k.Summary, fmt.Sprintf("%s/schemas/%s/%d", root, k.Name, k.Version)})
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) serveSchema(w http.ResponseWriter, r *http.Request) error {
	version, err := strconv.Atoi(r.PathValue("version"))
	if err != nil {
		version = 0
	}
	schema, err := s.hub.Schema(r.PathValue("name"), version)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/schema+json")
	w.Header().Set("Cache-Control", "private, max-age=3600")
	_, err = w.Write(schema)
	return err
}

func (s *Service) serveReaders(w http.ResponseWriter, r *http.Request) error {
	found, last, err := s.hub.Readers(r.Context())
	if err != nil {
		return err
	}
	out := readerList{Last: text(last)}
	for _, x := range found {
		one := readerJSON{Name: x.Name, Position: text(x.Position), Behind: x.Behind, Read: x.Read, Here: x.Known, Tries: x.Tries, Problem: x.Problem, DeadLetters: x.Letters, UpdatedAt: x.Changed.Format(timeForm)}
		if !x.Failing.IsZero() {
			one.FailingSince = x.Failing.Format(timeForm)
		}
		out.Readers = append(out.Readers, one)
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) serveReplay(w http.ResponseWriter, r *http.Request) error {
	var in replayBody
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	var from string
	if err := json.Unmarshal(in.From, &from); err != nil {
		from = string(in.From) // a number
	}
	if from == "" || from == "null" {
		return fault.At(fault.Invalid, "from", "is missing: 0 is the beginning").WithCode("required")
	}
	after, _, err := s.point(r, "from", from)
	if err != nil {
		return err
	}
	name := r.PathValue("name")
	if err := s.hub.Rewind(r.Context(), name, after); err != nil {
		return err
	}
	s.acted(r.Context(), "events-replay", fmt.Sprintf("reader %s from %d", name, after), 0)
	return api.Answer(w, r, http.StatusAccepted, replayed{name, text(after)})
}

func jsonOf(l *event.Letter) letterJSON {
	return letterJSON{ID: text(l.ID), Reader: l.Reader, EventID: text(l.Event), Part: l.Part, Kind: l.Kind, Version: l.Version, Subject: l.Subject, Time: l.Happened.Format(timeForm), Tries: l.Tries,
		Problem: l.Problem, State: string(l.State), CreatedAt: l.Made.Format(timeForm), UpdatedAt: l.Changed.Format(timeForm), UpdatedBy: l.By}
}

func (s *Service) serveLetters(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit, err := limitOf(r)
	if err != nil {
		return err
	}
	ask := event.LetterQuery{Reader: q.Get("reader"), State: event.LetterState(q.Get("state")), Limit: limit + 1}
	if v := q.Get("after"); v != "" {
		if ask.After, err = strconv.ParseInt(v, 10, 64); err != nil {
			return fault.At(fault.Invalid, "after", "must be the id of a dead letter")
		}
	}
	found, err := s.hub.Letters(r.Context(), ask)
	if err != nil {
		return err
	}
	out := letterList{DeadLetters: []letterJSON{}}
	if len(found) > limit {
		found = found[:limit]
		out.Next = text(found[limit-1].ID)
	}
	for i := range found {
		out.DeadLetters = append(out.DeadLetters, jsonOf(&found[i]))
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func letterID(r *http.Request) (int64, error) {
	n, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || n <= 0 {
		return 0, fault.New(fault.NotFound, "there is no dead letter with this id")
	}
	return n, nil
}

func (s *Service) serveLetter(w http.ResponseWriter, r *http.Request) error {
	id, err := letterID(r)
	if err != nil {
		return err
	}
	l, events, err := s.hub.Letter(r.Context(), id)
	if err != nil {
		return err
	}
	out := letterAnswer{letterJSON: jsonOf(&l), DeadLetter: jsonOf(&l)}
	if c := access.From(r.Context()); c.Permits(Read) {
		out.Events = cloud(events)
		if err := s.shown(r.Context(), "dead-letter-read", events); err != nil {
			return err
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// one has a letter handled again, or gives it up.
func (s *Service) one(to event.LetterState) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := letterID(r)
		if err != nil {
			return err
		}
		l, _, err := s.hub.Letter(r.Context(), id)
		if err != nil {
			return err
		}
		n, err := s.set(r, event.LetterQuery{ID: id}, to)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "the letter is at an end: it is %s", l.State)
		}
		if err != nil {
			return err
		}
		return api.Answer(w, r, http.StatusAccepted, counted{n})
	}
}

// all has all letters handled again, or gives them up.
func (s *Service) all(to event.LetterState) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in lettersBody
		if r.ContentLength != 0 {
			if err := api.Decode(r, &in); err != nil {
				return err
			}
		}
		n, err := s.set(r, event.LetterQuery{Reader: in.Reader}, to)
		if err != nil {
			return err
		}
		return api.Answer(w, r, http.StatusAccepted, counted{n})
	}
}

func (s *Service) set(r *http.Request, q event.LetterQuery, to event.LetterState) (n int, err error) {
	action := "dead-letters-replay"
	if to == event.Again {
		n, err = s.hub.HandleAgain(r.Context(), q)
	} else {
		action = "dead-letters-discard"
		n, err = s.hub.Discard(r.Context(), q)
	}
	if err == nil && n > 0 {
		detail := "reader " + q.Reader
		if q.ID != 0 {
			detail = "letter " + text(q.ID)
		}
		s.acted(r.Context(), action, detail, n)
	}
	return n, err
}
