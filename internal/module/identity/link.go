package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"math/big"
	"net/mail"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// A patient's account sees nothing until it is linked to the patient's own record. The user says who they are; where exactly one record matches, it is
// proven either by a code that is mailed to the address that stands on the record, or by staff who have seen the person. Whether anything matched is
// told to staff alone, or an account could ask whom the clinic knows: the answer, and the work, are the same.

const (
	linkPending  = "pending"
	linkVerified = "verified"
	linkRejected = "rejected"

	linksADay     = 5  // wishes of one account
	claimsADay    = 10 // of one identifier, whoever makes them
	lettersADay   = 3  // to one record's address
	linkCodeTries = 5
	linkCodeLife  = 30 * time.Minute
	longestClaim  = 200 // bytes of a field
	day           = 24 * time.Hour
)

// Claim is who a user says that they are.
type Claim struct {
	FamilyName string `json:"familyName"`
	GivenName  string `json:"givenName"`
	BirthDate  string `json:"birthDate"` // YYYY-MM-DD
	Identifier struct {
		System string `json:"system,omitempty"`
		Value  string `json:"value"`
	} `json:"identifier"`
}

// check refuses what is no claim. Only a whole day is one: "ge1900-01-01" would be anybody's.
func (c *Claim) check() error {
	for _, f := range []*string{&c.FamilyName, &c.GivenName, &c.BirthDate, &c.Identifier.System, &c.Identifier.Value} {
		*f = strings.TrimSpace(*f)
	}
	fields := map[string]string{"familyName": c.FamilyName, "givenName": c.GivenName, "birthDate": c.BirthDate, "identifier.value": c.Identifier.Value}
	for _, v := range fields {
		if v == "" {
			return missing(fields)
		}
	}
	fields["identifier.system"] = c.Identifier.System
	for name, v := range fields {
		if len(v) > longestClaim {
			return fault.At(fault.Invalid, name, "is longer than %d bytes", longestClaim)
		}
	}
	if _, err := time.Parse(time.DateOnly, c.BirthDate); err != nil {
		return fault.At(fault.Invalid, "birthDate", "must be a day such as 1990-02-28")
	}
	return nil
}

// Verification is a wish to be linked.
type Verification struct {
	ID, User      int64
	Patient       string // for staff; "": nothing matched, or more than one
	Status        string // pending, verified, rejected
	How           string // what proved it: staff, code; "" before
	Made, Decided time.Time
}

// claimed is what of a Patient is held against a claim.
type claimed struct {
	ID        string `json:"id"`
	Active    *bool  `json:"active"`
	BirthDate string `json:"birthDate"`
	Name      []struct {
		Family string   `json:"family"`
		Given  []string `json:"given"`
	} `json:"name"`
	Telecom []struct {
		System string `json:"system"`
		Value  string `json:"value"`
		Use    string `json:"use"`
		Period struct {
			End string `json:"end"`
		} `json:"period"`
	} `json:"telecom"`
	DeceasedBoolean  bool   `json:"deceasedBoolean"`
	DeceasedDateTime string `json:"deceasedDateTime"`
}

// is reports whether the record is of whom the claim names, as people write names: without regard to case, marks, and variants of Arabic letters.
func (p *claimed) is(c *Claim) bool {
	if p.BirthDate != c.BirthDate || p.Active != nil && !*p.Active || p.DeceasedBoolean || p.DeceasedDateTime != "" {
		return false
	}
	family, given := search.Fold(c.FamilyName), search.Fold(c.GivenName)
	if family == "" || given == "" {
		return false
	}
	for _, n := range p.Name {
		if search.Fold(n.Family) != family {
			continue
		}
		if search.Fold(strings.Join(n.Given, " ")) == given || slices.ContainsFunc(n.Given, func(g string) bool { return search.Fold(g) == given }) {
			return true
		}
	}
	return false
}

// contact is where the person is reached by the record, by mail or, where that is offered, by phone; "": nowhere.
func (p *claimed) contact(now time.Time, phone bool) (to string, sms bool) {
	number := ""
	for _, t := range p.Telecom {
		value := strings.TrimSpace(t.Value)
		if t.Use == "old" || t.Period.End != "" && t.Period.End < now.UTC().Format(time.DateOnly) {
			continue
		}
		switch a, err := mail.ParseAddress(value); {
		case t.System == "email" && err == nil:
			return a.Address, false
		case (t.System == "phone" || t.System == "sms") && number == "" && numberForm.MatchString(value):
			number = value
		}
	}
	if !phone || number == "" {
		return "", false
	}
	return number, true
}

// numberForm is what can be a phone's number; who sends to it knows more.
var numberForm = regexp.MustCompile(`^\+?[0-9][0-9 ()/-]{5,30}$`)

// Short enough for one text message, or two in Arabic.
const (
	linkText   = "Your code for your health record: %s. If you did not ask for it, do nothing and tell the clinic."
	linkTextAr = "رمزك للاطلاع على سجلك الصحي: %s. إذا لم تطلبه فلا تفعل شيئًا وأبلغ العيادة."
)

// matchClaim returns the one record that is what the user says; nil where there is none, or several.
func (s *Service) matchClaim(ctx context.Context, tenant int32, c *Claim) (*claimed, error) {
	if s.o.Records == nil {
		return nil, fault.New(fault.Unavailable, "the record is not at hand")
	}
	// Escaped, so that one claim names one identifier: "1,2,3" would be three guesses.
	id := search.Escape(c.Identifier.Value)
	if c.Identifier.System != "" {
		id = search.Escape(c.Identifier.System) + "|" + id
	}
	params := []search.Param{{Name: "identifier", Value: id}, {Name: "birthdate", Value: c.BirthDate}, {Name: "_count", Value: "20"}}
	q, err := search.Parse("Patient", params, search.Options{Now: s.now()})
	if err != nil {
		return nil, err
	}
	page, err := s.o.Records.Search(access.With(ctx, access.System(tenant)), q)
	if err != nil || page.Next != "" {
		return nil, err
	}
	var found []*claimed
	for _, m := range page.Matches {
		p := &claimed{}
		if err := json.Unmarshal(m.Version.JSON(), p); err != nil {
			return nil, err
		}
		if p.ID = m.Version.ID; p.is(c) {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return nil, nil
	}
	return found[0], nil
}

// ownPerson is the user who calls by the product itself, not through an app.
func (s *Service) ownPerson(ctx context.Context) (*User, error) {
	if access.From(ctx).Client != "" {
		return nil, fault.New(fault.Forbidden, "an app does not do this")
	}
	return s.self(ctx)
}

// Verify asks for the caller's account to be linked. The answer is the same whether a record matches or not; where one does, and bears an e-mail
// address, a code for [Service.Confirm] goes to it. TooMany where it is asked for too often.
func (s *Service) Verify(ctx context.Context, c Claim) (*Verification, error) {
	u, err := s.ownPerson(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if u.Patient != "" {
		return nil, errLinked()
	}
	if err := s.mayAsk(ctx, u.Tenant, "claim", c.Identifier.Value, claimsADay, day); err != nil {
		return nil, err
	}
	p, err := s.matchClaim(ctx, u.Tenant, &c)
	if err != nil {
		return nil, err
	}
	v := &Verification{ID: s.ledger.Next(), User: u.ID, Status: linkPending, Made: s.now()}
	if p != nil {
		v.Patient = "Patient/" + p.ID
	}
	letter, code, err := s.linkLetter(ctx, u, v, p)
	if err != nil {
		return nil, err
	}
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		if err := s.linksLeft(ctx, tx, u); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO identity_link (tenant, id, user_id, patient, status, how, code, code_until, tries, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, 'pending', '', $5, $6, 0, $7, $8, $7, $8, 0)`, u.Tenant, v.ID, u.ID, v.Patient, code, v.Made.Add(linkCodeLife).UnixMicro(), by(ctx),
			v.Made.UnixMicro()); err != nil {
			return err
		}
		return letter(tx)
	})
	if err != nil {
		return nil, err
	}
	s.admin(ctx, u.Tenant, "verify", "User", u.ID, "asks to be linked to a record")
	return v, nil
}

func errLinked() error { return fault.New(fault.Conflict, "this account is linked already") }

// linksLeft bounds, in a transaction, how often a user may say who they are.
func (s *Service) linksLeft(ctx context.Context, tx sqldb.Tx, u *User) error {
	if err := tx.Lock(ctx, lockOf("link", u.Tenant, u.ID)); err != nil {
		return err
	}
	var n int64
	_, err := sqldb.QueryRow(ctx, tx, []any{&n}, "SELECT count(*) FROM identity_link WHERE tenant = $1 AND user_id = $2 AND created_at > $3", u.Tenant, u.ID, s.now().Add(-day).UnixMicro())
	if err == nil && n >= linksADay {
		err = fault.New(fault.TooMany, "this was asked %d times today: ask at the clinic", linksADay)
	}
	return err
}

// linkLetter makes the letter with the code, and what of the code is kept. Where there is no record, or no address on it, or too many letters went there
// today, the letter goes nowhere, and the code is nobody's.
func (s *Service) linkLetter(ctx context.Context, u *User, v *Verification, p *claimed) (put func(sqldb.Tx) error, kept []byte, err error) {
	n, err := rand.Int(rand.Reader, big.NewInt(1e8))
	if err != nil {
		return nil, nil, err
	}
	code := fmt.Sprintf("%08d", n)
	if kept, err = s.linkCode(ctx, u.Tenant, v.ID, code); err != nil {
		return nil, nil, err
	}
	l := s.compose(u, forLink, code)
	l.To = ""
	if p != nil {
		l.To, l.SMS = p.contact(s.now(), s.o.SMS != nil)
	}
	if l.SMS {
		l.Subject, l.Text = "", fmt.Sprintf(linkText, code)
		if arabic(u) {
			l.Text = fmt.Sprintf(linkTextAr, code)
		}
	}
	// It is counted in any case, so that time tells nothing.
	switch err := s.mayAsk(ctx, u.Tenant, forLink, or(v.Patient, who(u.ID)), lettersADay, day); {
	case fault.Is(err, fault.TooMany):
		l.To = ""
	case err != nil:
		return nil, nil, err
	}
	if l.To == "" {
		kept = []byte{}
	}
	put, _, err = s.queue(ctx, u, forLink, l, s.now().Add(linkCodeLife), l.To != "")
	return put, kept, err
}

// linkCode is what of a code is kept. It has eight digits alone, so that a plain hash could be turned back: this one is keyed.
func (s *Service) linkCode(ctx context.Context, tenant int32, id int64, code string) ([]byte, error) {
	return s.ledger.Blind(ctx, tenant, "identity.link/"+strconv.FormatInt(id, 10), plainCode(code))
}

// Confirm proves by a code that was mailed that the caller is the patient, and links the account. Invalid where the code is not the one, is older than 30
// minutes, was tried five times, or none was sent: which of them, nobody is told.
func (s *Service) Confirm(ctx context.Context, id int64, code string) error {
	u, err := s.ownPerson(ctx)
	if err != nil {
		return err
	}
	if len(code) > 64 {
		code = ""
	}
	want, err := s.linkCode(ctx, u.Tenant, id, code)
	if err != nil {
		return err
	}
	right, patient := false, ""
	err = s.ledger.Update(ctx, u.Tenant, func(tx sqldb.Tx) error {
		right, patient = false, ""
		now := s.now().UnixMicro()
		n, err := tx.Exec(ctx, `UPDATE identity_link SET tries = tries + 1 WHERE tenant = $1 AND id = $2 AND user_id = $3 AND status = 'pending' AND code_until > $4
			AND tries < $5`, u.Tenant, id, u.ID, now, linkCodeTries)
		if err != nil || n == 0 {
			return err
		}
		var kept []byte
		if _, err := sqldb.QueryRow(ctx, tx, []any{&kept, &patient}, "SELECT code, patient FROM identity_link WHERE tenant = $1 AND id = $2", u.Tenant, id); err != nil {
			return err
		}
		if patient == "" || len(kept) == 0 || subtle.ConstantTimeCompare(bytes.Clone(kept), want) != 1 {
			return nil
		}
		right = true
		if _, err := tx.Exec(ctx, "UPDATE identity_link SET status = 'verified', how = 'code', code = $3, updated_by = $4, updated_at = $5 WHERE tenant = $1 AND id = $2",
			u.Tenant, id, []byte{}, by(ctx), now); err != nil {
			return err
		}
		if err := s.linkUser(ctx, tx, u.Tenant, u.ID, patient); err != nil {
			return err
		}
		return s.void(ctx, tx, u, forLink)
	})
	if err != nil {
		return err
	}
	if !right {
		s.security(ctx, u.Tenant, "link-refused", "low", u.ID, "", "a wrong code for a link to a record")
		return fault.At(fault.Invalid, "code", "the code is wrong, too old, or was tried too often").WithCode("INVALID_CODE")
	}
	s.forgetUser(u.Tenant, u.ID)
	s.admin(ctx, u.Tenant, "link", "User", u.ID, patient+", by a code to a contact on the record")
	return nil
}

// linkUser links an account in a transaction; Conflict where it is linked. Call forgetUser after it.
func (s *Service) linkUser(ctx context.Context, tx sqldb.Tx, tenant int32, user int64, patient string) error {
	n, err := tx.Exec(ctx, `UPDATE identity_user SET patient = $3, version = version + 1, updated_by = $4, updated_at = $5
		WHERE tenant = $1 AND id = $2 AND deleted_at = 0 AND patient = ''`, tenant, user, patient, by(ctx), s.now().UnixMicro())
	if err == nil && n == 0 {
		err = errLinked()
	}
	return err
}

// mayLink is for staff who see people, and for those who keep users.
func mayLink(c *access.Caller) bool { return c.Permits("patients:update") || c.Permits("users:update") }

// Verifications lists the wishes of a status ("": those that wait), oldest first, 500 at most: all for staff, for others their own, without what matched.
func (s *Service) Verifications(ctx context.Context, status string) ([]Verification, error) {
	c := access.From(ctx)
	staff := mayLink(&c)
	where, args := "", []any{c.Tenant, or(status, linkPending)}
	if !staff {
		where, args = "AND user_id = $3", append(args, c.User)
	}
	var out []Verification
	err := s.ledger.Read(ctx, c.Tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(r sqldb.Rows) error {
			var v Verification
			var made, decided int64
			err := r.Scan(&v.ID, &v.User, &v.Patient, &v.Status, &v.How, &made, &decided)
			v.Made = at(made)
			if v.Status != linkPending {
				v.Decided = at(decided)
			}
			if !staff {
				v.Patient = ""
			}
			out = append(out, v)
			return err
		}, "SELECT id, user_id, patient, status, how, created_at, updated_at FROM identity_link WHERE tenant = $1 AND status = $2 "+where+" ORDER BY id LIMIT 500", args...)
	})
	return out, err
}

// Decide confirms a link, or refuses it. patient is whom staff found the person to be: it must be given where nothing matched by itself. Nobody decides on
// their own; Conflict where it is decided, or the account is linked.
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
	case !mayLink(&c):
		return fault.New(fault.Forbidden, "this needs the permission patients:update or users:update")
	case user == 0:
		return fault.New(fault.NotFound, "there is no such verification")
	case status != linkPending:
		return fault.New(fault.Conflict, "it is %s already", status)
	case user == c.User:
		return fault.New(fault.Forbidden, "nobody verifies themselves")
	}
	to := linkRejected
	if yes {
		to, patient = linkVerified, or(patient, matched)
		if err := s.seesPatient(ctx, patient); err != nil {
			return err
		}
	} else {
		patient = matched
	}
	err = s.ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE identity_link SET status = $3, how = 'staff', patient = $4, code = $5, updated_by = $6, updated_at = $7
			WHERE tenant = $1 AND id = $2 AND status = 'pending'`, c.Tenant, id, to, patient, []byte{}, by(ctx), s.now().UnixMicro())
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "somebody else has decided already")
		}
		if err != nil || !yes {
			return err
		}
		return s.linkUser(ctx, tx, c.Tenant, user, patient)
	})
	if err != nil {
		return err
	}
	if !yes {
		s.admin(ctx, c.Tenant, "link-refused", "User", user, "by staff")
		return nil
	}
	s.forgetUser(c.Tenant, user)
	s.admin(ctx, c.Tenant, "link", "User", user, patient+", by staff")
	return nil
}

// seesPatient refuses what is no reference to a record that the caller sees.
func (s *Service) seesPatient(ctx context.Context, patient string) error {
	if patient == "" {
		return fault.At(fault.Invalid, "patient", "must be given: no record matched by itself")
	}
	of, ok := strings.CutPrefix(patient, "Patient/")
	if !ok || of == "" {
		return fault.At(fault.Invalid, "patient", "must be a reference such as Patient/3")
	}
	_, err := s.o.Records.Read(ctx, "Patient", of)
	return err
}
