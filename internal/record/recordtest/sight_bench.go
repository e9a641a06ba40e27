package recordtest

import (
	"context"
	"testing"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/record"
)

// BenchmarkSight reads and searches as the program itself, as a caller who sees everything, and as one who sees a patient's own.
func BenchmarkSight(b *testing.B, h Harness) {
	s := setUp(b, h, record.Options{})
	loadHospital(s, 20)
	patients, err := s.all(query(b, "Patient", "_count", "20"))
	if err != nil || len(patients) == 0 {
		b.Fatal(err)
	}
	id := patients[0].ID
	for _, c := range []struct {
		name string
		ctx  context.Context
	}{
		{"program", access.With(context.Background(), access.System(1))}, {"all", as(decision{read: everyType})}, {"own", as(ofPatient(b, id))},
	} {
		b.Run("search/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.store.Search(c.ctx, query(b, "Observation", "patient", id, "_count", "10")); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read/"+c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.store.Read(c.ctx, "Patient", id); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
