package record

import (
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

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

// TestAliasesKeepNoBodies: an id that is a part of a large body does not keep the body in memory.
func TestAliasesKeepNoBodies(t *testing.T) {
	body := strings.Repeat("x", 1<<20)
	c := aliasCache{nums: map[aliasKey]int64{}}
	c.put(aliasKey{1, 2, body[100:110]}, 7)
	if n, ok := c.get(aliasKey{1, 2, "xxxxxxxxxx"}); !ok || n != 7 {
		t.Fatal("not kept")
	}
	for k := range c.nums {
		if unsafe.StringData(k.fid) == unsafe.StringData(body[100:]) {
			t.Error("the body is kept")
		}
	}
}

// TestAliasesAreBounded: the cache forgets rather than grow without end.
func TestAliasesAreBounded(t *testing.T) {
	c := aliasCache{nums: map[aliasKey]int64{}}
	for i := range aliasesKept + 10 {
		c.put(aliasKey{1, 1, strconv.Itoa(i)}, int64(i))
	}
	if len(c.nums) != aliasesKept {
		t.Errorf("%d are kept", len(c.nums))
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
