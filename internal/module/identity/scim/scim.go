package scim

import (
	"context"
	"embed"
	"io/fs"
	"net/http"
	"slices"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Directory is what this package asks of those who keep users and roles; *identity.Service is it. Each verb checks what the caller of ctx may do.
type Directory interface {
	User(ctx context.Context, tenant int32, id int64) (*identity.User, error)
	ByEmail(ctx context.Context, tenant int32, email string) (*identity.User, error)
	Find(ctx context.Context, tenant int32, f identity.Filter) ([]identity.User, int, error)
	Create(ctx context.Context, tenant int32, n identity.NewUser) (*identity.User, error)
	Update(ctx context.Context, tenant int32, id int64, c identity.Change) (*identity.User, error)
	Delete(ctx context.Context, tenant int32, id int64) error
	Roles(ctx context.Context, tenant int32) ([]identity.Role, error)
	CreateRole(ctx context.Context, tenant int32, name, description string, permissions []string) (*identity.Role, error)
	DeleteRole(ctx context.Context, tenant int32, name string) error
}

// Options are what a Service stands on. Ledger, Directory and Base are required.
type Options struct {
	Ledger      *record.Ledger
	Directory   Directory
	Clock       clock.Clock               // nil: the machine's
	Base        func(tenant int32) string // what a tenant's public addresses begin with: "https://clinic.example"
	DefaultRole string                    // of a user who is in no group; "": patient, who has no record linked and so sees nobody's
	// Roles may be given and taken by whoever holds users:write, although they may do more than he: the operator trusts the directory with them.
	// All others are given by callers who may do themselves what the role may.
	Roles   []string
	Deleted func(ctx context.Context, tenant int32, user int64) error // told of each user that was deleted; nil: nobody is
}

// Service is the SCIM service of all tenants. It is safe for concurrent use.
type Service struct {
	o             Options
	ledger        *record.Ledger
	now           clock.Clock
	users, groups *kind
	trusted       []string
	mux           *http.ServeMux
}

//go:embed migration
var migrations embed.FS

// Module is the name that the package's tables are migrated under.
const Module = "scim"

// Migrations are the package's tables, by engine, for [record.Ledger.Migrate].
func Migrations() fs.FS { return sqldb.Migrations(migrations) }

// The bounds of requests.
const (
	maxBody      = 1 << 20 // bytes
	maxBulk      = 200     // operations
	maxCount     = 200     // resources of a page
	defaultCount = 100
	maxScanned   = 20_000 // users that a filter without an index looks at
	maxMembers   = 20_000
)

// New brings the table forward and returns the service.
func New(ctx context.Context, o Options) (*Service, error) {
	if o.Ledger == nil || o.Directory == nil || o.Base == nil {
		return nil, fault.New(fault.Internal, "scim: ledger, directory and base are required")
	}
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.DefaultRole == "" {
		o.DefaultRole = "patient"
	}
	if err := o.Ledger.Migrate(ctx, Module, Migrations()); err != nil {
		return nil, err
	}
	s := &Service{o: o, ledger: o.Ledger, now: o.Clock, users: userKind(), groups: groupKind(), trusted: append([]string{o.DefaultRole}, o.Roles...)}
	s.mux = s.routes()
	return s, nil
}

// Handler serves /scim/v2. The edge has put the caller into the request's context; errors are SCIM's own.
func (s *Service) Handler() http.Handler { return s.mux }

// Tables are the tables that a backup keeps.
func Tables() []record.Table {
	return []record.Table{{Name: "scim_resource", Columns: []string{"tenant", "kind", "id", "external", "name", "body",
		"created_by", "created_at", "updated_by", "updated_at", "deleted_at"}}}
}

// as returns ctx for a change of a user (nil: one who is made) who has or will have these roles. Where all are trusted, or permit nothing, and
// the user may do no more than they, the change is the service's own, made on the caller's behalf and told so in the audit; else the
// caller must be allowed to make it.
func (s *Service) as(ctx context.Context, tenant int32, u *identity.User, names ...string) (context.Context, error) {
	roles, err := s.o.Directory.Roles(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range names {
		i := slices.IndexFunc(roles, func(r identity.Role) bool { return r.Name == name })
		if i < 0 || len(roles[i].Permissions) > 0 && !slices.Contains(s.trusted, name) {
			return ctx, nil
		}
		all = append(all, roles[i].Permissions...)
	}
	if u != nil && slices.ContainsFunc(u.Permissions, func(p string) bool { return !slices.Contains(all, p) }) {
		return ctx, nil
	}
	c := access.From(ctx)
	c.Grant = access.Everything()
	return access.With(ctx, c), nil
}

func (s *Service) base(tenant int32) string { return s.o.Base(tenant) + "/scim/v2" }
