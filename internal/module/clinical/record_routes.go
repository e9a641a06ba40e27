package clinical

import "github.com/nilecare/nilecare/internal/web/api"

// recordRoutes are the lines of the product API about what is written of patients.
func (s *Service) recordRoutes() []api.Route { return nil }
