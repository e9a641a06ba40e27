// Command load measures a FHIR R4 server through HTTP: creates, updates, reads, searches and transaction Bundles, at given numbers of
// clients. Any server will do; it must let anonymous clients (or those with -header) read and write, and is written to: point it at nothing that
// real patients live in. Servers on other machines need -allow-remote.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nilecare/nilecare/bench/meter"
)

type options struct {
	server, clients, workloads, out, header string
	plan                                    meter.Plan
	seed                                    int64
	load, pid                               int
	conditional, verify, allowRemote        bool
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "http://127.0.0.1:7000/fhir/R4", "base URL of the FHIR server")
	flag.StringVar(&o.clients, "clients", "1,8,32", "numbers of clients")
	flag.StringVar(&o.workloads, "workloads", strings.Join(names(), ","), "what to measure")
	flag.StringVar(&o.out, "json", "", "file for the results, a JSON line each")
	flag.StringVar(&o.header, "header", "", "a header for every request, as in 'Authorization: Bearer …'")
	flag.DurationVar(&o.plan.Duration, "duration", 5*time.Second, "how long each measurement counts")
	flag.DurationVar(&o.plan.Warmup, "warmup", time.Second, "how long each runs before it counts")
	flag.Int64Var(&o.seed, "seed", time.Now().Unix(), "of the synthetic patients that are written")
	flag.IntVar(&o.load, "load", 100, "synthetic patients to send first where the server has fewer")
	flag.IntVar(&o.pid, "pid", 0, "the server's process on this machine, to tell its processor time (Linux)")
	flag.BoolVar(&o.conditional, "conditional", true, "Bundles refer to staff and places by conditional references; false: by name alone, for servers without them")
	flag.BoolVar(&o.verify, "verify", false, "look into every answer; this costs time")
	flag.BoolVar(&o.allowRemote, "allow-remote", false, "let the server be on another machine")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		slog.Error("load", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	t, err := newTarget(ctx, o.server, o.header, o.allowRemote)
	if err != nil {
		return err
	}
	for _, w := range strings.Split(o.workloads, ",") {
		if !slices.Contains(names(), w) {
			return fmt.Errorf("-workloads: %q is none of %s", w, strings.Join(names(), ", "))
		}
	}
	d, err := prepare(ctx, t, o)
	if err != nil {
		return err
	}
	slog.Info("ready", "patients sampled", len(d.patients), "observation queries", len(d.questions), "bytes of a created body", d.meanBody())
	results, err := measure(ctx, t, d, o)
	if tableErr := meter.Table(os.Stdout, results); err == nil {
		err = tableErr
	}
	if err != nil || o.out == "" {
		return err
	}
	return write(o.out, results)
}

func measure(ctx context.Context, t *target, d *data, o options) ([]meter.Result, error) {
	var results []meter.Result
	for _, text := range strings.Split(o.clients, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return results, fmt.Errorf("-clients: %q is no number of clients", text)
		}
		o.plan.Clients = n
		for _, w := range workloads() {
			if !slices.Contains(strings.Split(o.workloads, ","), w.name) {
				continue
			}
			own, server := cpuTime(), processTime(o.pid)
			r, err := meter.Run(ctx, w.name, o.plan, func(client int) (meter.Op, func(), error) { return w.client(t, d, client, n, o.verify) })
			if err != nil {
				return results, err
			}
			slog.Info(w.name, "clients", n, "per second", int(r.PerSecond), "p50 ms", r.P50/1000, "errors", r.Errors,
				"driver's CPU µs an operation", int(perOperation(cpuTime()-own, r, o.plan)))
			r.CPU = perOperation(processTime(o.pid)-server, r, o.plan)
			results = append(results, r)
		}
	}
	return results, nil
}

// perOperation shares the processor time of warmup and measurement among the operations of both, of which only the measurement's are counted.
func perOperation(cpu time.Duration, r meter.Result, plan meter.Plan) float64 {
	if r.Ops == 0 {
		return 0
	}
	counted := float64(plan.Duration) / float64(plan.Duration+plan.Warmup)
	return float64(cpu.Nanoseconds()) / 1000 * counted / float64(r.Ops)
}

// processTime is the processor time that the process has used, from /proc; 0 where the system does not tell.
func processTime(pid int) time.Duration {
	if pid == 0 {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the program's name in parentheses, with any characters; user and system time are the 12th and 13th behind it.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		return 0
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+system) * tick
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func write(path string, results []meter.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(f)
	for _, r := range results {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return f.Close()
}
