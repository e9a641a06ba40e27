package identity

import (
	"context"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/token"
)

// mfaType is the typ of the token that proves a first factor. No other kind of token is taken for it, nor it for another.
const (
	mfaType = "mfa+jwt"
	mfaLife = 5 * time.Minute
)

func errWrong() error {
	return fault.New(fault.Unauthenticated, "the e-mail address or the password is wrong").WithCode("AUTHENTICATION_FAILED")
}

// guess is a try at an account that is counted where it is wrong.
type guess struct {
	tenant           int32
	email            string
	account, address []byte
	from             string
}

func (s *Service) newGuess(ctx context.Context, tenant int32, email, from string) (g *guess, err error) {
	g = &guess{tenant: tenant, email: email, from: from}
	if g.account, err = s.account(ctx, tenant, email); err == nil && from != "" {
		g.address, err = s.addressOf(ctx, tenant, from)
	}
	return g, err
}

// try asks check in the account's turn, unless it is locked, and counts the answer. last says that a right answer ends the sign-in: only then
// are wrong ones forgotten, so that whoever knows the password cannot guess at codes for ever.
func (s *Service) try(ctx context.Context, g *guess, user int64, what string, last bool, check func() (bool, error)) (bool, error) {
	done, err := s.turns.take(ctx, strconv.Itoa(int(g.tenant))+string(g.account))
	if err != nil {
		return false, err
	}
	defer done()
	if err := s.mayTry(ctx, g.tenant, g.account, g.address); err != nil {
		s.session(ctx, g.tenant, "login", audit.Minor, 0, 0, g.from, "refused: locked, or too many tries")
		return false, err
	}
	ok, err := check()
	if err != nil {
		return false, err
	}
	if ok && !last {
		return true, nil
	}
	if ok {
		return true, s.right(ctx, g.tenant, g.account)
	}
	locked, err := s.wrong(ctx, g.tenant, g.account, g.address)
	if err != nil {
		return false, err
	}
	e := entry(ctx, g.tenant, audit.Session, "login", "User", user, what)
	e.Outcome, e.Address = audit.Minor, or(g.from, e.Address)
	s.ledger.Note(e)
	if locked {
		s.security(ctx, g.tenant, "lock-out", "medium", user, g.from, "wrong guesses locked an account")
	}
	return false, nil
}

// Prove checks a password alone, and begins no session: for whoever keeps sessions of his own. Where the user has a second factor, challenge is
// not "": the first argument of ProveCode. It fails as [Service.SignIn] does.
func (s *Service) Prove(ctx context.Context, a SignIn) (u *User, challenge string, err error) {
	if len(a.Password) > 4*MaxPassword || len(a.Email) > 254 {
		return nil, "", errWrong()
	}
	if u, err = s.ByEmail(ctx, a.Tenant, a.Email); err != nil && !fault.Is(err, fault.NotFound) {
		return nil, "", err
	}
	hash, id := "", int64(0)
	if u != nil {
		hash, id = u.password, u.ID
	}
	g, err := s.newGuess(ctx, a.Tenant, a.Email, a.Address)
	if err != nil {
		return nil, "", err
	}
	browser, err := s.browserOf(ctx, a.Tenant, id, a.Browser) // nobody's browser is asked for too: the work is the same
	if err == nil {
		err = s.fromBrowser(ctx, g, u, browser)
	}
	if err != nil {
		return nil, "", err
	}
	ok, err := s.try(ctx, g, id, "wrong password, or nobody's address", u == nil || !u.MFAEnabled, func() (bool, error) {
		return s.hasher.verify(ctx, normal(a.Password), hash)
	})
	if err != nil {
		return nil, "", err
	}
	if !ok {
		return nil, "", errWrong()
	}
	if err := s.mayEnter(ctx, u, a.Address); err != nil || !u.MFAEnabled {
		return u, "", err
	}
	challenge, err = s.challenge(ctx, u, a.Remember, browser)
	return u, challenge, err
}

// ProveCode ends what Prove began: the user, and whether he is to be remembered.
func (s *Service) ProveCode(ctx context.Context, tenant int32, challenge, code, address string) (*User, bool, error) {
	u, remember, browser, err := s.challenged(ctx, tenant, challenge)
	if err != nil {
		return nil, false, err
	}
	if err := s.checkCode(ctx, tenant, u.ID, code, address, browser); err != nil {
		return nil, false, err
	}
	return u, remember, s.mayEnter(ctx, u, address)
}

// SignIn checks a password, and where the user has a second factor asks for its code. Unauthenticated where address, password or code are
// wrong, and nobody is told which; Forbidden with the code [web.Locked] after too many wrong guesses, with PERMISSION_DENIED where the
// password was right and the account is not active; TooMany where too much is tried at once.
func (s *Service) SignIn(ctx context.Context, a SignIn) (*SignedIn, error) {
	u, challenge, err := s.Prove(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case challenge == "":
		return s.Begin(ctx, a.Tenant, u.ID, ByPassword, a.Remember, a.Address, a.Agent)
	case a.Code == "":
		return &SignedIn{User: User{ID: u.ID, Tenant: a.Tenant}, NeedsMFA: true, MFAToken: challenge, Remember: a.Remember}, nil
	}
	return s.SecondFactor(ctx, a.Tenant, challenge, a.Code, a.Address, a.Agent)
}

// CheckPassword says whether it is the user's password: nil, or Unauthenticated; wrong guesses count as those of signing in.
func (s *Service) CheckPassword(ctx context.Context, tenant int32, id int64, password string) error {
	u, err := s.User(ctx, tenant, id)
	if err != nil {
		return err
	}
	g, err := s.newGuess(ctx, tenant, u.Email, access.From(ctx).Address)
	if err != nil {
		return err
	}
	ok, err := s.try(ctx, g, id, "wrong password", !u.MFAEnabled, func() (bool, error) { return s.hasher.verify(ctx, normal(password), u.password) })
	if err == nil && !ok {
		err = fault.At(fault.Unauthenticated, "currentPassword", "the password is wrong").WithCode("AUTHENTICATION_FAILED")
	}
	return err
}

// CheckCode says whether it is a code of the user's second factor, and uses it up: nil, or Unauthenticated; wrong guesses count.
func (s *Service) CheckCode(ctx context.Context, tenant int32, id int64, code, address string) error {
	return s.checkCode(ctx, tenant, id, code, address, "")
}

func (s *Service) checkCode(ctx context.Context, tenant int32, id int64, code, address, browser string) error {
	u, err := s.User(ctx, tenant, id)
	if err != nil {
		return err
	}
	g, err := s.newGuess(ctx, tenant, u.Email, address)
	if err == nil {
		err = s.fromBrowser(ctx, g, u, browser)
	}
	if err != nil {
		return err
	}
	ok, err := s.try(ctx, g, id, "wrong code of the second factor", true, func() (bool, error) {
		if s.hooks.secondFactor == nil {
			return false, nil
		}
		return s.hooks.secondFactor(ctx, tenant, id, code)
	})
	if err == nil && !ok {
		err = fault.New(fault.Unauthenticated, "the code is wrong or too old").WithCode("AUTHENTICATION_FAILED")
	}
	return err
}

// challenge proves the first factor to SecondFactor, and that it came from a browser that is known; "": from none.
func (s *Service) challenge(ctx context.Context, u *User, remember bool, browser string) (string, error) {
	now := s.now()
	return s.o.Tokens.Sign(ctx, u.Tenant, "ES256", mfaType, token.Claims{Issuer: s.o.Issuer(u.Tenant), Subject: strconv.FormatInt(u.ID, 10),
		Audience: []string{s.o.Issuer(u.Tenant)}, ID: secret("")[:22], Issued: now, Expires: now.Add(mfaLife),
		Extra: map[string]any{"remember": remember, "version": strconv.FormatInt(u.version, 10), "browser": browser}})
}

// Challenged returns the user whose first factor the token proves, and whether he is to be remembered. Unauthenticated where it is not
// valid, too old, or from before a change of the user.
func (s *Service) Challenged(ctx context.Context, tenant int32, raw string) (*User, bool, error) {
	u, remember, _, err := s.challenged(ctx, tenant, raw)
	return u, remember, err
}

func (s *Service) challenged(ctx context.Context, tenant int32, raw string) (u *User, remember bool, browser string, err error) {
	old := fault.New(fault.Unauthenticated, "this sign-in is over: begin again").WithCode("EXPIRED")
	claims, err := s.o.Tokens.Verify(ctx, tenant, raw, token.Want{Issuer: s.o.Issuer(tenant), Audience: s.o.Issuer(tenant), Type: mfaType})
	if fault.Is(err, fault.Unauthenticated) {
		return nil, false, "", old
	}
	if err != nil {
		return nil, false, "", err
	}
	id, err := strconv.ParseInt(claims.Subject, 10, 64)
	if err != nil {
		return nil, false, "", old
	}
	u, err = s.User(ctx, tenant, id)
	if fault.Is(err, fault.NotFound) || err == nil && claims.Extra["version"] != strconv.FormatInt(u.version, 10) {
		return nil, false, "", old
	}
	if err != nil {
		return nil, false, "", err
	}
	remember, _ = claims.Extra["remember"].(bool)
	browser, _ = claims.Extra["browser"].(string)
	return u, remember, browser, nil
}

// SecondFactor ends a sign-in that asked for one: raw is [SignedIn].MFAToken.
func (s *Service) SecondFactor(ctx context.Context, tenant int32, raw, code, address, agent string) (*SignedIn, error) {
	u, remember, err := s.ProveCode(ctx, tenant, raw, code, address)
	if err != nil {
		return nil, err
	}
	return s.Begin(ctx, tenant, u.ID, ByMFA, remember, address, agent)
}
