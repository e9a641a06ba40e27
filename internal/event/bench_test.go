package event_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// arrivals measures how long an event takes from the moment that its commit is acknowledged.
func arrivals(b *testing.B, writer *world, came <-chan time.Time) {
	var took []time.Duration
	b.ResetTimer()
	for range b.N {
		writer.patient(1, "One")
		done := time.Now()
		took = append(took, (<-came).Sub(done))
		time.Sleep(5 * time.Millisecond) // one at a time, as on a quiet server
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}

func BenchmarkCommitToHandler(b *testing.B) {
	run := func(b *testing.B, s *record.Store) {
		w := worldOn(b, s)
		h := w.hub()
		came := make(chan time.Time, 1)
		h.Read("r", event.FromNow, func(context.Context, event.Event) error { came <- time.Now(); return nil })
		w.run(h)
		w.patient(1, "First")
		<-came
		arrivals(b, w, came)
	}
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b, record.Options{})) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.Postgres(b, record.Options{})) })
}

func BenchmarkCommitToAnotherProcess(b *testing.B) {
	url, dir := storetest.Database(b), b.TempDir()
	var ws []*world
	for range 2 {
		s, err := openAt(dir, url)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = s.Close() })
		ws = append(ws, &world{b, s, in(1)})
	}
	h := ws[0].hub()
	came := make(chan time.Time, 1)
	h.Tail(func(event.Event) { came <- time.Now() })
	ws[0].run(h)
	ws[1].patient(1, "First")
	<-came
	arrivals(b, ws[1], came)
}

// BenchmarkCatchUp reads what is there already: a durable reader that was sent to the beginning.
func BenchmarkCatchUp(b *testing.B) {
	run := func(b *testing.B, s *record.Store) {
		w := worldOn(b, s)
		const n = 5000
		for range n / 100 {
			var set []record.Change
			for range 100 {
				set = append(set, record.Change{Op: record.Create, Type: "Patient", Resource: resource(b, `{"resourceType":"Patient","name":[{"family":"Many"}]}`)})
			}
			if _, err := w.store.Write(w.ctx, set); err != nil {
				b.Fatal(err)
			}
		}
		b.ResetTimer()
		for range b.N {
			h := w.hub()
			left := n
			done := make(chan struct{})
			h.Read("r"+time.Now().String(), event.FromBeginning, func(context.Context, event.Event) error {
				if left--; left == 0 {
					close(done)
				}
				return nil
			})
			stop := w.run(h)
			<-done
			b.StopTimer()
			stop()
			b.StartTimer()
		}
		b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "events/s")
	}
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b, record.Options{})) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.Postgres(b, record.Options{})) })
}
