package lab

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
	critical flat.Scan[string]
	turns    flat.Scan[turn]
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
		{Method: "GET", Path: "/api/v1/stats/labs", Need: api.Permission("labs:read"), Summary: "Counts of laboratory orders and results", Params: []api.Param{{Name: "providerId", Help: "only what this practitioner ordered"}}, Out: statsJSON{}, Serve: s.stats},
	}
}
