package web_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/web"
)

func TestACallersDeadlineOnlyShortens(t *testing.T) {
	var left time.Duration
	s := edge(t, web.Options{Timeout: 10 * time.Second}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		until, _ := r.Context().Deadline()
		left = time.Until(until)
	}))
	for said, most := range map[string]time.Duration{"2000": 2 * time.Second, "60000": 10 * time.Second, "": 10 * time.Second, "-5": 10 * time.Second, "0": 10 * time.Second, "soon": 10 * time.Second,
		"9223372036854775807": 10 * time.Second, "99999999999999999999": 10 * time.Second} {
		do(t, s, "GET", "/", nil, web.TimeoutHeader, said)
		if left > most || left < most-time.Second {
			t.Errorf("%q: %v are left", said, left)
		}
	}
}
