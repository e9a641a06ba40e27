package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/bench/meter"
)

// markdown is the report for people.
func markdown(r report) string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Measured %s UTC on %d cores (%s), %d MB of memory, %s, %s", m.Date, m.Cores, m.CPU, m.MemoryMB, m.System, m.Go)
	if m.Postgres != "" {
		fmt.Fprintf(&b, ", PostgreSQL %s", m.Postgres)
	}
	fmt.Fprintf(&b, ". The driver, the server and the database share the cores. Appending 4 KB and syncing them takes %.0f µs (p95 %.0f µs).\n", m.SyncP50, m.SyncP95)
	if len(r.Raw) > 0 {
		rawTable(&b, r.Raw)
	}
	sizeTable(&b, r.Stages)
	for _, s := range r.Stages {
		stageTable(&b, s, r.Raw)
	}
	return b.String()
}

func clientsOf(results []meter.Result) []int {
	var out []int
	for _, r := range results {
		if !slices.Contains(out, r.Clients) {
			out = append(out, r.Clients)
		}
	}
	return out
}

func namesOf(results []meter.Result) []string {
	var out []string
	for _, r := range results {
		if !slices.Contains(out, r.Name) {
			out = append(out, r.Name)
		}
	}
	return out
}

func header(b *strings.Builder, first string, clients []int) {
	fmt.Fprintf(b, "| %s |", first)
	for _, c := range clients {
		fmt.Fprintf(b, " %s |", plural(c))
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(clients)) + "\n")
}

func plural(clients int) string {
	if clients == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", clients)
}

func rawTable(b *strings.Builder, raw []meter.Result) {
	b.WriteString("\n## The databases themselves\n\nPer second, and p50 / p95 in ms. *row*: one durable row of 1.5 KB a commit; *record*: with a history row of the " +
		"same size and twelve index rows; *read*: by key.\n\n")
	clients := clientsOf(raw)
	header(b, "", clients)
	for _, name := range namesOf(raw) {
		fmt.Fprintf(b, "| %s |", name)
		for _, c := range clients {
			r, _ := find(raw, name, c)
			fmt.Fprintf(b, " %s · %.2f / %.2f |", thousands(r.PerSecond), r.P50/1000, r.P95/1000)
		}
		b.WriteString("\n")
	}
}

func sizeTable(b *strings.Builder, stages []stage) {
	b.WriteString("\n## Size and memory\n\nBytes a resource: what the database grew by during the import, for each imported resource, all of its index, history, event and audit rows included.\n\n" +
		"| engine | resources | import command, resources/s | bytes a resource | ready after | resident idle | after load | at most |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, s := range stages {
		fmt.Fprintf(b, "| %s | %s | %s | %s | %.2f s | %d MB | %d MB | %d MB |\n", s.Engine, thousands(float64(s.Resources)),
			thousands(float64(s.Imported)/s.ImportSeconds), thousands(s.BytesResource), s.ReadySeconds, s.IdleKB/1024, s.LoadedKB/1024, s.PeakKB/1024)
	}
}

// limits names, for a workload, what of the raw database bounds it.
func limits(workload string) string {
	switch workload {
	case "create", "update":
		return "record"
	case "read":
		return "read"
	}
	return ""
}

func stageTable(b *strings.Builder, s stage, raw []meter.Result) {
	fmt.Fprintf(b, "\n## %s, %s resources\n\nPer second (Bundle import: resources per second), p50 / p95 in ms, and the share of what the database itself gives (*record* for writes, *read* for reads).\n\n",
		s.Engine, thousands(float64(s.Resources)))
	clients := clientsOf(s.Results)
	header(b, "", clients)
	for _, name := range namesOf(s.Results) {
		fmt.Fprintf(b, "| %s |", name)
		for _, c := range clients {
			r, _ := find(s.Results, name, c)
			rate := r.PerSecond
			if name == "import" {
				rate = r.UnitsSecond
			}
			fmt.Fprintf(b, " %s · %.2f / %.2f", thousands(rate), r.P50/1000, r.P95/1000)
			if limit, ok := find(raw, s.Engine+" "+limits(name), c); ok && limit.PerSecond > 0 {
				fmt.Fprintf(b, " · %.0f %%", 100*r.PerSecond/limit.PerSecond)
			}
			if r.Errors > 0 {
				fmt.Fprintf(b, " · **%d errors**", r.Errors)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	cpuTable(b, s.Results, clients)
	for _, r := range s.Results {
		if r.FirstError != "" {
			fmt.Fprintf(b, "\n%s at %s, first error: `%s`\n", r.Name, plural(r.Clients), strings.ReplaceAll(r.FirstError, "\n", " "))
		}
	}
}

// cpuTable tells whether the processor or the disk is what an operation waits for.
func cpuTable(b *strings.Builder, results []meter.Result, clients []int) {
	b.WriteString("\nThe server's processor time, µs an operation (import: a Bundle):\n\n")
	header(b, "", clients)
	for _, name := range namesOf(results) {
		fmt.Fprintf(b, "| %s |", name)
		for _, c := range clients {
			r, _ := find(results, name, c)
			fmt.Fprintf(b, " %s |", thousands(r.CPU))
		}
		b.WriteString("\n")
	}
}

// thousands writes a whole number with commas.
func thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	var out []byte
	for k := range len(digits) {
		if k > 0 && digits[k-1] != '-' && (len(digits)-k)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, digits[k])
	}
	return string(out)
}
