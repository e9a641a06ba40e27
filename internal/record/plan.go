package record

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// plan is a set of changes worked out against one state of the database.
type plan struct {
	s       *Store
	caller  access.Caller
	keys    *tenantKeys
	q       sqldb.Querier
	settled bool // q sees only what is committed: what it says may be cached
	changes []Change
	items   []*item
	urls    map[string]string // fullUrl → Type/id
	conds   []condition
	aliases []newAlias
	known   map[aliasKey]int64 // aliases of this plan
	newKeys []KeyRow
	guessed []int64             // of newKeys, those that somebody else may be making too
	opened  map[int64]*seal.Key // of newKeys
	erasing map[int64]*seal.Key // keys that only this plan may still use
	undo    []func()            // gives the changes back as the caller made them

	consented bool // it writes rules of consent
}

// item is what one resource undergoes. A change makes one item; a conditional delete makes as many as it finds.
type item struct {
	change int
	op     Op
	result Result
	typ    *def.Type
	num    int64
	fid    string
	named  bool   // the id is given, by the client or by the record that stands there
	old    *state // nil: nothing stands there, not even a tombstone
	res    *fhir.Resource
	stored []byte
	values *search.Values
	index  *Index
	keyNum int64
	seq    int64
	vid    int64
	body   []byte
}

// state is the current version of a record as the plan saw it. res and index are nil for a tombstone.
type state struct {
	*sealedVersion
	stored []byte
	res    *fhir.Resource
	index  *Index
}

// condition is a search that the plan rests on, and what it found.
type condition struct {
	change int
	op     Op
	typ    string
	query  *search.Query
	limit  int
	found  []int64
}

type newAlias struct {
	aliasKey
	num int64
}

// plan works the changes out.
//
// It changes the resources: [plan.restore] takes that back before another plan is made of them.
func (s *Store) plan(ctx context.Context, q sqldb.Querier, settled bool, caller access.Caller, changes []Change, erasing map[int64]*seal.Key) (*plan, error) {
	keys, err := s.forTenant(ctx, caller.Tenant)
	if err != nil {
		return nil, err
	}
	p := &plan{s: s, caller: caller, keys: keys, q: q, settled: settled, changes: changes, erasing: erasing, items: make([]*item, 0, len(changes))}
	if err := p.run(ctx); err != nil {
		p.restore()
		return nil, err
	}
	p.q = nil
	return p, nil
}

func (p *plan) run(ctx context.Context) error {
	changes := p.changes
	for i := range changes {
		if err := p.identify(ctx, i); err != nil {
			return entry(i, err)
		}
	}
	if err := p.noneTwice(); err != nil {
		return err
	}
	if len(changes) > 1 || changes[0].FullURL != "" {
		if err := p.linkReferences(ctx); err != nil {
			return err
		}
	}
	for _, it := range p.items {
		if err := p.work(ctx, it); err != nil {
			if refusal := p.permit(ctx, it); refusal != nil && it.values != nil { // why it cannot be done is for those who may do it
				err = refusal
			}
			return entry(it.change, err)
		}
	}
	for _, it := range p.items {
		if err := p.permit(ctx, it); err != nil {
			return entry(it.change, err)
		}
	}
	return nil
}

// restore gives the changes back as the caller made them.
func (p *plan) restore() {
	for _, f := range p.undo {
		f()
	}
	p.undo = nil
}

// relink points a reference elsewhere.
func (p *plan) relink(n *fhir.Node, to string) {
	was := n.Text
	p.undo = append(p.undo, func() { n.Text = was })
	n.Text = to
}

// identify finds out which record the change means.
func (p *plan) identify(ctx context.Context, i int) error {
	c := &p.changes[i]
	t, err := resourceType(c.Type)
	if err != nil {
		return err
	}
	if err := p.mayAtAll(c); err != nil {
		return err
	}
	it := &item{change: i, op: c.Op, typ: t}
	switch {
	case c.Match != nil:
		return p.identifyByCondition(ctx, it, c)
	case c.Op == Create:
		it.num = p.s.numbers.Next()
		p.add(it, c)
		return nil
	}
	if !fhir.ValidID(c.ID) {
		return fault.New(fault.Invalid, "an id is 1 to 64 letters, digits, '-' and '.'").WithCode("value")
	}
	return p.identifyByID(ctx, it, c, c.ID)
}

func (p *plan) identifyByID(ctx context.Context, it *item, c *Change, id string) error {
	num, known, err := p.s.numOf(ctx, p.q, p.settled, p.caller.Tenant, it.typ.Num, id)
	if err != nil {
		return err
	}
	if known {
		it.num, it.named = num, true
		if _, isNumber := numberOf(id); !isNumber {
			it.fid = id
		}
		if err := p.find(ctx, it); err != nil {
			return err
		}
	}
	if hidden, err := p.hidden(ctx, it); err != nil {
		return err
	} else if hidden {
		if c.Op != Delete {
			return notFound(c.Type)
		}
		it.old, it.num, it.fid, it.named = nil, 0, "", false
	}
	if err := p.open(ctx, it); err != nil {
		return err
	}
	if it.old == nil {
		if c.Op == Delete {
			it.result = Absent
			p.items = append(p.items, it)
			return p.mayChange(it, c)
		}
		if c.Op == Patch {
			return notFound(c.Type)
		}
		if err := p.name(it, id); err != nil {
			return err
		}
	}
	if c.Op == Delete && it.old.deleted() {
		it.result = Absent
	}
	if c.Op == Patch && it.old.deleted() {
		return fault.New(fault.Gone, "this %s was deleted", c.Type)
	}
	if err := p.mayChange(it, c); err != nil {
		return err
	}
	p.add(it, c)
	return nil
}

// name gives a record that does not exist yet the id that the client chose.
func (p *plan) name(it *item, id string) error {
	if it.num != 0 {
		if it.fid == "" {
			return p.s.mayName(id)
		}
		return nil // something referred to it before
	}
	it.num, it.fid, it.named = p.alias(it.typ.Num, id), id, true
	return nil
}

// alias returns the number of a FHIR id that has none yet.
func (p *plan) alias(typ int, id string) int64 {
	k := aliasKey{p.caller.Tenant, typ, id}
	if n, ok := p.known[k]; ok {
		return n
	}
	if p.known == nil {
		p.known = map[aliasKey]int64{}
	}
	n := p.s.numbers.Next()
	p.known[k] = n
	p.aliases = append(p.aliases, newAlias{k, n})
	return n
}

// mayChange checks what the writer said of the version that stands there.
func (p *plan) mayChange(it *item, c *Change) error {
	exists := it.old != nil && !it.old.deleted()
	switch {
	case c.IfNoneMatch && exists:
		return fault.New(fault.PreconditionFailed, "a %s with this id exists, and If-None-Match: * asked for none", c.Type).WithCode("conflict")
	case c.IfMatch == 0:
		return nil
	case !exists:
		return fault.New(fault.VersionConflict, "If-Match names version %d, and there is no such %s", c.IfMatch, c.Type)
	case it.old.vid != c.IfMatch:
		return fault.New(fault.VersionConflict, "If-Match names version %d, and version %d is current", c.IfMatch, it.old.vid)
	}
	return nil
}

// load reads the current version of the item's record, with all that a new version needs of it.
func (p *plan) load(ctx context.Context, it *item) error {
	if err := p.find(ctx, it); err != nil {
		return err
	}
	return p.open(ctx, it)
}

// find reads the current version, without opening it.
func (p *plan) find(ctx context.Context, it *item) error {
	v, err := p.s.current(ctx, p.q, p.caller.Tenant, it.typ.Num, it.num)
	if err != nil || v == nil {
		return err
	}
	it.old = &state{sealedVersion: v}
	it.fid = v.fid
	return nil
}

// open opens what find found.
func (p *plan) open(ctx context.Context, it *item) error {
	if it.old == nil || it.old.deleted() {
		return nil
	}
	v := it.old.sealedVersion
	key, err := p.patientKey(ctx, v.keynum)
	if err != nil {
		return err
	}
	if it.old.stored, err = v.stored(p.s.codec, key, p.caller.Tenant); err != nil {
		return err
	}
	id := fhirID(v.num, v.fid)
	it.old.res, err = fhir.ParseResource(joinBody(it.old.stored, it.typ.Name, id, v.vid, zeroTime))
	if err != nil {
		return fmt.Errorf("record: a stored body cannot be read: %w", err)
	}
	return nil
}

func (p *plan) identifyByCondition(ctx context.Context, it *item, c *Change) error {
	limit := 2
	if c.All {
		limit = MaxDeletes + 1
	}
	nums, err := p.matching(ctx, it, c, limit)
	if err != nil {
		return err
	}
	switch {
	case c.All && len(nums) > MaxDeletes:
		return fault.New(fault.TooCostly, "the condition matches more than %d resources: delete fewer at a time", MaxDeletes)
	case !c.All && len(nums) > 1:
		return fault.New(fault.PreconditionFailed, "the condition matches more than one %s", c.Type)
	case c.Op == Delete:
		return p.deleteMatches(ctx, it, c, nums)
	case len(nums) == 0:
		return p.identifyUnmatched(ctx, it, c)
	}
	it.num, it.named = nums[0], true
	if err := p.load(ctx, it); err != nil {
		return err
	}
	id := fhirID(it.num, it.fid)
	if c.Op == Create {
		it.result = Unchanged
	} else if c.Op == Update && c.Resource.ID() != "" && c.Resource.ID() != id {
		return fault.At(fault.Invalid, c.Type+".id", "the condition matches a %s with another id than the resource's", c.Type).WithCode("invariant")
	}
	if err := p.mayChange(it, c); err != nil {
		return err
	}
	p.add(it, c)
	return nil
}

// identifyUnmatched is a conditional change that found nothing.
func (p *plan) identifyUnmatched(ctx context.Context, it *item, c *Change) error {
	if c.Op == Patch {
		return fault.New(fault.NotFound, "the condition matches no %s", c.Type)
	}
	if c.Op == Update && c.Resource.ID() != "" {
		if !fhir.ValidID(c.Resource.ID()) {
			return fault.At(fault.Invalid, c.Type+".id", "an id is 1 to 64 letters, digits, '-' and '.'").WithCode("value")
		}
		return p.identifyUnmatchedNamed(ctx, it, c)
	}
	it.num = p.s.numbers.Next()
	if err := p.mayChange(it, c); err != nil {
		return err
	}
	p.add(it, c)
	return nil
}

// identifyUnmatchedNamed is a conditional update that found nothing, of a resource with an id: it creates that one, but must not
// overwrite a record which the condition does not match.
func (p *plan) identifyUnmatchedNamed(ctx context.Context, it *item, c *Change) error {
	if err := p.identifyByID(ctx, it, c, c.Resource.ID()); err != nil {
		return err
	}
	if it.old != nil && !it.old.deleted() {
		return fault.At(fault.Conflict, c.Type+".id", "the condition matches nothing, and another %s has this id", c.Type)
	}
	return nil
}

func (p *plan) deleteMatches(ctx context.Context, it *item, c *Change, nums []int64) error {
	if len(nums) == 0 {
		it.result = Absent
		p.items = append(p.items, it)
		return nil
	}
	for _, n := range nums {
		one := &item{change: it.change, op: Delete, typ: it.typ, num: n, named: true}
		if err := p.load(ctx, one); err != nil {
			return err
		}
		if err := p.mayChange(one, c); err != nil {
			return err
		}
		p.items = append(p.items, one)
	}
	return nil
}

// matching runs a change's condition and remembers it, so that it is looked at again when nobody else can change its answer.
func (p *plan) matching(ctx context.Context, it *item, c *Change, limit int) ([]int64, error) {
	nums, err := p.s.matchingNums(ctx, p.q, p.caller, c.Match, limit)
	if err != nil {
		return nil, err
	}
	p.conds = append(p.conds, condition{change: it.change, op: c.Op, typ: c.Type, query: c.Match, limit: limit, found: nums})
	return nums, nil
}

// add takes the item up and lets references find it by the change's fullUrl.
func (p *plan) add(it *item, c *Change) {
	p.items = append(p.items, it)
	if c.FullURL == "" {
		return
	}
	if p.urls == nil {
		p.urls = map[string]string{}
	}
	to := c.Type + "/" + fhirID(it.num, it.fid)
	p.urls[c.FullURL] = to
	// A relative reference beside an absolute fullUrl means that url's server (R4 bundle.html#references).
	if at := strings.LastIndex(c.FullURL, "/"+c.Type+"/"); at > 0 {
		if _, taken := p.urls[c.FullURL[at+1:]]; !taken {
			p.urls[c.FullURL[at+1:]] = to
		}
	}
}

// noneTwice refuses a set that changes one record twice: which of the two would be last is not said anywhere.
func (p *plan) noneTwice() error {
	if len(p.changes) == 1 {
		return nil
	}
	type key struct {
		typ int
		num int64
	}
	seen := make(map[key]bool, len(p.items))
	found := map[key]int{}
	urls := make(map[string]bool, len(p.changes))
	for i := range p.changes {
		u := p.changes[i].FullURL
		if urls[u] && u != "" && strings.HasPrefix(u, "urn:") {
			return entry(i, fault.New(fault.Invalid, "two entries of the set have the same fullUrl").WithCode("duplicate"))
		}
		urls[u] = true
	}
	for _, it := range p.items {
		if it.num == 0 || it.op == Create && it.result == Unchanged {
			found[key{it.typ.Num, it.num}] = it.change
			continue
		}
		k := key{it.typ.Num, it.num}
		if seen[k] {
			return entry(it.change, fault.New(fault.Invalid, "two entries of the set change the same %s", it.typ.Name).WithCode("duplicate"))
		}
		seen[k] = true
	}
	// A create that found a record would speak of one that the set has deleted by then.
	for _, it := range p.items {
		if i, ok := found[key{it.typ.Num, it.num}]; ok && it.num != 0 && it.op == Delete {
			return entry(i, fault.New(fault.Invalid, "two entries of the set mean the same %s, and one deletes it", it.typ.Name).WithCode("duplicate"))
		}
	}
	return p.noConditionTwice()
}

// noConditionTwice refuses a set in which two entries would each make the one resource that their condition asks for.
func (p *plan) noConditionTwice() error {
	seen := map[string]bool{}
	for _, c := range p.conds {
		if len(c.found) > 0 || c.op == Delete {
			continue
		}
		text := c.text()
		if seen[text] {
			return entry(c.change, fault.New(fault.Invalid, "two entries of the set have the same condition, which matches nothing yet").WithCode("duplicate"))
		}
		seen[text] = true
	}
	return nil
}

// linkReferences makes references to entries of the set, and conditional ones, literal.
func (p *plan) linkReferences(ctx context.Context) error {
	for i := range p.changes {
		if p.changes[i].Resource == nil {
			continue
		}
		if err := p.linkIn(ctx, p.changes[i].Resource.Node); err != nil {
			return entry(i, err)
		}
	}
	return nil
}

// linkIn rewrites the strings below n that hold a reference: Reference.reference, and uri, url, oid, uuid and canonical values
// that are equal to a urn fullUrl (R4 http.html#trules).
func (p *plan) linkIn(ctx context.Context, n *fhir.Node) error {
	var failed error
	n.Walk(func(m *fhir.Node) bool {
		if failed != nil {
			return false
		}
		if m.Kind != fhir.String {
			return true
		}
		failed = p.linkString(ctx, m)
		return failed == nil
	})
	return failed
}

func (p *plan) linkString(ctx context.Context, m *fhir.Node) error {
	isReference, isURN := m.Name == "reference", strings.HasPrefix(m.Text, "urn:")
	if !isReference && !isURN {
		return nil
	}
	if to, ok := p.urls[m.Text]; ok {
		p.relink(m, to)
		return nil
	}
	switch {
	case isReference && strings.IndexByte(m.Text, '?') > 0:
		return p.linkCondition(ctx, m)
	case isReference && strings.HasPrefix(m.Text, "urn:uuid:"):
		return fault.New(fault.Invalid, "a reference to %.64s, which is no entry's fullUrl", m.Text).WithCode("not-found")
	}
	return nil
}

// linkCondition replaces "Patient?identifier=…" by the one resource that it matches.
func (p *plan) linkCondition(ctx context.Context, m *fhir.Node) error {
	typ, query, _ := strings.Cut(m.Text, "?")
	t, err := resourceType(typ)
	if err != nil {
		return err
	}
	params, err := search.ParseQueryString(query)
	if err != nil {
		return err
	}
	q, err := search.Parse(typ, params, search.Options{Base: p.s.base, Now: p.s.clock()})
	if err != nil {
		return err
	}
	to, err := p.resolve(ctx, t, q, paramNames(query))
	if err != nil {
		return err
	}
	if p.urls == nil {
		p.urls = map[string]string{}
	}
	p.urls[m.Text] = to
	p.relink(m, to)
	return nil
}

// resolve returns the one resource that a conditional reference means, once the changes of the set are made: R4 resolves such references
// last (http.html#trules). What the plan sees of others decides: nobody can tell whether they came or went before or after this.
func (p *plan) resolve(ctx context.Context, t *def.Type, q *search.Query, params string) (string, error) {
	nums, err := p.s.matchingNums(ctx, p.q, p.caller, q, 2+len(p.items))
	if err != nil {
		return "", err
	}
	changed := map[int64]bool{}
	var found []string
	for _, it := range p.items {
		if it.typ != t || it.result == Unchanged && it.op == Create {
			continue
		}
		changed[it.num] = true
		doc := p.docOf(it)
		if doc == nil {
			continue
		}
		ok, err := search.Match(q.ByType[0].Pred, doc, nil)
		if errors.Is(err, search.ErrNoLookup) {
			return "", fault.New(fault.Invalid, "a conditional reference by a chain (%s), in a set that changes a %s: refer to it by its fullUrl", params, t.Name).WithCode("not-supported")
		}
		if err != nil {
			return "", err
		}
		if ok {
			found = append(found, t.Name+"/"+fhirID(it.num, it.fid))
		}
	}
	for _, num := range nums {
		if changed[num] {
			continue
		}
		v, err := p.s.current(ctx, p.q, p.caller.Tenant, t.Num, num)
		if err != nil {
			return "", err
		}
		if v != nil {
			found = append(found, t.Name+"/"+fhirID(v.num, v.fid))
		}
	}
	// The parameters' names alone are told: the values may be a person's.
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fault.New(fault.PreconditionFailed, "a conditional reference to %s by %s matches nothing", t.Name, params).WithCode("not-found")
	}
	return "", fault.New(fault.PreconditionFailed, "a conditional reference to %s by %s matches more than one", t.Name, params)
}

// docOf is the resource that an item leaves behind, for predicates; nil for a deletion. A patch is asked as it was before: what
// it will be depends on references that are being resolved.
func (p *plan) docOf(it *item) *search.Doc {
	res := p.changes[it.change].Resource
	if it.op == Patch && it.old != nil {
		res = it.old.res
	}
	if res == nil || it.op == Delete {
		return nil
	}
	return &search.Doc{Resource: res, Type: it.typ.Name, ID: fhirID(it.num, it.fid), Updated: p.s.clock(), Values: search.Extract(res, p.s.base)}
}

func paramNames(query string) string {
	var names []string
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
