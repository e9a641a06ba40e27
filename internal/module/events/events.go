// Package events is how operators look after the readers of events: their places, their dead letters, and the kinds of events there are. The machinery is
// internal/event; this module owns no types, ledgers or events.
//
// What happened to patients stands in the events: who reads their log, or the event of a dead letter, needs the permission events:read, which roles that run
// everything have. Keeping the readers going needs events:manage, shows no patient data, and is a matter of those who operate the system. Both are
// told to the audit.
package events

import (
	"context"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/record"
)

// The permissions.
const (
	Manage = "events:manage"
	Read   = "events:read"
)

// Service is the module's verbs.
type Service struct {
	hub   *event.Hub
	store *record.Store
}

// New returns the service on a hub and the record that it reads.
func New(hub *event.Hub, store *record.Store) *Service { return &Service{hub, store} }

// note tells the audit what the caller did.
func (s *Service) note(ctx context.Context, e audit.Entry) {
	c := access.From(ctx)
	e.Tenant, e.Who, e.Name, e.Client, e.Session, e.Purpose, e.Address, e.Request = c.Tenant, c.Who, c.Name, c.Client, c.Session, c.Purpose, c.Address, c.RequestID
	s.store.Ledger().Note(e)
}

// shown tells the audit that events were shown, and which patients they are about.
func (s *Service) shown(ctx context.Context, action string, events []event.Event) error {
	e := audit.Entry{Kind: audit.Rest, Action: action, Type: "Event", Count: len(events)}
	seen := map[string]bool{}
	for i := range events {
		_, id, ok := strings.Cut(events[i].Patient, "/")
		if !ok || seen[id] {
			continue
		}
		seen[id] = true
		n, known, err := s.store.Number(ctx, "Patient", id)
		if err != nil {
			return err
		}
		if known {
			e.Patients = append(e.Patients, n)
		}
	}
	s.note(ctx, e)
	return nil
}

// acted tells the audit what was done to readers or letters.
func (s *Service) acted(ctx context.Context, action, detail string, count int) {
	s.note(ctx, audit.Entry{Kind: audit.Admin, Action: action, Type: "Event", Detail: detail, Count: count})
}
