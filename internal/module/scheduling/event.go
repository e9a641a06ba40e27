package scheduling

import (
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// The data of the module's events. Dates and times are as the appointment says them, on the wall of the offset that it is written with.
type (
	appointmentFact struct {
		AppointmentID string `json:"appointmentId"`
		PatientID     string `json:"patientId"`
		ProviderID    string `json:"providerId"`
		Date          string `json:"date"`
		Time          string `json:"time"`
		Start         string `json:"start"`
		Duration      int    `json:"duration"`
		Status        string `json:"status"`
	}
	updatedFact struct {
		appointmentFact
		Changes []string `json:"changes"`
	}
	cancelledFact struct {
		appointmentFact
		Reason string `json:"reason"` // a code: what was written in words stays in the record
	}
	arrivedFact struct {
		AppointmentID string `json:"appointmentId"`
		PatientID     string `json:"patientId"`
		ProviderID    string `json:"providerId"`
		Time          string `json:"time"` // when it was said
	}
	scheduleFact struct {
		ScheduleID string `json:"scheduleId"`
		ProviderID string `json:"providerId"`
	}
)

// Source says what the changes of the module's types mean.
func Source() event.Source {
	kind := func(name, summary string, data any) event.Kind {
		return event.Kind{Name: name, Topic: event.AppointmentEvents, Version: 1, Summary: summary, Data: data}
	}
	return event.Source{
		Kinds: []event.Kind{
			kind("appointment.created", "An appointment was made, held or asked for", appointmentFact{}),
			kind("appointment.updated", "An appointment was changed or moved", updatedFact{}),
			kind("appointment.confirmed", "Nobody's answer is outstanding any more", appointmentFact{}),
			kind("appointment.cancelled", "An appointment was cancelled, deleted, or said to be a mistake", cancelledFact{}),
			kind("appointment.completed", "A visit is over", appointmentFact{}),
			kind("appointment.noshow", "The patient did not come", appointmentFact{}),
			kind("patient.checked_in", "The patient is there", arrivedFact{}),
			kind("schedule.updated", "How a calendar is kept was changed", scheduleFact{}),
		},
		Types: []string{"Appointment", "Schedule"},
		Tell:  tell,
	}
}

// tell says what a change means.
func tell(c event.Change) []event.Fact {
	if c.Type == "Schedule" {
		return tellSchedule(c)
	}
	now := c.New
	if now == nil {
		now = c.Old
	}
	if now == nil {
		return nil
	}
	data, patient, staff := factOf(c, now)
	fact := func(kind string, data any) []event.Fact {
		return []event.Fact{{Kind: kind, Patient: patient, Staff: staff, Data: data}}
	}
	was, is := statusBefore(c.Old), data.Status
	switch {
	case c.New == nil && (was == cancelled || was == mistaken):
		return nil
	case c.New == nil:
		return fact("appointment.cancelled", cancelledFact{data, "deleted"})
	case c.Old == nil && is == mistaken:
		return nil
	case c.Old == nil:
		return fact("appointment.created", data)
	case was == is:
		if changes := changesOf(c.Old, c.New); len(changes) > 0 {
			return fact("appointment.updated", updatedFact{data, changes})
		}
		return nil
	case is == cancelled:
		return fact("appointment.cancelled", cancelledFact{data, flat.Code(c.New.Get("cancelationReason"), "")})
	case is == mistaken:
		return fact("appointment.cancelled", cancelledFact{data, mistaken})
	case is == confirmed:
		return fact("appointment.confirmed", data)
	case is == completed:
		return fact("appointment.completed", data)
	case is == noShow:
		return fact("appointment.noshow", data)
	case is == checkedIn, is == inProgress && was != checkedIn:
		return fact("patient.checked_in", arrivedFact{data.AppointmentID, data.PatientID, data.ProviderID, c.At.UTC().Format(time.RFC3339)})
	}
	return fact("appointment.updated", updatedFact{data, append([]string{"status"}, changesOf(c.Old, c.New)...)})
}

func statusBefore(r *fhir.Resource) string {
	if r == nil {
		return ""
	}
	return statusOf(r)
}

// factOf is what every fact about an appointment says, whom it is about, and whom of the staff it concerns.
func factOf(c event.Change, r *fhir.Resource) (data appointmentFact, patient string, staff []string) {
	provider := ""
	for _, p := range flat.Items(r.Get("participant")) {
		ref := flat.RefOf(p.Get("actor"))
		switch {
		case strings.Contains(ref, "Practitioner/") || strings.Contains(ref, "PractitionerRole/"):
			staff = append(staff, ref)
			if provider == "" || strings.Contains(provider, "PractitionerRole/") && !strings.Contains(ref, "PractitionerRole/") {
				provider = ref
			}
		case strings.Contains(ref, "Patient/") && patient == "":
			patient = ref
		}
	}
	start := r.Str("start")
	data = appointmentFact{AppointmentID: c.Self(), Start: start, Status: statusOf(r)}
	if patient != "" {
		data.PatientID = c.Key(patient)
	}
	if provider != "" {
		data.ProviderID = c.Key(provider)
	}
	if t, err := time.Parse(time.RFC3339Nano, start); err == nil {
		data.Date, data.Time = t.Format(time.DateOnly), t.Format(time.TimeOnly)
	}
	if a := readAppointment(r); a.timed {
		data.Duration = int(a.at.Len() / minutes(1))
	}
	return data, patient, staff
}

// changesOf names what differs between two versions, in the words of the product API.
func changesOf(old, now *fhir.Resource) []string {
	var out []string
	a, b := readAppointment(old), readAppointment(now)
	if a.at.From != b.at.From {
		out = append(out, "appointmentDate", "appointmentTime")
	}
	if a.at.Len() != b.at.Len() {
		out = append(out, "duration")
	}
	for _, f := range []struct{ name, prefix string }{{"patientId", "Patient/"}, {"providerId", "Practitioner"}, {"locationId", "Location/"}} {
		if !slices.Equal(refsOf(a.refs, f.prefix), refsOf(b.refs, f.prefix)) {
			out = append(out, f.name)
		}
	}
	for _, f := range []struct{ name, member string }{{"reason", "reasonCode"}, {"notes", "comment"}, {"appointmentType", "appointmentType"}, {"priority", "priority"}, {"facilityId", "supportingInformation"}} {
		if x, y := old.Get(f.member), now.Get(f.member); (x == nil) != (y == nil) || x != nil && !x.Equal(y) {
			out = append(out, f.name)
		}
	}
	return out
}

func refsOf(refs []string, part string) []string {
	var out []string
	for _, r := range refs {
		if strings.Contains(r, part) {
			out = append(out, r)
		}
	}
	slices.Sort(out)
	return out
}

func tellSchedule(c event.Change) []event.Fact {
	now := c.New
	if now == nil {
		now = c.Old
	}
	if now == nil {
		return nil
	}
	out := event.Fact{Kind: "schedule.updated"}
	data := scheduleFact{ScheduleID: c.Self()}
	for _, n := range flat.Items(now.Get("actor")) {
		if ref := flat.RefOf(n); strings.Contains(ref, "Practitioner/") || strings.Contains(ref, "PractitionerRole/") {
			out.Staff = append(out.Staff, ref)
			if data.ProviderID == "" {
				data.ProviderID = c.Key(ref)
			}
		}
	}
	out.Data = data
	return []event.Fact{out}
}
