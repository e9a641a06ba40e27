// Package accounts lets the people whom identity keeps sign in at the authorization server.
package accounts

import (
	"context"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/oauth"
)

// Service is what of identity this package uses; *identity.Service is it.
type Service interface {
	SignIn(ctx context.Context, a identity.SignIn) (*identity.SignedIn, error)
	SecondFactor(ctx context.Context, tenant int32, token, code, address, agent string) (*identity.SignedIn, error)
	EndSession(ctx context.Context, tenant int32, session int64, why string) error
	User(ctx context.Context, tenant int32, id int64) (*identity.User, error)
	Caller(ctx context.Context, c identity.CallerOf) (access.Caller, error)
}

type users struct{ s Service }

// Users returns the people of identity as the authorization server asks for them.
func Users(s Service) oauth.Users { return users{s} }

// SignIn implements [oauth.Users].
func (u users) SignIn(ctx context.Context, a oauth.Attempt) (oauth.SignedIn, error) {
	in, err := u.s.SignIn(ctx, identity.SignIn{Tenant: a.Tenant, Email: a.Email, Password: a.Password, Address: a.Address, Agent: a.Agent})
	if err != nil {
		return oauth.SignedIn{}, err
	}
	if in.NeedsMFA {
		return oauth.SignedIn{Challenge: in.MFAToken}, nil
	}
	return u.entered(ctx, a.Tenant, in, "pwd")
}

// SecondFactor implements [oauth.Users].
func (u users) SecondFactor(ctx context.Context, tenant int32, challenge, code, address, agent string) (oauth.SignedIn, error) {
	in, err := u.s.SecondFactor(ctx, tenant, challenge, code, address, agent)
	if err != nil {
		return oauth.SignedIn{}, err
	}
	return u.entered(ctx, tenant, in, "pwd", "otp", "mfa")
}

// entered ends the product's own session that a sign-in began: the authorization server keeps a login of its own, and a session that nobody
// holds would only count among those that a user may have.
func (u users) entered(ctx context.Context, tenant int32, in *identity.SignedIn, methods ...string) (oauth.SignedIn, error) {
	if in.Session != 0 {
		if err := u.s.EndSession(ctx, tenant, in.Session, "the authorization server keeps its own"); err != nil {
			return oauth.SignedIn{}, err
		}
	}
	return oauth.SignedIn{User: userOf(&in.User), Methods: methods}, nil
}

// User implements [oauth.Users].
func (u users) User(ctx context.Context, tenant int32, id int64) (oauth.User, error) {
	one, err := u.s.User(ctx, tenant, id)
	if err != nil {
		return oauth.User{}, err
	}
	if one.Status != identity.Active {
		return oauth.User{}, fault.New(fault.NotFound, "there is no active user with this id")
	}
	return userOf(one), nil
}

// As implements [oauth.Users].
func (u users) As(ctx context.Context, tenant int32, id int64, mfa bool) (context.Context, error) {
	c, err := u.s.Caller(ctx, identity.CallerOf{Tenant: tenant, User: id, Purpose: "TREAT", MFA: mfa})
	if err != nil {
		return nil, err
	}
	from := access.From(ctx)
	c.RequestID, c.Address = from.RequestID, from.Address
	return access.With(ctx, c), nil
}

func userOf(u *identity.User) oauth.User {
	out := oauth.User{ID: u.ID, Given: u.FirstName, Family: u.LastName, Name: strings.TrimSpace(u.FirstName + " " + u.LastName), Email: u.Email,
		EmailVerified: u.EmailVerified, Locale: u.Locale, FHIRUser: u.FHIRUser}
	if out.Name == "" {
		out.Name = u.Username
	}
	if out.Name == "" {
		out.Name = u.Email
	}
	if out.FHIRUser == "" {
		out.FHIRUser = u.Patient
	}
	return out
}
