package recordtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/record"
)

const crowd = 64

// testConcurrency runs many writers on one store, and on a shared database on two, as two processes would be.
func testConcurrency(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	stores := []*record.Store{b.store}
	if b.place.Shared {
		stores = append(stores, openBench(t, b.place, record.Options{}).store)
	}
	for _, c := range []struct {
		name string
		f    func(*mob)
	}{
		{"conditional creates", parallelConditionalCreates}, {"one If-Match", parallelIfMatch}, {"plain updates", parallelUpdates},
		{"first references", parallelReferences}, {"first names", parallelNames}, {"patches", parallelPatches},
		{"crossing sets", crossingSets}, {"rows of one patient", parallelPatientRows}, {"cancelled", cancelledWriters},
	} {
		t.Run(c.name, func(t *testing.T) { c.f(&mob{b.with(t), stores}) })
	}
	b.sound()
}

// mob is many writers.
type mob struct {
	*bench
	stores []*record.Store
}

// each runs f crowd times at once, on the stores in turn, and waits for all, a minute at most.
func (m *mob) each(f func(s *record.Store, i int)) {
	m.Helper()
	start, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	for i := range crowd {
		wg.Go(func() {
			<-start
			f(m.stores[i%len(m.stores)], i)
		})
	}
	close(start)
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		m.Fatal("the writers do not end")
	}
}

func parallelConditionalCreates(m *mob) {
	var created, found atomic.Int64
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = conditional(m.bench, record.Create, "pcc", "One")
	}
	m.each(func(s *record.Store, i int) {
		out, err := s.Write(m.ctx, changes[i:i+1])
		switch {
		case err != nil:
			m.Errorf("create: %v", err)
		case out[0].Result == record.Created:
			created.Add(1)
		case out[0].Result == record.Unchanged:
			found.Add(1)
		}
	})
	if created.Load() != 1 || found.Load() != crowd-1 {
		m.Errorf("%d created, %d found", created.Load(), found.Load())
	}
	if got := m.find("Patient", "identifier", "urn:test|pcc"); len(got) != 1 {
		m.Errorf("%d resources", len(got))
	}
}

func parallelIfMatch(m *mob) {
	m.write(update("pim", patient(m, "Start")))
	var through, refused atomic.Int64
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = update("pim", patient(m, fmt.Sprint("F", i)))
		changes[i].IfMatch = 1
	}
	m.each(func(s *record.Store, i int) {
		_, err := s.Write(m.ctx, changes[i:i+1])
		switch {
		case err == nil:
			through.Add(1)
		case fault.Is(err, fault.VersionConflict):
			refused.Add(1)
		default:
			m.Errorf("update: %v", err)
		}
	})
	if through.Load() != 1 || refused.Load() != crowd-1 {
		m.Errorf("%d went through, %d were refused", through.Load(), refused.Load())
	}
}

// contiguous demands versions 1 … n of the resource, each once.
func (m *mob) contiguous(id string, n int) {
	m.Helper()
	vs, total := m.history(record.HistoryQuery{Type: "Patient", ID: id, Count: 100})
	if len(vs) != n || total != n {
		m.Fatalf("%d versions (total %d), want %d", len(vs), total, n)
	}
	for i, v := range vs {
		if v.VID != int64(n-i) {
			m.Errorf("version %d stands at place %d", v.VID, n-i)
		}
		if i > 0 && v.Seq >= vs[i-1].Seq {
			m.Errorf("version %d has a number that is not below the next one's", v.VID)
		}
	}
}

func parallelUpdates(m *mob) {
	m.write(update("pu", patient(m, "Start")))
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = update("pu", patient(m, fmt.Sprint("F", i)))
	}
	m.each(func(s *record.Store, i int) {
		if out, err := s.Write(m.ctx, changes[i:i+1]); err != nil || out[0].Result != record.Updated {
			m.Errorf("update: %+v, %v", out, err)
		}
	})
	m.contiguous("pu", crowd+1)
	current := m.read("Patient", "pu")
	r, _ := current.Resource()
	m.finds([]string{"pu"}, "Patient", "_id", "pu", "family", familyOf(r))
	for i := range crowd {
		if name := fmt.Sprint("F", i); name != familyOf(r) {
			m.finds(nil, "Patient", "_id", "pu", "family:exact", name)
		}
	}
}

func parallelPatches(m *mob) {
	m.write(update("pp", res(m, `{"resourceType":"Patient","multipleBirthInteger":0}`)))
	m.each(func(s *record.Store, i int) {
		c := record.Change{Op: record.Patch, Type: "Patient", ID: "pp", Apply: increment}
		if out, err := s.Write(m.ctx, []record.Change{c}); err != nil || out[0].Result != record.Updated {
			m.Errorf("patch: %+v, %v", out, err)
		}
	})
	m.contiguous("pp", crowd+1)
	if got := member(m, m.read("Patient", "pp"), "multipleBirthInteger"); got != fmt.Sprint(crowd) {
		m.Errorf("%d increments made %s", crowd, got)
	}
}

func parallelReferences(m *mob) {
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = creation(observation(m, "Patient/pr-unheard"))
	}
	m.each(func(s *record.Store, i int) {
		if _, err := s.Write(m.ctx, changes[i:i+1]); err != nil {
			m.Errorf("create: %v", err)
		}
	})
	m.unreadable(fault.NotFound, "Patient", "pr-unheard")
	if got := m.find("Observation", "patient", "pr-unheard"); len(got) != crowd {
		m.Errorf("%d of %d are found by it", len(got), crowd)
	}
	m.write(update("pr-unheard", patient(m, "Heard")))
	if got := m.find("Observation", "patient.family", "Heard"); len(got) != crowd {
		m.Errorf("%d of %d point to it", len(got), crowd)
	}
}

func parallelNames(m *mob) {
	var created atomic.Int64
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = update("pn", patient(m, fmt.Sprint("F", i)))
	}
	m.each(func(s *record.Store, i int) {
		out, err := s.Write(m.ctx, changes[i:i+1])
		if err != nil {
			m.Errorf("update: %v", err)
		} else if out[0].Result == record.Created {
			created.Add(1)
		}
	})
	if created.Load() != 1 {
		m.Errorf("%d created it", created.Load())
	}
	m.contiguous("pn", crowd)
}

// crossingSets change the same two resources in opposite orders.
func crossingSets(m *mob) {
	m.writeAll(update("cross-a", patient(m, "A")), update("cross-b", patient(m, "B")))
	sets := make([][]record.Change, crowd)
	for i := range sets {
		sets[i] = []record.Change{update("cross-a", patient(m, fmt.Sprint("A", i))), update("cross-b", patient(m, fmt.Sprint("B", i)))}
		if i%2 == 0 {
			sets[i][0], sets[i][1] = sets[i][1], sets[i][0]
		}
	}
	m.each(func(s *record.Store, i int) {
		if _, err := s.Write(m.ctx, sets[i]); err != nil {
			m.Errorf("set: %v", err)
		}
	})
	m.contiguous("cross-a", crowd+1)
	m.contiguous("cross-b", crowd+1)
	a, _ := m.read("Patient", "cross-a").Resource()
	b, _ := m.read("Patient", "cross-b").Resource()
	if familyOf(a)[1:] != familyOf(b)[1:] {
		m.Errorf("the last sets mixed: %s and %s", familyOf(a), familyOf(b))
	}
}

// parallelPatientRows need the key of a patient whom nobody wrote yet.
func parallelPatientRows(m *mob) {
	p := m.write(creation(patient(m, "Key"))).Version.ID
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = creation(observation(m, "Patient/1510000000001"))
		if i%4 == 0 {
			changes[i] = creation(observation(m, "Patient/"+p))
		}
	}
	m.each(func(s *record.Store, i int) {
		if _, err := s.Write(m.ctx, changes[i:i+1]); err != nil {
			m.Errorf("create: %v", err)
		}
	})
	for id, want := range map[string]int{p: crowd / 4, "1510000000001": crowd * 3 / 4} {
		if got := m.find("Observation", "patient", id); len(got) != want {
			m.Errorf("%d of %d are found", len(got), want)
		}
	}
}

// cancelledWriters demands that a writer who goes away takes nobody with him, and leaves all or nothing.
func cancelledWriters(m *mob) {
	changes := make([]record.Change, crowd)
	for i := range changes {
		changes[i] = update(fmt.Sprint("cw-", i), patient(m, "Cancelled"))
	}
	outcomes := make([]error, crowd)
	m.each(func(s *record.Store, i int) {
		ctx := m.ctx
		if i%2 == 1 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*100*time.Microsecond)
			defer cancel()
		}
		_, outcomes[i] = s.Write(ctx, changes[i:i+1])
	})
	for i, err := range outcomes {
		id := fmt.Sprint("cw-", i)
		if err != nil && i%2 == 0 {
			m.Errorf("a writer who stayed: %v", err)
		}
		if err == nil {
			m.read("Patient", id)
			m.finds([]string{id}, "Patient", "_id", id, "family", "Cancelled")
		} else if v, err := m.store.Read(m.ctx, "Patient", id); err == nil {
			m.Logf("%s stands although its writer was told otherwise: %d", id, v.VID)
		}
	}
}
