// Package events is how operators look after the readers of events: their places, their dead letters, and the kinds of events there are.
package events

import (
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Service is the module's verbs.
type Service struct{ hub *event.Hub }

// New returns the service.
func New(hub *event.Hub) *Service { return &Service{hub} }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }
