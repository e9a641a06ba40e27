package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/nilecare/nilecare/bench/meter"
)

// postgres has one connection a client. A record goes in one pipeline: begin, fourteen rows, commit, one round trip.
type postgres struct {
	ctx  context.Context
	url  string
	next atomic.Int64
}

const (
	postgresDrop   = `DROP TABLE IF EXISTS raw_body, raw_history, raw_found`
	postgresSchema = `
CREATE TABLE raw_body(id bigint PRIMARY KEY, data bytea NOT NULL);
CREATE TABLE raw_history(id bigint, version int, data bytea NOT NULL, PRIMARY KEY(id, version));
CREATE TABLE raw_found(param int, value bigint, id bigint, PRIMARY KEY(param, value, id));`
	fillBody    = `INSERT INTO raw_body SELECT i, $1 FROM generate_series(1, $2::bigint) i`
	pgBody      = `INSERT INTO raw_body(id, data) VALUES($1, $2)`
	pgHistory   = `INSERT INTO raw_history(id, version, data) VALUES($1, 1, $2)`
	pgFound     = `INSERT INTO raw_found(param, value, id) SELECT p, v, $3 FROM unnest($1::int[], $2::bigint[]) AS t(p, v)`
	pgRead      = `SELECT data FROM raw_body WHERE id = $1`
	pgReadyName = "read"
)

func openPostgres(ctx context.Context, url string) (engine, error) {
	e := &postgres{ctx: ctx, url: url}
	e.next.Store(readRows)
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close(ctx) }()
	if _, err := c.Exec(ctx, postgresDrop+";"+postgresSchema); err != nil {
		return nil, err
	}
	_, err = c.Exec(ctx, fillBody, payload(0), readRows)
	return e, err
}

func (e *postgres) name() string { return "postgres" }

func (e *postgres) connect() (*pgx.Conn, func(), error) {
	c, err := pgx.Connect(e.ctx, e.url)
	if err != nil {
		return nil, nil, err
	}
	return c, func() { _ = c.Close(context.WithoutCancel(e.ctx)) }, nil
}

func (e *postgres) row(client int) (meter.Op, func(), error) {
	c, done, err := e.connect()
	data := payload(client)
	return func() (int, int, error) {
		_, err := c.Exec(e.ctx, pgBody, e.next.Add(1), data)
		return 1, 0, err
	}, done, err
}

func (e *postgres) record(client int) (meter.Op, func(), error) {
	c, done, err := e.connect()
	data, r := payload(client), rand.New(rand.NewPCG(uint64(client), 2))
	params, values := make([]int32, indexRows), make([]int64, indexRows)
	return func() (int, int, error) {
		id := e.next.Add(1)
		for k := range params {
			params[k], values[k] = int32(k), r.Int64N(1<<40)
		}
		b := &pgx.Batch{}
		b.Queue("BEGIN")
		b.Queue(pgBody, id, data)
		b.Queue(pgHistory, id, data)
		b.Queue(pgFound, params, values, id)
		b.Queue("COMMIT")
		return 1, 0, c.SendBatch(e.ctx, b).Close()
	}, done, err
}

func (e *postgres) read(client int) (meter.Op, func(), error) {
	c, done, err := e.connect()
	if err != nil {
		return nil, done, err
	}
	if _, err := c.Prepare(e.ctx, pgReadyName, pgRead); err != nil {
		return nil, done, err
	}
	r := rand.New(rand.NewPCG(uint64(client), 3))
	return func() (int, int, error) {
		raw := c.PgConn().ExecPrepared(e.ctx, pgReadyName, [][]byte{fmt.Append(nil, 1+r.IntN(readRows))}, nil, []int16{1}).Read()
		if raw.Err != nil {
			return 0, 0, raw.Err
		}
		if len(raw.Rows) != 1 {
			return 0, 0, fmt.Errorf("%d rows", len(raw.Rows))
		}
		return 1, len(raw.Rows[0][0]), nil
	}, done, nil
}

func (e *postgres) close() {
	ctx := context.WithoutCancel(e.ctx)
	c, err := pgx.Connect(ctx, e.url)
	if err != nil {
		return
	}
	_, _ = c.Exec(ctx, postgresDrop)
	_ = c.Close(ctx)
}
