package facility_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// Whatever is done through either door, in any order, the ledger is what the Encounters say: one patient a bed, one bed a patient.
func TestTheLedgerIsWhatTheEncountersSay(t *testing.T) {
	laws(t, newWorld(t, storetest.SQLite(t, tables())))
}

func TestTheLedgerIsWhatTheEncountersSayOnPostgres(t *testing.T) {
	laws(t, newWorld(t, storetest.Postgres(t, tables())))
}

func laws(t *testing.T, w *world) {
	t.Helper()
	const patients, beds, encounters = 4, 4, 4
	w.house("w", beds)
	w.patients(patients)
	rapid.Check(t, func(rt *rapid.T) {
		bedID := rapid.Custom(func(rt *rapid.T) string { return fmt.Sprintf("w-%d", rapid.IntRange(1, beds).Draw(rt, "n")) })
		anywhere := rapid.Custom(func(rt *rapid.T) string {
			return rapid.SampledFrom([]string{"w", bedID.Draw(rt, "bed"), bedID.Draw(rt, "bed")}).Draw(rt, "place")
		})
		patient := rapid.Custom(func(rt *rapid.T) string { return fmt.Sprint(rapid.IntRange(1, patients).Draw(rt, "p")) })
		encounter := rapid.Custom(func(rt *rapid.T) string { return fmt.Sprintf("e%d", rapid.IntRange(1, encounters).Draw(rt, "e")) })
		status := rapid.SampledFrom([]string{"planned", "arrived", "in-progress", "in-progress", "onleave", "finished", "cancelled", "entered-in-error"})
		call := func(path string, body any) {
			if a := w.do("nurse", "POST", path, body); a.status >= 500 {
				rt.Fatalf("%s: %d %s", path, a.status, a.raw)
			}
		}
		write := func(changes ...record.Change) {
			_, err := w.store.Write(w.ctx, changes)
			var f *fault.Error
			if err != nil && (!errors.As(err, &f) || f.Kind == fault.Internal) {
				rt.Fatal(err)
			}
		}
		one := func(rt *rapid.T) record.Change {
			return put(lying(w.t, encounter.Draw(rt, "e"), patient.Draw(rt, "p"), status.Draw(rt, "status"), rapid.SliceOfN(anywhere, 0, 2).Draw(rt, "beds")...))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"assign": func(rt *rapid.T) {
				call("/api/v1/beds/"+bedID.Draw(rt, "bed")+"/assign", m{"patientId": patient.Draw(rt, "p")})
			},
			"release": func(rt *rapid.T) { call("/api/v1/beds/"+bedID.Draw(rt, "bed")+"/release", m{}) },
			"transfer": func(rt *rapid.T) {
				call("/api/v1/beds/"+bedID.Draw(rt, "from")+"/transfer", m{"toBedId": bedID.Draw(rt, "to")})
			},
			"reserve": func(rt *rapid.T) {
				call("/api/v1/beds/"+bedID.Draw(rt, "bed")+"/reserve", m{"patientId": patient.Draw(rt, "p")})
			},
			"clean": func(rt *rapid.T) {
				a := w.do("nurse", "PUT", "/api/v1/beds/"+bedID.Draw(rt, "bed")+"/status", m{"status": rapid.SampledFrom([]string{"available", "available", "maintenance", "cleaning"}).Draw(rt, "s")})
				if a.status >= 500 {
					rt.Fatalf("status: %s", a.raw)
				}
			},
			"put": func(rt *rapid.T) { write(one(rt)) },
			"set": func(rt *rapid.T) { write(one(rt), one(rt)) },
			"patch": func(rt *rapid.T) {
				to := status.Draw(rt, "status")
				write(record.Change{Op: record.Patch, Type: "Encounter", ID: encounter.Draw(rt, "e"), Apply: func(r *fhir.Resource) (*fhir.Resource, error) { return r, flat.Set(r.Node, "status", to) }})
			},
			"merge": func(rt *rapid.T) {
				to := "Patient/" + patient.Draw(rt, "p")
				write(record.Change{Op: record.Patch, Type: "Encounter", ID: encounter.Draw(rt, "e"), Apply: func(r *fhir.Resource) (*fhir.Resource, error) {
					return r, flat.Set(r.Get("subject"), "reference", to)
				}})
			},
			"delete": func(rt *rapid.T) {
				write(record.Change{Op: record.Delete, Type: "Encounter", ID: encounter.Draw(rt, "e")})
			},
			"location": func(rt *rapid.T) {
				write(put(bed(w.t, bedID.Draw(rt, "bed"), "w", rapid.SampledFrom([]string{"U", "O", "H", "C", "I"}).Draw(rt, "s"))))
			},
			"no bed": func(rt *rapid.T) {
				write(put(place(w.t, bedID.Draw(rt, "bed"), rapid.SampledFrom([]string{"ro", "bd"}).Draw(rt, "kind"), "w", "2")))
			},
			"": func(*rapid.T) { w.consistent() },
		})
	})
}
