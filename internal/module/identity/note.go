package identity

import (
	"context"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
)

// by is who acts, as the tables name him.
func by(ctx context.Context) string {
	c := access.From(ctx)
	return or(c.Who, "anonymous")
}

func who(user int64) string { return "User/" + strconv.FormatInt(user, 10) }

// entry is an audit entry with what a request says of itself.
func entry(ctx context.Context, tenant int32, kind audit.Kind, action, typ string, num int64, detail string) audit.Entry {
	c := access.From(ctx)
	return audit.Entry{Tenant: tenant, Kind: kind, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session, Purpose: c.Purpose,
		Address: c.Address, Request: c.RequestID, Type: typ, Num: num, Detail: detail}
}

// admin notes a change of users, roles and keys.
func (s *Service) admin(ctx context.Context, tenant int32, action, typ string, num int64, detail string) {
	s.ledger.Note(entry(ctx, tenant, audit.Admin, action, typ, num, detail))
}

// security notes a security event.
func (s *Service) security(ctx context.Context, tenant int32, action, severity string, user int64, address, detail string) {
	e := entry(ctx, tenant, audit.Security, action, "User", user, detail)
	e.Severity, e.Outcome = severity, audit.Minor
	if address != "" {
		e.Address = address
	}
	s.ledger.Note(e)
}

// session notes what became of a session.
func (s *Service) session(ctx context.Context, tenant int32, action string, outcome audit.Outcome, user, session int64, address, detail string) {
	e := entry(ctx, tenant, audit.Session, action, "User", user, detail)
	e.Outcome, e.Session = outcome, session
	if user != 0 {
		e.Who = who(user)
	}
	if address != "" {
		e.Address = address
	}
	s.ledger.Note(e)
}
