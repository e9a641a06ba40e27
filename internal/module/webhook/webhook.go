// Package webhook tells other servers what happened, by signed requests.
package webhook

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the tables' migrations are kept under.
const Module = "webhook"

// Options says what the service works with.
type Options struct {
	Ledger *record.Ledger
	Jobs   *job.Runner
	Hub    *event.Hub
	Log    *slog.Logger
	// Private admits receivers at private addresses: for tests, and for a clinic's own network.
	Private bool
}

// Service is the module's verbs.
type Service struct {
	Options
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) { return &Service{o}, nil }

// Migrations are the tables.
func Migrations() fs.FS { return nil }

// Tables are the tables, for backups.
func Tables() []record.Table { return nil }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }
