package record

import (
	"context"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir/def"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// Everything returns a page of a Patient's or an Encounter's compartment, the resource itself among the matches, with what
// the matches point to outside of it behind them (practitioners, organizations, locations, medications …). types narrows the
// matches; since leaves out what was not changed since then.
func (s *Store) Everything(ctx context.Context, typ, id string, types []string, since time.Time, count int, cursor string) (*Page, error) {
	compartment := def.CompartmentOf(typ)
	if compartment == nil {
		return nil, fault.New(fault.NotFound, "there is no compartment of %s", typ)
	}
	caller := access.From(ctx)
	if _, err := s.read(ctx, &caller, typ, id); err != nil {
		s.noteFailure(&caller, "everything", typ, "", err)
		return nil, err
	}
	query := &search.Query{Type: typ + "/" + id, Count: count, Cursor: cursor}
	for _, t := range everythingTypes(compartment, types) {
		p, err := search.Compartment(typ, id, t)
		if err != nil {
			return nil, err
		}
		if hidden := caller.Masked(t); !caller.Internal() && len(hidden) > 0 {
			p = openCompartment(p, hidden)
		}
		and := search.And{p}
		if !since.IsZero() {
			and = append(and, search.LastUpdated{Op: "ge", Lo: since.UnixMicro(), Hi: since.UnixMicro()})
		}
		query.ByType = append(query.ByType, search.TypedPred{Type: t, Pred: and})
	}
	query.Includes = []search.Include{{Source: "*", Param: "*"}}
	var page *Page
	r, err := s.searching(ctx, nil, caller)
	if err != nil {
		return nil, err
	}
	err = s.engine.View(ctx, caller.Tenant, func(q sqldb.Querier) (err error) {
		r.q = q
		page, err = r.everything(query, compartment)
		return err
	})
	if err == nil {
		err = maskAll(&caller, page)
	}
	s.noteEverything(&caller, typ, page, err)
	if err != nil {
		return nil, err
	}
	return page, nil
}

// openCompartment is a compartment by the references that are not hidden from the caller.
func openCompartment(p search.Pred, hidden []string) search.Pred {
	if in, ok := p.(search.InCompartment); ok {
		in.Atoms = slices.DeleteFunc(slices.Clone(in.Atoms), func(a search.AtomRef) bool { return maskedElement(a.Path, hidden) != "" })
		return in
	}
	return p
}

// everything is a search whose included resources stay outside of the compartment's own types.
func (r *searching) everything(query *search.Query, compartment *def.Compartment) (*Page, error) {
	page, err := r.page(query)
	if err != nil {
		return nil, err
	}
	page.Matches = slices.DeleteFunc(page.Matches, func(m Match) bool {
		_, own := compartment.Params[m.Version.Type]
		return m.Included && own && m.Version.Type != "Practitioner" && m.Version.Type != "RelatedPerson"
	})
	return page, nil
}

func everythingTypes(c *def.Compartment, types []string) []string {
	var out []string
	for t := range c.Params {
		if len(types) == 0 || slices.Contains(types, t) {
			out = append(out, t)
		}
	}
	if _, has := c.Params[c.Code]; !has && (len(types) == 0 || slices.Contains(types, c.Code)) {
		out = append(out, c.Code)
	}
	slices.Sort(out)
	return out
}
