package scheduling_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// outbox keeps what was put, once a key, as the notification service's does.
type outbox struct {
	mu   sync.Mutex
	sent []scheduling.Message
}

func (o *outbox) Prepare(_ context.Context, _ int32, m scheduling.Message) (any, error) {
	return m, nil
}

func (o *outbox) Put(_ context.Context, _ sqldb.Tx, _ int32, prepared any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent = append(o.sent, prepared.(scheduling.Message))
	return nil
}

func (o *outbox) all() []scheduling.Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.sent)
}

// works has the module's jobs done by so many runners on the world's database, until the test ends.
func (w *world) works(runners int) *outbox {
	w.t.Helper()
	o := &outbox{}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range runners {
		r := job.New(job.Options{Ledger: w.store.Ledger(), Tenants: w.store.KeyedTenants, Clock: w.clock.now})
		if _, err := scheduling.New(ctx, scheduling.Options{Records: flat.New(w.store, w.clock.now, ""), Ledger: w.store.Ledger(), Jobs: r, Messages: o}); err != nil {
			w.t.Fatal(err)
		}
		wg.Go(func() { r.Run(ctx) })
	}
	w.t.Cleanup(func() { stop(); wg.Wait() })
	return o
}

// until waits for a condition.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestReminderIsSentOnceByEachChannelAndFollowsTheAppointment(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		o := w.works(2)
		id := w.book(patient, doctor, "2026-12-02", "09:00")
		w.want(200, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentDate": "2026-12-03", "appointmentTime": "10:00"}))
		other := w.book(patient, doctor, "2026-12-03", "11:00")
		w.want(200, w.do("DELETE", "/api/v1/appointments/"+other, "receptionist", nil))
		for range 2 { // asked for again: nothing is added
			w.want(201, w.do("POST", "/api/v1/reminders/appointment/"+id, "receptionist", m{}))
		}
		pending := w.want(200, w.do("GET", "/api/v1/reminders/pending?upcoming=true", "receptionist", nil))
		if l, _ := pending.at("data.reminders").(list); len(l) != 2 || pending.text("data.reminders.0.scheduledTime") != "2026-12-02T08:00:00.000Z" || pending.text("data.reminders.1.reminder_type") != "sms" {
			t.Fatalf("%s", pending.raw)
		}
		w.clock.add(7 * 24 * time.Hour) // to 06:00 of 2 December in Khartoum: a day before is 10:00
		if n := len(o.all()); n != 0 {
			t.Fatalf("%d were sent too early", n)
		}
		w.clock.add(4*time.Hour + time.Minute)
		w.until("the mail", func() bool { return len(o.all()) == 1 })
		w.clock.add(24 * time.Hour)
		// It is late for the text message, but the visit has not begun? It has: 10:01. Nobody is reminded of what is over.
		w.until("the text message is given up", func() bool {
			return len(w.do("GET", "/api/v1/reminders/pending?upcoming=true", "receptionist", nil).at("data.reminders").(list)) == 0
		})
		all := o.all()
		if len(all) != 1 || all[0].Channel != "email" || all[0].Patient != "Patient/"+patient || !strings.Contains(all[0].Body, "Thursday 3 December 2026 at 10:00") ||
			!strings.Contains(all[0].BodyAr, "الخميس 3 ديسمبر 2026") || strings.Contains(all[0].Body, "cough") {
			t.Errorf("%+v", all)
		}
	})
}

func TestWhatIsLateIsStillRemindedOfBeforeTheVisit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		w.book(patient, doctor, "2026-12-02", "09:00")
		w.book(patient, doctor, sunday, "09:00")
		w.clock.add(6*24*time.Hour + 22*time.Hour) // the program was down all the while: 04:00 of 2 December
		w.clock.add(4 * time.Hour)                 // 08:00, an hour before
		o := w.works(1)
		w.until("both channels", func() bool { return len(o.all()) == 2 })
		got := w.want(200, w.do("POST", "/api/v1/reminders/process", "receptionist", m{}))
		if got.number("data.sent") != 0 || got.number("data.failed") != 0 {
			t.Errorf("%s", got.raw)
		}
	})
}

func TestTimeThatComesFreeIsOfferedToTheNextWhoCanComeAndGoesOnWhenItIsNotClaimed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		first, second, urgent, booked := w.patient("First"), w.patient("Second"), w.patient("Urgent"), w.patient("Booked")
		o := w.works(2)
		id := w.book(booked, doctor, sunday, "09:00")
		wait := func(patient string, more m) string {
			body := m{"patientId": patient, "providerId": doctor, "reason": "sooner"}
			for k, v := range more {
				body[k] = v
			}
			return w.want(201, w.do("POST", "/api/v1/waitlist", "receptionist", body)).text("data.id")
		}
		one, two := wait(first, nil), wait(second, nil)
		three := wait(urgent, m{"priority": "urgent", "preferredFrom": "2027-01-08", "preferredTo": "2027-01-09"}) // cannot come on that day, and nobody works on those
		state := func(id string) string {
			return w.want(200, w.do("GET", "/api/v1/waitlist?status=all", "receptionist", nil)).find("data.waitlist", id, "status")
		}
		w.want(200, w.do("DELETE", "/api/v1/appointments/"+id, "receptionist", nil))
		w.until("the first is offered the time", func() bool { return state(one) == "offered" })
		if state(two) != "waiting" {
			t.Errorf("the second is %s", state(two))
		}
		if slices.Contains(w.free(doctor, sunday), "09:00:00") {
			t.Error("what is offered is free to others")
		}
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(booked, doctor, sunday, "09:00")))
		w.clock.add(2*time.Hour + time.Minute)
		w.until("the second is offered it", func() bool { return state(two) == "offered" })
		if s := state(one); s != "waiting" {
			t.Errorf("the first is %s", s)
		}
		w.want(409, w.do("POST", "/api/v1/waitlist/"+one+"/claim", "receptionist", m{}))
		a := w.want(200, w.do("POST", "/api/v1/waitlist/"+two+"/claim", "receptionist", m{}))
		if a.text("data.appointment.status") != "confirmed" || a.text("data.appointment.appointmentTime") != "09:00:00" || state(two) != "scheduled" {
			t.Errorf("%s", a.raw)
		}
		w.clock.add(3 * time.Hour) // what was claimed stays
		if got := w.want(200, w.do("GET", "/api/v1/appointments/"+two, "receptionist", nil)).text("data.appointment.status"); got != "confirmed" {
			t.Errorf("it is %s", got)
		}
		// The first passed that time on: when it comes free again it is not offered to them a second time.
		w.want(200, w.do("DELETE", "/api/v1/appointments/"+two, "receptionist", nil))
		w.until("all offers are made", func() bool { return slices.Contains(w.free(doctor, sunday), "09:00:00") })
		if s := state(one); s != "waiting" {
			t.Errorf("the first is %s again", s)
		}
		if s := state(three); s != "waiting" {
			t.Errorf("who can come on another day is %s", s)
		}
		four := wait(urgent, m{"preferredDate": "2027-01-10"}) // there is time on that day at once
		w.until("time that there is already is offered", func() bool { return state(four) == "offered" })
		w.want(200, w.do("POST", "/api/v1/waitlist/"+four+"/decline", "receptionist", m{}))
		w.want(200, w.do("DELETE", "/api/v1/waitlist/"+one, "receptionist", nil))
		if s := state(one); s != "cancelled" {
			t.Errorf("taken off the list: %s", s)
		}
		offers := 0
		for _, x := range o.all() {
			if x.Type == "waitlist.offer" {
				offers++
			}
		}
		if offers < 6 || offers%2 != 0 { // at least three offers, two channels each
			t.Errorf("%d offers were told", offers)
		}
	})
}

// find is a member of the entry of a list that has the id.
func (a *answer) find(path, id, name string) string {
	l, _ := a.at(path).(list)
	for _, v := range l {
		if one, _ := v.(m); one["id"] == id {
			s, _ := one[name].(string)
			return s
		}
	}
	return ""
}

func TestAppointmentsRecurAtTheSameHourAcrossAChangeOfTheClocks(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		w.want(200, w.do("PUT", "/api/v1/schedules/provider/"+doctor, "admin", m{"timeZone": "Europe/Berlin", "horizonDays": 400}))
		body := booking(patient, doctor, "2027-03-18", "09:00")
		body["rrule"], body["exdates"] = "FREQ=WEEKLY;COUNT=4", list{"2027-03-25"}
		a := w.want(201, w.do("POST", "/api/v1/appointment-series", "receptionist", body))
		var starts []string
		for i := range 4 {
			if s := a.text(fmt.Sprintf("data.series.appointments.%d.start", i)); s != "" {
				starts = append(starts, s)
			}
		}
		if got := strings.Join(starts, " "); got != "2027-03-18T09:00:00+01:00 2027-04-01T09:00:00+02:00 2027-04-08T09:00:00+02:00" {
			t.Errorf("%s", got)
		}
		id := a.text("data.series.id")
		// All or nothing: one of the times is taken.
		body["patientId"] = w.patient("Other")
		w.want(409, w.do("POST", "/api/v1/appointment-series", "receptionist", body))
		body["onConflict"], body["rrule"] = "skip", "FREQ=WEEKLY;COUNT=6"
		b := w.want(201, w.do("POST", "/api/v1/appointment-series", "receptionist", body))
		made, _ := b.at("data.series.appointments").(list)
		left, _ := b.at("data.series.skipped").(list)
		if len(made) != 2 || len(left) != 3 {
			t.Errorf("%d made, %d skipped: %s", len(made), len(left), b.raw)
		}
		// One of them moves on its own; the series moves as a whole, each on its day.
		w.want(200, w.do("PUT", "/api/v1/appointment-series/"+id, "receptionist", m{"appointmentTime": "10:30"}))
		c := w.want(200, w.do("GET", "/api/v1/appointment-series/"+id, "receptionist", nil))
		if c.text("data.series.appointments.0.start") != "2027-03-18T10:30:00+01:00" || c.text("data.series.appointments.2.start") != "2027-04-08T10:30:00+02:00" {
			t.Errorf("%s", c.raw)
		}
		d := w.want(200, w.do("DELETE", "/api/v1/appointment-series/"+id+"?from=2027-04-01", "receptionist", nil))
		if d.text("data.series.appointments.0.status") != "scheduled" || d.text("data.series.appointments.1.status") != "cancelled" {
			t.Errorf("%s", d.raw)
		}
		w.want(404, w.do("GET", "/api/v1/appointment-series/"+id, "patient Patient/"+w.patient("Nobody"), nil))
		for rule, says := range map[string]string{"FREQ=WEEKLY": "COUNT or UNTIL", "FREQ=HOURLY;COUNT=3": "by the day", "FREQ=DAILY;COUNT=500": "more than 200", "often": "NAME=VALUE"} {
			body["rrule"] = rule
			if e := w.want(400, w.do("POST", "/api/v1/appointment-series", "receptionist", body)); !strings.Contains(e.text("error.message"), says) {
				t.Errorf("%s: %s", rule, e.raw)
			}
		}
	})
}

func TestNumbersAreGivenOnceAndTheNextIsCalledByOneDesk(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		const people = 12
		var wg sync.WaitGroup
		var mu sync.Mutex
		labels, ids := map[string]bool{}, []string{}
		patients := make([]string, people)
		for i := range patients {
			patients[i] = w.patient("P" + strings.Repeat("x", i+1))
		}
		for _, p := range patients {
			wg.Go(func() {
				a := w.do("POST", "/api/v1/queue", "receptionist", m{"patientId": p})
				mu.Lock()
				defer mu.Unlock()
				labels[a.text("data.ticket.label")] = true
				ids = append(ids, a.text("data.ticket.id"))
			})
		}
		wg.Wait()
		for n := 1; n <= people; n++ {
			if !labels[fmt.Sprintf("A-%03d", n)] {
				t.Errorf("nobody has number %d: %v", n, labels)
			}
		}
		if again := w.want(201, w.do("POST", "/api/v1/queue", "receptionist", m{"patientId": patients[3]})); !slices.Contains(ids, again.text("data.ticket.id")) {
			t.Error("who waits got a second number")
		}
		urgent := w.want(201, w.do("POST", "/api/v1/queue", "receptionist", m{"patientId": w.patient("Urgent"), "priority": "emergency", "providerId": doctor})).text("data.ticket.id")
		if first := w.want(200, w.do("POST", "/api/v1/queue/next", "nurse", m{})).text("data.ticket.id"); first != urgent {
			t.Error("the emergency was not called first")
		}
		called := map[string]int{}
		for range people + 3 {
			wg.Go(func() {
				a := w.do("POST", "/api/v1/queue/next", "nurse", m{})
				mu.Lock()
				defer mu.Unlock()
				if a.status == 200 {
					called[a.text("data.ticket.id")]++
				}
			})
		}
		wg.Wait()
		for id, n := range called {
			if n != 1 {
				t.Errorf("%s was called by %d desks", id, n)
			}
		}
		if len(called) != people {
			t.Errorf("%d were called", len(called))
		}
		// An appointment's patient is checked in by the number, and the visit's status goes along.
		visit := w.book(patients[0], doctor, "2026-11-25", "15:00")
		a := w.want(201, w.do("POST", "/api/v1/queue", "receptionist", m{"appointmentId": visit, "line": "b"}))
		if a.text("data.ticket.label") != "B-001" || w.want(200, w.do("GET", "/api/v1/appointments/"+visit, "receptionist", nil)).text("data.appointment.status") != "checked-in" {
			t.Errorf("%s", a.raw)
		}
		id := a.text("data.ticket.id")
		w.want(200, w.do("POST", "/api/v1/queue/"+id+"/start", "receptionist", nil))
		if done := w.want(200, w.do("POST", "/api/v1/queue/"+id+"/done", "receptionist", nil)); done.text("data.ticket.status") != "served" ||
			w.want(200, w.do("GET", "/api/v1/appointments/"+visit, "receptionist", nil)).text("data.appointment.status") != "completed" {
			t.Errorf("%s", done.raw)
		}
		w.want(409, w.do("POST", "/api/v1/queue/"+id+"/call", "receptionist", nil))
		w.want(404, w.do("POST", "/api/v1/queue/5/call", "receptionist", nil))
		w.want(403, w.do("POST", "/api/v1/queue/next", "lab_technician", m{}))
	})
}

// A patient sees the own number and how many are before it, and neither calls nor is called by himself.
func TestThoseWhoWaitDoNotKeepTheQueue(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first, second, provider := w.patient("First"), w.patient("Second"), w.provider("Osman")
		w.want(201, w.do("POST", "/api/v1/queue", "receptionist", m{"patientId": first}))
		made := w.want(201, w.do("POST", "/api/v1/queue", "receptionist", m{"patientId": second}))
		if made.number("data.ticket.ahead") != 1 {
			t.Errorf("one is ahead: %s", made.raw)
		}
		w.want(201, w.do("POST", "/api/v1/queue", "receptionist", m{"patientId": w.patient("Elsewhere"), "line": "B"}))
		who := "patient Patient/" + second
		seen := w.want(200, w.do("GET", "/api/v1/queue", who, nil))
		if seen.text("data.queue.0.patientId") != second || seen.number("data.queue.0.ahead") != 1 || strings.Contains(string(seen.raw), "First") || seen.at("data.queue.1") != nil {
			t.Errorf("what the patient sees: %s", seen.raw)
		}
		waits := w.want(201, w.do("POST", "/api/v1/waitlist", who, m{"providerId": provider})).text("data.entry.id")
		for _, path := range []string{"/api/v1/queue/next", "/api/v1/queue/" + made.text("data.ticket.id") + "/call", "/api/v1/queue/" + made.text("data.ticket.id") + "/leave", "/api/v1/reminders/process"} {
			w.want(403, w.do("POST", path, who, nil))
		}
		w.want(403, w.do("POST", "/api/v1/queue", who, m{"patientId": second, "priority": "emergency"}))
		w.want(403, w.do("PATCH", "/api/v1/waitlist/"+waits+"/contacted", who, nil))
		for _, one := range w.want(200, w.do("GET", "/api/v1/queue", "nurse", nil)).at("data.queue").([]any) {
			if one.(map[string]any)["status"] != "waiting" {
				t.Errorf("%v", one)
			}
		}
	})
}

// Who is hidden from a desk is not called by it.
func TestADeskCallsThoseWhomItMaySee(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		hidden := w.put(`{"resourceType":"Patient","meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"name":[{"family":"Hidden"}]}`)
		seen := w.patient("Seen")
		for _, p := range []string{hidden, seen} {
			w.want(201, w.do("POST", "/api/v1/queue", "admin", m{"patientId": p}))
		}
		if a := w.want(200, w.do("POST", "/api/v1/queue/next", "nurse", m{})); a.text("data.ticket.patientId") != seen {
			t.Errorf("%s", a.raw)
		}
		w.want(404, w.do("POST", "/api/v1/queue/next", "nurse", m{}))
		if a := w.want(200, w.do("POST", "/api/v1/queue/next", "admin", m{})); a.text("data.ticket.patientId") != hidden {
			t.Errorf("%s", a.raw)
		}
	})
}

// A feed shows what its maker may read, on the day when it is read, and to nobody more.
func TestAFeedShowsNoMoreThanItsMakerMaySee(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, mine, other := w.provider("Osman"), w.patient("Mine"), w.patient("Other")
		w.book(mine, doctor, sunday, "09:00")
		w.book(other, doctor, sunday, "10:00")
		made := w.want(201, w.do("POST", "/api/v1/calendars", "patient Patient/"+mine, m{"of": "Practitioner/" + doctor, "details": true}))
		text := string(w.want(200, w.do("GET", made.text("data.feed.path"), "nobody", nil)).raw)
		if strings.Count(text, "BEGIN:VEVENT") != 1 || strings.Contains(text, "Other") || strings.Contains(text, "DTSTART:20261129T080000Z") {
			t.Errorf("a patient's feed of a doctor:\n%s", text)
		}
		staff := w.want(201, w.do("POST", "/api/v1/calendars", "receptionist", m{"of": "Practitioner/" + doctor, "details": true})).text("data.feed.path")
		if text := string(w.want(200, w.do("GET", staff, "nobody", nil)).raw); !strings.Contains(text, "Mine") || !strings.Contains(text, "Other") {
			t.Errorf("the reception's feed of a doctor:\n%s", text)
		}
		w.mu.Lock()
		w.closed = "receptionist"
		w.mu.Unlock()
		w.want(404, w.do("GET", staff, "nobody", nil))
	})
}

func TestAFeedIsReadByItsAddressAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		w.book(patient, doctor, sunday, "09:00")
		gone := w.book(patient, doctor, sunday, "10:00")
		w.want(200, w.do("DELETE", "/api/v1/appointments/"+gone, "receptionist", nil))
		made := w.want(201, w.do("POST", "/api/v1/calendars", "doctor Practitioner/"+doctor, m{}))
		path := made.text("data.feed.path")
		text := string(w.want(200, w.do("GET", path, "nobody", nil)).raw)
		for _, want := range []string{"BEGIN:VCALENDAR", "DTSTART:20261129T070000Z", "DTEND:20261129T073000Z", "STATUS:TENTATIVE", "STATUS:CANCELLED", "SUMMARY:Appointment\r\n", "PRODID:-//nilecare//appointments//EN\r\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		if strings.Contains(text, "Ali") || strings.Contains(text, "cough") {
			t.Error("it tells whom the appointments are with")
		}
		own := w.want(201, w.do("POST", "/api/v1/calendars", "patient Patient/"+patient, m{"details": true}))
		if text := string(w.want(200, w.do("GET", own.text("data.feed.path"), "nobody", nil)).raw); !strings.Contains(text, "Appointment with Amal Osman") || !strings.Contains(text, "cough") {
			t.Errorf("%s", text)
		}
		w.want(404, w.do("GET", path[:len(path)-6]+"A.ics", "nobody", nil))
		w.want(404, w.do("GET", "/api/v1/calendars/feed/1-x.ics", "nobody", nil))
		for _, of := range []string{"Patient/" + w.patient("Other"), "Device/1", "x"} {
			if a := w.do("POST", "/api/v1/calendars", "patient Patient/"+patient, m{"of": of}); a.status != 400 && a.status != 422 {
				t.Errorf("%s: %s", of, a.raw)
			}
		}
		w.want(200, w.do("DELETE", "/api/v1/calendars/"+made.text("data.feed.id"), "doctor Practitioner/"+doctor, nil))
		w.want(404, w.do("GET", path, "nobody", nil))
	})
}
