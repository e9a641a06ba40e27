package passkey

import (
	"context"
	"embed"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Users is what this package asks of those who keep the people; *identity.Service is it.
type Users interface {
	// User returns a user; NotFound where there is none.
	User(ctx context.Context, tenant int32, id int64) (*identity.User, error)
	// Begin begins a session of a user who proved by "how" who they are. Forbidden where they are locked or inactive.
	Begin(ctx context.Context, tenant int32, user int64, how string, remember bool, address, agent string) (*identity.SignedIn, error)
}

// Options are what a Service stands on. Ledger, Users, Origins and Complete are required.
type Options struct {
	Ledger *record.Ledger
	Users  Users
	Clock  clock.Clock // nil: the machine's

	Origins []string // of the pages that people sign in at, the first is the product's own: "https://clinic.example"
	RPID    string   // the domain that credentials are bound to; "": the host of the first origin
	Name    string   // what devices show; "": "Nilecare"

	// Complete answers the sign-in: it sets the session's cookies and sends the tokens.
	Complete func(w http.ResponseWriter, r *http.Request, in *identity.SignedIn) error
}

// Service registers passkeys and signs in by them. It is safe for concurrent use.
type Service struct {
	o      Options
	ledger *record.Ledger
	now    clock.Clock
	rp     *webauthn.WebAuthn
}

//go:embed migration
var migrations embed.FS

// Module is the name that the package's tables are migrated under.
const Module = "passkey"

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

const (
	challengeLife = 5 * time.Minute
	maxPasskeys   = 20 // of one user
	maxName       = 80 // runes
)

// New brings the tables forward and returns the service.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Ledger == nil || o.Users == nil || len(o.Origins) == 0 || o.Complete == nil {
		return nil, fault.New(fault.Internal, "passkey: ledger, users, origins and complete are required")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Name == "" {
		o.Name = "Nilecare"
	}
	if o.RPID == "" {
		u, err := url.Parse(o.Origins[0])
		if err != nil || u.Hostname() == "" {
			return nil, fault.New(fault.Internal, "passkey: the first origin is no URL with a host")
		}
		o.RPID = u.Hostname()
	}
	rp, err := webauthn.New(&webauthn.Config{RPID: o.RPID, RPDisplayName: o.Name, RPOrigins: o.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{ResidentKey: protocol.ResidentKeyRequirementRequired,
			RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired},
		Timeouts: webauthn.TimeoutsConfig{Login: webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife},
			Registration: webauthn.TimeoutConfig{Timeout: challengeLife, TimeoutUVD: challengeLife}}})
	if err != nil {
		return nil, fault.New(fault.Internal, "passkey: the relying party's id or an origin is not valid").Because(err)
	}
	if err := o.Ledger.Migrate(ctx, Module, Migrations()); err != nil {
		return nil, err
	}
	return &Service{o: o, ledger: o.Ledger, now: o.Clock, rp: rp}, nil
}

// Tables are the tables that a backup keeps. Challenges live for minutes and are not among them.
func Tables() []record.Table {
	return []record.Table{{Name: "passkey_credential", Columns: []string{"tenant", "num", "hash", "subject", "body", "counter", "used_at",
		"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}}}
}

func (s *Service) entry(ctx context.Context, tenant int32, kind audit.Kind, action string, user int64, detail string) audit.Entry {
	c := access.From(ctx)
	return audit.Entry{Tenant: tenant, Kind: kind, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session,
		Purpose: c.Purpose, Address: c.Address, Request: c.RequestID, Type: "User", Num: user, Detail: detail}
}
