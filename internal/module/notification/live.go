package notification

import (
	"context"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The events that a user's clients are told.
const (
	ToldNew  = "notification:new"
	ToldRead = "notification:read"
)

// Told is what a user's clients are told.
type Told struct {
	Event        string        `json:"event"`                  // ToldNew or ToldRead
	Notification *Notification `json:"notification,omitempty"` // of ToldNew
	IDs          []string      `json:"ids"`                    // which messages
	UnreadCount  int           `json:"unreadCount"`            // as it is now
}

// OnNew has f called for each message that comes into the list of a user, and for those that are read, whichever process did it; see the package's
// description for how. It is for the time before [Service.Run]; f must be quick, and is called for one message at a time.
func (s *Service) OnNew(f func(tenant int32, user int64, n Told)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tells = append(s.tells, f)
}

// lookBack is how long a change may take from its time to its being seen.
const lookBack = 10 * time.Second

// change is a row as it was seen.
type change struct {
	tenant int32
	id, at int64
}

// tail follows the rows of all tenants.
type tail struct {
	s     *Service
	since map[int32]int64     // the newest change that was seen, or when it was begun
	seen  map[change]struct{} // of the last while
}

// Run tells of messages, and deletes old ones, until ctx ends.
func (s *Service) Run(ctx context.Context) {
	s.mu.Lock()
	telling := len(s.tells) > 0
	s.mu.Unlock()
	t := &tail{s: s, since: map[int32]int64{}, seen: map[change]struct{}{}}
	begun := s.now().UnixMicro()
	var swept time.Time
	for {
		tenants, err := s.Tenants(ctx)
		if err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "the tenants cannot be read: notifications wait", "error", err.Error())
		}
		wait := s.Poll
		if wait <= 0 {
			wait = max(time.Second, time.Duration(len(tenants))*20*time.Millisecond)
		}
		for _, tenant := range tenants {
			if !telling {
				break
			}
			if err := t.look(access.With(ctx, access.System(tenant)), tenant, begun); err != nil && ctx.Err() == nil {
				s.Log.ErrorContext(ctx, "notifications cannot be told", "tenant", tenant, "error", err.Error())
			}
		}
		t.forget()
		if now := s.now(); now.Sub(swept) >= time.Hour {
			swept = now
			s.sweep(ctx, tenants)
		}
		if !telling {
			wait = max(wait, time.Minute)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.woken:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// look tells of what was changed in a tenant since the last time.
func (t *tail) look(ctx context.Context, tenant int32, begun int64) error {
	since, ok := t.since[tenant]
	if !ok {
		since = begun
		t.since[tenant] = since
	}
	fresh, err := t.changed(ctx, tenant, max(since-lookBack.Microseconds(), begun))
	if err != nil {
		return err
	}
	readBy := map[int64][]string{}
	for _, m := range fresh {
		if m.read != 0 {
			readBy[m.user] = append(readBy[m.user], strconv.FormatInt(m.id, 10))
			continue
		}
		n, err := t.s.view(ctx, m, "")
		if err != nil {
			return err
		}
		if err := t.tell(ctx, tenant, m.user, Told{Event: ToldNew, Notification: n, IDs: []string{n.ID}}); err != nil {
			return err
		}
	}
	for user, ids := range readBy {
		if err := t.tell(ctx, tenant, user, Told{Event: ToldRead, IDs: ids}); err != nil {
			return err
		}
	}
	for _, m := range fresh {
		t.seen[change{tenant, m.id, m.updated}] = struct{}{}
		t.since[tenant] = max(t.since[tenant], m.updated)
	}
	return nil
}

func (t *tail) tell(ctx context.Context, tenant int32, user int64, n Told) (err error) {
	if n.UnreadCount, err = t.s.unread(ctx, tenant, user); err != nil {
		return err
	}
	t.s.mu.Lock()
	tells := t.s.tells
	t.s.mu.Unlock()
	for _, f := range tells {
		f(tenant, user, n)
	}
	return nil
}

// changed reads what was changed since then and has not been seen.
func (t *tail) changed(ctx context.Context, tenant int32, since int64) (fresh []*row, err error) {
	err = t.s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		fresh = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			m, err := scan(rows, tenant)
			if err != nil {
				return err
			}
			if _, old := t.seen[change{tenant, m.id, m.updated}]; !old {
				fresh = append(fresh, m)
			}
			return nil
		}, "SELECT "+columns+` FROM notification_message WHERE tenant = $1 AND updated_at >= $2 AND user_id <> 0 AND channel = 'websocket' AND status = 'sent' AND deleted_at = 0
			ORDER BY updated_at, id`, tenant, since)
	})
	return fresh, err
}

// forget drops what is not looked back to any more.
func (t *tail) forget() {
	for c := range t.seen {
		if c.at < t.since[c.tenant]-2*lookBack.Microseconds() {
			delete(t.seen, c)
		}
	}
}

// keptFor is how long messages are kept, and sweepAtOnce how many go in one transaction.
const (
	keptFor     = 90 * 24 * time.Hour
	sweepAtOnce = 1000
)

// sweep deletes old messages; one that still waits for its time stays.
func (s *Service) sweep(ctx context.Context, tenants []int32) {
	before := s.now().Add(-keptFor).UnixMicro()
	for _, tenant := range tenants {
		for {
			var n int64
			err := s.Ledger.Update(ctx, tenant, func(tx sqldb.Tx) (err error) {
				n, err = tx.Exec(ctx, `DELETE FROM notification_message WHERE tenant = $1 AND id IN (SELECT id FROM notification_message
					WHERE tenant = $1 AND updated_at < $2 AND until_at < $2 ORDER BY updated_at LIMIT $3)`, tenant, before, sweepAtOnce)
				return err
			})
			if err != nil && ctx.Err() == nil {
				s.Log.WarnContext(ctx, "old notifications are not deleted", "tenant", tenant, "error", err.Error())
			}
			if err != nil || n < sweepAtOnce {
				break
			}
		}
	}
}
