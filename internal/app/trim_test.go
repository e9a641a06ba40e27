package app

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryIsGivenBackOnceAfterWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var trims atomic.Int64
		tr := &idleTrimmer{trim: func() { trims.Add(1) }}
		go tr.run(t.Context(), time.Second)
		work := func(took time.Duration) {
			h := tr.wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(took) }))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}
		expect := func(when string, want int64) {
			t.Helper()
			if got := trims.Load(); got != want {
				t.Errorf("%s: trimmed %d times, want %d", when, got, want)
			}
		}
		time.Sleep(10*time.Second + time.Millisecond)
		expect("without work", 0)
		work(time.Millisecond)
		time.Sleep(10 * time.Second)
		expect("after work", 1)
		go work(20 * time.Second)
		time.Sleep(15 * time.Second)
		expect("during a long request", 1)
		time.Sleep(15 * time.Second)
		expect("after it", 2)
	})
}
