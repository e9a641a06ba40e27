package hospital

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// Base is the namespace of all identifiers and codes that the hospital group gave itself.
const Base = "https://nile-hospitals.example"

// Systems of identifiers and codes.
const (
	systemOrganization = Base + "/id/organization"
	systemLocation     = Base + "/id/location"
	systemStaff        = Base + "/id/staff"
	systemRole         = Base + "/id/role"
	systemSchedule     = Base + "/id/schedule"
	systemNational     = Base + "/id/national-number"
	systemMember       = Base + "/id/health-fund-member"
	systemOrder        = Base + "/id/lab-order"
	systemInvoice      = Base + "/id/invoice"
	systemProcedure    = Base + "/codes/procedure"
	systemService      = Base + "/codes/service"
	systemBenefit      = Base + "/codes/benefit"
	v3Act              = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
	v3Part             = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
	v2Identifier       = "http://terminology.hl7.org/CodeSystem/v2-0203"
	v2Degree           = "http://terminology.hl7.org/CodeSystem/v2-0360"
	v2Bed              = "http://terminology.hl7.org/CodeSystem/v2-0116"
	icd10              = "http://hl7.org/fhir/sid/icd-10"
	loinc              = "http://loinc.org"
	atc                = "http://www.whocc.no/atc"
	cvx                = "http://hl7.org/fhir/sid/cvx"
)

// site is one hospital of the group, with what patients' records say of it.
type site struct {
	key, ar, en string
	place       int // in places
}

func sites() []site {
	return []site{
		{"khartoum", "مستشفى النيل الأزرق", "Blue Nile Hospital Khartoum", 0},
		{"omdurman", "مستشفى أم درمان النموذجي", "Omdurman Model Hospital", 1},
		{"madani", "مستشفى الجزيرة", "Gezira Hospital Wad Madani", 3},
		{"portsudan", "مستشفى البحر الأحمر", "Red Sea Hospital Port Sudan", 4},
	}
}

// specialties are the departments of every site; the first sees adults, the second children, the third women with child.
func specialties() []word {
	return []word{{"الباطنية", "Internal medicine"}, {"الأطفال", "Paediatrics"}, {"النساء والتوليد", "Obstetrics and gynaecology"}, {"الجراحة", "Surgery"}}
}

// doctorsEach is how many doctors a department of a site has; staffEach counts its nurse too.
const (
	doctorsEach = 2
	staffEach   = doctorsEach + 1
	bedsEach    = 4
)

func staffNumber(siteAt, specialty, k int) string {
	return fmt.Sprintf("S-%04d", 1000*(siteAt+1)+10*specialty+k)
}

func conditional(typ, system, value string) string {
	return typ + "?identifier=" + system + "|" + value
}

func practitioner(siteAt, specialty, k int) string {
	return conditional("Practitioner", systemStaff, staffNumber(siteAt, specialty, k))
}

func organization(key string) string { return conditional("Organization", systemOrganization, key) }

func wardKey(key string, specialty int) string { return key + "-ward-" + strconv.Itoa(specialty+1) }

func ward(key string, specialty int) string {
	return conditional("Location", systemLocation, wardKey(key, specialty))
}

// fund is the key of the health fund that insures most patients.
const fund = "health-fund"

func identifier(system, value string) field {
	return list("identifier", object(s("system", system), s("value", value)))
}

// house is the group itself: organizations, places and staff. Every entry is created only where its identifier is not there yet, so the
// bundle may be sent again.
func house(seed int64, now time.Time, l *living) []byte {
	t := newBundle(newDraw(seed, 0), l)
	group := t.once(systemOrganization, "group", resource("Organization", identifier(systemOrganization, "group"), b("active", true),
		list("type", l.groupType()),
		s("name", "Nile Hospitals Group"), texts("alias", "مجموعة مستشفيات النيل"), telecomWork("+249183000000", "info@nile-hospitals.example")))
	t.once(systemOrganization, fund, resource("Organization", identifier(systemOrganization, fund), b("active", true),
		list("type", concept("http://terminology.hl7.org/CodeSystem/organization-type", "ins", "Insurance Company", "")),
		s("name", "Two Niles Health Fund"), texts("alias", "صندوق النيلين الصحي")))
	for at, h := range sites() {
		t.site(group, at, h, now)
	}
	return t.json()
}

func telecomWork(phone, mail string) field {
	return list("telecom", object(s("system", "phone"), s("value", phone), s("use", "work")), object(s("system", "email"), s("value", mail), s("use", "work")))
}

func (t *bundle) site(group string, at int, h site, now time.Time) {
	p := places()[h.place]
	org := t.onceAs(t.live.organizationID(at), systemOrganization, h.key, resource("Organization", t.live.organizationIdentifiers(at, h), b("active", true),
		list("type", t.live.organizationTypes()...), s("name", h.en), texts("alias", h.ar),
		telecomWork("+24918300100"+strconv.Itoa(at), h.key+"@nile-hospitals.example"), list("address", townAddress(p, "work")), ref("partOf", group)))
	grounds := t.onceAs(t.live.organizationID(at), systemLocation, h.key, resource("Location", identifier(systemLocation, h.key), s("status", "active"), s("name", h.en), texts("alias", h.ar), s("mode", "instance"),
		n("address", townAddress(p, "work")), n("physicalType", physical("si", "Site")), ref("managingOrganization", org)))
	for k, sp := range specialties() {
		dept := t.once(systemOrganization, h.key+"-"+strconv.Itoa(k+1), resource("Organization", identifier(systemOrganization, h.key+"-"+strconv.Itoa(k+1)), b("active", true),
			list("type", concept("http://terminology.hl7.org/CodeSystem/organization-type", "dept", "Hospital Department", "")),
			s("name", sp.en+", "+h.en), texts("alias", sp.ar), ref("partOf", org)))
		key := wardKey(h.key, k)
		w := t.once(systemLocation, key, resource("Location", identifier(systemLocation, key), s("status", "active"), s("name", sp.en+" ward"), texts("alias", "عنبر "+sp.ar), s("mode", "instance"), t.live.wardType(k),
			n("physicalType", physical("wa", "Ward")), ref("managingOrganization", dept), ref("partOf", grounds)))
		for bed := 1; bed <= bedsEach; bed++ {
			r := t.bed(key, k, bed, "U", dept, w)
			t.once(systemLocation, bedKey(key, bed), r)
		}
		for m := range staffEach {
			t.staff(staffNumber(at, k, m), t.live.practitionerID(at, k, m), sp, m == doctorsEach, dept, w, now)
		}
	}
}

func physical(code, display string) *fhir.Node {
	return concept("http://terminology.hl7.org/CodeSystem/location-physical-type", code, display, "")
}

func bedKey(ward string, number int) string { return ward + "-bed-" + strconv.Itoa(number) }

// bed is a bed of the ward, free ("U") or occupied ("O").
func (t *bundle) bed(wardKey string, specialty, number int, status, dept, ward string) *fhir.Node {
	key, text := bedKey(wardKey, number), "Unoccupied"
	if status == "O" {
		text = "Occupied"
	}
	return resource("Location", t.live.equipment(number), t.live.bedIdentifiers(key, number), s("status", "active"),
		n("operationalStatus", coding(v2Bed, status, text)), s("name", "Bed "+strconv.Itoa(number)), s("mode", "instance"), t.live.bedType(specialty),
		n("physicalType", physical("bd", "Bed")), ref("managingOrganization", dept), ref("partOf", ward))
}

func (t *bundle) staff(number, id string, specialty word, nurse bool, dept, ward string, now time.Time) {
	p := t.draw.person(t.draw.chance(0.5))
	title, role, degree := "Dr.", "doctor", "MD"
	if nurse {
		title, role, degree = "", "nurse", "RN"
	}
	who := t.onceAs(id, systemStaff, number, resource("Practitioner", identifier(systemStaff, number), b("active", true), list("name", p.names(title)...),
		telecomWork(t.draw.phone(), "staff."+number[2:]+"@nile-hospitals.example"), s("gender", p.gender()),
		list("qualification", object(n("code", concept(v2Degree, degree, "", ""))))))
	t.once(systemRole, number, resource("PractitionerRole", identifier(systemRole, number), b("active", true), ref("practitioner", who), ref("organization", dept),
		list("code", concept("http://terminology.hl7.org/CodeSystem/practitioner-role", role, "", "")), list("specialty", object(s("text", specialty.en))), refs("location", ward),
		list("availableTime", object(texts("daysOfWeek", "sun", "mon", "tue", "wed", "thu"), s("availableStartTime", "08:00:00"), s("availableEndTime", "16:00:00")))))
	if t.live != nil && !nurse {
		t.once(systemSchedule, number, calendar(number, specialty, who, ward, now))
	}
}
