package scim

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

func idOf(user int64) string { return strconv.FormatInt(user, 10) }

func (k *kind) missing(id string) error { return failed(404, "", "there is no %s %q", k.name, id) }

// user returns a user as SCIM tells it; 404 where there is none.
func (s *Service) user(ctx context.Context, tenant int32, id string) (object, *identity.User, error) {
	num, err := strconv.ParseInt(id, 10, 64)
	if err != nil || num <= 0 || idOf(num) != id {
		return nil, nil, s.users.missing(id)
	}
	u, err := s.o.Directory.User(ctx, tenant, num)
	if fault.Is(err, fault.NotFound) {
		return nil, nil, s.users.missing(id)
	}
	if err != nil {
		return nil, nil, err
	}
	r, err := s.told(ctx, u)
	return r, u, err
}

// told is a user as SCIM tells it: what the directory told, with what the user now is laid over it.
func (s *Service) told(ctx context.Context, u *identity.User) (object, error) {
	k, err := s.read(ctx, u.Tenant, s.users.name, idOf(u.ID))
	if err != nil {
		return nil, err
	}
	r := k.body
	if text(r["userName"]) == "" {
		r["userName"] = u.Username
		if u.Username == "" {
			r["userName"] = u.Email
		}
	}
	r["id"], r["active"] = idOf(u.ID), isActive(u)
	name := objectOf(r["name"])
	if name == nil {
		name = object{}
	}
	for field, v := range map[string]string{"givenName": u.FirstName, "familyName": u.LastName} {
		if name[field] = v; v == "" {
			delete(name, field)
		}
	}
	if empty(name["formatted"]) && (u.FirstName != "" || u.LastName != "") {
		name["formatted"] = strings.TrimSpace(u.FirstName + " " + u.LastName)
	}
	if r["name"] = name; empty(name) {
		delete(r, "name")
	}
	overlay(r, "emails", u.Email, "work")
	overlay(r, "phoneNumbers", u.Phone, "work")
	if r["locale"] = u.Locale; u.Locale == "" {
		delete(r, "locale")
	}
	if ext := objectOf(r[enterpriseURN]); ext != nil || u.Department != "" {
		if ext == nil {
			ext = object{}
		}
		if ext["department"] = u.Department; u.Department == "" {
			delete(ext, "department")
		}
		if r[enterpriseURN] = ext; empty(ext) {
			delete(r, enterpriseURN)
		}
	}
	base := s.base(u.Tenant)
	var groups []any
	for _, role := range u.Roles {
		groups = append(groups, object{"value": role, "display": role, "type": "direct", "$ref": base + s.groups.path + "/" + role})
	}
	r["groups"] = groups
	s.complete(r, s.users, base, u.CreatedAt, latest(u.UpdatedAt, k.updated))
	return r, nil
}

// isActive reports that the user may sign in, or may once the invitation is taken up.
func isActive(u *identity.User) bool {
	return u.Status == identity.Active || u.Status == identity.Invited
}

func latest(t time.Time, micro int64) time.Time {
	if k := time.UnixMicro(micro); k.After(t) {
		return k
	}
	return t
}

// overlay makes the value that the user has the preferred one of a list.
func overlay(r object, name, value, typ string) {
	values := list(r[name])
	i := preferred(values)
	switch {
	case value == "" && i >= 0:
		values = slices.Delete(slices.Clone(values), i, i+1)
	case value == "":
	case i < 0:
		values = []any{object{"value": value, "type": typ, "primary": true}}
	default:
		o := objectOf(values[i])
		o["value"], o["primary"] = value, true
	}
	if r[name] = values; len(values) == 0 {
		delete(r, name)
	}
}

// preferred is the index of the value that counts: the primary one, else that for work, else the first; -1 where there is none.
func preferred(values []any) int {
	at := -1
	for i, v := range values {
		o := objectOf(v)
		if o == nil {
			continue
		}
		if p, _ := truth(get(o, "primary")); p {
			return i
		}
		if at < 0 || strings.EqualFold(text(get(o, "type")), "work") && !strings.EqualFold(text(get(objectOf(values[at]), "type")), "work") {
			at = i
		}
	}
	return at
}

func valueAt(r object, name string) string {
	values := list(get(r, name))
	if i := preferred(values); i >= 0 {
		return text(get(objectOf(values[i]), "value"))
	}
	return ""
}

var usernameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{2,50}$`)

// wanted is what a resource says of a user.
type wanted struct {
	userName, email, first, last, phone, locale, department string
	active                                                  bool
}

// want reads and checks a user's resource, which it brings into one form.
func (s *Service) want(r object) (*wanted, error) {
	for _, name := range sortedKeys(r) { // one form of names
		if a := named(s.users.attributes, name); a != nil && a.Name != name {
			r[a.Name] = r[name]
			delete(r, name)
		} else if known(name) && name != enterpriseURN && strings.EqualFold(name, enterpriseURN) {
			r[enterpriseURN] = r[name]
			delete(r, name)
		}
	}
	w := &wanted{userName: text(r["userName"]), email: valueAt(r, "emails"), phone: valueAt(r, "phoneNumbers"), locale: text(r["locale"]), active: true}
	if w.userName == "" || len(w.userName) > 254 {
		return nil, failed(400, "invalidValue", "userName is required, with at most 254 bytes")
	}
	if w.email == "" && strings.Contains(w.userName, "@") {
		w.email = w.userName
	}
	if w.email == "" {
		return nil, failed(400, "invalidValue", "an e-mail address is required: in emails, or as userName")
	}
	name := objectOf(r["name"])
	w.first, w.last = text(get(name, "givenName")), text(get(name, "familyName"))
	if w.first == "" && w.last == "" {
		w.first, w.last, _ = strings.Cut(text(r["displayName"]), " ")
	}
	if w.locale == "" {
		w.locale = text(r["preferredLanguage"])
		if strings.ContainsAny(w.locale, ",;") {
			w.locale = ""
		}
	}
	if ext := objectOf(r[enterpriseURN]); ext != nil {
		w.department = text(get(ext, "department"))
		if m := get(ext, "manager"); m != nil && objectOf(m) == nil {
			ext[key(ext, "manager")] = object{"value": m}
		}
	}
	if v, ok := r["active"]; ok && v != nil {
		if w.active, ok = truth(v); !ok {
			return nil, failed(400, "invalidValue", "active is true or false")
		}
	}
	return w, nil
}

// rest is what is kept of a resource: what a user has no place for.
func rest(r object) object {
	out := objectOf(clone(r))
	for _, name := range []string{"id", "meta", "groups", "schemas", "password", "active"} {
		delete(out, key(out, name))
	}
	return out
}

// username is the userName where it can be a user's name here.
func (w *wanted) username() string {
	if usernameForm.MatchString(w.userName) {
		return w.userName
	}
	return ""
}

// createUser makes a user of a resource.
func (s *Service) createUser(ctx context.Context, tenant int32, r object) (object, error) {
	w, err := s.want(r)
	if err != nil {
		return nil, err
	}
	if taken, err := s.indexed(ctx, tenant, s.users.name, "name", w.userName); err != nil || len(taken) > 0 {
		if err == nil {
			err = failed(409, "uniqueness", "another user has this userName")
		}
		return nil, err
	}
	status := identity.Active
	if !w.active {
		status = identity.Inactive
	}
	password, _ := get(r, "password").(string)
	as, err := s.as(ctx, tenant, nil, s.o.DefaultRole)
	if err != nil {
		return nil, err
	}
	u, err := s.o.Directory.Create(as, tenant, identity.NewUser{Email: w.email, Username: w.username(), Password: password, FirstName: w.first, LastName: w.last,
		Phone: w.phone, Locale: w.locale, Department: w.department, Role: s.o.DefaultRole, Status: status, EmailVerified: true})
	if err != nil {
		return nil, err
	}
	if err := s.write(ctx, tenant, s.users.name, idOf(u.ID), access.From(ctx).Who, rest(r)); err != nil {
		return nil, s.undo(as, tenant, u.ID, err)
	}
	return s.told(ctx, u)
}

// undo takes a user back of whom nothing could be kept.
func (s *Service) undo(ctx context.Context, tenant int32, user int64, why error) error {
	if err := s.o.Directory.Delete(ctx, tenant, user); err != nil {
		return fmt.Errorf("scim: user %d is left over: %w", user, err)
	}
	return why
}

// changeUser makes a user what a resource says.
func (s *Service) changeUser(ctx context.Context, u *identity.User, r object) (object, error) {
	w, err := s.want(r)
	if err != nil {
		return nil, err
	}
	if get(r, "password") != nil {
		return nil, failed(400, "mutability", "the password of a user is not changed here")
	}
	var c identity.Change
	differs := func(to **string, have, want string) {
		if have != want {
			*to = &want
		}
	}
	differs(&c.FirstName, u.FirstName, w.first)
	differs(&c.LastName, u.LastName, w.last)
	differs(&c.Phone, u.Phone, w.phone)
	differs(&c.Locale, u.Locale, w.locale)
	differs(&c.Department, u.Department, w.department)
	if !strings.EqualFold(u.Email, w.email) {
		verified := true // the directory vouches for its addresses
		c.Email, c.EmailVerified = &w.email, &verified
	}
	if name := w.username(); name != "" {
		differs(&c.Username, u.Username, name)
	}
	switch { // whom an administrator suspended stays so
	case !w.active && isActive(u):
		status := identity.Inactive
		c.Status = &status
	case w.active && u.Status == identity.Inactive:
		status := identity.Active
		c.Status = &status
	}
	id := idOf(u.ID)
	before, err := s.read(ctx, u.Tenant, s.users.name, id)
	if err != nil {
		return nil, err
	}
	who := access.From(ctx).Who
	if !same(before.body, rest(r)) {
		if err := s.write(ctx, u.Tenant, s.users.name, id, who, rest(r)); err != nil {
			return nil, err
		}
	}
	if c != (identity.Change{}) {
		as, err := s.as(ctx, u.Tenant, u, u.Roles...)
		if err != nil {
			return nil, err
		}
		if u, err = s.o.Directory.Update(as, u.Tenant, u.ID, c); err != nil {
			if e := s.write(ctx, access.From(ctx).Tenant, s.users.name, id, who, before.body); e != nil {
				return nil, e
			}
			return nil, err
		}
	}
	return s.told(ctx, u)
}

// deleteUser deletes a user and what is kept of it.
func (s *Service) deleteUser(ctx context.Context, u *identity.User) error {
	as, err := s.as(ctx, u.Tenant, u, u.Roles...)
	if err != nil {
		return err
	}
	if err := s.o.Directory.Delete(as, u.Tenant, u.ID); err != nil {
		return err
	}
	if s.o.Deleted != nil {
		if err := s.o.Deleted(ctx, u.Tenant, u.ID); err != nil {
			return err
		}
	}
	return s.forget(ctx, u.Tenant, s.users.name, idOf(u.ID))
}

// allUsers calls f for every user of the tenant, within the bound.
func (s *Service) allUsers(ctx context.Context, tenant int32, f identity.Filter, each func(*identity.User) error) error {
	f.Limit = 500
	for f.Page = 1; ; f.Page++ {
		users, total, err := s.o.Directory.Find(ctx, tenant, f)
		if err != nil {
			return err
		}
		if total > maxScanned {
			return failed(400, "tooMany", "more than %d users would be looked at: ask by userName, externalId, id or e-mail address", maxScanned)
		}
		for i := range users {
			if err := each(&users[i]); err != nil {
				return err
			}
		}
		if f.Page*f.Limit >= total || len(users) == 0 {
			return nil
		}
	}
}
