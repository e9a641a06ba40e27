package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/bench/meter"
)

// toolbox is the folder with the two drivers, built once so that no compiler runs beside a measurement.
type toolbox struct{ dir string }

func buildTools(ctx context.Context, dir string) (toolbox, error) {
	for _, name := range []string{"raw", "load"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), "github.com/nilecare/nilecare/bench/"+name)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return toolbox{}, fmt.Errorf("building bench/%s: %w", name, err)
		}
	}
	return toolbox{dir}, nil
}

func (t toolbox) raw(ctx context.Context, o options) ([]meter.Result, error) {
	var args []string
	if strings.Contains(o.engines, "sqlite") {
		args = append(args, "-sqlite", t.dir)
	}
	if strings.Contains(o.engines, "postgres") && o.postgres != "" {
		args = append(args, "-postgres", o.postgres)
	}
	return t.run(ctx, o, "raw", args...)
}

func (t toolbox) load(ctx context.Context, o options, s *server) ([]meter.Result, error) {
	args := []string{"-server", s.base(), "-pid", strconv.Itoa(s.process.Process.Pid)}
	if o.workloads != "" {
		args = append(args, "-workloads", o.workloads)
	}
	if s.key != "" {
		args = append(args, "-header", "Authorization: Bearer "+s.key)
	}
	return t.run(ctx, o, "load", args...)
}

func (t toolbox) run(ctx context.Context, o options, name string, args ...string) ([]meter.Result, error) {
	out := filepath.Join(t.dir, name+".json")
	args = append(args, "-json", out, "-clients", o.clients, "-duration", o.duration.String(), "-warmup", o.warmup.String())
	cmd := exec.CommandContext(ctx, filepath.Join(t.dir, name), args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("bench/%s: %w", name, err)
	}
	return readResults(out)
}

func readResults(path string) ([]meter.Result, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var results []meter.Result
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r meter.Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, lines.Err()
}
