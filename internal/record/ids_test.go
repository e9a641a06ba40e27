package record

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/ident"
)

// TestNumbersAndIDs: an id that is a number is the decimal form of it and of no other id.
func TestNumbersAndIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(firstNumber, ident.Max).Draw(t, "num")
		if got, ok := numberOf(fhirID(n, "")); !ok || got != n {
			t.Fatalf("%d became %d", n, got)
		}
		id := rapid.StringMatching(`[0-9+\-. a]{0,18}`).Draw(t, "id")
		if got, ok := numberOf(id); ok && fhirID(got, "") != id {
			t.Fatalf("%q is taken for %d", id, got)
		}
	})
	if fhirID(firstNumber, "name") != "name" {
		t.Error("a name gives way to a number")
	}
	for _, id := range []string{"", "1", "0000000000001", strconv.FormatInt(firstNumber-1, 10), strconv.FormatInt(ident.Max+1, 10), "1099511627776x", "+1099511627776",
		"-1099511627776", "01099511627776", "1099511627776.0", strings.Repeat("9", 64), "9999999999999999"} {
		if n, ok := numberOf(id); ok {
			t.Errorf("%q is taken for %d", id, n)
		}
	}
}

// TestMayName: a client may not choose an id that the server may give out one day.
func TestMayName(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &Store{clock: func() time.Time { return now }}
	first := ident.FirstAt(now)
	for id, ok := range map[string]bool{
		"patient-1": true, "12345": true, strconv.FormatInt(first-1, 10): true, strconv.FormatInt(first, 10): false,
		strconv.FormatInt(ident.Max, 10): false, strconv.FormatInt(ident.Max+1, 10): true,
	} {
		if err := s.mayName(id); (err == nil) != ok || err != nil && !fault.Is(err, fault.Unprocessable) {
			t.Errorf("%s: %v", id, err)
		}
	}
}
