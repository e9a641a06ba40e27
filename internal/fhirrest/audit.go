package fhirrest

import (
	"context"
	"net/http"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// AuditParam is a parameter of a search for AuditEvents.
type AuditParam struct{ Name, Value string }

// AuditPage is a page of AuditEvents, the newest first.
type AuditPage struct {
	Events []*fhir.Resource
	Total  int
	Next   string // the value of _cursor that asks for the next page; "": this is the last
}

// Audit is the ledger of what was done, rendered as AuditEvents.
type Audit interface {
	AuditEvent(ctx context.Context, id string) (*fhir.Resource, error)
	AuditEvents(ctx context.Context, params []AuditParam) (AuditPage, error)
}

const auditEvent = "AuditEvent"

// run does what the table says, or asks the ledger.
func (at *endpoint) run(h *Handler, q *request, a *answer) error {
	if done, err := h.ofAudit(q, a); done || err != nil {
		return err
	}
	return at.serve(h, q, a)
}

// ofAudit answers a request for AuditEvents from the ledger; done is false where the record answers. Nobody writes to the ledger: what is done
// writes it.
func (h *Handler) ofAudit(q *request, a *answer) (done bool, err error) {
	if h.Audit == nil || q.route.typ != auditEvent {
		return false, nil
	}
	switch {
	case q.route.place == atInstance && step(q.method) == 3:
		return true, h.readAudit(q, a)
	case q.route.place == atType && step(q.method) == 3, q.route.place == atTypeSearch:
		return true, h.searchAudit(q, a)
	case q.route.place == atTypeOperation:
		return false, nil
	}
	return true, fault.New(fault.MethodNotAllowed, "AuditEvents are read and searched: the server alone writes them")
}

func (h *Handler) readAudit(q *request, a *answer) error {
	s, err := q.readShape()
	if err != nil {
		return err
	}
	r, err := h.Audit.AuditEvent(q.ctx, q.route.id)
	if err != nil {
		return err
	}
	a.status = http.StatusOK
	if s.whole() {
		a.done(r.AppendJSON(a.build()))
		return nil
	}
	b, err := s.append(a.build(), r.AppendJSON(nil))
	if err == nil {
		a.done(b)
	}
	return err
}

func (h *Handler) searchAudit(q *request, a *answer) error {
	if q.method == http.MethodPost {
		if err := q.readForm(); err != nil {
			return err
		}
	}
	s, rest, err := takeShape(q.params)
	if err != nil {
		return err
	}
	params := make([]AuditParam, len(rest))
	said := make([]param, 0, len(rest)+1)
	for i, p := range rest {
		params[i] = AuditParam(p)
		if p.Name != "_cursor" {
			said = append(said, p)
		}
	}
	page, err := h.Audit.AuditEvents(q.ctx, params)
	if err != nil {
		return err
	}
	to := func(params []param) string { return string(appendParams([]byte(q.base+"/"+auditEvent+"?"), params)) }
	links := []link{{"self", to(rest)}}
	if page.Next != "" {
		links = append(links, link{"next", to(append(said, param{Name: "_cursor", Value: page.Next}))})
	}
	b := openBundle(a.build(), "searchset")
	b = appendTotal(b, page.Total)
	b = appendLinks(b, links)
	var list entries
	for _, r := range page.Events {
		b = appendFullURL(list.open(b), q.base, auditEvent, r.ID())
		b = append(b, `"resource":`...)
		if s.whole() {
			b = r.AppendJSON(b)
		} else if b, err = s.append(b, r.AppendJSON(nil)); err != nil {
			return err
		}
		b = append(b, `,"search":{"mode":"match"}}`...)
	}
	a.done(list.end(b))
	a.status = http.StatusOK
	return nil
}
