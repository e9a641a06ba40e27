package sqldb

import "time"

// Pace decides how long a commit waits for more writers to join it. Clients that write again and again come back shortly
// after their answer: as many as the last commit had are worth waiting for, for a part of the time that a commit takes. A
// single writer never waits. The zero value is ready; it belongs to one goroutine.
type Pace struct {
	joined int
	took   time.Duration
}

// patienceMost bounds the wait.
const patienceMost = 2 * time.Millisecond

// Committed notes how many writers a commit had and how long the commit took.
func (p *Pace) Committed(joined int, took time.Duration) {
	p.joined, p.took = joined, took
}

// Next returns the next writer of the queue for a batch that began at start and has n by now, waiting for it where that is worth
// while; the zero value where the batch should be committed.
func Next[T any](p *Pace, queue <-chan T, n int, start time.Time) (next T) {
	select {
	case next = <-queue:
		return next
	default:
	}
	wait := min(p.took/2, patienceMost) - time.Since(start)
	if n >= p.joined || wait <= 0 {
		return next
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case next = <-queue:
	case <-timer.C:
	}
	return next
}
