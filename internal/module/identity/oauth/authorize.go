package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nilecare/nilecare/internal/audit"
	"github.com/nilecare/nilecare/internal/sqldb"
)

// request is an authorization request that was found good, or a device's, with what is decided about it so far. The pages carry a handle of
// it alone, and it belongs to one browser.
type request struct {
	handle string
	client *Client

	Client    string   `json:"client"`
	Redirect  string   `json:"redirect_uri,omitempty"`
	State     string   `json:"state,omitempty"`
	Scope     string   `json:"scope"`
	Nonce     string   `json:"nonce,omitempty"`
	PKCE      string   `json:"challenge,omitempty"`
	Prompt    []string `json:"prompt,omitempty"`
	MaxAge    *int64   `json:"max_age,omitempty"`
	Locales   string   `json:"ui_locales,omitempty"`
	Hint      string   `json:"login_hint,omitempty"`
	CreatedAt int64    `json:"created_at"`

	Launched bool   `json:"launched,omitempty"` // by an EHR
	For      int64  `json:"for,omitempty"`      // who alone may go on with the launch
	Launch   Launch `json:"launch"`
	Device   []byte `json:"device,omitempty"` // hash of the device code
	UserCode string `json:"user_code,omitempty"`

	Challenge string `json:"mfa,omitempty"`     // of a sign-in whose password was right
	Entered   bool   `json:"entered,omitempty"` // somebody signed in for this request
}

// pageFailure is a mistake that a person is told, because nobody else can be: who asked is not known for certain.
func pageFailure(text string) *failure { return bad("invalid_request", text) }

// authorize answers GET and POST /oauth2/authorize (RFC 6749 section 4.1.1, OpenID Connect Core section 3.1.2, SMART "authorize-post").
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q, err := s.authorizeParams(w, r)
	var c *Client
	if err == nil {
		c, err = s.askingClient(r.Context(), q)
	}
	if err != nil {
		s.showFailure(w, r, err)
		return
	}
	// From here on the client and where it is are known: it is told itself.
	req, err := s.newRequest(r.Context(), c, q)
	if err == nil {
		req.client = c
		err = s.saveAndGoFresh(w, r, req)
	}
	if err != nil {
		s.redirectFailure(w, r, q["redirect_uri"][0], q.Get("state"), err)
	}
}

func (s *Server) authorizeParams(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method == http.MethodPost {
		if r.URL.RawQuery != "" {
			return nil, pageFailure("the parameters of a POST are in its body alone")
		}
		return form(w, r, "resource")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > 16<<10 {
		return nil, pageFailure("the query cannot be read")
	}
	return q, nil
}

// askingClient finds the client and checks where its answer goes. Whatever is wrong here is not redirected (RFC 6749 section 4.1.2.1).
func (s *Server) askingClient(ctx context.Context, q url.Values) (*Client, error) {
	for _, name := range []string{"client_id", "redirect_uri"} {
		if len(q[name]) != 1 || q.Get(name) == "" {
			return nil, pageFailure(name + " is needed, once")
		}
	}
	c, err := s.findClient(ctx, tenantOf(ctx), q.Get("client_id"))
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, pageFailure("this client_id is not known here")
	}
	if !redirectMatches(c.Meta.RedirectURIs, q.Get("redirect_uri")) {
		return nil, pageFailure("redirect_uri is not one that the app registered")
	}
	return c, nil
}

// newRequest checks all other parameters.
func (s *Server) newRequest(ctx context.Context, c *Client, q url.Values) (*request, error) {
	if _, err := once(q, "resource"); err != nil {
		return nil, err
	}
	switch {
	case q.Get("request") != "":
		return nil, bad("request_not_supported", "request objects are not served")
	case q.Get("request_uri") != "":
		return nil, bad("request_uri_not_supported", "request objects are not served")
	case q.Get("registration") != "":
		return nil, bad("registration_not_supported", "registration by a request is not served")
	case !c.grants(grantCode):
		return nil, bad("unauthorized_client", "the client is not registered for the code flow")
	case q.Get("response_type") == "":
		return nil, bad("invalid_request", "response_type is missing")
	case q.Get("response_type") != "code":
		return nil, bad("unsupported_response_type", "response_type must be code")
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return nil, bad("invalid_request", "response_mode must be query")
	case q.Get("code_challenge") == "":
		return nil, bad("invalid_request", "code_challenge is missing: PKCE is required")
	case q.Get("code_challenge_method") != "S256":
		return nil, bad("invalid_request", "code_challenge_method must be S256")
	case len(q.Get("code_challenge")) != 43 || !isPKCE(q.Get("code_challenge")):
		return nil, bad("invalid_request", "code_challenge is not an S256 challenge")
	case len(q.Get("state")) > 2000 || len(q.Get("nonce")) > 1000 || len(q.Get("login_hint")) > 300:
		return nil, bad("invalid_request", "state, nonce or login_hint is too long")
	}
	req := &request{Client: c.ID, Redirect: q.Get("redirect_uri"), State: q.Get("state"), Nonce: q.Get("nonce"), PKCE: q.Get("code_challenge"),
		Locales: q.Get("ui_locales"), Hint: q.Get("login_hint"), CreatedAt: s.micro()}
	if err := req.setPrompt(c, q); err != nil {
		return nil, err
	}
	return req, s.setScope(ctx, c, req, q)
}

func (req *request) setPrompt(c *Client, q url.Values) error {
	req.Prompt = strings.Fields(q.Get("prompt"))
	for _, p := range req.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return bad("invalid_request", "prompt must be of none, login, consent and select_account")
		}
	}
	if req.asks("none") && len(req.Prompt) > 1 {
		return bad("invalid_request", "prompt=none stands alone")
	}
	if age := q.Get("max_age"); age != "" {
		n, err := strconv.ParseInt(age, 10, 32)
		if err != nil || n < 0 {
			return bad("invalid_request", "max_age must be a number of seconds")
		}
		req.MaxAge = &n
	} else if c.Meta.DefaultMaxAge > 0 {
		req.MaxAge = &c.Meta.DefaultMaxAge
	}
	return nil
}

func (req *request) asks(prompt string) bool { return slices.Contains(req.Prompt, prompt) }

func (s *Server) setScope(ctx context.Context, c *Client, req *request, q url.Values) error {
	tenant := tenantOf(ctx)
	asked, err := parseScopes(q.Get("scope"))
	if err != nil {
		return err
	}
	scopes := withoutLevels(narrowTo(asked, c.scopes), "system")
	if len(scopes) == 0 {
		return bad("invalid_scope", "none of these scopes is this client's")
	}
	for _, aud := range append(slices.Clone(q["resource"]), q["aud"]...) {
		if !s.isAudience(tenant, aud) {
			code := "invalid_request"
			if len(q["resource"]) > 0 {
				code = "invalid_target"
			}
			return bad(code, "aud must be "+s.Audience(tenant))
		}
	}
	if q.Get("aud") == "" && len(q["resource"]) == 0 && needsFHIR(scopes) {
		return bad("invalid_request", "aud is missing: it must be "+s.Audience(tenant))
	}
	if q.Get("launch") != "" {
		if !hasScope(scopes, "launch") {
			return bad("invalid_scope", "a launch needs the scope launch")
		}
		if err := s.takeLaunch(ctx, tenant, c, req, q.Get("launch")); err != nil {
			return err
		}
	} else {
		scopes = slices.DeleteFunc(scopes, func(sc scope) bool { return sc.text == "launch" })
	}
	if len(scopes) == 0 {
		return bad("invalid_scope", "the scope launch needs a launch")
	}
	req.Scope = scopeText(scopes)
	return nil
}

// isAudience reports that a URL is our FHIR base.
func (s *Server) isAudience(tenant int32, v string) bool {
	return strings.TrimSuffix(v, "/") == s.Audience(tenant)
}

// saveAndGoFresh stores a request for the first time and leads the browser to its pages. What is asked for without any page is answered at
// once, so that a hidden frame with prompt=none needs no cookie of ours but the login.
func (s *Server) saveAndGoFresh(w http.ResponseWriter, r *http.Request, req *request) error {
	ctx, tenant := r.Context(), tenantOf(r.Context())
	if req.asks("none") {
		return s.proceed(w, r, req)
	}
	req.handle = secret("")
	b, err := json.Marshal(req)
	if err != nil {
		return err
	}
	browser, now := hash(s.browser(w, r, tenant)), s.now()
	err = s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO oauth_request (tenant, hash, browser, client, body, expires_at, created_at, updated_at, deleted_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 0)`,
			tenant, hash(req.handle), browser, req.Client, string(b), now.Add(requestLife).UnixMicro(), now.UnixMicro())
		return err
	})
	if err != nil {
		return err
	}
	s.goOn(w, r, req)
	return nil
}

// saveAndGo stores what was decided and leads the browser on.
func (s *Server) saveAndGo(w http.ResponseWriter, r *http.Request, req *request) error {
	if err := s.saveRequest(r.Context(), req); err != nil {
		return err
	}
	s.goOn(w, r, req)
	return nil
}

func (s *Server) saveRequest(ctx context.Context, req *request) error {
	tenant := tenantOf(ctx)
	b, err := json.Marshal(req)
	if err != nil {
		return err
	}
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE oauth_request SET body = $3, updated_at = $4 WHERE tenant = $1 AND hash = $2 AND deleted_at = 0",
			tenant, hash(req.handle), string(b), s.micro())
		return err
	})
}

func (s *Server) goOn(w http.ResponseWriter, r *http.Request, req *request) {
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, s.path(tenantOf(r.Context()), "/oauth2/continue")+"?request="+req.handle)
}

// redirect is a 303: whatever the method was, the browser comes with GET, and without its body (RFC 9700 section 4.12).
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

// errStale is told where a request is over, or belongs to another browser.
var errStale = pageFailure("this sign-in is over or began in another browser: go back to the app and begin again")

// loadRequest reads a request by the handle of a page, for the browser that it belongs to.
func (s *Server) loadRequest(r *http.Request, handle string) (*request, error) {
	ctx, tenant := r.Context(), tenantOf(r.Context())
	browser := s.cookie(r, tenant, "browser")
	if handle == "" || len(handle) > 100 || browser == "" {
		return nil, errStale
	}
	var body string
	err := s.ledger.Read(ctx, tenant, func(q sqldb.Querier) error {
		_, err := sqldb.QueryRow(ctx, q, []any{&body},
			"SELECT body FROM oauth_request WHERE tenant = $1 AND hash = $2 AND browser = $3 AND deleted_at = 0 AND expires_at > $4",
			tenant, hash(handle), hash(browser), s.micro())
		return err
	})
	if err != nil {
		return nil, err
	}
	if body == "" {
		return nil, errStale
	}
	req := &request{}
	if err := json.Unmarshal([]byte(body), req); err != nil {
		return nil, err
	}
	req.handle = handle
	if req.client, err = s.findClient(ctx, tenant, req.Client); err == nil && req.client == nil {
		err = errStale
	}
	return req, err
}

// posted reads the form of a page. Without a good CSRF token nothing is done: the page is shown again. Then the request is nil.
func (s *Server) posted(w http.ResponseWriter, r *http.Request) (*request, url.Values, error) {
	f, err := form(w, r, "scope")
	if err != nil {
		return nil, nil, err
	}
	req, err := s.loadRequest(r, f.Get("request"))
	if err != nil {
		return nil, nil, err
	}
	if !s.checkCSRF(r, tenantOf(r.Context()), f.Get("csrf")) {
		s.goOn(w, r, req)
		return nil, nil, nil
	}
	return req, f, nil
}

// tell answers the app by a redirect (RFC 6749 section 4.1.2, RFC 9207).
func (s *Server) tell(w http.ResponseWriter, r *http.Request, uri, state string, params url.Values) {
	if state != "" {
		params.Set("state", state)
	}
	params.Set("iss", s.Issuer(tenantOf(r.Context())))
	w.Header().Set("Cache-Control", "no-store")
	redirect(w, withQuery(uri, params))
}

// redirectFailure tells the app what went wrong. The redirect URI was compared with the registered ones before.
func (s *Server) redirectFailure(w http.ResponseWriter, r *http.Request, uri, state string, err error) {
	f := failureOf(err)
	if f.status >= http.StatusInternalServerError && f.cause != nil {
		s.o.Log.ErrorContext(r.Context(), "oauth", "path", r.URL.Path, "error", f.cause)
	}
	s.tell(w, r, uri, state, url.Values{"error": {f.code}, "error_description": {f.text}})
}

// refuse ends a request and tells who asked.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, req *request, err error) error {
	tenant := tenantOf(r.Context())
	if req.handle != "" {
		if e := s.endRequest(r.Context(), tenant, req); e != nil {
			return e
		}
	}
	if req.Device != nil {
		return s.denyDevice(w, r, req)
	}
	e := s.entry(r.Context(), tenant, audit.Session, "authorize", failureOf(err).code)
	e.Client, e.Outcome = req.Client, audit.Minor
	s.ledger.Note(e)
	s.redirectFailure(w, r, req.Redirect, req.State, err)
	return nil
}

func (s *Server) endRequest(ctx context.Context, tenant int32, req *request) error {
	return s.ledger.Update(ctx, tenant, func(tx sqldb.Tx) error { return endRequest(ctx, tx, tenant, req, s.micro()) })
}

// endRequest ends a request; errStale where it had ended, so that a form that is sent twice grants once.
func endRequest(ctx context.Context, tx sqldb.Tx, tenant int32, req *request, now int64) error {
	n, err := tx.Exec(ctx, "UPDATE oauth_request SET deleted_at = $3, updated_at = $3 WHERE tenant = $1 AND hash = $2 AND deleted_at = 0", tenant, hash(req.handle), now)
	if err == nil && n == 0 {
		return errStale
	}
	return err
}

// tooOld reports a login that is older than the request permits (OpenID Connect Core section 3.1.2.1, prompt and max_age). One that came
// after the request is never too old.
func (req *request) tooOld(l *login, now time.Time) bool {
	if l.authAt > req.CreatedAt || l.authAt == req.CreatedAt && req.Entered {
		return false
	}
	return req.asks("login") || req.asks("select_account") ||
		req.MaxAge != nil && l.authAt < now.Add(-time.Duration(*req.MaxAge)*time.Second).UnixMicro()
}
