// Package clock is time as a value: whoever needs the time is given a [Clock], and a test gives its own.
package clock

import "time"

// Clock tells the time. It is safe for concurrent use.
type Clock func() time.Time

// System is the machine's clock.
func System() time.Time { return time.Now() }
