package event_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nilecare/nilecare/internal/event"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/record/postgres"
	"github.com/nilecare/nilecare/internal/record/sqlite"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/storetest"
)

// The environment of a process that is killed: its folder, the URL of its database where that is PostgreSQL, and whether it writes too.
const (
	childDir    = "NILECARE_EVENTTEST_DIR"
	childURL    = "NILECARE_EVENTTEST_URL"
	childWrites = "NILECARE_EVENTTEST_WRITES"
)

// beat is how often processes of these tests say that they are there.
const beat = 100 * time.Millisecond

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir, os.Getenv(childURL), os.Getenv(childWrites) != ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// openAt opens the store of a folder, and of a server where url names one.
func openAt(dir, url string) (*record.Store, error) {
	root, err := seal.FileRoot(filepath.Join(dir, "root.key"), true)
	if err != nil {
		return nil, err
	}
	var e record.Engine
	if url != "" {
		e, err = postgres.Open(context.Background(), url)
	} else {
		e, err = sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	}
	if err != nil {
		return nil, err
	}
	s, err := record.New(context.Background(), e, record.Options{Root: root, Tables: event.Tables()})
	if err != nil {
		return nil, err
	}
	return s, s.Ledger().Migrate(context.Background(), event.Module, event.Migrations())
}

// child reads, and writes where it is to, and says, a line each, what it handled ("h ID PART FAMILY") and what is acknowledged ("w FAMILY").
func child(dir, url string, writes bool) error {
	s, err := openAt(dir, url)
	if err != nil {
		return err
	}
	h, err := event.New(context.Background(), event.Options{Store: s, Sources: []event.Source{source()}, Retry: ladder, Beat: beat})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	h.Read("killed", event.FromBeginning, func(_ context.Context, e event.Event) error {
		say("h %d %d %s", e.ID, e.Part, strings.TrimPrefix(nameOf(e), "created "))
		return nil
	})
	failed := make(chan error, 1)
	if writes {
		for w := range 3 {
			go func() {
				for i := 0; ; i++ {
					family := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
					if err := register(s, family); err != nil {
						failed <- err
						return
					}
					say("w %s", family)
				}
			}()
		}
	}
	go h.Run(context.Background())
	return <-failed
}

func register(s *record.Store, family string) error {
	r, err := fhir.ParseResource(fmt.Appendf(nil, `{"resourceType":"Patient","name":[{"family":%q}]}`, family))
	if err == nil {
		_, err = s.Write(in(1), []record.Change{{Op: record.Create, Type: "Patient", Resource: r}})
	}
	return err
}

// tally is what was acknowledged, and who handled it.
type tally struct {
	t       *testing.T
	mu      sync.Mutex
	wrote   []string
	handled map[string]int
	repeats int
}

func (y *tally) acknowledged(family string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.wrote = append(y.wrote, family)
}

func (y *tally) handles(family string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.handled[family]++; y.handled[family] > 1 {
		y.repeats++
	}
}

func (y *tally) missing() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, f := range y.wrote {
		if y.handled[f] == 0 {
			n++
		}
	}
	return n
}

// process is a child at work.
type process struct {
	cmd    *exec.Cmd
	ended  chan struct{}
	reads  chan struct{} // closed when it handled something
	killed sync.Once
}

func (p *process) kill() {
	p.killed.Do(func() { _ = p.cmd.Process.Kill() })
	<-p.ended
}

// begin starts a child and takes down what it says.
func (y *tally) begin(dir, url string, writes bool) *process {
	y.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		y.t.Fatal(err)
	}
	p := &process{cmd: exec.Command(exe), ended: make(chan struct{}), reads: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+url)
	if writes {
		p.cmd.Env = append(p.cmd.Env, childWrites+"=yes")
	}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		y.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(p.kill)
	go func() {
		defer close(p.ended)
		var last int64
		first := true
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f := strings.Fields(lines.Text())
			switch {
			case len(f) == 2 && f[0] == "w":
				y.acknowledged(f[1])
			case len(f) == 4 && f[0] == "h":
				if id, _ := strconv.ParseInt(f[1], 10, 64); id <= last {
					y.t.Errorf("event %d is handled behind %d", id, last)
				} else {
					last = id
				}
				y.handles(f[3])
				if first {
					first = false
					close(p.reads)
				}
			}
		}
		_ = p.cmd.Wait()
	}()
	return p
}

func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("NILECARE_KILL_ROUNDS")); err == nil {
		return n
	}
	return 6
}

// finish reads to the end here, and looks that everything acknowledged was handled.
func (y *tally) finish(s *record.Store) {
	y.t.Helper()
	w := &world{y.t, s, in(1)}
	h := w.hub(func(o *event.Options) { o.Beat = beat })
	h.Read("killed", event.FromBeginning, func(_ context.Context, e event.Event) error {
		y.handles(strings.TrimPrefix(nameOf(e), "created "))
		return nil
	})
	w.run(h)
	until(y.t, "all that was acknowledged handled", func() bool { return y.missing() == 0 })
	until(y.t, "the reader at its end", func() bool {
		all, last, err := h.Readers(w.ctx)
		return err == nil && len(all) == 1 && all[0].Position >= last
	})
	y.t.Logf("%d acknowledged, %d handled more than once after %d kills", len(y.wrote), y.repeats, rounds())
	if len(y.wrote) < 10*rounds() {
		y.t.Errorf("%d acknowledged are no load", len(y.wrote))
	}
}

// TestAKilledServerLosesNoEvent kills a process that writes and reads, again and again.
func TestAKilledServerLosesNoEvent(t *testing.T) {
	run := func(t *testing.T, url string) {
		skipShort(t)
		dir := t.TempDir()
		y := &tally{t: t, handled: map[string]int{}}
		for range rounds() {
			p := y.begin(dir, url, true)
			<-p.reads
			time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
			p.kill()
		}
		s, err := openAt(dir, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		y.finish(s)
	}
	t.Run("sqlite", func(t *testing.T) { run(t, "") })
	t.Run("postgres", func(t *testing.T) { run(t, storetest.Database(t)) })
}

// TestKilledReadersLoseNoEvent has two processes read what a third writes, and kills one after the other.
func TestKilledReadersLoseNoEvent(t *testing.T) {
	skipShort(t)
	dir, url := t.TempDir(), storetest.Database(t)
	s, err := openAt(dir, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	y := &tally{t: t, handled: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				family := fmt.Sprintf("%d-%d", w, i)
				if err := register(s, family); err != nil {
					t.Error(err)
					return
				}
				y.acknowledged(family)
			}
		})
	}
	stop := func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	holder := y.begin(dir, url, false)
	<-holder.reads
	for range rounds() {
		waits := y.begin(dir, url, false)
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		holder.kill()
		<-waits.reads // it has taken over
		holder = waits
	}
	holder.kill()
	stop()
	y.finish(s)
}
