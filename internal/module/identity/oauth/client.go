package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// The grant types that there are.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
)

// The ways in which a client says who it is at the token endpoint.
const (
	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authJWT   = "private_key_jwt"
)

// ClientMeta is what a client says of itself, with the names of RFC 7591 section 2 and OpenID Connect Dynamic Client Registration.
type ClientMeta struct {
	Name              string          `json:"client_name,omitempty"`
	RedirectURIs      []string        `json:"redirect_uris,omitempty"`
	PostLogout        []string        `json:"post_logout_redirect_uris,omitempty"`
	AuthMethod        string          `json:"token_endpoint_auth_method,omitempty"`
	AuthAlg           string          `json:"token_endpoint_auth_signing_alg,omitempty"` // "": any of those served
	GrantTypes        []string        `json:"grant_types,omitempty"`
	ResponseTypes     []string        `json:"response_types,omitempty"`
	Scope             string          `json:"scope,omitempty"`
	JWKS              json.RawMessage `json:"jwks,omitempty"`
	JWKSURI           string          `json:"jwks_uri,omitempty"`
	IDTokenAlg        string          `json:"id_token_signed_response_alg,omitempty"`
	ClientURI         string          `json:"client_uri,omitempty"`
	LogoURI           string          `json:"logo_uri,omitempty"`
	TosURI            string          `json:"tos_uri,omitempty"`
	PolicyURI         string          `json:"policy_uri,omitempty"`
	LaunchURL         string          `json:"launch_url,omitempty"` // SMART: where an EHR's launch opens the app
	Contacts          []string        `json:"contacts,omitempty"`
	ApplicationType   string          `json:"application_type,omitempty"`
	SoftwareID        string          `json:"software_id,omitempty"`
	SoftwareVersion   string          `json:"software_version,omitempty"`
	SubjectType       string          `json:"subject_type,omitempty"`
	DefaultMaxAge     int64           `json:"default_max_age,omitempty"`
	RequirePushedAuth bool            `json:"require_pushed_authorization_requests,omitempty"`

	// Administrators alone set these.
	Trusted        bool `json:"nilecare_trusted,omitempty"`         // a product of the house: nobody is asked for consent
	ResourceServer bool `json:"nilecare_resource_server,omitempty"` // it may introspect every token
}

// Client is a registered app.
type Client struct {
	ID           string
	Meta         ClientMeta
	Origin       string // admin, dynamic, program
	Disabled     bool
	CreatedAt    int64 // microseconds
	UpdatedAt    int64
	secret       []byte // SHA-256
	registration []byte
	scopes       []scope
}

// public reports a client that cannot keep a secret.
func (c *Client) public() bool { return c.Meta.AuthMethod == authNone }

func (c *Client) grants(typ string) bool { return slices.Contains(c.Meta.GrantTypes, typ) }

var clientID = regexp.MustCompile(`^[A-Za-z0-9._~-]{3,64}$`)

// badMeta is RFC 7591 section 3.2.2's invalid_client_metadata.
func badMeta(text string) *failure { return bad("invalid_client_metadata", text) }

// complete checks metadata and fills in what was left out.
func (m *ClientMeta) complete(loopback bool) error {
	for _, f := range []func() error{m.completeAuth, m.completeGrants, m.checkURIs, m.completeScope} {
		if err := f(); err != nil {
			return err
		}
	}
	return m.checkKeys(loopback)
}

func (m *ClientMeta) completeAuth() error {
	m.Name = strings.TrimSpace(m.Name)
	if m.Name == "" || len(m.Name) > 200 || strings.ContainsFunc(m.Name, func(r rune) bool { return r < ' ' || isDirection(r) }) {
		return badMeta("client_name must be 1 to 200 bytes of plain text")
	}
	if m.AuthMethod == "" {
		m.AuthMethod = authBasic // RFC 7591 section 2
	}
	if !slices.Contains([]string{authNone, authBasic, authPost, authJWT}, m.AuthMethod) {
		return badMeta("token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt")
	}
	if m.AuthAlg != "" && (m.AuthMethod != authJWT || !slices.Contains(assertionAlgs, m.AuthAlg)) {
		return badMeta("token_endpoint_auth_signing_alg must be one of " + strings.Join(assertionAlgs, ", ") + ", with private_key_jwt")
	}
	if m.IDTokenAlg == "" {
		m.IDTokenAlg = "RS256" // OpenID Connect Dynamic Client Registration section 2
	}
	if m.IDTokenAlg != "RS256" && m.IDTokenAlg != "ES256" {
		return badMeta("id_token_signed_response_alg must be RS256 or ES256")
	}
	if m.SubjectType != "" && m.SubjectType != "public" {
		return badMeta("subject_type must be public")
	}
	if m.RequirePushedAuth {
		return badMeta("pushed authorization requests are not served")
	}
	if len(m.Contacts) > 10 {
		return badMeta("contacts must be ten at most")
	}
	return nil
}

// isDirection reports the invisible characters that turn the direction of a text, so that a name can pretend to be another.
func isDirection(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}

func (m *ClientMeta) completeGrants() error {
	if len(m.GrantTypes) == 0 {
		m.GrantTypes = []string{grantCode}
	}
	for _, g := range m.GrantTypes {
		if !slices.Contains([]string{grantCode, grantRefresh, grantClient, grantDevice}, g) {
			return badMeta("grant_types must be of authorization_code, refresh_token, client_credentials and " + grantDevice)
		}
	}
	if m.AuthMethod == authNone && slices.Contains(m.GrantTypes, grantClient) {
		return badMeta("client_credentials is for confidential clients")
	}
	code := slices.Contains(m.GrantTypes, grantCode)
	if len(m.ResponseTypes) == 0 && code {
		m.ResponseTypes = []string{"code"}
	}
	if code != (len(m.ResponseTypes) > 0) || slices.ContainsFunc(m.ResponseTypes, func(t string) bool { return t != "code" }) {
		return badMeta("response_types must be code, with authorization_code alone")
	}
	if code && len(m.RedirectURIs) == 0 {
		return bad("invalid_redirect_uri", "authorization_code needs redirect_uris")
	}
	return nil
}

func (m *ClientMeta) checkURIs() error {
	if len(m.RedirectURIs) > 20 || len(m.PostLogout) > 20 {
		return bad("invalid_redirect_uri", "these are too many URIs")
	}
	for _, u := range m.RedirectURIs {
		if why := checkRedirectURI(u, m.AuthMethod == authNone); why != "" {
			return bad("invalid_redirect_uri", "redirect_uris: "+why)
		}
	}
	for _, u := range m.PostLogout {
		if why := checkRedirectURI(u, m.AuthMethod == authNone); why != "" {
			return badMeta("post_logout_redirect_uris: " + why)
		}
	}
	for name, u := range map[string]string{"client_uri": m.ClientURI, "logo_uri": m.LogoURI, "tos_uri": m.TosURI, "policy_uri": m.PolicyURI,
		"launch_url": m.LaunchURL} {
		if u == "" {
			continue
		}
		p, err := url.Parse(u)
		if err != nil || p.Host == "" || p.User != nil || len(u) > 2000 || (p.Scheme != "https" && (p.Scheme != "http" || !isLoopbackHost(p.Hostname()))) {
			return badMeta(name + " must be an https URL")
		}
	}
	return nil
}

func (m *ClientMeta) completeScope() error {
	scopes, err := parseScopes(m.Scope)
	if err != nil {
		return badMeta("scope: " + failureOf(err).text)
	}
	if slices.Contains(m.GrantTypes, grantClient) != hasLevel(scopes, "system") && hasLevel(scopes, "system") {
		return badMeta("scopes of the level system need the grant type client_credentials")
	}
	m.Scope = scopeText(scopes)
	return nil
}

func (m *ClientMeta) checkKeys(loopback bool) error {
	if m.AuthMethod != authJWT {
		m.JWKS, m.JWKSURI = nil, ""
		return nil
	}
	if (len(m.JWKS) == 0) == (m.JWKSURI == "") {
		return badMeta("private_key_jwt needs either jwks or jwks_uri")
	}
	if m.JWKSURI != "" {
		if why := checkKeyURL(m.JWKSURI, loopback); why != "" {
			return badMeta("jwks_uri: " + why)
		}
		return nil
	}
	if _, err := parseKeys(m.JWKS); err != nil {
		return badMeta("jwks: " + err.Error())
	}
	return nil
}

// maxKeys bounds the keys of a client.
const maxKeys = 50

// parseKeys reads a client's key set: public RSA and elliptic-curve keys alone. Others are an error, so that nobody registers a private key.
func parseKeys(raw []byte) (jwk.Set, error) {
	if len(raw) > maxKeyBytes {
		return nil, fault.New(fault.TooLarge, "the key set is too large")
	}
	set, err := jwk.Parse(raw)
	if err != nil || set.Len() == 0 || set.Len() > maxKeys {
		return nil, fault.New(fault.Invalid, "it is not a JWK Set of 1 to %d keys", maxKeys)
	}
	for i := range set.Len() {
		k, _ := set.Key(i)
		if err := checkKey(k); err != nil {
			return nil, err
		}
	}
	return set, nil
}

func checkKey(k jwk.Key) error {
	var raw any
	if err := jwk.Export(k, &raw); err != nil {
		return fault.New(fault.Invalid, "a key cannot be read")
	}
	switch key := raw.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < 2048 || bits > 8192 || key.E < 3 {
			return fault.New(fault.Invalid, "an RSA key must have 2048 to 8192 bits")
		}
	case *ecdsa.PublicKey:
		if name := key.Curve.Params().Name; name != "P-256" && name != "P-384" {
			return fault.New(fault.Invalid, "an elliptic-curve key must be of P-256 or P-384")
		}
	default:
		return fault.New(fault.Invalid, "only public RSA and EC keys may stand here")
	}
	return nil
}

// findClient reads a client that is neither deleted nor disabled; nil where there is none.
func (s *Server) findClient(ctx context.Context, tenant int32, id string) (*Client, error) {
	c, err := s.readClient(ctx, tenant, id)
	if err != nil || c == nil || c.Disabled {
		return nil, err
	}
	return c, nil
}

const clientColumns = "id, meta, contacts, secret, registration, origin, disabled_at, created_at, updated_at"

func (s *Server) readClient(ctx context.Context, tenant int32, id string) (*Client, error) {
	if !clientID.MatchString(id) {
		return nil, nil
	}
	list, err := s.readClients(ctx, tenant, " AND id = $2", id)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return list[0], nil
}

func (s *Server) readClients(ctx context.Context, tenant int32, where string, args ...any) ([]*Client, error) {
	var list []*Client
	var sealed [][]byte
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		list, sealed = nil, nil
		return sqldb.Each(ctx, q, func(rows sqldb.Rows) error {
			c := &Client{}
			var meta string
			var contacts []byte
			var disabled int64
			if err := rows.Scan(&c.ID, &meta, &contacts, &c.secret, &c.registration, &c.Origin, &disabled, &c.CreatedAt, &c.UpdatedAt); err != nil {
				return err
			}
			c.Disabled = disabled != 0
			list, sealed = append(list, c), append(sealed, contacts)
			return json.Unmarshal([]byte(meta), &c.Meta)
		}, "SELECT "+clientColumns+" FROM oauth_client WHERE tenant = $1 AND deleted_at = 0"+where, append([]any{tenant}, args...)...)
	})
	if err != nil {
		return nil, err
	}
	for i, c := range list {
		c.scopes = wordsOf(c.Meta.Scope)
		if len(sealed[i]) == 0 {
			continue
		}
		plain, err := s.ledger.Open(ctx, tenant, "oauth_client.contacts/"+c.ID, sealed[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(plain, &c.Meta.Contacts); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// writeClient inserts or replaces a client. The secrets' hashes are those of c.
func (s *Server) writeClient(ctx context.Context, tenant int32, c *Client, who string, fresh bool) error {
	meta := c.Meta
	contacts := []byte{}
	if len(meta.Contacts) > 0 {
		plain, err := json.Marshal(meta.Contacts)
		if err != nil {
			return err
		}
		if contacts, err = s.ledger.Seal(ctx, tenant, "oauth_client.contacts/"+c.ID, plain); err != nil {
			return err
		}
	}
	meta.Contacts = nil
	b, err := json.Marshal(meta)
	if err != nil {
		return err
	}
	now := s.micro()
	disabled := int64(0)
	if c.Disabled {
		disabled = now
	}
	if fresh {
		c.CreatedAt = now
	}
	c.UpdatedAt, c.scopes = now, wordsOf(c.Meta.Scope)
	return s.ending(ctx, tenant, func(tx sqldb.Tx) error {
		if fresh {
			n, err := tx.Exec(ctx, `INSERT INTO oauth_client (tenant, id, name, meta, contacts, secret, registration, origin, disabled_at,
				created_by, created_at, updated_by, updated_at, deleted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10, $11, 0)
				ON CONFLICT (tenant, id) DO NOTHING`,
				tenant, c.ID, meta.Name, string(b), contacts, blob(c.secret), blob(c.registration), c.Origin, disabled, who, now)
			if err == nil && n == 0 {
				return fault.New(fault.Conflict, "a client with this client_id exists, or existed")
			}
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE oauth_client SET name = $3, meta = $4, contacts = $5, secret = $6, registration = $7, disabled_at = $8,
			updated_by = $9, updated_at = $10 WHERE tenant = $1 AND id = $2 AND deleted_at = 0`,
			tenant, c.ID, meta.Name, string(b), contacts, blob(c.secret), blob(c.registration), disabled, who, now)
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "there is no such client")
		}
		if err == nil && c.Disabled {
			err = endSessionsOf(ctx, tx, tenant, "client = $4", c.ID, who, now, "the client was disabled")
		}
		return err
	})
}

// blob is bytes that are never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// deleteClient deletes a client and ends all that it was given.
func (s *Server) deleteClient(ctx context.Context, tenant int32, id, who string) error {
	now := s.micro()
	return s.ending(ctx, tenant, func(tx sqldb.Tx) error {
		n, err := tx.Exec(ctx, `UPDATE oauth_client SET deleted_at = $3, updated_by = $4, updated_at = $3
			WHERE tenant = $1 AND id = $2 AND deleted_at = 0`, tenant, id, now, who)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "there is no such client")
		}
		if _, err := tx.Exec(ctx, `UPDATE oauth_consent SET deleted_at = $3, updated_by = $4, updated_at = $3
			WHERE tenant = $1 AND client = $2 AND deleted_at = 0`, tenant, id, now, who); err != nil {
			return err
		}
		return endSessionsOf(ctx, tx, tenant, "client = $4", id, who, now, "the client was deleted")
	})
}

// NewClient is a client to be made, and what is told of it once.
type NewClient struct {
	ID     string // "": one is made up
	Meta   ClientMeta
	Secret string // out: of a client that has one
	token  string // out: the registration access token
}

// CreateClient makes a client of a tenant, for the command line, administrators and tests. It fails with invalid_client_metadata or
// invalid_redirect_uri (RFC 7591 section 3.2.2), or Conflict where the id is taken. The secret is told here and never again.
func (s *Server) CreateClient(ctx context.Context, tenant int32, n NewClient, origin, who string) (*Client, *NewClient, error) {
	if err := n.Meta.complete(s.o.Loopback); err != nil {
		return nil, nil, err
	}
	if n.ID == "" {
		n.ID = "app-" + strings.ToLower(strings.Map(onlyLetters, secret(""))[:20])
	}
	// A client's id is a token's subject where it speaks for itself: it must not look like a user's number.
	if !clientID.MatchString(n.ID) || strings.Trim(n.ID, "0123456789") == "" {
		return nil, nil, badMeta("client_id must be 3 to 64 letters, digits and ._~-, not digits alone")
	}
	c := &Client{ID: n.ID, Meta: n.Meta, Origin: origin}
	if c.Meta.AuthMethod == authBasic || c.Meta.AuthMethod == authPost {
		n.Secret = secret("ncs_")
		c.secret = hash(n.Secret)
	}
	if origin == "dynamic" {
		n.token = secret("ncr_")
		c.registration = hash(n.token)
	}
	if err := s.writeClient(ctx, tenant, c, who, true); err != nil {
		return nil, nil, err
	}
	s.noteAdmin(ctx, tenant, "create", who, c.ID)
	return c, &n, nil
}

func onlyLetters(r rune) rune {
	if r == '_' || r == '-' {
		return 'x'
	}
	return r
}
