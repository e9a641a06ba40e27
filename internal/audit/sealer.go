package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/nilecare/nilecare/internal/sqldb"
)

func (l *Log) sealLoop() {
	tick := time.NewTicker(l.o.SealTic)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.stop:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := l.sealAll(ctx); err != nil {
			l.o.Log.Error("audit: blocks could not be made; they are when the database answers again", "error", err)
			l.pause()
		}
		cancel()
	}
}

// sealAll makes blocks of what is written, for every tenant.
func (l *Log) sealAll(ctx context.Context) error {
	tenants, err := keyedTenants(ctx, l.store)
	if err != nil {
		return err
	}
	var failed []error
	for _, tenant := range tenants {
		if err := l.sealTenant(ctx, tenant); err != nil {
			failed = append(failed, fmt.Errorf("tenant %d: %w", tenant, err))
		}
	}
	return errors.Join(failed...)
}

// errFaster says that another process made the next block.
var errFaster = errors.New("audit: another process made this block")

// sealTenant makes blocks until nothing is left to cover.
func (l *Log) sealTenant(ctx context.Context, tenant int32) error {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	c := l.state[tenant]
	if c == nil {
		c = &chain{since: l.o.Clock()}
		l.state[tenant] = c
	}
	for {
		more, err := l.sealOne(ctx, tenant, c)
		if errors.Is(err, errFaster) {
			continue
		}
		if err != nil || !more {
			if err == nil {
				err = l.anchorDue(tenant, c)
			}
			return err
		}
	}
}

// sealOne makes one block, and reports whether there may be another.
func (l *Log) sealOne(ctx context.Context, tenant int32, c *chain) (more bool, err error) {
	var last *Block
	var rows []Row
	if err := l.store.View(ctx, tenant, func(q sqldb.Querier) error {
		top, err := ceiling(ctx, q, tenant)
		if err != nil {
			return err
		}
		if last, err = lastBlock(ctx, q, tenant); err != nil {
			return err
		}
		after := mark{-1, -1}
		if last != nil {
			after = last.mark()
		}
		rows, err = rowsAfter(ctx, q, tenant, after, top, blockEntries, nil)
		return err
	}); err != nil {
		return false, err
	}
	l.watchHead(tenant, c, last)
	if len(rows) == 0 {
		return false, nil
	}
	if c.key == nil {
		if c.key, err = signing(ctx, l.store, tenant, l.o.Clock().UnixMicro()); err != nil {
			return false, err
		}
	}
	b := makeBlock(tenant, last, rows)
	b.sign(c.key, l.o.Clock().UnixMicro())
	if err := l.store.Update(ctx, tenant, func(tx sqldb.Tx) error { return l.addBlock(ctx, tx, last, b, c) }); err != nil {
		return false, err
	}
	l.heads.Store(tenant, b)
	return len(rows) == blockEntries, nil
}

// sealLock is the number under which sealers of a tenant wait for each other.
func sealLock(tenant int32) int64 {
	const key = 0x61756469 << 32 // "audi"
	return key | int64(tenant)
}

// addBlock writes a block where last is still the last, and its key still signs.
func (l *Log) addBlock(ctx context.Context, tx sqldb.Tx, last, b *Block, c *chain) error {
	if err := tx.Lock(ctx, sealLock(b.Tenant)); err != nil {
		return err
	}
	now, err := lastBlock(ctx, tx, b.Tenant)
	if err != nil {
		return err
	}
	if (now == nil) != (last == nil) || now != nil && !now.same(last) {
		return errFaster
	}
	var signs bool
	if _, err := sqldb.QueryRow(ctx, tx, []any{&signs}, "SELECT secret IS NOT NULL FROM audit_key WHERE tenant = $1 AND num = $2", b.Tenant, b.Key); err != nil {
		return err
	}
	if !signs { // another process rotated the key
		c.key = nil
		return errFaster
	}
	return b.insert(ctx, tx)
}

// watchHead notes, once, that the chain in the database is shorter than this process has seen it, or is another one.
func (l *Log) watchHead(tenant int32, c *chain, last *Block) {
	seen, _ := l.heads.Load(tenant)
	head, _ := seen.(*Block)
	if head == nil {
		if last != nil {
			l.heads.Store(tenant, last)
		}
		return
	}
	if last != nil && (last.Num > head.Num || last.same(head)) {
		return
	}
	if !c.cut {
		c.cut = true
		l.o.Log.Error("audit: the chain of blocks was cut off or changed: verify it", "tenant", tenant, "block", head.Num)
		go l.Note(Entry{Tenant: tenant, Kind: Security, Action: "audit-verification-failed", Outcome: Major, Who: "system", Severity: "critical",
			Detail: fmt.Sprintf("the chain of blocks was cut off or changed before block %d", head.Num)})
	}
}

// anchorDue writes an anchor where it is time.
func (l *Log) anchorDue(tenant int32, c *chain) error {
	seen, _ := l.heads.Load(tenant)
	head, _ := seen.(*Block)
	if head == nil || l.o.Anchors == "" || head.Num <= c.anchored {
		return nil
	}
	if head.Num-c.anchored < l.o.AnchorBlocks && l.o.Clock().Sub(c.since) < l.o.AnchorEvery {
		return nil
	}
	return l.anchor(tenant, c, head)
}

func (l *Log) anchor(tenant int32, c *chain, head *Block) error {
	if c.key == nil {
		var err error
		if c.key, err = signing(context.Background(), l.store, tenant, l.o.Clock().UnixMicro()); err != nil {
			return err
		}
	}
	if err := l.anchors.append(newAnchor(head, c.key, l.o.Clock())); err != nil {
		return err
	}
	c.anchored, c.since = head.Num, l.o.Clock()
	return nil
}

// anchorAll writes an anchor of every chain that has grown since the last.
func (l *Log) anchorAll() error {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	var failed []error
	for tenant, c := range l.state {
		seen, _ := l.heads.Load(tenant)
		if head, _ := seen.(*Block); head != nil && l.o.Anchors != "" && head.Num > c.anchored && len(head.Hash) == sha256.Size {
			failed = append(failed, l.anchor(tenant, c, head))
		}
	}
	return errors.Join(failed...)
}

// Rotate has a new key sign the tenant's blocks from now on. The old one's secret is destroyed; its public key stays, and verifies what it
// signed.
func (l *Log) Rotate(ctx context.Context, tenant int32) error {
	l.sealing.Lock()
	defer l.sealing.Unlock()
	now := l.o.Clock().UnixMicro()
	key, err := signing(ctx, l.store, tenant, now)
	if err != nil {
		return err
	}
	if c := l.state[tenant]; c != nil {
		c.key = nil
	}
	return addKey(ctx, l.store, tenant, key.num, now)
}
