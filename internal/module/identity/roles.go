package identity

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Role is a role of a tenant.
type Role struct {
	Name, Description    string
	Permissions          []string
	System               bool
	CreatedAt, UpdatedAt time.Time // zero for those that came with the program
}

// roleSet is what a process knows of a tenant's roles. It is never changed.
type roleSet struct {
	read   time.Time
	list   []Role
	byName map[string]*Role
}

// permissions are those of the roles and more, each once, sorted.
func (r *roleSet) permissions(roles, more []string) []string {
	out := slices.Clone(more)
	for _, name := range roles {
		if role := r.byName[name]; role != nil {
			out = append(out, role.Permissions...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// roles returns the tenant's roles: those of the program, then the tenant's own by name.
func (s *Service) roles(ctx context.Context, tenant int32) (*roleSet, error) {
	now := s.now()
	s.rolesMu.Lock()
	set := s.roleSets[tenant]
	change := s.cache.changes.Load()
	s.rolesMu.Unlock()
	if set != nil && now.Sub(set.read) < lifeOfCached && !now.Before(set.read) {
		return set, nil
	}
	set = &roleSet{read: now, byName: map[string]*Role{}}
	for _, r := range access.DefaultRoles() {
		set.list = append(set.list, Role{Name: r.Name, Description: r.Description, Permissions: r.Permissions, System: true})
	}
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		set.list = set.list[:len(access.DefaultRoles())]
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var r Role
			var permissions string
			var created, updated int64
			if err := rows.Scan(&r.Name, &r.Description, &permissions, &created, &updated); err != nil {
				return err
			}
			r.CreatedAt, r.UpdatedAt = at(created), at(updated)
			set.list = append(set.list, r)
			return json.Unmarshal([]byte(permissions), &set.list[len(set.list)-1].Permissions)
		}, "SELECT name, description, permissions, created_at, updated_at FROM identity_role WHERE tenant = $1 AND deleted_at = 0 ORDER BY name", tenant)
	})
	if err != nil {
		return nil, err
	}
	for i := range set.list {
		set.byName[set.list[i].Name] = &set.list[i]
	}
	s.rolesMu.Lock()
	defer s.rolesMu.Unlock()
	if s.cache.changes.Load() == change {
		s.roleSets[tenant] = set
	}
	return set, nil
}

// Roles lists the tenant's roles.
func (s *Service) Roles(ctx context.Context, tenant int32) ([]Role, error) {
	set, err := s.roles(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return set.list, nil
}

// Role returns one role; NotFound where there is none.
func (s *Service) Role(ctx context.Context, tenant int32, name string) (*Role, error) {
	set, err := s.roles(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if r := set.byName[access.CanonicalRole(name)]; r != nil {
		return r, nil
	}
	return nil, fault.New(fault.NotFound, "there is no such role")
}

var (
	roleForm       = regexp.MustCompile(`^[a-z][a-z0-9_-]{1,49}$`)
	permissionForm = regexp.MustCompile(`^(\*|[a-z][a-z-]{0,39}:(\*|[a-z][a-z-]{0,39}))$`)
)

// maxPermissions bounds the permissions of a role, and a user's own.
const maxPermissions = 200

// mayGrant says why the caller may not give permissions: nobody gives what he does not hold himself.
func mayGrant(ctx context.Context, permissions []string) error {
	c := access.From(ctx)
	for _, p := range permissions {
		if !c.Permits(p) {
			return fault.New(fault.Forbidden, "you cannot give the permission %s, which you do not hold", p).WithCode("PERMISSION_DENIED")
		}
	}
	return nil
}

func checkPermissions(list []string) ([]string, error) {
	if len(list) > maxPermissions {
		return nil, fault.At(fault.Invalid, "permissions", "there are more than %d", maxPermissions)
	}
	out := []string{}
	for _, p := range list {
		if !permissionForm.MatchString(p) {
			return nil, fault.At(fault.Invalid, "permissions", "a permission is such as patients:read or patients:*, in lower case").WithCode("value")
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// CreateRole makes a role of the tenant's own. Conflict where the name is taken, also as another name of one of the program's roles.
func (s *Service) CreateRole(ctx context.Context, tenant int32, name, description string, permissions []string) (*Role, error) {
	name = strings.TrimSpace(name)
	if !roleForm.MatchString(name) {
		return nil, fault.At(fault.Invalid, "name", "a role's name has 2 to 50 lower-case letters, digits, _ and -, and begins with a letter").WithCode("value")
	}
	if len(description) > 500 {
		return nil, fault.At(fault.Invalid, "description", "it is longer than 500 bytes").WithCode("value")
	}
	permissions, err := checkPermissions(permissions)
	if err != nil {
		return nil, err
	}
	if err := mayGrant(ctx, permissions); err != nil {
		return nil, err
	}
	taken := fault.At(fault.Conflict, "name", "there is a role of this name")
	if set, err := s.roles(ctx, tenant); err != nil {
		return nil, err
	} else if c := access.CanonicalRole(name); c != name || set.byName[c] != nil {
		return nil, taken
	}
	text, err := json.Marshal(permissions)
	if err != nil {
		return nil, err
	}
	now := s.now().UnixMicro()
	made := int64(0)
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
		made, err = tx.Exec(ctx, `INSERT INTO identity_role (tenant, name, description, permissions, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $5, $6, 0) ON CONFLICT (tenant, name) DO UPDATE SET description = EXCLUDED.description,
			permissions = EXCLUDED.permissions, updated_by = EXCLUDED.updated_by, updated_at = EXCLUDED.updated_at, deleted_at = 0
			WHERE identity_role.deleted_at <> 0`, tenant, name, description, string(text), by(ctx), now)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.Forget(tenant)
	if made == 0 {
		return nil, taken
	}
	s.admin(ctx, tenant, "create", "Role", 0, "role "+name+": "+strings.Join(permissions, " "))
	return s.Role(ctx, tenant, name)
}

// own returns a role that the tenant may change.
func (s *Service) ownRole(ctx context.Context, tenant int32, name string) (*Role, error) {
	r, err := s.Role(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	if r.System {
		return nil, fault.New(fault.Forbidden, "the role came with the program and cannot be changed or deleted")
	}
	// Who takes permissions away, or changes what others do, holds them too.
	return r, mayGrant(ctx, r.Permissions)
}

// UpdateRole changes a role of the tenant's own; nil stays as it is.
func (s *Service) UpdateRole(ctx context.Context, tenant int32, name string, description *string, permissions *[]string) (*Role, error) {
	r, err := s.ownRole(ctx, tenant, name)
	if err != nil {
		return nil, err
	}
	text, list := r.Description, r.Permissions
	if description != nil {
		if text = *description; len(text) > 500 {
			return nil, fault.At(fault.Invalid, "description", "it is longer than 500 bytes").WithCode("value")
		}
	}
	if permissions != nil {
		if list, err = checkPermissions(*permissions); err != nil {
			return nil, err
		}
		if err := mayGrant(ctx, list); err != nil {
			return nil, err
		}
	}
	coded, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE identity_role SET description = $3, permissions = $4, updated_by = $5, updated_at = $6
			WHERE tenant = $1 AND name = $2 AND deleted_at = 0`, tenant, r.Name, text, string(coded), by(ctx), s.now().UnixMicro())
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "there is no such role")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.Forget(tenant)
	s.admin(ctx, tenant, "update", "Role", 0, "role "+r.Name+": "+strings.Join(list, " "))
	return s.Role(ctx, tenant, r.Name)
}

// DeleteRole deletes a role of the tenant's own. Conflict while somebody has it.
func (s *Service) DeleteRole(ctx context.Context, tenant int32, name string) error {
	r, err := s.ownRole(ctx, tenant, name)
	if err != nil {
		return err
	}
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		var n int64
		if _, err := sqldb.QueryRow(ctx, tx, []any{&n}, `SELECT count(*) FROM identity_user WHERE tenant = $1 AND deleted_at = 0 AND roles LIKE $2 ESCAPE '!'`,
			tenant, "%"+likeRole(r.Name)+"%"); err != nil {
			return err
		}
		if n > 0 {
			return fault.New(fault.Conflict, "%d users have this role", n)
		}
		now := s.now().UnixMicro()
		_, err := tx.Exec(ctx, "UPDATE identity_role SET deleted_at = $3, updated_at = $3, updated_by = $4 WHERE tenant = $1 AND name = $2 AND deleted_at = 0",
			tenant, r.Name, now, by(ctx))
		return err
	})
	if err != nil {
		return err
	}
	s.Forget(tenant)
	s.admin(ctx, tenant, "delete", "Role", 0, "role "+r.Name)
	return nil
}
