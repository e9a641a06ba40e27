package facility

import (
	"net/http"

	"github.com/nilecare/nilecare/internal/web/api"
)

type settingsOne struct {
	FacilityID string `json:"facilityId"`
	Settings
	All Settings `json:"settings"`
}

func (s *Service) settingRoutes() []api.Route {
	const path = "/api/v1/settings/facility/{facilityId}"
	return []api.Route{
		{Method: "GET", Path: path, Need: api.Permission("facilities:read"), Summary: "A facility's settings", Out: settingsOne{}, Serve: s.getSettings},
		{Method: "PUT", Path: path, Need: api.Permission("facilities:update"), Summary: "Change a facility's settings: what is left out stays as it is", In: settingsIn{}, Out: settingsOne{}, Serve: s.putSettings},
	}
}

func (s *Service) getSettings(w http.ResponseWriter, r *http.Request) error {
	v, err := s.theFacility(r.Context(), r.PathValue("facilityId"))
	if err != nil {
		return err
	}
	all, err := s.Settings(r.Context(), v.Version.ID)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, settingsOne{v.Key(), all, all})
}

func (s *Service) putSettings(w http.ResponseWriter, r *http.Request) error {
	var in settingsIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	v, err := s.theFacility(r.Context(), r.PathValue("facilityId"))
	if err != nil {
		return err
	}
	all, err := s.set(r.Context(), v.Version.ID, &in)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, settingsOne{v.Key(), all, all})
}
