package fhirrest

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
)

// transaction makes all changes of a Bundle or none (R4 http.html#transaction), in the order DELETE, POST, PUT and PATCH;
// reads come after, on what the changes left. The answer keeps the order of the request. A search that is wrong fails the
// set before anything is changed; a read that finds nothing says so in its own entry: the changes are durable by then.
func (h *Handler) transaction(outer *request, a *answer, list []*fhir.Node) error {
	results := make([]done, len(list))
	defer freeAll(results)
	var steps [4][]int
	for i, n := range list {
		q, err := entryRequest(outer, n)
		if err != nil {
			return inEntry(err, i)
		}
		s, err := h.transactionStep(q)
		if err != nil {
			return inEntry(err, i)
		}
		results[i].q = q
		steps[s] = append(steps[s], i)
	}
	if err := distinct(list, results); err != nil {
		return err
	}
	for _, i := range steps[3] {
		if err := h.understands(results[i].q); err != nil {
			return inEntry(err, i)
		}
	}
	if err := h.writeAll(outer, list, results, steps); err != nil {
		return err
	}
	var spent atomic.Int64
	for _, i := range steps[3] {
		h.runEntry(&results[i], &spent)
	}
	h.logFailures(outer, results)
	return writeResponses(a, "transaction-response", results)
}

// transactionStep says when an entry's turn is. What neither changes the record nor reads it has none.
func (h *Handler) transactionStep(q *request) (int, error) {
	at, err := h.table.find(q.route.place, q.method)
	switch {
	case err != nil:
		return 0, err
	case at.write && h.Audit != nil && q.route.typ == auditEvent:
		_, err := h.ofAudit(q, nil)
		return 0, err
	case at.write:
		return step(q.method), nil
	case q.route.place == atRoot && q.method == http.MethodPost:
		return 0, nestedBundle()
	}
	return 3, nil
}

// understands makes sure, before anything is changed, that a search of a transaction can be asked at all.
func (h *Handler) understands(q *request) error {
	if q.route.place != atType && q.route.place != atRoot {
		return nil
	}
	trial := *q
	_, err := h.query(&trial, q.route.typ)
	return err
}

// distinct makes sure that no resource and no fullUrl stands in a transaction twice (R4 http.html#transaction: it fails then).
func distinct(list []*fhir.Node, results []done) error {
	seen := make(map[string]struct{}, 2*len(list))
	twice := func(key string) bool {
		_, before := seen[key]
		seen[key] = struct{}{}
		return before
	}
	for i, n := range list {
		q := results[i].q
		if step(q.method) == 3 {
			continue
		}
		if q.route.place == atInstance && twice(q.route.typ+"/"+q.route.id) {
			return inEntry(fault.At(fault.Invalid, "request.url", "another entry changes the same resource").WithCode("duplicate"), i)
		}
		// A fullUrl holds ":", which no key above does.
		if full := n.Str("fullUrl"); full != "" && twice(":"+full) {
			return inEntry(fault.At(fault.Invalid, "fullUrl", "another entry has the same fullUrl").WithCode("duplicate"), i)
		}
	}
	return nil
}

// unnamed is the fullUrl of a single entry that has none. It tells the store that even one change is a transaction, whose
// conditional references are to be resolved; nothing refers to it.
const unnamed = "urn:nilecare:unnamed"

// writeAll hands the changes to the store as one set, and notes what became of each.
func (h *Handler) writeAll(outer *request, list []*fhir.Node, results []done, steps [4][]int) error {
	changes := make([]record.Change, 0, len(list))
	entry := make([]int, 0, len(list))
	for _, members := range steps[:3] {
		for _, i := range members {
			c, err := h.change(results[i].q)
			if err != nil {
				return inEntry(err, i)
			}
			c.FullURL = list[i].Str("fullUrl")
			changes = append(changes, c)
			entry = append(entry, i)
		}
	}
	switch {
	case len(changes) == 0:
		return nil
	case len(changes) == 1 && changes[0].FullURL == "":
		changes[0].FullURL = unnamed
	}
	outcomes, err := h.Records.Write(outer.ctx, changes)
	if err != nil {
		var at *record.EntryError
		if errors.As(err, &at) && at.Index >= 0 && at.Index < len(entry) {
			return inEntry(at.Err, entry[at.Index])
		}
		return err
	}
	for k, i := range entry {
		results[i].a.written(results[i].q, outcomes[k])
	}
	return nil
}
