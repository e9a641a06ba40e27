package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"github.com/ncruces/go-sqlite3"

	"github.com/nilecare/nilecare/bench/meter"
)

// sqlite writes through one connection, because SQLite has one writer, and reads through one a client.
type sqlite struct {
	path   string
	mu     sync.Mutex
	writer *sqlite3.Conn
	stmts  map[string]*sqlite3.Stmt
	next   int64
}

const sqliteSchema = `
CREATE TABLE body(id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE history(id INTEGER, version INTEGER, data BLOB NOT NULL, PRIMARY KEY(id, version)) WITHOUT ROWID;
CREATE TABLE found(param INTEGER, value INTEGER, id INTEGER, PRIMARY KEY(param, value, id)) WITHOUT ROWID;`

const (
	insertBody    = `INSERT INTO body(id, data) VALUES(?, ?)`
	insertHistory = `INSERT INTO history(id, version, data) VALUES(?, 1, ?)`
	insertFound   = `INSERT INTO found(param, value, id) VALUES(?, ?, ?)`
)

func openSQLite(dir string) (engine, error) {
	e := &sqlite{path: filepath.Join(dir, "raw.db"), stmts: map[string]*sqlite3.Stmt{}}
	e.remove()
	var err error
	if e.writer, err = e.open(); err != nil {
		return nil, err
	}
	if err := e.writer.Exec(sqliteSchema); err != nil {
		return nil, err
	}
	for _, q := range []string{insertBody, insertHistory, insertFound} {
		if e.stmts[q], _, err = e.writer.Prepare(q); err != nil {
			return nil, err
		}
	}
	data := payload(0)
	err = e.transaction(func() error {
		for range readRows {
			e.next++
			if err := e.exec(insertBody, e.next, data); err != nil {
				return err
			}
		}
		return nil
	})
	return e, err
}

func (e *sqlite) open() (*sqlite3.Conn, error) {
	c, err := sqlite3.Open("file:" + filepath.ToSlash(e.path))
	if err != nil {
		return nil, err
	}
	if err := c.Exec("PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000; PRAGMA cache_size=-16384"); err != nil {
		return nil, err
	}
	return c, nil
}

func (e *sqlite) name() string { return "sqlite" }

func (e *sqlite) exec(query string, id int64, data []byte) error {
	s := e.stmts[query]
	if err := s.BindInt64(1, id); err != nil {
		return err
	}
	if err := s.BindBlob(2, data); err != nil {
		return err
	}
	return s.Exec()
}

func (e *sqlite) transaction(do func() error) error {
	if err := e.writer.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := do(); err != nil {
		_ = e.writer.Exec("ROLLBACK")
		return err
	}
	return e.writer.Exec("COMMIT")
}

func (e *sqlite) row(client int) (meter.Op, func(), error) {
	data := payload(client)
	return func() (int, int, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.next++
		return 1, 0, e.exec(insertBody, e.next, data)
	}, nil, nil
}

func (e *sqlite) record(client int) (meter.Op, func(), error) {
	data, r := payload(client), rand.New(rand.NewPCG(uint64(client), 2))
	return func() (int, int, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.next++
		return 1, 0, e.transaction(func() error {
			if err := e.exec(insertBody, e.next, data); err != nil {
				return err
			}
			if err := e.exec(insertHistory, e.next, data); err != nil {
				return err
			}
			return e.found(r)
		})
	}, nil, nil
}

func (e *sqlite) found(r *rand.Rand) error {
	s := e.stmts[insertFound]
	for param := range int64(indexRows) {
		for k, v := range []int64{param, r.Int64N(1 << 40), e.next} {
			if err := s.BindInt64(k+1, v); err != nil {
				return err
			}
		}
		if err := s.Exec(); err != nil {
			return err
		}
	}
	return nil
}

func (e *sqlite) read(client int) (meter.Op, func(), error) {
	c, err := e.open()
	if err != nil {
		return nil, nil, err
	}
	done := func() { _ = c.Close() }
	s, _, err := c.Prepare(`SELECT data FROM body WHERE id = ?`)
	if err != nil {
		return nil, done, err
	}
	r := rand.New(rand.NewPCG(uint64(client), 3))
	return func() (int, int, error) {
		defer func() { _ = s.Reset() }()
		if err := s.BindInt64(1, 1+r.Int64N(readRows)); err != nil {
			return 0, 0, err
		}
		if !s.Step() {
			return 0, 0, fmt.Errorf("a row is missing: %w", s.Err())
		}
		return 1, len(s.ColumnRawBlob(0)), nil
	}, done, nil
}

func (e *sqlite) close() {
	_ = e.writer.Close()
	e.remove()
}

func (e *sqlite) remove() {
	for _, tail := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(e.path + tail)
	}
}
