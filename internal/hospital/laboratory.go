package hospital

import (
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// laboratory is an order, its results and the report over them.
func (c *chart) laboratory(x illness, p panel, encounter string, at time.Time) {
	number := c.draw.digits(10)
	order := c.add(resource("ServiceRequest", identifier(systemOrder, number), s("status", "completed"), s("intent", "order"),
		list("category", object(s("text", "Laboratory"))), s("priority", "routine"), n("code", concept(loinc, p.loinc, "", p.text)), ref("subject", c.patient),
		ref("encounter", encounter), s("authoredOn", instant(at)), ref("requester", c.doctor), list("reasonCode", concept(icd10, x.icd, "", x.text))))
	drawn := at.Add(20 * time.Minute)
	done := drawn.Add(time.Duration(c.draw.between(40, 300)) * time.Minute)
	if done.After(c.now) {
		done = c.now
	}
	var results []string
	for _, t := range p.tests {
		results = append(results, c.result(x, t, order, encounter, drawn))
	}
	if len(p.tests) == 0 {
		results = append(results, c.film(x, p, order, encounter, drawn))
	}
	c.add(resource("DiagnosticReport", identifier(systemOrder+"/report", number), refs("basedOn", order), s("status", "final"),
		list("category", concept("http://terminology.hl7.org/CodeSystem/v2-0074", "LAB", "Laboratory", "")), n("code", concept(loinc, p.loinc, "", p.text)),
		ref("subject", c.patient), ref("encounter", encounter), s("effectiveDateTime", instant(drawn)), s("issued", done.Format("2006-01-02T15:04:05.000-07:00")),
		refs("performer", organization(c.site.key)), refs("result", results...)))
}

func (c *chart) result(x illness, t test, order, encounter string, at time.Time) string {
	middle, width := (t.low+t.high)/2, (t.high-t.low)/2
	for _, chronic := range append([]illness{x}, c.chronic...) {
		if f := shift(chronic, t); f != 1 {
			middle *= f
			break
		}
	}
	value := max(c.draw.normal(middle, width/2.2), t.low/10)
	flag, flagText := "N", "Normal"
	switch {
	case value < t.low:
		flag, flagText = "L", "Low"
	case value > t.high:
		flag, flagText = "H", "High"
	}
	limit := func(name string, v float64) field { return quantity(name, v, t.digits, t.unit, t.ucum) }
	return c.observation("laboratory", "Laboratory", concept(loinc, t.loinc, "", t.text), encounter, at, refs("basedOn", order),
		refs("performer", organization(c.site.key)), quantity("valueQuantity", value, t.digits, t.unit, t.ucum), list("interpretation", interpretation(flag, flagText)),
		list("referenceRange", object(limit("low", t.low), limit("high", t.high))))
}

// film is a blood film, whose answer is in words.
func (c *chart) film(x illness, p panel, order, encounter string, at time.Time) string {
	seen, flag := "No malaria parasites seen", interpretation("NEG", "Negative")
	if x.icd == "B50.9" {
		seen, flag = "Plasmodium falciparum, ring forms, "+pick(c.draw, []string{"+", "++", "+++"}), interpretation("POS", "Positive")
	}
	return c.observation("laboratory", "Laboratory", concept(loinc, p.loinc, "", p.text), encounter, at, refs("basedOn", order),
		refs("performer", organization(c.site.key)), n("valueCodeableConcept", object(s("text", seen))), list("interpretation", flag))
}

// dose is one of the national schedule: weeks after birth and CVX code.
type dose struct {
	weeks     int
	cvx, text string
	number    int
}

func schedule() []dose {
	return []dose{
		{0, "19", "BCG", 1}, {0, "178", "Oral polio vaccine", 1}, {6, "198", "Pentavalent vaccine", 1}, {6, "133", "Pneumococcal conjugate vaccine", 1}, {6, "119", "Rotavirus vaccine", 1},
		{10, "198", "Pentavalent vaccine", 2}, {10, "133", "Pneumococcal conjugate vaccine", 2}, {14, "198", "Pentavalent vaccine", 3},
		{39, "04", "Measles and rubella vaccine", 1}, {39, "191", "Meningococcal A vaccine", 1}, {39, "37", "Yellow fever vaccine", 1}, {78, "04", "Measles and rubella vaccine", 2},
	}
}

// vaccinations are given within two weeks of when they are due, to those under sixteen.
func (c *chart) vaccinations() {
	if c.age(c.now) >= 16 {
		return
	}
	for _, v := range schedule() {
		at := c.draw.clinicHour(c.born.AddDate(0, 0, 7*v.weeks+c.draw.IntN(14)))
		if at.After(c.now) || c.draw.chance(0.07) {
			continue
		}
		c.add(c.immunization(v, at))
	}
}

func (c *chart) immunization(v dose, at time.Time) *fhir.Node {
	return resource("Immunization", s("status", "completed"), n("vaccineCode", concept(cvx, v.cvx, "", v.text)), ref("patient", c.patient),
		s("occurrenceDateTime", instant(at)), b("primarySource", true), s("lotNumber", "L"+c.draw.digits(6)), s("expirationDate", date(at.AddDate(1, 0, 0))),
		ref("location", ward(c.site.key, c.unit)), list("performer", object(ref("actor", practitioner(c.siteAt, c.unit, doctorsEach)))),
		list("protocolApplied", object(list("targetDisease", object(s("text", v.text))), i("doseNumberPositiveInt", v.number))))
}
