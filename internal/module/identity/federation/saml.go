package federation

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/crewjam/saml"
	xrv "github.com/mattermost/xml-roundtrip-validator"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/module/identity"
)

const (
	bearer    = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
	samlSkew  = 3 * time.Minute // of the provider's clock against ours, as the library takes it
	maxPosted = 1 << 20         // bytes of a form that a provider has the browser post
)

// newKey makes our key of a provider and a certificate that carries it; who trusts it is told of it by our metadata.
func newKey(name string, now time.Time) (key, certificate []byte, err error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment}
	if certificate, err = x509.CreateCertificate(rand.Reader, t, t, k.Public(), k); err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(k)
	return key, certificate, err
}

// entityOf reads an entity's metadata, or the first identity provider's of several entities.
func entityOf(raw []byte) (*saml.EntityDescriptor, error) {
	if err := xrv.Validate(bytes.NewReader(raw)); err != nil {
		return nil, err
	}
	e := &saml.EntityDescriptor{}
	err := xml.Unmarshal(raw, e)
	if err == nil {
		return e, nil
	}
	var several saml.EntitiesDescriptor
	if xml.Unmarshal(raw, &several) != nil {
		return nil, err
	}
	for i := range several.EntityDescriptors {
		if len(several.EntityDescriptors[i].IDPSSODescriptors) > 0 {
			return &several.EntityDescriptors[i], nil
		}
	}
	return nil, err
}

// parseMetadata reads an identity provider's metadata.
func parseMetadata(raw []byte) (*saml.EntityDescriptor, error) {
	if len(raw) > maxPosted || hasDoctype(raw) {
		return nil, errors.New("federation: metadata with a document type, or too large")
	}
	e, err := entityOf(raw)
	if err != nil {
		return nil, err
	}
	if e.EntityID == "" || len(e.IDPSSODescriptors) == 0 || len(signingCertificates(e)) == 0 {
		return nil, errors.New("federation: no identity provider with a signing certificate")
	}
	sp := saml.ServiceProvider{IDPMetadata: e}
	for _, binding := range []string{saml.HTTPRedirectBinding, saml.HTTPPostBinding} {
		if at := sp.GetSSOBindingLocation(binding); at != "" {
			return e, permittedURL(at)
		}
	}
	return nil, errors.New("federation: no single sign-on address")
}

// signingCertificates are those that may sign for the provider.
func signingCertificates(e *saml.EntityDescriptor) []*x509.Certificate {
	var out []*x509.Certificate
	for _, d := range e.IDPSSODescriptors {
		for _, k := range d.KeyDescriptors {
			if k.Use != "" && k.Use != "signing" {
				continue
			}
			for _, c := range k.KeyInfo.X509Data.X509Certificates {
				der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.Data), ""))
				if err != nil {
					continue
				}
				if cert, err := x509.ParseCertificate(der); err == nil {
					out = append(out, cert)
				}
			}
		}
	}
	return out
}

// metadataOf is the provider's metadata: the row's own, or what its address says, read at most once an hour.
func (s *Service) metadataOf(ctx context.Context, p *Provider) (*saml.EntityDescriptor, error) {
	if e, ok := s.known.get(p, s.now()).(*saml.EntityDescriptor); ok {
		return e, nil
	}
	raw := []byte(p.Config.Metadata)
	if p.Config.MetadataURL != "" {
		var err error
		if raw, err = s.fetch(ctx, p.Config.MetadataURL); err != nil {
			return nil, fault.New(fault.Unavailable, "the provider's metadata cannot be read").Because(err)
		}
	}
	e, err := parseMetadata(raw)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "the provider's metadata cannot be understood").Because(err)
	}
	s.known.put(p, e, s.now())
	return e, nil
}

func (s *Service) fetch(ctx context.Context, at string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New("federation: status " + resp.Status)
	}
	return io.ReadAll(resp.Body)
}

func (s *Service) samlAddress(p *Provider, what string) string {
	return s.o.Base(p.tenant) + "/auth/saml/" + p.ID + "/" + what
}

// party is this server as a service provider to p; without the provider's own metadata where e is nil.
func (s *Service) party(p *Provider, e *saml.EntityDescriptor) (*saml.ServiceProvider, error) {
	metadata, err := url.Parse(s.samlAddress(p, "metadata"))
	if err != nil {
		return nil, err
	}
	acs, err := url.Parse(s.samlAddress(p, "acs"))
	if err != nil {
		return nil, err
	}
	k, err := x509.ParsePKCS8PrivateKey(p.secret.Key)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("federation: the provider's key is not RSA")
	}
	certificate, err := x509.ParseCertificate(p.secret.Certificate)
	if err != nil {
		return nil, err
	}
	sp := &saml.ServiceProvider{EntityID: metadata.String(), Key: key, Certificate: certificate, MetadataURL: *metadata, AcsURL: *acs, IDPMetadata: e,
		HTTPClient: s.client, AuthnNameIDFormat: saml.PersistentNameIDFormat}
	if p.Config.SignRequests {
		sp.SignatureMethod = dsig.RSASHA256SignatureMethod
	}
	// The library takes an assertion that restricts nobody as one for everybody.
	sp.ValidateAudienceRestriction = func(a *saml.Assertion) error {
		for _, r := range a.Conditions.AudienceRestrictions {
			if r.Audience.Value != sp.EntityID {
				return errors.New("another audience")
			}
		}
		if len(a.Conditions.AudienceRestrictions) == 0 {
			return errors.New("no audience")
		}
		return nil
	}
	return sp, nil
}

// samlMetadata says what a provider must know of us (SAML V2.0 Metadata).
func (s *Service) samlMetadata(p *Provider) ([]byte, error) {
	sp, err := s.party(p, &saml.EntityDescriptor{})
	if err != nil {
		return nil, err
	}
	m := sp.Metadata()
	for i := range m.SPSSODescriptors { // responses come by POST alone
		d := &m.SPSSODescriptors[i]
		d.AssertionConsumerServices = slices.DeleteFunc(d.AssertionConsumerServices, func(e saml.IndexedEndpoint) bool { return e.Binding != saml.HTTPPostBinding })
	}
	return xml.MarshalIndent(m, "", "  ")
}

// startSAML leads the browser to the provider with a request (SAML V2.0 Profiles section 4.1.4.1).
func (s *Service) startSAML(w http.ResponseWriter, r *http.Request, p *Provider, back string) error {
	e, err := s.metadataOf(r.Context(), p)
	if err != nil {
		return err
	}
	sp, err := s.party(p, e)
	if err != nil {
		return err
	}
	binding := saml.HTTPRedirectBinding
	if sp.GetSSOBindingLocation(binding) == "" {
		binding = saml.HTTPPostBinding
	}
	request, err := sp.MakeAuthenticationRequest(sp.GetSSOBindingLocation(binding), binding, saml.HTTPPostBinding)
	if err != nil {
		return err
	}
	state := random()
	if err := s.keep(r.Context(), p, state, &flow{Request: request.ID, Return: back, browser: hash(giveBrowser(w, r))}, flowLife); err != nil {
		return err
	}
	if binding == saml.HTTPRedirectBinding {
		to, err := request.Redirect(state, sp)
		if err != nil {
			return err
		}
		lead(w, r, to.String())
		return nil
	}
	return postForm(w, request, state)
}

// endSAML takes a posted response. The browser's cookie does not come with another site's form, so that whom the provider vouches for is kept
// under a ticket, and the browser, led to [Service.ticket], shows its cookie there. A response that nobody asked for has no browser to show.
func (s *Service) endSAML(w http.ResponseWriter, r *http.Request, p *Provider) (ticket string, who *identity.External, back string, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxPosted)
	if err := r.ParseForm(); err != nil {
		return "", nil, "", fault.New(fault.Invalid, "the form cannot be read").Because(err)
	}
	state, posted := r.PostForm["RelayState"], r.PostForm["SAMLResponse"]
	if len(posted) != 1 || len(state) > 1 {
		return "", nil, "", fault.New(fault.Invalid, "one SAMLResponse is expected")
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(posted[0]), ""))
	if err != nil {
		return "", nil, "", fault.New(fault.Invalid, "SAMLResponse is no base64")
	}
	shape, err := shapeOf(raw)
	if err != nil {
		return "", nil, "", fault.New(fault.Forbidden, "the provider's response is not valid").Because(err)
	}
	unasked := shape.inResponseTo == ""
	f := &flow{}
	switch {
	case unasked && !p.Config.IDPInitiated:
		return "", nil, "", fault.New(fault.Forbidden, "nobody asked the provider for this response")
	case unasked:
		asked := ""
		if len(state) == 1 {
			asked = state[0]
		}
		if f.Return, err = s.returnTo(asked); err != nil {
			f.Return = "/"
		}
	case len(state) != 1:
		return "", nil, "", errNoFlow
	default:
		if f, err = s.take(r.Context(), p, state[0]); err != nil {
			return "", nil, "", err
		}
	}
	who, err = s.asserted(r.Context(), p, raw, f.Request, unasked)
	if err != nil {
		return "", nil, "", err
	}
	if unasked {
		return "", who, f.Return, nil
	}
	ticket = random()
	return ticket, nil, "", s.keep(r.Context(), p, ticket, &flow{Return: f.Return, Who: who, browser: f.browser}, ticketLife)
}

// asserted says whom a response vouches for, once.
func (s *Service) asserted(ctx context.Context, p *Provider, raw []byte, request string, unasked bool) (*identity.External, error) {
	e, err := s.metadataOf(ctx, p)
	if err != nil {
		return nil, err
	}
	sp, err := s.party(p, e)
	if err != nil {
		return nil, err
	}
	sp.AllowIDPInitiated = unasked
	a, err := verified(sp, raw, request)
	if err == nil {
		err = s.bound(a, unasked)
	}
	if err != nil {
		return nil, fault.New(fault.Forbidden, "the provider's response is not valid").Because(err)
	}
	once, err := s.first(ctx, p, e.EntityID+"\x00"+a.ID, s.now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	if !once {
		return nil, fault.New(fault.Forbidden, "the provider's response was used before")
	}
	return s.attested(p, e, a)
}

// verified has the library verify a response: signature, issuer, destination, recipient, audience, times, request. What it does not
// expect of a provider that signs nonsense is an error too.
func verified(sp *saml.ServiceProvider, raw []byte, request string) (a *saml.Assertion, err error) {
	defer func() {
		if v := recover(); v != nil {
			a, err = nil, errors.New("federation: a signed assertion that lacks what it must have")
		}
	}()
	var requests []string
	if request != "" {
		requests = []string{request}
	}
	a, err = sp.ParseXMLResponse(raw, requests, sp.AcsURL)
	var invalid *saml.InvalidResponseError
	if errors.As(err, &invalid) {
		return nil, invalid.PrivateErr
	}
	return a, err
}

// bound holds what the library leaves open: a bearer confirmation that is there and ends, and conditions that end, by our clock.
// An assertion is good for an hour at most, however long the provider says, since for that long it is remembered.
func (s *Service) bound(a *saml.Assertion, unasked bool) error {
	now := s.now()
	ends := func(t time.Time) bool { return !t.IsZero() && t.Add(samlSkew).After(now) }
	switch {
	case a.ID == "" || a.Subject == nil || a.Conditions == nil:
		return errors.New("no id, subject or conditions")
	case !ends(a.Conditions.NotOnOrAfter) || a.Conditions.NotBefore.Add(-samlSkew).After(now):
		return errors.New("not in its time")
	case a.IssueInstant.Add(samlSkew+saml.MaxIssueDelay).Before(now) || a.IssueInstant.Add(-samlSkew).After(now):
		return errors.New("issued at another time")
	}
	for _, c := range a.Subject.SubjectConfirmations {
		d := c.SubjectConfirmationData
		if c.Method == bearer && d != nil && ends(d.NotOnOrAfter) && (!unasked || d.InResponseTo == "") {
			return nil
		}
	}
	return errors.New("no bearer confirmation")
}

// attested says whom a verified assertion is about, as far as the provider's row lets them in.
func (s *Service) attested(p *Provider, e *saml.EntityDescriptor, a *saml.Assertion) (*identity.External, error) {
	values := map[string][]string{}
	for _, st := range a.AttributeStatements {
		for _, at := range st.Attributes {
			for _, name := range []string{at.Name, at.FriendlyName} {
				for _, v := range at.Values {
					if name != "" && (name != at.Name || at.Name != at.FriendlyName || !slices.Contains(values[name], v.Value)) {
						values[name] = append(values[name], v.Value)
					}
				}
			}
		}
	}
	t := told(func(c string) []string { return values[c] })
	const oid, xs = "urn:oid:", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
	c := p.Config.Claims
	who := &identity.External{Provider: p.ID,
		Email:     t.named(c.Email, oid+"0.9.2342.19200300.100.1.3", xs+"emailaddress", "mail", "email", "emailAddress"),
		Username:  t.named(c.Username, oid+"0.9.2342.19200300.100.1.1", xs+"name", "uid", "username"),
		FirstName: t.named(c.FirstName, oid+"2.5.4.42", xs+"givenname", "givenName", "firstName"),
		LastName:  t.named(c.LastName, oid+"2.5.4.4", xs+"surname", "sn", "surname", "lastName")}
	subject := ""
	if id := a.Subject.NameID; id != nil && id.Format != string(saml.TransientNameIDFormat) {
		subject = strings.TrimSpace(id.Value)
		if who.Email == "" && id.Format == string(saml.EmailAddressNameIDFormat) {
			who.Email = subject
		}
	}
	if c.Subject != "" {
		subject = t.one(c.Subject)
	}
	if subject == "" {
		return nil, fault.New(fault.Forbidden, "the provider does not say who the account is: a lasting NameID or a claim for the subject is needed")
	}
	who.Subject = e.EntityID + "#" + subject
	return who, s.admit(p, who, t)
}
