package clinical

import "github.com/nilecare/nilecare/internal/web/api"

// patientRoutes are the lines of the product API about patients.
func (s *Service) patientRoutes() []api.Route { return nil }
