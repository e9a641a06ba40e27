package record

import (
	"context"
	"fmt"
	"slices"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The sizes of a page.
const (
	DefaultCount = 20
	MaxCount     = 1000
)

// MaxOpened is how many records one search opens at most to answer what no index can: parts of addresses within their text,
// starts of them whose length the blind index does not store, :text, _content and the like.
const MaxOpened = 2000

// MaxPageOpened is how many bytes of JSON the matches of a page come to at most, the last one aside. A page ends early there.
const MaxPageOpened = 32 << 20

// MaxSkip is how many matches a page by number may lie behind the first.
const MaxSkip = 10_000

// searching is one search under way.
type searching struct {
	s      *Store
	ctx    context.Context
	q      sqldb.Querier
	tenant int32
	keys   *tenantKeys
	cut    bool // the last scan stopped before the end of what was asked for
	skip   int  // how many hits only lead to the page

	caller   access.Caller
	action   access.Action // what the caller must be allowed to see what is found
	free     bool          // the program itself asks: nothing is hidden
	trusting int           // above 0: a condition of the decision on access is being prepared
	single   bool          // one record is asked about: what refers to it is not gathered first
}

// searching returns what the caller's searches need. Where q is not known yet it is set later.
func (s *Store) searching(ctx context.Context, q sqldb.Querier, caller access.Caller) (*searching, error) {
	keys, err := s.forTenant(ctx, caller.Tenant)
	return &searching{s: s, ctx: ctx, q: q, tenant: caller.Tenant, keys: keys, caller: caller, action: access.Search, free: caller.Internal()}, err
}

func (r *searching) compiler() *compiler {
	return &compiler{s: r.s, ctx: r.ctx, q: r.q, tenant: r.tenant, keys: r.keys, b: &sqldb.Builder{}}
}

// Search returns one page of what the query finds. Pages are kept together by a cursor that names the last match, so that a
// resource is neither skipped nor repeated while others write.
func (s *Store) Search(ctx context.Context, query *search.Query) (*Page, error) {
	caller := access.From(ctx)
	page, err := s.search(ctx, &caller, query)
	if err == nil {
		err = maskAll(&caller, page)
	}
	s.noteSearch(&caller, query, page, err)
	if err != nil {
		return nil, err
	}
	return page, nil
}

func (s *Store) search(ctx context.Context, caller *access.Caller, query *search.Query) (*Page, error) {
	r, err := s.searching(ctx, nil, *caller)
	if err != nil {
		return nil, err
	}
	if query.Type != "" && !r.free && caller.Extent(access.Search, query.Type).IsNone() {
		return nil, forbidden(access.Search, query.Type)
	}
	// A search of one statement needs no transaction to see one state, and is spared its beginning and end.
	within := s.engine.View
	if r.oneStatement(query) {
		within = s.engine.Read
	}
	var page *Page
	err = within(ctx, caller.Tenant, func(q sqldb.Querier) (err error) {
		r.q = q
		page, err = r.page(query)
		return err
	})
	return page, err
}

// oneStatement reports whether the query's answer comes from a single statement. What it looks up before, the numbers of ids and how
// selective a condition is, may be of another moment.
func (r *searching) oneStatement(query *search.Query) bool {
	if len(query.Includes) > 0 || len(query.Sort) > 0 || query.Count == 0 || query.Total != "" && query.Total != "none" || query.Summary == "count" {
		return false
	}
	for _, t := range query.ByType {
		if !plain(t.Pred) || r.opening(t.Pred) != "" || r.restricted(t.Type) {
			return false
		}
	}
	return true
}

// plain reports whether nothing in p is looked up in parts before the search itself.
func plain(p search.Pred) bool {
	switch p := p.(type) {
	case search.And:
		return !slices.ContainsFunc(p, func(q search.Pred) bool { return !plain(q) })
	case search.Or:
		return leaves(p) <= maxBranches && !slices.ContainsFunc(p, func(q search.Pred) bool { return !plain(q) })
	case search.Not:
		return plain(p.Pred)
	case search.Chain:
		return plain(p.Pred)
	case search.ReverseChain:
		return false
	}
	return true
}

func (r *searching) page(query *search.Query) (*Page, error) {
	cur, err := r.keys.openCursor(query)
	if err != nil {
		return nil, err
	}
	count := query.Count
	if count < 0 {
		count = DefaultCount
	}
	count = min(count, MaxCount)
	plan, err := r.prepare(query)
	if err != nil {
		return nil, err
	}
	page := &Page{Total: -1}
	if count > 0 && query.Summary != "count" {
		if err := r.fill(page, plan, query, cur, count); err != nil {
			return nil, err
		}
	}
	return page, r.total(page, plan, query, cur, count)
}

// total counts where it was asked for, or where it is known already: all matches stand on the first page.
func (r *searching) total(page *Page, plan *searchPlan, query *search.Query, cur *cursor, count int) error {
	asked := query.Total == "accurate" || query.Total == "estimate" || count == 0 || query.Summary == "count"
	switch {
	case !asked && cur == nil && page.Next == "":
		page.Total = 0
		for _, m := range page.Matches {
			if !m.Included {
				page.Total++
			}
		}
	case asked && query.Total != "none":
		n, err := r.count(plan)
		if err != nil {
			return err
		}
		page.Total = n
	default:
		return nil
	}
	page.Exact = true
	return nil
}

// fill puts a page of matches, and what they include, into page.
func (r *searching) fill(page *Page, plan *searchPlan, query *search.Query, cur *cursor, count int) error {
	skip := query.Skip
	if cur != nil {
		skip = 0
	}
	if skip < 0 || skip > MaxSkip {
		return fault.New(fault.TooCostly, "a page lies at most %d matches behind the first: use the cursor", MaxSkip).WithCode("too-costly")
	}
	if !plan.opened { // those that are opened to be decided on need their bodies
		r.skip = skip
	}
	hits, err := r.hits(plan, cur, skip+count+1)
	if err != nil {
		return err
	}
	hits = hits[min(skip, len(hits)):]
	more := r.cut || len(hits) > count
	hits = hits[:min(count, len(hits))]
	size := 0
	for i := range hits {
		v, err := r.s.open(r.ctx, r.q, r.tenant, &hits[i].sealed)
		if fault.Is(err, fault.Gone) { // its patient is being erased
			continue
		}
		if err != nil {
			return err
		}
		page.Matches = append(page.Matches, Match{Version: v})
		if size += len(v.body); size > MaxPageOpened && i+1 < len(hits) {
			more, hits = true, hits[:i+1]
			break
		}
	}
	if more && len(hits) > 0 {
		page.Next = r.keys.sealCursor(query, hits[len(hits)-1], cur, len(hits))
	}
	if len(query.Includes) > 0 {
		return r.include(page, query.Includes)
	}
	return nil
}

// searchPlan is a query made ready: for each type what the database is asked, and what is left to be asked of opened records.
type searchPlan struct {
	types  []typePlan
	sort   []search.SortKey
	opened bool
	opaque string // what an opened sort or condition is, for messages
	blind  bool   // a sort key stands in no index in clear
}

type typePlan struct {
	num    int
	name   string
	pred   search.Pred   // for the database: holds wherever the query holds
	opened []search.Pred // parts to be asked of opened records; none where pred says it all
}

func (r *searching) prepare(query *search.Query) (*searchPlan, error) {
	p := &searchPlan{sort: query.Sort}
	if len(query.Sort) > MaxSort {
		return nil, fault.New(fault.Invalid, "_sort takes %d keys at most", MaxSort)
	}
	for _, k := range query.Sort {
		for _, a := range k.Atoms {
			if e := maskedElement(a.Path, r.maskedOf(a.Type)); e != "" {
				return nil, fault.New(fault.Forbidden, "%s.%s is hidden from you, and cannot be sorted by", a.Type, e)
			}
			// The number of what a reference points to would tell which of two records came first, whether they may be seen or not.
			if a.Blind || a.Kind == search.Reference && r.restrictedAny() {
				p.blind, p.opened, p.opaque = true, true, "_sort by "+k.Param
			}
		}
	}
	for _, t := range query.ByType {
		tp, err := r.prepareType(t, p)
		if err != nil {
			return nil, err
		}
		p.types = append(p.types, tp)
	}
	return p, nil
}

func (r *searching) prepareType(t search.TypedPred, p *searchPlan) (typePlan, error) {
	tp := typePlan{num: typeNum(t.Type), name: t.Type}
	parts := conjuncts(t.Pred)
	for _, c := range parts {
		if err := r.unmasked(t.Type, c); err != nil {
			return tp, err
		}
	}
	guards, err := r.guards(t.Type)
	if err != nil {
		return tp, err
	}
	var and search.And
	for _, c := range append(parts, guards...) {
		if name := r.opening(c); name != "" {
			tp.opened = append(tp.opened, c)
			p.opened, p.opaque = true, name
		}
		w, err := r.widen(c, tp.num, true)
		if err != nil {
			return tp, err
		}
		and = append(and, conjuncts(w)...)
	}
	tp.pred = and
	if leaves(and) > maxParts {
		return tp, fault.New(fault.TooCostly, "the search has more than %d parts: ask for less at a time", maxParts)
	}
	return tp, nil
}

// opening names the first part of p that indexes do not decide; "" where they decide all.
func (r *searching) opening(p search.Pred) string {
	switch p := p.(type) {
	case search.And:
		return r.openingAny(p)
	case search.Or:
		return r.openingAny(p)
	case search.Not:
		return r.opening(p.Pred)
	case trusted:
		return r.opening(p.Pred)
	case search.Chain:
		return r.opening(p.Pred)
	case search.ReverseChain:
		return r.opening(p.Pred)
	case search.Opened:
		return p.Name
	case search.TextContains:
		if p.Atom.Blind {
			return "a search within " + p.Atom.Path
		}
	case search.TextPrefix:
		if p.Atom.Blind {
			if _, exact := r.keys.blind.ChainStart(p.Atom.ID, p.Val); !exact || !blindStrings()[p.Atom.ID] {
				return "a search by the start of " + p.Atom.Path
			}
		}
	}
	return ""
}

func (r *searching) openingAny(ps []search.Pred) string {
	for _, p := range ps {
		if name := r.opening(p); name != "" {
			return name
		}
	}
	return ""
}

// widen returns a predicate on records of the type that indexes decide, and that holds wherever p holds (more), or only where p
// holds (!more).
func (r *searching) widen(p search.Pred, typ int, more bool) (search.Pred, error) {
	switch p := p.(type) {
	case search.And:
		out, err := r.widenAll(p, typ, more)
		return search.And(out), err
	case search.Or:
		return r.widenOr(p, typ, more)
	case search.Not:
		inner, err := r.widen(p.Pred, typ, !more)
		return search.Not{Pred: inner}, err
	case trusted:
		var inner search.Pred
		err := r.trust(func() (err error) { inner, err = r.widen(p.Pred, typ, more); return err })
		return inner, err
	case search.Chain:
		var err error
		p.Pred, err = r.inner(p.Type, p.Pred)
		return p, err
	case search.ReverseChain:
		if err := r.unmasked(p.Type, search.Present{Atoms: p.Atoms}); err != nil {
			return nil, err
		}
		var err error
		if p.Pred, err = r.inner(p.Type, p.Pred); err != nil {
			return nil, err
		}
		if r.single {
			return p, nil
		}
		if set, ok, err := r.referred(p); ok || err != nil {
			return set, err
		}
		return p, nil
	}
	if r.opening(p) == "" {
		return p, nil
	}
	if !more {
		return search.Or{}, nil
	}
	if _, ok := p.(search.TextPrefix); ok { // the index knows a shorter start
		return p, nil
	}
	return search.And{}, nil
}

func (r *searching) widenAll(ps []search.Pred, typ int, more bool) ([]search.Pred, error) {
	out := make([]search.Pred, len(ps))
	for i := range ps {
		var err error
		if out[i], err = r.widen(ps[i], typ, more); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// inner prepares the predicate at the end of a chain: where it has to be asked of opened records, these are found now.
func (r *searching) inner(typ string, p search.Pred) (search.Pred, error) {
	if err := r.unmasked(typ, p); err != nil {
		return nil, err
	}
	guards, err := r.guards(typ)
	if err != nil {
		return nil, err
	}
	guarded := p
	if len(guards) > 0 {
		guarded = append(search.And{p}, guards...)
	}
	if r.opening(guarded) == "" {
		return r.widen(guarded, typeNum(typ), true)
	}
	nums, err := r.matching(&search.Query{Type: typ, ByType: []search.TypedPred{{Type: typ, Pred: p}}}, MaxOpened+1)
	if err != nil {
		return nil, err
	}
	if len(nums) > MaxOpened {
		return nil, tooCostly(r.opening(guarded))
	}
	return numSet{nums: nums}, nil
}

// matchingNums returns the numbers of up to limit records that the query finds for the caller, in order.
func (s *Store) matchingNums(ctx context.Context, q sqldb.Querier, caller access.Caller, query *search.Query, limit int) ([]int64, error) {
	r, err := s.searching(ctx, q, caller)
	if err != nil {
		return nil, err
	}
	return r.matching(query, limit)
}

func (r *searching) matching(query *search.Query, limit int) ([]int64, error) {
	plan, err := r.prepare(&search.Query{Type: query.Type, ByType: query.ByType})
	if err != nil {
		return nil, err
	}
	if !plan.opened {
		return r.plainNums(plan.types[0], limit)
	}
	hits, err := r.hits(plan, nil, limit)
	if err != nil {
		return nil, err
	}
	nums := make([]int64, len(hits))
	for i, h := range hits {
		nums[i] = h.sealed.num
	}
	return nums, nil
}

func (r *searching) plainNums(t typePlan, limit int) ([]int64, error) {
	c := r.compiler()
	if err := c.matches(drive(conjuncts(t.pred)), t.num, nil); err != nil {
		return nil, err
	}
	c.sql(" ORDER BY x.num LIMIT ").b.Arg(limit)
	var nums []int64
	err := sqldb.Each(r.ctx, r.q, func(rows sqldb.Rows) error {
		var n int64
		err := rows.Scan(&n)
		nums = append(nums, n)
		return err
	}, c.b.String(), c.b.Args...)
	return nums, err
}

// count counts all matches.
func (r *searching) count(plan *searchPlan) (int, error) {
	if plan.opened && !plan.blind || plan.hasOpened() {
		hits, err := r.hits(&searchPlan{types: plan.types, opened: true, opaque: plan.opaque}, nil, MaxOpened+1)
		if err == nil && len(hits) > MaxOpened {
			err = tooCostly(plan.opaque)
		}
		return len(hits), err
	}
	total := 0
	for _, t := range plan.types {
		c := r.compiler()
		c.sql("SELECT count(*) FROM (")
		if err := c.matches(drive(conjuncts(t.pred)), t.num, nil); err != nil {
			return 0, err
		}
		c.sql(") AS all_matches")
		var n int
		if _, err := sqldb.QueryRow(r.ctx, r.q, []any{&n}, c.b.String(), c.b.Args...); err != nil {
			return 0, fmt.Errorf("record: count: %w", err)
		}
		total += n
	}
	return total, nil
}

func (p *searchPlan) hasOpened() bool {
	for _, t := range p.types {
		if len(t.opened) > 0 {
			return true
		}
	}
	return false
}
