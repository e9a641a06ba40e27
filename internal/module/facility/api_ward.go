package facility

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// wardJSON is a ward as the product API tells it.
type wardJSON struct {
	ID                string   `json:"id"`
	WardID            string   `json:"wardId"`
	FacilityID        string   `json:"facilityId"`
	DepartmentID      string   `json:"departmentId"`
	Name              string   `json:"name"`
	NameAr            string   `json:"nameAr,omitempty"`
	WardCode          string   `json:"wardCode"`
	WardType          string   `json:"wardType"`
	Floor             *int     `json:"floor,omitempty"`
	TotalBeds         int      `json:"totalBeds" doc:"what the ward is meant to have, or those that it has, where those are more"`
	BedsSetUp         int      `json:"bedsSetUp" doc:"those that it has"`
	OccupiedBeds      int      `json:"occupiedBeds"`
	AvailableBeds     int      `json:"availableBeds"`
	OccupancyRate     *float64 `json:"occupancyRate" doc:"percent of those that it has; null: it has none"`
	NurseStationPhone string   `json:"nurseStationPhone"`
	Status            string   `json:"status" doc:"active, full, maintenance or closed"`
	GenderRestriction string   `json:"genderRestriction"`
	CreatedAt         string   `json:"createdAt"`
	UpdatedAt         string   `json:"updatedAt"`
}

type wardOne struct {
	wardJSON
	Ward wardJSON `json:"ward"`
}

type wardList struct {
	Wards []wardJSON `json:"wards"`
}

type wardIn struct {
	FacilityID        *api.StringOrNumber `json:"facilityId"`
	DepartmentID      *api.StringOrNumber `json:"departmentId"`
	Name              *string             `json:"name"`
	NameAr            *string             `json:"nameAr"`
	WardCode          *api.StringOrNumber `json:"wardCode"`
	WardType          *string             `json:"wardType"`
	TotalBeds         *int                `json:"totalBeds"`
	Floor             *api.StringOrNumber `json:"floor"`
	NurseStationPhone *string             `json:"nurseStationPhone"`
	GenderRestriction *string             `json:"genderRestriction"`
	Status            *string             `json:"status"`
}

func wardStates() []string { return []string{"active", "full", "maintenance", "closed"} }

func (s *Service) wardRoutes() []api.Route {
	read, update := api.Permission("facilities:read"), api.Permission("facilities:update")
	filters := []api.Param{{Name: "wardType", Enum: wardTypes()}, {Name: "status", Enum: wardStates()}}
	return []api.Route{
		{Method: "GET", Path: "/api/v1/wards", Need: read, Summary: "Wards, by name, with how many beds are free", Out: wardList{},
			Params: api.Paged(append(filters, api.Param{Name: "facilityId"}, api.Param{Name: "departmentId"})...), Serve: s.listWards},
		{Method: "GET", Path: "/api/v1/departments/{id}/wards", Need: read, Summary: "A department's wards", Out: wardList{}, Params: api.Paged(filters...), Serve: s.listOwnWards},
		{Method: "POST", Path: "/api/v1/wards", Need: update, Summary: "Open a ward", In: wardIn{}, Out: wardOne{}, Serve: s.createWard},
		{Method: "GET", Path: "/api/v1/wards/{id}", Need: read, Summary: "A ward", Out: wardOne{}, Serve: s.getWard},
		{Method: "PUT", Path: "/api/v1/wards/{id}", Need: update, Summary: "Change a ward", In: wardIn{}, Out: wardOne{}, Serve: s.updateWard},
		{Method: "DELETE", Path: "/api/v1/wards/{id}", Need: update, Summary: "Close a ward: it takes nobody in from then on. Refused while anybody lies there", Out: closedOut{}, Serve: s.closeWard},
	}
}

func (s *Service) listWards(w http.ResponseWriter, r *http.Request) error {
	facility, err := s.filterID(r, "facilityId", "Organization")
	if err != nil {
		return err
	}
	department, err := s.filterID(r, "departmentId", "Organization")
	if err != nil {
		return err
	}
	return s.showWards(w, r, facility, department)
}

func (s *Service) listOwnWards(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theDepartment(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.showWards(w, r, "", v.Version.ID)
}

func (s *Service) showWards(w http.ResponseWriter, r *http.Request, facility, department string) error {
	ctx, q := r.Context(), r.URL.Query()
	all, err := s.places(ctx, kindWard, facility)
	if err != nil {
		return err
	}
	by, err := s.figuresBy(ctx, bedFilter{facility: facility, department: department}, func(c count) string { return c.ward })
	if err != nil {
		return err
	}
	var found []*placeRow
	for _, p := range all {
		if matches(department, p.department) && matches(q.Get("wardType"), p.class) && matches(q.Get("status"), wardStatus(p.status, by[p.id])) {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b *placeRow) int {
		return cmp.Or(cmp.Compare(a.facility, b.facility), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	part, p, err := page(r, found)
	if err != nil {
		return err
	}
	refs := make([]string, len(part))
	for k, one := range part {
		refs[k] = "Location/" + one.id
	}
	records, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return err
	}
	n, out := s.naming(ctx), []wardJSON{}
	for _, one := range part {
		if v := records["Location/"+one.id]; v != nil {
			out = append(out, tellWard(n, v, one, by[one.id]))
		}
	}
	if n.err != nil {
		return n.err
	}
	return api.List(w, r, wardList{out}, p)
}

// wardStatus is a ward's status as the product API names it.
func wardStatus(status string, beds *figures) string {
	switch {
	case status == "inactive":
		return "closed"
	case status == "suspended":
		return "maintenance"
	case beds != nil && beds.total > 0 && beds.states[available] == 0:
		return "full"
	}
	return "active"
}

func tellWard(n *naming, v *flat.Record, p *placeRow, beds *figures) wardJSON {
	r := v.Res
	if beds == nil {
		beds = &figures{}
	}
	out := wardJSON{ID: v.Key(), WardID: v.Key(), FacilityID: n.id("Organization", p.facility), DepartmentID: n.id("Organization", p.department), Name: r.Str("name"), WardCode: p.code,
		WardType: cmp.Or(p.class, "general"), TotalBeds: max(p.capacity, beds.total), BedsSetUp: beds.total, OccupiedBeds: beds.states[occupied], AvailableBeds: beds.states[available],
		OccupancyRate: rate(beds.states[occupied], beds.total), NurseStationPhone: flat.Telecom(r.Node, "phone"), Status: wardStatus(p.status, beds),
		GenderRestriction: cmp.Or(code(r.Node, genderURL), "mixed"), CreatedAt: flat.Created(v), UpdatedAt: flat.Stamp(v)}
	if p.status != "active" {
		out.AvailableBeds = 0
	}
	if out.WardCode == "" {
		if i := flat.Items(r.Get("identifier")); len(i) > 0 {
			out.WardCode = i[0].Str("value")
		}
	}
	if f, err := strconv.Atoi(extension(r.Node, floorURL, "valueInteger")); err == nil {
		out.Floor = &f
	}
	if a := flat.Items(r.Get("alias")); len(a) > 0 {
		out.NameAr = a[0].Text
	}
	return out
}

// theWard is a ward by its id of the product API. NotFound.
func (s *Service) theWard(ctx context.Context, id string) (*flat.Record, error) {
	v, err := s.Records.Read(ctx, "Location", id)
	if err != nil {
		return nil, missing(err, "ward")
	}
	if kindOf(v.Res) != kindWard {
		return nil, fault.New(fault.NotFound, "there is no ward with this id")
	}
	return v, nil
}

func (s *Service) answerWard(w http.ResponseWriter, r *http.Request, status int, v *flat.Record) error {
	ctx := r.Context()
	all, err := s.places(ctx, kindWard, "")
	if err != nil {
		return err
	}
	by, err := s.figuresBy(ctx, bedFilter{ward: v.Version.ID}, func(c count) string { return c.ward })
	if err != nil {
		return err
	}
	p := all[v.Version.ID]
	if p == nil {
		return fault.New(fault.NotFound, "there is no ward with this id")
	}
	n := s.naming(ctx)
	one := tellWard(n, v, p, by[p.id])
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, status, wardOne{one, one})
}

func (s *Service) getWard(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theWard(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerWard(w, r, http.StatusOK, v)
}

// departmentOf is the FHIR id of a department of the facility that a body names.
func (s *Service) departmentOf(ctx context.Context, id, facility string) (string, error) {
	if err := need("departmentId", id); err != nil {
		return "", err
	}
	v, err := s.theDepartment(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return "", fault.At(fault.Unprocessable, "departmentId", "there is no department with this id").WithCode("not-found")
	}
	if err != nil {
		return "", err
	}
	if facility != "" && !sameRef(flat.RefOf(v.Res.Get("partOf")), "Organization/"+facility) {
		return "", fault.At(fault.Unprocessable, "departmentId", "the department is another facility's").WithCode("business-rule")
	}
	return v.Version.ID, nil
}

// groundsOf is a reference to the facility's site; "" where it has none.
func (s *Service) groundsOf(ctx context.Context, facility string) (string, error) {
	all, err := s.places(ctx, kindSite, facility)
	if err != nil || len(all) == 0 {
		return "", err
	}
	ids := make([]string, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	return "Location/" + slices.Min(ids), nil
}

func (s *Service) createWard(w http.ResponseWriter, r *http.Request) error {
	var in wardIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	if err := first(need("facilityId", value(in.FacilityID)), need("departmentId", value(in.DepartmentID)), need("name", value(in.Name)), need("wardCode", value(in.WardCode)),
		need("wardType", value(in.WardType))); err != nil {
		return err
	}
	if in.TotalBeds == nil {
		return need("totalBeds", "")
	}
	facility, err := s.facilityOf(ctx, "facilityId", string(*in.FacilityID))
	if err != nil {
		return err
	}
	department, err := s.departmentOf(ctx, string(*in.DepartmentID), facility)
	if err != nil {
		return err
	}
	grounds, err := s.groundsOf(ctx, facility)
	if err != nil {
		return err
	}
	loc, err := flat.Make("Location", map[string]any{"status": "active", "mode": "instance", "managingOrganization": map[string]any{"reference": "Organization/" + department},
		"partOf": map[string]any{"reference": grounds}, "physicalType": map[string]any{"coding": []any{map[string]any{"system": physicalType, "code": kindWard, "display": "Ward"}}}})
	if err != nil {
		return err
	}
	if err := in.apply(loc); err != nil {
		return err
	}
	v, err := s.Records.Create(ctx, loc)
	if err != nil {
		return err
	}
	return s.answerWard(w, r, http.StatusCreated, v)
}

// apply changes what the request says, but for where the ward belongs.
func (in *wardIn) apply(r *fhir.Resource) error {
	if err := first(oneOf("wardType", value(in.WardType), wardTypes()), oneOf("genderRestriction", value(in.GenderRestriction), genders()), oneOf("status", value(in.Status), wardStates()),
		short("name", value(in.Name)), short("wardCode", value(in.WardCode))); err != nil {
		return err
	}
	if n := in.TotalBeds; n != nil {
		if *n < 1 || *n > manyBeds {
			return fault.At(fault.Invalid, "totalBeds", "must be from 1 to %d", manyBeds).WithCode("value")
		}
		if err := setExtension(r.Node, capacityURL, "valueInteger", *n); err != nil {
			return err
		}
	}
	if in.NurseStationPhone != nil {
		tel, err := phone("nurseStationPhone", *in.NurseStationPhone)
		if err != nil {
			return err
		}
		if err := setTelecom(r.Node, &tel, nil); err != nil {
			return err
		}
	}
	if in.WardType != nil {
		if err := setTypeCode(r, wardTypeSystem, *in.WardType, ""); err != nil {
			return err
		}
	}
	if in.GenderRestriction != nil {
		if err := setExtension(r.Node, genderURL, "valueCode", *in.GenderRestriction); err != nil {
			return err
		}
	}
	return first(setText(r, "name", in.Name), setAlias(r, in.NameAr), setCode(r, wardCodeSystem, in.WardCode), setFloor(r, in.Floor), setWardStatus(r, value(in.Status)))
}

// setWardStatus sets what a ward may be set to: full is no status but a figure.
func setWardStatus(r *fhir.Resource, status string) error {
	to, ok := map[string]string{"active": "active", "maintenance": "suspended", "closed": "inactive"}[status]
	switch {
	case status == "":
		return nil
	case !ok:
		return fault.At(fault.Invalid, "status", "a ward is full while no bed is free: it cannot be set").WithCode("value")
	}
	return flat.Set(r.Node, "status", to)
}

func (s *Service) updateWard(w http.ResponseWriter, r *http.Request) error {
	var in wardIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	v, err := s.theWard(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	facility, department := "", ""
	if in.FacilityID != nil {
		if facility, err = s.facilityOf(ctx, "facilityId", string(*in.FacilityID)); err != nil {
			return err
		}
	}
	if in.DepartmentID != nil {
		if department, err = s.departmentOf(ctx, string(*in.DepartmentID), facility); err != nil {
			return err
		}
	}
	if in.Status != nil && *in.Status == "full" { // a front end sends back what it was told
		in.Status = nil
	}
	if v, err = s.Records.Update(ctx, "Location", v.Version.ID, 0, func(res *fhir.Resource) error {
		if department != "" {
			if err := flat.Set(res.Node, "managingOrganization", map[string]any{"reference": "Organization/" + department}); err != nil {
				return err
			}
		}
		return in.apply(res)
	}); err != nil {
		return err
	}
	return s.answerWard(w, r, http.StatusOK, v)
}

func (s *Service) closeWard(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theWard(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if _, err = s.Records.Update(r.Context(), "Location", v.Version.ID, 0, func(res *fhir.Resource) error { return setWardStatus(res, "closed") }); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, closedOut{v.Key(), "closed", "the ward takes nobody in from now on"})
}
