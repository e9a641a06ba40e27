package federation

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/fault"
)

// The kinds of providers.
const (
	Google    = "google"
	Microsoft = "microsoft"
	OpenID    = "oidc"
	SAML      = "saml"
)

// Provider is another place that people sign in at.
type Provider struct {
	ID      string
	Kind    string
	Name    string
	Enabled bool
	Config  Config
	Updated time.Time

	tenant int32
	secret secrets
}

// Config is what of a provider is no secret.
type Config struct {
	// OpenID Connect.
	Issuer   string   `json:"issuer,omitempty"`   // its identifier; for Microsoft {tenantid} may stand in it
	ClientID string   `json:"clientId,omitempty"` // ours there
	Scopes   []string `json:"scopes,omitempty"`

	// SAML.
	Metadata     string `json:"metadata,omitempty"`     // the identity provider's, in XML
	MetadataURL  string `json:"metadataUrl,omitempty"`  // where it is found, in place of Metadata
	IDPInitiated bool   `json:"idpInitiated,omitempty"` // responses that nobody asked for are taken
	SignRequests bool   `json:"signRequests,omitempty"`

	// Who is let in.
	HostedDomain string   `json:"hostedDomain,omitempty"` // Google's hd claim must be it
	Tenants      []string `json:"tenants,omitempty"`      // Microsoft's tid claim must be one of them
	Domains      []string `json:"domains,omitempty"`      // the e-mail address must be of one of them
	TrustEmail   bool     `json:"trustEmail,omitempty"`   // its addresses count as verified even where it does not say so
	Create       bool     `json:"createUsers,omitempty"`  // who is not known yet becomes a user

	// What they are.
	Claims      Claims `json:"claims,omitzero"`
	Roles       []Rule `json:"roles,omitempty"`
	DefaultRole string `json:"defaultRole,omitempty"` // where no rule holds; "": such people are not let in
}

// Claims are the names of the claims or SAML attributes that tell of a person; "" is the usual one of the kind.
type Claims struct {
	Subject   string `json:"subject,omitempty"`
	Email     string `json:"email,omitempty"`
	Username  string `json:"username,omitempty"`
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
}

// Rule gives a role to whoever has a value in a claim or attribute. A dot in Claim leads into an object: "realm_access.roles".
type Rule struct {
	Claim      string `json:"claim"`
	Value      string `json:"value"`
	Role       string `json:"role"`
	Privileged bool   `json:"privileged,omitempty"` // must be said for roles that rule over users or do everything
}

// secrets are what is sealed.
type secrets struct {
	Client      string `json:"client,omitempty"`      // the client's secret
	Key         []byte `json:"key,omitempty"`         // ours for SAML, PKCS #8
	Certificate []byte `json:"certificate,omitempty"` // of the key, DER
}

// openID reports a provider that speaks OpenID Connect.
func (p *Provider) openID() bool { return p.Kind != SAML }

const (
	googleIssuer    = "https://accounts.google.com"
	microsoftIssuer = "https://login.microsoftonline.com/{tenantid}/v2.0"
	tenantMark      = "{tenantid}"
)

// preset fills in what the kind of a provider implies.
func (p *Provider) preset() {
	c := &p.Config
	switch p.Kind {
	case Google:
		if c.Issuer == "" {
			c.Issuer = googleIssuer
		}
	case Microsoft:
		if c.Issuer == "" {
			c.Issuer = microsoftIssuer
			if len(c.Tenants) == 1 {
				c.Issuer = strings.Replace(microsoftIssuer, tenantMark, c.Tenants[0], 1)
			}
		}
	}
	if p.openID() && len(c.Scopes) == 0 {
		c.Scopes = []string{"openid", "profile", "email"}
	}
}

var (
	idForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]$`)
	tenantForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$`)
	domainForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*(\.[A-Za-z0-9-]+)+$`)
)

// check says what of a provider is not as it must be; the first field that is wrong.
func (p *Provider) check(privileged func(string) bool) error {
	wrong := func(field, format string, args ...any) error { return fault.At(fault.Invalid, field, format, args...) }
	c := &p.Config
	switch {
	case !idForm.MatchString(p.ID):
		return wrong("id", "must be 2 to 40 lower-case letters, digits and hyphens")
	case !slices.Contains([]string{Google, Microsoft, OpenID, SAML}, p.Kind):
		return wrong("kind", "must be google, microsoft, oidc or saml")
	case strings.TrimSpace(p.Name) == "" || len(p.Name) > 200:
		return wrong("name", "must be a name of at most 200 bytes")
	}
	if err := p.checkKind(wrong); err != nil {
		return err
	}
	for _, d := range append(slices.Clone(c.Domains), c.HostedDomain) {
		if d != "" && !domainForm.MatchString(d) {
			return wrong("domains", "must be domain names")
		}
	}
	for _, t := range c.Tenants {
		if !tenantForm.MatchString(t) {
			return wrong("tenants", "must be directory (tenant) ids")
		}
	}
	if len(c.Roles) > 500 {
		return wrong("roles", "must be at most 500 rules")
	}
	for _, r := range c.Roles {
		switch {
		case r.Claim == "" || r.Value == "" || r.Role == "":
			return wrong("roles", "each rule has a claim, a value and a role")
		case privileged(r.Role) && !r.Privileged:
			return wrong("roles", "a rule that gives a privileged role must say privileged: true")
		}
	}
	if privileged(c.DefaultRole) {
		return wrong("defaultRole", "must not be a privileged role")
	}
	return nil
}

func (p *Provider) checkKind(wrong func(field, format string, args ...any) error) error {
	c := &p.Config
	if p.Kind == SAML {
		switch {
		case (c.Metadata == "") == (c.MetadataURL == ""):
			return wrong("metadata", "either metadata or metadataUrl is required")
		case c.MetadataURL != "" && permittedURL(c.MetadataURL) != nil:
			return wrong("metadataUrl", "must be an https URL")
		case c.Metadata != "":
			if _, err := parseMetadata([]byte(c.Metadata)); err != nil {
				return wrong("metadata", "is no metadata of a SAML identity provider with a signing certificate and a single sign-on address")
			}
		}
		return nil
	}
	switch {
	case c.ClientID == "":
		return wrong("clientId", "is required")
	case permittedURL(strings.Replace(c.Issuer, tenantMark, "common", 1)) != nil:
		return wrong("issuer", "must be an https URL")
	case strings.Contains(c.Issuer, tenantMark) && p.Kind != Microsoft:
		return wrong("issuer", "only Microsoft's has a place for the tenant")
	case strings.Contains(c.Issuer, tenantMark) && len(c.Tenants) == 0:
		return wrong("tenants", "name the directories (tenant ids) whose users are let in")
	case p.Kind == Google && c.HostedDomain == "" && len(c.Domains) == 0 && c.Create:
		return wrong("hostedDomain", "name the domain whose users are made: everybody in the world has a Google account")
	case !slices.Contains(c.Scopes, "openid"):
		return wrong("scopes", "must contain openid")
	}
	return nil
}

// returnTo is where a browser is led after signing in: a path of ours, or a registered address. "" is the first page.
func (s *Service) returnTo(asked string) (string, error) {
	if asked == "" {
		return "/", nil
	}
	if slices.Contains(s.o.Returns, asked) {
		return asked, nil
	}
	u, err := url.Parse(asked)
	local := err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && strings.HasPrefix(asked, "/") && !strings.HasPrefix(asked, "//") &&
		!strings.ContainsFunc(asked, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) && len(asked) <= 2000
	if !local || strings.HasPrefix(u.Path, "//") || strings.Contains(u.Path, `\`) {
		return "", fault.At(fault.Invalid, "return_to", "must be a path of this server or a registered address")
	}
	return asked, nil
}
