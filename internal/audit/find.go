package audit

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Filter is which entries are wanted. Members that are zero say nothing.
type Filter struct {
	IDs      []int64
	Patient  int64 // the number of a Patient that the entry is about
	Who      []string
	Kinds    []Kind
	Actions  []string
	Without  []string // actions that are not wanted
	Outcomes []Outcome
	Types    []string
	Num      int64
	VID      int64
	From, To time.Time // at or after From, before To; to the millisecond
	Before   int64     // ids below it: the next page, where the newest come first
	After    int64     // ids above it: the next page, where the oldest come first
	Oldest   bool      // the oldest first
	Limit    int       // 0: all
	Offset   int
}

func (f *Filter) where(b *sqldb.Builder, tenant int32) {
	b.SQL(" WHERE tenant = ").Arg(tenant)
	if f.Patient != 0 {
		// Two look-ups in indexes: that of entries about one patient, and the table of those about several.
		b.SQL(" AND id IN (SELECT id FROM audit_entry WHERE tenant = ").Arg(tenant).SQL(" AND patient = ").Arg(f.Patient)
		f.between(b)
		b.SQL(" UNION ALL SELECT id FROM audit_patient WHERE tenant = ").Arg(tenant).SQL(" AND patient = ").Arg(f.Patient)
		f.between(b)
		b.SQL(")")
	}
	f.between(b)
	among(b, "id", f.IDs)
	among(b, "who", f.Who)
	among(b, "action", f.Actions)
	for _, a := range f.Without {
		b.SQL(" AND action <> ").Arg(a)
	}
	among(b, "type", f.Types)
	kinds := make([]int64, 0, len(f.Kinds))
	quiet := len(f.Kinds) > 0
	for _, k := range f.Kinds {
		kinds = append(kinds, int64(k))
		quiet = quiet && k > Rest
	}
	among(b, "kind", kinds)
	if quiet {
		b.SQL(" AND kind > 1") // which is what the index of the kinds that are few is over
	}
	outcomes := make([]int64, 0, len(f.Outcomes))
	for _, o := range f.Outcomes {
		outcomes = append(outcomes, int64(o))
	}
	among(b, "outcome", outcomes)
	if f.Num != 0 {
		b.SQL(" AND num = ").Arg(f.Num)
	}
	if f.VID != 0 {
		b.SQL(" AND vid = ").Arg(f.VID)
	}
}

func (f *Filter) between(b *sqldb.Builder) {
	lo, hi := f.After, int64(ident.Max)
	if !f.From.IsZero() {
		lo = max(lo, ident.FirstAt(f.From)-1)
	}
	if !f.To.IsZero() {
		hi = ident.FirstAt(f.To)
	}
	if f.Before != 0 {
		hi = min(hi, f.Before)
	}
	if lo > 0 {
		b.SQL(" AND id > ").Arg(lo)
	}
	if hi < ident.Max {
		b.SQL(" AND id < ").Arg(hi)
	}
}

func among[T any](b *sqldb.Builder, column string, values []T) {
	if len(values) == 0 {
		return
	}
	b.SQL(" AND " + column + " IN (")
	for i, v := range values {
		if i > 0 {
			b.SQL(", ")
		}
		b.Arg(v)
	}
	b.SQL(")")
}

// Find reads the rows that the filter wants, the newest first. They are opened with Decode once no connection is held.
func Find(ctx context.Context, q sqldb.Querier, tenant int32, f Filter) ([]Row, error) {
	b := (&sqldb.Builder{}).SQL("SELECT " + columns + " FROM audit_entry")
	f.where(b, tenant)
	if f.Oldest {
		b.SQL(" ORDER BY tenant, id")
	} else {
		b.SQL(" ORDER BY tenant DESC, id DESC")
	}
	if f.Limit > 0 {
		b.SQL(" LIMIT ").Arg(f.Limit)
	}
	if f.Offset > 0 {
		b.SQL(" OFFSET ").Arg(f.Offset)
	}
	var out []Row
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var r Row
		err := scanRow(rows, tenant, &r)
		out = append(out, r)
		return err
	}, b.String(), b.Args...)
	return out, err
}

// Count counts the entries that the filter wants, up to most.
func Count(ctx context.Context, q sqldb.Querier, tenant int32, f Filter, most int) (int64, error) {
	b := (&sqldb.Builder{}).SQL("SELECT count(*) FROM (SELECT 1 FROM audit_entry")
	f.where(b, tenant)
	b.SQL(" LIMIT ").Arg(most).SQL(") a")
	var n int64
	_, err := sqldb.QueryRow(ctx, q, []any{&n}, b.String(), b.Args...)
	return n, err
}

// Tally is how many entries there are of a kind of act.
type Tally struct {
	Kind    Kind
	Action  string
	Outcome Outcome
	Count   int64
}

// Tallies counts the entries that the filter wants, by kind, action and outcome.
func Tallies(ctx context.Context, q sqldb.Querier, tenant int32, f Filter) ([]Tally, error) {
	b := (&sqldb.Builder{}).SQL("SELECT kind, action, outcome, count(*) FROM audit_entry")
	f.where(b, tenant)
	b.SQL(" GROUP BY kind, action, outcome ORDER BY kind, action, outcome")
	var out []Tally
	err := sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
		var t Tally
		var kind, outcome int64
		err := rows.Scan(&kind, &t.Action, &outcome, &t.Count)
		t.Kind, t.Outcome = Kind(kind), Outcome(outcome)
		out = append(out, t)
		return err
	}, b.String(), b.Args...)
	return out, err
}

// Get reads the entry of that id; nil where there is none.
func Get(ctx context.Context, q sqldb.Querier, tenant int32, id int64) (*Row, error) {
	rows, err := Find(ctx, q, tenant, Filter{IDs: []int64{id}, Limit: 1})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}
