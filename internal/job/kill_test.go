package job_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/job"
	"github.com/nilecare/nilecare/internal/storetest"
)

// child does jobs of the kind until it is killed, and says of each on standard output that it is about to be done.
func child(dir, url string) error {
	s, err := open(dir, url)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	r := job.New(job.Options{Ledger: s.Ledger(), Tenants: func(context.Context) ([]int32, error) { return []int32{1}, nil }, Poll: time.Millisecond})
	r.Handle("kill", job.Handler{Parallel: 4, Within: effect, Before: func(_ context.Context, j job.Job) (any, error) {
		mu.Lock()
		defer mu.Unlock()
		_, err := fmt.Println(j.Key)
		return nil, err
	}})
	r.Run(context.Background())
	return nil
}

func TestEachJobIsDoneOnceAlthoughRunnersAreKilled(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { killed(t, "", 1) })
	t.Run("postgres", func(t *testing.T) { killed(t, storetest.Database(t), 2) })
}

// killed lets so many processes at a time do jobs, kills them in the middle, and demands of those that come after that every job is done, and none twice.
func killed(t *testing.T, url string, processes int) {
	const jobs, rounds = 300, 4
	dir := t.TempDir()
	s, err := open(dir, url)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, store: s, l: s.Ledger(), clock: newHand()}
	for i := range jobs {
		w.put(1, "kill", fmt.Sprint(i), time.Time{}, "")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		var wg sync.WaitGroup
		for range processes {
			wg.Go(func() { killOne(t, dir, url) })
		}
		wg.Wait()
	}
	if s, err = open(dir, url); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	w = &world{t: t, store: s, l: s.Ledger(), clock: newHand()}
	held := w.number(1, "SELECT count(*) FROM job_task WHERE lease <> 0")
	done := w.count(1, job.Done)
	r := w.runner()
	r.Handle("kill", job.Handler{Parallel: 8, Within: effect})
	stop := w.run(r)
	w.clock.add(time.Hour) // leases of the dead run out
	w.until("all are done", func() bool { return w.count(1, job.Done) == jobs })
	stop()
	t.Logf("%d done and %d held when the last was killed", done, held)
	for i := range jobs {
		if n := w.effects(1, "kill/"+fmt.Sprint(i)); n != 1 {
			t.Errorf("job %d had its effect %d times", i, n)
		}
	}
}

// killOne starts a process and kills it some time after it has begun its first job.
func killOne(t *testing.T, dir, url string) {
	exe, err := os.Executable()
	if err != nil {
		t.Error(err)
		return
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+url)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	limit := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	scanner := bufio.NewScanner(out)
	began := false
	for scanner.Scan() {
		if !began {
			began = true
			time.AfterFunc(time.Duration(rand.IntN(80))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	if !began {
		t.Errorf("a runner began nothing: %s", said.String())
	}
}
