package hospital

import (
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// history is what happened: vaccinations, then visits of the last five years, oldest first, and the next one booked.
func (c *chart) history() {
	c.vaccinations()
	for range 2 {
		from := candidates(c.age(c.now), c.person.male, true)
		if len(from) > 0 && c.age(c.now) > 30 && c.draw.chance(0.5) {
			c.develop(pick(c.draw, from))
		}
	}
	visits := c.draw.between(2, 5)
	first := c.now.AddDate(-5, 0, 0)
	if born := c.born.AddDate(0, 0, 20); born.After(first) {
		first = born
	}
	span := max(c.now.Sub(first)-48*time.Hour, 0)
	for k := range visits {
		at := c.draw.clinicHour(first.Add(span * time.Duration(2*k+1) / time.Duration(2*visits)))
		if at.Before(c.now.AddDate(0, 0, -1)) {
			c.visit(at)
		}
	}
	if c.live != nil {
		c.booked()
	} else {
		c.followUp()
	}
}

// develop is a chronic illness that the patient has from now on; one is not had twice.
func (c *chart) develop(x illness) {
	for _, had := range c.chronic {
		if had.icd == x.icd {
			return
		}
	}
	c.chronic = append(c.chronic, x)
	at := c.draw.clinicHour(c.now.AddDate(-c.draw.between(5, 9), 0, 0))
	c.add(c.condition(x, "problem-list-item", "Problem List Item", "", at, time.Time{}))
}

func (c *chart) condition(x illness, category, display, encounter string, at, over time.Time) *fhir.Node {
	status, statusText, abated := "active", "Active", field{}
	if !over.IsZero() {
		status, statusText, abated = "resolved", "Resolved", s("abatementDateTime", date(over))
	}
	return resource("Condition",
		n("clinicalStatus", concept("http://terminology.hl7.org/CodeSystem/condition-clinical", status, statusText, "")),
		n("verificationStatus", concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed", "Confirmed", "")),
		list("category", concept("http://terminology.hl7.org/CodeSystem/condition-category", category, display, "")),
		n("code", concept(icd10, x.icd, "", x.text)), ref("subject", c.patient), ref("encounter", encounter),
		s("onsetDateTime", date(at.AddDate(0, 0, -c.draw.IntN(4)))), abated, s("recordedDate", instant(at)), ref("recorder", c.doctor))
}

// visit is one encounter with all that comes of it.
func (c *chart) visit(at time.Time) {
	var x illness
	known := len(c.chronic) > 0 && c.draw.chance(0.6)
	if known {
		x = pick(c.draw, c.chronic)
	} else {
		x = pick(c.draw, candidates(c.age(at), c.person.male, false))
	}
	admitted := c.draw.chance(x.admitted)
	end := at.Add(time.Duration(c.draw.between(15, 50)) * time.Minute)
	if admitted {
		end = at.Add(time.Duration(c.draw.between(24, 96)) * time.Hour)
	}
	if end.After(c.now) {
		end = c.now
	}
	encounter := c.add(c.encounter(x, at, end, admitted))
	c.vitals(x, encounter, at.Add(5*time.Minute))
	if !known {
		over := end.AddDate(0, 0, c.draw.between(4, 12))
		if over.After(c.now) {
			over = time.Time{} // still ill
		}
		c.add(c.condition(x, "encounter-diagnosis", "Encounter Diagnosis", encounter, at, over))
	}
	for _, key := range x.panels {
		if c.draw.chance(0.75) {
			c.laboratory(x, panels()[key], encounter, at.Add(20*time.Minute))
		}
	}
	for _, m := range x.drugs {
		c.add(c.prescription(m, x, encounter, at.Add(15*time.Minute)))
	}
	if x.procedure != "" && c.draw.chance(0.7) {
		c.add(c.procedure(procedures()[x.procedure], x, encounter, at.Add(10*time.Minute)))
	}
	c.invoice(encounter, at, end, admitted)
}

func (c *chart) encounter(x illness, at, end time.Time, admitted bool) *fhir.Node {
	class, classText, kind := "AMB", "ambulatory", "Outpatient visit"
	place, stay := ward(c.site.key, c.unit), field{}
	if admitted {
		class, classText, kind = "IMP", "inpatient encounter", "Admission"
		place = conditional("Location", systemLocation, bedKey(wardKey(c.site.key, c.unit), 1+c.draw.IntN(bedsEach)))
		stay = o("hospitalization", n("dischargeDisposition", concept("http://terminology.hl7.org/CodeSystem/discharge-disposition", "home", "Home", "")))
	}
	return resource("Encounter", s("status", "finished"), n("class", coding(v3Act, class, classText)), list("type", object(s("text", kind))),
		ref("subject", c.patient), list("participant", object(list("type", concept(v3Part, "ATND", "attender", "")), period(at, end), ref("individual", c.doctor))),
		period(at, end), list("reasonCode", concept(icd10, x.icd, "", x.text)), stay,
		list("location", object(ref("location", place), s("status", "completed"))), ref("serviceProvider", organization(c.site.key)))
}

func (c *chart) prescription(m drug, x illness, encounter string, at time.Time) *fhir.Node {
	status, bounds := "active", field{}
	if m.days > 0 {
		status = "completed"
		bounds = o("boundsDuration", i("value", m.days), s("unit", "days"), s("system", "http://unitsofmeasure.org"), s("code", "d"))
	}
	unit, ucum := m.unit, m.unit
	if m.unit == "" {
		unit, ucum = m.form, "{"+m.form+"}"
	}
	return resource("MedicationRequest", s("status", status), s("intent", "order"), n("medicationCodeableConcept", concept(atc, m.atc, "", m.text)),
		ref("subject", c.patient), ref("encounter", encounter), s("authoredOn", instant(at)), ref("requester", c.doctor),
		list("reasonCode", concept(icd10, x.icd, "", x.text)),
		list("dosageInstruction", object(i("sequence", 1), o("timing", o("repeat", bounds, i("frequency", m.timesDaily), i("period", 1), s("periodUnit", "d"))),
			n("route", object(s("text", m.route))),
			list("doseAndRate", object(quantity("doseQuantity", m.dose, 0, unit, ucum))))))
}

func (c *chart) procedure(what [2]string, x illness, encounter string, at time.Time) *fhir.Node {
	return resource("Procedure", s("status", "completed"), n("code", concept(systemProcedure, what[0], what[1], what[1])), ref("subject", c.patient), ref("encounter", encounter),
		o("performedPeriod", s("start", instant(at)), s("end", instant(at.Add(15*time.Minute)))), list("performer", object(ref("actor", c.doctor))),
		ref("location", ward(c.site.key, c.unit)), list("reasonCode", concept(icd10, x.icd, "", x.text)))
}

// followUp books the next visit, in the weeks to come.
func (c *chart) followUp() {
	c.add(c.appointment("booked", "accepted", c.draw.clinicHour(c.now.AddDate(0, 0, c.draw.between(2, 60)))))
}

func (c *chart) appointment(status, patient string, start time.Time) *fhir.Node {
	created := c.now.Add(-time.Duration(c.draw.between(1, 72)) * time.Hour)
	return resource("Appointment", s("status", status), list("serviceType", object(s("text", specialties()[c.unit].en))),
		n("appointmentType", concept("http://terminology.hl7.org/CodeSystem/v2-0276", "FOLLOWUP", "A follow up visit from a previous appointment", "")),
		s("start", instant(start)), s("end", instant(start.Add(slotLength))), i("minutesDuration", int(slotLength.Minutes())), s("created", instant(created)),
		list("participant",
			object(n("actor", object(s("reference", c.patient))), s("required", "required"), s("status", patient)),
			object(n("actor", object(s("reference", c.doctor))), s("required", "required"), s("status", "accepted"))))
}
