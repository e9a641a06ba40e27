package federation

import (
	"context"
	"encoding/json"

	"github.com/crewjam/saml"

	"github.com/nilecare/nilecare/internal/fault"
)

// tryOut asks a provider what it says of itself: discovery and keys, or metadata and certificates. The error says what is wrong with it.
func (s *Service) tryOut(ctx context.Context, p *Provider) (tested, error) {
	if p.Kind == SAML {
		return s.tryOutSAML(ctx, p)
	}
	found, err := s.discover(ctx, p)
	if err != nil {
		return tested{}, err
	}
	out := tested{Issuer: found.says.Issuer, SignInURL: found.says.AuthURL}
	raw, err := s.fetch(ctx, found.says.JWKS)
	if err != nil {
		return out, fault.New(fault.Unavailable, "the provider's keys cannot be read").Because(err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(raw, &set) != nil || len(set.Keys) == 0 {
		return out, fault.New(fault.Unavailable, "the provider publishes no keys")
	}
	out.OK, out.Keys = true, len(set.Keys)
	return out, nil
}

func (s *Service) tryOutSAML(ctx context.Context, p *Provider) (tested, error) {
	e, err := s.metadataOf(ctx, p)
	if err != nil {
		return tested{}, err
	}
	sp := saml.ServiceProvider{IDPMetadata: e}
	out := tested{Issuer: e.EntityID, SignInURL: sp.GetSSOBindingLocation(saml.HTTPRedirectBinding)}
	if out.SignInURL == "" {
		out.SignInURL = sp.GetSSOBindingLocation(saml.HTTPPostBinding)
	}
	valid := 0
	for _, c := range signingCertificates(e) {
		out.Certificates = append(out.Certificates, certSeen{c.Subject.CommonName, c.NotAfter.UTC()})
		if now := s.now(); now.Before(c.NotAfter) && now.After(c.NotBefore) {
			valid++
		}
	}
	out.Keys = len(out.Certificates)
	if valid == 0 {
		return out, fault.New(fault.Unavailable, "the provider's certificates have expired or are not valid yet")
	}
	out.OK = true
	return out, nil
}
