package facility_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/storetest"
)

// try puts patient k into the bed: through the product API, or by a transaction of the FHIR API's. It returns "" where that worked, else the refusal.
func (w *world) try(k int, bed string) string {
	if k%2 == 0 {
		a := w.do("nurse", "POST", "/api/v1/beds/"+bed+"/assign", m{"patientId": fmt.Sprint(k + 1)})
		if a.status == 200 {
			return ""
		}
		return fmt.Sprintf("%d %s", a.status, a.raw)
	}
	_, err := w.store.Write(w.ctx, []record.Change{
		put(res(w.t, `{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"weight"},"subject":{"reference":"Patient/%d"}}`, k, k+1)),
		put(lying(w.t, fmt.Sprintf("e%d", k), fmt.Sprint(k+1), "in-progress", bed)),
	})
	var f *fault.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f) && f.Kind == fault.Conflict:
		return "409 " + f.Issues[0].Code + " " + f.Error()
	}
	return err.Error()
}

// consistent fails where the ledger is not what the Encounters say, or says what may not be.
func (w *world) consistent() map[string]string {
	w.t.Helper()
	lies := map[string]map[string]bool{} // bed: patients
	has := map[string]map[string]bool{}  // patient: beds
	beds := w.beds()
	if err := w.store.Export(w.ctx, []string{"Encounter"}, func(v *record.Version) error {
		r, err := v.Resource()
		if err != nil {
			return err
		}
		if s := r.Str("status"); s != "arrived" && s != "triaged" && s != "in-progress" && s != "onleave" {
			return nil
		}
		for l := r.Get("location").First(); l != nil; l = l.Next() {
			id := strings.TrimPrefix(l.Get("location").Str("reference"), "Location/")
			if _, isBed := beds[id]; l.Str("status") != "active" || !isBed {
				continue
			}
			patient := r.Get("subject").Str("reference")
			for _, one := range []struct {
				m    map[string]map[string]bool
				k, v string
			}{{lies, id, patient}, {has, patient, id}} {
				if one.m[one.k] == nil {
					one.m[one.k] = map[string]bool{}
				}
				one.m[one.k][one.v] = true
			}
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	for who, where := range has {
		if len(where) > 1 {
			w.t.Errorf("%s lies in %v", who, slices.Sorted(maps.Keys(where)))
		}
	}
	out := map[string]string{}
	for id, b := range beds {
		who := slices.Sorted(maps.Keys(lies[id]))
		switch {
		case len(who) > 1:
			w.t.Errorf("in %s lie %v", id, who)
		case len(who) == 1 && b != [2]string{"occupied", who[0]}:
			w.t.Errorf("%s is %v, and %s lies there", id, b, who[0])
		case len(who) == 0 && (b[0] == "occupied" || b[1] != ""):
			w.t.Errorf("%s is %v, and nobody lies there", id, b)
		case len(who) == 1:
			out[id] = who[0]
		}
	}
	return out
}

const (
	racers = 200
	free   = 18
)

// race has 200 patients want 18 beds, through worlds in turn, and fails unless 18 of them get one.
func race(t *testing.T, worlds ...*world) {
	t.Helper()
	w := worlds[0]
	w.house("w", free)
	w.patients(racers)
	var mu sync.Mutex
	var wg sync.WaitGroup
	won, lost, named := 0, 0, 0
	start := make(chan struct{})
	for k := range racers {
		wg.Go(func() {
			<-start
			why := worlds[k/2%len(worlds)].try(k, fmt.Sprintf("w-%d", k%free+1))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case why == "":
				won++
			case strings.HasPrefix(why, "409 ") && strings.Contains(why, "BED_OCCUPIED"):
				lost++
				if strings.Contains(why, "free in its ward: w-") || strings.Contains(why, "no bed of its ward is free") {
					named++
				}
			default:
				t.Errorf("patient %d: %s", k+1, why)
			}
		})
	}
	close(start)
	wg.Wait()
	if won != free || lost != racers-free || named != lost {
		t.Errorf("%d got a bed, %d were refused, %d of them with the free beds", won, lost, named)
	}
	if got := w.consistent(); len(got) != free {
		t.Errorf("%d beds are occupied", len(got))
	}
}

// Two hundred want eighteen beds, half of them through the product API and half by transactions.
func TestTwoHundredPatientsRaceForEighteenBeds(t *testing.T) {
	each(t, func(t *testing.T, w *world) { race(t, w) })
}

// The same with two processes on one database.
func TestTwoProcessesRaceForBedsOnOnePostgres(t *testing.T) {
	race(t, twoWorlds(t)...)
}

// twoWorlds are two processes, as far as the database can tell: engines, stores and services of their own.
func twoWorlds(t *testing.T) []*world {
	t.Helper()
	url := storetest.Database(t)
	root, err := seal.FileRoot(t.TempDir()+"/root.key", true)
	if err != nil {
		t.Fatal(err)
	}
	var worlds []*world
	for range 2 {
		e, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		o := tables()
		o.Root = root
		s, err := record.New(t.Context(), e, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		worlds = append(worlds, newWorld(t, s))
	}
	return worlds
}

// One patient is put into many beds at once: one of them has him.
func TestOnePatientGetsOneBedOfMany(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const many = 40
		w.house("w", many)
		w.patients(1)
		var mu sync.Mutex
		var wg sync.WaitGroup
		won := 0
		for k := range many {
			wg.Go(func() {
				var why string
				if k%2 == 0 {
					a := w.do("nurse", "POST", fmt.Sprintf("/api/v1/beds/w-%d/assign", k+1), m{"patientId": "1"})
					if why = string(a.raw); a.status == 200 {
						why = ""
					}
				} else if _, err := w.store.Write(w.ctx, []record.Change{put(lying(t, fmt.Sprintf("e%d", k), "1", "in-progress", fmt.Sprintf("w-%d", k+1)))}); err != nil {
					why = codeOf(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if why == "" {
					won++
				} else if !strings.Contains(why, "PATIENT_HAS_BED") {
					t.Errorf("bed %d: %s", k+1, why)
				}
			})
		}
		wg.Wait()
		if got := w.consistent(); won != 1 || len(got) != 1 {
			t.Errorf("%d times assigned, %v", won, got)
		}
	})
}
