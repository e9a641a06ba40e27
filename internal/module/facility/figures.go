package facility

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// occupancy is how many beds of a place are in which state.
type occupancy struct {
	TotalBeds        int      `json:"totalBeds"`
	OccupiedBeds     int      `json:"occupiedBeds"`
	AvailableBeds    int      `json:"availableBeds"`
	ReservedBeds     int      `json:"reservedBeds"`
	CleaningBeds     int      `json:"cleaningBeds"`
	MaintenanceBeds  int      `json:"maintenanceBeds"`
	OutOfServiceBeds int      `json:"outOfServiceBeds"`
	OccupancyRate    *float64 `json:"occupancyRate" doc:"percent of all beds; null: there are none"`
}

func (f *figures) told() occupancy {
	if f == nil {
		f = &figures{}
	}
	return occupancy{f.total, f.states[occupied], f.states[available], f.states[reserved], f.states[cleaning], f.states[maintenance], f.states[outOfService], rate(f.states[occupied], f.total)}
}

type wardOccupancy struct {
	WardID       string `json:"wardId"`
	Name         string `json:"name"`
	DepartmentID string `json:"departmentId"`
	WardType     string `json:"wardType"`
	Status       string `json:"status"`
	occupancy
}

type departmentOccupancy struct {
	DepartmentID string `json:"departmentId"`
	Name         string `json:"name"`
	occupancy
}

type capacityJSON struct {
	FacilityID string `json:"facilityId"`
	Capacity   int    `json:"capacity" doc:"as it was said, else the beds that there are"`
	occupancy
	ByDepartment []departmentOccupancy `json:"byDepartment"`
	ByWard       []wardOccupancy       `json:"byWard"`
	ByBedType    map[string]occupancy  `json:"byBedType"`
}

type statsJSON struct {
	TotalFacilities  int            `json:"totalFacilities"`
	ActiveFacilities int            `json:"activeFacilities"`
	TotalDepartments int            `json:"totalDepartments"`
	TotalWards       int            `json:"totalWards"`
	ByType           map[string]int `json:"byType"`
	occupancy
	ByFacility []facilityOccupancy `json:"byFacility"`
}

type facilityOccupancy struct {
	FacilityID string `json:"facilityId"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	occupancy
}

type analyticsJSON struct {
	FacilityID       string   `json:"facilityId"`
	Period           string   `json:"period"`
	From             string   `json:"from" doc:"the first day, in the facility's zone"`
	To               string   `json:"to" doc:"the last day: today, as far as it has gone"`
	Admissions       int      `json:"admissions" doc:"stays in its beds that began in the period; a transfer is one more"`
	Releases         int      `json:"releases" doc:"stays that ended in the period"`
	AverageStayHours *float64 `json:"averageStayHours" doc:"of the stays that ended in it; null: none did"`
	OccupiedBedDays  float64  `json:"occupiedBedDays"`
	BedDays          float64  `json:"bedDays" doc:"of the beds that there are now: how many there were is not kept"`
	OccupancyRate    *float64 `json:"averageOccupancyRate" doc:"percent; null: there are no beds"`
}

func (s *Service) figureRoutes() []api.Route {
	read := api.Permission("facilities:read")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/facilities/{id}/capacity", Need: read, Summary: "How many beds a facility has, and in which state they are", Out: capacityJSON{}, Serve: s.showCapacity},
		{Method: "GET", Path: "/api/v1/facilities/{id}/occupancy", Need: read, Summary: "The same", Out: capacityJSON{}, Serve: s.showCapacity},
		{Method: "GET", Path: "/api/v1/facilities/{id}/analytics", Need: api.Permission("analytics:read"), Summary: "Admissions, releases and occupancy of a period", Out: analyticsJSON{},
			Params: []api.Param{{Name: "period", Enum: []string{"7d", "30d", "90d", "365d"}, Help: "30d where it is absent"}}, Serve: s.showAnalytics},
		{Method: "GET", Path: "/api/v1/wards/{id}/occupancy", Need: read, Summary: "How many beds of a ward are in which state", Out: wardOccupancy{}, Serve: s.showWardOccupancy},
		{Method: "GET", Path: "/api/v1/departments/{id}/occupancy", Need: read, Summary: "How many beds of a department are in which state", Out: departmentOccupancy{}, Serve: s.showDepartmentOccupancy},
		{Method: "GET", Path: "/api/v1/stats/facilities", Need: read, Summary: "Facilities, beds and occupancy", Out: statsJSON{}, Params: []api.Param{{Name: "facilityId"}}, Serve: s.showStats},
	}
}

// figuresBy counts beds by what key says of them.
func (s *Service) figuresBy(ctx context.Context, f bedFilter, key func(count) string) (map[string]*figures, error) {
	counted, err := s.counts(ctx, f)
	if err != nil {
		return nil, err
	}
	return sum(counted, key), nil
}

func sum(counted []count, key func(count) string) map[string]*figures {
	by := map[string]*figures{}
	for _, c := range counted {
		add(by, key(c), c)
	}
	return by
}

func whole(count) string { return "" }

func (s *Service) showCapacity(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.theFacility(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	counted, err := s.counts(ctx, bedFilter{facility: v.Version.ID})
	if err != nil {
		return err
	}
	out := capacityJSON{FacilityID: v.Key(), occupancy: sum(counted, whole)[""].told(), ByBedType: map[string]occupancy{}, ByDepartment: []departmentOccupancy{}, ByWard: []wardOccupancy{}}
	out.Capacity = out.TotalBeds
	if said, ok := number(api.StringOrNumber(extension(v.Res.Node, capacityURL, "valueInteger"))); ok {
		out.Capacity = said
	}
	for class, f := range sum(counted, func(c count) string { return c.class }) {
		out.ByBedType[class] = f.told()
	}
	n := s.naming(ctx)
	if out.ByWard, err = s.byWard(n, v.Version.ID, counted); err != nil {
		return err
	}
	departments, err := s.organizations(ctx, kindDepartment)
	if err != nil {
		return err
	}
	by := sum(counted, func(c count) string { return c.department })
	for id, d := range departments {
		if d.part == v.Version.ID {
			out.ByDepartment = append(out.ByDepartment, departmentOccupancy{n.id("Organization", id), d.name, by[id].told()})
		}
	}
	slices.SortFunc(out.ByDepartment, func(a, b departmentOccupancy) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.DepartmentID, b.DepartmentID))
	})
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) byWard(n *naming, facility string, counted []count) ([]wardOccupancy, error) {
	wards, err := s.places(n.ctx, kindWard, facility)
	if err != nil {
		return nil, err
	}
	by, out := sum(counted, func(c count) string { return c.ward }), []wardOccupancy{}
	for id, p := range wards {
		out = append(out, tellOccupancy(n, p, by[id]))
	}
	slices.SortFunc(out, func(a, b wardOccupancy) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.WardID, b.WardID))
	})
	return out, nil
}

func tellOccupancy(n *naming, p *placeRow, f *figures) wardOccupancy {
	return wardOccupancy{n.id("Location", p.id), p.name, n.id("Organization", p.department), cmp.Or(p.class, "general"), wardStatus(p.status, f), f.told()}
}

func (s *Service) showWardOccupancy(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.theWard(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	wards, err := s.places(ctx, kindWard, "")
	if err != nil {
		return err
	}
	by, err := s.figuresBy(ctx, bedFilter{ward: v.Version.ID}, whole)
	if err != nil {
		return err
	}
	p := wards[v.Version.ID]
	if p == nil {
		p = &placeRow{id: v.Version.ID, name: v.Res.Str("name"), status: "inactive"} // deleted a moment ago
	}
	n := s.naming(ctx)
	out := tellOccupancy(n, p, by[""])
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) showDepartmentOccupancy(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theDepartment(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	by, err := s.figuresBy(r.Context(), bedFilter{department: v.Version.ID}, whole)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, departmentOccupancy{v.Key(), v.Res.Str("name"), by[""].told()})
}

func (s *Service) showStats(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	only, err := s.filterID(r, "facilityId", "Organization")
	if err != nil {
		return err
	}
	facilities, err := s.organizations(ctx, kindFacility)
	if err != nil {
		return err
	}
	departments, err := s.organizations(ctx, kindDepartment)
	if err != nil {
		return err
	}
	wards, err := s.places(ctx, kindWard, only)
	if err != nil {
		return err
	}
	counted, err := s.counts(ctx, bedFilter{facility: only})
	if err != nil {
		return err
	}
	out := statsJSON{TotalWards: len(wards), ByType: map[string]int{}, occupancy: sum(counted, whole)[""].told(), ByFacility: []facilityOccupancy{}}
	by, n := sum(counted, func(c count) string { return c.facility }), s.naming(ctx)
	for id, f := range facilities {
		if !matches(only, id) {
			continue
		}
		out.TotalFacilities++
		if f.status == "active" {
			out.ActiveFacilities++
		}
		out.ByType[f.class]++
		out.ByFacility = append(out.ByFacility, facilityOccupancy{n.id("Organization", id), f.name, f.class, by[id].told()})
	}
	for _, d := range departments {
		if matches(only, d.part) {
			out.TotalDepartments++
		}
	}
	slices.SortFunc(out.ByFacility, func(a, b facilityOccupancy) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.FacilityID, b.FacilityID))
	})
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) showAnalytics(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	v, err := s.theFacility(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	period := cmp.Or(r.URL.Query().Get("period"), "30d")
	days := map[string]int{"7d": 7, "30d": 30, "90d": 90, "365d": 365}[period]
	zone, err := s.Zone(ctx, v.Version.ID)
	if err != nil {
		return err
	}
	to := s.Records.Now().In(zone)
	from, _ := flat.Day(to.AddDate(0, 0, 1-days), zone)
	out := analyticsJSON{FacilityID: v.Key(), Period: period, From: from.Format(time.DateOnly), To: to.Format(time.DateOnly)}
	if err := s.analyse(ctx, v.Version.ID, from.UnixMicro(), to.UnixMicro(), &out); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// analyse counts the stays in a facility's beds within a period, given in microseconds since 1970.
func (s *Service) analyse(ctx context.Context, facility string, from, to int64, out *analyticsJSON) error {
	tenant := access.From(ctx).Tenant
	const beds = "FROM facility_bed b JOIN facility_place p ON p.tenant = b.tenant AND p.id = b.id"
	const within = "CASE WHEN s.ended_at = 0 OR s.ended_at > $4 THEN $4 ELSE s.ended_at END - CASE WHEN s.since < $3 THEN $3 ELSE s.since END"
	var began, ended, stayed, lay, standing int64
	err := s.Ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		if _, err := sqldb.QueryRow(ctx, q, []any{&standing}, "SELECT count(*) "+beds+" WHERE b.tenant = $1 AND p.facility = $2 AND b.deleted_at = 0", tenant, facility); err != nil {
			return err
		}
		_, err := sqldb.QueryRow(ctx, q, []any{&began, &ended, &stayed, &lay}, `SELECT coalesce(sum(CASE WHEN s.since >= $3 AND s.since < $4 THEN 1 ELSE 0 END), 0),
				coalesce(sum(CASE WHEN s.ended_at >= $3 AND s.ended_at < $4 THEN 1 ELSE 0 END), 0),
				CAST(coalesce(sum(CASE WHEN s.ended_at >= $3 AND s.ended_at < $4 THEN s.ended_at - s.since ELSE 0 END), 0) AS bigint),
				CAST(coalesce(sum(CASE WHEN s.since < $4 AND (s.ended_at = 0 OR s.ended_at > $3) THEN `+within+` ELSE 0 END), 0) AS bigint)
			`+beds+` JOIN facility_stay s ON s.tenant = b.tenant AND s.location = b.id AND s.contested = 0 WHERE b.tenant = $1 AND p.facility = $2`, tenant, facility, from, to)
		return err
	})
	if err != nil {
		return err
	}
	const hour, aday = float64(time.Hour / time.Microsecond), 24 * float64(time.Hour/time.Microsecond)
	out.Admissions, out.Releases = int(began), int(ended)
	if ended > 0 {
		mean := oneDigit(float64(stayed) / float64(ended) / hour)
		out.AverageStayHours = &mean
	}
	out.OccupiedBedDays, out.BedDays = oneDigit(float64(lay)/aday), oneDigit(float64(standing)*float64(to-from)/aday)
	if standing > 0 {
		share := oneDigit(100 * float64(lay) / (float64(standing) * float64(to-from)))
		out.OccupancyRate = &share
	}
	return nil
}

func oneDigit(f float64) float64 { return float64(int64(f*10+0.5)) / 10 }
