package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Options says how a log works. The zero value of each member has a meaning.
type Options struct {
	Clock   clock.Clock   // nil: the system's
	Every   time.Duration // how long an entry waits to be written at most; 0: 250 ms
	Batch   int           // how many are written without waiting; 0: 5,000
	Buffer  int           // how many may wait: then Note waits too; 0: 16,384
	SealTic time.Duration // how often blocks are made; 0: 1 s
	Anchors string        // the file of signed checkpoints; "": none are written
	// An anchor is written when so many blocks were made since the last, or so much time passed, and on Close. 0: 256, 1 minute
	AnchorBlocks int64
	AnchorEvery  time.Duration
	Log          *slog.Logger  // nil: the default
	Watch        func([]Entry) // is shown what was noted, batch by batch, once it is written; on the log's own goroutine
}

// Log is the ledger's writer: a [Sink] that writes in batches, and the sealer that makes blocks of what is written, by itself and by the
// record's engines. What was noted and not yet written is lost by a crash: Options.Every bounds it.
type Log struct {
	o       Options
	anchors anchorFile
	store   Store

	mu     sync.Mutex
	room   *sync.Cond // signalled when the buffer empties
	buf    []Entry
	full   chan struct{} // has a token when a batch is waiting
	closed bool
	stop   chan struct{}
	wg     sync.WaitGroup
	// writing is held by whoever writes what was noted, sealing by whoever makes blocks.
	writing, sealing, verifying sync.Mutex
	pending                     []Entry // under writing: those that could not be written

	state map[int32]*chain // under sealing
	heads sync.Map         // tenant → *Block: the last block that this process made or met
}

// chain is what the sealer remembers of a tenant.
type chain struct {
	key      *signingKey
	anchored int64 // the last block that is
	since    time.Time
	cut      bool // that the chain was cut off has been noted
}

var _ Sink = (*Log)(nil)

// NewLog returns a log. Entries may be noted at once; they are written once it is started.
func NewLog(o Options) *Log {
	def(&o.Every, 250*time.Millisecond)
	def(&o.SealTic, time.Second)
	def(&o.AnchorEvery, time.Minute)
	def(&o.AnchorBlocks, 256)
	def(&o.Batch, 5000)
	def(&o.Buffer, 16384)
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Log{o: o, anchors: anchorFile{path: o.Anchors}, full: make(chan struct{}, 1), stop: make(chan struct{}), state: map[int32]*chain{}}
	l.room = sync.NewCond(&l.mu)
	return l
}

func def[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

// Start begins to write and to seal. Close ends it.
func (l *Log) Start(s Store) {
	l.mu.Lock()
	l.store = s
	l.mu.Unlock()
	l.wg.Go(l.writeLoop)
	l.wg.Go(l.sealLoop)
}

// Note implements Sink. Where the buffer is full, because the database does not keep up or does not answer, it waits until there is room
// or the log is closed.
func (l *Log) Note(e Entry) {
	l.mu.Lock()
	for len(l.buf) >= l.o.Buffer && !l.closed {
		l.room.Wait()
	}
	if l.closed {
		l.mu.Unlock()
		l.o.Log.Error("audit: an entry came after the log was closed, and is lost", "action", e.Action)
		return
	}
	if e.ID == 0 && l.store != nil {
		e.ID = l.store.Next()
	}
	l.buf = append(l.buf, e)
	ready := len(l.buf) >= min(l.o.Batch, l.o.Buffer)
	l.mu.Unlock()
	if ready {
		l.wake()
	}
}

func (l *Log) wake() {
	select {
	case l.full <- struct{}{}:
	default:
	}
}

func (l *Log) writeLoop() {
	tick := time.NewTicker(l.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.full:
		case <-l.stop:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := l.write(ctx); err != nil {
			l.o.Log.Error("audit: entries could not be written; they are kept, and tried again", "error", err)
			l.pause()
		}
		cancel()
	}
}

// pause waits a moment after a failure.
func (l *Log) pause() {
	select {
	case <-time.After(time.Second):
	case <-l.stop:
	}
}

// write writes what is in the buffer. What could not be written is kept, and tried first the next time; one tenant's trouble does not keep
// the entries of others.
func (l *Log) write(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	retry := l.pending
	l.pending = nil
	failed := []error{l.writeBatch(ctx, retry, true)}
	for len(l.pending) < l.o.Buffer {
		l.mu.Lock()
		n := min(len(l.buf), l.o.Batch)
		batch := slices.Clone(l.buf[:n])
		l.buf = append(l.buf[:0], l.buf[n:]...)
		l.mu.Unlock()
		l.room.Broadcast()
		if n == 0 {
			break
		}
		failed = append(failed, l.writeBatch(ctx, batch, false))
	}
	return errors.Join(failed...)
}

// writeBatch writes entries, a transaction a tenant. Those that fail are pending from then on.
func (l *Log) writeBatch(ctx context.Context, batch []Entry, again bool) error {
	slices.SortStableFunc(batch, func(a, b Entry) int { return int(a.Tenant) - int(b.Tenant) })
	var failed []error
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].Tenant == batch[0].Tenant {
			n++
		}
		if err := l.writeTenant(ctx, batch[0].Tenant, batch[:n], again); err != nil {
			l.pending = append(l.pending, batch[:n]...)
			failed = append(failed, err)
		} else if l.o.Watch != nil {
			l.o.Watch(batch[:n:n])
		}
		batch = batch[n:]
	}
	return errors.Join(failed...)
}

// writeTenant writes entries of one tenant. again says that it was tried before: where the answer to a commit was lost, they are there.
func (l *Log) writeTenant(ctx context.Context, tenant int32, entries []Entry, again bool) error {
	rows := make([]Row, len(entries))
	seal := func(what string, plain []byte) ([]byte, error) { return l.store.Seal(ctx, tenant, what, plain) }
	for i := range entries {
		if entries[i].ID == 0 {
			entries[i].ID = l.store.Next()
		}
		var err error
		if rows[i], err = Encode(&entries[i], seal); err != nil {
			return err
		}
	}
	return l.store.Update(ctx, tenant, func(tx sqldb.Tx) error {
		fresh := rows
		if again {
			var err error
			if fresh, err = unwritten(ctx, tx, tenant, rows); err != nil {
				return err
			}
		}
		return Insert(ctx, tx, tenant, fresh)
	})
}

// unwritten returns the rows that are not in the database.
func unwritten(ctx context.Context, tx sqldb.Tx, tenant int32, rows []Row) ([]Row, error) {
	var out []Row
	for i := range rows {
		var id int64
		found, err := sqldb.QueryRow(ctx, tx, []any{&id}, "SELECT id FROM audit_entry WHERE tenant = $1 AND id = $2", tenant, rows[i].ID)
		if err != nil {
			return nil, err
		}
		if !found {
			out = append(out, rows[i])
		}
	}
	return out, nil
}

// Flush writes what was noted, and makes blocks of all that is written and may be covered.
func (l *Log) Flush(ctx context.Context) error {
	if err := l.write(ctx); err != nil {
		return err
	}
	return l.sealAll(ctx)
}

// closeTime is how long Close tries to write.
const closeTime = 30 * time.Second

// Close writes and seals what was noted, and anchors every chain. The error says how many entries could not be written. The store must
// be closed after it, not before.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed || l.store == nil {
		l.closed = true
		l.mu.Unlock()
		return nil
	}
	l.mu.Unlock()
	close(l.stop)
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	l.mu.Lock()
	l.closed = true // from now on nothing is taken up
	l.mu.Unlock()
	l.room.Broadcast()
	err := l.write(ctx)
	for tries := 0; err != nil && tries < 5 && ctx.Err() == nil; tries++ {
		time.Sleep(200 * time.Millisecond)
		err = l.write(ctx)
	}
	if err != nil {
		return fmt.Errorf("audit: %d entries could not be written: %w", len(l.pending)+len(l.buf), err)
	}
	return errors.Join(l.sealAll(ctx), l.anchorAll())
}
