package scheduling

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// slotsJSON is the free times of a day.
type slotsJSON struct {
	ProviderID string     `json:"providerId"`
	Date       string     `json:"date,omitempty"`
	DateFrom   string     `json:"dateFrom,omitempty"`
	DateTo     string     `json:"dateTo,omitempty"`
	Duration   int        `json:"duration" doc:"minutes"`
	TimeZone   string     `json:"timeZone"`
	Slots      []string   `json:"availableSlots" doc:"HH:MM:SS on the wall of the provider's zone"`
	Preferred  []string   `json:"preferredSlots,omitempty" doc:"those that the patient likes"`
	Total      int        `json:"totalSlots"`
	Days       []slotsDay `json:"days,omitempty"`
}

type slotsDay struct {
	Date      string   `json:"date"`
	Slots     []string `json:"availableSlots"`
	Preferred []string `json:"preferredSlots,omitempty"`
	Total     int      `json:"totalSlots"`
}

// planJSON is how a calendar is kept.
type planJSON struct {
	ProviderID string `json:"providerId,omitempty"`
	Source     string `json:"source" doc:"whose hours these are: provider, roles (PractitionerRole.availableTime), default (the tenant's)"`
	Plan       Plan   `json:"plan" doc:"what is said of this calendar itself"`
	Effective  Plan   `json:"effective" doc:"what holds, with what the tenant and the program say"`
	Version    int64  `json:"version,omitempty"`
}

// providerJSON is a provider's schedule.
type providerJSON struct {
	ProviderID   string            `json:"providerId"`
	Appointments []appointmentJSON `json:"appointments"`
	Schedule     planJSON          `json:"schedule"`
	TimeOff      []Absence         `json:"timeOff"`
}

type absenceList struct {
	TimeOff  []Absence `json:"timeOff,omitempty"`
	Holidays []Absence `json:"holidays,omitempty"`
}

// scheduleRoutes are the lines of the product API about calendars.
func (s *Service) scheduleRoutes() []api.Route {
	read, update := api.Permission("appointments:read"), api.Permission("scheduling:update")
	route := func(method, path string, need api.Need, summary string, in, out any, serve func(http.ResponseWriter, *http.Request) error, params ...api.Param) api.Route {
		return api.Route{Method: method, Path: path, Need: need, Summary: summary, In: in, Out: out, Params: params, Serve: serve}
	}
	slots := []api.Param{{Name: "providerId", Required: true}, {Name: "date", Type: api.Date}, {Name: "dateFrom", Type: api.Date}, {Name: "dateTo", Type: api.Date, Help: "31 days from dateFrom at most"},
		{Name: "duration", Type: api.Whole, Least: 1, Most: longest, Help: "minutes; as long as the provider's visits take where nothing is said"}, {Name: "appointmentType"},
		{Name: "patientId", Help: "tells which times the patient likes"}}
	days := []api.Param{{Name: "dateFrom", Type: api.Date}, {Name: "dateTo", Type: api.Date}}
	const provider, holidays = "/api/v1/schedules/provider/{id}", "/api/v1/schedules/holidays"
	return []api.Route{
		route("GET", "/api/v1/schedules/available-slots", read, "The times at which a provider is free", nil, slotsJSON{}, s.serveSlots, slots...),
		route("GET", "/api/v1/appointments/availability", read, "The times at which a provider is free", nil, slotsJSON{}, s.serveSlots, slots...),
		route("GET", provider, read, "A provider's appointments, and how the calendar is kept", nil, providerJSON{}, s.serveProvider, days...),
		route("PUT", provider, update, "Say how a provider's calendar is kept", Plan{}, planJSON{}, s.servePlan),
		route("DELETE", provider, update, "Take back how a provider's calendar is kept: the tenant's way holds again", nil, planJSON{}, s.serveDropPlan),
		route("GET", provider+"/time-off", read, "A provider's time off", nil, absenceList{}, s.serveTimeOff),
		route("POST", provider+"/time-off", update, "Enter time off", Absence{}, Absence{}, s.serveNewTimeOff),
		route("PUT", provider+"/time-off/{entry}", update, "Change time off", Absence{}, Absence{}, s.serveEditTimeOff),
		route("DELETE", provider+"/time-off/{entry}", update, "Take time off back", nil, Absence{}, s.serveDropTimeOff),
		route("GET", holidays, read, "Holidays", nil, absenceList{}, s.serveHolidays),
		route("POST", holidays, update, "Enter a holiday", Absence{}, Absence{}, s.serveNewHoliday),
		route("PUT", holidays+"/{entry}", update, "Change a holiday", Absence{}, Absence{}, s.serveEditHoliday),
		route("DELETE", holidays+"/{entry}", update, "Take a holiday back", nil, Absence{}, s.serveDropHoliday),
		route("GET", "/api/v1/schedules/settings", read, "What holds for calendars that do not say otherwise", nil, planJSON{}, s.serveSettings),
		route("PUT", "/api/v1/schedules/settings", api.Permission("settings:update"), "Say what holds for calendars that do not say otherwise", Plan{}, planJSON{}, s.serveSetSettings),
		route("GET", "/api/v1/schedules/patient/{id}/preferences", read, "What a patient likes", nil, Preference{}, s.servePreference),
		route("PUT", "/api/v1/schedules/patient/{id}/preferences", api.Permission("appointments:update"), "Say what a patient likes", Preference{}, Preference{}, s.serveSetPreference),
	}
}

// maxDays is how many days one question for free times may be about.
const maxDays = 31

// clockTimes are instants as times on the wall; one that the clocks show twice is told once.
func clockTimes(starts []int64, zone *time.Location) []string {
	out := make([]string, 0, len(starts))
	for _, at := range starts {
		t := time.UnixMicro(at).In(zone).Format(time.TimeOnly)
		if n := len(out); n == 0 || out[n-1] < t {
			out = append(out, t)
		}
	}
	return out
}

func (s *Service) serveSlots(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), r.URL.Query()
	first, last, one, err := daysOf(v)
	if err != nil {
		return err
	}
	provider, err := s.refer(ctx, "providerId", "Practitioner", v.Get("providerId"))
	if err != nil {
		return err
	}
	minutesAsked, _ := strconv.Atoi(v.Get("duration")) // the frame has held it to a number
	likes, err := s.likesOf(ctx, v.Get("patientId"))
	if err != nil {
		return err
	}
	days, asked, c, err := s.free(ctx, actor{"Practitioner", provider.Num}, first, last, visit{length: minutes(minutesAsked), kinds: kindsOfType(v.Get("appointmentType"))})
	if err != nil {
		return err
	}
	out := slotsJSON{ProviderID: provider.Key(), Duration: int(asked.length / minutes(1)), TimeZone: c.zone.String(), Slots: []string{}}
	if !one {
		out.DateFrom, out.DateTo = first.String(), last.String()
	} else {
		out.Date = first.String()
	}
	for _, d := range days {
		shown := slotsDay{Date: d.date.String(), Slots: clockTimes(d.starts, c.zone)}
		shown.Total = len(shown.Slots)
		if likes != nil {
			var liked []int64
			for _, at := range d.starts {
				if likes.likes(at, c.zone) {
					liked = append(liked, at)
				}
			}
			shown.Preferred = clockTimes(liked, c.zone)
		}
		out.Total += shown.Total
		if one {
			out.Slots, out.Preferred = shown.Slots, shown.Preferred
		} else {
			out.Days = append(out.Days, shown)
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// daysOf are the days that a question is about; one: it named a single date.
func daysOf(v url.Values) (first, last interval.Date, one bool, err error) {
	date, from, to := v.Get("date"), v.Get("dateFrom"), v.Get("dateTo")
	switch {
	case date != "" && (from != "" || to != ""):
		return first, last, false, fault.At(fault.Invalid, "date", "stands alone: dateFrom and dateTo name a range").WithCode("value")
	case date != "":
		first, _ = interval.ParseDate(date)
		return first, first, true, nil
	case from == "" || to == "":
		return first, last, false, fault.At(fault.Invalid, "date", "is missing: a date, or dateFrom and dateTo").WithCode("required")
	}
	first, _ = interval.ParseDate(from)
	last, _ = interval.ParseDate(to)
	if last.Before(first) || first.Days(last) >= maxDays {
		return first, last, false, fault.At(fault.Invalid, "dateTo", "must be from dateFrom to %d days later", maxDays-1).WithCode("value")
	}
	return first, last, false, nil
}

// likesOf is what a patient likes; nil where none is named.
func (s *Service) likesOf(ctx context.Context, id string) (*Preference, error) {
	if id == "" {
		return nil, nil
	}
	p, err := s.refer(ctx, "patientId", "Patient", id)
	if err != nil {
		return nil, err
	}
	likes, _, err := s.preference(ctx, p.Num)
	return &likes, err
}

// provider reads the practitioner that a path names.
func (s *Service) provider(r *http.Request) (*flat.Record, error) {
	return s.Records.Read(r.Context(), "Practitioner", r.PathValue("id"))
}

// effective is how an actor's calendar is kept, as the API tells it.
func (s *Service) effective(ctx context.Context, a actor) (planJSON, error) {
	var out planJSON
	c, err := s.calendarOf(ctx, a, 0, 0)
	if err != nil {
		return out, err
	}
	out.Source, out.Effective = c.source, c.Plan
	if c.source == sourceRoles { // told as hours of days, as a plan would
		out.Effective.WorkingHours, out.Effective.Breaks = hoursOfWindows(c.hours), hoursOfWindows(c.breaks)
	}
	tenant := access.From(ctx).Tenant
	err = s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		all, err := s.books.entries(ctx, q, tenant, a)
		if e := all[a]; err == nil && e != nil && e.plan != "" {
			out.Plan, err = readPlan(e.plan, "", a == nobody)
		}
		return err
	})
	return out, err
}

// hoursOfWindows are windows as hours of days.
func hoursOfWindows(all []window) []Hours {
	out := make([]Hours, 0, len(all))
	clock := func(d time.Duration) string {
		if d == 24*time.Hour {
			return "24:00"
		}
		return time.Time{}.Add(d % (24 * time.Hour)).Format("15:04")
	}
	for _, w := range all {
		h := Hours{From: clock(w.from), To: clock(w.to)}
		for i, on := range w.days {
			if on {
				h.Days = append(h.Days, weekdays[i])
			}
		}
		out = append(out, h)
	}
	return out
}

func (s *Service) serveProvider(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), r.URL.Query()
	provider, err := s.provider(r)
	if err != nil {
		return err
	}
	out := providerJSON{ProviderID: provider.Key()}
	a := actor{"Practitioner", provider.Num}
	if out.Schedule, err = s.effective(ctx, a); err != nil {
		return err
	}
	out.Schedule.ProviderID = provider.Key()
	if out.TimeOff, err = s.absencesOf(ctx, a); err != nil {
		return err
	}
	zone, err := time.LoadLocation(out.Schedule.Effective.TimeZone)
	if err != nil {
		zone = flat.DefaultZone()
	}
	q := flat.Query{Type: "Appointment", Sort: "date", Limit: api.MaxLimit}
	if v.Get("dateFrom") == "" && v.Get("dateTo") == "" { // the weeks around today, where nothing is said
		now := s.Clock().In(zone)
		v = url.Values{"dateFrom": {now.AddDate(0, 0, -7).Format(time.DateOnly)}, "dateTo": {now.AddDate(0, 0, maxDays).Format(time.DateOnly)}}
	}
	if err := filterDays(&q, v, zone); err != nil {
		return err
	}
	q.With("status", "booked,arrived,checked-in,fulfilled")
	refs, err := s.refsOfProvider(ctx, provider.Key())
	if err != nil {
		return err
	}
	q.With("actor", strings.Join(refs, ","))
	var found []*flat.Record
	err = s.Records.Each(ctx, q, func(one *flat.Record) error {
		if found = append(found, one); len(found) > maxShown {
			return fault.New(fault.TooCostly, "these are more than %d appointments: name fewer days", maxShown)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if out.Appointments, err = s.show(ctx, found, false); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// maxShown is how many appointments a provider's schedule shows at most.
const maxShown = 2000

func (s *Service) servePlan(w http.ResponseWriter, r *http.Request) error {
	version, err := api.Version(r, nil)
	if err != nil {
		return err
	}
	var p Plan
	if err := api.Decode(r, &p); err != nil {
		return err
	}
	provider, err := s.provider(r)
	if err != nil {
		return err
	}
	made, err := s.SetPlan(r.Context(), provider, version, p)
	if err != nil {
		return err
	}
	return s.tellPlan(w, r, provider, made.VID)
}

// tellPlan answers with how a provider's calendar is kept.
func (s *Service) tellPlan(w http.ResponseWriter, r *http.Request, provider *flat.Record, version int64) error {
	out, err := s.effective(r.Context(), actor{"Practitioner", provider.Num})
	if err != nil {
		return err
	}
	out.ProviderID, out.Version = provider.Key(), version
	if version > 0 {
		api.SetVersion(w, version)
	}
	return api.AnswerOne(w, r, http.StatusOK, "schedule", out)
}

func (s *Service) serveDropPlan(w http.ResponseWriter, r *http.Request) error {
	provider, err := s.provider(r)
	if err != nil {
		return err
	}
	if err := s.DropPlan(r.Context(), provider); err != nil {
		return err
	}
	return s.tellPlan(w, r, provider, 0)
}

// providerOf is the actor that a path's time off is of.
func (s *Service) providerOf(r *http.Request) (actor, error) {
	p, err := s.provider(r)
	if err != nil {
		return nobody, err
	}
	return actor{"Practitioner", p.Num}, nil
}

func (s *Service) serveTimeOff(w http.ResponseWriter, r *http.Request) error {
	a, err := s.providerOf(r)
	if err != nil {
		return err
	}
	all, err := s.absencesOf(r.Context(), a)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, struct {
		TimeOff []Absence `json:"timeOff"`
	}{all})
}

func (s *Service) serveNewTimeOff(w http.ResponseWriter, r *http.Request) error {
	return s.enterAbsence(w, r, "timeOff", s.providerOf, "")
}

func (s *Service) serveEditTimeOff(w http.ResponseWriter, r *http.Request) error {
	return s.enterAbsence(w, r, "timeOff", s.providerOf, r.PathValue("entry"))
}

func (s *Service) serveDropTimeOff(w http.ResponseWriter, r *http.Request) error {
	return s.removeAbsence(w, r, s.providerOf)
}

// everybody is the actor that holidays are of: nobody's alone.
func everybody(*http.Request) (actor, error) { return nobody, nil }

func (s *Service) serveHolidays(w http.ResponseWriter, r *http.Request) error {
	all, err := s.absencesOf(r.Context(), nobody)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, struct {
		Holidays []Absence `json:"holidays"`
	}{all})
}

func (s *Service) serveNewHoliday(w http.ResponseWriter, r *http.Request) error {
	return s.enterAbsence(w, r, "holiday", everybody, "")
}

func (s *Service) serveEditHoliday(w http.ResponseWriter, r *http.Request) error {
	return s.enterAbsence(w, r, "holiday", everybody, r.PathValue("entry"))
}

func (s *Service) serveDropHoliday(w http.ResponseWriter, r *http.Request) error {
	return s.removeAbsence(w, r, everybody)
}

// enterAbsence enters an absence, or changes the entry; the answer names the appointments that are in its way.
func (s *Service) enterAbsence(w http.ResponseWriter, r *http.Request, name string, whose func(*http.Request) (actor, error), entry string) error {
	ctx := r.Context()
	var in Absence
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	a, err := whose(r)
	if err != nil {
		return err
	}
	id, status := int64(0), http.StatusOK
	if entry == "" {
		id, status = s.Ledger.Next(), http.StatusCreated
	} else {
		was, err := s.absenceOf(ctx, a, entry)
		if err != nil {
			return err
		}
		id = was.id
	}
	x, err := s.absenceFrom(ctx, id, a, in)
	if err != nil {
		return err
	}
	if err := s.putAbsence(ctx, x); err != nil {
		return err
	}
	c, err := s.calendarOf(ctx, a, 0, 0)
	if err != nil {
		return err
	}
	out, err := s.showAbsence(ctx, x, c.zone)
	if err != nil {
		return err
	}
	if a != nobody {
		if out.Affected, err = s.affected(ctx, x); err != nil {
			return err
		}
	}
	return api.AnswerOne(w, r, status, name, out)
}

func (s *Service) removeAbsence(w http.ResponseWriter, r *http.Request, whose func(*http.Request) (actor, error)) error {
	a, err := whose(r)
	if err != nil {
		return err
	}
	if err := s.dropAbsence(r.Context(), a, r.PathValue("entry")); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, struct {
		ID string `json:"id"`
	}{r.PathValue("entry")})
}

func (s *Service) serveSettings(w http.ResponseWriter, r *http.Request) error {
	out, err := s.effective(r.Context(), nobody)
	if err != nil {
		return err
	}
	return api.AnswerOne(w, r, http.StatusOK, "settings", out)
}

func (s *Service) serveSetSettings(w http.ResponseWriter, r *http.Request) error {
	var p Plan
	if err := api.Decode(r, &p); err != nil {
		return err
	}
	if err := s.SetTenantPlan(r.Context(), p); err != nil {
		return err
	}
	return s.serveSettings(w, r)
}

func (s *Service) servePreference(w http.ResponseWriter, r *http.Request) error {
	patient, err := s.Records.Read(r.Context(), "Patient", r.PathValue("id"))
	if err != nil {
		return err
	}
	p, _, err := s.preference(r.Context(), patient.Num)
	if err != nil {
		return err
	}
	return api.AnswerOne(w, r, http.StatusOK, "preferences", p)
}

func (s *Service) serveSetPreference(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	var p Preference
	if err := api.Decode(r, &p); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	patient, err := s.Records.Read(ctx, "Patient", r.PathValue("id"))
	if err != nil {
		return err
	}
	if p.ProviderID != "" {
		provider, err := s.refer(ctx, "preferredProviderId", "Practitioner", p.ProviderID)
		if err != nil {
			return err
		}
		p.ProviderID = provider.Key()
	}
	if err := s.setPreference(ctx, patient.Num, p); err != nil {
		return err
	}
	return api.AnswerOne(w, r, http.StatusOK, "preferences", p)
}

// resourceJSON is a room, a facility's place or a device.
type resourceJSON struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Type   string `json:"type" doc:"room, equipment or facility"`
	Status string `json:"status" doc:"available, occupied (by an appointment that is on now), maintenance or unavailable"`
}

// resourceRoutes are the lines of the product API about rooms and devices.
func (s *Service) resourceRoutes() []api.Route {
	read := api.Permission("appointments:read")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/resources", Need: read, Summary: "Rooms, devices and places that can be booked", Out: struct {
			Resources []resourceJSON `json:"resources"`
		}{}, Params: []api.Param{{Name: "type", Enum: []string{"room", "equipment", "facility"}}}, Serve: s.serveResources},
		{Method: "GET", Path: "/api/v1/resources/{id}/availability", Need: read, Summary: "Whether a room or a device is free at a time", Out: availabilityJSON{}, Serve: s.serveAvailability,
			Params: []api.Param{{Name: "date", Type: api.Date, Required: true}, {Name: "timeFrom", Required: true}, {Name: "timeTo", Required: true}}},
	}
}

// kinds of Location that are rooms, and that are facilities.
var resourceKinds = map[string][]string{"room": {"ro"}, "facility": {"si", "bu"}}

func (s *Service) serveResources(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	asked := r.URL.Query().Get("type")
	out := []resourceJSON{}
	for _, kind := range []string{"room", "facility"} {
		if asked != "" && asked != kind {
			continue
		}
		places, err := s.placesOf(ctx, resourceKinds[kind])
		if err != nil {
			return err
		}
		for _, one := range places {
			out = append(out, resourceJSON{ID: one.Key(), Name: one.Res.Str("name"), Type: kind, Status: placeStatus(one.Res)})
		}
	}
	if asked == "" || asked == "equipment" {
		err := s.Records.Each(ctx, flat.Query{Type: "Device"}, func(one *flat.Record) error {
			out = append(out, resourceJSON{ID: one.Key(), Name: deviceName(one.Res), Type: "equipment", Status: deviceStatus(one.Res)})
			return nil
		})
		if err != nil && !fault.Is(err, fault.Forbidden) {
			return err
		}
	}
	if err := s.markOccupied(ctx, out); err != nil {
		return err
	}
	sortResources(out)
	return api.List(w, r, struct {
		Resources []resourceJSON `json:"resources"`
	}{out}, api.Page{Page: 1, Limit: max(len(out), 1), Total: len(out)})
}

// availabilityJSON says whether a resource is free.
type availabilityJSON struct {
	ResourceID string `json:"resourceId"`
	Date       string `json:"date"`
	TimeFrom   string `json:"timeFrom"`
	TimeTo     string `json:"timeTo"`
	Available  bool   `json:"available"`
}

// resourceOf reads a room or a device by an id of the API.
func (s *Service) resourceOf(ctx context.Context, id string) (*flat.Record, error) {
	one, err := s.Records.Read(ctx, "Location", id)
	if fault.Is(err, fault.NotFound) {
		one, err = s.Records.Read(ctx, "Device", id)
	}
	return one, err
}

func (s *Service) serveAvailability(w http.ResponseWriter, r *http.Request) error {
	ctx, v := r.Context(), r.URL.Query()
	one, err := s.resourceOf(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	d, _ := interval.ParseDate(v.Get("date"))
	from, ok1 := wallTime(v.Get("timeFrom"))
	to, ok2 := wallTime(v.Get("timeTo"))
	if !ok1 || !ok2 || to <= from {
		return fault.At(fault.Invalid, "timeTo", "timeFrom and timeTo must be times such as 08:00, the one before the other").WithCode("value")
	}
	noon := time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC).UnixMicro()
	span := 38 * time.Hour.Microseconds()
	c, err := s.calendarOf(ctx, actor{one.Type, one.Num}, noon-span, noon+span)
	if err != nil {
		return err
	}
	at := interval.Wall(d, from, to, c.zone)
	free := placeStatus(one.Res) == statusAvailable && one.Type == "Location" || one.Type == "Device" && deviceStatus(one.Res) == statusAvailable
	busy := interval.Full(spansOf(c.claims), c.capacity).Union(interval.Of(c.away...))
	out := availabilityJSON{one.Key(), d.String(), v.Get("timeFrom"), v.Get("timeTo"), free && len(at) > 0 && len(busy.Meet(at)) == 0}
	return api.Answer(w, r, http.StatusOK, out)
}

// The statuses of resources.
const (
	statusAvailable   = "available"
	statusOccupied    = "occupied"
	statusMaintenance = "maintenance"
	statusUnavailable = "unavailable"
)

// placeStatus is a Location's status in the product's words, whatever is booked.
func placeStatus(r *fhir.Resource) string {
	operational := ""
	if n := r.Get("operationalStatus"); n != nil {
		operational = n.Str("code")
	}
	switch {
	case r.Str("status") == "inactive":
		return statusUnavailable
	case r.Str("status") == "suspended" || operational == "H" || operational == "K":
		return statusMaintenance
	case operational == "C":
		return statusUnavailable
	case operational == "O":
		return statusOccupied
	}
	return statusAvailable
}

// deviceStatus is a Device's status in the product's words.
func deviceStatus(r *fhir.Resource) string {
	switch r.Str("status") {
	case "inactive", "entered-in-error":
		return statusUnavailable
	}
	return statusAvailable
}

func deviceName(r *fhir.Resource) string {
	for _, n := range flat.Items(r.Get("deviceName")) {
		if name := n.Str("name"); name != "" {
			return name
		}
	}
	return flat.Text(r.Get("type"))
}
