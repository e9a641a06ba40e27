package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nilecare/nilecare/bench/meter"
	"github.com/nilecare/nilecare/internal/fhir"
)

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 1234567.6: "1,234,568", -1234: "-1,234", -123: "-123"} {
		if got := thousands(v); got != want {
			t.Errorf("%v is %s, want %s", v, got, want)
		}
	}
}

func TestStatusKB(t *testing.T) {
	status := []byte("Name:\tnilecare\nVmHWM:\t   81920 kB\nVmRSS:\t   40960 kB\n")
	if r, p := statusKB(status, "VmRSS:"), statusKB(status, "VmHWM:"); r != 40960 || p != 81920 {
		t.Fatalf("%d, %d", r, p)
	}
	if n := statusKB(status, "VmSwap:"); n != 0 {
		t.Fatalf("what is not there is %d", n)
	}
}

// A set that grows in parts has the same patients as one that is made at once, none twice.
func TestDatasetGrows(t *testing.T) {
	dir := t.TempDir()
	parts, whole := dataset{seed: 3}, dataset{seed: 3}
	var grown []string
	sum := 0
	for k, size := range []int{500, 1500} {
		sub := filepath.Join(dir, string(rune('a'+k)))
		n, err := parts.write(sub, size)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
		grown = append(grown, lines(t, sub)...)
	}
	if _, err := whole.write(filepath.Join(dir, "whole"), 1500); err != nil {
		t.Fatal(err)
	}
	once := lines(t, filepath.Join(dir, "whole"))
	if strings.Join(grown, "\n") != strings.Join(once, "\n") {
		t.Fatalf("%d Bundles in parts, %d at once, or others", len(grown), len(once))
	}
	count := 0
	for _, line := range once {
		r, err := fhir.ParseResource([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		count += r.Get("entry").Len()
	}
	if count != sum || sum != parts.resources || sum < 1500 {
		t.Fatalf("%d resources are there, %d were counted", count, sum)
	}
}

func lines(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.Split(strings.TrimSpace(string(text)), "\n")...)
	}
	return out
}

func TestPage(t *testing.T) {
	page := markdown(report{
		Machine: machine{CPU: "some CPU", Cores: 2, Postgres: "15.1"},
		Raw:     []meter.Result{{Name: "sqlite record", Clients: 8, PerSecond: 2000, P50: 400}, {Name: "sqlite read", Clients: 8, PerSecond: 100000}},
		Stages: []stage{{Engine: "sqlite", Resources: 10000, Imported: 10000, ImportSeconds: 2, BytesResource: 1800, IdleKB: 50 << 10, Results: []meter.Result{
			{Name: "create", Clients: 8, PerSecond: 1500, P50: 900, P95: 2500}, {Name: "import", Clients: 8, PerSecond: 10, UnitsSecond: 700},
			{Name: "family", Clients: 8, PerSecond: 3000, Errors: 2, FirstError: "status 500: no"}}}},
	})
	for _, want := range []string{"2 cores (some CPU)", "PostgreSQL 15.1", "| sqlite | 10,000 | 5,000 | 1,800 |", "50 MB", "8 clients", "| create | 1,500 · 0.90 / 2.50 · 75 % |",
		"| import | 700 ·", "**2 errors**", "`status 500: no`"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	s := server{binary: "/bin/false", log: filepath.Join(dir, "log"), db: &database{dir: dir}}
	if err := s.start(context.Background()); err == nil || !strings.Contains(err.Error(), "before it was ready") {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
}

func TestSizeOfSQLite(t *testing.T) {
	db, err := openDatabase(context.Background(), options{}, t.TempDir(), "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"nilecare.db": 100, "nilecare.db-wal": 20, "root.key": 7} {
		if err := os.WriteFile(filepath.Join(db.dir, name), make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := db.size(context.Background()); err != nil || size != 120 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	if _, err := openDatabase(context.Background(), options{}, t.TempDir(), "postgres"); err == nil {
		t.Fatal("PostgreSQL without a server")
	}
}
