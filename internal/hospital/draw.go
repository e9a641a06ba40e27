package hospital

import (
	"encoding/hex"
	"math"
	"math/rand/v2"
	"strconv"
	"time"
)

// draw is a source of chance. The same seed and stream give the same draws on every machine.
type draw struct{ *rand.Rand }

func newDraw(seed int64, stream uint64) draw {
	return draw{rand.New(rand.NewPCG(uint64(seed), stream))}
}

func pick[T any](r draw, from []T) T { return from[r.IntN(len(from))] }

// chance is true with probability p.
func (r draw) chance(p float64) bool { return r.Float64() < p }

// between is uniform in [low, high].
func (r draw) between(low, high int) int { return low + r.IntN(high-low+1) }

// normal is a bell curve, cut off at three deviations so that no value is absurd.
func (r draw) normal(mean, deviation float64) float64 {
	return mean + deviation*math.Max(-3, math.Min(3, r.NormFloat64()))
}

// digits is a number of exactly n digits, the first not zero.
func (r draw) digits(n int) string {
	out := strconv.Itoa(r.between(1, 9))
	for len(out) < n {
		out += strconv.Itoa(r.IntN(10))
	}
	return out
}

// uuid is of version 4 in form.
func (r draw) uuid() string {
	var u [16]byte
	for k := range u {
		u[k] = byte(r.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// clinicHour is a time of day between 8 and 16 on t's day, or on Sunday where that is a Friday or Saturday, the weekend.
func (r draw) clinicHour(t time.Time) time.Time {
	for t.Weekday() == time.Friday || t.Weekday() == time.Saturday {
		t = t.AddDate(0, 0, 1)
	}
	return time.Date(t.Year(), t.Month(), t.Day(), r.between(8, 15), 5*r.IntN(12), 0, 0, t.Location())
}
