package oauth_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/nilecare/nilecare/internal/access"
	"github.com/nilecare/nilecare/internal/fault"
	"github.com/nilecare/nilecare/internal/fhir"
	"github.com/nilecare/nilecare/internal/fhir/search"
	"github.com/nilecare/nilecare/internal/module/identity/oauth"
	"github.com/nilecare/nilecare/internal/record"
	"github.com/nilecare/nilecare/internal/storetest"
	"github.com/nilecare/nilecare/internal/token"
	"github.com/nilecare/nilecare/internal/web/api"
)

// person is a user of these tests; their grant permits reading some patients.
type person struct {
	oauth.User
	password string
	code     string // not "": a second factor
	sees     []string
	all      bool
	admin    bool
	clerk    bool // holds clients:manage alone
}

// people are the users: the service that keeps real ones is another package's.
type people struct {
	mu  sync.Mutex
	all []*person
}

func (p *people) by(f func(*person) bool) *person {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.all {
		if f(one) {
			return one
		}
	}
	return nil
}

func (p *people) remove(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, one := range p.all {
		if one.ID == id {
			p.all = append(p.all[:i], p.all[i+1:]...)
			return
		}
	}
}

func (p *people) SignIn(_ context.Context, a oauth.Attempt) (oauth.SignedIn, error) {
	one := p.by(func(o *person) bool { return o.Email == a.Email })
	if one == nil || one.password != a.Password {
		return oauth.SignedIn{}, fault.New(fault.Unauthenticated, "wrong")
	}
	if one.code != "" {
		return oauth.SignedIn{Challenge: fmt.Sprint("challenge-", one.ID)}, nil
	}
	return oauth.SignedIn{User: one.User, Methods: []string{"pwd"}}, nil
}

func (p *people) SecondFactor(_ context.Context, _ int32, challenge, code, _, _ string) (oauth.SignedIn, error) {
	one := p.by(func(o *person) bool { return fmt.Sprint("challenge-", o.ID) == challenge })
	if one == nil || one.code != code {
		return oauth.SignedIn{}, fault.New(fault.Unauthenticated, "wrong")
	}
	return oauth.SignedIn{User: one.User, Methods: []string{"pwd", "otp", "mfa"}}, nil
}

func (p *people) User(_ context.Context, _ int32, id int64) (oauth.User, error) {
	one := p.by(func(o *person) bool { return o.ID == id })
	if one == nil {
		return oauth.User{}, fault.New(fault.NotFound, "no such user")
	}
	return one.User, nil
}

func (p *people) As(ctx context.Context, tenant int32, id int64, _ bool) (context.Context, error) {
	one := p.by(func(o *person) bool { return o.ID == id })
	if one == nil {
		return nil, fault.New(fault.NotFound, "no such user")
	}
	return access.With(ctx, access.Caller{Tenant: tenant, Who: fmt.Sprint("User/", id), User: id, Grant: one}), nil
}

func (o *person) Extent(_ access.Action, typ string) access.Extent {
	switch {
	case o.all:
		return access.All()
	case typ == "Patient" && len(o.sees) > 0:
		return access.Some(search.IDs(o.sees))
	}
	return access.None()
}
func (o *person) Permits(permission string) bool {
	return o.admin || o.clerk && permission == "clients:manage"
}
func (o *person) Masked(string) []string { return nil }

type hand struct{ micros atomic.Int64 }

func (h *hand) now() time.Time      { return time.UnixMicro(h.micros.Load()).UTC() }
func (h *hand) add(d time.Duration) { h.micros.Add(d.Microseconds()) }

type world struct {
	t      *testing.T
	s      *oauth.Server
	ring   *token.Ring
	store  *record.Store
	base   string
	fhir   string
	people *people
	clock  *hand
}

const (
	callback = "https://app.example/cb"
	secretQ  = "correct horse battery"
)

func newWorld(t *testing.T, store *record.Store, change func(*oauth.Options)) *world {
	t.Helper()
	ctx := context.Background()
	if err := store.Ledger().Migrate(ctx, token.Module, token.Migrations()); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, clock: &hand{}, store: store, people: &people{}}
	w.clock.micros.Store(time.Now().UnixMicro())
	w.ring = token.New(store.Ledger(), token.Options{Clock: w.clock.now})
	var handler atomic.Pointer[http.Handler]
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*handler.Load()).ServeHTTP(rw, r) }))
	t.Cleanup(srv.Close)
	w.base, w.fhir = srv.URL, srv.URL+"/fhir/R4"
	o := oauth.Options{Ledger: store.Ledger(), Signer: w.ring, Users: w.people, Patients: oauth.RecordPatients(store, w.clock.now), Base: srv.URL,
		Clock: w.clock.now, Loopback: true, Registration: oauth.Open}
	if change != nil {
		change(&o)
	}
	var err error
	if w.s, err = oauth.New(ctx, o); err != nil {
		t.Fatal(err)
	}
	product, err := api.New(w.s.Routes())
	if err != nil {
		t.Fatal(err)
	}
	h := w.edge(product)
	handler.Store(&h)
	w.people.all = []*person{
		{User: oauth.User{ID: 11, Name: "Dr. Amal Osman", Given: "Amal", Family: "Osman", Email: "amal@example.org", EmailVerified: true, Locale: "ar",
			FHIRUser: "Practitioner/p1"}, password: secretQ, sees: []string{"amina", "bakri", "amna"}},
		{User: oauth.User{ID: 12, Name: "Amina Hassan", Email: "amina@example.org", FHIRUser: "Patient/amina"}, password: secretQ, sees: []string{"amina"}},
		{User: oauth.User{ID: 13, Name: "Root", Email: "root@example.org"}, password: secretQ, code: "123456", all: true, admin: true},
		{User: oauth.User{ID: 14, Name: "Clerk", Email: "clerk@example.org"}, password: secretQ, clerk: true},
		{User: oauth.User{ID: 14, Name: "Nobody", Email: "nobody@example.org"}, password: secretQ},
	}
	return w
}

// edge does what the program's edge does: the tenant from the path, and the caller. "Bearer user:<n>" stands for a product's own token.
func (w *world) edge(product http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		c := access.Anonymous()
		if rest, ok := strings.CutPrefix(r.URL.Path, "/t/"); ok {
			n, path, _ := strings.Cut(rest, "/")
			v, _ := strconv.Atoi(n)
			c.Tenant, r.URL.Path = int32(v), "/"+path //nolint:gosec // small numbers of these tests
		}
		ctx := access.With(r.Context(), c)
		if id, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer user:"); ok {
			n, _ := strconv.ParseInt(id, 10, 64)
			var err error
			if ctx, err = w.people.As(ctx, c.Tenant, n, false); err != nil {
				rw.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		r = r.WithContext(ctx)
		if app := r.Header.Get("X-Test-Client"); app != "" {
			c := access.From(ctx)
			c.Client = app
			ctx = access.With(ctx, c)
			r = r.WithContext(ctx)
		}
		if r.URL.Path == "/federation" { // a provider vouched for somebody
			back := r.URL.Query().Get("return")
			if !w.s.ReturnsHere(ctx, back) {
				rw.WriteHeader(http.StatusBadRequest)
				return
			}
			if err := w.s.SignedIn(rw, r, 12, []string{"fed"}); err != nil {
				rw.WriteHeader(http.StatusInternalServerError)
				return
			}
			http.Redirect(rw, r, back, http.StatusSeeOther)
			return
		}
		if strings.HasPrefix(r.URL.Path, "/api/v1/") {
			product.ServeHTTP(rw, r)
			return
		}
		w.s.Handler().ServeHTTP(rw, r)
	})
}

// each runs f in a world of its own on each engine, with patients in the record.
func each(t *testing.T, change func(*oauth.Options), f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.Each(t, record.Options{Tables: oauth.Tables()}, func(t *testing.T, store *record.Store) {
		w := newWorld(t, store, change)
		w.patients()
		f(t, w)
	})
}

func (w *world) patients() {
	w.t.Helper()
	var changes []record.Change
	for _, p := range []struct{ id, given, family, birth string }{
		{"amina", "Amina", "Hassan", "1990-02-03"}, {"bakri", "Bakri", "Hassan", "1985-05-05"}, {"amna", "<b>Amna</b>", "Idris", "2001-01-01"},
		{"hidden", "Hidden", "Hassan", "1990-02-03"},
	} {
		changes = append(changes, change(w.t, "Patient", p.id, fmt.Sprintf(
			`{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:mrn","value":"MRN-%s"}],"name":[{"family":%q,"given":[%q]}],"birthDate":%q,"gender":"female"}`,
			p.id, p.id, p.family, p.given, p.birth)))
	}
	changes = append(changes,
		change(w.t, "Encounter", "e1", `{"resourceType":"Encounter","id":"e1","status":"in-progress","class":{"code":"AMB"},"subject":{"reference":"Patient/amina"}}`))
	if _, err := w.store.Write(context.Background(), changes); err != nil {
		w.t.Fatal(err)
	}
}

func change(t *testing.T, typ, id, body string) record.Change {
	t.Helper()
	res, err := fhir.ParseResource([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return record.Change{Op: record.Update, Type: typ, ID: id, Resource: res}
}

const userScopes = "openid fhirUser profile email launch launch/patient offline_access online_access patient/Observation.rs patient/Patient.r user/Patient.rs patient/*.read"

// client makes a client; the public one where nothing else is said.
func (w *world) client(id string, change func(*oauth.ClientMeta)) (*oauth.Client, string) {
	w.t.Helper()
	m := oauth.ClientMeta{Name: "Growth chart", RedirectURIs: []string{callback}, AuthMethod: "none", GrantTypes: []string{"authorization_code", "refresh_token"},
		Scope: userScopes, IDTokenAlg: "ES256", PostLogout: []string{"https://app.example/bye"}}
	if change != nil {
		change(&m)
	}
	c, n, err := w.s.CreateClient(context.Background(), 1, oauth.NewClient{ID: id, Meta: m}, "program", "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return c, n.Secret
}

// browser is a person's browser: a cookie jar, and the page that it shows.
type browser struct {
	t      *testing.T
	w      *world
	c      *http.Client
	status int
	header http.Header
	body   string
	away   *url.URL // where it was led outside of the server
	lang   string
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{t: w.t, w: w, c: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (b *browser) do(r *http.Request) *browser {
	b.t.Helper()
	b.away = nil
	for range 10 {
		if b.lang != "" {
			r.Header.Set("Accept-Language", b.lang)
		}
		resp, err := b.c.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			b.t.Fatal(err)
		}
		b.status, b.header, b.body = resp.StatusCode, resp.Header, string(raw)
		if resp.StatusCode < 300 || resp.StatusCode > 399 {
			return b
		}
		to, err := r.URL.Parse(resp.Header.Get("Location"))
		if err != nil {
			b.t.Fatal(err)
		}
		if to.Scheme+"://"+to.Host != b.w.base {
			b.away = to
			return b
		}
		r, _ = http.NewRequestWithContext(b.t.Context(), http.MethodGet, to.String(), http.NoBody)
	}
	b.t.Fatal("too many redirects")
	return b
}

func (b *browser) get(to string) *browser {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, to, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// submit sends the page's nth form with values; "-name" leaves one out, and a button is named like any other field.
func (b *browser) submit(n int, set map[string]string, drop ...string) *browser {
	b.t.Helper()
	action, fields := b.form(n)
	for k, v := range set {
		fields.Set(k, v)
	}
	for _, kv := range drop {
		k, v, one := strings.Cut(kv, "=")
		kept := fields[k]
		fields.Del(k)
		for _, have := range kept {
			if one && have != v {
				fields.Add(k, have)
			}
		}
	}
	return b.post(action, fields)
}

func (b *browser) post(action string, fields url.Values) *browser {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.w.base+action, strings.NewReader(fields.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

func (b *browser) form(n int) (string, url.Values) {
	b.t.Helper()
	doc, err := html.Parse(strings.NewReader(b.body))
	if err != nil {
		b.t.Fatal(err)
	}
	var forms []*html.Node
	for node := range doc.Descendants() {
		if node.Type == html.ElementNode && node.Data == "form" {
			forms = append(forms, node)
		}
	}
	if n >= len(forms) {
		b.t.Fatalf("the page has %d forms (status %d, away %v):\n%s", len(forms), b.status, b.away, b.body)
	}
	attr := func(node *html.Node, name string) (string, bool) {
		for _, a := range node.Attr {
			if a.Key == name {
				return a.Val, true
			}
		}
		return "", false
	}
	fields := url.Values{}
	for node := range forms[n].Descendants() {
		if node.Type != html.ElementNode || node.Data != "input" {
			continue
		}
		name, _ := attr(node, "name")
		value, _ := attr(node, "value")
		typ, _ := attr(node, "type")
		if _, checked := attr(node, "checked"); typ != "checkbox" || checked {
			fields.Add(name, value)
		}
	}
	action, _ := attr(forms[n], "action")
	return action, fields
}

func (b *browser) has(text ...string) *browser {
	b.t.Helper()
	for _, one := range text {
		if !strings.Contains(b.body, one) {
			b.t.Fatalf("the page lacks %q (status %d, away %v):\n%s", one, b.status, b.away, b.body)
		}
	}
	return b
}

func (b *browser) signIn(email string) *browser {
	b.t.Helper()
	return b.submit(0, map[string]string{"email": email, "password": secretQ})
}

func (b *browser) allow(drop ...string) *browser {
	b.t.Helper()
	return b.submit(0, map[string]string{"allow": "1"}, drop...)
}

// told is what the app was told by the redirect to it.
func (b *browser) told() url.Values {
	b.t.Helper()
	if b.away == nil {
		b.t.Fatalf("the browser was not led back to the app (status %d):\n%s", b.status, b.body)
	}
	q := b.away.Query()
	if q.Get("iss") != b.w.base {
		b.t.Errorf("iss is %q", q.Get("iss"))
	}
	return q
}

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asks is the URL of an authorization request; pairs change its parameters, "" leaves one out.
func (w *world) asks(client, scope string, pairs ...string) string {
	q := url.Values{"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "scope": {scope}, "state": {"st-1"}, "nonce": {"no-1"},
		"aud": {w.fhir}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			q.Del(pairs[i])
		} else {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return w.base + "/oauth2/authorize?" + q.Encode()
}

type reply struct {
	status int
	header http.Header
	m      map[string]any
}

func (r reply) str(name string) string { s, _ := r.m[name].(string); return s }

func (w *world) post(path string, f url.Values, header ...string) reply {
	w.t.Helper()
	header = append(header, "Content-Type", "application/x-www-form-urlencoded")
	return w.send(http.MethodPost, path, f.Encode(), header...)
}

func (w *world) send(method, path, body string, header ...string) reply {
	w.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = w.base + path
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	out := reply{status: resp.StatusCode, header: resp.Header, m: map[string]any{}}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out.m); err != nil {
			w.t.Fatalf("%s: %v: %s", path, err, raw)
		}
	}
	return out
}

func (r reply) want(t *testing.T, status int, code string) reply {
	t.Helper()
	if r.status != status || code != "" && r.str("error") != code {
		t.Fatalf("%d %v, not %d %s", r.status, r.m, status, code)
	}
	return r
}

func redeem(code, client string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {client}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

// grant goes the whole way as somebody and returns the token answer.
func (w *world) grant(b *browser, email, client, scope string, pairs ...string) reply {
	w.t.Helper()
	b.get(w.asks(client, scope, pairs...)).signIn(email)
	if b.away == nil {
		b.allow()
	}
	return w.post("/oauth2/token", redeem(b.told().Get("code"), client)).want(w.t, 200, "")
}

// claims are those of a token that the ring signed.
func (w *world) claims(raw, typ string) *token.Claims {
	w.t.Helper()
	c, err := w.ring.Verify(context.Background(), 1, raw, token.Want{Issuer: w.base, Type: typ})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) active(raw string) bool {
	w.t.Helper()
	c := w.claims(raw, "at+jwt")
	n, _ := strconv.ParseInt(fmt.Sprint(c.Extra["sid"]), 10, 64)
	ok, err := w.s.Alive(context.Background(), 1, fmt.Sprint(c.Extra["client_id"]), n, c.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return ok
}
