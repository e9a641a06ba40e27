package identity

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Invitation is a user who has been invited and has not come yet.
type Invitation struct {
	User    User
	Expires time.Time // zero: its link has run out, or was withdrawn
}

// Invite makes a user without a password and sends a letter by which he chooses one, within seven days. The caller holds users:create, and all that
// the user may do; Conflict where address or name are taken.
func (s *Service) Invite(ctx context.Context, tenant int32, n NewUser) (*Invitation, error) {
	n.Password, n.Status, n.EmailVerified = "", Invited, false
	u, err := s.Create(ctx, tenant, n)
	if err != nil {
		return nil, err
	}
	return s.invite(ctx, u)
}

func (s *Service) invite(ctx context.Context, u *User) (*Invitation, error) {
	put, _, err := s.issue(ctx, u, forInvite, inviteLife)
	if err != nil {
		return nil, err
	}
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := s.void(ctx, tx, u, forInvite); err != nil {
			return err
		}
		return put(tx)
	})
	return &Invitation{User: *u, Expires: s.now().Add(inviteLife)}, err
}

// invited returns an invited user whom the caller may invite.
func (s *Service) invited(ctx context.Context, tenant int32, id int64) (*User, error) {
	if c := access.From(ctx); !c.Permits("users:create") {
		return nil, fault.New(fault.Forbidden, "this needs the permission users:create")
	}
	u, err := s.User(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if u.Status != Invited {
		return nil, fault.New(fault.NotFound, "there is no such invitation")
	}
	return u, s.mayManage(ctx, u)
}

// Reinvite sends an invited user another letter; the link of the one before is no good any longer.
func (s *Service) Reinvite(ctx context.Context, tenant int32, id int64) (*Invitation, error) {
	u, err := s.invited(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	s.admin(ctx, tenant, "invite", "User", id, "again")
	return s.invite(ctx, u)
}

// Invitations lists a page of the users who have been invited and have not come yet, newest first, and how many there are.
func (s *Service) Invitations(ctx context.Context, tenant int32, page, limit int) ([]Invitation, int, error) {
	if c := access.From(ctx); !c.Permits("users:create") {
		return nil, 0, fault.New(fault.Forbidden, "this needs the permission users:create")
	}
	users, total, err := s.Find(ctx, tenant, Filter{Status: Invited, Page: page, Limit: limit})
	if err != nil {
		return nil, 0, err
	}
	until := map[int64]int64{}
	err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		clear(until)
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var id, expires int64
			err := r.Scan(&id, &expires)
			until[id] = expires
			return err
		}, "SELECT user_id, max(expires_at) FROM identity_code WHERE tenant = $1 AND purpose = $2 AND used_at = 0 AND expires_at > $3 GROUP BY user_id",
			tenant, forInvite, s.now().UnixMicro())
	})
	out := make([]Invitation, len(users))
	for i := range users {
		out[i] = Invitation{User: users[i], Expires: at(until[users[i].ID])}
	}
	return out, total, err
}

// Withdraw takes an invitation back, with the user that it made.
func (s *Service) Withdraw(ctx context.Context, tenant int32, id int64) error {
	u, err := s.invited(ctx, tenant, id)
	if err != nil {
		return err
	}
	if err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error { return s.void(ctx, tx, u, forInvite) }); err != nil {
		return err
	}
	// He made the user, and has it unmade: this needs no more than making did.
	if err := s.Delete(access.With(ctx, systemFor(ctx, tenant)), tenant, id); err != nil {
		return err
	}
	s.admin(ctx, tenant, "withdraw", "User", id, "the invitation")
	return nil
}

// Accept makes an invited user active, with a password and, where they are given, other names. Invalid where the code is no good, or the password is
// not allowed.
func (s *Service) Accept(ctx context.Context, asked int32, code, password string, first, last *string) (*User, error) {
	u, err := s.codeOwner(ctx, asked, forInvite, code)
	if err != nil {
		return nil, err
	}
	if u.Status != Invited {
		return nil, errCode()
	}
	if err := s.checkPasswordRules(password, u); err != nil {
		return nil, err
	}
	system := access.With(ctx, systemFor(ctx, u.Tenant))
	if first != nil || last != nil {
		if u, err = s.Update(system, u.Tenant, u.ID, Change{FirstName: first, LastName: last}); err != nil {
			return nil, err
		}
	}
	hash, err := s.hasher.hash(ctx, normal(password))
	if err != nil {
		return nil, err
	}
	now := s.now().UnixMicro()
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := s.useUp(ctx, tx, u, forInvite, code); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE identity_user SET password = $3, password_at = $4, status = 'active', email_verified = 1, version = version + 1, updated_at = $4,
			updated_by = $5 WHERE tenant = $1 AND id = $2 AND deleted_at = 0 AND status = 'invited'`, u.Tenant, u.ID, hash, now, who(u.ID))
		if err == nil && n == 0 {
			return errCode()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.forgetUser(u.Tenant, u.ID)
	s.admin(ctx, u.Tenant, "accept", "User", u.ID, "an invitation was accepted")
	return s.User(ctx, u.Tenant, u.ID)
}
