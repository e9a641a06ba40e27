package identity

import (
	"context"

	"github.com/nilecare/nilecare/internal/record"
)

// joinFlows sets the hooks of what stands beside signing in: second factors, break-glass, tenants, and their routes.
func (s *Service) joinFlows(context.Context) error {
	s.joinCare()
	s.joinAccounts()
	return nil
}

// flowTables are the flows' tables, for backups.
func flowTables() []record.Table { return append(accountTables(), careTables()...) }
