package fhirpath

import "time"

// add returns t plus n units (n may be negative). The quantity's fraction is ignored, as is what is finer than t's
// precision; days that a month does not have become its last. ok is false where the unit does not fit the kind or the
// year leaves 1 to 9999.
func (t Temporal) add(n Decimal, unit string) (out Temporal, ok bool) {
	count, fits := n.Int64()
	if !fits || count > 1e15 || count < -1e15 {
		return t, false
	}
	if t.Kind == TimeKind {
		return t.addToTime(count, unit)
	}
	switch unit {
	case "year":
		return t.addMonths(count * 12)
	case "month":
		return t.addMonths(count)
	}
	ms, ok := unitMillis(unit)
	if !ok {
		return t, false
	}
	// A partial date takes whole units of its own precision; a Date's finest is the day.
	switch t.Precision {
	case YearPrecision:
		return t.addMonths(count * ms / (365 * dayMillis) * 12)
	case MonthPrecision:
		return t.addMonths(count * ms / (30 * dayMillis))
	}
	return t.addMillis(truncateTo(count*ms, t.Precision))
}

const dayMillis = 86_400_000

func unitMillis(unit string) (int64, bool) {
	switch unit {
	case "week":
		return 7 * dayMillis, true
	case "day":
		return dayMillis, true
	case "hour":
		return 3_600_000, true
	case "minute":
		return 60_000, true
	case "second":
		return 1000, true
	case "millisecond":
		return 1, true
	}
	return 0, false
}

func truncateTo(ms int64, p Precision) int64 {
	switch p {
	case DayPrecision:
		return ms / dayMillis * dayMillis
	case HourPrecision:
		return ms / 3_600_000 * 3_600_000
	case MinutePrecision:
		return ms / 60_000 * 60_000
	case SecondPrecision:
		return ms / 1000 * 1000
	}
	return ms
}

func (t Temporal) addMonths(n int64) (Temporal, bool) {
	if t.Precision == YearPrecision {
		n = n / 12 * 12
	}
	months := int64(t.Year)*12 + int64(t.Month-1) + n
	if months < 12 || months >= 120_000 {
		return t, false
	}
	t.Year, t.Month = int(months/12), int(months%12)+1
	t.Day = min(t.Day, daysIn(t.Year, t.Month))
	return t, true
}

func (t Temporal) addMillis(ms int64) (Temporal, bool) {
	if ms > 400_000_000*1_000_000 || ms < -400_000_000*1_000_000 {
		return t, false
	}
	sum := time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, t.Nano, time.UTC).
		AddDate(0, 0, int(ms/dayMillis)).Add(time.Duration(ms%dayMillis) * time.Millisecond)
	if sum.Year() < 1 || sum.Year() > 9999 {
		return t, false
	}
	t.Year, t.Month, t.Day = sum.Year(), int(sum.Month()), sum.Day()
	t.Hour, t.Minute, t.Second, t.Nano = sum.Hour(), sum.Minute(), sum.Second(), sum.Nanosecond()
	return t, true
}

// addToTime wraps around midnight.
func (t Temporal) addToTime(count int64, unit string) (Temporal, bool) {
	ms, ok := unitMillis(unit)
	if !ok || ms >= dayMillis {
		return t, false
	}
	at := int64(t.Hour*3600+t.Minute*60+t.Second)*1000 + int64(t.Nano)/1e6 + truncateTo(count*ms, t.Precision)%dayMillis
	at = (at%dayMillis + dayMillis) % dayMillis
	t.Hour, t.Minute, t.Second = int(at/3_600_000), int(at/60_000%60), int(at/1000%60)
	t.Nano = int(at%1000)*1e6 + t.Nano%1e6
	return t, true
}

// truncated returns t no more precise than p.
func (t Temporal) truncated(p Precision) Temporal {
	if t.Precision <= p {
		return t
	}
	t.Precision = p
	if p < MillisecondPrecision {
		t.Nano, t.Fraction = 0, 0
	}
	if p < SecondPrecision {
		t.Second = 0
	}
	if p < MinutePrecision {
		t.Minute = 0
	}
	if p < HourPrecision {
		t.Hour, t.Zoned, t.Offset = 0, false, 0
	}
	if p < DayPrecision {
		t.Day = 1
	}
	if p < MonthPrecision {
		t.Month = 1
	}
	return t
}
