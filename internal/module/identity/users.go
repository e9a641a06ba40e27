package identity

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// adminRoles may do everything; a tenant keeps one active user at least who has one of them.
var adminRoles = []string{"admin", "hospital_admin"}

func isAdmin(u *User) bool {
	return slices.ContainsFunc(u.Roles, func(r string) bool { return slices.Contains(adminRoles, r) })
}

// lockOf is a number for [sqldb.Tx.Lock].
func lockOf(what string, tenant int32, num int64) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("identity." + what + "/" + strconv.Itoa(int(tenant)) + "/" + strconv.FormatInt(num, 10))) // it never fails
	return int64(h.Sum64())                                                                                         //nolint:gosec // any number does
}

// Create makes a user. The caller of ctx must hold users:create and whatever the user may do. Conflict where address or user name are taken,
// Invalid for what is wrong with the fields.
func (s *Service) Create(ctx context.Context, tenant int32, n NewUser) (*User, error) {
	c := access.From(ctx)
	if !c.Permits("users:create") {
		return nil, fault.New(fault.Forbidden, "this needs the permission users:create")
	}
	u := &User{ID: s.ledger.Next(), Tenant: tenant, Email: strings.TrimSpace(n.Email), Username: strings.TrimSpace(n.Username), FirstName: n.FirstName,
		LastName: n.LastName, Phone: n.Phone, Locale: n.Locale, NationalID: n.NationalID, OrganizationID: n.OrganizationID, FacilityID: n.FacilityID,
		Specialty: n.Specialty, Department: n.Department, FHIRUser: n.FHIRUser, Patient: n.Patient, Patients: n.Patients, Status: n.Status,
		EmailVerified: n.EmailVerified, Roles: n.Roles, own: n.Permissions}
	if n.Role != "" {
		u.Roles = append([]string{n.Role}, n.Roles...)
	}
	if u.Status == "" {
		u.Status = Active
		if n.Password == "" {
			u.Status = Invited
		}
	}
	if err := s.complete(ctx, u); err != nil {
		return nil, err
	}
	if err := mayGrant(ctx, u.Permissions); err != nil {
		return nil, err
	}
	if n.Password != "" {
		if err := s.checkPasswordRules(n.Password, u); err != nil {
			return nil, err
		}
		var err error
		if u.password, err = s.hasher.hash(ctx, normal(n.Password)); err != nil {
			return nil, err
		}
	}
	if err := s.insert(ctx, u); err != nil {
		return nil, err
	}
	s.admin(ctx, tenant, "create", "User", u.ID, "roles: "+strings.Join(u.Roles, " ")+"; status: "+u.Status)
	return s.User(ctx, tenant, u.ID)
}

func (s *Service) insert(ctx context.Context, u *User) error {
	row, err := s.columns(ctx, u)
	if err != nil {
		return err
	}
	now := s.now().UnixMicro()
	return s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := free(ctx, tx, u, row); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO identity_user (tenant, id, email, username, profile, role, roles, permissions, status, organization, facility, fhir_user,
			patient, patients, mfa, email_verified, password, password_at, last_login, version, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, 0, 1, $19, $18, $19, $18, 0)`,
			append(row, u.password, now, by(ctx))...)
		return err
	})
}

// columns are the values of tenant to email_verified.
func (s *Service) columns(ctx context.Context, u *User) ([]any, error) {
	email, err := s.blindEmail(ctx, u.Tenant, u.Email)
	if err != nil {
		return nil, err
	}
	username, err := s.blindUsername(ctx, u.Tenant, u.Username)
	if err != nil {
		return nil, err
	}
	sealed, err := s.sealProfile(ctx, u)
	if err != nil {
		return nil, err
	}
	var lists [3]string
	for i, l := range [][]string{u.Roles, u.own, u.Patients} {
		if l == nil {
			l = []string{}
		}
		text, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		lists[i] = string(text)
	}
	return []any{u.Tenant, u.ID, email, username, sealed, u.Role, lists[0], lists[1], u.Status, u.OrganizationID, u.FacilityID, u.FHIRUser, u.Patient, lists[2],
		number(u.MFAEnabled), number(u.EmailVerified)}, nil
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// free is Conflict where another has the address or the user name.
func free(ctx context.Context, tx sqldb.Tx, u *User, row []any) error {
	for i, name := range []string{"email", "username"} {
		blind, _ := row[2+i].([]byte)
		if len(blind) == 0 {
			continue
		}
		// On PostgreSQL two who ask at once would both find nobody.
		if err := tx.Lock(ctx, lockOf(name+string(blind), u.Tenant, 0)); err != nil {
			return err
		}
		var id int64
		found, err := sqldb.QueryRow(ctx, tx, []any{&id}, "SELECT id FROM identity_user WHERE tenant = $1 AND deleted_at = 0 AND "+name+" = $2 AND id <> $3",
			u.Tenant, blind, u.ID)
		if err != nil {
			return err
		}
		if found {
			return fault.At(fault.Conflict, name, "another user has it").WithCode("DUPLICATE_ENTRY")
		}
	}
	return nil
}

var (
	usernameForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{2,50}$`)
	localeForm   = regexp.MustCompile(`^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$`)
	phoneForm    = regexp.MustCompile(`^[+0-9][0-9 ()./-]{3,31}$`)
)

// maxNames bounds each of a user's names, in characters.
const maxNames = 100

// complete checks the fields and brings them into their one form; it works out role and permissions.
func (s *Service) complete(ctx context.Context, u *User) error {
	bad := func(field, why string) error { return fault.At(fault.Invalid, field, "%s", why).WithCode("value") }
	if a, err := mail.ParseAddress(u.Email); err != nil || a.Address != u.Email || len(u.Email) > 254 || !strings.Contains(u.Email, "@") {
		return bad("email", "must be an e-mail address")
	}
	if u.Username != "" && !usernameForm.MatchString(u.Username) {
		return bad("username", "has 2 to 50 letters, digits, and any of _ . -")
	}
	for field, v := range map[string]string{"firstName": u.FirstName, "lastName": u.LastName, "specialty": u.Specialty, "department": u.Department, "nationalId": u.NationalID} {
		if utf8.RuneCountInString(v) > maxNames || strings.ContainsFunc(v, unicode.IsControl) || !utf8.ValidString(v) {
			return bad(field, "has at most 100 characters, and no control characters")
		}
	}
	if u.Phone != "" && !phoneForm.MatchString(u.Phone) {
		return bad("phone", "must be a phone number")
	}
	if u.Locale != "" && !localeForm.MatchString(u.Locale) {
		return bad("locale", "must be a language tag such as en or ar-SD")
	}
	if !slices.Contains([]string{Active, Inactive, Suspended, Invited}, u.Status) {
		return bad("status", "must be active, inactive or suspended")
	}
	for field, id := range map[string]string{"organizationId": u.OrganizationID, "facilityId": u.FacilityID} {
		if id != "" && !fhir.ValidID(id) {
			return bad(field, "must be the id of a record")
		}
	}
	if err := references(u); err != nil {
		return err
	}
	return s.completeRoles(ctx, u)
}

func references(u *User) error {
	check := func(field, ref string, types ...string) error {
		typ, id, _ := strings.Cut(ref, "/")
		if !slices.Contains(types, typ) || !fhir.ValidID(id) {
			return fault.At(fault.Invalid, field, "must be a reference such as %s/1", types[0]).WithCode("value")
		}
		return nil
	}
	if u.FHIRUser != "" {
		if err := check("fhirUser", u.FHIRUser, "Practitioner", "Patient", "RelatedPerson", "Person"); err != nil {
			return err
		}
	}
	if len(u.Patients) > 100 {
		return fault.At(fault.Invalid, "patients", "there are more than 100")
	}
	patients := u.Patients
	if u.Patient != "" {
		patients = append([]string{u.Patient}, patients...)
	}
	for _, ref := range patients {
		if err := check("patient", ref, "Patient"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) completeRoles(ctx context.Context, u *User) error {
	set, err := s.roles(ctx, u.Tenant)
	if err != nil {
		return err
	}
	roles := []string{}
	for _, name := range u.Roles {
		name = access.CanonicalRole(name)
		if set.byName[name] == nil || name == "service" || name == "device" {
			return fault.At(fault.Invalid, "role", "there is no such role for users").WithCode("value")
		}
		if !slices.Contains(roles, name) {
			roles = append(roles, name)
		}
	}
	if len(roles) == 0 {
		return fault.At(fault.Invalid, "role", "a user has a role").WithCode("required")
	}
	if u.own, err = checkPermissions(u.own); err != nil {
		return err
	}
	u.Roles, u.Role = roles, roles[0]
	u.Permissions = set.permissions(u.Roles, u.own)
	return nil
}

// mayManage says why the caller may not act in a user's place: nobody gives a password, an address or a role to somebody who may do more.
func (s *Service) mayManage(ctx context.Context, u *User) error {
	c := access.From(ctx)
	for _, p := range u.Permissions {
		if !c.Permits(p) {
			return fault.New(fault.Forbidden, "the user may do more than you")
		}
	}
	return nil
}

// mayTouch says why the caller may not switch a user on and off: who runs the system is switched by his likes alone.
func mayTouch(ctx context.Context, u *User) error {
	c := access.From(ctx)
	for _, p := range u.Permissions {
		kind, _, _ := strings.Cut(p, ":")
		if slices.Contains([]string{access.AllPermissions, "users", "roles", "system", "tenants", "keys"}, kind) && !c.Permits(p) {
			return fault.New(fault.Forbidden, "the user may do more than you")
		}
	}
	return nil
}

func set[T any](to *T, from *T) bool {
	if from == nil {
		return false
	}
	*to = *from
	return true
}

// apply makes the changes; it reports whether they touch what a user does not decide of himself, and who somebody is.
func (c *Change) apply(u *User) (privileged, identity bool) {
	set(&u.Username, c.Username)
	set(&u.FirstName, c.FirstName)
	set(&u.LastName, c.LastName)
	set(&u.Phone, c.Phone)
	set(&u.Locale, c.Locale)
	before := *u
	set(&u.NationalID, c.NationalID)
	set(&u.Email, c.Email)
	if u.Email = strings.TrimSpace(u.Email); plainEmail(u.Email) != plainEmail(before.Email) {
		u.EmailVerified = false
	}
	set(&u.EmailVerified, c.EmailVerified)
	set(&u.MFAEnabled, c.MFAEnabled)
	set(&u.FHIRUser, c.FHIRUser)
	set(&u.Patient, c.Patient)
	set(&u.Patients, c.Patients)
	identity = u.Email != before.Email || u.EmailVerified != before.EmailVerified || u.MFAEnabled != before.MFAEnabled || u.FHIRUser != before.FHIRUser ||
		u.Patient != before.Patient || !slices.Equal(u.Patients, before.Patients) || u.NationalID != before.NationalID
	set(&u.Specialty, c.Specialty)
	set(&u.Department, c.Department)
	set(&u.OrganizationID, c.OrganizationID)
	set(&u.FacilityID, c.FacilityID)
	set(&u.Status, c.Status)
	set(&u.Roles, c.Roles)
	if c.Role != nil && *c.Role != "" && access.CanonicalRole(*c.Role) != before.Role {
		rest := slices.Clone(before.Roles[min(1, len(before.Roles)):])
		if c.Roles != nil {
			rest = *c.Roles
		}
		u.Roles = append([]string{*c.Role}, rest...)
	}
	set(&u.own, c.Permissions)
	privileged = identity || u.Specialty != before.Specialty || u.Department != before.Department || u.OrganizationID != before.OrganizationID ||
		u.FacilityID != before.FacilityID || u.Status != before.Status || !slices.Equal(u.Roles, before.Roles) || !slices.Equal(u.own, before.own)
	return privileged, identity
}

// may says why the caller may not make these changes of before.
func (s *Service) may(ctx context.Context, before, after *User, privileged, identity bool) error {
	c := access.From(ctx)
	self := c.User == before.ID && c.Tenant == before.Tenant && c.Client == ""
	if (!self || privileged) && !c.Permits("users:update") {
		return fault.New(fault.Forbidden, "this needs the permission users:update")
	}
	if identity {
		if err := s.mayManage(ctx, before); err != nil {
			return err
		}
	}
	if !self {
		if err := mayTouch(ctx, before); err != nil {
			return err
		}
	}
	if self && !c.Permits(access.AllPermissions) && (before.FHIRUser != after.FHIRUser || before.Patient != after.Patient || !slices.Equal(before.Patients, after.Patients)) {
		return fault.New(fault.Forbidden, "nobody says of themselves who they are in the record")
	}
	if slices.Equal(before.Roles, after.Roles) && slices.Equal(before.own, after.own) {
		return nil
	}
	// Neither may he give what he does not hold, nor take it.
	return mayGrant(ctx, append(slices.Clone(after.Permissions), before.Permissions...))
}

// Update changes a user. Of themselves everybody changes names, phone and language; the rest needs users:update, and nobody
// makes others, or himself, able to do more than he is. Conflict where the last administrator would go.
func (s *Service) Update(ctx context.Context, tenant int32, id int64, c Change) (*User, error) {
	for range 5 {
		u, err := s.User(ctx, tenant, id)
		if err != nil {
			return nil, err
		}
		before := *u
		before.Roles, before.own = slices.Clone(u.Roles), slices.Clone(u.own)
		privileged, identity := c.apply(u)
		if err := s.complete(ctx, u); err != nil {
			return nil, err
		}
		if err := s.may(ctx, &before, u, privileged, identity); err != nil {
			return nil, err
		}
		done, err := s.store(ctx, &before, u)
		if err != nil {
			return nil, err
		}
		if done {
			s.forgetUser(tenant, id)
			s.admin(ctx, tenant, "update", "User", id, told(&before, u))
			if u.Status != Active && before.Status == Active {
				if err := s.EndSessions(ctx, tenant, id, 0, "the account is "+u.Status); err != nil {
					return nil, err
				}
			}
			return s.User(ctx, tenant, id)
		}
	}
	return nil, fault.New(fault.Conflict, "the user is being changed by others: try again")
}

// told says what changed, for the audit, without contact data.
func told(before, after *User) string {
	var out []string
	if !slices.Equal(before.Roles, after.Roles) {
		out = append(out, "roles: "+strings.Join(before.Roles, " ")+" → "+strings.Join(after.Roles, " "))
	}
	if !slices.Equal(before.own, after.own) {
		out = append(out, "permissions: "+strings.Join(before.own, " ")+" → "+strings.Join(after.own, " "))
	}
	if before.Status != after.Status {
		out = append(out, "status: "+before.Status+" → "+after.Status)
	}
	if before.FHIRUser != after.FHIRUser || before.Patient != after.Patient || !slices.Equal(before.Patients, after.Patients) {
		out = append(out, "links to records")
	}
	if before.Email != after.Email {
		out = append(out, "e-mail")
	}
	if before.MFAEnabled != after.MFAEnabled {
		out = append(out, "second factor: "+strconv.FormatBool(after.MFAEnabled))
	}
	if len(out) == 0 {
		return "profile"
	}
	return strings.Join(out, "; ")
}

// store writes the user where nobody changed him since; false where somebody did.
func (s *Service) store(ctx context.Context, before, u *User) (bool, error) {
	row, err := s.columns(ctx, u)
	if err != nil {
		return false, err
	}
	n := int64(0)
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := free(ctx, tx, u, row); err != nil {
			return err
		}
		if isAdmin(before) && before.Status == Active && (!isAdmin(u) || u.Status != Active) {
			if err := s.anotherAdmin(ctx, tx, u); err != nil {
				return err
			}
		}
		n, err = tx.Exec(ctx, `UPDATE identity_user SET email = $3, username = $4, profile = $5, role = $6, roles = $7, permissions = $8, status = $9,
			organization = $10, facility = $11, fhir_user = $12, patient = $13, patients = $14, mfa = $15, email_verified = $16, version = version + 1,
			updated_at = $17, updated_by = $18 WHERE tenant = $1 AND id = $2 AND deleted_at = 0 AND version = $19`,
			append(row, s.now().UnixMicro(), by(ctx), before.version)...)
		return err
	})
	return n > 0, err
}

// anotherAdmin is Conflict where nobody but u is an active administrator. Two who give up at once go one after the other.
func (s *Service) anotherAdmin(ctx context.Context, tx sqldb.Tx, u *User) error {
	if err := tx.Lock(ctx, lockOf("admins", u.Tenant, 0)); err != nil {
		return err
	}
	n, err := admins(ctx, tx, u.Tenant, u.ID)
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "this is the last active administrator")
	}
	return err
}

// admins counts the active administrators but one.
func admins(ctx context.Context, q sqldb.Querier, tenant int32, but int64) (n int64, err error) {
	_, err = sqldb.QueryRow(ctx, q, []any{&n}, `SELECT count(*) FROM identity_user WHERE tenant = $1 AND deleted_at = 0 AND status = 'active' AND id <> $2
		AND (roles LIKE $3 ESCAPE '!' OR roles LIKE $4 ESCAPE '!')`, tenant, but, "%"+likeRole(adminRoles[0])+"%", "%"+likeRole(adminRoles[1])+"%")
	return n, err
}

// HasAdmin reports whether the tenant has an active administrator.
func (s *Service) HasAdmin(ctx context.Context, tenant int32) (bool, error) {
	n := int64(0)
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		n, err = admins(ctx, q, tenant, 0)
		return err
	})
	return n > 0, err
}

// SetStatus makes a user active, inactive or suspended; whoever is not active has no sessions.
func (s *Service) SetStatus(ctx context.Context, tenant int32, id int64, status string) (*User, error) {
	if c := access.From(ctx); c.User == id && c.Tenant == tenant && status != Active {
		return nil, fault.New(fault.Invalid, "nobody switches off the own account").WithCode("INVALID_REQUEST")
	}
	return s.Update(ctx, tenant, id, Change{Status: &status})
}

// SetPassword gives a user a password that the rules allow, takes back a lock-out, ends all sessions but keep (0: none is kept), and those
// of apps. The caller of ctx is the user himself, who proved who he is, or may do all that the user may.
func (s *Service) SetPassword(ctx context.Context, tenant int32, id int64, password string, keep int64) error {
	u, err := s.User(ctx, tenant, id)
	if err != nil {
		return err
	}
	if c := access.From(ctx); c.User != id || c.Tenant != tenant || c.Client != "" {
		if !c.Permits("users:update") {
			return fault.New(fault.Forbidden, "this needs the permission users:update")
		}
		if err := s.mayManage(ctx, u); err != nil {
			return err
		}
	}
	if err := s.checkPasswordRules(password, u); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, normal(password))
	if err != nil {
		return err
	}
	account, err := s.account(ctx, tenant, u.Email)
	if err != nil {
		return err
	}
	now := s.now().UnixMicro()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM identity_attempt WHERE tenant = $1 AND subject = $2", tenant, account); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE identity_user SET password = $3, password_at = $4, updated_at = $4, updated_by = $5, version = version + 1,
			status = CASE WHEN status = 'invited' THEN 'active' ELSE status END WHERE tenant = $1 AND id = $2 AND deleted_at = 0`, tenant, id, hash, now, by(ctx))
		return err
	})
	if err != nil {
		return err
	}
	s.forgetUser(tenant, id)
	s.admin(ctx, tenant, "password", "User", id, "a new password")
	return s.EndSessions(ctx, tenant, id, keep, "the password was changed")
}

// Delete takes a user out; what the audit and the record say of him stays. His address can be used again.
func (s *Service) Delete(ctx context.Context, tenant int32, id int64) error {
	c := access.From(ctx)
	if c.User == id && c.Tenant == tenant {
		return fault.New(fault.Invalid, "nobody deletes the own account").WithCode("INVALID_REQUEST")
	}
	if !c.Permits("users:delete") {
		return fault.New(fault.Forbidden, "this needs the permission users:delete")
	}
	u, err := s.User(ctx, tenant, id)
	if err != nil {
		return err
	}
	if err := mayTouch(ctx, u); err != nil {
		return err
	}
	now := s.now().UnixMicro()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		if isAdmin(u) {
			if err := s.anotherAdmin(ctx, tx, u); err != nil && u.Status == Active {
				return err
			}
		}
		n, err := tx.Exec(ctx, `UPDATE identity_user SET status = 'inactive', deleted_at = $3, updated_at = $3, updated_by = $4, version = version + 1
			WHERE tenant = $1 AND id = $2 AND deleted_at = 0`, tenant, id, now, by(ctx))
		if err == nil && n == 0 {
			return errNoUser()
		}
		return err
	})
	if err != nil {
		return err
	}
	s.forgetUser(tenant, id)
	s.admin(ctx, tenant, "delete", "User", id, "")
	return s.EndSessions(ctx, tenant, id, 0, "the account was deleted")
}

// Provision returns the user that an outside identity is: by its subject, else, where both sides have verified the address, by that; else it is made
// where create says so. NotFound where it is not; Conflict where an account has the address but may not be linked by it alone.
func (s *Service) Provision(ctx context.Context, tenant int32, e External, create bool) (*User, error) {
	system := access.With(ctx, systemFor(ctx, tenant))
	blind, err := s.ledger.Blind(ctx, tenant, "identity.external."+e.Provider, e.Subject)
	if err != nil {
		return nil, err
	}
	var id int64
	err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		id = 0
		_, err := sqldb.QueryRow(ctx, q, []any{&id}, `SELECT x.user_id FROM identity_external x JOIN identity_user u ON u.tenant = x.tenant AND u.id = x.user_id
			AND u.deleted_at = 0 WHERE x.tenant = $1 AND x.provider = $2 AND x.subject = $3`, tenant, e.Provider, blind)
		return err
	})
	if err != nil {
		return nil, err
	}
	if id != 0 {
		if len(e.Roles) > 0 {
			return s.Update(system, tenant, id, Change{Roles: &e.Roles})
		}
		return s.User(ctx, tenant, id)
	}
	u, err := s.ByEmail(ctx, tenant, e.Email)
	switch {
	case err == nil && (!e.EmailVerified || !u.EmailVerified):
		return nil, fault.New(fault.Conflict, "an account has this address: sign in to it, and link the other from there")
	case fault.Is(err, fault.NotFound) && create:
		n := NewUser{Email: e.Email, FirstName: e.FirstName, LastName: e.LastName, Roles: e.Roles, EmailVerified: e.EmailVerified, Status: Active}
		if usernameForm.MatchString(e.Username) {
			n.Username = e.Username
		}
		if len(n.Roles) == 0 {
			n.Role = "patient" // who has no link to a record, and so sees nobody's
		}
		u, err = s.Create(system, tenant, n)
	}
	if err != nil {
		return nil, err
	}
	return u, s.Link(system, tenant, u.ID, e.Provider, e.Subject)
}

// systemFor is the program, acting on behalf of whoever asks.
func systemFor(ctx context.Context, tenant int32) access.Caller {
	c, from := access.System(tenant), access.From(ctx)
	c.RequestID, c.Address = from.RequestID, from.Address
	return c
}

// Link makes an outside identity one of the user's.
func (s *Service) Link(ctx context.Context, tenant int32, user int64, provider, subject string) error {
	blind, err := s.ledger.Blind(ctx, tenant, "identity.external."+provider, subject)
	if err != nil {
		return err
	}
	now := s.now().UnixMicro()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO identity_external (tenant, provider, subject, user_id, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, provider, subject) DO UPDATE SET user_id = EXCLUDED.user_id, created_by = EXCLUDED.created_by, created_at = EXCLUDED.created_at`,
			tenant, provider, blind, user, by(ctx), now)
		return err
	})
	if err == nil {
		s.admin(ctx, tenant, "link", "User", user, "provider "+provider)
	}
	return err
}
