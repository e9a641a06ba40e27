package identity

import (
	"context"
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// What stands here is being written; nothing of it works yet.

var errYet = fault.New(fault.Unavailable, "this is not built yet")

type (
	cache    struct{}
	hasher   struct{}
	breached struct{}
	turns    struct{}
	roleSet  struct{}
)

func newCache() *cache                       { return nil }
func newHasher() (*hasher, error)            { return nil, nil }
func openBreached(string) (*breached, error) { return nil, nil }

func (s *Service) SignIn(ctx context.Context, a SignIn) (*SignedIn, error) { return nil, errYet }

// SecondFactor ends a sign-in: token is SignedIn.MFAToken.
func (s *Service) SecondFactor(ctx context.Context, tenant int32, token, code, address, agent string) (*SignedIn, error) {
	return nil, errYet
}
func (s *Service) Begin(ctx context.Context, tenant int32, user int64, how string, remember bool, address, agent string) (*SignedIn, error) {
	return nil, errYet
}
func (s *Service) User(ctx context.Context, tenant int32, id int64) (*User, error) {
	return nil, errYet
}
func (s *Service) ByEmail(ctx context.Context, tenant int32, email string) (*User, error) {
	return nil, errYet
}
func (s *Service) Find(ctx context.Context, tenant int32, f Filter) ([]User, int, error) {
	return nil, 0, errYet
}
func (s *Service) Create(ctx context.Context, tenant int32, n NewUser) (*User, error) {
	return nil, errYet
}
func (s *Service) Update(ctx context.Context, tenant int32, id int64, c Change) (*User, error) {
	return nil, errYet
}
func (s *Service) SetStatus(ctx context.Context, tenant int32, id int64, status string) (*User, error) {
	return nil, errYet
}

// SetPassword checks the new password by the rules, sets it, unlocks the account and ends all sessions but keep.
func (s *Service) SetPassword(ctx context.Context, tenant int32, id int64, password string, keep int64) error {
	return errYet
}

// CheckPassword says whether it is the user's password; wrong guesses count.
func (s *Service) CheckPassword(ctx context.Context, tenant int32, id int64, password string) error {
	return errYet
}
func (s *Service) Delete(ctx context.Context, tenant int32, id int64) error { return errYet }
func (s *Service) Provision(ctx context.Context, tenant int32, e External, create bool) (*User, error) {
	return nil, errYet
}
func (s *Service) Principal(ctx context.Context, tenant int32, user int64) (access.Principal, error) {
	return access.Principal{}, errYet
}
func (s *Service) Caller(ctx context.Context, c CallerOf) (access.Caller, error) {
	return access.Caller{}, errYet
}
func (s *Service) Authenticate(ctx context.Context, c Credentials) (access.Caller, error) {
	return access.Caller{}, errYet
}
func (s *Service) EndSession(ctx context.Context, tenant int32, session int64, why string) error {
	return errYet
}

// EndSessions ends all of a user's sessions but keep (0: none is kept), and those of apps.
func (s *Service) EndSessions(ctx context.Context, tenant int32, user, keep int64, why string) error {
	return errYet
}

// Unlock takes back a lock-out.
func (s *Service) Unlock(ctx context.Context, tenant int32, user int64) error      { return errYet }
func (s *Service) Routes() []api.Route                                             { return nil }
func (s *Service) SetCookies(w http.ResponseWriter, r *http.Request, in *SignedIn) {}
func (s *Service) ClearCookies(w http.ResponseWriter, r *http.Request)             {}
func (s *Service) CreateKey(ctx context.Context, tenant int32, n NewKey) (string, int64, error) {
	return "", 0, errYet
}
func (s *Service) RotateKey(ctx context.Context, tenant int32, id int64, overlap time.Duration) (string, error) {
	return "", errYet
}
func (s *Service) RevokeKey(ctx context.Context, tenant int32, id int64) error { return errYet }

// Key is an API key as it is listed: its secret is not among it.
type Key struct {
	ID                                    int64
	Name, Prefix, Service                 string
	Scopes, Addresses                     []string
	Expires, LastUsed, CreatedAt, Revoked time.Time // zero: never
	CreatedBy                             string
}

func (s *Service) Keys(ctx context.Context, tenant int32) ([]Key, error)        { return nil, errYet }
func (s *Service) HasAdmin(ctx context.Context, tenant int32) (bool, error)     { return false, errYet }
func (s *Service) SetupToken(ctx context.Context, tenant int32) (string, error) { return "", errYet }
func Tables() []record.Table                                                    { return nil }

// For the flows of this package:

// refresh forgets, in this process, all that was remembered of a user's credentials. Call it after a change of what the user may do.
func (s *Service) forgetUser(tenant int32, user int64) {}

// setMFA says in a transaction whether the user has a second factor. Call forgetUser after it.
func (s *Service) setMFA(ctx context.Context, tx sqldb.Tx, tenant int32, user int64, on bool) error {
	return errYet
}

// checkPasswordRules says why a password may not be a user's.
func (s *Service) checkPasswordRules(password string, u *User) error { return errYet }

// mayManage says why the caller may not change the user: nobody manages somebody who may do more.
func (s *Service) mayManage(ctx context.Context, u *User) error { return errYet }

// userJSON is a user as the product API tells of one.
func userJSON(u *User) map[string]any { return nil }

// signedInJSON is what sign-in answers, bare.
func signedInJSON(in *SignedIn) map[string]any { return nil }
