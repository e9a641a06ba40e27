package federation

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

// asymmetric are the algorithms of ID tokens that are taken: a client's secret signs none, and "none" is none.
var asymmetric = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// relying is a provider as its discovery document describes it.
type relying struct {
	provider *oidc.Provider
	says     struct {
		Issuer     string   `json:"issuer"`
		AuthURL    string   `json:"authorization_endpoint"`
		TokenURL   string   `json:"token_endpoint"`
		JWKS       string   `json:"jwks_uri"`
		UserInfo   string   `json:"userinfo_endpoint"`
		IssParam   bool     `json:"authorization_response_iss_parameter_supported"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
}

// discover reads the provider's discovery document, at most once an hour. Unavailable where it cannot be read or is not the issuer's.
func (s *Service) discover(ctx context.Context, p *Provider) (*relying, error) {
	if r, ok := s.known.get(p, s.now()).(*relying); ok {
		return r, nil
	}
	ctx = oidc.ClientContext(ctx, s.client)
	at, template := p.Config.Issuer, strings.Contains(p.Config.Issuer, tenantMark)
	if template {
		at = strings.Replace(at, tenantMark, "organizations", 1)
		ctx = oidc.InsecureIssuerURLContext(ctx, p.Config.Issuer) // what the document says is compared below, each token's with its own tenant
	}
	found, err := oidc.NewProvider(ctx, at)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the provider's discovery document cannot be read").Because(err)
	}
	r := &relying{provider: found}
	if err := found.Claims(&r.says); err != nil {
		return nil, fault.New(fault.Unavailable, "the provider's discovery document cannot be understood").Because(err)
	}
	if r.says.Issuer != p.Config.Issuer {
		return nil, fault.New(fault.Unavailable, "the provider's discovery document is another issuer's")
	}
	for _, u := range []string{r.says.AuthURL, r.says.TokenURL, r.says.JWKS} {
		if err := permittedURL(u); err != nil {
			return nil, fault.New(fault.Unavailable, "the provider's discovery document names an address that is not https").Because(err)
		}
	}
	s.known.put(p, r, s.now())
	return r, nil
}

func (s *Service) callback(p *Provider) string {
	return s.o.Base(p.tenant) + "/auth/federation/" + p.ID + "/callback"
}

func (s *Service) oauth(p *Provider, r *relying) *oauth2.Config {
	return &oauth2.Config{ClientID: p.Config.ClientID, ClientSecret: p.secret.Client, Endpoint: r.provider.Endpoint(),
		RedirectURL: s.callback(p), Scopes: p.Config.Scopes}
}

// startOpenID leads the browser to the provider (OpenID Connect Core section 3.1.2.1, with PKCE).
func (s *Service) startOpenID(w http.ResponseWriter, r *http.Request, p *Provider, back string) error {
	found, err := s.discover(r.Context(), p)
	if err != nil {
		return err
	}
	state := random()
	f := &flow{Nonce: random(), Verifier: oauth2.GenerateVerifier(), Return: back, browser: hash(giveBrowser(w, r))}
	if err := s.keep(r.Context(), p, state, f, flowLife); err != nil {
		return err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)}
	if p.Config.HostedDomain != "" {
		options = append(options, oauth2.SetAuthURLParam("hd", p.Config.HostedDomain))
	}
	lead(w, r, s.oauth(p, found).AuthCodeURL(state, options...))
	return nil
}

// endOpenID takes the provider's answer, and says whom it vouches for and where the browser is led.
func (s *Service) endOpenID(r *http.Request, p *Provider) (*identity.External, string, error) {
	ctx := r.Context()
	q := r.URL.Query()
	state, code := q["state"], q["code"]
	if len(state) != 1 {
		return nil, "", errNoFlow
	}
	f, err := s.take(ctx, p, state[0])
	if err != nil {
		return nil, "", err
	}
	if !sameBrowser(r, f.browser) {
		return nil, "", errNoFlow
	}
	found, err := s.discover(ctx, p)
	if err != nil {
		return nil, "", err
	}
	// Mix-up (RFC 9207): an answer that says another issuer, or none where the provider always does, is another's.
	if iss, said := q["iss"]; said && (len(iss) != 1 || iss[0] != found.says.Issuer) || !said && found.says.IssParam {
		return nil, "", fault.New(fault.Forbidden, "the answer is not of the provider that was asked")
	}
	if q.Has("error") || len(code) != 1 {
		return nil, "", fault.New(fault.Forbidden, "the provider did not sign in")
	}
	ctx = oidc.ClientContext(ctx, s.client)
	tokens, err := s.oauth(p, found).Exchange(ctx, code[0], oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, "", fault.New(fault.Forbidden, "the provider did not redeem the code").Because(err)
	}
	claims, err := s.idToken(ctx, p, found, tokens, f.Nonce)
	if err != nil {
		return nil, "", fault.New(fault.Forbidden, "the provider's ID token is not valid").Because(err)
	}
	s.addUserInfo(ctx, found, tokens, claims)
	who, err := s.vouched(p, claims)
	return who, f.Return, err
}

// idToken verifies an ID token (OpenID Connect Core section 3.1.3.7).
func (s *Service) idToken(ctx context.Context, p *Provider, found *relying, tokens *oauth2.Token, nonce string) (map[string]any, error) {
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return nil, errors.New("no ID token")
	}
	algorithms := asymmetric
	if len(found.says.Algorithms) > 0 {
		algorithms = slices.DeleteFunc(slices.Clone(asymmetric), func(a string) bool { return !slices.Contains(found.says.Algorithms, a) })
	}
	if len(algorithms) == 0 {
		return nil, errors.New("no algorithm that is taken")
	}
	template := strings.Contains(p.Config.Issuer, tenantMark)
	token, err := found.provider.VerifierContext(ctx, &oidc.Config{ClientID: p.Config.ClientID, SupportedSigningAlgs: algorithms, Now: s.now,
		SkipIssuerCheck: template}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return nil, err
	}
	tid := told(func(c string) []string { return valuesOf(claims, c) }).one("tid")
	azp := valuesOf(claims, "azp")
	switch {
	case template && (tid == "" || token.Issuer != strings.Replace(p.Config.Issuer, tenantMark, tid, 1)):
		return nil, errors.New("the issuer is not the tenant's own")
	case p.Kind == Microsoft && len(p.Config.Tenants) > 0 && !slices.ContainsFunc(p.Config.Tenants, func(t string) bool { return strings.EqualFold(t, tid) }):
		return nil, errors.New("a tenant that is not let in")
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return nil, errors.New("another nonce")
	case len(azp) > 0 && azp[0] != p.Config.ClientID, len(token.Audience) > 1 && len(azp) == 0:
		return nil, errors.New("another authorized party")
	case token.IssuedAt.After(s.now().Add(5 * time.Minute)):
		return nil, errors.New("issued in the future")
	case token.Subject == "":
		return nil, errors.New("no subject")
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(tokens.AccessToken); err != nil {
			return nil, err
		}
	}
	claims["iss"] = token.Issuer
	return claims, nil
}

// addUserInfo adds what the ID token does not say from the userinfo endpoint, where it is the same person's. Without an answer there is less.
func (s *Service) addUserInfo(ctx context.Context, found *relying, tokens *oauth2.Token, claims map[string]any) {
	if claims["email"] != nil || found.says.UserInfo == "" {
		return
	}
	info, err := found.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil || info.Subject != claims["sub"] {
		return
	}
	more := map[string]any{}
	if info.Claims(&more) != nil {
		return
	}
	for k, v := range more {
		if _, has := claims[k]; !has {
			claims[k] = v
		}
	}
}

// vouched says whom verified claims are about, as far as the provider's row lets them in.
func (s *Service) vouched(p *Provider, claims map[string]any) (*identity.External, error) {
	t := told(func(c string) []string { return valuesOf(claims, c) })
	c := p.Config.Claims
	if p.Config.HostedDomain != "" && !strings.EqualFold(t.one("hd"), p.Config.HostedDomain) {
		return nil, fault.New(fault.Forbidden, "the account is not of the domain that is let in")
	}
	who := &identity.External{Provider: p.ID, Subject: t.one("iss") + "#" + t.named(c.Subject, "sub"), Email: t.named(c.Email, "email"),
		Username: t.named(c.Username, "preferred_username"), FirstName: t.named(c.FirstName, "given_name"), LastName: t.named(c.LastName, "family_name")}
	if c.Subject != "" && t.one(c.Subject) == "" {
		return nil, fault.New(fault.Forbidden, "the provider does not say who the account is")
	}
	// Only the claim that "email_verified" is about is verified by it; Microsoft says xms_edov.
	if c.Email == "" || c.Email == "email" {
		said := t.one("email_verified")
		if p.Kind == Microsoft && said == "" {
			said = strings.Replace(t.one("xms_edov"), "1", "true", 1)
		}
		who.EmailVerified = strings.EqualFold(said, "true")
	}
	return who, s.admit(p, who, t)
}
