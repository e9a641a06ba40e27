package record

import (
	"context"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// History returns versions, newest first: of an instance, a type, or everything. NotFound where the instance never was.
func (s *Store) History(ctx context.Context, h HistoryQuery) (*HistoryPage, error) {
	caller := access.From(ctx)
	page, err := s.historyFor(ctx, &caller, h)
	s.noteHistory(&caller, h, page, err)
	if err != nil {
		return nil, err
	}
	return page, nil
}

func (s *Store) historyFor(ctx context.Context, caller *access.Caller, h HistoryQuery) (*HistoryPage, error) {
	count := h.Count
	if count <= 0 {
		count = DefaultCount
	}
	count = min(count, MaxCount)
	var page *HistoryPage
	r, err := s.reading(ctx, caller, h.Type)
	if err != nil {
		return nil, err
	}
	err = s.engine.View(ctx, caller.Tenant, func(q sqldb.Querier) (err error) {
		r.q = q
		if h.Type != "" && r.restricted(h.Type) || h.Type == "" && r.restrictedAny() {
			page, err = r.seenHistory(h, count)
		} else {
			page, err = r.history(h, count)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, v := range page.Versions {
		if err := mask(caller, v); err != nil {
			return nil, err
		}
	}
	return page, nil
}

func (r *searching) history(h HistoryQuery, count int) (*HistoryPage, error) {
	scope, err := r.historyScope(h)
	if err != nil {
		return nil, err
	}
	page := &HistoryPage{Total: -1}
	hits, err := r.historyHits(scope, h, before(h), count+1)
	if err != nil {
		return nil, err
	}
	more := r.cut || len(hits) > count
	hits = hits[:min(count, len(hits))]
	size := 0
	for i := range hits {
		v, err := r.s.open(r.ctx, r.q, r.tenant, &hits[i].sealed)
		if fault.Is(err, fault.Gone) { // erased: nothing of it may be told
			continue
		}
		if err != nil {
			return nil, err
		}
		page.Versions = append(page.Versions, v)
		if size += len(v.body); size > MaxPageOpened && i+1 < len(hits) {
			more, hits = true, hits[:i+1]
			break
		}
	}
	if more && len(hits) > 0 {
		page.Next = strconv.FormatInt(hits[len(hits)-1].sealed.seq, 10)
	} else if h.Cursor == "" {
		page.Total = len(hits)
	}
	if page.Total < 0 {
		page.Total, err = r.historyTotal(scope, h)
	}
	return page, err
}

// historyHits reads up to limit versions below a seq.
func (r *searching) historyHits(scope historyScope, h HistoryQuery, below int64, limit int) ([]hit, error) {
	c := r.compiler()
	c.sql("SELECT " + versionColumns + " FROM (SELECT * FROM (")
	c.historyRows(scope, h, below)
	c.sql(") a ORDER BY a.seq DESC LIMIT ").b.Arg(limit)
	c.sql(") v", c.s.engine.Dialect().Join, "record r ON r.type = v.type AND r.num = v.num AND r.tenant = ").b.Arg(r.tenant)
	c.sql(" ORDER BY v.seq DESC")
	return r.scan(c, 0)
}

// seenHistory is history for a caller from whom some of it is hidden. Nothing is counted but what is on the page; where more than
// MaxOpened versions would have to be looked at for one page, the page ends early.
func (r *searching) seenHistory(h HistoryQuery, count int) (*HistoryPage, error) {
	scope, err := r.historyScope(h)
	if err != nil {
		return nil, err
	}
	if h.ID != "" {
		if err := r.mustSeeScope(scope, h.Type); err != nil {
			return nil, err
		}
	}
	page := &HistoryPage{Total: -1}
	size := 0
	for below, looked := before(h), 0; ; {
		hits, err := r.historyHits(scope, h, below, openedBatch)
		if err != nil {
			return nil, err
		}
		cut := r.cut
		for i := range hits {
			v := &hits[i].sealed
			if looked++; len(page.Versions) == count || looked > MaxOpened || size > MaxPageOpened {
				page.Next = strconv.FormatInt(below, 10)
				return page, nil
			}
			if ok, err := r.seesVersion(v); err != nil {
				return nil, err
			} else if ok {
				opened, err := r.s.open(r.ctx, r.q, r.tenant, v)
				if err != nil && !fault.Is(err, fault.Gone) {
					return nil, err
				}
				if err == nil {
					page.Versions = append(page.Versions, opened)
					size += len(opened.body)
				}
			}
			below = v.seq
		}
		if len(hits) < openedBatch && !cut {
			if h.Cursor == "" {
				page.Total = len(page.Versions)
			}
			return page, nil
		}
	}
}

// mustSeeScope is NotFound where the caller is not shown the record, as where there is none.
func (r *searching) mustSeeScope(scope historyScope, typ string) error {
	v, err := r.s.current(r.ctx, r.q, r.tenant, scope.typ, scope.num)
	if err != nil {
		return err
	}
	if v != nil {
		ok, err := r.sees(v)
		if err != nil || ok {
			return err
		}
	}
	return notFound(typ)
}

// historyScope is whose versions are asked for.
type historyScope struct {
	typ int
	num int64
}

func (r *searching) historyScope(h HistoryQuery) (historyScope, error) {
	var sc historyScope
	if h.Cursor != "" {
		if n, err := strconv.ParseInt(h.Cursor, 10, 64); err != nil || n <= 0 {
			return sc, errCursor
		}
	}
	if h.Type == "" {
		return sc, nil
	}
	t, err := resourceType(h.Type)
	if err != nil {
		return sc, err
	}
	sc.typ = t.Num
	if h.ID == "" {
		return sc, nil
	}
	num, known, err := r.s.numOf(r.ctx, r.q, false, r.tenant, sc.typ, h.ID)
	if err != nil {
		return sc, err
	}
	if known {
		v, err := r.s.current(r.ctx, r.q, r.tenant, sc.typ, num)
		if err != nil {
			return sc, err
		}
		known = v != nil && fhirID(v.num, v.fid) == h.ID
	}
	if !known {
		return sc, notFound(h.Type)
	}
	sc.num = num
	return sc, nil
}

// before returns the seq that the page's versions lie below.
func before(h HistoryQuery) int64 {
	if n, err := strconv.ParseInt(h.Cursor, 10, 64); err == nil {
		return n
	}
	return ident.Max
}

// historyRows writes the SELECT of the versions. The first version of most records is found by its seq, which is the record's
// number; an index of their own has the others.
func (c *compiler) historyRows(sc historyScope, h HistoryQuery, below int64) {
	part := func(first bool) {
		c.sql("SELECT v.* FROM version v WHERE v.tenant = ").b.Arg(c.tenant)
		if sc.typ != 0 {
			c.sql(" AND v.type = ").b.Int(int64(sc.typ))
		}
		if sc.num != 0 {
			c.sql(" AND v.num = ").b.Arg(sc.num)
		}
		switch {
		case sc.num != 0 && first:
			c.sql(" AND v.seq = ").b.Arg(sc.num)
		case sc.num != 0:
			c.sql(" AND v.seq <> v.num")
		}
		c.sql(" AND v.seq < ").b.Arg(below)
		if !h.Since.IsZero() {
			c.sql(" AND v.seq >= ").b.Arg(seqAt(h.Since.UnixMicro()))
		}
		if !h.At.IsZero() {
			// A version is current from its own time on, up to the next one's.
			start := seqAt(h.At.UnixMicro() + 1)
			end := start
			if !h.AtEnd.IsZero() {
				end = seqAt(h.AtEnd.UnixMicro())
			}
			c.sql(" AND v.seq < ").b.Arg(end)
			c.sql(" AND NOT EXISTS (SELECT 1 FROM version w WHERE w.tenant = v.tenant AND w.num = v.num AND w.type = v.type AND w.seq <> w.num AND w.vid > v.vid AND w.seq < ").b.Arg(start)
			c.sql(")")
		}
	}
	part(true)
	if sc.num != 0 {
		c.sql(" UNION ALL ")
		part(false)
	}
}

func (r *searching) historyTotal(sc historyScope, h HistoryQuery) (int, error) {
	c := r.compiler()
	c.sql("SELECT count(*) FROM (")
	c.historyRows(sc, h, ident.Max)
	c.sql(") AS a")
	var n int
	_, err := sqldb.QueryRow(r.ctx, r.q, []any{&n}, c.b.String(), c.b.Args...)
	return n, err
}
