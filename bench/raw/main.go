// Command raw measures what the databases themselves allow on this machine, which is the limit of any server on them: one durable row of
// 1.5 KB a commit, the same with a history row and twelve index rows, and a read by key.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/bench/meter"
)

// rowSize is the body's length in bytes; indexRows stand for the rows that a resource's search values make.
const (
	rowSize   = 1500
	indexRows = 12
	readRows  = 20_000
)

// engine is a database under measurement. Each start makes a client's own operation and its end.
type engine interface {
	name() string
	row(client int) (meter.Op, func(), error)
	record(client int) (meter.Op, func(), error)
	read(client int) (meter.Op, func(), error)
	close()
}

func main() {
	sqlite := flag.String("sqlite", "", "folder for a throwaway SQLite database")
	postgres := flag.String("postgres", "", "URL of a PostgreSQL database; its tables raw_* are made anew and removed")
	clients := flag.String("clients", "1,8,32", "numbers of clients")
	duration := flag.Duration("duration", 5*time.Second, "how long each measurement counts")
	warmup := flag.Duration("warmup", time.Second, "how long each runs before it counts")
	out := flag.String("json", "", "file for the results, a JSON line each")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *sqlite, *postgres, *clients, *out, meter.Plan{Warmup: *warmup, Duration: *duration}); err != nil {
		slog.Error("raw", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, sqliteDir, postgresURL, clients, out string, plan meter.Plan) error {
	var results []meter.Result
	measure := func(e engine, err error) error {
		if err != nil {
			return err
		}
		defer e.close()
		r, err := measureAll(ctx, e, clients, plan)
		results = append(results, r...)
		return err
	}
	if sqliteDir != "" {
		if err := measure(openSQLite(sqliteDir)); err != nil {
			return err
		}
	}
	if postgresURL != "" {
		if err := measure(openPostgres(ctx, postgresURL)); err != nil {
			return err
		}
	}
	if err := meter.Table(os.Stdout, results); err != nil || out == "" {
		return err
	}
	f, err := os.Create(out)
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

func measureAll(ctx context.Context, e engine, clients string, plan meter.Plan) ([]meter.Result, error) {
	var results []meter.Result
	for _, text := range strings.Split(clients, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-clients: %q is no number of clients", text)
		}
		plan.Clients = n
		for _, w := range []struct {
			name  string
			start func(int) (meter.Op, func(), error)
		}{{"row", e.row}, {"record", e.record}, {"read", e.read}} {
			r, err := meter.Run(ctx, e.name()+" "+w.name, plan, w.start)
			if err != nil {
				return nil, err
			}
			results = append(results, r)
		}
	}
	return results, nil
}

// payload is bytes that do not compress, as sealed bodies are.
func payload(client int) []byte {
	r := rand.New(rand.NewPCG(uint64(client), 1))
	b := make([]byte, rowSize)
	for k := range b {
		b[k] = byte(r.Uint32())
	}
	return b
}
