package validate

import (
	"strings"

	"github.com/nilecare/nilecare/internal/fhir"
)

// period checks that a Period does not start after its end (per-1), as far as both are written: "2012-05" to
// "2012-05-03" may stand.
func (v *validator) period(n *fhir.Node) {
	start, end := n.Str("start"), n.Str("end")
	if start != "" && end != "" && isDateTime(start) && isDateTime(end) && after(start, end) {
		v.fail(codeInvariant, "a period starts before it ends (per-1)")
	}
}

const (
	secondsADay = 24 * 60 * 60
	// zoneDoubt is how far apart two zones lie at most: from +14:00 to -12:00.
	zoneDoubt = 26 * 60 * 60
)

// after reports whether the dateTime a is later than b beyond doubt: the earliest that a can mean is later than the
// latest that b can mean. Dates beside dates are taken to be of one zone; a date beside a time is of an unknown one.
func after(a, b string) bool {
	timed := len(a) > len("YYYY-MM-DD")
	earliest, _ := span(a)
	_, latest := span(b)
	if timed != (len(b) > len("YYYY-MM-DD")) {
		latest += zoneDoubt
	} else if timed && earliest == latest {
		return fraction(a) > fraction(b)
	}
	return earliest > latest
}

// span returns the first and the last second, in UTC, of a dateTime that has been checked.
func span(s string) (first, last int64) {
	year, _ := number(s, 4)
	if len(s) == len("YYYY") {
		return dayNumber(year, 1, 1) * secondsADay, dayNumber(year+1, 1, 1)*secondsADay - 1
	}
	month, _ := number(s[5:], 2)
	if len(s) == len("YYYY-MM") {
		return dayNumber(year, month, 1) * secondsADay, (dayNumber(year, month, daysIn(year, month))+1)*secondsADay - 1
	}
	day, _ := number(s[8:], 2)
	midnight := dayNumber(year, month, day) * secondsADay
	if len(s) == len("YYYY-MM-DD") {
		return midnight, midnight + secondsADay - 1
	}
	h, _ := number(s[11:], 2)
	m, _ := number(s[14:], 2)
	sec, _ := number(s[17:], 2)
	at := midnight + int64(h*3600+m*60+sec) - zoneOffset(s)
	return at, at
}

// zoneOffset returns the seconds that the zone of a dateTime with a time is ahead of UTC.
func zoneOffset(s string) int64 {
	zone := s[len(s)-len("+hh:mm"):]
	if s[len(s)-1] == 'Z' {
		return 0
	}
	h, _ := number(zone[1:], 2)
	m, _ := number(zone[4:], 2)
	offset := int64(h*3600 + m*60)
	if zone[0] == '-' {
		return -offset
	}
	return offset
}

// fraction returns the digits of the fraction of a second, without the zeros at their end: such digits compare as text.
func fraction(s string) string {
	_, rest, _ := strings.Cut(s, ".")
	i := 0
	for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
		i++
	}
	return strings.TrimRight(rest[:i], "0")
}

// dayNumber counts days from the beginning of the Gregorian calendar.
func dayNumber(year, month, day int) int64 {
	// The year is counted from March, so that the leap day is its last.
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day)
}
