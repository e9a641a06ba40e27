package facility

import (
	"context"
	"net/http"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

type bedOne struct {
	bedJSON
	Bed bedJSON `json:"bed"`
}

type bedList struct {
	Beds  []bedJSON `json:"beds"`
	Count int       `json:"count"`
}

type bedIn struct {
	FacilityID       *api.StringOrNumber `json:"facilityId"`
	DepartmentID     *api.StringOrNumber `json:"departmentId"`
	WardID           *api.StringOrNumber `json:"wardId"`
	BedNumber        *api.StringOrNumber `json:"bedNumber"`
	BedType          *string             `json:"bedType"`
	Location         *string             `json:"location"`
	Notes            *string             `json:"notes"`
	HasOxygen        *bool               `json:"hasOxygen"`
	HasMonitor       *bool               `json:"hasMonitor"`
	HasVentilator    *bool               `json:"hasVentilator"`
	IsolationCapable *bool               `json:"isolationCapable"`
	IsActive         *bool               `json:"isActive"`
}

type statusIn struct {
	Status    string             `json:"status"`
	PatientID api.StringOrNumber `json:"patientId" doc:"of a reservation: for whom"`
	Until     string             `json:"until" doc:"of a reservation: how long; two hours where nothing is said"`
}

type assignIn struct {
	PatientID             api.StringOrNumber `json:"patientId"`
	EncounterID           api.StringOrNumber `json:"encounterId" doc:"the patient's open inpatient encounter, or a new one, where nothing is said"`
	AssignmentDate        string             `json:"assignmentDate"`
	ExpectedDischargeDate string             `json:"expectedDischargeDate"`
	Notes                 string             `json:"notes"`
}

type assigned struct {
	bedOne
	EncounterID string `json:"encounterId"`
}

type releaseIn struct {
	ReleaseReason string `json:"releaseReason"`
}

type transferIn struct {
	ToBedID api.StringOrNumber `json:"toBedId"`
	Notes   string             `json:"notes"`
}

type transferred struct {
	bedOne         // the new one
	From   bedJSON `json:"from"`
}

type reserveIn struct {
	PatientID api.StringOrNumber `json:"patientId"`
	Until     string             `json:"until"`
}

type stayJSON struct {
	EncounterID           *string `json:"encounterId"`
	PatientID             *string `json:"patientId" doc:"null where the caller may not see who"`
	PatientName           *string `json:"patientName"`
	AssignedAt            *string `json:"assignedAt"`
	ReleasedAt            *string `json:"releasedAt" doc:"null: the stay goes on"`
	ExpectedDischargeDate *string `json:"expectedDischargeDate"`
	ReleaseReason         *string `json:"releaseReason"`
	Notes                 *string `json:"notes"`
	Contested             bool    `json:"contested" doc:"found in a database of before, where another had the bed"`
}

type historyList struct {
	BedID   string     `json:"bedId"`
	History []stayJSON `json:"history"`
}

func (s *Service) bedRoutes() []api.Route {
	read, update, assign, structure := api.Permission("beds:read"), api.Permission("beds:update"), api.Permission("beds:assign"), api.Permission("facilities:update")
	truth := func(name string) api.Param { return api.Param{Name: name, Type: api.Truth} }
	filters := []api.Param{{Name: "bedType", Enum: bedTypes()}, {Name: "bedStatus", Enum: bedStates()}, truth("hasOxygen"), truth("hasMonitor"), truth("hasVentilator"), truth("isolationCapable"),
		truth("isAvailable"), truth("isActive")}
	places := []api.Param{{Name: "facilityId"}, {Name: "departmentId"}, {Name: "wardId"}}
	return []api.Route{
		{Method: "GET", Path: "/api/v1/beds", Need: read, Summary: "Beds, by ward and number", Out: bedList{}, Params: api.Paged(append(places, filters...)...), Serve: s.listBeds},
		{Method: "POST", Path: "/api/v1/beds", Need: structure, Summary: "Set up a bed", In: bedIn{}, Out: bedOne{}, Serve: s.createBed},
		{Method: "GET", Path: "/api/v1/beds/available", Need: read, Summary: "All beds of a facility that may be assigned now", Out: bedList{},
			Params: []api.Param{{Name: "facilityId", Required: true}, {Name: "wardId"}, {Name: "bedType", Enum: bedTypes()}}, Serve: s.listAvailable},
		{Method: "GET", Path: "/api/v1/beds/board", Need: read, Summary: "A facility's whole bed board in one answer", Out: boardJSON{},
			Params: []api.Param{{Name: "facilityId"}, {Name: "departmentId"}, {Name: "wardId"}, {Name: "patients", Type: api.Truth, Help: "false: without who lies there, which is faster"}}, Serve: s.showBoard},
		{Method: "GET", Path: "/api/v1/beds/{id}", Need: read, Summary: "A bed", Out: bedOne{}, Serve: s.getBed},
		{Method: "PUT", Path: "/api/v1/beds/{id}", Need: structure, Summary: "Change a bed", In: bedIn{}, Out: bedOne{}, Serve: s.updateBed},
		{Method: "DELETE", Path: "/api/v1/beds/{id}", Need: structure, Summary: "Take a bed out of use. Refused while anybody lies there", Out: closedOut{}, Serve: s.closeBed},
		{Method: "PUT", Path: "/api/v1/beds/{id}/status", Need: update, Summary: "Say that a bed in which nobody lies is available, reserved, being cleaned, under maintenance or out of service",
			In: statusIn{}, Out: bedOne{}, Serve: s.putStatus},
		{Method: "POST", Path: "/api/v1/beds/{id}/assign", Need: assign, Summary: "Put a patient into a bed", In: assignIn{}, Out: assigned{}, Serve: s.postAssign},
		{Method: "POST", Path: "/api/v1/beds/{id}/release", Need: assign, Summary: "Have the patient leave the bed, which is cleaned from then on", In: releaseIn{}, Out: bedOne{}, Serve: s.postRelease},
		{Method: "POST", Path: "/api/v1/beds/{id}/transfer", Need: assign, Summary: "Move the patient to another bed", In: transferIn{}, Out: transferred{}, Serve: s.postTransfer},
		{Method: "POST", Path: "/api/v1/beds/{id}/reserve", Need: assign, Summary: "Keep a free bed for a patient until a time", In: reserveIn{}, Out: bedOne{}, Serve: s.postReserve},
		{Method: "GET", Path: "/api/v1/beds/{id}/history", Need: read, Summary: "Who lay in a bed, the newest first", Out: historyList{}, Params: api.Paged(), Serve: s.showHistory},
		{Method: "GET", Path: "/api/v1/wards/{id}/beds", Need: read, Summary: "A ward's beds", Out: bedList{}, Params: api.Paged(filters...), Serve: s.listWardBeds},
		{Method: "GET", Path: "/api/v1/facilities/{id}/beds", Need: read, Summary: "A facility's beds", Out: bedList{}, Params: api.Paged(filters...), Serve: s.listFacilityBeds},
	}
}

// filter reads the parameters of a listing of beds.
func (s *Service) filter(r *http.Request) (bedFilter, error) {
	q := r.URL.Query()
	f := bedFilter{class: q.Get("bedType"), state: q.Get("bedStatus")}
	var err error
	for _, one := range []struct {
		to        *string
		name, typ string
	}{{&f.facility, "facilityId", "Organization"}, {&f.department, "departmentId", "Organization"}, {&f.ward, "wardId", "Location"}} {
		if *one.to, err = s.filterID(r, one.name, one.typ); err != nil {
			return f, err
		}
	}
	for bit, name := range []string{"hasOxygen", "hasMonitor", "hasVentilator", "isolationCapable"} {
		switch q.Get(name) {
		case "true":
			f.has |= 1 << bit
		case "false":
			f.hasNot |= 1 << bit
		}
	}
	f.inUse, f.free = truthOf(q.Get("isActive")), truthOf(q.Get("isAvailable"))
	return f, nil
}

func truthOf(v string) *bool {
	if v == "" {
		return nil
	}
	is := v == "true"
	return &is
}

func (s *Service) listBeds(w http.ResponseWriter, r *http.Request) error {
	return s.showBeds(w, r, func(*bedFilter) error { return nil })
}

func (s *Service) listWardBeds(w http.ResponseWriter, r *http.Request) error {
	return s.showBeds(w, r, func(f *bedFilter) error {
		v, err := s.theWard(r.Context(), r.PathValue("id"))
		if err == nil {
			f.ward = v.Version.ID
		}
		return err
	})
}

func (s *Service) listFacilityBeds(w http.ResponseWriter, r *http.Request) error {
	return s.showBeds(w, r, func(f *bedFilter) error {
		v, err := s.theFacility(r.Context(), r.PathValue("id"))
		if err == nil {
			f.facility = v.Version.ID
		}
		return err
	})
}

func (s *Service) showBeds(w http.ResponseWriter, r *http.Request, narrow func(*bedFilter) error) error {
	f, err := s.filter(r)
	if err != nil {
		return err
	}
	if err := narrow(&f); err != nil {
		return err
	}
	var p api.Page
	if _, p, err = page(r, []int{}); err != nil {
		return err
	}
	f.limit, f.skip = p.Limit, (p.Page-1)*p.Limit
	rows, total, err := s.beds(r.Context(), f)
	if err != nil {
		return err
	}
	all, err := s.tellBeds(r.Context(), rows, true)
	if err != nil {
		return err
	}
	p.Total = total
	return api.List(w, r, bedList{all, len(all)}, p)
}

func (s *Service) listAvailable(w http.ResponseWriter, r *http.Request) error {
	f, err := s.filter(r)
	if err != nil {
		return err
	}
	if f.facility, err = s.facilityOf(r.Context(), "facilityId", r.URL.Query().Get("facilityId")); err != nil {
		return err
	}
	free := true
	f.free = &free
	rows, _, err := s.beds(r.Context(), f)
	if err != nil {
		return err
	}
	all, err := s.tellBeds(r.Context(), rows, true)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, bedList{all, len(all)})
}

func (s *Service) answerBed(w http.ResponseWriter, r *http.Request, status int, id string) error {
	one, err := s.oneBed(r.Context(), id)
	if err != nil {
		return err
	}
	return api.Answer(w, r, status, bedOne{*one, *one})
}

func (s *Service) getBed(w http.ResponseWriter, r *http.Request) error {
	return s.answerBed(w, r, http.StatusOK, r.PathValue("id"))
}

func (s *Service) createBed(w http.ResponseWriter, r *http.Request) error {
	var in bedIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	if err := first(need("wardId", value(in.WardID)), need("bedNumber", value(in.BedNumber)), need("bedType", value(in.BedType))); err != nil {
		return err
	}
	ward, err := s.wardFor(ctx, &in)
	if err != nil {
		return err
	}
	loc, err := flat.Make("Location", map[string]any{"status": "active", "mode": "instance", "partOf": map[string]any{"reference": ward.Ref()},
		"operationalStatus": map[string]any{"system": bedStatus, "code": "U", "display": "Unoccupied"},
		"physicalType":      map[string]any{"coding": []any{map[string]any{"system": physicalType, "code": kindBed, "display": "Bed"}}}})
	if err != nil {
		return err
	}
	if org := ward.Res.Get("managingOrganization"); org != nil {
		loc.Set("managingOrganization", org.Clone())
	}
	if err := in.apply(loc); err != nil {
		return err
	}
	v, err := s.Records.Create(ctx, loc)
	if err != nil {
		return err
	}
	return s.answerBed(w, r, http.StatusCreated, v.Key())
}

// wardFor is the ward that a body names, and holds the department and the facility that it names against it.
func (s *Service) wardFor(ctx context.Context, in *bedIn) (*flat.Record, error) {
	ward, err := s.theWard(ctx, string(*in.WardID))
	if fault.Is(err, fault.NotFound) {
		return nil, fault.At(fault.Unprocessable, "wardId", "there is no ward with this id").WithCode("not-found")
	}
	if err != nil {
		return nil, err
	}
	all, err := s.places(ctx, kindWard, "")
	if err != nil {
		return nil, err
	}
	p := all[ward.Version.ID]
	if p == nil {
		return nil, fault.At(fault.Unprocessable, "wardId", "there is no ward with this id").WithCode("not-found")
	}
	for _, one := range []struct{ field, said, is string }{{"departmentId", value(in.DepartmentID), p.department}, {"facilityId", value(in.FacilityID), p.facility}} {
		if one.said == "" {
			continue
		}
		id, err := s.Records.FHIRID(ctx, "Organization", one.said)
		if err != nil {
			return nil, err
		}
		if id != one.is {
			return nil, fault.At(fault.Unprocessable, one.field, "the ward belongs to another one").WithCode("business-rule")
		}
	}
	return ward, nil
}

// apply changes what the request says, but for where the bed stands.
func (in *bedIn) apply(r *fhir.Resource) error {
	if err := first(oneOf("bedType", value(in.BedType), bedTypes()), short("bedNumber", value(in.BedNumber)), short("location", value(in.Location)), short("notes", value(in.Notes))); err != nil {
		return err
	}
	if in.BedNumber != nil {
		if err := need("bedNumber", string(*in.BedNumber)); err != nil {
			return err
		}
		name := string(*in.BedNumber)
		if _, err := time.Parse("2", name); err == nil || len(name) < 4 {
			name = "Bed " + name
		}
		if err := first(flat.SetIdentifier(r, bedNumberSystem, "", string(*in.BedNumber)), flat.Set(r.Node, "name", name)); err != nil {
			return err
		}
	}
	if in.BedType != nil {
		if err := setTypeCode(r, bedTypeSystem, *in.BedType, ""); err != nil {
			return err
		}
	}
	if in.Location != nil {
		if err := flat.Set(r.Node, "description", *in.Location); err != nil {
			return err
		}
	}
	if in.IsActive != nil {
		status := "inactive"
		if *in.IsActive {
			status = "active"
		}
		if err := flat.Set(r.Node, "status", status); err != nil {
			return err
		}
	}
	return first(setOptional(r, notesURL, in.Notes), in.equip(r))
}

// equip sets what the bed has, as far as the request says.
func (in *bedIn) equip(r *fhir.Resource) error {
	had := map[string]bool{}
	for _, one := range extensions(r.Node, equipmentURL, "valueCode") {
		had[one] = true
	}
	for k, v := range []*bool{in.HasOxygen, in.HasMonitor, in.HasVentilator, in.IsolationCapable} {
		if v != nil {
			had[equipment()[k]] = *v
		}
	}
	var all []any
	for _, name := range equipment() {
		if had[name] {
			all = append(all, name)
		}
	}
	return setExtensions(r.Node, equipmentURL, "valueCode", all...)
}

func (s *Service) updateBed(w http.ResponseWriter, r *http.Request) error {
	var in bedIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx := r.Context()
	_, v, err := s.theBed(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	var ward *flat.Record
	if in.WardID != nil {
		if ward, err = s.wardFor(ctx, &in); err != nil {
			return err
		}
	}
	if _, err = s.Records.Update(ctx, "Location", v.Version.ID, 0, func(res *fhir.Resource) error {
		if ward != nil {
			if err := flat.Set(res.Node, "partOf", map[string]any{"reference": ward.Ref()}); err != nil {
				return err
			}
			if org := ward.Res.Get("managingOrganization"); org != nil {
				res.Set("managingOrganization", org.Clone())
			}
		}
		return in.apply(res)
	}); err != nil {
		return err
	}
	return s.answerBed(w, r, http.StatusOK, v.Key())
}

func (s *Service) closeBed(w http.ResponseWriter, r *http.Request) error {
	_, v, err := s.theBed(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if _, err = s.Records.Update(r.Context(), "Location", v.Version.ID, 0, func(res *fhir.Resource) error { return flat.Set(res.Node, "status", "inactive") }); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"id": v.Key(), "isActive": false, "message": "the bed is out of use from now on"})
}

func (s *Service) putStatus(w http.ResponseWriter, r *http.Request) error {
	var in statusIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	id := r.PathValue("id")
	if in.Status == reserved {
		if caller := access.From(r.Context()); !caller.Permits("beds:assign") {
			return fault.New(fault.Forbidden, "reserving a bed needs the permission beds:assign")
		}
		return s.reserveUntil(w, r, id, string(in.PatientID), in.Until)
	}
	if in.PatientID != "" || in.Until != "" {
		return fault.At(fault.Invalid, "status", "patientId and until belong to a reservation").WithCode("value")
	}
	if err := s.SetStatus(r.Context(), id, in.Status); err != nil {
		return err
	}
	return s.answerBed(w, r, http.StatusOK, id)
}

func (s *Service) postReserve(w http.ResponseWriter, r *http.Request) error {
	var in reserveIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	return s.reserveUntil(w, r, r.PathValue("id"), string(in.PatientID), in.Until)
}

// zoneOf is the zone of the bed's facility.
func (s *Service) zoneOf(ctx context.Context, bedID string) (*time.Location, error) {
	b, _, err := s.theBed(ctx, bedID)
	if err != nil {
		return nil, err
	}
	return s.Zone(ctx, b.facility)
}

func (s *Service) reserveUntil(w http.ResponseWriter, r *http.Request, id, patient, until string) error {
	zone, err := s.zoneOf(r.Context(), id)
	if err != nil {
		return err
	}
	t, err := when("until", until, zone)
	if err != nil {
		return err
	}
	if err := s.Reserve(r.Context(), id, patient, t); err != nil {
		return err
	}
	return s.answerBed(w, r, http.StatusOK, id)
}

func (s *Service) postAssign(w http.ResponseWriter, r *http.Request) error {
	var in assignIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	ctx, id := r.Context(), r.PathValue("id")
	zone, err := s.zoneOf(ctx, id)
	if err != nil {
		return err
	}
	if err := first(need("patientId", string(in.PatientID)), short("notes", in.Notes)); err != nil {
		return err
	}
	a := Assignment{Patient: string(in.PatientID), Encounter: string(in.EncounterID), Notes: in.Notes}
	if a.At, err = when("assignmentDate", in.AssignmentDate, zone); err != nil {
		return err
	}
	if a.Expected, err = day("expectedDischargeDate", in.ExpectedDischargeDate, zone); err != nil {
		return err
	}
	encounter, err := s.Assign(ctx, id, a)
	if err != nil {
		return err
	}
	one, err := s.oneBed(ctx, id)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, assigned{bedOne{*one, *one}, encounter})
}

func (s *Service) postRelease(w http.ResponseWriter, r *http.Request) error {
	var in releaseIn
	if r.ContentLength != 0 {
		if err := api.Decode(r, &in); err != nil {
			return err
		}
	}
	if err := short("releaseReason", in.ReleaseReason); err != nil {
		return err
	}
	if err := s.Release(r.Context(), r.PathValue("id"), in.ReleaseReason); err != nil {
		return err
	}
	return s.answerBed(w, r, http.StatusOK, r.PathValue("id"))
}

func (s *Service) postTransfer(w http.ResponseWriter, r *http.Request) error {
	var in transferIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if err := short("notes", in.Notes); err != nil {
		return err
	}
	if err := s.Transfer(r.Context(), r.PathValue("id"), string(in.ToBedID), in.Notes); err != nil {
		return err
	}
	from, err := s.oneBed(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	to, err := s.oneBed(r.Context(), string(in.ToBedID))
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, transferred{bedOne{*to, *to}, *from})
}

func (s *Service) showHistory(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	_, v, err := s.theBed(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	_, p, err := page(r, []int{})
	if err != nil {
		return err
	}
	rows, total, err := s.stays(ctx, v.Version.ID, p.Limit, (p.Page-1)*p.Limit)
	if err != nil {
		return err
	}
	var refs []string
	for _, one := range rows {
		refs = append(refs, one.occupant, "Encounter/"+one.encounter)
	}
	seen, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return err
	}
	n, out := s.naming(ctx), historyList{BedID: v.Key(), History: []stayJSON{}}
	for _, one := range rows {
		out.History = append(out.History, tellStay(n, &one, seen))
	}
	if n.err != nil {
		return n.err
	}
	p.Total = total
	return api.List(w, r, out, p)
}

func tellStay(n *naming, one *stayRow, seen map[string]*flat.Record) stayJSON {
	out := stayJSON{AssignedAt: stamp(one.since), ReleasedAt: stamp(one.ended), ExpectedDischargeDate: some(one.expected), Contested: one.contested}
	if p := seen[one.occupant]; p != nil && p.Type == "Patient" && p.Res != nil {
		out.PatientID, out.PatientName = n.of(one.occupant), some(flat.FullName(p.Res))
	}
	e := seen["Encounter/"+one.encounter]
	if e == nil || e.Res == nil {
		return out
	}
	out.EncounterID = n.of("Encounter/" + one.encounter)
	for _, l := range flat.Items(e.Res.Get("location")) {
		if sameRef(flat.RefOf(l.Get("location")), "Location/"+one.location) {
			out.ReleaseReason, out.Notes = some(extension(l, reasonURL, "valueString")), some(extension(l, notesURL, "valueString"))
		}
	}
	return out
}
