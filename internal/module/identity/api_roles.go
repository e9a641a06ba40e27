package identity

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

func (s *Service) roleRoutes() []api.Route {
	read := api.Permission("roles:read")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/roles", Need: read, Summary: "The roles", Out: roleList{}, Serve: s.listRoles},
		{Method: "POST", Path: "/api/v1/roles", Need: api.Permission("roles:create"), Summary: "Make a role", In: roleIn{}, Out: roleOne{}, Serve: s.createRole},
		{Method: "GET", Path: "/api/v1/roles/permissions/me", Need: api.Known(), Summary: "What the caller may do", Serve: s.myPermissions},
		{Method: "POST", Path: "/api/v1/roles/assign", Need: api.Permission("users:update"), Summary: "Give a user a role", In: assignIn{}, Bare: true, Out: doneOut{}, Serve: s.assignRole},
		{Method: "GET", Path: "/api/v1/roles/{role}", Need: read, Summary: "One role, by its name", Out: roleOne{}, Serve: s.readRole},
		{Method: "PATCH", Path: "/api/v1/roles/{role}", Need: api.Permission("roles:update"), Summary: "Change a role of the clinic's own", In: roleIn{}, Out: roleOne{}, Serve: s.updateRole},
		{Method: "DELETE", Path: "/api/v1/roles/{role}", Need: api.Permission("roles:delete"), Summary: "Delete a role of the clinic's own", Bare: true, Out: doneOut{}, Serve: s.deleteRole},
	}
}

func roleJSON(r *Role) map[string]any {
	return map[string]any{"id": r.Name, "name": r.Name, "description": r.Description, "permissions": list(r.Permissions), "isSystem": r.System, "isActive": true,
		"createdAt": when(r.CreatedAt), "updatedAt": when(r.UpdatedAt)}
}

func (s *Service) listRoles(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Roles(r.Context(), tenant(r))
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = roleJSON(&all[i])
	}
	return named(w, http.StatusOK, "roles", out)
}

func (s *Service) readRole(w http.ResponseWriter, r *http.Request) error {
	role, err := s.Role(r.Context(), tenant(r), r.PathValue("role"))
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "role", roleJSON(role))
}

type roleIn struct {
	Name        string    `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	Permissions *[]string `json:"permissions,omitempty"`
}

func (s *Service) createRole(w http.ResponseWriter, r *http.Request) error {
	var in roleIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Permissions == nil {
		return missing(map[string]string{"permissions": ""})
	}
	role, err := s.CreateRole(r.Context(), tenant(r), in.Name, value(in.Description), *in.Permissions)
	if err != nil {
		return err
	}
	return named(w, http.StatusCreated, "role", roleJSON(role))
}

func (s *Service) updateRole(w http.ResponseWriter, r *http.Request) error {
	var in roleIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	role, err := s.UpdateRole(r.Context(), tenant(r), r.PathValue("role"), in.Description, in.Permissions)
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "role", roleJSON(role))
}

func (s *Service) deleteRole(w http.ResponseWriter, r *http.Request) error {
	if err := s.DeleteRole(r.Context(), tenant(r), r.PathValue("role")); err != nil {
		return err
	}
	return done(w, "the role is deleted")
}

// myPermissions are those of the caller's roles that its scopes leave.
func (s *Service) myPermissions(w http.ResponseWriter, r *http.Request) error {
	c := caller(r)
	var all []string
	if c.User != 0 {
		u, err := s.User(r.Context(), c.Tenant, c.User)
		if err != nil {
			return err
		}
		all = u.Permissions
	} else {
		set, err := s.roles(r.Context(), c.Tenant)
		if err != nil {
			return err
		}
		all = set.permissions(c.Roles, nil)
	}
	return named(w, http.StatusOK, "permissions", slices.DeleteFunc(append([]string{}, all...), func(p string) bool { return !c.Permits(p) }))
}

type assignIn struct {
	UserID   text   `json:"userId"`
	RoleName string `json:"roleName"`
}

// assignRole makes the role the user's first one; others that he has beside it stay.
func (s *Service) assignRole(w http.ResponseWriter, r *http.Request) error {
	var in assignIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	id, err := strconv.ParseInt(string(in.UserID), 10, 64)
	if err != nil || in.RoleName == "" {
		return missing(map[string]string{"userId": "", "roleName": in.RoleName})
	}
	if c := access.CanonicalRole(in.RoleName); c == "service" || c == "device" {
		return fault.At(fault.Invalid, "roleName", "this role is for programs").WithCode("value")
	}
	if _, err := s.Update(r.Context(), tenant(r), id, Change{Role: &in.RoleName}); err != nil {
		return err
	}
	return done(w, "the role is assigned")
}
