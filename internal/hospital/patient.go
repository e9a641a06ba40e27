package hospital

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// chart is the Bundle of one patient under construction.
type chart struct {
	*bundle
	now     time.Time
	person  person
	born    time.Time
	siteAt  int
	site    site
	unit    int // specialty that sees the patient
	doctor  string
	patient string
	covered string // the Coverage, or ""
	height  float64
	weight  float64
	chronic []illness
}

func patientBundle(seed int64, k int, now time.Time, l *living) []byte {
	r := newDraw(seed, uint64(k)+1)
	c := &chart{bundle: newBundle(r, l), now: now, person: r.person(r.chance(0.47))}
	c.born = now.AddDate(-c.drawAge(), 0, -r.IntN(365))
	c.siteAt = r.IntN(len(sites()))
	c.site = sites()[c.siteAt]
	c.unit = c.drawUnit()
	c.doctor = practitioner(c.siteAt, c.unit, r.IntN(doctorsEach))
	if id := l.patientID(k); id != "" {
		c.patient = c.put(id, c.patientResource(k))
	} else {
		c.patient = c.add(c.patientResource(k))
	}
	c.drawBody()
	c.kin()
	c.coverage()
	c.allergies()
	c.history()
	if l.admits(k) {
		c.admission()
	}
	return c.json()
}

// drawAge follows a young population: half are below twenty-five.
func (c *chart) drawAge() int {
	switch {
	case c.draw.chance(0.25):
		return c.draw.IntN(10)
	case c.draw.chance(0.3):
		return c.draw.between(10, 24)
	default:
		return c.draw.between(25, 84)
	}
}

func (c *chart) age(at time.Time) int { return int(at.Sub(c.born).Hours() / 24 / 365.25) }

func (c *chart) drawUnit() int {
	switch age := c.age(c.now); {
	case age < 16:
		return 1
	case !c.person.male && age < 45 && c.draw.chance(0.4):
		return 2
	case c.draw.chance(0.15):
		return 3
	}
	return 0
}

func (c *chart) drawBody() {
	age := float64(c.age(c.now))
	if age < 18 {
		c.height = c.draw.normal(52+6.6*age, 2.5)
		c.weight = max(3.2, c.draw.normal(4+2.9*age, 1+age/6))
		return
	}
	c.height = c.draw.normal(163, 6)
	if c.person.male {
		c.height += 11
	}
	c.weight = max(38, c.draw.normal(24, 3.5)*c.height*c.height/10000)
}

func (c *chart) mrn(k int) string { return strings.ToUpper(c.site.key[:2]) + strconv.Itoa(1000000+k) }

func (c *chart) patientResource(k int) *fhir.Node {
	r := c.draw
	p := places()[c.site.place]
	if r.chance(0.2) {
		p = pick(r, places())
	}
	quarter := pick(r, p.quarters)
	line := fmt.Sprintf("%s, block %d, house %d", quarter.en, r.between(1, 60), r.between(1, 900))
	ids := []*fhir.Node{
		object(s("use", "usual"), n("type", concept(v2Identifier, "MR", "Medical record number", "")), s("system", Base+"/id/mrn/"+c.site.key), s("value", c.mrn(k)), ref("assigner", organization(c.site.key))),
		object(s("use", "official"), n("type", concept(v2Identifier, "NI", "National unique individual identifier", "")), s("system", systemNational), s("value", r.digits(11))),
	}
	telecom := []*fhir.Node{object(s("system", "phone"), s("value", r.phone()), s("use", "mobile"), i("rank", 1))}
	if r.chance(0.4) {
		name := strings.ToLower(strings.ReplaceAll(c.person.given[0].en+"."+c.person.last.en, " ", ""))
		telecom = append(telecom, object(s("system", "email"), s("value", name+strconv.Itoa(r.between(10, 999))+"@mail.example"), s("use", "home")))
	}
	married := field{}
	if c.age(c.now) >= 18 {
		code, text := "S", "Never Married"
		if r.chance(min(0.9, float64(c.age(c.now)-16)/25)) {
			code, text = "M", "Married"
		}
		married = n("maritalStatus", concept("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", code, text, ""))
	}
	return resource("Patient", list("identifier", ids...), b("active", true), list("name", c.person.names("")...), list("telecom", telecom...),
		s("gender", c.person.gender()), s("birthDate", date(c.born)), list("address", townAddress(p, "home", line)), married,
		list("communication", object(n("language", concept("urn:ietf:bcp:47", "ar", "Arabic", "")), b("preferred", true))),
		refs("generalPractitioner", c.doctor), ref("managingOrganization", organization(c.site.key)))
}

// kin is the mother of a child: who is to be called.
func (c *chart) kin() {
	if c.age(c.now) >= 16 {
		return
	}
	mother := c.draw.person(false)
	c.add(resource("RelatedPerson", b("active", true), ref("patient", c.patient),
		list("relationship", concept("http://terminology.hl7.org/CodeSystem/v3-RoleCode", "MTH", "mother", "")), list("name", mother.names("")...),
		list("telecom", object(s("system", "phone"), s("value", c.draw.phone()), s("use", "mobile"))), s("gender", "female")))
}

func (c *chart) coverage() {
	if !c.draw.chance(0.7) {
		return
	}
	number := c.draw.digits(9)
	start := c.now.AddDate(-3, 0, -c.draw.IntN(300))
	if start.Before(c.born) {
		start = c.born
	}
	c.covered = c.add(resource("Coverage", identifier(systemMember, number), s("status", "active"), n("type", concept(v3Act, "PUBLICPOL", "public healthcare", "")),
		s("subscriberId", number), ref("beneficiary", c.patient), n("relationship", concept("http://terminology.hl7.org/CodeSystem/subscriber-relationship", "self", "Self", "")),
		o("period", s("start", date(start))), refs("payor", organization(fund)),
		list("class", object(n("type", concept("http://terminology.hl7.org/CodeSystem/coverage-class", "plan", "Plan", "")), s("value", "BASIC"), s("name", "Basic family plan")))))
}

func (c *chart) allergies() {
	if !c.draw.chance(0.25) {
		return
	}
	kind := pick(c.draw, []struct{ category, text, reaction, criticality string }{
		{"medication", "Penicillin", "Rash", "high"}, {"food", "Peanut", "Hives", "high"}, {"food", "Egg", "Vomiting", "low"},
		{"environment", "House dust", "Sneezing", "low"}, {"medication", "Sulfonamides", "Rash", "unable-to-assess"},
	})
	at := c.draw.clinicHour(c.born.AddDate(0, c.draw.IntN(max(c.age(c.now), 1)*12), 0))
	if at.After(c.now) {
		at = c.born
	}
	c.add(resource("AllergyIntolerance",
		n("clinicalStatus", concept("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active", "Active", "")),
		n("verificationStatus", concept("http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "confirmed", "Confirmed", "")),
		s("type", "allergy"), texts("category", kind.category), s("criticality", kind.criticality), n("code", object(s("text", kind.text))),
		ref("patient", c.patient), s("recordedDate", instant(at)), ref("recorder", c.doctor),
		list("reaction", object(list("manifestation", object(s("text", kind.reaction))), s("severity", "moderate")))))
}
