package identity

import (
	"context"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// VerifyEmail notes that the code's user has the address that the code was sent to. Invalid with the code INVALID_TOKEN where it is no good.
func (s *Service) VerifyEmail(ctx context.Context, asked int32, code string) error {
	u, err := s.codeOwner(ctx, asked, forVerify, code)
	if err != nil {
		return err
	}
	email, err := s.blindEmail(ctx, u.Tenant, u.Email)
	if err != nil {
		return err
	}
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := s.useUp(ctx, tx, u, forVerify, code); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE identity_user SET email_verified = 1, version = version + 1, updated_at = $4, updated_by = $5
			WHERE tenant = $1 AND id = $2 AND email = $3 AND deleted_at = 0`, u.Tenant, u.ID, email, s.now().UnixMicro(), who(u.ID))
		if err == nil && n == 0 {
			return errCode()
		}
		return err
	})
	if err != nil {
		return err
	}
	s.forgetUser(u.Tenant, u.ID)
	s.admin(ctx, u.Tenant, "verify-email", "User", u.ID, "")
	return nil
}

// ResendVerification sends the user a letter to verify the address by. Conflict where that was done; TooMany where it is asked for too often.
func (s *Service) ResendVerification(ctx context.Context, u *User) error {
	if u.EmailVerified {
		return fault.New(fault.Conflict, "the address is verified already")
	}
	if err := s.mayAsk(ctx, u.Tenant, forVerify, strconv.FormatInt(u.ID, 10), asksOfAccount, asksWindow); err != nil {
		return err
	}
	return s.send(ctx, u, forVerify, verifyLife)
}
