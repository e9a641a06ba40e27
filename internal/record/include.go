package record

import (
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// MaxIncluded is how many resources _include and _revinclude add to a page at most.
const MaxIncluded = 2000

// maxReferrers is how many references to a page's resources are looked at: several may be of one resource, or of one that
// stands on the page already.
const maxReferrers = 4 * MaxIncluded

func tooManyIncluded() error {
	return fault.New(fault.TooCostly, "_include and _revinclude add more than %d resources to this page, or more than 64 MiB: ask for fewer matches at a time (_count)", MaxIncluded)
}

// recordKey is a record by type and number.
type recordKey struct {
	typ int
	num int64
}

// including gathers what a page includes.
type including struct {
	*searching
	page *Page
	seen map[recordKey]bool
	rest int // how many more may be included
	room int // how many more bytes of them
}

// include adds what the matches of the page include, once each; :iterate goes on from what was included.
func (r *searching) include(page *Page, includes []search.Include) error {
	in := &including{searching: r, page: page, seen: map[recordKey]bool{}, rest: MaxIncluded, room: 2 * MaxPageOpened}
	from := make([]*Version, len(page.Matches))
	for i, m := range page.Matches {
		from[i] = m.Version
		in.seen[recordKey{typeNum(m.Version.Type), m.Version.Num}] = true
	}
	for first := true; len(from) > 0; first = false {
		var keys []recordKey
		for _, inc := range includes {
			if !first && !inc.Iterate {
				continue
			}
			more, err := in.keys(inc, from)
			if err != nil {
				return err
			}
			keys = append(keys, more...)
		}
		var err error
		if from, err = in.take(keys); err != nil {
			return err
		}
	}
	return nil
}

func (in *including) keys(inc search.Include, from []*Version) ([]recordKey, error) {
	if inc.Reverse {
		return in.reverse(inc, from)
	}
	var keys []recordKey
	for _, v := range from {
		if inc.Source != "*" && inc.Source != v.Type {
			continue
		}
		d, err := in.s.docOf(v)
		if err != nil {
			return nil, err
		}
		more, err := in.forward(inc, d)
		if err != nil {
			return nil, err
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

// forward returns what a document points to.
func (in *including) forward(inc search.Include, d *search.Doc) ([]recordKey, error) {
	var keys []recordKey
	hidden := in.maskedOf(d.Type)
	for _, ref := range d.Values.Ref {
		if len(hidden) > 0 && maskedElement(atomPaths()[ref.Atom], hidden) != "" {
			continue
		}
		if inc.Target != "" && ref.Type != inc.Target || !named(inc, ref.Atom, ref.Type) {
			continue
		}
		typ := typeNum(ref.Type)
		num, known, err := in.s.numOf(in.ctx, in.q, false, in.tenant, typ, ref.ID)
		if err != nil {
			return nil, err
		}
		if known && typ != 0 {
			keys = append(keys, recordKey{typ, num})
		}
	}
	return keys, nil
}

// named reports whether the include speaks of this atom, towards that type.
func named(inc search.Include, atom uint32, target string) bool {
	if inc.Param == "*" || len(inc.Atoms) == 0 {
		return true
	}
	return slices.ContainsFunc(inc.Atoms, func(a search.AtomRef) bool {
		return a.ID == atom && (a.Target == "" || target == "" || a.Target == target)
	})
}

// reverse returns what points to the versions.
func (in *including) reverse(inc search.Include, from []*Version) ([]recordKey, error) {
	if hidden, err := in.hiddenReverse(inc); hidden || err != nil {
		return nil, err
	}
	var targets []int64
	for _, v := range from {
		if inc.Target == "" || inc.Target == v.Type {
			targets = append(targets, refKey(typeNum(v.Type), v.Num))
		}
	}
	if len(targets) == 0 {
		return nil, nil
	}
	c := in.compiler()
	c.sql("SELECT t.atom, t.num FROM idx_ref t WHERE t.tenant = ").b.Arg(in.tenant)
	c.sql(" AND t.target IN (")
	c.numbers(targets)
	c.sql(")")
	atoms := inc.Atoms
	if hidden := in.maskedOf(inc.Source); len(atoms) == 0 && len(hidden) > 0 {
		if atoms = openReferences(inc.Source, hidden); len(atoms) == 0 {
			return nil, nil
		}
	}
	if len(atoms) > 0 {
		c.sql(" AND t.atom IN (")
		c.atomList(atoms)
		c.sql(")")
	}
	if err := in.onlySeen(c, inc.Source); err != nil {
		return nil, err
	}
	c.sql(" ORDER BY t.num LIMIT ").b.Arg(maxReferrers + 1)
	var keys []recordKey
	rows := 0
	err := sqldb.Each(in.ctx, in.q, func(row sqldb.Rows) error {
		rows++
		var atom, num int64
		err := row.Scan(&atom, &num)
		if typ := atomTypes()[uint32(atom)]; inc.Source == "*" || typ == inc.Source {
			keys = append(keys, recordKey{typeNum(typ), num})
		}
		return err
	}, c.b.String(), c.b.Args...)
	if err == nil && rows > maxReferrers {
		err = tooManyIncluded()
	}
	return keys, err
}

// hiddenReverse reports whether nothing that a _revinclude brings may be shown. Of a caller from whom some is hidden it must name the type that
// points here: the bound on what is looked at would tell of the others.
func (in *including) hiddenReverse(inc search.Include) (bool, error) {
	if in.free {
		return false, nil
	}
	if inc.Source == "*" {
		if !in.restrictedAny() {
			return false, nil
		}
		return false, fault.New(fault.Forbidden, "_revinclude must name a type here")
	}
	if in.trusting == 0 && in.caller.Extent(in.action, inc.Source).IsNone() {
		return true, nil
	}
	for _, a := range inc.Atoms {
		if maskedElement(a.Path, in.maskedOf(inc.Source)) != "" {
			return true, nil
		}
	}
	return false, nil
}

// openReferences are the references of the type outside of what is hidden.
func openReferences(typ string, hidden []string) []search.AtomRef {
	var out []search.AtomRef
	for _, a := range search.AtomsOf(typ) {
		if a.Kind == search.Reference && maskedElement(a.Path, hidden) == "" {
			out = append(out, search.AtomRef{Atom: a})
		}
	}
	return out
}

// onlySeen narrows a statement over rows t to records of the type that the caller is shown.
func (in *including) onlySeen(c *compiler, typ string) error {
	if typ == "*" || !in.restricted(typ) {
		return nil
	}
	guards, err := in.guards(typ)
	if err != nil {
		return err
	}
	for _, g := range guards {
		if in.opening(g) != "" {
			continue // what is left over is taken out of what was found
		}
		w, err := in.widen(g, typeNum(typ), true)
		if err != nil {
			return err
		}
		c.sql(" AND ")
		if err := c.cond(w, typeNum(typ), "t.num"); err != nil {
			return err
		}
	}
	return nil
}

// seenKeys leaves out what the caller is not shown.
func (in *including) seenKeys(keys []recordKey) ([]recordKey, error) {
	if in.free || len(keys) == 0 {
		return keys, nil
	}
	byType := map[int][]int64{}
	for _, k := range keys {
		byType[k.typ] = append(byType[k.typ], k.num)
	}
	seen := map[int]map[int64]bool{}
	for typ, nums := range byType {
		name := typeName(typ)
		if !in.restricted(name) {
			continue
		}
		var err error
		if seen[typ], err = in.searching.seen(name, nums); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(keys, func(k recordKey) bool { s, limited := seen[k.typ]; return limited && !s[k.num] }), nil
}

// take reads the records that are not on the page yet, adds them, and returns them.
func (in *including) take(keys []recordKey) ([]*Version, error) {
	var fresh []recordKey
	for _, k := range keys {
		if k.typ != 0 && !in.seen[k] {
			in.seen[k] = true
			fresh = append(fresh, k)
		}
	}
	fresh, err := in.seenKeys(fresh)
	if err != nil {
		return nil, err
	}
	if in.rest -= len(fresh); in.rest < 0 {
		return nil, tooManyIncluded()
	}
	var out []*Version
	for _, k := range fresh {
		v, err := in.s.current(in.ctx, in.q, in.tenant, k.typ, k.num)
		if err != nil {
			return nil, err
		}
		if v == nil || v.deleted() {
			continue
		}
		opened, err := in.s.open(in.ctx, in.q, in.tenant, v)
		if fault.Is(err, fault.Gone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if in.room -= len(opened.body); in.room < 0 {
			return nil, tooManyIncluded()
		}
		out = append(out, opened)
		in.page.Matches = append(in.page.Matches, Match{Version: opened, Included: true})
	}
	return out, nil
}
