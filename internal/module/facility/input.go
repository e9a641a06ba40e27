package facility

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

// wrongForm is an error that encoding/json names the member in.
func wrongForm[T any]() error {
	return &json.UnmarshalTypeError{Value: "value", Type: reflect.TypeFor[T]()}
}

// address is a text, or an object with street, city, state, zipCode and country.
type address struct {
	Street  string `json:"street"`
	City    string `json:"city"`
	State   string `json:"state"`
	ZipCode string `json:"zipCode"`
	Country string `json:"country"`
	whole   bool   // it was an object
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *address) UnmarshalJSON(b []byte) error {
	*a = address{}
	if json.Unmarshal(b, &a.Street) == nil {
		return nil
	}
	type plain address
	if err := json.Unmarshal(b, (*plain)(a)); err != nil {
		return wrongForm[address]()
	}
	a.whole = true
	return nil
}

// capacity is a number of beds, or an object whose totalBeds is one.
type capacity struct {
	Total     int `json:"totalBeds"`
	ICU       int `json:"icuBeds"`
	Emergency int `json:"emergencyBeds"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *capacity) UnmarshalJSON(b []byte) error {
	*c = capacity{}
	if json.Unmarshal(b, &c.Total) == nil {
		return nil
	}
	type plain capacity
	if err := json.Unmarshal(b, (*plain)(c)); err != nil {
		return wrongForm[int]()
	}
	return nil
}

// manyBeds bounds what a place may say that it holds.
const manyBeds = 100_000

func (c *capacity) check() error {
	for _, n := range []int{c.Total, c.ICU, c.Emergency} {
		if n < 0 || n > manyBeds {
			return fault.At(fault.Invalid, "capacity", "must be from 0 to %d", manyBeds).WithCode("value")
		}
	}
	return nil
}

// need refuses a member that is missing or empty.
func need(field, value string) error {
	if strings.TrimSpace(value) == "" {
		return fault.At(fault.Invalid, field, "is missing").WithCode("required")
	}
	return nil
}

// longest is how many characters a name or a note may have.
const longest = 1000

func short(field, value string) error {
	if len([]rune(value)) > longest {
		return fault.At(fault.Invalid, field, "has more than %d characters", longest).WithCode("value")
	}
	return nil
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var (
	mobile  = regexp.MustCompile(`^\+249[91]\d{8}$`)
	phones  = regexp.MustCompile(`^\+?[0-9]{6,15}$`)
	mailing = regexp.MustCompile(`^[^@\s]+@[^@\s]+\.[^@\s]+$`)
)

// phone is a telephone number in international form: 0912345678 is +249912345678. Landlines and numbers of other countries are taken as they are.
func phone(field, value string) (string, error) {
	plain := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(value)
	switch {
	case plain == "":
		return "", nil
	case len(plain) == 10 && plain[0] == '0':
		plain = "+249" + plain[1:]
	case strings.HasPrefix(plain, "00"):
		plain = "+" + plain[2:]
	}
	if mobile.MatchString(plain) || phones.MatchString(plain) {
		return plain, nil
	}
	return "", fault.At(fault.Invalid, field, "is no telephone number").WithCode("value")
}

func email(field, value string) error {
	if value != "" && !mailing.MatchString(value) {
		return fault.At(fault.Invalid, field, "is no e-mail address").WithCode("value")
	}
	return nil
}

// when reads a time: RFC 3339, or a date, whose beginning in the zone is meant.
func when(field, value string, zone *time.Location) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return t, nil
	}
	for _, form := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(form, value, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.At(fault.Invalid, field, "is no date or time, such as 2026-01-31 or 2026-01-31T10:00:00Z").WithCode("value")
}

// day reads a date, or a time, as a FHIR date or dateTime.
func day(field, value string, zone *time.Location) (string, error) {
	if value == "" {
		return "", nil
	}
	if _, err := time.Parse(time.DateOnly, value); err == nil {
		return value, nil
	}
	t, err := when(field, value, zone)
	if err != nil {
		return "", err
	}
	return instant(t), nil
}

func number(t api.StringOrNumber) (int, bool) {
	n, err := strconv.Atoi(string(t))
	return n, err == nil
}
