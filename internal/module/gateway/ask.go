package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web"
)

// The bounds of one part of an answer.
const (
	partTime  = 10 * time.Second
	partBytes = 16 << 20
)

// forwarded are the headers that say who asks, for which tenant and purpose, and in what connection: they go along with each part.
var forwarded = [...]string{"Authorization", "Cookie", "X-Api-Key", "X-Service-Api-Key", "X-Tenant-Id", "X-Purpose-Of-Use", "Accept-Language", "Traceparent", "Tracestate"}

// part is what a service answered.
type part struct {
	data       map[string]any // of the envelope; numbers are json.Number
	pagination json.RawMessage
	raw        json.RawMessage // data, as it came
	err        error           // a fault.Error
}

// ask asks a service for a path with its query, as the caller of r.
func (s *Service) ask(r *http.Request, path string, query url.Values) *part {
	ctx, cancel := context.WithTimeout(r.Context(), partTime)
	defer cancel()
	u := url.URL{Scheme: "http", Host: r.Host, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return &part{err: err}
	}
	req.Host, req.RemoteAddr = r.Host, r.RemoteAddr
	req.Header.Set("Accept", "application/json")
	for _, name := range forwarded {
		if v := r.Header[name]; len(v) > 0 {
			req.Header[name] = v
		}
	}
	if id := access.From(ctx).RequestID; id != "" {
		req.Header.Set("X-Request-Id", id)
	}
	res, err := s.Peers.RoundTrip(req)
	if err != nil {
		s.Log.WarnContext(ctx, "a service cannot be reached", "path", pattern(path), "error", err.Error())
		return &part{err: fault.New(fault.Unavailable, "the service cannot be reached").Because(err)}
	}
	defer func() { _ = res.Body.Close() }()
	return s.read(ctx, path, res)
}

// read reads the product API's envelope.
func (s *Service) read(ctx context.Context, path string, res *http.Response) *part {
	var body struct {
		Data       json.RawMessage
		Pagination json.RawMessage
		Error      struct{ Code, Message string }
	}
	dec := json.NewDecoder(io.LimitReader(res.Body, partBytes))
	if err := dec.Decode(&body); err != nil {
		s.Log.WarnContext(ctx, "a service's answer cannot be read", "path", pattern(path), "status", res.StatusCode, "error", err.Error())
		return &part{err: fault.New(fault.Unavailable, "the service's answer cannot be read").Because(err)}
	}
	if res.StatusCode >= http.StatusBadRequest {
		e := fault.New(web.KindOf(res.StatusCode, ""), "%s", body.Error.Message)
		if body.Error.Code != "" {
			e = e.WithCode(body.Error.Code)
		}
		return &part{err: e}
	}
	p := &part{raw: body.Data, pagination: body.Pagination}
	if len(body.Data) > 0 && body.Data[0] == '{' {
		p.data, p.err = object(body.Data)
	}
	return p
}

func object(text []byte) (map[string]any, error) {
	var out map[string]any
	err := numbered(text, &out)
	return out, err
}

// list reads the list of that name in data, or data itself where it is one; an empty one where there is none.
func (p *part) list(name string) []json.RawMessage {
	var out []json.RawMessage
	var in map[string]json.RawMessage
	if err := json.Unmarshal(p.raw, &in); err == nil {
		_ = json.Unmarshal(in[name], &out)
	} else {
		_ = json.Unmarshal(p.raw, &out)
	}
	if out == nil {
		out = []json.RawMessage{}
	}
	return out
}

// errNotAsked is the error of a part that nothing was asked for.
var errNotAsked = errors.New("not asked")

// question is a path of a service with its query.
type question struct {
	path  string
	query url.Values
}

// askAll asks all questions at once.
func (s *Service) askAll(r *http.Request, questions map[string]question) map[string]*part {
	out := make(map[string]*part, len(questions))
	var mu sync.Mutex
	var wait sync.WaitGroup
	for name, q := range questions {
		wait.Go(func() {
			p := s.ask(r, q.path, q.query)
			mu.Lock()
			out[name] = p
			mu.Unlock()
		})
	}
	wait.Wait()
	return out
}

// pattern is a path without the ids in it, for the log.
func pattern(path string) string {
	steps := strings.Split(path, "/")
	for i, step := range steps {
		if strings.ContainsAny(step, "0123456789") && step != "v1" {
			steps[i] = "{id}"
		}
	}
	return strings.Join(steps, "/")
}
