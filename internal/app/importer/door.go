package importer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Doer sends a request. *http.Client is one; [InProcess] makes one of a handler.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// InProcess returns a Doer that asks h directly, without a network.
func InProcess(h http.Handler) Doer { return inProcess{h} }

type inProcess struct{ h http.Handler }

// Do implements Doer.
func (d inProcess) Do(r *http.Request) (*http.Response, error) {
	a := &answer{header: http.Header{}, status: http.StatusOK}
	r.RequestURI = r.URL.RequestURI()
	d.h.ServeHTTP(a, r)
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(&a.body)}, nil
}

// answer is an http.ResponseWriter in memory.
type answer struct {
	header http.Header
	body   bytes.Buffer
	status int
	sent   bool
}

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if !a.sent && status >= 200 {
		a.status, a.sent = status, true
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.sent = true
	return a.body.Write(p)
}

// door posts Bundles to a FHIR server's base.
type door struct {
	doer Doer
	base string
}

// maxReply bounds what is read of an answer.
const maxReply = 64 << 20

// errUnreachable says that the server cannot be reached or is broken: going on makes no sense.
var errUnreachable = errors.New("the server cannot be reached")

// patience is how long a server that says "later" is waited for, try by try.
var patience = [...]time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, 20 * time.Second}

// post sends a Bundle and returns what was said of it. A server that is busy (429, 503) is asked again for a while; nothing
// was done then. err is errUnreachable, or the context's.
func (d door) post(ctx context.Context, body []byte) (reply, []byte, error) {
	for try := 0; ; try++ {
		r, text, wait, err := d.once(ctx, body)
		if err != nil || wait == 0 || try == len(patience) {
			return r, text, err
		}
		select {
		case <-ctx.Done():
			return r, text, ctx.Err()
		case <-time.After(max(wait, patience[try])):
		}
	}
}

// once is post without patience; wait is above 0 where the server says "later".
func (d door) once(ctx context.Context, body []byte) (_ reply, text []byte, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base, bytes.NewReader(body))
	if err != nil {
		return reply{}, nil, 0, err
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	req.Header.Set("Accept", "application/fhir+json")
	req.Header.Set("Prefer", "return=minimal")
	resp, err := d.doer.Do(req)
	if err != nil {
		return reply{}, nil, 0, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	defer resp.Body.Close()
	if text, err = io.ReadAll(io.LimitReader(resp.Body, maxReply)); err != nil {
		return reply{}, nil, 0, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	r := reply{status: resp.StatusCode}
	if r.ok() {
		return r, text, 0, nil
	}
	r.reason = http.StatusText(r.status)
	if o, err := fhir.ParseResource(text); err == nil && o.Type() == "OperationOutcome" {
		if said := outcome(o.Node); said != "" {
			r.reason = said
		}
	}
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		seconds, _ := strconv.Atoi(strings.TrimSpace(resp.Header.Get("Retry-After")))
		wait = max(time.Duration(seconds)*time.Second, time.Millisecond)
	}
	return r, text, wait, nil
}
