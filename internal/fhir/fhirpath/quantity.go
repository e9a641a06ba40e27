package fhirpath

// Quantity is System.Quantity: a number with a UCUM unit ("1" where it has none) or a calendar duration.
type Quantity struct {
	Value    Decimal
	Unit     string // UCUM code, or the calendar unit in the singular
	Calendar bool   // year, month, week, day, hour, minute, second or millisecond
}

// SystemType implements Value.
func (Quantity) SystemType() string { return "Quantity" }

// String implements Value: "4 'mg'", "1 week".
func (q Quantity) String() string {
	b := q.Value.append(nil)
	b = append(b, ' ')
	if !q.Calendar {
		b = append(append(append(b, '\''), q.Unit...), '\'')
		return string(b)
	}
	b = append(b, q.Unit...)
	if q.Value.Cmp(DecimalFromInt(1)) != 0 {
		b = append(b, 's')
	}
	return string(b)
}

// calendarUnit returns the singular of a calendar unit.
func calendarUnit(word string) (string, bool) {
	switch word {
	case "year", "years":
		return "year", true
	case "month", "months":
		return "month", true
	case "week", "weeks":
		return "week", true
	case "day", "days":
		return "day", true
	case "hour", "hours":
		return "hour", true
	case "minute", "minutes":
		return "minute", true
	case "second", "seconds":
		return "second", true
	case "millisecond", "milliseconds":
		return "millisecond", true
	}
	return "", false
}

// definiteUnit returns the calendar word for a UCUM unit of definite length.
func definiteUnit(ucum string) (string, bool) {
	switch ucum {
	case "wk":
		return "week", true
	case "d":
		return "day", true
	case "h":
		return "hour", true
	case "min":
		return "minute", true
	case "s":
		return "second", true
	case "ms":
		return "millisecond", true
	}
	return "", false
}

// ucumOfCalendar is the UCUM unit that is equal (equivalent alone, for year and month) to a calendar unit.
func ucumOfCalendar(unit string) string {
	switch unit {
	case "year":
		return "a"
	case "month":
		return "mo"
	case "week":
		return "wk"
	case "day":
		return "d"
	case "hour":
		return "h"
	case "minute":
		return "min"
	case "second":
		return "s"
	}
	return "ms"
}
