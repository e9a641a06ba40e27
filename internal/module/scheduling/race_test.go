package scheduling_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/storetest"
)

// The race: many clients want the same day of one provider, half of them through each door.
const (
	racers   = 200
	ofTheDay = 18
)

// race has the clients run against the worlds in turn, which stand on one database, and demands that each time of the day is booked once, and that
// each loser is told of times that are free, or that none is.
func race(t *testing.T, worlds ...*world) {
	w := worlds[0]
	doctor := w.provider("Osman")
	patients := make([]string, racers)
	for i := range patients {
		patients[i] = w.patient(fmt.Sprintf("Racer%d", i))
	}
	var won, lost atomic.Int64
	var wait sync.WaitGroup
	begin := make(chan struct{})
	for i := range racers {
		at := 8*60 + 30*(i%ofTheDay)
		clock := fmt.Sprintf("%02d:%02d", at/60, at%60)
		w, api := worlds[i%len(worlds)], i/len(worlds)%2 == 0
		wait.Go(func() {
			<-begin
			told := ""
			if api {
				a := w.do("POST", "/api/v1/appointments", "receptionist", booking(patients[i], doctor, sunday, clock))
				if a.status == http.StatusCreated {
					won.Add(1)
					return
				}
				if a.status != http.StatusConflict || a.text("error.code") != "APPOINTMENT_CONFLICT" {
					t.Errorf("%d %s", a.status, a.raw)
				}
				told = a.text("error.message")
			} else {
				start, end := sunday+"T"+clock+":00+02:00", fmt.Sprintf("%sT%02d:%02d:00+02:00", sunday, (at+30)/60, (at+30)%60)
				_, err := w.write("doctor", fhirAppointment(patients[i], doctor, start, end, "booked"))
				if err == nil {
					won.Add(1)
					return
				}
				if !fault.Is(err, fault.Conflict) {
					t.Error(err)
					return
				}
				told = err.Error()
			}
			lost.Add(1)
			if !strings.Contains(told, "free on 2026-11-29") && !strings.Contains(told, "free on 2026-11-30") {
				t.Errorf("the loser is not told what is free: %s", told)
			}
		})
	}
	close(begin)
	wait.Wait()
	if won.Load() != ofTheDay || lost.Load() != racers-ofTheDay {
		t.Errorf("%d won and %d lost", won.Load(), lost.Load())
	}
	if free := w.free(doctor, sunday); len(free) != 0 {
		t.Errorf("still free: %v", free)
	}
	starts := map[string]bool{}
	for _, a := range w.appointments(doctor) {
		if starts[a.start] {
			t.Errorf("%s is booked twice", a.start)
		}
		starts[a.start] = true
	}
	if len(starts) != ofTheDay {
		t.Errorf("%d times are booked", len(starts))
	}
	w.agree()
}

func TestTwoHundredClientsRaceForTheSlotsOfADay(t *testing.T) {
	each(t, func(t *testing.T, w *world) { race(t, w) })
}

func TestTwoProcessesOnOneDatabaseRaceForTheSlotsOfADay(t *testing.T) {
	url, h := storetest.Database(t), newHand()
	root, err := seal.FileRoot(filepath.Join(t.TempDir(), "root.key"), true)
	if err != nil {
		t.Fatal(err)
	}
	var worlds []*world
	for range 2 {
		e, err := postgres.Open(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		o := options(h)
		o.Root = root
		s, err := record.New(context.Background(), e, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		worlds = append(worlds, newWorld(t, s, h))
	}
	race(t, worlds...)
}

// booked is an Appointment as the record has it.
type booked struct{ id, status, start, end string }

// appointments are those of a provider that hold time, read as the program.
func (w *world) appointments(provider string) []booked {
	w.t.Helper()
	var out []booked
	err := w.store.Export(system(), []string{"Appointment"}, func(v *record.Version) error {
		var a struct {
			Status, Start, End string
			Participant        []struct {
				Status string
				Actor  struct{ Reference string }
			}
		}
		if err := json.Unmarshal(v.JSON(), &a); err != nil {
			return err
		}
		for _, p := range a.Participant {
			if p.Actor.Reference == "Practitioner/"+provider && p.Status != "declined" && holding[a.Status] {
				out = append(out, booked{v.ID, a.Status, a.Start, a.End})
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// holding are the statuses of FHIR that hold time.
var holding = map[string]bool{"pending": true, "booked": true, "arrived": true, "checked-in": true}
