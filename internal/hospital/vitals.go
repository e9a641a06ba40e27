package hospital

import (
	"math"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

// observation begins an Observation with what all have in common.
func (c *chart) observation(category, display string, code *fhir.Node, encounter string, at time.Time, rest ...field) string {
	fields := append([]field{s("status", "final"),
		list("category", concept("http://terminology.hl7.org/CodeSystem/observation-category", category, display, "")), n("code", code),
		ref("subject", c.patient), ref("encounter", encounter), s("effectiveDateTime", instant(at)),
		s("issued", at.Add(time.Minute).Format("2006-01-02T15:04:05.000-07:00"))}, rest...)
	return c.add(resource("Observation", fields...))
}

func (c *chart) vital(code, display, encounter string, at time.Time, value float64, digits int, unit, ucum string) {
	c.observation("vital-signs", "Vital Signs", concept(loinc, code, display, display), encounter, at,
		refs("performer", practitioner(c.siteAt, c.unit, doctorsEach)), quantity("valueQuantity", value, digits, unit, ucum))
}

// vitals are taken by the nurse at the beginning of each visit. Displays are those of R4's own vital signs page.
func (c *chart) vitals(x illness, encounter string, at time.Time) {
	r, age := c.draw, c.age(at)
	young := math.Max(0, float64(16-age))
	c.pressure(encounter, at)
	temperature, beats := r.normal(36.8, 0.25), r.normal(74, 7)+2.2*young
	if x.fever {
		temperature = r.normal(38.6, 0.5)
		beats += 15
	}
	weight := c.weight * r.normal(1, 0.02)
	height := c.height
	if grown := c.age(c.now) - age; age < 16 && grown > 0 { // a child was smaller then
		height = math.Max(50, height-6.2*float64(grown))
		weight = math.Max(3.2, weight-2.6*float64(grown))
	}
	c.vital("8867-4", "Heart rate", encounter, at, beats, 0, "beats/minute", "/min")
	c.vital("8310-5", "Body temperature", encounter, at, temperature, 1, "C", "Cel")
	c.vital("9279-1", "Respiratory rate", encounter, at, r.normal(15, 1.5)+0.9*young, 0, "breaths/minute", "/min")
	c.vital("2708-6", "Oxygen saturation", encounter, at, math.Min(100, r.normal(97.5, 1)), 0, "%", "%")
	c.vital("29463-7", "Body weight", encounter, at, weight, 1, "kg", "kg")
	if age < 18 || r.chance(0.4) {
		c.vital("8302-2", "Body height", encounter, at, height, 1, "cm", "cm")
		c.vital("39156-5", "Body mass index (BMI) [Ratio]", encounter, at, weight/(height*height/10000), 1, "kg/m2", "kg/m2")
	}
}

// pressure is one Observation of two components; below three years it is not taken.
func (c *chart) pressure(encounter string, at time.Time) {
	age := c.age(at)
	if age < 3 {
		return
	}
	systolic := c.draw.normal(96+math.Min(float64(age), 75)*0.42, 7)
	for _, x := range c.chronic {
		systolic += x.systolic * c.draw.Float64()
	}
	part := func(code, display string, value float64) *fhir.Node {
		return object(n("code", concept(loinc, code, display, "")), quantity("valueQuantity", value, 0, "mmHg", "mm[Hg]"))
	}
	fields := []field{refs("performer", practitioner(c.siteAt, c.unit, doctorsEach))}
	if systolic >= 140 {
		fields = append(fields, list("interpretation", interpretation("H", "High")))
	}
	fields = append(fields, list("component", part("8480-6", "Systolic blood pressure", systolic), part("8462-4", "Diastolic blood pressure", systolic*c.draw.normal(0.63, 0.02))))
	c.observation("vital-signs", "Vital Signs", concept(loinc, "85354-9", "Blood pressure panel with all children optional", "Blood pressure"), encounter, at, fields...)
}

func interpretation(code, display string) *fhir.Node {
	return concept("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", code, display, "")
}
