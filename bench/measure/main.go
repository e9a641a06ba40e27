// Command measure runs the whole benchmark: what the databases allow (bench/raw), and the server under load (bench/load) on an embedded SQLite database
// and on PostgreSQL, each at a small and at a large number of resources; start time, memory and bytes on disk too. It writes a
// Markdown page and a JSON file. `make bench` calls it through bench/run.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/nilecare/nilecare/bench/meter"
)

type options struct {
	binary, out, dir, engines, clients, workloads string
	small, large                                  int
	duration, warmup                              time.Duration
	raw, keep, open                               bool
	postgres                                      string
}

// report is everything that was measured.
type report struct {
	Machine machine        `json:"machine"`
	Raw     []meter.Result `json:"raw"`
	Stages  []stage        `json:"stages"`
}

// stage is the server on one engine at one size.
type stage struct {
	Engine        string         `json:"engine"`
	Resources     int            `json:"resources"`
	Imported      int            `json:"imported"`
	ImportSeconds float64        `json:"import_seconds"`
	BytesResource float64        `json:"bytes_per_resource"`
	ReadySeconds  float64        `json:"ready_seconds"`
	IdleKB        int            `json:"idle_rss_kb"`
	LoadedKB      int            `json:"rss_after_load_kb"`
	PeakKB        int            `json:"peak_rss_kb"`
	Results       []meter.Result `json:"results"`
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/nilecare", "the server's program")
	flag.StringVar(&o.out, "out", "bin/bench", "folder for benchmarks.md and benchmarks.json")
	flag.StringVar(&o.dir, "dir", "", "folder for databases, on the disk to be measured; empty is a temporary one")
	flag.StringVar(&o.engines, "engines", "sqlite,postgres", "postgres needs NILECARE_TEST_POSTGRES (scripts/with-postgres)")
	flag.StringVar(&o.clients, "clients", "1,8,32", "numbers of clients")
	flag.StringVar(&o.workloads, "workloads", "", "of bench/load; empty is all")
	flag.IntVar(&o.small, "small", 10_000, "resources of the first size")
	flag.IntVar(&o.large, "large", 500_000, "resources of the second size; 0 leaves it out")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "how long each measurement counts")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "how long each runs before it counts")
	flag.BoolVar(&o.raw, "raw", true, "measure the databases themselves")
	flag.BoolVar(&o.keep, "keep", false, "leave the databases where they are")
	flag.BoolVar(&o.open, "open", false, "let nobody sign in: measures without authentication, decision and audit of reads")
	short := flag.Bool("short", false, "some minutes: two seconds each, the small size alone")
	flag.Parse()
	if *short {
		o.shorten()
	}
	o.postgres = os.Getenv("NILECARE_TEST_POSTGRES")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		slog.Error("bench", "error", err)
		os.Exit(1)
	}
}

// shorten makes short what was not asked for by name.
func (o *options) shorten() {
	asked := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { asked[f.Name] = true })
	if !asked["duration"] {
		o.duration = 2 * time.Second
	}
	if !asked["warmup"] {
		o.warmup = 500 * time.Millisecond
	}
	if !asked["large"] {
		o.large = 0
	}
}

func run(ctx context.Context, o options) error {
	binary, err := filepath.Abs(o.binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("-binary: %w (make build)", err)
	}
	o.binary = binary
	dir, err := os.MkdirTemp(o.dir, "nilecare-bench-")
	if err != nil {
		return err
	}
	if !o.keep {
		defer os.RemoveAll(dir)
	}
	tools, err := buildTools(ctx, dir)
	if err != nil {
		return err
	}
	r := report{Machine: describe(dir)}
	if o.raw {
		if r.Raw, err = tools.raw(ctx, o); err != nil {
			return err
		}
	}
	for _, name := range strings.Split(o.engines, ",") {
		stages, err := measureEngine(ctx, o, tools, name, &r.Machine)
		r.Stages = append(r.Stages, stages...)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := write(o.out, r); err != nil { // what is there stays, even if the next engine fails
			return err
		}
	}
	return nil
}

// measureEngine fills a fresh database of that engine to each size and measures the server on it.
func measureEngine(ctx context.Context, o options, tools toolbox, name string, m *machine) ([]stage, error) {
	db, err := openDatabase(ctx, o, tools.dir, name)
	if err != nil {
		return nil, err
	}
	defer db.drop()
	m.note(ctx, db)
	s := server{binary: o.binary, db: db, open: o.open, log: filepath.Join(tools.dir, name+".log")}
	if err := s.start(ctx); err != nil { // makes the schema, so that the empty size can be told
		return nil, err
	}
	if err := s.stop(); err != nil {
		return nil, err
	}
	var stages []stage
	set := dataset{seed: 1}
	for _, size := range []int{o.small, o.large} {
		if size <= set.resources {
			continue
		}
		st, err := measureSize(ctx, o, tools, &s, &set, size)
		if err != nil {
			return stages, err
		}
		stages = append(stages, st)
	}
	return stages, nil
}

func measureSize(ctx context.Context, o options, tools toolbox, s *server, set *dataset, size int) (stage, error) {
	st := stage{Engine: s.db.name, Resources: size}
	files := filepath.Join(tools.dir, fmt.Sprintf("bundles-%s-%d", s.db.name, size))
	slog.Info("making Bundles", "resources", size-set.resources)
	imported, err := set.write(files, size)
	if err != nil {
		return st, err
	}
	before, err := s.db.size(ctx)
	if err != nil {
		return st, err
	}
	slog.Info("importing", "engine", s.db.name, "resources", imported)
	began := time.Now()
	if err := s.run(ctx, "import", files); err != nil {
		return st, fmt.Errorf("import: %w", err)
	}
	st.Imported, st.ImportSeconds = imported, time.Since(began).Seconds()
	if err := os.RemoveAll(files); err != nil {
		return st, err
	}
	after, err := s.db.size(ctx)
	if err != nil {
		return st, err
	}
	st.BytesResource = float64(after-before) / float64(imported)
	slog.Info("imported", "per second", int(float64(imported)/st.ImportSeconds), "bytes a resource", int(st.BytesResource))
	return st, serveAndLoad(ctx, o, tools, s, &st)
}

func serveAndLoad(ctx context.Context, o options, tools toolbox, s *server, st *stage) error {
	began := time.Now()
	if err := s.start(ctx); err != nil {
		return err
	}
	defer s.stop()
	st.ReadySeconds = time.Since(began).Seconds()
	select { // idle is when the start's garbage is gone
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
	}
	st.IdleKB, _ = s.memory()
	results, err := tools.load(ctx, o, s)
	if err != nil {
		return err
	}
	st.Results = results
	st.LoadedKB, st.PeakKB = s.memory()
	return nil
}

func write(dir string, r report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "benchmarks.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	page := filepath.Join(dir, "benchmarks.md")
	slog.Info("written", "page", page)
	return os.WriteFile(page, []byte(markdown(r)), 0o644)
}

// find is the result of that name and number of clients.
func find(results []meter.Result, name string, clients int) (meter.Result, bool) {
	k := slices.IndexFunc(results, func(r meter.Result) bool { return r.Name == name && r.Clients == clients })
	if k < 0 {
		return meter.Result{}, false
	}
	return results[k], true
}
