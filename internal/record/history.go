package record

import (
	"context"
	"strconv"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
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
	if err := c.historyRows(scope, h, below); err != nil {
		return nil, err
	}
	c.sql(") a ORDER BY a.seq DESC LIMIT ").b.Arg(limit)
	c.sql(") v", c.s.engine.Dialect().Join, "record r ON r.type = v.type AND r.num = v.num AND r.tenant = ").b.Arg(r.tenant)
	c.sql(" ORDER BY v.seq DESC")
	return r.scan(c, 0)
}

// maxLooked is how many versions a page of a history looks at: those of deleted records are opened to see whether they may be shown.
const maxLooked = 20 * MaxOpened

// seenHistory is history for a caller from whom some of it is hidden. What is hidden is not counted, and no page ends because of it: one has
// a next page only where there is something more to be shown.
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
	if scope.sight, err = r.sights(h.Type); err != nil {
		return nil, err
	}
	page := &HistoryPage{Total: -1}
	size, last := 0, int64(0)
	for below, looked := before(h), 0; ; {
		hits, err := r.historyHits(scope, h, below, openedBatch)
		if err != nil {
			return nil, err
		}
		cut := r.cut
		for i := range hits {
			v := &hits[i].sealed
			below = v.seq
			if looked++; looked > maxLooked {
				return nil, fault.New(fault.TooCostly, "for this page of the history more than %d versions would have to be looked at: ask for a shorter time, or one type", maxLooked)
			}
			opened, err := r.shownVersion(v)
			if err != nil {
				return nil, err
			}
			if opened == nil {
				continue
			}
			if len(page.Versions) == count || size > MaxPageOpened {
				page.Next = strconv.FormatInt(last, 10)
				return page, nil
			}
			page.Versions = append(page.Versions, opened)
			size += len(opened.body)
			last = v.seq
		}
		if len(hits) < openedBatch && !cut {
			if h.Cursor == "" {
				page.Total = len(page.Versions)
			}
			return page, nil
		}
	}
}

// shownVersion opens a version; nil where the caller is not shown it, or nobody any more.
func (r *searching) shownVersion(v *sealedVersion) (*Version, error) {
	if ok, err := r.seesVersion(v); err != nil || !ok {
		return nil, err
	}
	opened, err := r.s.open(r.ctx, r.q, r.tenant, v)
	if erased(err) {
		return nil, nil
	}
	return opened, err
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
	typ   int
	num   int64
	sight []sight // of a caller from whom some is hidden
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
func (c *compiler) historyRows(sc historyScope, h HistoryQuery, below int64) error {
	part := func(first bool) error {
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
		return c.historySight(sc.sight)
	}
	if err := part(true); err != nil || sc.num == 0 {
		return err
	}
	c.sql(" UNION ALL ")
	return part(false)
}

// sight is what a caller is shown of one type's records that are current, as far as indexes tell.
type sight struct {
	typ  int
	none bool
	pred search.Pred
}

// sights are those of the types of which something is hidden; of all types where none is named.
func (r *searching) sights(typ string) ([]sight, error) {
	names := []string{typ}
	if typ == "" {
		names = names[:0]
		for _, t := range def.ResourceTypes() {
			names = append(names, t.Name)
		}
	}
	var out []sight
	for _, name := range names {
		guards, err := r.guards(name)
		if err != nil {
			return nil, err
		}
		if len(guards) == 0 {
			continue
		}
		s := sight{typ: typeNum(name), none: !r.free && r.caller.Extent(r.action, name).IsNone()}
		if !s.none {
			if s.pred, err = r.guarded(name, search.And{}); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// historySight leaves out the versions of records that are current and hidden; of those that are deleted the last content decides, which
// no index holds.
func (c *compiler) historySight(sights []sight) error {
	var none []int64
	var some []sight
	for _, s := range sights {
		if s.none {
			none = append(none, int64(s.typ))
		} else {
			some = append(some, s)
		}
	}
	if len(none) > 0 {
		c.sql(" AND v.type NOT IN (")
		for i, n := range none {
			if i > 0 {
				c.sql(",")
			}
			c.b.Int(n)
		}
		c.sql(")")
	}
	if len(some) == 0 {
		return nil
	}
	c.sql(" AND (EXISTS (SELECT 1 FROM record dr WHERE dr.tenant = v.tenant AND dr.type = v.type AND dr.num = v.num AND dr.deleted <> 0) OR (1=1")
	for _, s := range some {
		c.sql(" AND (v.type <> ").b.Int(int64(s.typ))
		c.sql(" OR ")
		if err := c.cond(s.pred, s.typ, "v.num"); err != nil {
			return err
		}
		c.sql(")")
	}
	c.sql("))")
	return nil
}

func (r *searching) historyTotal(sc historyScope, h HistoryQuery) (int, error) {
	c := r.compiler()
	c.sql("SELECT count(*) FROM (")
	if err := c.historyRows(sc, h, ident.Max); err != nil {
		return 0, err
	}
	c.sql(") AS a")
	var n int
	_, err := sqldb.QueryRow(r.ctx, r.q, []any{&n}, c.b.String(), c.b.Args...)
	return n, err
}
