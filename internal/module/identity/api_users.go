package identity

import (
	"context"
	"net/http"
	"reflect"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

var stringType = reflect.TypeFor[string]()

func (s *Service) userRoutes() []api.Route {
	read, create, update, remove := api.Permission("users:read"), api.Permission("users:create"), api.Permission("users:update"), api.Permission("users:delete")
	query := []string{"page", "limit", "role", "status", "search", "specialty", "department"}
	return []api.Route{
		{Method: "GET", Path: "/api/v1/users", Need: read, Summary: "The users", Query: query, Out: userList{}, Serve: s.listUsers},
		{Method: "POST", Path: "/api/v1/users", Need: create, Summary: "Make a user", In: userIn{}, Out: userMade{}, Serve: s.createUser},
		{Method: "GET", Path: "/api/v1/users/{id}", Need: api.Known(), Summary: "One user: the caller, or with users:read any", Out: userOne{}, Serve: s.readUser},
		{Method: "PUT", Path: "/api/v1/users/{id}", Need: api.Known(), Summary: "Change a user: the caller, or with users:update any", In: userIn{}, Out: userMade{}, Serve: s.updateUser},
		{Method: "PATCH", Path: "/api/v1/users/{id}", Need: api.Known(), Summary: "Change a user: the caller, or with users:update any", In: userIn{}, Out: userMade{}, Serve: s.updateUser},
		{Method: "DELETE", Path: "/api/v1/users/{id}", Need: remove, Summary: "Delete a user", Bare: true, Out: doneOut{}, Serve: s.deleteUser},
		{Method: "PATCH", Path: "/api/v1/users/{id}/status", Need: update, Summary: "Make a user active, inactive or suspended", In: statusIn{}, Out: userMade{}, Serve: s.setUserStatus},
		{Method: "POST", Path: "/api/v1/users/{id}/unlock", Need: update, Summary: "Take back a lock-out", Bare: true, Out: doneOut{}, Serve: s.unlockUser},
		{Method: "POST", Path: "/api/v1/users/{id}/reset-password", Need: update, Summary: "Give a user a new password", In: passwordIn{}, Bare: true, Out: doneOut{}, Serve: s.resetUserPassword},
		{Method: "GET", Path: "/api/v1/users/{id}/devices", Need: api.Known(), Summary: "Where a user is signed in: the caller, or with sessions:manage any", Serve: s.listDevices},
		{Method: "DELETE", Path: "/api/v1/users/{id}/devices/{device}", Need: api.Known(), Summary: "Sign a user out at a device", Serve: s.deleteDevice},
		{Method: "GET", Path: "/api/v1/data/users/all", Need: read, Summary: "The users, as a bare list", Query: query, Serve: s.allUsers},
		{Method: "POST", Path: "/api/v1/data/users", Need: create, Summary: "Make a user", In: userIn{}, Out: userMade{}, Serve: s.createUser},
		{Method: "PUT", Path: "/api/v1/data/users/{id}", Need: api.Known(), Summary: "Change a user", In: userIn{}, Out: userMade{}, Serve: s.updateUser},
		{Method: "DELETE", Path: "/api/v1/data/users/{id}", Need: remove, Summary: "Delete a user", Bare: true, Out: doneOut{}, Serve: s.deleteUser},
		{Method: "POST", Path: "/api/v1/search/users", Need: read, Summary: "Search among the users", In: searchIn{}, Once: api.Unkeyed, Out: userList{}, Serve: s.searchUsers},
		{Method: "DELETE", Path: "/api/v1/bulk/users", Need: remove, Summary: "Delete users", In: bulkIn{}, Serve: s.bulkDelete},
		{Method: "PATCH", Path: "/api/v1/bulk/users/status", Need: update, Summary: "Set the status of users", In: bulkIn{}, Serve: s.bulkStatus},
		{Method: "GET", Path: "/api/v1/integration/users/{id}", Need: read, Summary: "For services: one user", Serve: s.readUser},
		{Method: "GET", Path: "/api/v1/integration/users/{id}/{what}", Need: read,
			Summary: "For services: what a user may do (…/permissions), or the user of an address (by-email/…)", Serve: s.userDetail},
		{Method: "POST", Path: "/api/v1/integration/users/batch", Need: read, Summary: "For services: several users", In: batchIn{}, Once: api.Unkeyed, Serve: s.batchUsers},
	}
}

func filterOf(r *http.Request) Filter {
	q := r.URL.Query()
	return Filter{Role: canonical(q.Get("role")), Status: q.Get("status"), Search: q.Get("search"), Specialty: q.Get("specialty"), Department: q.Get("department")}
}

func canonical(role string) string {
	if role == "" {
		return ""
	}
	return access.CanonicalRole(role)
}

func (s *Service) listUsers(w http.ResponseWriter, r *http.Request) error {
	f := filterOf(r)
	var err error
	if f.Page, f.Limit, err = api.PageOf(r); err != nil {
		return err
	}
	return s.pageOfUsers(w, r, f)
}

func (s *Service) pageOfUsers(w http.ResponseWriter, r *http.Request, f Filter) error {
	users, total, err := s.Find(r.Context(), tenant(r), f)
	if err != nil {
		return err
	}
	return api.List(w, r, map[string]any{"users": usersJSON(users)}, api.Page{Page: f.Page, Limit: f.Limit, Total: total})
}

// maxAll bounds the users of the bare list.
const maxAll = 1000

func (s *Service) allUsers(w http.ResponseWriter, r *http.Request) error {
	f := filterOf(r)
	q := r.URL.Query()
	f.Page, f.Limit = 1, maxAll
	if q.Get("page") != "" || q.Get("limit") != "" {
		var err error
		if f.Page, f.Limit, err = api.PageOf(r); err != nil {
			return err
		}
	}
	users, total, err := s.Find(r.Context(), tenant(r), f)
	if err != nil {
		return err
	}
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "data": usersJSON(users), "total": total, "metadata": metadata(w)})
}

type searchIn struct {
	SearchTerm string   `json:"searchTerm,omitempty"`
	Role       string   `json:"role,omitempty"`
	Roles      []string `json:"roles,omitempty"`
	Status     string   `json:"status,omitempty"`
	Specialty  string   `json:"specialty,omitempty"`
	Department string   `json:"department,omitempty"`
	Page       int      `json:"page,omitempty"`
	Limit      int      `json:"limit,omitempty"`
}

func (s *Service) searchUsers(w http.ResponseWriter, r *http.Request) error {
	var in searchIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	f := Filter{Role: canonical(in.Role), Status: in.Status, Search: in.SearchTerm, Specialty: in.Specialty, Department: in.Department, Page: or(in.Page, 1),
		Limit: or(in.Limit, api.DefaultLimit)}
	if f.Page < 1 || f.Limit < 1 || f.Limit > api.MaxLimit {
		return fault.At(fault.Invalid, "limit", "page is from 1, limit 1 to %d", api.MaxLimit).WithCode("value")
	}
	for _, role := range in.Roles {
		f.Roles = append(f.Roles, canonical(role))
	}
	return s.pageOfUsers(w, r, f)
}

// userIn is a user as clients send one: absent members stay as they are.
type userIn struct {
	Email          *string   `json:"email,omitempty"`
	Username       *string   `json:"username,omitempty"`
	Password       *string   `json:"password,omitempty"`
	FirstName      *string   `json:"firstName,omitempty"`
	LastName       *string   `json:"lastName,omitempty"`
	FirstSnake     *string   `json:"first_name,omitempty"`
	LastSnake      *string   `json:"last_name,omitempty"`
	Phone          *text     `json:"phone,omitempty"`
	Locale         *string   `json:"locale,omitempty"`
	NationalID     *text     `json:"nationalId,omitempty"`
	NationalSnake  *text     `json:"national_id,omitempty"`
	Role           *string   `json:"role,omitempty"`
	Roles          *[]string `json:"roles,omitempty"`
	Permissions    *[]string `json:"permissions,omitempty"` // of the user beside those of his roles; read when a user is made alone
	Status         *string   `json:"status,omitempty"`
	Specialty      *string   `json:"specialty,omitempty"`
	Department     *string   `json:"department,omitempty"`
	OrganizationID *text     `json:"organizationId,omitempty"`
	FacilityID     *text     `json:"facilityId,omitempty"`
	FHIRUser       *string   `json:"fhirUser,omitempty"`
	Patient        *string   `json:"patient,omitempty"`
	Patients       *[]string `json:"patients,omitempty"`
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (in *userIn) change() Change {
	return Change{Email: in.Email, Username: in.Username, FirstName: first(in.FirstName, in.FirstSnake), LastName: first(in.LastName, in.LastSnake),
		Phone: in.Phone.string(), Locale: in.Locale, NationalID: first(in.NationalID, in.NationalSnake).string(), Role: in.Role, Roles: in.Roles, Status: in.Status,
		Specialty: in.Specialty, Department: in.Department, OrganizationID: in.OrganizationID.string(), FacilityID: in.FacilityID.string(), FHIRUser: in.FHIRUser,
		Patient: in.Patient, Patients: in.Patients}
}

func (s *Service) createUser(w http.ResponseWriter, r *http.Request) error {
	var in userIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c := in.change()
	u, err := s.Create(r.Context(), tenant(r), NewUser{Email: value(c.Email), Username: value(c.Username), Password: value(in.Password), FirstName: value(c.FirstName),
		LastName: value(c.LastName), Phone: value(c.Phone), Locale: value(c.Locale), NationalID: value(c.NationalID), Role: value(c.Role), Roles: value(c.Roles),
		Permissions: value(in.Permissions), Status: value(c.Status), OrganizationID: value(c.OrganizationID), FacilityID: value(c.FacilityID), Specialty: value(c.Specialty),
		Department: value(c.Department), FHIRUser: value(c.FHIRUser), Patient: value(c.Patient), Patients: value(c.Patients)})
	if err != nil {
		return err
	}
	return named(w, http.StatusCreated, "user", userJSON(u))
}

// ofPath is the user that the path names: the caller, "me", or one whom the permission opens. Whoever may not see him is told that there is none.
func (s *Service) ofPath(r *http.Request, permission string) (int64, error) {
	c := caller(r)
	if r.PathValue("id") == "me" && c.User != 0 {
		return c.User, nil
	}
	id, err := pathID(r, "id")
	if err != nil {
		return 0, err
	}
	if id != c.User && !c.Permits(permission) {
		return 0, fault.New(fault.Forbidden, "this needs the permission %s", permission)
	}
	return id, nil
}

func (s *Service) readUser(w http.ResponseWriter, r *http.Request) error {
	id, err := s.ofPath(r, "users:read")
	if err != nil {
		return err
	}
	u, err := s.User(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	return oneUser(w, u)
}

func (s *Service) updateUser(w http.ResponseWriter, r *http.Request) error {
	id, err := s.ofPath(r, "users:update")
	if err != nil {
		return err
	}
	var in userIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	u, err := s.User(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	c := in.change()
	if who := caller(r); !who.Permits("users:update") {
		// A page sends the whole user back: of himself somebody without the permission changes the rest, and the role stays.
		c.Role, c.Roles, c.Status = nil, nil, nil
	} else if who.User == id && c.Status != nil && *c.Status != u.Status {
		return fault.At(fault.Invalid, "status", "nobody switches off the own account").WithCode("INVALID_REQUEST")
	}
	if u, err = s.Update(r.Context(), tenant(r), id, c); err != nil {
		return err
	}
	return named(w, http.StatusOK, "user", userJSON(u))
}

func (s *Service) deleteUser(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.Delete(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the user is deleted")
}

type statusIn struct {
	Status string `json:"status"`
}

func (s *Service) setUserStatus(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	var in statusIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Status == Invited || in.Status == "" {
		return fault.At(fault.Invalid, "status", "must be active, inactive or suspended").WithCode("value")
	}
	u, err := s.SetStatus(r.Context(), tenant(r), id, in.Status)
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "user", userJSON(u))
}

func (s *Service) unlockUser(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.Unlock(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the account is unlocked")
}

func (s *Service) resetUserPassword(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if id == caller(r).User {
		return fault.New(fault.Forbidden, "the own password is changed with the one before it")
	}
	var in passwordIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if err := s.SetPassword(r.Context(), tenant(r), id, in.NewPassword, 0); err != nil {
		return err
	}
	return done(w, "the password is set; all sessions have ended")
}

type bulkIn struct {
	IDs    []text `json:"ids"`
	Status string `json:"status,omitempty"`
}

// maxBulk bounds the users of one bulk request.
const maxBulk = 100

func (in *bulkIn) numbers(field string) ([]int64, error) {
	if len(in.IDs) == 0 || len(in.IDs) > maxBulk {
		return nil, fault.At(fault.Invalid, field, "names 1 to %d users", maxBulk).WithCode("value")
	}
	out := make([]int64, len(in.IDs))
	for i, id := range in.IDs {
		n, err := strconv.ParseInt(string(id), 10, 64)
		if err != nil || n <= 0 {
			return nil, fault.At(fault.Invalid, field, "holds what is no id").WithCode("value")
		}
		out[i] = n
	}
	return out, nil
}

// bulk does something with each user, and says what became of each: those that fail do not keep the others.
func (s *Service) bulk(w http.ResponseWriter, r *http.Request, in *bulkIn, act func(context.Context, int64) error) error {
	ids, err := in.numbers("ids")
	if err != nil {
		return err
	}
	affected := 0
	failed := []map[string]any{}
	for _, id := range ids {
		err := act(r.Context(), id)
		switch {
		case err == nil:
			affected++
		case fault.KindOf(err) == fault.Internal:
			return err
		default:
			failed = append(failed, map[string]any{"id": strconv.FormatInt(id, 10), "message": err.Error()})
		}
	}
	if affected == 0 {
		return fault.New(fault.Conflict, "nothing was changed: %s", failed[0]["message"])
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"affected": affected, "failed": failed})
}

func (s *Service) bulkDelete(w http.ResponseWriter, r *http.Request) error {
	var in bulkIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	return s.bulk(w, r, &in, func(ctx context.Context, id int64) error { return s.Delete(ctx, tenant(r), id) })
}

func (s *Service) bulkStatus(w http.ResponseWriter, r *http.Request) error {
	var in bulkIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Status != Active && in.Status != Inactive && in.Status != Suspended {
		return fault.At(fault.Invalid, "status", "must be active, inactive or suspended").WithCode("value")
	}
	return s.bulk(w, r, &in, func(ctx context.Context, id int64) error {
		_, err := s.SetStatus(ctx, tenant(r), id, in.Status)
		return err
	})
}

// userDetail serves two forms of path of which neither is narrower than the other.
func (s *Service) userDetail(w http.ResponseWriter, r *http.Request) error {
	switch {
	case r.PathValue("id") == "by-email":
		return s.userByEmail(w, r)
	case r.PathValue("what") == "permissions":
		return s.userPermissions(w, r)
	}
	return fault.New(fault.NotFound, "nothing stands at this path")
}

func (s *Service) userByEmail(w http.ResponseWriter, r *http.Request) error {
	u, err := s.ByEmail(r.Context(), tenant(r), r.PathValue("what"))
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "user", userJSON(u))
}

func (s *Service) userPermissions(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	u, err := s.User(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "permissions", list(u.Permissions))
}

type batchIn struct {
	UserIDs []text `json:"userIds"`
}

func (s *Service) batchUsers(w http.ResponseWriter, r *http.Request) error {
	var in batchIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ids, err := (&bulkIn{IDs: in.UserIDs}).numbers("userIds")
	if err != nil {
		return err
	}
	users := []map[string]any{}
	for _, id := range ids {
		u, err := s.User(r.Context(), tenant(r), id)
		switch {
		case err == nil:
			users = append(users, userJSON(u))
		case !fault.Is(err, fault.NotFound):
			return err
		}
	}
	return named(w, http.StatusOK, "users", users)
}
