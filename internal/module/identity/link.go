package identity

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// A patient's account sees nothing until it is linked to the patient's own record. The user says who they are; where exactly one record matches, staff
// who have seen the person confirm it. Whether anything matched is told to staff alone, or an account could ask whom the clinic knows.

const (
	linkPending  = "pending"
	linkVerified = "verified"
	linkRejected = "rejected"
	linksADay    = 5
)

// Claim is who a user says that they are.
type Claim struct {
	FamilyName string `json:"familyName"`
	GivenName  string `json:"givenName"`
	BirthDate  string `json:"birthDate"`
	Identifier struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value"`
	} `json:"identifier"`
}

// Verification is a wish to be linked.
type Verification struct {
	ID, User      int64
	Patient       string // for staff; "": nothing matched, or more than one
	Status        string
	Made, Decided time.Time
}

// matchClaim returns the reference of the one record that is what the user says; "" where there is none, or several.
func (s *Service) matchClaim(ctx context.Context, tenant int32, c *Claim) (string, error) {
	if s.o.Records == nil {
		return "", fault.New(fault.Unavailable, "the record is not at hand")
	}
	id := c.Identifier.Value
	if c.Identifier.System != "" {
		id = c.Identifier.System + "|" + id
	}
	params := []search.Param{{Name: "identifier", Value: id}, {Name: "birthdate", Value: c.BirthDate}, {Name: "family:exact", Value: c.FamilyName}, {Name: "given:exact", Value: c.GivenName}, {Name: "_count", Value: "2"}}
	q, err := search.Parse("Patient", params, search.Options{Now: s.now()})
	if err != nil {
		return "", err
	}
	page, err := s.o.Records.Search(access.With(ctx, access.System(tenant)), q)
	if err != nil || len(page.Matches) != 1 {
		return "", err
	}
	return "Patient/" + page.Matches[0].Version.ID, nil
}

// Verify asks for the caller's account to be linked. The answer is the same whether a record matches or not.
func (s *Service) Verify(ctx context.Context, c Claim) (*Verification, error) {
	u, err := s.self(ctx)
	if err != nil {
		return nil, err
	}
	if c.FamilyName == "" || c.GivenName == "" || c.BirthDate == "" || c.Identifier.Value == "" {
		return nil, missing(map[string]string{"familyName": c.FamilyName, "givenName": c.GivenName, "birthDate": c.BirthDate, "identifier.value": c.Identifier.Value})
	}
	if u.Patient != "" {
		return nil, fault.New(fault.Conflict, "this account is linked already")
	}
	if err := s.linksLeft(ctx, u); err != nil {
		return nil, err
	}
	patient, err := s.matchClaim(ctx, u.Tenant, &c)
	if err != nil {
		return nil, err
	}
	v := &Verification{ID: s.ledger.Next(), User: u.ID, Patient: patient, Status: linkPending, Made: s.now()}
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO identity_link (tenant, id, user_id, patient, status, how, code, code_until, tries, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, 'pending', '', $5, 0, 0, $6, $7, $6, $7, 0)`, u.Tenant, v.ID, u.ID, patient, []byte{}, by(ctx), v.Made.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	s.admin(ctx, u.Tenant, "verify", "User", u.ID, "asks to be linked to a record")
	return v, nil
}

// linksLeft bounds how often a user may say who they are.
func (s *Service) linksLeft(ctx context.Context, u *User) error {
	var n int64
	err := s.ledger.Read(ctx, u.Tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&n}, "SELECT count(*) FROM identity_link WHERE tenant = $1 AND user_id = $2 AND created_at > $3", u.Tenant, u.ID, s.now().Add(-24*time.Hour).UnixMicro())
		return err
	})
	if err == nil && n >= linksADay {
		err = fault.New(fault.TooMany, "this was asked %d times today: ask at the clinic", linksADay)
	}
	return err
}

// Verifications lists what waits for staff.
func (s *Service) Verifications(ctx context.Context, status string) ([]Verification, error) {
	tenant := access.From(ctx).Tenant
	var out []Verification
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var v Verification
			var made, decided int64
			err := r.Scan(&v.ID, &v.User, &v.Patient, &v.Status, &made, &decided)
			v.Made, v.Decided = at(made), at(decided)
			out = append(out, v)
			return err
		}, "SELECT id, user_id, patient, status, created_at, updated_at FROM identity_link WHERE tenant = $1 AND status = $2 ORDER BY id LIMIT 500", tenant, or(status, linkPending))
	})
	return out, err
}

// Decide confirms a link, or refuses it. patient is whom staff found the person to be: it must be given where nothing matched by itself.
func (s *Service) Decide(ctx context.Context, id int64, yes bool, patient string) error {
	c := access.From(ctx)
	var user int64
	var matched, status string
	err := s.ledger.Read(ctx, c.Tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&user, &matched, &status}, "SELECT user_id, patient, status FROM identity_link WHERE tenant = $1 AND id = $2", c.Tenant, id)
		return err
	})
	switch {
	case err != nil:
		return err
	case user == 0:
		return fault.New(fault.NotFound, "there is no such verification")
	case status != linkPending:
		return fault.New(fault.Conflict, "it is %s already", status)
	case user == c.User:
		return fault.New(fault.Forbidden, "nobody verifies themselves")
	case yes && or(patient, matched) == "":
		return fault.At(fault.Invalid, "patient", "must be given: no record matched by itself")
	}
	to := linkRejected
	if yes {
		to = linkVerified
		patient = or(patient, matched)
		of, ok := strings.CutPrefix(patient, "Patient/")
		if !ok {
			return fault.At(fault.Invalid, "patient", "must be a reference such as Patient/3")
		}
		if _, err := s.o.Records.Read(ctx, "Patient", of); err != nil { // as the caller, who must see the record
			return err
		}
	}
	n := int64(0)
	err = s.ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) (err error) {
		n, err = tx.Exec(ctx, "UPDATE identity_link SET status = $3, how = 'staff', patient = CASE WHEN $4 = '' THEN patient ELSE $4 END, updated_by = $5, updated_at = $6 WHERE tenant = $1 AND id = $2 AND status = 'pending'",
			c.Tenant, id, to, patient, by(ctx), s.now().UnixMicro())
		return err
	})
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "somebody else has decided already")
	}
	if err != nil || !yes {
		return err
	}
	_, err = s.Update(access.With(ctx, systemFor(ctx, c.Tenant)), c.Tenant, user, Change{Patient: &patient})
	s.admin(ctx, c.Tenant, "link", "User", user, patient)
	return err
}

type decideIn struct {
	Patient string `json:"patient,omitempty"`
}

func (s *Service) linkRoutes() []api.Route {
	staff := api.Permission("patients:update")
	return []api.Route{
		{Method: "POST", Path: "/api/v1/identity-verifications", Need: api.Known(), Summary: "Say who one is, to have the account linked to one's own record", In: Claim{}, Serve: s.postLink},
		{Method: "GET", Path: "/api/v1/identity-verifications", Need: staff, Summary: "What waits to be verified", Query: []string{"status"}, Serve: s.getLinks},
		{Method: "POST", Path: "/api/v1/identity-verifications/{id}/approve", Need: staff, Summary: "Confirm that the account is the patient's", In: decideIn{}, Serve: s.decide(true)},
		{Method: "POST", Path: "/api/v1/identity-verifications/{id}/reject", Need: staff, Summary: "Refuse the link", In: decideIn{}, Serve: s.decide(false)},
	}
}

func (s *Service) postLink(w http.ResponseWriter, r *http.Request) error {
	var in Claim
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	v, err := s.Verify(r.Context(), in)
	if err != nil {
		return err
	}
	return named(w, http.StatusAccepted, "verification", map[string]any{"id": strconv.FormatInt(v.ID, 10), "status": v.Status, "createdAt": when(v.Made)})
}

func (s *Service) getLinks(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Verifications(r.Context(), r.URL.Query().Get("status"))
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(found))
	for i, v := range found {
		out[i] = map[string]any{"id": strconv.FormatInt(v.ID, 10), "userId": strconv.FormatInt(v.User, 10), "patient": v.Patient, "status": v.Status, "createdAt": when(v.Made)}
	}
	return named(w, http.StatusOK, "verifications", out)
}

func (s *Service) decide(yes bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in decideIn
		id, err := pathID(r, "id")
		if err == nil && r.ContentLength != 0 {
			err = api.Decode(r, &in)
		}
		if err == nil {
			err = s.Decide(r.Context(), id, yes, in.Patient)
		}
		if err != nil {
			return err
		}
		return done(w, map[bool]string{true: "linked", false: "refused"}[yes])
	}
}
