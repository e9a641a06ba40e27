package event

import (
	"context"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/clock"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// silence is how many beats a process may miss before others take it for dead; givesUp is when it stops by itself, which is earlier.
const (
	silence = 5
	givesUp = 4
)

// processes knows which processes live. Clocks of machines are not compared: a process lives while others see its count grow.
type processes struct {
	store *record.Store
	clock clock.Clock
	every time.Duration
	me    int64

	mu   sync.Mutex
	seen map[int64]pulse
	gone map[int64]int // owners that no row was seen of, and in which round that was asked first
	turn int           // rounds of looking
	said time.Time     // when this process could say last that it is there
}

type pulse struct {
	beat int64
	at   time.Time // when it was first seen, by this process's own clock
}

func newProcesses(s *record.Store, c clock.Clock, every time.Duration) *processes {
	return &processes{store: s, clock: c, every: every, me: s.Ledger().Next(), seen: map[int64]pulse{}, gone: map[int64]int{}, said: time.Now()}
}

// say says that this process is there, and looks who else is.
func (p *processes) say(ctx context.Context) error {
	now := p.clock().UnixMicro()
	l := p.store.Ledger()
	err := l.Update(ctx, 1, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, "UPDATE event_process SET beat = beat + 1, updated_at = $2 WHERE tenant = 1 AND id = $1", p.me, now)
		if err == nil && n == 0 {
			_, err = tx.Exec(ctx, "INSERT INTO event_process (tenant, id, beat, created_at, updated_at) VALUES (1, $1, 1, $2, $2)", p.me, now)
		}
		return err
	})
	if err != nil {
		return err
	}
	beats := map[int64]int64{}
	err = l.Read(ctx, 1, func(q sqldb.Querier) error {
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var id, beat int64
			err := rows.Scan(&id, &beat)
			beats[id] = beat
			return err
		}, "SELECT id, beat FROM event_process WHERE tenant = 1")
	})
	if err != nil {
		return err
	}
	return p.forget(ctx, p.note(beats))
}

// note takes down which counts have grown, and returns processes that are dead for long.
func (p *processes) note(beats map[int64]int64) (old map[int64]int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.said = now
	p.turn++
	old = map[int64]int64{}
	for id, beat := range beats {
		if was, ok := p.seen[id]; !ok || was.beat != beat {
			p.seen[id] = pulse{beat, now}
		} else if now.Sub(was.at) > 100*silence*p.every {
			old[id] = beat
		}
	}
	for id := range p.seen {
		if _, ok := beats[id]; !ok {
			delete(p.seen, id)
		}
	}
	return old
}

func (p *processes) forget(ctx context.Context, old map[int64]int64) error {
	if len(old) == 0 {
		return nil
	}
	return p.store.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error {
		for id, beat := range old {
			if _, err := tx.Exec(ctx, "DELETE FROM event_process WHERE tenant = 1 AND id = $1 AND beat = $2", id, beat); err != nil {
				return err
			}
		}
		return nil
	})
}

// silent reports that this process could not say for long that it is there.
func (p *processes) silent() bool {
	if !p.store.Shared() {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.said) > givesUp*p.every
}

// dead reports that the process of that id reads no more: its readers are free.
func (p *processes) dead(id int64) bool {
	switch {
	case id == 0:
		return true
	case id == p.me:
		return false
	case !p.store.Shared():
		return true // the embedded database is this process's alone
	case ident.Node(id) == ident.Node(p.me):
		return true // a node's number belongs to one living process, and that is this one
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if was, ok := p.seen[id]; ok {
		delete(p.gone, id)
		return time.Since(was.at) > silence*p.every
	}
	// Its row may have come since this process looked last: it is dead where a whole later look does not find it.
	first, asked := p.gone[id]
	if !asked {
		p.gone[id] = p.turn
		return false
	}
	return p.turn > first+1
}

// leave takes this process's row away.
func (p *processes) leave(ctx context.Context) error {
	if !p.store.Shared() {
		return nil
	}
	return p.store.Ledger().Update(ctx, 1, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM event_process WHERE tenant = 1 AND id = $1", p.me)
		return err
	})
}
