package medication

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
	expiring flat.Scan[ending]
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
		{Method: "GET", Path: "/api/v1/stats/medications", Need: api.Permission("medications:read"), Summary: "Counts of prescriptions, of what was handed out and of what was given",
			Params: []api.Param{{Name: "providerId", Help: "only what this practitioner prescribed"}}, Out: statsJSON{}, Serve: s.stats},
	}
}
