package clinical

import (
	"slices"

	"github.com/nilecare/nilecare/internal/web/api"
)

// recordRoutes are the lines of the product API about what is written of patients.
func (s *Service) recordRoutes() []api.Route {
	return slices.Concat(s.encounterRoutes(), s.conditionRoutes(), s.allergyRoutes(), s.noteRoutes(), s.carePlanRoutes(), s.referralRoutes(), s.exportRoutes())
}
