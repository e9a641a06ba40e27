package scheduling_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/scheduling"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// call calls an operation as a caller, with parameters in pairs of name and value; a value that begins with "{" is a resource.
func (w *world) call(name, token string, pairs ...string) (m, error) {
	w.t.Helper()
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		if strings.HasPrefix(pairs[i+1], "{") {
			parts = append(parts, fmt.Sprintf(`{"name":%q,"resource":%s}`, pairs[i], pairs[i+1]))
		} else {
			parts = append(parts, fmt.Sprintf(`{"name":%q,"valueString":%q}`, pairs[i], pairs[i+1]))
		}
	}
	text := `{"resourceType":"Parameters"}`
	if parts != nil {
		text = `{"resourceType":"Parameters","parameter":[` + strings.Join(parts, ",") + `]}`
	}
	in, err := fhir.ParseResource([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range w.s.Operations() {
		if o.Name == name {
			r, err := o.Run(w.as(token), in)
			if err != nil {
				return nil, flat.Plain(err)
			}
			var out m
			if err := json.Unmarshal(r.AppendJSON(nil), &out); err != nil {
				w.t.Fatal(err)
			}
			return out, nil
		}
	}
	w.t.Fatalf("no operation %s", name)
	return nil, nil
}

// called is call that must not fail; it returns the resources of the Bundle.
func (w *world) called(name, token string, pairs ...string) []m {
	w.t.Helper()
	b, err := w.call(name, token, pairs...)
	if err != nil {
		w.t.Fatalf("$%s: %v", name, err)
	}
	var out []m
	entries, _ := b["entry"].(list)
	for _, e := range entries {
		out = append(out, e.(m)["resource"].(m))
	}
	return out
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func TestArgonautFindHoldAndBook(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, me, other := w.provider("Osman"), w.patient("Ali"), w.patient("Hassan")
		token := "patient Patient/" + me
		find := func(token string) []m {
			t.Helper()
			return w.called("find", token, "start", "2026-11-29T08:00:00+02:00", "end", "2026-11-29T10:00:00+02:00", "practitioner", "Practitioner/"+doctor)
		}
		offers := find(token)
		if len(offers) != 4 || offers[0]["status"] != "proposed" || offers[0]["start"] != "2026-11-29T08:00:00+02:00" || offers[3]["end"] != "2026-11-29T10:00:00+02:00" {
			t.Fatalf("%v", offers)
		}
		held := w.called("hold", token, "appt-id", "Appointment/"+text(offers[0]["id"]))
		if len(held) != 1 || held[0]["status"] != "pending" || !strings.Contains(fmt.Sprint(held[0]), "Patient/"+me) {
			t.Fatalf("%v", held)
		}
		id := text(held[0]["id"])
		if got := find(token); len(got) != 3 {
			t.Errorf("what is held is offered: %v", got)
		}
		_, err := w.call("hold", "receptionist", "appt-id", text(offers[0]["id"]), "patient-id", "Patient/"+other)
		if e := refused(t, err); !strings.Contains(e.Error(), "free on 2026-11-29: 08:30") {
			t.Errorf("%v", err)
		}
		if a := w.want(200, w.do("GET", "/api/v1/appointments/"+id, "receptionist", nil)); a.text("data.status") != "held" || a.text("data.heldUntil") != "2026-11-25T04:10:00Z" {
			t.Errorf("%s", a.raw)
		}
		booked := w.called("book", token, "appt-id", "Appointment/"+id, "comment", "I come by bus")
		if booked[0]["status"] != "booked" || booked[0]["id"] != id || booked[0]["comment"] != "I come by bus" || strings.Contains(fmt.Sprint(booked[0]), scheduling.HoldExtension) {
			t.Errorf("%v", booked)
		}
		_, err = w.call("book", token, "appt-id", "Appointment/"+id)
		refused(t, err)
		// An offer is booked without a hold, and another one is cancelled for it.
		again := w.called("book", token, "appt-id", text(offers[1]["id"]), "cancelled-appt-id", "Appointment/"+id)
		if again[0]["status"] != "booked" || again[0]["start"] != "2026-11-29T08:30:00+02:00" {
			t.Errorf("%v", again)
		}
		if a := w.want(200, w.do("GET", "/api/v1/appointments/"+id, "receptionist", nil)); a.text("data.status") != "cancelled" {
			t.Errorf("%s", a.raw)
		}
		// An appointment that the client made.
		own := fhirAppointment(other, doctor, "2026-11-29T09:00:00+02:00", "2026-11-29T09:30:00+02:00", "proposed")
		if got := w.called("book", "receptionist", "appt-resource", own); got[0]["status"] != "booked" {
			t.Errorf("%v", got)
		}
		_, err = w.call("book", "receptionist", "appt-resource", own)
		refused(t, err)
		if _, err = w.call("book", token, "appt-resource", own); !fault.Is(err, fault.Forbidden) && !fault.Is(err, fault.Unprocessable) {
			t.Errorf("a patient books for another: %v", err)
		}
		w.agree()
		for _, bad := range [][]string{
			{"find"}, {"find", "start", "2026-11-29", "end", "2026-11-30"}, {"find", "start", "2026-11-30", "end", "2026-11-29", "practitioner", "Practitioner/" + doctor},
			{"find", "start", "2026-11-29", "end", "2026-11-30", "practitioner", "Patient/" + me}, {"find", "coverage", "x"}, {"hold"}, {"hold", "appt-id", "x", "appt-resource", own},
			{"find", "start", "2026-01-01", "end", "2026-12-31", "practitioner", "Practitioner/" + doctor}, {"hold", "appt-resource", `{"resourceType":"Patient"}`},
		} {
			if _, err := w.call(bad[0], "receptionist", bad[1:]...); !fault.Is(err, fault.Invalid) {
				t.Errorf("%v: %v", bad, err)
			}
		}
		if _, err := w.call("find", "billing_clerk", "start", "2026-11-29", "end", "2026-11-30", "practitioner", "Practitioner/"+doctor); !fault.Is(err, fault.Forbidden) {
			t.Errorf("who may not see slots: %v", err)
		}
		if _, err := w.call("hold", "receptionist", "appt-id", "offer.zz.1.1.0"); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("an offer of nobody: %v", err)
		}
		if _, err := w.call("book", "receptionist", "appt-id", "Appointment/99999999999999"); !fault.Is(err, fault.NotFound) {
			t.Errorf("what is not there: %v", err)
		}
	})
}

func TestFindByWhatTheyDoAndWhere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		clinic := w.put(`{"resourceType":"Organization","name":"A clinic"}`)
		w.put(`{"resourceType":"PractitionerRole","active":true,"practitioner":{"reference":"Practitioner/` + doctor + `"},"organization":{"reference":"Organization/` + clinic + `"},
			"specialty":[{"coding":[{"system":"http://snomed.info/sct","code":"394582007"}]}]}`)
		room := w.put(`{"resourceType":"Location","status":"active","name":"Room 1","physicalType":{"coding":[{"code":"ro"}]}}`)
		body := booking(w.patient("Ali"), w.provider("Salih"), sunday, "08:30")
		body["locationId"] = room
		w.want(201, w.do("POST", "/api/v1/appointments", "receptionist", body))
		day := []string{"start", "2026-11-29T08:00:00+02:00", "end", "2026-11-29T10:00:00+02:00"}
		for _, by := range [][]string{{"specialty", "http://snomed.info/sct|394582007"}, {"organization", "Organization/" + clinic}} {
			if got := w.called("find", "doctor", append(by, day...)...); len(got) != 4 {
				t.Errorf("%v: %v", by, got)
			}
		}
		got := w.called("find", "doctor", append([]string{"practitioner", "Practitioner/" + doctor, "location-reference", "Location/" + room, "duration", "30", "_count", "2"}, day...)...)
		if len(got) != 2 || got[1]["start"] != "2026-11-29T09:00:00+02:00" || !strings.Contains(fmt.Sprint(got[0]), "Location/"+room) {
			t.Errorf("with a room: %v", got)
		}
	})
}

// workers has jobs done, as the program does.
func (w *world) workers(t *testing.T) {
	t.Helper()
	jobs := job.New(job.Options{Ledger: w.store.Ledger(), Tenants: w.store.KeyedTenants, Clock: w.clock.now})
	if _, err := scheduling.New(system(), scheduling.Options{Records: flat.New(w.store, w.clock.now, ""), Ledger: w.store.Ledger(), Jobs: jobs}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); jobs.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

// until waits for a condition.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("in half a minute: not %s", what)
}

func TestAHoldEndsByItself(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		offer := w.called("find", "receptionist", "start", sunday, "end", sunday, "practitioner", "Practitioner/"+doctor)[0]
		id := text(w.called("hold", "receptionist", "appt-id", text(offer["id"]), "patient-id", w.patient("Ali"))[0]["id"])
		if got := w.free(doctor, sunday); len(got) != 17 {
			t.Fatalf("%v", got)
		}
		w.clock.add(11 * time.Minute)
		w.workers(t)
		until(t, "cancelled", func() bool {
			return w.do("GET", "/api/v1/appointments/"+id, "receptionist", nil).text("data.status") == "cancelled"
		})
		if got := w.free(doctor, sunday); len(got) != 18 {
			t.Errorf("%v", got)
		}
		w.agree()
	})
}

func TestASlotIsInOneAppointmentAndSaysSo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.workers(t)
		doctor := w.provider("Osman")
		schedule := w.put(`{"resourceType":"Schedule","actor":[{"reference":"Practitioner/` + doctor + `"}]}`)
		slot := func(status, from, to string) string {
			return w.put(`{"resourceType":"Slot","schedule":{"reference":"Schedule/` + schedule + `"},"status":"` + status + `","start":"2026-11-29T` + from + `:00+02:00","end":"2026-11-29T` + to + `:00+02:00"}`)
		}
		one := slot("free", "08:00", "08:30")
		slot("busy-unavailable", "12:00", "14:00")
		if got := w.free(doctor, sunday); len(got) != 14 {
			t.Errorf("what a Slot says is not to be had: %v", got)
		}
		status := func() string {
			v, err := w.store.Read(system(), "Slot", one)
			if err != nil {
				t.Fatal(err)
			}
			r, _ := v.Resource()
			return r.Str("status")
		}
		// It names the slot and no practitioner: it takes the time of whose Schedule that is.
		by := func(patient, state string) string {
			return `{"resourceType":"Appointment","status":"` + state + `","start":"2026-11-29T08:00:00+02:00","end":"2026-11-29T08:30:00+02:00","slot":[{"reference":"Slot/` + one + `"}],
				"participant":[{"actor":{"reference":"Patient/` + patient + `"},"status":"accepted"}]}`
		}
		v, err := w.write("receptionist", by(w.patient("Ali"), "pending"))
		if err != nil {
			t.Fatal(err)
		}
		until(t, "busy-tentative", func() bool { return status() == "busy-tentative" })
		_, err = w.write("receptionist", by(w.patient("Hassan"), "booked"))
		refused(t, err)
		w.want(409, w.do("POST", "/api/v1/appointments", "receptionist", booking(w.patient("Omer"), doctor, sunday, "08:00")))
		if _, err := w.write("receptionist", strings.Replace(string(v.JSON()), `"pending"`, `"booked"`, 1)); err != nil {
			t.Fatal(err)
		}
		until(t, "busy", func() bool { return status() == "busy" })
		w.want(200, w.do("DELETE", "/api/v1/appointments/"+v.ID, "receptionist", nil))
		until(t, "free", func() bool { return status() == "free" })
		if _, err = w.write("receptionist", by(w.patient("Hassan"), "booked")); err != nil {
			t.Fatal(err)
		}
	})
}

// A set of changes is judged by its end: two appointments change times, and one takes the time that another gives up, in whatever order they stand.
func TestTwoAppointmentsChangeTimesInOneSet(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		one, two := w.book(w.patient("Ali"), doctor, sunday, "08:00"), w.book(w.patient("Hassan"), doctor, sunday, "09:00")
		to := func(id, hour string) record.Change {
			return record.Change{Op: record.Patch, Type: "Appointment", ID: id, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
				r.Set("start", fhir.NewString("2026-11-29T"+hour+":00:00+02:00"))
				r.Set("end", fhir.NewString("2026-11-29T"+hour+":30:00+02:00"))
				return r, nil
			}}
		}
		if _, err := w.store.Write(w.as("receptionist"), []record.Change{to(one, "09"), to(two, "08")}); err != nil {
			t.Fatal(err)
		}
		_, err := w.store.Write(w.as("receptionist"), []record.Change{to(one, "10"), to(two, "10")})
		refused(t, flat.Plain(err))
		next, _ := fhir.ParseResource([]byte(fhirAppointment(w.patient("Omer"), doctor, "2026-11-29T08:00:00+02:00", "2026-11-29T08:30:00+02:00", "booked")))
		if _, err := w.store.Write(w.as("receptionist"), []record.Change{{Op: record.Create, Type: "Appointment", Resource: next}, to(two, "11")}); err != nil {
			t.Fatal(err)
		}
		w.agree()
	})
}

// Claims that are longer than any before are found, also by what stands behind them in the same set.
func TestLongAppointmentsInOneSet(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		day, _ := fhir.ParseResource([]byte(fhirAppointment(w.patient("Ali"), doctor, "2026-11-29T08:00:00+02:00", "2026-11-29T20:00:00+02:00", "booked")))
		_, err := w.write("doctor", fhirAppointment(w.patient("Hassan"), doctor, "2026-11-29T19:00:00+02:00", "2026-11-29T19:30:00+02:00", "booked"),
			record.Change{Op: record.Create, Type: "Appointment", Resource: day})
		refused(t, err)
		if _, err := w.write("doctor", fhirAppointment(w.patient("Ali"), doctor, "2026-11-29T08:00:00+02:00", "2026-11-29T20:00:00+02:00", "booked")); err != nil {
			t.Fatal(err)
		}
		_, err = w.write("doctor", fhirAppointment(w.patient("Hassan"), doctor, "2026-11-29T19:00:00+02:00", "2026-11-29T19:30:00+02:00", "booked"))
		refused(t, err)
		if got := w.free(doctor, sunday); len(got) != 0 {
			t.Errorf("%v", got)
		}
	})
}

func TestAppointmentsThatCannotBe(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor, patient := w.provider("Osman"), w.patient("Ali")
		good := fhirAppointment(patient, doctor, "2026-11-29T08:00:00+02:00", "2026-11-29T08:30:00+02:00", "booked")
		for name, bad := range map[string]string{
			"no end":         strings.Replace(good, `"end":"2026-11-29T08:30:00+02:00",`, "", 1),
			"no time":        strings.Replace(strings.Replace(good, `"end":"2026-11-29T08:30:00+02:00",`, "", 1), `"start":"2026-11-29T08:00:00+02:00",`, "", 1),
			"ends before":    strings.Replace(good, "08:30:00", "07:30:00", 1),
			"ends at once":   strings.Replace(good, "08:30:00", "08:00:00", 1),
			"a plan of many": `{"resourceType":"Schedule","actor":[{"reference":"Practitioner/` + doctor + `"},{"reference":"Practitioner/` + w.provider("X") + `"}],"extension":[{"url":"` + scheduling.PlanExtension + `","valueString":"{}"}]}`,
		} {
			if _, err := w.write("doctor", bad); !fault.Is(err, fault.Unprocessable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := w.write("doctor", `{"resourceType":"Schedule","actor":[{"reference":"Practitioner/`+doctor+`"}],"extension":[{"url":"`+scheduling.PlanExtension+`","valueString":"{\"capacity\":-1}"}]}`); !fault.Is(err, fault.Invalid) {
			t.Errorf("a bad plan: %v", err)
		}
		v, err := w.write("doctor", strings.Replace(good, `"booked"`, `"fulfilled"`, 1))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.write("doctor", strings.Replace(string(v.JSON()), "T08:30:00", "T08:45:00", 1))
		refused(t, err)
	})
}

// A FHIR client says by a Schedule how a calendar is kept, as the product API does.
func TestAScheduleBearsThePlan(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		doctor := w.provider("Osman")
		plan := `{"resourceType":"Schedule","actor":[{"reference":"Practitioner/` + doctor + `"}],"extension":[{"url":"` + scheduling.PlanExtension + `","valueString":"{\"slotMinutes\":60}"}]}`
		v, err := w.write("receptionist", plan)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.free(doctor, sunday); len(got) != 9 {
			t.Errorf("%v", got)
		}
		_, err = w.write("receptionist", plan)
		refused(t, err) // there is one already
		if _, err := w.store.Write(system(), []record.Change{{Op: record.Delete, Type: "Schedule", ID: v.ID}}); err != nil {
			t.Fatal(err)
		}
		if got := w.free(doctor, sunday); len(got) != 18 {
			t.Errorf("%v", got)
		}
	})
}

// What was booked before the ledger stood is entered once, also where it was booked twice.
func TestRecordsOfBeforeAreAdopted(t *testing.T) {
	h := newHand()
	storetest.Each(t, options(h), func(t *testing.T, store *record.Store) {
		bare := &world{t: t, store: store, clock: newHandOf(h)}
		doctor, one, two := bare.provider("Osman"), bare.patient("Ali"), bare.patient("Hassan")
		role := bare.put(`{"resourceType":"PractitionerRole","practitioner":{"reference":"Practitioner/` + doctor + `"},"availableTime":[{"daysOfWeek":["sun"],"availableStartTime":"08:00:00","availableEndTime":"10:00:00"}]}`)
		bare.put(fhirAppointment(one, doctor, "2026-11-29T08:00:00+02:00", "2026-11-29T08:30:00+02:00", "booked"))
		bare.put(strings.Replace(fhirAppointment(two, doctor, "2026-11-29T08:00:00+02:00", "2026-11-29T08:30:00+02:00", "booked"), "Practitioner/"+doctor, "PractitionerRole/"+role, 1))
		w := newWorld(t, store, h)
		if err := store.Adopt(system(), scheduling.Module, scheduling.Adopts(), scheduling.Adopt(store.Ledger())); err != nil {
			t.Fatal(err)
		}
		if got := w.claimed(); len(got) != 4 {
			t.Errorf("%v", got)
		}
		if got := w.free(doctor, sunday); strings.Join(got, " ") != "08:30:00 09:00:00 09:30:00" {
			t.Errorf("%v", got)
		}
	})
}

func TestWhatHappenedIsToldAsFacts(t *testing.T) {
	h := newHand()
	w := newWorld(t, storetest.SQLite(t, options(h)), h)
	doctor, patient := w.provider("Osman"), w.patient("Ali")
	id := w.book(patient, doctor, sunday, "08:00")
	w.want(200, w.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentTime": "09:00", "reason": "a fever since"}))
	for _, status := range []string{"confirmed", "checked-in", "in-progress", "completed"} {
		w.want(200, w.do("PATCH", "/api/v1/appointments/"+id+"/status", "doctor", m{"status": status}))
	}
	w.want(200, w.do("DELETE", "/api/v1/appointments/"+w.book(patient, doctor, sunday, "10:00"), "receptionist", m{"reason": "a secret of the patient"}))
	w.want(200, w.do("PATCH", "/api/v1/appointments/"+w.book(patient, doctor, sunday, "11:00")+"/no-show", "receptionist", nil))
	w.plan(doctor, m{"slotMinutes": 20})
	source := scheduling.Source()
	storetest.Settle(w.t, w.store)
	changes, _, err := w.store.Changes(system(), 0, source.Types, 500)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		change := event.Change{Tenant: 1, Type: c.Version.Type, ID: c.Version.ID, Op: c.Op, At: c.Version.Updated, Who: c.Who, Key: func(ref string) string { _, id, _ := strings.Cut(ref, "/"); return id }}
		if change.New, err = c.Version.Resource(); err != nil {
			t.Fatal(err)
		}
		if c.Before != nil {
			if change.Old, err = c.Before.Resource(); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range source.Tell(change) {
			data, err := json.Marshal(f.Data)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, f.Kind)
			if strings.Contains(string(data), "secret") || strings.Contains(string(data), "fever") {
				t.Errorf("%s tells why: %s", f.Kind, data)
			}
			if f.Kind != "schedule.updated" && (f.Patient != "Patient/"+patient || !strings.Contains(string(data), `"patientId":"`+patient+`"`)) || len(f.Staff) != 1 || f.Staff[0] != "Practitioner/"+doctor {
				t.Errorf("%s: about %s, %v: %s", f.Kind, f.Patient, f.Staff, data)
			}
			switch f.Kind {
			case "appointment.updated":
				if len(got) == 2 && !strings.Contains(string(data), `"changes":["appointmentDate","appointmentTime","reason"]`) {
					t.Errorf("%s", data)
				}
			case "appointment.cancelled":
				if !strings.Contains(string(data), `"reason":"other"`) {
					t.Errorf("%s", data)
				}
			case "appointment.created":
				if len(got) == 1 && !strings.Contains(string(data), `"date":"2026-11-29","time":"08:00:00","start":"2026-11-29T08:00:00+02:00","duration":30,"status":"scheduled"`) {
					t.Errorf("%s", data)
				}
			}
		}
	}
	want := "appointment.created appointment.updated appointment.confirmed patient.checked_in appointment.updated appointment.completed appointment.created appointment.cancelled appointment.created appointment.noshow schedule.updated"
	if strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
}
