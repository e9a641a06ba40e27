package main

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/bench/meter"
)

// machine is what the figures were measured on.
type machine struct {
	CPU      string  `json:"cpu"`
	Cores    int     `json:"cores"`
	MemoryMB int     `json:"memory_mb"`
	System   string  `json:"system"`
	Go       string  `json:"go"`
	Postgres string  `json:"postgres,omitempty"`
	SyncP50  float64 `json:"fsync_p50_us"` // of 4 KB appended and synced, which every durable commit waits for
	SyncP95  float64 `json:"fsync_p95_us"`
	Date     string  `json:"date"`
}

func describe(dir string) machine {
	m := machine{CPU: after("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), Date: time.Now().UTC().Format("2006-01-02 15:04")}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.MemoryMB = statusKB(text, "MemTotal:") / 1024
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(text))
	}
	m.SyncP50, m.SyncP95 = syncTimes(dir)
	return m
}

func (m *machine) note(ctx context.Context, db *database) {
	if v := db.version(ctx); v != "" {
		m.Postgres = v
	}
}

// after is what stands behind the colon of the first line that begins with name.
func after(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func syncTimes(dir string) (p50, p95 float64) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, 0
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var micros []float64
	for range 300 {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0
		}
		if err := f.Sync(); err != nil {
			return 0, 0
		}
		micros = append(micros, float64(time.Since(began).Nanoseconds())/1000)
	}
	slices.Sort(micros)
	return meter.Percentile(micros, 50), meter.Percentile(micros, 95)
}
