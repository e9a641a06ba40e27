package facility

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/flat"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/web/api"
)

// departmentJSON is a department as the product API tells it.
type departmentJSON struct {
	ID               string  `json:"id"`
	DepartmentID     string  `json:"departmentId"`
	FacilityID       string  `json:"facilityId"`
	Name             string  `json:"name"`
	NameAr           string  `json:"nameAr,omitempty"`
	Code             string  `json:"code"`
	Specialization   string  `json:"specialization"`
	Description      *string `json:"description,omitempty"`
	HeadOfDepartment *string `json:"headOfDepartment,omitempty"`
	Floor            *int    `json:"floor,omitempty"`
	Building         *string `json:"building,omitempty"`
	ContactPhone     string  `json:"contactPhone"`
	ContactEmail     string  `json:"contactEmail"`
	Status           string  `json:"status"`
	CreatedAt        string  `json:"createdAt"`
	UpdatedAt        string  `json:"updatedAt"`
}

type departmentOne struct {
	departmentJSON
	Department departmentJSON `json:"department"`
}

type departmentList struct {
	Departments []departmentJSON `json:"departments"`
}

type departmentIn struct {
	FacilityID       *api.StringOrNumber `json:"facilityId"`
	Name             *string             `json:"name"`
	NameAr           *string             `json:"nameAr"`
	Code             *api.StringOrNumber `json:"code"`
	Specialization   *string             `json:"specialization"`
	Description      *string             `json:"description"`
	HeadOfDepartment *string             `json:"headOfDepartment"`
	Floor            *api.StringOrNumber `json:"floor"`
	Building         *api.StringOrNumber `json:"building"`
	ContactPhone     *string             `json:"contactPhone"`
	ContactEmail     *string             `json:"contactEmail"`
	Status           *string             `json:"status"`
}

func (s *Service) departmentRoutes() []api.Route {
	read, update := api.Permission("facilities:read"), api.Permission("facilities:update")
	filters := []api.Param{{Name: "specialization"}, {Name: "status", Enum: []string{"active", "inactive"}}, {Name: "search", Help: "a part of the name or the code"}}
	return []api.Route{
		{Method: "GET", Path: "/api/v1/facilities/{id}/departments", Need: read, Summary: "A facility's departments", Out: departmentList{}, Params: api.Paged(filters...), Serve: s.listOwnDepartments},
		{Method: "GET", Path: "/api/v1/departments", Need: read, Summary: "Departments, by name", Out: departmentList{}, Params: api.Paged(append(filters, api.Param{Name: "facilityId"})...), Serve: s.listDepartments},
		{Method: "POST", Path: "/api/v1/departments", Need: update, Summary: "Open a department", In: departmentIn{}, Out: departmentOne{}, Serve: s.createDepartment},
		{Method: "GET", Path: "/api/v1/departments/{id}", Need: read, Summary: "A department", Out: departmentOne{}, Serve: s.getDepartment},
		{Method: "PUT", Path: "/api/v1/departments/{id}", Need: update, Summary: "Change a department", In: departmentIn{}, Out: departmentOne{}, Serve: s.updateDepartment},
		{Method: "DELETE", Path: "/api/v1/departments/{id}", Need: update, Summary: "Close a department: it is inactive from then on. Refused while anybody lies there", Out: closedOut{}, Serve: s.closeDepartment},
	}
}

func (s *Service) listOwnDepartments(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theFacility(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.showDepartments(w, r, v.Version.ID)
}

func (s *Service) listDepartments(w http.ResponseWriter, r *http.Request) error {
	facility, err := s.filterID(r, "facilityId", "Organization")
	if err != nil {
		return err
	}
	return s.showDepartments(w, r, facility)
}

// filterID is the FHIR id of what a query parameter names; "" where it is absent. What there is not finds nothing.
func (s *Service) filterID(r *http.Request, name, typ string) (string, error) {
	id := r.URL.Query().Get(name)
	if id == "" {
		return "", nil
	}
	return s.Records.FHIRID(r.Context(), typ, id)
}

func (s *Service) showDepartments(w http.ResponseWriter, r *http.Request, facility string) error {
	all, err := s.organizations(r.Context(), kindDepartment)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	wanted, special := oneForm(q.Get("search")), slug(q.Get("specialization"))
	var found []*orgRow
	for _, o := range all {
		if matches(facility, o.part) && matches(q.Get("status"), o.status) && (wanted == "" || strings.Contains(oneForm(o.name), wanted) || strings.Contains(oneForm(o.code), wanted)) {
			found = append(found, o)
		}
	}
	slices.SortFunc(found, func(a, b *orgRow) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	var refs []string
	for _, o := range found {
		refs = append(refs, "Organization/"+o.id)
	}
	if special == "" { // the records of one page are enough
		part, p, err := page(r, refs)
		if err != nil {
			return err
		}
		told, err := s.tellDepartments(r.Context(), part)
		if err != nil {
			return err
		}
		return api.List(w, r, departmentList{told}, p)
	}
	told, err := s.tellDepartments(r.Context(), refs)
	if err != nil {
		return err
	}
	told = slices.DeleteFunc(told, func(d departmentJSON) bool { return slug(d.Specialization) != special })
	part, p, err := page(r, told)
	if err != nil {
		return err
	}
	return api.List(w, r, departmentList{part}, p)
}

// slug is a specialization as it is compared.
func slug(s string) string { return strings.ReplaceAll(oneForm(s), " ", "-") }

func (s *Service) tellDepartments(ctx context.Context, refs []string) ([]departmentJSON, error) {
	records, err := s.Records.Get(ctx, refs...)
	if err != nil {
		return nil, err
	}
	out := []departmentJSON{}
	n := s.naming(ctx)
	for _, ref := range refs {
		if v := records[ref]; v != nil {
			out = append(out, tellDepartment(n, v))
		}
	}
	return out, n.err
}

func tellDepartment(n *naming, v *flat.Record) departmentJSON {
	r := v.Res
	out := departmentJSON{ID: v.Key(), DepartmentID: v.Key(), Name: r.Str("name"), Code: orgCode(r), Status: orgStatus(r), ContactPhone: flat.Telecom(r.Node, "phone"),
		ContactEmail: flat.Telecom(r.Node, "email"), Description: some(extension(r.Node, notesURL, "valueString")), Building: some(extension(r.Node, buildingURL, "valueString")),
		CreatedAt: flat.Created(v), UpdatedAt: flat.Stamp(v)}
	if f, ok := number(api.StringOrNumber(extension(r.Node, floorURL, "valueInteger"))); ok {
		out.Floor = &f
	}
	if id := n.of(flat.RefOf(r.Get("partOf"))); id != nil {
		out.FacilityID = *id
	}
	if out.Code == "" {
		if i := flat.Items(r.Get("identifier")); len(i) > 0 {
			out.Code = i[0].Str("value")
		}
	}
	if a := flat.Items(r.Get("alias")); len(a) > 0 {
		out.NameAr = a[0].Text
	}
	for _, t := range flat.Items(r.Get("type")) {
		if flat.Code(t, specializationSystem) != "" {
			out.Specialization = flat.Text(t)
		}
	}
	for _, c := range flat.Items(r.Get("contact")) {
		if name := c.Get("name"); name != nil {
			out.HeadOfDepartment = some(name.Str("text"))
		}
	}
	return out
}

func (s *Service) theDepartment(ctx context.Context, id string) (*flat.Record, error) {
	return s.theOrganization(ctx, id, kindDepartment, "department")
}

func (s *Service) answerDepartment(w http.ResponseWriter, r *http.Request, status int, v *flat.Record) error {
	n := s.naming(r.Context())
	one := tellDepartment(n, v)
	if n.err != nil {
		return n.err
	}
	return api.Answer(w, r, status, departmentOne{one, one})
}

func (s *Service) getDepartment(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theDepartment(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answerDepartment(w, r, http.StatusOK, v)
}

func creation(res *fhir.Resource, url string) record.Change {
	return record.Change{Op: record.Create, Type: res.Type(), Resource: res, FullURL: url}
}

func (s *Service) createDepartment(w http.ResponseWriter, r *http.Request) error {
	var in departmentIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if err := first(need("facilityId", value(in.FacilityID)), need("name", value(in.Name)), need("code", value(in.Code))); err != nil {
		return err
	}
	facility, err := s.facilityOf(r.Context(), "facilityId", string(*in.FacilityID))
	if err != nil {
		return err
	}
	org, err := flat.Make("Organization", map[string]any{"active": true, "partOf": map[string]any{"reference": "Organization/" + facility}})
	if err != nil {
		return err
	}
	if err := first(setTypeCode(org, organizationType, kindDepartment, ""), in.apply(org)); err != nil {
		return err
	}
	v, err := s.Records.Create(r.Context(), org)
	if err != nil {
		return err
	}
	return s.answerDepartment(w, r, http.StatusCreated, v)
}

// apply changes what the request says, but for the facility.
func (in *departmentIn) apply(r *fhir.Resource) error {
	if err := first(oneOf("status", value(in.Status), []string{"active", "inactive"}), email("contactEmail", value(in.ContactEmail)), short("name", value(in.Name)),
		short("description", value(in.Description)), short("headOfDepartment", value(in.HeadOfDepartment)), short("specialization", value(in.Specialization))); err != nil {
		return err
	}
	if in.HeadOfDepartment != nil {
		var contact []any
		if *in.HeadOfDepartment != "" {
			contact = []any{map[string]any{"purpose": map[string]any{"coding": []any{map[string]any{"system": "http://terminology.hl7.org/CodeSystem/contactentity-type", "code": "ADMIN"}}},
				"name": map[string]any{"text": *in.HeadOfDepartment}}}
		}
		if err := flat.Set(r.Node, "contact", contact); err != nil {
			return err
		}
	}
	if in.Specialization != nil {
		if err := setTypeCode(r, specializationSystem, slug(*in.Specialization), *in.Specialization); err != nil {
			return err
		}
	}
	return first(setText(r, "name", in.Name), setAlias(r, in.NameAr), setCode(r, departmentCodeSystem, in.Code), setStatus(r, in.Status), setTelecom(r.Node, in.ContactPhone, in.ContactEmail),
		setOptional(r, notesURL, in.Description), setOptional(r, buildingURL, in.Building), setFloor(r, in.Floor))
}

// setOptional sets an extension where the request names it.
func setOptional[T ~string](r *fhir.Resource, url string, v *T) error {
	if v == nil {
		return nil
	}
	return setExtension(r.Node, url, "valueString", string(*v))
}

func setFloor(r *fhir.Resource, v *api.StringOrNumber) error {
	if v == nil {
		return nil
	}
	if *v == "" {
		return setExtension(r.Node, floorURL, "valueInteger", nil)
	}
	n, err := strconv.Atoi(string(*v))
	if err != nil || n < -20 || n > 200 {
		return fault.At(fault.Invalid, "floor", "is no floor").WithCode("value")
	}
	return setExtension(r.Node, floorURL, "valueInteger", n)
}

func (s *Service) updateDepartment(w http.ResponseWriter, r *http.Request) error {
	var in departmentIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	v, err := s.theDepartment(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	facility := ""
	if in.FacilityID != nil {
		if facility, err = s.facilityOf(r.Context(), "facilityId", string(*in.FacilityID)); err != nil {
			return err
		}
	}
	v, err = s.Records.Update(r.Context(), "Organization", v.Version.ID, 0, func(res *fhir.Resource) error {
		if facility != "" {
			if err := flat.Set(res.Node, "partOf", map[string]any{"reference": "Organization/" + facility}); err != nil {
				return err
			}
		}
		return in.apply(res)
	})
	if err != nil {
		return err
	}
	return s.answerDepartment(w, r, http.StatusOK, v)
}

func (s *Service) closeDepartment(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theDepartment(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	inactive := "inactive"
	if _, err = s.Records.Update(r.Context(), "Organization", v.Version.ID, 0, func(res *fhir.Resource) error { return setStatus(res, &inactive) }); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, closedOut{v.Key(), inactive, "the department is inactive from now on"})
}
