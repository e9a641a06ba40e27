package facility

import (
	"github.com/nilecare/nilecare/internal/sqldb"
)

// node is a place or an organization as the way up from a bed meets it.
type node struct {
	kind, part, organization string
	ward, department, where  string // what a place's row says follows
}

// atlas finds the ward, department and facility of places: the next ward at or above it; what manages it, or the next place above that
// is managed; of that organization the next department, and the next facility, at or above it.
type atlas struct {
	place, organization func(id string) (*node, error)
}

// deepest is how many steps up are followed: a circle ends there.
const deepest = 12

func (a *atlas) find(id string) (ward, department, facility string, err error) {
	org := ""
	for at, steps := id, 0; at != "" && steps < deepest; steps++ {
		p, err := a.place(at)
		if err != nil {
			return "", "", "", err
		}
		if p == nil {
			break
		}
		if p.kind == kindWard && ward == "" {
			ward = at
		}
		if org == "" {
			org = p.organization
		}
		at = p.part
	}
	for steps := 0; org != "" && steps < deepest; steps++ {
		o, err := a.organization(org)
		if err != nil {
			return "", "", "", err
		}
		if o == nil {
			break
		}
		if o.kind == kindDepartment && department == "" {
			department = org
		}
		if o.kind == kindFacility {
			facility = org
			break
		}
		org = o.part
	}
	return ward, department, facility, nil
}

// resolve writes where one place belongs.
func (r *ruling) resolve(id string) error {
	one := func(sql string) func(id string) (*node, error) {
		return func(id string) (*node, error) {
			n := &node{}
			found, err := sqldb.QueryRow(r.ctx, r.tx, []any{&n.kind, &n.part, &n.organization}, sql, r.tenant, id)
			if err != nil || !found {
				return nil, err
			}
			return n, nil
		}
	}
	a := &atlas{one("SELECT kind, part_of, organization FROM facility_place WHERE tenant = $1 AND id = $2 AND deleted_at = 0"),
		one("SELECT kind, part_of, '' FROM facility_organization WHERE tenant = $1 AND id = $2 AND deleted_at = 0")}
	ward, department, facility, err := a.find(id)
	if err != nil {
		return err
	}
	return r.belongs(id, ward, department, facility)
}

func (r *ruling) belongs(id, ward, department, facility string) error {
	return r.exec("UPDATE facility_place SET ward = $3, department = $4, facility = $5 WHERE tenant = $1 AND id = $2", r.tenant, id, ward, department, facility)
}

// resolveAll writes where all places belong, as far as that has changed.
func (r *ruling) resolveAll() error {
	read := func(sql string) (map[string]*node, error) {
		out := map[string]*node{}
		err := sqldb.Each(r.ctx, r.tx, func(rows sqldb.Rows) error {
			n := &node{}
			var id string
			err := rows.Scan(&id, &n.kind, &n.part, &n.organization, &n.ward, &n.department, &n.where)
			out[id] = n
			return err
		}, sql, r.tenant)
		return out, err
	}
	places, err := read("SELECT id, kind, part_of, organization, ward, department, facility FROM facility_place WHERE tenant = $1 AND deleted_at = 0")
	if err != nil {
		return err
	}
	orgs, err := read("SELECT id, kind, part_of, '', '', '', '' FROM facility_organization WHERE tenant = $1 AND deleted_at = 0")
	if err != nil {
		return err
	}
	in := func(all map[string]*node) func(string) (*node, error) {
		return func(id string) (*node, error) { return all[id], nil }
	}
	a := &atlas{in(places), in(orgs)}
	for id, n := range places {
		ward, department, facility, err := a.find(id)
		if err != nil {
			return err
		}
		if ward == n.ward && department == n.department && facility == n.where {
			continue
		}
		if err := r.belongs(id, ward, department, facility); err != nil {
			return err
		}
	}
	return nil
}
