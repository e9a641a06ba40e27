package scim

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// group returns a role as SCIM tells it, with its members where they are asked for; 404 where there is none.
func (s *Service) group(ctx context.Context, tenant int32, id string, members bool) (object, *identity.Role, error) {
	roles, err := s.o.Directory.Roles(ctx, tenant)
	if err != nil {
		return nil, nil, err
	}
	for i := range roles {
		if roles[i].Name == id {
			r, err := s.toldGroup(ctx, tenant, &roles[i], members)
			return r, &roles[i], err
		}
	}
	return nil, nil, s.groups.missing(id)
}

func (s *Service) toldGroup(ctx context.Context, tenant int32, role *identity.Role, members bool) (object, error) {
	k, err := s.read(ctx, tenant, s.groups.name, role.Name)
	if err != nil {
		return nil, err
	}
	r := k.body
	r["id"] = role.Name
	if role.System || text(r["displayName"]) == "" {
		r["displayName"] = role.Name
	}
	if members {
		var all []any
		base := s.base(tenant)
		err := s.allUsers(ctx, tenant, identity.Filter{Role: role.Name}, func(u *identity.User) error {
			display := strings.TrimSpace(u.FirstName + " " + u.LastName)
			if display == "" {
				display = u.Email
			}
			all = append(all, object{"value": idOf(u.ID), "display": display, "type": "User", "$ref": base + s.users.path + "/" + idOf(u.ID)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		slices.Reverse(all) // the oldest first, so that a page does not move
		if len(all) > 0 {
			r["members"] = all
		}
	}
	s.complete(r, s.groups, s.base(tenant), role.CreatedAt, latest(role.UpdatedAt, k.updated))
	return r, nil
}

var notInRole = regexp.MustCompile(`[^a-z0-9_-]+`)

// roleName makes a role's name of a group's.
func roleName(display string) (string, error) {
	name := strings.Trim(notInRole.ReplaceAllString(strings.ToLower(display), "_"), "_-")
	if name = strings.TrimLeft(name, "0123456789_-"); len(name) < 2 {
		return "", failed(400, "invalidValue", "displayName has at least two letters of a to z, since it names a role")
	}
	return name[:min(len(name), 50)], nil
}

// membersOf are the users that a resource names as members, each once.
func (s *Service) membersOf(ctx context.Context, tenant int32, r object) ([]int64, error) {
	var out []int64
	values := list(get(r, "members"))
	if len(values) > maxMembers {
		return nil, failed(400, "tooMany", "a group has at most %d members", maxMembers)
	}
	for _, v := range values {
		id := text(v)
		if o := objectOf(v); o != nil {
			id = text(get(o, "value"))
			if t := text(get(o, "type")); t != "" && !strings.EqualFold(t, "User") {
				return nil, failed(400, "invalidValue", "members are users: groups do not nest")
			}
		}
		num, err := strconv.ParseInt(id, 10, 64)
		if err != nil || num <= 0 {
			return nil, failed(400, "invalidValue", "a member is named by the id of a user")
		}
		if !slices.Contains(out, num) {
			out = append(out, num)
		}
	}
	return out, nil
}

// createGroup makes a role without permissions, which an administrator gives it.
func (s *Service) createGroup(ctx context.Context, tenant int32, r object) (object, error) {
	display := text(get(r, "displayName"))
	name, err := roleName(display)
	if err != nil {
		return nil, err
	}
	members, err := s.membersOf(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	if err := s.mustBeThere(ctx, tenant, members); err != nil {
		return nil, err
	}
	role, err := s.o.Directory.CreateRole(ctx, tenant, name, "A group of the directory", []string{})
	if err != nil {
		return nil, err
	}
	if err := s.write(ctx, tenant, s.groups.name, role.Name, access.From(ctx).Who, restOfGroup(r)); err != nil {
		return nil, err
	}
	if err := s.setMembers(ctx, tenant, role.Name, nil, members); err != nil {
		return nil, err
	}
	out, _, err := s.group(ctx, tenant, role.Name, true)
	return out, err
}

func restOfGroup(r object) object {
	out := object{}
	for _, name := range []string{"displayName", "externalId"} {
		if v := get(r, name); v != nil {
			out[name] = v
		}
	}
	return out
}

// changeGroup makes a role's members and names what a resource says. What came with the program keeps its name.
func (s *Service) changeGroup(ctx context.Context, tenant int32, role *identity.Role, before, r object) (object, error) {
	display := text(get(r, "displayName"))
	if display == "" {
		return nil, failed(400, "invalidValue", "displayName is required")
	}
	if role.System && display != role.Name {
		return nil, failed(400, "mutability", "the role came with the program and keeps its name")
	}
	have, err := s.membersOf(ctx, tenant, before)
	if err != nil {
		return nil, err
	}
	want, err := s.membersOf(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	if err := s.setMembers(ctx, tenant, role.Name, have, want); err != nil {
		return nil, err
	}
	if !same(restOfGroup(before), restOfGroup(r)) {
		if err := s.write(ctx, tenant, s.groups.name, role.Name, access.From(ctx).Who, restOfGroup(r)); err != nil {
			return nil, err
		}
	}
	out, _, err := s.group(ctx, tenant, role.Name, true)
	return out, err
}

func (s *Service) mustBeThere(ctx context.Context, tenant int32, users []int64) error {
	for _, id := range users {
		if _, err := s.o.Directory.User(ctx, tenant, id); fault.Is(err, fault.NotFound) {
			return failed(400, "invalidValue", "there is no user %d", id)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// setMembers gives and takes a role. Who joins a first group has its role in place of the default one, and who leaves the last has that again.
func (s *Service) setMembers(ctx context.Context, tenant int32, role string, have, want []int64) error {
	var join, leave []int64
	for _, id := range want {
		if !slices.Contains(have, id) {
			join = append(join, id)
		}
	}
	for _, id := range have {
		if !slices.Contains(want, id) {
			leave = append(leave, id)
		}
	}
	if err := s.mustBeThere(ctx, tenant, join); err != nil {
		return err
	}
	for _, id := range join {
		err := s.changeRoles(ctx, tenant, id, func(roles []string) []string {
			if slices.Equal(roles, []string{s.o.DefaultRole}) {
				roles = nil
			}
			return append(roles, role)
		}, role, true)
		if err != nil {
			return err
		}
	}
	for _, id := range leave {
		err := s.changeRoles(ctx, tenant, id, func(roles []string) []string {
			if roles = slices.DeleteFunc(roles, func(r string) bool { return r == role }); len(roles) == 0 {
				roles = []string{s.o.DefaultRole}
			}
			return roles
		}, role, false)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) changeRoles(ctx context.Context, tenant int32, id int64, change func([]string) []string, role string, joins bool) error {
	u, err := s.o.Directory.User(ctx, tenant, id)
	if fault.Is(err, fault.NotFound) {
		return nil // gone meanwhile
	}
	if err != nil || slices.Contains(u.Roles, role) == joins {
		return err
	}
	roles := change(slices.Clone(u.Roles))
	if ctx, err = s.as(ctx, tenant, u, append(slices.Clone(roles), u.Roles...)...); err != nil {
		return err
	}
	_, err = s.o.Directory.Update(ctx, tenant, id, identity.Change{Roles: &roles})
	return err
}

// deleteGroup takes a role of the tenant's own from everybody and deletes it.
func (s *Service) deleteGroup(ctx context.Context, tenant int32, role *identity.Role, before object) error {
	if role.System {
		return failed(403, "", "the role came with the program and cannot be deleted")
	}
	have, err := s.membersOf(ctx, tenant, before)
	if err != nil {
		return err
	}
	if err := s.setMembers(ctx, tenant, role.Name, have, nil); err != nil {
		return err
	}
	if err := s.o.Directory.DeleteRole(ctx, tenant, role.Name); err != nil {
		return err
	}
	return s.forget(ctx, tenant, s.groups.name, role.Name)
}
