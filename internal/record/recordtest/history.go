package recordtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// history reads all pages.
func (b *bench) history(h record.HistoryQuery) (versions []*record.Version, total int) {
	b.Helper()
	total = -1
	for pages := 0; pages < 1000; pages++ {
		page, err := b.store.History(b.ctx, h)
		if err != nil {
			b.Fatal(err)
		}
		if total >= 0 && page.Total != total {
			b.Errorf("the total was %d and is %d", total, page.Total)
		}
		versions, total = append(versions, page.Versions...), page.Total
		if page.Next == "" {
			return versions, total
		}
		h.Cursor = page.Next
	}
	b.Fatal("the pages do not end")
	return nil, 0
}

func spelled(vs []*record.Version) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = fmt.Sprintf("%s/%s/%d", v.Type, v.ID, v.VID)
		if v.Deleted {
			out[i] += " gone"
		}
	}
	return out
}

// tick waits until the next version has another time.
func tick() time.Time {
	time.Sleep(3 * time.Millisecond)
	now := time.Now()
	time.Sleep(3 * time.Millisecond)
	return now
}

func testHistory(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	basic := func(text string) record.Change {
		return update("h2", res(t, `{"resourceType":"Basic","code":{"text":%q}}`, text))
	}
	start := tick()
	b.write(update("h1", patient(t, "One")))
	b.write(basic("one"))
	t1 := tick()
	b.write(update("h1", patient(t, "Two")))
	b.write(update("h3", patient(t, "Other")))
	t2 := tick()
	b.write(deletion("Patient", "h1"))
	b.write(basic("two"))
	t3 := tick()
	b.write(update("h1", patient(t, "Three")))
	num := b.write(creation(patient(t, "Numbered"))).Version.ID
	b.write(update(num, patient(t, "Renumbered")))

	all := []string{"Patient/" + num + "/2", "Patient/" + num + "/1", "Patient/h1/4", "Basic/h2/2", "Patient/h1/3 gone", "Patient/h3/1", "Patient/h1/2", "Basic/h2/1", "Patient/h1/1"}
	kept := func(f func(int, string) bool) []string {
		var out []string
		for i, s := range all {
			if f(i, s) {
				out = append(out, s)
			}
		}
		return out
	}
	of := func(prefix string) []string {
		return kept(func(_ int, s string) bool { return strings.HasPrefix(s, prefix) })
	}
	for _, c := range []struct {
		name string
		q    record.HistoryQuery
		want []string
	}{
		{"everything", record.HistoryQuery{}, all},
		{"type", record.HistoryQuery{Type: "Patient"}, of("Patient/")},
		{"other type", record.HistoryQuery{Type: "Basic"}, of("Basic/")},
		{"empty type", record.HistoryQuery{Type: "Observation"}, nil},
		{"instance", record.HistoryQuery{Type: "Patient", ID: "h1"}, of("Patient/h1/")},
		{"numbered", record.HistoryQuery{Type: "Patient", ID: num}, of("Patient/" + num)},
		{"since the start", record.HistoryQuery{Since: start}, all},
		{"since", record.HistoryQuery{Since: t2}, all[:5]},
		{"since, instance", record.HistoryQuery{Type: "Patient", ID: "h1", Since: t1}, []string{"Patient/h1/4", "Patient/h1/3 gone", "Patient/h1/2"}},
		{"since now", record.HistoryQuery{Since: time.Now().Add(time.Hour)}, nil},
		{"at", record.HistoryQuery{At: t1}, []string{"Basic/h2/1", "Patient/h1/1"}},
		{"at later", record.HistoryQuery{At: t2}, []string{"Patient/h3/1", "Patient/h1/2", "Basic/h2/1"}},
		{"at the deletion", record.HistoryQuery{Type: "Patient", ID: "h1", At: t3}, []string{"Patient/h1/3 gone"}},
		{"at the beginning", record.HistoryQuery{At: start}, nil},
		{"at now", record.HistoryQuery{Type: "Patient", At: time.Now().Add(time.Hour)}, []string{"Patient/" + num + "/2", "Patient/h1/4", "Patient/h3/1"}},
	} {
		for _, count := range []int{1, 2, 100} {
			c.q.Count = count
			vs, total := b.history(c.q)
			if got := spelled(vs); !slices.Equal(got, c.want) || total != len(c.want) {
				t.Errorf("%s by %d: %q of %d, want %q", c.name, count, got, total, c.want)
			}
		}
	}
	for _, v := range mustHistory(b, record.HistoryQuery{}) {
		if v.Deleted {
			continue
		}
		same, err := b.store.ReadVersion(b.ctx, v.Type, v.ID, v.VID)
		if err != nil || string(same.JSON()) != string(v.JSON()) || !same.Updated.Equal(v.Updated) {
			t.Errorf("%s/%s/%d reads otherwise than its history: %v", v.Type, v.ID, v.VID, err)
		}
	}
	for name, q := range map[string]record.HistoryQuery{"never there": {Type: "Patient", ID: "none"}, "no type": {Type: "Nonsense"}, "by another's type": {Type: "Patient", ID: "h2"}} {
		if _, err := b.store.History(b.ctx, q); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.store.History(b.ctx, record.HistoryQuery{Cursor: "x"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a cursor of nowhere: %v", err)
	}
}

func mustHistory(b *bench, q record.HistoryQuery) []*record.Version {
	vs, _ := b.history(q)
	return vs
}
