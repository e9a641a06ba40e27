package hospital

import (
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// living is the state of the hospital of Living: which hours and beds are taken. A nil one is the hospital of Bundles, which has none of it.
type living struct {
	taken map[string]bool // doctor and time
	lying map[string]int  // ward: how many beds are occupied
}

func newLiving() *living { return &living{map[string]bool{}, map[string]int{}} }

const (
	slotLength = 20 * time.Minute
	// daysAhead is how far appointments are booked.
	daysAhead = 30
	// namedPeople is how many patients, and how many doctors, have ids that people can type.
	namedPeople = 3
	// admittedEvery is of how many patients one lies in a bed.
	admittedEvery = 4
	// occupiedAtMost leaves beds of a ward free.
	occupiedAtMost = bedsEach - 1
)

// The names of what FHIR has no place for, as the product API writes them.
const (
	facilityType = "urn:x-nilecare:facility-type"
	facilityCode = "urn:x-nilecare:facility-code"
	bedNumber    = "urn:x-nilecare:bed-number"
	wardTypes    = "urn:x-nilecare:ward-type"
	bedTypes     = "urn:x-nilecare:bed-type"
	equipmentURL = "urn:x-nilecare:bed-equipment"
	zoneURL      = "http://hl7.org/fhir/StructureDefinition/timezone"
)

// organizationID is the id of a site's Organization, and of the Location that is its grounds; "" leaves it to the server.
func (l *living) organizationID(at int) string {
	if l == nil {
		return ""
	}
	return strconv.Itoa(at + 1)
}

// practitionerID numbers the doctors of the first site's first departments, and the nurse of its first one after them.
func (l *living) practitionerID(at, specialty, k int) string {
	switch {
	case l == nil || at != 0:
		return ""
	case specialty == 0 && k == doctorsEach:
		return strconv.Itoa(namedPeople + 1)
	case k < doctorsEach && specialty*doctorsEach+k < namedPeople:
		return strconv.Itoa(specialty*doctorsEach + k + 1)
	}
	return ""
}

func (l *living) patientID(k int) string {
	if l == nil || k >= namedPeople {
		return ""
	}
	return strconv.Itoa(k + 1)
}

// groupType is the type of the group, which is no place of care of its own.
func (l *living) groupType() *fhir.Node {
	if l == nil {
		return concept("http://terminology.hl7.org/CodeSystem/organization-type", "prov", "Healthcare Provider", "")
	}
	return concept("http://terminology.hl7.org/CodeSystem/organization-type", "other", "Other", "Group of hospitals")
}

func (l *living) organizationTypes() []*fhir.Node {
	prov := concept("http://terminology.hl7.org/CodeSystem/organization-type", "prov", "Healthcare Provider", "")
	if l == nil {
		return []*fhir.Node{prov}
	}
	return []*fhir.Node{prov, concept(facilityType, "hospital", "Hospital", "")}
}

func (l *living) organizationIdentifiers(at int, h site) field {
	if l == nil {
		return identifier(systemOrganization, h.key)
	}
	code := []string{"KRT-01", "OMD-01", "MDN-01", "PZU-01"}[at]
	return list("identifier", object(s("system", systemOrganization), s("value", h.key)), object(s("system", facilityCode), s("value", code)))
}

func (l *living) wardType(specialty int) field {
	if l == nil {
		return field{}
	}
	code := []string{"medical", "pediatric", "maternity", "surgical"}[specialty]
	return list("type", concept(wardTypes, code, "", ""))
}

func (l *living) bedType(specialty int) field {
	if l == nil {
		return field{}
	}
	code := []string{"standard", "pediatric", "maternity", "standard"}[specialty]
	return list("type", concept(bedTypes, code, "", ""))
}

func (l *living) bedIdentifiers(key string, number int) field {
	if l == nil {
		return identifier(systemLocation, key)
	}
	return list("identifier", object(s("system", systemLocation), s("value", key)), object(s("system", bedNumber), s("value", strconv.Itoa(number))))
}

// equipment says that every bed has oxygen, and the first of a ward a monitor.
func (l *living) equipment(number int) field {
	if l == nil {
		return field{}
	}
	has := []*fhir.Node{extension(equipmentURL, s("valueCode", "oxygen"))}
	if number == 1 {
		has = append(has, extension(equipmentURL, s("valueCode", "monitor")))
	}
	return list("extension", has...)
}

// calendar is the Schedule that a doctor's appointments stand in: the year from today. When the doctor works says the PractitionerRole.
func calendar(number string, specialty word, who, ward string, now time.Time) *fhir.Node {
	today := midnight(now)
	return resource("Schedule", list("extension", extension(zoneURL, s("valueCode", "Africa/Khartoum"))), identifier(systemSchedule, number), b("active", true),
		list("serviceType", object(s("text", specialty.en))), refs("actor", who, ward),
		o("planningHorizon", s("start", instant(today)), s("end", instant(today.AddDate(1, 0, 0)))))
}

func midnight(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// booked is one or two appointments in hours of the doctor's that are free.
func (c *chart) booked() {
	for range c.draw.between(1, 2) {
		start, ok := c.freeHour()
		if !ok {
			return
		}
		status, patient := "booked", pick(c.draw, []string{"accepted", "needs-action"})
		if start.Before(c.now) { // earlier today
			status, patient = pick(c.draw, []string{"fulfilled", "fulfilled", "noshow"}), "accepted"
		}
		c.add(c.appointment(status, patient, start))
	}
}

// freeHour takes a free slot of the doctor's working hours: a third of them are on the next working day, which is today where that is one. A doctor whose
// hours are nearly all taken books nobody more.
func (c *chart) freeHour() (time.Time, bool) {
	for range 100 {
		day := midnight(c.now)
		if !c.draw.chance(0.34) {
			day = day.AddDate(0, 0, c.draw.between(1, daysAhead))
		}
		for day.Weekday() == time.Friday || day.Weekday() == time.Saturday {
			day = day.AddDate(0, 0, 1)
		}
		at := day.Add(8*time.Hour + time.Duration(c.draw.IntN(int(8*time.Hour/slotLength)))*slotLength)
		doctor, patient := c.doctor+at.String(), c.patient+at.String()
		if !c.live.taken[doctor] && !c.live.taken[patient] {
			c.live.taken[doctor], c.live.taken[patient] = true, true
			return at, true
		}
	}
	return time.Time{}, false
}

// admits says whether the patient lies in a bed, where the ward has a free one.
func (l *living) admits(k int) bool { return l != nil && k%admittedEvery == admittedEvery-1 }

// admission is an Encounter that goes on, with the bed, which is occupied by the same transaction.
func (c *chart) admission() {
	key := wardKey(c.site.key, c.unit)
	at := c.now.Add(-time.Duration(c.draw.between(3, 70)) * time.Hour)
	if c.live.lying[key] == occupiedAtMost || at.Before(c.born) {
		return
	}
	c.live.lying[key]++
	number := c.live.lying[key]
	x := pick(c.draw, candidates(c.age(c.now), c.person.male, false))
	bed := conditional("Location", systemLocation, bedKey(key, number))
	encounter := c.add(resource("Encounter", s("status", "in-progress"), n("class", coding(v3Act, "IMP", "inpatient encounter")), list("type", object(s("text", "Admission"))),
		ref("subject", c.patient), list("participant", object(list("type", concept(v3Part, "ATND", "attender", "")), period(at, time.Time{}), ref("individual", c.doctor))),
		period(at, time.Time{}), list("reasonCode", concept(icd10, x.icd, "", x.text)),
		list("location", object(ref("location", bed), s("status", "active"), n("physicalType", physical("bd", "Bed")), period(at, time.Time{}))),
		ref("serviceProvider", organization(c.site.key))))
	c.vitals(x, encounter, at.Add(5*time.Minute))
	c.add(c.condition(x, "encounter-diagnosis", "Encounter Diagnosis", encounter, at, time.Time{}))
	r := c.bed(key, c.unit, number, "O", organization(c.site.key+"-"+strconv.Itoa(c.unit+1)), ward(c.site.key, c.unit))
	url := "urn:uuid:" + c.draw.uuid()
	c.entries = append(c.entries, object(s("fullUrl", url), n("resource", r), o("request", s("method", "PUT"), s("url", bed))))
}
