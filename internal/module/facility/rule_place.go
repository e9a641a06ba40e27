package facility

import (
	"cmp"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The kinds of organizations and places that mean something here.
const (
	kindFacility   = "prov"
	kindDepartment = "dept"
	kindSite       = "si"
	kindWard       = "wa"
	kindBed        = "bd"
)

// orgKind is what an Organization is.
func orgKind(r *fhir.Resource) string {
	if r == nil {
		return ""
	}
	for _, t := range flat.Items(r.Get("type")) {
		for _, c := range flat.Items(t.Get("coding")) {
			if c.Str("system") == organizationType && (c.Str("code") == kindFacility || c.Str("code") == kindDepartment) {
				return c.Str("code")
			}
		}
	}
	return "other"
}

// orgStatus is an Organization's status: one of which nothing is said is active.
func orgStatus(r *fhir.Resource) string {
	if a := r.Get("active"); a != nil && a.Text == "false" {
		return "inactive"
	}
	return cmp.Or(code(r.Node, statusURL), "active")
}

func orgCode(r *fhir.Resource) string {
	return cmp.Or(flat.Identifier(r, facilityCodeSystem), flat.Identifier(r, departmentCodeSystem))
}

// enter writes what the record says of organizations and places into the ledger.
func (r *ruling) enter(i int, t record.Turn) error {
	switch t.Type {
	case "Organization":
		return r.enterOrganization(t)
	case "Location":
		return r.enterPlace(i, t)
	}
	return nil
}

func (r *ruling) enterOrganization(t record.Turn) error {
	if t.New == nil {
		r.moved = true
		return r.exec("UPDATE facility_organization SET deleted_at = $3, updated_by = $4, updated_at = $3 WHERE tenant = $1 AND id = $2", r.tenant, t.ID, r.now, r.who)
	}
	kind, part := orgKind(t.New), r.local(t.New, "partOf", "Organization")
	var oldKind, oldPart string
	var deleted int64
	found, err := sqldb.QueryRow(r.ctx, r.tx, []any{&oldKind, &oldPart, &deleted}, "SELECT kind, part_of, deleted_at FROM facility_organization WHERE tenant = $1 AND id = $2", r.tenant, t.ID)
	if err != nil {
		return err
	}
	if found {
		r.moved = r.moved || oldKind != kind || oldPart != part || deleted != 0
	} else if err := r.awaited(t.ID, "SELECT 1 FROM facility_place WHERE tenant = $1 AND organization = $2 LIMIT 1", "SELECT 1 FROM facility_organization WHERE tenant = $1 AND part_of = $2 LIMIT 1"); err != nil {
		return err
	}
	return r.exec("INSERT INTO facility_organization (tenant, id, kind, name, code, class, status, part_of, created_by, created_at, updated_by, updated_at, deleted_at)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, $10, 0) ON CONFLICT (tenant, id) DO UPDATE SET kind = excluded.kind, name = excluded.name, code = excluded.code,"+
		" class = excluded.class, status = excluded.status, part_of = excluded.part_of, updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = 0",
		r.tenant, t.ID, kind, t.New.Str("name"), orgCode(t.New), cmp.Or(typeCode(t.New, facilityTypeSystem), "other"), orgStatus(t.New), part, r.who, r.now)
}

// awaited notes that something refers to a place or organization already, which comes only now.
func (r *ruling) awaited(id string, questions ...string) error {
	for _, sql := range questions {
		var one int64
		found, err := sqldb.QueryRow(r.ctx, r.tx, []any{&one}, sql, r.tenant, id)
		if err != nil {
			return err
		}
		r.moved = r.moved || found
	}
	return nil
}

// local is the id of a literal reference to a type; "" for none, or one elsewhere.
func (r *ruling) local(res *fhir.Resource, member, typ string) string {
	t, id, ok := fhir.SplitReference(flat.RefOf(res.Get(member)), r.base)
	if !ok || t != typ {
		return ""
	}
	return id
}

func (r *ruling) enterPlace(i int, t record.Turn) error {
	if t.New == nil {
		r.moved = r.moved || kindOf(t.Old) != kindBed
		return r.exec("UPDATE facility_place SET deleted_at = $3, updated_by = $4, updated_at = $3 WHERE tenant = $1 AND id = $2", r.tenant, t.ID, r.now, r.who)
	}
	kind, part, org := kindOf(t.New), r.local(t.New, "partOf", "Location"), r.local(t.New, "managingOrganization", "Organization")
	var oldKind, oldPart, oldOrg string
	var deleted int64
	found, err := sqldb.QueryRow(r.ctx, r.tx, []any{&oldKind, &oldPart, &oldOrg, &deleted}, "SELECT kind, part_of, organization, deleted_at FROM facility_place WHERE tenant = $1 AND id = $2",
		r.tenant, t.ID)
	if err != nil {
		return err
	}
	same := found && oldKind == kind && oldPart == part && oldOrg == org && deleted == 0
	switch {
	case same:
	case found && kind != kindBed:
		r.moved = true
	case !found:
		if err := r.awaited(t.ID, "SELECT 1 FROM facility_place WHERE tenant = $1 AND part_of = $2 LIMIT 1"); err != nil {
			return err
		}
	}
	name, number := t.New.Str("name"), flat.Identifier(t.New, wardCodeSystem)
	class := typeCode(t.New, wardTypeSystem)
	if kind == kindBed {
		number, class = label(t.New), cmp.Or(typeCode(t.New, bedTypeSystem), "standard")
	}
	capacity, _ := strconv.Atoi(extension(t.New.Node, capacityURL, "valueInteger"))
	if err := r.exec("INSERT INTO facility_place (tenant, id, kind, name, code, class, status, part_of, organization, ward, department, facility, capacity, created_by, created_at, updated_by, updated_at, deleted_at)"+
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', '', '', $10, $11, $12, $11, $12, 0) ON CONFLICT (tenant, id) DO UPDATE SET kind = excluded.kind, name = excluded.name, code = excluded.code,"+
		" class = excluded.class, status = excluded.status, part_of = excluded.part_of, organization = excluded.organization, capacity = excluded.capacity,"+
		" updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = 0",
		r.tenant, t.ID, kind, name, number, class, cmp.Or(t.New.Str("status"), "active"), part, org, capacity, r.who, r.now); err != nil {
		return err
	}
	if !same && !r.moved {
		if err := r.resolve(t.ID); err != nil {
			return err
		}
	}
	if kind != kindBed {
		return nil
	}
	return r.enterBed(i, t, number)
}

// enterBed makes the bed's row where there is none. Its state comes later: see hear.
func (r *ruling) enterBed(i int, t record.Turn, number string) error {
	bits := 0
	for _, has := range extensions(t.New.Node, equipmentURL, "valueCode") {
		for k, name := range equipment() {
			if has == name {
				bits |= 1 << k
			}
		}
	}
	r.touch(t.ID, i)
	return r.exec("INSERT INTO facility_bed (tenant, id, label, equipment, state, occupant, encounter, since, expected, held_for, held_until, turn, changed_at, created_by, created_at, updated_by, updated_at, deleted_at)"+
		" VALUES ($1, $2, $3, $4, 'available', '', '', 0, '', '', 0, $5, $7, $6, $7, $6, $7, 0) ON CONFLICT (tenant, id) DO UPDATE SET label = excluded.label, equipment = excluded.equipment,"+
		" updated_by = excluded.updated_by, updated_at = excluded.updated_at, deleted_at = 0, turn = CASE WHEN facility_bed.deleted_at = 0 THEN facility_bed.turn ELSE excluded.turn END,"+
		" state = CASE WHEN facility_bed.deleted_at = 0 THEN facility_bed.state ELSE 'available' END",
		r.tenant, t.ID, oneForm(number), bits, r.num, r.who, r.now)
}

// unique refuses what bears a number or code that another has where it must be one's own.
func (r *ruling) unique(t record.Turn) error {
	if r.lenient || t.New == nil {
		return nil
	}
	var one int64
	ask := func(sql string, args ...any) (bool, error) {
		return sqldb.QueryRow(r.ctx, r.tx, []any{&one}, sql, args...)
	}
	var taken bool
	var err error
	what := ""
	switch {
	case t.Type == "Organization" && orgCode(t.New) != "" && (t.Old == nil || orgCode(t.Old) != orgCode(t.New) || r.local(t.Old, "partOf", "Organization") != r.local(t.New, "partOf", "Organization")):
		what = "code"
		taken, err = ask(`SELECT 1 FROM facility_organization a JOIN facility_organization b ON b.tenant = a.tenant AND b.kind = a.kind AND b.code = a.code AND b.id <> a.id AND b.deleted_at = 0
			AND (a.kind = 'prov' OR b.part_of = a.part_of) WHERE a.tenant = $1 AND a.id = $2 LIMIT 1`, r.tenant, t.ID)
	case t.Type == "Location" && kindOf(t.New) == kindWard && flat.Identifier(t.New, wardCodeSystem) != "":
		what = "wardCode"
		taken, err = ask(`SELECT 1 FROM facility_place a JOIN facility_place b ON b.tenant = a.tenant AND b.kind = a.kind AND b.code = a.code AND b.id <> a.id AND b.deleted_at = 0
			AND b.facility = a.facility WHERE a.tenant = $1 AND a.id = $2 LIMIT 1`, r.tenant, t.ID)
	case t.Type == "Location" && kindOf(t.New) == kindBed && (t.Old == nil || oneForm(label(t.Old)) != oneForm(label(t.New)) || r.local(t.Old, "partOf", "Location") != r.local(t.New, "partOf", "Location")):
		what = "bedNumber"
		taken, err = ask(`SELECT 1 FROM facility_place p JOIN facility_place o ON o.tenant = p.tenant AND o.ward = p.ward AND o.id <> p.id AND o.deleted_at = 0
			JOIN facility_bed a ON a.tenant = p.tenant AND a.id = p.id JOIN facility_bed b ON b.tenant = o.tenant AND b.id = o.id AND b.deleted_at = 0
			WHERE p.tenant = $1 AND p.id = $2 AND p.ward <> '' AND a.label = b.label AND a.label <> '' LIMIT 1`, r.tenant, t.ID)
	}
	if err != nil || !taken {
		return err
	}
	return fault.At(fault.Conflict, what, "another one there has this %s", map[string]string{"code": "code", "wardCode": "code", "bedNumber": "number"}[what]).WithCode("DUPLICATE_ENTRY")
}

// hear enters what Locations say of their beds' state, beds first, and refuses what contradicts who lies there.
func (r *ruling) hear(set []record.Turn) (int, error) {
	for i, t := range set {
		if t.Type != "Location" || kindOf(t.Old) != kindBed && kindOf(t.New) != kindBed {
			continue
		}
		if err := r.hearBed(t); err != nil {
			return i, err
		}
	}
	for i := range set {
		if err := r.closes(r.within[i]); err != nil {
			return i, err
		}
	}
	return 0, nil
}

// gather notes the beds of what the set closes, as long as they are known to be its.
func (r *ruling) gather(set []record.Turn) error {
	for i, t := range set {
		where := ""
		switch {
		case t.Old == nil:
		case t.Type == "Organization" && orgStatus(t.Old) != "inactive" && (t.New == nil || orgStatus(t.New) == "inactive"):
			where = "(p.facility = $2 OR p.department = $2)"
		case t.Type == "Location" && kindOf(t.Old) != kindBed && (t.New == nil || t.New.Str("status") == "inactive" && t.Old.Str("status") != "inactive"):
			where = "(p.ward = $2 OR p.part_of = $2)"
		}
		if where == "" {
			continue
		}
		var beds []string
		if err := sqldb.Each(r.ctx, r.tx, func(rows sqldb.Rows) error {
			var id string
			err := rows.Scan(&id)
			beds = append(beds, id)
			return err
		}, "SELECT b.id FROM facility_bed b JOIN facility_place p ON p.tenant = b.tenant AND p.id = b.id WHERE b.tenant = $1 AND b.deleted_at = 0 AND "+where+" ORDER BY b.id", r.tenant, t.ID); err != nil {
			return err
		}
		if r.within == nil {
			r.within = map[int][]string{}
		}
		r.within[i] = beds
		for _, id := range beds { // nobody may come to lie there meanwhile
			if err := r.tx.Lock(r.ctx, r.lockOf("bed", id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// closes refuses that a place ends in one of whose beds somebody lies.
func (r *ruling) closes(beds []string) error {
	n := 0
	for _, id := range beds {
		b, err := r.bed(id)
		if err != nil {
			return err
		}
		if b != nil && b.occupant != "" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return conflict("BED_OCCUPIED", "%d of its beds are occupied: release or transfer those who lie there first", n)
}

func (r *ruling) hearBed(t record.Turn) error {
	if kindOf(t.New) != kindBed {
		return r.endBed(t)
	}
	b, err := r.bed(t.ID)
	if err != nil || b == nil {
		return err
	}
	if r.turn != 0 && r.turn != b.turn {
		return conflict(movedOn, "the bed has gone on")
	}
	said := declared(t.New)
	if b.occupant != "" && t.New.Str("status") != "active" && t.Old != nil && t.Old.Str("status") == "active" {
		return conflict("BED_OCCUPIED", "somebody lies in the bed: release it before it is taken out of use")
	}
	if said == "" || t.Old != nil && declared(t.Old) == said || goesWith(t.New, b.state) {
		return nil
	}
	return r.declared(b, said)
}

// declared takes a state over from a bed's Location.
func (r *ruling) declared(b *bed, said string) error {
	switch {
	case b.occupant != "":
		if r.lenient {
			return nil
		}
		return conflict("BED_OCCUPIED", "somebody lies in the bed: it becomes free by a release, or by the end of the Encounter")
	case said == occupied && r.lenient:
		said = outOfService // by whom is not known: nobody is put there before somebody has looked
	case said == occupied:
		return conflict("BED_NOT_OCCUPIED", "nobody lies in the bed: it becomes occupied by an Encounter's active location")
	case said == reserved && !r.lenient:
		return conflict("BED_UNAVAILABLE", "a bed is reserved by its reservation")
	case said == reserved:
		said = outOfService
	}
	return r.set(b, said)
}

// set gives a bed in which nobody lies a state.
func (r *ruling) set(b *bed, state string) error {
	b.state, b.turn = state, r.l.Next()
	if err := r.exec("UPDATE facility_bed SET state = $3, held_for = '', held_until = 0, turn = $4, changed_at = $5, updated_by = $6, updated_at = $5 WHERE tenant = $1 AND id = $2",
		r.tenant, b.id, state, b.turn, r.now, r.who); err != nil || state != cleaning {
		return err
	}
	return r.cleaned(b)
}

// endBed takes a bed out of the ledger: its Location was deleted, or is no bed any more.
func (r *ruling) endBed(t record.Turn) error {
	b, err := r.bed(t.ID)
	if err != nil || b == nil {
		return err
	}
	if b.occupant != "" {
		return conflict("BED_OCCUPIED", "somebody lies in the bed: release it first")
	}
	return r.exec("UPDATE facility_bed SET deleted_at = $3, updated_by = $4, updated_at = $3 WHERE tenant = $1 AND id = $2", r.tenant, t.ID, r.now, r.who)
}
