package identity

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// setupLife is how long a set-up link is good.
const setupLife = 24 * time.Hour

// SetupToken returns a token by which one person becomes the tenant's first administrator; the ones before it are no good any longer. Conflict
// where there is an administrator.
func (s *Service) SetupToken(ctx context.Context, tenant int32) (string, error) {
	if has, err := s.HasAdmin(ctx, tenant); err != nil || has {
		return "", or[error](err, fault.New(fault.Conflict, "there is an administrator already"))
	}
	raw, now := secret(""), s.now()
	return raw, s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM identity_setup WHERE tenant = $1", tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "INSERT INTO identity_setup (tenant, hash, expires_at, created_at, used_at) VALUES ($1, $2, $3, $4, 0)",
			tenant, sum(raw), now.Add(setupLife).UnixMicro(), now.UnixMicro())
		return err
	})
}

// Setup makes the first administrator. Unauthenticated where the token is not good; Conflict where there is an administrator.
func (s *Service) Setup(ctx context.Context, tenant int32, raw string, n NewUser) (*User, error) {
	done, err := s.turns.take(ctx, "setup")
	if err != nil {
		return nil, err
	}
	defer done()
	if has, err := s.HasAdmin(ctx, tenant); err != nil || has {
		return nil, or[error](err, fault.New(fault.Conflict, "there is an administrator already"))
	}
	bad := fault.At(fault.Unauthenticated, "token", "the set-up link is not valid, or too old").WithCode("INVALID_TOKEN")
	if n.Password == "" {
		return nil, fault.At(fault.Invalid, "password", "must be given").WithCode("required")
	}
	// What is wrong with the fields is said before the link is used up.
	if err := s.checkPasswordRules(n.Password, &User{Email: n.Email, FirstName: n.FirstName, LastName: n.LastName}); err != nil {
		return nil, err
	}
	used := int64(0)
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		now := s.now().UnixMicro()
		used, err = tx.Exec(ctx, "UPDATE identity_setup SET used_at = $3 WHERE tenant = $1 AND hash = $2 AND used_at = 0 AND expires_at > $3", tenant, sum(raw), now)
		return err
	})
	if err != nil || used == 0 {
		return nil, or[error](err, bad)
	}
	n.Role, n.Roles, n.Permissions, n.Status = "admin", nil, nil, Active
	u, err := s.Create(access.With(ctx, systemFor(ctx, tenant)), tenant, n)
	if err != nil {
		// The link goes on where no user came of it.
		_ = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE identity_setup SET used_at = 0 WHERE tenant = $1 AND hash = $2", tenant, sum(raw))
			return err
		})
		return nil, err
	}
	s.security(ctx, tenant, "setup", "medium", u.ID, "", "the first administrator was set up")
	return u, nil
}
