package record

import (
	"context"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
)

// A change is permitted where the caller may do it to what stands there and to what will stand there. A record that the caller is not shown is
// to every change what a record is that never was: the answers are the same.

// mayAtAll refuses what the caller may do to no resource of the type.
func (p *plan) mayAtAll(c *Change) error {
	if p.caller.Internal() {
		return nil
	}
	none := func(a access.Action) bool { return p.caller.Extent(a, c.Type).IsNone() }
	if c.Match != nil && none(access.Search) {
		return forbidden(access.Search, c.Type)
	}
	switch {
	case c.Op == Create && none(access.Create):
		return forbidden(access.Create, c.Type)
	case c.Op == Delete && none(access.Delete):
		return forbidden(access.Delete, c.Type)
	case c.Op == Patch && none(access.Update):
		return forbidden(access.Update, c.Type)
	case c.Op == Update && none(access.Update) && none(access.Create):
		return forbidden(access.Update, c.Type)
	}
	return nil
}

// reader returns what decides which records the plan's caller may read.
func (p *plan) reader(ctx context.Context) (*searching, error) {
	r, err := p.s.searching(ctx, p.q, p.caller)
	if err == nil {
		r.action = access.Read
	}
	return r, err
}

// hidden reports whether the item's record must be to the caller as if it never was. Where something of the type is hidden from the
// caller, a record that is not there counts as hidden, too: such a caller cannot choose ids, or would learn which are taken.
func (p *plan) hidden(ctx context.Context, it *item) (bool, error) {
	if p.caller.Internal() {
		return false, nil
	}
	r, err := p.reader(ctx)
	if err != nil {
		return false, err
	}
	if !r.restricted(it.typ.Name) {
		return false, nil
	}
	if it.old == nil {
		return true, nil
	}
	ok, err := r.sees(it.old.sealedVersion)
	return !ok, err
}

// permit decides on an item once all items have their content.
func (p *plan) permit(ctx context.Context, it *item) error {
	if p.caller.Internal() {
		return nil
	}
	switch it.result {
	case Created:
		return p.permitOn(ctx, it, access.Create, it.newDoc(), p.planned)
	case Updated:
		if err := p.permitOn(ctx, it, access.Update, p.oldDoc(it), nil); err != nil {
			return err
		}
		return p.permitOn(ctx, it, access.Update, it.newDoc(), p.planned)
	case Unchanged:
		if it.op != Create {
			return p.permitOn(ctx, it, access.Update, p.oldDoc(it), nil)
		}
	case Deleted:
		return p.permitOn(ctx, it, access.Delete, p.oldDoc(it), nil)
	}
	return nil
}

func (p *plan) permitOn(ctx context.Context, it *item, a access.Action, doc *search.Doc, next planned) error {
	e := p.caller.Extent(a, it.typ.Name)
	switch {
	case e.IsAll():
		return nil
	case e.IsNone():
		return forbidden(a, it.typ.Name)
	}
	r, err := p.reader(ctx)
	if err != nil {
		return err
	}
	for _, d := range eachPatient(doc) {
		ok, err := r.decides(e.Pred(), d, next)
		if err == nil && !ok {
			err = fault.New(fault.Forbidden, "you may not %s this %s", a, it.typ.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (it *item) newDoc() *search.Doc {
	return &search.Doc{Resource: it.res, Type: it.typ.Name, ID: fhirID(it.num, it.fid), Values: it.values}
}

func (p *plan) oldDoc(it *item) *search.Doc {
	return &search.Doc{Resource: it.old.res, Type: it.typ.Name, ID: fhirID(it.num, it.fid), Values: search.Extract(it.old.res, p.s.base)}
}

// planned is the document that the plan leaves behind under that id.
func (p *plan) planned(typ, id string) *search.Doc {
	for _, it := range p.items {
		if it.typ.Name == typ && it.values != nil && fhirID(it.num, it.fid) == id {
			return it.newDoc()
		}
	}
	return nil
}

// shown is the resource as the caller sees it, for patching; unshown gives the patched one back what was hidden.
func (p *plan) shown(r *fhir.Resource) *fhir.Resource {
	c := r.Clone()
	if !p.caller.Internal() {
		hide(c, p.caller.Masked(r.Type()))
	}
	return c
}

// The caller's own resource stays as it was given.
func (p *plan) unshown(now, before *fhir.Resource) *fhir.Resource {
	if p.caller.Internal() || now == nil || before == nil {
		return now
	}
	hidden := p.caller.Masked(before.Type())
	if len(hidden) == 0 {
		return now
	}
	now = now.Clone()
	unhide(now, before, hidden)
	return now
}
