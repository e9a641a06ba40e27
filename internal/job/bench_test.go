package job_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// BenchmarkJobs does jobs that wait, each with one row in its own transaction.
func BenchmarkJobs(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, parallel := range []int{4, 16} {
			b.Run(fmt.Sprintf("%s/parallel=%d", engine, parallel), func(b *testing.B) {
				open := storetest.SQLite
				if engine == "postgres" {
					open = storetest.Postgres
				}
				s := open(b, record.Options{})
				if err := migrate(s.Ledger()); err != nil {
					b.Fatal(err)
				}
				w := &world{t: b, store: s, l: s.Ledger(), clock: newHand()}
				for i := range b.N {
					w.put(1, "bench", fmt.Sprint(i), time.Time{}, "")
				}
				w.clock.add(time.Minute)
				r := w.runner()
				r.Handle("bench", job.Handler{Parallel: parallel, Within: effect})
				b.ResetTimer()
				w.run(r)
				w.until("all are done", func() bool { return w.count(1, job.Done) == int64(b.N) })
			})
		}
	}
}
