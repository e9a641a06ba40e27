package clinical

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/flat"
)

// fieldErrors gathers what is wrong with a request, so that all of it is told at once.
type fieldErrors []fault.Issue

func (e *fieldErrors) add(field, format string, args ...any) {
	*e = append(*e, fault.At(fault.Invalid, field, format, args...).WithCode("value").Issues...)
}

// take takes up an error that is about a field; others are returned.
func (e *fieldErrors) err() error {
	if len(*e) == 0 {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Issues: *e}
}

// contactIn is whom to call; front ends name the number differently.
type contactIn struct {
	Name         *string `json:"name"`
	Relationship *string `json:"relationship"`
	Phone        *string `json:"phone"`
	PhoneNumber  *string `json:"phoneNumber"`
}

// addressIn is an address by its parts.
type addressIn struct {
	Street     *string `json:"street"`
	City       *string `json:"city"`
	State      *string `json:"state"`
	ZipCode    *string `json:"zipCode"`
	PostalCode *string `json:"postalCode"`
	Country    *string `json:"country"`
}

// patientIn is the body of registering and changing a patient. Of registering first and last name, birth date and gender are required; a change leaves what is not
// sent, and takes out what is sent as "".
type patientIn struct {
	ID               *string         `json:"id,omitempty"` // in bulk changes
	FirstName        *string         `json:"firstName"`
	LastName         *string         `json:"lastName"`
	FirstNameArabic  *string         `json:"firstNameArabic"`
	LastNameArabic   *string         `json:"lastNameArabic"`
	DateOfBirth      *string         `json:"dateOfBirth" doc:"2001-12-31; where no more is known 2001-12 or 2001"`
	Gender           *string         `json:"gender" doc:"male, female, other, unknown"`
	PhoneNumber      *string         `json:"phoneNumber"`
	Phone            *string         `json:"phone"`
	Email            *string         `json:"email"`
	NationalID       *string         `json:"nationalId"`
	MRN              *string         `json:"mrn" doc:"a number that the patient has already; else one is issued"`
	Address          json.RawMessage `json:"address" doc:"a text, or street, city, state, zipCode, country"`
	City             *string         `json:"city"`
	State            *string         `json:"state"`
	ZipCode          *string         `json:"zipCode"`
	Country          *string         `json:"country"`
	BloodType        *string         `json:"bloodType"`
	EmergencyContact *contactIn      `json:"emergencyContact"`
	Allergies        *[]string       `json:"allergies"`
	MedicalHistory   *[]string       `json:"medicalHistory"`
	FacilityID       *string         `json:"facilityId" doc:"where the patient is registered; absent: the caller's facility"`
	Active           *bool           `json:"active"`
	Version          *int64          `json:"version" doc:"the version that the writer saw; If-Match does the same"`
}

// person is what a request says of a patient, checked and in one form. What is nil was not sent; what is "" is to go.
type person struct {
	first, last, firstArabic, lastArabic *string
	born, gender                         *string
	phone, email, nationalID, mrn        *string
	street, city, state, zip, country    *string
	blood                                *string
	contact                              *contact
	allergies, history                   *[]string
	facility                             *string
	active                               *bool
}

type contact struct{ name, relationship, phone string }

var (
	nationalIDForm = regexp.MustCompile(`^[0-9A-Z]{9,12}$`)
	emailForm      = regexp.MustCompile(`^[^\s@<>(),;:\\"\[\]]+@[^\s@<>(),;:\\"\[\]]+\.[^\s@<>(),;:\\"\[\].]{2,}$`)
	sudanPhone     = regexp.MustCompile(`^\+249[91][0-9]{8}$`)
	anyPhone       = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	bloodTypes     = []string{"A+", "A-", "B+", "B-", "AB+", "AB-", "O+", "O-"}
	genders        = []string{"male", "female", "other", "unknown"}
)

// firstYear is the year before which nobody is taken to be born.
const firstYear = 1880

// check reads the request; today is the day at the place. With required set, what a registration needs is asked for.
func (in *patientIn) check(today time.Time, required bool) (*person, error) {
	var e fieldErrors
	p := &person{active: in.Active, facility: trimmed(in.FacilityID)}
	p.first, p.last = e.name("firstName", in.FirstName, true), e.name("lastName", in.LastName, true)
	p.firstArabic, p.lastArabic = e.name("firstNameArabic", in.FirstNameArabic, false), e.name("lastNameArabic", in.LastNameArabic, false)
	p.born = e.born("dateOfBirth", in.DateOfBirth, today)
	p.gender = e.gender(in.Gender)
	p.phone = e.phone(firstField(in.Phone, "phone", "phoneNumber"), firstGiven(in.Phone, in.PhoneNumber))
	p.email = e.email(in.Email)
	p.nationalID = e.nationalID(in.NationalID)
	p.mrn = e.mrn(in.MRN)
	e.address(in, p)
	p.blood = e.blood(in.BloodType)
	p.contact = e.contact(in.EmergencyContact)
	p.allergies = e.texts("allergies", in.Allergies)
	p.history = e.texts("medicalHistory", in.MedicalHistory)
	if required {
		for _, f := range []struct {
			name  string
			value *string
		}{{"firstName", p.first}, {"lastName", p.last}, {"dateOfBirth", p.born}, {"gender", p.gender}} {
			if f.value == nil && !e.has(f.name) {
				e.add(f.name, "is required")
			}
		}
	}
	return p, e.err()
}

func (e fieldErrors) has(field string) bool {
	return slices.ContainsFunc(e, func(i fault.Issue) bool { return i.Expression == field })
}

func trimmed(s *string) *string {
	if s == nil {
		return nil
	}
	t := strings.Join(strings.Fields(*s), " ")
	return &t
}

// firstGiven is the first that says something, else the first that was sent.
func firstGiven(all ...*string) *string {
	var out *string
	for _, s := range all {
		if s = trimmed(s); s != nil && (out == nil || *out == "") {
			out = s
		}
	}
	return out
}

// firstField names the field that a value was sent as.
func firstField(first *string, name, other string) string {
	if t := trimmed(first); t != nil && *t != "" {
		return name
	}
	return other
}

// name checks a part of a name; a required one that is empty counts as not sent.
func (e *fieldErrors) name(field string, s *string, required bool) *string {
	t := trimmed(s)
	if t == nil || *t == "" {
		if required {
			return nil
		}
		return t
	}
	letters, runes := 0, 0
	for _, r := range *t {
		runes++
		switch {
		case unicode.IsLetter(r):
			letters++
		case unicode.IsMark(r) || r == ' ' || strings.ContainsRune("-'’‘`´ʼ.ـ", r):
		default:
			e.add(field, "has letters, blanks, dashes and apostrophes alone")
			return nil
		}
	}
	if letters < 2 || runes > 50 {
		e.add(field, "has 2 to 50 letters")
		return nil
	}
	return t
}

// born checks a birth date: a day, or what is known of it.
func (e *fieldErrors) born(field string, s *string, today time.Time) *string {
	t := trimmed(s)
	if t == nil || *t == "" {
		return nil
	}
	day := *t
	if len(day) > 10 && day[10] == 'T' { // front ends send the moment that a day begins at
		if _, err := time.Parse(time.RFC3339, day); err == nil {
			day = day[:10]
		}
	}
	for _, layout := range []string{"2006-01-02", "2006-01", "2006"} {
		at, err := time.Parse(layout, day)
		if err != nil {
			continue
		}
		switch {
		case day > today.Format(layout):
			e.add(field, "is in the future")
		case at.Year() < firstYear:
			e.add(field, "is before %d", firstYear)
		default:
			return &day
		}
		return nil
	}
	e.add(field, "must be a date: 2001-12-31")
	return nil
}

func (e *fieldErrors) gender(s *string) *string {
	t := trimmed(s)
	if t == nil || *t == "" {
		return nil
	}
	g := strings.ToLower(*t)
	if !slices.Contains(genders, g) {
		e.add("gender", "must be one of male, female, other, unknown")
		return nil
	}
	return &g
}

// phoneNumber is a number in E.164's form: a Sudanese one may be written as it is dialled there. ok is false for what is none.
func phoneNumber(s string) (number string, ok bool) {
	var b strings.Builder
	for i, r := range normalID(s) {
		switch {
		case r >= '0' && r <= '9', r == '+' && i == 0:
			b.WriteRune(r)
		case r == '(' || r == ')' || r == '/':
		default:
			return "", false
		}
	}
	n := b.String()
	if rest, long := strings.CutPrefix(n, "00"); long {
		n = "+" + rest
	}
	switch {
	case strings.HasPrefix(n, "+249"):
		if strings.HasPrefix(n, "+2490") {
			n = "+249" + n[5:]
		}
		return n, sudanPhone.MatchString(n)
	case strings.HasPrefix(n, "+"):
		return n, anyPhone.MatchString(n)
	case strings.HasPrefix(n, "249") && len(n) == 12:
		n = "+" + n
	case strings.HasPrefix(n, "0"):
		n = "+249" + n[1:]
	default:
		n = "+249" + n
	}
	return n, sudanPhone.MatchString(n)
}

func (e *fieldErrors) phone(field string, s *string) *string {
	if s == nil || *s == "" {
		return s
	}
	n, ok := phoneNumber(*s)
	if !ok {
		e.add(field, "must be a phone number: +249 and nine digits, or 0 and nine digits; of other countries + and all digits")
		return nil
	}
	return &n
}

func (e *fieldErrors) email(s *string) *string {
	t := trimmed(s)
	if t == nil || *t == "" {
		return t
	}
	if len(*t) > 254 || !emailForm.MatchString(*t) {
		e.add("email", "must be an e-mail address")
		return nil
	}
	return t
}

func (e *fieldErrors) nationalID(s *string) *string {
	if s == nil {
		return nil
	}
	id := normalID(*s)
	if id != "" && !nationalIDForm.MatchString(id) {
		e.add("nationalId", "has 9 to 12 letters and digits")
		return nil
	}
	return &id
}

func (e *fieldErrors) mrn(s *string) *string {
	t := trimmed(s)
	if t == nil || *t == "" {
		return nil
	}
	if len(*t) > 40 {
		e.add("mrn", "has 40 characters at most")
		return nil
	}
	return t
}

// maxAddress is how many characters a part of an address has at most.
const maxAddress = 200

func (e *fieldErrors) address(in *patientIn, p *person) {
	p.city, p.state, p.zip, p.country = in.City, in.State, in.ZipCode, in.Country
	if text := bytes.TrimSpace(in.Address); len(text) > 0 && !bytes.Equal(text, []byte("null")) {
		var line string
		var parts addressIn
		switch {
		case text[0] == '"' && json.Unmarshal(text, &line) == nil:
			p.street = &line
		case text[0] == '{' && json.Unmarshal(text, &parts) == nil:
			p.street = parts.Street
			p.city, p.state, p.country = firstGiven(parts.City, in.City), firstGiven(parts.State, in.State), firstGiven(parts.Country, in.Country)
			p.zip = firstGiven(parts.ZipCode, parts.PostalCode, in.ZipCode)
		default:
			e.add("address", "must be a text, or an object of street, city, state, zipCode and country")
		}
	}
	for _, f := range []struct {
		name  string
		value **string
	}{{"address", &p.street}, {"city", &p.city}, {"state", &p.state}, {"zipCode", &p.zip}, {"country", &p.country}} {
		if *f.value = trimmed(*f.value); *f.value == nil {
			continue
		}
		if s, err := plainText(f.name, **f.value, 4*maxAddress); err != nil || len([]rune(s)) > maxAddress {
			e.add(f.name, "has %d characters at most, and no control characters", maxAddress)
		}
	}
}

func (e *fieldErrors) blood(s *string) *string {
	t := trimmed(s)
	if t == nil || *t == "" {
		return nil
	}
	b := strings.ToUpper(strings.ReplaceAll(strings.ReplaceAll(*t, " ", ""), "−", "-"))
	if !slices.Contains(bloodTypes, b) {
		e.add("bloodType", "must be one of %s", strings.Join(bloodTypes, ", "))
		return nil
	}
	return &b
}

func (e *fieldErrors) contact(in *contactIn) *contact {
	if in == nil {
		return nil
	}
	c := &contact{name: said(in.Name), relationship: said(in.Relationship)}
	if n := e.phone("emergencyContact.phone", firstGiven(in.Phone, in.PhoneNumber)); n != nil {
		c.phone = *n
	}
	if len([]rune(c.name)) > 100 || len([]rune(c.relationship)) > 100 {
		e.add("emergencyContact", "has names of 100 characters at most")
	}
	if *c == (contact{}) {
		return nil
	}
	return c
}

// maxFacts is how many allergies, or entries of a history, one request has.
const maxFacts = 100

// texts are the entries of a list that say something, each once.
func (e *fieldErrors) texts(field string, list *[]string) *[]string {
	if list == nil {
		return nil
	}
	out := []string{}
	seen := map[string]bool{}
	for i, s := range *list {
		t, err := plainText(field, strings.TrimSpace(s), maxLine)
		if err != nil {
			e.add(field+"["+strconv.Itoa(i)+"]", "has %d bytes at most, and no control characters", maxLine)
			continue
		}
		if key := search.Fold(t); t != "" && !seen[key] {
			seen[key] = true
			out = append(out, t)
		}
	}
	if len(out) > maxFacts {
		e.add(field, "has %d entries at most", maxFacts)
	}
	return &out
}

// today is the day at the place of care.
func (s *Service) today() time.Time { return s.Records.Now().In(flat.DefaultZone()) }
