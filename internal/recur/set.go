package recur

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// Set is all that recurs: a start, rules, and single times that are added or left out.
type Set struct {
	Start   time.Time      // the wall clock of the first time, told as if it were UTC
	Zone    *time.Location // nil: UTC
	Rules   []*Rule
	Added   []time.Time // RDATE, instants
	Left    []time.Time // EXDATE, instants
	LeftOut []time.Time // EXDATE of whole days: dates in the zone, told as midnight UTC
}

// Instant is when the wall clock of the zone shows the time, which is told as if it were UTC. A time that the clocks skip is taken by the offset from before
// the gap, one that comes twice is the first.
func Instant(wall time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	// A day to either side of the time, taken for UTC, lies before and behind any change of the clocks near it.
	var best time.Time
	for _, near := range []time.Duration{-24 * time.Hour, 0, 24 * time.Hour} {
		_, offset := wall.Add(near).In(zone).Zone()
		t := wall.Add(-time.Duration(offset) * time.Second)
		if wallOf(t, zone).Equal(wall) && (best.IsZero() || t.Before(best)) {
			best = t
		}
	}
	if best.IsZero() {
		_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
		best = wall.Add(-time.Duration(before) * time.Second)
	}
	return best.In(zone)
}

// wallOf is what the zone's clock shows at the instant, told as if it were UTC.
func wallOf(t time.Time, zone *time.Location) time.Time {
	l := t.In(zone)
	return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), l.Second(), l.Nanosecond(), time.UTC)
}

// Wall is what the zone's clock shows at the instant, told as if it were UTC.
func Wall(t time.Time, zone *time.Location) time.Time {
	if zone == nil {
		zone = time.UTC
	}
	return wallOf(t, zone)
}

// instants yields the instants of one rule, in order, within its count and end. Wall-clock times of a gap can fall on the same instant: it comes once.
func (s *Set) instants(r *Rule) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		var last time.Time
		n := 0
		for w := range expand(r, s.Start).walls() {
			t := Instant(w, s.Zone)
			if !r.Until.IsZero() && (r.UntilLocal && w.After(r.Until) || !r.UntilLocal && t.After(r.Until)) {
				return
			}
			if n++; r.Count > 0 && n > r.Count {
				return
			}
			if !last.IsZero() && !t.After(last) {
				continue
			}
			last = t
			if !yield(t) {
				return
			}
		}
	}
}

// All yields every occurrence, in order: what the rules give and RDATE adds, each once, without what EXDATE names. A set without a rule has its start.
func (s *Set) All() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		added := slices.Clone(s.Added)
		if len(s.Rules) == 0 {
			added = append(added, Instant(s.Start, s.Zone))
		}
		slices.SortFunc(added, time.Time.Compare)
		var next []func() (time.Time, bool)
		for _, r := range s.Rules {
			pull, stop := iter.Pull(s.instants(r))
			defer stop()
			next = append(next, pull)
		}
		next = append(next, func() (time.Time, bool) {
			if len(added) == 0 {
				return time.Time{}, false
			}
			t := added[0]
			added = added[1:]
			return t, true
		})
		s.merge(next, yield)
	}
}

func (s *Set) merge(next []func() (time.Time, bool), yield func(time.Time) bool) {
	heads := make([]*time.Time, len(next))
	pull := func(i int) {
		heads[i] = nil
		if t, ok := next[i](); ok {
			heads[i] = &t
		}
	}
	for i := range next {
		pull(i)
	}
	for {
		var least *time.Time
		for _, h := range heads {
			if h != nil && (least == nil || h.Before(*least)) {
				least = h
			}
		}
		if least == nil {
			return
		}
		t := *least
		for i, h := range heads {
			for h != nil && h.Equal(t) {
				pull(i)
				h = heads[i]
			}
		}
		if !s.left(t) && !yield(t) {
			return
		}
	}
}

func (s *Set) left(t time.Time) bool {
	if slices.ContainsFunc(s.Left, t.Equal) {
		return true
	}
	if len(s.LeftOut) == 0 {
		return false
	}
	day := dayOf(Wall(t, s.Zone))
	return slices.ContainsFunc(s.LeftOut, day.Equal)
}

// Between returns the occurrences from, up to and not including to, at most limit.
func (s *Set) Between(from, to time.Time, limit int) []time.Time {
	var out []time.Time
	for t := range s.All() {
		if !t.Before(to) || len(out) >= limit {
			break
		}
		if !t.Before(from) {
			out = append(out, t)
		}
	}
	return out
}

// Parse reads the lines of an iCalendar component that say when it recurs: DTSTART (with TZID, in UTC, or floating in the zone given), RRULE, RDATE and EXDATE.
// Other lines are refused.
func Parse(text string, zone *time.Location) (*Set, error) {
	s := &Set{Zone: zone}
	started := false
	for line := range strings.Lines(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n ", "")) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		head, value, ok := strings.Cut(line, ":")
		name, params, _ := strings.Cut(head, ";")
		if !ok {
			return nil, fault.At(fault.Invalid, "recurrence", "each line is NAME:VALUE")
		}
		var err error
		switch strings.ToUpper(name) {
		case "DTSTART":
			started = true
			err = s.start(params, value)
		case "RRULE":
			var r *Rule
			if r, err = ParseRule(value); err == nil {
				s.Rules = append(s.Rules, r)
			}
		case "RDATE":
			s.Added, _, err = s.times(params, value, s.Added, nil)
		case "EXDATE":
			s.Left, s.LeftOut, err = s.times(params, value, s.Left, s.LeftOut)
		default:
			err = fault.At(fault.Invalid, "recurrence", "%.16s does not say when something recurs", name)
		}
		if err != nil {
			return nil, err
		}
	}
	if !started {
		return nil, fault.At(fault.Invalid, "recurrence", "DTSTART is missing")
	}
	return s, nil
}

// zoneOf reads TZID.
func zoneOf(params string, otherwise *time.Location) (*time.Location, error) {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(name, "TZID") {
			continue
		}
		zone, err := time.LoadLocation(strings.Trim(value, `"`))
		if err != nil || value == "" || value == "Local" {
			return nil, fault.At(fault.Invalid, "recurrence", "TZID names no time zone that is known")
		}
		return zone, nil
	}
	return otherwise, nil
}

func (s *Set) start(params, value string) (err error) {
	if s.Zone, err = zoneOf(params, s.Zone); err != nil {
		return err
	}
	if t, err := time.Parse(formUTC, value); err == nil {
		s.Start, s.Zone = t, time.UTC
		return nil
	}
	for _, form := range []string{formLocal, formDate} {
		if t, err := time.Parse(form, value); err == nil {
			s.Start = t
			return nil
		}
	}
	return fault.At(fault.Invalid, "recurrence", "DTSTART is a date or time such as 20261201T090000")
}

const maxTimes = 1000

func (s *Set) times(params, value string, times, dates []time.Time) ([]time.Time, []time.Time, error) {
	zone, err := zoneOf(params, s.Zone)
	if err != nil {
		return nil, nil, err
	}
	for one := range strings.SplitSeq(value, ",") {
		if len(times)+len(dates) >= maxTimes {
			return nil, nil, fault.At(fault.Invalid, "recurrence", "at most %d single times", maxTimes)
		}
		if t, err := time.Parse(formUTC, one); err == nil {
			times = append(times, t)
		} else if t, err := time.Parse(formLocal, one); err == nil {
			times = append(times, Instant(t, zone))
		} else if t, err := time.Parse(formDate, one); err == nil {
			dates = append(dates, t)
		} else {
			return nil, nil, fault.At(fault.Invalid, "recurrence", "a single time is a date or time such as 20261201T090000")
		}
	}
	return times, dates, nil
}
