package recur

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// Freq is how often a rule recurs before its other parts are looked at.
type Freq uint8

// The frequencies.
const (
	Yearly Freq = iota + 1
	Monthly
	Weekly
	Daily
	Hourly
	Minutely
	Secondly
)

var freqNames = [...]string{Yearly: "YEARLY", Monthly: "MONTHLY", Weekly: "WEEKLY", Daily: "DAILY", Hourly: "HOURLY", Minutely: "MINUTELY", Secondly: "SECONDLY"}

// String is the frequency as RRULE writes it.
func (f Freq) String() string {
	if int(f) < len(freqNames) {
		return freqNames[f]
	}
	return ""
}

// Day is a weekday of BYDAY: N 0 means each, 2 the second, -1 the last of the month or year.
type Day struct {
	N       int
	Weekday time.Weekday
}

var dayNames = [...]string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

// String is the day as RRULE writes it: "MO", "-1FR".
func (d Day) String() string {
	if d.N == 0 {
		return dayNames[d.Weekday]
	}
	return strconv.Itoa(d.N) + dayNames[d.Weekday]
}

// Rule is an RRULE. Lists are in ascending order without repeats, as Parse makes them.
type Rule struct {
	Freq       Freq
	Interval   int       // 1 or more
	Count      int       // 0: no bound
	Until      time.Time // zero: no bound; inclusive. In UTC an instant, else a wall-clock time of the set's zone
	UntilLocal bool      // Until is a wall-clock time, told as if it were UTC
	BySecond   []int
	ByMinute   []int
	ByHour     []int
	ByDay      []Day
	ByMonthDay []int
	ByYearDay  []int
	ByWeekNo   []int
	ByMonth    []int
	BySetPos   []int
	WeekStart  time.Weekday // Monday where WKST is absent
}

const (
	maxText  = 4096
	maxParts = 366 // values of one list
)

// ParseRule reads the value of an RRULE, without the name: "FREQ=WEEKLY;BYDAY=MO,WE". What the RFC does not allow is fault.Invalid that names the
// part.
func ParseRule(text string) (*Rule, error) {
	if len(text) > maxText {
		return nil, fault.At(fault.Invalid, "rrule", "is longer than %d bytes", maxText)
	}
	r := &Rule{Interval: 1, WeekStart: time.Monday}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(strings.TrimSpace(text), ";") {
		name, value, ok := strings.Cut(part, "=")
		name = strings.ToUpper(strings.TrimSpace(name))
		if !ok || value == "" {
			return nil, fault.At(fault.Invalid, "rrule", "each part is NAME=VALUE")
		}
		if seen[name] {
			return nil, fault.At(fault.Invalid, "rrule", "%.16s stands twice", name)
		}
		seen[name] = true
		if err := r.set(name, strings.ToUpper(strings.TrimSpace(value))); err != nil {
			return nil, err
		}
	}
	return r, r.check()
}

func (r *Rule) set(name, value string) (err error) {
	switch name {
	case "FREQ":
		at := slices.Index(freqNames[:], value)
		if at < 1 {
			return fault.At(fault.Invalid, "rrule", "FREQ is one of YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY, MINUTELY, SECONDLY")
		}
		r.Freq = Freq(at)
	case "INTERVAL":
		r.Interval, err = number(name, value, 1, 100_000)
	case "COUNT":
		r.Count, err = number(name, value, 1, 1_000_000)
	case "UNTIL":
		r.Until, r.UntilLocal, err = until(value)
	case "WKST":
		at := slices.Index(dayNames[:], value)
		if at < 0 {
			return fault.At(fault.Invalid, "rrule", "WKST is a weekday: MO, TU, …")
		}
		r.WeekStart = time.Weekday(at)
	case "BYDAY":
		r.ByDay, err = days(value)
	case "BYSECOND":
		r.BySecond, err = numbers(name, value, 0, 60, false)
	case "BYMINUTE":
		r.ByMinute, err = numbers(name, value, 0, 59, false)
	case "BYHOUR":
		r.ByHour, err = numbers(name, value, 0, 23, false)
	case "BYMONTHDAY":
		r.ByMonthDay, err = numbers(name, value, 1, 31, true)
	case "BYYEARDAY":
		r.ByYearDay, err = numbers(name, value, 1, 366, true)
	case "BYWEEKNO":
		r.ByWeekNo, err = numbers(name, value, 1, 53, true)
	case "BYMONTH":
		r.ByMonth, err = numbers(name, value, 1, 12, false)
	case "BYSETPOS":
		r.BySetPos, err = numbers(name, value, 1, 366, true)
	default:
		return fault.At(fault.Invalid, "rrule", "%.16s is no part of a rule", name)
	}
	return err
}

// check holds the parts against each other (RFC 5545, section 3.3.10).
func (r *Rule) check() error {
	numbered := slices.ContainsFunc(r.ByDay, func(d Day) bool { return d.N != 0 })
	more := len(r.BySecond)+len(r.ByMinute)+len(r.ByHour)+len(r.ByDay)+len(r.ByMonthDay)+len(r.ByYearDay)+len(r.ByWeekNo)+len(r.ByMonth) > 0
	for _, x := range []struct {
		wrong bool
		says  string
	}{
		{r.Freq == 0, "FREQ is missing"},
		{r.Count > 0 && !r.Until.IsZero(), "COUNT and UNTIL exclude each other"},
		{numbered && r.Freq != Monthly && r.Freq != Yearly, "BYDAY bears numbers with MONTHLY and YEARLY alone"},
		{numbered && r.Freq == Yearly && len(r.ByWeekNo) > 0, "BYDAY bears no numbers beside BYWEEKNO"},
		{len(r.ByMonthDay) > 0 && r.Freq == Weekly, "BYMONTHDAY does not go with WEEKLY"},
		{len(r.ByYearDay) > 0 && (r.Freq == Daily || r.Freq == Weekly || r.Freq == Monthly), "BYYEARDAY does not go with DAILY, WEEKLY or MONTHLY"},
		{len(r.ByWeekNo) > 0 && r.Freq != Yearly, "BYWEEKNO goes with YEARLY alone"},
		{len(r.BySetPos) > 0 && !more, "BYSETPOS needs another BY part"},
	} {
		if x.wrong {
			return fault.At(fault.Invalid, "rrule", "%s", x.says)
		}
	}
	return nil
}

func number(name, value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fault.At(fault.Invalid, "rrule", "%s is a whole number from %d to %d", name, least, most)
	}
	return n, nil
}

// numbers reads a list; signed says that each may be counted from the end.
func numbers(name, value string, least, most int, signed bool) ([]int, error) {
	var out []int
	for one := range strings.SplitSeq(value, ",") {
		n, err := strconv.Atoi(one)
		size := n
		if signed && n < 0 {
			size = -n
		}
		if err != nil || size < least || size > most || len(out) >= maxParts {
			return nil, fault.At(fault.Invalid, "rrule", "%s holds whole numbers from %d to %d", name, least, most)
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func days(value string) ([]Day, error) {
	var out []Day
	for one := range strings.SplitSeq(value, ",") {
		if len(one) < 2 || len(out) >= maxParts {
			return nil, fault.At(fault.Invalid, "rrule", "BYDAY holds weekdays such as MO, 2TU or -1FR")
		}
		at := slices.Index(dayNames[:], one[len(one)-2:])
		n, err := 0, error(nil)
		if prefix := one[:len(one)-2]; prefix != "" {
			n, err = strconv.Atoi(prefix)
			if n == 0 {
				at = -1
			}
		}
		if at < 0 || err != nil || n < -53 || n > 53 {
			return nil, fault.At(fault.Invalid, "rrule", "BYDAY holds weekdays such as MO, 2TU or -1FR")
		}
		out = append(out, Day{n, time.Weekday(at)})
	}
	slices.SortFunc(out, func(a, b Day) int {
		if a.Weekday != b.Weekday {
			return int(a.Weekday - b.Weekday)
		}
		return a.N - b.N
	})
	return slices.Compact(out), nil
}

// The forms of times (RFC 5545, sections 3.3.4 and 3.3.5).
const (
	formDate  = "20060102"
	formLocal = "20060102T150405"
	formUTC   = "20060102T150405Z"
)

// until reads UNTIL: a date stands for the end of its day.
func until(value string) (at time.Time, local bool, err error) {
	if t, err := time.Parse(formUTC, value); err == nil {
		return t, false, nil
	}
	if t, err := time.Parse(formLocal, value); err == nil {
		return t, true, nil
	}
	if t, err := time.Parse(formDate, value); err == nil {
		return t.Add(24*time.Hour - time.Second), true, nil
	}
	return time.Time{}, false, fault.At(fault.Invalid, "rrule", "UNTIL is a date or time such as 20261231 or 20261231T220000Z")
}

// String writes the rule so that ParseRule reads the same one.
func (r *Rule) String() string {
	b := []string{"FREQ=" + r.Freq.String()}
	add := func(name, value string) {
		if value != "" {
			b = append(b, name+"="+value)
		}
	}
	if !r.Until.IsZero() {
		form := formUTC
		if r.UntilLocal {
			form = formLocal
		}
		add("UNTIL", r.Until.Format(form))
	}
	if r.Count > 0 {
		add("COUNT", strconv.Itoa(r.Count))
	}
	if r.Interval > 1 {
		add("INTERVAL", strconv.Itoa(r.Interval))
	}
	add("BYSECOND", joined(r.BySecond))
	add("BYMINUTE", joined(r.ByMinute))
	add("BYHOUR", joined(r.ByHour))
	var byDay []string
	for _, d := range r.ByDay {
		byDay = append(byDay, d.String())
	}
	add("BYDAY", strings.Join(byDay, ","))
	add("BYMONTHDAY", joined(r.ByMonthDay))
	add("BYYEARDAY", joined(r.ByYearDay))
	add("BYWEEKNO", joined(r.ByWeekNo))
	add("BYMONTH", joined(r.ByMonth))
	add("BYSETPOS", joined(r.BySetPos))
	if r.WeekStart != time.Monday {
		add("WKST", dayNames[r.WeekStart])
	}
	return strings.Join(b, ";")
}

func joined(list []int) string {
	all := make([]string, len(list))
	for i, n := range list {
		all[i] = strconv.Itoa(n)
	}
	return strings.Join(all, ",")
}
