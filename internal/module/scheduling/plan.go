package scheduling

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/flat"
)

// PlanExtension is the extension of a Schedule that bears a [Plan], as JSON in valueString.
const PlanExtension = "urn:x-nilecare:scheduling-plan"

// Plan is how a calendar is kept. What is nil or empty is not said: then the tenant's plan holds, and where that does not say it either, what [defaultPlan] says.
type Plan struct {
	TimeZone       string       `json:"timeZone,omitempty" doc:"an IANA zone, such as Africa/Khartoum: hours are wall-clock times there"`
	WorkingHours   []Hours      `json:"workingHours,omitempty" doc:"when there is time; where nothing is said, PractitionerRole.availableTime holds, then the tenant's"`
	Closed         bool         `json:"closed,omitempty" doc:"true: there are no working hours at all"`
	Breaks         []Hours      `json:"breaks,omitempty"`
	SlotMinutes    *int         `json:"slotMinutes,omitempty" doc:"how far offered times are apart, and how long a visit takes where nothing is said"`
	BufferMinutes  *int         `json:"bufferMinutes,omitempty" doc:"the pause that follows each appointment"`
	Capacity       *int         `json:"capacity,omitempty" doc:"how many appointments at once"`
	Overbooking    *Overbooking `json:"overbooking,omitempty"`
	HorizonDays    *int         `json:"horizonDays,omitempty" doc:"how far ahead times are offered"`
	AdvanceMinutes *int         `json:"advanceMinutes,omitempty" doc:"how soon the first offered time is"`
	MaxPerDay      *int         `json:"maxPerDay,omitempty" doc:"appointments of a day at most; 0: no bound"`
	VisitTypes     []string     `json:"visitTypes,omitempty" doc:"the kinds of visit that are taken; none: all"`
	PatientOverlap string       `json:"patientOverlap,omitempty" doc:"the tenant's alone: refuse or warn, where a patient has another appointment at the time"`
	HoldMinutes    *int         `json:"holdMinutes,omitempty" doc:"the tenant's alone: how long a hold lasts"`
}

// Hours is a time of the day on days of the week. To before From is on the next day; 24:00 is midnight.
type Hours struct {
	Days []string `json:"days" doc:"sunday … saturday"`
	From string   `json:"from" doc:"HH:MM"`
	To   string   `json:"to" doc:"HH:MM"`
}

// Overbooking is how many appointments there may be beyond the capacity.
type Overbooking struct {
	PerSlot    int      `json:"perSlot" doc:"how many more at one time"`
	PerDay     int      `json:"perDay,omitempty" doc:"how many more on one day; 0: no bound but perSlot"`
	VisitTypes []string `json:"visitTypes,omitempty" doc:"for these kinds of visit alone; none: for all"`
	Automatic  bool     `json:"automatic,omitempty" doc:"true: for everybody, unasked; false: for who asks for it and holds appointments:overbook"`
}

// weekdays are the names of days, by time.Weekday.
var weekdays = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// number points to n.
func number(n int) *int { return &n }

// defaultPlan is what holds where neither somebody's own plan nor the tenant's says anything: the working week of Sudan.
func defaultPlan() Plan {
	return Plan{
		TimeZone: flat.DefaultZone().String(), WorkingHours: []Hours{{Days: []string{"sunday", "monday", "tuesday", "wednesday", "thursday"}, From: "08:00", To: "17:00"}},
		BufferMinutes: number(0), Capacity: number(1), Overbooking: &Overbooking{}, HorizonDays: number(365), AdvanceMinutes: number(0), MaxPerDay: number(0),
		PatientOverlap: refuseOverlap, HoldMinutes: number(10),
	}
}

// What becomes of an appointment while its patient has another one.
const (
	refuseOverlap = "refuse"
	warnOverlap   = "warn"
)

// over is p with what it does not say taken from below. Breaks belong to hours: who has hours of one's own has breaks of one's own.
func (p Plan) over(below Plan) Plan {
	if p.Breaks == nil && p.WorkingHours == nil && !p.Closed {
		p.Breaks = below.Breaks
	}
	if p.WorkingHours == nil && !p.Closed {
		p.WorkingHours, p.Closed = below.WorkingHours, below.Closed
	}
	if p.TimeZone == "" {
		p.TimeZone = below.TimeZone
	}
	if p.VisitTypes == nil {
		p.VisitTypes = below.VisitTypes
	}
	if p.Overbooking == nil {
		p.Overbooking = below.Overbooking
	}
	for _, f := range []struct{ mine, theirs **int }{
		{&p.SlotMinutes, &below.SlotMinutes}, {&p.BufferMinutes, &below.BufferMinutes}, {&p.Capacity, &below.Capacity}, {&p.HorizonDays, &below.HorizonDays},
		{&p.AdvanceMinutes, &below.AdvanceMinutes}, {&p.MaxPerDay, &below.MaxPerDay}, {&p.HoldMinutes, &below.HoldMinutes},
	} {
		if *f.mine == nil {
			*f.mine = *f.theirs
		}
	}
	if p.PatientOverlap == "" {
		p.PatientOverlap = below.PatientOverlap
	}
	return p
}

// readPlan reads a plan from its JSON. The error is Invalid, and names the member below at.
func readPlan(text, at string, tenants bool) (Plan, error) {
	var p Plan
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return p, fault.At(fault.Invalid, at, "is no plan in JSON: a member is not known, or not of its kind").WithCode("structure").Because(err)
	}
	return p, p.check(at, tenants)
}

// check refuses what a plan cannot say.
func (p *Plan) check(at string, tenants bool) error {
	bad := func(name, format string, args ...any) error {
		if at != "" {
			name = at + "." + name
		}
		return fault.At(fault.Invalid, name, format, args...).WithCode("value")
	}
	if p.TimeZone != "" {
		if _, err := time.LoadLocation(p.TimeZone); err != nil || p.TimeZone == "Local" {
			return bad("timeZone", "is no time zone: an IANA name such as Africa/Khartoum is expected")
		}
	}
	for _, list := range []struct {
		name  string
		hours []Hours
	}{{"workingHours", p.WorkingHours}, {"breaks", p.Breaks}} {
		for i, h := range list.hours {
			if _, err := h.window(); err != "" {
				return bad(list.name+"["+strconv.Itoa(i)+"]", "%s", err)
			}
		}
	}
	if p.Closed && len(p.WorkingHours) > 0 {
		return bad("closed", "there are working hours as well")
	}
	for _, f := range []struct {
		name        string
		value       *int
		least, most int
	}{
		{"slotMinutes", p.SlotMinutes, 1, 1440}, {"bufferMinutes", p.BufferMinutes, 0, 1440}, {"capacity", p.Capacity, 1, 1000}, {"horizonDays", p.HorizonDays, 1, 3650},
		{"advanceMinutes", p.AdvanceMinutes, 0, 527040}, {"maxPerDay", p.MaxPerDay, 0, 10000}, {"holdMinutes", p.HoldMinutes, 1, 1440},
	} {
		if f.value != nil && (*f.value < f.least || *f.value > f.most) {
			return bad(f.name, "must be a whole number from %d to %d", f.least, f.most)
		}
	}
	if o := p.Overbooking; o != nil && (o.PerSlot < 0 || o.PerSlot > 1000 || o.PerDay < 0 || o.PerDay > 10000) {
		return bad("overbooking", "perSlot must be from 0 to 1000, perDay from 0 to 10000")
	}
	if !tenants && (p.PatientOverlap != "" || p.HoldMinutes != nil) {
		return bad("patientOverlap", "and holdMinutes are for the whole tenant: they stand in its settings")
	}
	if p.PatientOverlap != "" && p.PatientOverlap != refuseOverlap && p.PatientOverlap != warnOverlap {
		return bad("patientOverlap", "must be refuse or warn")
	}
	return nil
}

// window is hours in the terms of arithmetic: offsets from midnight on the wall.
type window struct {
	days         [7]bool
	from, to     time.Duration
	organization int64 // whose premises; 0: not said
	first, last  string
}

// window reads hours; why says what is wrong with them.
func (h Hours) window() (w window, why string) {
	for _, name := range h.Days {
		at := slices.IndexFunc(weekdays[:], func(d string) bool {
			return strings.EqualFold(d, name) || len(name) == 3 && strings.EqualFold(d[:3], name)
		})
		if at < 0 {
			return w, "days must be names such as sunday"
		}
		w.days[at] = true
	}
	if len(h.Days) == 0 {
		return w, "days is empty"
	}
	var ok bool
	if w.from, ok = wallTime(h.From); !ok || w.from == 24*time.Hour {
		return w, "from must be a time such as 08:00"
	}
	if w.to, ok = wallTime(h.To); !ok {
		return w, "to must be a time such as 17:00"
	}
	if w.to == w.from {
		return w, "from and to are the same"
	}
	if w.to < w.from {
		w.to += 24 * time.Hour
	}
	return w, ""
}

// wallTime reads "08:00" or "08:00:00" as an offset from midnight; 24:00 is a day.
func wallTime(s string) (time.Duration, bool) {
	for _, form := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(form, s); err == nil {
			return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second, true
		}
	}
	return 24 * time.Hour, s == "24:00" || s == "24:00:00"
}

// kept is a whole plan in the terms of arithmetic.
type kept struct {
	Plan
	zone          *time.Location
	hours, breaks []window
	own           bool  // the hours are the actor's own, not the tenant's
	step          int64 // 0: as long as a visit and its pause
	buffer        int64
	capacity      int
}

// minutes is n minutes in microseconds.
func minutes(n int) int64 { return int64(n) * time.Minute.Microseconds() }

// resolve makes a plan whole: what own does not say is the tenant's, and what that does not say is the default.
func resolve(own, tenant Plan) *kept {
	whole := own.over(tenant.over(defaultPlan()))
	k := &kept{Plan: whole, own: own.WorkingHours != nil || own.Closed, buffer: minutes(*whole.BufferMinutes), capacity: *whole.Capacity}
	var err error
	if k.zone, err = time.LoadLocation(whole.TimeZone); err != nil {
		k.zone = flat.DefaultZone() // the zone was known when the plan was written
	}
	if whole.SlotMinutes != nil {
		k.step = minutes(*whole.SlotMinutes)
	}
	k.hours, k.breaks = windows(whole.WorkingHours), windows(whole.Breaks)
	return k
}

func windows(all []Hours) []window {
	var out []window
	for _, h := range all {
		if w, why := h.window(); why == "" {
			out = append(out, w)
		}
	}
	return out
}

// takes reports that the kind of visit is one of the list, or that the list has none.
func takes(list, kinds []string) bool {
	if len(list) == 0 {
		return true
	}
	return slices.ContainsFunc(list, func(one string) bool {
		return slices.ContainsFunc(kinds, func(k string) bool { return strings.EqualFold(one, k) })
	})
}
