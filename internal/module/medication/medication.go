// Package medication is the medication service of the product API. It counts what the records say of prescriptions.
package medication

import (
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Service is the module's verbs.
type Service struct{ records *flat.Records }

// New returns the service.
func New(r *flat.Records) *Service { return &Service{r} }

// Routes are the module's lines of the product API.
func (s *Service) Routes() []api.Route { return nil }
