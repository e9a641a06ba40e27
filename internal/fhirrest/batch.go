package fhirrest

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/web"
)

// maxAnswer is how many bytes the entries of one Bundle may answer together: a small batch of searches could ask for all the
// memory that there is. Reads beyond it are refused; what a change answers is counted, and given.
const maxAnswer = 256 << 20

// lanes is how many entries of a batch run at once: the store gathers writers into common commits.
const lanes = 8

// done is one entry's end: an answer or an error.
type done struct {
	q   *request
	a   answer
	err error
}

// batch runs every entry on its own (R4 http.html#transaction): its failure is its own. The order is that of a
// transaction: DELETE, POST, PUT and PATCH, then reads; within a step entries run side by side, save those that
// name the same resource, which keep their order.
func (h *Handler) batch(outer *request, a *answer, list []*fhir.Node) error {
	results := make([]done, len(list))
	defer freeAll(results)
	var steps [4][]int
	for i, n := range list {
		q, err := entryRequest(outer, n)
		results[i] = done{q: q, err: err}
		if err == nil {
			s := step(q.method)
			steps[s] = append(steps[s], i)
		}
	}
	var spent atomic.Int64
	for _, members := range steps {
		h.runStep(members, results, &spent)
	}
	h.logFailures(outer, results)
	return writeResponses(a, "batch-response", results)
}

// logFailures leaves in the log what the entries' answers do not tell.
func (h *Handler) logFailures(outer *request, results []done) {
	for i := range results {
		if err := results[i].err; err != nil && fault.Is(err, fault.Internal) && h.Log != nil {
			h.Log.LogAttrs(outer.ctx, slog.LevelError, "batch entry failed", slog.Int("entry", i),
				slog.String("request_id", access.From(outer.ctx).RequestID), slog.String("error", err.Error()))
		}
	}
}

// writeResponses writes the response Bundle, in the order of the request.
func writeResponses(a *answer, typ string, results []done) error {
	const around = 256 // about what an entry has beside its resource
	size := 0
	for i := range results {
		size += len(results[i].a.body) + around
	}
	b := openBundle(slices.Grow(a.build(), size), typ)
	var out entries
	for i := range results {
		b = appendResponse(out.open(b), &results[i], i)
		results[i].a.free() // a large answer must not be held twice for longer than needed
	}
	a.done(out.end(b))
	a.status = http.StatusOK
	return nil
}

func freeAll(results []done) {
	for i := range results {
		results[i].a.free()
	}
}

// step is the place of a method in the order of processing.
func step(method string) int {
	switch method {
	case http.MethodDelete:
		return 0
	case http.MethodPost:
		return 1
	case http.MethodPut, http.MethodPatch:
		return 2
	}
	return 3
}

// runStep runs entries side by side, each resource in its own lane.
func (h *Handler) runStep(members []int, results []done, spent *atomic.Int64) {
	if len(members) == 1 {
		h.runEntry(&results[members[0]], spent)
		return
	}
	var queues [lanes][]int
	seed := maphash.MakeSeed()
	for k, i := range members {
		lane := k
		if to := results[i].q.route; to.id != "" {
			lane = int(maphash.String(seed, to.typ+"/"+to.id) % lanes)
		}
		queues[lane%lanes] = append(queues[lane%lanes], i)
	}
	var wg sync.WaitGroup
	for _, queue := range queues {
		if len(queue) == 0 {
			continue
		}
		wg.Go(func() {
			for _, i := range queue {
				h.runEntry(&results[i], spent)
			}
		})
	}
	wg.Wait()
}

func nestedBundle() error {
	return fault.At(fault.Invalid, "request.url", "a batch or transaction within another is not taken").WithCode("not-supported")
}

// runEntry is ServeHTTP for an entry. A panic of one entry is its failure alone, and its stack goes with the error to
// the log of the request.
func (h *Handler) runEntry(d *done, spent *atomic.Int64) {
	defer func() {
		if v := recover(); v != nil {
			d.err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if d.err = d.q.ctx.Err(); d.err != nil {
		return
	}
	if d.q.route.place == atRoot && step(d.q.method) != 3 {
		d.err = nestedBundle()
		return
	}
	at, err := h.table.find(d.q.route.place, d.q.method)
	if err != nil {
		d.err = err
		return
	}
	read := step(d.q.method) == 3
	if read && spent.Load() > h.maxAnswer {
		d.err = h.tooMuch()
		return
	}
	d.err = at.run(h, d.q, &d.a)
	if n := int64(len(d.a.body)); spent.Add(n) > h.maxAnswer && read && d.err == nil {
		// The lanes began before the sum was known. The answer is let go, and stays counted: what follows is refused unasked.
		d.a.free()
		d.err = h.tooMuch()
	}
}

func (h *Handler) tooMuch() error {
	return fault.New(fault.TooCostly, "the answers of this Bundle are larger than %d bytes together", h.maxAnswer)
}

// appendResponse appends the rest of an entry, whose brace is open: fullUrl and resource where there are, and the response.
func appendResponse(b []byte, d *done, i int) []byte {
	if d.err != nil {
		e := web.Fault(inEntry(d.err, i))
		b = append(b, `"response":{`...)
		b = appendStatus(b, web.StatusOf(e.Kind))
		b = append(b, `,"outcome":`...)
		b = web.AppendOutcome(b, e.Issues)
		return append(b, `}}`...)
	}
	a := &d.a
	if a.of != nil && !a.of.Deleted {
		b = appendFullURL(b, d.q.base, a.of.Type, a.of.ID)
	}
	outcome := false
	if a.body != nil && d.q.method != http.MethodHead {
		outcome = d.q.prefer.give == "OperationOutcome" && step(d.q.method) != 3
		if !outcome {
			b = append(b, `"resource":`...)
			b = append(b, a.body...)
			b = append(b, ',')
		}
	}
	b = append(b, `"response":{`...)
	b = appendStatus(b, a.status)
	if a.location != "" {
		b = append(b, `,"location":`...)
		b = fhir.AppendQuoted(b, a.location)
	}
	if a.tag != "" {
		b = append(b, `,"etag":`...)
		b = fhir.AppendQuoted(b, a.tag)
	}
	if !a.updated.IsZero() {
		b = append(b, `,"lastModified":"`...)
		b = append(appendInstant(b, a.updated), '"')
	}
	if outcome {
		b = append(b, `,"outcome":`...)
		b = append(b, a.body...)
	}
	return append(b, `}}`...)
}
