package identity

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// profile is what of a user is sealed.
type profile struct {
	Email      string `json:"email"`
	Username   string `json:"username,omitempty"`
	First      string `json:"first,omitempty"`
	Last       string `json:"last,omitempty"`
	Phone      string `json:"phone,omitempty"`
	Locale     string `json:"locale,omitempty"`
	NationalID string `json:"nationalId,omitempty"`
	Specialty  string `json:"specialty,omitempty"`
	Department string `json:"department,omitempty"`
}

const userColumns = `id, profile, roles, permissions, status, organization, facility, fhir_user, patient, patients, password, mfa, email_verified,
	last_login, version, created_at, updated_at`

// userRow is a user as the table keeps it: the profile is still sealed, since it must not be opened while a connection is held.
type userRow struct {
	User
	sealed []byte
}

func scanUser(rows sqldb.Rows, tenant int32) (*userRow, error) {
	u := &userRow{}
	u.Tenant = tenant
	var roles, permissions, patients string
	var mfa, verified, login, created, updated int64
	if err := rows.Scan(&u.ID, &u.sealed, &roles, &permissions, &u.Status, &u.OrganizationID, &u.FacilityID, &u.FHIRUser, &u.Patient, &patients,
		&u.password, &mfa, &verified, &login, &u.version, &created, &updated); err != nil {
		return nil, err
	}
	u.sealed = slices.Clone(u.sealed)
	u.MFAEnabled, u.EmailVerified = mfa != 0, verified != 0
	u.LastLogin, u.CreatedAt, u.UpdatedAt = at(login), at(created), at(updated)
	for _, f := range []struct {
		text string
		to   *[]string
	}{{roles, &u.Roles}, {permissions, &u.own}, {patients, &u.Patients}} {
		if err := json.Unmarshal([]byte(f.text), f.to); err != nil {
			return nil, err
		}
	}
	if len(u.Roles) > 0 {
		u.Role = u.Roles[0]
	}
	return u, nil
}

// at reads a time of a table; 0 is none.
func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func profilePlace(id int64) string { return "identity.user/" + strconv.FormatInt(id, 10) }

// open opens the row's profile and works out its permissions.
func (s *Service) open(ctx context.Context, row *userRow) (*User, error) {
	plain, err := s.ledger.Open(ctx, row.Tenant, profilePlace(row.ID), row.sealed)
	if err != nil {
		return nil, err
	}
	var p profile
	if err := json.Unmarshal(plain, &p); err != nil {
		return nil, err
	}
	u := &row.User
	u.Email, u.Username, u.FirstName, u.LastName, u.Phone, u.Locale = p.Email, p.Username, p.First, p.Last, p.Phone, p.Locale
	u.NationalID, u.Specialty, u.Department = p.NationalID, p.Specialty, p.Department
	roles, err := s.roles(ctx, u.Tenant)
	if err != nil {
		return nil, err
	}
	u.Permissions = roles.permissions(u.Roles, u.own)
	return u, nil
}

func (s *Service) sealProfile(ctx context.Context, u *User) ([]byte, error) {
	plain, err := json.Marshal(profile{u.Email, u.Username, u.FirstName, u.LastName, u.Phone, u.Locale, u.NationalID, u.Specialty, u.Department})
	if err != nil {
		return nil, err
	}
	return s.ledger.Seal(ctx, u.Tenant, profilePlace(u.ID), plain)
}

// plainEmail is the one form of an address that is looked for.
func plainEmail(email string) string {
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(email)))
}

func (s *Service) blindEmail(ctx context.Context, tenant int32, email string) ([]byte, error) {
	return s.ledger.Blind(ctx, tenant, "identity.email", plainEmail(email))
}

func (s *Service) blindUsername(ctx context.Context, tenant int32, name string) ([]byte, error) {
	if name == "" {
		return []byte{}, nil
	}
	return s.ledger.Blind(ctx, tenant, "identity.username", plainEmail(name))
}

// one reads one user by a condition on $2; NotFound where there is none.
func (s *Service) one(ctx context.Context, tenant int32, where string, arg any) (*User, error) {
	var row *userRow
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		row = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) (err error) {
			row, err = scanUser(rows, tenant)
			return err
		}, "SELECT "+userColumns+" FROM identity_user WHERE tenant = $1 AND deleted_at = 0 AND "+where, tenant, arg)
	})
	switch {
	case err != nil:
		return nil, err
	case row == nil:
		return nil, errNoUser()
	}
	return s.open(ctx, row)
}

func errNoUser() error { return fault.New(fault.NotFound, "there is no such user") }

// User returns a user that was not deleted; NotFound where there is none.
func (s *Service) User(ctx context.Context, tenant int32, id int64) (*User, error) {
	return s.one(ctx, tenant, "id = $2", id)
}

// ByEmail returns the user with the address; NotFound where there is none.
func (s *Service) ByEmail(ctx context.Context, tenant int32, email string) (*User, error) {
	blind, err := s.blindEmail(ctx, tenant, email)
	if err != nil {
		return nil, err
	}
	return s.one(ctx, tenant, "email = $2", blind)
}

// Find returns a page of users, newest first, and how many there are. A search by name opens every user of the tenant that the other
// conditions leave.
func (s *Service) Find(ctx context.Context, tenant int32, f Filter) ([]User, int, error) {
	f.Page, f.Limit = max(1, f.Page), or(f.Limit, 20)
	var b sqldb.Builder
	b.SQL(" FROM identity_user WHERE deleted_at = 0 AND tenant = ").Arg(tenant)
	roles := f.Roles
	if f.Role != "" {
		roles = append(slices.Clone(roles), f.Role)
	}
	if len(roles) > 0 {
		b.SQL(" AND (")
		for i, r := range roles {
			if i > 0 {
				b.SQL(" OR ")
			}
			b.SQL("roles LIKE ").Arg("%" + likeRole(r) + "%").SQL(` ESCAPE '!'`)
		}
		b.SQL(")")
	}
	if f.Status != "" {
		b.SQL(" AND status = ").Arg(f.Status)
	}
	opened := f.Search != "" || f.Specialty != "" || f.Department != ""
	total := int64(0)
	var rows []*userRow
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		rows = nil
		if _, err := sqldb.QueryRow(ctx, q, []any{&total}, "SELECT count(*)"+b.String(), b.Args...); err != nil {
			return err
		}
		text := "SELECT " + userColumns + b.String() + " ORDER BY id DESC"
		if !opened {
			text += " LIMIT " + strconv.Itoa(f.Limit) + " OFFSET " + strconv.Itoa((f.Page-1)*f.Limit)
		}
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			row, err := scanUser(r, tenant)
			rows = append(rows, row)
			return err
		}, text, b.Args...)
	})
	if err != nil {
		return nil, 0, err
	}
	out := []User{}
	for _, row := range rows {
		u, err := s.open(ctx, row)
		if err != nil {
			return nil, 0, err
		}
		if !opened || f.matches(u) {
			out = append(out, *u)
		}
	}
	if !opened {
		return out, int(total), nil
	}
	from := min((f.Page-1)*f.Limit, len(out))
	return out[from:min(from+f.Limit, len(out))], len(out), nil
}

func (f *Filter) matches(u *User) bool {
	has := func(in, part string) bool { return strings.Contains(plainEmail(in), plainEmail(part)) }
	return has(u.FirstName+" "+u.LastName+" "+u.Email+" "+u.Username, f.Search) && has(u.Specialty, f.Specialty) && has(u.Department, f.Department)
}

// likeRole is a role's name as it stands in the column of roles, for LIKE.
func likeRole(name string) string {
	quoted, _ := json.Marshal(name) // a string always can be
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(string(quoted))
}

// setMFA says in a transaction whether the user has a second factor. Call forgetUser after it.
func (s *Service) setMFA(ctx context.Context, tx sqldb.Tx, tenant int32, user int64, on bool) error {
	n := int64(0)
	if on {
		n = 1
	}
	_, err := tx.Exec(ctx, "UPDATE identity_user SET mfa = $3, version = version + 1, updated_at = $4, updated_by = $5 WHERE tenant = $1 AND id = $2",
		tenant, user, n, s.now().UnixMicro(), by(ctx))
	return err
}

// UserOf returns the number of the active user who is that person in the record ("Patient/3", "Practitioner/12"); 0 where there is none. Of several it is
// the oldest account.
func (s *Service) UserOf(ctx context.Context, tenant int32, person string) (id int64, err error) {
	if person == "" {
		return 0, nil
	}
	err = s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		id = 0
		_, err := sqldb.QueryRow(ctx, q, []any{&id}, `SELECT min(id) FROM (SELECT id FROM identity_user WHERE tenant = $1 AND patient = $2 AND patient <> '' AND deleted_at = 0 AND status = 'active'
			UNION ALL SELECT id FROM identity_user WHERE tenant = $1 AND fhir_user = $2 AND fhir_user <> '' AND deleted_at = 0 AND status = 'active') AS found`, tenant, person)
		return err
	})
	return id, err
}
