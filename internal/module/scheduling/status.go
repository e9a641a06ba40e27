package scheduling

import (
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
)

// transitions are the statuses that may follow each status of an Appointment, in the words of FHIR (http://hl7.org/fhir/appointmentstatus). An appointment may
// begin with any, since there are those of before and from elsewhere; that it was entered in error may be said at any time.
var transitions = map[string][]string{
	"proposed":         {"pending", "booked", "waitlist", "cancelled"},
	"pending":          {"proposed", "booked", "waitlist", "cancelled"},
	"waitlist":         {"proposed", "pending", "booked", "cancelled"},
	"booked":           {"pending", "arrived", "checked-in", "cancelled", "noshow"},
	"arrived":          {"checked-in", "fulfilled", "cancelled"},
	"checked-in":       {"fulfilled"},
	"fulfilled":        {},
	"cancelled":        {},
	"noshow":           {},
	"entered-in-error": {},
}

// mayFollow refuses a status that may not follow the one before, and names those that may.
func mayFollow(before, now string) error {
	if before == now || now == "entered-in-error" || slices.Contains(transitions[before], now) {
		return nil
	}
	next := transitions[before]
	if len(next) == 0 {
		return fault.At(fault.Conflict, "Appointment.status", "an appointment that is %s stays so: nothing but entered-in-error may follow", before)
	}
	return fault.At(fault.Conflict, "Appointment.status", "%s may not follow %s: %s may", now, before, strings.Join(next, ", "))
}

// holds reports that an appointment of that status takes its participants' time.
func holds(status string) bool {
	return status == "pending" || status == "booked" || status == "arrived" || status == "checked-in"
}

// The statuses of the product API.
const (
	scheduled  = "scheduled"
	confirmed  = "confirmed"
	checkedIn  = "checked-in"
	inProgress = "in-progress"
	completed  = "completed"
	cancelled  = "cancelled"
	noShow     = "no-show"
	held       = "held"
	proposed   = "proposed"
	waitlisted = "waitlist"
	mistaken   = "entered-in-error"
)

// ofFHIR are the product API's names of FHIR's statuses; booked is scheduled or confirmed.
var ofFHIR = map[string]string{
	"proposed": proposed, "pending": held, "waitlist": waitlisted, "arrived": checkedIn, "checked-in": inProgress, "fulfilled": completed, "cancelled": cancelled, "noshow": noShow,
	"entered-in-error": mistaken,
}

// toFHIR are FHIR's names of the product API's.
var toFHIR = map[string]string{
	scheduled: "booked", confirmed: "booked", checkedIn: "arrived", inProgress: "checked-in", completed: "fulfilled", cancelled: "cancelled", noShow: "noshow",
	held: "pending", proposed: "proposed", waitlisted: "waitlist", mistaken: "entered-in-error",
}

// statuses are the product API's statuses, in the order of a visit.
var statuses = []string{scheduled, confirmed, checkedIn, inProgress, completed, cancelled, noShow, held, proposed, waitlisted, mistaken}

// usualStatuses are those that a listing shows unasked: appointments that were made.
var usualStatuses = "booked,arrived,checked-in,fulfilled,cancelled,noshow"

// spell is a status as a client writes it in the product's own spelling: in_progress is in-progress.
func spell(status string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(status)), "_", "-")
}

// statusOf is the product API's status of an Appointment. A booked one is confirmed where nobody's answer is outstanding: where no participant needs to act or is
// tentative. Of those that the product API makes that is the patient's answer.
func statusOf(r *fhir.Resource) string {
	status := r.Str("status")
	if status != "booked" {
		return ofFHIR[status]
	}
	for _, p := range flat.Items(r.Get("participant")) {
		if s := p.Str("status"); s == "needs-action" || s == "tentative" {
			return scheduled
		}
	}
	return confirmed
}

// next are the statuses of the product API that may follow one of them.
var next = map[string][]string{
	scheduled:  {confirmed, checkedIn, inProgress, cancelled, noShow},
	confirmed:  {checkedIn, inProgress, cancelled, noShow},
	checkedIn:  {inProgress, completed, cancelled},
	inProgress: {completed},
	held:       {scheduled, confirmed, cancelled},
	proposed:   {scheduled, confirmed, cancelled},
	waitlisted: {scheduled, confirmed, cancelled},
}

// move refuses a status that may not follow, in the words of the product API.
func move(before, now string) error {
	if slices.Contains(next[before], now) || now == mistaken && before != mistaken {
		return nil
	}
	if len(next[before]) == 0 {
		return fault.At(fault.Conflict, "status", "the appointment is %s: no other status may follow", before)
	}
	return fault.At(fault.Conflict, "status", "%s may not follow %s: %s may", now, before, strings.Join(next[before], ", "))
}
