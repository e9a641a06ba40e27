package search

import (
	"math"
	"strings"
	"testing"
)

func TestParseNumberRange(t *testing.T) {
	for _, c := range []struct {
		in     string
		lo, hi float64 // hi: the open end
	}{
		{"100", 99.5, 100.5}, {"100.00", 99.995, 100.005}, {"1e2", 95, 105}, {"5.4", 5.35, 5.45}, {"-5.4", -5.45, -5.35},
		{"0", -.5, .5}, {"0.01e1", .05, .15}, {"1E-2", .0095, .0105}, {"12345678901234567890", 12345678901234567889.5, 12345678901234567890.5},
	} {
		v, lo, hi, ok := parseNumber(c.in)
		if !ok || lo != c.lo || hi != math.Nextafter(c.hi, math.Inf(-1)) && hi != v || v < lo || v > hi {
			t.Errorf("%s: %v in [%v, %v], %v", c.in, v, lo, hi, ok)
		}
	}
	for _, in := range []string{"", "-", "1.", ".5", "1e", "0x10", "1_0", "NaN", "Inf", "1e400", "1 ", "--1", strings.Repeat("1", 65)} {
		if _, _, _, ok := parseNumber(in); ok {
			t.Errorf("%q passed", in)
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, in := range []string{"", "19", "0000", "1970-1", "1970-00", "1970-02-29", "1970-01-32", "1970-01-01T", "1970-01-01T10", "1970-01-01T24:00",
		"1970-01-01T10:60", "1970-01-01T10:00:61", "1970-01-01T10:00:00.", "1970-01-01T10:00:00+1", "1970-01-01T10:00:00+15:00", "1970-01-01x", "1970x", "1970-01x"} {
		if _, _, ok := parseDate(in); ok {
			t.Errorf("%q passed", in)
		}
	}
	for _, c := range []struct {
		in     string
		lo, hi int64
	}{
		{"1970", 0, 365*day - 1}, {"1970-02", 31 * day, 59*day - 1}, {"1972-02-29", 789 * day, 790*day - 1},
		{"1970-01-01T00:01", minute, 2*minute - 1}, {"1970-01-01T00:00:01Z", second, 2*second - 1},
		{"1970-01-01T00:00:00.1234567Z", 123456, 123456}, {"1970-01-01T01:00:00-01:30", 150 * minute, 150*minute + second - 1},
		{"1970-01-01T02:00:00 02:00", 0, second - 1}, {"1969-12-31T23:59:60Z", 0, second - 1},
	} {
		lo, hi, ok := parseDate(c.in)
		if !ok || lo != c.lo || hi != c.hi {
			t.Errorf("%s: %d..%d %v", c.in, lo, hi, ok)
		}
	}
}
