package passkey

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Routes are the product API's.
func (s *Service) Routes() []api.Route {
	const base = "/api/v1/auth/passkeys"
	return []api.Route{
		{Method: "POST", Path: base + "/register/begin", Need: api.Known(), Summary: "Begin to register a passkey", Out: map[string]any{}, Once: api.Unkeyed, Serve: s.registerBegin},
		{Method: "POST", Path: base + "/register/finish", Need: api.Known(), Summary: "Register the passkey that the device made", In: finish{}, Out: made{}, Serve: s.registerFinish},
		{Method: "POST", Path: base + "/login/begin", Need: api.Public(), Summary: "Begin to sign in with a passkey", Out: map[string]any{}, Serve: s.loginBegin},
		{Method: "POST", Path: base + "/login/finish", Need: api.Public(), Summary: "Sign in with the passkey's answer", In: finish{}, Bare: true, Serve: s.loginFinish},
		{Method: "GET", Path: base, Need: api.Known(), Summary: "One's own passkeys", Out: list{}, Serve: s.list},
		{Method: "PATCH", Path: base + "/{id}", Need: api.Known(), Summary: "Rename a passkey of one's own", In: renamed{}, Out: made{}, Serve: s.renameOne},
		{Method: "DELETE", Path: base + "/{id}", Need: api.Known(), Summary: "Delete a passkey of one's own", Serve: s.deleteOne},
	}
}

type finish struct {
	Name       string          `json:"name,omitempty"`
	Remember   bool            `json:"rememberMe,omitempty"`
	Credential json.RawMessage `json:"credential"` // the PublicKeyCredential, as its toJSON says it
}

type shown struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"createdAt"`
	LastUsed  *time.Time `json:"lastUsed,omitempty"`
	BackedUp  bool       `json:"backedUp"` // a provider keeps copies of it for the person's other devices
}

type list struct {
	Passkeys []shown `json:"passkeys"`
}

type made struct {
	Passkey struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"passkey"`
}

type renamed struct {
	Name string `json:"name"`
}

// own is the caller, who is a user at the product's own pages: an app that somebody let in may not add keys to their account.
func own(r *http.Request) (*access.Caller, error) {
	c := access.From(r.Context())
	if c.User == 0 || c.Client != "" {
		return nil, fault.New(fault.Forbidden, "passkeys are managed by the signed-in user alone")
	}
	return &c, nil
}

func (s *Service) registerBegin(w http.ResponseWriter, r *http.Request) error {
	c, err := own(r)
	if err != nil {
		return err
	}
	options, err := s.BeginRegistration(r.Context(), c.Tenant, c.User)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, options)
}

func (s *Service) registerFinish(w http.ResponseWriter, r *http.Request) error {
	c, err := own(r)
	if err != nil {
		return err
	}
	var in finish
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	num, err := s.FinishRegistration(r.Context(), c.Tenant, c.User, c.Who, in.Name, in.Credential)
	if err != nil {
		return err
	}
	return s.answerOne(w, r, http.StatusCreated, c, num)
}

func (s *Service) answerOne(w http.ResponseWriter, r *http.Request, status int, c *access.Caller, num int64) error {
	all, err := s.find(r.Context(), c.Tenant, "num = $2", num)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errNoPasskey
	}
	var out made
	out.Passkey.ID, out.Passkey.Name = strconv.FormatInt(num, 10), all[0].body.Name
	return api.Answer(w, r, status, out)
}

func (s *Service) loginBegin(w http.ResponseWriter, r *http.Request) error {
	options, err := s.BeginSignIn(r.Context(), access.From(r.Context()).Tenant)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, options)
}

func (s *Service) loginFinish(w http.ResponseWriter, r *http.Request) error {
	var in finish
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c := access.From(r.Context())
	signedIn, err := s.FinishSignIn(r.Context(), c.Tenant, in.Credential, in.Remember, c.Address, r.UserAgent())
	if err != nil {
		return err
	}
	return s.o.Complete(w, r, signedIn)
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) error {
	c, err := own(r)
	if err != nil {
		return err
	}
	all, err := s.ofUser(r.Context(), c.Tenant, c.User)
	if err != nil {
		return err
	}
	out := list{Passkeys: make([]shown, 0, len(all))}
	for _, p := range all {
		one := shown{ID: strconv.FormatInt(p.num, 10), Name: p.body.Name, CreatedAt: time.UnixMicro(p.created).UTC(), BackedUp: p.body.Credential.Flags.BackupState}
		if p.used > 0 {
			t := time.UnixMicro(p.used).UTC()
			one.LastUsed = &t
		}
		out.Passkeys = append(out.Passkeys, one)
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func numberOf(r *http.Request) (int64, error) {
	num, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || num <= 0 {
		return 0, errNoPasskey
	}
	return num, nil
}

func (s *Service) renameOne(w http.ResponseWriter, r *http.Request) error {
	c, err := own(r)
	if err != nil {
		return err
	}
	num, err := numberOf(r)
	if err != nil {
		return err
	}
	var in renamed
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	if in.Name == "" {
		return fault.At(fault.Invalid, "name", "is required")
	}
	if err := validName(in.Name); err != nil {
		return err
	}
	if err := s.rename(r.Context(), c.Tenant, c.User, num, c.Who, in.Name); err != nil {
		return err
	}
	return s.answerOne(w, r, http.StatusOK, c, num)
}

func (s *Service) deleteOne(w http.ResponseWriter, r *http.Request) error {
	c, err := own(r)
	if err != nil {
		return err
	}
	num, err := numberOf(r)
	if err != nil {
		return err
	}
	if err := s.remove(r.Context(), c.Tenant, c.User, num); err != nil {
		return err
	}
	s.ledger.Note(s.entry(r.Context(), c.Tenant, audit.Session, "passkey-delete", c.User, "a passkey was deleted"))
	return api.Answer(w, r, http.StatusOK, struct{}{})
}
