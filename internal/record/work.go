package record

import (
	"cmp"
	"context"
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/fhir/validate"
	"github.com/nilecare/nilecare/internal/ident"
	"github.com/nilecare/nilecare/internal/seal"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// work makes the new version of an item: checked, indexed, packed and sealed.
func (p *plan) work(ctx context.Context, it *item) error {
	if it.result != 0 {
		return nil
	}
	c := &p.changes[it.change]
	it.vid = 1
	if it.old != nil {
		it.vid = it.old.vid + 1
		if err := p.indexOld(ctx, it); err != nil {
			return err
		}
	}
	if c.Op == Delete {
		it.result, it.keyNum = Deleted, it.old.keynum
		it.seq = p.nextSeq(it)
		return nil
	}
	if err := p.content(it, c); err != nil || it.result == Unchanged {
		return err
	}
	var err error
	if it.index, err = p.index(ctx, it.typ.Num, it.values, it.num); err != nil {
		return err
	}
	key, err := p.keyFor(ctx, it)
	if err != nil {
		return err
	}
	it.seq = p.nextSeq(it)
	packed := p.s.codec.Pack(make([]byte, 0, len(it.stored)/2+64), it.stored)
	it.body = key.Seal(make([]byte, 0, len(packed)+seal.Overhead), packed, bodyData(p.caller.Tenant, it.typ.Num, it.num, it.vid))
	return nil
}

// content is the new version's resource, valid, in its stored form, and what it is found by.
func (p *plan) content(it *item, c *Change) error {
	it.res = c.Resource
	if c.Op == Patch {
		patched, err := c.Apply(p.shown(it.old.res))
		if err != nil {
			return err
		}
		it.res = patched
	}
	if it.old != nil {
		it.res = p.unshown(it.res, it.old.res)
	}
	if it.res == nil || it.res.Type() != it.typ.Name {
		return fault.New(fault.Invalid, "the resource is no %s", it.typ.Name).WithCode("structure")
	}
	id := fhirID(it.num, it.fid)
	p.setID(it.res, id)
	if err := valid(it.res); err != nil {
		return err
	}
	it.stored = splitBody(it.res)
	if len(it.stored) > MaxBody {
		return fault.New(fault.TooLarge, "the resource is larger than %d bytes", MaxBody)
	}
	it.result = Created
	if it.old != nil && !it.old.deleted() {
		it.result = Updated
		if string(it.stored) == string(it.old.stored) {
			it.result = Unchanged
			return nil
		}
	}
	it.values = search.Extract(it.res, p.s.base)
	return nil
}

// setID gives the resource its id; restore takes it back.
func (p *plan) setID(r *fhir.Resource, id string) {
	had := r.Get("id")
	r.Set("id", fhir.NewString(id))
	p.undo = append(p.undo, func() {
		if had == nil {
			r.Delete("id")
		} else {
			r.Set("id", had)
		}
	})
}

// valid refuses a resource with structural errors. Warnings pass.
func valid(r *fhir.Resource) error {
	var bad []fault.Issue
	for _, i := range validate.Resource(r) {
		if i.Severity == "error" || i.Severity == "fatal" {
			bad = append(bad, i)
		}
	}
	if bad == nil {
		return nil
	}
	return &fault.Error{Kind: fault.Invalid, Issues: bad}
}

// nextSeq gives the version its number: for the first one of a record that got its number now, the same.
func (p *plan) nextSeq(it *item) int64 {
	if it.old != nil {
		return p.s.numbers.After(it.old.seq)
	}
	if !it.named {
		return it.num
	}
	return p.s.numbers.Next()
}

// indexOld computes the index rows that stand for the current version.
func (p *plan) indexOld(ctx context.Context, it *item) error {
	if it.old.deleted() {
		it.old.index = &Index{}
		return nil
	}
	var err error
	it.old.index, err = p.index(ctx, it.typ.Num, search.Extract(it.old.res, p.s.base), it.num)
	return err
}

// index makes the rows of values; targets of references that nobody knew yet get a number.
func (p *plan) index(ctx context.Context, typ int, v *search.Values, num int64) (*Index, error) {
	var failed error
	x := p.keys.indexRows(v, num, func(typ, id string) int64 {
		n, err := p.target(ctx, typ, id)
		if err != nil && failed == nil {
			failed = err
		}
		return n
	})
	return x, failed
}

// target returns the record number that a reference points to.
func (p *plan) target(ctx context.Context, typ, id string) (int64, error) {
	if n, ok := numberOf(id); ok {
		return n, nil
	}
	t, err := resourceType(typ)
	if err != nil {
		return 0, err
	}
	if n, ok := p.known[aliasKey{p.caller.Tenant, t.Num, id}]; ok {
		return n, nil
	}
	n, known, err := p.s.numOf(ctx, p.q, p.settled, p.caller.Tenant, t.Num, id)
	if err != nil || known {
		return n, err
	}
	return p.alias(t.Num, id), nil
}

// keyFor returns the key that seals the item's new version: its patient's, else the tenant's.
func (p *plan) keyFor(ctx context.Context, it *item) (*seal.Key, error) {
	num, err := p.patientOf(ctx, it)
	if err != nil {
		return nil, err
	}
	if num == tenantKey {
		var key *seal.Key
		it.keyNum, key = p.keys.newest()
		return key, nil
	}
	it.keyNum = num
	if num == it.num && !it.named && p.opened[num] == nil {
		return p.newKey(num) // the patient got its number just now: there is no key to look for
	}
	return p.patientKey(ctx, num)
}

// patientKey returns the data key of that number, and makes it, as part of the plan, where there is none.
func (p *plan) patientKey(ctx context.Context, num int64) (*seal.Key, error) {
	if k := cmp.Or(p.opened[num], p.erasing[num]); k != nil {
		return k, nil
	}
	key, err := p.s.patientKey(ctx, p.q, p.caller.Tenant, num)
	if err == nil && key != nil && p.settled {
		p.keys.keep(num, key)
	}
	if err != nil || key != nil {
		return key, err
	}
	p.guessed = append(p.guessed, num)
	return p.newKey(num)
}

// newKey makes the data key of that number as part of the plan.
func (p *plan) newKey(num int64) (*seal.Key, error) {
	key := seal.NewKey()
	parent, above := p.keys.newest()
	wrapped, err := key.Wrap(above, keyData(p.caller.Tenant, num))
	if err != nil {
		return nil, err
	}
	if p.opened == nil {
		p.opened = map[int64]*seal.Key{}
	}
	p.opened[num] = key
	p.newKeys = append(p.newKeys, KeyRow{Num: num, Parent: parent, Wrapped: wrapped, CreatedAt: p.s.clock().UnixMicro()})
	return key, nil
}

// patientOf returns the number of the patient whom the item belongs to, by the parameters of the Patient compartment in their
// order; 0 where there is none.
func (p *plan) patientOf(ctx context.Context, it *item) (int64, error) {
	if it.typ.Name == "Patient" {
		return it.num, nil
	}
	for _, atom := range patientAtoms(it.typ.Name) {
		for _, r := range it.values.Ref {
			if r.Atom == atom && r.Type == "Patient" {
				return p.target(ctx, r.Type, r.ID)
			}
		}
	}
	return tenantKey, nil
}

// confirm looks again, inside the transaction, at what the plan rests on, and asks the rules.
func (p *plan) confirm(ctx context.Context, tx Tx) error {
	p.lockOrder()
	for _, c := range p.conds {
		if err := p.confirmCondition(ctx, tx, c); err != nil {
			return err
		}
	}
	for _, a := range p.aliases {
		n, err := tx.Exec(ctx, "INSERT INTO alias (tenant, type, fid, num) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", a.tenant, a.typ, a.fid, a.num)
		if err != nil {
			return err
		}
		if n == 0 {
			return errStale
		}
	}
	if err := p.confirmKeys(ctx, tx); err != nil {
		return err
	}
	for _, it := range p.named() {
		if err := p.confirmItem(ctx, tx, it); err != nil {
			return err
		}
	}
	if err := p.writeConsents(ctx, tx); err != nil {
		return err
	}
	return p.askRules(ctx, tx)
}

// lockOrder puts conditions and aliases into one order for all writers, so that none waits for another who waits for it.
func (p *plan) lockOrder() {
	tenant := p.caller.Tenant
	slices.SortStableFunc(p.conds, func(a, b condition) int { return cmp.Compare(lockKey(tenant, a), lockKey(tenant, b)) })
	slices.SortFunc(p.aliases, func(a, b newAlias) int { return cmp.Or(cmp.Compare(a.typ, b.typ), cmp.Compare(a.fid, b.fid)) })
}

// named returns the items whose records others may change, in the order in which all writers lock them.
func (p *plan) named() []*item {
	var out []*item
	for _, it := range p.items {
		if it.named {
			out = append(out, it)
		}
	}
	slices.SortFunc(out, func(a, b *item) int { return cmp.Or(cmp.Compare(a.typ.Num, b.typ.Num), cmp.Compare(a.num, b.num)) })
	return out
}

// firstLock says which record the plan locks first, in the order of named; 0 where it locks none.
func (p *plan) firstLock() int64 {
	if n := p.named(); len(n) > 0 {
		return int64(n[0].typ.Num)<<53 | n[0].num
	}
	return 0
}

func (p *plan) confirmCondition(ctx context.Context, tx Tx, c condition) error {
	if err := tx.Lock(ctx, lockKey(p.caller.Tenant, c)); err != nil {
		return err
	}
	nums, err := p.s.matchingNums(ctx, tx, p.caller, c.query, c.limit)
	if err != nil {
		return err
	}
	if len(nums) != len(c.found) {
		return errStale
	}
	for i := range nums {
		if nums[i] != c.found[i] {
			return errStale
		}
	}
	return nil
}

// confirmKeys looks whether somebody else made a key that this plan makes.
func (p *plan) confirmKeys(ctx context.Context, tx Tx) error {
	for _, num := range p.guessed {
		key, err := p.s.patientKey(ctx, tx, p.caller.Tenant, num)
		if err != nil {
			return err
		}
		if key != nil {
			return errStale
		}
	}
	return nil
}

func (p *plan) confirmItem(ctx context.Context, tx Tx, it *item) error {
	var seq int64
	found, err := sqldb.QueryRow(ctx, tx, []any{&seq}, "SELECT seq FROM record WHERE tenant = $1 AND type = $2 AND num = $3"+p.s.engine.Dialect().ForUpdate,
		p.caller.Tenant, it.typ.Num, it.num)
	if err != nil {
		return err
	}
	if found != (it.old != nil) || found && seq != it.old.seq {
		return errStale
	}
	return nil
}

// askRules lets the owners of the types refuse a change.
func (p *plan) askRules(ctx context.Context, tx Tx) error {
	if err := p.askGuards(ctx, tx); err != nil {
		return err
	}
	for _, it := range p.items {
		rules := p.s.rules[it.typ.Name]
		if len(rules) == 0 || !it.writes() {
			continue
		}
		var old *fhir.Resource
		if it.old != nil {
			old = it.old.res
		}
		for _, rule := range rules {
			if err := rule(ctx, tx, old, it.res); err != nil {
				return entry(it.change, err)
			}
		}
	}
	return p.askSetRules(ctx, tx)
}

// writes reports whether the item makes a version.
func (it *item) writes() bool {
	return it.result == Created || it.result == Updated || it.result == Deleted
}

// nothing reports whether the plan writes nothing at all.
func (p *plan) nothing() bool {
	for _, it := range p.items {
		if it.writes() {
			return false
		}
	}
	return true
}

// solo reports whether the plan needs a transaction of its own.
func (p *plan) solo() bool {
	if len(p.conds) > 0 || len(p.aliases) > 0 {
		return true
	}
	for _, it := range p.items {
		if p.s.rulesFor(it.typ.Name) || it.typ.Name == "Consent" {
			return true
		}
	}
	return false
}

// rows is what the plan writes.
func (p *plan) rows() *Rows {
	r := &Rows{Tenant: p.caller.Tenant, Keys: p.newKeys}
	for _, it := range p.items {
		if it.writes() {
			it.addTo(r)
		}
	}
	if len(r.Versions) > 0 {
		r.Audit = p.audit(r.Versions)
	}
	return r
}

func (it *item) addTo(r *Rows) {
	deleted := it.result == Deleted
	op := it.op
	if it.result == Created {
		op = Create
	}
	r.Records = append(r.Records, RecordRow{Type: it.typ.Num, Num: it.num, Seq: it.seq, VID: it.vid, Deleted: deleted, FID: it.fid, New: it.old == nil})
	r.Versions = append(r.Versions, VersionRow{Seq: it.seq, Num: it.num, VID: it.vid, Type: it.typ.Num, Op: op, KeyNum: it.keyNum, Body: it.body})
	if it.index == nil {
		it.index = &Index{}
	}
	if it.old == nil {
		r.Add.add(it.index)
		return
	}
	gone, fresh := it.old.index.minus(it.index), it.index.minus(it.old.index)
	r.Del.add(&gone)
	r.Add.add(&fresh)
}

var opNames = [...]string{Create: "create", Update: "update", Delete: "delete", Patch: "patch"}

func (p *plan) action() string {
	if len(p.changes) > 1 {
		return "transaction"
	}
	return opNames[p.changes[0].Op]
}

// committed makes what is durable now known to the caches.
func (p *plan) committed() {
	if p.consented {
		p.s.consents.set(p.caller.Tenant, true)
	}
	for num, key := range p.opened {
		p.keys.keep(num, key)
	}
	for _, a := range p.aliases {
		p.s.aliases.put(a.aliasKey, a.num)
	}
}

// outcomes says what became of each change.
func (p *plan) outcomes() []Outcome {
	out := make([]Outcome, len(p.changes))
	for _, it := range p.items {
		o := &out[it.change]
		o.Result = it.result
		if it.result == Deleted {
			o.Count++
		}
		o.Version = p.version(it)
	}
	return out
}

func (p *plan) version(it *item) *Version {
	v := &Version{Num: it.num, Type: it.typ.Name, ID: fhirID(it.num, it.fid)}
	switch {
	case it.result == Absent && it.old == nil:
		return nil
	case it.writes():
		v.Seq, v.VID, v.Deleted, v.Op = it.seq, it.vid, it.result == Deleted, it.op
		v.patient = max(it.keyNum, 0)
		v.Updated = ident.Time(v.Seq)
		if !v.Deleted {
			v.body = joinBody(it.stored, v.Type, v.ID, v.VID, v.Updated)
		}
	default:
		v.Seq, v.VID, v.Deleted, v.Op = it.old.seq, it.old.vid, it.old.deleted(), Op(it.old.op)
		v.patient = max(it.old.keynum, 0)
		v.Updated = ident.Time(v.Seq)
		if !v.Deleted {
			v.body = joinBody(it.old.stored, v.Type, v.ID, v.VID, v.Updated)
		}
	}
	return v
}
