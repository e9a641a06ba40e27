package facility

import (
	"context"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// bedRow is a bed as the ledger has it, with where it belongs.
type bedRow struct {
	id, name, number, class, status      string
	ward, department, facility           string
	state, occupant, encounter, expected string
	equipment                            int
	since, heldUntil, changed, turn      int64
	heldFor                              string
}

const bedColumns = "b.id, p.name, p.code, p.class, p.status, p.ward, p.department, p.facility, b.state, b.occupant, b.encounter, b.expected, b.equipment, b.since, b.held_for, b.held_until, b.changed_at, b.turn"

const fromBeds = " FROM facility_bed b JOIN facility_place p ON p.tenant = b.tenant AND p.id = b.id WHERE b.tenant = "

func (b *bedRow) scan(rows sqldb.Rows) error {
	return rows.Scan(&b.id, &b.name, &b.number, &b.class, &b.status, &b.ward, &b.department, &b.facility, &b.state, &b.occupant, &b.encounter, &b.expected, &b.equipment, &b.since,
		&b.heldFor, &b.heldUntil, &b.changed, &b.turn)
}

// bedFilter selects beds; what is empty is not asked.
type bedFilter struct {
	facility, department, ward, class, state string
	has, hasNot                              int // bits of equipment
	inUse                                    *bool
	free                                     *bool // may be assigned now, or not
	limit, skip                              int   // 0: all
}

// where writes the filter's conditions.
func (f *bedFilter) where(b *sqldb.Builder) {
	for _, one := range []struct{ column, value string }{{"p.facility", f.facility}, {"p.department", f.department}, {"p.ward", f.ward}, {"p.class", f.class}, {"b.state", f.state}} {
		if one.value != "" {
			b.SQL(" AND " + one.column + " = ").Arg(one.value)
		}
	}
	if f.has != 0 {
		b.SQL(" AND (b.equipment & ").Int(int64(f.has)).SQL(") = ").Int(int64(f.has))
	}
	if f.hasNot != 0 {
		b.SQL(" AND (b.equipment & ").Int(int64(f.hasNot)).SQL(") = 0")
	}
	if f.inUse != nil {
		b.SQL(map[bool]string{true: " AND p.status = 'active'", false: " AND p.status <> 'active'"}[*f.inUse])
	}
	if f.free != nil {
		const free = "(b.state = 'available' AND p.status = 'active' AND (p.ward = '' OR EXISTS (SELECT 1 FROM facility_place w WHERE w.tenant = p.tenant AND w.id = p.ward AND w.status = 'active' AND w.deleted_at = 0))" +
			" AND NOT EXISTS (SELECT 1 FROM facility_organization o WHERE o.tenant = p.tenant AND o.id IN (p.facility, p.department) AND o.status = 'inactive'))"
		b.SQL(map[bool]string{true: " AND ", false: " AND NOT "}[*f.free] + free)
	}
}

// beds reads the beds that the filter selects, in the order of wards and numbers, and how many there are without its limit.
func (s *Service) beds(ctx context.Context, f bedFilter) (out []bedRow, total int, err error) {
	tenant := access.From(ctx).Tenant
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		out, total = nil, 0
		if f.limit > 0 {
			b := &sqldb.Builder{}
			b.SQL("SELECT count(*)" + fromBeds).Arg(tenant).SQL(" AND b.deleted_at = 0")
			f.where(b)
			if _, err := sqldb.QueryRow(ctx, q, []any{&total}, b.String(), b.Args...); err != nil {
				return err
			}
		}
		b := &sqldb.Builder{}
		b.SQL("SELECT " + bedColumns + fromBeds).Arg(tenant).SQL(" AND b.deleted_at = 0")
		f.where(b)
		b.SQL(" ORDER BY p.facility, p.ward, length(b.label), b.label, b.id")
		if f.limit > 0 {
			b.SQL(" LIMIT ").Int(int64(f.limit)).SQL(" OFFSET ").Int(int64(f.skip))
		}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var one bedRow
			err := one.scan(rows)
			out = append(out, one)
			return err
		}, b.String(), b.Args...)
	})
	if f.limit <= 0 {
		total = len(out)
	}
	return out, total, err
}

// bed reads one bed by its FHIR id. NotFound.
func (s *Service) bed(ctx context.Context, id string) (*bedRow, error) {
	tenant := access.From(ctx).Tenant
	var out *bedRow
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error { out = &bedRow{}; return out.scan(rows) },
			"SELECT "+bedColumns+fromBeds+"$1 AND b.id = $2 AND b.deleted_at = 0", tenant, id)
	})
	if err == nil && out == nil {
		err = fault.New(fault.NotFound, "there is no bed with this id")
	}
	return out, err
}

// count is how many beds of one kind are in a state.
type count struct {
	facility, department, ward, class, state string
	inUse                                    bool
	n                                        int
}

// counts reads how many beds there are, in one statement: by facility, department, ward, type and state.
func (s *Service) counts(ctx context.Context, f bedFilter) ([]count, error) {
	tenant := access.From(ctx).Tenant
	b := &sqldb.Builder{}
	b.SQL("SELECT p.facility, p.department, p.ward, p.class, b.state, CASE WHEN p.status = 'active' THEN 1 ELSE 0 END, count(*)" + fromBeds).Arg(tenant).SQL(" AND b.deleted_at = 0")
	f.where(b)
	b.SQL(" GROUP BY p.facility, p.department, p.ward, p.class, b.state, CASE WHEN p.status = 'active' THEN 1 ELSE 0 END")
	var out []count
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var c count
			var used int
			err := rows.Scan(&c.facility, &c.department, &c.ward, &c.class, &c.state, &used, &c.n)
			c.inUse = used == 1
			out = append(out, c)
			return err
		}, b.String(), b.Args...)
	})
	return out, err
}

// placeRow is a ward, or another place, as the ledger has it.
type placeRow struct {
	id, kind, name, code, class, status, ward, department, facility string
	capacity                                                        int
}

// places reads the places of a kind, by their FHIR ids.
func (s *Service) places(ctx context.Context, kind, facility string) (map[string]*placeRow, error) {
	tenant := access.From(ctx).Tenant
	b := &sqldb.Builder{}
	b.SQL("SELECT id, kind, name, code, class, status, ward, department, facility, capacity FROM facility_place WHERE tenant = ").Arg(tenant).SQL(" AND deleted_at = 0 AND kind = ").Arg(kind)
	if facility != "" {
		b.SQL(" AND facility = ").Arg(facility)
	}
	out := map[string]*placeRow{}
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		clear(out)
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			p := &placeRow{}
			err := rows.Scan(&p.id, &p.kind, &p.name, &p.code, &p.class, &p.status, &p.ward, &p.department, &p.facility, &p.capacity)
			out[p.id] = p
			return err
		}, b.String(), b.Args...)
	})
	return out, err
}

// orgRow is a facility or department as the ledger has it.
type orgRow struct {
	id, kind, name, code, class, status, part string
}

// organizations reads all facilities or all departments, by their FHIR ids.
func (s *Service) organizations(ctx context.Context, kind string) (map[string]*orgRow, error) {
	tenant := access.From(ctx).Tenant
	out := map[string]*orgRow{}
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		clear(out)
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			o := &orgRow{}
			err := rows.Scan(&o.id, &o.kind, &o.name, &o.code, &o.class, &o.status, &o.part)
			out[o.id] = o
			return err
		}, "SELECT id, kind, name, code, class, status, part_of FROM facility_organization WHERE tenant = $1 AND kind = $2 AND deleted_at = 0", tenant, kind)
	})
	return out, err
}

// closed are the facilities and departments that are inactive, by their FHIR ids.
func (s *Service) closed(ctx context.Context) (map[string]bool, error) {
	tenant := access.From(ctx).Tenant
	out := map[string]bool{}
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		clear(out)
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var id string
			err := rows.Scan(&id)
			out[id] = true
			return err
		}, "SELECT id FROM facility_organization WHERE tenant = $1 AND status = 'inactive' AND deleted_at = 0", tenant)
	})
	return out, err
}

// stayRow is a stay, of now or of before.
type stayRow struct {
	encounter, location, occupant string
	since, ended                  int64
	expected                      string
	contested                     bool
}

// stays reads stays, the newest first.
func (s *Service) stays(ctx context.Context, location string, limit, skip int) (out []stayRow, total int, err error) {
	tenant := access.From(ctx).Tenant
	err = s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		if _, err := sqldb.QueryRow(ctx, q, []any{&total}, "SELECT count(*) FROM facility_stay WHERE tenant = $1 AND location = $2", tenant, location); err != nil {
			return err
		}
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var one stayRow
			err := rows.Scan(&one.encounter, &one.location, &one.occupant, &one.since, &one.ended, &one.expected, &one.contested)
			out = append(out, one)
			return err
		}, "SELECT encounter, location, occupant, since, ended_at, expected, contested <> 0 FROM facility_stay WHERE tenant = $1 AND location = $2 ORDER BY since DESC, id DESC LIMIT $3 OFFSET $4",
			tenant, location, limit, skip)
	})
	return out, total, err
}

// openStays are the Encounters whose stays in a bed go on, contested ones aside.
func (s *Service) openStays(ctx context.Context, location string) ([]string, error) {
	tenant := access.From(ctx).Tenant
	var out []string
	err := s.Ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		out = nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			var id string
			err := rows.Scan(&id)
			out = append(out, id)
			return err
		}, "SELECT encounter FROM facility_stay WHERE tenant = $1 AND location = $2 AND ended_at = 0 AND contested = 0 ORDER BY id", tenant, location)
	})
	return out, err
}

// stamp is a time of the ledger in the product API's form; nil for 0.
func stamp(micros int64) *string {
	if micros == 0 {
		return nil
	}
	t := time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000Z")
	return &t
}
