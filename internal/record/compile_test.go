package record

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// TestAfter: a text lies between a beginning and what comes after it exactly where it begins so.
func TestAfter(t *testing.T) {
	texts := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'a', 'b', 0xfe, 0xff}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		start, text := texts.Draw(t, "start"), texts.Draw(t, "text")
		end := after(string(start))
		within := bytes.Compare(text, start) >= 0 && (end == nil || bytes.Compare(text, end) < 0)
		if within != bytes.HasPrefix(text, start) {
			t.Fatalf("%q in [%q, %q): %v", text, start, end, within)
		}
	})
}

var comparison = regexp.MustCompile(`x\.seq (<|>=) (-?\d+)`)

// satisfied evaluates what lastUpdated writes: one comparison, or two of which both (AND) or one (OR) must hold.
func satisfied(sql string, seq int64) bool {
	var holds []bool
	for _, m := range comparison.FindAllStringSubmatch(sql, -1) {
		n, err := strconv.ParseInt(m[2], 10, 64)
		holds = append(holds, err == nil && (m[1] == "<" && seq < n || m[1] == ">=" && seq >= n))
	}
	switch rest := comparison.ReplaceAllString(sql, "c"); rest {
	case "c":
		return holds[0]
	case "(c AND c)":
		return holds[0] && holds[1]
	case "(c OR c)":
		return holds[0] || holds[1]
	default:
		panic("cannot read " + sql)
	}
}

// TestLastUpdated: at and around every boundary the statement says of a version's number what the predicate says of its time.
func TestLastUpdated(t *testing.T) {
	spans := []string{"2026", "2026-03", "2026-03-04", "2026-03-04T05:06:07Z", "2026-03-04T05:06:07.891Z", "2026-03-04T05:06:07.8912Z", "2026-03-04T05:06+02:00",
		"2020-01-01T00:00:00.000Z", "2019", "1000", "2089", "2100", "9999"}
	for _, op := range []string{"eq", "ne", "lt", "gt", "le", "ge", "sa", "eb", "ap"} {
		for _, span := range spans {
			q, err := search.Parse("Patient", []search.Param{{Name: "_lastUpdated", Value: op + span}}, search.Options{Now: time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC)})
			if err != nil {
				t.Fatal(err)
			}
			p, ok := q.ByType[0].Pred.(search.LastUpdated)
			if !ok {
				p, ok = conjuncts(q.ByType[0].Pred)[0].(search.LastUpdated)
			}
			if !ok {
				t.Fatalf("%s%s is %#v", op, span, q.ByType[0].Pred)
			}
			c := &compiler{b: &sqldb.Builder{}}
			c.lastUpdated(p, "x")
			sql := c.b.String()
			for _, edge := range []int64{p.Lo, p.Hi, ident.Time(1 << 40).UnixMicro(), ident.Time(ident.Max).UnixMicro()} {
				for _, off := range []time.Duration{-time.Hour, -time.Millisecond, -time.Microsecond, 0, time.Microsecond, time.Millisecond, time.Hour} {
					at := time.UnixMicro(edge).Add(off)
					for _, seq := range []int64{ident.FirstAt(at), ident.FirstAt(at) + 4095} {
						if seq > ident.Max {
							continue
						}
						// A store's own numbers begin when it was made, not before the numbers' epoch.
						doc := &search.Doc{Type: "Patient", Updated: ident.Time(seq)}
						want, err := search.Match(p, doc, nil)
						if err != nil {
							t.Fatal(err)
						}
						if got := satisfied(sql, seq); got != want {
							t.Errorf("%s%s at %v: %s holds for %d: %v, want %v", op, span, doc.Updated, sql, seq, got, want)
						}
					}
				}
			}
		}
	}
}

// TestPlaceholders counts from one, as the databases do.
func TestPlaceholders(t *testing.T) {
	for i := 1; i < 12; i++ {
		if got := placeholder(i); got != fmt.Sprintf("$%d", i) {
			t.Error(got)
		}
	}
}
