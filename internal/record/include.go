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
	for _, ref := range d.Values.Ref {
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
	if len(inc.Atoms) > 0 {
		c.sql(" AND t.atom IN (")
		c.atomList(inc.Atoms)
		c.sql(")")
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

// take reads the records that are not on the page yet, adds them, and returns them.
func (in *including) take(keys []recordKey) ([]*Version, error) {
	var fresh []recordKey
	for _, k := range keys {
		if k.typ != 0 && !in.seen[k] {
			in.seen[k] = true
			fresh = append(fresh, k)
		}
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
