package interval

import "time"

// Date is a day of the calendar, wherever.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// DateOf is the day that a clock in t's zone shows.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

// ParseDate reads "2026-01-31"; false where it is none.
func ParseDate(s string) (Date, bool) {
	t, err := time.Parse(time.DateOnly, s)
	return DateOf(t), err == nil
}

func (d Date) utc() time.Time { return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC) }

// String is "2026-01-31".
func (d Date) String() string { return d.utc().Format(time.DateOnly) }

// Add is the day n days later.
func (d Date) Add(n int) Date { return DateOf(d.utc().AddDate(0, 0, n)) }

// Days is how many days from d to o; negative where o is before.
func (d Date) Days(o Date) int { return int(o.utc().Sub(d.utc()).Hours() / 24) }

// Before reports that d is before o.
func (d Date) Before(o Date) bool { return d.utc().Before(o.utc()) }

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday { return d.utc().Weekday() }

// farthest bounds how far a zone's clocks are from UTC.
const farthest = 26 * time.Hour

// Wall is the instants at which a clock in the zone shows a time of the day from from up to, not including, to. Times are offsets from midnight on the wall;
// to may be more than 24 hours, for what ends on the next day.
func Wall(d Date, from, to time.Duration, zone *time.Location) Set {
	midnight := d.utc()
	var spans []Span
	end := midnight.Add(max(to, 24*time.Hour) + farthest)
	for at := midnight.Add(-farthest); at.Before(end); {
		local := at.In(zone)
		_, offset := local.Zone()
		begin, until := local.ZoneBounds() // between these the clocks run on evenly
		shift := time.Duration(offset) * time.Second
		span := Span{midnight.Add(from - shift).UnixMicro(), midnight.Add(to - shift).UnixMicro()}
		if !begin.IsZero() {
			span.From = max(span.From, begin.UnixMicro())
		}
		if !until.IsZero() {
			span.To = min(span.To, until.UnixMicro())
		}
		spans = append(spans, span)
		if until.IsZero() {
			break
		}
		at = until
	}
	return Of(spans...)
}

// Day is all instants of the day in the zone.
func Day(d Date, zone *time.Location) Set { return Wall(d, 0, 24*time.Hour, zone) }
