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
	Prove(ctx context.Context, a identity.SignIn) (u *identity.User, challenge string, err error)
	ProveCode(ctx context.Context, tenant int32, challenge, code, address string) (u *identity.User, remember bool, err error)
	User(ctx context.Context, tenant int32, id int64) (*identity.User, error)
	Caller(ctx context.Context, c identity.CallerOf) (access.Caller, error)
}

type users struct{ s Service }

// Users returns the people of identity as the authorization server asks for them.
func Users(s Service) oauth.Users { return users{s} }

// SignIn implements [oauth.Users]. It begins no session of the product's: the authorization server keeps logins of its own.
func (u users) SignIn(ctx context.Context, a oauth.Attempt) (oauth.SignedIn, error) {
	one, challenge, err := u.s.Prove(ctx, identity.SignIn{Tenant: a.Tenant, Email: a.Email, Password: a.Password, Address: a.Address, Agent: a.Agent})
	if err != nil {
		return oauth.SignedIn{}, err
	}
	if challenge != "" {
		return oauth.SignedIn{Challenge: challenge}, nil
	}
	return oauth.SignedIn{User: userOf(one), Methods: []string{"pwd"}}, nil
}

// SecondFactor implements [oauth.Users].
func (u users) SecondFactor(ctx context.Context, tenant int32, challenge, code, address, _ string) (oauth.SignedIn, error) {
	one, _, err := u.s.ProveCode(ctx, tenant, challenge, code, address)
	if err != nil {
		return oauth.SignedIn{}, err
	}
	return oauth.SignedIn{User: userOf(one), Methods: []string{"pwd", "otp", "mfa"}}, nil
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
