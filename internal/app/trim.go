package app

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// trimAfter is how long nothing must be asked before memory is given back.
const trimAfter = 5 * time.Second

// idleTrimmer gives memory that work has left free back to the system when the server has become idle, at once rather than
// over the minutes that the runtime takes for it.
type idleTrimmer struct {
	begun, ended atomic.Int64
	trim         func()
}

func newIdleTrimmer() *idleTrimmer { return &idleTrimmer{trim: debug.FreeOSMemory} }

// wrap counts the requests of next.
func (t *idleTrimmer) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.begun.Add(1)
		defer t.ended.Add(1)
		next.ServeHTTP(w, r)
	})
}

// run trims once after each stretch of work, until ctx ends.
func (t *idleTrimmer) run(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var trimmed, before int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun, ended := t.begun.Load(), t.ended.Load()
		if begun == before && begun == ended && begun != trimmed {
			t.trim()
			trimmed = begun
		}
		before = begun
	}
}
