package gateway

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// completeLimit is how many of each kind a patient's record in one answer has at most: the newest, as the listings have them.
const completeLimit = "100"

// completeParts are the lists of a patient's record in one answer, by their names, with the question for each.
func completeParts(id string) map[string]question {
	of := url.Values{"patientId": {id}, "limit": {completeLimit}}
	return map[string]question{
		"patient":      {path: "/api/v1/patients/" + id},
		"appointments": {path: "/api/v1/appointments", query: of},
		"medications":  {path: "/api/v1/medications", query: of},
		"labOrders":    {path: "/api/v1/labs", query: of},
		"vitalSigns":   {path: "/api/v1/patients/" + id + "/vital-signs", query: url.Values{"limit": {completeLimit}}},
	}
}

// refusals are the failures that say of a patient that he is not there for the caller.
var refusals = []fault.Kind{fault.NotFound, fault.Gone, fault.Forbidden, fault.Unauthenticated, fault.Invalid}

// complete answers GET /api/v1/patients/{id}/complete: the parts are asked for at once, and fail each by itself. Where the patient is not there, or not for
// the caller to see, nothing is told.
func (s *Service) complete(w http.ResponseWriter, r *http.Request) error {
	if err := api.Only(r); err != nil {
		return err
	}
	id := r.PathValue("id")
	if !fhir.ValidID(id) {
		return fault.New(fault.NotFound, "there is no patient with this id").WithCode("PATIENT_NOT_FOUND")
	}
	parts := s.askAll(r, completeParts(id))
	if err := parts["patient"].err; err != nil && slices.Contains(refusals, fault.KindOf(err)) {
		return err
	}
	data, errs := map[string]any{}, map[string]any{}
	for name, p := range parts {
		errs[name] = nil
		if p.err != nil {
			errs[name] = reason(p.err)
		}
		switch {
		case name != "patient" && p.err == nil:
			data[name] = p.list(name)
		case name != "patient":
			data[name] = []any{}
		case p.err == nil:
			data[name] = p.named("patient")
		default:
			data[name] = nil
		}
	}
	return api.Bare(w, http.StatusOK, map[string]any{"success": true, "data": data, "errors": errs, "metadata": s.metadata(w)})
}

// named is the member of data of that name, else data itself.
func (p *part) named(name string) json.RawMessage {
	var in map[string]json.RawMessage
	if err := json.Unmarshal(p.raw, &in); err == nil && len(in[name]) > 0 {
		return in[name]
	}
	return p.raw
}

func (s *Service) metadata(w http.ResponseWriter) map[string]string {
	return map[string]string{"timestamp": s.Clock().UTC().Format("2006-01-02T15:04:05.000Z"), "requestId": w.Header().Get("X-Request-Id"), "version": web.APIVersion}
}

// searchPatients answers GET /api/v1/search/patients: the listing of patients, narrowed.
func (s *Service) searchPatients(w http.ResponseWriter, r *http.Request) error {
	asked := r.URL.Query()
	q, other := asked.Get("q"), asked.Get("search")
	if q != "" && other != "" && q != other {
		return fault.At(fault.Invalid, "search", "says something else than q").WithCode("value")
	}
	query := url.Values{}
	for _, name := range []string{"page", "limit", "cursor"} {
		if v := asked.Get(name); v != "" {
			query.Set(name, v)
		}
	}
	if q == "" {
		q = other
	}
	if q == "" {
		return fault.At(fault.Invalid, "q", "is needed").WithCode("required")
	}
	query.Set("search", q)
	p := s.ask(r, "/api/v1/patients", query)
	if p.err != nil {
		return p.err
	}
	body := map[string]any{"success": true, "data": p.raw, "metadata": s.metadata(w)}
	if len(p.pagination) > 0 {
		body["pagination"] = p.pagination
	}
	return api.Bare(w, http.StatusOK, body)
}
