// Package meter runs something from several clients at once, each going on when its last one is answered (a closed loop), and says how many and how fast.
package meter

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"
)

// Result is one measurement. Times are in microseconds.
type Result struct {
	Name      string  `json:"workload"`
	Clients   int     `json:"clients"`
	Seconds   float64 `json:"seconds"`
	Ops       int     `json:"operations"`
	PerSecond float64 `json:"per_second"`
	// Units counts what an operation brought, where it brings more than one (resources of a Bundle).
	Units       int     `json:"units"`
	UnitsSecond float64 `json:"units_per_second"`
	Bytes       float64 `json:"bytes_per_answer"`
	P50         float64 `json:"p50_us"`
	P95         float64 `json:"p95_us"`
	P99         float64 `json:"p99_us"`
	Max         float64 `json:"max_us"`
	// CPU is the processor time of the process under measurement, where it is known; without the database's own processes.
	CPU        float64 `json:"server_cpu_us_per_operation,omitempty"`
	Errors     int     `json:"errors"`
	FirstError string  `json:"first_error,omitempty"`
}

// Op does one operation and says how many units and bytes it brought.
type Op func() (units, bytes int, err error)

// Plan says how long and with how many clients.
type Plan struct {
	Clients          int
	Warmup, Duration time.Duration
}

type tally struct {
	micros     []float64
	units      int
	bytes      int
	errors     int
	firstError error
}

// Run starts the clients, each with the Op that start makes for it, lets them warm up and counts what ends within the duration. done, where it is not nil, is
// called by each client at its end.
func Run(ctx context.Context, name string, plan Plan, start func(client int) (op Op, done func(), err error)) (Result, error) {
	var phase atomic.Int32 // 0: warming up, 1: counting, 2: over
	tallies := make([]tally, plan.Clients)
	ops := make([]Op, plan.Clients)
	for k := range plan.Clients {
		op, done, err := start(k)
		if done != nil {
			defer done()
		}
		if err != nil {
			return Result{}, fmt.Errorf("%s, client %d: %w", name, k, err)
		}
		ops[k] = op
	}
	var wg sync.WaitGroup
	for k := range plan.Clients {
		wg.Go(func() { loop(&tallies[k], ops[k], &phase) })
	}
	wait(ctx, plan.Warmup)
	phase.Store(1)
	began := time.Now()
	wait(ctx, plan.Duration)
	phase.Store(2)
	took := time.Since(began)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	return sum(name, plan.Clients, took, tallies), nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func loop(t *tally, op Op, phase *atomic.Int32) {
	t.micros = make([]float64, 0, 1<<14)
	for phase.Load() < 2 {
		began := time.Now()
		units, bytes, err := op()
		took := time.Since(began)
		if err != nil {
			if phase.Load() == 1 {
				t.errors++
			}
			if t.firstError == nil {
				t.firstError = err
			}
			time.Sleep(time.Millisecond) // a server that is gone is not hammered
			continue
		}
		if phase.Load() == 1 {
			t.micros = append(t.micros, float64(took.Nanoseconds())/1000)
			t.units += units
			t.bytes += bytes
		}
	}
}

func sum(name string, clients int, took time.Duration, tallies []tally) Result {
	r := Result{Name: name, Clients: clients, Seconds: took.Seconds()}
	var all []float64
	bytes := 0
	for _, t := range tallies {
		all = append(all, t.micros...)
		r.Units += t.units
		r.Errors += t.errors
		bytes += t.bytes
		if t.firstError != nil && r.FirstError == "" {
			r.FirstError = t.firstError.Error()
		}
	}
	slices.Sort(all)
	r.Ops = len(all)
	r.PerSecond = float64(r.Ops) / r.Seconds
	r.UnitsSecond = float64(r.Units) / r.Seconds
	if r.Ops > 0 {
		r.Bytes = float64(bytes) / float64(r.Ops)
		r.Max = all[r.Ops-1]
	}
	r.P50, r.P95, r.P99 = Percentile(all, 50), Percentile(all, 95), Percentile(all, 99)
	return r
}

// Percentile returns the p-th percentile of sorted values by the nearest rank; 0 of none.
func Percentile(sorted []float64, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// Table writes results for people.
func Table(w io.Writer, results []Result) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "workload\tclients\tper second\tunits/s\tp50 ms\tp95 ms\tp99 ms\tmax ms\tbytes\tserver CPU µs\terrors\t")
	for _, r := range results {
		fmt.Fprintf(tw, "%s\t%d\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\t%.0f\t%.0f\t%d\t\n", r.Name, r.Clients, r.PerSecond, r.UnitsSecond,
			r.P50/1000, r.P95/1000, r.P99/1000, r.Max/1000, r.Bytes, r.CPU, r.Errors)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.FirstError != "" {
			fmt.Fprintf(w, "%s, %d clients: first error: %s\n", r.Name, r.Clients, r.FirstError)
		}
	}
	return nil
}
