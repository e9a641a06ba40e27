package job_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/sqldb"
)

func TestEachJobIsDoneOnceByTwoRunners(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const jobs = 60
		var mu sync.Mutex
		began := map[string]int{}
		var wg sync.WaitGroup
		for i := range jobs {
			wg.Go(func() { w.put(1, "count", fmt.Sprint(i), time.Time{}, "") })
		}
		for range 2 {
			r := w.runner()
			r.Handle("count", job.Handler{Parallel: 3, Within: effect, Before: func(_ context.Context, j job.Job) (any, error) {
				mu.Lock()
				defer mu.Unlock()
				began[j.Key]++
				return nil, nil
			}})
			w.run(r)
		}
		wg.Wait()
		w.clock.add(time.Second)
		w.until("all jobs are done", func() bool { return w.count(1, job.Done) == jobs })
		for i := range jobs {
			if n := w.effects(1, "count/"+fmt.Sprint(i)); n != 1 {
				t.Errorf("job %d had its effect %d times", i, n)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for key, n := range began {
			if n != 1 {
				t.Errorf("job %s was begun %d times", key, n)
			}
		}
	})
}

func TestAJobWaitsForItsTimeAndPutMovesIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		var got atomic.Value
		r.Handle("timer", job.Handler{Within: effect, Before: func(_ context.Context, j job.Job) (any, error) { got.Store(string(j.Data)); return nil, nil }})
		r.Handle("mark", job.Handler{Within: effect})
		// seen waits until the runner has looked at everything that is due now.
		marks := 0
		seen := func() {
			marks++
			w.put(1, "mark", fmt.Sprint(marks), w.clock.now(), "")
			w.until("the runner looked", func() bool { return w.effects(1, fmt.Sprint("mark/", marks)) == 1 })
		}
		at := w.clock.now().Add(time.Hour)
		w.put(1, "timer", "a", at, "first")
		w.run(r)
		seen()
		w.put(1, "timer", "a", at.Add(time.Hour), "second")
		w.clock.add(time.Hour + time.Minute)
		seen()
		if n := w.effects(1, "timer/a"); n != 0 {
			t.Fatal("it was done at the time that it was moved from")
		}
		w.clock.add(time.Hour)
		w.until("it is done", func() bool { return w.effects(1, "timer/a") == 1 })
		if got.Load() != "second" {
			t.Errorf("it had the data %q", got.Load())
		}
		w.put(1, "timer", "a", w.clock.now(), "third")
		seen()
		if n := w.effects(1, "timer/a"); n != 1 {
			t.Error("a job that was done was done again")
		}
	})
}

func TestDropTakesBackWhatIsNotDone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		began, release := make(chan string, 10), make(chan struct{})
		r.Handle("held", job.Handler{Within: effect, Before: func(_ context.Context, j job.Job) (any, error) { began <- j.Key; <-release; return nil, nil }})
		w.put(1, "held", "waiting", w.clock.now().Add(time.Hour), "")
		w.put(1, "held", "running", w.clock.now(), "")
		stop := w.run(r)
		if key := <-began; key != "running" {
			t.Fatalf("%s was begun", key)
		}
		w.drop("held", "waiting")
		w.drop("held", "running")
		w.drop("held", "nothing")
		close(release)
		stop()
		for _, key := range []string{"waiting", "running"} {
			if n := w.effects(1, "held/"+key); n != 0 {
				t.Errorf("%s had its effect although it was taken back", key)
			}
		}
		if jobs := w.all(r, 1); len(jobs) != 0 {
			t.Errorf("%d jobs are left", len(jobs))
		}
	})
}

func TestAJobThatIsMovedWhileItRunsIsDoneAtTheNewTimeAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		began, release := make(chan string, 10), make(chan struct{}, 10)
		r.Handle("held", job.Handler{Within: effect, Before: func(_ context.Context, j job.Job) (any, error) { began <- string(j.Data); <-release; return nil, nil }})
		now := w.clock.now()
		w.put(1, "held", "a", now, "old")
		w.run(r)
		<-began
		w.put(1, "held", "a", now, "old") // the same again leaves the attempt alone
		w.put(1, "held", "a", now.Add(time.Hour), "new")
		release <- struct{}{}
		w.clock.add(2 * time.Hour)
		if data := <-began; data != "new" {
			t.Fatalf("it was begun with %q", data)
		}
		release <- struct{}{}
		w.until("it is done", func() bool { return w.count(1, job.Done) == 1 })
		if n := w.number(1, "SELECT count(*) FROM job_effect WHERE at = $1", now.Add(time.Hour).UnixMicro()); n != 1 || w.effects(1, "held/a") != 1 {
			t.Error("the attempt at the old time had an effect")
		}
	})
}

func TestAFailingJobIsTriedAgainWithGrowingPausesAndGivenUp(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		var tries atomic.Int64
		var last atomic.Bool
		r.Handle("fail", job.Handler{
			Retry: job.Retry{First: time.Minute, Most: 4 * time.Minute, Attempts: 5},
			Before: func(context.Context, job.Job) (any, error) {
				tries.Add(1)
				return nil, fault.New(fault.Unavailable, "the other side is closed")
			},
			Within: effect,
			Missed: func(ctx context.Context, tx sqldb.Tx, j job.Job, failure error, again time.Time) error {
				if again.IsZero() {
					last.Store(true)
				}
				return effect(ctx, tx, job.Job{Kind: "missed", Key: fmt.Sprint(j.Attempt), Tenant: j.Tenant}, nil)
			},
		})
		w.put(1, "fail", "a", w.clock.now(), "")
		w.run(r)
		for i, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 4 * time.Minute} {
			w.until("an attempt is noted", func() bool { return w.effects(1, fmt.Sprint("missed/", i+1)) == 1 })
			s := w.all(r, 1)[0]
			pause := s.Due.Sub(w.clock.now())
			if pause < want*3/4 || pause > want*5/4 || s.State != job.Waiting || s.Error != "the other side is closed" || s.Attempt != i+1 {
				t.Errorf("after attempt %d: pause %v, %+v", i+1, pause, s)
			}
			w.clock.add(pause)
		}
		w.until("it is given up", func() bool { return w.count(1, job.Failed) == 1 })
		if tries.Load() != 5 || !last.Load() || w.effects(1, "fail/a") != 0 {
			t.Errorf("%d attempts, told of the last: %v", tries.Load(), last.Load())
		}
		ctx := access.With(context.Background(), access.System(1))
		id := w.all(r, 1)[0].ID
		if err := r.Again(ctx, id); err != nil {
			t.Fatal(err)
		}
		w.until("it was tried again", func() bool { return tries.Load() == 6 })
		if err := r.Again(ctx, id); !fault.Is(err, fault.Conflict) {
			t.Errorf("a job that did not fail: %v", err)
		}
		if err := r.Again(ctx, 1); !fault.Is(err, fault.NotFound) {
			t.Errorf("no job: %v", err)
		}
		if err := r.Again(access.With(ctx, access.Anonymous()), id); !fault.Is(err, fault.Forbidden) {
			t.Errorf("a stranger: %v", err)
		}
	})
}

func TestWhatIsOfNoUseIsNotTriedAgainAndWhatIsAskedForIsWaited(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		r.Handle("never", job.Handler{Before: func(context.Context, job.Job) (any, error) {
			return nil, job.Never(fault.New(fault.Invalid, "no such address"))
		}})
		r.Handle("after", job.Handler{Before: func(context.Context, job.Job) (any, error) {
			return nil, job.After(errors.New("secret text"), 3*time.Hour)
		}})
		r.Handle("panic", job.Handler{Before: func(context.Context, job.Job) (any, error) { panic("secret text") }})
		for _, kind := range []string{"never", "after", "panic"} {
			w.put(1, kind, "a", w.clock.now(), "")
		}
		w.run(r)
		w.until("all have failed", func() bool { return w.number(1, "SELECT count(*) FROM job_task WHERE error <> ''") == 3 })
		for _, s := range w.all(r, 1) {
			pause := s.Due.Sub(w.clock.now())
			switch s.Kind {
			case "never":
				if s.State != job.Failed || s.Error != "no such address" {
					t.Errorf("%+v", s)
				}
			case "after":
				if s.State != job.Waiting || pause != 3*time.Hour || s.Error != "an error of the program: the log has it" {
					t.Errorf("%v %+v", pause, s)
				}
			case "panic":
				if s.State != job.Waiting || pause > time.Minute || s.Error != "the program has a defect: the log has it" {
					t.Errorf("%v %+v", pause, s)
				}
			}
		}
	})
}

func TestAJobThatIsPutOffIsNoFailure(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		begun, attempt := w.clock.now(), atomic.Int64{}
		r.Handle("later", job.Handler{Within: effect, Retry: job.Retry{Attempts: 1}, Before: func(_ context.Context, j job.Job) (any, error) {
			attempt.Store(int64(j.Attempt))
			if at := begun.Add(time.Hour); w.clock.now().Before(at) {
				return nil, job.Later(at)
			}
			return nil, nil
		}})
		w.put(1, "later", "a", begun, "")
		w.run(r)
		w.until("it is put off", func() bool {
			return w.number(1, "SELECT count(*) FROM job_task WHERE due_at = $1 AND lease = 0", begun.Add(time.Hour).UnixMicro()) == 1
		})
		if s := w.all(r, 1)[0]; s.State != job.Waiting || s.Error != "" || s.Attempt != 0 {
			t.Errorf("%+v", s)
		}
		w.clock.add(time.Hour)
		w.until("it is done", func() bool { return w.effects(1, "later/a") == 1 })
		if attempt.Load() != 1 {
			t.Errorf("attempt %d", attempt.Load())
		}
	})
}

func TestAFailureWithinLeavesNothingBehind(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		var tries atomic.Int64
		r.Handle("half", job.Handler{Retry: job.Retry{First: time.Minute}, Within: func(ctx context.Context, tx sqldb.Tx, j job.Job, before any) error {
			if err := effect(ctx, tx, j, before); err != nil || tries.Add(1) > 1 {
				return err
			}
			return errors.New("after the effect")
		}})
		w.put(1, "half", "a", w.clock.now(), "")
		w.run(r)
		w.until("it failed", func() bool { return w.number(1, "SELECT count(*) FROM job_task WHERE error <> ''") == 1 })
		if n := w.effects(1, "half/a"); n != 0 {
			t.Fatal("the failed attempt had an effect")
		}
		w.clock.add(2 * time.Minute)
		w.until("it is done", func() bool { return w.count(1, job.Done) == 1 })
		if n := w.effects(1, "half/a"); n != 1 {
			t.Errorf("it had its effect %d times", n)
		}
	})
}

func TestTenantsAndKindsAreApart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := w.runner(1, 2)
		a.Handle("mine", job.Handler{Within: effect})
		for tenant := range int32(3) {
			w.put(tenant+1, "mine", "same", w.clock.now(), "")
			w.put(tenant+1, "others", "same", w.clock.now(), "")
		}
		w.run(a)
		w.until("both are done", func() bool { return w.effects(1, "mine/same") == 1 && w.effects(2, "mine/same") == 1 })
		if w.count(3, job.Done) != 0 || w.count(1, job.Done) != 1 || w.count(2, job.Waiting) != 1 {
			t.Error("jobs of another tenant, or of a kind without a handler, were done")
		}
		if jobs := w.all(a, 2); len(jobs) != 2 || jobs[0].Tenant != 2 || jobs[0].Handled == jobs[1].Handled {
			t.Errorf("%+v", jobs)
		}
	})
}

func TestAStopGivesBackWhatItBreaksOff(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		began := make(chan struct{})
		r.Handle("long", job.Handler{Within: effect, Before: func(ctx context.Context, _ job.Job) (any, error) { close(began); <-ctx.Done(); return nil, ctx.Err() }})
		w.put(1, "long", "a", w.clock.now(), "")
		stop := w.run(r)
		<-began
		stop()
		s := w.all(r, 1)[0]
		if s.State != job.Waiting || s.Running || s.Attempt != 0 || s.Due.After(w.clock.now()) || s.Error != "" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAnAttemptThatNeverEndsCounts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.put(1, "dead", "a", w.clock.now(), "")
		w.update(1, func(ctx context.Context, tx sqldb.Tx) error { // as processes leave it that died twice
			_, err := tx.Exec(ctx, "UPDATE job_task SET lease = 5, attempts = 2, begun_at = 1, due_at = $1", w.clock.now().Add(time.Minute).UnixMicro())
			return err
		})
		r := w.runner()
		r.Handle("dead", job.Handler{Retry: job.Retry{Attempts: 2}, Within: effect})
		w.run(r)
		w.clock.add(time.Hour)
		w.until("it is given up", func() bool { return w.count(1, job.Failed) == 1 })
		if w.effects(1, "dead/a") != 0 {
			t.Error("it was done all the same")
		}
	})
}

func TestJobsThatEndedLongAgoGo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		r.Handle("done", job.Handler{})
		r.Handle("fail", job.Handler{Before: func(context.Context, job.Job) (any, error) { return nil, job.Never(errors.New("no")) }})
		w.put(1, "done", "a", w.clock.now(), "")
		w.put(1, "fail", "a", w.clock.now(), "")
		w.run(r)
		w.until("both have ended", func() bool { return w.count(1, job.Done) == 1 && w.count(1, job.Failed) == 1 })
		w.clock.add(31 * 24 * time.Hour)
		w.until("the done one is gone", func() bool { return w.count(1, job.Done) == 0 })
		if w.count(1, job.Failed) != 1 {
			t.Error("the failed one is gone too early")
		}
		w.clock.add(60 * 24 * time.Hour)
		w.until("the failed one is gone", func() bool { return w.count(1, job.Failed) == 0 })
	})
}

func TestSlowJobsOfOneKindDelayNoneOfAnother(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.runner()
		release := make(chan struct{})
		r.Handle("slow", job.Handler{Parallel: 2, Within: effect, Before: func(context.Context, job.Job) (any, error) { <-release; return nil, nil }})
		r.Handle("quick", job.Handler{Within: effect})
		for i := range 5 {
			w.put(1, "slow", fmt.Sprint(i), w.clock.now(), "")
		}
		w.put(1, "quick", "a", w.clock.now(), "")
		w.run(r)
		w.until("the quick one is done", func() bool { return w.effects(1, "quick/a") == 1 })
		w.until("two slow ones run", func() bool { return w.number(1, "SELECT count(*) FROM job_task WHERE lease <> 0") == 2 })
		close(release)
		w.until("all are done", func() bool { return w.count(1, job.Done) == 6 })
	})
}

func TestPutRefusesWhatIsNoJob(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ctx := context.Background()
		for _, j := range []job.Job{{Kind: "a", Key: "b"}, {ID: 1, Key: "b"}, {ID: 1, Kind: "a"}, {ID: 1, Kind: "a", Key: "b", Data: make([]byte, 1<<17)}} {
			if err := w.l.Update(ctx, 1, func(tx sqldb.Tx) error { return job.Put(ctx, tx, 1, j) }); err == nil {
				t.Errorf("%+v was put", j)
			}
		}
	})
}
