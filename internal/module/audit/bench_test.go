package audit_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// BenchmarkNote is what an entry of a read costs, from noting it to its place in the database; blocks are not made meanwhile.
func BenchmarkNote(b *testing.B) {
	for name, open := range map[string]func(testing.TB, record.Options) *record.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			w := begin(b, open(b, record.Options{}), ledger.Options{})
			b.ResetTimer()
			w.acts(b.N)
			w.flush()
			b.StopTimer()
		})
	}
}

// BenchmarkVerify verifies a chain of a million entries (NILECARE_AUDIT_ENTRIES: as many), in the database and as a file.
func BenchmarkVerify(b *testing.B) {
	n := 1_000_000
	if v, err := strconv.Atoi(os.Getenv("NILECARE_AUDIT_ENTRIES")); err == nil {
		n = v
	}
	for name, open := range map[string]func(testing.TB, record.Options) *record.Store{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			w := begin(b, open(b, record.Options{}), ledger.Options{AnchorBlocks: 1})
			start := time.Now()
			w.acts(n)
			w.flush()
			b.Logf("%d entries written and sealed in %s", n, time.Since(start).Round(time.Millisecond))
			b.Run("database", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if r := w.whole(); r.Entries != int64(n) {
						b.Fatal(r.Entries)
					}
				}
			})
			var file bytes.Buffer
			if err := ledger.ExportTo(ctx, w.ledger, 1, nil, time.Now(), &file); err != nil {
				b.Fatal(err)
			}
			b.Run("file", func(b *testing.B) {
				for b.Loop() {
					if r, err := ledger.VerifyFile(ctx, bytes.NewReader(file.Bytes()), nil); err != nil || !r.OK() {
						b.Fatal(err, r.Problems)
					}
				}
			})
		})
	}
}
