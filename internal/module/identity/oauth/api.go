package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/web/api"
)

// permissionClients is what whoever manages clients holds.
const permissionClients = "clients:manage"

// Routes are the product API's: clients for administrators, and for everybody the apps that act for them.
func (s *Server) Routes() []api.Route {
	manage := api.Permission(permissionClients)
	pass := func(w http.ResponseWriter, r *http.Request) error {
		s.mux.ServeHTTP(w, r)
		return nil
	}
	return []api.Route{
		{Method: "GET", Path: "/api/v1/oauth/authorize", Need: api.Public(), Summary: "Authorization endpoint (RFC 6749), also /oauth2/authorize", Serve: pass},
		{Method: "POST", Path: "/api/v1/oauth/authorize", Need: api.Public(), Summary: "Authorization endpoint by POST (SMART authorize-post)", Serve: pass},
		{Method: "POST", Path: "/api/v1/oauth/token", Need: api.Public(), Summary: "Token endpoint (RFC 6749), also /oauth2/token", Serve: pass},
		{Method: "GET", Path: "/api/v1/oauth/clients", Need: manage, Summary: "List the registered apps", Out: []ClientView{}, Query: []string{"page", "limit"}, Serve: s.listClients},
		{Method: "POST", Path: "/api/v1/oauth/clients", Need: manage, Summary: "Register an app; the secret is told once", In: ClientBody{}, Out: ClientView{}, Once: api.Secret, Serve: s.postClient},
		{Method: "GET", Path: "/api/v1/oauth/clients/{id}", Need: manage, Summary: "Read a registered app", Out: ClientView{}, Serve: s.getClient},
		{Method: "PUT", Path: "/api/v1/oauth/clients/{id}", Need: manage, Summary: "Replace a registered app's metadata", In: ClientBody{}, Out: ClientView{}, Serve: s.putClient},
		{Method: "DELETE", Path: "/api/v1/oauth/clients/{id}", Need: manage, Summary: "Delete a registered app and end its sessions", Serve: s.dropClient},
		{Method: "POST", Path: "/api/v1/oauth/clients/{id}/secret", Need: manage, Summary: "Give an app a new secret; the old one is void at once", Out: ClientView{}, Once: api.Secret, Serve: s.newSecret},
		{Method: "POST", Path: "/api/v1/oauth/initial-access-tokens", Need: manage, Summary: "Make an initial access token for dynamic registration", In: InitialBody{},
			Once: api.Secret, Serve: s.postInitial},
		{Method: "POST", Path: "/api/v1/oauth/launch", Need: api.Known(), Summary: "Open an app in the context of a patient (SMART EHR launch)", In: LaunchOrder{}, Out: LaunchHandle{},
			Once: api.Secret, Serve: s.postLaunch},
		{Method: "GET", Path: "/api/v1/oauth/grants", Need: api.Known(), Summary: "List the apps that act for the caller", Out: []Grant{}, Serve: s.listGrants},
		{Method: "DELETE", Path: "/api/v1/oauth/grants/{client}", Need: api.Known(), Summary: "Withdraw an app's access", Serve: s.dropGrant},
	}
}

// ClientBody is what an administrator says of an app.
type ClientBody struct {
	ClientID string `json:"client_id,omitempty"` // "": one is made up
	Disabled bool   `json:"disabled,omitempty"`
	ClientMeta
}

// ClientView is what is told of an app.
type ClientView struct {
	ClientID  string `json:"client_id"`
	Secret    string `json:"client_secret,omitempty"` // once
	Origin    string `json:"origin"`
	Disabled  bool   `json:"disabled"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	ClientMeta
}

func viewOf(c *Client, secret string) ClientView {
	return ClientView{ClientID: c.ID, Secret: secret, Origin: c.Origin, Disabled: c.Disabled, CreatedAt: instant(c.CreatedAt), UpdatedAt: instant(c.UpdatedAt),
		ClientMeta: c.Meta}
}

func instant(micro int64) string { return time.UnixMicro(micro).UTC().Format(time.RFC3339) }

// asFault makes a failure of registration one of the product API's.
func asFault(err error) error {
	if f, ok := err.(*failure); ok && f.status < http.StatusInternalServerError { //nolint:errorlint // our own, not wrapped
		return fault.New(fault.Unprocessable, "%s", f.text)
	}
	return err
}

func (s *Server) listClients(w http.ResponseWriter, r *http.Request) error {
	list, err := s.readClients(r.Context(), tenantOf(r.Context()), " ORDER BY name, id")
	if err != nil {
		return err
	}
	page, limit, err := api.PageOf(r)
	if err != nil {
		return err
	}
	out := []ClientView{}
	for _, c := range list[min((page-1)*limit, len(list)):min(page*limit, len(list))] {
		out = append(out, viewOf(c, ""))
	}
	return api.List(w, r, map[string]any{"clients": out}, api.Page{Page: page, Limit: limit, Total: len(list)})
}

// mayVouch says why the caller may not vouch for an app: one that speaks for itself sees records whatever its maker sees, and one that
// nobody is asked about acts for whoever signs in. Both are for those alone who may do everything, as such API keys are.
func mayVouch(ctx context.Context, metas ...*ClientMeta) error {
	if c := access.From(ctx); c.Permits(access.AllPermissions) {
		return nil
	}
	for _, m := range metas {
		if m.Trusted || slices.Contains(m.GrantTypes, grantClient) {
			return fault.New(fault.Forbidden, "an app that speaks for itself, or is trusted without consent, needs somebody who may do everything")
		}
	}
	return nil
}

func (s *Server) postClient(w http.ResponseWriter, r *http.Request) error {
	var b ClientBody
	if err := api.Decode(r, &b); err != nil {
		return err
	}
	if err := mayVouch(r.Context(), &b.ClientMeta); err != nil {
		return err
	}
	c, n, err := s.CreateClient(r.Context(), tenantOf(r.Context()), NewClient{ID: b.ClientID, Meta: b.ClientMeta}, "admin", access.From(r.Context()).Who)
	if err != nil {
		return asFault(err)
	}
	return api.Answer(w, r, http.StatusCreated, map[string]any{"client": viewOf(c, n.Secret)})
}

func (s *Server) pathClient(r *http.Request) (*Client, error) {
	c, err := s.readClient(r.Context(), tenantOf(r.Context()), r.PathValue("id"))
	if err == nil && c == nil {
		err = fault.New(fault.NotFound, "there is no such client")
	}
	return c, err
}

func (s *Server) getClient(w http.ResponseWriter, r *http.Request) error {
	c, err := s.pathClient(r)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"client": viewOf(c, "")})
}

func (s *Server) putClient(w http.ResponseWriter, r *http.Request) error {
	c, err := s.pathClient(r)
	if err != nil {
		return err
	}
	var b ClientBody
	if err := api.Decode(r, &b); err != nil {
		return err
	}
	if b.ClientID != "" && b.ClientID != c.ID {
		return fault.At(fault.Unprocessable, "client_id", "it cannot change")
	}
	if err := mayVouch(r.Context(), &c.Meta, &b.ClientMeta); err != nil {
		return err
	}
	if b.AuthMethod == "" {
		b.AuthMethod = c.Meta.AuthMethod
	}
	if err := b.complete(s.o.Loopback); err != nil {
		return asFault(err)
	}
	raw, had := "", len(c.secret) > 0
	switch needs := b.AuthMethod == authBasic || b.AuthMethod == authPost; {
	case needs && !had:
		raw = secret("ncs_")
		c.secret = hash(raw)
	case !needs:
		c.secret = nil
	}
	c.Meta, c.Disabled = b.ClientMeta, b.Disabled
	return s.storeClient(w, r, c, raw)
}

func (s *Server) storeClient(w http.ResponseWriter, r *http.Request, c *Client, raw string) error {
	tenant, by := tenantOf(r.Context()), access.From(r.Context()).Who
	if err := s.writeClient(r.Context(), tenant, c, by, false); err != nil {
		return err
	}
	s.noteAdmin(r.Context(), tenant, "update", by, c.ID)
	return api.Answer(w, r, http.StatusOK, map[string]any{"client": viewOf(c, raw)})
}

func (s *Server) newSecret(w http.ResponseWriter, r *http.Request) error {
	c, err := s.pathClient(r)
	if err != nil {
		return err
	}
	if err := mayVouch(r.Context(), &c.Meta); err != nil {
		return err
	}
	if len(c.secret) == 0 {
		return fault.New(fault.Unprocessable, "this client has no secret: its token_endpoint_auth_method is %s", c.Meta.AuthMethod)
	}
	raw := secret("ncs_")
	c.secret = hash(raw)
	return s.storeClient(w, r, c, raw)
}

func (s *Server) dropClient(w http.ResponseWriter, r *http.Request) error {
	tenant, by, id := tenantOf(r.Context()), access.From(r.Context()).Who, r.PathValue("id")
	if err := s.deleteClient(r.Context(), tenant, id, by); err != nil {
		return err
	}
	s.noteAdmin(r.Context(), tenant, "delete", by, id)
	return api.Answer(w, r, http.StatusOK, map[string]any{"deleted": true})
}

// InitialBody is a wish for an initial access token.
type InitialBody struct {
	Name string `json:"name"`
	Uses int    `json:"uses"` // 0: 1
	Days int    `json:"days"` // 0: 7
}

func (s *Server) postInitial(w http.ResponseWriter, r *http.Request) error {
	var b InitialBody
	if err := api.Decode(r, &b); err != nil {
		return err
	}
	if b.Uses == 0 {
		b.Uses = 1
	}
	if b.Days == 0 {
		b.Days = 7
	}
	if b.Name == "" || b.Days < 1 || b.Days > 366 {
		return fault.New(fault.Unprocessable, "name is needed, and days must be 1 to 366")
	}
	// Whoever has the token registers apps that speak for themselves.
	if err := mayVouch(r.Context(), &ClientMeta{GrantTypes: []string{grantClient}}); err != nil {
		return err
	}
	raw, err := s.NewInitialToken(r.Context(), tenantOf(r.Context()), b.Name, b.Uses, time.Duration(b.Days)*24*time.Hour, access.From(r.Context()).Who)
	if err != nil {
		return asFault(err)
	}
	return api.Answer(w, r, http.StatusCreated, map[string]any{"initial_access_token": raw})
}

func (s *Server) postLaunch(w http.ResponseWriter, r *http.Request) error {
	var o LaunchOrder
	if err := api.Decode(r, &o); err != nil {
		return err
	}
	h, err := s.CreateLaunch(r.Context(), o)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusCreated, h)
}

// Grant is an app that acts for a person.
type Grant struct {
	ClientID string   `json:"client_id"`
	Name     string   `json:"client_name"`
	Scopes   []string `json:"scopes"`
	Sessions int      `json:"sessions"` // that last
	Since    string   `json:"since"`
}

// Grants lists the apps that act for a user, or may without asking again.
func (s *Server) Grants(ctx context.Context, tenant int32, user int64) ([]Grant, error) {
	out := []Grant{}
	find := func(client string, since int64) *Grant {
		i := slices.IndexFunc(out, func(g Grant) bool { return g.ClientID == client })
		if i < 0 {
			i = len(out)
			out = append(out, Grant{ClientID: client, Since: instant(since), Scopes: []string{}})
		}
		return &out[i]
	}
	add := func(g *Grant, text string) {
		for word := range strings.FieldsSeq(text) {
			if !slices.Contains(g.Scopes, word) {
				g.Scopes = append(g.Scopes, word)
			}
		}
	}
	err := s.ledger.View(ctx, tenant, func(q sqldb.Querier) error {
		out = out[:0]
		read := func(f func(g *Grant)) func(sqldb.Rows) error {
			return func(rows sqldb.Rows) error {
				var client, text string
				var since int64
				if err := rows.Scan(&client, &text, &since); err != nil {
					return err
				}
				g := find(client, since)
				add(g, text)
				f(g)
				return nil
			}
		}
		err := sqldb.Each(ctx, q, read(func(*Grant) {}), `SELECT client, granted, created_at FROM oauth_consent WHERE tenant = $1 AND subject = $2 AND deleted_at = 0
			ORDER BY created_at`, tenant, user)
		if err != nil {
			return err
		}
		return sqldb.Each(ctx, q, read(func(g *Grant) { g.Sessions++ }), `SELECT client, scope, created_at FROM oauth_session WHERE tenant = $1 AND subject = $2
			AND deleted_at = 0 AND expires_at > $3 ORDER BY num`, tenant, user, s.micro())
	})
	if err != nil {
		return nil, err
	}
	for i := range out {
		c, err := s.readClient(ctx, tenant, out[i].ClientID)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out[i].Name = c.Meta.Name
		}
	}
	return out, nil
}

func (s *Server) listGrants(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	if c.User == 0 || c.Client != "" { // an app must not know of the others
		return fault.New(fault.Forbidden, "only a user, at the product itself, sees and withdraws what they granted")
	}
	list, err := s.Grants(r.Context(), c.Tenant, c.User)
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"grants": list})
}

// Withdraw ends all that an app was granted by a user. NotFound where that is nothing.
func (s *Server) Withdraw(ctx context.Context, tenant int32, user int64, client, by string) error {
	now := s.micro()
	err := s.ending(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE oauth_consent SET deleted_at = $4, updated_at = $4, updated_by = $5
			WHERE tenant = $1 AND subject = $2 AND client = $3 AND deleted_at = 0`, tenant, user, client, now, by)
		if err != nil {
			return err
		}
		m, err := tx.Exec(ctx, `UPDATE oauth_session SET deleted_at = $4, updated_at = $4, updated_by = $5, reason = 'the person withdrew it'
			WHERE tenant = $1 AND subject = $2 AND client = $3 AND deleted_at = 0`, tenant, user, client, now, by)
		if err == nil && n+m == 0 {
			err = fault.New(fault.NotFound, "this app has been granted nothing")
		}
		return err
	})
	if err != nil {
		return err
	}
	e := s.entry(ctx, tenant, audit.Session, "withdraw", "client "+client)
	e.Client = client
	s.ledger.Note(e)
	return nil
}

func (s *Server) dropGrant(w http.ResponseWriter, r *http.Request) error {
	c := access.From(r.Context())
	if c.User == 0 || c.Client != "" { // an app must not know of the others
		return fault.New(fault.Forbidden, "only a user, at the product itself, sees and withdraws what they granted")
	}
	if err := s.Withdraw(r.Context(), c.Tenant, c.User, r.PathValue("client"), c.Who); err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, map[string]any{"revoked": true})
}
