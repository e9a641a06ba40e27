package passkey

import (
	"context"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// BeginSignIn returns the options that a page hands to navigator.credentials.get: any passkey of this domain that the device knows.
func (s *Service) BeginSignIn(ctx context.Context, tenant int32) (*protocol.CredentialAssertion, error) {
	options, begun, err := s.rp.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, err
	}
	return options, s.remember(ctx, tenant, toSignIn, 0, begun)
}

// refused is all that somebody is told who did not get in.
var refused = fault.New(fault.Unauthenticated, "the passkey was not accepted")

// FinishSignIn begins a session of the user whose passkey signed the challenge (a PublicKeyCredential in JSON). Unauthenticated where
// anything about it is wrong; what, only the audit is told.
func (s *Service) FinishSignIn(ctx context.Context, tenant int32, answer []byte, remember bool, address, agent string) (*identity.SignedIn, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, invalid(err)
	}
	begun, err := s.take(ctx, tenant, toSignIn, 0, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		s.failed(ctx, tenant, 0, "unknown, used or expired challenge")
		return nil, err
	}
	key, credential, err := s.check(ctx, tenant, begun, parsed)
	if err != nil {
		return nil, err
	}
	if key == nil {
		return nil, refused
	}
	forward, err := s.used(ctx, tenant, key, int64(credential.Authenticator.SignCount))
	if err != nil {
		return nil, err
	}
	if credential.Authenticator.CloneWarning || !forward {
		s.cloned(ctx, tenant, key)
		return nil, refused
	}
	return s.o.Users.Begin(ctx, tenant, key.subject, identity.ByPasskey, remember, address, agent)
}

// check holds an answer against its credential; no passkey where it is refused.
func (s *Service) check(ctx context.Context, tenant int32, begun *webauthn.SessionData, parsed *protocol.ParsedCredentialAssertionData) (*passkey, *webauthn.Credential, error) {
	found, err := s.find(ctx, tenant, "hash = $2", hash(parsed.RawID))
	if err != nil {
		return nil, nil, err
	}
	user, ours := userOf(tenant, parsed.Response.UserHandle)
	if len(found) == 0 || !ours || user != found[0].subject {
		s.failed(ctx, tenant, 0, "unknown passkey, or another user's")
		return nil, nil, nil
	}
	key := found[0]
	owner := &person{handle: handle(tenant, key.subject), name: "-", display: "-", keys: []webauthn.Credential{key.body.Credential}}
	_, credential, err := s.rp.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, *begun, parsed)
	if err != nil {
		why := "refused"
		if e, ok := err.(*protocol.Error); ok {
			why = e.Type
		}
		s.failed(ctx, tenant, key.subject, why)
		return nil, nil, nil
	}
	return key, credential, nil
}

func (s *Service) failed(ctx context.Context, tenant int32, user int64, why string) {
	e := s.entry(ctx, tenant, audit.Session, "login", user, "passkey: "+why)
	e.Outcome = audit.Minor
	s.ledger.Note(e)
}

func (s *Service) cloned(ctx context.Context, tenant int32, key *passkey) {
	e := s.entry(ctx, tenant, audit.Security, "passkey-cloned", key.subject, fmt.Sprintf("the counter of passkey %d went back: its key may have been copied", key.num))
	e.Outcome, e.Severity = audit.Serious, "high"
	s.ledger.Note(e)
}
