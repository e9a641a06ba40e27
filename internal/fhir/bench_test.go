package fhir_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/internal/fhir"
)

// BenchmarkHostile reads what was made to be slow, in two sizes: the time a byte must not grow with the size.
func BenchmarkHostile(b *testing.B) {
	for name, of := range map[string]func(n int) string{
		"members": func(n int) string { return manyMembers(n, func(i int) string { return fmt.Sprint("member", i) }) },
		"long names": func(n int) string {
			return manyMembers(n/100, func(i int) string { return strings.Repeat("x", 990) + fmt.Sprint(i) })
		},
		"a repeat": func(n int) string {
			return manyMembers(n, func(i int) string { return fmt.Sprint("member", i%(n-1)) })
		},
		"objects of 24": func(n int) string {
			return "[" + strings.TrimSuffix(strings.Repeat(manyMembers(24, func(i int) string { return fmt.Sprint("m", i) })+",", n/24), ",") + "]"
		},
		"a string":  func(n int) string { return `"` + strings.Repeat("x", 12*n) + `"` },
		"escapes":   func(n int) string { return `"` + strings.Repeat(`\u00e9`, 2*n) + `"` },
		"an array":  func(n int) string { return "[" + strings.Repeat("1,", 6*n) + "1]" },
		"deep":      func(n int) string { return "[" + strings.Repeat(nested(90)+",", n/40) + "1]" },
		"too deep":  func(n int) string { return strings.Repeat("[", 12*n) },
		"backslash": func(n int) string { return `"` + strings.Repeat(`\\`, 6*n) },
	} {
		for _, n := range []int{1000, 100_000} {
			in := []byte(of(n))
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.SetBytes(int64(len(in)))
				b.ReportAllocs()
				for b.Loop() {
					_, _ = fhir.ParseAny(in)
				}
			})
		}
	}
}

// BenchmarkEqualLarge compares two objects of many members in opposite order.
func BenchmarkEqualLarge(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		x := parsed(b, manyMembers(n, func(i int) string { return fmt.Sprint("member", i) }))
		y := parsed(b, manyMembers(n, func(i int) string { return fmt.Sprint("member", n-1-i) }))
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if !x.Equal(y) {
					b.Fatal("not equal")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/member")
		})
	}
}
