package federation

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/web/api"
)

// Routes are the product API's, and the pages' that browsers are led through.
func (s *Service) Routes() []api.Route {
	const rows = "/api/v1/identity-providers"
	manage := api.Permission("users:write")
	return []api.Route{
		{Method: "GET", Path: "/api/v1/auth/providers", Need: api.Public(), Summary: "Other places to sign in at", Out: publicList{}, Serve: s.public},
		{Method: "GET", Path: rows, Need: manage, Summary: "Identity providers", Out: rowList{}, Serve: s.list},
		{Method: "POST", Path: rows, Need: manage, Summary: "Make an identity provider", In: written{}, Out: rowAnswer{}, Serve: s.create},
		{Method: "GET", Path: rows + "/{id}", Need: manage, Summary: "An identity provider", Out: rowAnswer{}, Serve: s.read},
		{Method: "PUT", Path: rows + "/{id}", Need: manage, Summary: "Change an identity provider", In: written{}, Out: rowAnswer{}, Serve: s.update},
		{Method: "DELETE", Path: rows + "/{id}", Need: manage, Summary: "Delete an identity provider", Serve: s.delete},
		{Method: "POST", Path: rows + "/{id}/test", Need: manage, Summary: "Ask an identity provider what it says of itself", Out: tested{}, Serve: s.test},

		{Method: "GET", Path: "/auth/federation/{provider}/start", Need: api.Public(), Summary: "Sign in with another provider", Query: []string{"return_to"}, Serve: s.page(s.start)},
		{Method: "GET", Path: "/auth/federation/{provider}/callback", Need: api.Public(), Summary: "Where an OpenID provider sends the browser back to",
			Query: []string{"code", "state", "iss", "error"}, Serve: s.page(s.openIDCallback)},
		{Method: "GET", Path: "/auth/saml/{provider}/start", Need: api.Public(), Summary: "Sign in with a SAML provider", Query: []string{"return_to"}, Serve: s.page(s.start)},
		{Method: "GET", Path: "/auth/saml/{provider}/metadata", Need: api.Public(), Summary: "What a SAML provider must know of this server", Serve: s.metadata},
		{Method: "POST", Path: "/auth/saml/{provider}/acs", Need: api.Public(), Summary: "Where a SAML provider has the browser post its response to", Serve: s.page(s.acs)},
		{Method: "GET", Path: "/auth/saml/{provider}/finish", Need: api.Public(), Summary: "The end of a sign-in with a SAML provider", Query: []string{"ticket"}, Serve: s.page(s.ticket)},
	}
}

type publicProvider struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Start string `json:"start"` // the path that begins a sign-in; return_to is added to it
}

type publicList struct {
	Providers []publicProvider `json:"providers"`
}

func startPath(p *Provider) string {
	if p.Kind == SAML {
		return "/auth/saml/" + p.ID + "/start"
	}
	return "/auth/federation/" + p.ID + "/start"
}

func (s *Service) public(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Providers(r.Context(), access.From(r.Context()).Tenant)
	if err != nil {
		return err
	}
	out := publicList{Providers: []publicProvider{}}
	for _, p := range all {
		if p.Enabled {
			out.Providers = append(out.Providers, publicProvider{p.ID, p.Name, p.Kind, startPath(p)})
		}
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// written is a provider as an administrator writes it.
type written struct {
	ID           string `json:"id"`
	Kind         string `json:"kind"`
	Name         string `json:"name"`
	Enabled      *bool  `json:"enabled,omitempty"`      // true where it is not said
	ClientSecret string `json:"clientSecret,omitempty"` // "" leaves the one that is there
	Config
}

// shown is a provider as an administrator reads it: without its secrets, with what the other side must be told.
type shown struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	Enabled   bool      `json:"enabled"`
	HasSecret bool      `json:"hasClientSecret"`
	UpdatedAt time.Time `json:"updatedAt"`

	RedirectURI string `json:"redirectUri,omitempty"` // OpenID: register it at the provider
	EntityID    string `json:"entityId,omitempty"`    // SAML: ours, and where our metadata is
	ACS         string `json:"acsUrl,omitempty"`
	Config
}

type rowAnswer struct {
	Provider shown `json:"identityProvider"`
}

type rowList struct {
	Providers []shown `json:"identityProviders"`
}

func (s *Service) shown(p *Provider) shown {
	out := shown{ID: p.ID, Kind: p.Kind, Name: p.Name, Enabled: p.Enabled, HasSecret: p.secret.Client != "", UpdatedAt: p.Updated, Config: p.Config}
	if p.Kind == SAML {
		out.EntityID, out.ACS = s.samlAddress(p, "metadata"), s.samlAddress(p, "acs")
	} else {
		out.RedirectURI = s.callback(p)
	}
	return out
}

func (s *Service) list(w http.ResponseWriter, r *http.Request) error {
	all, err := s.Providers(r.Context(), access.From(r.Context()).Tenant)
	if err != nil {
		return err
	}
	out := rowList{Providers: make([]shown, 0, len(all))}
	for _, p := range all {
		out.Providers = append(out.Providers, s.shown(p))
	}
	return api.Answer(w, r, http.StatusOK, out)
}

func (s *Service) asked(r *http.Request, name string) (*Provider, error) {
	return s.Provider(r.Context(), access.From(r.Context()).Tenant, r.PathValue(name))
}

func (s *Service) read(w http.ResponseWriter, r *http.Request) error {
	p, err := s.asked(r, "id")
	if err != nil {
		return err
	}
	return api.Answer(w, r, http.StatusOK, rowAnswer{s.shown(p)})
}

func (s *Service) create(w http.ResponseWriter, r *http.Request) error {
	return s.write(w, r, &Provider{tenant: access.From(r.Context()).Tenant}, true)
}

func (s *Service) update(w http.ResponseWriter, r *http.Request) error {
	p, err := s.asked(r, "id")
	if err != nil {
		return err
	}
	return s.write(w, r, p, false)
}

// write takes a provider's row over from the body.
func (s *Service) write(w http.ResponseWriter, r *http.Request, p *Provider, isNew bool) error {
	var in written
	if err := api.Decode(r, &in); err != nil {
		return err
	}
	c := access.From(r.Context())
	if isNew {
		p.ID, p.Kind = in.ID, in.Kind
	} else if in.ID != "" && in.ID != p.ID || in.Kind != "" && in.Kind != p.Kind {
		return fault.At(fault.Invalid, "id", "id and kind of a provider do not change")
	}
	p.Name, p.Enabled, p.Config = in.Name, in.Enabled == nil || *in.Enabled, in.Config
	if in.ClientSecret != "" {
		p.secret.Client = in.ClientSecret
	}
	p.preset()
	if err := p.check(s.o.Privileged); err != nil {
		return err
	}
	// Whoever says whom a provider vouches for makes himself anybody: by a rule for a role, and by an address that an account has.
	if !c.Permits(access.AllPermissions) {
		return fault.New(fault.Forbidden, "only who may do everything says whom a provider vouches for")
	}
	if p.Kind == SAML && len(p.secret.Key) == 0 {
		var err error
		if p.secret.Key, p.secret.Certificate, err = newKey(s.samlAddress(p, "metadata"), s.now()); err != nil {
			return err
		}
	}
	if err := s.save(r.Context(), p, c.Who, isNew); err != nil {
		return err
	}
	action, status := "update", http.StatusOK
	if isNew {
		action, status = "create", http.StatusCreated
	}
	s.note(r.Context(), p, action)
	return api.Answer(w, r, status, rowAnswer{s.shown(p)})
}

func (s *Service) note(ctx context.Context, p *Provider, action string) {
	e := s.entry(ctx, p.tenant, audit.Admin, action, "identity provider "+p.ID)
	e.Type = "IdentityProvider"
	s.ledger.Note(e)
}

func (s *Service) delete(w http.ResponseWriter, r *http.Request) error {
	p, err := s.asked(r, "id")
	if err != nil {
		return err
	}
	if err := s.remove(r.Context(), p.tenant, p.ID, access.From(r.Context()).Who); err != nil {
		return err
	}
	s.note(r.Context(), p, "delete")
	return api.Answer(w, r, http.StatusOK, struct{}{})
}

// tested is what a provider says of itself.
type tested struct {
	OK           bool       `json:"ok"`
	Problem      string     `json:"problem,omitempty"`
	Issuer       string     `json:"issuer,omitempty"`
	SignInURL    string     `json:"signInUrl,omitempty"`
	Keys         int        `json:"keys"`
	Certificates []certSeen `json:"certificates,omitempty"`
}

type certSeen struct {
	Subject string    `json:"subject"`
	Until   time.Time `json:"validUntil"`
}

func (s *Service) test(w http.ResponseWriter, r *http.Request) error {
	p, err := s.asked(r, "id")
	if err != nil {
		return err
	}
	s.known.drop(p)
	out, err := s.tryOut(r.Context(), p)
	if err != nil {
		var f *fault.Error
		if !errors.As(err, &f) {
			return err
		}
		out.OK, out.Problem = false, f.Error()
	}
	return api.Answer(w, r, http.StatusOK, out)
}

// start leads the browser to the provider.
func (s *Service) start(w http.ResponseWriter, r *http.Request, p *Provider) error {
	asked := r.URL.Query().Get("return_to")
	if asked == "" {
		asked = r.URL.Query().Get("return")
	}
	back, err := s.returnTo(asked)
	if err != nil {
		return err
	}
	if p.Kind == SAML {
		return s.startSAML(w, r, p, back)
	}
	return s.startOpenID(w, r, p, back)
}

func (s *Service) openIDCallback(w http.ResponseWriter, r *http.Request, p *Provider) error {
	if p.Kind == SAML {
		return errNoProvider
	}
	who, back, err := s.endOpenID(r, p)
	if err != nil {
		return err
	}
	return s.end(w, r, p, who, back)
}

func (s *Service) metadata(w http.ResponseWriter, r *http.Request) error {
	p, err := s.asked(r, "provider")
	if err != nil || p.Kind != SAML {
		return errNoProvider
	}
	raw, err := s.samlMetadata(p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	_, err = w.Write(raw)
	return err
}

func (s *Service) acs(w http.ResponseWriter, r *http.Request, p *Provider) error {
	if p.Kind != SAML {
		return errNoProvider
	}
	ticket, who, back, err := s.endSAML(w, r, p)
	if err != nil {
		return err
	}
	if who != nil {
		return s.end(w, r, p, who, back)
	}
	lead(w, r, s.samlAddress(p, "finish")+"?ticket="+url.QueryEscape(ticket))
	return nil
}

// ticket ends a sign-in by SAML in the browser that began it.
func (s *Service) ticket(w http.ResponseWriter, r *http.Request, p *Provider) error {
	f, err := s.take(r.Context(), p, r.URL.Query().Get("ticket"))
	if err != nil {
		return err
	}
	if f.Who == nil || !sameBrowser(r, f.browser) {
		return errNoFlow
	}
	return s.end(w, r, p, f.Who, f.Return)
}

// end signs in whom a provider vouches for.
func (s *Service) end(w http.ResponseWriter, r *http.Request, p *Provider, who *identity.External, back string) error {
	c := access.From(r.Context())
	u, err := s.o.Users.Provision(r.Context(), p.tenant, *who, p.Config.Create)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.Forbidden, "there is no user for this account").Because(err)
		}
		return err
	}
	in, err := s.o.Users.Begin(r.Context(), p.tenant, u.ID, identity.ByExternal, false, c.Address, r.UserAgent())
	if err != nil {
		return err
	}
	forgetBrowser(w, r)
	return s.o.Complete(w, r, in, back)
}

// page finds the enabled provider of the path, notes refusals, and leads a browser to the sign-in page with their kind.
func (s *Service) page(f func(http.ResponseWriter, *http.Request, *Provider) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		p, err := s.asked(r, "provider")
		if err == nil && !p.Enabled {
			err = errNoProvider
		}
		if err == nil {
			if err = f(w, r, p); err == nil {
				return nil
			}
			s.refused(r, p, err)
		}
		if s.o.SignInPage == "" || !isPage(r) || fault.Is(err, fault.Internal) {
			return err
		}
		lead(w, r, s.o.SignInPage+"?error="+url.QueryEscape(fault.KindOf(err).String()))
		return nil
	}
}

// refused notes a sign-in that failed; what exactly was wrong stands in the log alone, and says nothing of a person.
func (s *Service) refused(r *http.Request, p *Provider, err error) {
	kinds := []fault.Kind{fault.Forbidden, fault.Conflict, fault.Unauthenticated}
	var f *fault.Error
	if !errors.As(err, &f) {
		return
	}
	detail := "provider " + p.ID + ": " + f.Error()
	if slices.Contains(kinds, f.Kind) {
		e := s.entry(r.Context(), p.tenant, audit.Session, "login", detail)
		e.Outcome = audit.Minor
		s.ledger.Note(e)
	}
	cause := ""
	if f.Err != nil && !strings.Contains(f.Err.Error(), "@") {
		cause = f.Err.Error()
	}
	s.log.WarnContext(r.Context(), "sign-in by another provider failed", "provider", p.ID, "why", f.Error(), "cause", cause)
}
