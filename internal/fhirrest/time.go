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
	if n := len(value); n > 6 && value[n-6] == ' ' {
		value = value[:n-6] + "+" + value[n-5:]
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "%s is an instant, such as 2026-01-31T12:00:00Z", name).WithCode("value")
	}
	return t, nil
}
