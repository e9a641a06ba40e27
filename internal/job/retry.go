package job

import (
	"context"
	"errors"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// Retry says when a job is tried again, and when it is given up. The zero value is 15 attempts, 10 s apart at first and an hour at most: about seven hours.
type Retry struct {
	First    time.Duration // the pause after the first attempt, doubled after each more; 0: 10 s
	Most     time.Duration // the longest pause; 0: an hour
	For      time.Duration // no attempt later than that after the first; 0: it is not bounded
	Attempts int           // how many; 0: 15, or as many as For has room for
}

func (r Retry) filled() Retry {
	if r.First <= 0 {
		r.First = 10 * time.Second
	}
	if r.Most <= 0 {
		r.Most = time.Hour
	}
	return r
}

// most is after how many attempts a job is given up; 0: none.
func (r Retry) most() int {
	if r.Attempts == 0 && r.For == 0 {
		return 15
	}
	return r.Attempts
}

// next is when the attempt after this one, the n-th, is made; false where there is none. Pauses are a quarter longer or shorter, always the same
// for the same job and attempt, so that what failed together does not come again together.
func (r Retry) next(id int64, n int, begun, now time.Time, err error) (time.Time, bool) {
	var never *neverError
	if errors.As(err, &never) || r.most() > 0 && n >= r.most() {
		return time.Time{}, false
	}
	f := r.filled()
	pause := f.First
	for i := 1; i < n && pause < f.Most; i++ {
		pause *= 2
	}
	pause = min(pause, f.Most)
	h := fnv.New32a()
	_, _ = h.Write([]byte(strconv.FormatInt(id, 10) + "/" + strconv.Itoa(n)))
	pause += pause / 4 * time.Duration(int64(h.Sum32()%2001)-1000) / 1000
	var asked *afterError
	if errors.As(err, &asked) {
		pause = max(pause, min(asked.pause, 24*time.Hour))
	}
	at := now.Add(pause)
	if r.For > 0 && at.After(begun.Add(r.For)) {
		// The last attempt stands at the end of the time, if that is not about now.
		if at = begun.Add(r.For); at.Sub(now) < f.First {
			return time.Time{}, false
		}
	}
	return at, true
}

type neverError struct{ err error }

func (e *neverError) Error() string { return e.err.Error() }
func (e *neverError) Unwrap() error { return e.err }

// Never marks an error after which it is of no use to try again.
func Never(err error) error { return &neverError{err} }

type afterError struct {
	err   error
	pause time.Duration
}

func (e *afterError) Error() string { return e.err.Error() }
func (e *afterError) Unwrap() error { return e.err }

// After marks an error with the pause that the other side asks for; more than a day is taken for a day.
func After(err error, pause time.Duration) error { return &afterError{err, pause} }

type laterError struct{ at time.Time }

func (e *laterError) Error() string { return "not yet" }

// Later is what [Handler].Before returns of a job that is not to be done before that time after all: that is no failure, and the attempt does not count.
func Later(at time.Time) error { return &laterError{at} }

// reasonLength bounds what is kept of an error.
const reasonLength = 300

// reason is what may be shown of an error: what its maker says to callers, and nothing of another's words.
func reason(err error) string {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		s := []rune(known.Error())
		return string(s[:min(len(s), reasonLength)])
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	}
	return "an error of the program: the log has it"
}
