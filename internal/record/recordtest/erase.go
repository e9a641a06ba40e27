package recordtest

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

// erasure demands that an erased patient is gone for good, with all that was theirs and nothing else.
func erasure(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	const name = "Vergessenername"
	own := func(id, family string) {
		b.writeAll(update(id, res(t, `{"resourceType":"Patient","name":[{"family":%q}],"birthDate":"1980-01-01","telecom":[{"system":"phone","value":"+2010055 %s"}]}`, family, id)),
			update(id+"-o", res(t, `{"resourceType":"Observation","status":"final","code":{"text":%q},"subject":{"reference":"Patient/%s"},"effectiveDateTime":"2026-01-01","valueQuantity":{"value":7}}`, family, id)),
			update(id+"-e", res(t, `{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/%s"}}`, id)))
		b.write(update(id, res(t, `{"resourceType":"Patient","name":[{"family":%q}],"gender":"female"}`, family+"neu")))
	}
	own("er-1", name)
	own("er-2", "Bleibendername")
	b.write(update("er-other", res(t, `{"resourceType":"Basic","code":{"text":"x"},"author":{"reference":"Practitioner/x"}}`)))
	n, err := b.store.Erase(b.ctx, "er-1")
	if err != nil || n != 3 {
		t.Fatalf("%d resources were erased, %v", n, err)
	}
	for typ, ids := range map[string][2]string{"Patient": {"er-1", "er-2"}, "Observation": {"er-1-o", "er-2-o"}, "Encounter": {"er-1-e", "er-2-e"}} {
		b.unreadable(fault.Gone, typ, ids[0])
		b.read(typ, ids[1])
		b.finds([]string{ids[1]}, typ, "_id", ids[0]+","+ids[1])
		for vid := range int64(3) {
			if v, err := b.store.ReadVersion(b.ctx, typ, ids[0], vid+1); !fault.Is(err, fault.Gone) && !fault.Is(err, fault.NotFound) {
				t.Errorf("%s/%s/%d: %v, %v", typ, ids[0], vid+1, v, err)
			}
		}
		if _, err := b.store.ReadVersion(b.ctx, typ, ids[1], 1); err != nil {
			t.Errorf("%s/%s/1: %v", typ, ids[1], err)
		}
		vs, _ := b.history(record.HistoryQuery{Type: typ, ID: ids[0]})
		for _, v := range vs {
			if !v.Deleted {
				t.Errorf("the history of %s/%s tells version %d", typ, ids[0], v.VID)
			}
		}
	}
	b.finds(nil, "Patient", "family", name)
	b.finds(nil, "Patient", "phone", "+2010055 er-1")
	b.finds([]string{"er-2-o"}, "Observation", "value-quantity", "7")
	b.finds([]string{"er-2-o"}, "Observation", "date", "2026-01-01")
	b.finds(nil, "Observation", "patient", "er-1")
	if page, err := b.store.Search(b.ctx, query(t, "Observation", "_include", "Observation:patient")); err != nil || spelledPage(page) != "Obs/er-2-o|Pat/er-2" {
		t.Errorf("a search finds %v, %v", page, err)
	}
	// Nothing may be written for a patient whose key is no more.
	for _, c := range []record.Change{update("er-1", patient(t, "Back")), creation(observation(t, "Patient/er-1"))} {
		b.refused(fault.Gone, c)
	}
	b.write(update("er-2", patient(t, "Weiter")))
	if n, err := b.store.Erase(b.ctx, "er-1"); err != nil || n != 0 {
		t.Errorf("erased again: %d, %v", n, err)
	}
	if _, err := b.store.Erase(b.ctx, "er-none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("nobody was erased: %v", err)
	}
	if v := b.sound(); v.Erased == 0 {
		t.Errorf("no version counts as erased: %+v", v)
	}
	if bytes.Contains(bytes.ToLower(b.place.Bytes(t)), []byte("vergessenername")) {
		t.Error("the name still stands in the database")
	}
	b.read("Basic", "er-other")
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	c := openBench(t, b.place, record.Options{})
	c.unreadable(fault.Gone, "Patient", "er-1")
	c.finds([]string{"er-2"}, "Patient", "family", "Weiter")
}

// erasedUnderWriters demands that what is written for a patient while they are erased is erased with them, or refused; on
// a shared database also what another process writes that knows the key.
func erasedUnderWriters(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	stores := []*record.Store{b.store}
	if b.place.Shared {
		stores = append(stores, openBench(t, b.place, record.Options{}).store)
	}
	b.write(update("eu", patient(t, "Erased")))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 8 {
		s := stores[w%len(stores)]
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := s.Write(b.ctx, []record.Change{creation(observation(t, "Patient/eu"))}); err != nil && !fault.Is(err, fault.Gone) {
					t.Errorf("a writer: %v", err)
					return
				}
			}
		})
	}
	time.Sleep(30 * time.Millisecond)
	n, err := b.store.Erase(b.ctx, "eu")
	time.Sleep(30 * time.Millisecond)
	close(stop)
	wg.Wait()
	if err != nil || n < 1 {
		t.Errorf("%d were erased, %v", n, err)
	}
	if got := b.find("Observation", "patient", "eu"); len(got) > 0 {
		t.Errorf("%d observations of the erased patient are found", len(got))
	}
	for _, s := range stores {
		if _, err := s.Write(b.ctx, []record.Change{creation(observation(t, "Patient/eu"))}); !fault.Is(err, fault.Gone) {
			t.Errorf("after it, a writer was told %v", err)
		}
	}
	b.sound()
}
