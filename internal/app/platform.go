package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nilecare/nilecare/internal/access"
	ledger "github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhirrest"
	"github.com/nilecare/nilecare/internal/idempotency"
	"github.com/nilecare/nilecare/internal/module/audit"
	"github.com/nilecare/nilecare/internal/module/identity"
	"github.com/nilecare/nilecare/internal/module/identity/federation"
	"github.com/nilecare/nilecare/internal/module/identity/oauth"
	"github.com/nilecare/nilecare/internal/module/identity/oauth/accounts"
	"github.com/nilecare/nilecare/internal/module/identity/passkey"
	"github.com/nilecare/nilecare/internal/module/identity/scim"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web"
	"github.com/nilecare/nilecare/internal/web/api"
)

// platform is the services that stand on the record.
type platform struct {
	root    string // the base URL, without a slash at its end
	store   *opened
	ring    *token.Ring
	people  *identity.Service
	apps    *oauth.Server
	audits  *audit.Service
	signIns *federation.Service
	keys    *passkey.Service // nil: no passkeys
	users   *scim.Service
	csrf    *web.CSRF
	limits  *web.Limiter
	uses    *idempotency.Store
	care    *care
}

// anchorsFile is where the audit's signed checkpoints are kept, outside of the database.
func (p *Program) anchorsFile() string { return filepath.Join(p.cfg.Data, "audit.anchors") }

// platform makes the services on an open store, whose opening has brought the modules' tables forward. root is the address that clients use.
func (p *Program) platform(ctx context.Context, store *opened, root string, log *slog.Logger) (*platform, error) {
	x := &platform{root: strings.TrimSuffix(root, "/"), store: store}
	l := store.Ledger()
	policies, err := p.policies()
	if err != nil {
		return nil, err
	}
	x.ring = token.New(l, token.Options{})
	if err := x.ring.Start(ctx, 1); err != nil {
		return nil, err
	}
	if x.csrf, err = x.newCSRF(ctx, p.cfg.CORSOrigins); err != nil {
		return nil, err
	}
	mail, err := p.mailer()
	if err != nil {
		return nil, err
	}
	who := identity.Options{
		Ledger: l, Records: store.Store, Tokens: x.ring, Policies: policies, Log: log, CSRF: x.csrf, Mail: mail,
		Issuer: x.issuer, Audience: x.audience, Settings: identity.Settings{BreachedFile: p.cfg.Breached, RequireMFA: p.cfg.RequireMFA},
	}
	texts, err := p.texts()
	if err != nil {
		return nil, err
	}
	if texts != nil {
		who.SMS = texts
	}
	x.people, err = identity.New(ctx, who)
	if err != nil {
		return nil, err
	}
	x.apps, err = oauth.New(ctx, oauth.Options{
		Ledger: l, Signer: x.ring, Users: accounts.Users(x.people), Patients: oauth.RecordPatients(store.Store, time.Now), Base: x.root, FHIRPath: fhirPath,
		Log: log, Registration: oauth.Policy(p.cfg.Registration), Providers: x.providers, Loopback: loopback(ctx, p.cfg.Listen),
		Ended: x.people.Forget,
	})
	if err != nil {
		return nil, err
	}
	x.people.UseApps(x.apps)
	if x.audits, err = audit.New(ctx, audit.Options{Ledger: l, Log: store.log}); err != nil {
		return nil, err
	}
	x.signIns, err = federation.New(ctx, federation.Options{Ledger: l, Users: x.people, Log: log, Base: x.issuer, SignInPage: "/oauth2/login", Complete: x.completeExternal})
	if err != nil {
		return nil, err
	}
	if origins := passkeyOrigins(x.root, p.cfg.CORSOrigins); len(origins) > 0 {
		x.keys, err = passkey.New(ctx, passkey.Options{Ledger: l, Users: x.people, Origins: origins, Complete: x.completePasskey})
		if err != nil {
			return nil, err
		}
	}
	if x.users, err = scim.New(ctx, scim.Options{Ledger: l, Directory: x.people, Base: x.issuer}); err != nil {
		return nil, err
	}
	x.uses = idempotency.New(idempotency.Options{Ledger: l, Timeout: p.cfg.RequestTimeout})
	if x.care, err = p.newCare(ctx, store, x, log); err != nil {
		return nil, err
	}
	if p.cfg.RateLimits {
		x.limits, err = web.NewLimiter(web.LimiterOptions{})
	}
	return x, err
}

// issuer is what a tenant's addresses begin with: those of the first with the base URL, those of others with a prefix.
func (x *platform) issuer(tenant int32) string { return x.root + tenantPrefix(tenant) }

// tenantPrefix is what stands before the paths of a tenant's addresses.
func tenantPrefix(tenant int32) string {
	if tenant <= 1 {
		return ""
	}
	return "/t/" + strconv.Itoa(int(tenant))
}

// audience is a tenant's FHIR base.
func (x *platform) audience(tenant int32) string { return x.issuer(tenant) + fhirPath }

// passkeyOrigins are the pages that people may sign in at by a passkey, which is bound to a name: an address has none, and this machine's is
// localhost (WebAuthn Level 3, section 5.1.2). None: there are no passkeys.
func passkeyOrigins(root string, more []string) []string {
	u, err := url.Parse(root)
	if err != nil {
		return nil
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if !a.IsLoopback() {
			return nil
		}
		u.Host = net.JoinHostPort("localhost", u.Port())
	}
	return append([]string{u.Scheme + "://" + u.Host}, more...)
}

// newCSRF returns the guard, whose key is the same in all processes on the database: it is derived from what the tenant's own blind key
// makes of its name.
func (x *platform) newCSRF(ctx context.Context, origins []string) (*web.CSRF, error) {
	l := x.store.Ledger()
	var key []byte
	for _, part := range []string{"a", "b"} {
		half, err := l.Blind(ctx, 1, "csrf.key", part)
		if err != nil {
			return nil, err
		}
		key = append(key, half...)
	}
	return web.NewCSRF(key, append([]string{x.root}, origins...)...)
}

// policies reads the access policies.
func (p *Program) policies() (*access.Policies, error) {
	if p.cfg.Policies == "" {
		return access.Compile(access.DefaultPolicies())
	}
	text, err := os.ReadFile(p.cfg.Policies)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	c, err := access.Compile(string(text))
	if err != nil {
		return nil, fmt.Errorf("policies: %s: %w", p.cfg.Policies, err)
	}
	return c, nil
}

// secrets loads what the settings need from the environment and files; all that is missing is named at once.
func (p *Program) secrets(wanted ...web.WantedSecret) (map[string]web.Secret, error) {
	env := map[string]string{}
	for _, e := range p.Env {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	return web.Secrets(func(name string) string { return env[name] }, p.cfg.Secrets).Load(wanted...)
}

// mailer returns what sends mail; nil where no server is named: then mail waits in the outbox.
func (p *Program) mailer() (identity.Mailer, error) {
	if p.cfg.SMTP == "" {
		return nil, nil
	}
	u, err := url.Parse(p.cfg.SMTP)
	if err != nil {
		return nil, errors.New("smtp: the URL cannot be read")
	}
	if p.cfg.MailFrom == "" {
		return nil, errors.New("smtp: mail-from names no address that mail comes from")
	}
	o := identity.SMTP{Address: u.Host, From: p.cfg.MailFrom, TLS: u.Scheme == "smtps"}
	if u.User != nil {
		found, err := p.secrets(web.WantedSecret{Name: "SMTP_PASSWORD"})
		if err != nil {
			return nil, err
		}
		o.User, o.Password = u.User.Username(), string(found["SMTP_PASSWORD"])
	}
	return identity.NewSMTP(o)
}

// providers are the other places to sign in at.
func (x *platform) providers(ctx context.Context, tenant int32) []oauth.Provider {
	if x.signIns == nil {
		return nil
	}
	list, err := x.signIns.Providers(ctx, tenant)
	if err != nil {
		return nil
	}
	var out []oauth.Provider
	for _, p := range list {
		if !p.Enabled {
			continue
		}
		start := "/auth/federation/" + url.PathEscape(p.ID) + "/start"
		if p.Kind == federation.SAML {
			start = "/auth/saml/" + url.PathEscape(p.ID) + "/start"
		}
		out = append(out, oauth.Provider{Name: p.Name, URL: x.issuer(tenant) + start})
	}
	return out
}

// completeExternal ends a sign-in at another provider: the browser gets the session's cookies, and goes on where it came from.
func (x *platform) completeExternal(w http.ResponseWriter, r *http.Request, in *identity.SignedIn, to string) error {
	if x.apps.ReturnsHere(r.Context(), to) {
		methods := []string{"fed"}
		if err := x.apps.SignedIn(w, r, in.User.ID, methods); err != nil {
			return err
		}
	} else {
		x.people.SetCookies(w, r, in)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (x *platform) completePasskey(w http.ResponseWriter, r *http.Request, in *identity.SignedIn) error {
	x.people.SetCookies(w, r, in)
	return api.Bare(w, http.StatusOK, identity.Answer(in))
}

// routes is the table of the whole product API.
func (x *platform) routes() []api.Route {
	return x.servedRoutes(shape{}.runs)
}

// peopleRoutes are the lines of who people are, and how they sign in.
func (x *platform) peopleRoutes() []api.Route {
	all := slices.Concat(x.people.Routes(), x.apps.Routes(), x.signIns.Routes())
	if x.keys != nil {
		all = append(all, x.keys.Routes()...)
	}
	if x.limits != nil {
		all = append(all, api.RateLimits(x.limits)...)
	}
	return all
}

// AuditEvent implements fhirrest.Audit.
func (x *platform) AuditEvent(ctx context.Context, id string) (*fhir.Resource, error) {
	return x.audits.Read(ctx, id)
}

// AuditEvents implements fhirrest.Audit.
func (x *platform) AuditEvents(ctx context.Context, params []fhirrest.AuditParam) (fhirrest.AuditPage, error) {
	asked := make([]audit.Param, len(params))
	for i, p := range params {
		asked[i] = audit.Param(p)
	}
	found, err := x.audits.Search(ctx, asked)
	return fhirrest.AuditPage{Events: found.Resources, Total: found.Total, Next: found.Next}, err
}

// oauth says in the CapabilityStatement where tokens come from.
func (x *platform) oauth(base string) fhirrest.OAuth {
	at := strings.TrimSuffix(base, fhirPath) + "/oauth2/"
	return fhirrest.OAuth{Authorize: at + "authorize", Token: at + "token", Introspect: at + "introspect", Revoke: at + "revoke"}
}

// openPaths are served whatever credentials come along: they check what they need themselves.
var openPaths = [...]string{"/oauth2/", "/.well-known/", "/api/v1/auth/", "/auth/", "/socket.io/", "/healthz", "/readyz"}

func open(path string) bool {
	for _, p := range openPaths {
		if strings.HasPrefix(path, p) {
			return true
		}
	}
	return strings.HasPrefix(path, fhirPath+"/metadata") || strings.HasPrefix(path, fhirPath+"/.well-known/")
}

// tenantOf is the tenant that a request's address names; 0 where it names none.
func (x *platform) tenantOf(ctx context.Context, r *http.Request) (int32, error) {
	if tenant, ok := ctx.Value(pathTenant{}).(int32); ok && tenant != 0 {
		return tenant, nil
	}
	return x.people.TenantOf(ctx, r.Host, r.Header.Get("X-Tenant-ID"))
}

// authenticate says who calls.
func (x *platform) authenticate(ctx context.Context, r *http.Request) (access.Caller, error) {
	from := access.From(ctx)
	tenant, err := x.tenantOf(ctx, r)
	if err != nil {
		return from, err
	}
	nobody := access.Anonymous()
	if tenant != 0 {
		nobody.Tenant = tenant
	}
	c := identity.Credentials{Tenant: tenant, Bearer: web.Bearer(r), APIKey: web.APIKey(r), Address: from.Address, Agent: r.UserAgent(), Purpose: r.Header.Get("X-Purpose-Of-Use")}
	if cert, ok := web.ClientCertificate(r); ok {
		c.CertFingerprint = cert.Fingerprint
	}
	if c.Bearer == "" && c.APIKey == "" {
		c.Cookie = web.Session(r)
	}
	if c.Bearer == "" && c.APIKey == "" && c.Cookie == "" {
		return nobody, nil
	}
	known, err := x.people.Authenticate(ctx, c)
	if err != nil && fault.Is(err, fault.Unauthenticated) && open(r.URL.Path) {
		return nobody, nil
	}
	// A live connection asks its origin itself: the client of Socket.IO can send no header with the session's token, and knows a name that no other page does.
	if err == nil && c.Cookie != "" && !strings.HasPrefix(r.URL.Path, "/oauth2/") && !strings.HasPrefix(r.URL.Path, "/socket.io/") {
		err = x.csrf.Check(r, c.Cookie)
	}
	return known, err
}

// pathTenant is the key of the tenant that a request's address names, in its context.
type pathTenant struct{}

// byTenant takes the prefix /t/N of other tenants' addresses off the path; their routes are the same as the first tenant's.
func byTenant(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/t/"); ok {
			num, path, _ := strings.Cut(rest, "/")
			if n, err := strconv.ParseInt(num, 10, 32); err == nil && n > 1 && num == strconv.FormatInt(n, 10) { // one address, one way to write it
				r = r.Clone(context.WithValue(r.Context(), pathTenant{}, int32(n)))
				r.URL.Path, r.URL.RawPath = "/"+path, ""
			}
		}
		next.ServeHTTP(w, r)
	})
}

// refused tells the audit what the edge did not let in.
func (x *platform) refused(ctx context.Context, _ *http.Request, err error) {
	c := access.From(ctx)
	x.store.log.Note(ledger.Entry{Tenant: c.Tenant, Kind: ledger.Session, Action: "refuse", Outcome: ledger.Minor, Who: c.Who, Address: c.Address, Request: c.RequestID, Detail: fault.KindOf(err).String()})
}

// networks reads the settings that are lists of networks.
func networks(name string, list []string) ([]netip.Prefix, error) {
	out, err := web.ParsePrefixes(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// tend does what has to be done from time to time, until ctx ends, by the services that this process is.
func (x *platform) tend(ctx context.Context, runs func(service string) bool, log *slog.Logger) (wait func()) {
	var wg sync.WaitGroup
	x.care.tend(ctx, &wg)
	for _, s := range services() {
		if s.tend != nil && runs(s.name) {
			s.tend(x, ctx, log, &wg)
		}
	}
	return wg.Wait
}

// tendMessages keeps what tells people at it.
func (x *platform) tendMessages(ctx context.Context, _ *slog.Logger, wg *sync.WaitGroup) {
	wg.Go(func() { x.care.notify.Run(ctx) })
	wg.Go(func() { x.care.webhooks.Run(ctx) })
	wg.Go(func() { x.care.live.Run(ctx) })
}

// tendPeople looks after keys, has expired rows go, and sends mail.
func (x *platform) tendPeople(ctx context.Context, log *slog.Logger, wg *sync.WaitGroup) {
	wg.Go(func() { x.people.RunOutbox(ctx) })
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := x.upkeep(ctx); err != nil && ctx.Err() == nil {
					log.Warn("upkeep", "error", err.Error())
				}
			}
		}
	})
}

// sessionsKept is how long a session that has ended can still be told of.
const sessionsKept = 90 * 24 * time.Hour

func (x *platform) upkeep(ctx context.Context) error {
	tenants, err := x.store.KeyedTenants(ctx)
	err = errors.Join(err, x.store.TendKeys(ctx))
	err = errors.Join(err, x.people.DueTenants(access.With(ctx, access.System(1)), func(ctx context.Context, tenant int32) error {
		return x.store.DestroyTenant(access.With(ctx, access.System(tenant)))
	}))
	for _, t := range tenants {
		of := access.With(ctx, access.System(t))
		_, e := x.apps.Sweep(of, t)
		_, e2 := x.people.Sweep(of, t, sessionsKept)
		_, e3 := x.uses.Sweep(of, t)
		err = errors.Join(err, e, e2, e3, x.ring.Upkeep(of, t))
	}
	return err
}
