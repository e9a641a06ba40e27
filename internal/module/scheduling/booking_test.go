package scheduling_test

import (
	"slices"
	"strings"
	"testing"
)

func TestAnAppointmentIsBookedAsFrontEndsReadIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		body := booking(patient, doctor, sunday, "08:30")
		body["duration"] = "30" // as one front end's form sends it
		a := w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", body))
		for path, want := range map[string]string{
			"patientId": patient, "providerId": doctor, "appointmentDate": sunday, "appointmentTime": "08:30:00", "status": "scheduled", "reason": "a cough for a week",
			"patientFirstName": "Omer", "patientLastName": "Ali", "providerLastName": "Osman", "patientName": "Omer Ali", "patient_id": patient, "appointment_date": sunday,
			"appointment_time": "08:30:00", "provider_last_name": "Osman", "start": "2026-11-29T08:30:00+02:00", "timeZone": "Africa/Khartoum",
		} {
			for _, at := range []string{"data.", "data.appointment."} {
				if got := a.text(at + path); got != want {
					t.Errorf("%s%s is %q, want %q", at, path, got, want)
				}
			}
		}
		if a.number("data.duration") != 30 {
			t.Errorf("duration: %s", a.raw)
		}
		id := a.text("data.id")
		if strings.Trim(id, "0123456789") != "" || id == "" {
			t.Errorf("the id %q is not a string of digits", id)
		}
		if got := w.want(200, w.do("GET", "/api/v1/appointments/"+id, "nurse", nil)); got.text("data.appointment.patient_phone") != "+249912345678" || got.header.Get("ETag") != `W/"1"` {
			t.Errorf("one: %s", got.raw)
		}
		for _, query := range []string{"", "?status=scheduled", "?providerId=" + doctor, "?patientId=" + patient + "&date=" + sunday, "?dateFrom=2026-11-28&dateTo=2026-11-29", "?status=scheduled,confirmed"} {
			if got := w.want(200, w.do("GET", "/api/v1/appointments"+query, "doctor", nil)); got.text("data.appointments.0.id") != id || got.number("pagination.total") != 1 || got.number("data.pagination.total") != 1 {
				t.Errorf("list %s: %s", query, got.raw)
			}
		}
		for _, query := range []string{"?status=confirmed", "?providerId=" + patient, "?date=2026-11-28", "?status=in_progress"} {
			if got := w.want(200, w.do("GET", "/api/v1/appointments"+query, "doctor", nil)); got.number("pagination.total") != 0 {
				t.Errorf("list %s: %s", query, got.raw)
			}
		}
		for _, query := range []string{"?status=done", "?colour=red", "?date=tomorrow", "?date=2026-11-29&dateTo=2026-11-30", "?status=scheduled,completed"} {
			w.want(400, w.do("GET", "/api/v1/appointments"+query, "doctor", nil))
		}
		w.clock.add(4 * 24 * 3600e9)
		if got := w.want(200, w.do("GET", "/api/v1/appointments/today", "receptionist", nil)); got.text("data.appointments.0.id") != id {
			t.Errorf("today: %s", got.raw)
		}
		if got := w.want(200, w.do("GET", "/api/v1/appointments/upcoming", "receptionist", nil)); got.text("data.appointments.0.id") != id {
			t.Errorf("upcoming: %s", got.raw)
		}
	})
}

func TestATakenTimeIsRefusedAndSaysWhatIsFree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		w.book(w.patient("Ali"), doctor, sunday, "08:00")
		other := w.patient("Hassan")
		for _, at := range []string{"08:00", "08:15", "07:45"} {
			body := booking(other, doctor, sunday, at)
			body["outsideHours"] = true
			a := w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", body))
			if a.text("error.code") != "APPOINTMENT_CONFLICT" || !strings.Contains(a.text("error.message"), "free on 2026-11-29: 08:30, 09:00") {
				t.Errorf("%s: %s", at, a.raw)
			}
			free := strings.Split(a.text("error.details.1.message"), ", ")
			if a.text("error.details.1.field") != "availableSlots" || len(free) != 17 || free[0] != "2026-11-29T08:30:00+02:00" {
				t.Errorf("details: %s", a.raw)
			}
		}
		_, err := w.write("doctor", fhirAppointment(other, doctor, "2026-11-29T06:10:00Z", "2026-11-29T06:20:00Z", "booked"))
		if e := refused(t, err); !strings.Contains(e.Issues[0].Diagnostics, "free on 2026-11-29: 08:30") || strings.Contains(e.Error(), other) {
			t.Errorf("%v", err)
		}
		w.book(other, doctor, sunday, "08:30") // its neighbour
	})
}

func TestFreeTimesLeaveOutWhatIsNotFree(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		if got := w.free(doctor, sunday); len(got) != 18 || got[0] != "08:00:00" || got[17] != "16:30:00" {
			t.Fatalf("of a whole day: %v", got)
		}
		if got := w.free(doctor, "2026-11-27"); len(got) != 0 {
			t.Errorf("on Friday: %v", got)
		}
		odd := booking(w.patient("Ali"), doctor, sunday, "09:10")
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", odd))
		if got := w.free(doctor, sunday); slices.Contains(got, "09:00:00") || slices.Contains(got, "09:30:00") || len(got) != 16 {
			t.Errorf("around 09:10: %v", got)
		}
		a := w.want(200, w.do("GET", "/api/v1/schedules/available-slots?providerId="+doctor+"&date="+sunday+"&duration=50", "patient", nil))
		if got := a.strings("data.availableSlots"); !slices.Equal(got[len(got)-1:], []string{"15:30:00"}) || a.number("data.totalSlots") != len(got) {
			t.Errorf("a visit must end by the day's end: %v", got)
		}
		month := w.want(200, w.do("GET", "/api/v1/schedules/available-slots?providerId="+doctor+"&dateFrom=2026-12-01&dateTo=2026-12-31&duration=30", "receptionist", nil))
		if days, _ := month.at("data.days").(list); len(days) != 31 || month.number("data.totalSlots") != 23*18 {
			t.Errorf("a month: %d days, %d slots", len(days), month.number("data.totalSlots"))
		}
		w.clock.add(4*24*3600e9 + 5*3600e9) // Sunday, 11:00
		if got := w.free(doctor, sunday); len(got) == 0 || got[0] != "11:00:00" {
			t.Errorf("what is over is free no more: %v", got)
		}
		for _, bad := range []string{"?date=" + sunday, "?providerId=" + doctor, "?providerId=" + doctor + "&dateFrom=2026-01-01&dateTo=2026-03-01", "?providerId=" + doctor + "&date=" + sunday + "&duration=0"} {
			w.want(400, w.do("GET", "/api/v1/schedules/available-slots"+bad, "receptionist", nil))
		}
		w.want(422, w.do("GET", "/api/v1/schedules/available-slots?providerId=123456789012345&date="+sunday, "receptionist", nil))
	})
}

func TestMovingFreesTheOldTimeAndNeverStandsInItsOwnWay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		id := w.book(patient, doctor, sunday, "08:00")
		w.want(200, w.do("PATCH", "/api/v1/appointments/"+id+"/confirm", "receptionist", nil))
		a := w.want(200, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentTime": "08:15"}, "If-Match", `W/"2"`))
		if a.text("data.appointmentTime") != "08:15:00" || a.text("data.appointmentDate") != sunday || a.text("data.status") != "scheduled" {
			t.Errorf("moved by a quarter: %s", a.raw)
		}
		w.want(412, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentTime": "10:00"}, "If-Match", `W/"2"`))
		w.book(w.patient("Hassan"), doctor, sunday, "09:00")
		w.want(409, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentTime": "09:00"}))
		w.want(200, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentDate": "2026-11-30", "duration": 60, "reason": "a longer talk"}))
		if got := w.free(doctor, sunday); len(got) != 17 {
			t.Errorf("the old time is free again: %v", got)
		}
		if got := w.free(doctor, "2026-11-30"); slices.Contains(got, "08:00:00") || slices.Contains(got, "08:30:00") || slices.Contains(got, "09:00:00") {
			t.Errorf("the new one is not: %v", got)
		}
		next := w.provider("Salih")
		a = w.want(200, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"providerId": next}))
		if a.text("data.providerId") != next || a.text("data.appointmentTime") != "08:15:00" || len(w.free(doctor, "2026-11-30")) != 18 {
			t.Errorf("to another provider: %s", a.raw)
		}
	})
}

func TestStatusesFollowEachOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		at := []string{"08:00", "08:30", "09:00", "09:30", "10:00", "10:30"}
		fresh := func() string {
			slot := at[0]
			at = at[1:]
			return w.book(w.patient("Ali"), doctor, sunday, slot)
		}
		status := func(id, to string, want int) *answer {
			t.Helper()
			return w.want(want, w.do("PATCH", "/api/v1/appointments/"+id+"/status", "doctor", m{"status": to}))
		}
		one := fresh()
		status(one, "completed", 409)
		for _, step := range []string{"confirmed", "checked-in", "in_progress", "completed"} {
			want := strings.ReplaceAll(step, "_", "-")
			if got := status(one, step, 200); got.text("data.appointment.status") != want {
				t.Errorf("%s: %s", step, got.raw)
			}
		}
		a := status(one, "cancelled", 409)
		if !strings.Contains(a.text("error.message"), "no other status may follow") {
			t.Errorf("%s", a.raw)
		}
		w.want(409, w.do("PUT", "/api/v1/appointments/"+one, "doctor", m{"reason": "another one"}))
		status(fresh(), "in_progress", 200) // as one front end checks in
		two := fresh()
		a = status(two, "completed", 409)
		if !strings.Contains(a.text("error.message"), "confirmed, checked-in, in-progress, cancelled, no-show may") {
			t.Errorf("the refusal names what may follow: %s", a.raw)
		}
		before := len(w.free(doctor, sunday))
		a = w.want(200, w.do("DELETE", "/api/v1/appointments/"+two, "receptionist", m{"reason": "the patient travels"}))
		if a.text("data.status") != "cancelled" || a.text("data.cancellationReason") != "the patient travels" || len(w.free(doctor, sunday)) != before+1 {
			t.Errorf("cancelled: %s", a.raw)
		}
		w.want(409, w.do("DELETE", "/api/v1/appointments/"+two, "receptionist", nil))
		three := fresh()
		w.want(200, w.do("PATCH", "/api/v1/appointments/"+three+"/check-in", "receptionist", nil))
		w.want(200, w.do("PATCH", "/api/v1/appointments/"+three+"/complete", "doctor", m{"notes": "come again in a month"}))
		w.want(200, w.do("PATCH", "/api/v1/appointments/"+fresh()+"/no-show", "receptionist", nil))
		w.want(400, w.do("PATCH", "/api/v1/appointments/"+three+"/status", "doctor", m{"status": "done"}))
		w.want(400, w.do("PATCH", "/api/v1/appointments/"+three+"/status", "doctor", m{}))
		// Through the other door alike.
		v, err := w.write("doctor", fhirAppointment(w.patient("Ali"), doctor, "2026-11-29T13:00:00+02:00", "2026-11-29T13:30:00+02:00", "proposed"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(v.JSON()), `"proposed"`, `"fulfilled"`, 1)
		if _, err := w.write("doctor", text); err == nil {
			t.Error("fulfilled followed proposed")
		} else if e := refused(t, err); !strings.Contains(e.Error(), "pending, booked, waitlist, cancelled may") {
			t.Errorf("%v", err)
		}
		got := w.want(200, w.do("GET", "/api/v1/appointments/stats?dateFrom="+sunday+"&dateTo="+sunday, "nurse", nil))
		for status, n := range map[string]int{"completed": 2, "in-progress": 1, "cancelled": 1, "no-show": 1, "scheduled": 0, "total": 5} {
			if got.number("data."+status) != n {
				t.Errorf("%s: %d, want %d", status, got.number("data."+status), n)
			}
		}
		w.clock.add(4 * 24 * 3600e9)
		got = w.want(200, w.do("GET", "/api/v1/stats/appointments?providerId="+doctor, "nurse", nil))
		if got.number("data.todayAppointments") != 5 || got.number("data.today.completed") != 2 || got.number("data.today.inProgress") != 1 || got.number("data.totalAppointments") != 5 {
			t.Errorf("figures: %s", got.raw)
		}
	})
}

func TestBadBookingsAreRefusedByName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		for _, c := range []struct {
			field  string
			value  any
			status int
			where  string
		}{
			{"patientId", "", 400, "patientId"}, {"providerId", nil, 400, "providerId"}, {"patientId", "99999999999999", 422, "patientId"}, {"providerId", patient, 422, "providerId"},
			{"appointmentDate", "29.11.2026", 400, "appointmentDate"}, {"appointmentTime", "25:00", 400, "appointmentTime"}, {"appointmentTime", "", 400, "appointmentTime"},
			{"duration", "half an hour", 400, ""}, {"duration", 2000, 400, "duration"}, {"appointmentDate", "2026-11-01", 422, "appointmentDate"},
			{"priority", "soon", 400, "priority"}, {"status", "completed", 400, "status"}, {"reason", strings.Repeat("x", 1001), 400, "reason"},
		} {
			body := booking(patient, doctor, sunday, "08:00")
			body[c.field] = c.value
			a := w.want(c.status, w.do("POST", "/api/v1/appointments", "receptionist", body))
			if a.text("error.details.0.field") != c.where {
				t.Errorf("%s=%v: %s", c.field, c.value, a.raw)
			}
		}
		outside := booking(patient, doctor, "2026-11-27", "08:00") // Friday
		if a := w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", outside)); !strings.Contains(a.text("error.message"), "outside of working hours; free on 2026-11-29: 08:00") {
			t.Errorf("%s", a.raw)
		}
		outside["outsideHours"] = true
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", outside))
		w.want(403, w.do("POST", "/api/v1/appointments", "nurse", outside))
		w.want(401, w.do("GET", "/api/v1/appointments", "", nil))
	})
}

func TestPatientsBookForThemselvesAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, me, other := w.provider("Osman"), w.patient("Ali"), w.patient("Hassan")
		token := "patient Patient/" + me
		body := booking(me, doctor, sunday, "08:00")
		delete(body, "patientId")
		a := w.want(201, w.do("POST", "/api/v1/appointments", token, body))
		if a.text("data.patientId") != me {
			t.Errorf("%s", a.raw)
		}
		theirs := w.book(other, doctor, sunday, "09:00")
		w.want(422, w.do("POST", "/api/v1/appointments", token, booking(other, doctor, sunday, "10:00")))
		w.want(404, w.do("GET", "/api/v1/appointments/"+theirs, token, nil))
		w.want(404, w.do("DELETE", "/api/v1/appointments/"+theirs, token, nil))
		if got := w.want(200, w.do("GET", "/api/v1/appointments", token, nil)); got.number("pagination.total") != 1 {
			t.Errorf("%s", got.raw)
		}
		schedule := w.want(200, w.do("GET", "/api/v1/schedules/provider/"+doctor+"?dateFrom="+sunday+"&dateTo="+sunday, token, nil))
		if l, _ := schedule.at("data.appointments").(list); len(l) != 1 {
			t.Errorf("a provider's schedule shows others: %s", schedule.raw)
		}
		body["appointmentTime"], body["appointmentDate"] = "20:00", sunday
		w.want(409, w.do("POST", "/api/v1/appointments", token, body))
		body["overbook"] = true
		w.want(403, w.do("POST", "/api/v1/appointments", token, body))
		// Nor by the other door.
		_, err := w.write(token, fhirAppointment(me, doctor, "2026-11-29T20:00:00+02:00", "2026-11-29T20:30:00+02:00", "booked"))
		refused(t, err)
		if _, err := w.write(token, fhirAppointment(me, doctor, "2026-11-29T11:00:00+02:00", "2026-11-29T11:30:00+02:00", "booked")); err != nil {
			t.Errorf("within hours: %v", err)
		}
		id := a.text("data.id")
		w.want(403, w.do("PATCH", "/api/v1/appointments/"+id+"/status", token, m{"status": "checked-in"}))
		if got := w.want(200, w.do("PATCH", "/api/v1/appointments/"+id+"/confirm", token, nil)); got.text("data.status") != "confirmed" {
			t.Errorf("%s", got.raw)
		}
		if got := w.want(200, w.do("DELETE", "/api/v1/appointments/"+id, token, nil)); got.text("data.status") != "cancelled" {
			t.Errorf("%s", got.raw)
		}
	})
}

func TestAPatientIsInOnePlaceAtATime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two, patient := w.provider("Osman"), w.provider("Salih"), w.patient("Ali")
		w.book(patient, one, sunday, "08:00")
		a := w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(patient, two, sunday, "08:15")))
		if !strings.Contains(a.text("error.message"), "the patient has another appointment") {
			t.Errorf("%s", a.raw)
		}
		w.want(403, w.do("PUT", "/api/v1/schedules/settings", "receptionist", m{"patientOverlap": "warn"}))
		w.want(200, w.do("PUT", "/api/v1/schedules/settings", "admin", m{"patientOverlap": "warn"}))
		w.book(patient, two, sunday, "08:15")
	})
}

func TestManyAppointmentsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		items := list{booking(w.patient("Ali"), doctor, sunday, "08:00"), booking(w.patient("Hassan"), doctor, sunday, "08:00"), booking(w.patient("Omer"), doctor, sunday, "09:00")}
		a := w.want(207, w.do("POST", "/api/v1/bulk/appointments", "receptionist", m{"items": items}))
		if a.number("data.succeeded") != 2 || a.number("data.results.1.status") != 409 || a.text("data.results.1.error.code") != "APPOINTMENT_CONFLICT" {
			t.Fatalf("%s", a.raw)
		}
		x, y := a.text("data.results.0.data.id"), a.text("data.results.2.data.id")
		a = w.want(200, w.do("PUT", "/api/v1/bulk/appointments", "receptionist", m{"items": list{m{"id": x, "appointmentTime": "10:00"}, m{"id": y, "appointmentTime": "08:00"}}}))
		if a.text("data.results.1.data.appointmentTime") != "08:00:00" {
			t.Errorf("%s", a.raw)
		}
		a = w.want(207, w.do("PATCH", "/api/v1/bulk/appointments/status", "doctor", m{"items": list{m{"id": x, "status": "confirmed"}, m{"id": y, "status": "completed"}, m{"status": "confirmed"}}}))
		if a.number("data.succeeded") != 1 || a.text("data.results.2.error.details.0.field") != "id" {
			t.Errorf("%s", a.raw)
		}
		w.want(200, w.do("DELETE", "/api/v1/bulk/appointments", "receptionist", m{"items": list{m{"id": x, "reason": "the doctor is ill", "reasonCode": "prov"}, m{"id": y}}}))
		if got := w.free(doctor, sunday); len(got) != 18 {
			t.Errorf("%v", got)
		}
	})
}
