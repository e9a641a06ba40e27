package scheduling_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/module/scheduling"
)

// plan says how a provider's calendar is kept.
func (w *world) plan(provider string, plan m) *answer {
	w.t.Helper()
	return w.want(200, w.do("PUT", "/api/v1/schedules/provider/"+provider, "receptionist", plan))
}

func TestAProvidersOwnHours(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		a := w.plan(doctor, m{
			"timeZone": "Africa/Khartoum", "slotMinutes": 20, "workingHours": list{m{"days": list{"sunday", "mon"}, "from": "09:00", "to": "12:00"}, m{"days": list{"sunday"}, "from": "22:00", "to": "01:00"}},
			"breaks": list{m{"days": list{"sunday"}, "from": "10:00", "to": "10:30"}},
		})
		if a.text("data.schedule.source") != "provider" || a.number("data.effective.capacity") != 1 || a.header.Get("ETag") != `W/"1"` {
			t.Errorf("%s", a.raw)
		}
		slots := func(date string) []string {
			t.Helper()
			return w.want(200, w.do("GET", "/api/v1/schedules/available-slots?providerId="+doctor+"&date="+date, "nurse", nil)).strings("data.availableSlots")
		}
		if got, want := strings.Join(slots(sunday), " "), "09:00:00 09:20:00 09:40:00 10:30:00 10:50:00 11:10:00 11:30:00 22:00:00 22:20:00 22:40:00 23:00:00 23:20:00 23:40:00"; got != want {
			t.Errorf("Sunday: %s", got)
		}
		if got := slots("2026-11-30"); strings.Join(got[:3], " ") != "00:00:00 00:20:00 00:40:00" || len(got) != 12 {
			t.Errorf("Monday, the night's end first: %v", got)
		}
		if got := slots("2026-12-01"); len(got) != 0 {
			t.Errorf("Tuesday: %v", got)
		}
		if got := w.want(200, w.do("GET", "/api/v1/schedules/provider/"+doctor, "doctor", nil)); got.number("data.schedule.effective.slotMinutes") != 20 {
			t.Errorf("%s", got.raw)
		}
		w.plan(doctor, m{"closed": true})
		if got := slots(sunday); len(got) != 0 {
			t.Errorf("closed: %v", got)
		}
		w.want(412, w.do("PUT", "/api/v1/schedules/provider/"+doctor, "receptionist", m{}, "If-Match", `W/"1"`))
		w.want(200, w.do("DELETE", "/api/v1/schedules/provider/"+doctor, "doctor", nil))
		if got := slots(sunday); len(got) != 18 {
			t.Errorf("the tenant's hours again: %v", got)
		}
		w.want(404, w.do("DELETE", "/api/v1/schedules/provider/"+doctor, "doctor", nil))
		w.plan(doctor, m{"slotMinutes": 60})
		w.want(200, w.do("DELETE", "/api/v1/schedules/provider/"+doctor, "receptionist", nil))
		if got := slots(sunday); len(got) != 18 {
			t.Errorf("taken back again: %v", got)
		}
		for _, bad := range []m{
			{"timeZone": "Mars/Olympus"}, {"workingHours": list{m{"days": list{"someday"}, "from": "08:00", "to": "09:00"}}}, {"workingHours": list{m{"days": list{"sunday"}, "from": "8", "to": "09:00"}}},
			{"breaks": list{m{"days": list{}, "from": "08:00", "to": "09:00"}}}, {"capacity": 0}, {"slotMinutes": -5}, {"patientOverlap": "warn"}, {"overbooking": m{"perSlot": -1}}, {"horizonDays": 0},
		} {
			w.want(400, w.do("PUT", "/api/v1/schedules/provider/"+doctor, "receptionist", bad))
		}
		w.want(403, w.do("PUT", "/api/v1/schedules/provider/"+doctor, "patient Patient/1", m{}))
		w.want(404, w.do("PUT", "/api/v1/schedules/provider/99999999999999", "receptionist", m{}))
	})
}

func TestHoursOfZonesWhoseClocksMove(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		w.plan(doctor, m{"timeZone": "Europe/Berlin", "slotMinutes": 60, "workingHours": list{m{"days": list{"sunday"}, "from": "00:00", "to": "05:00"}}})
		slots := func(date string) []string {
			return w.want(200, w.do("GET", "/api/v1/schedules/available-slots?providerId="+doctor+"&date="+date, "nurse", nil)).strings("data.availableSlots")
		}
		if got := strings.Join(slots("2027-03-28"), " "); got != "00:00:00 01:00:00 03:00:00 04:00:00" {
			t.Errorf("an hour is not there: %s", got)
		}
		if got := strings.Join(slots("2027-10-31"), " "); got != "00:00:00 01:00:00 02:00:00 03:00:00 04:00:00" {
			t.Errorf("an hour is there twice, and told once: %s", got)
		}
		body := booking(w.patient("Ali"), doctor, "2027-03-28", "02:30")
		w.want(422, w.do("POST", "/api/v1/appointments", "receptionist", body))
		body["appointmentTime"] = "03:00"
		if a := w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", body)); a.text("data.start") != "2027-03-28T03:00:00+02:00" || a.text("data.appointmentTime") != "03:00:00" {
			t.Errorf("%s", a.raw)
		}
	})
}

func TestHoursOfRoles(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		facility := w.put(`{"resourceType":"Organization","name":"A clinic"}`)
		role := w.put(`{"resourceType":"PractitionerRole","active":true,"practitioner":{"reference":"Practitioner/` + doctor + `"},"organization":{"reference":"Organization/` + facility + `"},
			"availableTime":[{"daysOfWeek":["sun","tue"],"availableStartTime":"10:00:00","availableEndTime":"12:00:00"},{"daysOfWeek":["wed"],"allDay":true}],
			"notAvailable":[{"description":"away","during":{"start":"2026-12-01","end":"2026-12-01"}}]}`)
		if got := w.free(doctor, sunday); strings.Join(got, " ") != "10:00:00 10:30:00 11:00:00 11:30:00" {
			t.Errorf("Sunday: %v", got)
		}
		if got := w.free(doctor, "2026-12-01"); len(got) != 0 {
			t.Errorf("away: %v", got)
		}
		if got := w.free(doctor, "2026-12-02"); len(got) != 48 {
			t.Errorf("all day: %v", got)
		}
		a := w.want(200, w.do("GET", "/api/v1/schedules/provider/"+doctor, "doctor", nil))
		if a.text("data.schedule.source") != "roles" || a.text("data.schedule.effective.workingHours.0.from") != "10:00" {
			t.Errorf("%s", a.raw)
		}
		// An appointment that names the role takes the practitioner's time.
		text := strings.Replace(fhirAppointment(w.patient("Ali"), doctor, "2026-11-29T10:00:00+02:00", "2026-11-29T10:30:00+02:00", "booked"), "Practitioner/"+doctor, "PractitionerRole/"+role, 1)
		if _, err := w.write("doctor", text); err != nil {
			t.Fatal(err)
		}
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(w.patient("Hassan"), doctor, sunday, "10:00")))
		if got := w.want(200, w.do("GET", "/api/v1/appointments?providerId="+doctor, "receptionist", nil)); got.text("data.appointments.0.providerId") != doctor || got.text("data.appointments.0.providerLastName") != "Osman" {
			t.Errorf("%s", got.raw)
		}
		// Whose the role is cannot change under it.
		_, err := w.write("", `{"resourceType":"PractitionerRole","id":"`+role+`","practitioner":{"reference":"Practitioner/`+w.provider("Salih")+`"}}`)
		refused(t, err)
		// A role that nobody knew yet becomes its practitioner's with what was booked by it.
		other := w.provider("Salih")
		text = strings.Replace(fhirAppointment(w.patient("Omer"), doctor, "2026-11-29T10:00:00+02:00", "2026-11-29T10:30:00+02:00", "booked"), "Practitioner/"+doctor, "PractitionerRole/later", 1)
		if _, err := w.write("doctor", text); err != nil {
			t.Fatal(err)
		}
		w.put(`{"resourceType":"PractitionerRole","id":"later","practitioner":{"reference":"Practitioner/` + other + `"}}`)
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(w.patient("Hassan"), other, sunday, "10:00")))
		// A holiday of the facility closes the hours there.
		h := w.want(201, w.do("POST", "/api/v1/schedules/holidays", "receptionist", m{"name": "The clinic moves", "from": "2026-12-06", "facilityId": facility}))
		if got := w.free(doctor, "2026-12-06"); len(got) != 0 {
			t.Errorf("the facility is closed: %v", got)
		}
		if got := w.free(other, "2026-12-06"); len(got) != 18 {
			t.Errorf("others are not: %v", got)
		}
		if h.text("data.holiday.facilityId") != facility {
			t.Errorf("%s", h.raw)
		}
	})
}

func TestHolidaysAndTimeOff(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, other := w.provider("Osman"), w.provider("Salih")
		year := w.want(201, w.do("POST", "/api/v1/schedules/holidays", "receptionist", m{"name": "Turn of the year", "from": "2025-12-31", "to": "2026-01-01", "yearly": true})).text("data.id")
		for date, want := range map[string]int{"2026-12-30": 18, "2026-12-31": 0, "2027-01-01": 0, "2027-01-03": 18} {
			if got := w.free(doctor, date); len(got) != want {
				t.Errorf("%s: %v", date, got)
			}
		}
		booked := w.book(w.patient("Ali"), doctor, "2026-12-06", "09:00")
		a := w.want(201, w.do("POST", "/api/v1/schedules/provider/"+doctor+"/time-off", "receptionist", m{"from": "2026-12-06", "to": "2026-12-07", "reason": "a wedding"}))
		if got := a.strings("data.affectedAppointments"); !slices.Equal(got, []string{booked}) {
			t.Errorf("%s", a.raw)
		}
		entry := a.text("data.id")
		half := w.want(201, w.do("POST", "/api/v1/schedules/provider/"+doctor+"/time-off", "receptionist", m{"from": "2026-12-08T12:00", "to": "2026-12-08T17:00"}))
		for date, want := range map[string]int{"2026-12-06": 0, "2026-12-07": 0, "2026-12-08": 8, "2026-12-09": 18} {
			if got := w.free(doctor, date); len(got) != want {
				t.Errorf("%s: %v", date, got)
			}
		}
		if got := w.free(other, "2026-12-07"); len(got) != 18 {
			t.Errorf("another's: %v", got)
		}
		if got := w.want(200, w.do("GET", "/api/v1/schedules/provider/"+doctor+"/time-off", "receptionist", nil)); got.text("data.timeOff.0.reason") != "a wedding" {
			t.Errorf("%s", got.raw)
		}
		if got := w.want(200, w.do("GET", "/api/v1/schedules/provider/"+doctor+"/time-off", "nurse", nil)); strings.Contains(string(got.raw), "wedding") {
			t.Errorf("the reason is told to all: %s", got.raw)
		}
		w.want(200, w.do("PUT", "/api/v1/schedules/provider/"+doctor+"/time-off/"+entry, "receptionist", m{"from": "2026-12-07"}))
		if got := w.free(doctor, "2026-12-06"); len(got) != 17 {
			t.Errorf("shortened: %v", got)
		}
		w.want(404, w.do("PUT", "/api/v1/schedules/provider/"+other+"/time-off/"+entry, "receptionist", m{"from": "2026-12-07"}))
		w.want(200, w.do("DELETE", "/api/v1/schedules/provider/"+doctor+"/time-off/"+half.text("data.id"), "receptionist", nil))
		w.want(404, w.do("DELETE", "/api/v1/schedules/provider/"+doctor+"/time-off/"+half.text("data.id"), "receptionist", nil))
		w.want(200, w.do("DELETE", "/api/v1/schedules/holidays/"+year, "receptionist", nil))
		if got := w.want(200, w.do("GET", "/api/v1/schedules/holidays", "nurse", nil)); len(got.at("data.holidays").(list)) != 0 {
			t.Errorf("%s", got.raw)
		}
		for _, bad := range []m{{"from": "2026-12-07"}, {"name": "x", "from": "soon"}, {"name": "x", "from": "2026-12-07", "to": "2026-12-06"}} {
			w.want(400, w.do("POST", "/api/v1/schedules/holidays", "receptionist", bad))
		}
		for _, bad := range []m{{"from": "2026-12-07", "to": "2026-12-07T12:00"}, {"from": "2026-12-07T12:00", "to": "2026-12-07T11:00"}, {"from": "2026-12-07", "yearly": true}, {}} {
			w.want(400, w.do("POST", "/api/v1/schedules/provider/"+doctor+"/time-off", "receptionist", bad))
		}
		w.want(403, w.do("POST", "/api/v1/schedules/holidays", "nurse", m{"name": "x", "from": "2026-12-07"}))
	})
}

func TestCapacityBufferAndBoundsOfADay(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		w.plan(doctor, m{"capacity": 2})
		w.book(w.patient("A"), doctor, sunday, "08:00")
		if got := w.free(doctor, sunday); len(got) != 18 {
			t.Errorf("there is a second place: %v", got)
		}
		w.book(w.patient("B"), doctor, sunday, "08:00")
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(w.patient("C"), doctor, sunday, "08:15")))
		next := w.provider("Salih")
		w.plan(next, m{"bufferMinutes": 10})
		w.book(w.patient("D"), next, sunday, "08:00")
		if got := w.free(next, sunday); got[0] != "08:40:00" {
			t.Errorf("after the pause: %v", got)
		}
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(w.patient("E"), next, sunday, "08:35")))
		w.book(w.patient("F"), next, sunday, "08:40")
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(w.patient("G"), next, sunday, "07:25")))
		few := w.provider("Amin")
		w.plan(few, m{"maxPerDay": 1, "visitTypes": list{"consultation", "follow_up"}, "advanceMinutes": 60 * 24 * 5, "horizonDays": 10})
		if got := w.free(few, sunday); len(got) != 0 {
			t.Errorf("too soon to be offered: %v", got)
		}
		if got := w.free(few, "2026-12-06"); len(got) != 0 {
			t.Errorf("too far to be offered: %v", got)
		}
		body := booking(w.patient("H"), few, "2026-12-01", "08:00")
		w.want(422, w.do("POST", "/api/v1/appointments", "receptionist", m{"patientId": body["patientId"], "providerId": few, "appointmentDate": "2026-12-01", "appointmentTime": "08:00", "appointmentType": "surgery"}))
		body["appointmentType"] = "Consultation"
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", body))
		body["patientId"], body["appointmentTime"] = w.patient("I"), "10:00"
		if a := w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", body)); !strings.Contains(a.text("error.message"), "no more appointments are taken on that day; free on 2026-12-02: 08:00") {
			t.Errorf("%s", a.raw)
		}
		w.agree()
	})
}

func TestOverbookingByItsRules(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		body := func(at string) m { return booking(w.patient("A"), doctor, sunday, at) }
		asked := func(at string) m {
			b := body(at)
			b["overbook"] = true
			return b
		}
		book := func(want int, b m) *answer {
			return w.want(want, w.do("POST", "/api/v1/appointments", "receptionist", b))
		}
		book(201, body("08:00"))
		book(409, asked("08:00")) // the provider allows none
		w.plan(doctor, m{"overbooking": m{"perSlot": 1, "perDay": 2}})
		book(409, body("08:00"))
		if a := book(201, asked("08:00")); a.at("data.overbooked") != true {
			t.Errorf("%s", a.raw)
		}
		book(409, asked("08:00")) // one more at a time
		book(201, body("09:00"))
		book(201, asked("09:00"))
		book(201, body("10:00"))
		book(409, asked("10:00")) // two more a day
		w.plan(doctor, m{"overbooking": m{"perSlot": 1, "automatic": true, "visitTypes": list{"emergency"}}})
		book(409, body("10:00"))
		now := body("10:00")
		now["appointmentType"] = "emergency"
		book(201, now)
		w.agree()
	})
}

func TestRoomsAndDevicesAreTakenOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := w.provider("Osman"), w.provider("Salih")
		kind := func(code string) string {
			return `"physicalType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/location-physical-type","code":"` + code + `"}]}`
		}
		room := w.put(`{"resourceType":"Location","status":"active","name":"Room 1",` + kind("ro") + `}`)
		site := w.put(`{"resourceType":"Location","status":"active","name":"The clinic",` + kind("si") + `}`)
		scanner := w.put(`{"resourceType":"Device","status":"active","deviceName":[{"name":"Ultrasound","type":"user-friendly-name"}]}`)
		first := booking(w.patient("A"), one, sunday, "08:00")
		first["locationId"] = room
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", first))
		second := booking(w.patient("B"), two, sunday, "08:15")
		second["locationId"] = room
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", second))
		second["locationId"] = site
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", second))
		third := booking(w.patient("C"), one, sunday, "08:30")
		third["locationId"] = site
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", third))
		device := func(patient string) string {
			return strings.Replace(fhirAppointment(patient, one, "2026-11-29T12:00:00+02:00", "2026-11-29T12:30:00+02:00", "booked"), "Practitioner/"+one, "Device/"+scanner, 1)
		}
		if _, err := w.write("doctor", device(w.patient("D"))); err != nil {
			t.Fatal(err)
		}
		_, err := w.write("doctor", device(w.patient("E")))
		refused(t, err)
		free := func(id, from, to string) any {
			return w.want(200, w.do("GET", "/api/v1/resources/"+id+"/availability?date="+sunday+"&timeFrom="+from+"&timeTo="+to, "nurse", nil)).at("data.available")
		}
		if free(room, "08:00", "09:00") != false || free(room, "08:30", "09:00") != true || free(scanner, "12:15", "12:20") != false || free(scanner, "12:30", "13:00") != true {
			t.Error("availability")
		}
		w.clock.add(4*24*time.Hour + 2*time.Hour + 10*time.Minute) // Sunday, 08:10
		a := w.want(200, w.do("GET", "/api/v1/resources", "nurse", nil))
		var got []string
		for _, r := range a.at("data.resources").(list) {
			x := r.(m)
			got = append(got, x["name"].(string)+" "+x["type"].(string)+" "+x["status"].(string))
		}
		if want := []string{"Room 1 room occupied", "The clinic facility available", "Ultrasound equipment available"}; !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
		if a := w.want(200, w.do("GET", "/api/v1/resources?type=room", "nurse", nil)); a.number("pagination.total") != 1 {
			t.Errorf("%s", a.raw)
		}
		w.want(400, w.do("GET", "/api/v1/resources?type=boat", "nurse", nil))
		w.want(400, w.do("GET", "/api/v1/resources/"+room+"/availability?date="+sunday+"&timeFrom=09:00&timeTo=08:00", "nurse", nil))
		w.want(404, w.do("GET", "/api/v1/resources/99999999999999/availability?date="+sunday+"&timeFrom=08:00&timeTo=09:00", "nurse", nil))
	})
}

func TestWhatPatientsLike(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		path := "/api/v1/schedules/patient/" + patient + "/preferences"
		w.want(200, w.do("PUT", path, "patient Patient/"+patient, m{"preferredProviderId": doctor, "preferredDays": list{"sunday"}, "preferredFrom": "15:00", "preferredTo": "16:00", "language": "ar"}))
		if a := w.want(200, w.do("GET", path, "receptionist", nil)); a.text("data.language") != "ar" || a.text("data.preferences.preferredProviderId") != doctor {
			t.Errorf("%s", a.raw)
		}
		a := w.want(200, w.do("GET", "/api/v1/schedules/available-slots?providerId="+doctor+"&date="+sunday+"&duration=30&patientId="+patient, "receptionist", nil))
		if got := a.strings("data.preferredSlots"); !slices.Equal(got, []string{"15:00:00", "15:30:00"}) {
			t.Errorf("%v", got)
		}
		w.want(404, w.do("GET", path, "patient Patient/"+w.patient("Hassan"), nil))
		w.want(400, w.do("PUT", path, "receptionist", m{"preferredDays": list{"someday"}}))
		w.want(422, w.do("PUT", path, "receptionist", m{"preferredProviderId": "99999999999999"}))
		id := w.book(patient, doctor, sunday, "09:00")
		if _, err := w.store.Erase(system(), patient); err != nil {
			t.Fatal(err)
		}
		if err := scheduling.Forget(system(), w.store.Ledger(), 1, "Patient/"+patient); err != nil {
			t.Fatal(err)
		}
		if got := w.free(doctor, sunday); len(got) != 18 || w.do("GET", "/api/v1/appointments/"+id, "receptionist", nil).status < 400 {
			t.Errorf("what is left of an erased patient: %v", got)
		}
		w.agree()
	})
}

// One record can be meant by two ids, its own and its number.
func TestAnotherNameIsNoWayAroundTheLedger(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put(`{"resourceType":"Practitioner","id":"dr-osman","name":[{"family":"Osman"}]}`)
		v, err := w.store.Read(system(), "Practitioner", "dr-osman")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.write("doctor", fhirAppointment(w.patient("A"), "dr-osman", "2026-11-29T12:00:00+02:00", "2026-11-29T12:30:00+02:00", "booked")); err != nil {
			t.Fatal(err)
		}
		for _, ref := range []string{decimal(v.Num), "dr-osman/_history/1"} {
			_, err := w.write("doctor", fhirAppointment(w.patient("B"), ref, "2026-11-29T12:00:00+02:00", "2026-11-29T12:30:00+02:00", "booked"))
			refused(t, err)
		}
	})
}
