package federation

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

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
	// Provision returns the user whom a provider vouches for, and makes one where there is none and create says so.
	Provision(ctx context.Context, tenant int32, e identity.External, create bool) (*identity.User, error)
	// Begin begins a session of a user who proved by "how" who they are. Forbidden where they are locked or inactive.
	Begin(ctx context.Context, tenant int32, user int64, how string, remember bool, address, agent string) (*identity.SignedIn, error)
}

// Options are what a Service stands on. Ledger, Users, Base and Complete are required.
type Options struct {
	Ledger *record.Ledger
	Users  Users
	Clock  clock.Clock  // nil: the machine's
	Log    *slog.Logger // nil: no log

	Base       func(tenant int32) string // what a tenant's public addresses begin with, without a slash at the end: "https://clinic.example"
	Returns    []string                  // absolute addresses that a browser may be led to after signing in, beside our own paths
	SignInPage string                    // the path that a browser is led to when a sign-in failed, with ?error=; "": the error itself is answered

	// Privileged reports a role that only a rule marked as such may give. nil: [PrivilegedRole].
	Privileged func(role string) bool
	// Complete ends the sign-in: it sets the session's cookies, asks for a second factor where one is needed, and leads to returnTo.
	Complete func(w http.ResponseWriter, r *http.Request, in *identity.SignedIn, returnTo string) error
}

// Service signs in by other providers. It is safe for concurrent use.
type Service struct {
	o      Options
	ledger *record.Ledger
	now    clock.Clock
	log    *slog.Logger
	client *http.Client
	known  *cache
}

//go:embed migration
var migrations embed.FS

// Module is the name that the package's tables are migrated under.
const Module = "federation"

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

const (
	flowLife   = 10 * time.Minute
	ticketLife = 2 * time.Minute
)

// New brings the tables forward and returns the service.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Ledger == nil || o.Users == nil || o.Base == nil || o.Complete == nil {
		return nil, fault.New(fault.Internal, "federation: ledger, users, base and complete are required")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Privileged == nil {
		o.Privileged = PrivilegedRole
	}
	if err := o.Ledger.Migrate(ctx, Module, Migrations()); err != nil {
		return nil, err
	}
	return &Service{o: o, ledger: o.Ledger, now: o.Clock, log: o.Log, client: boundedClient(), known: newCache()}, nil
}

// Tables are the tables that a backup keeps. What lives for minutes alone is not among them.
func Tables() []record.Table {
	return []record.Table{{Name: "federation_provider", Columns: []string{"tenant", "id", "kind", "name", "enabled", "config", "secret",
		"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}}}
}

// PrivilegedRole reports the program's own roles that rule over users or do everything.
func PrivilegedRole(role string) bool {
	name := access.CanonicalRole(role)
	if name == "service" {
		return true
	}
	for _, r := range access.DefaultRoles() {
		if r.Name == name {
			return slices.ContainsFunc(r.Permissions, func(p string) bool {
				return p == access.AllPermissions || p == "users:*" || p == "roles:*" || strings.HasPrefix(p, "users:w")
			})
		}
	}
	return false
}

func (s *Service) entry(ctx context.Context, tenant int32, kind audit.Kind, action, detail string) audit.Entry {
	c := access.From(ctx)
	return audit.Entry{Tenant: tenant, Kind: kind, Action: action, Who: c.Who, Name: c.Name, Client: c.Client, Session: c.Session,
		Purpose: c.Purpose, Address: c.Address, Request: c.RequestID, Detail: detail}
}
