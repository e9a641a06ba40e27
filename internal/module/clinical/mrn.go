package clinical

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

const (
	orgTypes           = "http://terminology.hl7.org/CodeSystem/organization-type"
	facilityCodeSystem = "urn:x-nilecare:facility-code"
)

// The check digits of medical record numbers.
const (
	noCheck = "none"
	luhn    = "luhn"  // ISO/IEC 7812-1: one digit; finds each wrong digit and most exchanged ones
	mod97   = "mod97" // ISO/IEC 7064 MOD 97-10: two digits; finds nearly all slips
)

// MRNFormat says how a facility's medical record numbers are written.
type MRNFormat struct {
	FacilityID *string `json:"facilityId" doc:"null: patients of no facility"`
	Prefix     string  `json:"prefix" doc:"up to 20 capitals, digits and dashes; no other facility of the tenant has it"`
	Width      int     `json:"width" doc:"digits of the number, at least: 4 to 12"`
	CheckDigit string  `json:"checkDigit" doc:"none, luhn or mod97"`
	Next       int64   `json:"next" doc:"the number that is issued next"`
	Example    string  `json:"example"`
}

// mrnFormat is a row of clinical_mrn.
type mrnFormat struct {
	facility, prefix, check string
	width, next             int64
}

// text is the number n as it is written.
func (f mrnFormat) text(n int64) string {
	digits := fmt.Sprintf("%0*d", f.width, n)
	switch f.check {
	case luhn:
		digits += strconv.Itoa(luhnDigit(digits))
	case mod97:
		digits += fmt.Sprintf("%02d", 98-mod(digits+"00"))
	}
	return f.prefix + digits
}

// luhnDigit is the digit that makes the sum of a number with it a multiple of ten.
func luhnDigit(digits string) int {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return (10 - sum%10) % 10
}

// mod is the number modulo 97.
func mod(digits string) int {
	rest := 0
	for i := range len(digits) {
		rest = (rest*10 + int(digits[i]-'0')) % 97
	}
	return rest
}

// mrnSystemOf is the identifier system of a facility's numbers, by its id in the product API; "" for those of no facility.
func mrnSystemOf(facility string) string {
	if facility == "" {
		return mrnSystem
	}
	return mrnSystem + ":" + facility
}

const selectFormat = "SELECT facility, prefix, width, check_digit, next FROM clinical_mrn WHERE tenant = $1 AND facility = $2"

func formatOf(ctx context.Context, q sqldb.Querier, facility string) (mrnFormat, bool, error) {
	var f mrnFormat
	found, err := sqldb.QueryRow(ctx, q, []any{&f.facility, &f.prefix, &f.width, &f.check, &f.next}, selectFormat, access.From(ctx).Tenant, facility)
	return f, found, err
}

// mrnLock is the number under which those who issue a facility's numbers wait for each other.
func mrnLock(tenant int32, facility string) int64 {
	return hashed("mrn", strconv.Itoa(int(tenant)), facility)
}

// issue takes the next number of a facility, by its FHIR id; prefix is what its numbers begin with where none was issued before. A number that is taken and
// then not used, since the registration is refused, is not taken again: there are gaps.
func (s *Service) issue(ctx context.Context, facility string, prefixes []string) (string, error) {
	c := access.From(ctx)
	var out string
	err := s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, mrnLock(c.Tenant, facility)); err != nil {
			return err
		}
		f, found, err := formatOf(ctx, tx, facility)
		if err != nil {
			return err
		}
		if !found {
			if f, err = s.beginFormat(ctx, tx, facility, prefixes); err != nil {
				return err
			}
		}
		out = f.text(f.next)
		_, err = tx.Exec(ctx, "UPDATE clinical_mrn SET next = next + 1, updated_by = $3, updated_at = $4 WHERE tenant = $1 AND facility = $2", c.Tenant, facility, c.Who,
			ident.Time(s.Ledger.Next()).UnixMicro())
		return err
	})
	return out, err
}

// beginFormat makes a facility's format, with the first of the prefixes that no other facility has.
func (s *Service) beginFormat(ctx context.Context, tx record.Tx, facility string, prefixes []string) (mrnFormat, error) {
	c := access.From(ctx)
	f := mrnFormat{facility: facility, width: 6, next: 1}
	at := ident.Time(s.Ledger.Next()).UnixMicro()
	for _, f.prefix = range prefixes {
		n, err := tx.Exec(ctx, `INSERT INTO clinical_mrn (tenant, facility, prefix, width, check_digit, next, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, '', 1, $5, $6, $5, $6, 0) ON CONFLICT DO NOTHING`, c.Tenant, facility, f.prefix, f.width, c.Who, at)
		if err != nil || n == 1 {
			return f, err
		}
	}
	return f, fault.New(fault.Conflict, "the prefix of this facility's medical record numbers is another's: set one by PUT /api/v1/mrn-formats/{facilityId}").WithCode("MRN_PREFIX_TAKEN")
}

// facilityOf is a facility as patients are registered at.
type registeredAt struct {
	ref, fhirID, key string
	prefixes         []string
}

// mrnFor issues a number for a facility; nil where there is none.
func (s *Service) mrnFor(ctx context.Context, at *registeredAt) (system, value string, err error) {
	if at == nil {
		value, err = s.issue(ctx, "", []string{"MRN-"})
		return mrnSystem, value, err
	}
	value, err = s.issue(ctx, at.fhirID, at.prefixes)
	return mrnSystemOf(at.key), value, err
}

// facility reads the Organization that an id of the product API means; it must be a facility.
func (s *Service) facility(ctx context.Context, field, id string) (*registeredAt, error) {
	one, err := s.Records.Read(ctx, "Organization", id)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) || err == nil && !isFacility(one.Res) {
		return nil, fault.At(fault.Unprocessable, field, "there is no facility with this id")
	}
	if err != nil {
		return nil, err
	}
	return atFacility(one), nil
}

// facilityAt is facility for the id of a path.
func (s *Service) facilityAt(r *http.Request) (*registeredAt, error) {
	at, err := s.facility(r.Context(), "facilityId", r.PathValue("facilityId"))
	if fault.Is(err, fault.Unprocessable) {
		return nil, fault.New(fault.NotFound, "there is no facility with this id")
	}
	return at, err
}

func isFacility(r *fhir.Resource) bool {
	for _, t := range flat.Items(r.Get("type")) {
		if flat.Code(t, orgTypes) == "prov" {
			return true
		}
	}
	return false
}

// atFacility says what numbers of a facility begin with: its code, else a piece of its id.
func atFacility(one *flat.Record) *registeredAt {
	at := &registeredAt{ref: one.Ref(), fhirID: one.Version.ID, key: one.Key()}
	code := strings.ToUpper(flat.Identifier(one.Res, facilityCodeSystem))
	if prefixForm.MatchString(code) && len(code) < 19 {
		at.prefixes = append(at.prefixes, strings.TrimRight(code, "-")+"-")
	}
	for _, n := range []int{4, 6, 8, len(at.key)} {
		if n <= len(at.key) {
			at.prefixes = append(at.prefixes, "F"+at.key[len(at.key)-n:]+"-")
		}
	}
	return at
}

// usualFacility is where the caller registers patients: the facility that the caller belongs to, else the only one that there is; nil for none.
func (s *Service) usualFacility(ctx context.Context) (*registeredAt, error) {
	c := access.From(ctx)
	var own []string
	for _, ref := range c.Self {
		if strings.HasPrefix(ref, "Organization/") {
			own = append(own, ref)
		}
	}
	got, err := s.Records.Get(ctx, own...)
	if err != nil {
		return nil, err
	}
	for _, ref := range own {
		if one := got[ref]; one != nil && isFacility(one.Res) {
			return atFacility(one), nil
		}
	}
	q := flat.Query{Type: "Organization", Limit: 2, NoTotal: true}
	q.With("type", orgTypes+"|prov")
	found, err := s.Records.Find(ctx, q)
	if fault.Is(err, fault.Forbidden) {
		return nil, nil
	}
	if err != nil || len(found.Records) != 1 {
		return nil, err
	}
	return atFacility(found.Records[0]), nil
}

// The product API.

var prefixForm = regexp.MustCompile(`^[A-Z0-9][A-Z0-9-]{0,19}$`)

type mrnFormatIn struct {
	Prefix     string `json:"prefix"`
	Width      *int   `json:"width"`
	CheckDigit string `json:"checkDigit"`
	Next       *int64 `json:"next" doc:"to begin behind numbers of before; never lower than it was"`
}

type mrnIn struct {
	FacilityID string `json:"facilityId" doc:"the facility that the number is of; absent: the caller's"`
}

func (s *Service) mrnRoutes() []api.Route {
	return []api.Route{
		line("GET", "/api/v1/mrn-formats/{facilityId}", "patients:read", "How a facility's medical record numbers are written", nil, MRNFormat{}, s.serveFormat),
		line("PUT", "/api/v1/mrn-formats/{facilityId}", "patients:mrn-format", "Change how a facility's medical record numbers are written", mrnFormatIn{}, MRNFormat{}, s.setFormat),
		line("POST", "/api/v1/patients/{id}/mrn", "patients:update", "Issue a medical record number of a facility to a patient", mrnIn{}, patientOut{}, s.issueMRN),
	}
}

func (f mrnFormat) tell(key string) MRNFormat {
	out := MRNFormat{FacilityID: opt(key), Prefix: f.prefix, Width: int(f.width), CheckDigit: f.check, Next: f.next, Example: f.text(f.next)}
	if out.CheckDigit == "" {
		out.CheckDigit = noCheck
	}
	return out
}

func (s *Service) serveFormat(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	at, err := s.facilityAt(r)
	if err != nil {
		return err
	}
	var f mrnFormat
	var found bool
	err = s.Ledger.Read(ctx, access.From(ctx).Tenant, func(q sqldb.Querier) (err error) {
		f, found, err = formatOf(ctx, q, at.fhirID)
		return err
	})
	if err != nil {
		return err
	}
	if !found { // as it will begin
		f = mrnFormat{facility: at.fhirID, prefix: at.prefixes[0], width: 6, next: 1}
	}
	return api.Answer(w, r, http.StatusOK, f.tell(at.key))
}

func (in *mrnFormatIn) check(f *mrnFormat) error {
	var e fieldErrors
	if p := strings.ToUpper(strings.TrimSpace(in.Prefix)); p != "" {
		if f.prefix = p; !prefixForm.MatchString(p) {
			e.add("prefix", "has 1 to 20 capitals, digits and dashes")
		}
	}
	if in.Width != nil {
		if f.width = int64(*in.Width); *in.Width < 4 || *in.Width > 12 {
			e.add("width", "must be 4 to 12")
		}
	}
	switch in.CheckDigit {
	case "":
	case noCheck:
		f.check = ""
	case luhn, mod97:
		f.check = in.CheckDigit
	default:
		e.add("checkDigit", "must be one of none, luhn, mod97")
	}
	if in.Next != nil {
		if *in.Next < f.next {
			e.add("next", "is lower than what is issued next: numbers would come twice")
		}
		f.next = *in.Next
	}
	return e.err()
}

func (s *Service) setFormat(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	at, err := s.facilityAt(r)
	if err != nil {
		return err
	}
	var in mrnFormatIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c := access.From(ctx)
	var f mrnFormat
	err = s.Ledger.Update(ctx, c.Tenant, func(tx sqldb.Tx) error {
		if err := tx.Lock(ctx, mrnLock(c.Tenant, at.fhirID)); err != nil {
			return err
		}
		var found bool
		if f, found, err = formatOf(ctx, tx, at.fhirID); err != nil {
			return err
		}
		if !found {
			first := at.prefixes
			if p := strings.ToUpper(strings.TrimSpace(in.Prefix)); prefixForm.MatchString(p) {
				first = []string{p}
			}
			if f, err = s.beginFormat(ctx, tx, at.fhirID, first); err != nil {
				return err
			}
		}
		if err := in.check(&f); err != nil {
			return err
		}
		taken, err := prefixTaken(ctx, tx, f)
		if err != nil {
			return err
		}
		if taken {
			return fault.At(fault.Conflict, "prefix", "is another facility's").WithCode("MRN_PREFIX_TAKEN")
		}
		_, err = tx.Exec(ctx, "UPDATE clinical_mrn SET prefix = $3, width = $4, check_digit = $5, next = $6, updated_by = $7, updated_at = $8 WHERE tenant = $1 AND facility = $2",
			c.Tenant, at.fhirID, f.prefix, f.width, f.check, f.next, c.Who, ident.Time(s.Ledger.Next()).UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, f.tell(at.key))
}

func prefixTaken(ctx context.Context, q sqldb.Querier, f mrnFormat) (bool, error) {
	var other string
	return sqldb.QueryRow(ctx, q, []any{&other}, "SELECT facility FROM clinical_mrn WHERE tenant = $1 AND prefix = $2 AND facility <> $3", access.From(ctx).Tenant, f.prefix, f.facility)
}

func (s *Service) issueMRN(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var in mrnIn
	if err := api.DecodeOptional(r, &in); err != nil {
		return err
	}
	one, err := s.readPatient(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	if replacedBy(one.Res) != "" {
		return s.mergedAway(ctx, one)
	}
	var at *registeredAt
	if in.FacilityID != "" {
		at, err = s.facility(ctx, "facilityId", in.FacilityID)
	} else {
		at, err = s.usualFacility(ctx)
	}
	if err != nil {
		return err
	}
	key := ""
	if at != nil {
		key = at.key
	}
	if flat.Identifier(one.Res, mrnSystemOf(key)) != "" {
		return fault.New(fault.Conflict, "the patient has a number of this facility").WithCode("DUPLICATE_ENTRY")
	}
	system, value, err := s.mrnFor(ctx, at)
	if err != nil {
		return err
	}
	updated, err := s.Records.Update(ctx, "Patient", one.Key(), 0, func(p *fhir.Resource) error {
		if flat.Identifier(p, system) != "" {
			return fault.New(fault.Conflict, "the patient has a number of this facility").WithCode("DUPLICATE_ENTRY")
		}
		return flat.SetIdentifier(p, system, mrnType, value)
	})
	if err != nil {
		return err
	}
	return s.tellPatient(w, r, http.StatusOK, updated, nil)
}
