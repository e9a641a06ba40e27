package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/app/config"
)

// lockedBuffer is a bytes.Buffer that several goroutines may use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// program is a run of the program within the test.
type program struct {
	t        *testing.T
	out, err lockedBuffer
	data     string
}

func newProgram(t *testing.T) *program {
	t.Helper()
	return &program{t: t, data: filepath.Join(t.TempDir(), "data")}
}

func (p *program) run(ctx context.Context, args ...string) int {
	q := &Program{Version: "test", In: strings.NewReader(""), Out: &p.out, Err: &p.err, Env: []string{"NILECARE_DATA=" + p.data, "NILECARE_LISTEN=127.0.0.1:0", "NILECARE_LOG_LEVEL=warn"}}
	return q.Run(ctx, args)
}

// must runs a command that succeeds and returns what it wrote.
func (p *program) must(args ...string) string {
	p.t.Helper()
	before := len(p.out.String())
	if code := p.run(p.t.Context(), args...); code != exitOK {
		p.t.Fatalf("%v: exit code %d\n%s", args, code, p.err.String())
	}
	return p.out.String()[before:]
}

// start runs `serve` until the returned function is called; base is its FHIR base.
func (p *program) start(args ...string) (base string, stop func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(p.t.Context())
	before := len(p.out.String())
	done := make(chan int, 1)
	go func() { done <- p.run(ctx, append([]string{"serve", "--insecure-no-auth"}, args...)...) }()
	for deadline := time.Now().Add(30 * time.Second); base == ""; time.Sleep(5 * time.Millisecond) {
		base = regexp.MustCompile(`http://127\.0\.0\.1:\d+/fhir/R4`).FindString(p.out.String()[before:])
		select {
		case code := <-done:
			p.t.Fatalf("serve ended with %d: %s", code, p.err.String())
		default:
		}
		if time.Now().After(deadline) {
			p.t.Fatal("serve does not serve")
		}
	}
	return base, func() {
		p.t.Helper()
		cancel()
		if code := <-done; code != exitOK {
			p.t.Errorf("serve ended with %d: %s", code, p.err.String())
		}
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestDemoIsLoadedOnce(t *testing.T) {
	p := newProgram(t)
	count := func(base string) string {
		_, text := get(t, base+"?_summary=count")
		return regexp.MustCompile(`"total":\d+`).FindString(text)
	}
	base, stop := p.start("--demo", "auto")
	first := count(base)
	stop()
	if len(first) < len(`"total":1000`) {
		t.Fatalf("the hospital holds %s", first)
	}
	base, stop = p.start("--demo=auto")
	if again := count(base); again != first {
		t.Errorf("a second start: %s, then %s", first, again)
	}
	stop()
	if code := p.run(t.Context(), "serve", "--demo=on"); code != exitError || !strings.Contains(p.err.String(), "not empty") {
		t.Errorf("demo=on on a full database: %d %s", code, p.err.String())
	}
	if out := p.must("verify"); !strings.Contains(out, " 0 findings") {
		t.Errorf("verify: %s", out)
	}
}

func TestDemoThatWasCutOffIsSaid(t *testing.T) {
	p := newProgram(t)
	if err := os.MkdirAll(p.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.data, "demo.loading"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := p.run(t.Context(), "serve", "--demo=auto"); code != exitError || !strings.Contains(p.err.String(), "cut off") {
		t.Errorf("%d %s", code, p.err.String())
	}
}

func TestOperationsReachARunningServerThroughALongPath(t *testing.T) {
	p := newProgram(t)
	p.data = filepath.Join(p.data, strings.Repeat("long-folder-name/", 12))
	base, stop := p.start()
	r, err := http.NewRequest(http.MethodPut, base+"/Patient/a", strings.NewReader(`{"resourceType":"Patient","id":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/fhir+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if out := p.must("export", "-"); !strings.Contains(out, `"id":"a"`) {
		t.Errorf("export: %q", out)
	}
	if code := p.run(t.Context(), "export", "--type", "Nothing", "-"); code != exitError || !strings.Contains(p.err.String(), "no resource type") {
		t.Errorf("an operation that fails: %d %s", code, p.err.String())
	}
	if code := p.run(t.Context(), "import", "--data", p.data, os.Args[0]); code != exitError {
		t.Errorf("a file of no known kind: %d", code)
	}
	stop()
	if out := p.must("verify"); !strings.Contains(out, "verified 1 records") {
		t.Errorf("after the stop: %q", out)
	}
}

func TestRootKeyIsNotMadeForADatabaseThatStands(t *testing.T) {
	p := newProgram(t)
	p.must("migrate")
	key := filepath.Join(p.data, "root.key")
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if code := p.run(t.Context(), "migrate"); code != exitError || !strings.Contains(p.err.String(), "only its own root key opens it") {
		t.Errorf("%d %s", code, p.err.String())
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a new key was made")
	}
}

func TestReadersMakeNoDatabase(t *testing.T) {
	for name, args := range map[string][]string{
		"verify": {"verify"}, "backup": {"backup", "-"}, "backup to a file": {"backup", filepath.Join(t.TempDir(), "b")},
		"export": {"export", "-"}, "export to a folder": {"export", filepath.Join(t.TempDir(), "out")}, "erase": {"erase", "--sure", "Patient/a"},
		"tenants": {"tenant", "list"}, "a tenant's end": {"tenant", "delete", "2"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t)
			p.data = filepath.Join(t.TempDir(), "mistyped")
			if code := p.run(t.Context(), args...); code != exitError || !strings.Contains(p.err.String(), "there is no database in "+p.data) {
				t.Errorf("%d %s", code, p.err.String())
			}
			if _, err := os.Lstat(p.data); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder: %v", err)
			}
			if last := args[len(args)-1]; filepath.IsAbs(last) {
				if _, err := os.Lstat(last); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the target: %v", err)
				}
			}
			if err := os.MkdirAll(p.data, 0o700); err != nil {
				t.Fatal(err)
			}
			if code := p.run(t.Context(), args...); code != exitError {
				t.Errorf("an empty folder: %d", code)
			}
			if left, err := os.ReadDir(p.data); err != nil || len(left) > 0 {
				t.Errorf("in the empty folder: %v %v", left, err)
			}
		})
	}
}

func TestReadersMakeNoRootKeyForAServersDatabase(t *testing.T) {
	p := newProgram(t)
	p.data = filepath.Join(t.TempDir(), "mistyped")
	if code := p.run(t.Context(), "verify", "--database", "postgres://127.0.0.1:1/none"); code != exitError || !strings.Contains(p.err.String(), "only its own root key opens it") {
		t.Errorf("%d %s", code, p.err.String())
	}
	if _, err := os.Lstat(p.data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
}

func TestReadersMakeNoTablesOnAServer(t *testing.T) {
	server := os.Getenv("NILECARE_TEST_POSTGRES")
	if server == "" {
		t.Skip("NILECARE_TEST_POSTGRES is not set (scripts/with-postgres sets it)")
	}
	c, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	name := "readers_" + strings.ToLower(strings.ReplaceAll(filepath.Base(filepath.Dir(t.TempDir())), "-", "_"))
	if _, err := c.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := c.Exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		if err = errors.Join(err, c.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	q := u.Query()
	q.Set("pool_max_conns", "4")
	u.RawQuery = q.Encode()

	p := newProgram(t)
	p.must("migrate") // for a root key
	if code := p.run(t.Context(), "verify", "--database", u.String()); code != exitError || !strings.Contains(p.err.String(), "there is no database") {
		t.Errorf("%d %s", code, p.err.String())
	}
	if out := p.must("migrate", "--database", u.String()); strings.HasPrefix(out, "0 migrations") {
		t.Errorf("verify made the tables: %s", out)
	}
	if out := p.must("verify", "--database", u.String()); !strings.Contains(out, " 0 findings") {
		t.Errorf("%s", out)
	}
}

func TestStandingDatabaseIsNotSealedSilently(t *testing.T) {
	p := newProgram(t)
	p.must("migrate")
	if code := p.run(t.Context(), "migrate", "--encrypt-database"); code != exitError || !strings.Contains(p.err.String(), "not sealed as a whole") {
		t.Errorf("%d %s", code, p.err.String())
	}
}

// serveOn runs a bare server on a handler and returns its address, what ends it, and its result.
func serveOn(t *testing.T, limit time.Duration, h http.Handler) (s *server, addr string, stop context.CancelFunc, result chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = &server{program: &Program{cfg: &config.Loaded{Config: config.Config{StopTimeout: limit}}}, log: slog.New(slog.DiscardHandler)}
	s.ready.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	result = make(chan error, 1)
	go func() {
		result <- s.program.serveOn(ctx, []net.Listener{l}, h, nil, s.log, func() { s.ready.Store(false) })
	}()
	return s, l.Addr().String(), stop, result
}

func TestStopFinishesWhatWasAccepted(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	s, addr, stop, result := serveOn(t, 20*time.Second, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-goOn
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	answer := make(chan int, 1)
	go func() {
		resp, err := http.Get("http://" + addr)
		if err != nil {
			answer <- 0
			return
		}
		resp.Body.Close()
		answer <- resp.StatusCode
	}()
	<-begun
	stop()
	for s.ready.Load() {
		time.Sleep(time.Millisecond)
	}
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			break // it accepts no more
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	close(goOn)
	if got := <-answer; got != http.StatusOK {
		t.Errorf("the accepted request got %d", got)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	begun := make(chan struct{})
	_, addr, stop, result := serveOn(t, 50*time.Millisecond, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}))
	go func() {
		if resp, err := http.Get("http://" + addr); err == nil {
			resp.Body.Close()
		}
	}()
	<-begun
	stop()
	if err := <-result; err == nil {
		t.Error("that a request was cut off was not said")
	}
}
