package facility

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/record"
)

// Types are those that the module judges.
func Types() []string { return []string{"Organization", "Location", "Encounter"} }

// SetRule is what must be true of facilities, wards and beds, and of who lies where. It judges a set by its end: two patients may change beds in one.
func SetRule(l *record.Ledger) record.SetRule {
	return func(ctx context.Context, tx record.Tx, set []record.Turn) (int, error) {
		set = slices.Clone(set)
		return newRuling(ctx, l, tx).judge(set)
	}
}

// Adopts names the types whose records of before are told to [Adopt] once, in this order.
func Adopts() []string { return Types() }

// Adopt enters a record of before into the module's ledger. What cannot be true at once (two patients in a bed) is not refused, since it stands there already: the first
// to come has the bed, the other Encounter's claim is kept as contested.
func Adopt(l *record.Ledger) func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
	return func(ctx context.Context, tx record.Tx, r *fhir.Resource) error {
		g := newRuling(ctx, l, tx)
		g.lenient = true
		_, err := g.judge([]record.Turn{{Type: r.Type(), ID: r.ID(), New: r}})
		return err
	}
}

// turnKey is the context key of the bed's turn that a write of its Location rests on.
type turnKey struct{}

// restingOn is ctx for a write that brings a bed's Location in line with the ledger: it is refused by movedOn where the ledger has gone on.
func restingOn(ctx context.Context, turn int64) context.Context {
	return context.WithValue(ctx, turnKey{}, turn)
}

// movedOn is the issue code of a write whose turn has passed. Nobody outside of the module sees it.
const movedOn = "MOVED_ON"

// ruling is the judgement of one set.
type ruling struct {
	ctx     context.Context
	l       *record.Ledger
	tx      record.Tx
	tenant  int32
	who     string
	num     int64 // a number of this moment
	now     int64 // the same in microseconds since 1970
	base    string
	turn    int64 // what the write rests on; 0: it does not say
	lenient bool
	moved   bool             // where places belong has changed
	touched map[string]int   // locations whose occupation may have changed, and the turn that may have done it
	told    map[string]bool  // beds whose Location is in the set
	within  map[int][]string // the beds of what a turn closes
}

func newRuling(ctx context.Context, l *record.Ledger, tx record.Tx) *ruling {
	caller := access.From(ctx)
	r := &ruling{ctx: ctx, l: l, tx: tx, tenant: caller.Tenant, who: caller.Who, num: l.Next(), base: l.Base(), touched: map[string]int{}, told: map[string]bool{}}
	r.now = ident.Time(r.num).UnixMicro()
	r.turn, _ = ctx.Value(turnKey{}).(int64)
	return r
}

func (r *ruling) exec(sql string, args ...any) error {
	_, err := r.tx.Exec(r.ctx, sql, args...)
	return err
}

// judge enters the set into the ledger and refuses what may not be.
func (r *ruling) judge(set []record.Turn) (int, error) {
	var all []lying // of Encounters that claim, or claimed, a place
	at := map[int]int{}
	structure := false
	for i, t := range set {
		switch t.Type {
		case "Encounter":
			if old, now := r.lyingOf(t.Old, t.ID), r.lyingOf(t.New, t.ID); len(old.claims)+len(now.claims) > 0 {
				now.gone = t.New == nil || t.New.Str("status") == "entered-in-error"
				now.before = &old
				at[len(all)] = i
				all = append(all, now)
			}
		default:
			structure = true
			r.told[t.ID] = t.Type == "Location"
		}
	}
	if len(all) == 0 && !structure {
		return 0, nil
	}
	if err := r.lock(set, all, structure); err != nil {
		return 0, err
	}
	if err := r.gather(set); err != nil {
		return 0, err
	}
	for i, t := range set {
		if err := r.enter(i, t); err != nil {
			return i, err
		}
	}
	if r.moved {
		if err := r.resolveAll(); err != nil {
			return 0, err
		}
	}
	for i, t := range set {
		if err := r.unique(t); err != nil {
			return i, err
		}
	}
	for k := range all {
		if err := r.leave(&all[k], at[k]); err != nil {
			return at[k], err
		}
	}
	for k := range all {
		if err := r.come(&all[k], at[k]); err != nil {
			return at[k], err
		}
	}
	if i, err := r.settle(); err != nil {
		return i, err
	}
	return r.hear(set)
}

// lock takes all locks of the set in one order: that of the places' structure, then of beds and of who lies in them.
func (r *ruling) lock(set []record.Turn, all []lying, structure bool) error {
	if structure {
		if err := r.tx.Lock(r.ctx, r.lockOf("structure", "")); err != nil {
			return err
		}
	}
	var keys []int64
	for _, t := range set {
		if t.Type == "Location" {
			keys = append(keys, r.lockOf("bed", t.ID))
		}
	}
	for k := range all {
		for _, one := range []*lying{&all[k], all[k].before} {
			if one.occupant != "" {
				keys = append(keys, r.lockOf("lies", one.occupant))
			}
			for id := range one.claims {
				keys = append(keys, r.lockOf("bed", id))
			}
		}
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		if err := r.tx.Lock(r.ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (r *ruling) lockOf(what, id string) int64 { return lockOf(r.tenant, what, id) }

func lockOf(tenant int32, what, id string) int64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint32([]byte("facility."+what+"\x00"+id+"\x00"), uint32(tenant)))
	return int64(h.Sum64())
}

// conflict is a refusal with a code of the product API.
func conflict(code, format string, args ...any) *fault.Error {
	return fault.New(fault.Conflict, format, args...).WithCode(code)
}

// micros reads a FHIR dateTime; 0 where it is none.
func micros(s string) int64 {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UnixMicro()
		}
	}
	return 0
}
