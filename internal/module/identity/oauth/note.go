package oauth

import (
	"context"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
)

// entry is an audit entry with what a request says of itself.
func (s *Server) entry(ctx context.Context, tenant int32, kind audit.Kind, action, detail string) audit.Entry {
	c := access.From(ctx)
	return audit.Entry{Tenant: tenant, Kind: kind, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session,
		Purpose: c.Purpose, Address: c.Address, Request: c.RequestID, Detail: detail}
}
