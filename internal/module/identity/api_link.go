package identity

import (
	"net/http"
	"strconv"

	"github.com/nilecare/nilecare/internal/web/api"
)

type decideIn struct {
	Patient string `json:"patient,omitempty"`
}

type linkCodeIn struct {
	Code text `json:"code"`
}

func (s *Service) linkRoutes() []api.Route {
	staff := api.Permission("patients:update")
	return []api.Route{
		{Method: "POST", Path: "/api/v1/identity-verifications", Need: api.Known(), Summary: "Say who one is, to have the account linked to one's own record", In: Claim{}, Serve: s.postLink},
		{Method: "GET", Path: "/api/v1/identity-verifications", Need: api.Known(), Summary: "What waits to be verified: for staff all, for others their own", Query: []string{"status"}, Serve: s.getLinks},
		{Method: "POST", Path: "/api/v1/identity-verifications/{id}/confirm", Need: api.Known(), Summary: "Prove it by the code that was mailed to the address on the record", In: linkCodeIn{}, Serve: s.confirmLink},
		{Method: "POST", Path: "/api/v1/identity-verifications/{id}/approve", Need: staff, Summary: "Confirm that the account is the patient's", In: decideIn{}, Serve: s.decide(true)},
		{Method: "POST", Path: "/api/v1/identity-verifications/{id}/reject", Need: staff, Summary: "Refuse the link", In: decideIn{}, Serve: s.decide(false)},
	}
}

func (s *Service) postLink(w http.ResponseWriter, r *http.Request) error {
	var in Claim
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	v, err := s.Verify(r.Context(), in)
	if err != nil {
		return err
	}
	ways := "an e-mail address stands"
	if s.o.SMS != nil {
		ways = "an e-mail address or a phone number stands"
	}
	return named(w, http.StatusAccepted, "verification", map[string]any{"id": strconv.FormatInt(v.ID, 10), "status": v.Status, "createdAt": when(v.Made),
		"methods": []string{"code", "staff"},
		"message": "if this is somebody whom the clinic knows, and " + ways + " on the record, a code is on its way to it; else ask at the clinic"})
}

func (s *Service) getLinks(w http.ResponseWriter, r *http.Request) error {
	found, err := s.Verifications(r.Context(), r.URL.Query().Get("status"))
	if err != nil {
		return err
	}
	c := caller(r)
	staff := mayLink(&c)
	out := make([]map[string]any, len(found))
	for i, v := range found {
		out[i] = map[string]any{"id": strconv.FormatInt(v.ID, 10), "userId": strconv.FormatInt(v.User, 10), "status": v.Status, "how": v.How, "createdAt": when(v.Made),
			"decidedAt": when(v.Decided)}
		if staff {
			out[i]["patient"] = v.Patient
		}
	}
	return named(w, http.StatusOK, "verifications", out)
}

func (s *Service) confirmLink(w http.ResponseWriter, r *http.Request) error {
	var in linkCodeIn
	id, err := pathID(r, "id")
	if err == nil {
		err = api.Decode(r, &in)
	}
	if err == nil && in.Code == "" {
		err = missing(map[string]string{"code": ""})
	}
	if err == nil {
		err = s.Confirm(r.Context(), id, string(in.Code))
	}
	if err != nil {
		return err
	}
	return done(w, "the account is linked to the record")
}

func (s *Service) decide(yes bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		var in decideIn
		id, err := pathID(r, "id")
		if err == nil && r.ContentLength != 0 {
			err = api.Decode(r, &in)
		}
		if err == nil {
			err = s.Decide(r.Context(), id, yes, in.Patient)
		}
		if err != nil {
			return err
		}
		return done(w, map[bool]string{true: "linked", false: "refused"}[yes])
	}
}
