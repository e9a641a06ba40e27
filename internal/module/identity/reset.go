package identity

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// How often letters are asked for: by one account, and by one address, which may be a whole hospital's.
const (
	asksWindow      = 15 * time.Minute
	asksOfAccount   = 3
	asksFromAddress = 50
)

// RequestReset has a letter sent to whoever has the address, if that is an active user. The same work is done for an address that nobody has:
// neither answer nor time tells which accounts exist. TooMany where it is asked for too often.
func (s *Service) RequestReset(ctx context.Context, tenant int32, email, address string) error {
	if len(email) > 254 {
		return nil
	}
	if address != "" {
		if err := s.mayAsk(ctx, tenant, "from", address, asksFromAddress, asksWindow); err != nil {
			return err
		}
	}
	if err := s.mayAsk(ctx, tenant, forReset, plainEmail(email), asksOfAccount, asksWindow); err != nil {
		return err
	}
	u, err := s.ByEmail(ctx, tenant, email)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	real := err == nil && u.Status == Active
	if !real {
		u = &User{Tenant: tenant, Email: email} // nobody: number 0
	}
	put, letter, err := s.issue(ctx, u, forReset, resetLife)
	if err != nil {
		return err
	}
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if err := put(tx); err != nil || real {
			return err
		}
		// Nothing stays, but as much is written, and waited for, as for somebody.
		if _, err := tx.Exec(ctx, "DELETE FROM identity_code WHERE tenant = $1 AND user_id = 0", tenant); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "DELETE FROM identity_mail WHERE tenant = $1 AND id = $2", tenant, letter)
		return err
	})
	if err == nil && real {
		s.security(ctx, tenant, "password-reset", "low", u.ID, address, "a letter for a new password was asked for")
	}
	return err
}

// ResetValid reports whether a password can be set by the code. asked is the tenant that the request is for; 0: it does not say.
func (s *Service) ResetValid(ctx context.Context, asked int32, code string) (bool, error) {
	u, err := s.codeOwner(ctx, asked, forReset, code)
	if fault.Is(err, fault.Invalid) {
		return false, nil
	}
	return err == nil && u.Status == Active, err
}

// ConfirmReset gives the code's user a new password. It ends all sessions and takes back a lock-out; a second factor stays. Invalid where the code is no
// good, or the password is not allowed: then the code stays good.
func (s *Service) ConfirmReset(ctx context.Context, asked int32, code, password string) error {
	_, err := s.resetBy(ctx, asked, code, password)
	return err
}

// resetBy is ConfirmReset; it says whose password it was.
func (s *Service) resetBy(ctx context.Context, asked int32, code, password string) (*User, error) {
	u, err := s.codeOwner(ctx, asked, forReset, code)
	if err != nil {
		return nil, err
	}
	if u.Status != Active {
		return nil, errCode()
	}
	if err := s.checkPasswordRules(password, u); err != nil {
		return nil, err
	}
	if err := s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error { return s.useUp(ctx, tx, u, forReset, code) }); err != nil {
		return nil, err
	}
	// The code is used up first: of two who have it, one alone gets through. Whoever fails after it asks for another.
	if err := s.SetPassword(access.With(ctx, systemFor(ctx, u.Tenant)), u.Tenant, u.ID, password, 0); err != nil {
		return nil, err
	}
	s.security(ctx, u.Tenant, "password-reset", "medium", u.ID, access.From(ctx).Address, "a new password was chosen by a mailed link")
	return u, nil
}
