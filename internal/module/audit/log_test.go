package audit_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/storetest"
)

// broken is a ledger whose database refuses to write, or does and does not say so, while it is switched on.
type broken struct {
	*record.Ledger
	refuse, silent atomic.Bool
}

var errBroken = errors.New("the database does not answer")

func (b *broken) Update(ctx context.Context, tenant int32, f func(sqldb.Tx) error) error {
	if b.refuse.Load() {
		return errBroken
	}
	err := b.Ledger.Update(ctx, tenant, f)
	if err == nil && b.silent.Load() {
		return errBroken
	}
	return err
}

// TestNothingIsLost: entries that many note at once, through a buffer that is too small, while the database fails for a while, and loses the answer
// to a commit, are each in the ledger once after Close.
func TestNothingIsLost(t *testing.T) {
	storetest.Each(t, record.Options{}, func(t *testing.T, s *record.Store) {
		b := &broken{Ledger: s.Ledger()}
		log := ledger.NewLog(ledger.Options{Buffer: 50, Batch: 20, Every: 5 * time.Millisecond, SealTic: 5 * time.Millisecond, Log: slog.New(slog.DiscardHandler)})
		log.Note(ledger.Entry{Tenant: 1, Kind: ledger.Rest, Action: "before", Who: "u"}) // before it is started
		log.Start(b)
		b.silent.Store(true)
		time.AfterFunc(50*time.Millisecond, func() { b.silent.Store(false) }) // by then all wait for room
		const writers, each = 8, 100
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for i := range each {
					if i == each/2 {
						b.refuse.Store(true)
						time.AfterFunc(20*time.Millisecond, func() { b.refuse.Store(false) })
					}
					log.Note(ledger.Entry{Tenant: 1, Kind: ledger.Rest, Action: "read", Who: "u", Patients: []int64{1, 2}})
				}
			})
		}
		wg.Wait()
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		log.Note(ledger.Entry{Tenant: 1, Action: "after"}) // does not wait for ever
		r, err := ledger.Verify(ctx, s.Ledger(), 1, nil)
		if err != nil || !r.OK() || r.Entries+r.Unsealed != writers*each+1 { // on a server, what others have under way can keep the last ones from being sealed yet
			t.Errorf("%v %+v", err, r)
		}
	})
}

// TestCutOffIsToldLive: a process that finds its chain shorter than it made it notes so.
func TestCutOffIsToldLive(t *testing.T) {
	s := storetest.SQLite(t, record.Options{})
	w := begin(t, s, ledger.Options{AnchorBlocks: 1})
	for range 2 {
		w.acts(5)
		w.flush()
	}
	if err := w.ledger.Update(ctx, 1, func(tx sqldb.Tx) error {
		for _, sql := range []string{"DROP TRIGGER audit_block_stays", "DELETE FROM audit_block WHERE num = 2"} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r, err := w.log.Verify(ctx, 1)
	if err != nil || r.OK() {
		t.Fatalf("%v %+v", err, r)
	}
	for range 100 {
		w.flush()
		var n int64
		if err := w.ledger.Read(ctx, 1, func(q sqldb.Querier) (err error) {
			n, err = ledger.Count(ctx, q, 1, ledger.Filter{Kinds: []ledger.Kind{ledger.Security}, Actions: []string{"audit-verification-failed"}}, 10)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n == 2 { // by the verification, and by the sealer
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("it was not told twice")
}
