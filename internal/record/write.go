package record

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Write makes the changes, all or none, and returns what became of each. It returns after they are durable.
//
// Identities are found first, on the state before the set: which record an id or a condition means, and which id a new
// resource gets. Then references to a FullURL of the set, and conditional references ("Patient?identifier=…"), become literal.
// A set of one with neither is checked for no references. An error that is about one change is an [EntryError].
//
// All this is prepared on a snapshot, outside of the transaction; inside, what it rested on is looked at again, and where another
// writer was faster the work is done anew in the transaction, where nobody can be.
func (s *Store) Write(ctx context.Context, changes []Change) ([]Outcome, error) {
	caller := access.From(ctx)
	out, err := s.write(ctx, changes, nil)
	if err != nil {
		s.noteRefused(&caller, changes, err)
		return nil, err
	}
	s.noteUnwritten(&caller, changes, out)
	for i := range out {
		if err := mask(&caller, out[i].Version); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// write is Write that has keys which are out of use already: those of patients who are being erased.
func (s *Store) write(ctx context.Context, changes []Change, erasing map[int64]*seal.Key) ([]Outcome, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	caller := access.From(ctx)
	// Now, while no connection is held: making a tenant's keys takes another one.
	if _, err := s.forTenant(ctx, caller.Tenant); err != nil {
		return nil, err
	}
	var p *plan
	if err := s.onSnapshot(ctx, caller.Tenant, changes, func(q sqldb.Querier) (err error) {
		p, err = s.plan(ctx, q, true, caller, changes, erasing)
		return err
	}); err != nil {
		return nil, err
	}
	if p.nothing() {
		return p.outcomes(), nil
	}
	fresh := true
	replan := func(ctx context.Context, tx Tx) (err error) {
		p.restore()
		if p, err = s.plan(ctx, tx, false, caller, changes, erasing); err != nil {
			p = &plan{}
			return err
		}
		return p.confirm(ctx, tx)
	}
	job := &Job{Solo: p.solo(), First: p.firstLock(), Run: func(ctx context.Context, tx Tx) (rows *Rows, err error) {
		defer func() { // a rule's panic is that change's own: others may be in the same transaction
			if r := recover(); r != nil {
				rows, err = nil, fmt.Errorf("record: panic while writing: %v\n%s", r, debug.Stack())
			}
		}()
		err = errStale // a second run: what the first saw may have changed
		if fresh {
			err = p.confirm(ctx, tx)
		}
		fresh = false
		// Each time one more row is found changed, and is locked from then on: it ends when all are.
		for tries := len(changes) + 8; errors.Is(err, errStale) && tries > 0; tries-- {
			err = replan(ctx, tx)
		}
		if errors.Is(err, errStale) {
			err = fault.New(fault.Unavailable, "others change the same resources all the time: try again")
		}
		if err != nil {
			return nil, err
		}
		return p.rows(), nil
	}}
	if err := s.engine.Commit(ctx, caller.Tenant, job); err != nil {
		return nil, err
	}
	p.committed()
	if f := s.onCommit.Load(); f != nil {
		(*f)(caller.Tenant)
	}
	return p.outcomes(), nil
}

// onSnapshot runs f on a snapshot, or without any where the changes need not look at the database.
func (s *Store) onSnapshot(ctx context.Context, tenant int32, changes []Change, f func(sqldb.Querier) error) error {
	if len(changes) == 1 {
		return s.engine.Read(ctx, tenant, f)
	}
	return s.engine.View(ctx, tenant, f)
}

// errStale says that the database is no longer as the plan saw it.
var errStale = errors.New("record: the plan is stale")

// lockKey is the number under which writers with the same condition wait for each other, however they write it.
func lockKey(tenant int32, c condition) int64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(tenant)))
	_, _ = h.Write([]byte(c.text()))
	return int64(h.Sum64())
}

// text is the condition in one form: parameters and their alternatives in order, each once.
func (c condition) text() string {
	parts := make([]string, 0, len(c.query.Applied))
	for _, a := range c.query.Applied {
		values := strings.Split(a.Value, ",")
		slices.Sort(values)
		parts = append(parts, a.Name+"\x00"+strings.Join(slices.Compact(values), ","))
	}
	slices.Sort(parts)
	return c.typ + "\x00" + strings.Join(slices.Compact(parts), "\x00\x00")
}

// entry wraps an error with the place of its change; errors of the database and of the context stay as they are.
func entry(i int, err error) error {
	var known *fault.Error
	if err == nil || !errors.As(err, &known) || known.Kind == fault.Internal {
		return err
	}
	return &EntryError{Index: i, Err: err}
}
