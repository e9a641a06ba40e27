package clinical

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// criteria is what patients are looked for by. All that is said must hold.
type criteria struct {
	Term         string // anything: a name, phone, e-mail, national id or medical record number
	Name         string
	Phone        string
	Email        string
	NationalID   string
	MRN          string
	BirthDate    string // 1980-01-31, 1980-01 or 1980
	Gender       string
	BloodType    string
	City, State  string
	FacilityID   string
	MinAge       int // -1: any
	MaxAge       int // -1: any
	HasAllergies string
	HasHistory   string
	Active       string
	From, To     string // day of registration
	Typing       bool   // the last word of a name may be a beginning
	Page, Limit  int
	Cursor       string
	Sort         string
}

// found is a page of patients.
type foundPatients struct {
	records []*flat.Record
	scores  map[string]float64 // by reference
	why     map[string][]string
	page    api.Page
	more    bool // there are more than were looked at: the search says too little
}

// phoneForms are the ways in which a number may have been written down.
func phoneForms(number string) []string {
	forms := []string{number}
	if rest, ok := strings.CutPrefix(number, "+249"); ok {
		forms = append(forms, "0"+rest, "249"+rest, "00249"+rest, rest)
	} else if rest, ok := strings.CutPrefix(number, "+"); ok {
		forms = append(forms, "00"+rest, rest)
	}
	return forms
}

// escaped joins values of which one must hold.
func escaped(values ...string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = search.Escape(v)
	}
	return strings.Join(out, ",")
}

// params are the criteria as search parameters; those of the name are looked up in the ledger.
func (s *Service) params(ctx context.Context, c *criteria) (flat.Query, error) {
	q := flat.Query{Type: "Patient", Page: c.Page, Limit: c.Limit, Cursor: c.Cursor, Sort: "-_lastUpdated"}
	var e fieldErrors
	if c.Phone != "" {
		if n, ok := phoneNumber(c.Phone); ok {
			q.With("phone", escaped(phoneForms(n)...))
		} else {
			e.add("phone", "must be a whole phone number: numbers are kept so that parts of them cannot be looked up")
		}
	}
	if c.Email != "" {
		q.With("email", escaped(c.Email))
	}
	if c.NationalID != "" {
		q.With("identifier", identifierValues(nationalIDSystem, c.NationalID))
	}
	if c.MRN != "" {
		q.With("identifier", escaped(c.MRN))
	}
	if c.BirthDate != "" {
		day := e.born("birthDate", &c.BirthDate, s.today())
		if day != nil {
			q.With("birthdate", *day)
		}
	}
	if c.Gender != "" {
		if g := e.gender(&c.Gender); g != nil {
			q.With("gender", *g)
		}
	}
	s.ages(&q, c, &e)
	if b := e.blood(&c.BloodType); b != nil {
		q.With("_has:Observation:patient:code-value-concept", loinc+"|"+bloodGroup+"$"+"http://snomed.info/sct|"+bloodCodes[*b])
	}
	if c.City != "" {
		q.With("address-city", escaped(c.City))
	}
	if c.State != "" {
		q.With("address-state", escaped(c.State))
	}
	switch c.Active {
	case "":
	case "true":
		q.With("active:not", "false")
	case "false":
		q.With("active", "false")
	}
	if c.HasAllergies == "true" {
		q.With("_has:AllergyIntolerance:patient:clinical-status", "active")
	}
	if c.HasHistory == "true" {
		q.With("_has:Condition:patient:clinical-status", "active")
	}
	switch c.Sort {
	case "", "-updatedAt":
	case "name":
		q.Sort = "family,given"
	case "dateOfBirth":
		q.Sort = "birthdate"
	}
	if c.FacilityID != "" {
		at, err := s.Records.FHIRID(ctx, "Organization", c.FacilityID)
		if err != nil {
			return q, err
		}
		q.With("organization", "Organization/"+at)
	}
	return q, e.err()
}

// identifierValues are an identifier in the ways in which it may have been written down.
func identifierValues(system, value string) string {
	plain := normalID(value)
	all := []string{plain}
	if value != plain {
		all = append(all, value)
	}
	return escaped(all...)
}

// ages makes birth dates of ages.
func (s *Service) ages(q *flat.Query, c *criteria, e *fieldErrors) {
	today := s.today()
	if c.MinAge >= 0 {
		q.With("birthdate", "le"+today.AddDate(-c.MinAge, 0, 0).Format("2006-01-02"))
	}
	if c.MaxAge >= 0 {
		if c.MinAge > c.MaxAge {
			e.add("maxAge", "is lower than minAge")
		}
		q.With("birthdate", "gt"+today.AddDate(-c.MaxAge-1, 0, 0).Format("2006-01-02"))
	}
}

// find finds patients as the caller may see them.
func (s *Service) find(ctx context.Context, c criteria) (*foundPatients, error) {
	if err := s.understand(&c); err != nil {
		return nil, err
	}
	q, err := s.params(ctx, &c)
	if err != nil {
		return nil, err
	}
	if c.Name != "" {
		if err := namesAreShown(ctx, c.City != "" || c.State != ""); err != nil {
			return nil, err
		}
	}
	if c.Term != "" {
		return s.numbered(ctx, c.Term, c)
	}
	if c.From != "" || c.To != "" {
		return s.findRegistered(ctx, c, q)
	}
	if c.Name != "" {
		return s.findNamed(ctx, c)
	}
	q.NoTotal = true
	found, err := s.Records.Find(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &foundPatients{records: found.Records, page: found.PageOf(q), scores: map[string]float64{}, why: map[string][]string{}}
	if found.Total < 0 || q.Page > 1 { // what is known is known of the first page alone
		if out.page.Total, err = s.totals.of(ctx, s.Records, q); err != nil {
			return nil, err
		}
	}
	if exact := c.exactly(); len(exact) > 0 {
		for _, one := range found.Records {
			out.scores[one.Ref()], out.why[one.Ref()] = 1, exact
		}
	}
	return out, nil
}

// namesAreShown refuses to look names up for a caller from whom they are hidden: which patients are found would tell whose they are. The record refuses so by itself; the
// ledger of names and places, which is asked in its stead, does not.
func namesAreShown(ctx context.Context, places bool) error {
	c := access.From(ctx)
	hidden := c.Masked("Patient")
	for _, f := range []struct {
		name  string
		asked bool
	}{{"name", true}, {"address", places}} {
		if f.asked && !c.Internal() && slices.Contains(hidden, f.name) {
			return fault.New(fault.Forbidden, "Patient.%s is hidden from you, and cannot be searched by", f.name)
		}
	}
	return nil
}

// exactly names the criteria that only the person itself fits.
func (c *criteria) exactly() []string {
	var out []string
	for _, f := range []struct{ name, value string }{{"nationalId", c.NationalID}, {"mrn", c.MRN}, {"phone", c.Phone}, {"email", c.Email}} {
		if f.value != "" {
			out = append(out, f.name)
		}
	}
	return out
}

// understand takes a term for what it looks like.
func (s *Service) understand(c *criteria) error {
	term := strings.TrimSpace(c.Term)
	if len(term) > 200 {
		return fault.At(fault.Invalid, "search", "has 200 bytes at most").WithCode("too-long")
	}
	if c.Term = ""; term == "" {
		return nil
	}
	digits := 0
	for _, r := range normalID(term) {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	switch {
	case strings.Contains(term, "@"):
		c.Email = term
	case digits > 0:
		c.Term = term // a number of whatever kind
	default:
		c.Name, c.Typing = strings.TrimSpace(c.Name+" "+term), true
	}
	return nil
}

// numbered finds patients by a term with digits: a phone number, a national id, or a medical record number.
func (s *Service) numbered(ctx context.Context, term string, c criteria) (*foundPatients, error) {
	out := &foundPatients{scores: map[string]float64{}, why: map[string][]string{}}
	queries := []struct{ reason, param, value string }{{"number", "identifier", identifierValues("", term)}}
	if n, ok := phoneNumber(term); ok {
		queries = append(queries, struct{ reason, param, value string }{"phone", "phone", escaped(phoneForms(n)...)})
	}
	c.Term = ""
	for _, one := range queries {
		q, err := s.params(ctx, &c)
		if err != nil {
			return nil, err
		}
		q.With(one.param, one.value)
		q.Page, q.Cursor, q.Limit, q.NoTotal = 1, "", maxCandidates, true
		found, err := s.Records.Find(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, r := range found.Records {
			reason := one.reason
			if reason == "number" {
				reason = "mrn"
				if normalID(nationalIDOf(r.Res)) == normalID(term) {
					reason = "nationalId"
				}
			}
			if out.why[r.Ref()] == nil {
				out.records = append(out.records, r)
			}
			out.scores[r.Ref()], out.why[r.Ref()] = 1, append(out.why[r.Ref()], reason)
		}
	}
	total := len(out.records)
	from := min((c.Page-1)*c.Limit, total)
	out.records = out.records[from:min(from+c.Limit, total)]
	out.page = api.Page{Page: c.Page, Limit: c.Limit, Total: total}
	return out, nil
}

// days are the birth dates that one may be; nil where it is not known to the day.
func (c *criteria) days() []int64 {
	if n := bornOn(c.BirthDate); n%100 != 0 {
		return []int64{n}
	}
	return nil
}

// findNamed looks the name up, and asks the record for those of the found that fit the rest and that the caller may see. Gender and place are held against the ledger's
// rows, which is the faster way; where no patient has just this place, its name may be a beginning, and the record is asked.
func (s *Service) findNamed(ctx context.Context, c criteria) (*foundPatients, error) {
	p := patients{s.Ledger}
	n := nameQuery{name: c.Name, typing: c.Typing, born: c.days(), gender: strings.ToLower(c.Gender)}
	hits, more, err := []hit(nil), false, error(nil)
	if c.City != "" || c.State != "" {
		if n.city, n.state, err = p.placesOf(ctx, c); err != nil {
			return nil, err
		}
		if hits, more, err = p.findByName(ctx, n); err != nil {
			return nil, err
		}
	}
	if len(hits) > 0 {
		c.City, c.State = "", ""
	} else {
		n.city, n.state = nil, nil
		if hits, more, err = p.findByName(ctx, n); err != nil {
			return nil, err
		}
	}
	if hits, err = s.survivors(ctx, n, hits); err != nil {
		return nil, err
	}
	rest := c
	rest.Gender = ""
	q, err := s.params(ctx, &rest)
	if err != nil {
		return nil, err
	}
	reasons := c.exactly()
	if c.BirthDate != "" {
		reasons = append(reasons, "dateOfBirth")
	}
	out := &foundPatients{more: more, scores: map[string]float64{}, why: map[string][]string{}, page: api.Page{Page: c.Page, Limit: c.Limit}}
	ids := make([]string, len(hits))
	for i, h := range hits {
		ids[i] = h.patient
		out.scores["Patient/"+h.patient] = h.score
		if len(c.exactly()) > 0 {
			out.scores["Patient/"+h.patient] = 1
		}
		out.why["Patient/"+h.patient] = append(slices.Clone(h.why), reasons...)
	}
	if out.records, err = s.pageOf(ctx, q, ids, c.Page, c.Limit); err != nil {
		return nil, err
	}
	switch {
	case c.Page == 1 && len(out.records) < c.Limit:
		out.page.Total = len(out.records)
	default:
		out.page.Total, err = s.countOf(ctx, q, ids)
	}
	return out, err
}

// placesOf are the places of the criteria as the ledger has them; nil: any.
func (p patients) placesOf(ctx context.Context, c criteria) (city, state []byte, err error) {
	if c.City != "" {
		city, err = p.place(ctx, "city", c.City)
	}
	if c.State != "" && err == nil {
		state, err = p.place(ctx, "state", c.State)
	}
	return city, state, err
}

// survivors puts those into the place of found patients that they were merged into, where they fit what else is looked for.
func (s *Service) survivors(ctx context.Context, n nameQuery, hits []hit) ([]hit, error) {
	p := patients{s.Ledger}
	out := hits[:0]
	seen := map[string]bool{}
	for _, h := range hits {
		if h.mergedInto != "" {
			var last entered
			err := s.Ledger.View(ctx, access.From(ctx).Tenant, func(q sqldb.Querier) error {
				id, err := p.survivor(ctx, q, h.patient)
				if err == nil {
					last, err = p.row(ctx, q, id)
				}
				return err
			})
			if err != nil {
				return nil, err
			}
			if last.deleted || !n.fits(&last) {
				continue
			}
			h.patient, h.why = last.patient, append(h.why, "merged")
		}
		if !seen[h.patient] {
			seen[h.patient] = true
			out = append(out, h)
		}
	}
	return out, nil
}

// pageOf reads a page of those of the ids, in their order, that fit the query and that the caller may see.
func (s *Service) pageOf(ctx context.Context, q flat.Query, ids []string, page, limit int) ([]*flat.Record, error) {
	var out []*flat.Record
	skip := (page - 1) * limit
	at := max(limit, 20)
	for len(ids) > 0 && len(out) < limit {
		n := min(len(ids), at)
		some := q
		some.Params = slices.Clone(q.Params)
		some.With("_id", strings.Join(ids[:n], ","))
		some.Sort, some.Page, some.Cursor, some.Limit, some.NoTotal = "", 1, "", n, true
		found, err := s.Records.Find(ctx, some)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(found.Records, func(a, b *flat.Record) int {
			return slices.Index(ids, a.Version.ID) - slices.Index(ids, b.Version.ID)
		})
		for _, one := range found.Records {
			if skip > 0 {
				skip--
			} else if len(out) < limit {
				out = append(out, one)
			}
		}
		ids = ids[n:]
		if len(found.Records)*4 < n { // few fit: more at a time
			at = min(at*4, 400)
		}
	}
	return out, nil
}

// countOf counts those of the ids that fit the query and that the caller may see.
func (s *Service) countOf(ctx context.Context, q flat.Query, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	var pairs []string
	for _, p := range q.Params {
		pairs = append(pairs, p.Name, p.Value)
	}
	return s.Records.CountOf(ctx, "Patient", ids, pairs...)
}

// tellFound is a page as the product API tells it.
func (s *Service) tellFound(ctx context.Context, f *foundPatients) ([]patientOut, error) {
	known, err := s.factsOf(ctx, f.records)
	if err != nil {
		return nil, err
	}
	out := make([]patientOut, 0, len(f.records))
	for _, one := range f.records {
		p := known.tell(one)
		if err := s.tellMergedInto(ctx, one, &p); err != nil {
			return nil, err
		}
		if score, ok := f.scores[one.Ref()]; ok {
			score = math.Round(score*1000) / 1000
			p.Score, p.Reasons = &score, f.why[one.Ref()]
		}
		out = append(out, p)
	}
	return out, nil
}

// tellMergedInto says whose record to use.
func (s *Service) tellMergedInto(ctx context.Context, one *flat.Record, out *patientOut) error {
	if replacedBy(one.Res) != "" {
		last, err := s.survivorOf(ctx, one)
		if err != nil {
			return err
		}
		out.MergedInto = opt(last)
	}
	return s.tellFacility(ctx, one, out)
}

// tellFacility says where the patient is registered.
func (s *Service) tellFacility(ctx context.Context, one *flat.Record, out *patientOut) error {
	id, err := s.Records.IDOfRef(ctx, flat.RefOf(one.Res.Get("managingOrganization")))
	out.FacilityID = opt(id)
	// The number of the facility of registration is the one that people go by.
	for _, n := range out.MRNs {
		if n.FacilityID != nil && *n.FacilityID == id {
			out.MRN = &n.Value
		}
	}
	return err
}

// criteriaOf reads the criteria of a listing from its query.
func criteriaOf(r *http.Request) (criteria, error) {
	page, limit, err := api.PageOf(r)
	v := r.URL.Query()
	get := func(names ...string) string {
		for _, n := range names {
			if s := strings.TrimSpace(v.Get(n)); s != "" {
				return s
			}
		}
		return ""
	}
	c := criteria{
		Term: get("search", "q"), Name: get("name"), Phone: get("phone", "phoneNumber"), Email: get("email"), NationalID: get("nationalId"), MRN: get("mrn"),
		BirthDate: get("birthDate", "dateOfBirth"), Gender: get("gender"), BloodType: get("bloodType"), City: get("city"), State: get("state"), FacilityID: get("facilityId"),
		HasAllergies: get("hasAllergies"), HasHistory: get("hasMedicalConditions"), Active: get("active"), From: get("dateFrom"), To: get("dateTo"), Sort: get("sort"),
		Typing: get("typing") == "true", Page: page, Limit: limit, Cursor: get("cursor"), MinAge: -1, MaxAge: -1,
	}
	for _, age := range []struct {
		name string
		to   *int
	}{{"minAge", &c.MinAge}, {"maxAge", &c.MaxAge}} {
		if s := get(age.name); s != "" && err == nil {
			if *age.to, err = strconv.Atoi(s); err != nil {
				err = fault.At(fault.Invalid, age.name, "must be a whole number").WithCode("value")
			}
		}
	}
	return c, err
}

// maxRegistered is how many patients a span of days of registration may have.
const maxRegistered = 10_000

// findRegistered finds patients by the day of their registration, and whatever else is said.
func (s *Service) findRegistered(ctx context.Context, c criteria, q flat.Query) (*foundPatients, error) {
	from, to, err := registrationSpan(c.From, c.To)
	if err != nil {
		return nil, err
	}
	ids, err := s.registeredIn(ctx, from, to)
	if err != nil {
		return nil, err
	}
	out := &foundPatients{scores: map[string]float64{}, why: map[string][]string{}, page: api.Page{Page: c.Page, Limit: c.Limit}}
	if c.Name != "" {
		hits, more, err := patients{s.Ledger}.findByName(ctx, nameQuery{name: c.Name, typing: c.Typing, born: c.days()})
		if err != nil {
			return nil, err
		}
		in := make(map[string]bool, len(ids))
		for _, id := range ids {
			in[id] = true
		}
		ids, out.more = ids[:0:0], more
		for _, h := range hits {
			if in[h.patient] {
				ids = append(ids, h.patient)
				out.scores["Patient/"+h.patient], out.why["Patient/"+h.patient] = h.score, h.why
			}
		}
	}
	if out.records, err = s.pageOf(ctx, q, ids, c.Page, c.Limit); err != nil {
		return nil, err
	}
	out.page.Total, err = s.countOf(ctx, q, ids)
	return out, err
}

// registrationSpan is the span of microseconds that two days, or moments, name; both are in it.
func registrationSpan(from, to string) (lo, hi int64, err error) {
	hi = math.MaxInt64
	if from != "" {
		_, at, _, err := moment("dateFrom", from)
		if err != nil {
			return 0, 0, err
		}
		if len(from) == len("2006-01-02") { // a day is one at the place
			at, _ = flat.Day(at.Add(12*time.Hour), flat.DefaultZone())
		}
		lo = at.UnixMicro()
	}
	if to != "" {
		_, at, _, err := moment("dateTo", to)
		if err != nil {
			return 0, 0, err
		}
		if len(to) == len("2006-01-02") {
			_, at = flat.Day(at.Add(12*time.Hour), flat.DefaultZone())
			at = at.Add(-time.Microsecond)
		}
		hi = at.UnixMicro()
	}
	if lo > hi {
		return 0, 0, fault.At(fault.Invalid, "dateTo", "is before dateFrom").WithCode("value")
	}
	return lo, hi, nil
}

// registeredIn are the FHIR ids of the patients who were registered in a span, the newest first.
func (s *Service) registeredIn(ctx context.Context, from, to int64) ([]string, error) {
	tenant := access.From(ctx).Tenant
	var ids []string
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		ids = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var id string
			err := rows.Scan(&id)
			ids = append(ids, id)
			return err
		}, "SELECT patient FROM clinical_patient WHERE tenant = $1 AND created_at >= $2 AND created_at <= $3 AND deleted_at = 0 ORDER BY created_at DESC LIMIT $4", tenant, from, to, maxRegistered+1)
	})
	if err == nil && len(ids) > maxRegistered {
		return nil, fault.At(fault.TooCostly, "dateFrom", "more than %d patients were registered then: ask for a shorter span", maxRegistered)
	}
	return ids, err
}
