package recordtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// testChanges judges what those who follow the record are told.
func testChanges(t *testing.T, h Harness) {
	t.Run("told", func(t *testing.T) { testChangesTold(t, h) })
	t.Run("tenants", func(t *testing.T) { testChangesTenants(t, h) })
	t.Run("erased", func(t *testing.T) { testChangesErased(t, h) })
	t.Run("parallel", func(t *testing.T) { testChangesParallel(t, h) })
	t.Run("unordered", func(t *testing.T) { testChangesUnordered(t, h) })
	t.Run("rolled-back", func(t *testing.T) { testChangesRolledBack(t, h) })
}

// follow reads all changes behind a place, limit at a time.
func (b *bench) follow(ctx context.Context, after int64, limit int, types ...string) (out []record.Changed, next int64) {
	b.Helper()
	next = after
	for {
		cs, to, err := b.store.Changes(ctx, next, types, limit)
		if err != nil {
			b.Fatal(err)
		}
		if len(cs) > limit {
			b.Errorf("%d changes at once, %d were asked for", len(cs), limit)
		}
		out = append(out, cs...)
		if to == next {
			return out, next
		}
		if to < next {
			b.Fatalf("from %d it goes back to %d", next, to)
		}
		next = to
	}
}

// settle waits until everything that was written is told of.
func (b *bench) settle() {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		settled, last, err := b.store.Settled(b.ctx)
		if err != nil {
			b.Fatal(err)
		}
		if settled == last {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("after 20 s the changes up to %d of %d are settled", settled, last)
		}
	}
}

// sketch is a change in a few words.
func sketch(t testing.TB, c record.Changed) string {
	t.Helper()
	name := func(v *record.Version) string {
		switch {
		case v == nil:
			return "-"
		case v.Deleted:
			return "gone"
		}
		r, err := v.Resource()
		if err != nil {
			t.Fatal(err)
		}
		return familyOf(r)
	}
	return fmt.Sprintf("%d %s %d %s>%s by %s", c.Op, c.Version.Type, c.Version.VID, name(c.Before), name(c.Version), c.Who)
}

func sketches(t testing.TB, cs []record.Changed) string {
	t.Helper()
	var out []string
	for _, c := range cs {
		out = append(out, sketch(t, c))
	}
	return strings.Join(out, "; ")
}

func testChangesTold(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	if last, err := b.store.LastChange(b.ctx); last != 0 || err != nil {
		t.Errorf("of an empty record the last change is %d: %v", last, err)
	}
	id := b.write(creation(patient(t, "One"))).Version.ID
	b.write(update(id, patient(t, "Two")))
	b.write(update(id, patient(t, "Two"))) // no version, no change
	b.write(patch(id, "male"))
	b.write(creation(res(t, `{"resourceType":"Basic","code":{"text":"x"}}`)))
	b.write(deletion("Patient", id))
	b.write(update(id, patient(t, "Three")))
	// A record that was referred to before it came has a number from then.
	b.write(creation(res(t, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/later"}}`)))
	b.write(update("later", patient(t, "Later")))
	b.settle()
	const want = "1 Patient 1 ->One by system; 2 Patient 2 One>Two by system; 4 Patient 3 Two>Two by system; 3 Patient 4 Two>gone by system; 1 Patient 5 Two>Three by system"
	all, next := b.follow(b.ctx, 0, 100, "Patient")
	if got := sketches(t, all); got != want+"; 1 Patient 1 ->Later by system" {
		t.Errorf("told: %s", got)
	}
	for _, limit := range []int{1, 2, 3, 1000} {
		some, end := b.follow(b.ctx, 0, limit, "Patient")
		if sketches(t, some) != sketches(t, all) || end != next {
			t.Errorf("%d at a time: %s, up to %d", limit, sketches(t, some), end)
		}
	}
	if every, _ := b.follow(b.ctx, 0, 100); len(every) != len(all)+2 {
		t.Errorf("of all types: %s", sketches(t, every))
	}
	for i := range all {
		rest, _ := b.follow(b.ctx, all[i].ID, 100, "Patient")
		if sketches(t, rest) != sketches(t, all[i+1:]) {
			t.Errorf("behind %d: %s", i, sketches(t, rest))
		}
		if n, err := b.store.Behind(b.ctx, all[i].ID, 100); err != nil || n < len(rest) {
			t.Errorf("behind %d are %d: %v", i, n, err)
		}
	}
	if n, err := b.store.Behind(b.ctx, 0, 3); n != 3 || err != nil {
		t.Errorf("bounded by 3 there are %d: %v", n, err)
	}
	if last, err := b.store.LastChange(b.ctx); last != next || err != nil {
		t.Errorf("the last change is %d, told up to %d: %v", last, next, err)
	}
	if none, at := b.follow(b.ctx, next+10, 100); len(none) > 0 || at != next+10 {
		t.Errorf("behind the end: %s, up to %d", sketches(t, none), at)
	}
}

func testChangesTenants(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	ctxs := map[int32]context.Context{}
	for tenant := int32(1); tenant <= 3; tenant++ {
		ctxs[tenant] = access.With(b.ctx, access.System(tenant))
	}
	for i := range 12 {
		tenant := int32(i%3) + 1
		if _, err := b.store.Write(ctxs[tenant], []record.Change{creation(patient(t, fmt.Sprint("T", tenant)))}); err != nil {
			t.Fatal(err)
		}
	}
	b.settle()
	for tenant, ctx := range ctxs {
		for _, limit := range []int{1, 2, 100} {
			all, next := b.follow(ctx, 0, limit)
			if len(all) != 4 {
				t.Errorf("tenant %d has %d changes", tenant, len(all))
			}
			for _, c := range all {
				if got := sketch(t, c); !strings.Contains(got, fmt.Sprint(">T", tenant)) {
					t.Errorf("tenant %d is told %s", tenant, got)
				}
			}
			// Whoever has seen its own needs not pass over the others' again.
			if settled, _, err := b.store.Settled(b.ctx); err != nil || next != settled {
				t.Errorf("tenant %d goes on from %d of %d: %v", tenant, next, settled, err)
			}
		}
	}
}

func testChangesErased(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	b.write(creation(patient(t, "Stays")))
	id := b.write(creation(patient(t, "Goes"))).Version.ID
	b.write(update(id, patient(t, "Went")))
	b.write(creation(res(t, `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/%s"}}`, id)))
	if _, err := b.store.Erase(b.ctx, id); err != nil {
		t.Fatal(err)
	}
	b.write(creation(patient(t, "Last")))
	b.settle()
	for _, limit := range []int{1, 100} {
		if all, _ := b.follow(b.ctx, 0, limit); sketches(t, all) != "1 Patient 1 ->Stays by system; 1 Patient 1 ->Last by system" {
			t.Errorf("told: %s", sketches(t, all))
		}
	}
}

// testChangesParallel follows the record while many write: in several processes where the database is shared. Nothing is missed, nothing
// comes twice, and what happens to one record comes in the order of its versions.
func testChangesParallel(t *testing.T, h Harness) {
	p := h.New(t)
	benches := []*bench{openBench(t, p, record.Options{})}
	if p.Shared {
		benches = append(benches, openBench(t, p, record.Options{}))
	}
	const writers, steps = 4, 40
	var wrote sync.WaitGroup
	for i, b := range benches {
		for w := range writers {
			wrote.Go(func() {
				id := fmt.Sprintf("w-%d-%d", i, w)
				for s := range steps {
					// One record changes all the time, and each set makes another one.
					_, err := b.store.Write(b.ctx, []record.Change{update(id, patient(t, fmt.Sprint("F", s))), creation(patient(t, "New"))})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { wrote.Wait(); close(done) }()
	want := len(benches) * writers * steps * 2
	for _, b := range benches {
		seen := map[int64]bool{}
		vids := map[string]int64{}
		var at, newest int64
		for end := false; ; {
			cs, next, err := b.store.Changes(b.ctx, at, nil, 50)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range cs {
				if c.ID <= newest || seen[c.ID] {
					t.Fatalf("%d comes behind %d", c.ID, newest)
				}
				seen[c.ID], newest = true, c.ID
				if vids[c.Version.ID]+1 != c.Version.VID {
					t.Fatalf("version %d of a record comes behind version %d", c.Version.VID, vids[c.Version.ID])
				}
				vids[c.Version.ID] = c.Version.VID
			}
			if next == at {
				settled, last, err := b.store.Settled(b.ctx)
				if err != nil {
					t.Fatal(err)
				}
				if end && settled == last && at >= settled {
					break
				}
				select {
				case <-done:
					end = true
				default:
				}
			}
			at = next
		}
		if len(seen) != want {
			t.Errorf("%d changes were told, %d were made", len(seen), want)
		}
	}
}

// errUnwanted ends a transaction that is not to be.
var errUnwanted = errors.New("not wanted")

// testChangesUnordered has a transaction hold the id that it was given while later ones commit.
func testChangesUnordered(t *testing.T, h Harness) {
	p := h.New(t)
	if !p.Shared {
		t.Skip("transactions of this database commit in the order of their events")
	}
	b, other := openBench(t, p, record.Options{}), openBench(t, p, record.Options{})
	v := b.write(creation(patient(t, "First"))).Version
	b.settle()
	other.settle()
	before, at := b.follow(b.ctx, 0, 100)
	if len(before) != 1 {
		t.Fatalf("told: %s", sketches(t, before))
	}
	for _, commits := range []bool{true, false} {
		given, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() { // the first event's twin takes an id, and waits
			ended <- other.engine.Commit(other.ctx, 1, &record.Job{Solo: true, Run: func(ctx context.Context, tx record.Tx) (*record.Rows, error) {
				if _, err := tx.Exec(ctx, "INSERT INTO event (tenant, num, vid, type, op) SELECT tenant, num, vid, type, op FROM event WHERE tenant = 1 AND id = $1", before[0].ID); err != nil {
					return nil, err
				}
				close(given)
				<-release
				if !commits {
					return nil, errUnwanted
				}
				return nil, nil
			}})
		}()
		<-given
		var mine []int64
		for i := range 5 {
			mine = append(mine, b.write(creation(patient(t, fmt.Sprint("Overtaker", i)))).Version.Num)
		}
		for _, reader := range []*bench{b, other} {
			if early, _ := reader.follow(b.ctx, at, 100); len(early) > 0 {
				t.Errorf("told before what may still come between: %s", sketches(t, early))
			}
			if settled, last, err := reader.store.Settled(b.ctx); err != nil || settled >= last || settled < at {
				t.Errorf("settled up to %d of %d, from %d: %v", settled, last, at, err)
			}
			if last, err := reader.store.LastChange(b.ctx); err != nil || last > at {
				t.Errorf("the last change that is told is %d: %v", last, err)
			}
		}
		close(release)
		if err := <-ended; (err == nil) != commits {
			t.Fatal(err)
		}
		next := at
		for _, reader := range []*bench{b, other} {
			reader.settle()
			var nums []int64
			all, to := reader.follow(b.ctx, at, 2)
			for _, c := range all {
				nums = append(nums, c.Version.Num)
			}
			want := mine
			if commits {
				want = append([]int64{v.Num}, mine...)
			}
			if !slices.Equal(nums, want) {
				t.Errorf("told: %v, want %v", nums, want)
			}
			next = to
		}
		at = next
	}
}

// testChangesRolledBack has ids given out that nobody ever commits.
func testChangesRolledBack(t *testing.T, h Harness) {
	b := setUp(t, h, record.Options{})
	b.write(creation(patient(t, "One")))
	err := b.engine.Commit(b.ctx, 1, &record.Job{Solo: true, Run: func(ctx context.Context, tx record.Tx) (*record.Rows, error) {
		_, err := tx.Exec(ctx, "INSERT INTO event (tenant, num, vid, type, op) VALUES (1, 1, 1, 1, 1)")
		if err == nil {
			err = errUnwanted
		}
		return nil, err
	}})
	if err == nil {
		t.Fatal("the job was to fail")
	}
	b.write(creation(patient(t, "Two")))
	b.settle()
	if all, _ := b.follow(b.ctx, 0, 100); sketches(t, all) != "1 Patient 1 ->One by system; 1 Patient 1 ->Two by system" {
		t.Errorf("told: %s", sketches(t, all))
	}
	// A row without its version is passed over.
	if err := b.engine.Commit(b.ctx, 1, &record.Job{Solo: true, Run: func(ctx context.Context, tx record.Tx) (*record.Rows, error) {
		_, err := tx.Exec(ctx, "INSERT INTO event (tenant, num, vid, type, op) SELECT tenant, num, 9, type, op FROM event WHERE tenant = 1 ORDER BY id LIMIT 1")
		return nil, err
	}}); err != nil {
		t.Fatal(err)
	}
	b.write(creation(patient(t, "Three")))
	b.settle()
	if all, _ := b.follow(b.ctx, 0, 1); len(all) != 3 {
		t.Errorf("told: %s", sketches(t, all))
	}
	var n int
	if err := b.engine.Read(b.ctx, 1, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(b.ctx, q, []any{&n}, "SELECT count(*) FROM event")
		return err
	}); err != nil || n != 4 {
		t.Errorf("%d rows: %v", n, err)
	}
}
