package fhirpath

import (
	"time"
)

// TemporalKind tells the three types of time apart.
type TemporalKind uint8

// The types of time.
const (
	DateKind TemporalKind = iota
	DateTimeKind
	TimeKind
)

// Precision is how far a date or time is known.
type Precision uint8

// The precisions. A second with a fraction is MillisecondPrecision; comparison treats both as one, as FHIRPath says.
const (
	YearPrecision Precision = iota
	MonthPrecision
	DayPrecision
	HourPrecision
	MinutePrecision
	SecondPrecision
	MillisecondPrecision
)

// Temporal is System.Date, System.DateTime or System.Time, as far as it is known. What is not known is zero, month and
// day are 1.
type Temporal struct {
	Kind      TemporalKind
	Precision Precision
	Year      int
	Month     int
	Day       int
	Hour      int
	Minute    int
	Second    int
	Nano      int
	Fraction  int  // digits of the second's fraction as written
	Zoned     bool // an offset is known
	Offset    int  // minutes east of UTC
}

// SystemType implements Value.
func (t Temporal) SystemType() string {
	return [...]string{"Date", "DateTime", "Time"}[t.Kind]
}

// ParseDate reads a FHIR date: YYYY, YYYY-MM or YYYY-MM-DD.
func ParseDate(s string) (Temporal, bool) {
	t := Temporal{Kind: DateKind, Month: 1, Day: 1}
	rest, ok := t.readDate(s)
	return t, ok && rest == ""
}

// ParseDateTime reads a FHIR dateTime or instant, or any partial form of one that FHIRPath knows ("2015-02-04T14").
func ParseDateTime(s string) (Temporal, bool) {
	t := Temporal{Kind: DateTimeKind, Month: 1, Day: 1}
	rest, ok := t.readDate(s)
	if !ok || rest == "" {
		return t, ok
	}
	if rest[0] != 'T' || len(rest) > 1 && t.Precision != DayPrecision {
		return t, false
	}
	if rest = rest[1:]; rest == "" {
		return t, true
	}
	if rest, ok = t.readTime(rest); !ok {
		return t, false
	}
	return t, rest == "" || t.readZone(rest)
}

// ParseTime reads a time: HH, HH:MM, HH:MM:SS or HH:MM:SS.fff.
func ParseTime(s string) (Temporal, bool) {
	t := Temporal{Kind: TimeKind, Month: 1, Day: 1}
	rest, ok := t.readTime(s)
	return t, ok && rest == ""
}

// parseTemporalLiteral reads what follows the @ of a literal.
func parseTemporalLiteral(s string) (Temporal, bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != 'T' {
			continue
		}
		if i == 0 {
			return ParseTime(s[1:])
		}
		return ParseDateTime(s)
	}
	return ParseDate(s)
}

func number(s string, n int) (int, bool) {
	if len(s) < n || !allDigits(s[:n]) {
		return 0, false
	}
	return int(digitsValue(s[:n], 0)), true
}

func (t *Temporal) readDate(s string) (rest string, ok bool) {
	if t.Year, ok = number(s, 4); !ok || t.Year == 0 {
		return s, false
	}
	s, t.Precision = s[4:], YearPrecision
	if s == "" || s[0] != '-' {
		return s, true
	}
	if t.Month, ok = number(s[1:], 2); !ok || t.Month < 1 || t.Month > 12 {
		return s, false
	}
	s, t.Precision = s[3:], MonthPrecision
	if s == "" || s[0] != '-' {
		return s, true
	}
	if t.Day, ok = number(s[1:], 2); !ok || t.Day < 1 || t.Day > daysIn(t.Year, t.Month) {
		return s, false
	}
	t.Precision = DayPrecision
	return s[3:], true
}

func (t *Temporal) readTime(s string) (rest string, ok bool) {
	if t.Hour, ok = number(s, 2); !ok || t.Hour > 23 {
		return s, false
	}
	s, t.Precision = s[2:], HourPrecision
	if s == "" || s[0] != ':' {
		return s, true
	}
	if t.Minute, ok = number(s[1:], 2); !ok || t.Minute > 59 {
		return s, false
	}
	s, t.Precision = s[3:], MinutePrecision
	if s == "" || s[0] != ':' {
		return s, true
	}
	// FHIR's pattern admits the leap second 60.
	if t.Second, ok = number(s[1:], 2); !ok || t.Second > 60 {
		return s, false
	}
	s, t.Precision = s[3:], SecondPrecision
	if s == "" || s[0] != '.' {
		return s, true
	}
	i, unit := 1, 100_000_000
	for ; i < len(s) && isDigit(s[i]); i++ {
		t.Nano += int(s[i]-'0') * unit
		unit /= 10
	}
	t.Precision, t.Fraction = MillisecondPrecision, i-1
	return s[i:], i > 1
}

func (t *Temporal) readZone(s string) bool {
	if s == "Z" {
		t.Zoned = true
		return true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return false
	}
	h, ok1 := number(s[1:], 2)
	m, ok2 := number(s[4:], 2)
	if !ok1 || !ok2 || h > 14 || m > 59 || h == 14 && m > 0 {
		return false
	}
	t.Zoned, t.Offset = true, h*60+m
	if s[0] == '-' {
		t.Offset = -t.Offset
	}
	return true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// temporalFromTime returns the moment to the millisecond, with its offset.
func temporalFromTime(now time.Time) Temporal {
	_, offset := now.Zone()
	return Temporal{Kind: DateTimeKind, Precision: MillisecondPrecision, Year: now.Year(), Month: int(now.Month()), Day: now.Day(),
		Hour: now.Hour(), Minute: now.Minute(), Second: now.Second(), Nano: now.Nanosecond() / 1e6 * 1e6, Fraction: 3,
		Zoned: true, Offset: offset / 60}
}

// String returns the value as FHIR writes it, without the literal's @ and T.
func (t Temporal) String() string { return string(t.append(nil)) }

func (t Temporal) append(b []byte) []byte {
	if t.Kind != TimeKind {
		b = digits(b, t.Year, 4)
		if t.Precision >= MonthPrecision {
			b = digits(append(b, '-'), t.Month, 2)
		}
		if t.Precision >= DayPrecision {
			b = digits(append(b, '-'), t.Day, 2)
		}
		if t.Precision <= DayPrecision {
			return b
		}
		b = append(b, 'T')
	}
	b = digits(b, t.Hour, 2)
	if t.Precision >= MinutePrecision {
		b = digits(append(b, ':'), t.Minute, 2)
	}
	if t.Precision >= SecondPrecision {
		b = digits(append(b, ':'), t.Second, 2)
	}
	if t.Precision >= MillisecondPrecision {
		b = append(b, '.')
		for i, unit := 0, 100_000_000; i < t.Fraction; i++ {
			d := 0
			if unit > 0 {
				d = t.Nano / unit % 10
			}
			b = append(b, byte('0'+d))
			unit /= 10
		}
	}
	return t.appendZone(b)
}

func (t Temporal) appendZone(b []byte) []byte {
	if !t.Zoned {
		return b
	}
	if t.Offset == 0 {
		return append(b, 'Z')
	}
	o, sign := t.Offset, byte('+')
	if o < 0 {
		o, sign = -o, '-'
	}
	b = digits(append(b, sign), o/60, 2)
	return digits(append(b, ':'), o%60, 2)
}

// digits appends v with at least n digits.
func digits(b []byte, v, n int) []byte {
	for unit := pow(10, n-1); unit > 0; unit /= 10 {
		b = append(b, byte('0'+v/unit%10))
	}
	return b
}

func pow(base, n int) int {
	out := 1
	for ; n > 0; n-- {
		out *= base
	}
	return out
}

// instant is a point on the time line: seconds since 1970 and nanoseconds, in UTC or, without an offset, as if it were.
type instant struct{ sec, nano int64 }

func (a instant) less(b instant) bool { return a.sec < b.sec || a.sec == b.sec && a.nano < b.nano }

// span returns the first and the last instant that t may mean, its offset taken off.
func (t Temporal) span() (lo, hi instant) {
	day := time.Date(max(t.Year, 1), time.Month(t.Month), t.Day, 0, 0, 0, 0, time.UTC).Unix()
	base := day + int64(t.Hour*3600+t.Minute*60+t.Second-t.Offset*60)
	lo = instant{base, int64(t.Nano)}
	switch t.Precision {
	case YearPrecision:
		base += int64(365+daysIn(t.Year, 2)-28) * 86400
	case MonthPrecision:
		base += int64(daysIn(t.Year, t.Month)) * 86400
	case DayPrecision:
		base += 86400
	case HourPrecision:
		base += 3600
	case MinutePrecision:
		base += 60
	default:
		return lo, lo
	}
	return lo, instant{base - 1, 999_999_999}
}

// The offsets that clocks on Earth have, in seconds.
const (
	offsetEast = 14 * 3600
	offsetWest = 12 * 3600
)

// compare orders two times of one kind (Date and DateTime are one). known is false where what is not written could
// change the answer: different precisions that overlap, or an offset on one side alone.
func (t Temporal) compare(u Temporal) (order int, known bool) {
	tlo, thi := t.span()
	ulo, uhi := u.span()
	if t.Zoned != u.Zoned {
		if t.Zoned {
			ulo.sec, uhi.sec = ulo.sec-offsetEast, uhi.sec+offsetWest
		} else {
			tlo.sec, thi.sec = tlo.sec-offsetEast, thi.sec+offsetWest
		}
	}
	switch {
	case thi.less(ulo):
		return -1, true
	case uhi.less(tlo):
		return 1, true
	}
	same := t.Zoned == u.Zoned && tlo == ulo && thi == uhi &&
		min(t.Precision, SecondPrecision) == min(u.Precision, SecondPrecision)
	return 0, same
}

// comparable reports whether the two are of kinds that can be ordered at all.
func (t Temporal) comparable(u Temporal) bool { return (t.Kind == TimeKind) == (u.Kind == TimeKind) }
