package oauth

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
)

// User is what this server says of a person.
type User struct {
	ID                  int64
	Name, Given, Family string
	Email               string
	EmailVerified       bool
	Locale              string // "en", "ar"; "" where unknown
	FHIRUser            string // the relative reference of who they are: "Practitioner/1", "Patient/2"; "" for none
}

// Attempt is a try to sign in with a password.
type Attempt struct {
	Tenant          int32
	Email, Password string
	Address, Agent  string // of the browser
}

// SignedIn is what became of a try that was not refused.
type SignedIn struct {
	User      User
	Challenge string   // not "": a second factor is needed, and User is not told yet
	Methods   []string // RFC 8176: "pwd", "otp", "mfa"
}

// Users is what this server asks of those who keep the people.
type Users interface {
	// SignIn checks a password. Unauthenticated where it is wrong or the user unknown; Forbidden where locked or inactive; TooMany
	// where there were too many tries.
	SignIn(ctx context.Context, a Attempt) (SignedIn, error)
	// SecondFactor ends a sign-in with a one-time or recovery code. Unauthenticated where that is wrong or the challenge too old.
	SecondFactor(ctx context.Context, tenant int32, challenge, code, address, agent string) (SignedIn, error)
	// User returns an active user; NotFound where there is none.
	User(ctx context.Context, tenant int32, id int64) (User, error)
	// As returns ctx with the caller that the user is, with all that they may do. mfa says that they signed in with a second factor.
	As(ctx context.Context, tenant int32, id int64, mfa bool) (context.Context, error)
}

// PatientQuery is what the picker looks for; empty fields do not count.
type PatientQuery struct {
	Name, BirthDate, Identifier string
	Limit                       int
}

// Patient is a line of the picker.
type Patient struct {
	ID         string // the FHIR id
	Name       string
	BirthDate  string
	Gender     string
	Identifier string
}

// Patients is what this server asks of the record: always as the caller of ctx, and never more than they may see.
type Patients interface {
	// Search finds patients.
	Search(ctx context.Context, q PatientQuery) ([]Patient, error)
	// Patient reads one; NotFound where there is none for the caller.
	Patient(ctx context.Context, id string) (Patient, error)
	// Encounter returns the id of the patient of an encounter; NotFound where there is none for the caller.
	Encounter(ctx context.Context, id string) (patient string, err error)
}

// Provider is another place to sign in at, shown as a link on the sign-in page.
type Provider struct {
	Name string
	URL  string // a parameter "return" with the way back is added to it
}

// Policy says who may register clients by themselves (RFC 7591).
type Policy string

// The policies.
const (
	Off          Policy = "off"
	InitialToken Policy = "token" // needs an initial access token
	Open         Policy = "open"  // anybody: public clients with patient-facing scopes; with an initial access token all others too
)

// Options are what a server stands on. All but the last group are required.
type Options struct {
	Ledger   *record.Ledger
	Signer   token.Signer
	Users    Users
	Patients Patients
	Base     string // the base URL that everybody knows this program by, without a slash at the end: "https://ehr.example"

	FHIRPath     string // "/fhir/R4" where ""
	Clock        clock.Clock
	Log          *slog.Logger
	Providers    func(ctx context.Context, tenant int32) []Provider
	Registration Policy             // Off where ""
	Ended        func(tenant int32) // told after access that was given out has ended early, so that what was remembered of tokens is forgotten
	Style        string             // an absolute URL of SMART styles, told as smart_style_url; "" for none
	Loopback     bool               // keys of clients may be fetched from loopback addresses, without TLS: for tests and demonstrations
}

// The lives of what this server gives out.
const (
	accessLife   = 15 * time.Minute
	backendLife  = 5 * time.Minute
	idLife       = time.Hour
	codeLife     = time.Minute
	requestLife  = 15 * time.Minute
	loginLife    = 12 * time.Hour
	launchLife   = 5 * time.Minute
	deviceLife   = 10 * time.Minute
	refreshLife  = 90 * 24 * time.Hour // of one that was not used
	sessionLife  = 365 * 24 * time.Hour
	onlineLife   = loginLife
	pollInterval = 5 // seconds between two polls of a device
)

// Server is the authorization server of all tenants. It is safe for concurrent use.
type Server struct {
	o       Options
	ledger  *record.Ledger
	now     func() time.Time
	base    string
	secure  bool
	keys    *keyFetcher
	guesses *guesses
	mux     *http.ServeMux
	pages   map[string]*template.Template
}

//go:embed migration
var migrations embed.FS

// Module is the name that the package's tables are migrated under.
const Module = "oauth"

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// New brings the tables forward and returns the server. It fails where the options are not whole or the database is newer.
func New(ctx context.Context, o Options) (*Server, error) {
	if o.Ledger == nil || o.Signer == nil || o.Users == nil || o.Patients == nil {
		return nil, fmt.Errorf("oauth: the ledger, the signer, the users and the patients are required")
	}
	base, err := url.Parse(o.Base)
	if err != nil || base.Host == "" || (base.Scheme != "https" && base.Scheme != "http") || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("oauth: the base URL must be absolute, http or https, without query and fragment")
	}
	if o.FHIRPath == "" {
		o.FHIRPath = "/fhir/R4"
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Ended == nil {
		o.Ended = func(int32) {}
	}
	if o.Registration == "" {
		o.Registration = Off
	}
	if err := o.Ledger.Migrate(ctx, Module, Migrations()); err != nil {
		return nil, err
	}
	s := &Server{o: o, ledger: o.Ledger, now: o.Clock, base: strings.TrimRight(o.Base, "/"), secure: base.Scheme == "https",
		keys: newKeyFetcher(o.Loopback, o.Clock), guesses: newGuesses(o.Clock)}
	s.pages = map[string]*template.Template{"en": parsePages("en"), "ar": parsePages("ar")}
	s.mux = s.routes()
	return s, nil
}

// Tables are the tables that a backup keeps. What lives for minutes alone is not among them.
func Tables() []record.Table {
	return []record.Table{
		{Name: "oauth_client", Columns: []string{"tenant", "id", "name", "meta", "contacts", "secret", "registration", "origin", "disabled_at",
			"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}},
		{Name: "oauth_session", Columns: []string{"tenant", "num", "client", "subject", "scope", "context", "offline", "login", "auth_at", "expires_at",
			"created_by", "created_at", "updated_by", "updated_at", "deleted_at", "reason"}},
		{Name: "oauth_refresh", Columns: []string{"tenant", "hash", "session", "created_at", "expires_at", "used_at"}},
		{Name: "oauth_consent", Columns: []string{"tenant", "subject", "client", "asked", "granted",
			"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}},
		{Name: "oauth_initial", Columns: []string{"tenant", "hash", "name", "uses", "expires_at",
			"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}},
		{Name: "oauth_revoked", Columns: []string{"tenant", "jti", "expires_at"}},
	}
}

// Issuer is the identifier of a tenant's authorization server (RFC 8414 section 2).
func (s *Server) Issuer(tenant int32) string {
	if tenant == 1 {
		return s.base
	}
	return fmt.Sprintf("%s/t/%d", s.base, tenant)
}

// Audience is the tenant's FHIR base: what apps name in aud, and what access tokens are for.
func (s *Server) Audience(tenant int32) string { return s.Issuer(tenant) + s.o.FHIRPath }

func (s *Server) tokenEndpoint(tenant int32) string { return s.Issuer(tenant) + "/oauth2/token" }

// micro is the time as the tables keep it.
func (s *Server) micro() int64 { return s.now().UnixMicro() }

// tenantOf is the tenant of a request.
func tenantOf(ctx context.Context) int32 { return access.From(ctx).Tenant }

var errNoTenant = fault.New(fault.NotFound, "there is no such tenant")
