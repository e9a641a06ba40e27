package conformance

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/internal/app"
)

// house is a place that records are kept in: a data folder and, for PostgreSQL, a database of its own.
type house struct {
	engine string
	env    []string
}

// engine is a database that can be had here, and what makes an empty one.
type engine struct {
	name string
	open func(testing.TB) house
}

// engines are the databases that can be had here.
func engines(t *testing.T) []engine {
	t.Helper()
	all := []engine{{"SQLite", func(t testing.TB) house { return newHouse(t, "SQLite", "") }}}
	server := os.Getenv("NILECARE_TEST_POSTGRES")
	if server == "" {
		t.Log("NILECARE_TEST_POSTGRES names no server (scripts/with-postgres starts one): SQLite alone")
		return all
	}
	return append(all, engine{"PostgreSQL", func(t testing.TB) house { return newHouse(t, "PostgreSQL", newDatabase(t, server)) }})
}

func newHouse(t testing.TB, engine, database string) house {
	return house{engine, []string{"NILECARE_DATA=" + t.TempDir(), "NILECARE_DATABASE=" + database,
		"NILECARE_LISTEN=127.0.0.1:0", "NILECARE_LOG_LEVEL=error"}}
}

var databases atomic.Int64

// newDatabase makes an empty database, dropped at the end of the test, and returns its URL.
func newDatabase(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("NILECARE_TEST_POSTGRES is no URL")
	}
	name := fmt.Sprintf("nilecare_conformance_%d_%d", os.Getpid(), databases.Add(1))
	admin(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() { admin(t, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}

func admin(t testing.TB, server, sql string) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, sql); err != nil {
		t.Error(err)
	}
}

// output is what a program wrote, read while it writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns what was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// run runs one command of the program and returns its exit code and what it wrote.
func (h house) run(ctx context.Context, out, errs *output, args ...string) int {
	p := &app.Program{Version: "test", In: strings.NewReader(""), Out: out, Err: errs, Env: h.env}
	return p.Run(ctx, args)
}

// must runs a command that succeeds and returns what it wrote.
func (h house) must(t testing.TB, args ...string) string {
	t.Helper()
	var out, errs output
	if code := h.run(t.Context(), &out, &errs, args...); code != 0 {
		t.Fatalf("%s: %s ends with %d\n%s%s", h.engine, args[0], code, errs.String(), out.String())
	}
	return out.String()
}

var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/fhir/R4`)

// serve runs the server until the test ends and returns its FHIR base.
func (h house) serve(t testing.TB) (base string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var out, errs output
	done := make(chan int, 1)
	go func() { done <- h.run(ctx, &out, &errs, "serve", "--insecure-no-auth") }()
	t.Cleanup(func() {
		stop()
		if code := <-done; code != 0 {
			t.Errorf("%s: serve ends with %d\n%s", h.engine, code, errs.String())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if base = address.FindString(out.String()); base != "" {
			return base
		}
		select {
		case code := <-done:
			done <- code
			t.Fatalf("%s: serve ends with %d\n%s", h.engine, code, errs.String())
		default:
		}
	}
	t.Fatalf("%s: does not serve after 30 s", h.engine)
	return ""
}
