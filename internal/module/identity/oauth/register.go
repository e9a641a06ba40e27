package oauth

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// registered is RFC 7591 section 3.2.1's answer.
type registered struct {
	ClientID string `json:"client_id"`
	Secret   string `json:"client_secret,omitempty"`
	Issued   int64  `json:"client_id_issued_at"`
	Expires  *int64 `json:"client_secret_expires_at,omitempty"`
	Token    string `json:"registration_access_token,omitempty"`
	URI      string `json:"registration_client_uri,omitempty"`
	ClientMeta
}

func (s *Server) registration(tenant int32, c *Client, n *NewClient) registered {
	out := registered{ClientID: c.ID, Issued: c.CreatedAt / 1e6, ClientMeta: c.Meta, URI: s.Issuer(tenant) + "/oauth2/register/" + c.ID}
	if n != nil {
		out.Secret, out.Token = n.Secret, n.token
	}
	if len(c.secret) > 0 {
		out.Expires = new(int64) // 0: never
	}
	return out
}

func bearer(r *http.Request) string {
	kind, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return ""
	}
	return strings.TrimSpace(raw)
}

// register answers POST /oauth2/register (RFC 7591).
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	ctx, tenant := r.Context(), tenantOf(r.Context())
	if s.o.Registration == Off {
		return &failure{status: http.StatusForbidden, code: "access_denied", text: "clients are not registered this way here"}
	}
	var m ClientMeta
	if err := readJSON(w, r, &m); err != nil {
		return err
	}
	m.Trusted, m.ResourceServer = false, false
	raw := bearer(r)
	if raw == "" && s.o.Registration != Open {
		return badToken("an initial access token is needed")
	}
	if raw == "" {
		if err := openOnly(&m); err != nil {
			return err
		}
	}
	if err := m.complete(s.o.Loopback); err != nil { // before the token loses a use
		return err
	}
	by := "anonymous"
	if raw != "" {
		if !strings.HasPrefix(raw, "nci_") {
			return badToken("the initial access token is not valid")
		}
		ok, err := s.useInitial(ctx, tenant, raw)
		if err != nil {
			return err
		}
		if !ok {
			return badToken("the initial access token is not valid")
		}
		by = "initial-access-token"
	}
	c, n, err := s.CreateClient(ctx, tenant, NewClient{Meta: m}, "dynamic", by)
	if err != nil {
		return err
	}
	answer(w, http.StatusCreated, s.registration(tenant, c, n))
	return nil
}

// openOnly checks that a client that nobody vouches for is a public one, about one patient at a time.
func openOnly(m *ClientMeta) error {
	if m.AuthMethod == "" {
		m.AuthMethod = authNone
	}
	if m.AuthMethod != authNone {
		return badMeta("without an initial access token only public clients (token_endpoint_auth_method none) are registered")
	}
	if slices.Contains(m.GrantTypes, grantClient) {
		return badMeta("client_credentials needs an initial access token")
	}
	scopes, err := parseScopes(m.Scope)
	if err != nil {
		return badMeta("scope: " + failureOf(err).text)
	}
	if slices.ContainsFunc(scopes, func(sc scope) bool { return sc.level == "user" || sc.level == "system" || sc.text == "launch" }) {
		return badMeta("scopes of the levels user and system, and launch, need an initial access token")
	}
	return nil
}

func (s *Server) useInitial(ctx context.Context, tenant int32, raw string) (bool, error) {
	n, now := int64(0), s.micro()
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		var err error
		n, err = tx.Exec(ctx, "UPDATE oauth_initial SET uses = uses - 1, updated_at = $3 WHERE tenant = $1 AND hash = $2 AND uses > 0 AND deleted_at = 0 AND expires_at > $3",
			tenant, hash(raw), now)
		return err
	})
	return n == 1, err
}

// NewInitialToken makes an initial access token (RFC 7591 section 1.2) for so many registrations, until so long from now.
func (s *Server) NewInitialToken(ctx context.Context, tenant int32, name string, uses int, life time.Duration, by string) (string, error) {
	if uses < 1 || uses > 10000 || life <= 0 || life > 366*24*time.Hour {
		return "", bad("invalid_request", "uses must be 1 to 10000, and the life a year at most")
	}
	raw, now := secret("nci_"), s.now()
	err := s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO oauth_initial (tenant, hash, name, uses, expires_at, created_by, created_at, updated_by, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $6, $7, 0)`, tenant, hash(raw), name, int64(uses), now.Add(life).UnixMicro(), by, now.UnixMicro())
		return err
	})
	if err != nil {
		return "", err
	}
	s.noteAdmin(ctx, tenant, "create", by, "initial-access-token")
	return raw, nil
}

// managed finds the client of a request to its registration by the registration access token (RFC 7592 section 2).
func (s *Server) managed(r *http.Request) (*Client, error) {
	c, err := s.findClient(r.Context(), tenantOf(r.Context()), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if c == nil || !sameHash(c.registration, bearer(r)) {
		return nil, badToken("the registration access token is not valid")
	}
	return c, nil
}

func (s *Server) registrationRead(w http.ResponseWriter, r *http.Request) error {
	c, err := s.managed(r)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, s.registration(tenantOf(r.Context()), c, nil))
	return nil
}

// registrationReplace answers PUT (RFC 7592 section 2.2). A client cannot get more than the policy gave it: neither another way to
// authenticate, nor scopes or grants of another kind.
func (s *Server) registrationReplace(w http.ResponseWriter, r *http.Request) error {
	c, err := s.managed(r)
	if err != nil {
		return err
	}
	var in struct {
		ID string `json:"client_id"`
		ClientMeta
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if in.ID != c.ID {
		return bad("invalid_request", "client_id must be this client's")
	}
	m := in.ClientMeta
	m.Trusted, m.ResourceServer = c.Meta.Trusted, c.Meta.ResourceServer
	if m.AuthMethod == "" {
		m.AuthMethod = c.Meta.AuthMethod
	}
	if err := m.complete(s.o.Loopback); err != nil {
		return err
	}
	wanted := wordsOf(m.Scope)
	if m.AuthMethod != c.Meta.AuthMethod || len(only(wanted, c.scopes)) != len(wanted) ||
		slices.ContainsFunc(m.GrantTypes, func(g string) bool { return !c.grants(g) }) {
		return badMeta("token_endpoint_auth_method cannot change, and scope and grant_types cannot grow")
	}
	c.Meta = m
	tenant := tenantOf(r.Context())
	if err := s.writeClient(r.Context(), tenant, c, "Client/"+c.ID, false); err != nil {
		return err
	}
	s.noteAdmin(r.Context(), tenant, "update", "Client/"+c.ID, c.ID)
	answer(w, http.StatusOK, s.registration(tenant, c, nil))
	return nil
}

func (s *Server) registrationDelete(w http.ResponseWriter, r *http.Request) error {
	c, err := s.managed(r)
	if err != nil {
		return err
	}
	tenant := access.From(r.Context()).Tenant
	if err := s.deleteClient(r.Context(), tenant, c.ID, "Client/"+c.ID); err != nil {
		return err
	}
	s.noteAdmin(r.Context(), tenant, "delete", "Client/"+c.ID, c.ID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
