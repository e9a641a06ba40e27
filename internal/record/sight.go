package record

import (
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// What a caller may see is decided by predicates that become part of every statement: of a search itself, of each step of a chain,
// of what is included, of what a condition finds. So a record that a read would refuse is never counted, sorted by or told of.

// trusted is a condition that the decision on access made. What it speaks of is decided on all records, whoever asks.
type trusted struct{ search.Pred }

// forbidden refuses an action on a whole type. It depends on the caller alone, never on what there is.
func forbidden(a access.Action, typ string) error {
	return fault.New(fault.Forbidden, "you may not %s %s resources", a, typ)
}

// guards are the conditions under which the caller is shown a resource of the type; none where everything is.
func (r *searching) guards(typ string) ([]search.Pred, error) {
	if r.free || r.trusting > 0 {
		return nil, nil
	}
	e := r.caller.Extent(r.action, typ)
	var out []search.Pred
	switch {
	case e.IsNone():
		return []search.Pred{search.Or{}}, nil
	case !e.IsAll():
		out = append(out, trusted{e.Pred()})
	}
	binds, err := r.consentBinds(typ)
	if err != nil || !binds {
		return out, err
	}
	d := denied{caller: &r.caller}
	if r.q != nil { // else only whether there is a condition is asked
		if d.own, err = r.ownPatients(); err != nil {
			return nil, err
		}
	}
	return append(out, d), nil
}

// guarded narrows a condition that indexes decide to what the caller is shown, as far as indexes tell.
func (r *searching) guarded(typ string, p search.Pred) (search.Pred, error) {
	guards, err := r.guards(typ)
	if err != nil || len(guards) == 0 {
		return p, err
	}
	and := search.And{p}
	for _, g := range guards {
		w, err := r.widen(g, typeNum(typ), true)
		if err != nil {
			return nil, err
		}
		and = append(and, w)
	}
	return and, nil
}

// restricted reports whether anything of the types may be hidden from the caller.
func (r *searching) restricted(types ...string) bool {
	if r.free {
		return false
	}
	for _, typ := range types {
		if g, err := r.guards(typ); err != nil || len(g) > 0 {
			return true
		}
	}
	return false
}

// restrictedAny reports whether anything at all may be hidden from the caller.
func (r *searching) restrictedAny() bool {
	for _, t := range def.ResourceTypes() {
		if r.restricted(t.Name) {
			return true
		}
	}
	return false
}

// trust runs f on a condition of the decision's own.
func (r *searching) trust(f func() error) error {
	r.trusting++
	defer func() { r.trusting-- }()
	return f()
}

// seen returns which of the records of the type the caller is shown, of those that are current.
func (r *searching) seen(typ string, nums []int64) (map[int64]bool, error) {
	found, err := r.matching(&search.Query{Type: typ, ByType: []search.TypedPred{{Type: typ, Pred: numSet{nums: nums}}}}, len(nums))
	out := make(map[int64]bool, len(found))
	for _, n := range found {
		out[n] = true
	}
	return out, err
}

// sees reports whether the caller is shown a record whose current version is v. Of a deleted one, its last content decides.
func (r *searching) sees(v *sealedVersion) (bool, error) {
	typ := def.ByNum(v.typ).Name
	if !r.restricted(typ) {
		return true, nil
	}
	if !v.deleted() {
		found, err := r.seen(typ, []int64{v.num})
		return found[v.num], err
	}
	last, err := r.lastContent(v)
	if err != nil || last == nil {
		return false, err
	}
	return r.seesContent(last)
}

// seesVersion reports whether the caller is shown a version: its record must be one to be seen, and its own content too.
func (r *searching) seesVersion(v *sealedVersion) (bool, error) {
	if !r.restricted(def.ByNum(v.typ).Name) {
		return true, nil
	}
	now, err := r.s.current(r.ctx, r.q, r.tenant, v.typ, v.num)
	if err != nil || now == nil {
		return false, err
	}
	if ok, err := r.sees(now); err != nil || !ok || v.deleted() || v.seq == now.seq {
		return ok, err
	}
	return r.seesContent(v)
}

// lastContent returns the newest version of a deleted record that has a body; nil where none can be read any more.
func (r *searching) lastContent(v *sealedVersion) (*sealedVersion, error) {
	if v.vid <= 1 {
		return nil, nil
	}
	return r.s.versionBefore(r.ctx, r.q, r.tenant, v)
}

// seesContent decides on the content of a version, whether it is current or not.
func (r *searching) seesContent(v *sealedVersion) (bool, error) {
	doc, err := r.doc(v)
	if err != nil || doc == nil {
		return false, err
	}
	return r.seesDoc(doc, v.keynum)
}

// seesDoc decides on a document that belongs to the patient of that number.
func (r *searching) seesDoc(doc *search.Doc, patient int64) (bool, error) {
	guards, err := r.guards(doc.Type)
	if err != nil {
		return false, err
	}
	for _, g := range guards {
		ok := false
		switch g := g.(type) {
		case denied:
			var is bool
			is, err = r.deniedTo(doc.Type, patient)
			ok = !is
		default:
			ok, err = r.decides(g, doc, nil)
		}
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// maskedOf names what is hidden from the caller within resources of the type.
func (r *searching) maskedOf(typ string) []string {
	if r.free || r.trusting > 0 {
		return nil
	}
	return r.caller.Masked(typ)
}

// unmasked refuses a condition on what is hidden from the caller within resources of the type: its answers would tell.
func (r *searching) unmasked(typ string, p search.Pred) error {
	masked := r.maskedOf(typ)
	if len(masked) == 0 {
		return nil
	}
	if what := maskedPart(p, masked); what != "" {
		return fault.New(fault.Forbidden, "%s.%s is hidden from you, and cannot be searched by", typ, what)
	}
	return nil
}

// maskedPart names the first masked element that the condition asks about; "" where there is none. Ends of chains are of other types,
// and are asked where they are prepared.
func maskedPart(p search.Pred, masked []string) string {
	atoms := func(refs ...search.AtomRef) string {
		for _, a := range refs {
			if e := maskedElement(a.Path, masked); e != "" {
				return e
			}
		}
		return ""
	}
	one := func(a *search.Atom) string { return maskedElement(a.Path, masked) }
	each := func(ps []search.Pred) string {
		for _, q := range ps {
			if e := maskedPart(q, masked); e != "" {
				return e
			}
		}
		return ""
	}
	switch p := p.(type) {
	case search.And:
		return each(p)
	case search.Or:
		return each(p)
	case search.Not:
		return maskedPart(p.Pred, masked)
	case search.TextEq:
		return one(p.Atom)
	case search.TextPrefix:
		return one(p.Atom)
	case search.TextContains:
		return one(p.Atom)
	case search.TextSub:
		return one(p.Atom)
	case search.RefTo:
		return one(p.Atom)
	case search.RefType:
		return one(p.Atom)
	case search.DateCmp:
		return one(p.Atom)
	case search.NumCmp:
		return one(p.Atom)
	case search.Present:
		return atoms(p.Atoms...)
	case search.Chain:
		return atoms(p.Atoms...) // those of a chain backwards are of the other type: widen asks
	case search.InCompartment:
		return atoms(p.Atoms...)
	case search.Opened:
		return masked[0] // it reads whole bodies
	}
	return ""
}

// maskedElement returns the masked element that an atom's path begins with.
func maskedElement(path string, masked []string) string {
	first := strings.TrimLeft(path, "(")
	if i := strings.IndexFunc(first, func(c rune) bool { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') }); i >= 0 {
		first = first[:i]
	}
	for _, m := range masked {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(m, "[x]"), first)
		if ok && (rest == "" || first != "" && rest[0] >= 'A' && rest[0] <= 'Z') { // a choice's members: value, valueQuantity
			return m
		}
	}
	return ""
}
