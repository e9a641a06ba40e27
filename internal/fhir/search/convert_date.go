package search

import (
	"math"
	"time"

	"github.com/nilecare/nilecare/internal/fhir"
)

var dateConverters = map[string]converter{
	"date": putDate, "dateTime": putDate, "instant": putDate, "Period": putPeriod, "Timing": putTiming,
}

func putDate(x *extractor, a *Atom, n *fhir.Node) {
	if n.Kind != fhir.String {
		return
	}
	if lo, hi, ok := parseDate(n.Text); ok {
		x.vals.Date = append(x.vals.Date, DateRow{a.ID, lo, hi})
	}
}

// period returns the ends of a Period; ok is false where it has none.
func period(n *fhir.Node) (lo, hi int64, ok bool) {
	lo, hi = math.MinInt64, math.MaxInt64
	if l, _, is := parseDate(n.Str("start")); is {
		lo, ok = l, true
	}
	if _, h, is := parseDate(n.Str("end")); is {
		hi, ok = h, true
	}
	return lo, hi, ok
}

func putPeriod(x *extractor, a *Atom, n *fhir.Node) {
	if lo, hi, ok := period(n); ok {
		x.vals.Date = append(x.vals.Date, DateRow{a.ID, lo, hi})
	}
}

// putTiming indexes the outer limits of a Timing (R4 search.html#date): its events and repeat.boundsPeriod.
func putTiming(x *extractor, a *Atom, n *fhir.Node) {
	lo, hi, found := int64(math.MaxInt64), int64(math.MinInt64), false
	for c := n.Get("event").First(); c != nil; c = c.Next() {
		if l, h, ok := parseDate(c.Text); ok {
			lo, hi, found = min(lo, l), max(hi, h), true
		}
	}
	if l, h, ok := period(n.Get("repeat").Get("boundsPeriod")); ok {
		lo, hi, found = min(lo, l), max(hi, h), true
	}
	if found {
		x.vals.Date = append(x.vals.Date, DateRow{a.ID, lo, hi})
	}
}

const (
	microsecond = int64(1)
	second      = 1_000_000 * microsecond
	minute      = 60 * second
	day         = 24 * 60 * minute
)

// DateSpan returns the span that a date or dateTime of FHIR names, both ends included, in microseconds since 1970; false where it is none.
func DateSpan(s string) (lo, hi int64, ok bool) { return parseDate(s) }

// parseDate reads a FHIR date, dateTime or instant, and what a search may also say (minutes without seconds), as the span
// of time that it names: microseconds since 1970 UTC, both ends included. A time without zone is UTC.
func parseDate(s string) (lo, hi int64, ok bool) {
	year, rest, ok := digits(s, 4)
	if !ok || year == 0 {
		return 0, 0, false
	}
	var month, mday int
	switch {
	case rest == "":
		return span(year, 1, 1, year+1, 1, 1)
	case rest[0] != '-':
		return 0, 0, false
	}
	if month, rest, ok = digits(rest[1:], 2); !ok || month < 1 || month > 12 {
		return 0, 0, false
	}
	switch {
	case rest == "":
		return span(year, month, 1, year, month+1, 1)
	case rest[0] != '-':
		return 0, 0, false
	}
	if mday, rest, ok = digits(rest[1:], 2); !ok || mday < 1 || mday > daysIn(year, month) {
		return 0, 0, false
	}
	lo = micros(year, month, mday)
	if rest == "" {
		return lo, lo + day - 1, true
	}
	if rest[0] != 'T' {
		return 0, 0, false
	}
	at, width, ok := parseTime(rest[1:])
	return lo + at, lo + at + width - 1, ok
}

func span(y1, m1, d1, y2, m2, d2 int) (lo, hi int64, ok bool) {
	return micros(y1, m1, d1), micros(y2, m2, d2) - 1, true
}

func micros(year, month, mday int) int64 {
	return time.Date(year, time.Month(month), mday, 0, 0, 0, 0, time.UTC).UnixMicro()
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// digits reads exactly n decimal digits.
func digits(s string, n int) (v int, rest string, ok bool) {
	if len(s) < n {
		return 0, "", false
	}
	for i := 0; i < n; i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, "", false
		}
		v = v*10 + int(s[i]-'0')
	}
	return v, s[n:], true
}

// parseTime reads hh:mm[:ss[.fff]] and an optional zone: the offset from the day's start in UTC, and how long the named
// span is.
func parseTime(s string) (at, width int64, ok bool) {
	hour, rest, ok := digits(s, 2)
	if !ok || hour > 23 || rest == "" || rest[0] != ':' {
		return 0, 0, false
	}
	mins, rest, ok := digits(rest[1:], 2)
	if !ok || mins > 59 {
		return 0, 0, false
	}
	at, width = int64(hour*60+mins)*minute, minute
	if rest != "" && rest[0] == ':' {
		var sec int
		if sec, rest, ok = digits(rest[1:], 2); !ok || sec > 60 {
			return 0, 0, false
		}
		at, width = at+int64(sec)*second, second
		if rest != "" && rest[0] == '.' {
			i := 1
			for ; i < len(rest) && rest[i] >= '0' && rest[i] <= '9'; i++ {
				if width > 1 {
					width /= 10
					at += int64(rest[i]-'0') * width
				}
			}
			if i == 1 {
				return 0, 0, false
			}
			rest = rest[i:]
		}
	}
	offset, ok := parseZone(rest)
	return at - offset, width, ok
}

func parseZone(s string) (offset int64, ok bool) {
	switch {
	case s == "", s == "Z":
		return 0, true
	// A '+' in a query string that nobody escaped arrives as a space.
	case len(s) != 6 || s[0] != '+' && s[0] != '-' && s[0] != ' ' || s[3] != ':':
		return 0, false
	}
	hour, _, ok := digits(s[1:3], 2)
	mins, _, ok2 := digits(s[4:], 2)
	if !ok || !ok2 || hour > 14 || mins > 59 {
		return 0, false
	}
	offset = int64(hour*60+mins) * minute
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}
