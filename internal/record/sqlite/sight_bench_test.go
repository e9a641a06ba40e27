package sqlite_test

import (
	"testing"

	"github.com/nilecare/nilecare/internal/record/recordtest"
)

// BenchmarkSight reads and searches as the program itself, and as callers who see everything, or some of it.
func BenchmarkSight(b *testing.B) {
	recordtest.BenchmarkSight(b, recordtest.Harness{New: func(t testing.TB) recordtest.Place { return place(t, nil) }})
}
