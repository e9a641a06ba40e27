package sqldb

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	_ "github.com/ncruces/go-sqlite3/vfs/adiantum" // registers the VFS that seals the whole file
	"github.com/pressly/goose/v3"
)

// SQLiteOptions says how to open an embedded database.
type SQLiteOptions struct {
	Path    string // of the database file; its folder exists
	Key     []byte // 32 bytes: the whole file is sealed with it (Adiantum); nil: it is not
	Readers int    // connections for reading; 0: twice the processors, 4 at least
}

// SQLite is an embedded database, open for this process alone.
type SQLite struct {
	options  SQLiteOptions
	lock     *os.File
	writer   *conn
	readers  chan *conn
	all      []*conn
	queue    chan *update
	pace     Pace
	done     chan struct{}
	closing  sync.Once
	closeErr error
	closed   chan struct{}
}

// statementsKept is how many prepared statements a connection keeps; searches make many texts.
const statementsKept = 400

type conn struct {
	*sqlite3.Conn
	stmts  map[string]*sqlite3.Stmt
	extra  string // pragmas of its own
	broken bool   // it panicked, and is to be opened anew before it is used
}

// close closes the connection. One that panicked may do so again: it is left to the garbage collector then, files and all.
func (c *conn) close() {
	defer func() { _ = recover() }()
	for _, st := range c.stmts {
		_ = st.Close()
	}
	_ = c.Conn.Close()
}

// renew opens a broken connection anew.
func (s *SQLite) renew(c *conn) error {
	if !c.broken {
		return nil
	}
	fresh, err := s.dial(context.Background(), c.extra)
	if err != nil {
		return err
	}
	c.close()
	*c = *fresh
	return nil
}

// OpenSQLite opens the database, creating the file where there is none.
func OpenSQLite(ctx context.Context, o SQLiteOptions) (*SQLite, error) {
	if o.Key != nil && len(o.Key) != 32 {
		return nil, errors.New("sqlite: the key of the file must be 32 bytes")
	}
	if o.Readers <= 0 {
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	registerVFS()
	lock, err := lockFile(o.Path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &SQLite{options: o, lock: lock, readers: make(chan *conn, o.Readers), queue: make(chan *update, 1024), done: make(chan struct{}), closed: make(chan struct{})}
	if err := s.connect(ctx); err != nil {
		s.closeAll()
		return nil, err
	}
	go s.commitLoop()
	return s, nil
}

func (s *SQLite) connect(ctx context.Context) error {
	var err error
	// The cache of the writer holds the inner pages of all index tables.
	if s.writer, err = s.open(ctx, "PRAGMA cache_size=-65536"); err != nil {
		return err
	}
	// The log and its index are made with the mode of any file, with the first transaction on a new database.
	if err := s.writer.Exec("BEGIN IMMEDIATE; COMMIT"); err != nil {
		return fmt.Errorf("sqlite: open: %w", err)
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Chmod(s.options.Path+suffix, 0o600); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("sqlite: %w", err)
		}
	}
	for range s.options.Readers {
		c, err := s.open(ctx, "PRAGMA cache_size=-4096; PRAGMA query_only=on")
		if err != nil {
			return err
		}
		s.readers <- c
	}
	return nil
}

func (s *SQLite) dsn() string {
	uri := "file:" + strings.NewReplacer("?", "%3f", "#", "%23", "%", "%25").Replace(filepath.ToSlash(s.options.Path))
	if s.options.Key != nil {
		return uri + "?vfs=adiantum"
	}
	return uri + "?vfs=" + walVFSName
}

func (s *SQLite) pragmas() string {
	p := ""
	if s.options.Key != nil {
		p = "PRAGMA hexkey='" + hex.EncodeToString(s.options.Key) + "';"
	}
	// Small pages: the index rows of one resource lie on two dozen pages, and each of them goes into the log whole. The VFS that
	// seals the file does so in blocks of 4096 bytes, so there a page is one block.
	page := "2048"
	if s.options.Key != nil {
		page = "4096"
	}
	// secure_delete: what is deleted is overwritten; temp_store: no temporary file holds clear text.
	return p + "PRAGMA page_size=" + page + "; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=10000;" +
		"PRAGMA foreign_keys=on; PRAGMA secure_delete=on; PRAGMA temp_store=memory; PRAGMA wal_autocheckpoint=16000; PRAGMA journal_size_limit=67108864;"
}

func (s *SQLite) dial(ctx context.Context, extra string) (*conn, error) {
	c, err := sqlite3.OpenContext(ctx, s.dsn())
	if err != nil {
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	c.SetInterrupt(context.Background())
	if err := c.Exec(s.pragmas() + extra); err != nil {
		_ = c.Close()
		if errors.Is(err, sqlite3.NOTADB) {
			return nil, errors.New("sqlite: the file is no database, or it is sealed with another key (encrypt-database)")
		}
		return nil, fmt.Errorf("sqlite: open: %w", err)
	}
	return &conn{Conn: c, stmts: map[string]*sqlite3.Stmt{}, extra: extra}, nil
}

// open is dial for a connection that Close closes.
func (s *SQLite) open(ctx context.Context, extra string) (*conn, error) {
	c, err := s.dial(ctx, extra)
	if err == nil {
		s.all = append(s.all, c)
	}
	return c, err
}

// Migrate brings the schema forward with the numbered files of fsys; the versions done are kept in the table. It returns
// how many it ran.
func (s *SQLite) Migrate(ctx context.Context, fsys fs.FS, table string) (int, error) {
	db, err := driver.Open(s.dsn(), func(c *sqlite3.Conn) error { return c.Exec(s.pragmas()) })
	if err != nil {
		return 0, fmt.Errorf("sqlite: migrate: %w", err)
	}
	defer db.Close()
	return migrate(ctx, goose.DialectSQLite3, db, fsys, table)
}

// prepare returns the statement of that text, prepared once.
func (c *conn) prepare(sql string) (*sqlite3.Stmt, error) {
	if st, ok := c.stmts[sql]; ok {
		return st, nil
	}
	if len(c.stmts) >= statementsKept {
		c.forget()
	}
	st, tail, err := c.PrepareFlags(strings.ReplaceAll(sql, "$", "?"), sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	if strings.TrimSpace(tail) != "" {
		_ = st.Close()
		return nil, errors.New("sqlite: more than one statement")
	}
	c.stmts[sql] = st
	return st, nil
}

// forget drops half of the idle statements; which half does not matter.
func (c *conn) forget() {
	n := len(c.stmts) / 2
	for text, st := range c.stmts {
		if n == 0 {
			return
		}
		if st.Busy() {
			continue
		}
		_ = st.Close()
		delete(c.stmts, text)
		n--
	}
}

// View runs f on a snapshot of the last commit.
func (s *SQLite) View(ctx context.Context, f func(Querier) error) error {
	select {
	case c := <-s.readers:
		return s.lent(ctx, c, func() error { return c.snapshot(ctx, f) })
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errClosed
	}
}

// Read is View for a single statement: it saves the bounds of a transaction.
func (s *SQLite) Read(ctx context.Context, f func(Querier) error) error {
	select {
	case c := <-s.readers:
		return s.lent(ctx, c, func() error { return f(sqliteTx{c}) })
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return errClosed
	}
}

// lent runs f, which reads on c, under the caller's context, and gives c back. A connection on which f panicked is not used again: the
// panic may have come from within SQLite, and an unread snapshot would be held for good.
func (s *SQLite) lent(ctx context.Context, c *conn, f func() error) error {
	defer func() { s.readers <- c }()
	if err := s.renew(c); err != nil {
		return err
	}
	old := c.SetInterrupt(ctx)
	c.broken = true
	err := f()
	c.broken = false
	c.SetInterrupt(old)
	return err
}

var errClosed = errors.New("sqlite: closed")

func (c *conn) snapshot(ctx context.Context, f func(Querier) error) error {
	tx := sqliteTx{c}
	if _, err := tx.Exec(ctx, "BEGIN"); err != nil {
		return err
	}
	err := f(tx)
	c.SetInterrupt(context.Background())
	_, _ = tx.Exec(context.Background(), "ROLLBACK")
	return err
}

// Close waits for the commits that were accepted, writes the log back into the database file, and closes. A second Close does
// nothing.
func (s *SQLite) Close() error {
	s.closing.Do(func() {
		close(s.closed)
		<-s.done
		for range s.options.Readers {
			<-s.readers
		}
		if s.closeErr = s.renew(s.writer); s.closeErr == nil {
			s.closeErr = s.writer.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
		}
		s.closeAll()
	})
	return s.closeErr
}

func (s *SQLite) closeAll() {
	for _, c := range s.all {
		c.close()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// Checkpoint writes the log back into the database file and empties it, so that nothing deleted lingers there.
func (s *SQLite) Checkpoint(ctx context.Context) error {
	return s.exclusive(ctx, func(c *conn) error { return c.Exec("PRAGMA wal_checkpoint(TRUNCATE)") })
}
