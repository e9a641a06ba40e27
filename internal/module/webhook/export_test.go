package webhook

import (
	"context"
	"net/netip"

	"github.com/nilecare/nilecare/internal/event"
)

// Receive is what the durable reader calls.
func (s *Service) Receive(ctx context.Context, events []event.Event) error {
	return s.receive(ctx, events)
}

// Refusal says why no request goes to the address.
func (s *Service) Refusal(a netip.Addr, plain bool) string { return s.refusal(a, plain) }
