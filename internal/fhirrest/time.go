package fhirrest

import (
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// instantFormat is how R4 writes an instant, in UTC with milliseconds.
const instantFormat = "2006-01-02T15:04:05.000Z"

func appendInstant(b []byte, t time.Time) []byte { return t.UTC().AppendFormat(b, instantFormat) }

func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

func parseHTTPDate(s string) (time.Time, error) { return http.ParseTime(s) }

// parseInstant reads the instant of a parameter such as _since. What leaves the point in time open (a day, a year, a time
// without zone) is Invalid. A "+" of the zone that was not escaped has become a space, and is understood.
func parseInstant(name, value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, withPlus(value))
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "%s is an instant, such as 2026-01-31T12:00:00Z", name).WithCode("value")
	}
	return t, nil
}

// withPlus gives the zone of a time its "+" back, which a query that did not escape it has turned into a space.
func withPlus(value string) string {
	if n := len(value); n > 6 && value[n-6] == ' ' {
		return value[:n-6] + "+" + value[n-5:]
	}
	return value
}

// partial are the dateTimes of R4 that leave the second open, and how long each lasts: years, months, days, time.
var partial = [...]struct {
	layout              string
	years, months, days int
	rest                time.Duration
}{
	{layout: "2006", years: 1},
	{layout: "2006-01", months: 1},
	{layout: "2006-01-02", days: 1},
	{layout: "2006-01-02T15:04", rest: time.Minute},
	{layout: "2006-01-02T15:04Z07:00", rest: time.Minute},
}

// parseMoment reads the dateTime of _at (R4 http.html#history): a point in time, end is zero then; or a period, such as a day,
// from start up to and not including end. What bears no zone is UTC.
func parseMoment(name, value string) (start, end time.Time, err error) {
	if start, err = parseInstant(name, value); err == nil {
		return start, end, nil
	}
	value = withPlus(value)
	for _, l := range partial {
		if t, err := time.Parse(l.layout, value); err == nil {
			return t, t.AddDate(l.years, l.months, l.days).Add(l.rest), nil
		}
	}
	if t, err := time.Parse("2006-01-02T15:04:05", value); err == nil {
		return t, end, nil
	}
	return start, end, fault.New(fault.Invalid, "%s is a time, a day, a month or a year, such as 2026-01-31T12:00:00Z or 2026-01", name).WithCode("value")
}
