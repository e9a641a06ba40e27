// Package identity keeps the people and programs that use a tenant: users, roles, sessions, API keys and service accounts. It says who
// calls ([Service.Authenticate]) and what they may do (by package access).
//
// Contact data stands sealed in the database, secrets as hashes alone: passwords by argon2id, all others, which are random, by SHA-256.
package identity

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Module is the name that the package's tables are migrated under.
const Module = "identity"

//go:embed migration
var migrations embed.FS

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// The states of a user.
const (
	Active    = "active"
	Inactive  = "inactive"
	Suspended = "suspended"
	Invited   = "invited" // there is no password yet
)

// How a session began. With a second factor by "mfa" and "passkey"; "password" asks for one where the user has one.
const (
	ByPassword = "password"
	ByMFA      = "mfa" // a password and a second factor
	ByPasskey  = "passkey"
	ByExternal = "federation"
	BySetup    = "setup"
)

// User is a person with an account in a tenant.
type User struct {
	ID                                                  int64
	Tenant                                              int32
	Email, Username, FirstName, LastName, Phone, Locale string
	NationalID                                          string
	Role                                                string   // the first of Roles
	Roles                                               []string // canonical names
	Permissions                                         []string // of all roles, and the user's own
	Status                                              string   // active | inactive | suspended | invited
	OrganizationID, FacilityID, Specialty, Department   string   // the first two are FHIR ids of an Organization and a Location
	FHIRUser                                            string   // "Practitioner/12"
	Patient                                             string   // "Patient/3": the verified link to the user's own record
	Patients                                            []string // "Patient/4" …: of others that the user may act for
	MFAEnabled, EmailVerified                           bool
	LastLogin, CreatedAt, UpdatedAt                     time.Time

	own      []string // permissions beside those of roles
	password string   // its argon2id hash; "": none
	version  int64
}

// Records is what this package asks of the record; *record.Store is it.
type Records interface {
	Search(ctx context.Context, q *search.Query) (*record.Page, error)
	Read(ctx context.Context, typ, id string) (*record.Version, error)
	Write(ctx context.Context, changes []record.Change) ([]record.Outcome, error)
}

// Mailer sends mail at once.
type Mailer interface {
	Send(ctx context.Context, to, subject, text string) error
}

// Texter sends text messages at once. to is a phone number as it stands on the record.
type Texter interface {
	Text(ctx context.Context, to, text string) error
}

// Apps is what the authorization server tells of the apps' sessions; *oauth.Server is it.
type Apps interface {
	// Alive reports whether an app's access token is still good: client_id, sid (0: none) and jti are its claims.
	Alive(ctx context.Context, tenant int32, client string, session int64, jti string) (bool, error)
	// EndSessions ends the sessions of all apps of a user.
	EndSessions(ctx context.Context, tenant int32, user int64, by, why string) error
}

// Settings are the rules of signing in. Zero values are the defaults, which each field names.
type Settings struct {
	Idle, Absolute                 time.Duration // a session ends when it was not used for that long (30 minutes), and at last (12 hours)
	RememberIdle, RememberAbsolute time.Duration // the same for "remember me" (7 and 30 days)
	Sessions                       int           // at once, of one user (5); the one that was used least recently ends
	Failures                       int           // wrong guesses that lock an account (5)
	Lock                           time.Duration // the first lock (30 minutes); each one after it is twice as long, up to a day
	AddressFailures                int           // wrong guesses from one address that make it wait (50)
	Register                       bool          // anybody may make an account by POST /api/v1/auth/register, with the role patient and no record (no)
	RequireMFA                     []string      // roles that must have a second factor: until they have, their users may do nothing but set one up (none)
	BreachedFile                   string        // SHA-1 hashes of breached passwords, as Have I Been Pwned gives them, sorted; "": the built-in list alone
}

// Options are what a Service stands on. Ledger, Tokens, Policies, Issuer and Audience are required.
type Options struct {
	Ledger   *record.Ledger
	Records  Records
	Tokens   token.Signer
	Policies *access.Policies
	Clock    clock.Clock
	Log      *slog.Logger              // nil: no log
	Issuer   func(tenant int32) string // who signs: the authorization server's identifier
	Audience func(tenant int32) string // the tenant's FHIR base, which tokens are for
	Mail     Mailer                    // nil: mail is queued only
	SMS      Texter                    // nil: no code goes to a phone
	CSRF     *web.CSRF                 // nil: GET /api/v1/auth/csrf-token says that there is none
	Settings Settings
}

// hooks are what the flows beside signing in add: second factors, break-glass, tenants. What is nil is not there.
type hooks struct {
	secondFactor func(ctx context.Context, tenant int32, user int64, code string) (bool, error)              // checks, and uses up, a code
	emergency    func(ctx context.Context, tenant int32, user, session int64) (patients []string, err error) // for whom break-glass is active: "Patient/3"
	tenant       func(ctx context.Context, tenant int32) error                                               // why the tenant is not served; nil: it is
	patients     func(ctx context.Context, tenant int32, user int64) (patients []string, err error)          // more records that the user may act for: "Patient/4"
	routes       []func() []api.Route
}

// Service is the identity of all tenants. It is safe for concurrent use.
type Service struct {
	o        Options
	set      Settings
	ledger   *record.Ledger
	now      clock.Clock
	log      *slog.Logger
	hooks    hooks
	tenants  tenantStates
	apps     Apps
	cache    *cache
	hasher   *hasher
	breached *breached
	turns    turns
	rolesMu  sync.Mutex
	roleSets map[int32]*roleSet
}

// New brings the tables forward and returns the service.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Ledger == nil || o.Tokens == nil || o.Policies == nil || o.Issuer == nil || o.Audience == nil {
		return nil, fault.New(fault.Internal, "identity: ledger, tokens, policies, issuer and audience are required")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := o.Ledger.Migrate(ctx, Module, Migrations()); err != nil {
		return nil, err
	}
	s := &Service{o: o, set: o.Settings.withDefaults(), ledger: o.Ledger, now: o.Clock, log: o.Log, cache: newCache(), roleSets: map[int32]*roleSet{}}
	var err error
	if s.hasher, err = newHasher(); err != nil {
		return nil, err
	}
	if s.breached, err = openBreached(s.set.BreachedFile); err != nil {
		return nil, err
	}
	return s, s.joinFlows(ctx)
}

// UseApps tells of whom to ask for the apps' sessions; call it before the first request. Until then no app's token is taken.
func (s *Service) UseApps(a Apps) { s.apps = a }

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

func (s Settings) withDefaults() Settings {
	const day = 24 * time.Hour
	s.Idle, s.Absolute = or(s.Idle, 30*time.Minute), or(s.Absolute, 12*time.Hour)
	s.RememberIdle, s.RememberAbsolute = or(s.RememberIdle, 7*day), or(s.RememberAbsolute, 30*day)
	s.Sessions, s.Failures, s.AddressFailures = or(s.Sessions, 5), or(s.Failures, 5), or(s.AddressFailures, 50)
	s.Lock = or(s.Lock, 30*time.Minute)
	return s
}
