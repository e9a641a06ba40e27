package identity

import (
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

func (s *Service) keyRoutes() []api.Route {
	need := api.Permission("keys:manage")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/api-keys", Need: need, Summary: "The API keys, without their secrets", Serve: s.listKeys},
		{Method: "POST", Path: "/api/v1/api-keys", Need: need, Summary: "Make an API key: the answer alone tells it", In: keyIn{}, Once: api.Secret, Serve: s.createKey},
		{Method: "GET", Path: "/api/v1/api-keys/{id}", Need: need, Summary: "One API key", Serve: s.readKey},
		{Method: "POST", Path: "/api/v1/api-keys/{id}/rotate", Need: need, Summary: "Give an API key a new secret", In: rotateIn{}, Once: api.Secret, Serve: s.rotateKey},
		{Method: "DELETE", Path: "/api/v1/api-keys/{id}", Need: need, Summary: "Revoke an API key", Serve: s.revokeKey},
		{Method: "GET", Path: "/api/v1/service-accounts", Need: need, Summary: "The service accounts", Serve: s.listServices},
		{Method: "POST", Path: "/api/v1/service-accounts", Need: need, Summary: "Make a service account", In: serviceIn{}, Serve: s.createService},
		{Method: "DELETE", Path: "/api/v1/service-accounts/{id}", Need: need, Summary: "End a service account and its keys", Serve: s.deleteService},
	}
}

func keyJSON(k *Key) map[string]any {
	return map[string]any{"id": strconv.FormatInt(k.ID, 10), "name": k.Name, "prefix": k.Prefix, "scopes": list(k.Scopes), "service": k.Service,
		"addresses": list(k.Addresses), "expiresAt": when(k.Expires), "lastUsedAt": when(k.LastUsed), "rotatedAt": when(k.Rotated), "createdAt": when(k.CreatedAt),
		"createdBy": k.CreatedBy}
}

func (s *Service) listKeys(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Keys(r.Context(), tenant(r))
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = keyJSON(&all[i])
	}
	return named(w, http.StatusOK, "apiKeys", out)
}

func (s *Service) readKey(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	k, err := s.standingKey(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	return named(w, http.StatusOK, "apiKey", keyJSON(k))
}

type keyIn struct {
	Name      string    `json:"name"`
	Scopes    []string  `json:"scopes"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	Service   string    `json:"service,omitempty"`
	Addresses []string  `json:"addresses,omitempty"`
}

func (s *Service) createKey(w http.ResponseWriter, r *http.Request) error {
	var in keyIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	key, id, err := s.CreateKey(r.Context(), tenant(r), NewKey{Name: in.Name, Scopes: in.Scopes, Expires: in.ExpiresAt, Service: in.Service, Addresses: in.Addresses})
	if err != nil {
		return err
	}
	return s.tellKey(w, r, http.StatusCreated, id, key)
}

// tellKey answers with a key, this once with its secret.
func (s *Service) tellKey(w http.ResponseWriter, r *http.Request, status int, id int64, key string) error {
	k, err := s.standingKey(r.Context(), tenant(r), id)
	if err != nil {
		return err
	}
	v := keyJSON(k)
	v["key"] = key
	return api.Bare(w, status, map[string]any{"success": true, "key": key, "apiKey": v, "data": map[string]any{"apiKey": v, "key": key}, "metadata": metadata(w)})
}

type rotateIn struct {
	OverlapSeconds int `json:"overlapSeconds"`
}

// rotateKey lets the old secret stand for a day where nothing else is said.
func (s *Service) rotateKey(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	in := rotateIn{OverlapSeconds: 24 * 60 * 60}
	if r.ContentLength != 0 {
		if err := api.Decode(r, &in); err != nil {
			return err
		}
	}
	if in.OverlapSeconds < 0 || in.OverlapSeconds > int(maxOverlap/time.Second) {
		return fault.At(fault.Invalid, "overlapSeconds", "must be 0 to %d", int(maxOverlap/time.Second)).WithCode("value")
	}
	key, err := s.RotateKey(r.Context(), tenant(r), id, time.Duration(in.OverlapSeconds)*time.Second)
	if err != nil {
		return err
	}
	return s.tellKey(w, r, http.StatusOK, id, key)
}

func (s *Service) revokeKey(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.RevokeKey(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the key is revoked")
}

func serviceJSON(a *ServiceAccount) map[string]any {
	return map[string]any{"id": strconv.FormatInt(a.ID, 10), "name": a.Name, "description": a.Description, "role": a.Role, "scopes": list(a.Scopes),
		"certificate": a.Certificate, "createdAt": when(a.CreatedAt)}
}

func (s *Service) listServices(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Services(r.Context(), tenant(r))
	if err != nil {
		return err
	}
	out := make([]map[string]any, len(all))
	for i := range all {
		out[i] = serviceJSON(&all[i])
	}
	return named(w, http.StatusOK, "serviceAccounts", out)
}

type serviceIn struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Role        string   `json:"role,omitempty"`
	Scopes      []string `json:"scopes"`
	Certificate string   `json:"certificate,omitempty"`
}

func (s *Service) createService(w http.ResponseWriter, r *http.Request) error {
	var in serviceIn
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	a, err := s.CreateService(r.Context(), tenant(r), ServiceAccount{Name: in.Name, Description: in.Description, Role: in.Role, Scopes: in.Scopes, Certificate: in.Certificate})
	if err != nil {
		return err
	}
	return named(w, http.StatusCreated, "serviceAccount", serviceJSON(a))
}

func (s *Service) deleteService(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	if err := s.DeleteService(r.Context(), tenant(r), id); err != nil {
		return err
	}
	return done(w, "the service account is ended, with its keys")
}
