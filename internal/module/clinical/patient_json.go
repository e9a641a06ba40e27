package clinical

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

const (
	relationships    = "http://terminology.hl7.org/CodeSystem/v2-0131"
	emergencyContact = "C"
	bloodGroup       = "882-1" // ABO and Rh group in Blood
	defaultCountry   = "SD"
)

// bloodCodes are SNOMED CT's codes of the blood groups.
var bloodCodes = map[string]string{
	"A+": "278149003", "A-": "278152006", "B+": "278150003", "B-": "278153001", "AB+": "278151004", "AB-": "278154007", "O+": "278147001", "O-": "278148006",
}

// contactOut is whom to call.
type contactOut struct {
	Name         string `json:"name"`
	Phone        string `json:"phone"`
	PhoneNumber  string `json:"phoneNumber"`
	Relationship string `json:"relationship"`
}

// addressOut is an address by its parts.
type addressOut struct {
	Street  string `json:"street"`
	City    string `json:"city"`
	State   string `json:"state"`
	ZipCode string `json:"zipCode"`
	Country string `json:"country"`
}

// numberOut is a medical record number.
type numberOut struct {
	FacilityID *string `json:"facilityId"`
	Value      string  `json:"value"`
}

// patientOut is a patient as listings tell it, and as data.patient.
type patientOut struct {
	ID               string      `json:"id"`
	MRN              *string     `json:"mrn" doc:"of the facility of registration, else the first"`
	MRNs             []numberOut `json:"mrns"`
	NationalID       string      `json:"nationalId"`
	FirstName        string      `json:"firstName"`
	LastName         string      `json:"lastName"`
	FullName         string      `json:"fullName"`
	FirstNameArabic  *string     `json:"firstNameArabic"`
	LastNameArabic   *string     `json:"lastNameArabic"`
	DateOfBirth      string      `json:"dateOfBirth"`
	Gender           string      `json:"gender"`
	Phone            string      `json:"phone"`
	PhoneNumber      string      `json:"phoneNumber"`
	Email            string      `json:"email"`
	Address          string      `json:"address"`
	City             string      `json:"city"`
	State            string      `json:"state"`
	ZipCode          string      `json:"zipCode"`
	Country          string      `json:"country"`
	BloodType        *string     `json:"bloodType"`
	EmergencyContact *contactOut `json:"emergencyContact"`
	Allergies        []string    `json:"allergies"`
	MedicalHistory   []string    `json:"medicalHistory"`
	FacilityID       *string     `json:"facilityId"`
	Active           bool        `json:"active"`
	MergedInto       *string     `json:"mergedInto" doc:"the patient that took this one's place"`
	Withheld         []string    `json:"withheld,omitempty" doc:"fields that the caller may not see: that they are empty says nothing"`
	Version          int64       `json:"version"`
	CreatedAt        string      `json:"createdAt"`
	UpdatedAt        string      `json:"updatedAt"`

	Score   *float64 `json:"score,omitempty" doc:"of a search: 1 is certain"`
	Reasons []string `json:"reasons,omitempty" doc:"of a search: why it was found"`
}

// patientOne is one patient as a single read tells it: with the address by its parts for those who read the fields of data, and as a text for those who
// read data.patient.
type patientOne struct {
	patientOut
	Address    addressOut  `json:"address"`
	Patient    patientOut  `json:"patient"`
	Duplicates []Candidate `json:"duplicates,omitempty" doc:"of a registration: patients who may be the same person"`
}

type patientList struct {
	Patients []patientOut `json:"patients"`
}

// primaryName is the name that is shown in Latin letters where there is one, and arabicName the one beside it in Arabic letters: nil where it is the same
// or there is none.
func primaryName(r *fhir.Resource) (primary, arabicName *fhir.Node) {
	rank := -1
	for _, n := range flat.Items(r.Get("name")) {
		score := map[string]int{"official": 3, "usual": 2, "": 1}[n.Str("use")]
		if !inArabic(nameText(n)) {
			score += 10
		}
		if score > rank {
			primary, rank = n, score
		}
	}
	for _, n := range flat.Items(r.Get("name")) {
		if n != primary && inArabic(nameText(n)) {
			return primary, n
		}
	}
	return primary, nil
}

func inArabic(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 0x0600 && r <= 0x06FF || r >= 0xFB50 && r <= 0xFEFF })
}

// parts are the given and the family name of a HumanName.
func parts(n *fhir.Node) (given, family string) {
	if n == nil {
		return "", ""
	}
	var all []string
	for _, g := range flat.Items(n.Get("given")) {
		if g.Text != "" {
			all = append(all, g.Text)
		}
	}
	given, family = strings.Join(all, " "), n.Str("family")
	if given == "" && family == "" {
		given, family, _ = strings.Cut(n.Str("text"), " ")
	}
	return given, family
}

// street is the street of an address in one line.
func street(a *fhir.Node) string {
	if a == nil {
		return ""
	}
	var all []string
	for _, l := range flat.Items(a.Get("line")) {
		if l.Text != "" {
			all = append(all, l.Text)
		}
	}
	if len(all) == 0 {
		return a.Str("text")
	}
	return strings.Join(all, ", ")
}

// mainAddress is the address that is shown: the first that is not of the past.
func mainAddress(r *fhir.Resource) *fhir.Node {
	for _, a := range flat.Items(r.Get("address")) {
		if a.Str("use") != "old" {
			return a
		}
	}
	return nil
}

// mainContact is whom to call in an emergency: the contact that is for this, else the first.
func mainContact(r *fhir.Resource) *fhir.Node {
	all := flat.Items(r.Get("contact"))
	for _, c := range all {
		if slices.ContainsFunc(flat.Items(c.Get("relationship")), func(n *fhir.Node) bool { return flat.Code(n, relationships) == emergencyContact }) {
			return c
		}
	}
	if len(all) > 0 {
		return all[0]
	}
	return nil
}

func tellContact(c *fhir.Node) *contactOut {
	if c == nil {
		return nil
	}
	out := &contactOut{}
	if n := c.Get("name"); n != nil {
		given, family := parts(n)
		if out.Name = n.Str("text"); out.Name == "" {
			out.Name = strings.TrimSpace(given + " " + family)
		}
	}
	for _, rel := range flat.Items(c.Get("relationship")) {
		if out.Relationship = rel.Str("text"); out.Relationship != "" {
			break
		}
		if flat.Code(rel, relationships) != emergencyContact {
			out.Relationship = flat.Text(rel)
		}
	}
	out.Phone = flat.Telecom(c, "phone")
	out.PhoneNumber = out.Phone
	return out
}

// tell is a patient as the product API tells it; f may be nil.
func (f *facts) tell(one *flat.Record) patientOut {
	r := one.Res
	main, second := primaryName(r)
	out := patientOut{
		ID: one.Key(), DateOfBirth: r.Str("birthDate"), Gender: r.Str("gender"), Phone: flat.Telecom(r.Node, "phone"), Email: flat.Telecom(r.Node, "email"),
		NationalID: nationalIDOf(r), EmergencyContact: tellContact(mainContact(r)), Allergies: []string{}, MedicalHistory: []string{}, MRNs: []numberOut{},
		Active: r.Get("active") == nil || r.Get("active").Text != "false", Version: one.VID, CreatedAt: flat.Created(one), UpdatedAt: flat.Stamp(one),
	}
	out.FirstName, out.LastName = parts(main)
	out.FullName = strings.TrimSpace(out.FirstName + " " + out.LastName)
	if second != nil {
		given, family := parts(second)
		out.FirstNameArabic, out.LastNameArabic = opt(given), opt(family)
	}
	if out.Gender == "" {
		out.Gender = "unknown"
	}
	out.PhoneNumber = out.Phone
	if a := mainAddress(r); a != nil {
		out.Address, out.City, out.State, out.ZipCode, out.Country = street(a), a.Str("city"), a.Str("state"), a.Str("postalCode"), a.Str("country")
	}
	out.numbers(r)
	if f != nil {
		f.put(&out, one)
	}
	return out
}

// numbers enters the medical record numbers.
func (out *patientOut) numbers(r *fhir.Resource) {
	for _, i := range flat.Items(r.Get("identifier")) {
		system := i.Str("system")
		facility, ours := strings.CutPrefix(system, mrnSystem+":")
		if !ours && system != mrnSystem && flat.Code(i.Get("type"), identifierTypes) != mrnType {
			continue
		}
		n := numberOut{Value: i.Str("value")}
		if ours {
			n.FacilityID = opt(facility)
		}
		out.MRNs = append(out.MRNs, n)
	}
	if len(out.MRNs) > 0 {
		out.MRN = &out.MRNs[0].Value
	}
}

// nationalIDOf is the national id of a Patient, whoever wrote it.
func nationalIDOf(r *fhir.Resource) string {
	if v := flat.Identifier(r, nationalIDSystem); v != "" {
		return v
	}
	for _, i := range flat.Items(r.Get("identifier")) {
		if flat.Code(i.Get("type"), identifierTypes) == nationalIDType {
			return i.Str("value")
		}
	}
	return ""
}

// one is a patient as a single read tells it.
func (p patientOut) one() patientOne {
	return patientOne{patientOut: p, Address: addressOut{p.Address, p.City, p.State, p.ZipCode, p.Country}, Patient: p}
}

// write puts what a request says into a Patient. What it does not say stays.
func (p *person) write(r *fhir.Resource) error {
	if err := p.writeName(r); err != nil {
		return err
	}
	for name, value := range map[string]*string{"birthDate": p.born, "gender": p.gender} {
		if value != nil {
			if err := flat.Set(r.Node, name, *value); err != nil {
				return err
			}
		}
	}
	if p.active != nil {
		r.Set("active", fhir.NewBool(*p.active))
	}
	if p.nationalID != nil {
		if err := setNationalID(r, *p.nationalID); err != nil {
			return err
		}
	}
	for system, value := range map[string]*string{"phone": p.phone, "email": p.email} {
		if value != nil {
			if err := setTelecom(r, system, *value); err != nil {
				return err
			}
		}
	}
	if err := p.writeAddress(r); err != nil {
		return err
	}
	return p.contact.write(r)
}

// setNationalID replaces the national id, whoever wrote it.
func setNationalID(r *fhir.Resource, value string) error {
	if normalID(nationalIDOf(r)) == value {
		return nil
	}
	kept := fhir.NewArray()
	for _, i := range flat.Items(r.Get("identifier")) {
		if i.Str("system") != nationalIDSystem && flat.Code(i.Get("type"), identifierTypes) != nationalIDType {
			kept.Append(i.Clone())
		}
	}
	setList(r.Node, "identifier", kept)
	if value == "" {
		return nil
	}
	return flat.SetIdentifier(r, nationalIDSystem, nationalIDType, value)
}

// setList sets a list, or removes it where it is empty.
func setList(n *fhir.Node, name string, list *fhir.Node) {
	if list.Len() == 0 {
		n.Delete(name)
		return
	}
	n.Set(name, list)
}

// setTelecom replaces the first contact point of the system that is not of the past.
func setTelecom(r *fhir.Resource, system, value string) error {
	for _, t := range flat.Items(r.Get("telecom")) {
		if t.Str("system") == system {
			if value != "" {
				return flat.Set(t, "value", value)
			}
			r.Get("telecom").Remove(t)
			setList(r.Node, "telecom", r.Get("telecom"))
			return nil
		}
	}
	if value == "" {
		return nil
	}
	point := obj{"system": system, "value": value}
	if system == "phone" {
		point["use"] = "mobile"
	}
	return appendTo(r.Node, "telecom", point)
}

func (p *person) writeName(r *fhir.Resource) error {
	main, second := primaryName(r)
	if p.first != nil || p.last != nil {
		if main == nil {
			if err := appendTo(r.Node, "name", obj{"use": "official", "given": []any{said(p.first)}, "family": said(p.last)}); err != nil {
				return err
			}
		} else if err := rename(main, p.first, p.last); err != nil {
			return err
		}
	}
	if p.firstArabic == nil && p.lastArabic == nil {
		return nil
	}
	if second != nil {
		err := rename(second, p.firstArabic, p.lastArabic)
		if nameText(second) == "" {
			r.Get("name").Remove(second)
		}
		return err
	}
	name := obj{"use": "usual", "given": []any{said(p.firstArabic)}, "family": said(p.lastArabic)}
	if said(p.firstArabic)+said(p.lastArabic) == "" {
		return nil
	}
	return appendTo(r.Node, "name", name)
}

// rename changes the parts of a HumanName that are sent.
func rename(n *fhir.Node, first, last *string) error {
	given, family := parts(n)
	if first != nil && *first != given || last != nil && *last != family {
		n.Delete("text")
	}
	if first != nil && *first != given {
		if err := flat.Set(n, "given", []any{*first}); err != nil {
			return err
		}
	}
	if last != nil && *last != family {
		return flat.Set(n, "family", *last)
	}
	return nil
}

func (p *person) writeAddress(r *fhir.Resource) error {
	given := map[string]*string{"city": p.city, "state": p.state, "postalCode": p.zip, "country": p.country}
	some := p.street != nil && *p.street != ""
	for _, v := range given {
		some = some || v != nil && *v != ""
	}
	a := mainAddress(r)
	if a == nil {
		if !some {
			return nil
		}
		if err := appendTo(r.Node, "address", obj{"use": "home", "country": defaultCountry}); err != nil {
			return err
		}
		a = mainAddress(r)
	}
	if p.street != nil && *p.street != street(a) {
		a.Delete("text")
		a.Delete("_line")
		if err := flat.Set(a, "line", []any{*p.street}); err != nil {
			return err
		}
	}
	for name, v := range given {
		if v != nil && *v != a.Str(name) && (*v != "" || name != "country") {
			a.Delete("text")
			if err := flat.Set(a, name, *v); err != nil {
				return err
			}
		}
	}
	return nil
}

// write puts whom to call in the place of who was to be called before.
func (c *contact) write(r *fhir.Resource) error {
	if c == nil {
		return nil
	}
	old := mainContact(r)
	if had := tellContact(old); had != nil && had.Name == c.name && had.Phone == c.phone && had.Relationship == c.relationship {
		return nil
	}
	if old != nil {
		r.Get("contact").Remove(old)
		setList(r.Node, "contact", r.Get("contact"))
	}
	one := obj{
		"relationship": []any{obj{"coding": []any{obj{"system": relationships, "code": emergencyContact, "display": "Emergency Contact"}}, "text": c.relationship}},
		"name":         obj{"text": c.name},
	}
	if c.phone != "" {
		one["telecom"] = []any{obj{"system": "phone", "value": c.phone}}
	}
	return appendTo(r.Node, "contact", one)
}
