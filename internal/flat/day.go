package flat

import (
	"sync"
	"time"
)

// DefaultZone is the zone that days are those of where nothing else is said: Africa/Khartoum.
var DefaultZone = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Africa/Khartoum")
	if err != nil {
		return time.FixedZone("CAT", 2*60*60) // as it has been there since November 2017
	}
	return zone
})

// Day is the day that t lies in, in the zone: from its beginning up to the beginning of the next, which is not in it.
func Day(t time.Time, zone *time.Location) (from, to time.Time) {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone), time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}

// At is a time as a search parameter's value, behind its prefix: "ge", "lt".
func At(prefix string, t time.Time) string { return prefix + t.UTC().Format("2006-01-02T15:04:05Z") }
