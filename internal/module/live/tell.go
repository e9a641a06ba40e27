package live

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
)

// audience is who of the staff an event of a topic is told to, beside those whom it concerns: who has one of the roles, and the permission.
type audience struct {
	permission string
	roles      []string
}

var everywhere = []string{"admin", "hospital_admin", "medical_director"}

// audiences are the roles whose work a topic is. Who operates the system and sees no patient data is in none.
var audiences = map[string]audience{
	event.AppointmentEvents: {"appointments:read", append([]string{"doctor", "nurse", "receptionist"}, everywhere...)},
	event.PatientEvents:     {"patients:read", append([]string{"doctor", "nurse", "receptionist"}, everywhere...)},
	event.FacilityEvents:    {"facilities:read", append([]string{"doctor", "nurse", "receptionist"}, everywhere...)},
	event.LabEvents:         {"labs:read", append([]string{"doctor", "nurse", "lab_technician"}, everywhere...)},
	event.MedicationEvents:  {"medications:read", append([]string{"doctor", "nurse", "pharmacist"}, everywhere...)},
	event.BillingEvents:     {"billing:read", append([]string{"billing_clerk"}, everywhere...)},
}

// encounters are of clinical events those that the wards and the reception work by; the others are told to whom they concern alone.
var encounters = audience{"encounters:read", append([]string{"doctor", "nurse", "receptionist"}, everywhere...)}

func audienceOf(e *event.Event) audience {
	if strings.HasPrefix(e.Kind.Name, "encounter.") {
		return encounters
	}
	return audiences[e.Kind.Topic]
}

// target is who is told an event: the whole of it, or ids and states alone. Who watches is told the whole where they may see what it is about.
type target struct {
	whole map[*client]struct{}
	brief map[*client]struct{}
	watch map[*client]struct{}
}

// targets finds who is told; the mutex is held for reading.
func (s *Service) targets(e *event.Event) target {
	t := target{map[*client]struct{}{}, map[*client]struct{}{}, map[*client]struct{}{}}
	in := func(room string, to map[*client]struct{}) {
		for c := range s.rooms[place{e.Tenant, room}] {
			to[c] = struct{}{}
		}
	}
	whole := func(room string) { in(room, t.whole) }
	if e.Patient != "" {
		in(patientRoom(strings.TrimPrefix(e.Patient, "Patient/")), t.watch)
		whole(selfRoom(e.Patient))
	}
	for _, ref := range e.Staff {
		whole(selfRoom(ref))
	}
	if e.Kind.Name == alertKind {
		in(teamRoom, t.watch)
	}
	if e.Kind.Topic == event.FacilityEvents {
		var in struct {
			FacilityID string `json:"facilityId"`
		}
		if json.Unmarshal(e.Data, &in) == nil && in.FacilityID != "" {
			whole("facility:" + in.FacilityID)
		}
	}
	a := audienceOf(e)
	for _, role := range a.roles {
		for c := range s.rooms[place{e.Tenant, "role:" + role}] {
			if _, in := t.whole[c]; !in && c.caller.Load().Permits(a.permission) {
				t.brief[c] = struct{}{}
			}
		}
	}
	for c := range t.watch {
		if _, told := t.whole[c]; told {
			delete(t.watch, c)
		}
	}
	return t
}

// seenWithin is how long it may take to find out whether those who watch may see what an event is about.
const seenWithin = 5 * time.Second

// shown moves those of the clients who watch and may see what the event is about to those who are told the whole of it; only: it is asked of this one alone. That
// somebody may see a patient does not say that they may see the patient's vital signs or diagnoses, so the record is asked; the mutex is not held.
func (s *Service) shown(e *event.Event, t *target, only *client) {
	typ, id, ok := strings.Cut(e.Subject, "/")
	ctx, cancel := context.WithTimeout(context.Background(), seenWithin)
	defer cancel()
	for c := range t.watch {
		if !ok || only != nil && c != only {
			continue
		}
		if caller := c.caller.Load(); caller.Extent(access.Read, typ).IsNone() {
			continue
		}
		_, err := s.Records.Store.Current(c.context(ctx), typ, id) // a tombstone is shown to those who might see what was deleted
		switch {
		case err == nil:
			t.whole[c] = struct{}{}
			delete(t.brief, c)
		case !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Gone) && !fault.Is(err, fault.Forbidden):
			s.Log.Warn("live: it cannot be found out who may see an event", "event", e.Key(), "error", err.Error())
		}
	}
}

// lastChange is what of a change was told last.
type lastChange struct {
	id      int64
	subject string
	updated bool // that something was updated
}

// told is told of each event of the hub, one at a time and in order.
func (s *Service) told(e event.Event) {
	s.order.Lock()
	defer s.order.Unlock()
	if e.Kind.Name == vitalsKind {
		s.hold(e)
		return
	}
	s.release(e.Tenant)
	last := s.last[e.Tenant]
	s.tell(&e, last.names(&e), e.Data)
	s.last[e.Tenant] = last
}

// names are the names that clients know an event by: "appointment.checked_in" is "appointment:checked-in". Some clients listen for one name alone for whatever becomes of
// an appointment; a change is told by it once.
func (l *lastChange) names(e *event.Event) []string {
	names := plainNames(e)
	thing, act, _ := strings.Cut(e.Kind.Name, ".")
	if thing != "appointment" || act == "created" || act == "deleted" {
		return names
	}
	again := l.id == e.ID && l.subject == e.Subject && l.updated
	*l = lastChange{e.ID, e.Subject, true}
	const updated = "appointment:updated"
	switch {
	case again && act == "updated":
		return nil
	case !again && act != "updated":
		return append(names, updated)
	}
	return names
}

func plainNames(e *event.Event) []string {
	switch e.Kind.Name {
	case alertKind:
		return []string{"clinical:alert", "clinical-alert", "alert:critical"}
	case "appointment.created":
		return []string{"appointment:created", "appointment:new"}
	}
	return []string{strings.ReplaceAll(strings.Replace(e.Kind.Name, ".", ":", 1), "_", "-")}
}

// tell sends an event under its names; the order is held.
func (s *Service) tell(e *event.Event, names []string, data []byte) {
	if len(names) == 0 {
		return
	}
	s.mu.RLock()
	t := s.targets(e)
	s.mu.RUnlock()
	s.shown(e, &t, nil)
	if len(t.whole) == 0 && len(t.brief) == 0 {
		return
	}
	whole, brief := payloads(e, data)
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, name := range names {
		full, short := &message{name: name, data: whole, id: idOf(e)}, &message{name: name, data: brief, id: idOf(e)}
		s.deliver(t.whole, full)
		s.deliver(t.brief, short)
	}
}

// deliver tells those of the clients that are connected still; the mutex is held for reading.
func (s *Service) deliver(to map[*client]struct{}, m *message) {
	for c := range to {
		if _, in := s.clients[c]; in {
			c.deliver(m)
		}
	}
}

func idOf(e *event.Event) string { return fmt.Sprintf("%d-%d", e.ID, e.Part) }

// payloads are an event's data as clients get it: with the event's own id, its kind and time; and the brief form, which has ids, states and times of it alone.
func payloads(e *event.Event, data []byte) (whole, brief []byte) {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(data, &in); err != nil || in == nil {
		in = map[string]json.RawMessage{}
	}
	say := func(m map[string]json.RawMessage, name, v string) {
		if _, there := m[name]; !there {
			m[name] = fhir.AppendQuoted(nil, v)
		}
	}
	short := map[string]json.RawMessage{}
	for name, v := range in {
		if briefly(name, v) {
			short[name] = v
		}
	}
	for _, m := range []map[string]json.RawMessage{in, short} {
		say(m, "eventId", e.Key())
		say(m, "kind", e.Kind.Name)
		say(m, "timestamp", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	whole, _ = json.Marshal(in) // raw JSON can always be said
	brief, _ = json.Marshal(short)
	return whole, brief
}

// states are the members that everybody whose work it is may be told, beside ids.
var states = []string{"id", "status", "previousStatus", "oldStatus", "newStatus", "type", "severity", "priority", "timestamp", "appointmentDate", "appointmentTime", "start", "end",
	"startTime", "endTime", "duration", "date", "time", "capacity", "occupied", "available", "occupiedBeds", "availableBeds", "totalBeds", "version"}

// briefly admits a member to the brief form: ids, states and times, no objects.
func briefly(name string, v json.RawMessage) bool {
	if len(v) == 0 || v[0] == '{' || v[0] == '[' {
		return false
	}
	return strings.HasSuffix(name, "Id") || slices.Contains(states, name)
}

// together is how long readings that were taken at one time are waited for.
const together = 30 * time.Millisecond

// holding is readings of one patient and time, which come one by one though they were taken together.
type holding struct {
	e     event.Event
	data  VitalSigns
	ids   []string
	timer *time.Timer
}

// hold keeps a reading for a moment, with those that belong to it; the order is held.
func (s *Service) hold(e event.Event) {
	var v VitalSigns
	if err := json.Unmarshal(e.Data, &v); err != nil {
		s.Log.Error("live: vital signs cannot be read", "event", e.Key(), "error", err.Error())
		return
	}
	if h := s.held[e.Tenant]; h != nil {
		if h.e.Patient == e.Patient && h.data.Timestamp == v.Timestamp && h.data.EncounterID == v.EncounterID {
			h.e = e
			h.data.merge(&v)
			h.ids = append(h.ids, v.ObservationID)
			return
		}
		s.release(e.Tenant)
	}
	h := &holding{e: e, data: v, ids: []string{v.ObservationID}}
	h.timer = time.AfterFunc(together, func() {
		s.order.Lock()
		defer s.order.Unlock()
		if s.held[e.Tenant] == h {
			s.release(e.Tenant)
		}
	})
	s.held[e.Tenant] = h
}

// release tells what is held; the order is held.
func (s *Service) release(tenant int32) {
	h := s.held[tenant]
	if h == nil {
		return
	}
	delete(s.held, tenant)
	h.timer.Stop()
	s.tellVitals(&h.e, &h.data, h.ids)
}

// merge takes over what the other reading measures.
func (v *VitalSigns) merge(o *VitalSigns) {
	for _, f := range []struct{ to, from **float64 }{{&v.HeartRate, &o.HeartRate}, {&v.Systolic, &o.Systolic}, {&v.Diastolic, &o.Diastolic}, {&v.SpO2, &o.SpO2},
		{&v.Temperature, &o.Temperature}, {&v.RespiratoryRate, &o.RespiratoryRate}, {&v.Weight, &o.Weight}, {&v.Height, &o.Height}} {
		if *f.from != nil {
			*f.to = *f.from
		}
	}
}

// reading is vital signs as clients show them: blood pressure in one text, and the temperature in degrees Fahrenheit, which is what their limits are in.
type reading struct {
	VitalSigns
	BloodPressure  string   `json:"bloodPressure,omitempty"` // "120/80"
	Fahrenheit     *float64 `json:"temperature,omitempty"`
	ObservationIDs []string `json:"observationIds"`
}

func readingOf(v *VitalSigns, ids []string) reading {
	r := reading{VitalSigns: *v, ObservationIDs: ids}
	if v.Systolic != nil && v.Diastolic != nil {
		whole := func(x float64) string { return strconv.FormatFloat(math.Round(x), 'f', 0, 64) }
		r.BloodPressure = whole(*v.Systolic) + "/" + whole(*v.Diastolic)
	}
	if v.Temperature != nil {
		f := math.Round((*v.Temperature*1.8+32)*10) / 10
		r.Fahrenheit = &f
	}
	return r
}

func vitalsNames(v *VitalSigns) []string {
	return []string{"vital:signs:update", "vitals:update", "patient:" + v.PatientID + ":vitals"}
}

func (s *Service) tellVitals(e *event.Event, v *VitalSigns, ids []string) {
	data, _ := json.Marshal(readingOf(v, ids)) // texts and finite numbers
	s.tell(e, vitalsNames(v), data)
}

// system is the program itself in a tenant.
func system(ctx context.Context, tenant int32) context.Context {
	return access.With(ctx, access.System(tenant))
}
