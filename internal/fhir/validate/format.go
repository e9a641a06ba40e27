package validate

import (
	"unicode/utf8"

	"github.com/nilecare/nilecare/internal/fhir"
)

// maxString is how many characters a string may have (R4 datatypes.html#string).
const maxString = 1 << 20

const reasonTooLong = "a string has at most 1048576 characters"

// codeOf returns the issue code of a reason that format gave.
func codeOf(reason string) string {
	if reason == reasonTooLong {
		return codeTooLong
	}
	return codeValue
}

// format checks a primitive's text against its type's lexical rules (R4 datatypes.html) and returns what is wrong, or "".
// The JSON kind has been checked before, so a decimal is a JSON number already.
func format(typ, s string) string {
	switch typ {
	case "string", "markdown":
		return stringFormat(s)
	case "code":
		return verdict(isCode(s), "a code is one or more words parted by single spaces")
	case "uri", "url", "canonical":
		return verdict(isURI(s), "a URI is not empty and has no whitespace")
	case "dateTime":
		return verdict(isDateTime(s), "a dateTime is YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone, on a real day")
	case "date":
		return verdict(isDate(s), "a date is YYYY, YYYY-MM or YYYY-MM-DD, a real day")
	case "instant":
		return verdict(isInstant(s), "an instant is YYYY-MM-DDThh:mm:ss with a time zone, on a real day")
	case "time":
		return verdict(isTime(s), "a time is hh:mm:ss")
	case "id":
		return verdict(fhir.ValidID(s), "an id is 1 to 64 letters, digits, '-' and '.'")
	case "integer":
		return verdict(isInteger(s, false), "an integer is a whole number of 32 bits")
	case "unsignedInt":
		return verdict(isInteger(s, true), "an unsignedInt is a whole number from 0 to 2147483647")
	case "positiveInt":
		return verdict(isInteger(s, true) && s != "0", "a positiveInt is a whole number from 1 to 2147483647")
	case "base64Binary":
		return verdict(isBase64(s), "not base64")
	case "oid":
		return verdict(isOID(s), "an oid is urn:oid: and numbers parted by dots")
	case "uuid":
		return verdict(isUUID(s), "a uuid is urn:uuid: and 36 lower-case hexadecimal digits and hyphens")
	case "xhtml":
		return xhtmlFormat(s)
	}
	return ""
}

func verdict(ok bool, reason string) string {
	if ok {
		return ""
	}
	return reason
}

// stringFormat checks the text of a string: not empty, not only whitespace, no control characters.
func stringFormat(s string) string {
	blank := true
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c > ' ':
			blank = false
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			return "a string has no control characters"
		}
	}
	if blank {
		return "a string is not empty and not only whitespace"
	}
	if len(s) > maxString && utf8.RuneCountInString(s) > maxString {
		return reasonTooLong
	}
	return ""
}

// isCode checks [^\s]+(\s[^\s]+)*.
func isCode(s string) bool {
	space := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			if space {
				return false
			}
			space = true
		} else if c < ' ' {
			return false
		} else {
			space = false
		}
	}
	return !space
}

// isURI checks \S+.
func isURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' {
			return false
		}
	}
	return s != ""
}

// isInteger checks -?(0|[1-9][0-9]*) within 32 bits; unsigned admits no sign.
func isInteger(s string, unsigned bool) bool {
	limit := int64(1<<31 - 1)
	if s != "" && s[0] == '-' {
		if unsigned {
			return false
		}
		s, limit = s[1:], 1<<31
	}
	if s == "" || len(s) > 10 || s[0] == '0' && len(s) > 1 {
		return false
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n <= limit
}

// isBase64 checks groups of four characters of the alphabet, whitespace between groups, padding at the end alone.
func isBase64(s string) bool {
	group, padding, found := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/':
			if padding > 0 {
				return false
			}
			group, found = (group+1)&3, true
		case c == '=':
			padding++
			if group < 2 || padding > 2 {
				return false
			}
			group = (group + 1) & 3
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if group != 0 {
				return false
			}
		default:
			return false
		}
	}
	return found && group == 0
}

// isOID checks urn:oid:[0-2](\.(0|[1-9][0-9]*))+.
func isOID(s string) bool {
	const prefix = "urn:oid:"
	if len(s) < len(prefix)+3 || s[:len(prefix)] != prefix || s[len(prefix)] < '0' || s[len(prefix)] > '2' || s[len(prefix)+1] != '.' {
		return false
	}
	digits, zero := 0, false
	for i := len(prefix) + 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.':
			if digits == 0 {
				return false
			}
			digits = 0
		case c < '0' || c > '9' || digits > 0 && zero:
			return false
		default:
			if digits == 0 {
				zero = c == '0'
			}
			digits++
		}
	}
	return digits > 0
}

// isUUID checks urn:uuid: and a UUID in lower case.
func isUUID(s string) bool {
	const prefix = "urn:uuid:"
	if len(s) != len(prefix)+36 || s[:len(prefix)] != prefix {
		return false
	}
	for i := range 36 {
		c := s[len(prefix)+i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
