package notification

import (
	"context"
	"errors"
	"net"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/job"
)

var international = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// phone is a number as carriers want it (E.164); "" for what is none. A number that begins with a single 0 is a Sudanese one.
func phone(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= '٠' && c <= '٩': // as it is written in Arabic
			return c - '٠' + '0'
		case strings.ContainsRune(" \t-./()\u00a0\u200e\u200f\u202a\u202b\u202c", c):
			return -1
		}
		return c
	}, s)
	switch {
	case strings.HasPrefix(s, "00"):
		s = "+" + s[2:]
	case strings.HasPrefix(s, "0"):
		s = "+249" + s[1:]
	}
	if !international.MatchString(s) {
		return ""
	}
	return s
}

// why says what went wrong with a carrier, in words that hold no address: what its server said is left out, but for its code. What is of no use to try
// again is marked so.
func why(channel string, err error) error {
	name := "the mail server"
	if channel == SMS {
		name = "the gateway of text messages"
	}
	var known *fault.Error
	var said *textproto.Error
	var slow net.Error
	switch {
	case errors.As(err, &known):
		if known.Kind == fault.Invalid {
			return job.Never(err)
		}
		return err
	case errors.As(err, &said):
		refused := fault.New(fault.Unavailable, "%s refused it: %s", name, strconv.Itoa(said.Code))
		if said.Code >= 550 && said.Code < 560 { // no such mailbox, or not from us (RFC 5321, section 4.2.3); 53x is about signing in
			return job.Never(refused)
		}
		return refused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return fault.New(fault.Unavailable, "%s did not answer in time", name)
	}
	return fault.New(fault.Unavailable, "%s cannot be reached", name)
}
