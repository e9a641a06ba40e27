package clinical

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// vitalsIn is what was measured, as the forms of encounters and notes send it. Blood pressure in mmHg; heart rate and respiratory rate per minute;
// temperature in degrees Fahrenheit (90 to 110) or Celsius (30 to 45), which cannot be mistaken for each other; oxygen saturation in %; weight in
// kg; height in cm.
type vitalsIn struct {
	BloodPressure    *pressure `json:"bloodPressure"`
	HeartRate        *measured `json:"heartRate"`
	Temperature      *measured `json:"temperature"`
	RespiratoryRate  *measured `json:"respiratoryRate"`
	OxygenSaturation *measured `json:"oxygenSaturation"`
	Weight           *measured `json:"weight"`
	Height           *measured `json:"height"`
}

// measured is a number; forms send it as a text too, or as an empty one.
type measured float64

// UnmarshalJSON implements json.Unmarshaler.
func (m *measured) UnmarshalJSON(b []byte) error {
	var n float64
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		if s == "" {
			*m = measured(math.NaN())
			return nil
		}
		b = []byte(s)
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return fault.At(fault.Invalid, "vitalSigns", "a number is expected").WithCode("value")
	}
	*m = measured(n)
	return nil
}

// said reports that there is a number: an empty field of a form is none.
func (m *measured) said() bool { return m != nil && !math.IsNaN(float64(*m)) }

// pressure is {systolic, diastolic}, or "120/80".
type pressure struct {
	Systolic, Diastolic float64
	said                bool
}

var pressureText = regexp.MustCompile(`^\s*(\d{2,3})\s*/\s*(\d{2,3})\s*$`)

// UnmarshalJSON implements json.Unmarshaler.
func (p *pressure) UnmarshalJSON(b []byte) error {
	wrong := fault.At(fault.Invalid, "vitalSigns.bloodPressure", `must be {"systolic": 120, "diastolic": 80} or "120/80"`).WithCode("value")
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return wrong
		}
		if s == "" {
			return nil
		}
		m := pressureText.FindStringSubmatch(s)
		if m == nil {
			return wrong
		}
		high, errHigh := strconv.ParseFloat(m[1], 64)
		low, errLow := strconv.ParseFloat(m[2], 64)
		*p = pressure{high, low, true}
		return errors.Join(errHigh, errLow)
	}
	var two struct {
		Systolic  *measured `json:"systolic"`
		Diastolic *measured `json:"diastolic"`
	}
	if err := json.Unmarshal(b, &two); err != nil {
		return wrong
	}
	if !two.Systolic.said() && !two.Diastolic.said() {
		return nil
	}
	if !two.Systolic.said() || !two.Diastolic.said() {
		return wrong
	}
	*p = pressure{float64(*two.Systolic), float64(*two.Diastolic), true}
	return nil
}

// vital is a kind of measurement: its codes of LOINC (those of FHIR's vital signs profiles), its unit, and what is possible.
type vital struct {
	field, code, display, unit, ucum string
	least, most                      float64
}

var (
	heartRate   = vital{"heartRate", "8867-4", "Heart rate", "beats/minute", "/min", 30, 250}
	breathing   = vital{"respiratoryRate", "9279-1", "Respiratory rate", "breaths/minute", "/min", 5, 50}
	saturation  = vital{"oxygenSaturation", "2708-6", "Oxygen saturation in Arterial blood", "%", "%", 70, 100}
	weight      = vital{"weight", "29463-7", "Body weight", "kg", "kg", 0.2, 500}
	height      = vital{"height", "8302-2", "Body height", "cm", "cm", 20, 260}
	celsius     = vital{"temperature", "8310-5", "Body temperature", "C", "Cel", 30, 45}
	fahrenheit  = vital{"temperature", "8310-5", "Body temperature", "F", "[degF]", 90, 110}
	systolic    = vital{"bloodPressure.systolic", "8480-6", "Systolic blood pressure", "mmHg", "mm[Hg]", 50, 300}
	diastolic   = vital{"bloodPressure.diastolic", "8462-4", "Diastolic blood pressure", "mmHg", "mm[Hg]", 30, 200}
	bothPresses = vital{code: "85354-9", display: "Blood pressure panel with all children optional"}
)

func (v *vital) concept() obj { return concept(loinc, v.code, v.display, "") }

func (v *vital) quantity(n float64) obj {
	return obj{"value": n, "unit": v.unit, "system": ucum, "code": v.ucum}
}

func (v *vital) check(n float64) error {
	if n >= v.least && n <= v.most {
		return nil
	}
	return fault.At(fault.Invalid, "vitalSigns."+v.field, "must be from %g to %g %s", v.least, v.most, v.ucum).WithCode("value")
}

// observations are the measurements as Observations; none where nothing was measured.
func (in *vitalsIn) observations(patient, encounter, performer, at string) ([]*fhir.Resource, error) {
	if in == nil {
		return nil, nil
	}
	var out []*fhir.Resource
	add := func(code obj, more obj) error {
		m := obj{"status": "final", "category": []any{concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs", "")}, "code": code,
			"subject": reference(patient), "encounter": reference(encounter), "effectiveDateTime": at}
		if performer != "" {
			m["performer"] = []any{reference(performer)}
		}
		for name, value := range more {
			m[name] = value
		}
		o, err := flat.Make("Observation", m)
		out = append(out, o)
		return err
	}
	one := func(v vital, n *measured) error {
		if !n.said() {
			return nil
		}
		if err := v.check(float64(*n)); err != nil {
			return err
		}
		return add(v.concept(), obj{"valueQuantity": v.quantity(float64(*n))})
	}
	warmth := celsius
	if in.Temperature != nil && *in.Temperature > 60 {
		warmth = fahrenheit
	}
	err := errors.Join(one(heartRate, in.HeartRate), one(warmth, in.Temperature), one(breathing, in.RespiratoryRate), one(saturation, in.OxygenSaturation),
		one(weight, in.Weight), one(height, in.Height))
	if err != nil {
		return nil, err
	}
	if p := in.BloodPressure; p != nil && p.said {
		if err := errors.Join(systolic.check(p.Systolic), diastolic.check(p.Diastolic)); err != nil {
			return nil, err
		}
		if p.Diastolic >= p.Systolic {
			return nil, fault.At(fault.Invalid, "vitalSigns.bloodPressure", "the systolic pressure must be above the diastolic one").WithCode("value")
		}
		err = add(bothPresses.concept(), obj{"component": []any{obj{"code": systolic.concept(), "valueQuantity": systolic.quantity(p.Systolic)},
			obj{"code": diastolic.concept(), "valueQuantity": diastolic.quantity(p.Diastolic)}}})
	}
	return out, err
}

// quantityOut is a value with its unit, as it is stored.
type quantityOut struct {
	Value json.Number `json:"value"`
	Unit  string      `json:"unit"`
}

// vitalsOut is what was measured of a patient at one time. Figures are as stored; units say in what.
type vitalsOut struct {
	RecordedAt       string                 `json:"recordedAt"`
	Timestamp        string                 `json:"timestamp"`
	EncounterID      *string                `json:"encounterId"`
	BloodPressure    *string                `json:"bloodPressure"` // "120/80"
	Systolic         *json.Number           `json:"systolic"`
	Diastolic        *json.Number           `json:"diastolic"`
	HeartRate        *json.Number           `json:"heartRate"`
	Temperature      *json.Number           `json:"temperature"`
	RespiratoryRate  *json.Number           `json:"respiratoryRate"`
	OxygenSaturation *json.Number           `json:"oxygenSaturation"`
	Weight           *json.Number           `json:"weight"`
	Height           *json.Number           `json:"height"`
	Units            map[string]string      `json:"units"`
	Others           map[string]quantityOut `json:"others"` // what has no field here, by its LOINC code or name
	ObservationIDs   []string               `json:"observationIds"`
}

type vitalsList struct {
	PatientID  string      `json:"patientId"`
	VitalSigns []vitalsOut `json:"vitalSigns"`
	HasMore    bool        `json:"hasMore"` // there are older ones: ask with dateTo
}

// place is where a measurement of a code is told; nil where it has no field.
func (v *vitalsOut) place(code string) (**json.Number, string) {
	switch code {
	case heartRate.code:
		return &v.HeartRate, "heartRate"
	case celsius.code:
		return &v.Temperature, "temperature"
	case breathing.code:
		return &v.RespiratoryRate, "respiratoryRate"
	case saturation.code, "59408-5":
		return &v.OxygenSaturation, "oxygenSaturation"
	case weight.code:
		return &v.Weight, "weight"
	case height.code:
		return &v.Height, "height"
	case systolic.code:
		return &v.Systolic, "systolic"
	case diastolic.code:
		return &v.Diastolic, "diastolic"
	}
	return nil, ""
}

// take enters what a node with a code and a valueQuantity says.
func (v *vitalsOut) take(n *fhir.Node) {
	q := n.Get("valueQuantity")
	if q == nil || q.Get("value") == nil {
		return
	}
	value := json.Number(q.Get("value").Text)
	unit := q.Str("code")
	if unit == "" {
		unit = q.Str("unit")
	}
	code := flat.Code(n.Get("code"), loinc)
	if at, name := v.place(code); at != nil && *at == nil {
		*at = &value
		v.Units[name] = unit
		return
	}
	if code == "" {
		code = flat.Text(n.Get("code"))
	}
	v.Others[code] = quantityOut{value, unit}
}

func (v *vitalsOut) finish() {
	if v.Systolic != nil && v.Diastolic != nil {
		v.BloodPressure = opt(v.Systolic.String() + "/" + v.Diastolic.String())
		v.Units["bloodPressure"] = v.Units["systolic"]
	}
}

// measuredAt is when an Observation holds.
func measuredAt(o *fhir.Resource) string {
	for _, name := range []string{"effectiveDateTime", "effectiveInstant"} {
		if t := o.Str(name); t != "" {
			return t
		}
	}
	if p := o.Get("effectivePeriod"); p != nil {
		return p.Str("start")
	}
	return ""
}

var errEnough = errors.New("enough")

// vitals are the newest measurements of a patient, together by time, at most so many times.
func (s *Service) vitals(ctx context.Context, q flat.Query, most int) (all []vitalsOut, more bool, err error) {
	q.Sort, q.Limit = "-date", 200
	err = s.Records.Each(ctx, q, func(one *flat.Record) error {
		at := measuredAt(one.Res)
		if at == "" {
			return nil
		}
		if len(all) == 0 || all[len(all)-1].Timestamp != at {
			if len(all) == most {
				more = true
				return errEnough
			}
			all = append(all, vitalsOut{RecordedAt: at, Timestamp: at, Units: map[string]string{}, Others: map[string]quantityOut{}})
		}
		v := &all[len(all)-1]
		v.ObservationIDs = append(v.ObservationIDs, one.Key())
		if in, err := s.Records.IDOfRef(ctx, flat.RefOf(one.Res.Get("encounter"))); err == nil && in != "" {
			v.EncounterID = &in
		}
		v.take(one.Res.Node)
		for _, c := range flat.Items(one.Res.Get("component")) {
			v.take(c)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	for i := range all {
		all[i].finish()
		slices.Sort(all[i].ObservationIDs)
	}
	return all, more, err
}

func (s *Service) serveVitals(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	if _, err := s.Records.Read(ctx, "Patient", r.PathValue("id")); err != nil {
		return err
	}
	q := flat.Query{Type: "Observation"}
	q.With("category", "vital-signs")
	q.With("status:not", "entered-in-error")
	if err := s.refTo(ctx, &q, "patient", "Patient", r.PathValue("id")); err != nil {
		return err
	}
	if err := between(&q, "date", r.URL.Query().Get("dateFrom"), r.URL.Query().Get("dateTo")); err != nil {
		return err
	}
	_, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	all, more, err := s.vitals(ctx, q, limit)
	if err != nil {
		return err
	}
	if all == nil {
		all = []vitalsOut{}
	}
	return api.Answer(w, r, http.StatusOK, vitalsList{PatientID: r.PathValue("id"), VitalSigns: all, HasMore: more})
}

// now is the time as FHIR writes it.
func (s *Service) now() (time.Time, string) {
	t := s.Records.Now()
	return t, stamp(t)
}
