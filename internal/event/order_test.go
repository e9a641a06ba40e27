package event_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
)

// gate holds transactions that write an Encounter, after their event was given its id, until it is opened.
type gate struct {
	t *testing.T
	c *pgx.Conn
}

func newGate(t *testing.T, url string) *gate {
	t.Helper()
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	g := &gate{t, c}
	g.exec(fmt.Sprintf(`CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN IF NEW.type = %d THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF; RETURN NEW; END $$`, def.Lookup("Encounter").Num))
	g.exec("CREATE TRIGGER hold AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION hold()")
	return g
}

func (g *gate) exec(sql string) {
	g.t.Helper()
	if _, err := g.c.Exec(context.Background(), sql); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gate) shut() { g.exec("SELECT pg_advisory_lock(4711)") }
func (g *gate) open() { g.exec("SELECT pg_advisory_unlock(4711)") }

// held waits until n transactions stand at the gate.
func (g *gate) held(n int) {
	g.t.Helper()
	until(g.t, fmt.Sprintf("%d transactions at the gate", n), func() bool {
		var waiting int
		err := g.c.QueryRow(context.Background(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted").Scan(&waiting)
		return err == nil && waiting == n
	})
}

// two opens two stores on one database, as two processes do.
func two(t *testing.T) (a, b *world, url string) {
	t.Helper()
	url, dir := storetest.Database(t), t.TempDir()
	for _, w := range []**world{&a, &b} {
		s, err := openAt(dir, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		*w = &world{t, s, in(1)}
	}
	return a, b, url
}

func visit() record.Change {
	r := resource(nil, `{"resourceType":"Encounter","status":"planned","class":{"code":"AMB"}}`)
	return record.Change{Op: record.Create, Type: "Encounter", Resource: r}
}

func TestCommitsOutOfOrderAreHeardInTheOrderOfTheirIds(t *testing.T) {
	a, b, url := two(t)
	g := newGate(t, url)
	var durable, here, there heard
	ha := a.hub(func(o *event.Options) { o.Beat = beat })
	ha.Read("r", event.FromNow, durable.handle)
	ha.Tail(here.take)
	a.run(ha)
	hb := b.hub(func(o *event.Options) { o.Beat = beat })
	hb.Tail(there.take)
	b.run(hb)
	a.patient(1, "First")
	durable.hears(t, "created First")
	for round := range 3 {
		g.shut()
		var wg sync.WaitGroup
		for _, w := range []*world{a, b} {
			wg.Go(func() {
				if _, err := w.store.Write(w.ctx, []record.Change{visit()}); err != nil {
					t.Error(err)
				}
			})
		}
		g.held(2)
		before := durable.count()
		for i := range 20 {
			[]*world{a, b}[i%2].patient(1, "Overtaker")
		}
		// The readers look again and again meanwhile, and pass over nothing: what stands behind the visits must wait for them.
		settled, last, err := a.store.Settled(a.ctx)
		if err != nil || settled >= last {
			t.Fatalf("round %d: settled up to %d of %d: %v", round, settled, last, err)
		}
		time.Sleep(3 * 50 * time.Millisecond)
		if n := durable.count(); n != before {
			t.Fatalf("%d events were heard before what may still come between", n-before)
		}
		g.open()
		wg.Wait()
		for _, x := range []*heard{&durable, &here, &there} {
			until(t, "all of a round", func() bool { return x.count() == before+22 })
			x.mu.Lock()
			if !slices.IsSortedFunc(x.all, func(p, q event.Event) int { return int(p.ID - q.ID) }) {
				t.Error("they are not in the order of their ids")
			}
			if k := []string{x.all[before].Kind.Name, x.all[before+1].Kind.Name}; k[0] != "visit.started" || k[1] != "visit.started" {
				t.Errorf("first came %v", k)
			}
			x.mu.Unlock()
		}
	}
}

func TestOneProcessReadsAtATimeAndAnotherTakesOver(t *testing.T) {
	a, b, _ := two(t)
	var first, second heard
	hub := func(w *world, h *heard) *event.Hub {
		x := w.hub(func(o *event.Options) { o.Beat = 4 * beat })
		x.Read("r", event.FromNow, h.handle)
		return x
	}
	stop := a.run(hub(a, &first))
	a.patient(1, "One")
	first.hears(t, "created One")
	hb := hub(b, &second)
	b.run(hb)
	for i := range 20 {
		[]*world{a, b}[i%2].patient(1, "Many")
	}
	until(t, "the first to hear all", func() bool { return first.count() == 21 })
	if second.count() != 0 {
		t.Errorf("two processes read at a time: the other heard %v", second.names())
	}
	stop()
	a.patient(1, "Last")
	second.hears(t, "created Last")
	// A reader that is sent back by a process that does not hold it is sent back all the same.
	if err := a.hub().Rewind(a.ctx, "r", 0); err != nil {
		t.Fatal(err)
	}
	until(t, "all once more", func() bool { return second.count() == 1+22 })
}

// TestAProcessThatCannotSayThatItIsThereReadsNoMore holds the row by which a process says so: another takes its reader over, and the handler of the first is told to end.
func TestAProcessThatCannotSayThatItIsThereReadsNoMore(t *testing.T) {
	a, b, url := two(t)
	ended := make(chan struct{})
	var second heard
	ha := a.hub(func(o *event.Options) { o.Beat = beat })
	busy := make(chan struct{}, 1)
	ha.Read("r", event.FromNow, func(ctx context.Context, _ event.Event) error {
		busy <- struct{}{}
		<-ctx.Done()
		close(ended)
		return ctx.Err()
	})
	a.run(ha)
	a.patient(1, "One")
	<-busy
	hb := b.hub(func(o *event.Options) { o.Beat = beat })
	hb.Read("r", event.FromNow, second.handle)
	c, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	if _, err := c.Exec(context.Background(), "SET nilecare.tenant = '1'; BEGIN"); err != nil {
		t.Fatal(err)
	}
	if tag, err := c.Exec(context.Background(), "SELECT 1 FROM event_process FOR UPDATE"); err != nil || tag.RowsAffected() != 1 {
		t.Fatal(tag, err)
	}
	b.run(hb)
	<-ended
	second.hears(t, "created One")
	if _, err := c.Exec(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	b.patient(1, "Two")
	second.hears(t, "created One", "created Two")
}
