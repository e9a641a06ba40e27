package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// permissionLaunch lets a program that speaks for a user launch apps for them.
const permissionLaunch = "launches:create"

// LaunchOrder is a wish to open an app in the context of a patient (SMART App Launch 2.2, "EHR Launch").
type LaunchOrder struct {
	ClientID string `json:"client_id"`
	Launch
}

// LaunchHandle is what the app is opened with.
type LaunchHandle struct {
	Launch    string `json:"launch"`
	LaunchURL string `json:"launch_url,omitempty"` // "" where the client registered none
	ExpiresIn int    `json:"expires_in"`           // seconds
}

// CreateLaunch makes a launch handle for the user of ctx, who alone may use it, once. Invalid where the client is not one for launches,
// NotFound where the caller may not read the patient or the encounter.
func (s *Server) CreateLaunch(ctx context.Context, o LaunchOrder) (*LaunchHandle, error) {
	caller := access.From(ctx)
	if caller.User == 0 || caller.Client != "" && !caller.Permits(permissionLaunch) {
		return nil, fault.New(fault.Forbidden, "only a signed-in user launches apps, and no app another one")
	}
	c, err := s.findClient(ctx, caller.Tenant, o.ClientID)
	if err != nil {
		return nil, err
	}
	if c == nil || !hasScope(c.scopes, "launch") {
		return nil, fault.At(fault.Invalid, "client_id", "no client for launches has this id")
	}
	if o.Patient != "" {
		if _, err := s.o.Patients.Patient(ctx, o.Patient); err != nil {
			return nil, err
		}
	}
	if o.Encounter != "" {
		patient, err := s.o.Patients.Encounter(ctx, o.Encounter)
		if err != nil {
			return nil, err
		}
		if o.Patient != "" && patient != o.Patient {
			return nil, fault.At(fault.Invalid, "encounter", "the encounter is not the patient's")
		}
		if o.Patient == "" {
			if _, err := s.o.Patients.Patient(ctx, patient); err != nil {
				return nil, err
			}
			o.Patient = patient
		}
	}
	if len(o.Intent) > 200 || len(o.Context) > 20 {
		return nil, fault.At(fault.Invalid, "intent", "the launch context is too long")
	}
	for _, ref := range o.Context {
		typ, id, ok := strings.Cut(ref.Reference, "/")
		if !ok || !isResourceType(typ) || id == "" || typ == "Patient" || typ == "Encounter" {
			return nil, fault.At(fault.Invalid, "fhirContext", "a reference must be relative, and to neither Patient nor Encounter")
		}
	}
	return s.keepLaunch(ctx, c, &caller, o)
}

func (s *Server) keepLaunch(ctx context.Context, c *Client, caller *access.Caller, o LaunchOrder) (*LaunchHandle, error) {
	body, err := json.Marshal(o.Launch)
	if err != nil {
		return nil, err
	}
	handle, now := secret("nla_"), s.now()
	err = s.ledger.Update(ctx, caller.Tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO oauth_launch (tenant, hash, client, subject, body, expires_at, created_by, created_at, used_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`,
			caller.Tenant, hash(handle), c.ID, caller.User, string(body), now.Add(launchLife).UnixMicro(), caller.Who, now.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &LaunchHandle{Launch: handle, ExpiresIn: int(launchLife.Seconds())}
	if c.Meta.LaunchURL != "" {
		out.LaunchURL = withQuery(c.Meta.LaunchURL, url.Values{"iss": {s.Audience(caller.Tenant)}, "launch": {handle}})
	}
	return out, nil
}

// takeLaunch uses a handle up.
func (s *Server) takeLaunch(ctx context.Context, tenant int32, c *Client, req *request, handle string) error {
	refuse := bad("invalid_request", "launch is not valid, has expired, or was used")
	var body string
	var failed error
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		body, failed = "", nil
		n, err := tx.Exec(ctx, "UPDATE oauth_launch SET used_at = $3 WHERE tenant = $1 AND hash = $2 AND client = $4 AND used_at = 0 AND expires_at > $3",
			tenant, hash(handle), s.micro(), c.ID)
		if err != nil {
			return err
		}
		if n == 0 {
			failed = refuse
			return nil
		}
		_, err = sqldb.QueryRow(ctx, tx, []any{&req.For, &body}, "SELECT subject, body FROM oauth_launch WHERE tenant = $1 AND hash = $2", tenant, hash(handle))
		return err
	})
	if err != nil || failed != nil {
		if err == nil {
			err = failed
		}
		return err
	}
	req.Launched = true
	return json.Unmarshal([]byte(body), &req.Launch)
}

// launch answers POST /oauth2/launch.
func (s *Server) launch(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	if !c.Known() || c.User == 0 {
		return badToken("sign in first")
	}
	var o LaunchOrder
	if err := readJSON(w, r, &o); err != nil {
		return err
	}
	h, err := s.CreateLaunch(r.Context(), o)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, h)
	return nil
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm))
	if err := d.Decode(v); err != nil {
		return bad("invalid_request", "the body is not the JSON that is taken here")
	}
	return nil
}
