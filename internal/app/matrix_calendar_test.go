package app

import (
	"net/http"
	"strings"
	"time"
)

// workday is a day on which calendars are open, so many days from now or a little later.
func workday(ahead int) time.Time {
	day := time.Now().AddDate(0, 0, ahead)
	for day.Weekday() == time.Friday || day.Weekday() == time.Saturday {
		day = day.AddDate(0, 0, 1)
	}
	return day
}

// calendars makes one of each thing that a path of the appointment service can name, for holdings.
func (c *clinic) calendars(admin caller, patient string) map[string]string {
	c.t.Helper()
	made := func(typ, body string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, fhirPath+"/"+typ, `{"resourceType":"`+typ+`",`+body+`}`), "id")
	}
	provider := made("Practitioner", `"name":[{"family":"Nile"}]`)
	room := made("Location", `"status":"active","name":"Room 1","physicalType":{"coding":[{"code":"ro"}]}`)
	holiday := c.member(c.call(admin, http.MethodPost, "/api/v1/schedules/holidays", `{"name":"A day","from":"2030-01-01"}`), "data.id")
	day := workday(7)
	book := func(path, at, more string) string {
		c.t.Helper()
		return c.member(c.call(admin, http.MethodPost, path, strings.NewReplacer("PATIENT", patient, "PROVIDER", provider, "DAY", day.Format(time.DateOnly), "AT", at).Replace(
			`{"patientId":"PATIENT","providerId":"PROVIDER","appointmentDate":"DAY","appointmentTime":"AT","duration":30,"reason":"a cough"`+more+`}`)), "data.id")
	}
	appointment := book("/api/v1/appointments", "09:00", "")
	feed := c.call(admin, http.MethodPost, "/api/v1/calendars", `{"of":"Practitioner/`+provider+`"}`)
	address := c.member(feed, "data.path")
	return map[string]string{
		"/api/v1/appointments/":          appointment,
		"/api/v1/appointment-series/":    book("/api/v1/appointment-series", "11:00", `,"rrule":"FREQ=WEEKLY;COUNT=2"`),
		"/api/v1/schedules/provider/":    provider,
		"/api/v1/schedules/holidays/":    holiday,
		"/api/v1/schedules/patient/":     patient,
		"/api/v1/resources/":             room,
		"/api/v1/reminders/appointment/": appointment,
		"/api/v1/waitlist/":              c.member(c.call(admin, http.MethodPost, "/api/v1/waitlist", `{"patientId":"`+patient+`","providerId":"`+provider+`","reason":"sooner"}`), "data.id"),
		"/api/v1/queue/":                 c.member(c.call(admin, http.MethodPost, "/api/v1/queue", `{"patientId":"`+patient+`"}`), "data.id"),
		"/api/v1/calendars/":             c.member(feed, "data.id"),
		"/api/v1/calendars/feed/":        address[strings.LastIndex(address, "/")+1:],
		"/api/v1/events/schemas/":        "", // the program's own, the same for every tenant
		"/api/v1/events/readers/":        "", // the program's own: a tenant's administrator replays its own tenant's events
		"/api/v1/events/dead-letters/":   "", // made by a reader that fails alone: see the events module's own test of tenants
	}
}
