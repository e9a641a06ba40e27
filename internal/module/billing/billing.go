package billing

import (
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Options says what the service works with.
type Options struct {
	Records *flat.Records
	Zone    *time.Location // whose days are counted by; nil: flat.DefaultZone
}

// Service is the module's verbs.
type Service struct {
	records  *flat.Records
	zone     *time.Location
	amounts  flat.Scan[amount]
	payments flat.Scan[amount]
}

// New returns the service.
func New(o Options) *Service {
	if o.Zone == nil {
		o.Zone = flat.DefaultZone()
	}
	return &Service{records: o.Records, zone: o.Zone}
}

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route {
	return []api.Route{
		{Method: "GET", Path: "/api/v1/stats/invoices", Need: api.Permission("billing:read"), Summary: "Counts and sums of invoices, claims and payments", Out: statsJSON{}, Serve: s.stats},
	}
}
