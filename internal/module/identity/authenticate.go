package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/sqldb"
	"github.com/nilecare/nilecare/internal/token"
)

// purposes are the codes of v3-PurposeOfUse that a request may name. Emergency (ETREAT, BTG) is said by break-glass, never by a request.
var purposes = []string{"", "TREAT", "HPAYMT", "HOPERAT", "HRESCH", "PATRQT", "PUBHLTH", "HMARKT", "CAREMGT", "COVERAGE", "CLINTRCH", "FAMRQT", "PWATRNY"}

func errInvalid() error {
	return fault.New(fault.Unauthenticated, "the credentials are not valid").WithCode("INVALID_TOKEN")
}

// Principal is what decisions about a user rest on. Care teams are not among it: policies find them in the record.
func (s *Service) Principal(ctx context.Context, tenant int32, user int64) (access.Principal, error) {
	u, err := s.User(ctx, tenant, user)
	if err != nil {
		return access.Principal{}, err
	}
	return s.principal(ctx, u)
}

func (s *Service) principal(ctx context.Context, u *User) (access.Principal, error) {
	p := access.Principal{Tenant: u.Tenant, User: u.ID, Roles: u.Roles, Permissions: u.Permissions, Patients: slices.Clone(u.Patients)}
	if u.FHIRUser != "" {
		p.Self = append(p.Self, u.FHIRUser)
		if strings.HasPrefix(u.FHIRUser, "Practitioner/") {
			p.Practitioner = u.FHIRUser
		}
	}
	if u.Patient != "" {
		if u.Patient != u.FHIRUser {
			p.Self = append(p.Self, u.Patient)
		}
		p.Patients = append(p.Patients, u.Patient)
	}
	if u.OrganizationID != "" {
		p.Organizations = []string{"Organization/" + u.OrganizationID}
		p.Self = append(p.Self, p.Organizations[0])
	}
	if u.FacilityID != "" {
		p.Facilities = []string{"Location/" + u.FacilityID}
	}
	if s.hooks.patients != nil {
		more, err := s.hooks.patients(ctx, u.Tenant, u.ID)
		if err != nil {
			return p, err
		}
		p.Patients = append(p.Patients, more...)
	}
	slices.Sort(p.Patients)
	p.Patients = slices.Compact(p.Patients)
	return p, nil
}

// Caller makes the caller that a user is, by himself or through an app. Unauthenticated where the user is not active.
func (s *Service) Caller(ctx context.Context, c CallerOf) (access.Caller, error) {
	if !slices.Contains(purposes, c.Purpose) {
		return access.Caller{}, fault.New(fault.Invalid, "the purpose of use is none that a request may name").WithCode("value")
	}
	u, err := s.User(ctx, c.Tenant, c.User)
	if fault.Is(err, fault.NotFound) || err == nil && u.Status != Active {
		return access.Caller{}, errInvalid()
	}
	if err != nil {
		return access.Caller{}, err
	}
	p, err := s.principal(ctx, u)
	if err != nil {
		return access.Caller{}, err
	}
	p.Purpose, p.MFA = or(c.Purpose, "TREAT"), c.MFA
	out := access.Caller{Tenant: c.Tenant, Who: who(u.ID), Name: strings.TrimSpace(u.FirstName + " " + u.LastName), User: u.ID, Client: c.Client, Session: c.Session,
		Roles: u.Roles, Purpose: p.Purpose, Self: p.Self}
	var glass []string
	if s.hooks.emergency != nil && c.Client == "" {
		if glass, err = s.hooks.emergency(ctx, c.Tenant, u.ID, c.Session); err != nil {
			return access.Caller{}, err
		}
	}
	if len(glass) > 0 {
		p.Purpose, out.Purpose, out.Emergency = "ETREAT", "ETREAT", true
	}
	if out.Grant, err = s.o.Policies.Grant(p); err != nil {
		return access.Caller{}, err
	}
	switch {
	case !c.MFA && c.Session != 0 && s.mustHaveMFA(u):
		out.Grant, out.Emergency = access.Nothing(), false
	case len(glass) > 0:
		if out.Grant, err = s.openGlass(p, out.Grant, glass); err != nil {
			return access.Caller{}, err
		}
	}
	if c.Client != "" {
		out.Grant, err = narrow(out.Grant, c.Scopes, c.Launch)
	}
	return out, err
}

// Standing makes the caller that a user is where something is used that they left behind, such as the address of a calendar: what they may do today, without a
// session, a second factor or an emergency. Unauthenticated where the user is not active, Forbidden where the tenant is not served.
func (s *Service) Standing(ctx context.Context, tenant int32, user int64) (access.Caller, error) {
	if s.hooks.tenant != nil {
		if err := s.hooks.tenant(ctx, tenant); err != nil {
			return access.Caller{}, err
		}
	}
	return s.Caller(ctx, CallerOf{Tenant: tenant, User: user})
}

func narrow(g access.Grant, text string, launch access.Launch) (access.Grant, error) {
	scopes, err := access.ParseScopes(text)
	if err != nil {
		return nil, err
	}
	return scopes.Narrow(g, launch)
}

// program is the caller that a program is, which speaks for itself: all that its role may do, as far as its scopes go.
func (s *Service) program(tenant int32, kind, client, name, purpose string, num int64, scopes ...string) (access.Caller, error) {
	if !slices.Contains(purposes, purpose) {
		return access.Caller{}, fault.New(fault.Invalid, "the purpose of use is none that a request may name").WithCode("value")
	}
	p := access.Principal{Tenant: tenant, User: num, Kind: kind, Roles: []string{kind}, Purpose: or(purpose, "TREAT")}
	for _, r := range access.DefaultRoles() {
		if r.Name == kind {
			p.Permissions = r.Permissions
		}
	}
	g, err := s.o.Policies.Grant(p)
	for _, text := range scopes {
		if err == nil {
			g, err = narrow(g, text, access.Launch{})
		}
	}
	return access.Caller{Tenant: tenant, Who: client, Name: name, Client: client, Roles: p.Roles, Purpose: p.Purpose, Grant: g}, err
}

// Authenticate says who calls. A request without credentials is anonymous; of several kinds that of the Authorization header counts, then the API key,
// the certificate, the cookie. Unauthenticated, and no more, where what counts is not valid now. A cookie's request must pass [web.CSRF] too.
//
// What was found is remembered for two seconds by the credential's hash: what this process changes is heard at once, what others do within
// that time.
func (s *Service) Authenticate(ctx context.Context, c Credentials) (access.Caller, error) {
	k := cacheKey{tenant: c.Tenant, purpose: c.Purpose}
	var raw string
	switch {
	case strings.HasPrefix(c.Bearer, keyMark):
		k.kind, raw = 'k', c.Bearer
	case c.Bearer != "":
		k.kind, raw = 'b', c.Bearer
	case c.APIKey != "":
		k.kind, raw = 'k', c.APIKey
	case c.CertFingerprint != "" && c.Cookie == "":
		k.kind, raw = 't', c.CertFingerprint
	case c.Cookie != "":
		k.kind, raw = 'c', c.Cookie
	default:
		a := access.Anonymous()
		a.Tenant = or(c.Tenant, a.Tenant)
		return a, nil
	}
	if len(raw) > 16<<10 {
		return access.Caller{}, errInvalid()
	}
	k.sum = sha256.Sum256([]byte(raw))
	now := s.now()
	e := s.cache.get(&k, now)
	if e == nil {
		change := s.cache.changes.Load()
		var err error
		if e, err = s.find(ctx, &c, k.kind, raw, now); err != nil {
			return access.Caller{}, err
		}
		if most := now.Add(lifeOfCached); e.until.After(most) {
			e.until = most
		}
		s.cache.put(k, e, change)
	}
	if len(e.from) > 0 && !within(e.from, c.Address) {
		return access.Caller{}, fault.New(fault.Forbidden, "the key may not be used from this address")
	}
	return e.caller, nil
}

func within(list []netip.Prefix, address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a.Unmap().WithZone("")) })
}

func (s *Service) find(ctx context.Context, c *Credentials, kind byte, raw string, now time.Time) (*cached, error) {
	var e *cached
	var err error
	switch kind {
	case 'k':
		e, err = s.findKey(ctx, c, raw, now)
	case 't':
		e, err = s.findCertificate(ctx, c, raw, now)
	case 'c':
		e, err = s.findCookie(ctx, c, raw, now)
	default:
		e, err = s.findBearer(ctx, c, raw, now)
	}
	if err != nil {
		return nil, err
	}
	if s.hooks.tenant != nil {
		if err := s.hooks.tenant(ctx, e.caller.Tenant); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// of is the tenant of a credential, which must be the request's.
func (c *Credentials) of(tenant int32) error {
	if c.Tenant != 0 && c.Tenant != tenant {
		return errInvalid()
	}
	return nil
}

func (s *Service) findKey(ctx context.Context, c *Credentials, raw string, now time.Time) (*cached, error) {
	tenant, ok := cutKey(raw)
	if !ok || c.of(tenant) != nil {
		return nil, errInvalid()
	}
	k, err := s.keyOf(ctx, tenant, raw, now)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, errInvalid()
	}
	scopes := []string{k.scopes}
	if k.account != "" {
		scopes = append(scopes, k.within)
	}
	caller, err := s.program(tenant, or(k.role, "service"), "Key/"+strconv.FormatInt(k.id, 10), or(k.account, k.name), c.Purpose, k.id, scopes...)
	if err != nil {
		return nil, err
	}
	return &cached{caller: caller, key: k.id, until: at(k.until), from: k.from}, s.touchKey(ctx, tenant, k, now)
}

func (s *Service) findCertificate(ctx context.Context, c *Credentials, raw string, now time.Time) (*cached, error) {
	tenant := or(c.Tenant, 1)
	a, err := s.serviceBy(ctx, tenant, func(a *ServiceAccount) bool {
		return a.Certificate != "" && subtle.ConstantTimeCompare([]byte(a.Certificate), []byte(strings.ToLower(raw))) == 1
	})
	if fault.Is(err, fault.NotFound) {
		return nil, errInvalid()
	}
	if err != nil {
		return nil, err
	}
	caller, err := s.program(tenant, a.Role, "Service/"+strconv.FormatInt(a.ID, 10), a.Name, c.Purpose, a.ID, strings.Join(a.Scopes, " "))
	return &cached{caller: caller, until: now.Add(lifeOfCached)}, err
}

func (s *Service) findCookie(ctx context.Context, c *Credentials, raw string, now time.Time) (*cached, error) {
	tenant, id, key, ok := cutHandle(raw)
	if !ok || c.of(tenant) != nil {
		return nil, errInvalid()
	}
	ss, err := s.liveSession(ctx, tenant, id, now)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(ss.cookie, sum(key)) != 1 {
		return nil, errInvalid()
	}
	return s.foundSession(ctx, ss, c, now, ss.Expires)
}

// liveSession returns a session that is good now.
func (s *Service) liveSession(ctx context.Context, tenant int32, id int64, now time.Time) (*Session, error) {
	var ss *Session
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) (err error) {
		ss, err = readSession(ctx, q, tenant, id)
		return err
	})
	if err == nil && (ss == nil || s.over(ss, now) != "") {
		err = errInvalid()
	}
	return ss, err
}

func (s *Service) foundSession(ctx context.Context, ss *Session, c *Credentials, now, until time.Time) (*cached, error) {
	caller, err := s.Caller(ctx, CallerOf{Tenant: ss.tenant, User: ss.User, Session: ss.ID, Purpose: c.Purpose, MFA: ss.MFA})
	if err != nil {
		return nil, err
	}
	for _, t := range []time.Time{ss.Expires, ss.UsedAt.Add(s.idle(ss))} {
		if t.Before(until) {
			until = t
		}
	}
	e := &cached{caller: caller, session: ss.ID, until: until}
	if c.Quiet {
		return e, nil
	}
	return e, s.touch(ctx, ss, now)
}

// tenantOf reads which tenant's token it says to be. It is believed only to find the keys: what they did not sign is refused.
func tenantOf(raw string) (int32, bool) {
	_, rest, ok := strings.Cut(raw, ".")
	payload, _, ok2 := strings.Cut(rest, ".")
	body, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Tenant int32 `json:"tenant"`
	}
	if !ok || !ok2 || err != nil || json.Unmarshal(body, &claims) != nil || claims.Tenant <= 0 {
		return 0, false
	}
	return claims.Tenant, true
}

func claim(c *token.Claims, name string) string {
	if v, ok := c.Extra[name]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

func (s *Service) findBearer(ctx context.Context, c *Credentials, raw string, now time.Time) (*cached, error) {
	tenant, ok := tenantOf(raw)
	if !ok || c.of(tenant) != nil {
		return nil, errInvalid()
	}
	claims, err := s.o.Tokens.Verify(ctx, tenant, raw, token.Want{Issuer: s.o.Issuer(tenant), Audience: s.o.Audience(tenant), Type: accessType})
	if err != nil {
		return nil, err
	}
	if claim(claims, "tenant") != strconv.Itoa(int(tenant)) {
		return nil, errInvalid()
	}
	session, _ := strconv.ParseInt(claim(claims, "sid"), 10, 64) // 0 where there is none
	user, _ := strconv.ParseInt(claims.Subject, 10, 64)
	if client := claim(claims, "client_id"); client != "" {
		return s.findApp(ctx, claims, tenant, client, user, session, c.Purpose)
	}
	if session == 0 || claim(claims, "type") != "access" {
		return nil, errInvalid()
	}
	ss, err := s.liveSession(ctx, tenant, session, now)
	if err != nil {
		return nil, err
	}
	if ss.User != user {
		return nil, errInvalid()
	}
	return s.foundSession(ctx, ss, c, now, claims.Expires)
}

// findApp is for the access tokens of the authorization server: of apps for users, and of services.
func (s *Service) findApp(ctx context.Context, claims *token.Claims, tenant int32, client string, user, session int64, purpose string) (*cached, error) {
	if s.apps == nil {
		return nil, errInvalid()
	}
	alive, err := s.apps.Alive(ctx, tenant, client, session, claims.ID)
	if err != nil {
		return nil, err
	}
	if !alive {
		return nil, errInvalid()
	}
	e := &cached{until: claims.Expires}
	scopes := claim(claims, "scope")
	switch {
	case session == 0 && claims.Subject == client:
		e.caller, err = s.program(tenant, "service", "Client/"+client, "", purpose, 0, scopes)
	case session != 0 && user != 0:
		e.caller, err = s.Caller(ctx, CallerOf{Tenant: tenant, User: user, Session: session, Client: client, Scopes: or(scopes, "none"), Purpose: purpose,
			Launch: access.Launch{Patient: claim(claims, "patient"), Encounter: claim(claims, "encounter")}})
	default:
		return nil, errInvalid()
	}
	return e, err
}
