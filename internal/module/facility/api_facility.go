package facility

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/web/api"
)

// facilityJSON is a facility as the product API tells it.
type facilityJSON struct {
	ID             string   `json:"id"`
	FacilityCode   string   `json:"facilityCode"`
	Name           string   `json:"name"`
	NameAr         string   `json:"nameAr,omitempty"`
	Type           string   `json:"type"`
	Address        string   `json:"address"`
	City           string   `json:"city"`
	State          string   `json:"state"`
	PostalCode     string   `json:"postalCode,omitempty"`
	Country        string   `json:"country"`
	Phone          string   `json:"phone"`
	Email          string   `json:"email"`
	Capacity       int      `json:"capacity" doc:"beds: as it was said, else those that there are"`
	TotalBeds      int      `json:"totalBeds" doc:"those that there are"`
	OccupiedBeds   int      `json:"occupiedBeds"`
	AvailableBeds  int      `json:"availableBeds"`
	Status         string   `json:"status"`
	OrganizationID *string  `json:"organizationId,omitempty"`
	LicenseNumber  *string  `json:"licenseNumber,omitempty"`
	LicenseExpiry  *string  `json:"licenseExpiry,omitempty"`
	Services       []string `json:"services"`
	CreatedAt      string   `json:"createdAt"`
	UpdatedAt      string   `json:"updatedAt"`
}

type facilityOne struct {
	facilityJSON
	Facility facilityJSON `json:"facility"`
}

type facilityList struct {
	Facilities []facilityJSON `json:"facilities"`
}

// facilityIn is what a request says of a facility; what it leaves out stays as it is.
type facilityIn struct {
	FacilityCode *api.StringOrNumber `json:"facilityCode"`
	Name         *string             `json:"name"`
	NameAr       *string             `json:"nameAr"`
	Type         *string             `json:"type"`
	Address      *address            `json:"address"`
	City         *string             `json:"city"`
	State        *string             `json:"state"`
	PostalCode   *api.StringOrNumber `json:"postalCode"`
	Country      *string             `json:"country"`
	Phone        *string             `json:"phone"`
	Email        *string             `json:"email"`
	ContactInfo  *struct {
		Phone *string `json:"phone"`
		Email *string `json:"email"`
	} `json:"contactInfo"`
	Capacity       *capacity           `json:"capacity"`
	Status         *string             `json:"status"`
	OrganizationID *api.StringOrNumber `json:"organizationId"`
	LicenseNumber  *api.StringOrNumber `json:"licenseNumber"`
	LicenseExpiry  *string             `json:"licenseExpiry"`
	Services       *[]string           `json:"services"`

	parent *string // what OrganizationID means: a reference, or "" for none
}

func (s *Service) facilityRoutes() []api.Route {
	read, create, update, remove := api.Permission("facilities:read"), api.Permission("facilities:create"), api.Permission("facilities:update"), api.Permission("facilities:delete")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/facilities", Need: read, Summary: "Facilities, by name", Out: facilityList{},
			Params: api.Paged(api.Param{Name: "type", Enum: facilityTypes()}, api.Param{Name: "status", Enum: []string{"active", "inactive", "maintenance"}},
				api.Param{Name: "state", Enum: states()}, api.Param{Name: "search", Help: "a part of the name or the code"}), Serve: s.listFacilities},
		{Method: "POST", Path: "/api/v1/facilities", Need: create, Summary: "Open a facility: its organization and its grounds", In: facilityIn{}, Out: facilityOne{}, Serve: s.createFacility},
		{Method: "GET", Path: "/api/v1/facilities/{id}", Need: read, Summary: "A facility", Out: facilityOne{}, Serve: s.getFacility},
		{Method: "PUT", Path: "/api/v1/facilities/{id}", Need: update, Summary: "Change a facility", In: facilityIn{}, Out: facilityOne{}, Serve: s.updateFacility},
		{Method: "DELETE", Path: "/api/v1/facilities/{id}", Need: remove, Summary: "Close a facility: it is inactive from then on. Refused while anybody lies there", Out: closedOut{}, Serve: s.closeFacility},
	}
}

// page is a part of a list by the request's page and limit.
func page[T any](r *http.Request, all []T) ([]T, api.Page, error) {
	p, limit, err := api.PageOf(r)
	if err != nil {
		return nil, api.Page{}, err
	}
	if r.URL.Query().Get("cursor") != "" {
		return nil, api.Page{}, fault.At(fault.Invalid, "cursor", "this listing is read by page and limit").WithCode("not-supported")
	}
	from := min((p-1)*limit, len(all))
	return all[from:min(from+limit, len(all))], api.Page{Page: p, Limit: limit, Total: len(all)}, nil
}

func (s *Service) listFacilities(w http.ResponseWriter, r *http.Request) error {
	ctx, q := r.Context(), r.URL.Query()
	all, err := s.organizations(ctx, kindFacility)
	if err != nil {
		return err
	}
	wanted := oneForm(q.Get("search"))
	var found []*orgRow
	for _, o := range all {
		if matches(q.Get("type"), o.class) && matches(q.Get("status"), o.status) && (wanted == "" || strings.Contains(oneForm(o.name), wanted) || strings.Contains(oneForm(o.code), wanted)) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b *orgRow) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	var kept []facilityJSON
	if q.Get("state") != "" { // it stands in the record alone: facilities are few
		told, err := s.tellFacilities(ctx, found)
		if err != nil {
			return err
		}
		kept = slices.DeleteFunc(told, func(f facilityJSON) bool { return f.State != q.Get("state") })
		part, p, err := page(r, kept)
		if err != nil {
			return err
		}
		return api.List(w, r, facilityList{part}, p)
	}
	part, p, err := page(r, found)
	if err != nil {
		return err
	}
	if kept, err = s.tellFacilities(ctx, part); err != nil {
		return err
	}
	return api.List(w, r, facilityList{kept}, p)
}

func matches(want, have string) bool { return want == "" || want == have }

// tellFacilities are facilities as the product API tells them, those that the caller may see.
func (s *Service) tellFacilities(ctx context.Context, rows []*orgRow) ([]facilityJSON, error) {
	refs := make([]string, len(rows))
	for k, o := range rows {
		refs[k] = "Organization/" + o.id
	}
	records, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	counted, err := s.counts(ctx, bedFilter{})
	if err != nil {
		return nil, err
	}
	by := map[string]*figures{}
	for _, c := range counted {
		add(by, c.facility, c)
	}
	out := []facilityJSON{}
	n := s.naming(ctx)
	for _, ref := range refs {
		if v := records[ref]; v != nil {
			out = append(out, tellFacility(n, v, by[v.Version.ID]))
		}
	}
	return out, n.err
}

func tellFacility(n *naming, v *flat.Record, beds *figures) facilityJSON {
	r := v.Res
	out := facilityJSON{ID: v.Key(), Name: r.Str("name"), Type: cmp.Or(typeCode(r, facilityTypeSystem), "other"), Status: orgStatus(r), Phone: flat.Telecom(r.Node, "phone"),
		Email: flat.Telecom(r.Node, "email"), Services: extensions(r.Node, servicesURL, "valueString"), CreatedAt: flat.Created(v), UpdatedAt: flat.Stamp(v), FacilityCode: orgCode(r)}
	if out.FacilityCode == "" {
		if i := flat.Items(r.Get("identifier")); len(i) > 0 {
			out.FacilityCode = i[0].Str("value")
		}
	}
	if out.Services == nil {
		out.Services = []string{}
	}
	if a := flat.Items(r.Get("alias")); len(a) > 0 {
		out.NameAr = a[0].Text
	}
	if a := flat.Items(r.Get("address")); len(a) > 0 {
		var lines []string
		for _, l := range flat.Items(a[0].Get("line")) {
			lines = append(lines, l.Text)
		}
		out.Address = cmp.Or(strings.Join(lines, ", "), a[0].Str("text"))
		out.City, out.State, out.PostalCode, out.Country = a[0].Str("city"), a[0].Str("state"), a[0].Str("postalCode"), a[0].Str("country")
		if out.Address == "" {
			out.Address = out.City // a front end shows it as one text
		}
	}
	if beds != nil {
		out.TotalBeds, out.OccupiedBeds, out.AvailableBeds = beds.total, beds.states[occupied], beds.states[available]
	}
	out.Capacity = out.TotalBeds
	if said, ok := number(api.StringOrNumber(extension(r.Node, capacityURL, "valueInteger"))); ok {
		out.Capacity = said
	}
	out.OrganizationID = n.of(flat.RefOf(r.Get("partOf")))
	for _, i := range flat.Items(r.Get("identifier")) {
		if i.Str("system") == licenseSystem {
			out.LicenseNumber = some(i.Str("value"))
			if p := i.Get("period"); p != nil {
				out.LicenseExpiry = some(p.Str("end"))
			}
		}
	}
	return out
}

// theFacility is a facility by its id of the product API. NotFound.
func (s *Service) theFacility(ctx context.Context, id string) (*flat.Record, error) {
	return s.theOrganization(ctx, id, kindFacility, "facility")
}

func (s *Service) theOrganization(ctx context.Context, id, kind, what string) (*flat.Record, error) {
	v, err := s.Records.Read(ctx, "Organization", id)
	if err != nil {
		return nil, missing(err, what)
	}
	if orgKind(v.Res) != kind {
		return nil, fault.New(fault.NotFound, "there is no %s with this id", what)
	}
	return v, nil
}

// facilityOf is the FHIR id of the facility that a body or parameter names; Unprocessable where there is none.
func (s *Service) facilityOf(ctx context.Context, field, id string) (string, error) {
	if err := need(field, id); err != nil {
		return "", err
	}
	v, err := s.theFacility(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return "", fault.At(fault.Unprocessable, field, "there is no facility with this id").WithCode("not-found")
	}
	if err != nil {
		return "", err
	}
	return v.Version.ID, nil
}

func (s *Service) answerFacility(w http.ResponseWriter, r *http.Request, status int, v *flat.Record) error {
	counted, err := s.counts(r.Context(), bedFilter{facility: v.Version.ID})
	if err != nil {
		return err
	}
	by := map[string]*figures{}
	for _, c := range counted {
		add(by, c.facility, c)
	}
	n := s.naming(r.Context())
	one := tellFacility(n, v, by[v.Version.ID])
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, status, facilityOne{one, one})
}

func (s *Service) getFacility(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theFacility(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerFacility(w, r, http.StatusOK, v)
}

func (s *Service) createFacility(w http.ResponseWriter, r *http.Request) error {
	var in facilityIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.FacilityCode == nil { // the service's own form has none
		in.FacilityCode = new(api.StringOrNumber)
	}
	if err := first(need("name", value(in.Name)), need("type", value(in.Type))); err != nil {
		return err
	}
	if in.Address == nil && in.City == nil {
		return need("address", "")
	}
	org, err := flat.Make("Organization", map[string]any{"active": true})
	if err != nil {
		return err
	}
	if err := setTypeCode(org, organizationType, kindFacility, ""); err != nil {
		return err
	}
	if in.Country == nil && (in.Address == nil || in.Address.Country == "") {
		in.Country = new("SD")
	}
	if err := first(s.find(r.Context(), &in), changeFacility(&in, org)); err != nil {
		return err
	}
	v, err := s.open(r.Context(), org)
	if err != nil {
		return err
	}
	return s.answerFacility(w, r, http.StatusCreated, v)
}

func value[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// open writes a facility with the Location that is its grounds.
func (s *Service) open(ctx context.Context, org *fhir.Resource) (*flat.Record, error) {
	const url = "urn:uuid:7b1f7f1e-0000-4000-8000-000000000001" // within the set alone
	grounds, err := flat.Make("Location", map[string]any{"status": "active", "name": org.Str("name"), "mode": "instance", "managingOrganization": map[string]any{"reference": url},
		"physicalType": map[string]any{"coding": []any{map[string]any{"system": physicalType, "code": kindSite, "display": "Site"}}}})
	if err != nil {
		return nil, err
	}
	if a := org.Get("address"); a != nil {
		grounds.Set("address", a.First().Clone())
	}
	all, err := s.Records.Write(ctx, creation(org, url), creation(grounds, ""))
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// changeFacility applies what the request says.
func changeFacility(in *facilityIn, r *fhir.Resource) error {
	if in.ContactInfo != nil {
		in.Phone, in.Email = cmp.Or(in.Phone, in.ContactInfo.Phone), cmp.Or(in.Email, in.ContactInfo.Email)
	}
	if err := first(oneOf("type", value(in.Type), facilityTypes()), oneOf("status", value(in.Status), []string{"active", "inactive", "maintenance"}), email("email", value(in.Email)),
		short("name", value(in.Name)), short("facilityCode", value(in.FacilityCode))); err != nil {
		return err
	}
	steps := []func() error{
		func() error { return setText(r, "name", in.Name) },
		func() error { return setAlias(r, in.NameAr) },
		func() error { return setCode(r, facilityCodeSystem, in.FacilityCode) },
		func() error {
			if in.Type == nil {
				return nil
			}
			return setTypeCode(r, facilityTypeSystem, *in.Type, "")
		},
		func() error { return setStatus(r, in.Status) },
		func() error { return setTelecom(r.Node, in.Phone, in.Email) },
		func() error { return in.setAddress(r) },
		func() error { return in.setCapacity(r) },
		func() error { return in.setLicense(r) },
		func() error { return in.setServices(r) },
		func() error { return in.setParent(r) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func setText(r *fhir.Resource, member string, v *string) error {
	if v == nil {
		return nil
	}
	if err := need(member, *v); err != nil {
		return err
	}
	return flat.Set(r.Node, member, strings.TrimSpace(*v))
}

func setAlias(r *fhir.Resource, v *string) error {
	if v == nil {
		return nil
	}
	return flat.Set(r.Node, "alias", []string{strings.TrimSpace(*v)})
}

func setCode(r *fhir.Resource, system string, v *api.StringOrNumber) error {
	if v == nil {
		return nil
	}
	return flat.SetIdentifier(r, system, "", string(*v))
}

func setStatus(r *fhir.Resource, v *string) error {
	if v == nil || *v == "" {
		return nil
	}
	if err := flat.Set(r.Node, "active", *v != "inactive"); err != nil {
		return err
	}
	said := ""
	if *v == "maintenance" {
		said = *v
	}
	return setExtension(r.Node, statusURL, "valueCode", said)
}

// setTelecom replaces the phone and the e-mail address, as far as they are given, and leaves what else there is.
func setTelecom(n *fhir.Node, tel, mail *string) error {
	for _, one := range []struct {
		system, field string
		v             *string
	}{{"phone", "phone", tel}, {"email", "email", mail}} {
		if one.v == nil {
			continue
		}
		v := *one.v
		if one.system == "phone" {
			var err error
			if v, err = phone(one.field, v); err != nil {
				return err
			}
		}
		var all []*fhir.Node
		done := false
		for _, t := range flat.Items(n.Get("telecom")) {
			if t.Str("system") != one.system || done {
				all = append(all, t.Clone())
				continue
			}
			done = true
			if v != "" {
				t = t.Clone()
				if err := flat.Set(t, "value", v); err != nil {
					return err
				}
				all = append(all, t)
			}
		}
		if !done && v != "" {
			t := fhir.NewObject()
			for _, m := range [][2]string{{"system", one.system}, {"value", v}, {"use", "work"}} {
				if err := flat.Set(t, m[0], m[1]); err != nil {
					return err
				}
			}
			all = append(all, t)
		}
		if len(all) == 0 {
			n.Delete("telecom")
			continue
		}
		n.Set("telecom", fhir.NewArray(all...))
	}
	return nil
}

func (in *facilityIn) setAddress(r *fhir.Resource) error {
	parts := map[string]string{}
	if a := in.Address; a != nil {
		parts["line"] = a.Street
		if a.whole {
			for name, v := range map[string]string{"city": a.City, "state": a.State, "postalCode": a.ZipCode, "country": a.Country} {
				if v != "" {
					parts[name] = v
				}
			}
		}
	}
	for name, v := range map[string]*string{"city": in.City, "state": in.State, "country": in.Country} {
		if v != nil {
			parts[name] = strings.TrimSpace(*v)
		}
	}
	if in.PostalCode != nil {
		parts["postalCode"] = string(*in.PostalCode)
	}
	if len(parts) == 0 {
		return nil
	}
	n := fhir.NewObject()
	if old := flat.Items(r.Get("address")); len(old) > 0 {
		n = old[0].Clone()
	}
	for name, v := range parts {
		if err := short("address", v); err != nil {
			return err
		}
		var err error
		if name == "line" {
			err = flat.Set(n, "line", []string{strings.TrimSpace(v)})
		} else {
			n.Delete("_" + name)
			err = flat.Set(n, name, v)
		}
		if err != nil {
			return err
		}
	}
	if country := n.Str("country"); country == "SD" || country == "Sudan" {
		if err := oneOf("state", n.Str("state"), states()); err != nil {
			return err
		}
	}
	n.Name = ""
	r.Set("address", fhir.NewArray(n))
	return nil
}

func (in *facilityIn) setCapacity(r *fhir.Resource) error {
	if in.Capacity == nil {
		return nil
	}
	if err := in.Capacity.check(); err != nil {
		return err
	}
	return setExtension(r.Node, capacityURL, "valueInteger", in.Capacity.Total)
}

func (in *facilityIn) setLicense(r *fhir.Resource) error {
	if in.LicenseNumber != nil {
		if err := flat.SetIdentifier(r, licenseSystem, "", string(*in.LicenseNumber)); err != nil {
			return err
		}
	}
	if in.LicenseExpiry == nil {
		return nil
	}
	ends, err := day("licenseExpiry", *in.LicenseExpiry, flat.DefaultZone())
	if err != nil {
		return err
	}
	for _, i := range flat.Items(r.Get("identifier")) {
		if i.Str("system") == licenseSystem {
			return flat.Set(i, "period", map[string]any{"end": ends})
		}
	}
	if ends == "" {
		return nil
	}
	return fault.At(fault.Invalid, "licenseExpiry", "there is no licenseNumber that could expire").WithCode("value")
}

func (in *facilityIn) setServices(r *fhir.Resource) error {
	if in.Services == nil {
		return nil
	}
	var all []any
	for _, one := range *in.Services {
		if err := first(need("services", one), short("services", one)); err != nil {
			return err
		}
		all = append(all, one)
	}
	return setExtensions(r.Node, servicesURL, "valueString", all...)
}

// find looks up what the request names, before the write: which asks for its change where no other question may be asked.
func (s *Service) find(ctx context.Context, in *facilityIn) error {
	if in.OrganizationID == nil {
		return nil
	}
	ref := ""
	if id := string(*in.OrganizationID); id != "" && id != "0" {
		var err error
		if ref, err = s.Records.Ref(ctx, "organizationId", "Organization", id); err != nil {
			return err
		}
	}
	in.parent = &ref
	return nil
}

func (in *facilityIn) setParent(r *fhir.Resource) error {
	if in.parent == nil {
		return nil
	}
	return flat.Set(r.Node, "partOf", map[string]any{"reference": *in.parent})
}

func (s *Service) updateFacility(w http.ResponseWriter, r *http.Request) error {
	var in facilityIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	v, err := s.theFacility(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if in.OrganizationID != nil && string(*in.OrganizationID) == v.Key() {
		return fault.At(fault.Unprocessable, "organizationId", "a facility is no part of itself").WithCode("business-rule")
	}
	if err := s.find(r.Context(), &in); err != nil {
		return err
	}
	v, err = s.Records.Update(r.Context(), "Organization", v.Version.ID, 0, func(res *fhir.Resource) error { return changeFacility(&in, res) })
	if err != nil {
		return err
	}
	return s.answerFacility(w, r, http.StatusOK, v)
}

// closedOut says that a place is not used any more.
type closedOut struct {
	ID      string `json:"id"`
	Status  string `json:"status"`
	Message string `json:"message"`
}

func (s *Service) closeFacility(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theFacility(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	inactive := "inactive"
	if _, err = s.Records.Update(r.Context(), "Organization", v.Version.ID, 0, func(res *fhir.Resource) error { return setStatus(res, &inactive) }); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, closedOut{v.Key(), inactive, "the facility is inactive from now on"})
}

// figures are how many beds there are.
type figures struct {
	total  int
	states map[string]int
	inUse  int
}

func add(by map[string]*figures, key string, c count) {
	f := by[key]
	if f == nil {
		f = &figures{states: map[string]int{}}
		by[key] = f
	}
	f.total += c.n
	if c.inUse {
		f.inUse += c.n
		f.states[c.state] += c.n
	} else if c.state == occupied {
		f.states[occupied] += c.n
	} else {
		f.states[outOfService] += c.n // a bed that is not in use is free for nobody
	}
}

// rate is a share in percent with one digit behind the point; nil of nothing.
func rate(part, whole int) *float64 {
	if whole == 0 {
		return nil
	}
	v := float64(int(float64(part)*1000/float64(whole)+0.5)) / 10
	return &v
}
