package scheduling

import (
	"math"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

// whole is a whole number in a body, which some forms send as a string.
type whole int

// UnmarshalJSON implements json.Unmarshaler.
func (w *whole) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `" `)
	if text == "" {
		*w = 0
		return nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || n != math.Trunc(n) || math.Abs(n) > 1e9 {
		return fault.New(fault.Invalid, "a whole number of minutes is expected").WithCode("value")
	}
	*w = whole(n)
	return nil
}

// bookingIn is the body of a booking; the front ends differ in how they spell names.
type bookingIn struct {
	PatientID  *api.StringOrNumber `json:"patientId" doc:"needed, but for patients, who book for themselves"`
	ProviderID *api.StringOrNumber `json:"providerId"`
	LocationID *api.StringOrNumber `json:"locationId,omitempty" doc:"a room"`
	FacilityID *api.StringOrNumber `json:"facilityId,omitempty"`
	Date       *string             `json:"appointmentDate" doc:"YYYY-MM-DD, on the wall of the provider's zone"`
	Time       *string             `json:"appointmentTime" doc:"HH:MM or HH:MM:SS"`
	Duration   *whole              `json:"duration" doc:"minutes"`
	Reason     *string             `json:"reason"`
	Notes      *string             `json:"notes,omitempty"`
	Type       *string             `json:"appointmentType,omitempty"`
	Priority   *string             `json:"priority,omitempty" doc:"routine, urgent or emergency"`
	Status     *string             `json:"status,omitempty" doc:"scheduled, the usual, or confirmed or held, of a new one"`
	Overbook   bool                `json:"overbook,omitempty" doc:"asks for a place beyond the capacity: needs appointments:overbook, and a provider who allows it"`
	Outside    bool                `json:"outsideHours,omitempty" doc:"asks for a time outside of working hours: needs appointments:overbook"`

	PatientIDTwin  *api.StringOrNumber `json:"patient_id,omitempty"`
	ProviderIDTwin *api.StringOrNumber `json:"provider_id,omitempty"`
	DateTwin       *string             `json:"appointment_date,omitempty"`
	TimeTwin       *string             `json:"appointment_time,omitempty"`
	TypeTwin       *string             `json:"appointment_type,omitempty"`
}

// untwin takes what came by its second spelling for its first.
func (in *bookingIn) untwin() {
	in.PatientID, in.ProviderID = first(in.PatientID, in.PatientIDTwin), first(in.ProviderID, in.ProviderIDTwin)
	in.Date, in.Time, in.Type = first(in.Date, in.DateTwin), first(in.Time, in.TimeTwin), first(in.Type, in.TypeTwin)
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// value is what p points to; the zero value where that is nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// as is a pointer to the same under another type.
func as[T, U any](p *T, to func(T) U) *U {
	if p == nil {
		return nil
	}
	u := to(*p)
	return &u
}

// booking is the booking that the body asks for.
func (in *bookingIn) booking() (Booking, error) {
	in.untwin()
	b := Booking{
		PatientID: string(value(in.PatientID)), ProviderID: string(value(in.ProviderID)), LocationID: string(value(in.LocationID)), FacilityID: string(value(in.FacilityID)),
		Date: value(in.Date), Time: value(in.Time), Minutes: int(value(in.Duration)), Reason: value(in.Reason), Notes: value(in.Notes), Type: value(in.Type),
		Priority: value(in.Priority), Overbook: in.Overbook, Outside: in.Outside,
	}
	switch status := spell(value(in.Status)); status {
	case "", scheduled:
	case confirmed:
		b.Confirmed = true
	case held:
		b.Hold = true
	default:
		return b, fault.At(fault.Invalid, "status", "a new appointment is scheduled, confirmed or held").WithCode("value")
	}
	for _, f := range []struct{ name, value string }{{"appointmentDate", b.Date}, {"appointmentTime", b.Time}} {
		if f.value == "" {
			return b, fault.At(fault.Invalid, f.name, "is missing").WithCode("required")
		}
	}
	return b, b.bounds()
}

// The longest texts of an appointment.
const (
	maxReason = 1000
	maxNotes  = 10_000
)

func (b *Booking) bounds() error {
	switch {
	case len(b.Reason) > maxReason:
		return fault.At(fault.Invalid, "reason", "is longer than %d bytes", maxReason).WithCode("too-long")
	case len(b.Notes) > maxNotes:
		return fault.At(fault.Invalid, "notes", "is longer than %d bytes", maxNotes).WithCode("too-long")
	case len(b.Type) > maxReason:
		return fault.At(fault.Invalid, "appointmentType", "is longer than %d bytes", maxReason).WithCode("too-long")
	}
	return nil
}

// change is the change that the body asks for. A status that is sent along is that of another route.
func (in *bookingIn) change() Change {
	in.untwin()
	str := func(k api.StringOrNumber) string { return string(k) }
	return Change{
		PatientID: as(in.PatientID, str), ProviderID: as(in.ProviderID, str), LocationID: as(in.LocationID, str), FacilityID: as(in.FacilityID, str),
		Date: in.Date, Time: in.Time, Minutes: as(in.Duration, func(w whole) int { return int(w) }), Reason: in.Reason, Notes: in.Notes, Type: in.Type, Priority: in.Priority,
		Overbook: in.Overbook, Outside: in.Outside,
	}
}

// reasonIn is the optional body of a cancellation.
type reasonIn struct {
	Reason     string `json:"reason,omitempty"`
	ReasonCode string `json:"reasonCode,omitempty" doc:"pat, prov, maint, meds-inc or other"`
	Notes      string `json:"notes,omitempty"`
}

// statusIn is the body of a change of status.
type statusIn struct {
	Status string `json:"status" doc:"scheduled, confirmed, checked-in, in-progress, completed, cancelled or no-show; underscores do as well"`
	reasonIn
}
