package validate

// isDate checks YYYY, YYYY-MM or YYYY-MM-DD with a real day.
func isDate(s string) bool {
	rest, ok := dateParts(s)
	return ok && rest == ""
}

// isDateTime checks a date, or a full date with time and zone.
func isDateTime(s string) bool {
	rest, ok := dateParts(s)
	return ok && (rest == "" || len(s)-len(rest) == len("YYYY-MM-DD") && isZonedTime(rest))
}

// isInstant checks a full date with time and zone.
func isInstant(s string) bool {
	rest, ok := dateParts(s)
	return ok && len(s)-len(rest) == len("YYYY-MM-DD") && isZonedTime(rest)
}

// isTime checks hh:mm:ss with an optional fraction.
func isTime(s string) bool {
	rest, ok := clockParts(s)
	return ok && rest == ""
}

// dateParts takes a year, month and day, as far as there are, off s.
func dateParts(s string) (rest string, ok bool) {
	year, ok := number(s, 4)
	if !ok || year == 0 {
		return "", false
	}
	s = s[4:]
	if s == "" || s[0] != '-' {
		return s, true
	}
	month, ok := number(s[1:], 2)
	if !ok || month < 1 || month > 12 {
		return "", false
	}
	s = s[3:]
	if s == "" || s[0] != '-' {
		return s, true
	}
	day, ok := number(s[1:], 2)
	if !ok || day < 1 || day > daysIn(year, month) {
		return "", false
	}
	return s[3:], true
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

// isZonedTime checks Thh:mm:ss, an optional fraction, and Z or an offset up to 14:00.
func isZonedTime(s string) bool {
	if s == "" || s[0] != 'T' {
		return false
	}
	zone, ok := clockParts(s[1:])
	if !ok || zone == "Z" {
		return ok
	}
	if len(zone) != len("+hh:mm") || zone[0] != '+' && zone[0] != '-' || zone[3] != ':' {
		return false
	}
	h, ok1 := number(zone[1:], 2)
	m, ok2 := number(zone[4:], 2)
	return ok1 && ok2 && m < 60 && (h < 14 || h == 14 && m == 0)
}

// clockParts takes hh:mm:ss and a fraction off s. A 60th second may be: leap seconds are.
func clockParts(s string) (rest string, ok bool) {
	if len(s) < len("hh:mm:ss") || s[2] != ':' || s[5] != ':' {
		return "", false
	}
	h, ok1 := number(s, 2)
	m, ok2 := number(s[3:], 2)
	sec, ok3 := number(s[6:], 2)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 60 {
		return "", false
	}
	s = s[8:]
	if s == "" || s[0] != '.' {
		return s, true
	}
	i := 1
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[i:], i > 1
}

// number reads exactly n digits from the start of s.
func number(s string, n int) (int, bool) {
	if len(s) < n {
		return 0, false
	}
	x := 0
	for i := range n {
		c := s[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		x = x*10 + int(c-'0')
	}
	return x, true
}
