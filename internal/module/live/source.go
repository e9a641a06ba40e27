package live

import (
	"slices"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// The kinds of events that this package tells of.
const (
	vitalsKind = "vital_signs.recorded"
	alertKind  = "clinical.alert"
)

// VitalSigns is what an Observation of vital signs says: what it does not measure is absent.
type VitalSigns struct {
	ObservationID   string   `json:"observationId"`
	PatientID       string   `json:"patientId"`
	EncounterID     string   `json:"encounterId,omitempty"`
	Status          string   `json:"status"`
	Timestamp       string   `json:"timestamp"`                    // when it was measured
	HeartRate       *float64 `json:"heartRate,omitempty"`          // a minute
	Systolic        *float64 `json:"systolic,omitempty"`           // mmHg
	Diastolic       *float64 `json:"diastolic,omitempty"`          // mmHg
	SpO2            *float64 `json:"spo2,omitempty"`               // %
	Temperature     *float64 `json:"temperatureCelsius,omitempty"` // °C
	RespiratoryRate *float64 `json:"respiratoryRate,omitempty"`    // a minute
	Weight          *float64 `json:"weight,omitempty"`             // kg
	Height          *float64 `json:"height,omitempty"`             // cm
}

// Alert is an issue or a flag of high severity. Free text is not in it.
type Alert struct {
	AlertID   string `json:"alertId"`
	PatientID string `json:"patientId,omitempty"`
	Type      string `json:"type"`     // detected-issue or flag
	Severity  string `json:"severity"` // high
	Code      string `json:"code,omitempty"`
	System    string `json:"system,omitempty"`
	Title     string `json:"title,omitempty"` // the code's display
	Timestamp string `json:"timestamp"`
}

// Source says which Observations are vital signs, and which DetectedIssues and Flags are alerts.
func Source() event.Source {
	return event.Source{
		Kinds: []event.Kind{
			{Name: vitalsKind, Topic: event.ClinicalEvents, Version: 1, Summary: "Vital signs were recorded", Data: VitalSigns{}},
			{Name: alertKind, Topic: event.ClinicalEvents, Version: 1, Summary: "An issue or a flag of high severity was raised", Data: Alert{}},
		},
		Types: []string{"Observation", "DetectedIssue", "Flag"},
		Tell: func(c event.Change) []event.Fact {
			if c.New == nil {
				return nil
			}
			switch c.Type {
			case "Observation":
				return tellVitals(&c)
			case "DetectedIssue", "Flag":
				return tellAlert(&c)
			}
			return nil
		},
	}
}

// measures are the codes of LOINC by what they measure.
var measures = map[string]func(*VitalSigns) **float64{
	"8867-4":  func(v *VitalSigns) **float64 { return &v.HeartRate },
	"8480-6":  func(v *VitalSigns) **float64 { return &v.Systolic },
	"8462-4":  func(v *VitalSigns) **float64 { return &v.Diastolic },
	"2708-6":  func(v *VitalSigns) **float64 { return &v.SpO2 },
	"59408-5": func(v *VitalSigns) **float64 { return &v.SpO2 },
	"8310-5":  func(v *VitalSigns) **float64 { return &v.Temperature },
	"9279-1":  func(v *VitalSigns) **float64 { return &v.RespiratoryRate },
	"29463-7": func(v *VitalSigns) **float64 { return &v.Weight },
	"8302-2":  func(v *VitalSigns) **float64 { return &v.Height },
}

// tellVitals tells of an Observation of the category vital-signs that holds.
func tellVitals(c *event.Change) []event.Fact {
	status := c.New.Str("status")
	if !slices.Contains([]string{"preliminary", "final", "amended", "corrected"}, status) || !inCategory(c.New, "vital-signs") {
		return nil
	}
	patient := flat.RefOf(c.New.Get("subject"))
	v := VitalSigns{ObservationID: c.Self(), PatientID: c.Key(patient), Status: status, Timestamp: measured(c)}
	if e := flat.RefOf(c.New.Get("encounter")); e != "" {
		v.EncounterID = c.Key(e)
	}
	v.read(c.New.Node)
	for _, part := range flat.Items(c.New.Get("component")) {
		v.read(part)
	}
	return []event.Fact{{Kind: vitalsKind, Patient: patient, Data: v}}
}

func inCategory(r *fhir.Resource, code string) bool {
	return slices.ContainsFunc(flat.Items(r.Get("category")), func(n *fhir.Node) bool {
		return slices.ContainsFunc(flat.Items(n.Get("coding")), func(c *fhir.Node) bool { return c.Str("code") == code })
	})
}

// measured is when it was measured, else when it was written.
func measured(c *event.Change) string {
	for _, n := range []*fhir.Node{c.New.Get("effectiveDateTime"), c.New.Get("effectiveInstant"), c.New.Path("effectivePeriod", "start")} {
		if n != nil && n.Text != "" {
			return n.Text
		}
	}
	return c.At.UTC().Format(time.RFC3339)
}

// read reads a code with its quantity.
func (v *VitalSigns) read(n *fhir.Node) {
	for _, coding := range flat.Items(n.Path("code").Get("coding")) {
		field := measures[coding.Str("code")]
		if field == nil || coding.Str("system") != "http://loinc.org" {
			continue
		}
		q := n.Get("valueQuantity")
		if q == nil || q.Get("value") == nil {
			return
		}
		x, err := strconv.ParseFloat(q.Get("value").Text, 64)
		if err != nil {
			return
		}
		if x, ok := converted(x, q.Str("code"), q.Str("unit")); ok {
			*field(v) = &x
		}
		return
	}
}

// converted brings what is measured in the units of other countries into ours; false for a unit that is not known.
func converted(x float64, code, unit string) (float64, bool) {
	if code == "" {
		code = unit
	}
	switch code {
	case "[degF]", "F", "°F":
		return (x - 32) / 1.8, true
	case "[lb_av]":
		return x * 0.45359237, true
	case "g":
		return x / 1000, true
	case "[in_i]":
		return x * 2.54, true
	case "m":
		return x * 100, true
	case "", "/min", "mm[Hg]", "%", "Cel", "kg", "cm", "beats/minute", "breaths/minute", "mmHg", "C", "°C":
		return x, true
	}
	return 0, false
}

// tellAlert tells of an issue or flag that has come to be of high severity.
func tellAlert(c *event.Change) []event.Fact {
	if !grave(c.New) || c.Old != nil && grave(c.Old) {
		return nil
	}
	a := Alert{AlertID: c.Self(), Severity: "high", Timestamp: c.At.UTC().Format("2006-01-02T15:04:05.000Z"), Type: "flag"}
	subject, author := "subject", "author"
	if c.Type == "DetectedIssue" {
		a.Type, subject = "detected-issue", "patient"
	}
	patient := flat.RefOf(c.New.Get(subject))
	if patient != "" {
		a.PatientID = c.Key(patient)
	}
	if code := c.New.Get("code"); code != nil {
		for _, coding := range flat.Items(code.Get("coding")) {
			a.Code, a.System, a.Title = coding.Str("code"), coding.Str("system"), coding.Str("display")
			break
		}
	}
	var staff []string
	if by := flat.RefOf(c.New.Get(author)); by != "" {
		staff = append(staff, by)
	}
	return []event.Fact{{Kind: alertKind, Patient: patient, Staff: staff, Data: a}}
}

// flagPriority is FHIR's extension for how urgent a flag is.
const flagPriority = "http://hl7.org/fhir/StructureDefinition/flag-priority"

// grave reports an issue or a flag that holds and is of high severity.
func grave(r *fhir.Resource) bool {
	if r.Type() == "DetectedIssue" {
		return r.Str("severity") == "high" && slices.Contains([]string{"registered", "preliminary", "final", "amended", "corrected"}, r.Str("status"))
	}
	if r.Str("status") != "active" {
		return false
	}
	return slices.ContainsFunc(flat.Items(r.Get("extension")), func(x *fhir.Node) bool {
		return x.Str("url") == flagPriority && flat.Code(x.Get("valueCodeableConcept"), "") == "PH"
	})
}
