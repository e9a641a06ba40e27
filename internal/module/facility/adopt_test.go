package facility_test

import (
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/module/facility"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// A database of before is taken as it stands: what cannot be true at once is kept as contested, and put right once it can be.
func TestRecordsOfBeforeAreAdopted(t *testing.T) {
	storetest.Each(t, tables(), func(t *testing.T, s *record.Store) {
		w := &world{t: t, store: s, ctx: t.Context()} // nobody governs yet
		w.house("w", 6)
		w.patients(4)
		w.write(put(bed(t, "w-5", "w", "O")), put(bed(t, "w-6", "w", "H")),
			put(lying(t, "a", "1", "in-progress", "w-1")), put(lying(t, "b", "2", "in-progress", "w-1")), put(lying(t, "c", "3", "in-progress", "w-2", "w-3")),
			put(lying(t, "d", "4", "finished", "w-4")))
		for _, migrated := range []struct {
			name string
			err  error
		}{{"job", s.Ledger().Migrate(t.Context(), job.Module, job.Migrations())}, {"facility", s.Ledger().Migrate(t.Context(), facility.Module, facility.Migrations())}} {
			if migrated.err != nil {
				t.Fatal(migrated.name, migrated.err)
			}
		}
		if err := s.Adopt(w.ctx, facility.Module, facility.Adopts(), facility.Adopt(s.Ledger())); err != nil {
			t.Fatal(err)
		}
		w = newWorld(t, s)
		w.holds("w-1", "occupied", "Patient/1")
		w.holds("w-2", "occupied", "Patient/3")
		w.holds("w-3", "available", "")
		w.holds("w-4", "available", "")
		w.holds("w-5", "out_of_service", "") // occupied by nobody knows whom
		w.holds("w-6", "cleaning", "")
		w.run(func() bool { return w.operational("w-1") == "O" && w.operational("w-2") == "O" })
		// Other members of the contested Encounter may be changed, and it gets the bed that becomes free.
		b := lying(t, "b", "2", "in-progress", "w-1")
		b.Set("identifier", res(t, `{"resourceType":"Basic","x":[{"value":"7"}]}`).Get("x").Clone())
		w.write(put(b))
		w.write(put(lying(t, "a", "1", "finished")))
		w.holds("w-1", "occupied", "Patient/2")
		if a := w.want(200, "nurse", "GET", "/api/v1/beds/board?facilityId=1", nil); !strings.Contains(string(a.raw), `"patientName":"Number 2 Patient"`) {
			t.Errorf("the board: %s", a.raw)
		}
	})
}
