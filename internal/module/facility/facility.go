package facility

import (
	"context"
	"log/slog"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the tables' migrations are kept under.
const Module = "facility"

// Options says what the service works with.
type Options struct {
	Records *flat.Records
	Ledger  *record.Ledger
	Jobs    *job.Runner // does what is due later; nil: nothing does in this process
	Log     *slog.Logger
}

// Service is the module's verbs.
type Service struct {
	Options
}

// New returns the service.
func New(_ context.Context, o Options) (*Service, error) {
	s := &Service{o}
	s.handle(o.Jobs)
	return s, nil
}

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	var all []api.Route
	for _, list := range [][]api.Route{s.facilityRoutes(), s.departmentRoutes(), s.wardRoutes(), s.bedRoutes(), s.figureRoutes(), s.settingRoutes()} {
		all = append(all, list...)
	}
	return all
}
