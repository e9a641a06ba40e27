package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is a Value made of two functions.
type value struct {
	set  func(string) error
	show func() string
}

func (v value) Set(s string) error { return v.set(s) }
func (v value) String() string     { return v.show() }

// boolean marks a Value whose flag may stand without a value.
type boolean struct{ value }

// Text takes any text.
func Text(p *string) Value {
	return value{func(s string) error { *p = s; return nil }, func() string { return *p }}
}

// List takes texts with commas between them.
func List(p *[]string) Value {
	return value{func(s string) error {
		*p = nil
		for _, one := range strings.Split(s, ",") {
			if one = strings.TrimSpace(one); one != "" {
				*p = append(*p, one)
			}
		}
		return nil
	}, func() string { return strings.Join(*p, ",") }}
}

// Bool takes true or false.
func Bool(p *bool) Value {
	return boolean{value{func(s string) error {
		b, err := strconv.ParseBool(strings.ToLower(s))
		if err != nil {
			return errors.New("must be true or false")
		}
		*p = b
		return nil
	}, func() string { return strconv.FormatBool(*p) }}}
}

// Choice takes one of the words.
func Choice(p *string, words ...string) Value {
	return value{func(s string) error {
		if !slices.Contains(words, s) {
			return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
		}
		*p = s
		return nil
	}, func() string { return *p }}
}

// Count takes a whole number from 1.
func Count(p *int) Value {
	return value{func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return errors.New("must be a whole number, 1 at least")
		}
		*p = n
		return nil
	}, func() string { return strconv.Itoa(*p) }}
}

// Duration takes a length of time such as 90s or 5m.
func Duration(p *time.Duration) Value {
	return value{func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("must be a length of time such as 90s or 5m")
		}
		*p = d
		return nil
	}, func() string { return p.String() }}
}

// Address takes HOST:PORT.
func Address(p *string) Value {
	return value{func(s string) error {
		_, port, err := net.SplitHostPort(s)
		if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > 65535 {
			return errors.New("must be HOST:PORT, such as 127.0.0.1:7000")
		}
		*p = s
		return nil
	}, func() string { return *p }}
}

// URL takes an absolute URL of one of the schemes, or nothing.
func URL(p *string, schemes ...string) Value {
	return value{func(s string) error {
		u, err := url.Parse(s)
		// The error of url.Parse repeats the text, which may hold a password: it is not passed on.
		if s != "" && (err != nil || !slices.Contains(schemes, u.Scheme)) {
			return fmt.Errorf("must be a URL that begins with %s://", strings.Join(schemes, ":// or "))
		}
		*p = strings.TrimRight(s, "/")
		return nil
	}, func() string { return *p }}
}

var units = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}, {"", 1}}

// Size takes a number of bytes, with KiB, MiB or GiB behind it where that is meant.
func Size(p *int64) Value {
	return value{func(s string) error {
		for _, u := range units {
			digits, ok := strings.CutSuffix(s, u.suffix)
			if !ok {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
			if err != nil || n < 1 || n > (1<<62)/u.bytes {
				break
			}
			*p = n * u.bytes
			return nil
		}
		return errors.New("must be a size such as 65536, 512KiB or 64MiB")
	}, func() string {
		for _, u := range units {
			if u.suffix != "" && *p >= u.bytes && *p%u.bytes == 0 {
				return strconv.FormatInt(*p/u.bytes, 10) + u.suffix
			}
		}
		return strconv.FormatInt(*p, 10)
	}}
}
