package scheduling_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/interval"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// claimed is what the ledger says: "Practitioner/12 1764396000000000-1764397800000000 of 34".
func (w *world) claimed() []string {
	w.t.Helper()
	var out []string
	err := w.store.Ledger().View(system(), 1, func(q sqldb.Querier) error {
		return sqldb.Each(system(), q, func(rows sqldb.Rows) error {
			var typ string
			var num, from, to, appointment int64
			err := rows.Scan(&typ, &num, &from, &to, &appointment)
			out = append(out, fmt.Sprintf("%s/%d %d-%d of %d", typ, num, from, to, appointment))
			return err
		}, "SELECT type, num, starts, ends, appointment FROM scheduling_claim WHERE tenant = 1")
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// documented is what the documents say, in the same words.
func (w *world) documented() []string {
	w.t.Helper()
	var out []string
	err := w.store.Export(system(), []string{"Appointment"}, func(v *record.Version) error {
		var a struct {
			Status      string
			Start, End  time.Time
			Participant []struct {
				Status string
				Actor  struct{ Reference string }
			}
		}
		if err := json.Unmarshal(v.JSON(), &a); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, p := range a.Participant {
			ref := p.Actor.Reference
			if holding[a.Status] && p.Status != "declined" && !seen[ref] {
				seen[ref] = true
				typ, id, _ := strings.Cut(ref, "/")
				num, _, err := w.store.Number(system(), typ, id)
				if err != nil {
					return err
				}
				out = append(out, fmt.Sprintf("%s/%d %d-%d of %d", typ, num, a.Start.UnixMicro(), a.End.UnixMicro(), v.Num))
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// agree demands that the ledger says what the documents say.
func (w *world) agree() {
	w.t.Helper()
	if ledger, documents := w.claimed(), w.documented(); !slices.Equal(ledger, documents) {
		w.t.Errorf("the ledger says\n%s\nand the documents\n%s", strings.Join(ledger, "\n"), strings.Join(documents, "\n"))
	}
}

// TestTheLedgerSaysWhatTheDocumentsSay does at random what clients of both doors do, refused or not, and demands after each step that no calendar has more than its capacity
// at any instant, and that the claims are those of the active appointments.
func TestTheLedgerSaysWhatTheDocumentsSay(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		t.Run(engine, func(t *testing.T) {
			h := newHand()
			open := storetest.SQLite
			if engine == "postgres" {
				open = storetest.Postgres
			}
			w := newWorld(t, open(t, options(h)), h)
			rapid.Check(t, func(t *rapid.T) {
				run := &sequence{world: w, t: t, capacity: map[string]int{}}
				for i, n := range []int{1, 2} {
					id := w.provider(fmt.Sprintf("Osman%d", i))
					run.providers, run.capacity[id] = append(run.providers, id), n
					w.want(200, w.do("PUT", "/api/v1/schedules/provider/"+id, "receptionist", m{"capacity": n}))
				}
				for range 4 {
					run.patients = append(run.patients, w.patient("Ali"))
				}
				for range rapid.IntRange(1, 12).Draw(t, "steps") {
					run.step()
				}
				w.agree()
			})
		})
	}
}

// sequence is one run of random steps.
type sequence struct {
	*world
	t         *rapid.T
	providers []string
	capacity  map[string]int
	patients  []string
	made      []string
}

func (s *sequence) step() {
	pick := func(name string, of []string) string { return rapid.SampledFrom(of).Draw(s.t, name) }
	quarter := rapid.IntRange(0, 11).Draw(s.t, "quarter")
	length := 15 * rapid.IntRange(1, 4).Draw(s.t, "length")
	from := time.Date(2026, 11, 29, 6, 0, 0, 0, time.UTC).Add(time.Duration(quarter) * 15 * time.Minute)
	to := from.Add(time.Duration(length) * time.Minute)
	patient, provider := pick("patient", s.patients), pick("provider", s.providers)
	kinds := []string{"api book", "fhir book", "fhir set"}
	if len(s.made) > 0 {
		kinds = append(kinds, "api move", "api cancel", "api status", "fhir update", "fhir patch", "fhir delete", "fhir swap")
	}
	id := ""
	if len(s.made) > 0 {
		id = pick("appointment", s.made)
	}
	var err error
	switch pick("step", kinds) {
	case "api book":
		body := booking(patient, provider, sunday, from.Add(2*time.Hour).Format("15:04"))
		body["duration"] = length
		if a := s.do("POST", "/api/v1/appointments", "receptionist", body); a.status == 201 {
			s.made = append(s.made, a.text("data.id"))
		} else if a.status != 409 {
			s.t.Fatalf("%d %s", a.status, a.raw)
		}
	case "fhir book":
		status := pick("status", []string{"booked", "pending", "proposed", "arrived", "cancelled", "fulfilled"})
		var v *record.Version
		if v, err = s.world.write("doctor", fhirAppointment(patient, provider, from.Format(time.RFC3339), to.Format(time.RFC3339), status)); err == nil {
			s.made = append(s.made, v.ID)
		}
	case "fhir set": // two at once, which may be in each other's way
		other := pick("other", s.patients)
		r, _ := fhir.ParseResource([]byte(fhirAppointment(other, provider, from.Format(time.RFC3339), to.Format(time.RFC3339), "booked")))
		var v *record.Version
		if v, err = s.world.write("doctor", fhirAppointment(patient, provider, from.Format(time.RFC3339), to.Format(time.RFC3339), "booked"),
			record.Change{Op: record.Create, Type: "Appointment", Resource: r}); err == nil {
			s.made = append(s.made, v.ID)
		}
	case "api move":
		a := s.do("PUT", "/api/v1/appointments/"+id, "receptionist", m{"appointmentDate": sunday, "appointmentTime": from.Add(2 * time.Hour).Format("15:04"), "duration": length, "providerId": provider})
		if a.status != 200 && a.status != 409 && a.status != 404 && a.status != 410 {
			s.t.Fatalf("%d %s", a.status, a.raw)
		}
	case "api cancel":
		s.do("DELETE", "/api/v1/appointments/"+id, "receptionist", nil)
	case "api status":
		s.do("PATCH", "/api/v1/appointments/"+id+"/status", "doctor", m{"status": pick("status", []string{"confirmed", "checked-in", "in-progress", "completed", "no-show"})})
	case "fhir update":
		status := pick("status", []string{"booked", "pending", "cancelled", "arrived", "entered-in-error"})
		text := strings.Replace(fhirAppointment(patient, provider, from.Format(time.RFC3339), to.Format(time.RFC3339), status), `{"resourceType"`, `{"id":"`+id+`","resourceType"`, 1)
		_, err = s.world.write("doctor", text)
	case "fhir patch":
		_, err = s.store.Write(s.as("doctor"), []record.Change{{Op: record.Patch, Type: "Appointment", ID: id, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
			for _, p := range flat.Items(r.Get("participant")) { // somebody's answer
				p.Set("status", fhir.NewString(pick("answer", []string{"accepted", "declined", "tentative"})))
			}
			return r, nil
		}}})
	case "fhir swap": // two change their times in one set
		other := pick("other", s.made)
		times := map[string][2]string{}
		for _, one := range []string{id, other} {
			if v, err := s.store.Read(system(), "Appointment", one); err == nil {
				r, _ := v.Resource()
				times[one] = [2]string{r.Str("start"), r.Str("end")}
			}
		}
		if len(times) < 2 {
			return
		}
		to := func(one, as string) record.Change {
			return record.Change{Op: record.Patch, Type: "Appointment", ID: one, Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
				r.Set("start", fhir.NewString(times[as][0]))
				r.Set("end", fhir.NewString(times[as][1]))
				return r, nil
			}}
		}
		_, err = s.store.Write(s.as("doctor"), []record.Change{to(id, other), to(other, id)})
	case "fhir delete":
		_, err = s.store.Write(s.as("admin"), []record.Change{{Op: record.Delete, Type: "Appointment", ID: id}})
	}
	if known := new(fault.Error); err != nil && !errors.As(err, &known) {
		s.t.Fatal(err)
	}
	for _, p := range s.providers {
		if most := interval.Most(s.taken(p), interval.Span{From: 0, To: 1 << 60}); most > s.capacity[p] {
			s.t.Fatalf("%d appointments at once, of %d", most, s.capacity[p])
		}
	}
}

// taken is the time that appointments take of a provider, as the ledger says; that it says what the documents say is demanded at the end.
func (s *sequence) taken(provider string) []interval.Span {
	num, _, err := s.store.Number(system(), "Practitioner", provider)
	if err != nil {
		s.t.Fatal(err)
	}
	var out []interval.Span
	err = s.store.Ledger().View(system(), 1, func(q sqldb.Querier) error {
		return sqldb.Each(system(), q, func(rows sqldb.Rows) error {
			var one interval.Span
			err := rows.Scan(&one.From, &one.To)
			out = append(out, one)
			return err
		}, "SELECT starts, ends FROM scheduling_claim WHERE tenant = 1 AND type = 'Practitioner' AND num = $1", num)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}
