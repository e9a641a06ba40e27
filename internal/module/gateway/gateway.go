// Package gateway is the main service of the product API: dashboards and search, composed of what the other services answer. It has no database.
package gateway

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Options says what the service works with.
type Options struct {
	// Peers carries a request to the service that serves its path: in the same process, or on another server.
	Peers http.RoundTripper
	Clock clock.Clock
	Log   *slog.Logger
}

// Service is the module's verbs.
type Service struct {
	Options
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) { return &Service{o}, nil }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }
