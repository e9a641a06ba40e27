package storetest

import (
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/record"
)

// Settle waits until [record.Store.Changes] tells of everything that was written: on a server transactions of others, in any of its databases, hold that up.
func Settle(t testing.TB, s *record.Store) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		settled, last, err := s.Settled(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if settled >= last {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the changes did not settle")
		}
	}
}
