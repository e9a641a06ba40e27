// Package clinical is the clinical service of the product API: patients, encounters, and what is written about them.
package clinical

import (
	"context"
	"log/slog"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the tables' migrations are kept under.
const Module = "clinical"

// Options says what the service works with.
type Options struct {
	Records *flat.Records
	Ledger  *record.Ledger
	Log     *slog.Logger
}

// Service is the module's verbs.
type Service struct {
	Options
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) { return &Service{o}, nil }

// Rules are the invariants of the module's types.
func Rules(l *record.Ledger) map[string]record.Rule { return nil }

// Adopts names the types whose records of before are told to [Adopt] once.
func Adopts() []string { return nil }

// Adopt enters a record of before into the module's ledger.
func Adopt(l *record.Ledger) func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	return nil
}

// Source says what the changes of the module's types mean.
func Source() event.Source { return event.Source{} }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }
