package recur

import (
	"iter"
	"slices"
	"time"
)

// Wall-clock times are told as times in UTC within this file.

// lastYear ends every rule.
const lastYear = 2399

// expansion is a rule with its defaults from DTSTART.
type expansion struct {
	Rule
	start time.Time // wall clock
	times []clockTime
}

type clockTime struct{ h, m, s int }

// expand fills in what a rule takes from its start.
func expand(r *Rule, start time.Time) *expansion {
	e := &expansion{Rule: *r, start: start}
	if len(e.ByWeekNo)+len(e.ByYearDay)+len(e.ByMonthDay)+len(e.ByDay) == 0 {
		switch e.Freq {
		case Yearly:
			if len(e.ByMonth) == 0 {
				e.ByMonth = []int{int(start.Month())}
			}
			e.ByMonthDay = []int{start.Day()}
		case Monthly:
			e.ByMonthDay = []int{start.Day()}
		case Weekly:
			e.ByDay = []Day{{0, start.Weekday()}}
		}
	}
	if e.Freq < Hourly && len(e.ByHour) == 0 {
		e.ByHour = []int{start.Hour()}
	}
	if e.Freq < Minutely && len(e.ByMinute) == 0 {
		e.ByMinute = []int{start.Minute()}
	}
	if e.Freq < Secondly && len(e.BySecond) == 0 {
		e.BySecond = []int{start.Second()}
	}
	if e.Freq < Hourly {
		for _, h := range e.ByHour {
			for _, m := range e.ByMinute {
				for _, s := range e.BySecond {
					e.times = append(e.times, clockTime{h, m, s})
				}
			}
		}
	}
	return e
}

// walls yields the wall-clock times of the rule in order, without Count and Until.
func (e *expansion) walls() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		emit := func(list []time.Time) bool {
			for _, t := range e.positions(list) {
				if !t.Before(e.start) && !yield(t) {
					return false
				}
			}
			return true
		}
		switch e.Freq {
		case Yearly:
			e.years(emit)
		case Monthly:
			e.months(emit)
		case Weekly:
			e.weeks(emit)
		case Daily:
			for d := dayOf(e.start); d.Year() <= lastYear; d = d.AddDate(0, 0, e.Interval) {
				if !emit(e.within(d, d.AddDate(0, 0, 1))) {
					return
				}
			}
		default:
			e.steps(emit)
		}
	}
}

func (e *expansion) years(emit func([]time.Time) bool) {
	for y := e.start.Year(); y <= lastYear; y += e.Interval {
		first := time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC)
		from, to := first, first.AddDate(1, 0, 0)
		if !emit(e.within(from, to)) {
			return
		}
	}
}

func (e *expansion) months(emit func([]time.Time) bool) {
	first := time.Date(e.start.Year(), e.start.Month(), 1, 0, 0, 0, 0, time.UTC)
	for m := first; m.Year() <= lastYear; m = m.AddDate(0, e.Interval, 0) {
		if !emit(e.within(m, m.AddDate(0, 1, 0))) {
			return
		}
	}
}

func (e *expansion) weeks(emit func([]time.Time) bool) {
	back := (int(e.start.Weekday()) - int(e.WeekStart) + 7) % 7
	for w := dayOf(e.start).AddDate(0, 0, -back); w.Year() <= lastYear; w = w.AddDate(0, 0, 7*e.Interval) {
		if !emit(e.within(w, w.AddDate(0, 0, 7))) {
			return
		}
	}
}

func dayOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}

// within are the times on the days from, up to and not including to, that the rule's parts leave.
func (e *expansion) within(from, to time.Time) []time.Time {
	var out []time.Time
	for d := from; d.Before(to); d = d.AddDate(0, 0, 1) {
		if len(e.ByMonth) > 0 && !slices.Contains(e.ByMonth, int(d.Month())) {
			d = lastOfMonth(d)
			continue
		}
		if !e.onDay(d) {
			continue
		}
		for _, t := range e.times {
			out = append(out, time.Date(d.Year(), d.Month(), d.Day(), t.h, t.m, t.s, 0, time.UTC))
		}
	}
	return out
}

func lastOfMonth(d time.Time) time.Time {
	return time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC)
}

// onDay reports whether the day satisfies every part that speaks of days.
func (e *expansion) onDay(d time.Time) bool {
	if len(e.ByMonth) > 0 && !slices.Contains(e.ByMonth, int(d.Month())) {
		return false
	}
	if len(e.ByMonthDay) > 0 && !counted(e.ByMonthDay, d.Day(), lastOfMonth(d).Day()) {
		return false
	}
	if len(e.ByYearDay) > 0 && !counted(e.ByYearDay, d.YearDay(), daysOf(d.Year())) {
		return false
	}
	if len(e.ByWeekNo) > 0 && !e.inWeek(d) {
		return false
	}
	return len(e.ByDay) == 0 || slices.ContainsFunc(e.ByDay, func(x Day) bool { return x.Weekday == d.Weekday() && (x.N == 0 || e.nth(d, x.N)) })
}

func daysOf(year int) int { return time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC).YearDay() }

// counted reports whether n, of 1 … last, is in the list, whose negative members count from the end.
func counted(list []int, n, last int) bool {
	return slices.Contains(list, n) || slices.Contains(list, n-last-1)
}

// nth reports whether the day is the n-th of its weekday in the month, or in the year where the rule counts so.
func (e *expansion) nth(d time.Time, n int) bool {
	at, last := d.Day(), lastOfMonth(d).Day()
	if e.Freq == Yearly && len(e.ByMonth) == 0 {
		at, last = d.YearDay(), daysOf(d.Year())
	}
	if n > 0 {
		return (at-1)/7+1 == n
	}
	return (last-at)/7+1 == -n
}

// inWeek reports whether the day lies in a week of BYWEEKNO. The first week of a year is the first with four days in it. A YEARLY rule
// looks at the days of its calendar year, which may lie in the last week of the year before or the first of the next.
func (e *expansion) inWeek(d time.Time) bool {
	for year := d.Year() - 1; year <= d.Year()+1; year++ {
		first := e.firstWeek(year)
		next := e.firstWeek(year + 1)
		if d.Before(first) || !d.Before(next) {
			continue
		}
		no := int(d.Sub(first).Hours()/24)/7 + 1
		weeks := int(next.Sub(first).Hours()/24) / 7
		return counted(e.ByWeekNo, no, weeks)
	}
	return false
}

// firstWeek is the first day of the year's first week.
func (e *expansion) firstWeek(year int) time.Time {
	fourth := time.Date(year, 1, 4, 0, 0, 0, 0, time.UTC) // always in it
	return fourth.AddDate(0, 0, -((int(fourth.Weekday()) - int(e.WeekStart) + 7) % 7))
}

// positions are the members of the list that BYSETPOS names.
func (e *expansion) positions(list []time.Time) []time.Time {
	if len(e.BySetPos) == 0 {
		return list
	}
	var out []time.Time
	for i, t := range list {
		if counted(e.BySetPos, i+1, len(list)) {
			out = append(out, t)
		}
	}
	return out
}

// maxIdle ends a rule below a day that has given nothing for so many steps: its interval never meets what its parts ask for.
const maxIdle = 2_000_000

// steps are the rules below a day. A day, an hour or a minute that no part lets in is stepped over.
func (e *expansion) steps(emit func([]time.Time) bool) {
	unit := map[Freq]time.Duration{Hourly: time.Hour, Minutely: time.Minute, Secondly: time.Second}[e.Freq]
	step := unit * time.Duration(e.Interval)
	t := e.start.Truncate(unit)
	for idle := 0; t.Year() <= lastYear && idle < maxIdle; idle++ {
		switch {
		case !e.onDay(dayOf(t)):
			t = reach(t, dayOf(t).AddDate(0, 0, 1), step)
			continue
		case len(e.ByHour) > 0 && !slices.Contains(e.ByHour, t.Hour()):
			t = reach(t, t.Truncate(time.Hour).Add(time.Hour), step)
			continue
		case e.Freq > Hourly && len(e.ByMinute) > 0 && !slices.Contains(e.ByMinute, t.Minute()):
			t = reach(t, t.Truncate(time.Minute).Add(time.Minute), step)
			continue
		case e.Freq == Secondly && len(e.BySecond) > 0 && !slices.Contains(e.BySecond, t.Second()):
			t = t.Add(step)
			continue
		}
		if !emit(e.inUnit(t)) {
			return
		}
		idle = 0
		t = t.Add(step)
	}
}

// inUnit are the times within the hour, minute or second that begins at t.
func (e *expansion) inUnit(t time.Time) []time.Time {
	minutes, seconds := []int{t.Minute()}, []int{t.Second()}
	if e.Freq == Hourly {
		minutes = e.ByMinute
	}
	if e.Freq < Secondly {
		seconds = e.BySecond
	}
	var out []time.Time
	for _, m := range minutes {
		for _, s := range seconds {
			out = append(out, time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), m, s, 0, time.UTC))
		}
	}
	return out
}

// reach is the first t + n·step that is not before the mark, n at least 1.
func reach(t, mark time.Time, step time.Duration) time.Time {
	n := max(1, int64((mark.Sub(t)+step-1)/step))
	return t.Add(time.Duration(n) * step)
}
