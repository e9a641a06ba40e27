package passkey

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// person is a user as WebAuthn sees them.
type person struct {
	handle  []byte
	name    string
	display string
	keys    []webauthn.Credential
}

func (p *person) WebAuthnID() []byte                         { return p.handle }
func (p *person) WebAuthnName() string                       { return p.name }
func (p *person) WebAuthnDisplayName() string                { return p.display }
func (p *person) WebAuthnCredentials() []webauthn.Credential { return p.keys }

// handle is the user handle: tenant and number. It says nothing of the person (WebAuthn section 14.6.1).
func handle(tenant int32, user int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(tenant)), uint64(user))
}

// userOf reads a handle of this tenant.
func userOf(tenant int32, handle []byte) (int64, bool) {
	if len(handle) != 12 || int32(binary.BigEndian.Uint32(handle)) != tenant {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(handle[4:])), true
}

func (s *Service) person(tenant int32, u *identity.User, keys []*passkey) *person {
	p := &person{handle: handle(tenant, u.ID), name: u.Email, display: strings.TrimSpace(u.FirstName + " " + u.LastName)}
	if p.name == "" {
		p.name = u.Username
	}
	if p.display == "" {
		p.display = p.name
	}
	for _, k := range keys {
		p.keys = append(p.keys, k.body.Credential)
	}
	return p
}

// BeginRegistration returns the options that a page hands to navigator.credentials.create, with a challenge for five minutes.
func (s *Service) BeginRegistration(ctx context.Context, tenant int32, user int64) (*protocol.CredentialCreation, error) {
	u, err := s.o.Users.User(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	keys, err := s.ofUser(ctx, tenant, user)
	if err != nil {
		return nil, err
	}
	if len(keys) >= maxPasskeys {
		return nil, fault.New(fault.Conflict, "there are %d passkeys already: delete one first", len(keys))
	}
	p := s.person(tenant, u, keys)
	options, begun, err := s.rp.BeginRegistration(p, webauthn.WithExclusions(webauthn.Credentials(p.keys).CredentialDescriptors()))
	if err != nil {
		return nil, err
	}
	return options, s.remember(ctx, tenant, toRegister, user, begun)
}

// FinishRegistration keeps the passkey that an authenticator made (a PublicKeyCredential in JSON) and returns its number. Unauthenticated
// for a challenge that is not open for this user; Invalid for an answer that WebAuthn refuses; Conflict for a passkey that is known.
func (s *Service) FinishRegistration(ctx context.Context, tenant int32, user int64, who, name string, answer []byte) (int64, error) {
	if name = strings.TrimSpace(name); name == "" {
		name = "Passkey"
	}
	if err := validName(name); err != nil {
		return 0, err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return 0, invalid(err)
	}
	begun, err := s.take(ctx, tenant, toRegister, user, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return 0, err
	}
	u, err := s.o.Users.User(ctx, tenant, user)
	if err != nil {
		return 0, err
	}
	made, err := s.rp.CreateCredential(s.person(tenant, u, nil), *begun, parsed)
	if err != nil {
		return 0, invalid(err)
	}
	made.Attestation = webauthn.CredentialAttestation{} // who made the authenticator is not asked, and not kept
	num, err := s.insert(ctx, tenant, user, who, body{Name: name, Credential: *made})
	if err != nil {
		return 0, err
	}
	s.ledger.Note(s.entry(ctx, tenant, audit.Session, "passkey-register", user, "a passkey was registered"))
	return num, nil
}

func validName(name string) error {
	if !utf8.ValidString(name) || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return fault.At(fault.Invalid, "name", "must be plain text of at most %d characters", maxName)
	}
	return nil
}

// invalid tells what WebAuthn found wrong, without what the client sent.
func invalid(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fault.New(fault.Invalid, "the passkey's answer is not valid (%s)", e.Type).Because(err)
	}
	return fault.New(fault.Invalid, "the passkey's answer is not valid").Because(err)
}
