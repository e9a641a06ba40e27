package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nilecare/nilecare/bench/meter"
)

// Both engines answer all three questions, and leave nothing behind. PostgreSQL is asked where there is one.
func TestRaw(t *testing.T) {
	postgres := os.Getenv("NILECARE_TEST_POSTGRES")
	want := 6
	if postgres != "" {
		want = 12
	} else {
		t.Log("NILECARE_TEST_POSTGRES is not set: SQLite alone")
	}
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out.json")
	plan := meter.Plan{Duration: 50 * time.Millisecond, Warmup: time.Millisecond}
	if err := run(context.Background(), dir, postgres, "1,3", out, plan); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for lines := bufio.NewScanner(f); lines.Scan(); seen++ {
		var r meter.Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Ops == 0 || r.Errors > 0 {
			t.Errorf("%+v", r)
		}
	}
	if seen != want {
		t.Errorf("%d results, want %d", seen, want)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRawRefusesNoClients(t *testing.T) {
	if err := run(context.Background(), t.TempDir(), "", "1,x", "", meter.Plan{}); err == nil {
		t.Fatal("x clients")
	}
}
