package interval_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/interval"
)

// drawSpans draws spans of a small world, so that they meet often.
func drawSpans(t *rapid.T, name string) []interval.Span {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) interval.Span {
		return interval.Span{From: rapid.Int64Range(0, 40).Draw(t, "from"), To: rapid.Int64Range(0, 40).Draw(t, "to")}
	}), 0, 12).Draw(t, name)
}

// in reports that any of the spans holds the instant.
func in(spans []interval.Span, at int64) bool { return depth(spans, at) > 0 }

func depth(spans []interval.Span, at int64) int {
	n := 0
	for _, s := range spans {
		if s.From <= at && at < s.To {
			n++
		}
	}
	return n
}

// proper fails where a set is not in order, or two of its spans overlap or touch.
func proper(t *rapid.T, what string, s interval.Set) {
	for i, one := range s {
		if one.Empty() || i > 0 && one.From <= s[i-1].To {
			t.Fatalf("%s is no set: %v", what, s)
		}
	}
}

func TestSetsAreWhatTheirInstantsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawSpans(t, "x"), drawSpans(t, "y")
		n := rapid.IntRange(1, 4).Draw(t, "n")
		a, b := interval.Of(x...), interval.Of(y...)
		union, meet, minus, full := a.Union(b), a.Meet(b), a.Minus(b), interval.Full(x, n)
		for what, s := range map[string]interval.Set{"of": a, "union": union, "meet": meet, "minus": minus, "full": full} {
			proper(t, what, s)
		}
		for at := int64(-1); at <= 41; at++ {
			ia, ib := in(x, at), in(y, at)
			if a.Has(at) != ia || union.Has(at) != (ia || ib) || meet.Has(at) != (ia && ib) || minus.Has(at) != (ia && !ib) || full.Has(at) != (depth(x, at) >= n) {
				t.Fatalf("at %d: %v and %v: union %v, meet %v, minus %v, full %v", at, a, b, union, meet, minus, full)
			}
		}
		if got := minus.Len() + meet.Len(); got != a.Len() {
			t.Fatalf("what is left and what goes are %d long, of %d", got, a.Len())
		}
	})
}

func TestMostIsTheDeepestInstant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawSpans(t, "x")
		w := interval.Span{From: rapid.Int64Range(0, 40).Draw(t, "from"), To: rapid.Int64Range(0, 40).Draw(t, "to")}
		want := 0
		for at := w.From; at < w.To; at++ {
			want = max(want, depth(x, at))
		}
		if got := interval.Most(x, w); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}

func TestWhatStartsFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := interval.Of(drawSpans(t, "spans")...)
		length, step := rapid.Int64Range(1, 9).Draw(t, "length"), rapid.Int64Range(1, 9).Draw(t, "step")
		starts := s.Starts(length, step)
		if !slices.IsSorted(starts) {
			t.Fatalf("not in order: %v", starts)
		}
		for _, at := range starts {
			if !s.Holds(interval.Span{From: at, To: at + length}) {
				t.Fatalf("what begins at %d and takes %d is not within %v", at, length, s)
			}
		}
		for _, one := range s {
			if one.Len() >= length && !slices.Contains(starts, one.From) {
				t.Fatalf("%v has room at its beginning", one)
			}
		}
	})
}

// zones are places whose clocks differ in what they do: by an hour, half an hour, three quarters, at midnight, southern, none, a day left out.
var zones = []string{
	"Africa/Khartoum", "Africa/Cairo", "Africa/Casablanca", "Europe/London", "Europe/Berlin", "Europe/Lisbon", "Atlantic/Azores", "America/New_York", "America/Sao_Paulo",
	"America/Havana", "America/St_Johns", "America/Santiago", "America/Asuncion", "Asia/Beirut", "Asia/Tehran", "Asia/Kathmandu", "Asia/Gaza", "Australia/Lord_Howe",
	"Australia/Sydney", "Pacific/Apia", "Pacific/Chatham", "Antarctica/Troll",
}

func load(t interface{ Fatal(...any) }, name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// changes are the days of the years on which the zone's clocks are moved, and a plain one.
func changes(zone *time.Location) []interval.Date {
	out := []interval.Date{{Year: 2026, Month: 6, Day: 10}}
	for at := time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2028; {
		_, next := at.In(zone).ZoneBounds()
		if next.IsZero() {
			break
		}
		out = append(out, interval.DateOf(next.Add(-time.Second).In(zone)), interval.DateOf(next.In(zone)))
		at = next
	}
	return out
}

func TestWallIsWhatTheClockShows(t *testing.T) {
	for _, name := range zones {
		t.Run(name, func(t *testing.T) {
			zone := load(t, name)
			days := changes(zone)
			rapid.Check(t, func(t *rapid.T) {
				d := rapid.SampledFrom(days).Draw(t, "day")
				from := rapid.IntRange(0, 95).Draw(t, "from")
				to := rapid.IntRange(from, 96).Draw(t, "to")
				open := interval.Wall(d, time.Duration(from)*15*time.Minute, time.Duration(to)*15*time.Minute, zone)
				proper(t, "hours", open)
				noon := time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC)
				at := noon.Add(time.Duration(rapid.IntRange(-200, 200).Draw(t, "quarters")) * 15 * time.Minute).Add(time.Duration(rapid.IntRange(0, 899).Draw(t, "seconds")) * time.Second)
				local := at.In(zone)
				minute := local.Hour()*60 + local.Minute()
				shown := interval.DateOf(local) == d && minute >= from*15 && minute < to*15
				if open.Has(at.UnixMicro()) != shown {
					t.Fatalf("%s from %d to %d quarters: at %s the clock shows %v: %v", d, from, to, local, shown, open)
				}
			})
		})
	}
}

func TestDaysFollowEachOtherWithoutGap(t *testing.T) {
	for _, name := range zones {
		zone := load(t, name)
		for _, d := range changes(zone) {
			// With the day before, too: clocks that go back just after midnight show its end again.
			three := interval.Day(d.Add(-1), zone).Union(interval.Day(d, zone)).Union(interval.Day(d.Add(1), zone))
			if len(three) > 1 {
				t.Errorf("%s: around %s is a gap: %v", name, d, three)
			}
		}
	}
}

func TestDaysOfTheClockChange(t *testing.T) {
	for _, c := range []struct {
		zone, day string
		from, to  int
		want      time.Duration
	}{
		{"Europe/Berlin", "2026-03-29", 0, 24, 23 * time.Hour},
		{"Europe/Berlin", "2026-10-25", 0, 24, 25 * time.Hour},
		{"Europe/Berlin", "2026-03-29", 8, 17, 9 * time.Hour},
		{"Europe/Berlin", "2026-03-29", 1, 4, 2 * time.Hour}, // from two to three is not there
		{"Europe/Berlin", "2026-10-25", 2, 3, 2 * time.Hour}, // and is there twice
		{"Africa/Cairo", "2026-04-24", 0, 2, time.Hour},      // midnight is not there
		{"Australia/Lord_Howe", "2026-10-04", 0, 24, 23*time.Hour + 30*time.Minute},
		{"Pacific/Apia", "2011-12-30", 0, 24, 0}, // the day that Samoa left out
		{"Africa/Khartoum", "2026-11-25", 22, 30, 8 * time.Hour},
	} {
		d, ok := interval.ParseDate(c.day)
		if !ok {
			t.Fatal(c.day)
		}
		got := interval.Wall(d, time.Duration(c.from)*time.Hour, time.Duration(c.to)*time.Hour, load(t, c.zone)).Len()
		if got != c.want.Microseconds() {
			t.Errorf("%s %s from %d to %d: %s, want %s", c.zone, c.day, c.from, c.to, time.Duration(got)*time.Microsecond, c.want)
		}
	}
}

func TestDatesCount(t *testing.T) {
	d, ok := interval.ParseDate("2026-02-27")
	if !ok || d.Add(2).String() != "2026-03-01" || d.Days(d.Add(400)) != 400 || !d.Before(d.Add(1)) || d.Weekday() != time.Friday {
		t.Errorf("%v", d)
	}
	if _, ok := interval.ParseDate("2026-02-30"); ok {
		t.Error("a day that is not there was read")
	}
}
