package clinical

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/names"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Whether two records are of one person is weighed as Fellegi and Sunter do (A Theory for Record Linkage, 1969): each field adds the logarithm of how much more
// often it agrees so among records of one person than among those of two. The weights are estimates for a Sudanese hospital, not measured on one: a few names are
// very frequent, families share a phone, and many birth dates are the first of January of a year that is remembered.
const (
	prior = -12.0 // of 4,096 pairs that share a name or a number one is a duplicate

	sameNationalID, otherNationalID      = 24.0, -8.0
	samePhone, otherPhone                = 9.0, -1.0
	sameEmail, otherEmail                = 9.0, -0.5
	nameEqual, nameClose, nameFar        = 9.0, 6.0, 2.0
	nameOther                            = -8.0
	bornEqual, bornNewYear, bornTurned   = 9.0, 4.5, 6.0
	bornNear, bornYear, bornOther        = 3.5, 1.5, -6.0
	sameGender, otherGender              = 1.0, -5.0
	sameCity, otherCity                  = 1.5, -0.5
	likely, possible                     = 0.9, 0.3 // probabilities
	maxDuplicates, maxDuplicateCandidate = 10, 60
)

// Candidate is a patient who may be the same person.
type Candidate struct {
	ID          string   `json:"id"`
	MRN         *string  `json:"mrn"`
	FirstName   string   `json:"firstName"`
	LastName    string   `json:"lastName"`
	DateOfBirth string   `json:"dateOfBirth"`
	Gender      string   `json:"gender"`
	Score       float64  `json:"score" doc:"the probability that it is one person, by the weights of docs/patients.md"`
	Weight      float64  `json:"weight" doc:"the sum of the weights, in bits"`
	Match       string   `json:"match" doc:"certain: the national id is the same; likely; possible"`
	Reasons     []string `json:"reasons"`
}

// draft is what is known of the person whose records are looked for.
type draft struct {
	names                    []string // each of a person's names
	born                     int64
	gender                   string
	nationalID, phone, email string
	city                     string
	self                     string // FHIR id of the person's own record, ""
}

func draftOf(r *fhir.Resource) draft {
	d := draft{self: r.ID(), born: bornOn(r.Str("birthDate")), gender: r.Str("gender"), nationalID: normalID(nationalIDOf(r)), email: strings.ToLower(flat.Telecom(r.Node, "email"))}
	if n, ok := phoneNumber(flat.Telecom(r.Node, "phone")); ok {
		d.phone = n
	}
	for _, n := range flat.Items(r.Get("name")) {
		if t := nameText(n); t != "" {
			d.names = append(d.names, t)
		}
	}
	if a := mainAddress(r); a != nil {
		d.city = a.Str("city")
	}
	return d
}

// draft is what a request says.
func (p *person) draft() draft {
	d := draft{gender: said(p.gender), nationalID: said(p.nationalID), phone: said(p.phone), email: strings.ToLower(said(p.email)), city: said(p.city), born: bornOn(said(p.born))}
	for _, n := range []string{strings.TrimSpace(said(p.first) + " " + said(p.last)), strings.TrimSpace(said(p.firstArabic) + " " + said(p.lastArabic))} {
		if n != "" {
			d.names = append(d.names, n)
		}
	}
	return d
}

// duplicates are the patients who may be the person, as the caller may see them: the likeliest first.
func (s *Service) duplicates(ctx context.Context, d draft) ([]Candidate, error) {
	ids, err := s.maybeSame(ctx, d)
	if err != nil {
		return nil, err
	}
	refs := make([]string, 0, len(ids))
	for _, id := range ids {
		if id != d.self {
			refs = append(refs, "Patient/"+id)
		}
	}
	got, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	var out []Candidate
	for _, ref := range refs {
		one := got[ref]
		if one == nil || replacedBy(one.Res) != "" {
			continue
		}
		if c := d.weigh(one); c.Match != "" {
			out = append(out, c)
		}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int { return cmp.Compare(b.Weight, a.Weight) })
	return out[:min(len(out), maxDuplicates)], nil
}

// maybeSame are the FHIR ids of patients who share a number, or a name and something else: few enough to be read.
func (s *Service) maybeSame(ctx context.Context, d draft) ([]string, error) {
	var ids []string
	add := func(more ...string) {
		for _, id := range more {
			if !slices.Contains(ids, id) && len(ids) < maxDuplicateCandidate {
				ids = append(ids, id)
			}
		}
	}
	for _, by := range []struct{ param, value string }{{"identifier", d.nationalID}, {"phone", d.phone}, {"email", d.email}} {
		if by.value == "" {
			continue
		}
		values := []string{by.value}
		if by.param == "phone" {
			values = phoneForms(by.value)
		}
		q := flat.Query{Type: "Patient", Limit: 20, NoTotal: true}
		q.With(by.param, escaped(values...))
		found, err := s.Records.Find(ctx, q)
		if err != nil && !fault.Is(err, fault.Forbidden) {
			return nil, err
		}
		if err == nil {
			for _, one := range found.Records {
				add(one.Version.ID)
			}
		}
	}
	named := d.names
	if namesAreShown(ctx, false) != nil {
		named = nil
	}
	for _, name := range named {
		for _, days := range [][]int64{bornVariants(d.born), nil} {
			if days == nil && len(names.Words(name)) < 2 && d.born != 0 {
				continue // one word alone says nothing
			}
			if len(days) == 0 && days != nil {
				continue
			}
			hits, _, err := patients{s.Ledger}.findByName(ctx, nameQuery{name: name, born: days})
			if err != nil {
				return nil, err
			}
			// Of many with such a name those come first who may be born on the same day.
			slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(weighBorn(d.born, b.born), weighBorn(d.born, a.born)) })
			for _, h := range hits {
				add(h.patient)
			}
		}
	}
	return ids, nil
}

// bornVariants are the days that a birth date may be written as: itself, with day and month turned, and what is known where no more is.
func bornVariants(born int64) []int64 {
	if born == 0 {
		return []int64{}
	}
	y, m, d := born/10000, born/100%100, born%100
	out := []int64{born, y * 10000, y*10000 + 101}
	if m > 0 {
		out = append(out, y*10000+m*100)
	}
	if d > 0 && d <= 12 {
		out = append(out, y*10000+d*100+m)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// weighBorn weighs two birth dates; 0 where one is not known.
func weighBorn(a, b int64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	y, m, d := a/10000, a/100%100, a%100
	z, n, e := b/10000, b/100%100, b%100
	switch {
	case a == b && m == 1 && d == 1, a == b && d == 0:
		return bornNewYear
	case a == b:
		return bornEqual
	case y == z && m == e && d == n && m != d:
		return bornTurned
	case y == z && (d == 0 || e == 0 || m == 0 || n == 0 || m == 1 && d == 1 || n == 1 && e == 1):
		return bornYear // of one no more than the year is known
	case y == z && (m == n || d == e), m == n && d == e && y-z >= -1 && y-z <= 1:
		return bornNear
	case y-z >= -1 && y-z <= 1:
		return 0
	}
	return bornOther
}

// weigh compares the person with a patient.
func (d draft) weigh(one *flat.Record) Candidate {
	o := draftOf(one.Res)
	out := Candidate{ID: one.Key(), DateOfBirth: one.Res.Str("birthDate"), Gender: one.Res.Str("gender"), Reasons: []string{}}
	told := (*facts)(nil).tell(one)
	out.MRN, out.FirstName, out.LastName = told.MRN, told.FirstName, told.LastName
	w := 0.0
	add := func(reason string, v float64) {
		w += v
		if v > 0 && reason != "" {
			out.Reasons = append(out.Reasons, reason)
		}
	}
	either := func(reason, a, b string, same, other float64) {
		if a != "" && b != "" {
			if a == b {
				add(reason, same)
			} else {
				add("", other)
			}
		}
	}
	either("nationalId", d.nationalID, o.nationalID, sameNationalID, otherNationalID)
	either("phone", d.phone, o.phone, samePhone, otherPhone)
	either("email", d.email, o.email, sameEmail, otherEmail)
	if len(d.names) > 0 && len(o.names) > 0 {
		v, reason := weighNames(d.names, o.names)
		add(reason, v)
	}
	if b := weighBorn(d.born, o.born); b != 0 {
		add("dateOfBirth", b)
	}
	if d.gender != "unknown" && o.gender != "unknown" {
		either("gender", d.gender, o.gender, sameGender, otherGender)
	}
	either("city", search.Fold(d.city), search.Fold(o.city), sameCity, otherCity)
	out.Weight = math.Round(w*10) / 10
	out.Score = math.Round(1000/(1+math.Exp2(-(w+prior)))) / 1000
	switch {
	case d.nationalID != "" && d.nationalID == o.nationalID:
		out.Match = "certain"
	case out.Score >= likely:
		out.Match = "likely"
	case out.Score >= possible:
		out.Match = "possible"
	}
	return out
}

// weighNames weighs the two names, of all that both have, that fit best.
func weighNames(a, b []string) (float64, string) {
	best := 0.0
	for _, x := range a {
		for _, y := range b {
			best = max(best, nameSimilarity(x, y))
		}
	}
	switch {
	case best >= 0.9:
		return nameEqual, "name"
	case best >= 0.7:
		return nameClose, "name:similar"
	case best >= 0.5:
		return nameFar, "name:partly"
	}
	return nameOther, ""
}

// nameSimilarity is how much of the longer of two names is in the other, from 0 to 1: words that are alike count whole, near ones in part. The order of words
// does not count.
func nameSimilarity(a, b string) float64 {
	x, y := names.Words(a), names.Words(b)
	if len(x) == 0 || len(y) == 0 {
		return 0
	}
	if len(x) > len(y) {
		x, y = y, x
	}
	used := make([]bool, len(y))
	sum := 0.0
	for _, w := range x {
		at, fit := -1, 0.0
		for i, v := range y {
			if !used[i] {
				if f := wordSimilarity(w, v); f > fit {
					at, fit = i, f
				}
			}
		}
		if at >= 0 {
			used[at] = true
			sum += fit
		}
	}
	// A name with a grandfather more is still that name.
	return sum / (float64(len(x)) + 0.25*float64(len(y)-len(x)))
}

func wordSimilarity(a, b names.Word) float64 {
	best := 0.0
	for _, f := range a.Forms {
		for _, g := range b.Forms {
			switch {
			case f == g:
				return sameForm
			case names.Alike(f, g):
				best = max(best, alikeForm)
			case names.Near(f, g):
				best = max(best, nearForm)
			}
		}
	}
	return best
}

// The product API.

type duplicatesOut struct {
	Duplicates []Candidate `json:"duplicates"`
}

func (s *Service) serveDuplicates(w http.ResponseWriter, r *http.Request) error {
	one, err := s.readPatient(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	all, err := s.duplicates(r.Context(), draftOf(one.Res))
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, duplicatesOut{orNone(all)})
}

func (s *Service) draftDuplicates(w http.ResponseWriter, r *http.Request) error {
	var in patientIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	p, err := in.check(s.today(), false)
	if err != nil {
		return err
	}
	d := p.draft()
	if len(d.names) == 0 && d.nationalID == "" && d.phone == "" && d.email == "" {
		return fault.New(fault.Invalid, "a name, a phone number, an e-mail address or a national id is needed").WithCode("required")
	}
	all, err := s.duplicates(r.Context(), d)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, duplicatesOut{orNone(all)})
}

func orNone[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// seesPatients reports whether the caller may look for patients at all.
func seesPatients(ctx context.Context) bool {
	c := access.From(ctx)
	return !c.Extent(access.Search, "Patient").IsNone()
}
